"""Where the members of each sample lie: from the table beside a shard, or from the headers of a tar.

Sample names are those of webdataset: what precedes the first dot of the base name is the key.
"""

import tarfile
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from m3w_builder.errors import TrainError
from m3w_builder.flamingo.data.files import File, Span
from m3w_builder.flamingo.data.order import Longs, cut
from schemas.arrow import MEMBERS

CHUNK_SAMPLES = 64  # that lie together and are read together
CHUNK_BYTES = 8 * 2**20  # a tenth of a second from an object store
KEPT_ROWS = 2**20  # of 120 bytes, per process


@dataclass(frozen=True, slots=True)
class Member:
    """Where the bytes of a member lie in its tar, and their sha256, "" where no table says."""

    offset: int
    length: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """The members of one shard, a row each, those of a sample together."""

    table: pa.Table

    def __len__(self) -> int:
        return len(self.rows) - 1

    @cached_property
    def rows(self) -> Longs:
        """Returns int64[n + 1]: sample i has the rows [rows[i], rows[i + 1])."""
        keys = self.table["key"]
        changes = pc.not_equal(keys[1:], keys[:-1]).to_numpy().nonzero()[0] + 1
        return np.concatenate([[0], changes, [len(keys)] * bool(len(keys))]).astype(np.int64)

    @cached_property
    def places(self) -> tuple[Longs, Longs]:
        """Returns int64[rows] twice: where the bytes of each member begin and end."""
        offsets, lengths = (self.table[name].to_numpy() for name in ("offset", "length"))
        return offsets, offsets + lengths

    def key(self, sample: int) -> str:
        """Returns the key of a sample."""
        return str(self.table["key"][int(self.rows[sample])].as_py())

    def members(self, sample: int) -> dict[str, Member]:
        """Returns the members of a sample by their part names, in the order of the tar."""
        first, last = int(self.rows[sample]), int(self.rows[sample + 1])
        rows = self.table.slice(first, last - first).to_pydict()
        places = zip(rows["offset"], rows["length"], rows["sha256"], strict=True)
        found = (Member(offset, length, digest or "") for offset, length, digest in places)
        return dict(zip(rows["part"], found, strict=True))

    def span(self, first: int, last: int) -> Span:
        """Returns the bytes [start, end) that the samples [first, last) lie in."""
        starts, ends = self.places
        return int(starts[self.rows[first]]), int(ends[self.rows[last] - 1])

    def chunks(self) -> Longs:
        """Returns int64[C + 1]: the first sample of each chunk, then the number of samples."""
        starts, ends = self.places
        firsts = cut(starts[self.rows[:-1]], ends[self.rows[1:] - 1], CHUNK_SAMPLES, CHUNK_BYTES)
        return np.append(firsts, len(self))


def chunks(file: File) -> Longs:
    """Returns the first sample of each chunk of a shard, then the number of its samples."""
    return of(file).chunks()


def of(file: File) -> Index:
    """Returns the index of a shard; raises TrainError where it cannot be one.

    A tar without a table of ours is walked once: what that finds is kept in the cache.
    """
    data = file.table()
    table = None if data is None else _parsed(data, file.url)
    if table is None:
        name = f"{file.url} {file.state} members"
        found = file.cache.get(name)
        if found is None:
            found = _walked(file)
            file.cache.put(name, found)
        table = pq.read_table(BytesIO(found))
    return Index(table.combine_chunks())


def _parsed(data: bytes, url: str) -> pa.Table | None:
    """Returns a members table, None for one of something else, as other tools leave beside a tar."""
    try:
        table = pq.read_table(BytesIO(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise TrainError(f"{url}: its members table (.parquet) is damaged: {error}") from error
    return table if table.schema.equals(MEMBERS) else None


def _walked(file: File) -> bytes:
    """Returns the members table of a tar as a file."""
    with file.whole() as whole:
        try:
            table = walked(whole)
        except tarfile.TarError as error:
            what = "expected an uncompressed, whole tar, found"
            raise TrainError(f"{file.url}: {what} {error}") from error
    written = BytesIO()
    pq.write_table(table, written, compression="zstd")
    return written.getvalue()


def walked(file: BinaryIO) -> pa.Table:
    """Returns the members table of any tar from its headers, without hashes; raises tarfile.TarError."""
    rows = list[tuple[str, str, int, int, None]]()
    with tarfile.open(fileobj=file, mode="r:") as tar:
        for info in tar:
            folder, slash, name = info.name.rpartition("/")
            key, _, part = name.partition(".")
            if info.isfile() and key and part:
                rows.append((folder + slash + key, part.lower(), info.offset_data, info.size, None))
    size = file.seek(0, 2)
    if rows and rows[-1][2] + rows[-1][3] > size:
        raise tarfile.ReadError(f"an end at byte {size}, inside {rows[-1][0]}.{rows[-1][1]}")
    columns = zip(*rows, strict=True) if rows else ((),) * len(MEMBERS)
    return pa.table([list(column) for column in columns], schema=MEMBERS)


class Tables:
    """The indexes used last, as many as `KEPT_ROWS` allow: a group of the order reaches into many shards."""

    def __init__(self) -> None:
        self._kept: OrderedDict[File, Index] = OrderedDict()
        self._rows = 0

    def __reduce__(self) -> tuple[type["Tables"], tuple[()]]:
        return type(self), ()  # worker processes read those they need

    def __call__(self, file: File) -> Index:
        """Returns the index of a shard."""
        found = self._kept.pop(file, None)
        if found is None:
            found = of(file)
            self._rows += found.table.num_rows
        self._kept[file] = found  # last again
        while self._rows > KEPT_ROWS and len(self._kept) > 1:
            self._rows -= self._kept.popitem(last=False)[1].table.num_rows
        return found
