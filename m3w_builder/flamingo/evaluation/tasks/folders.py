"""Any folder of pictures, and finished shards of ours.

    captions.jsonl | captions.csv | metadata.jsonl    file_name, caption (or text, captions)      -> captioning
    questions.jsonl | questions.csv                   file_name, question, answers (or answer)    -> VQA
    CLASS/picture.jpg ...                             a sub-folder per class                      -> classification

A folder has one set; query and support are drawn from it (`run.parted`).
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from m3w_builder.errors import InputError
from m3w_builder.flamingo.data.examples import SampleError, nodes
from m3w_builder.flamingo.evaluation.cases import Case, Cases, Form, Media, MediaKind
from m3w_builder.flamingo.evaluation.tasks.files import (
    VIDEOS,
    Layout,
    Row,
    lines,
    pictures,
    texts,
)
from m3w_builder.shards import open_dataset, open_index

CAPTIONS = ("captions.jsonl", "captions.csv", "metadata.jsonl", "metadata.csv")
QUESTIONS = ("questions.jsonl", "questions.csv")
FILE_KEYS = ("file_name", "image", "file", "path")
CAPTION_KEYS = ("captions", "caption", "text")


def form_of(root: Path) -> Form:
    """Returns what a folder asks for, by what lies in it; raises InputError."""
    if not root.is_dir():
        raise InputError(f"{root}: expected a folder of pictures, found none")
    if any((root / name).is_file() for name in CAPTIONS):
        return "caption"
    if any((root / name).is_file() for name in QUESTIONS):
        return "question"
    if any(path.is_dir() and pictures(path) for path in root.iterdir()):
        return "class"
    raise InputError(
        f"{root}: expected captions.jsonl, captions.csv, questions.jsonl, or a sub-folder of pictures"
        " per class, found none of them"
    )


def folder(root: Path, split: str) -> Cases:
    """Returns the cases of any folder; `split` is a sub-folder of it, or ""."""
    root = root / split
    form = form_of(root)
    layout = Layout(root, "a folder of pictures")
    if form == "class":
        return _classes(root)
    file = layout.need(*(CAPTIONS if form == "caption" else QUESTIONS))
    if form == "caption":
        return Cases(_captioned(root, file), ())
    cases = []
    for number, row in enumerate(_table(file), 1):
        name = _first(file, row, number, FILE_KEYS)
        key = "answers" if row.get("answers") else "answer"
        question = _first(file, row, number, ("question",))
        cases.append(Case(f"{name}/{number}", _media(root, name), texts(file, row, key), question))
    return Cases(cases, ())


def _captioned(root: Path, file: Path) -> list[Case]:
    """Returns a case per picture; several rows of one picture are several captions of it."""
    said = dict[str, tuple[str, ...]]()
    for number, row in enumerate(_table(file), 1):
        name = _first(file, row, number, FILE_KEYS)
        key = next((key for key in CAPTION_KEYS if row.get(key)), CAPTION_KEYS[1])
        said[name] = (*said.get(name, ()), *texts(file, row, key))
    return [Case(name, _media(root, name), captions) for name, captions in said.items()]


def _media(root: Path, name: str) -> Media:
    return Media(root / name, "video" if Path(name).suffix.lower() in VIDEOS else "image")


def shards(root: Path, split: str) -> Cases:
    """Returns the pairs of finished shards: a picture or a clip and its text; `split` is "" or a kind."""
    found = open_dataset(root)
    cases = [
        case
        for path, row in found.shards
        if row.get("kind") != "interleaved" and split in ("", row.get("kind"))
        for case in _pairs(path)
    ]
    if not cases:
        raise InputError(f"{root}: expected shards of image-text or video-text pairs, found none")
    return Cases(cases, ())


def _pairs(path: Path) -> Iterator[Case]:
    with open_index(path) as index:
        for key in index:
            record = index.record(key)
            if record.get("kind") == "interleaved":
                return
            try:
                found = [*nodes(record)]
            except SampleError:
                continue  # `m3w check` tells what is wrong with it
            places = {member.part: (member.offset, member.length) for member in index.members(key)}
            words = " ".join(node.text for node in found if node.text)
            parts = next((node.parts for node in found if node.parts), ())
            if words and parts and all(part in places for part in parts):
                kind: MediaKind = "video" if record.get("kind") == "video_text" else "image"
                spans = tuple(places[part] for part in parts)
                yield Case(key, Media(path, kind, spans), (words,))


def _classes(root: Path) -> Cases:
    classes = [path for path in sorted(root.iterdir()) if path.is_dir() and pictures(path)]
    names = {path: path.name.replace("_", " ") for path in classes}
    cases = [
        Case(f"{path.name}/{file.name}", Media(file), (names[path],))
        for path in classes
        for file in pictures(path)
    ]
    return Cases(cases, (), tuple(names.values()))


def _table(file: Path) -> list[Row]:
    if file.suffix == ".jsonl":
        return lines(file)
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            return [dict(row) for row in csv.DictReader(opened)]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{file}: expected a CSV with a header: {error}") from error


def _first(file: Path, row: Row, number: int, keys: tuple[str, ...]) -> str:
    for key in keys:
        if isinstance(row.get(key), str) and row[key]:
            return str(row[key])
    raise InputError(
        f"{file}: expected {' or '.join(keys)} in row {number}, found {sorted(map(str, row))}"
    )
