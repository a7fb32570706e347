"""Bytes of files, local or behind an address, and the bounded cache that ranges of remote ones lie in.

Everything fsspec knows can be read: http(s)://, gs://, s3:// and more. A range is fetched once for all
worker processes, into a file that appears whole, and the files used least recently make room.
"""

import asyncio
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import fsspec
from fsspec.core import url_to_fs

from m3w_builder.errors import TrainError
from m3w_builder.files import TEMPORARY, atomic, make_folder, writable

ATTEMPTS = 5
FIRST_WAIT = 0.5  # seconds, doubled after each attempt: 7.5 in all
CACHE_BYTES = 8 * 2**30  # two groups of 2048 documents of a megabyte and a half fit
LOCK_DIGITS = 2  # 256 locks: as many downloads at a time
PACKAGES = {"http": "aiohttp", "https": "aiohttp", "gs": "gcsfs", "gcs": "gcsfs", "s3": "s3fs"}
# What fails on its way and may work the next time; each library adds its own if it is loaded.
FAILURES: tuple[tuple[str, str], ...] = (
    ("aiohttp", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("botocore.exceptions", "BotoCoreError"),
)


def is_remote(url: str) -> bool:
    """Says whether a shard lies behind an address, not in a folder of this machine."""
    return "://" in url


def filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Returns what reads an address, and the address as it wants it; TrainError where a package lacks."""
    protocol = url.partition("://")[0]
    try:
        return url_to_fs(url)
    except ImportError as error:
        package = PACKAGES.get(protocol, "")
        hint = f"pip install {package}" if package else str(error)
        raise TrainError(f"{url}: reading {protocol}:// takes a package more: {hint}") from error
    except ValueError as error:
        raise TrainError(f"{url}: expected http(s)://, gs://, s3://, found {error}") from error


def read(url: str, start: int | None = None, end: int | None = None) -> bytes:
    """Returns a file's bytes, or those of [start, end), from an address or a path.

    From a server that ignores ranges the whole file comes: more than was asked for. Raises
    FileNotFoundError when there is no such file, TrainError when it cannot be read in `ATTEMPTS`.
    """
    if not is_remote(url):
        return Path(url).read_bytes()
    system, path = filesystem(url)
    data: bytes = attempted(url, lambda: system.cat_file(path, start=start, end=end))
    return data


def size(url: str) -> int | None:
    """Returns the bytes of a file, None where a server does not say; FileNotFoundError without one."""
    if not is_remote(url):
        return os.stat(url).st_size
    system, path = filesystem(url)
    found: int | None = attempted(url, lambda: system.info(path)).get("size")
    return found


def listed(pattern: str) -> list[str]:
    """Returns the addresses that match a pattern, sorted."""
    system, path = filesystem(pattern)
    found = attempted(pattern, lambda: system.glob(path))
    return sorted(system.unstrip_protocol(name) for name in found)


def attempted(url: str, ask: Callable[[], Any]) -> Any:
    """Returns what `ask` does, asked again when the network fails; TrainError that names the address."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(FIRST_WAIT * 2 ** (attempt - 1))
        try:
            return ask()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise  # asking again does not bring it
        except _failures() as error:
            last = error
    what = " ".join(str(last).split())[:160] or type(last).__name__
    raise TrainError(f"{url}: cannot be read after {ATTEMPTS} attempts: {what}") from last


def _failures() -> tuple[type[Exception], ...]:
    loaded = [(sys.modules[name], error) for name, error in FAILURES if name in sys.modules]
    return (OSError, asyncio.TimeoutError, *(getattr(module, error) for module, error in loaded))


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of fetched bytes, shared by processes, of at most `limit` bytes (one file may be more)."""

    folder: Path
    limit: int = CACHE_BYTES

    @contextmanager
    def opened(self, name: str, fetch: Callable[[], bytes]) -> Iterator[int]:
        """Yields a descriptor of the bytes called `name`, fetched by one process if none has them.

        It stays readable whatever is removed meanwhile.
        """
        path = self.folder / sha256(name.encode()).hexdigest()
        file = _descriptor(path)
        if file is None:
            with self._waiting(path.name):
                file = _descriptor(path)  # another process may have been faster
                if file is None:
                    data = fetch()
                    with atomic(path) as temporary:
                        temporary.write_bytes(data)
                    file = os.open(path, os.O_RDONLY)
                    with self._waiting("trim"):
                        self._trim(path.name)
        try:
            os.utime(file)  # used now
            yield file
        finally:
            os.close(file)

    def holds(self, name: str) -> bool:
        """Says whether bytes are here already."""
        return (self.folder / sha256(name.encode()).hexdigest()).exists()

    @contextmanager
    def _waiting(self, name: str) -> Iterator[None]:
        """Holds the lock of `name`, whoever has it now; few files are enough for all names."""
        lock = self.folder / "locks" / (name[:LOCK_DIGITS])
        make_folder(lock.parent)
        with writable(lock.parent):
            opened = lock.open("a")
        with opened as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _trim(self, newest: str) -> None:
        """Removes the files used least recently until the rest fit."""
        files = [
            (entry.stat(), entry.path)
            for entry in _entries(self.folder)
            if entry.name != newest and not entry.name.startswith(TEMPORARY)
        ]
        left = sum(status.st_size for status, _ in files)
        left += (self.folder / newest).stat().st_size
        for status, path in sorted(files, key=lambda file: (file[0].st_mtime_ns, file[1])):
            if left <= self.limit:
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
