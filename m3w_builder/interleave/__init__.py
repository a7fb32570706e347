"""A page to a Document: its main content as text and media nodes in DOM order.

A figure's caption stands twice: bound to its picture as `Image.caption`, and as a Text node of role
"caption" in its place. Training text is the Text nodes; the binding is for pairs and filters.
"""

from dataclasses import dataclass, replace
from functools import cached_property

from lxml import etree

from m3w_builder import dom, text, video
from m3w_builder.errors import PageError
from m3w_builder.interleave.blocks import Item, Walk
from m3w_builder.interleave.captions import bind
from m3w_builder.interleave.content import verdicts
from m3w_builder.types import Document, Image, Node, Page, Text, Video, document_id
from m3w_builder.urls import canonical

Element = etree._Element


@dataclass(frozen=True)
class ParsedPage:
    """A parsed page and its one tree walk."""

    url: str  # canonical
    base: str  # what relative addresses are relative to
    root: Element  # html
    title: str
    page: Page
    walk: Walk  # items and boxes of the whole page, captions bound

    @cached_property
    def paths(self) -> dom.Paths:
        return dom.Paths()


def read_page(page: Page) -> ParsedPage:
    """Returns the parsed page; raises PageError with the reason why it cannot be one."""
    url = canonical(page.url)
    if not url:
        raise PageError("bad_url", page.url[:200])
    root = dom.parse(dom.decode(page.html, page.content_type))
    declared = next((e.get("href") or "" for e in root.iter("base") if e.get("href")), "")
    base = canonical(declared, url) or url
    walk = Walk(root, base)
    bind(walk)
    return ParsedPage(url, base, root, _title(root), page, walk)


def _title(root: Element) -> str:
    title = next((text.inline(e) for e in root.iter("title")), "")
    return title or video.meta(root, "og:title", "twitter:title")


def interleave(parsed: ParsedPage) -> Document:
    """Returns the interleaved document of a page; raises PageError no_content."""
    walk = parsed.walk
    kept = [item for item, why in zip(walk.items, verdicts(walk), strict=True) if not why]
    nodes = tuple(node(item, parsed) for item in _once(kept))
    if not any(isinstance(n, Text) for n in nodes):
        raise PageError("no_content", "no text block that is main content")
    page = parsed.page
    return Document(
        document_id("interleaved", parsed.url), "interleaved", parsed.url, nodes, parsed.title,
        crawled=page.crawled, record=page.record, source=page.source,
    )  # fmt: skip


def node(item: Item, parsed: ParsedPage) -> Node:
    """Returns the node of an item, with its DOM path."""
    path = parsed.paths.of(item.element)
    if item.media is not None:
        return replace(item.media, path=path)
    return Text(item.text, item.role, path)


def _once(items: list[Item]) -> list[Item]:
    """Returns the items without repetitions of a picture or video: its first place stays."""
    seen: set[str] = set()
    kept = []
    for item in items:
        if isinstance(item.media, Image | Video):
            if item.media.url in seen:
                continue
            seen.add(item.media.url)
        kept.append(item)
    return kept
