"""Taking samples out of finished shards: what stays is as a build would have written it, whatever is killed."""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import webdataset
from fakes import Pack, dataset, page_sample, pair_sample, video_sample

from m3w_builder import check, shards
from m3w_builder.errors import InputError, OutputError, ShardError
from m3w_builder.files import locked
from m3w_builder.samples import Record
from m3w_builder.shards import OWNER, PENDING, Removal
from m3w_builder.shards.rewrite import thin, without


def pages(record: Record) -> list[Removal]:
    """One page goes, and one picture of another: asked again, nothing."""
    if record["url"] == "https://example.org/birds/1.html":
        return [Removal("removed", "the page")]
    return [
        Removal("removed", "the picture", number)
        for number, info in enumerate(record["info"])
        if info.get("url") == "https://img.example.org/2-0.jpg"
    ]


def everything(record: Record) -> list[Removal]:
    return [Removal("removed", "all of it")]


def nothing(record: Record) -> list[Removal]:
    return []


def pairs(record: Record) -> list[Removal]:
    return [Removal("removed", "a pair")] if record["kind"] == "image_text" else []


def states(folder: Path) -> dict[str, tuple[int, int]]:
    """Returns inode and time of change of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(p.relative_to(folder)): (p.stat().st_ino, p.stat().st_mtime_ns)
        for p in files
        if p.name != ".m3w-lock"
    }


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in files
        if p.name != ".m3w-lock"
    }


def manifest_lies(folder: Path) -> list[str]:
    """Returns the shards that are not what the manifest says; none without a manifest."""
    if not (folder / "manifest.jsonl").exists():
        return []
    return [
        row["path"]
        for row in shards.read_manifest(folder)
        if hashlib.sha256((folder / row["path"]).read_bytes()).hexdigest() != row["sha256"]
    ]


def test_sample_without_an_image_is_the_one_a_build_would_have_made() -> None:
    pack = Pack()
    record = page_sample(pack, 3).record  # heading, then four pictures and texts in turn
    thinned = thin(record, [Removal("removed", "x", 3)])
    assert thinned.record is not None
    names = [name for name in thinned.record["images"] if name]
    assert names == ["000.jpg", "001.webp", "002.jpg"]
    assert thinned.names == {"000.jpg": "000.jpg", "001.webp": "002.webp", "002.jpg": "003.jpg"}
    assert [info["url"] for info in thinned.record["info"] if info["type"] == "image"] == [
        f"https://img.example.org/3-{n}.jpg" for n in (0, 2, 3)
    ]
    assert thinned.record["texts"] == [
        text for n, text in enumerate(record["texts"]) if n != 3
    ]  # those about it stay
    (drop,) = thinned.drops
    assert drop[0] == "images"
    assert (drop[1].url, drop[1].reason) == ("https://img.example.org/3-1.jpg", "removed")


def test_video_in_a_page_is_renamed_with_its_frames() -> None:
    record = video_sample(Pack(), 0, 2).record
    page = {**record, "kind": "interleaved"}
    page["info"] = [page_sample(Pack(), 1).record["info"][1], *record["info"]]
    page["images"], page["texts"] = ["000.jpg", None, None], [None, *record["texts"]]
    page["videos"] = [None, ["001.00000.jpg", "001.00001.jpg"], None]
    left, names = without(page, {0})
    assert left["videos"] == [["000.00000.jpg", "000.00001.jpg"], None]
    assert [frame["name"] for frame in left["info"][0]["frames"]] == left["videos"][0]
    assert names["000.00001.jpg"] == "001.00001.jpg"


def test_page_without_a_medium_left_and_pair_without_its_medium_go() -> None:
    record = page_sample(Pack(), 0).record
    thinned = thin(record, [Removal("removed", "x", 1), Removal("other", "y", 1)])
    assert thinned.record is None
    assert [(s, r.reason, r.detail) for s, r in thinned.drops] == [
        ("images", "removed", "x"),
        ("documents", "no_image_left", "removed"),
    ]
    pair = thin(pair_sample(Pack()).record, [Removal("removed", "x", 0)])
    assert pair.record is None
    assert [(s, r.reason) for s, r in pair.drops] == [("image_text", "removed")]


def test_subtitles_go_from_their_video_alone() -> None:
    record = video_sample(Pack()).record
    tracks = [
        {"url": f"https://example.org/{n}.vtt", "sha256": "0" * 64, "cues": []} for n in range(3)
    ]
    record["info"][0]["subtitles"] = tracks
    thinned = thin(record, [Removal("removed", "x", 0, 1)])
    assert thinned.record is not None
    assert thinned.record["info"][0]["subtitles"] == [tracks[0], tracks[2]]
    assert [(s, r.url) for s, r in thinned.drops] == [("subtitles", "https://example.org/1.vtt")]


def test_only_shards_that_lose_something_are_written_anew(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "out")
    before = states(folder)
    old = {path: (folder / path).open("rb") for path in ("image_text-000000.tar",)}
    done = shards.rewrite(folder, pairs)
    assert done.gone == ("image_text-000000.tar",)
    assert done.shards == ()
    after = states(folder)
    same = {name for name in before if after.get(name) == before[name]}
    assert {name for name in before if name.startswith(("interleaved", "video_text"))} <= same
    assert not {name for name in after if name.startswith("image_text")}
    assert len(old["image_text-000000.tar"].read()) > 0  # who had it open still has it
    old["image_text-000000.tar"].close()
    assert check.check(folder) == []


def test_what_is_left_is_all_that_was_but_what_was_named(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "out")
    before = {key: parts for row in shards.read_manifest(folder)
              for key, _, parts in shards.read_shard(folder / row["path"])}  # fmt: skip
    done = shards.rewrite(folder, pages)
    assert check.check(folder) == []
    assert done.lost == {"interleaved": {"documents": 1, "texts": 3, "words": 25, "images": 3}}
    left = {key: parts for row in shards.read_manifest(folder)
            for key, _, parts in shards.read_shard(folder / row["path"])}  # fmt: skip
    (gone,) = before.keys() - left.keys()
    changed = {key for key in left if left[key] != before[key]}
    assert len(changed) == 1
    (key,) = changed
    assert list(left[key].values()) == list(before[key].values())[1:]
    rejects = pq.read_table(folder / "rejects/remove-0001.parquet").to_pylist()
    assert [(r["id"], r["stage"], r["reason"], r["detail"]) for r in rejects] == sorted(
        [(gone, "remove", "removed", "the page"), (key, "remove", "removed", "the picture")]
    )


def test_stock_webdataset_reads_what_is_left(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "out")
    shards.rewrite(folder, pages)
    tars = sorted(map(str, folder.glob("interleaved-*.tar")))
    read = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    assert len(read) == 3
    for sample in read:
        names = [name for name in sample["json"]["images"] if name]
        assert names
        assert all(sample[name].size for name in names)


def test_rewriting_nothing_changes_no_file(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "out")
    before = states(folder)
    assert shards.rewrite(folder, nothing) == shards.Rewritten()
    assert states(folder) == before


def test_dry_run_tells_the_same_and_writes_nothing(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "out")
    before = states(folder)
    told = shards.rewrite(folder, pages, dry_run=True)
    assert states(folder) == before
    assert not (folder / ".m3w-lock").exists()
    assert shards.rewrite(folder, pages) == told


def test_several_workers_write_the_same_bytes(tmp_path: Path) -> None:
    folders = [dataset(tmp_path / name) for name in ("a", "b")]
    for workers, folder in enumerate(folders, 1):
        shards.rewrite(folder, pages, workers=workers)
    assert contents(folders[0]) == contents(folders[1])


def test_copied_samples_keep_their_bytes(tmp_path: Path) -> None:
    """One sample of a shard goes; the tar is the one of a build without it."""
    pack = Pack()
    samples = sorted((pair_sample(pack, n) for n in range(6)), key=lambda s: s.key)
    gone = samples[2].key
    from fakes import CONFIG, VERSION, write

    folders = tmp_path / "whole", tmp_path / "without"
    for folder, some in zip(folders, (samples, samples[:2] + samples[3:]), strict=True):
        row = write(folder / "image_text-000000.tar", some, pack)
        shards.finish(folder, [row], title="x", config=CONFIG, version=VERSION)
    shards.rewrite(folders[0], Named(gone))
    for name in (
        "image_text-000000.tar",
        "image_text-000000.parquet",
        "manifest.jsonl",
        "README.md",
    ):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


class Named:
    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, record: Record) -> list[Removal]:
        return [Removal("removed", "x")] if record["id"] == self.key else []


def test_descriptions_follow(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "out")
    (folder / "report.html").write_text("<img src=data:...>")
    shards.rewrite(folder, pages)
    assert not (folder / "report.html").exists()
    card = (folder / "README.md").read_text()
    assert "Taken out since it was built: 1 documents" in card
    flow = shards.read_waterfall(folder)
    assert flow is not None
    (documents,) = (s for s in flow["sections"] if s["section"] == "documents")
    assert documents["steps"][-1]["count"] == 3
    assert documents["drops"][-1] == {"stage": "remove", "reason": "removed", "count": 1}
    row = shards.read_manifest(folder)[0]
    assert (row["config"], row["version"]) == ("0123456789abcdef", "0.1.0")
    shards.rewrite(folder, everything)
    flow = shards.read_waterfall(folder)
    assert flow is not None
    assert flow["sections"][1]["drops"][-1] == {"stage": "remove", "reason": "removed", "count": 4}
    assert (folder / "rejects/remove-0002.parquet").exists()


def test_empty_dataset_is_left_when_everything_goes(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "out")
    shards.rewrite(folder, everything)
    assert shards.read_manifest(folder) == []
    assert not list(folder.glob("*.tar"))
    assert check.check(folder) == []
    assert shards.rewrite(folder, everything) == shards.Rewritten()


def test_build_that_wrote_the_shards_owns_them_no_more(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "out")
    (folder / OWNER).write_text("write-0123456789abcdef\n")
    for judge in (pages, pairs):
        shards.rewrite(folder, judge)
        assert (folder / OWNER).read_text() == "write-0123456789abcdef, changed since\n"


@pytest.mark.parametrize("judge", [pages, pairs])
def test_killed_anywhere_it_never_lies_and_the_same_call_ends_it(tmp_path: Path, judge) -> None:
    """A child dies at its n-th step on files, for every n; a child that is killed runs no `finally`."""
    original = dataset(tmp_path / "original")
    (original / OWNER).write_text("write-0\n")
    (original / "report.html").write_text("old")
    expected = shutil.copytree(original, tmp_path / "expected")
    shards.rewrite(expected, judge)
    unfinished = 0
    for step in range(1, 1000):
        folder = shutil.copytree(original, tmp_path / "out")
        if died := _dies(folder, judge, step):
            assert manifest_lies(folder) == []
            unfinished += not (folder / "manifest.jsonl").exists()
            shards.rewrite(folder, judge)
        assert contents(folder) == contents(expected), step
        shutil.rmtree(folder)
        if not died:
            break
    assert step > 20
    assert unfinished > 2


CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir")


def _dies(folder: Path, judge, step: int) -> bool:
    """Rewrites in a child that is gone before its n-th change to the disk; says whether it was."""
    child = os.fork()
    if child == 0:
        left = step

        def hook(event: str, _: object) -> None:
            nonlocal left
            if event in CHANGES:
                left -= 1
                if left == 0:
                    os._exit(9)

        sys.addaudithook(hook)
        shards.rewrite(folder, judge)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_dataset_in_the_middle_of_a_change_says_so(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "out")
    (folder / PENDING).mkdir()
    (folder / "manifest.jsonl").unlink()
    with pytest.raises(InputError, match="run that command again"):
        shards.read_manifest(folder)


def test_folder_that_is_no_dataset_is_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no manifest\.jsonl"):
        shards.rewrite(tmp_path, everything)
    assert list(tmp_path.iterdir()) == []


def test_running_build_is_waited_for(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "out")
    with locked(folder / ".m3w-lock"), pytest.raises(OutputError, match="running there"):
        shards.rewrite(folder, everything)


def test_damaged_shard_stops_it_and_nothing_changes(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "out")
    path = folder / "interleaved-000001.tar"
    data = bytearray(path.read_bytes())
    data[-12_000] ^= 255  # in the last picture
    path.write_bytes(data)
    before = contents(folder)
    with pytest.raises(ShardError, match="changed"):
        shards.rewrite(folder, Named(shards.read_manifest(folder)[2]["first"]))
    assert contents(folder) == before
    assert json.loads((folder / "index.json").read_text())
