"""What other settings would keep: the yield of a finished build beside that of its scores decided anew.

Only `select` runs, from what `extract` and `fetch` stored: no page is read again, nothing is fetched, and
the shards stay as they are.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from m3w_builder import stages
from m3w_builder.config import Config, load, parse
from m3w_builder.errors import ConfigError, InputError
from m3w_builder.shards import CONFIG, OWNER, read_config, read_manifest
from m3w_builder.stages import Stage, finished_files
from m3w_builder.tables import read_table
from m3w_builder.tombstones import with_removed
from m3w_builder.types import KINDS
from m3w_builder.waterfall import waterfall
from m3w_builder.write import documents_at

EXAMPLES = 5  # documents of a kind that are named, gained and lost
# The tables that decide nothing in select, and the first stage that a change of them asks for.
# Who decides by a setting, where it is not select.
STAGES = {"extract": "extract", "rights": "fetch", "fetch": "fetch", "write": "write"}
STAGES |= {"safety.word_lists": "extract", "safety.text_scorer": "extract", "capfilt": "capfilt"}
STAGES |= dict.fromkeys(("rights.licences", "rights.removed", "capfilt.min_match"), "select")

Json = dict[str, Any]
Key = tuple[str, str]  # kind and id


@dataclass(frozen=True)
class Built:
    """A finished build: its configuration and its select stage, with those behind it."""

    config: Config
    select: Stage
    source: Stage  # what select reads: fetch, or the capfilt stage behind it
    fetch: Stage
    extract: Stage
    work: Path

    def waterfall(self, select: Stage) -> Json:
        """Returns the waterfall that a select stage of this build's scores gives."""
        return waterfall(self.extract.counts(), self.fetch.counts(), select.counts())


def open_build(output: Path, work: Path | None = None) -> Built:
    """Returns a finished build by its output folder; InputError for what is missing, in one line.

    A work folder that was moved as a whole is found again: `work` says where.
    """
    read_manifest(output)
    table = read_config(output)
    if table is None:
        raise InputError(f"{output}: expected the {CONFIG} of a build, found none; build it again")
    work = work or output / "work"
    owner = output / OWNER
    # A takedown marks the name: "write-..., changed since".
    name = owner.read_text().partition(",")[0].strip() if owner.is_file() else ""
    if not name or not (work / name / "stage.json").is_file():
        raise InputError(
            f"{work}: expected the work folder of the build ({name or 'write-...'} in it), found none; "
            "--work says where it is; without it the scores are gone: build again"
        )
    select = _behind(stages.load(work / name), "select", work)
    source = _behind(select, next(iter(select.parents)), work)
    fetch = source if source.name == "fetch" else _behind(source, "fetch", work)
    extract = _behind(fetch, "extract", work)
    config = parse(table, str(output / CONFIG))
    config = config.model_copy(update={"rights": with_removed(config.rights, output)})
    return Built(config, select, source, fetch, extract, work)


def _behind(stage: Stage, name: str, work: Path) -> Stage:
    """Returns an earlier stage, in `work` before where it once was, its own parents likewise."""
    while name not in stage.parents:
        if not stage.parents:
            raise InputError(f"{stage.folder}: has no {name} stage behind it")
        stage = _here(next(iter(stage.parents.values())), work)
    return _here(stage.parents[name], work)


def _here(recorded: str, work: Path) -> Stage:
    folder = work / Path(recorded).name
    found = stages.load(folder if folder.exists() else Path(recorded))
    moved = {name: work / Path(path).name for name, path in found.parents.items()}
    return replace(
        found,
        parents={
            name: str(moved[name].resolve()) if moved[name].exists() else path
            for name, path in found.parents.items()
        },
    )


def settings(built: Config, file: Path | None, changes: Iterable[str]) -> Config:
    """Returns the configuration to try: a file's, or the build's, with changes ("rules.min_words=30").

    ConfigError for a key that does not exist, and for one that select does not decide by.
    """
    base = load(file) if file else built
    table = base.model_dump(mode="json")
    for change in changes:
        table = _merged(table, _parsed(change))
    wanted = parse(table, "--set")
    for name, section in built:
        for key, value in section:
            stage = STAGES.get(f"{name}.{key}", STAGES.get(name, "select"))
            new = getattr(getattr(wanted, name), key)
            if new != value and stage != "select":
                raise ConfigError(
                    f"{name}.{key}: {value!r} in the build, {new!r} asked for: {stage} would have to "
                    "run again (m3w build); whatif changes what select decides by"
                )
    return wanted


def _parsed(change: str) -> Json:
    key, equals, _ = change.partition("=")
    if not equals or "." not in key:
        raise ConfigError(f"--set {change}: expected TABLE.KEY=VALUE, as in rules.min_words=30")
    try:
        return tomllib.loads(change)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"--set {change}: expected a TOML value, text in quotes ('a.b=\"c\"'): {error}"
        ) from error


