import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fakes import CONFIG, VERSION, Pack, dataset, page_sample, pair_sample, picture, video_sample

from m3w_builder import shards
from m3w_builder.check import check, check_sample, run, units
from m3w_builder.errors import InputError
from m3w_builder.files import write_text
from m3w_builder.samples import Sample, members
from m3w_builder.tables import write_table

SHARD = "image_text-000000.tar"


def lines(path: Path) -> list[str]:
    return [str(problem) for problem in check(path)]


def test_sound_dataset_has_no_problems(tmp_path: Path) -> None:
    assert lines(dataset(tmp_path)) == []


def test_every_shard_of_a_sound_dataset_is_sound_on_its_own(tmp_path: Path) -> None:
    assert [lines(path) for path in sorted(dataset(tmp_path).glob("*.tar"))] == [[]] * 4


def test_processes_find_the_same(tmp_path: Path) -> None:
    (dataset(tmp_path) / "interleaved-000000.parquet").unlink()
    found = [problem for problems in run(units(tmp_path), 2) for problem in problems]
    assert found == check(tmp_path)
    assert [str(problem) for problem in found] == ["interleaved-000000.parquet: missing"]


def test_one_changed_byte_is_found_with_its_sample(tmp_path: Path) -> None:
    path = dataset(tmp_path) / SHARD
    with shards.open_index(path) as index:
        key = next(iter(index))
        picture = next(data for name, data in index.parts(key).items() if name != "txt")
    data = path.read_bytes()
    at = data.index(picture) + len(picture) // 2
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    found = lines(tmp_path)
    assert any(line.startswith(f"{SHARD}: {key}: ") and "expected sha256" in line for line in found)
    assert any(line.startswith(f"{SHARD}: sha256: the manifest says") for line in found)
    assert any("differs from the tar" in line for line in found)
    assert not any("\n" in line for line in found)


def test_truncated_shard_is_one_line_and_its_size(tmp_path: Path) -> None:
    path = dataset(tmp_path) / SHARD
    path.write_bytes(path.read_bytes()[:9000])
    found = [line for line in lines(tmp_path) if line.startswith(SHARD)]
    assert ": truncated: " in found[0]
    assert found[1].startswith(f"{SHARD}: bytes: the manifest says ")


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda d: (d / SHARD).unlink(), f"{SHARD}: missing"),
        (lambda d: (d / "README.md").unlink(), "README.md: missing"),
        (lambda d: (d / "old.tar").write_bytes(b""), "old.tar: not in the manifest"),
        (lambda d: (d / ".tmp-1-x.tar").touch(), ".tmp-1-x.tar: not in the manifest"),
        (lambda d: (d / "index.json").write_text("{}"), "index.json: differs from the manifest"),
    ],
)
def test_missing_and_extra_files_are_named(
    tmp_path: Path, damage: Callable[[Path], Any], line: str
) -> None:
    damage(dataset(tmp_path))
    assert line in lines(tmp_path)


def test_manifest_rows_are_held_to_their_schema(tmp_path: Path) -> None:
    path = dataset(tmp_path) / "manifest.jsonl"
    first, *rest = path.read_text().splitlines()
    row = {**json.loads(first), "path": "../x.tar"}
    write_text(path, "\n".join([json.dumps(row), "{", *rest]))
    found = lines(tmp_path)
    assert any(
        line.startswith("manifest.jsonl: line 1: path: '../x.tar' does not") for line in found
    )
    assert any(line.startswith("manifest.jsonl: line 2: expected JSON") for line in found)


def test_wrong_counts_in_the_manifest_are_found(tmp_path: Path) -> None:
    path = dataset(tmp_path) / "manifest.jsonl"
    path.write_text(path.read_text().replace('"words":38', '"words":39'))
    assert lines(tmp_path) == [f"{SHARD}: words: the manifest says 39, found 38"]


