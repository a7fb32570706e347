"""What `datasets.NAME.shards` names: a folder, a pattern, one tar, a list of addresses; here or far away.

A manifest in the folder of the shards says what must be there and how long it is: training never goes on
with fewer samples than the dataset has, without a word.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from glob import glob
from pathlib import Path

from braceexpand import braceexpand

from m3w_builder.errors import TrainError
from m3w_builder.flamingo.data import remote
from m3w_builder.shards import MANIFEST, OWNER, PENDING
from m3w_builder.types import KINDS, Kind

NAMED = re.compile(rf"({'|'.join(KINDS)})-")  # interleaved-000000.tar


@dataclass(frozen=True, slots=True)
class Shard:
    """Where a shard lies, and how many bytes its manifest row says it has."""

    url: str
    bytes: int | None = None

    @property
    def kind(self) -> Kind | None:
        """Returns the kind that the file's name says, None for names that are not ours."""
        found = NAMED.match(self.url.rpartition("/")[2])
        return next(kind for kind in KINDS if kind == found[1]) if found else None

    def compared(self, found: int | None) -> None:
        """Raises TrainError when the file has not the length that its manifest row says."""
        if self.bytes is not None and found is not None and found != self.bytes:
            raise TrainError(
                f"{self.url}: expected {self.bytes} bytes, as {MANIFEST} says, found {found}: "
                "copy it again, or run m3w check"
            )


def find(where: str, kind: Kind | None = None) -> list[Shard]:
    """Returns the shards that `where` names, those of one kind if it is given.

    `where`: a folder, a glob, a tar, a .txt list of addresses (a line each), with braces {000..012} or
    {a,b}; a path or an address. Raises TrainError that says what is missing.
    """
    _manifest.cache_clear()  # it may have changed since
    try:
        parts = list(braceexpand(where)) if "{" in where else [where]
    except ValueError as error:
        raise TrainError(f"{where}: expected braces like {{000..012}}: {error}") from error
    found = [shard for part in parts for shard in _named(part)]
    if kind is not None:
        found = [shard for shard in found if shard.kind in (kind, None)]
    if not found:
        what = f"{kind}-*.tar" if kind else "shards such as interleaved-000000.tar"
        raise TrainError(f"{where}: expected {what}, found none")
    return found


def kinds(where: str) -> dict[Kind, list[Shard]]:
    """Returns the shards of each kind that `where` holds, by their names."""
    found: dict[Kind, list[Shard]] = {}
    for shard in find(where):
        if shard.kind:
            found.setdefault(shard.kind, []).append(shard)
    return {kind: found[kind] for kind in KINDS if kind in found}


def _named(where: str) -> Iterator[Shard]:
    where = os.path.expanduser(where)
    name = where.rpartition("/")[2]
    if name.endswith(".txt"):
        yield from _list(where)
    elif any(sign in where for sign in "*?["):
        yield from _matching(where)
    elif name.endswith(".tar"):
        rows = {} if remote.is_remote(where) else _manifest(_parent(where))
        yield Shard(where, rows.get(name))
    else:
        yield from _folder(where.rstrip("/") or "/")


def _list(url: str) -> Iterator[Shard]:
    """Yields the shards of a list; a relative line lies beside the list."""
    try:
        lines = remote.read(url).decode("utf-8").splitlines()
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise TrainError(f"{url}: expected a list of shards, a line each (UTF-8)") from error
    for line in filter(None, map(str.strip, lines)):
        if not line.startswith("#"):
            whole = remote.is_remote(line) or line.startswith("/")
            if line.endswith(".txt"):
                raise TrainError(f"{url}: expected shards, a line each, found another list: {line}")
            yield from _named(line if whole else f"{_parent(url)}/{line}")


def _matching(pattern: str) -> Iterator[Shard]:
    folder, _, name = pattern.rpartition("/")
    rows = {} if any(sign in folder for sign in "*?[") else _manifest(folder or ".")
    if rows:
        names = [row for row in rows if fnmatchcase(row, name)]
        yield from _of(folder or ".", {row: rows[row] for row in names})
    else:
        far = remote.is_remote(pattern)
        found = remote.listed(pattern) if far else sorted(glob(pattern))
        yield from (Shard(url) for url in found if url.endswith(".tar"))


def _folder(folder: str) -> Iterator[Shard]:
    rows = _manifest(folder)
    if rows:
        yield from _of(folder, rows)
    elif not remote.is_remote(folder):
        if not Path(folder).is_dir():
            raise TrainError(f"{folder}: expected shards, found neither a folder nor a tar")
        unfinished = [name for name in (OWNER, PENDING) if (Path(folder) / name).exists()]
        if unfinished:
            what = f"found {unfinished[0]} and no {MANIFEST}: run the build to its end"
            raise TrainError(f"{folder}: expected a finished dataset, {what}")
        yield from map(Shard, sorted(glob(f"{folder}/*.tar")))
    elif folder.startswith("http"):
        what = f"found no {MANIFEST}: name the shards, as in {folder}/interleaved-{{000000..000012}}.tar"
        raise TrainError(f"{folder}: expected a finished dataset, {what}")
    else:
        yield from map(Shard, remote.listed(f"{folder}/*.tar"))


def _of(folder: str, rows: dict[str, int]) -> Iterator[Shard]:
    for name, size in sorted(rows.items()):
        yield Shard(f"{folder}/{name}", size)


@cache
def _manifest(folder: str) -> dict[str, int]:
    """Returns the length of each shard that the manifest of a folder names, {} without one."""
    url = f"{folder}/{MANIFEST}"
    try:
        rows = [json.loads(line) for line in remote.read(url).splitlines() if line.strip()]
        sizes = {row["path"]: int(row["bytes"]) for row in rows}
        if odd := [name for name in sizes if not isinstance(name, str)]:
            raise TypeError(f"path {odd[0]!r}")
        return sizes
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        what = 'a JSON object with "path" and "bytes" per line'
        raise TrainError(f"{url}: expected {what}: {error}") from error


def _parent(url: str) -> str:
    return url.rpartition("/")[0] or ("/" if url.startswith("/") else ".")


def one_kind(where: str, shards: Sequence[Shard]) -> Kind | None:
    """Returns the kind that the names say, None where none does; TrainError where they say several."""
    said = {shard.kind for shard in shards} - {None}
    if len(said) > 1:
        names = " and ".join(sorted(str(kind) for kind in said))
        raise TrainError(f"{where}: expected shards of one kind, found {names}: set its `kind`")
    return next(iter(said), None)
