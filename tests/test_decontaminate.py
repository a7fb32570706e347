"""Evaluation sets of every kind are read, hashed as fetch does, saved, and asked about images and texts."""

import csv
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import BIRDS, dataset, picture
from PIL import Image as Pictures

from m3w_builder.config import DecontaminateConfig, FetchConfig, parse
from m3w_builder.decontaminate import (
    Benchmark,
    Item,
    Match,
    Sight,
    benchmark,
    load,
    prepared,
    save,
    sources,
)
from m3w_builder.decontaminate.items import COLUMNS, Picture, measured
from m3w_builder.decontaminate.sources import set_names, strings
from m3w_builder.errors import ConfigError, InputError
from m3w_builder.media import measure_image

QUESTION = "Which of the two swans on the grey lake is the older one?"


def changed(body: bytes, scale: float = 0.5, quality: int = 60) -> bytes:
    """Returns a smaller JPEG of a picture."""
    with Pictures.open(io.BytesIO(body)) as image:
        size = (round(image.width * scale), round(image.height * scale))
        file = io.BytesIO()
        image.convert("RGB").resize(size).save(file, "JPEG", quality=quality)
    return file.getvalue()


def folder_of(root: Path, files: dict[str, bytes | str]) -> Path:
    for name, body in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body.encode() if isinstance(body, str) else body)
    return root


