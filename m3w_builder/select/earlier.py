"""What finished datasets hold, as references that stand for themselves and are never written again."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from m3w_builder.dedup import page_key, text_key
from m3w_builder.errors import InputError
from m3w_builder.near.minhash import signature
from m3w_builder.samples import Record
from m3w_builder.select.outcomes import Reference
from m3w_builder.select.references import short
from m3w_builder.shards import MANIFEST, open_dataset, read_manifest
from m3w_builder.tables import Row
from m3w_builder.types import Text


def shards_of(folders: Sequence[str]) -> list[Path]:
    """Returns the shards of finished datasets; raises InputError for a folder that is none."""
    return [folder / row["path"] for folder, row in _rows(folders)]


def counts_of(folders: Sequence[str]) -> tuple[int, int]:
    """Returns how many samples and images these datasets have."""
    rows = [row for _, row in _rows(folders)]
    return sum(row["documents"] for row in rows), sum(row["images"] for row in rows)


def fingerprint(folders: Sequence[str]) -> list[str]:
    """Returns what changes when a shard of these datasets does."""
    return sorted(str(row["sha256"]) for _, row in _rows(folders))


def _rows(folders: Sequence[str]) -> Iterator[tuple[Path, Row]]:
    for folder in map(Path, folders):
        if not (folder / MANIFEST).is_file():
            raise InputError(
                f"{folder}: expected a finished dataset (dedup.against), found no {MANIFEST} in it"
            )
        yield from ((folder, row) for row in read_manifest(folder))


def earlier(shard: Path) -> Iterator[Reference]:
    """Yields a reference per sample of a shard, with what its copies are known by.

    Its texts are those that were written: what was masked or dropped then is near its page's text, not equal; a
    pair's text that was masked is not known again.
    """
    name = shard.resolve().parent.name
    for record in open_dataset(shard).records():
        nodes = zip(record["texts"], record["info"], strict=True)
        texts = [
            text
            for text, info in nodes
            if text is not None and info.get("origin") != "synthetic"  # the page did not say it
        ]
        yield {
            "earlier": name,
            **{key: record[key] for key in ("id", "kind", "url", "crawled")},
            "page": page_key(record["url"]),
            "declared": page_key(record["url"], record.get("canonical", "")),
            "text_sha256": text_key(map(Text, texts)),
            "signature": signature("\n".join(texts)) if record["kind"] == "interleaved" else b"",
            "characters": sum(map(len, texts)),
            "media": [_media(info) for info in record["info"] if info["type"] != "text"],
        }


def _media(info: Record) -> Row:
    return {
        **{key: info[key] for key in ("sha256", "width", "height")},
        "kind": info["type"],
        "phash_firm": info.get("phash_firm", ""),  # absent before it was written
        "scores": info.get("scores", {}),
        "frames": info.get("frames", ()),
        "group": short(info["sha256"]),
    }
