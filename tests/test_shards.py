import io
import json
import os
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import webdataset
from fakes import Pack, dataset, page_sample, pair_sample, picture, video_sample, write
from PIL import Image as Pictures

from m3w_builder import shards
from m3w_builder.errors import InputError, ShardError
from m3w_builder.samples import Part, Sample, members
from m3w_builder.shards.tar import tar_header


def shard(tmp_path: Path, count: int = 3) -> Path:
    pack = Pack()
    path = tmp_path / "interleaved-000000.tar"
    write(path, [page_sample(pack, number) for number in range(count)], pack)
    return path


def rebuilt(sample: dict[str, Any]) -> list[Any]:
    """Returns the nodes of a sample that webdataset decoded."""
    page = sample["json"]
    return [
        text if text is not None else sample[image] if image else [sample[f] for f in frames]
        for text, image, frames in zip(page["texts"], page["images"], page["videos"], strict=True)
    ]


@pytest.mark.parametrize("make", [page_sample, pair_sample, video_sample])
def test_plain_webdataset_rebuilds_the_sequence(tmp_path: Path, make: Any) -> None:
    pack = Pack()
    samples = sorted((make(pack, number) for number in range(3)), key=lambda s: s.key)
    write(tmp_path / "x.tar", samples, pack)
    read = list(webdataset.WebDataset([str(tmp_path / "x.tar")], shardshuffle=False).decode("pil"))
    assert [sample["__key__"] for sample in read] == [sample.key for sample in samples]
    for found, sample in zip(read, samples, strict=True):
        stored = dict(members(sample, pack))
        for node, (text, image, frames) in zip(
            rebuilt(found),
            zip(*(sample.record[n] for n in ("texts", "images", "videos")), strict=True),
            strict=True,
        ):
            if text is not None:
                assert node == text
                continue
            pictures = [node] if image else node
            for got, name in zip(pictures, [image] if image else frames, strict=True):
                with Pictures.open(io.BytesIO(stored[name])) as expected:
                    assert got.tobytes() == expected.convert("RGB").tobytes()


@pytest.mark.parametrize("size", [0, 5, 123_456])
def test_header_is_the_one_tarfile_writes(size: int) -> None:
    info = tarfile.TarInfo("0a.000.jpg")
    info.size, info.mode = size, 0o644
    assert tar_header("0a.000.jpg", size) == info.tobuf(tarfile.USTAR_FORMAT)


def test_shard_is_plain_ustar_without_times_or_owners(tmp_path: Path) -> None:
    with tarfile.open(shard(tmp_path), "r:") as tar:
        found = tar.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in found} == {
        (0, 0, 0, "", "", 0o644)
    }
    assert not any(member.pax_headers for member in found)


