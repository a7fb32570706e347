"""Evaluation sets as they lie on disk: folders, tars, tables, datasets of ours; files to items.

A path may be a folder (all files in it and below), a file, or a pattern ("val-*.tar"). What a file
gives depends on its kind alone:

- a picture, by its suffix or its first bytes: its hashes;
- .txt: a text per line; .json, .jsonl: the strings under keys like "caption" and "question";
- .tar (also compressed): its members, as if they lay in a folder;
- .parquet, .csv, .tsv: a row is hashes (columns phash, sha256), a picture (bytes) or texts;
- a folder with a manifest of ours: the images, frames and texts of its shards.

What cannot be read becomes an item that says why. Nothing here is fatal but a set without any
picture, hash or text, and a table of hashes with something else in their place.
"""

import csv
import glob
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from m3w_builder.decontaminate.items import Item, Picture, measured
from m3w_builder.errors import InputError, MediaError, ShardError
from m3w_builder.media.kinds import HEAD, sniffed
from m3w_builder.processes import spread
from m3w_builder.samples import nodes
from m3w_builder.shards import MANIFEST, read_manifest, read_shard
from m3w_builder.text import word_set

KEY = "decontaminate.against"
PICTURES = word_set(
    ".jpg .jpeg .jpe .jfif .png .webp .gif .bmp .tif .tiff .ppm .pgm .ico .jp2 .avif .heic .jxl"
)
TEXT_KEYS = word_set(
    "caption captions question questions query text texts txt sentence sentences raw title "
    "description prompt context passage answer answers"
)
_COLUMNS = {
    "phash": word_set("phash pdq pdq_hash pdqhash"),
    "phash_firm": word_set("phash_firm"),
    "sha256": word_set("sha256 stored_sha256 source_sha256 image_sha256"),
    "pdq_quality": word_set("pdq_quality quality"),
    "set": word_set("set"),
    "name": word_set("name file file_name filename path id key image_id"),
    "text": TEXT_KEYS,
    "unreadable": word_set("unreadable"),
}
_BYTES = word_set("image images picture img jpg jpeg png webp")
_NOT_DATA = word_set("readme license licence copying notice changelog")  # names of texts
_DIGITS = re.compile(r"[0-9a-f]{64}")
FILES_PER_UNIT = 256
_DAMAGED_TAR = (tarfile.TarError, EOFError, OSError, ValueError)
MAX_MEMBER = (
    64 * 2**20
)  # bytes of a member of a tar, a picture or texts: a small tar may claim any size
MAX_FIELD = 16 * 2**20  # characters of a cell of a CSV


@dataclass(frozen=True, slots=True)
class Unit:
    """A part of an evaluation set that is read in one go."""

    set: str
    root: Path
    files: tuple[str, ...]  # relative to it, in order
    shards: bool = False  # of a dataset of ours
    named: bool = False  # the one file that was asked for: a table without columns is an error


def load(against: Sequence[str], workers: int = 1) -> list[Item]:
    """Returns the items of all sets, in the order of the paths and of the files' names.

    Raises InputError for a path with nothing in it, or nothing that could be compared.
    """
    sets = [units(path, name) for path, name in zip(against, set_names(against), strict=True)]
    work = [unit for parts in sets for unit in parts]
    done = iter([*spread(read_unit, work, workers)])
    found: list[Item] = []
    for path, parts in zip(against, sets, strict=True):
        items = [*chain.from_iterable(next(done) for _ in parts)]
        _expect_some(path, items)
        found += items
    return found


def _expect_some(path: str, items: Sequence[Item]) -> None:
    if all(item.unreadable for item in items):
        broken = (
            f"; {len(items)} unreadable, first {items[0].name}: {items[0].unreadable}"
            if items
            else ""
        )
        raise InputError(f"{KEY}: {path}: expected pictures, hashes or texts, found none{broken}")


def set_names(against: Sequence[str]) -> list[str]:
    """Returns the last part of each path, as many more parts as tell them apart."""
    parts = [Path(path).resolve().parts for path in against]
    names = [path[-1] for path in parts]
    for depth in range(2, max(map(len, parts), default=0) + 1):
        names = [
            "/".join(path[-depth:]) if names.count(name) > 1 else name
            for path, name in zip(parts, names, strict=True)
        ]
    return names


