"""Bytes behind an address, or of a file: everything fsspec knows, asked again when the network fails.

http(s):// takes the package aiohttp, gs:// gcsfs, s3:// s3fs.
"""

import errno
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
from fsspec.core import url_to_fs

from m3w_builder.errors import TrainError

ATTEMPTS = 5
FIRST_WAIT = 0.5  # seconds, doubled after each attempt: 7.5 in all
ABSENT = (401, 403, 404, 410)  # HTTP
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
        found: tuple[fsspec.AbstractFileSystem, str] = url_to_fs(url)
    except ImportError as error:
        package = PACKAGES.get(protocol, "")
        hint = f"pip install {package}" if package else str(error)
        raise TrainError(f"{url}: reading {protocol}:// takes a package more: {hint}") from error
    except ValueError as error:
        raise TrainError(f"{url}: expected http(s)://, gs://, s3://, found {error}") from error
    return found


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


def state(url: str) -> dict[str, Any]:
    """Returns what a server says of a file: its "size" mostly, and what changes when the file does."""
    system, path = filesystem(url)
    found: dict[str, Any] = attempted(url, lambda: system.info(path))
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
        except _failures() as error:
            last = _cause(error)
            if _is_absent(last):
                raise FileNotFoundError(
                    errno.ENOENT, "missing, or not ours to read", url
                ) from error
    what = " ".join(str(last).split())[:160] or type(last).__name__
    raise TrainError(f"{url}: cannot be read after {ATTEMPTS} attempts: {what}") from last


def _cause(error: Exception) -> Exception:
    """Returns what failed: asked for a file's length, fsspec says of every failure that there is no file."""
    found = error.__cause__
    return found if isinstance(error, FileNotFoundError) and isinstance(found, Exception) else error


def _is_absent(error: Exception) -> bool:
    """Says whether asking again does not bring a file.

    Object stores say "forbidden" of what is missing to those who may not list.
    """
    kinds = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
    return isinstance(error, kinds) or getattr(error, "status", 0) in ABSENT


def _failures() -> tuple[type[Exception], ...]:
    loaded = [(sys.modules[name], error) for name, error in FAILURES if name in sys.modules]
    return (OSError, *(getattr(module, error) for module, error in loaded))
