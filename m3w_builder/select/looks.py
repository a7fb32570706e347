"""Which images look the same: the group of an image is the smallest hash of those it is joined with."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from m3w_builder.near import hamming
from m3w_builder.select.outcomes import Reference
from m3w_builder.select.references import short
from m3w_builder.tables import Row

Item = tuple[
    str, Row | Reference
]  # ("image URL", media row), or ("", reference of an earlier pair)


def is_image(item: Item) -> bool:
    """Tells whether an item has an image to look at."""
    key, row = item
    if key:
        return bool(row["kind"] == "image" and row["status"] == "ok")
    return bool(row["kind"] == "image_text")


def _image(item: Item) -> Row:
    key, row = item
    image: Row = row if key else row["media"][0]
    return image


def pack(item: Item) -> NDArray[np.void]:
    """Returns under which keys an image may meet those that look like it."""
    image = _image(item)
    if not image["phash_firm"]:
        return np.empty(0, hamming.IMAGE)
    quality = image["scores"].get("pdq_quality", 0.0)
    return hamming.image_entries(image["sha256"], image["phash_firm"], quality)


def by_bytes_alone(_item: Item) -> NDArray[np.void]:
    """Returns no key: images of other bytes never meet (dedup.image_distance = 0)."""
    return np.empty(0, hamming.IMAGE)


def by_bytes(item: Item) -> tuple[int, Item]:
    """Returns (first 64 bits of the image's sha256, item)."""
    return short(_image(item)["sha256"]), item


def with_group(sha: int, labels: Iterable[int], items: Iterable[Item]) -> Iterator[Item]:
    """Yields the items of equal bytes with the group of their image."""
    group = min(labels, default=sha)
    for key, row in items:
        if key:
            yield key, {**row, "group": group}
        else:
            yield key, {**row, "media": [{**row["media"][0], "group": group}]}