def units(against: str, name: str) -> list[Unit]:
    """Returns the parts of one evaluation set; raises InputError where nothing is."""
    path = Path(against)
    if (path / MANIFEST).is_file():
        rows = read_manifest(path)
        return [Unit(name, path, (row["path"],), shards=True) for row in rows]
    if path.is_file():
        return [Unit(name, path.parent, (path.name,), named=True)]
    if path.is_dir():
        root, found = path, [file for file in path.rglob("*") if file.is_file()]
    else:
        found = [Path(match) for match in glob.glob(against, recursive=True)]
        found = [file for file in found if file.is_file()]
        root = _above(against)
    if not found:
        raise InputError(
            f"{KEY}: {path}: expected a folder of images, WebDataset tars, a Parquet or CSV file of "
            "hashes and texts, or a finished dataset, found nothing"
        )
    names = sorted(str(file.relative_to(root)) for file in found)
    return _grouped(name, root, [n for n in names if not n.startswith(".") and "/." not in n])


def _above(pattern: str) -> Path:
    """Returns the folder above the first part of a pattern that is one."""
    parts = Path(pattern).parts
    plain = next((n for n, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:plain])


def _grouped(name: str, root: Path, files: Sequence[str]) -> list[Unit]:
    """Returns units in the order of the files: a container is one, small files share one."""
    groups: list[list[str]] = []
    for file in files:
        alone = bool(_reader(file))
        if alone or not groups or len(groups[-1]) == FILES_PER_UNIT or _reader(groups[-1][-1]):
            groups.append([])
        groups[-1].append(file)
    return [Unit(name, root, tuple(group)) for group in groups]


def read_unit(unit: Unit) -> list[Item]:
    """Returns the items of a unit."""
    found = (measured(one) if isinstance(one, Picture) else one for one in _found(unit))
    return [*map(_encodable, found)]


def _encodable(item: Item) -> Item:
    """Returns an item without lone surrogates, which JSON and names of files may hold."""
    told = {name: getattr(item, name) for name in ("set", "name", "text", "unreadable")}
    try:
        "".join(told.values()).encode()
    except UnicodeEncodeError:
        return replace(item, **{k: v.encode(errors="replace").decode() for k, v in told.items()})
    return item


def pictures(against: Sequence[str]) -> Iterator[Picture]:
    """Yields the pictures of all sets in the order of their items."""
    for path, name in zip(against, set_names(against), strict=True):
        for unit in units(path, name):
            yield from (found for found in _found(unit) if isinstance(found, Picture))


def _found(unit: Unit) -> Iterator[Item | Picture]:
    return chain.from_iterable(_read(unit, file) for file in unit.files)


def _read(unit: Unit, file: str) -> Iterator[Item | Picture]:
    path = unit.root / file
    try:
        if unit.shards:
            yield from _shard(unit, path)
        elif reader := _reader(file):
            yield from reader(unit, file)
        else:
            with path.open("rb") as opened:
                kind = _kind(file, opened.read(HEAD))
            if kind:
                yield from kind(unit.set, file, path.read_bytes())
    except ShardError as error:
        yield Item(unit.set, file, unreadable=f"damaged_shard: {error}")
    except OSError as error:
        yield Item(unit.set, file, unreadable=f"unreadable: {error.strerror or error}")


def _shard(unit: Unit, path: Path) -> Iterator[Item | Picture]:
    """Yields the images, frames and texts of a shard of ours."""
    for key, record, parts in read_shard(path):
        for place, (info, node) in enumerate(nodes(record)):
            if isinstance(node, str):
                yield Item(unit.set, f"{key} texts[{place}]", text=node)
                continue
            for name in node:
                if name not in parts:
                    raise ShardError(f"{key}: expected the member {name}")
                source = info["source_sha256"] if info["type"] == "image" else ""
                yield Picture(unit.set, f"{key}.{name}", parts[name], source)


Reader = Callable[[Unit, str], Iterator[Item | Picture]]
Entry = Callable[[str, str, bytes], Iterator[Item] | Iterator[Picture]]  # set, name, bytes


