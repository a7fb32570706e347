"""What a unit of fetch has so far, on disk: a killed unit goes on where it was, nothing is fetched twice.

    NAME.bytes   the bodies, one after the other, in the order of arrival
    NAME.rows    a JSON line per finished URL, with the places of its bodies

A body is written before its row, and the row counts only if it is whole and its bodies have their digests:
neither a killed process nor a lost page of the disk's cache can make a wrong row.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Self

from m3w_builder.files import TEMPORARY, make_folder
from m3w_builder.tables import media, media_row
from m3w_builder.types import Frame, Media

Key = tuple[str, str]  # URL and kind


class Journal:
    """The journal of one unit; `path` has no suffix. A block holds it: one attempt at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self.rows: dict[Key, Media] = {}

    def __enter__(self) -> Self:
        make_folder(self._path.parent)
        self._lines = self._opened(".rows")
        if not _is_ours(self._lines):  # another attempt at this unit runs, elsewhere or left alone
            self._lines.close()
            self._path = self._path.with_name(f"{TEMPORARY}{os.urandom(8).hex()}")
            self._lines = self._opened(".rows")
            fcntl.flock(self._lines, fcntl.LOCK_EX)
        self._bytes = self._opened(".bytes")
        self._recover()
        return self

    def __exit__(self, *_: object) -> None:
        self._bytes.close()
        self._lines.close()

    def _opened(self, suffix: str) -> BinaryIO:
        number = os.open(self._file(suffix), os.O_RDWR | os.O_CREAT, 0o644)
        return os.fdopen(number, "r+b", buffering=0)

    def _file(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)

    def _recover(self) -> None:
        """Reads the rows of an earlier attempt up to the first that is not whole; forgets the rest."""
        good = end = 0
        for line in self._whole_lines():
            try:
                row = media(json.loads(line))
            except (ValueError, KeyError, TypeError):  # torn, or of another version
                break
            if not all(self._is_there(*place) for place in _places(row)):
                break
            self.rows[row.url, row.kind] = row
            good += len(line)
            end = max([end, *(offset + length for offset, length, _ in _places(row))])
        self._lines.truncate(good)
        self._lines.seek(good)
        self._bytes.truncate(end)
        self._end = end

    def _whole_lines(self) -> Iterator[bytes]:
        with self._file(".rows").open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    return
                yield line

    def _is_there(self, offset: int, length: int, digest: str) -> bool:
        return sha256(self.read(offset, length)).hexdigest() == digest

    def set_aside(self, body: bytes) -> tuple[int, int]:
        """Writes a body and returns its place (offset and length)."""
        with self._lock:
            offset = self._end
            self._end += len(body)
        view = memoryview(body)
        at = offset
        while view:
            written = os.pwrite(self._bytes.fileno(), view, at)
            view, at = view[written:], at + written
        return offset, len(body)

    def add(self, row: Media) -> None:
        """Notes that a URL is done; its bodies were set aside before."""
        fields = media_row(row)
        line = json.dumps(fields, ensure_ascii=True).encode() + b"\n"
        with self._lock:
            self._lines.write(line)
            self.rows[row.url, row.kind] = row

    def read(self, offset: int, length: int) -> bytes:
        """Returns the bytes at a place, fewer where the file ends."""
        return os.pread(self._bytes.fileno(), length, offset)


def remove(path: Path) -> None:
    """Removes a journal, when all that it holds is in its place."""
    for suffix in (".rows", ".bytes"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _is_ours(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _places(row: Media) -> list[tuple[int, int, str]]:
    """Returns offset, length and digest of the bodies of a row."""
    if row.status != "ok":
        return []
    kept: list[Media | Frame] = [*row.frames] if row.kind == "video" else [row]
    return [(item.offset, item.length, item.sha256) for item in kept]
