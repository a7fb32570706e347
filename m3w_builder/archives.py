"""Archives that the user names as a fallback: what they hold of a URL that is gone from the live web.

An archive is a WARC or ARC file, which is read through once for its addresses, or an index beside such files: CDX
(pywb's and OpenWayback's 9 or 11 columns, or what its header says) or CDXJ (a JSON object a line).
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from glob import glob
from pathlib import Path

from m3w_builder.errors import InputError
from m3w_builder.tables import Row, flat_row
from m3w_builder.types import Resource
from m3w_builder.urls import canonical
from m3w_builder.warc import Record, read_records
from m3w_builder.warc.stream import File, starts_record

ENDINGS = (".cdx", ".cdxj")
EXPECTED = "expected WARC or ARC files, or CDX or CDXJ indexes of them"
# Columns by the letters of a CDX header: a original URL, b time, s status, V offset, g file name.
_ELEVEN, _NINE = "NbamskrMSVg", "NbamskrVg"
NOWHERE = -2  # the offset of an index line that has none
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")


def plan(patterns: Sequence[str]) -> list[Path]:
    """Returns the files of some paths and globs, sorted; raises InputError where there are none."""
    found: set[Path] = set()
    for pattern in patterns:
        paths = [Path(name).absolute() for name in glob(pattern, recursive=True)]
        if not paths:
            raise InputError(f"{pattern}: {EXPECTED}; found nothing there: check the path")
        found.update(path for path in paths if path.is_file())
    for path in found:
        _expect_archive(path)
    return sorted(found)


def _expect_archive(path: Path) -> None:
    """Raises InputError for a file that is neither an archive nor named as an index."""
    if path.suffix in ENDINGS or not path.stat().st_size:
        return
    with File(str(path)) as file:
        if not starts_record(file, 0):
            raise InputError(f"{path}: {EXPECTED}; found another kind of file")


def captures(path: Path) -> Iterator[tuple[str, Row]]:
    """Yields (URL, resources row) for each good answer that an archive or an index names."""
    found = _indexed(path) if path.suffix in ENDINGS else _recorded(path)
    for resource in found:
        if resource.url and resource.status == 200 and resource.offset >= 0:
            yield resource.url, flat_row(resource)


def _recorded(path: Path) -> Iterator[Resource]:
    for record in read_records(str(path), max_body=0, wanted=lambda _: False):
        if isinstance(record, Record):
            yield Resource(
                canonical(record.url),
                str(path),
                record.offset,
                record.status,
                record.content_type,
                record.date,
                record.record_id,
            )


def _indexed(path: Path) -> Iterator[Resource]:
    letters = ""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if line.lstrip().startswith("CDX "):
                letters = "".join(line.split()[1:])
            elif line.strip() and not line.startswith("!"):
                fields = _json_fields(line) or _fields(line, letters)
                if fields is None:
                    raise InputError(
                        f"{path}, line {number}: {EXPECTED}; found {line.strip()[:60]!r}"
                    )
                yield _resource(fields, path)


def _json_fields(line: str) -> Mapping[str, str] | None:
    """Returns the fields of a CDXJ line: key, time and an object."""
    _, brace, rest = line.partition("{")
    if not brace or len(words := line.partition("{")[0].split()) != 2:
        return None
    try:
        found = json.loads(brace + rest)
    except ValueError:
        return None
    return {**{name: str(value) for name, value in found.items()}, "timestamp": words[1]}


def _fields(line: str, letters: str) -> Mapping[str, str] | None:
    words = line.split()
    letters = letters or {11: _ELEVEN, 9: _NINE}.get(len(words), "")
    if not letters or len(words) != len(letters):
        return None
    by_letter = dict(zip(letters, words, strict=True))
    names = {
        "a": "url",
        "b": "timestamp",
        "m": "mime",
        "s": "status",
        "V": "offset",
        "g": "filename",
    }
    return {name: by_letter.get(letter, "") for letter, name in names.items()}


def _resource(fields: Mapping[str, str], index: Path) -> Resource:
    time = _TIME.match(fields.get("timestamp", ""))
    date = "{}-{}-{}T{}:{}:{}Z".format(*time.groups()) if time else ""
    status, offset = fields.get("status", ""), fields.get("offset", "")
    return Resource(
        canonical(fields.get("url", "")),
        str(_beside(index, fields.get("filename", ""))),
        int(offset) if offset.isdecimal() else NOWHERE,
        int(status) if status.isdecimal() else 0,
        fields.get("mime", ""),
        date,
        fields.get("digest", ""),
    )


def _beside(index: Path, name: str) -> Path:
    """Returns the file an index names: as it says from the index's folder, beside it, or in archive/."""
    folders = (index.parent / name, index.parent / Path(name).name)
    others = (index.parent.parent / "archive" / Path(name).name,)
    return next((path for path in (*folders, *others) if path.is_file()), folders[0])