def _reader(file: str) -> Reader | None:
    """Returns what reads a container, None for a file that is one entry."""
    name = file.lower()
    if re.search(r"\.(tar(\.\w+)?|tgz)$", name):
        return _archive
    return {".parquet": _parquet, ".csv": _csv, ".tsv": _csv}.get(Path(name).suffix)


def _kind(name: str, head: bytes) -> Entry | None:
    """Returns what reads an entry, None for one that is neither text nor picture."""
    file = Path(name)
    suffix = file.suffix.lower()
    if suffix in PICTURES:
        return _picture
    if suffix in _TEXTS:
        return None if file.stem.lower() in _NOT_DATA else _TEXTS[suffix]
    try:
        sniffed(head)
    except MediaError:
        return None
    return _picture


def _picture(set_name: str, name: str, body: bytes) -> Iterator[Picture]:
    yield Picture(set_name, name, body)


def _lines(set_name: str, name: str, body: bytes) -> Iterator[Item]:
    for number, line in enumerate(_text(body).split("\n"), 1):
        if line.strip():
            yield Item(set_name, f"{name} line {number}", text=line.strip())


def _json(set_name: str, name: str, body: bytes) -> Iterator[Item]:
    yield from _parsed(set_name, name, _text(body))


def _json_lines(set_name: str, name: str, body: bytes) -> Iterator[Item]:
    for number, line in enumerate(_text(body).split("\n"), 1):
        if line.strip():
            yield from _parsed(set_name, f"{name} line {number}", line)


