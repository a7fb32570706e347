"""The write stage's unit of work: one shard, from range reads of documents and packs, in id order.

Shard k of n holds the ids in [k/n, (k+1)/n) of the id space: ids are hashes, so shards are of nearly equal size,
the order in a shard is a shuffle, and no shard needs to know of another.
"""

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from m3w_builder.config import PrivacyConfig
from m3w_builder.files import write_text
from m3w_builder.packs import read_range
from m3w_builder.privacy import Mask
from m3w_builder.samples import Caption, Part, Sample, hidden, sample
from m3w_builder.shards import COUNTS, MANIFEST, PENDING, write_shard
from m3w_builder.stages import Counts, Stage
from m3w_builder.tables import ROWS_PER_GROUP, Row, document, media
from m3w_builder.types import ID_HEX, KINDS, Document, Kind, Media

DESCRIPTIONS = (  # what lies beside the shards
    *(MANIFEST, "index.json", "README.md", "croissant.json", "waterfall.json", "report.html"),
    *("config.json", "scores.json", "examples.json", "rejects", "noted", PENDING),
)


@dataclass(frozen=True)
class ShardPlan:
    """Shard `index` of the `count` shards of one kind."""

    kind: Kind
    index: int
    count: int

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.index:06d}"

    def holds(self, key: str) -> bool:
        """Says whether a document id falls into this shard."""
        return int(key, 16) * self.count >> (4 * ID_HEX) == self.index


def plan_shards(selected: Counts, shard_bytes: int) -> list[ShardPlan]:
    """Returns the shards for what was selected: as many per kind as its bytes ask for."""
    plans = []
    for kind in KINDS:
        if selected.get(kind, 0):
            count = max(1, -(-selected[f"{kind}.bytes"] // shard_bytes))
            plans += [ShardPlan(kind, index, count) for index in range(count)]
    return plans


def write_unit(
    plan: ShardPlan, select: Stage, folder: Path, output: Path, privacy: PrivacyConfig
) -> Counts:
    """Writes one shard to `output` and its manifest row to `folder`; returns its counts.

    Personal data are masked here, and only here: "privacy.email" and so on count what was masked.
    """
    rows = [row for file in select.files("selected") for row in _rows_of(plan, file)]
    documents = dict(documents_at(rows, select.parent("extract").folder / "documents"))
    packs = select.parent("fetch").folder / "packs"

    def read(part: Part | Media) -> bytes:
        return read_range(packs / part.pack, part.offset, part.length)

    mask = Mask(privacy)
    samples = (_sample(row, documents[row["id"]], read) for row in rows)
    row = write_shard(
        output / f"{plan.name}.tar",
        (replace(found, record=hidden(found.record, mask)) for found in samples),
        read,
    )
    write_text(_row_file(folder, plan), json.dumps(row))
    return {**{f"{plan.kind}.{key}": row[key] for key in COUNTS if row}, **mask.counts}


def is_written(plan: ShardPlan, folder: Path, output: Path) -> bool:
    """Says whether the shard that a manifest row in `folder` speaks of is there (none, for no samples)."""
    file = _row_file(folder, plan)
    if not file.is_file():
        return False
    return json.loads(file.read_text()) is None or (output / f"{plan.name}.tar").is_file()


def manifest_rows(folder: Path, plans: Iterable[ShardPlan]) -> list[Row]:
    """Returns the manifest rows of the written shards, in plan order."""
    rows = (json.loads(_row_file(folder, plan).read_text()) for plan in plans)
    return [row for row in rows if row is not None]


def _row_file(folder: Path, plan: ShardPlan) -> Path:
    return folder / "manifest" / f"{plan.name}.json"


def _rows_of(plan: ShardPlan, file: Path) -> Iterator[Row]:
    """Yields the selected rows of a shard, decoding only the row groups that have any."""
    with pq.ParquetFile(file) as table:
        for group in range(table.num_row_groups):
            keys = table.read_row_group(group, columns=["kind", "id"]).to_pylist()
            mine = [n for n, k in enumerate(keys) if k["kind"] == plan.kind and plan.holds(k["id"])]
            if mine:
                yield from table.read_row_group(group).take(mine).to_pylist()


def documents_at(rows: Sequence[Row], folder: Path) -> Iterator[tuple[str, Document]]:
    """Yields (id, document) of the rows (id, file, row), reading each row group of each file once."""
    wanted: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        wanted[row["file"], row["row"] // ROWS_PER_GROUP].append(row)
    by_file: dict[str, list[int]] = defaultdict(list)
    for file, group in sorted(wanted):
        by_file[file].append(group)
    for file, groups in by_file.items():
        with pq.ParquetFile(folder / file) as table:
            for group in groups:
                found = table.read_row_group(group)
                for row in wanted[file, group]:
                    yield (
                        row["id"],
                        document(found.slice(row["row"] % ROWS_PER_GROUP, 1).to_pylist()[0]),
                    )


def _sample(row: Row, found: Document, read: Callable[[Media], bytes]) -> Sample:
    """Returns the sample of the nodes that stay."""
    place = {node: index for index, node in enumerate(row["keep"])}
    kept = replace(found, nodes=tuple(found.nodes[node] for node in row["keep"]))
    rows = [(place[item["node"]], media(item)) for item in row["media"]]
    nodes = {index: item for index, item in rows if item.kind != "subtitles"}
    subtitles = {item.url: read(item) for _, item in rows if item.kind == "subtitles"}
    captions = [
        Caption(**{**item, "node": place[item["node"]]}) for item in row.get("captions") or ()
    ]
    return sample(kept, nodes, subtitles, captions)


def written(output: Path) -> list[Path]:
    """Returns what lies in a folder under the names that a build writes; the manifest first."""
    shards = (file for kind in KINDS for file in sorted(output.glob(f"{kind}-*.parquet")))
    named = [output / name for name in DESCRIPTIONS]
    return [path for path in (*named, *sorted(output.glob("*.tar")), *shards) if path.exists()]


def clear(output: Path) -> None:
    """Removes another build's shards and what describes them; the manifest first, so that none lies."""
    for path in written(output):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
