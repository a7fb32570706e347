"""Samples by number: where shards are found, what is read of them, what is noticed; far ones like near ones."""

import io
import json
import os
import pickle
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

from fakes import Pack, dataset, page_sample, picture, write
from fileserver import Files, serving

from m3w_builder.errors import TrainError
from m3w_builder.flamingo.config import Source
from m3w_builder.flamingo.data import files, remote
from m3w_builder.flamingo.data.examples import SampleError, nodes
from m3w_builder.flamingo.data.files import Cache
from m3w_builder.flamingo.data.reader import Sample, Shards, fault, open_source, texts
from m3w_builder.flamingo.data.sources import Shard, find, kinds
from m3w_builder.samples import Sample as Made
from m3w_builder.shards import read_shard


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("shards"), pages=6)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def server(folder: Path) -> Iterator[Files]:
    with serving(folder) as files:
        yield files


def names(shards: list[Shard]) -> list[str]:
    return [shard.url.rpartition("/")[2] for shard in shards]


def pages(folder: Path, cache: Cache) -> Shards:
    return Shards(find(str(folder), "interleaved"), cache)


def whole(sample: Sample) -> dict[str, object]:
    """Returns all there is of a sample, its bytes read."""
    return dict(sample)


def tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    """Writes a tar as another tool would."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def reason(sample: Sample) -> str:
    """Reads a sample as training does; returns why it is left out, "" where it is not."""
    try:
        found = list(nodes(sample.record()))
        known = {digest for node in found for digest in node.digests}
        for node in found:
            for part, digest in zip(node.parts, node.digests, strict=True):
                sample.member(part, digest, known)
    except SampleError as error:
        return error.reason
    return ""


# What is read


def test_samples_are_those_of_the_shards_in_their_order(folder: Path, cache: Cache) -> None:
    shards = pages(folder, cache)
    stored = [
        s for one in names(find(str(folder), "interleaved")) for s in read_shard(folder / one)
    ]
    assert shards.keys == [key for key, _, _ in stored]
    assert len(shards) == 6
    for number, (key, record, parts) in enumerate(stored):
        sample = shards.sample(number)
        assert sample.record() == record
        assert {name: data for name, data in sample.items() if name != "json"} == {
            "__key__": key,
            **parts,
        }
    with pytest.raises(IndexError):
        shards.sample(6)


def test_only_the_bytes_that_are_asked_for_are_read(
    folder: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, read = pages(folder, cache), list[int]()
    pread = os.pread

    def noted(file: int, length: int, offset: int) -> bytes:
        read.append(length)
        return pread(file, length, offset)

    monkeypatch.setattr(os, "pread", noted)
    sample = max(map(shards.sample, range(6)), key=len)
    assert len(sample.members) > 3
    record, data = sample.record(), sample["001.png"]
    assert read == [sample.members["json"].length, len(data)]
    assert record["images"].count(None) < len(record["images"])


def test_shards_travel_to_workers_without_their_tables(folder: Path, cache: Cache) -> None:
    shards = pages(folder, cache)
    before = [whole(shards.sample(n)) for n in range(6)]
    sent = pickle.loads(pickle.dumps(shards))
    assert [whole(sent.sample(n)) for n in range(6)] == before
    assert len(pickle.dumps(shards)) < 2000


def test_texts_are_read_without_pictures_for_ever_in_one_order(
    folder: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = pages(folder, cache)
    found = list(islice(texts(shards, seed=5), 12))
    assert found == list(islice(texts(pages(folder, cache), seed=5), 12))
    assert sorted(found[:6]) == sorted(found[6:])
    assert len(set(found)) == 6
    assert all("Birds of the lake" in words for words in found)
    jsons = {shards.sample(n).members["json"].length for n in range(6)}
    read, pread = set[int](), os.pread
    monkeypatch.setattr(os, "pread", lambda f, n, o: (read.add(n), pread(f, n, o))[1])
    list(islice(texts(shards, seed=5), 6))
    assert read == jsons


# What is noticed


@pytest.mark.parametrize(
    ("found", "said", "indexed", "why"),
    [
        ("a", "a", "a", ""),
        ("a", "a", "", ""),
        ("a", "", "a", ""),
        ("b", "a", "b", "misplaced_image"),  # stored so
        ("b", "a", "a", "misplaced_image"),  # swapped with its neighbour since
        ("b", "", "a", "misplaced_image"),
        ("x", "a", "a", "damaged_member"),
        ("x", "a", "", "damaged_member"),
        ("x", "", "a", "damaged_member"),
    ],
)
def test_bytes_are_judged_by_what_is_said_of_them(
    found: str, said: str, indexed: str, why: str
) -> None:
    verdict = fault(found, said, indexed, {"a", "b"})
    assert (verdict[0] if verdict else "") == why


def swapped(sample: Made) -> Made:
    """Returns a sample whose first two pictures lie under each other's names."""
    one, two, *rest = sample.parts
    return replace(sample, parts=(replace(two, name=one.name), replace(one, name=two.name), *rest))


