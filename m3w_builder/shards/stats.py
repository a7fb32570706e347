"""Distributions over a dataset, from the JSON of its samples; media are not read.

Everything is counted in fixed buckets, and only the most frequent domains: a billion samples need
little more memory than ten.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from m3w_builder.samples import Record, word_count

# Lower bounds of the buckets; the last one is open.
EDGES: dict[str, tuple[int, ...]] = {
    "words per page": (0, 50, 100, 200, 500, 1000, 2000, 5000, 10000),
    "images per page": (0, 1, 2, 3, 4, 5, 6, 11, 21, 51),
    "words per image text": (0, 3, 5, 8, 12, 16, 21, 51),
    "shorter side of an image (px)": (0, 64, 128, 256, 512, 1024, 2048),
    "seconds per video": (0, 5, 15, 30, 60, 120, 300, 900),
    "words per video text": (0, 2, 5, 10, 20, 50, 100, 500),
}
KEPT = 100_000  # domains that are counted exactly
DOMAINS = 20  # that are shown


class Top:
    """The most frequent of very many names: exact while there are no more than KEPT, then nearly so."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """Counts a name; now and then the rarest are forgotten."""
        self.counts[name] += 1
        if len(self.counts) > 2 * KEPT:
            self.counts = Counter(dict(self.most(KEPT)))

    def most(self, number: int) -> list[tuple[str, int]]:
        """Returns the most frequent names with their counts, ties in the order of the names."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))[:number]


def domain(url: str) -> str:
    """Returns the host of a URL without "www.", the URL itself where it has none."""
    _scheme, found, rest = url.partition("://")
    return rest.partition("/")[0].removeprefix("www.") if found else url


class Stats:
    """Counts and histograms, filled sample by sample."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.domains = Top()
        self.counts: dict[str, Counter[str]] = {
            name: Counter() for name in ("kinds", "languages", "roles", "formats", "origins")
        }
        self.buckets = {name: [0] * len(edges) for name, edges in EDGES.items()}
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Counts one sample."""
        self.counts["kinds"][record["kind"]] += 1
        self.domains.add(domain(record["url"]))
        self.counts["languages"][record["language"] or "unknown"] += 1
        words = word_count(record)
        if record["kind"] == "interleaved":
            self._put("words per page", words)
            self._put("images per page", sum(image is not None for image in record["images"]))
        else:
            self._put(f"words per {record['kind'].replace('_', ' ')}", words)
        for info in record["info"]:
            self._node(info)

    def _node(self, info: Record) -> None:
        if info["type"] == "text":
            self.counts["roles"][info["role"]] += 1
        elif info["type"] == "image":
            self.counts["formats"][info["format"]] += 1
            self.counts["origins"][info["origin"]] += 1
            self._put("shorter side of an image (px)", min(info["width"], info["height"]))
        else:
            self._put("seconds per video", info["seconds"])

    def _put(self, name: str, value: float) -> None:
        self.buckets[name][bisect_right(EDGES[name], value) - 1] += 1

    def histograms(self) -> dict[str, list[tuple[str, int]]]:
        """Returns per measure its buckets as (label, count), without measures nobody took."""
        return {
            name: _trimmed(list(zip(_labels(EDGES[name]), counts, strict=True)))
            for name, counts in self.buckets.items()
            if any(counts)
        }

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as JSON values, most frequent first."""
        counts = {name: dict(found.most_common()) for name, found in self.counts.items()}
        counts["domains"] = dict(self.domains.most(DOMAINS))
        return {**counts, "histograms": {k: dict(v) for k, v in self.histograms().items()}}


def _trimmed(buckets: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Returns the buckets from the first to the last that is not empty."""
    filled = [place for place, (_, count) in enumerate(buckets) if count]
    return buckets[filled[0] : filled[-1] + 1]


def _labels(edges: tuple[int, ...]) -> list[str]:
    inner = [
        f"{low:,}" if high == low + 1 else f"{low:,}–{high - 1:,}" for low, high in pairwise(edges)
    ]
    return [*inner, f"{edges[-1]:,}+"]
