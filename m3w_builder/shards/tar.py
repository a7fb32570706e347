"""One shard: samples one after the other in a USTAR tar, a Parquet table of members beside it.

Stock webdataset reads a truncated tar without a word; `read_shard` raises, whatever is wrong.
Headers come from a template: a fifth of the time of `tarfile`'s, and the same bytes.
"""

import json
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, groupby
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from m3w_builder.errors import InputError, ShardError
from m3w_builder.files import atomic
from m3w_builder.samples import SCHEMA, Part, Parts, Read, Record, Sample, members
from m3w_builder.shards.tally import KEY, Row, Tally
from schemas.arrow import MEMBERS

PART = re.compile(r"[0-9a-z]+(\.[0-9a-z]+)*")
BLOCK = 512
RECORD_BYTES = 20 * BLOCK  # a tar ends on a multiple of it
MAX_NAME = 100  # bytes: longer names need the prefix field or PAX
MAX_MEMBER = 8**11  # bytes: eleven octal digits

_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
_ZERO = bytes(BLOCK)


def tar_header(name: str, size: int) -> bytes:
    """Returns the USTAR header of a regular file: mode 0644, time, user and group 0."""
    if len(name) > MAX_NAME or size >= MAX_MEMBER:
        raise ValueError(
            f"{name}: a member has at most {MAX_NAME} characters and 8 GiB, found {size} bytes"
        )
    seven, eleven = b"%07o", b"%011o\0"
    fields = (name.encode("ascii"), seven % 0o644, seven % 0, seven % 0, eleven % size, eleven % 0)
    rest = (b"0", b"", b"ustar\0", b"00", b"", b"", b"", b"", b"")
    block = _HEADER.pack(*fields, b" " * 8, *rest)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


class ShardWriter:
    """Writes samples to an open file and keeps count; `open_shard` gives one for a path."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self.row: Row = {}  # once finished
        self._file = file
        self._hash = sha256()
        self._size = 0
        self._tally = Tally()
        self._members: list[tuple[str, str, int, int, str]] = []

    def add(self, sample: Sample, read: Read) -> None:
        """Writes one sample; ShardError when `read` does not return what was stored."""
        self._tally.add(sample.record)
        expected = {part.name: part for part in sample.parts}
        if len(expected) != len(sample.parts):
            raise ValueError(f"{sample.key}: two members of the same name")
        for part, data in members(sample, read):
            digest = sha256(data).hexdigest()
            if part in expected and digest != expected[part].sha256:
                raise ShardError(_changed(sample.key, expected[part], digest))
            self._write(sample.key, part, data)
            offset = self._size - len(data) - -len(data) % BLOCK
            self._members.append((sample.key, part, offset, len(data), digest))

    def _write(self, key: str, part: str, data: bytes) -> None:
        if not PART.fullmatch(part):
            raise ValueError(f"{key}: member name {part!r}, expected {PART.pattern}")
        self._put(tar_header(f"{key}.{part}", len(data)))
        self._put(data)
        self._put(bytes(-len(data) % BLOCK))

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self._size += len(data)

    def finish(self) -> pa.Table:
        """Ends the tar, sets `row`, returns the members table."""
        if not self._members:
            raise ValueError(f"{self.name}: a shard has at least one sample")
        self._put(2 * _ZERO)
        self._put(bytes(-self._size % RECORD_BYTES))
        self.row = self._tally.row(self.name, self._size, self._hash.hexdigest())
        columns = zip(*self._members, strict=True)
        return pa.table([list(column) for column in columns], schema=MEMBERS)


def _changed(key: str, part: Part, digest: str) -> str:
    found = f"expected sha256 {part.sha256}, found {digest}"
    return f"{part.pack}: the bytes of {key}.{part.name} changed: {found}; fetch again"


@contextmanager
def open_shard(path: Path) -> Iterator[ShardWriter]:
    """Yields the writer of a shard; tar and members table appear when the block ends well."""
    with atomic(path) as temporary:
        with temporary.open("wb", buffering=2**20) as file:
            writer = ShardWriter(file, path.name)
            yield writer
            table = writer.finish()
        # The table first: where there is a tar, there is its table.
        with atomic(members_path(path)) as beside:
            pq.write_table(table, beside, compression="zstd")


def write_shard(path: Path, samples: Iterable[Sample], read: Read) -> Row | None:
    """Writes samples in ascending key order to a shard, atomically; returns its manifest row.

    No samples, no file and no row: loaders refuse an empty shard.
    """
    rest = iter(samples)
    first = next(rest, None)
    if first is None:
        return None
    with open_shard(path) as writer:
        for sample in chain([first], rest):
            writer.add(sample, read)
    return writer.row


def members_path(path: Path) -> Path:
    """Returns where the members table of a shard lies."""
    return path.with_suffix(".parquet")


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a tar: `offset` and `length` are those of its data."""

    key: str
    part: str
    offset: int
    length: int