def test_shards_whose_keys_overlap_are_found(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    a, b = (folder / f"interleaved-{n:06}.tar" for n in range(2))
    swapped = a.read_bytes(), b.read_bytes()
    for path, data in zip((b, a), swapped, strict=True):
        path.write_bytes(data)
        shards.members_path(path).unlink()
    rows = [shards.describe(path) for path in sorted(folder.glob("*.tar"))]
    shards.finish(folder, rows, title="x", config=CONFIG, version=VERSION)
    assert any(line.startswith("interleaved-000001.tar: starts at key") for line in lines(folder))


def test_rejects_are_held_to_their_schemas(tmp_path: Path) -> None:
    folder = dataset(tmp_path) / "rejects"
    good = {"id": "0", "url": "u", "stage": "fetch", "reason": "timeout", "detail": ""}
    bad = {**good, "stage": "cook", "reason": "Too Old"}
    write_table(folder / "b.parquet", "rejects", [good, bad, bad])
    pq.write_table(pq.read_table(folder / "b.parquet").select(["id"]), folder / "c.parquet")
    found = lines(tmp_path)
    assert len(found) == 3
    assert found[0].startswith("rejects/b.parquet: row 1: stage: 'cook' is not one of")
    assert found[1].startswith("rejects/b.parquet: row 1: reason: 'Too Old' does not match")
    assert found[2].startswith("rejects/c.parquet: expected the columns of rejects")


def test_not_a_dataset_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no manifest"):
        check(tmp_path)
    with pytest.raises(InputError, match="found nothing"):
        check(tmp_path / "x.tar")


def stored(sample: Sample, pack: Pack) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Returns copies of a sample's JSON and members, to be damaged."""
    record = json.loads(json.dumps(sample.record))
    return record, dict(list(members(sample, pack))[1:])


def set_info(record: dict[str, Any], number: int, **fields: Any) -> None:
    record["info"][number].update(fields)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda r, p: r.update(schema="m3w/2"), "schema: 'm3w/1' was expected"),
        (lambda r, p: r.pop("url"), "'url' is a required property"),
        (lambda r, p: r.update(extra=1), "'extra' was unexpected"),
        (lambda r, p: r["texts"].append("more"), "expected one length"),
        (lambda r, p: r["texts"].__setitem__(0, None), "node 0: expected one text, found none"),
        (lambda r, p: r["images"].__setitem__(0, "000.jpg"), "found text, image"),
        (lambda r, p: r["images"].__setitem__(1, "a.gif"), "images[1]: 'a.gif' does not match"),
        (lambda r, p: r.update(id="0"), "id is 0, the key of its members"),
        (lambda r, p: p.pop("000.jpg"), "members: expected 000.jpg"),
        (lambda r, p: p.update(txt=b"x"), "members: expected 000.jpg"),
        (lambda r, p: p.update({"000.jpg": b"<html>"}), "000.jpg: cannot be decoded"),
        (lambda r, p: p.update({"000.jpg": p["000.jpg"][:900]}), "000.jpg: cannot be decoded"),
        (lambda r, p: p.update({"000.jpg": picture(encoding="png")}), "expected JPEG, found PNG"),
        (lambda r, p: set_info(r, 1, width=7), "000.jpg: expected 7x160, found 240x160"),
        (lambda r, p: set_info(r, 1, sha256="0" * 64), "expected sha256 0000"),
        (lambda r, p: set_info(r, 1, format="png"), "000.jpg: format in info is png"),
        (lambda r, p: set_info(r, 0, role="aside"), "info[0].role: 'aside' is not one of"),
    ],
)
def test_each_breach_of_a_sample_is_said(damage: Callable[..., Any], what: str) -> None:
    pack = Pack()
    sample = page_sample(pack)
    record, parts = stored(sample, pack)
    damage(record, parts)
    assert any(what in line for line in check_sample(sample.key, record, parts))


def test_pair_has_one_image_and_its_text_beside_it() -> None:
    pack = Pack()
    record, parts = stored(pair_sample(pack), pack)
    assert list(check_sample(record["id"], record, {**parts, "txt": b"other"})) == [
        "txt: differs from the texts of the json"
    ]
    record["kind"] = "video_text"
    (line,) = check_sample(record["id"], record, parts)
    assert line == "expected one video in a video_text sample, found image"


def test_frames_are_in_order_and_decodable() -> None:
    pack = Pack()
    record, parts = stored(video_sample(pack), pack)
    frames = record["info"][0]["frames"]
    frames[2]["t"] = 1
    parts["00003.jpg"] = b"no jpeg"
    frames[3]["sha256"] = sha256(b"no jpeg").hexdigest()
    found = list(check_sample(record["id"], record, parts))
    assert found[0] == "frames: expected ascending times"
    assert found[1].startswith("00003.jpg: cannot be decoded")
    assert len(found) == 2


def test_interrupted_change_is_said(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    (folder / ".m3w-rewrite").mkdir()
    (problem,) = check(folder)
    assert str(problem) == ".m3w-rewrite: samples were being removed: run that command again"
