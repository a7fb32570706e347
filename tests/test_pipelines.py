"""The four stages end to end on the bundled crawl: same bytes whatever the workers, the split, replays or kills."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from itertools import chain
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from rich.console import Console
from test_cli_build import saved_page

from m3w_builder import check
from m3w_builder.config import Config, PrivacyConfig, parse
from m3w_builder.errors import ConfigError, InputError, OutputError
from m3w_builder.stages import load
from m3w_builder.warc import read_records
from pipelines import extract, fetch, select, write
from pipelines.build import Build, build

ROOT = Path(__file__).parents[1]
CRAWL = ROOT / "examples" / "crawl.warc.gz"
OFFLINE = parse({"fetch": {"network": False, "safety": "off"}, "write": {"shard_bytes": 4 * 2**20}})
QUIET = Console(quiet=True)


def run(
    inputs: Path | list[Path], output: Path, *beam_args: str, config: Config = OFFLINE, **options
) -> Path:
    inputs = inputs if isinstance(inputs, list) else [inputs]
    work = options.pop("work", output / "work")
    build(
        Build([str(p) for p in inputs], output, config, work, beam_args=beam_args, **options), QUIET
    )
    return output


def digests(output: Path) -> dict[str, str]:
    """Returns the sha256 of every shard, member table and description of a dataset."""
    files = [
        p for p in output.iterdir() if p.suffix in (".tar", ".parquet", ".jsonl", ".json", ".md")
    ]
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return run(CRAWL, tmp_path_factory.mktemp("one") / "out", "--workers=1")


def test_build_gives_all_three_datasets_and_a_manifest(built):
    rows = [json.loads(line) for line in (built / "manifest.jsonl").read_text().splitlines()]
    assert {row["kind"] for row in rows} == {"interleaved", "image_text", "video_text"}
    for row in rows:
        assert hashlib.sha256((built / row["path"]).read_bytes()).hexdigest() == row["sha256"]


def test_two_workers_write_the_same_bytes(built, tmp_path):
    assert digests(run(CRAWL, tmp_path / "out", "--workers=2")) == digests(built)


def test_split_input_gives_the_same_bytes(built, tmp_path):
    """Four files, cut at records, named so that they sort in another order."""
    crawl = CRAWL.read_bytes()
    starts = [record.offset for record in read_records(str(CRAWL), max_body=2**26)]
    cuts = [0, *(starts[len(starts) * n // 4] for n in (1, 2, 3)), len(crawl)]
    for name, begin, end in zip("dbca", cuts, cuts[1:], strict=False):
        (tmp_path / f"{name}.warc.gz").write_bytes(crawl[begin:end])
    split = run([tmp_path / "*.warc.gz"], tmp_path / "out", "--workers=2")
    assert digests(split) == digests(built)


def test_replayed_bundles_change_neither_bytes_nor_waterfall(built, tmp_path):
    out = run(CRAWL, tmp_path / "out", "--workers=1", "--direct_runner_bundle_repeat=1")
    assert digests(out) == digests(built)


def test_waterfall_adds_up(built):
    """What goes in comes out or has a reason, and the reject tables hold one row per counted drop."""
    sections = json.loads((built / "waterfall.json").read_text())["sections"]
    flow = {s["section"]: [step["count"] for step in s["steps"]] for s in sections}
    drops = {s["section"]: sum(x["count"] for x in s["drops"]) for s in sections}
    failed, pages, with_content = flow["pages"]
    assert failed + pages == with_content + drops["pages"]
    for name in ("documents", "image-text pairs", "video-text pairs"):
        found, kept = flow[name]
        assert found == kept + drops[name]
    for name in ("image files", "video files"):
        urls, archived, fetched = flow[name]
        assert urls == archived + fetched + drops[name]
    for name in ("images in documents", "videos in documents"):
        placed, gone, kept = flow[name]
        assert placed == gone + kept + drops[name]
    rows = sum(pq.read_metadata(p).num_rows for p in (built / "rejects").iterdir())
    assert rows == sum(drops.values())


def test_finished_build_is_not_run_again(built):
    before = {p: p.stat().st_mtime_ns for p in built.rglob("*") if p.is_file() and p.name != "lock"}
    run(CRAWL, built, "--workers=1")
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_changed_threshold_runs_only_select_and_write(built, tmp_path):
    strict = OFFLINE.model_copy(update={"rules": parse({"rules": {"min_words": 300}}).rules})
    before = sorted(p.name for p in (built / "work").iterdir())
    out = run(CRAWL, tmp_path / "out", "--workers=1", config=strict, work=built / "work")
    new = {p.name.split("-")[0] for p in (built / "work").iterdir() if p.name not in before}
    assert new == {"select", "write"}
    kept = [
        json.loads(line)["documents"] for line in (out / "manifest.jsonl").read_text().splitlines()
    ]
    assert (
        0
        < sum(kept)
        < sum(x["documents"] for x in map(json.loads, (built / "manifest.jsonl").open()))
    )


def test_folder_of_another_configuration_is_refused_and_left_alone(built, tmp_path):
    before = digests(built)
    strict = OFFLINE.model_copy(update={"rules": parse({"rules": {"min_words": 300}}).rules})
    with pytest.raises(OutputError, match="another --output, or --overwrite"):
        run(CRAWL, built, "--workers=1", config=strict)
    assert digests(built) == before


def test_overwrite_replaces_the_shards(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "interleaved-000009.tar").write_bytes(b"another program's")
    with pytest.raises(OutputError, match="another program"):
        run(CRAWL, out, "--workers=1")
    run(CRAWL, out, "--workers=1", overwrite=True)
    assert not (out / "interleaved-000009.tar").exists()
    assert (out / "manifest.jsonl").exists()


@pytest.mark.parametrize("pattern", ["absent/*.warc.gz", "absent.warc.gz"])
def test_missing_input_is_one_line(tmp_path, pattern):
    with pytest.raises(InputError, match="absent"):
        run(tmp_path / pattern, tmp_path / "out")


def test_output_inside_the_input_folder_is_refused(tmp_path):
    (tmp_path / "page.html").write_text("<p>hello")
    with pytest.raises(InputError, match="apart from what is written"):
        run(tmp_path, tmp_path / "out")


def test_unknown_option_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--wrokers"):
        run(CRAWL, tmp_path / "out", "--wrokers=2")


def test_missing_scorer_is_told_before_any_work(tmp_path):
    config = parse({"fetch": {"image_scores": ["no_such_package:score"]}})
    with pytest.raises(ConfigError, match=r"^no_such_package:score: expected an importable"):
        run(CRAWL, tmp_path / "out", config=config)
    assert not list(tmp_path.rglob("*.parquet"))


def test_each_stage_runs_alone(built, tmp_path, capsys):
    """Through main([...]), as `python -m pipelines.extract` and its neighbours do."""
    config = tmp_path / "c.toml"
    config.write_text("[fetch]\nnetwork = false\nsafety = 'off'\n[write]\nshard_bytes = 4194304\n")
    common = [f"--work={tmp_path / 'work'}", f"--config={config}", "--workers=1"]

    def stage(main, *args: str) -> str:
        main([*args, *common])
        return capsys.readouterr().out.strip()

    extracted = stage(extract.main, f"--input={CRAWL}")
    fetched = stage(fetch.main, f"--extract={extracted}")
    selected = stage(select.main, f"--fetch={fetched}")
    written = stage(write.main, f"--select={selected}", f"--output={tmp_path / 'out'}")
    assert load(Path(written)).counts()["interleaved.documents"] > 0
    assert digests(tmp_path / "out") == digests(built)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["extract", "fetch", "write"])
def test_killed_build_goes_on_to_the_same_bytes(built, tmp_path, stage):
    out = tmp_path / "out"
    config = tmp_path / "c.toml"
    config.write_text("[fetch]\nnetwork = false\nsafety = 'off'\n[write]\nshard_bytes = 4194304\n")
    command = [sys.executable, "-m", "pipelines.build", f"--input={CRAWL}", f"--output={out}"]
    command += [f"--config={config}", "--workers=2"]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    while process.poll() is None and not _at_work(out / "work", stage):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "manifest.jsonl").exists()
    subprocess.run(command, cwd=ROOT, check=True)
    assert digests(out) == digests(built)
    assert not list(out.rglob(".tmp-*"))


def _at_work(work: Path, stage: str) -> bool:
    """Says whether a stage has begun to write files."""
    where = work.parent if stage == "write" else work
    pattern = ".tmp-*.tar" if stage == "write" else f"{stage}-*/**/.tmp-*"
    return any(where.glob(pattern))


def test_subtitles_go_with_their_video_into_the_shards(tmp_path):
    """A saved page whose video has a good track, a broken one and one that is not there."""
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    source = "testsrc=s=320x240:d=4:r=5"
    command = (get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source)
    subprocess.run((*command, str(crawl / "clip.mp4")), check=True)
    srt = "1\n00:00:01,000 --> 00:00:02,500\n<i>The tide</i> is out\n\n2\n00:00:59,000 --> 00:01:00,000\nlate\n"
    (crawl / "en.srt").write_text(srt)
    (crawl / "de.vtt").write_text("WEBVTT\n\nnothing\n")
    tracks = "".join(
        f'<track src={name} srclang={name[:2]} label="{name}">'
        for name in ("en.srt", "de.vtt", "fr.vtt")
    )
    prose = "".join(
        f"<p>Sentence {n} of the page tells what the boats that have left the harbour do {n} miles out.</p>"
        for n in range(20)
    )
    video = f"<figure><video src=clip.mp4>{tracks}</video><figcaption>A harbour at low tide</figcaption></figure>"
    (crawl / "page.html").write_text(
        f"<html lang=en><title>Harbours</title><article><h1>Harbours</h1>{prose}{video}{prose}</article>"
    )
    lenient = parse({"fetch": {"network": False}, "rules": {"text_rules": False, "languages": []}})
    out = run(crawl, tmp_path / "out", "--workers=1", config=lenient)
    for kind in ("interleaved", "video_text"):
        with tarfile.open(out / f"{kind}-000000.tar") as tar:
            member = next(name for name in tar.getnames() if name.endswith(".json"))
            record = json.load(tar.extractfile(member))
        (info,) = (info for info in record["info"] if info["type"] == "video")
        (track,) = info["subtitles"]
        assert (track["language"], track["label"], track["kind"]) == ("en", "en.srt", "subtitles")
        assert track["cues"] == [{"start": 1.0, "end": 2.5, "text": "The tide is out"}]
        assert [frame["t"] for frame in info["frames"]] == [0, 1, 2, 3]
    sections = json.loads((out / "waterfall.json").read_text())["sections"]
    (found,) = (s for s in sections if s["section"] == "subtitle files")
    assert [step["count"] for step in found["steps"]] == [3, 1, 0]
    assert sorted(drop["reason"] for drop in found["drops"]) == ["not_archived", "not_subtitles"]
    assert [*chain.from_iterable(check.run(check.units(out), 1))] == []
    again = run(crawl, tmp_path / "again", "--workers=2", config=lenient)
    assert digests(again) == digests(out)


def test_scores_of_everything_measured_lie_beside_the_shards(built):
    found = json.loads((built / "scores.json").read_text())["scores"]
    sections = json.loads((built / "waterfall.json").read_text())["sections"]
    (stored,) = [s["stayed"] for s in sections if s["section"] == "image files"]
    for score in ("side", "aspect_ratio", "flatness"):
        assert sum(n for *_, n in found["image"][score]["buckets"]) == stored
    sides = {low: n for low, _, n in found["image"]["side"]["buckets"]}
    media = [row for f in stage_of(built, "fetch").files("media") for row in rows_of(f)]
    small = [
        row for row in media if row["status"] == "ok" and min(row["width"], row["height"]) < 64
    ]
    assert sum(n for low, n in sides.items() if low < 64) == len(small) > 0
    assert {"setting": "rules.min_image_side", "side": "min", "value": 64.0} in found["image"][
        "side"
    ]["thresholds"]


def test_configuration_and_examples_lie_beside_the_shards(built):
    assert parse(json.loads((built / "config.json").read_text())) == OFFLINE
    found = json.loads((built / "examples.json").read_text())
    rejects = [row for f in sorted(built.glob("rejects/*.parquet")) for row in rows_of(f)]
    assert sum(reason["count"] for reason in found["reasons"]) == len(rejects)
    known = {(row["id"], row["url"], row["stage"], row["reason"]) for row in rejects}
    for reason in found["reasons"]:
        for e in reason["examples"]:
            assert (e["id"], e["url"], reason["stage"], reason["reason"]) in known
    pictured = {r["reason"] for r in found["reasons"] for e in r["examples"] if "picture" in e}
    assert {"image_too_small", "pair_image_too_small", "alt_too_short"} <= pictured


def stage_of(output: Path, name: str):
    (folder,) = (output / "work").glob(f"{name}-*")
    return load(folder)


def rows_of(file: Path) -> list[dict]:
    return pq.read_table(file).to_pylist()


def test_personal_data_reach_no_shard_and_are_counted(tmp_path):
    page = tmp_path / "crawl" / "mill.html"
    saved_page(page.parent, page.name)
    text = page.read_text().replace("<h1>Mill", "<h1>Mill, joe@falcot.com or +49 40 890 85433")
    page.write_text(text.replace("at work", "of jean@falcot.com"))
    for handling, mails in (("mask", 3), ("keep", 0)):
        config = OFFLINE.model_copy(update={"privacy": PrivacyConfig(email=handling)})
        out = run(page, tmp_path / handling, "--workers=1", config=config)
        shard = b"".join(tar.read_bytes() for tar in sorted(out.glob("*.tar")))
        assert (b"falcot" in shard, b"<EMAIL>" in shard) == (not mails, bool(mails))
        assert b"or <PHONE>" in shard
        (stage,) = (out / "work").glob("write-*")
        counts = load(stage).counts()
        assert (counts["privacy.phone"], counts["privacy.email"]) == (1, mails)
