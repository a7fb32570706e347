"""Which items of a page are its main content.

MassiveWeb's idea (Gopher A.1.1): coherent text comes in groups of semantic blocks at one level of
the tree. So: weigh running text, go down to the box that still holds most of it, keep that box, and
drop the parts of it that are boilerplate by name or by structure; images at that level stay
(Flamingo 2.4). The thresholds are ours, set on the development pages.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from m3w_builder.interleave.blocks import Box, Item, Walk
from m3w_builder.types import Image

MIN_RUN = 25  # weight of a text block that counts as running text
MAX_RUN = 800  # more of one block counts no more: many paragraphs beat one long one
MAX_LINKED = 0.5  # share of linked characters in running text
DESCEND = 0.7  # a child with this share of its parent's running text is the content of its parent
MIN_GOOD = 300  # weight of running text below which a page is not taken for running text
MIN_NOTE = 80  # weight of the running text in an aside that is a note
MIN_SENTENCE = 100  # weight of a text that needs no full stop to be one
DENSE = 0.6  # share of running text that makes what surrounds the content part of it
MAX_TEASER = 200  # weight of running text: a box of links or a teaser has less
MAX_LINKS = 0.6  # share of linked characters in a list that is not one of links
DENSE_PAGE = 0.8  # the same where what surrounds the content is the whole body
MAX_AROUND = 0.2  # share of linked characters in what surrounds the content
MAX_LEAD = 12  # items between a headline or lead picture and the text under it
RELIEF = 0.5  # a hint is ignored on a box with this share of the page's running text


@dataclass(frozen=True, slots=True)
class Sums:
    """Running totals over the items: what lies in a box is the difference of two entries."""

    good: list[int]  # weight of running text
    chars: list[int]
    linked: list[int]
    links: list[int]
    images: list[int]  # that lead nowhere
    teasers: list[int]  # linked headings and pictures
    plain: list[int]  # characters outside headings and captions

    def of(self, totals: list[int], box: Box) -> int:
        return totals[box.end] - totals[box.start]


_LABELS = frozenset(("heading", "caption"))


def sums(items: list[Item], reasons: list[str]) -> Sums:
    """Returns the running totals of the items that no hint excludes."""

    def total(values: Iterable[int]) -> list[int]:
        pairs = zip(values, reasons, strict=True)
        return [0, *accumulate(0 if why else value for value, why in pairs)]

    return Sums(
        total(running(item) for item in items),
        total(len(item.text) for item in items),
        total(item.linked for item in items),
        total(item.links for item in items),
        total(isinstance(item.media, Image) and not item.links for item in items),
        total(bool(item.links) and (item.role == "heading" or bool(item.media)) for item in items),
        total(0 if item.role in _LABELS else len(item.text) for item in items),
    )


def running(item: Item) -> int:
    """Returns the weight of an item as running text, 0 if it is none."""
    if item.role in _LABELS or item.linked > MAX_LINKED * len(item.text):
        return 0
    return min(item.weight, MAX_RUN) if item.weight >= MIN_RUN else 0


def verdicts(walk: Walk) -> list[str]:
    """Returns for each item "" if it is main content, else the reason why not."""
    if not walk.items:
        return []
    free = [""] * len(walk.items)
    plain = sums(walk.items, free)
    reasons = _inherited(walk, plain, RELIEF)
    total = sums(walk.items, reasons)
    if total.good[-1] < 0.1 * plain.good[-1]:
        reasons, total = free, plain
    if total.good[-1] < min(MIN_GOOD, DENSE * total.chars[-1]):
        return _listing(walk, total, reasons)
    root, leads = _ascend(walk.boxes, total, _descend(walk.boxes, total, total.good))
    verdict = _prune(walk, total, root, reasons)
    _add_leads(walk, leads, reasons, verdict)
    _trim(walk.items, verdict)
    return verdict


def _inherited(walk: Walk, plain: Sums, relief: float) -> list[str]:
    """Returns each item's hint: the outermost one of the boxes around it that is not overruled."""
    enough = max(1.0, relief * plain.good[-1])
    flow = _flow(walk, plain)
    why: list[str] = []
    for box in walk.boxes:
        above = why[box.parent] if box.parent >= 0 else ""
        own = box.hint
        if own and own != "comments" and plain.of(plain.good, box) >= enough:
            own = ""
        if own in _WEAK and box.tag != own and _is_note(box, plain, flow):
            own = ""
        why.append(above or own)
    return [why[item.box] for item in walk.items]


_WEAK = frozenset(("aside", "ads", "nav", "related"))


def _is_note(box: Box, plain: Sums, flow: Counter[int]) -> bool:
    """Tells whether a box named as an aside is text in a flow of paragraphs: a note of a manual."""
    good, chars = plain.of(plain.good, box), plain.of(plain.chars, box)
    paragraphs = 1 if plain.of(plain.links, box) == 0 else 2
    linked = plain.of(plain.linked, box)
    return flow[box.parent] >= paragraphs and good >= MIN_NOTE and linked <= 0.1 * chars


def _flow(walk: Walk, plain: Sums) -> Counter[int]:
    """Returns for each box how many of its children are paragraphs of running text."""
    boxes = walk.boxes
    return Counter(b.parent for b in boxes if not b.children and plain.of(plain.good, b) > 0)


def _listing(walk: Walk, total: Sums, reasons: list[str]) -> list[str]:
    """Returns the verdicts of a page without running text: all but boilerplate."""
    top = walk.boxes[_descend(walk.boxes, total, total.chars)]
    inside = range(top.start, top.end)
    reasons = ["" if why == "toc" else why for why in reasons]
    return [reasons[i] if i in inside else "outside" for i in range(len(walk.items))]


