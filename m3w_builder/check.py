"""Verification: reads a dataset or a shard byte by byte and says everything that is wrong with it.

Damage to the tar itself ends the check of that shard with one problem: what follows is unknown.
"""

import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import file_digest, sha256
from itertools import pairwise
from pathlib import Path

from PIL import Image

from m3w_builder.errors import InputError, ShardError
from m3w_builder.files import TEMPORARY
from m3w_builder.processes import spread
from m3w_builder.samples import Parts, Record, canonical_json, nodes, pair_text
from m3w_builder.shards import MANIFEST, PENDING, Row, members_path, read_manifest, read_shard
from m3w_builder.shards.dataset import shard_index
from m3w_builder.shards.index import members_table
from m3w_builder.shards.tally import Tally
from m3w_builder.shards.tar import walk
from m3w_builder.shards.valid import problems
from m3w_builder.tables import read_table
from m3w_builder.types import KINDS

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
BESIDE = ("README.md", "croissant.json", "index.json")
# What Pillow raises on bytes that are no image, or half of one.
UNDECODABLE = (OSError, SyntaxError, ValueError, EOFError, zlib.error, Image.DecompressionBombError)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: in which file, with which sample."""

    file: str
    what: str
    key: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.key, self.what) if part)


Unit = Callable[[], list[Problem]]


def check(path: Path) -> list[Problem]:
    """Returns everything that is wrong with a dataset folder or a tar."""
    return [problem for unit in units(path) for problem in unit()]


def units(path: Path) -> list[Unit]:
    """Returns the parts of a check: independent calls, a long one per shard, that can be spread."""
    if not path.exists():
        raise InputError(f"{path}: expected a dataset folder or a tar, found nothing")
    if path.is_file():
        return [partial(check_shard, path)]
    if not (path / MANIFEST).is_file():
        read_manifest(path)  # says what is missing
    rows, found = _manifest(path)
    found += _files(path, rows) + _index(path, rows) + _ranges(rows)
    shards = [
        partial(check_shard, path / row["path"], row)
        for row in rows
        if (path / row["path"]).is_file()
    ]
    rejects = [partial(check_rejects, file) for file in sorted(path.glob("rejects/*.parquet"))]
    return [partial(list, found), *shards, *rejects]


def run(work: list[Unit], workers: int) -> Iterator[list[Problem]]:
    """Yields the problems of each unit in turn, from several processes when that pays."""
    yield from spread(_call, work, workers)


def _call(unit: Unit) -> list[Problem]:
    return unit()


def _manifest(folder: Path) -> tuple[list[Row], list[Problem]]:
    """Returns the rows that can be worked with, and what is wrong with the others."""
    rows: list[Row] = []
    found: list[Problem] = []
    text = (folder / MANIFEST).read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(filter(None, text.split("\n")), 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            row, wrong = None, [f"expected JSON: {error}"]
        else:
            wrong = list(problems("manifest_row", row))
        found += [Problem(MANIFEST, f"line {number}: {what}") for what in wrong]
        rows += [] if wrong else [row]
    return rows, found


def _files(folder: Path, rows: list[Row]) -> list[Problem]:
    """Returns files that are missing or that the manifest does not know."""
    tars = [folder / row["path"] for row in rows]
    expected = [*tars, *map(members_path, tars), *(folder / name for name in BESIDE)]
    found = [
        Problem(path.name, "missing") for path in dict.fromkeys(expected) if not path.is_file()
    ]
    names = [path.name for path in tars]
    found += [
        Problem(n, "in the manifest twice") for n in dict.fromkeys(names) if names.count(n) > 1
    ]
    if (folder / PENDING).is_dir():
        found.append(Problem(PENDING, "samples were being removed: run that command again"))
    for path in sorted(folder.iterdir()):
        known = path in expected or path.suffix not in (".tar", ".parquet")
        if path.is_file() and (not known or path.name.startswith(TEMPORARY)):
            found.append(Problem(path.name, "not in the manifest"))
    return found


def _index(folder: Path, rows: list[Row]) -> list[Problem]:
    path = folder / "index.json"
    if not path.is_file() or path.read_text(encoding="utf-8", errors="replace").strip() == (
        canonical_json(shard_index(rows))
    ):
        return []
    return [Problem(path.name, "differs from the manifest")]


def _ranges(rows: list[Row]) -> list[Problem]:
    """Returns shards of a kind whose keys do not follow those of the shard before."""
    found = []
    for kind in KINDS:
        for before, after in pairwise(row for row in rows if row["kind"] == kind):
            if after["first"] <= before["last"]:
                what = f"starts at key {after['first']}, {before['path']} ends at {before['last']}"
                found.append(Problem(after["path"], what))
    return found


def check_shard(path: Path, row: Row | None = None) -> list[Problem]:
    """Returns what is wrong with a shard, its members table and what its manifest row says."""
    found = [Problem(path.name, what, key) for key, what in _content(path, row)]
    table = members_path(path)
    if table.is_file():
        found += [Problem(table.name, what) for what in _members(path, table)]
    return found


def _content(path: Path, row: Row | None) -> Iterator[tuple[str, str]]:
    """Yields (key, problem) of a shard's samples and of its counts."""
    tally, sound = Tally(), True
    try:
        for key, record, parts in read_shard(path):
            wrong = list(check_sample(key, record, parts)) or _counted(tally, record)
            yield from ((key, what) for what in wrong)
            sound = sound and not wrong
    except ShardError as error:
        yield "", str(error).removeprefix(f"{path}: ")
        sound = False
    if row is not None:
        yield from (("", what) for what in _row_differs(path, row, tally if sound else None))


