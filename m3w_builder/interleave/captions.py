"""Binds captions to the pictures they describe, and merges a picture with its noscript twin.

A caption belongs to the pictures of the smallest box around it that holds any, one in a <dd> to
those of the <dt> before it; what is called a caption and has no picture near is none. A short text
alone with one picture in a box that is named after pictures, in an item of a gallery or in a <dd>
after it is its caption, whatever its own name.
"""

from dataclasses import replace
from itertools import islice

from lxml import etree

from m3w_builder import text
from m3w_builder.images import same_picture
from m3w_builder.interleave.blocks import Box, Item, Walk
from m3w_builder.interleave.hints import BIT
from m3w_builder.types import Image

MAX_CLIMB = 4  # boxes between a caption and the box it shares with its picture
MAX_ITEMS = 12  # a box with more items is no figure
MAX_CAPTION = 1_000  # characters: a longer text beside a picture is no caption
MAX_NEIGHBOUR = 300  # the same for one that is not called a caption
MAX_REFERENCES = 4  # ids of what describes one picture
MAX_ELEMENTS = 100  # in what an id names: more are no caption, and not read for each picture
_FRAME = BIT["media"] | BIT["figure"] | BIT["caption"]
_REFERENCES = ("aria-labelledby", "aria-describedby")


def bind(walk: Walk, root: etree._Element) -> None:
    """Sets the caption of each picture that has one; merges pictures and their noscript twins."""
    _find_neighbours(walk)
    for i, item in enumerate(walk.items):
        if item.role == "caption" and item.text:
            pictures = _pictures(walk, i) if len(item.text) <= MAX_CAPTION else []
            for picture in pictures:
                _describe(walk.items[picture], item.text)
            if pictures:
                walk.captions[i] = pictures[0]
            if not pictures and walk.boxes[item.box].tag not in ("figcaption", "caption"):
                item.role = "paragraph"
    _follow_references(walk, root)
    _merge_twins(walk)


def _find_neighbours(walk: Walk) -> None:
    """Makes captions of the short texts that share a frame with one picture and nothing else."""
    for index, box in enumerate(walk.boxes):
        size = box.end - box.start
        if box.tag == "dd":
            if size == 1 and _of_term(walk, index):
                _call_caption(walk.items[box.start])
            continue
        if not (2 <= size <= 3 and _is_frame(walk, box)):
            continue
        inside = walk.items[box.start : box.end]
        texts = [item for item in inside if item.text]
        if len(texts) not in (1, size - 1) or len(texts) == size:
            continue
        for item in texts:
            _call_caption(item)


def _is_frame(walk: Walk, box: Box) -> bool:
    """Tells whether a box is named after pictures or is one place of a gallery."""
    if box.tag == "a":
        return False
    if box.own & _FRAME or box.figure:
        return True
    return box.tag == "li" and "galler" in (walk.boxes[box.parent].element.get("class") or "")


def _call_caption(item: Item) -> None:
    """Makes a caption of a short text that has no role of its own and is not mostly a link."""
    linked = 2 * item.linked > len(item.text)
    if item.role in ("paragraph", "list_item") and len(item.text) <= MAX_NEIGHBOUR and not linked:
        item.role = "caption"


def _of_term(walk: Walk, index: int) -> list[int]:
    """Returns the pictures of the <dt> before a <dd>, if there is nothing else in it."""
    box = walk.boxes[index]
    if not box.start or walk.items[box.start - 1].media is None:
        return []
    term = walk.items[box.start - 1].box
    while term >= 0 and walk.boxes[term].parent != box.parent:
        term = walk.boxes[term].parent
    if term < 0 or walk.boxes[term].tag != "dt":
        return []
    found = range(walk.boxes[term].start, box.start)
    return [*found] if all(walk.items[i].media is not None for i in found) else []


def _pictures(walk: Walk, caption: int) -> list[int]:
    """Returns the pictures that share the smallest box with a caption."""
    index = walk.items[caption].box
    for _ in range(MAX_CLIMB):
        box = walk.boxes[index]
        if box.tag == "dd" and (found := _of_term(walk, index)):
            return found
        if box.end - box.start > MAX_ITEMS:
            return []
        found = [i for i in range(box.start, box.end) if walk.items[i].media is not None]
        if found:
            return found
        index = box.parent
        if index < 0:
            return []
    return []


def _describe(item: Item, caption: str) -> None:
    assert item.media is not None
    known = item.media.caption
    if caption not in known:
        item.media = replace(item.media, caption=f"{known}\n{caption}" if known else caption)


def _follow_references(walk: Walk, root: etree._Element) -> None:
    """Takes what aria-labelledby and aria-describedby point at (WAI-ARIA 1.2, 6.5) for a caption."""
    named = [(item, key) for item in walk.items if item.media for key in _keys(item.element)]
    said = _texts_of(root, {key for _, key in named}) if named else {}
    for item, key in named:
        words = said.get(key, "")
        if words and words != getattr(item.media, "alt", ""):
            _describe(item, words)


def _keys(element: etree._Element) -> list[str]:
    """Returns the ids of what describes an element."""
    return " ".join(element.get(name) or "" for name in _REFERENCES).split()[:MAX_REFERENCES]


def _texts_of(root: etree._Element, keys: set[str]) -> dict[str, str]:
    """Returns the text of the first element with each id, if it may be a caption."""
    found: dict[str, str] = {}
    for element in root.iter():
        key = element.get("id")
        if key in keys and key not in found:
            words = text.inline(element) if _is_small(element) else ""
            found[key] = words if len(words) <= MAX_CAPTION else ""
    return found


def _is_small(element: etree._Element) -> bool:
    return sum(1 for _ in islice(element.iter(), MAX_ELEMENTS + 1)) <= MAX_ELEMENTS


def _merge_twins(walk: Walk) -> None:
    """Takes a lazily loaded picture's address from the noscript element beside it."""
    for box in walk.boxes:
        if box.tag == "noscript" and box.end > box.start:
            for i in range(box.start, box.end):
                _merge_twin(walk, i, box.parent)


def _merge_twin(walk: Walk, index: int, parent: int) -> None:
    twin = walk.items[index].media
    if not isinstance(twin, Image):
        return
    for near in (index - 1, index + 1):
        if not 0 <= near < len(walk.items):
            continue
        other = walk.items[near]
        if other.box == parent and isinstance(other.media, Image):
            known = other.media
            url = known.url if same_picture(known.url, twin.url) else twin.url
            alt, title = known.alt or twin.alt, known.title or twin.title
            other.media = replace(known, url=url, alt=alt, title=title)
            walk.items[index].media = other.media  # the repetition is dropped with all others
            return