def tar_of(path: Path, files: dict[str, bytes | str], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, body in files.items():
            data = body.encode() if isinstance(body, str) else body
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def summary(items: list[Item]) -> dict[str, str]:
    """Returns name -> what it is."""
    return {i.name: i.unreadable or i.text or ("picture" if i.is_picture else "?") for i in items}


FILES: dict[str, bytes | str] = {
    "val/0.JPEG": picture(320, 240, 1),
    "val/1": picture(320, 240, 2, "png"),  # no suffix: told by its bytes
    "val/0.txt": "A man riding a wave\n\nanother caption\n",
    "captions.json": json.dumps({"annotations": [{"id": 1, "caption": "two swans"}], "info": 3}),
    "questions.jsonl": json.dumps({"question": QUESTION, "answers": ["left", {"answer": "right"}]}),
    "broken.jpg": picture(320, 240, 1)[:200],
    "page.webp": "<html>",
    "half.json": '{"caption": ',
    "LICENSE.txt": "You may use this in the way that you want to, and so on",
    "labels.bin": b"\0\1",
    ".hidden/2.jpg": picture(320, 240, 3),
}
EXPECTED = {
    "val/0.JPEG": "picture",
    "val/1": "picture",
    "val/0.txt line 1": "A man riding a wave",
    "val/0.txt line 3": "another caption",
    "captions.json annotations[0].caption": "two swans",
    "questions.jsonl line 1 question": QUESTION,
    "questions.jsonl line 1 answers[0]": "left",
    "questions.jsonl line 1 answers[1].answer": "right",
    "broken.jpg": "image_damaged",
    "page.webp": "not_an_image",
    "half.json": "not_json: Expecting value: line 1 column 13 (char 12)",
}


def test_folder_gives_its_images_and_texts_and_names_what_is_broken(tmp_path: Path) -> None:
    items = load([str(folder_of(tmp_path / "coco", FILES))])
    assert summary(items) == EXPECTED
    assert {item.set for item in items} == {"coco"}


def test_tar_gives_what_a_folder_does(tmp_path: Path) -> None:
    visible = {name: body for name, body in FILES.items() if not name.startswith(".")}
    for name, mode in (("x.tar", "w"), ("x.tar.gz", "w:gz")):
        items = load([str(tar_of(tmp_path / name, visible, mode))])
        assert summary(items) == {f"{name} {key}": value for key, value in EXPECTED.items()}


def test_member_that_claims_any_size_is_listed_and_never_held(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar.gz", "w:gz") as tar:
        for name, size in (("a.txt", sources.MAX_MEMBER + 1), ("b.bin", 2 * sources.MAX_MEMBER)):
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, Endless())
        words = b"a text of an evaluation set with quite some words in it"
        info = tarfile.TarInfo("c.txt")
        info.size = len(words)
        tar.addfile(info, io.BytesIO(words))
    large, small = load([str(tmp_path / "s.tar.gz")])
    assert large.unreadable.startswith("too_large")
    assert small.text == words.decode()


class Endless:
    """A file of words without an end."""

    def read(self, size: int) -> bytes:
        return (b"word " * (size // 5 + 1))[:size]


def test_limit_of_csv_is_the_process_s_own_again(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    (tmp_path / "s.csv").write_text("text\n" + '"' + "x" * (sources.MAX_FIELD + 10) + '"\n')
    with pytest.raises(InputError, match="not_csv: field larger than field limit"):
        load([str(tmp_path / "s.csv")])
    assert csv.field_size_limit() == before


def test_damaged_tar_gives_what_is_before_the_damage_and_says_so(tmp_path: Path) -> None:
    path = tar_of(
        tmp_path / "x.tar", {"0.jpg": picture(320, 240, 1), "1.jpg": picture(320, 240, 2)}
    )
    path.write_bytes(path.read_bytes()[:-12000])
    first, last = load([str(path)])
    assert first.name == "x.tar 0.jpg"
    assert first.is_picture
    assert last.unreadable.startswith("damaged_tar")


def test_pattern_names_some_tars_as_one_set(tmp_path: Path) -> None:
    for number in range(3):
        tar_of(tmp_path / f"val-{number}.tar", {f"{number}.txt": f"text {number}"})
    tar_of(tmp_path / "train-0.tar", {"x.txt": "not this"})
    items = load([str(tmp_path / "val-*.tar")])
    assert [item.text for item in items] == ["text 0", "text 1", "text 2"]
    assert [item.name for item in items] == [f"val-{n}.tar {n}.txt line 1" for n in range(3)]


def test_picture_is_hashed_as_fetch_does() -> None:
    body = picture(320, 240, 5)
    with_comment = body[:2] + b"\xff\xfe\x00\x06note" + body[2:]
    item = measured(Picture("s", "n", with_comment))
    fetched = measure_image(with_comment, config=FetchConfig(safety="off"))
    assert item.sha256 == sha256(with_comment).hexdigest()
    assert item.stored_sha256 == sha256(fetched.body).hexdigest() != item.sha256
    assert (item.phash, item.phash_firm) == (fetched.phash, fetched.phash_firm)
    assert item.pdq_quality == fetched.scores["pdq_quality"]


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_table_of_hashes_and_texts(tmp_path: Path, kind: str) -> None:
    item = measured(Picture("", "", picture(320, 240, 5)))
    rows = [
        {"file_name": "5.jpg", "PDQ": item.phash.upper(), "sha256": item.sha256, "caption": ""},
        {"file_name": "q", "PDQ": "", "sha256": "", "caption": QUESTION},
    ]
    path = tmp_path / f"set.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys(), delimiter="\t" if kind == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    first, second = load([str(path)])
    assert (first.name, first.sha256, first.phash) == ("5.jpg", item.sha256, item.phash)
    assert (second.name, second.text) == ("q", QUESTION)


def test_parquet_with_pictures_and_lists_of_captions(tmp_path: Path) -> None:
    body = picture(320, 240, 5)
    rows = [
        {"image": {"bytes": body, "path": "a.jpg"}, "captions": ["one two", "three"], "jpg": body},
        {"image": None, "captions": None, "jpg": None},
    ]
    path = tmp_path / "set.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    items = load([str(path)])
    assert [item.text for item in items] == ["", "", "one two", "three"]
    assert {item.sha256 for item in items[:2]} == {sha256(body).hexdigest()}


def test_finished_dataset_is_an_evaluation_set(tmp_path: Path) -> None:
    items = load([str(dataset(tmp_path / "out"))])
    assert sum(item.is_picture for item in items) == 10 + 5 + 2 * 4  # pages, pairs, frames
    assert {BIRDS[1][1], "A flight over hills, take 1"} <= {item.text for item in items}
    assert not any(item.unreadable for item in items)


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("x.csv", "url,label\n1,2\n", "expected a column phash (PDQ, 64 hex digits), sha256"),
        ("x.csv", "url,label\n1,2\n", "found url, label"),
        ("x.csv", "", "found none"),
        ("x.csv", "phash\nffd8\n", "row 1: phash: expected 64 hex digits (PDQ), found 'ffd8'"),
        ("x.csv", "phash_firm\n12\n", "row 1: phash_firm: expected 64 hex digits, found '12'"),
        ("x.csv", "sha256\n12\n", "row 1: sha256: expected 64 hex digits, found '12'"),
        ("x.csv", f"phash,quality\n{'0' * 64},low\n", "expected a number, found 'low'"),
        ("x.parquet", "no", "expected pictures, hashes or texts, found none; 1 unreadable"),
        ("x.tar", "no tar at all", "1 unreadable, first x.tar: damaged_tar"),
        ("x.bin", "\0", "expected pictures, hashes or texts, found none"),
    ],
)
def test_what_is_no_evaluation_set_is_one_line(
    tmp_path: Path, name: str, body: str, words: str
) -> None:
    (tmp_path / name).write_text(body)
    with pytest.raises(InputError) as error:
        load([str(tmp_path / name)])
    assert words in str(error.value)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_path_without_anything_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "missing", tmp_path / "empty", tmp_path / "*.tar"):
        with pytest.raises(InputError, match=r"decontaminate\.against: .*found nothing"):
            load([str(path)])


def test_sets_are_told_apart_by_as_much_of_their_paths_as_that_takes() -> None:
    assert set_names(["/a/coco/val", "/a/vqa/val", "/a/flickr"]) == [
        "coco/val",
        "vqa/val",
        "flickr",
    ]
    assert set_names(["x", "y"]) == ["x", "y"]


def test_strings_of_a_json_value_are_those_under_known_keys() -> None:
    value = {"Caption": "a", "id": "b", "sentences": [{"raw": "c", "tokens": ["d"]}, "e"], "n": 1}
    assert [*strings(value)] == [("Caption", "a"), ("sentences[0].raw", "c"), ("sentences[1]", "e")]
    deep: object = "x"
    for _ in range(50_000):
        deep = {"a": deep}
    assert [*strings(deep)] == []


def test_saved_hashes_are_the_same_evaluation_set(tmp_path: Path) -> None:
    against = (str(folder_of(tmp_path / "coco", FILES)),)
    items = load(against)
    save(tmp_path / "hashes.parquet", items)
    assert pq.read_schema(tmp_path / "hashes.parquet").equals(COLUMNS)
    assert load([str(tmp_path / "hashes.parquet")]) == items
    one, other = (
        benchmark(DecontaminateConfig(against=paths))
        for paths in (against, (str(tmp_path / "hashes.parquet"),))
    )
    assert one is not None
    assert other is not None
    assert one.digest == other.digest


def test_prepared_table_of_other_columns_is_not_used(tmp_path, monkeypatch) -> None:
    """What an earlier version hashed has no firm hashes."""
    config = DecontaminateConfig(against=(str(folder_of(tmp_path / "coco", FILES)),))
    now = prepared(config, tmp_path).against
    assert prepared(config, tmp_path).against == now
    module = import_module(
        "m3w_builder.decontaminate.benchmark"
    )  # the package has a function of that name
    monkeypatch.setattr(module, "COLUMNS", pa.schema(list(COLUMNS)[:-1]))
    assert prepared(config, tmp_path).against != now


def test_lone_surrogates_can_be_saved(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "half \\ud83d of a pair"}\n{"text": "\\ud83d\\ude00 whole"}\n')
    items = load([str(path)])
    assert [item.text for item in items] == ["half ? of a pair", "😀 whole"]
    save(tmp_path / "x.parquet", items)
    assert load([str(tmp_path / "x.parquet")]) == items


def test_digest_changes_with_contents_and_not_with_the_place(tmp_path: Path) -> None:
    def digest(root: Path) -> str:
        return Benchmark(load([str(root)]), DecontaminateConfig()).digest

    one = digest(folder_of(tmp_path / "one" / "coco", FILES))
    assert digest(folder_of(tmp_path / "two" / "coco", FILES)) == one
    assert digest(folder_of(tmp_path / "two" / "coco", {"more.txt": "one text more"})) != one


def test_prepared_hashes_once_for_all_processes(tmp_path: Path) -> None:
    against = (str(folder_of(tmp_path / "coco", FILES)),)
    config = DecontaminateConfig(against=against, image_distance=7)
    first = prepared(config, tmp_path / "work")
    (table,) = (tmp_path / "work").iterdir()
    assert first == config.model_copy(update={"against": (str(table),)})
    written = table.stat().st_mtime_ns
    assert prepared(config, tmp_path / "work") == first
    assert table.stat().st_mtime_ns == written
    assert summary(load(first.against)) == EXPECTED
    folder_of(tmp_path / "coco", {"more.txt": "one text more"})
    assert prepared(config, tmp_path / "work") != first
    assert prepared(DecontaminateConfig(), tmp_path / "work") == DecontaminateConfig()


def test_processes_change_nothing(tmp_path: Path) -> None:
    roots = [str(folder_of(tmp_path / "coco", FILES)), str(dataset(tmp_path / "out"))]
    assert load(roots, workers=2) == load(roots)


def test_benchmark_is_read_once_and_again_when_its_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"text\n{QUESTION}\n")
    config = DecontaminateConfig(against=(str(path),))
    before = benchmark(prepared(config, tmp_path / "work"))
    assert benchmark(prepared(config, tmp_path / "work")) is before
    path.write_text(f"text\n{QUESTION}\nand one more\n")
    assert benchmark(prepared(config, tmp_path / "work")) is not before
    assert benchmark(DecontaminateConfig()) is None


