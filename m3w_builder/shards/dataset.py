"""A dataset: shards, and a manifest that names them and is written last.

The manifest depends on the documents and the configuration alone: no times, hosts or absolute
paths, nor the way the input was split. A folder without it is a build that has not ended.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from m3w_builder.errors import InputError, ShardError
from m3w_builder.files import write_text
from m3w_builder.samples import Parts, Record, canonical_json
from m3w_builder.shards.card import card, croissant
from m3w_builder.shards.index import open_index
from m3w_builder.shards.tally import Row
from m3w_builder.shards.tar import describe
from m3w_builder.shards.valid import problems

MANIFEST = "manifest.jsonl"
WATERFALL = "waterfall.json"
CROISSANT = "croissant.json"
OWNER = ".m3w-build"  # names the write stage whose shards a folder holds
PENDING = ".m3w-rewrite"  # a folder: what is to replace shards; the change may have begun
NO_OPTOUTS: Record = {"ignored": [], "found": {}}


@dataclass(frozen=True)
class Dataset:
    """Shards to look at, with their manifest rows: a finished folder, or tars on their own."""

    shards: tuple[tuple[Path, Row], ...]

    @property
    def rows(self) -> list[Row]:
        return [row for _, row in self.shards]

    def records(self) -> Iterator[Record]:
        """Yields the JSON of every sample; media are not read."""
        for path, _ in self.shards:
            with open_index(path) as index:
                yield from map(index.record, index)

    def find(self, key: str) -> tuple[Record, Parts]:
        """Returns the sample of a key; raises InputError when there is none."""
        for path, row in self.shards:
            if row["first"] <= key <= row["last"]:
                with open_index(path) as index:
                    if key in index:
                        return index.record(key), index.parts(key)
        raise InputError(f"expected the key of a sample, found {key!r}; m3w show --index N counts")

    def at(self, number: int) -> tuple[Record, Parts]:
        """Returns sample `number`, counted from 0 over all shards; InputError beyond the last."""
        left = number
        for path, row in self.shards:
            if 0 <= left < row["documents"]:
                with open_index(path) as index:
                    key = list(index)[left]
                    return index.record(key), index.parts(key)
            left -= row["documents"]
        count = sum(row["documents"] for row in self.rows)
        if not count:
            raise InputError("expected a dataset with samples, found one without any")
        raise InputError(f"expected an index below {count}, the number of samples, found {number}")


def open_dataset(*paths: Path) -> Dataset:
    """Returns the shards of folders with a manifest and of tars on their own."""
    return Dataset(tuple(shard for path in paths for shard in _shards(path)))


def _shards(path: Path) -> list[tuple[Path, Row]]:
    if path.is_dir():
        return [(path / row["path"], row) for row in read_manifest(path)]
    if not path.exists():
        raise InputError(f"{path}: expected a dataset folder or a tar, found nothing")
    return [(path, describe(path))]


def finish(
    folder: Path,
    rows: Iterable[Row],
    *,
    title: str,
    config: str,
    version: str,
    optouts: Record | None = None,
    waterfall: Record | None = None,
) -> None:
    """Writes index, card and Croissant description of finished shards and, last, the manifest.

    `optouts` is what `m3w_builder.optouts.summary` gives: the ignored signals, and those found. The card
    tells what `waterfall` knows to have been taken out of the shards after the build.
    """
    optouts = optouts or NO_OPTOUTS
    ordered = sorted(rows, key=lambda row: row["path"])
    write_text(folder / "index.json", canonical_json(shard_index(ordered)) + "\n")
    write_text(folder / "README.md", card(ordered, title, config, version, optouts, waterfall))
    write_text(folder / CROISSANT, croissant(ordered, title))
    write_manifest(folder, ordered, config, version, optouts)


def write_manifest(
    folder: Path,
    rows: Iterable[Row],
    config: str,
    version: str,
    optouts: Record = NO_OPTOUTS,
) -> None:
    """Writes one line per shard with the configuration's digest, the code version and the opt-outs.

    A row that has its own keeps them.
    """
    said = {"config": config, "version": version, "optouts": optouts}
    ordered = sorted(rows, key=lambda row: row["path"])
    lines = [canonical_json({**said, **row}) + "\n" for row in ordered]
    write_text(folder / MANIFEST, "".join(lines))


def read_manifest(folder: Path) -> list[Row]:
    """Returns a manifest's rows; raises InputError without one, ShardError when it is damaged."""
    path = folder / MANIFEST
    try:
        rows: list[Row] = [
            json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line
        ]
    except FileNotFoundError as error:
        begun = (folder / PENDING).is_dir()
        raise InputError(
            f"{folder}: expected a finished dataset, found no {MANIFEST} (written last)"
            + ("; samples were being removed: run that command again to end it" if begun else "")
        ) from error
    except ValueError as error:
        raise ShardError(f"{path}: expected a JSON object per line: {error}") from error
    for number, row in enumerate(rows, 1):
        for problem in problems("manifest_row", row):
            raise ShardError(f"{path}: line {number}: {problem}")
    return rows


def shard_index(rows: Iterable[Row]) -> Record:
    """Returns the shard list that wids and loaders like it read (wids-shard-index-v1)."""
    shards = [
        {
            "url": row["path"],
            "nsamples": row["documents"],
            "filesize": row["bytes"],
            "sha256": row["sha256"],
            "kind": row["kind"],
            "nimages": row["images"],
            "nframes": row["frames"],
        }
        for row in rows
    ]
    return {"__kind__": "wids-shard-index-v1", "wids_version": 1, "shardlist": shards}


def read_waterfall(folder: Path) -> Record | None:
    """Returns the yield waterfall of a build, None where there is none (a tar on its own)."""
    found = _json(folder / WATERFALL)
    if found is not None and not isinstance(found.get("sections"), list):
        raise ShardError(f'{folder / WATERFALL}: expected a list of "sections"')
    return found


def dataset_title(folder: Path) -> str:
    """Returns the title that its Croissant description gives, the folder's name without one."""
    return str((_json(folder / CROISSANT) or {}).get("name") or folder.resolve().name)


def _json(path: Path) -> Record | None:
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ShardError(f"{path}: expected JSON: {error}") from error
    if not isinstance(found, dict):
        raise ShardError(f"{path}: expected a JSON object")
    return found
