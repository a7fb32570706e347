"""Shards as files: near ones are read where they lie, of far ones chunks are fetched into a bounded cache.

A chunk is fetched once for all worker processes, into a file that appears whole; the files used least
recently make room.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from m3w_builder.errors import TrainError
from m3w_builder.files import TEMPORARY, atomic, make_folder, writable
from m3w_builder.flamingo.data import remote
from m3w_builder.flamingo.data.sources import Shard

CACHE_BYTES = 8 * 2**30  # two groups of 2048 documents of a megabyte and a half fit
LOCK_DIGITS = 2  # 256 locks: as many downloads at a time

Span = tuple[int, int]  # bytes [start, end) of a file


def folder() -> Path:
    """Returns where the cache lies unless a caller says: in the user's cache folder (XDG)."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "m3w" / "shards"


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of fetched bytes, shared by processes, of at most `limit` bytes (one file may be more)."""

    folder: Path
    limit: int = CACHE_BYTES

    @contextmanager
    def opened(self, name: str, fetch: Callable[[], bytes]) -> Iterator[int]:
        """Yields a descriptor of the bytes called `name`, fetched by one process if none has them.

        It stays readable whatever is removed meanwhile. `fetch` must not ask this cache for anything: other
        names share its lock.
        """
        path = self._path(name)
        file = _descriptor(path)
        if file is None:
            with self._waiting(path.name[:LOCK_DIGITS]):
                file = _descriptor(path)  # another process may have been faster
                if file is None:
                    file = self._written(path, fetch())
        try:
            os.utime(file)  # used now
            yield file
        finally:
            os.close(file)

    def get(self, name: str) -> bytes | None:
        """Returns the bytes called `name`, None where they are not here."""
        file = _descriptor(self._path(name))
        if file is None:
            return None
        with os.fdopen(file, "rb") as found:
            return found.read()

    def put(self, name: str, data: bytes) -> None:
        """Keeps bytes under a name."""
        os.close(self._written(self._path(name), data))

    def holds(self, name: str) -> bool:
        """Says whether bytes are here already."""
        return self._path(name).exists()

    def _path(self, name: str) -> Path:
        return self.folder / sha256(name.encode()).hexdigest()

    def _written(self, path: Path, data: bytes) -> int:
        """Returns a descriptor of bytes that are written now, opened before others may remove them."""
        with atomic(path) as temporary:
            temporary.write_bytes(data)
            file = os.open(temporary, os.O_RDONLY)
        with self._waiting("trim"):
            self._trim(self.limit - len(data), path.name)
        return file

    @contextmanager
    def _waiting(self, lock: str) -> Iterator[None]:
        """Holds a lock, whoever has it now."""
        path = make_folder(self.folder / "locks") / f"lock-{lock}"
        with writable(path.parent):
            opened = path.open("a")
        with opened as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _trim(self, room: int, newest: str) -> None:
        """Removes the files used least recently until the others, but for the newest, fit."""
        files = [
            (entry.stat(), entry.path)
            for entry in _entries(self.folder)
            if entry.name != newest and not entry.name.startswith(TEMPORARY)
        ]
        left = sum(status.st_size for status, _ in files)
        for status, path in sorted(files, key=lambda file: (file[0].st_mtime_ns, file[1])):
            if left <= room:
                return
            Path(path).unlink(missing_ok=True)
            left -= status.st_size


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if entry.is_file()]


def _descriptor(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class Near:
    """A shard of this machine; `state` changes when the file does."""

    url: str
    state: str
    cache: Cache

    def table(self) -> bytes | None:
        """Returns the members table beside the shard, None where there is none."""
        return _table(self.url)

    @contextmanager
    def whole(self) -> Iterator[BinaryIO]:
        """Yields the shard to be read from its beginning."""
        with open(self.url, "rb") as file:
            yield file

    def read(self, offset: int, length: int, chunk: Callable[[], Span]) -> bytes:  # noqa: ARG002
        """Returns bytes of the shard, fewer where it ends before."""
        file = os.open(self.url, os.O_RDONLY)
        try:
            return os.pread(file, length, offset)
        finally:
            os.close(file)


class _RangesIgnored(Exception):
    """A server sent the whole file when a range was asked for."""

    def __init__(self, data: bytes) -> None:
        self.data = data


@dataclass(frozen=True, slots=True)
class Far:
    """A shard behind an address; with another `state` what was fetched before is not used."""

    url: str
    state: str
    cache: Cache

    def table(self) -> bytes | None:
        """Returns the members table beside the shard, None where there is none."""
        try:
            with self.cache.opened(self._name("table"), lambda: _beside(self.url)) as file:
                return _read(file)
        except FileNotFoundError:
            return None

    @contextmanager
    def whole(self) -> Iterator[BinaryIO]:
        """Yields the shard to be read from its beginning; all of it is fetched."""
        with (
            self.cache.opened(self._name("whole"), self._all) as file,
            os.fdopen(os.dup(file), "rb") as whole,
        ):
            yield whole

    def read(self, offset: int, length: int, chunk: Callable[[], Span]) -> bytes:
        """Returns bytes of the shard that lie in `chunk`, which is fetched unless it is here."""
        if not self.cache.holds(self._name("whole")):
            start, end = chunk()
            name, ask = self._name(f"{start}-{end}"), partial(self._range, start, end)
            try:
                with self.cache.opened(name, ask) as file:
                    return os.pread(file, length, offset - start)
            except _RangesIgnored as answer:
                self.cache.put(self._name("whole"), answer.data)
        with self.cache.opened(self._name("whole"), self._all) as file:
            return os.pread(file, length, offset)

    def _name(self, what: str) -> str:
        return f"{self.url} {self.state} {what}"

    def _all(self) -> bytes:
        return _found(self.url)

    def _range(self, start: int, end: int) -> bytes:
        data = _found(self.url, start, end)
        if len(data) > end - start:
            raise _RangesIgnored(data)
        if len(data) < end - start:
            what = f"expected bytes {start} to {end}, found {len(data)} of them"
            raise TrainError(f"{self.url}: {what}: the shard is not the one its table tells of")
        return data


File = Near | Far


def opened(shard: Shard, cache: Cache) -> File:
    """Returns a shard as a file; TrainError where it is missing or not as long as its manifest says."""
    far = remote.is_remote(shard.url)
    try:
        state = remote.state(shard.url) if far else _state(shard.url)
    except FileNotFoundError as error:
        raise _missing(shard.url) from error
    shard.compared(state.get("size"))
    digest = sha256(repr(sorted(state.items(), key=lambda item: item[0])).encode()).hexdigest()
    return (Far if far else Near)(shard.url, digest, cache)


def _state(path: str) -> dict[str, Any]:
    status = os.stat(path)
    return {"size": status.st_size, "changed": status.st_mtime_ns, "path": os.path.abspath(path)}


def _missing(url: str) -> TrainError:
    return TrainError(f"{url}: expected a shard, found none")


def _found(url: str, start: int | None = None, end: int | None = None) -> bytes:
    try:
        return remote.read(url, start, end)
    except FileNotFoundError as error:
        raise _missing(url) from error


def _table(url: str) -> bytes | None:
    try:
        return _beside(url)
    except FileNotFoundError:
        return None


def _beside(url: str) -> bytes:
    return remote.read(url.removesuffix(".tar") + ".parquet")


def _read(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)
