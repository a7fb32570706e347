"""Copies of one another: exact, near, and near together with the same pictures; which one stays.

What is compared is packed (`near.lsh.ENTRY`), what joins is a connected component, and the survivor is the least of a
component by a total order over values: no order of arrival, number of workers or of blocks changes it.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from m3w_builder.dedup import moment
from m3w_builder.near import lsh
from m3w_builder.select.frequency import key64
from m3w_builder.select.outcomes import Dropped, Reference, drop
from m3w_builder.select.references import short

NONE = np.array([], np.uint64)


class Copy(NamedTuple):
    """What decides between copies."""

    id: str
    kind: str
    url: str
    content: str  # equal for exact copies
    declared: str  # the page's address, by rel=canonical where it says so
    pixels: int  # of all images
    characters: int
    crawled: str  # ISO 8601, UTC; "" = unknown
    earlier: str = ""  # the finished dataset that has it

    def rank(self) -> tuple[bool, int, int, int, str]:
        """Returns the place in the order of survival.

        In an earlier dataset; largest images; longest text; newest; id.
        """
        return not self.earlier, -self.pixels, -self.characters, -moment(self.crawled), self.id


def copy_of(kept: Reference) -> tuple[int, Copy]:
    """Returns (first 64 bits of the id, what decides) of a document that is still in."""
    media = kept["media"]
    pixels = sum(row["width"] * row["height"] * max(1, len(row["frames"])) for row in media)
    who = (kept["id"], kept["kind"], kept["url"], _content(kept), kept["declared"])
    copy = Copy(*who, pixels, kept["characters"], kept["crawled"], kept.get("earlier", ""))
    return short(kept["id"]), copy


def _content(kept: Reference) -> str:
    """Returns what exact copies share: an interleaved document its text, a pair its media and text."""
    if kept["kind"] == "interleaved":
        return str(kept["text_sha256"] or kept["id"])
    return f"{kept['media'][0]['sha256']} {kept['text_sha256']}"


def entries(kept: Reference) -> lsh.Entries:
    """Returns under which keys a document may meet its copies."""
    groups = [row["group"] for row in kept["media"] if row["kind"] == "image"]
    if kept["kind"] == "interleaved":
        content = f"{key64('interleaved', _content(kept)):016x}"
        declared = f"{key64('declared', kept['declared']):016x}"
        # Of earlier datasets the looks of pictures are not known beside ours: their documents are texts.
        pictures = NONE if "earlier" in kept else np.array(sorted(set(groups)), np.uint64)
        of_text = lsh.entries(short(kept["id"]), content, kept["signature"], pictures)
        return np.concatenate([of_text, lsh.entries(short(kept["id"]), declared, b"", NONE)])
    # The same picture in another size or format with the same text is the same pair.
    look = groups[0] if groups else kept["media"][0]["sha256"]
    content = f"{key64(kept['kind'], look, kept['text_sha256']):016x}"
    return lsh.entries(short(kept["id"]), content, b"", NONE)


def others_go(copies: Iterable[Copy]) -> Iterator[Dropped]:
    """Yields the drops of all copies of one component but the best; earlier datasets lose nothing."""
    ranked = sorted(copies, key=Copy.rank)
    best = ranked[0]
    where = f" in {best.earlier}" if best.earlier else ""
    for copy in ranked[1:]:
        if copy.earlier:
            continue
        reason, how = "near_duplicate", "much like"
        if copy.kind == "interleaved" and copy.declared == best.declared:
            reason, how = "duplicate_page", f"declares {copy.declared}, as does"
        elif copy.content == best.content:
            reason, how = "duplicate_content", "same as"
        detail = f"{how} {best.id} {best.url}{where}"
        yield drop({"id": copy.id, "kind": copy.kind, "url": copy.url}, reason, detail, veto=True)