_TEXTS: dict[str, Entry] = {
    ".txt": _lines,
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace").removeprefix("\ufeff")


def _parsed(set_name: str, name: str, text: str) -> Iterator[Item]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield Item(set_name, name, unreadable=f"not_json: {error}")
        return
    for where, found in strings(value):
        yield Item(set_name, f"{name} {where}".rstrip(), text=found)


def strings(value: Any) -> Iterator[tuple[str, str]]:
    """Yields where and what of each string under a key of TEXT_KEYS, and of those in lists there."""
    stack: list[tuple[str, Any, bool]] = [("", value, False)]
    while stack:
        where, top, wanted = stack.pop()
        if isinstance(top, str):
            if wanted and top.strip():
                yield where, top.strip()
        elif isinstance(top, Mapping):
            below = [
                (f"{where}.{key}".lstrip("."), inner, key.lower() in TEXT_KEYS)
                for key, inner in top.items()
            ]
            stack += reversed(below)
        elif isinstance(top, list):
            stack += reversed([(f"{where}[{n}]", inner, wanted) for n, inner in enumerate(top)])


def _archive(unit: Unit, file: str) -> Iterator[Item | Picture]:
    """Yields what the members of a tar give; a damaged one as far as it goes, then why."""
    try:
        with tarfile.open(unit.root / file, "r|*") as tar:
            for member in tar:
                body = tar.extractfile(member) if member.isfile() else None
                head = body.read(HEAD) if body else b""
                kind = _kind(member.name, head) if head else None
                if body is None or kind is None:
                    continue
                name = f"{file} {member.name}"
                data = head + body.read(MAX_MEMBER + 1 - len(head))
                if len(data) > MAX_MEMBER:
                    yield Item(unit.set, name, unreadable=f"too_large: over {MAX_MEMBER} bytes")
                else:
                    yield from kind(unit.set, name, data)
    except _DAMAGED_TAR as error:
        yield Item(unit.set, file, unreadable=f"damaged_tar: {error}")


def _parquet(unit: Unit, file: str) -> Iterator[Item | Picture]:
    try:
        with pq.ParquetFile(unit.root / file) as table:
            schema = table.schema_arrow
            bodies = [field.name for field in schema if _holds_bytes(field)]
            roles = _roles([name for name in schema.names if name not in bodies])
            _expect_columns(unit, file, roles, bodies, schema.names)
            wanted = [*chain.from_iterable(roles.values()), *bodies]
            batches = table.iter_batches(256, columns=wanted) if wanted else ()
            rows = (row for batch in batches for row in batch.to_pylist())
            yield from _rows(unit, file, rows, roles, bodies)
    except pa.ArrowInvalid as error:
        yield Item(unit.set, file, unreadable=f"not_parquet: {error}")


def _csv(unit: Unit, file: str) -> Iterator[Item | Picture]:
    mark = "\t" if file.lower().endswith(".tsv") else ","
    usual = csv.field_size_limit(MAX_FIELD)  # of the whole process
    with (unit.root / file).open(encoding="utf-8-sig", errors="replace", newline="") as opened:
        try:
            rows = csv.DictReader(opened, delimiter=mark, restkey="")
            names = [name for name in rows.fieldnames or () if name]
            roles = _roles(names)
            _expect_columns(unit, file, roles, (), names)
            yield from _rows(unit, file, rows, roles, ())
        except csv.Error as error:
            yield Item(unit.set, file, unreadable=f"not_csv: {error}")
        finally:
            csv.field_size_limit(usual)


def _holds_bytes(field: "pa.Field[Any]") -> bool:
    """Says whether a column has coded pictures, as Hugging Face's datasets or alone."""
    kind = field.type
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return binary and field.name.lower() in _BYTES


def _roles(names: Iterable[str]) -> dict[str, list[str]]:
    """Returns the columns of each role: phash, sha256, text, name, ..."""
    roles: dict[str, list[str]] = {}
    for name in names:
        for role, known in _COLUMNS.items():
            if name.strip().lower() in known:
                roles.setdefault(role, []).append(name)
    return roles


def _expect_columns(
    unit: Unit,
    file: str,
    roles: Mapping[str, Sequence[str]],
    bodies: Sequence[str],
    names: Sequence[str],
) -> None:
    if unit.named and not bodies and not roles.keys() & {"phash", "phash_firm", "sha256", "text"}:
        raise InputError(
            f"{KEY}: {unit.root / file}: expected a column phash (PDQ, 64 hex digits), sha256, image "
            f"(bytes) or text (also caption, question, ...), found {', '.join(names) or 'none'}"
        )


def _rows(
    unit: Unit,
    file: str,
    rows: Iterable[Mapping[str, Any]],
    roles: Mapping[str, Sequence[str]],
    bodies: Sequence[str],
) -> Iterator[Item | Picture]:
    def cells(row: Mapping[str, Any], role: str) -> list[Any]:
        found = (row[name] for name in roles.get(role, ()))
        return [value for value in found if value not in (None, "")]

    for number, row in enumerate(rows, 1):
        where = f"{unit.root / file}: row {number}"
        set_name = str(next(iter(cells(row, "set")), unit.set))
        name = str(next(iter(cells(row, "name")), f"{file} row {number}"))
        for column in bodies:
            value = row[column]
            body = value.get("bytes") if isinstance(value, Mapping) else value
            if body:
                yield Picture(set_name, name, body)
        phash = "".join(_digits(where, "phash", cells(row, "phash")[:1]))
        firm = "".join(_digits(where, "phash_firm", cells(row, "phash_firm")[:1]))
        digests = _digits(where, "sha256", cells(row, "sha256")[:2])
        if reason := "".join(map(str, cells(row, "unreadable"))):
            yield Item(set_name, name, next(iter(digests), ""), unreadable=reason)
        elif phash or firm or digests:
            first, *rest = digests or [""]
            stored = rest[0] if rest else first
            quality = _quality(where, cells(row, "pdq_quality"))
            yield Item(set_name, name, first, stored, phash, quality, firm)
        for value in cells(row, "text"):
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and text.strip():
                    yield Item(set_name, name, text=text.strip())


def _digits(where: str, role: str, cells: Iterable[Any]) -> list[str]:
    found = [cell.hex() if isinstance(cell, bytes) else str(cell).strip().lower() for cell in cells]
    for digits in found:
        if not _DIGITS.fullmatch(digits):
            what = "64 hex digits (PDQ)" if role == "phash" else "64 hex digits"
            raise InputError(f"{KEY}: {where}: {role}: expected {what}, found {digits[:80]!r}")
    return found


def _quality(where: str, cells: Sequence[Any]) -> float:
    try:
        return float(cells[0]) if cells else 100.0
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{KEY}: {where}: pdq_quality: expected a number, found {str(cells[0])[:80]!r}"
        ) from error