def test_pictures_behind_each_others_tags_are_misplaced(tmp_path: Path, cache: Cache) -> None:
    pack = Pack()
    made = [swapped(page_sample(pack, number)) for number in (1, 2, 3)]  # of two and more pictures
    write(tmp_path / "interleaved-000000.tar", made, pack)
    shards = Shards([str(tmp_path / "interleaved-000000.tar")], cache)
    assert [reason(shards.sample(n)) for n in range(3)] == ["misplaced_image"] * 3


def test_foreign_shard_without_a_table_is_checked_by_what_its_json_says(
    tmp_path: Path, cache: Cache
) -> None:
    pack = Pack()
    write(tmp_path / "interleaved-000000.tar", [swapped(page_sample(pack, 3))], pack)
    (tmp_path / "interleaved-000000.parquet").unlink()
    shards = Shards([str(tmp_path / "interleaved-000000.tar")], cache)
    assert reason(shards.sample(0)) == "misplaced_image"


@pytest.mark.parametrize("part", ["json", "000.jpg"])
def test_one_changed_byte_is_noticed(folder: Path, tmp_path: Path, cache: Cache, part: str) -> None:
    name = "interleaved-000000"
    data = bytearray((folder / f"{name}.tar").read_bytes())
    (tmp_path / f"{name}.parquet").write_bytes((folder / f"{name}.parquet").read_bytes())
    member = pages(folder, cache).sample(0).members[part]
    data[member.offset + member.length // 2] ^= 1
    (tmp_path / f"{name}.tar").write_bytes(data)
    shards = Shards([str(tmp_path / f"{name}.tar")], cache)
    assert [reason(shards.sample(n)) for n in range(len(shards))] == ["damaged_member", "", ""]


def test_tar_that_lost_its_end_without_a_manifest_loses_only_those_samples(
    folder: Path, tmp_path: Path, cache: Cache
) -> None:
    name = "interleaved-000000"
    (tmp_path / f"{name}.parquet").write_bytes((folder / f"{name}.parquet").read_bytes())
    last = max(m.offset for m in pages(folder, cache).sample(2).members.values())
    (tmp_path / f"{name}.tar").write_bytes((folder / f"{name}.tar").read_bytes()[: last + 5])
    shards = Shards([str(tmp_path / f"{name}.tar")], cache)
    assert [reason(shards.sample(n)) for n in range(3)] == ["", "", "truncated_shard"]


# Where shards are found


def test_folder_glob_braces_list_and_tar_name_the_same_shards(folder: Path, tmp_path: Path) -> None:
    two = ["interleaved-000000.tar", "interleaved-000001.tar"]
    listed = folder / "pages.txt"
    listed.write_text(f"# pages\n{two[0]}\n\n{folder / two[1]}\n")
    for where in (
        str(folder / "interleaved-*.tar"),
        str(folder / "interleaved-{000000..000001}.tar"),
        str(folder / "interleaved-00000{0,1}.tar"),
        str(listed),
    ):
        assert names(find(where)) == two
    listed.unlink()
    assert names(find(str(folder), "interleaved")) == two
    assert names(find(str(folder / two[0]))) == two[:1]
    assert len(find(str(folder))) == 4
    assert {kind: names(s) for kind, s in kinds(str(folder)).items()} == {
        "interleaved": two,
        "image_text": ["image_text-000000.tar"],
        "video_text": ["video_text-000000.tar"],
    }


def test_shard_that_the_manifest_names_must_be_there_and_whole(
    tmp_path: Path, cache: Cache
) -> None:
    folder = dataset(tmp_path)
    gone = folder / "interleaved-000001.tar"
    data = gone.read_bytes()
    gone.write_bytes(data[:-512])
    for where in (str(folder), str(folder / "inter*.tar"), str(gone)):
        with pytest.raises(TrainError, match=rf"000001.tar: expected {len(data)} bytes, .* found"):
            Shards(find(where, "interleaved"), cache)
    gone.unlink()
    for where in (str(folder), str(folder / "inter*.tar"), str(gone)):
        with pytest.raises(TrainError, match=r"interleaved-000001.tar: expected a shard"):
            Shards(find(where, "interleaved"), cache)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("nowhere", "nowhere: expected shards, found neither a folder nor a tar"),
        ("", "expected shards such as interleaved-000000.tar, found none"),
        ("*.tar", "expected shards such as"),
        ("list.txt", "expected a list of shards"),
        ("a{1..2", "expected braces like"),
    ],
)
def test_what_names_no_shard_is_an_error_of_one_line(tmp_path: Path, where: str, said: str) -> None:
    with pytest.raises(TrainError) as error:
        find(str(tmp_path / where))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "rows",
    [
        '{"path": "a.tar", "bytes": Infinity}',
        '{"path": 1, "bytes": 3}\n{"path": "a.tar", "bytes": 3}',
        "[" * 100_000,
    ],
)
def test_odd_manifest_is_an_error_of_one_line(tmp_path: Path, rows: str) -> None:
    (tmp_path / "manifest.jsonl").write_text(rows)
    with pytest.raises(TrainError, match=r"manifest.jsonl: expected a JSON object with") as error:
        find(str(tmp_path))
    assert "\n" not in str(error.value)


