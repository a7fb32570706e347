"""Packs: plain tars with the media bytes of `fetch`; only (pack, offset, length) travels on.

A pack is USTAR with fixed metadata, so equal contents give equal bytes; it appears under its name
only when it is complete.
"""

import os
import tarfile
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from m3w_builder.errors import ShardError
from m3w_builder.files import atomic

OPEN_PACKS = 64  # files that `read_range` keeps open


class PackWriter:
    """Writes a pack; a body that is there already is not written again."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        self._open = ExitStack()
        self._places: dict[str, tuple[int, int]] = {}
        self._file: BinaryIO

    def __enter__(self) -> Self:
        temporary = self._open.enter_context(atomic(self._path))
        self._file = self._open.enter_context(temporary.open("wb"))
        return self

    def add(self, digest: str, extension: str, body: bytes) -> tuple[int, int]:
        """Returns where the body of a sha256 (hex) lies in the pack: offset and length in bytes."""
        if digest not in self._places:
            member = tarfile.TarInfo(f"{digest}.{extension}")  # mtime 0, uid and gid 0, mode 0644
            member.size = len(body)
            self._file.write(member.tobuf(tarfile.USTAR_FORMAT))
            self._places[digest] = (self._file.tell(), len(body))
            self._file.write(body)
            self._file.write(bytes(-len(body) % tarfile.BLOCKSIZE))
        return self._places[digest]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The stack unwinds in turn: where the last write or the close fails, nothing is renamed.
        if error is None:
            self._open.callback(self._file.write, bytes(2 * tarfile.BLOCKSIZE))
        self._open.__exit__(kind, error, trace)


class _Open:
    """A file open for reading at any place, by any thread; closed when nobody holds it."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        os.close(self.number)


@lru_cache(maxsize=OPEN_PACKS)
def _opened(path: Path, _inode: int) -> _Open:
    return _Open(path)


def read_range(path: Path, offset: int, length: int) -> bytes:
    """Returns the bytes at a place that `PackWriter.add` gave; raises ShardError if absent."""
    try:
        file = _opened(path, path.stat().st_ino)  # a pack written anew is another file
    except OSError as error:
        raise ShardError(f"{path}: expected a pack of fetch: {error.strerror}") from error
    body = os.pread(file.number, length, offset)
    if len(body) != length:
        raise ShardError(f"{path}: expected {length} bytes at {offset}, found {len(body)}")
    return body