def images_of(*numbers: int) -> list[Item]:
    return [measured(Picture("coco", f"{n}.jpg", picture(320, 240, n))) for n in numbers]


def sight(body: bytes) -> Sight:
    item = measured(Picture("", "", body))
    digests = item.sha256, item.stored_sha256
    return Sight(digests, item.phash, item.pdq_quality, item.phash_firm)


def test_image_is_found_by_its_bytes_or_its_look() -> None:
    sets = Benchmark(images_of(*range(20)), DecontaminateConfig())
    assert sets.image(*sight(picture(320, 240, 7))) == "coco: 7.jpg: the same bytes"
    copy = sight(changed(picture(320, 240, 7)))
    (match,) = sets.image_matches([copy])[0]
    assert (match.set, match.item, match.way) == ("coco", "7.jpg", "pdq")
    assert 0 < match.value <= 31
    assert sets.image(*copy) == f"coco: 7.jpg: {match.value:.0f} bits of PDQ differ"
    assert sets.image(*sight(picture(320, 240, 99))) == ""
    assert sets.images([copy, sight(picture(320, 240, 99))]) == [str(match), ""]


def test_image_distance_is_the_configured_one() -> None:
    copy = sight(changed(picture(320, 240, 7)))
    sets = Benchmark(images_of(7), DecontaminateConfig(image_distance=0))
    assert sets.image(*copy) == ""
    assert sets.image(*sight(picture(320, 240, 7)))


