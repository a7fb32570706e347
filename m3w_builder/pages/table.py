"""A view of a page in the terminal, and as plain values."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text as Line

from m3w_builder.pages.view import Block, View
from m3w_builder.render import ROLES, safe
from m3w_builder.types import Document, Node, Text

SHORT = 160  # characters of a dropped text in the table


def as_json(view: View) -> dict[str, Any]:
    """Returns the documents, what was dropped of the page with its reason, rejects and opt-outs."""
    return {
        "documents": [_plain(document) for document in view.documents],
        "dropped": [_dropped(block) for block in view.dropped],
        "rejects": [asdict(reject) for reject in view.rejects],
        "optouts": [asdict(optout) for optout in view.optouts],
    }


def _plain(document: Document) -> dict[str, Any]:
    nodes = [{"type": type(node).__name__.lower(), **asdict(node)} for node in document.nodes]
    return {**asdict(document), "signature": document.signature.hex(), "nodes": nodes}


def _dropped(block: Block) -> dict[str, Any]:
    what = "url" if block.kind in ("image", "video") else "text"
    return {"type": block.kind, "reason": block.reason, "path": block.path, what: block.words}


def tables(view: View, every: bool = False) -> Iterator[RenderableType]:
    """Yields what to print: the interleaved document, its verdict, the pairs.

    What was dropped is counted by its reason; with `every` it stands in its place among the nodes.
    """
    if view.document or every:
        yield _blocks(view, [b for b in view.blocks if every or not b.reason])
    if view.dropped:
        counts = ", ".join(f"{reason} {count}" for reason, count in view.reasons)
        total = len(view.dropped)
        yield Line(
            f"dropped {total}: {counts}{'' if every else ' (--all shows them)'}", style="dim"
        )
    if view.refusal:
        yield Line(safe(view.refusal), style="red")
    verdict, passes = view.verdict
    yield Line(safe(verdict), style="green" if passes else "yellow")
    pairs = [d for d in view.documents if d.kind != "interleaved"]
    if pairs:
        yield _pairs(pairs)


def _blocks(view: View, blocks: Sequence[Block]) -> Table:
    document = view.document
    title = view.parsed.title or view.parsed.url
    language = f" [{document.language or '?'}]" if document else ""
    table = Table(title=Line(safe(f"{title}{language}")), title_justify="left")
    for name in ("", "role", "content", "DOM path"):
        table.add_column(name, overflow="fold", no_wrap=name == "role")
    for block in blocks:
        path = Line(safe(block.path), style="dim")
        if block.reason:
            table.add_row("", Line(block.reason, style="red"), _short(block), path)
        elif block.node is not None:
            table.add_row(str(block.number), Line(view.role(block)), _content(block.node), path)
    return table


def _short(block: Block) -> Line:
    words = " ".join(safe(block.words).split())
    if len(words) > SHORT and block.kind in ("text", "block"):
        words = f"{words[:SHORT]}…"
    return Line(words, style="dim")


def _content(node: Node) -> Line:
    if isinstance(node, Text):
        return Line(safe(node.text), style=ROLES.get(node.role, ""))
    said = [("alt", getattr(node, "alt", "")), ("title", node.title), ("caption", node.caption)]
    lines = [node.url, *(f"{name}: {value}" for name, value in said if value)]
    return Line(safe("\n".join(lines)), style="green")


def _pairs(pairs: Sequence[Document]) -> Table:
    table = Table(title="pairs", title_justify="left")
    for name in ("kind", "media", "text"):
        table.add_column(name, overflow="fold")
    for pair in pairs:
        media = next(node.url for node in pair.nodes if not isinstance(node, Text))
        words = " ".join(text.text for text in pair.texts)
        table.add_row(pair.kind, Line(safe(media)), Line(safe(words)))
    return table
