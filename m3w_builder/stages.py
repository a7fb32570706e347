"""Stages on disk: units of work that commit, and a `stage.json`, written last, that means "finished".

    WORK/extract-<digest>/commits/<unit>.json    one per finished unit: its true counts
    WORK/extract-<digest>/stage.json             digest, parents, summed counts

A stage's digest covers its configuration, its inputs and the code version: the same work is found again, other work
never is. Counts live in commit records and not in Beam's counters, which a replayed or retried bundle doubles or loses.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from m3w_builder import __version__
from m3w_builder.errors import InputError
from m3w_builder.files import make_folder, sweep, writable, write_text

Counts = Mapping[str, int]


@dataclass(frozen=True)
class Stage:
    """One stage's folder, named by what was asked of it."""

    folder: Path
    name: str
    parents: dict[str, str] = field(default_factory=dict)  # stage name -> folder

    @property
    def finished(self) -> bool:
        return (self.folder / "stage.json").is_file()

    @property
    def finished_at(self) -> float:
        """Returns when the stage was finished, in seconds of the epoch."""
        return (self.folder / "stage.json").stat().st_mtime

    @property
    def retries(self) -> int:
        """Returns how often what failed was tried again after the stage was finished."""
        return int(_read(self.folder).get("retries", 0)) if self.finished else 0

    def retried(self, number: int) -> list[str]:
        """Returns the units whose n-th retry is committed."""
        ending = f"-{number}"
        found = (self.folder / "retries").glob(f"[!.]*{ending}")
        return sorted(path.name.removesuffix(ending) for path in found)

    @property
    def digest(self) -> str:
        """Returns what the stages behind this one depend on: what was asked, and how often."""
        asked, retries = self.folder.name.removeprefix(f"{self.name}-"), self.retries
        return f"{asked}.{retries}" if retries else asked

    def parent(self, name: str) -> "Stage":
        """Returns an earlier stage that this one was made from, however far back."""
        if name in self.parents:
            return load(Path(self.parents[name]))
        for folder in self.parents.values():
            return load(Path(folder)).parent(name)
        raise InputError(f"{self.folder}: has no {name} stage behind it")

    def files(self, kind: str) -> list[Path]:
        """Returns the finished files of a subfolder (documents, packs, ...), sorted by name."""
        return finished_files(self.folder, kind)

    def commits(self) -> dict[str, Counter[str]]:
        """Returns the counts of every finished unit, by unit."""
        return {p.stem: Counter(json.loads(p.read_text())) for p in self.files("commits")}

    def counts(self) -> Counter[str]:
        """Returns the summed counts of a finished stage."""
        return Counter(_read(self.folder)["counts"])

    def finish(self, *, retries: int = 0) -> None:
        """Declares the stage finished; removes what killed attempts left."""
        sweep(self.folder)
        total: Counter[str] = sum(self.commits().values(), Counter())
        record = {
            "name": self.name,
            "parents": self.parents,
            "counts": dict(sorted(total.items())),
            "version": __version__,
            **({"retries": retries} if retries else {}),
        }
        write_text(self.folder / "stage.json", json.dumps(record, indent=1))


def finished_files(folder: Path, kind: str) -> list[Path]:
    """Returns the finished files of a subfolder of a stage's folder, sorted by name."""
    return sorted(p for p in (folder / kind).glob("*") if not p.name.startswith("."))


def open_stage(work: Path, name: str, asked: Iterable[str], parents: Iterable[Stage] = ()) -> Stage:
    """Returns the stage for what is asked (strings that fix its output), finished or not."""
    parents = list(parents)
    key = "\n".join([__version__, *asked, *(parent.digest for parent in parents)])
    folder = make_folder(work / f"{name}-{sha256(key.encode()).hexdigest()[:16]}")
    return Stage(folder, name, {parent.name: str(parent.folder.resolve()) for parent in parents})


def load(folder: Path) -> Stage:
    """Returns a finished stage; raises InputError when the folder is none."""
    record = _read(folder)
    return Stage(folder, record["name"], record["parents"])


def _read(folder: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((folder / "stage.json").read_text())
    except FileNotFoundError as error:
        raise InputError(
            f"{folder}: expected the folder of a finished stage, found no stage.json"
        ) from error
    return record


def is_committed(folder: Path, unit: str) -> bool:
    """Says whether a unit's work is done."""
    return _commit(folder, unit).exists()


def _commit(folder: Path, unit: str) -> Path:
    return folder / "commits" / f"{unit}.json"


def run_unit(folder: Path, unit: str, work: Callable[[], Counts], *, retry: int = 0) -> str:
    """Does a unit's work unless it is committed; returns the unit. `work` writes its files atomically.

    The n-th retry of a committed unit replaces its commit, once.
    """
    commit = _commit(folder, unit)
    done = folder / "retries" / f"{unit}-{retry}"
    if not (done if retry else commit).exists():
        with writable(folder):
            counts = work()
        write_text(commit, json.dumps(dict(sorted(counts.items()))))
        if retry:
            write_text(done, "")
    return unit


def unit_name(*parts: object) -> str:
    """Returns the file name of a unit: a digest of what defines it."""
    return sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]