def _merged(table: Json, change: Json) -> Json:
    """Returns a table with another laid over it, tables inside likewise."""
    return {
        **table,
        **{
            key: _merged(table[key], value)
            if isinstance(value, dict) and isinstance(table.get(key), dict)
            else value
            for key, value in change.items()
        },
    }


def changed(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """Returns the settings that differ, by their full key: (old, new), None where it is not set."""
    before, after = (dict(_leaves(config.model_dump(mode="json"))) for config in (old, new))
    return {
        key: (before.get(key), after.get(key))
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    }


def _leaves(table: Json, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@dataclass(frozen=True)
class Difference:
    """One line of two waterfalls."""

    section: str
    name: str  # of the step or reason
    old: int
    new: int
    drop: bool

    @property
    def change(self) -> int:
        return self.new - self.old


def differences(old: Json, new: Json) -> list[Difference]:
    """Returns the lines of two waterfalls: per section its steps in order, then its reasons by effect."""
    found: list[Difference] = []
    for section, before, after in _paired(old["sections"], new["sections"], "section"):
        steps = _paired(before.get("steps", ()), after.get("steps", ()), "name")
        found += [
            Difference(section, name, a.get("count", 0), b.get("count", 0), drop=False)
            for name, a, b in steps
        ]
        reasons = [
            Difference(section, name, a.get("count", 0), b.get("count", 0), drop=True)
            for name, a, b in _paired(before.get("drops", ()), after.get("drops", ()), "reason")
        ]
        found += sorted(reasons, key=lambda d: (-abs(d.change), -max(d.old, d.new), d.name))
    return found


def _paired(old: Iterable[Json], new: Iterable[Json], key: str) -> Iterator[tuple[str, Json, Json]]:
    before, after = {item[key]: item for item in old}, {item[key]: item for item in new}
    for name in dict.fromkeys((*before, *after)):
        yield name, before.get(name, {}), after.get(name, {})


@dataclass
class Side:
    """Documents of one kind that are gained, or lost: how many, and a few of them (id, url, reason, detail)."""

    count: int = 0
    examples: list[Json] = field(default_factory=list)


def sides(old: Stage, new: Stage, extract: Stage) -> dict[str, dict[str, Side]]:
    """Returns per kind what another select stage would gain and lose, the smallest ids named.

    The reason is why the other stage drops it. Id ranges are read one after the other where both
    stages have the same: memory holds one of them.
    """
    found: dict[str, dict[str, Side]] = {kind: {"gained": Side(), "lost": Side()} for kind in KINDS}
    for before, after in _ranges(old.folder, new.folder):
        was, now = _selected(before), _selected(after)
        for change, rows, dropped in (
            ("gained", _without(now, was), before),
            ("lost", _without(was, now), after),
        ):
            named = []
            for row in rows:
                side = found[row["kind"]][change]
                side.count += 1
                if len(side.examples) < EXAMPLES:
                    example = {"id": row["id"]}
                    side.examples.append(example)
                    named.append((row, example))
            _explain(named, dropped, extract)
    return found


def _without(rows: Mapping[Key, Json], others: Mapping[Key, Json]) -> list[Json]:
    return [rows[key] for key in sorted(rows.keys() - others.keys())]


def _explain(named: Sequence[tuple[Json, Json]], dropped: Iterable[Path], extract: Stage) -> None:
    """Adds to examples the URL of their row's document, and why it is in the rejects beside selected files."""
    examples = {row["id"]: example for row, example in named}
    for key, document in documents_at([row for row, _ in named], extract.folder / "documents"):
        examples[key] |= {"url": document.url, "reason": "", "detail": ""}
    for path in dropped if examples else ():
        for row in read_table(path.parents[1] / "rejects" / path.name, "rejects"):
            example = examples.get(row["id"])
            if example and example["url"] == row["url"]:  # not of one of its nodes
                example |= {"reason": row["reason"], "detail": row["detail"]}


def _ranges(old: Path, new: Path) -> Iterator[tuple[list[Path], list[Path]]]:
    """Yields the files of equal id ranges of two select stages: one by one, or all at once."""
    before, after = finished_files(old, "selected"), finished_files(new, "selected")
    if [p.name for p in before] == [p.name for p in after]:
        yield from (([a], [b]) for a, b in zip(before, after, strict=True))
    else:
        yield before, after


def _selected(files: Iterable[Path]) -> dict[Key, Json]:
    """Returns the rows (id, kind, file, row) of selected documents by kind and id."""
    columns = ["id", "kind", "file", "row"]
    rows = (row for path in files for row in pq.read_table(path, columns=columns).to_pylist())
    return {(row["kind"], row["id"]): row for row in rows}
