"""Counts of samples: what a manifest row says about a shard, and the sums over shards."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from m3w_builder.samples import Record, word_count
from m3w_builder.types import KINDS

MANIFEST_SCHEMA = "m3w-manifest/1"
KEY = re.compile(r"[0-9a-z_-]+")
COUNTS = ("documents", "texts", "words", "images", "videos", "frames")

Row = dict[str, Any]  # of the manifest


class Tally:
    """What a shard holds, counted sample by sample: the counts of a manifest row."""

    def __init__(self) -> None:
        self.kind = self.first = self.last = ""
        self.counts: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()
        self.licences: Counter[str] = Counter()

    def add(self, record: Record) -> None:
        """Counts one sample; raises ValueError for another kind or a key that does not follow."""
        key = record["id"]
        if not KEY.fullmatch(key):
            raise ValueError(f"key {key!r}: expected {KEY.pattern}, without a dot")
        if key <= self.last:
            raise ValueError(f"key {key}: follows {self.last}, expected ascending keys")
        if record["kind"] != (self.kind or record["kind"]):
            raise ValueError(f"key {key}: a {record['kind']} sample in a shard of {self.kind}")
        self.kind, self.first, self.last = record["kind"], self.first or key, key
        self.languages[record["language"]] += 1
        self.licences[record["licence"]] += 1
        self.counts["documents"] += 1
        self.counts["words"] += word_count(record)
        for name in ("texts", "images", "videos"):
            self.counts[name] += sum(entry is not None for entry in record[name])
        self.counts["frames"] += sum(len(frames) for frames in record["videos"] if frames)

    def row(self, path: str, size: int, digest: str) -> Row:
        """Returns the manifest row of a shard file of that name, size in bytes and sha256."""
        return {
            "schema": MANIFEST_SCHEMA,
            "path": path,
            "kind": self.kind,
            **{name: self.counts[name] for name in COUNTS},
            "languages": dict(sorted(self.languages.items())),
            "licences": dict(sorted(self.licences.items())),
            "first": self.first,
            "last": self.last,
            "bytes": size,
            "sha256": digest,
        }


def totals(rows: Iterable[Row]) -> dict[str, Counter[str]]:
    """Returns per kind the summed counts of its shards, with the number of `shards`."""
    found: dict[str, Counter[str]] = {}
    for row in sorted(rows, key=lambda row: KINDS.index(row["kind"])):
        total = found.setdefault(row["kind"], Counter())
        total["shards"] += 1
        for name in (*COUNTS, "bytes"):
            total[name] += row[name]
    return found
