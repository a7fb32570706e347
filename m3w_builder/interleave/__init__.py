"""A page to a Document: its main content as text and media nodes in DOM order.

A figure's caption stands twice: bound to its picture as `Image.caption`, and as a Text node of role
"caption" in its place. Training text is the Text nodes; the binding is for pairs and filters.
The picture or video that a page puts forward in its metadata and shows nowhere comes first.
"""

from dataclasses import dataclass, replace
from functools import cached_property

from lxml import etree

from m3w_builder import dom, video
from m3w_builder.errors import PageError
from m3w_builder.images import picture_key, pixels_in
from m3w_builder.interleave.blocks import Item, Walk, walk
from m3w_builder.interleave.captions import bind
from m3w_builder.interleave.content import keep, media_key, reason
from m3w_builder.interleave.features import running
from m3w_builder.metadata import Lead, Metadata, read_metadata
from m3w_builder.types import Document, Image, Node, Page, Text, Video, document_id
from m3w_builder.urls import canonical

Element = etree._Element
# A page's own lead picture stands above its text, or after its standfirst and first paragraph.
TEXTS_ABOVE = 2


@dataclass(frozen=True)
class ParsedPage:
    """A parsed page and its one tree walk."""

    url: str  # canonical
    base: str  # what relative addresses are relative to
    root: Element  # html
    metadata: Metadata
    page: Page
    walk: Walk  # items and boxes of the whole page, captions bound
    declared: tuple[video.Declared, ...] = ()  # videos that the metadata names

    @property
    def title(self) -> str:
        return self.metadata.title

    @property
    def titles(self) -> tuple[str, ...]:
        """What the page calls itself: its title, then what it is called where it is shared."""
        return (self.title, *self.metadata.all("og:title"), *self.metadata.all("twitter:title"))

    @cached_property
    def paths(self) -> dom.Paths:
        return dom.Paths()

    @cached_property
    def lead(self) -> Lead | None:
        """The picture that the page's metadata puts forward."""
        return next(iter(self.metadata.lead_images(1)), None)

    @cached_property
    def kept(self) -> list[bool]:
        """For each item of the walk whether it is main content."""
        lead = self.lead.image.url if self.lead else ""
        return keep(self.walk, self.titles, lead, self.metadata.first("og:site_name"))

    @property
    def verdicts(self) -> list[str]:
        """For each item of the walk "" if it is main content, else the reason why not."""
        items = [*zip(self.walk.items, self.kept, strict=True)]
        shown = {media_key(item) for item, kept in items if kept and item.media}
        return ["" if kept else reason(item, self.walk, shown) for item, kept in items]


def read_page(page: Page) -> ParsedPage:
    """Returns the parsed page; raises PageError with the reason why it cannot be one."""
    url = canonical(page.url)
    if not url:
        raise PageError("bad_url", page.url[:200])
    source = dom.to_utf8(page.html, page.content_type)
    root = dom.build(source)
    named = next((e.get("href") or "" for e in root.iter("base") if e.get("href")), "")
    base = canonical(named, url) or url
    metadata = read_metadata(root, base, source)
    declared = tuple(video.declarations(metadata))
    found = walk(root, base, declared)
    bind(found, root)
    return ParsedPage(url, base, root, metadata, page, found, declared)


def interleave(parsed: ParsedPage) -> Document:
    """Returns the interleaved document of a page; raises PageError no_content."""
    kept = [item for item, good in zip(parsed.walk.items, parsed.kept, strict=True) if good]
    nodes = (*_leads(parsed, kept), *(node(item, parsed) for item in _largest(kept, parsed)))
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


def _leads(parsed: ParsedPage, kept: list[Item]) -> list[Node]:
    """Returns the lead picture and video of the metadata that the page shows nowhere.

    The picture only where none stands above the text or near its beginning: that one is most often the
    same photograph, cut or named in another way.
    """
    found: list[Node] = []
    texts = [i for i, item in enumerate(kept) if running(item)]
    above = kept[: texts[TEXTS_ABOVE]] if len(texts) > TEXTS_ABOVE else kept
    if (lead := parsed.lead) and not any(isinstance(item.media, Image) for item in above):
        key = picture_key(lead.image.url)
        pictures = (item.media.url for item in kept if isinstance(item.media, Image))
        if all(picture_key(url) != key for url in pictures):
            found.append(replace(lead.image, path=parsed.paths.of(lead.element)))
    films = (i.media.url for i in parsed.walk.items if isinstance(i.media, Video))
    if film := video.lead(parsed.declared, parsed.base, films):
        found.append(film)
    return found


def _largest(kept: list[Item], parsed: ParsedPage) -> list[Item]:
    """Returns the items, each picture in the largest of the sizes that the page shows it in."""
    largest: dict[str, Image] = {}
    for item in parsed.walk.items:
        if isinstance(item.media, Image):
            known = largest.setdefault(media_key(item), item.media)
            if pixels_in(item.media.url) > pixels_in(known.url) > 0:
                largest[media_key(item)] = item.media
    return [
        replace(item, media=replace(item.media, url=largest[media_key(item)].url))
        if isinstance(item.media, Image) and largest[media_key(item)].url != item.media.url
        else item
        for item in kept
    ]
