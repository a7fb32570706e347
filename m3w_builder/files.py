"""Atomic files: written under a temporary name that is unique per attempt, then renamed.

Files of the user that are read once per process: lists that every page is compared with.

What the disk refuses (full, read-only, no rights) is the user's to mend: `writable` makes one line of it.
"""

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from m3w_builder.errors import OutputError

T = TypeVar("T")
Paths = tuple[str, ...]
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


class ReadOnce(Generic[T]):
    """What files hold, by the paths that a configuration has: read once in a process, asked for any number of times.

    `current` looks at the files and reads them again if they have changed. Stages ask it for the digest that their
    folder is known by; after that a call makes no system call, and a process that works lives for one stage.
    """

    KEPT = 2  # configurations

    def __init__(
        self, read: Callable[[Paths], T], files: Callable[[Paths], Paths] = lambda paths: paths
    ) -> None:
        """`files` finds the files of the paths, `read` reads those; both may raise ConfigError."""
        self._read = read
        self._files = files
        self._known: dict[Paths, tuple[object, T]] = {}

    def __call__(self, paths: Paths) -> T:
        known = self._known.get(paths)
        return known[1] if known else self.current(paths)

    def current(self, paths: Paths) -> T:
        """Returns what the files hold now."""
        files = self._files(paths)
        state = [(file, _state(file)) for file in files]
        known = self._known.get(paths)
        if known is None or known[0] != state:
            known = state, self._read(files)
            others = [item for item in self._known.items() if item[0] != paths]
            self._known = dict([*others, (paths, known)][-self.KEPT :])
        return known[1]


def _state(path: str) -> tuple[int, int] | None:
    try:
        status = Path(path).stat()
    except OSError:  # reading it tells what is wrong
        return None
    return status.st_mtime_ns, status.st_size
