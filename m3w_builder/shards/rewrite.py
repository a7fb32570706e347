"""Taking samples, or media of them, out of finished shards: takedown, and decontamination afterwards.

Only shards that lose something are written anew, under their old names, so that lists of them stay true; who
has an old file open keeps it. Everything new is made in a folder beside the shards first. From `PLAN` on the
change happens, whatever is killed: the manifest goes, the files move to their places, the new manifest comes
last. So a manifest never says what is not true, and `complete` is what another run begins with.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from functools import partial
from pathlib import Path

from m3w_builder.files import TEMPORARY, locked, writable, write_text
from m3w_builder.processes import spread
from m3w_builder.samples import Part, Record, Sample, media_members
from m3w_builder.shards.dataset import (
    MANIFEST,
    OWNER,
    PENDING,
    WATERFALL,
    dataset_title,
    finish,
    read_manifest,
    read_waterfall,
)
from m3w_builder.shards.index import ShardIndex, open_index
from m3w_builder.shards.tally import COUNTS, Row, Tally, totals
from m3w_builder.shards.tar import members_path, write_shard
from m3w_builder.tables import flat_row, write_table
from m3w_builder.types import Reject
from m3w_builder.waterfall import thinned

PLAN = "plan.json"  # names the files that go; written last of the new, it commits the change
LOCK = ".m3w-lock"  # which a build holds, too
STAGE = "remove"  # of the rejects
MARK = ", changed since"  # behind the owner's name: its build must not take the folder for its own
REPORT = "report.html"  # shows pictures of the samples
EMPTY = "no_image_left"  # select's reason for the same


@dataclass(frozen=True, slots=True)
class Removal:
    """Why a sample goes, or one of its media nodes, or one subtitle track of a video node.

    A pair without its medium is none: it goes as a whole, for that reason.
    """

    reason: str  # snake_case
    detail: str
    node: int | None = None  # index into the parallel lists of the sample
    track: int | None = None  # index into info[node]["subtitles"]


Judge = Callable[[Record], Sequence[Removal]]  # of a sample's JSON; several workers need it pickled


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What was taken out of a dataset, or would be."""

    shards: tuple[str, ...] = ()  # written anew
    gone: tuple[str, ...] = ()  # left without a sample, and deleted
    rejects: tuple[Reject, ...] = ()  # sorted
    lost: dict[str, dict[str, int]] = field(default_factory=dict)  # kind -> count -> how many fewer


@dataclass(frozen=True, slots=True)
class _Thinned:
    """A shard that loses something; `row` is its new manifest row, None where nothing is left."""

    old: Row
    row: Row | None
    drops: list[tuple[str, Reject]]  # with the section of the waterfall
    along: Counter[str]  # nodes that go with their document, by section