def test_list_names_no_further_list(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("list.txt\n")
    with pytest.raises(TrainError, match=r"found another list: list.txt"):
        find(str(tmp_path / "list.txt"))


def test_build_that_has_not_ended_is_not_trained_on(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    (folder / "manifest.jsonl").unlink()
    (folder / ".m3w-build").touch()
    with pytest.raises(TrainError, match=r"found .m3w-build and no manifest.jsonl: run the build"):
        find(str(folder))


def test_error_names_the_dataset_of_the_configuration(folder: Path, cache: Cache) -> None:
    with pytest.raises(TrainError, match=r"^datasets.pages: .*expected shards, found neither"):
        open_source("pages", Source(shards=str(folder / "x")), cache)
    with pytest.raises(
        TrainError, match=r"^datasets.pages: .*image_text and interleaved and video"
    ):
        open_source("pages", Source(shards=str(folder)), cache)
    shards = open_source("clips", Source(shards=str(folder), kind="video_text"), cache)
    assert (shards.kind, len(shards)) == ("video_text", 2)


# Shards of other tools


def test_pairs_of_another_tool_are_read_in_webdatasets_layout(tmp_path: Path, cache: Cache) -> None:
    members = {
        "train/0001.jpg": picture(),
        "train/0001.txt": b"A lake.",
        "train/0001.json": json.dumps({"caption": "A lake.", "status": "success"}).encode(),
        f"train/{'n' * 120}.PNG": picture(encoding="png"),  # a PAX header carries the name
        f"train/{'n' * 120}.txt": "Ein schöner See.".encode(),
        "train/0003.txt": b"no picture",
    }
    path = tar(tmp_path / "00000.tar", members)
    # As img2dataset leaves it: a table, but not of members.
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"url": ["https://x.example/1.jpg"]}), tmp_path / "00000.parquet")
    shards = Shards([str(path)], cache)
    assert shards.keys == ["train/0001", f"train/{'n' * 120}", "train/0003"]
    assert shards.kind == "image_text"
    assert shards.sample(1).record()["texts"] == [None, "Ein schöner See."]
    assert shards.sample(1)["png"] == picture(encoding="png")
    assert [reason(shards.sample(n)) for n in range(3)] == ["", "", "missing_part"]


