"""Random access: any sample of a shard by one table look-up and one read per member, no scan.

Only ever calls `pread`, so several threads may share one index.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from m3w_builder.errors import InputError, ShardError
from m3w_builder.samples import Parts, Record
from m3w_builder.shards.tar import Member, members_path, parse_record, walk
from schemas.arrow import MEMBERS


class ShardIndex:
    """The samples of one shard by key; `open_index` gives one."""

    def __init__(self, path: Path, file: int, members: list[Member]) -> None:
        self.path = path
        self._file = file
        self._samples: dict[str, list[Member]] = {}
        for member in members:
            self._samples.setdefault(member.key, []).append(member)

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[str]:
        """Yields the keys in the order of the shard."""
        return iter(self._samples)

    def __contains__(self, key: object) -> bool:
        return key in self._samples

    def record(self, key: str) -> Record:
        """Returns the JSON of a sample alone; KeyError when the shard has no such key."""
        return parse_record(self._read(self._samples[key][0]), f"{self.path}: {key}")

    def parts(self, key: str) -> Parts:
        """Returns the members of a sample other than its JSON."""
        return {member.part: self._read(member) for member in self._samples[key][1:]}

    def members(self, key: str) -> list[Member]:
        """Returns where the members of a sample lie, the JSON first."""
        return self._samples[key]

    def _read(self, member: Member) -> bytes:
        return self.read(member.offset, member.length, f"{member.key}.{member.part}")

    def read(self, offset: int, length: int, name: str) -> bytes:
        """Returns bytes of the tar; ShardError, with the member's name, where it ends before."""
        data = os.pread(self._file, length, offset)
        if len(data) < length:
            raise ShardError(f"{self.path}: truncated: {name} is not all there")
        return data


@contextmanager
def open_index(path: Path) -> Iterator[ShardIndex]:
    """Yields the index of a shard, from its members table or, for a tar alone, its headers."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: expected a readable shard: {error.strerror}") from error
    with file:
        table = members_path(path)
        members = read_members(table) if table.exists() else list(walk(file, str(path)))
        yield ShardIndex(path, file.fileno(), members)


def read_members(path: Path) -> list[Member]:
    """Returns the rows of a members table, without the hashes."""
    table = members_table(path)
    columns = (table[name].to_pylist() for name in ("key", "part", "offset", "length"))
    return [Member(*row) for row in zip(*columns, strict=True)]


def members_table(path: Path) -> pa.Table:
    """Returns a members table; raises ShardError when the file is none."""
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ShardError(f"{path}: expected a members table in Parquet: {error}") from error
    if not table.schema.equals(MEMBERS):
        raise ShardError(f"{path}: expected the columns {MEMBERS.names} of a members table")
    return table