def rewrite(folder: Path, judge: Judge, *, workers: int = 1, dry_run: bool = False) -> Rewritten:
    """Takes out of a finished dataset what `judge` says; an interrupted earlier change is completed first.

    The manifest, index.json, card, Croissant description and waterfall.json follow, rejects/ gets a table
    more, report.html goes. With `dry_run` nothing is written. Raises InputError for a folder that is no finished
    dataset, ShardError for a damaged one, OutputError when a build runs there or the disk is full.
    """
    if dry_run:
        return _result(_thin(folder, judge, None, workers))
    with changing(folder):
        return thin_out(folder, judge, workers)


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Holds a dataset for a change of its shards; completes one that was interrupted before."""
    if not (folder / PENDING).is_dir():
        read_manifest(folder)  # no lock is left in a folder that is none of ours
    with locked(folder / LOCK), writable(folder):
        for left in folder.glob(
            f"{TEMPORARY}*"
        ):  # of a killed attempt; the stages below are not ours
            left.unlink(missing_ok=True)
        complete(folder)
        yield


def thin_out(folder: Path, judge: Judge, workers: int = 1) -> Rewritten:
    """Does what `rewrite` does, in a folder that `changing` holds."""
    rows, staging = read_manifest(folder), folder / PENDING
    try:
        found = _thin(folder, judge, staging, workers)
        if found:
            _stage(folder, staging, rows, found)
    finally:
        complete(folder)
    return _result(found)


def complete(folder: Path) -> None:
    """Ends a change that was committed before it was killed; forgets one that was not."""
    staging = folder / PENDING
    if (staging / PLAN).is_file() and (staging / MANIFEST).is_file():
        (folder / MANIFEST).unlink(missing_ok=True)
        for name in json.loads((staging / PLAN).read_text(encoding="utf-8")):
            (folder / name).unlink(missing_ok=True)
        files = sorted(path for path in staging.rglob("*") if path.is_file())
        for file in (path for path in files if path.name not in (PLAN, MANIFEST)):
            target = folder / file.relative_to(staging)
            target.parent.mkdir(exist_ok=True)
            os.replace(file, target)
        os.replace(staging / MANIFEST, folder / MANIFEST)
    if staging.exists():
        shutil.rmtree(staging)


def _thin(folder: Path, judge: Judge, staging: Path | None, workers: int) -> list[_Thinned]:
    """Returns the shards that lose something, written anew to `staging`, in manifest order."""
    unit = partial(_thin_shard, folder, judge, staging)
    found = spread(unit, read_manifest(folder), workers)
    return [one for one in found if one is not None]


def _thin_shard(folder: Path, judge: Judge, staging: Path | None, row: Row) -> _Thinned | None:
    drops: list[tuple[str, Reject]] = []
    along: Counter[str] = Counter()
    with open_index(folder / row["path"]) as index:
        verdicts = {key: said for key in index if (said := judge(index.record(key)))}
        if not verdicts:
            return None

        def left() -> Iterator[Sample]:
            for key in index:
                found = thin(index.record(key), verdicts.get(key, ()))
                drops.extend(found.drops)
                along.update(found.along)
                if found.record is not None:
                    yield _sample(index, found.record, found.names)

        def read(part: Part) -> bytes:
            return index.read(part.offset, part.length, f"{row['path']}: {part.name}")

        path = row["path"]
        new = write_shard(staging / path, left(), read) if staging else _tally(left())
    return _Thinned(row, new, drops, along)


def _tally(samples: Iterable[Sample]) -> Row | None:
    """Returns the counts that a shard of these samples would have."""
    tally = Tally()
    for sample in samples:
        tally.add(sample.record)
    return tally.row("", 0, "") if tally.kind else None


def _sample(index: ShardIndex, record: Record, names: Mapping[str, str]) -> Sample:
    """Returns a sample of the shard as it is to be written; `names` are the members' old ones."""
    stored = {member.part: member for member in index.members(record["id"])}
    parts = []
    for name, digest in media_members(record):
        member = stored[names[name]]
        parts.append(Part(name, index.path.name, member.offset, member.length, digest))
    return Sample(record, tuple(parts))


@dataclass(frozen=True, slots=True)
class Thin:
    """What removals make of one sample; `record` is None where it goes."""

    record: Record | None
    names: dict[str, str]  # of the media members that stay: new name -> old name
    drops: list[tuple[str, Reject]]  # section of the waterfall, reject
    along: Counter[str]  # nodes that go with their document, by section


def thin(record: Record, removals: Sequence[Removal]) -> Thin:
    """Applies the removals to a sample as `select` would: texts stay, numbers of media stay dense.

    A page without a medium left goes, too (`EMPTY`). Of two removals of one thing the first counts.
    """
    page = record["kind"] == "interleaved"
    media = {n: i["type"] + "s" for n, i in enumerate(record["info"]) if i["type"] != "text"}
    texts = ["texts"] * (len(record["info"]) - len(media))
    nodes: dict[int, Removal] = {}
    for removal in removals:
        if removal.node is not None and removal.track is None:
            nodes.setdefault(removal.node, removal)
    whole = next((r for r in removals if r.node is None), None)
    if not page:
        whole = whole or next(iter(nodes.values()), None)
    if whole is not None:
        gone = _reject(record, record["url"], whole.reason, whole.detail)
        section = "documents" if page else record["kind"]
        return Thin(None, {}, [(section, gone)], Counter([*texts, *media.values()] if page else ()))
    drops = [
        (media[n], _reject(record, record["info"][n]["url"], r.reason, r.detail))
        for n, r in sorted(nodes.items())
    ]
    if nodes and not media.keys() - nodes.keys():
        why = ", ".join(sorted({removal.reason for removal in nodes.values()}))
        drops.append(("documents", _reject(record, record["url"], EMPTY, why)))
        return Thin(None, {}, drops, Counter(texts))
    tracks = {(r.node, r.track): r for r in reversed(removals) if r.track is not None}
    for (node, track), removal in tracks.items():
        if node not in nodes:
            url = record["info"][node]["subtitles"][track]["url"]
            drops.append(("subtitles", _reject(record, url, removal.reason, removal.detail)))
    return Thin(*without(_silenced(record, tracks), nodes), drops, Counter())


