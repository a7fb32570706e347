"""Atomic files: written under a temporary name that is unique per attempt, then renamed.

What the disk refuses (full, read-only, no rights) is the user's to mend: `writable` makes one line of it.
"""

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from m3w_builder.errors import OutputError

TEMPORARY = ".tmp-"  # swept by `sweep`; never part of a finished file's name

_REFUSED = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG),
    *(errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG),
}


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Raises OutputError where the disk refuses what the block writes to `folder`; other errors pass."""
    try:
        yield
    except OSError as error:
        elsewhere = isinstance(error.filename, str) and not _on_the_way(error.filename, folder)
        if error.errno not in _REFUSED or elsewhere:  # not about our files: an input, a program
            raise
        raise OutputError(
            f"{folder}: expected a folder that can be written: {os.strerror(error.errno)}; "
            "mend that and run the same command again: finished work is kept"
        ) from error


def _on_the_way(name: str, folder: Path) -> bool:
    """Says whether a file lies in a folder, or is the folder or one above it."""
    file, folder = Path(name).absolute(), folder.absolute()
    return file.is_relative_to(folder) or folder.is_relative_to(file)


def make_folder(folder: Path) -> Path:
    """Returns the folder, made with those above it unless it is there."""
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it on success, removes it on failure."""
    if path.is_dir():
        raise OutputError(f"{path}: expected a file to write, found a folder")
    temporary = make_folder(path.parent) / f"{TEMPORARY}{uuid.uuid4().hex}-{path.name}"
    with writable(path.parent):
        try:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a small text file atomically (UTF-8)."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sweep(folder: Path) -> int:
    """Removes what killed attempts left behind; returns the number of files and folders."""
    left = list(folder.rglob(f"{TEMPORARY}*"))
    for path in left:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(left)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on a file while the block runs; raises OutputError when another process does."""
    with writable(path.parent):
        opened = path.open("a")
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"{path.parent}: another build is running there; wait for it or end it"
            ) from error
        yield