def walk(file: BinaryIO, name: str) -> Iterator[Member]:
    """Yields the members of a tar of ours from the headers alone; raises ShardError otherwise."""
    size, offset = file.seek(0, 2), 0
    while True:
        file.seek(offset)
        block = file.read(BLOCK)
        if block == _ZERO:
            _expect_end(file, name, offset)
            return
        member = _member(block, f"{name}: at byte {offset}", offset + BLOCK)
        offset += BLOCK + member.length + -member.length % BLOCK
        if offset > size:
            what = f"{member.key}.{member.part} ends at byte {offset}, the file at {size}"
            raise ShardError(f"{name}: truncated: {what}")
        yield member


def _expect_end(file: BinaryIO, name: str, offset: int) -> None:
    """Checks that only zeros follow, and enough of them: an appended tar would go unread."""
    rest = file.read(RECORD_BYTES + 1)
    if len(rest) < BLOCK or len(rest) > RECORD_BYTES or any(rest):
        raise ShardError(
            f"{name}: at byte {offset}: expected the end of the tar (two zero blocks, nothing more)"
        )


def _member(block: bytes, where: str, offset: int) -> Member:
    if len(block) < BLOCK:
        raise ShardError(
            f"{where}: truncated: expected a tar header or the end of the tar, found the file's end"
        )
    name, size = block[:MAX_NAME].rstrip(b"\0"), block[124:135]
    key, _, part = name.decode("ascii", "replace").partition(".")
    if not size.isdigit() or not KEY.fullmatch(key) or not PART.fullmatch(part):
        raise ShardError(
            f"{where}: expected a member like 0a1b2c.json of a USTAR tar, found {name[:40]!r}"
        )
    length = int(size, 8) if not set(size) & set(b"89") else -1
    if length < 0 or block != tar_header(f"{key}.{part}", length):
        raise ShardError(
            f"{where}: expected the USTAR header m3w writes for {key}.{part}, found another"
        )
    return Member(key, part, offset, length)


def _reading(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: expected a readable shard: {error.strerror}") from error


def read_shard(path: Path) -> Iterator[tuple[str, Record, Parts]]:
    """Yields key, JSON and the other members of every sample; raises ShardError on any damage."""
    last = ""
    with _reading(path) as file:
        for key, group in groupby(walk(file, str(path)), lambda member: member.key):
            if key <= last:
                raise ShardError(
                    f"{path}: {key} follows {last}: expected each key once, in ascending order"
                )
            yield key, *_sample(path, list(group), lambda m: _at(file, m))
            last = key


def _at(file: BinaryIO, member: Member) -> bytes:
    file.seek(member.offset)
    return file.read(member.length)


def _sample(
    path: Path, group: list[Member], read: Callable[[Member], bytes]
) -> tuple[Record, Parts]:
    first, *rest = group
    if first.part != "json":
        raise ShardError(f"{path}: {first.key}: expected its json first, found {first.part}")
    if len({member.part for member in group}) != len(group):
        raise ShardError(f"{path}: {first.key}: has two members of the same name")
    return parse_record(read(first), f"{path}: {first.key}"), {m.part: read(m) for m in rest}


def parse_record(data: bytes, where: str) -> Record:
    """Returns the JSON of a sample; raises ShardError when it is not one of ours."""
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ShardError(f"{where}: expected JSON: {error}") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise ShardError(f'{where}: expected a sample of "schema": "{SCHEMA}"')
    return record


def describe(path: Path) -> Row:
    """Returns the manifest row of a shard from its bytes alone."""
    tally = Tally()
    for key, record, _ in read_shard(path):
        try:
            tally.add(record)
        except (ValueError, KeyError, TypeError) as error:
            raise ShardError(f"{path}: {key}: {error}") from error
    with _reading(path) as file:
        digest = sha256()
        while data := file.read(2**20):
            digest.update(data)
        return tally.row(path.name, file.tell(), digest.hexdigest())
