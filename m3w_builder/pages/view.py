"""What became of each part of a page: which node, or why none."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from lxml import etree

from m3w_builder import text
from m3w_builder.config import Config, RightsConfig, RulesConfig
from m3w_builder.errors import InputError, PageError
from m3w_builder.extract import extract, optouts_of
from m3w_builder.images import IMAGE_TAGS
from m3w_builder.interleave import ParsedPage, node, read_page
from m3w_builder.optouts import evidence, page_refusal
from m3w_builder.pages.places import Places, find
from m3w_builder.rules import decide
from m3w_builder.types import Document, Node, OptOut, Page, Reject, Text

Element = etree._Element


@dataclass(frozen=True)
class Block:
    """One part of a page: a node of the document, or what was dropped for a reason."""

    number: int  # of its node, -1 if it was dropped
    reason: str  # why it was dropped, "" if it is a node
    path: str
    element: Element | None  # None: the page shows it nowhere, its metadata name it
    node: Node | None  # None: a block that was not entered
    item: int = -1  # of the walk
    text: str = ""  # what a block that was not entered says

    @property
    def kind(self) -> str:
        return "block" if self.node is None else type(self.node).__name__.lower()

    @property
    def words(self) -> str:
        """The text of a text or a block, the address of a picture or video."""
        if isinstance(self.node, Text):
            return self.node.text
        return self.text if self.node is None else self.node.url


@dataclass(frozen=True)
class View:
    """A page, what the extractor made of it, and what of it became what."""

    page: Page
    parsed: ParsedPage
    documents: list[Document]  # the interleaved one and the pairs
    rejects: list[Reject]
    places: Places
    blocks: list[Block]  # in page order, after what only the metadata name
    optouts: tuple[OptOut, ...] = ()  # of the page
    refusal: str = ""  # what select would do about them

    @cached_property
    def document(self) -> Document | None:
        """The interleaved document."""
        return next((d for d in self.documents if d.kind == "interleaved"), None)

    @cached_property
    def dropped(self) -> list[Block]:
        return [block for block in self.blocks if block.reason]

    @cached_property
    def reasons(self) -> list[tuple[str, int]]:
        """How many blocks were dropped per reason, the most frequent first."""
        return Counter(block.reason for block in self.dropped).most_common()

    @cached_property
    def captions(self) -> dict[str, list[int]]:
        """The numbers of the pictures and videos that a text is the caption of."""
        found: dict[str, list[int]] = {}
        for block in self.blocks:
            if not block.reason and block.node is not None and not isinstance(block.node, Text):
                for caption in block.node.caption.split("\n"):
                    found.setdefault(caption, []).append(block.number)
        return found

    def role(self, block: Block) -> str:
        """What a node is, and of which nodes if it is a caption: "caption of 3"."""
        if not isinstance(block.node, Text):
            return block.kind
        of = self.captions.get(block.words, []) if block.node.role == "caption" else []
        return " ".join([block.node.role, *(f"of {number}" for number in of)])

    @cached_property
    def verdict(self) -> tuple[str, bool]:
        """What the default text rules of `select` would do, and whether the document passes."""
        document = self.document
        if document is None:
            why = ", ".join(f"{r.reason} ({r.detail})" for r in self.rejects)
            return f"no interleaved document: {why}", False
        counts = (
            _count(int(document.scores["words"]), "word"),
            _count(len(document.images), "image"),
            _count(len(document.videos), "video"),
        )
        found = decide(document.scores, document.language, RulesConfig())
        said = (
            f"the default rules drop it: {found[0]} ({found[1]})"
            if found
            else "passes the default text rules"
        )
        return f"{', '.join(counts)}; {said}", not found


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def look(page: Page, config: Config, name: str = "") -> View:
    """Returns what the extractor makes of a page; raises InputError, with `name`, for one it rejects whole."""
    documents, rejects = extract(page, config)
    document = next((d for d in documents if d.kind == "interleaved"), None)
    try:
        parsed = read_page(page)
        places = find(parsed)
        blocks = [*_blocks(parsed, places, document, rejects)]
    except PageError as error:
        raise InputError(f"{name or page.url}: the page is rejected: {error}") from error
    optouts = optouts_of(parsed, config)
    refusal = _refusal(parsed.url, optouts, config.rights)
    return View(page, parsed, documents, rejects, places, blocks, optouts, refusal)


def _refusal(url: str, optouts: tuple[OptOut, ...], rights: RightsConfig) -> str:
    """Returns what follows from a page's opt-outs, "" if it has none and is on no list."""
    if page := page_refusal(url, optouts, rights):
        return f"the page opts out: {evidence(page)}"
    if media := page_refusal(url, optouts, rights, "image"):
        return f"the page opts out for its images and videos: {evidence(media)}"
    names = ", ".join(f"{o.signal}: {o.found}" for o in optouts)
    return f"opt-outs that are ignored: {names}" if names else ""


def _blocks(
    parsed: ParsedPage, places: Places, document: Document | None, rejects: list[Reject]
) -> Iterator[Block]:
    nodes = document.nodes if document else ()
    items = parsed.walk.items
    # A document is what the metadata puts first, then a node for each kept item.
    leads = len(nodes) - sum(parsed.kept) if document else 0
    for number, lead in enumerate(nodes[:leads]):
        yield Block(number, "", lead.path, None, lead)
    number = leads
    rejected = next((r.reason for r in rejects), "")
    skipped = iter([*_skipped(parsed, places), (len(items), None)])
    before, block = next(skipped)
    for index, (item, why) in enumerate(zip(items, parsed.verdicts, strict=True)):
        while block is not None and before <= index:
            yield block
            before, block = next(skipped)
        if document and not why:
            yield Block(number, "", nodes[number].path, item.element, nodes[number], index)
            number += 1
        else:
            one = node(item, parsed)
            yield Block(-1, why or rejected, one.path, item.element, one, index)
    while block is not None:
        yield block
        _, block = next(skipped)


def _skipped(parsed: ParsedPage, places: Places) -> Iterator[tuple[int, Block | None]]:
    """Yields the blocks that were not entered, and the item they stand before; not those that are empty."""
    for element, reason in parsed.walk.skipped:
        words = text.inline(element)
        pictures = sum(1 for e in element.iter(*IMAGE_TAGS))
        if not words and pictures:
            words = f"({_count(pictures, 'picture')})"
        if words:
            path = parsed.paths.of(element)
            before = places.before.get(element, 0)
            yield before, Block(-1, reason, path, element, None, text=words)
