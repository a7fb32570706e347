"""What of evaluation sets is in a dataset: counted, listed with evidence, taken out; embeddings as ALIGN did it."""

import io
import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from fakes import BIRDS, dataset, picture
from numpy.typing import NDArray
from PIL import Image as Pictures
from rich.console import Console

from m3w_builder import check, shards
from m3w_builder.config import DecontaminateConfig, parse
from m3w_builder.decontaminate import neighbours, search
from m3w_builder.decontaminate.benchmark import Match
from m3w_builder.decontaminate.items import Picture, measured
from m3w_builder.decontaminate.search import WHOLE, Finding, Place
from m3w_builder.errors import ConfigError, InputError
from m3w_builder.shards import read_shard
from m3w_builder.tables import read_table
from pipelines.build import Build, build

CRAWL = Path(__file__).parents[1] / "examples" / "crawl.warc.gz"
OFFLINE = parse({"fetch": {"network": False, "safety": "off"}})
HERE = "test_decontaminate_search"
UNRELATED = "Nothing that anybody would ever have written about a bird on a lake"


@pytest.fixture
def m3w(m3w):  # type: ignore[no-untyped-def]
    """Returns a call of `m3w decontaminate`: (exit code, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        workers = [] if "--workers" in arguments else ["--workers", "1"]
        return m3w("decontaminate", *arguments, *workers)

    return call


def smaller(body: bytes, scale: float = 0.6, quality: int = 60) -> bytes:
    with Pictures.open(io.BytesIO(body)) as image:
        size = (round(image.width * scale), round(image.height * scale))
        layers, file = image.convert("RGBA"), io.BytesIO()
        white = Pictures.new("RGB", image.size, "white")
        white.paste(layers, mask=layers.getchannel("A"))
        white.resize(size).save(file, "JPEG", quality=quality)
    return file.getvalue()


def pictures_in(folder: Path) -> dict[tuple[str, str], bytes]:
    """Returns (id, member) -> bytes of every image of a dataset."""
    return {
        (key, name): body
        for path, _ in shards.open_dataset(folder).shards
        for key, _, parts in read_shard(path)
        for name, body in parts.items()
        if name.endswith(("jpg", "png", "webp"))
    }


def clear_firsts(folder: Path) -> dict[tuple[str, str], bytes]:
    """Returns the first image of each page that shows enough to be told by its look."""
    return {
        key: body
        for key, body in pictures_in(folder).items()
        if key[1] == "000.jpg" and measured(Picture("", "", body)).pdq_quality >= 50
    }


@pytest.fixture
def birds(tmp_path: Path) -> tuple[Path, Path]:
    """Returns a dataset, and an evaluation set of some of its images (one as it is) and a caption."""
    out, coco = dataset(tmp_path / "out"), tmp_path / "coco"
    (coco / "val").mkdir(parents=True)
    named = clear_firsts(out)
    for number, body in enumerate(named.values()):
        (coco / "val" / f"{number}.jpg").write_bytes(smaller(body) if number else body)
    (coco / "val" / "99.jpg").write_bytes(picture(320, 240, 999))
    annotations = [{"caption": BIRDS[0][1].upper()}, {"caption": UNRELATED}]
    (coco / "captions.json").write_text(json.dumps({"annotations": annotations}))
    return out, coco


def test_report_counts_and_lists_with_evidence(m3w, birds) -> None:  # type: ignore[no-untyped-def]
    out, coco = birds
    before = {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    code, text, _ = m3w(out, "--against", coco, "--json")
    assert code == 0
    found = json.loads(text)
    same = [*clear_firsts(out)]
    assert len(same) > 1
    images = [f for f in found["findings"] if f["medium"] == "image"]
    assert sorted((f["id"], f["file"]) for f in images) == sorted(same)
    assert sorted(f["way"] for f in images) == ["bytes"] + ["pdq"] * (len(same) - 1)
    texts = {f["id"] for f in found["findings"] if f["medium"] == "text"}
    holding = {
        record["id"]
        for record in shards.open_dataset(out).records()
        if BIRDS[0][1] in record["texts"]
    }
    assert texts == holding
    assert found["compared"] == {"images": 15, "frames": 8, "texts": 11}
    samples = len({f["id"] for f in found["findings"]})
    counts = {"images": len(same), "frames": 0, "texts": len(texts), "exact": 1, "samples": samples}
    assert found["candidates"] == counts
    (row,) = found["sets"]
    assert row == {
        "set": "coco",
        "pictures": len(same) + 1,
        "texts": 2,
        "unreadable": {},
        "candidates": counts,
    }
    assert {path: path.read_bytes() for path in before} == before


def test_report_as_one_reads_it(m3w, birds) -> None:  # type: ignore[no-untyped-def]
    out, coco = birds
    (coco / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    code, text, _ = m3w(out, "--against", coco)
    assert code == 0
    assert "coco: 4 pictures, 2 texts, 1 unreadable: 3 images, 3 texts (1 exact) in" in text
    assert "  broken.jpg: image_damaged\n" in text
    assert "000.jpg: coco: val/0.jpg: the same bytes\n" in text
    assert "text: coco: captions.json annotations[0].caption: 100% of its n-grams\n" in text
    assert "candidates among 15 images, 8 frames, 11 texts: 3 images, 3 texts" in text


def test_shard_or_processes_change_nothing(m3w, birds) -> None:  # type: ignore[no-untyped-def]
    out, coco = birds
    one = m3w(out, "--against", coco, "--json")
    assert m3w(out, "--against", coco, "--workers", 2, "--json") == one
    tars = sorted(out.glob("*.tar"))
    findings = [
        finding
        for tar in tars
        for finding in json.loads(m3w(tar, "--against", coco, "--json")[1])["findings"]
    ]
    listed = json.loads(one[1])["findings"]
    assert sorted(findings, key=str) == sorted(listed, key=str)


def test_saved_hashes_find_the_same_without_the_images(m3w, birds, tmp_path) -> None:  # type: ignore[no-untyped-def]
    out, coco = birds
    table = tmp_path / "coco.parquet"
    code, text, _ = m3w("--against", coco, "--save-hashes", table)
    assert (code, text) == (0, "coco: 4 pictures, 2 texts\n")
    assert m3w(out, "--against", table, "--json") == m3w(out, "--against", coco, "--json")


def test_remove_takes_images_and_pages_with_a_text(m3w, birds) -> None:  # type: ignore[no-untyped-def]
    out, coco = birds
    reported = json.loads(m3w(out, "--against", coco, "--json")[1])["findings"]
    code, text, _ = m3w(out, "--against", coco, "--mode", "remove", "--json")
    assert code == 0
    assert json.loads(text)["findings"] == reported
    assert json.loads(text)["removed"]["lost"].keys() == {"interleaved"}
    assert check.check(out) == []
    assert json.loads(m3w(out, "--against", coco, "--json")[1])["findings"] == []
    rejects = [
        row for path in out.glob("rejects/remove-*.parquet") for row in read_table(path, "rejects")
    ]
    reasons = {row["reason"] for row in rejects}
    assert reasons == {"evaluation_image", "evaluation_text", "no_image_left"} & reasons
    with_text = {f["id"] for f in reported if f["medium"] == "text"}
    assert {row["id"] for row in rejects if row["reason"] == "evaluation_text"} == with_text
    left = {record["id"] for record in shards.open_dataset(out).records()}
    assert not left & with_text
    assert any(row["detail"] == "coco: val/0.jpg: the same bytes" for row in rejects) or (
        next(f["id"] for f in reported if f["way"] == "bytes") in with_text
    )


@pytest.mark.parametrize("drop", ["image", "page"])
def test_image_goes_alone_or_with_its_page(m3w, tmp_path, drop: str) -> None:  # type: ignore[no-untyped-def]
    out, coco = dataset(tmp_path / "out"), tmp_path / "coco"
    coco.mkdir()
    records = {record["id"]: record for record in shards.open_dataset(out).records()}
    page = next(key for key, record in records.items() if record["url"].endswith("/3.html"))
    pair = next(key for key, record in records.items() if record["kind"] == "image_text")
    for key, name in pictures_in(out):
        if (key, name) in {(page, "001.png"), (pair, records[pair]["images"][0])}:
            (coco / f"{key}.jpg").write_bytes(smaller(pictures_in(out)[key, name]))
    assert m3w(out, "--against", coco, "--mode", "remove", "--drop", drop)[0] == 0
    left = {record["id"]: record for record in shards.open_dataset(out).records()}
    assert check.check(out) == []
    assert pair not in left
    assert (page in left) == (drop == "image")
    assert len(left) == len(records) - (1 if drop == "image" else 2)
    if drop == "image":
        before, after = (sum(map(bool, r[page]["images"])) for r in (records, left))
        assert after == before - 1
        assert left[page]["texts"] == [
            t
            for n, t in enumerate(records[page]["texts"])
            if records[page]["images"][n] != "001.png"
        ]


def test_removals_name_node_reason_and_evidence() -> None:
    image = Finding(
        Place("a", "u", "interleaved", 2, "image", "000.jpg"), Match("s", "i", "pdq", 3)
    )
    text = Finding(Place("b", "u", "interleaved", WHOLE, "text"), Match("s", "t", "ngrams", 0.9))
    judge = search.removals([image, text], "image")
    (one,), (other,) = judge({"id": "a"}), judge({"id": "b"})
    assert (one.reason, one.detail, one.node) == (
        "evaluation_image",
        "s: i: 3 bits of PDQ differ",
        2,
    )
    assert (other.reason, other.detail, other.node) == (
        "evaluation_text",
        "s: t: 90% of its n-grams",
        None,
    )
    assert search.removals([image], "page")({"id": "a"})[0].node is None
    assert judge({"id": "c"}) == ()


def test_real_build_is_found_in_changed_copies_of_its_images(m3w, tmp_path) -> None:  # type: ignore[no-untyped-def]
    out, imagenet = tmp_path / "out", tmp_path / "imagenet"
    build(
        Build([str(CRAWL)], out, OFFLINE, out / "work", beam_args=["--workers=1"]),
        Console(quiet=True),
    )
    imagenet.mkdir()
    placed = {
        k: b for k, b in pictures_in(out).items() if k[1].split(".")[-1] in ("jpg", "png", "webp")
    }
    records = {record["id"]: record for record in shards.open_dataset(out).records()}
    planted = set()
    for (key, name), body in placed.items():
        if records[key]["kind"] != "video_text" and int(key, 16) % 2:
            (imagenet / f"{key}-{name}.JPEG").write_bytes(smaller(body, 0.75, 70))
            planted.add((key, name))
    assert len(planted) > 3
    found = json.loads(m3w(out, "--against", imagenet, "--json")[1])["findings"]
    clear = {key for key in planted if measured(Picture("", "", placed[key])).pdq_quality >= 60}
    assert len(clear) > 50
    # Of a few drawings PDQ changes by more than 31 bits: docs/images.md.
    assert len(clear - {(f["id"], f["file"]) for f in found}) <= 0.02 * len(clear)
    assert m3w(out, "--against", imagenet, "--mode", "remove")[0] == 0
    assert check.check(out) == []
    assert json.loads(m3w(out, "--against", imagenet, "--json")[1])["findings"] == []


# Embeddings


def tiles(image: Pictures.Image) -> list[float]:
    """An encoder for the tests: the colours of 4 x 4 tiles, less their mean."""
    assert image.mode == "RGB"
    small = np.asarray(image.resize((4, 4), Pictures.Resampling.BOX), np.float64)
    return list((small - small.mean()).ravel())


def tiles_of(images: Sequence[Pictures.Image]) -> NDArray[np.float64]:
    return np.array([tiles(image) for image in images])


def ragged(image: Pictures.Image) -> list[float]:
    return [1.0] * image.width


def black(image: Pictures.Image) -> list[float]:
    return [0.0, 0.0]


NO_FUNCTION = 3


def test_cut_copy_is_found_by_embedding(m3w, birds) -> None:  # type: ignore[no-untyped-def]
    out, coco = birds
    for path in coco.rglob("*"):
        if path.is_file():
            path.unlink()
    key, body = next(iter(pictures_in(out).items()))
    with Pictures.open(io.BytesIO(body)) as image:
        width, height = image.size
        cut = image.convert("RGB").crop((width // 40, height // 40, width, height))
        cut.save(coco / "cut.png")
    config = DecontaminateConfig(against=(str(coco),), encoder=f"{HERE}:tiles", min_cosine=0.97)
    paths = [path for path, _ in shards.open_dataset(out).shards]
    found = search.search_embeddings(paths, config)
    assert (*key, "embedding") in {(f.place.id, f.place.file, f.match.way) for f in found}
    assert all(f.match.value > 0.97 for f in found)
    batched = config.model_copy(update={"encoder": f"{HERE}:tiles_of"})
    assert search.search_embeddings(paths[::-1], batched) == found
    text = m3w(out, "--against", coco, "--encoder", f"{HERE}:tiles", "--json")[1]
    assert (key[0], "cut.png") in {(f["id"], f["item"]) for f in json.loads(text)["findings"]}


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        ("no_such_module:f", "expected an importable package.module:function"),
        (f"{HERE}:missing", "expected an importable package.module:function"),
        (f"{HERE}:NO_FUNCTION", "expected an importable package.module:function"),
        (f"{HERE}:ragged", "expected a finite vector per picture, of one length"),
        (f"{HERE}:black", "found one with a length of 0"),
    ],
)
def test_encoder_that_is_none_is_one_line(m3w, birds, encoder: str, words: str) -> None:  # type: ignore[no-untyped-def]
    out, coco = birds
    code, _, err = m3w(out, "--against", coco, "--encoder", encoder)
    assert (code, err.count("\n")) == (1, 1)
    assert words in err


def test_encoder_needs_pictures(birds, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out, _ = birds
    (tmp_path / "x.csv").write_text(f"text\n{UNRELATED}\n")
    config = DecontaminateConfig(against=(str(tmp_path / "x.csv"),), encoder=f"{HERE}:tiles")
    with pytest.raises(InputError, match="expected evaluation sets with pictures"):
        search.search_embeddings([next(out.glob("*.tar"))], config)


def vectors(count: int, seed: int, dimensions: int = 8) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).normal(size=(count, dimensions))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def test_buckets_are_those_of_the_paper() -> None:
    """Pairs that share one of the C(10, 3) = 120 buckets, written down as ALIGN has them."""
    centres, theirs, ours = vectors(40, 1), vectors(60, 2), vectors(30, 3)

    def buckets(top: NDArray[np.int64]) -> set[tuple[int, ...]]:
        found = {*combinations(sorted(top.tolist()), 3)}
        assert len(found) == 120
        return found

    their = [buckets(top) for top in neighbours.nearest(theirs, centres, 10)]
    looked_up = neighbours.Buckets(centres, theirs)
    some = 0
    for top in neighbours.nearest(ours, centres, 10):
        own = buckets(top)
        expected = [place for place, other in enumerate(their) if own & other]
        assert looked_up.candidates(top).tolist() == expected
        some += len(expected)
    assert 0 < some < 60 * 30


def test_nearest_clusters_are_those_of_a_full_sort() -> None:
    centres, points = vectors(50, 1), vectors(20, 2)
    found = neighbours.nearest(points, centres, 10)
    expected = np.argsort(-(points @ centres.T), axis=1)[:, :10]
    assert [{*row} for row in found.tolist()] == [{*row} for row in expected.tolist()]


def test_near_gives_cosines_above_the_bound_the_nearest_first() -> None:
    theirs = vectors(50, 2)
    ours = theirs[[7]] + np.float32(0.05) * vectors(1, 9)
    ours /= np.linalg.norm(ours)
    theirs[30] = theirs[7]
    theirs[8] = ours[0]
    (found,) = neighbours.Buckets(neighbours.clusters(vectors(20, 1)), theirs).near(ours, 0.975)
    assert [place for place, _ in found] == [8, 7, 30]
    assert found[0][1] == pytest.approx(1.0, abs=1e-6)


def test_clusters_are_as_many_as_the_images_bear_and_always_the_same() -> None:
    assert len(neighbours.clusters(vectors(5, 1))) == 5
    assert len(neighbours.clusters(vectors(399, 1))) == 10
    many = neighbours.clusters(vectors(2000, 1))
    assert len(many) == 50
    assert np.array_equal(many, neighbours.clusters(vectors(2000, 1)))
    assert np.linalg.norm(many, axis=1) == pytest.approx(np.ones(50), abs=1e-5)


def test_clusters_find_the_groups_there_are() -> None:
    middles = np.eye(10, dtype=np.float32)
    points = np.repeat(middles, 40, axis=0) + np.float32(0.02) * vectors(400, 5, 10)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    centres = neighbours.clusters(points)
    assert (points @ centres.T).max(axis=1).mean() > 0.75  # two may start in one group


# Errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "expected a dataset to search, or --save-hashes FILE, found neither"),
        (("OUT",), "expected an evaluation set (--against, or decontaminate.against of --config)"),
        (
            ("OUT", "--against", "no-such-set"),
            "decontaminate.against: no-such-set: expected a folder",
        ),
        (("OUT", "--against", "COCO", "--mode", "delete"), "expected 'report' or 'remove'"),
        (("OUT", "--against", "COCO", "--drop", "all"), "expected 'image' or 'page'"),
        (("OUT", "--against", "COCO", "--encoder", "x"), "decontaminate.encoder: expected text"),
        (("nowhere", "--against", "COCO"), "nowhere: expected a dataset folder or a tar"),
    ],
)
def test_wrong_options_are_one_line(m3w, birds, arguments: tuple[str, ...], words: str) -> None:  # type: ignore[no-untyped-def]
    out, coco = birds
    places = {"OUT": out, "COCO": coco}
    code, printed, err = m3w(*(places.get(argument, argument) for argument in arguments))
    assert (code, printed, err.count("\n")) == (1, "", 1)
    assert words in err


def test_remove_needs_a_dataset(m3w, birds) -> None:  # type: ignore[no-untyped-def]
    out, coco = birds
    tar = next(out.glob("interleaved-*.tar"))
    code, _, err = m3w(tar, "--against", coco, "--mode", "remove")
    assert (code, err.count("\n")) == (1, 1)
    assert "expected the folder of a finished dataset" in err


def test_damaged_shard_ends_the_search_with_one_line(m3w, birds) -> None:  # type: ignore[no-untyped-def]
    out, coco = birds
    tar = next(out.glob("interleaved-*.tar"))
    tar.write_bytes(tar.read_bytes()[:5000])
    code, _, err = m3w(out, "--against", coco)
    assert (code, err.count("\n")) == (1, 1)
    assert "truncated" in err
    with pytest.raises(ConfigError):
        parse({"decontaminate": {"drop": "all"}})