def _descend(boxes: list[Box], total: Sums, weights: list[int]) -> int:
    """Returns the innermost box that holds most of the weight of each box around it."""
    current = 0
    while True:
        weight = total.of(weights, boxes[current])
        children = boxes[current].children
        best = max(children, key=lambda c: total.of(weights, boxes[c]), default=-1)
        if best < 0 or weight == 0 or total.of(weights, boxes[best]) < DESCEND * weight:
            return current
        if boxes[best].tag in (
            "p",
            "li",
            "td",
            "pre",
            "table",
            "blockquote",
            "ul",
            "ol",
            "tr",
            "tbody",
        ):
            return current
        current = best


def _ascend(boxes: list[Box], total: Sums, root: int) -> tuple[int, list[int]]:
    """Returns the content's box, grown while what is around reads like it, and the lead's boxes."""
    leads: list[int] = []
    path = boxes[root].parent
    child = root
    while path >= 0:
        grows = child == root and not _is_whole(boxes[child], boxes[path])
        dense = DENSE_PAGE if boxes[path].tag == "body" else DENSE
        if grows and _is_coherent(boxes[path], boxes[child], total, dense):
            root, leads = path, []
        else:
            before = [c for c in boxes[path].children if boxes[c].end <= boxes[child].start]
            leads += [c for c in before if _is_lead(boxes[c], boxes[root], total)]
        if boxes[path].tag in ("main", "body"):
            break
        child, path = path, boxes[path].parent
    return root, leads


def _is_whole(box: Box, parent: Box) -> bool:
    """Tells whether a box is the content by its own word, or the page's body begins above it."""
    if (
        box.tag == "main"
        or box.element.get("role") == "main"
        or box.element.get("itemprop") == "articleBody"
    ):
        return True
    return parent.tag == "html" or (box.tag == "article" and parent.tag != "article")


def _is_coherent(box: Box, inner: Box, total: Sums, dense: float) -> bool:
    """Tells whether what a box adds to one of its children is running text too, or nothing."""
    good, chars, linked, images = (
        total.of(totals, box) - total.of(totals, inner)
        for totals in (total.good, total.plain, total.linked, total.images)
    )
    if not chars and not images:
        return not linked
    return good >= dense * chars and linked <= MAX_AROUND * chars


def _is_lead(box: Box, root: Box, total: Sums) -> bool:
    """Tells whether a box shortly before the content is its lead picture or summary."""
    if root.start - box.end > MAX_LEAD or box.end - box.start > MAX_LEAD:
        return False
    chars, linked = total.of(total.chars, box), total.of(total.linked, box)
    shows = total.of(total.images, box) > 0 or total.of(total.good, box) >= MIN_SENTENCE
    return shows and linked <= 0.4 * chars


def _prune(walk: Walk, total: Sums, root: int, reasons: list[str]) -> list[str]:
    """Returns the verdicts inside the content's box; everything around it is "outside"."""
    verdict = ["outside"] * len(walk.items)
    why = {root: ""}
    for index in range(root + 1, len(walk.boxes)):
        box = walk.boxes[index]
        if box.parent in why:
            why[index] = why[box.parent] or _structure(box, walk.boxes[root], total)
    top = walk.boxes[root]
    for i in range(top.start, top.end):
        verdict[i] = reasons[i] or why.get(walk.items[i].box, "")
    return verdict


def _add_leads(walk: Walk, leads: list[int], reasons: list[str], verdict: list[str]) -> None:
    """Takes in pictures and summary before the content; the headline is the document's title."""
    for lead in leads:
        for i in range(walk.boxes[lead].start, walk.boxes[lead].end):
            item = walk.items[i]
            summary = running(item) >= MIN_SENTENCE and not item.links and is_sentence(item)
            picture = item.media is not None and not item.links
            if summary or picture or item.role == "caption":
                verdict[i] = (
                    "logo" if item.media and "logo" in item.media.url.lower() else reasons[i]
                )


_BODY = frozenset(("paragraph", "list_item", "quote"))


def _trim(items: list[Item], verdict: list[str]) -> None:
    """Drops what stands before the first paragraph and after the last: author, date, counts."""
    kept = [i for i, why in enumerate(verdict) if not why]
    for order, roles in ((kept, _BODY), (kept[::-1], _BODY - {"list_item"})):
        for i in order:
            if items[i].role in _BODY - roles:
                break
            if items[i].role in roles and items[i].text:
                if is_sentence(items[i]):
                    break
                verdict[i] = "byline"
            elif _is_bare_link(items[i]):
                verdict[i] = "links"


def _is_bare_link(item: Item) -> bool:
    """Tells whether an item is a picture that is a link and has no caption: a logo, a badge."""
    return item.media is not None and item.links > 0 and not item.media.caption


def is_sentence(item: Item) -> bool:
    """Tells whether a text is long or ends like a sentence."""
    return item.weight >= MIN_SENTENCE or (
        item.weight >= MIN_RUN and item.text[-1] in '.!?:;。！？।؟…”»")'
    )


def _structure(box: Box, root: Box, total: Sums) -> str:
    """Returns why a box in the content is none by its structure: links, or another page's teaser."""
    links, good = total.of(total.links, box), total.of(total.good, box)
    if not links or good > MAX_TEASER:
        return ""
    if links >= 2 and total.of(total.linked, box) >= MAX_LINKS * total.of(total.chars, box):
        return "links"
    small = box.end - box.start <= MAX_LEAD and good < 0.2 * total.of(total.good, root)
    if small and box.tag != "figure" and total.of(total.teasers, box) >= 2:
        return "teaser"
    return ""