def test_image_with_little_to_see_is_found_by_its_bytes_alone() -> None:
    item = images_of(7)[0]
    copy = sight(changed(picture(320, 240, 7)))
    dim, plain = {"pdq_quality": 49.0}, {"phash_firm": "f" * 3 + "0" * 61}
    for few in (dim, plain):
        sets = Benchmark([replace(item, **few)], DecontaminateConfig())
        assert sets.images([copy]) == [""]
        assert sets.images([copy._replace(sha256s=[item.sha256])]) == [
            "coco: 7.jpg: the same bytes"
        ]
    sets = Benchmark([item], DecontaminateConfig())
    assert sets.images([copy._replace(quality=49.0)]) == [""]
    assert sets.images([copy._replace(quality=50.0)])[0]
    plain_one = Benchmark([replace(item, **plain)], DecontaminateConfig())
    assert plain_one.images([copy._replace(**plain)]) == [""]


def flipped(digits: str, places: Iterable[int]) -> str:
    number = int(digits, 16)
    for place in places:
        number ^= 1 << place
    return f"{number:064x}"


def test_firm_hashes_are_compared_where_both_sides_have_them_and_pdq_otherwise() -> None:
    (item,) = images_of(7)
    near, far = range(20), range(64)
    by_firm = Sight((), flipped(item.phash, far), 100.0, flipped(item.phash_firm, near))
    by_pdq = Sight((), flipped(item.phash, near), 100.0, flipped(item.phash_firm, far))
    both, old = by_firm._replace(phash_firm=""), by_pdq._replace(phash_firm="")
    known = Benchmark([item], DecontaminateConfig())
    of_others = Benchmark([replace(item, phash_firm="")], DecontaminateConfig())
    asked = [by_firm, by_pdq, both, old]
    assert [bool(where) for where in known.images(asked)] == [True, False, False, True]
    assert [bool(where) for where in of_others.images(asked)] == [False, True, False, True]