def _reject(record: Record, url: str, reason: str, detail: str) -> Reject:
    return Reject(record["id"], url, STAGE, reason, detail)


def _silenced(record: Record, tracks: Collection[tuple[int | None, int | None]]) -> Record:
    """Returns a sample's JSON without some subtitle tracks, given as (node, track)."""
    if not tracks:
        return record
    info = [
        {**one, "subtitles": [s for t, s in enumerate(one["subtitles"]) if (n, t) not in tracks]}
        if one["type"] == "video"
        else one
        for n, one in enumerate(record["info"])
    ]
    return {**record, "info": info}


def without(record: Record, nodes: Collection[int]) -> tuple[Record, dict[str, str]]:
    """Returns a sample's JSON without some of its nodes, and the old names of its media members by the new."""
    lists = ("texts", "images", "videos", "info")
    kept = {name: [x for n, x in enumerate(record[name]) if n not in nodes] for name in lists}
    names: dict[str, str] = {}
    number = 0

    def renamed(old: str) -> str:
        new = old if record["kind"] != "interleaved" else f"{number:03}.{old.partition('.')[2]}"
        names[new] = old
        return new

    for n, info in enumerate(kept["info"]):
        if info["type"] == "image":
            kept["images"][n] = renamed(kept["images"][n])
        elif info["type"] == "video":
            kept["videos"][n] = [renamed(old) for old in kept["videos"][n]]
            frames = zip(info["frames"], kept["videos"][n], strict=True)
            kept["info"][n] = {**info, "frames": [{**f, "name": name} for f, name in frames]}
        number += info["type"] != "text"
    return {**record, **kept}, names


def _result(found: Sequence[_Thinned]) -> Rewritten:
    before = totals([one.old for one in found])
    after = totals([{**one.row, "bytes": 0} for one in found if one.row is not None])
    lost = {
        kind: {n: total[n] - left[n] for n in COUNTS if total[n] > left[n]}
        for kind, total in before.items()
        for left in [after.get(kind, Counter[str]())]
    }
    rejects = sorted((reject for one in found for _, reject in one.drops), key=astuple)
    written = tuple(one.old["path"] for one in found if one.row is not None)
    gone = tuple(one.old["path"] for one in found if one.row is None)
    return Rewritten(written, gone, tuple(rejects), lost)


def _stage(folder: Path, staging: Path, rows: Sequence[Row], found: Sequence[_Thinned]) -> None:
    """Writes what changes beside the shards to `staging`, and the plan last."""
    done = _result(found)
    new = {one.old["path"]: one for one in found}
    left = [row for row in rows if row["path"] not in new]
    said = {name: rows[0][name] for name in ("config", "version", "optouts")}
    for one in found:
        if one.row is not None:
            left.append({**one.row, **{name: one.old[name] for name in said}})
    flow = read_waterfall(folder)
    if flow is not None:
        drops = Counter((section, reject.reason) for one in found for section, reject in one.drops)
        along: Counter[str] = sum((one.along for one in found), Counter())
        flow = thinned(flow, STAGE, drops, along)
        write_text(staging / WATERFALL, json.dumps(flow, indent=1) + "\n")
    number = len(list((folder / "rejects").glob(f"{STAGE}-*.parquet"))) + 1
    table = staging / "rejects" / f"{STAGE}-{number:04}.parquet"
    write_table(table, "rejects", map(flat_row, done.rejects))
    owner = folder / OWNER
    if owner.is_file() and MARK not in (name := owner.read_text(encoding="utf-8").strip()):
        write_text(staging / OWNER, f"{name}{MARK}\n")
    finish(staging, left, title=dataset_title(folder), waterfall=flow, **said)
    gone = [Path(name) for name in done.gone]
    gone += [members_path(path) for path in gone] + [Path(REPORT)]
    write_text(staging / PLAN, json.dumps([str(path) for path in gone]))
