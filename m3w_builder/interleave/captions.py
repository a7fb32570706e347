"""Binds captions to the pictures they describe, and merges a picture with its noscript twin.

A caption belongs to the pictures of the smallest box around it that holds any.
"""

from dataclasses import replace

from m3w_builder.images import same_picture
from m3w_builder.interleave.blocks import Item, Walk
from m3w_builder.types import Image

MAX_CLIMB = 4  # boxes between a caption and the box it shares with its picture
MAX_ITEMS = 12  # a box with more items is no figure


def bind(walk: Walk) -> None:
    """Sets the caption of each picture that has one; merges pictures and their noscript twins."""
    for i, item in enumerate(walk.items):
        if item.role == "caption" and item.text:
            for picture in _pictures(walk, i):
                _describe(walk.items[picture], item.text)
    _merge_twins(walk)


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
