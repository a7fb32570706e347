"""What to build from: files, folders and patterns to units of work.

Units cover every byte of the input once and depend on nothing but the files, so that any number of workers finds the
same work. A unit of saved HTML is a stretch of the sorted listing of its folder; one of URLs is a stretch of the list.
"""

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from m3w_builder.errors import InputError
from m3w_builder.inputs.saved import HTML_ENDINGS, html_files
from m3w_builder.inputs.sniff import is_html
from m3w_builder.warc.stream import TAIL, File, starts_record

RANGE_BYTES = 16 * 2**20  # of a WARC file in one unit
PAGES_PER_UNIT = 200  # saved pages
URLS_PER_UNIT = 100
WARC_ENDINGS = (".warc", ".warc.gz", ".arc", ".arc.gz")
EXPECTED = "expected WARC or ARC files, saved HTML, a folder of these, or a list of URLs"
_URL_LINE = re.compile(r"https?://\S", re.IGNORECASE)

Kind = Literal["warc", "html", "urls"]


@dataclass(frozen=True, order=True)
class Unit:
    """A piece of the input: bytes [start, end) of a WARC file, or entries [start, end) of a listing."""

    kind: Kind
    path: str  # absolute
    start: int
    end: int


def plan(patterns: Sequence[str], *, range_bytes: int = RANGE_BYTES) -> list[Unit]:
    """Returns the units of files, folders and glob patterns; raises InputError for what is missing, empty or unknown.

    A file that several patterns name is read once. Empty files among others are passed over.
    """
    units = {unit for pattern in patterns for unit in _units(pattern, range_bytes)}
    if not units:
        raise InputError(f"no input: {EXPECTED}")
    return sorted(units)


def _units(pattern: str, range_bytes: int) -> list[Unit]:
    found = sorted(_expand(pattern))
    units = [unit for path in found for unit in _of_path(path, range_bytes)]
    if not units:
        what = "only empty files" if len(found) > 1 else "an empty file"
        what = "a folder without any" if os.path.isdir(found[0]) else what
        raise InputError(f"{pattern}: {EXPECTED}; found {what}")
    return units


def _expand(pattern: str) -> list[str]:
    path = os.path.expanduser(pattern)
    found = [path] if os.path.exists(path) else glob.glob(path, recursive=True)
    if not found:
        raise InputError(f"{pattern or '--input'}: {EXPECTED}; found nothing there: check the path")
    return [os.path.abspath(path) for path in found]


def _of_path(path: str, range_bytes: int) -> list[Unit]:
    if os.path.isdir(path):
        return _of_folder(path, range_bytes)
    size = os.path.getsize(path)
    if not size:
        return []
    if not os.access(path, os.R_OK):
        raise InputError(
            f"{path}: {EXPECTED}; found a file that may not be read: check its permissions"
        )
    kind = _kind(path)
    if kind == "warc":
        return _cut(kind, path, size, range_bytes)
    if kind == "html":
        return [Unit(kind, path, 0, 1)]
    return _cut(kind, path, len(_url_lines(path)), URLS_PER_UNIT)


def _of_folder(path: str, range_bytes: int) -> list[Unit]:
    warcs = sorted(
        file for file in Path(path).rglob("*") if file.name.lower().endswith(WARC_ENDINGS)
    )
    units = [unit for file in warcs if file.is_file() for unit in _of_path(str(file), range_bytes)]
    html_files.cache_clear()  # a plan sees the folder as it is now
    return [*units, *_cut("html", path, len(html_files(path)), PAGES_PER_UNIT)]


def _cut(kind: Kind, path: str, size: int, step: int) -> list[Unit]:
    return [Unit(kind, path, start, min(start + step, size)) for start in range(0, size, step)]


def _kind(path: str) -> Kind:
    """Returns what a file is: by its name when that says so, else by how it begins."""
    name = path.lower()
    if name.endswith(".wacz"):
        raise InputError(
            f"{path}: {EXPECTED}; found WACZ: unzip it and name the archive/*.warc.gz in it"
        )
    if name.endswith(WARC_ENDINGS):
        return "warc"
    if name.endswith(HTML_ENDINGS):
        return "html"
    with File(path) as file:
        if starts_record(file, 0):
            return "warc"
        head = bytes(file.view(0, TAIL))
    if is_html(head):
        return "html"
    lines = _meaningful(head.decode("utf-8-sig", "replace"))
    if not lines or _URL_LINE.match(lines[0]):
        return "urls"
    raise InputError(f"{path}: {EXPECTED}; found a file that starts with {head[:24]!r}")


def _meaningful(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _url_lines(path: str) -> list[str]:
    return _meaningful(Path(path).read_text(encoding="utf-8-sig", errors="replace"))


def read_urls(unit: Unit) -> list[str]:
    """Returns the lines of a URL list that belong to the unit, without comments; they may be no URLs."""
    return _url_lines(unit.path)[unit.start : unit.end] if unit.kind == "urls" else []