def test_firm_hashes_of_few_bits_must_be_nearer() -> None:
    """As among the images of a crawl: by a quarter of the bits that are set in both together."""
    firm = "0" * 54 + "f" * 10
    (item,) = images_of(7)
    sets = Benchmark([replace(item, phash_firm=firm)], DecontaminateConfig())
    for bits, found in ((20, True), (22, False)):
        other = flipped(firm, [*range(bits // 2), *range(100, 100 + bits // 2)])
        assert bool(sets.image((), "", 100.0, other)) is found


def test_nearest_of_each_set_is_named_the_surest_first() -> None:
    one, other = images_of(7, 8)
    items = [replace(one, name="far"), replace(other, set="vqa"), replace(one, set="vqa", name="b")]
    shown = sight(changed(picture(320, 240, 7)))
    items[0] = replace(items[0], sha256="", stored_sha256="", phash_firm=shown.phash_firm)
    found = Benchmark(items, DecontaminateConfig()).image_matches([sight(picture(320, 240, 7))])[0]
    assert [(m.set, m.item, m.way) for m in found] == [
        ("vqa", "b", "bytes"),
        ("coco", "far", "pdq"),
    ]


def test_text_is_found_by_the_share_of_its_ngrams() -> None:
    long = " ".join(f"word{n}" for n in range(32))
    items = [
        Item("vqa", "1", text=QUESTION),
        Item("vqa", "2", text=long),
        Item("x", "3", text=long),
    ]
    sets = Benchmark(items, DecontaminateConfig())
    assert sets.text(f"Ask: {QUESTION.upper()}") == "vqa: 1: 100% of its n-grams"
    assert sets.text_matches(long) == [
        Match("vqa", "2", "ngrams", 1.0),
        Match("x", "3", "ngrams", 1.0),
    ]
    part = " ".join(long.split()[:22])  # ten of twenty
    assert sets.text(part) == ""
    half = Benchmark(items, DecontaminateConfig(min_text_overlap=0.5))
    assert half.text(part) == "vqa: 2: 50% of its n-grams"
    anything = Benchmark(items, DecontaminateConfig(min_text_overlap=0.0))
    assert anything.text(" ".join(long.split()[:13])) == "vqa: 2: 5% of its n-grams"
    assert anything.text(" ".join(long.split()[:12])) == ""


def test_equal_texts_of_two_sets_are_found_for_both() -> None:
    items = [Item("a", "1", text=QUESTION), Item("b", "2", text=QUESTION)]
    found = Benchmark(items, DecontaminateConfig()).text_matches(QUESTION)
    assert [match.set for match in found] == ["a", "b"]


def test_configuration_is_checked() -> None:
    with pytest.raises(ConfigError, match=r"decontaminate\.encoder: expected"):
        parse({"decontaminate": {"encoder": "no function"}})
    with pytest.raises(ConfigError, match=r"decontaminate\.min_text_overlap: expected"):
        parse({"decontaminate": {"min_text_overlap": 1.5}})
