"""CapFilt in a whole build of the bundled crawl, through its main: captions in shards, drops with reasons."""

import hashlib
import json
import tarfile
from collections import Counter
from itertools import chain
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from m3w_builder import check
from m3w_builder.errors import ConfigError
from pipelines import build, select

CRAWL = Path(__file__).parents[1] / "examples" / "crawl.warc.gz"
TOML = """
[fetch]
network = false
safety = "off"
[capfilt]
captioner = "m3w_builder.capfilt.toys:Captioner"
matcher = "m3w_builder.capfilt.toys:Matcher"
captions = 2
top_p = 1.0
"""


def run(out: Path, toml: str = TOML, *options: str, workers: int = 1) -> Path:
    out.mkdir(exist_ok=True)
    config = out.parent / f"{out.name}.toml"
    config.write_text(toml)
    args = [f"--input={CRAWL}", f"--output={out}", f"--config={config}", f"--workers={workers}"]
    build.main([*args, *options])
    return out


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return run(tmp_path_factory.mktemp("capfilt") / "out")


def records(out: Path, kind: str = "image_text") -> list[dict]:
    shards = sorted(out.glob(f"{kind}-*.tar"))
    return [json.loads(sample["json"]) for shard in shards for sample in parts(shard)]


def parts(shard: Path) -> list[dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = {}
    with tarfile.open(shard) as tar:
        for member in tar:
            key, _, name = member.name.partition(".")
            found.setdefault(key, {})[name] = tar.extractfile(member).read()
    return list(found.values())


def digests(out: Path) -> dict[str, str]:
    files = [p for p in out.iterdir() if p.suffix in (".tar", ".parquet", ".jsonl", ".json", ".md")]
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def origins(record: dict) -> list[str]:
    return [info["origin"] for info in record["info"] if info["type"] == "text"]


def test_pairs_have_their_texts_with_origin_model_and_score(built: Path) -> None:
    found = records(built)
    assert found
    assert {"synthetic"} < set(chain.from_iterable(map(origins, found))) == {"web", "synthetic"}
    for record in found:
        texts = [info for info in record["info"] if info["type"] == "text"]
        assert all(info["match"] >= 0.5 for info in texts)
        assert [info["origin"] for info in texts] == sorted(origins(record), reverse=True)
        scores = [info["match"] for info in texts if info["origin"] == "synthetic"]
        assert scores == sorted(scores, reverse=True)
        assert {info["matcher"] for info in texts} == {"m3w-toy-matcher/1"}
        assert all((info["model"] == "") == (info["origin"] == "web") for info in texts)
    for shard in built.glob("image_text-*.tar"):
        for sample in parts(shard):
            texts = [text for text in json.loads(sample["json"])["texts"] if text]
            assert sample["txt"].decode() == texts[0]


def test_dataset_is_whole(built: Path) -> None:
    assert [*chain.from_iterable(check.run(check.units(built), 1))] == []


def test_two_workers_write_the_same_bytes(built: Path, tmp_path: Path) -> None:
    assert digests(run(tmp_path / "out", workers=2)) == digests(built)


@pytest.fixture(scope="module")
def strict(built: Path, tmp_path_factory) -> Path:
    """Returns a build with another threshold, in the same work folder."""
    out = tmp_path_factory.mktemp("strict") / "out"
    return run(out, f"{TOML}min_match = 0.8\n", f"--work={built / 'work'}")


def test_changed_threshold_asks_no_model(built: Path, strict: Path) -> None:
    stages = Counter(path.name.split("-")[0] for path in (built / "work").glob("*-*"))
    assert (stages["capfilt"], stages["select"], stages["write"]) == (1, 2, 2)
    for record in records(strict):
        assert all(i["match"] >= 0.8 for i in record["info"] if i["type"] == "text")
    flow = json.loads((strict / "waterfall.json").read_text())["sections"]
    (pairs,) = (section for section in flow if section["section"] == "image-text pairs")
    gone = {drop["reason"]: drop["count"] for drop in pairs["drops"]}
    assert gone["no_text_left"] > 0
    assert 0 < len(records(strict)) < len(records(built))


@pytest.mark.parametrize("name", ["built", "strict"])
def test_waterfall_counts_every_text(name: str, request: pytest.FixtureRequest) -> None:
    out = request.getfixturevalue(name)
    found = json.loads((out / "waterfall.json").read_text())
    flow = {section["section"]: section for section in found["sections"]}
    rejects = Counter(
        row["reason"]
        for path in (out / "rejects").iterdir()
        for row in pq.read_table(path).to_pylist()
    )
    kept = Counter(chain.from_iterable(map(origins, records(out))))
    for origin, reason in (("web", "text_mismatch"), ("synthetic", "caption_mismatch")):
        judged, stay = (step["count"] for step in flow[f"{origin} texts"]["steps"])
        drops = {d["reason"]: d["count"] for d in flow[f"{origin} texts"]["drops"]}
        assert drops == ({reason: rejects[reason]} if rejects[reason] else {})
        assert stay == kept[origin]
        assert judged == stay + rejects[reason] > 0
        summed = found["capfilt"]["texts"][origin]
        assert (summed["judged"], summed["kept"]) == (judged, stay)
        assert (rejects[reason] > 0) == (found["capfilt"]["noise"][origin] > 0)
        assert rejects[reason] or name == "built"
    assert found["capfilt"]["models"]["captioner"]["model_id"] == "m3w-toy-captioner/1"
    assert found["capfilt"]["warnings"] == []


def test_without_plugins_nothing_changes(built: Path, tmp_path: Path) -> None:
    plain = run(tmp_path / "out", TOML.partition("[capfilt]")[0], f"--work={built / 'work'}")
    assert "origin" not in json.dumps(
        [i for r in records(plain) for i in r["info"] if i["type"] == "text"]
    )
    assert "capfilt" not in json.loads((plain / "waterfall.json").read_text())


def test_pages_have_captions_behind_their_images(tmp_path: Path) -> None:
    toml = f"{TOML}pages = true\n".replace("captions = 2", "captions = 1")
    found = records(run(tmp_path / "out", toml), "interleaved")
    behind = Counter(
        (one["type"], other.get("origin"))
        for record in found
        for one, other in zip(record["info"], record["info"][1:], strict=False)
    )
    assert behind["image", "synthetic"] > 100
    assert not behind["text", "synthetic"]


def test_select_wants_the_stage_that_the_configuration_asks_for(
    built: Path, tmp_path: Path
) -> None:
    (fetched,) = (built / "work").glob("fetch-*")
    config = tmp_path / "c.toml"
    config.write_text(TOML)
    with pytest.raises(
        ConfigError, match="expected a capfilt stage for this configuration, found fetch"
    ):
        select.main([f"--fetch={fetched}", f"--work={tmp_path}", f"--config={config}"])
