"""Binds captions to the pictures they describe, and merges a picture with its noscript twin.

A caption belongs to the pictures of the smallest box around it that holds any; what is called a
caption and has no picture near is none. A short text alone with one picture in a box that is named
after pictures is its caption, whatever its own name.
"""

from dataclasses import replace

from lxml import etree

from m3w_builder import text
from m3w_builder.images import same_picture
from m3w_builder.interleave.blocks import Item, Walk
from m3w_builder.interleave.hints import BIT
from m3w_builder.types import Image

MAX_CLIMB = 4  # boxes between a caption and the box it shares with its picture
MAX_ITEMS = 12  # a box with more items is no figure
MAX_CAPTION = 1_000  # characters: a longer text beside a picture is no caption
MAX_NEIGHBOUR = 300  # the same for one that is not called a caption
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
    for box in walk.boxes:
        size = box.end - box.start
        if not (2 <= size <= 3 and box.own & _FRAME and box.tag != "a"):
            continue
        inside = walk.items[box.start : box.end]
        texts = [item for item in inside if item.text]
        if len(texts) not in (1, size - 1) or len(texts) == size:
            continue
        for item in texts:
            if len(item.text) <= MAX_NEIGHBOUR and not item.links and item.role == "paragraph":
                item.role = "caption"


def _pictures(walk: Walk, caption: int) -> list[int]:
    """Returns the pictures that share the smallest box with a caption."""
    index = walk.items[caption].box
    for _ in range(MAX_CLIMB):
        box = walk.boxes[index]
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
    for item in walk.items:
        if item.media is None:
            continue
        keys = " ".join(item.element.get(name) or "" for name in _REFERENCES).split()
        for key in keys[:4]:
            found: list[etree._Element] = _by_id(root, key=key)  # type: ignore[assignment]
            words = text.inline(found[0]) if found else ""
            if words and len(words) <= MAX_CAPTION and words != getattr(item.media, "alt", ""):
                _describe(item, words)


_by_id = etree.XPath("//*[@id=$key]")


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
            if not same_picture(other.media.url, twin.url):
                other.media = replace(other.media, url=twin.url, alt=other.media.alt or twin.alt)
            walk.items[index].media = other.media  # the repetition is dropped with all others
            return
