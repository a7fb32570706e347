"""One saved page, as the extractor sees it: for `m3w page`."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text as Line

from m3w_builder.config import Config, SelectConfig
from m3w_builder.errors import InputError
from m3w_builder.extract import extract
from m3w_builder.inputs import plan, read_pages
from m3w_builder.rules import decide
from m3w_builder.types import Document, Image, Node, Page, Reject, Text

_STYLES = {"heading": "bold", "caption": "italic", "code": "dim", "quote": "italic"}


def extract_file(file: Path, url: str, config: Config) -> tuple[list[Document], list[Reject]]:
    """Returns what one saved page gives; raises InputError when there is no such file."""
    if not file.is_file():
        raise InputError(f"{file}: expected a saved HTML page, found no such file")
    if url:
        return extract(Page(url, file.read_bytes()), config)
    items = [
        item
        for unit in plan([str(file)])
        for item in read_pages(unit, max_body=config.extract.max_page_bytes)
    ]
    found = next((item for item in items if isinstance(item, Page)), None)
    if found is None:
        return [], [item for item in items if isinstance(item, Reject)]
    return extract(found, config)


def as_json(documents: Sequence[Document], rejects: Sequence[Reject]) -> dict[str, Any]:
    """Returns documents and rejects as plain values."""
    return {"documents": [_plain(d) for d in documents], "rejects": [asdict(r) for r in rejects]}


def _plain(document: Document) -> dict[str, Any]:
    nodes = [{"type": type(node).__name__.lower(), **asdict(node)} for node in document.nodes]
    return {**asdict(document), "nodes": nodes}


def tables(documents: Sequence[Document], rejects: Sequence[Reject]) -> Iterator[RenderableType]:
    """Yields what to print: the interleaved document, the pairs, the rejects."""
    for document in documents:
        if document.kind == "interleaved":
            yield _nodes(document)
            yield _verdict(document)
    pairs = [d for d in documents if d.kind != "interleaved"]
    if pairs:
        yield _pairs(pairs)
    for reject in rejects:
        yield Line(f"dropped: {reject.reason} {reject.detail}", style="red")


def _nodes(document: Document) -> Table:
    title = Line(f"{document.title or document.url} [{document.language or '?'}]")
    table = Table(title=title, title_justify="left")
    for name in ("", "role", "content", "DOM path"):
        table.add_column(name, overflow="fold", no_wrap=name == "role")
    for number, node in enumerate(document.nodes):
        table.add_row(str(number), *_cells(node), Line(node.path, style="dim"))
    return table


def _cells(node: Node) -> tuple[Line, Line]:
    if isinstance(node, Text):
        return Line(node.role), Line(node.text, style=_STYLES.get(node.role, ""))
    label = "image" if isinstance(node, Image) else "video"
    said = [("alt", getattr(node, "alt", "")), ("title", node.title), ("caption", node.caption)]
    lines = [node.url, *(f"{name}: {value}" for name, value in said if value)]
    return Line(label, style="green"), Line("\n".join(lines), style="green")


def _pairs(pairs: Sequence[Document]) -> Table:
    table = Table(title="pairs", title_justify="left")
    for name in ("kind", "media", "text"):
        table.add_column(name, overflow="fold")
    for pair in pairs:
        media = next(node.url for node in pair.nodes if not isinstance(node, Text))
        words = " ".join(text.text for text in pair.texts)
        table.add_row(pair.kind, Line(media), Line(words))
    return table


def _verdict(document: Document) -> Line:
    """Says what the default text rules of `select` would do."""
    found = decide(document.scores, document.language, SelectConfig())
    words = f"{document.scores['words']:.0f} words, {len(document.images)} images, {len(document.videos)} videos"
    if found:
        return Line(f"{words}; the default rules drop it: {found[0]} ({found[1]})", style="yellow")
    return Line(f"{words}; passes the default text rules", style="green")
