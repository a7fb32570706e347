"""Finding and reading the files of a published layout; what is missing is one line that names it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from m3w_builder.errors import InputError

Row = dict[str, Any]
NAMES = {str: "a text", int: "a number", list: "a list", dict: "an object", float: "a number"}
VIDEOS = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v")
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


class Layout:
    """A copy of a benchmark: a folder, in whose sub-folders its archives may have been unpacked."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name
        if not root.is_dir():
            raise InputError(f"{root}: expected a folder with a copy of {name}, found none")

    def find(self, *names: str) -> Path | None:
        """Returns the first of the names that is there, in the folder or one below it."""
        for name in names:
            if (self.root / name).exists():
                return self.root / name
            below = sorted(path for path in self.root.glob(f"*/{name}"))
            if below:
                return below[0]
        return None

    def need(self, *names: str) -> Path:
        """Returns the first of the names that is there; raises InputError."""
        found = self.find(*names)
        if found is None:
            raise InputError(
                f"{self.root}: expected {' or '.join(names)} of the layout of {self.name}, found"
                f" {self._there()} (docs/evaluation.md shows the layouts)"
            )
        return found

    def _there(self) -> str:
        names = sorted(path.name for path in self.root.iterdir())
        return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"


def read_json(path: Path) -> Any:
    """Returns a parsed JSON file; raises InputError."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON: {error}") from error


def rows(path: Path, key: str = "", **needed: type) -> list[Row]:
    """Returns the list of objects in a JSON file, under `key` if given; raises InputError.

    `needed` are the keys that each must have, and of what type.
    """
    found = read_json(path)
    if key:
        found = found.get(key) if isinstance(found, dict) else None
    return _checked(path, found, f' under "{key}"' if key else "", needed)


def lines(path: Path, **needed: type) -> list[Row]:
    """Returns the objects of a file with one JSON object per line; raises InputError."""
    try:
        found = [json.loads(line) for line in read_lines(path)]
    except ValueError as error:
        raise InputError(f"{path}: expected a JSON object per line: {error}") from error
    return _checked(path, found, "", needed)


def read_lines(path: Path) -> list[str]:
    """Returns the lines of a text file that are not blank; raises InputError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a text in UTF-8: {error}") from error
    return [line for line in text.split("\n") if line.strip()]


def _checked(path: Path, found: Any, where: str, needed: Mapping[str, type]) -> list[Row]:
    if not isinstance(found, list):
        raise InputError(f"{path}: expected a list of objects{where}, found {_kind(found)}")
    for number, row in enumerate(found, 1):
        if not isinstance(row, dict):
            raise InputError(f"{path}: expected an object as row {number}, found {_kind(row)}")
        for name, kind in needed.items():
            if not isinstance(row.get(name), kind):
                raise InputError(
                    f'{path}: expected "{name}" as {NAMES[kind]} in row {number}, found'
                    f" {_kind(row.get(name))}"
                )
    return found


def _kind(value: Any) -> str:
    return "none" if value is None else NAMES.get(type(value), "another value")


def texts(path: Path, row: Row, key: str, inner: str = "") -> tuple[str, ...]:
    """Returns the texts of a row: strings, or objects with the text under `inner`; raises InputError."""
    found = row.get(key)
    values = found if isinstance(found, list) else [found]
    if inner:
        values = [v.get(inner) if isinstance(v, dict) else v for v in values]
    if not all(isinstance(v, str) for v in values):
        raise InputError(f'{path}: expected texts under "{key}", found {json.dumps(found)[:80]}')
    return tuple(values)


def pictures(folder: Path) -> list[Path]:
    """Returns the picture files directly in a folder, in the order of their names."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


def video(folder: Path, name: str) -> Path:
    """Returns the file of a video by its name without suffix; the likeliest name where none is there."""
    candidates = (folder / f"{name}{suffix}" for suffix in VIDEOS)
    return next((path for path in candidates if path.exists()), folder / f"{name}.mp4")