def _counted(tally: Tally, record: Record) -> list[str]:
    try:
        tally.add(record)
    except ValueError as error:
        return [str(error)]
    return []


def _row_differs(path: Path, row: Row, tally: Tally | None) -> Iterator[str]:
    """Yields what a row says wrongly; counts of a damaged shard would only say it again."""
    with path.open("rb") as file:
        digest, size = file_digest(file, "sha256").hexdigest(), file.tell()
    found = {"bytes": size, "sha256": digest}
    for name, value in (tally.row(path.name, size, digest) if tally else found).items():
        if row[name] != value:
            yield f"{name}: the manifest says {row[name]}, found {value}"


def _members(path: Path, table: Path) -> Iterator[str]:
    """Yields where a members table differs from its tar."""
    try:
        rows = members_table(table).to_pylist()
        with path.open("rb") as file:
            found = list(walk(file, path.name))
            if len(rows) != len(found):
                yield f"has {len(rows)} rows, the tar {len(found)} members"
            for member, row in zip(found, rows, strict=False):
                file.seek(member.offset)
                digest = sha256(file.read(member.length)).hexdigest()
                actual = (member.key, member.part, member.offset, member.length, digest)
                if actual != tuple(row.values()):
                    yield f"{row['key']}.{row['part']}: differs from the tar"
    except ShardError as error:
        yield str(error).removeprefix(f"{table}: ")


def check_sample(key: str, record: Record, parts: Parts) -> Iterator[str]:
    """Yields what is wrong with one sample as it was read."""
    wrong = list(problems("sample", record)) or list(_parallel(record))
    yield from wrong
    if wrong:
        return
    if record["id"] != key:
        yield f"id is {record['id']}, the key of its members {key}"
    named = [name for _, node in nodes(record) if not isinstance(node, str) for name in node]
    pair = record["kind"] != "interleaved"
    expected = named + (["txt"] if pair else [])
    if list(parts) != expected:
        yield f"members: expected {_few(expected)}, found {_few(list(parts))}"
        return
    if pair and parts["txt"] != pair_text(record).encode():
        yield "txt: differs from the texts of the json"
    for info, node in nodes(record):
        if not isinstance(node, str):
            yield from _media(info, node, parts)


def _few(names: Sequence[object]) -> str:
    more = f", ... ({len(names)})" if len(names) > 6 else ""
    return ", ".join(map(str, names[:6])) + more or "none"


def _parallel(record: Record) -> Iterator[str]:
    """Yields breaches of what the JSON Schema cannot say: the lists are parallel."""
    lists = {"text": record["texts"], "image": record["images"], "video": record["videos"]}
    lengths = [len(entries) for entries in (*lists.values(), record["info"])]
    if len(set(lengths)) > 1:
        yield f"texts, images, videos, info: expected one length, found {_few(lengths)}"
        return
    for number, info in enumerate(record["info"]):
        filled = [name for name, entries in lists.items() if entries[number] is not None]
        if filled != [info["type"]]:
            yield f"node {number}: expected one {info['type']}, found {_few(filled)}"
    medium = {"image_text": "image", "video_text": "video"}.get(record["kind"])
    media = [info["type"] for info in record["info"] if info["type"] != "text"]
    if medium and media != [medium]:
        yield f"expected one {medium} in a {record['kind']} sample, found {_few(media)}"


def _media(info: Record, names: list[str], parts: Parts) -> Iterator[str]:
    """Yields what is wrong with the bytes of an image or of a video's frames."""
    if info["type"] == "image":
        if info["format"] != names[0].rpartition(".")[2]:
            yield f"{names[0]}: format in info is {info['format']}"
        yield from _picture(names[0], parts[names[0]], info, (info["width"], info["height"]))
        return
    if [frame["name"] for frame in info["frames"]] != names:
        yield "frames: differ from the names in videos"
        return
    times = [frame["t"] for frame in info["frames"]]
    if any(after <= before for before, after in pairwise(times)):
        yield "frames: expected ascending times"
    for frame in info["frames"]:
        yield from _picture(frame["name"], parts[frame["name"]], frame)


def _picture(
    name: str, data: bytes, info: Record, size: tuple[int, int] | None = None
) -> Iterator[str]:
    if sha256(data).hexdigest() != info["sha256"]:
        yield f"{name}: expected sha256 {info['sha256']}, found {sha256(data).hexdigest()}"
    expected = FORMATS[name.rpartition(".")[2]]
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format != expected:
                yield f"{name}: expected {expected}, found {image.format}"
            if size is not None and image.size != size:
                yield f"{name}: expected {size[0]}x{size[1]}, found {image.width}x{image.height}"
            image.load()
    except UNDECODABLE as error:
        yield f"{name}: cannot be decoded: {' '.join(str(error).split())}"


def check_rejects(path: Path) -> list[Problem]:
    """Returns what is wrong with a table of rejects."""
    seen = set()
    found = []
    name = f"{path.parent.name}/{path.name}"
    try:
        for number, row in enumerate(read_table(path, "rejects")):
            # A schema is slow: rows that differ only in their free text are tested once.
            like = (row["stage"], row["reason"], bool(row["id"]), None in row.values())
            if like not in seen:
                seen.add(like)
                wrong = problems("reject_row", row)
                found += [Problem(name, f"row {number}: {what}") for what in wrong]
    except ShardError as error:
        found.append(Problem(name, str(error).removeprefix(f"{path}: ")))
    return found