def test_tar_without_a_table_is_walked_once(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tar(tmp_path / "00000.tar", {"1.jpg": picture(), "1.txt": b"A lake."})
    before = whole(Shards([str(path)], cache).sample(0))
    monkeypatch.setattr(tarfile, "open", None)
    assert whole(Shards([str(path)], cache).sample(0)) == before
    monkeypatch.undo()
    tar(path, {"2.jpg": picture(seed=2), "2.txt": b"A hill."})  # another file under the name
    os.utime(path, (1, 1))
    assert Shards([str(path)], cache).keys == ["2"]


@pytest.mark.parametrize("mode", ["w:gz", "cut", "text"])
def test_what_is_no_whole_plain_tar_is_an_error(tmp_path: Path, cache: Cache, mode: str) -> None:
    path = tmp_path / "00000.tar"
    tar(path, {"1.jpg": picture(), "1.txt": b"A lake."}, mode if ":" in mode else "w")
    if mode == "cut":
        path.write_bytes(path.read_bytes()[:700])
    elif mode == "text":
        path.write_text("not a tar " * 100)
    with pytest.raises(TrainError, match=r"00000.tar: expected an uncompressed, whole tar"):
        Shards([str(path)], cache)


def test_shards_without_a_sample_are_an_error(tmp_path: Path, cache: Cache) -> None:
    with pytest.raises(TrainError, match="the shards are empty"):
        Shards([str(tar(tmp_path / "00000.tar", {}))], cache)


def test_kind_that_nothing_says_must_be_set(tmp_path: Path, cache: Cache) -> None:
    path = tar(tmp_path / "00000.tar", {"1.json": b'{"texts": ["A lake."]}'})
    with pytest.raises(TrainError, match=r"expected samples of .* found None in 1: set its `kind`"):
        Shards([str(path)], cache)
    assert len(Shards([str(path)], cache, "interleaved")) == 1


# Far shards


def test_far_samples_are_near_ones_bit_for_bit(folder: Path, cache: Cache, server: Files) -> None:
    far, near = Shards(find(server.url, "interleaved"), cache), pages(folder, cache)
    assert far.keys == near.keys
    assert far.chunks.tolist() == near.chunks.tolist()
    for number in (5, 0, 3, 1, 4, 2):
        assert whole(far.sample(number)) == whole(near.sample(number))


def test_chunk_is_fetched_by_one_range_for_all_processes(cache: Cache, server: Files) -> None:
    far = Shards(find(server.url, "interleaved"), cache)
    for shards in (
        far,
        pickle.loads(pickle.dumps(far)),
        Shards(find(server.url, "interleaved"), cache),
    ):
        for number in range(6):
            whole(shards.sample(number))
    spans = server.asked_for(".tar")
    assert len(spans) == 2  # shards of one chunk each
    assert all(span.startswith("bytes=") for span in spans)


def test_chunks_are_fetched_ahead_several_at_a_time(cache: Cache, server: Files) -> None:
    far = Shards(find(server.url, "interleaved"), cache)
    far.prepare([0, 5, 1])
    assert len(server.asked_for(".tar")) == 2
    whole(far.sample(5))
    assert len(server.asked_for(".tar")) == 2


def test_cache_keeps_what_was_used_last(tmp_path: Path, server: Files) -> None:
    cache = Cache(tmp_path / "cache", limit=1)
    far = Shards(find(server.url, "interleaved"), cache)
    for number in (0, 5, 0):
        whole(far.sample(number))
    assert len([path for path in cache.folder.iterdir() if path.is_file()]) == 1
    assert len(server.asked_for(".tar")) == 3
    roomy = Cache(tmp_path / "roomy", limit=10**9)
    with roomy.opened("old", lambda: b"1" * 100), roomy.opened("new", lambda: b"2" * 100):
        pass
    with roomy.opened("old", lambda: b"never asked"):
        pass  # used last now
    with Cache(roomy.folder, limit=250).opened("newest", lambda: b"3" * 100):
        pass
    assert [roomy.holds(name) for name in ("old", "new", "newest")] == [True, False, True]


def test_processes_share_a_cache_that_is_too_small(tmp_path: Path, server: Files) -> None:
    from threading import Thread

    cache, wrong = Cache(tmp_path / "cache", limit=1), list[object]()

    def read() -> None:
        far = Shards(find(server.url, "interleaved"), cache)
        for number in (0, 5, 1, 4, 2, 3) * 3:
            if reason(far.sample(number)):
                wrong.append(number)
        done.append(True)

    done = list[bool]()
    threads = [Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(done) == 4


def test_server_without_ranges_is_asked_once_per_shard(folder: Path, cache: Cache) -> None:
    with serving(folder, ranges=False) as server:
        far, near = Shards(find(server.url, "interleaved"), cache), pages(folder, cache)
        for number in range(6):
            assert whole(far.sample(number)) == whole(near.sample(number))
        assert len(server.asked_for(".tar")) <= 2


def test_far_tar_without_a_table_is_fetched_once(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LOCK_DIGITS", 0)  # as if all names shared a lock by chance
    tar(tmp_path / "00000.tar", {"1.jpg": picture(), "1.txt": b"A lake."})
    with serving(tmp_path) as server:
        for _ in range(2):
            shards = Shards([f"{server.url}/00000.tar"], cache)
            assert shards.sample(0)["jpg"] == picture()
        assert server.asked_for(".tar") == [""]


def test_failing_server_is_asked_again_and_then_named(
    folder: Path, tmp_path: Path, server: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.001)
    name = "interleaved-000000.tar"
    shards = find(f"{server.url}/{name}")
    server.failing[name] = remote.ATTEMPTS - 1
    near = Shards([str(folder / name)], Cache(tmp_path / "a"))
    far = Shards(shards, Cache(tmp_path / "b"))
    assert whole(far.sample(0)) == whole(near.sample(0))
    server.failing[name] = 1000
    far = Shards(shards, Cache(tmp_path / "c"))
    with pytest.raises(TrainError, match=rf"^{server.url}/{name}: cannot be read after 5 .*503"):
        whole(far.sample(0))


def test_server_that_is_down_is_not_a_shard_that_is_missing(
    folder: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.001)
    with serving(folder) as server:
        url = f"{server.url}/interleaved-000000.tar"
    with pytest.raises(TrainError, match=rf"^{url}: cannot be read after 5 attempts: "):
        Shards([url], cache)


def test_far_shard_that_is_gone_is_named(tmp_path: Path, cache: Cache) -> None:
    folder = dataset(tmp_path / "shards")
    with serving(folder) as server:
        far = Shards(find(server.url, "interleaved"), cache)
        (folder / "interleaved-000001.tar").unlink()
        with pytest.raises(TrainError, match=r"^http://.*000001.tar: expected a shard, found none"):
            whole(far.sample(len(far) - 1))
        with pytest.raises(TrainError, match=r"000001.tar: expected a shard, found none"):
            Shards(find(server.url, "interleaved"), cache)
        (folder / "interleaved-000001.tar").write_bytes(b"short")
        with pytest.raises(TrainError, match=r"000001.tar: expected \d+ bytes, .* found 5"):
            Shards(find(server.url, "interleaved"), cache)


def test_far_lists_and_folders(folder: Path, tmp_path: Path, server: Files) -> None:
    two = [f"{server.url}/interleaved-00000{n}.tar" for n in (0, 1)]
    assert [s.url for s in find(f"{server.url}/", "interleaved")] == two
    assert [s.url for s in find(f"{server.url}/interleaved-*.tar")] == two
    assert [s.url for s in find(f"{server.url}/interleaved-{{000000..000001}}.tar")] == two
    (tmp_path / "list.txt").write_text("\n".join(two))
    assert [s.url for s in find(str(tmp_path / "list.txt"))] == two
    with pytest.raises(TrainError, match=r"found no manifest.jsonl: name the shards"):
        find(f"{server.url}/elsewhere")


@pytest.mark.parametrize(("url", "package"), [("gs://b/a.tar", "gcsfs"), ("s3://b/a.tar", "s3fs")])
def test_package_that_lacks_is_named(cache: Cache, url: str, package: str) -> None:
    pytest.importorskip("fsspec")
    if _installed(package):
        pytest.skip(f"{package} is installed")
    with pytest.raises(TrainError, match=rf"^{url}: .*pip install {package}$"):
        Shards([url], cache)


def _installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def test_unknown_address_is_an_error(cache: Cache) -> None:
    with pytest.raises(TrainError, match=r"^gopher://b/a.tar: expected http"):
        Shards(["gopher://b/a.tar"], cache)