def test_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = shard(tmp_path / "a"), shard(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    assert shards.members_path(first).read_bytes() == shards.members_path(second).read_bytes()


def test_row_counts_what_is_in_the_shard(tmp_path: Path) -> None:
    pack = Pack()
    row = write(tmp_path / "interleaved-000000.tar", [page_sample(pack, 1)], pack)
    data = (tmp_path / "interleaved-000000.tar").read_bytes()
    assert row["bytes"] == len(data)
    assert row["sha256"] == sha256(data).hexdigest()
    assert (row["documents"], row["texts"], row["images"], row["frames"]) == (1, 3, 2, 0)
    assert row["languages"] == {"en": 1}
    assert shards.describe(tmp_path / "interleaved-000000.tar") == row


def test_reader_gives_back_what_was_written(tmp_path: Path) -> None:
    pack = Pack()
    sample = page_sample(pack, 2)
    write(tmp_path / "x.tar", [sample], pack)
    ((key, record, parts),) = shards.read_shard(tmp_path / "x.tar")
    assert (key, record) == (sample.key, sample.record)
    assert parts == dict(list(members(sample, pack))[1:])


@pytest.mark.parametrize("table", [True, False])
def test_index_reads_any_sample_with_or_without_its_table(tmp_path: Path, table: bool) -> None:
    path = shard(tmp_path)
    if not table:
        shards.members_path(path).unlink()
    streamed = {key: (record, parts) for key, record, parts in shards.read_shard(path)}
    with shards.open_index(path) as index:
        assert list(index) == sorted(streamed)
        for key in sorted(streamed, reverse=True):
            assert (index.record(key), index.parts(key)) == streamed[key]


def cut(data: bytes, at: int) -> bytes:
    return data[:at]


@pytest.mark.parametrize("at", [1, 511, 512, 700, 4096, -1, -10240, -10241])
def test_truncated_shard_raises_wherever_it_is_cut(tmp_path: Path, at: int) -> None:
    path = shard(tmp_path)
    data = path.read_bytes()
    ends = data.rstrip(b"\0")
    position = at if at > 0 else len(ends) + at if at > -10240 else len(data) + at
    path.write_bytes(data[:position])
    with pytest.raises(ShardError, match=r"truncated|expected the end"):
        list(shards.read_shard(path))


def test_empty_file_is_a_truncated_shard(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(b"")
    with pytest.raises(ShardError, match="truncated"):
        list(shards.read_shard(path))


def test_tar_appended_to_a_shard_is_not_ignored(tmp_path: Path) -> None:
    path = shard(tmp_path)
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(ShardError, match="expected the end"):
        list(shards.read_shard(path))


def foreign(path: Path, names: list[str], data: bytes = b"{}", **options: Any) -> Path:
    with tarfile.open(path, "w", **{"format": tarfile.USTAR_FORMAT, **options}) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


GOOD = b'{"schema":"m3w/1"}'


@pytest.mark.parametrize(
    ("names", "data", "what"),
    [
        (["a.json"], b"{}", "schema"),
        (["a.json"], b"not json", "expected JSON"),
        (["a.json"], b"[" * 100_000, "expected JSON"),
        (["a.txt"], GOOD, "expected its json first"),
        (["b.json", "a.json"], GOOD, "ascending"),
        (["a.json", "b.json", "a.txt"], GOOD, "ascending"),
        (["a.json", "a.txt", "a.txt"], GOOD, "same name"),
        (["A.JSON"], GOOD, "expected a member like"),
        (["../a.json"], GOOD, "expected a member like"),
        (["plain"], GOOD, "expected a member like"),
    ],
)
def test_foreign_content_raises_and_says_what(
    tmp_path: Path, names: list[str], data: bytes, what: str
) -> None:
    with pytest.raises(ShardError, match=what) as error:
        list(shards.read_shard(foreign(tmp_path / "x.tar", names, data)))
    assert "\n" not in str(error.value)


def test_pax_tar_is_foreign(tmp_path: Path) -> None:
    path = foreign(
        tmp_path / "x.tar", ["a.json"], format=tarfile.PAX_FORMAT, pax_headers={"k": "v"}
    )
    with pytest.raises(ShardError):
        list(shards.read_shard(path))


def test_file_that_is_no_tar_raises(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(b"<!doctype html>" * 400)
    with pytest.raises(ShardError, match="expected a member like"):
        list(shards.read_shard(path))


def test_missing_shard_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        list(shards.read_shard(tmp_path / "x.tar"))


def test_keys_out_of_order_or_twice_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    pack = Pack()
    first, second = sorted((page_sample(pack, n) for n in range(2)), key=lambda s: s.key)
    for samples in ([second, first], [first, first]):
        with pytest.raises(ValueError, match="ascending"):
            shards.write_shard(tmp_path / "x.tar", samples, pack)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["a.b", "A", "", "a/b", "é"])
def test_keys_that_webdataset_would_split_or_miss_are_refused(tmp_path: Path, key: str) -> None:
    sample = page_sample(Pack())
    with pytest.raises(ValueError, match="key"):
        shards.write_shard(tmp_path / "x.tar", [Sample({**sample.record, "id": key}, ())], Pack())


def test_kinds_do_not_mix_in_a_shard(tmp_path: Path) -> None:
    pack = Pack()
    mixed = sorted([page_sample(pack), pair_sample(pack)], key=lambda s: s.key)
    with pytest.raises(ValueError, match="in a shard of"):
        shards.write_shard(tmp_path / "x.tar", mixed, pack)


def test_bytes_that_are_not_what_was_stored_stop_the_shard(tmp_path: Path) -> None:
    pack = Pack()

    def damaged(part: Part) -> bytes:
        return b"\0" + pack(part)[1:]

    with pytest.raises(ShardError, match="changed: expected sha256"):
        shards.write_shard(tmp_path / "x.tar", [page_sample(pack)], damaged)
    assert list(tmp_path.iterdir()) == []


def test_no_samples_make_no_file(tmp_path: Path) -> None:
    assert shards.write_shard(tmp_path / "x.tar", [], Pack()) is None
    assert list(tmp_path.iterdir()) == []


def test_manifest_does_not_depend_on_the_order_shards_were_finished_in(tmp_path: Path) -> None:
    rows = shards.read_manifest(dataset(tmp_path / "a"))
    told = [{k: v for k, v in row.items() if k not in ("config", "version")} for row in rows]
    for folder, given in ((tmp_path / "b", told), (tmp_path / "c", told[::-1])):
        shards.write_manifest(folder, given, config="00", version="1")
    assert (tmp_path / "b/manifest.jsonl").read_bytes() == (
        tmp_path / "c/manifest.jsonl"
    ).read_bytes()


def test_dataset_finds_samples_by_key_and_by_number(tmp_path: Path) -> None:
    data = shards.open_dataset(dataset(tmp_path))
    records = list(data.records())
    assert len(records) == 11
    for number in (0, 4, 5, 10):
        assert data.at(number)[0] == records[number]
        assert data.find(records[number]["id"]) == data.at(number)
    with pytest.raises(InputError, match="index below 11"):
        data.at(11)
    with pytest.raises(InputError, match="expected the key"):
        data.find("0" * 20)


def test_folder_without_manifest_is_not_finished(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no manifest\.jsonl"):
        shards.open_dataset(tmp_path)


def test_damaged_manifest_is_named_with_its_line(tmp_path: Path) -> None:
    path = dataset(tmp_path) / "manifest.jsonl"
    path.write_text(path.read_text().replace('"images":5', '"images":-5'))
    with pytest.raises(ShardError, match=r"line 1: images: -5 is less than the minimum of 0"):
        shards.open_dataset(tmp_path)


def test_index_json_lists_every_shard(tmp_path: Path) -> None:
    found = json.loads((dataset(tmp_path) / "index.json").read_text())
    assert found["__kind__"] == "wids-shard-index-v1"
    assert [shard["nsamples"] for shard in found["shardlist"]] == [5, 2, 2, 2]
    assert all(
        (tmp_path / shard["url"]).stat().st_size == shard["filesize"]
        for shard in found["shardlist"]
    )


def test_lines_of_the_card_load_the_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = (dataset(tmp_path) / "README.md").read_text()
    monkeypatch.chdir(tmp_path)
    exec(card.split("```python\n")[1].split("```")[0], {})
    printed = capsys.readouterr().out
    assert printed.startswith("https://example.org/birds/")
    assert "PIL" in printed


def test_licences_are_counted_per_shard_and_listed_on_the_card(tmp_path: Path) -> None:
    pack, by = Pack(), "https://creativecommons.org/licenses/by/4.0/"
    said = [by, by, "GFDL-1.3", ""]
    samples = [
        Sample({**sample.record, "licence": licence}, sample.parts)
        for sample, licence in zip((pair_sample(pack, n) for n in range(4)), said, strict=True)
    ]
    row = write(tmp_path / "image_text-000000.tar", samples, pack)
    assert row["licences"] == {"": 1, "GFDL-1.3": 1, by: 2}
    shards.finish(tmp_path, [row], title="x", config="0", version="1")
    card = (tmp_path / "README.md").read_text()
    assert f"| <{by}> | 2 |\n| GFDL-1.3 | 1 |\n| none stated | 1 |" in card


def test_croissant_names_every_tar_with_its_hash(tmp_path: Path) -> None:
    found = json.loads((dataset(tmp_path) / "croissant.json").read_text())
    files = [f for f in found["distribution"] if f["@type"] == "cr:FileObject"]
    rows = shards.read_manifest(tmp_path)
    assert [(f["@id"], f["sha256"]) for f in files] == [
        (row["path"], row["sha256"]) for row in rows
    ]
    assert found["conformsTo"] == "http://mlcommons.org/croissant/1.0"


def test_random_access_survives_a_table_of_something_else(tmp_path: Path) -> None:
    path = shard(tmp_path)
    os.replace(path, shards.members_path(path))
    path.write_bytes(picture())
    with pytest.raises(ShardError, match="members table"), shards.open_index(path):
        pass
