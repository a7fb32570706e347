"""The stage of CapFilt end to end on the bundled crawl, through its main: the same bytes, resumed, not run again."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from m3w_builder import histograms
from m3w_builder.capfilt import annotations, by_node, decide, read_about, toys
from m3w_builder.config import load
from m3w_builder.errors import ConfigError, InputError
from m3w_builder.stages import load as load_stage
from m3w_builder.tables import Row
from pipelines import capfilt, extract, fetch

ROOT = Path(__file__).parents[1]
CRAWL = ROOT / "examples" / "crawl.warc.gz"
FETCH = "[fetch]\nnetwork = false\nsafety = 'off'\n"
TOYS = """
captioner = "m3w_builder.capfilt.toys:Captioner"
matcher = "m3w_builder.capfilt.toys:Matcher"
captions = 2
top_p = 1.0
"""


def configured(folder: Path, capfilt: str = TOYS) -> Path:
    path = folder / f"{hashlib.sha256(capfilt.encode()).hexdigest()[:8]}.toml"
    path.write_text(f"{FETCH}[capfilt]\n{capfilt}")
    return path


class Cut(toys.Captioner):
    """The toy, which gives up after so many images, if it is told to."""

    images = 0
    limit = 10**9

    def caption(self, images, settings, seeds):
        type(self).images += len(images)
        if type(self).images > self.limit:
            raise RuntimeError("the power went off")
        return super().caption(images, settings, seeds)


class Slow(toys.Captioner):
    """The toy, as slow as a model."""

    def caption(self, images, settings, seeds):
        time.sleep(0.02 * len(images))
        return super().caption(images, settings, seeds)


class Wrong(toys.Matcher):
    """A matcher that is not sure."""

    def match(self, images, texts):
        return [float("nan")] * len(images)


class Absent(toys.Matcher):
    """A matcher whose weights are not to be had where it runs."""

    def load(self) -> None:
        raise ConfigError("weights.bin: expected a file with the weights")


Run = Callable[..., Path]


@pytest.fixture(scope="module")
def fetched(tmp_path_factory) -> Path:
    """Returns the folder of the fetch stage, in a work folder."""
    work = tmp_path_factory.mktemp("work")
    common = [f"--work={work}", f"--config={configured(work, '')}", "--workers=1"]
    extract.main([f"--input={CRAWL}", *common])
    (extracted,) = work.glob("extract-*")
    fetch.main([f"--extract={extracted}", *common])
    (found,) = work.glob("fetch-*")
    return found


@pytest.fixture
def run(fetched: Path, tmp_path: Path, capsys) -> Run:
    """Returns what runs the stage by its main, in a work folder of its own, and returns its folder."""

    def stage(capfilt_toml: str = TOYS, workers: int = 1, work: str = "work") -> Path:
        config = configured(tmp_path, capfilt_toml)
        args = [f"--fetch={fetched}", f"--work={tmp_path / work}", f"--config={config}"]
        capfilt.main([*args, f"--workers={workers}"])
        return Path(capsys.readouterr().out.strip())

    return stage


def digests(stage: Path) -> dict[str, str]:
    files = [p for p in stage.rglob("*") if p.is_file() and p.name != "stage.json"]
    return {str(p.relative_to(stage)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def rows_of(stage: Path) -> dict[tuple[str, int], list[Row]]:
    """Returns the rows by document and node."""
    found: dict[str, list[Row]] = {}
    for path in load_stage(stage).files("annotations"):
        for document, row in annotations(path):
            found.setdefault(document, []).append(row)
    return {(d, node): some for d, rows in found.items() for node, some in by_node(rows).items()}


def test_every_pair_with_an_image_gets_captions_and_scores(run: Run, fetched: Path) -> None:
    stage = run()
    rows = rows_of(stage)
    counts = load_stage(stage).counts()
    pairs = load_stage(fetched).parent("extract").counts()["image_text"]
    assert pairs * 0.9 < len(rows) <= pairs
    assert counts["texts.web"] == len(rows)
    assert counts["images"] == len({r["sha256"] for some in rows.values() for r in some})
    judged = histograms.read(counts)
    for origin in ("web", "synthetic"):
        scores = [r for some in rows.values() for r in some if r["score"] is not None]
        number = sum(r["origin"] == origin for r in scores)
        assert sum(n for *_, n in judged[f"{origin}_text"]["match"]) == number > 0
    assert len(load_stage(stage).files("commits")) > 2
    for some in rows.values():
        operators = Counter((row["operator"], row["origin"]) for row in some)
        written = operators["caption", "synthetic"]
        assert 1 <= written <= 2
        assert operators == {
            ("caption", "synthetic"): written,
            ("match", "synthetic"): written,
            ("match", "web"): 1,
        }


def test_two_workers_write_the_same_bytes(run: Run) -> None:
    assert digests(run()) == digests(run(workers=2, work="two"))


def test_pages_get_captions_of_their_images(run: Run) -> None:
    pairs, both = rows_of(run()), rows_of(run(f"{TOYS}pages = true\n"))
    assert pairs.items() <= both.items()
    of_pages = [rows for key, rows in both.items() if key not in pairs]
    assert len(of_pages) > 100
    assert {row["origin"] for rows in of_pages for row in rows} == {"synthetic"}


def test_threshold_is_not_a_matter_of_this_stage(run: Run, tmp_path: Path) -> None:
    stage = run()
    before = {path: path.stat().st_mtime_ns for path in stage.rglob("*")}
    strict = f"{TOYS}min_match = 0.9\n"
    assert run(strict) == stage
    assert {path: path.stat().st_mtime_ns for path in stage.rglob("*")} == before
    kept = [
        sum(decide(rows, load(configured(tmp_path, toml)).capfilt).web for rows in found)
        for toml in (TOYS, strict)
        for found in [rows_of(stage).values()]
    ]
    assert kept[0] > kept[1] > 0


def test_other_seed_is_another_stage_with_other_captions(run: Run) -> None:
    one, other = run(), run(f"{TOYS}seed = 1\n")
    assert one != other
    first, second = rows_of(one), rows_of(other)
    assert first.keys() == second.keys()
    assert first != second


def test_cut_run_goes_on_where_it_was(run: Run) -> None:
    toml = TOYS.replace("m3w_builder.capfilt.toys:Captioner", "test_capfilt_stage:Cut")
    whole = run(toml, work="whole")
    needed, Cut.images, Cut.limit = Cut.images, 0, 150
    with pytest.raises(RuntimeError, match="the power went off"):
        run(toml)
    (cut,) = (whole.parents[1] / "work").glob("capfilt-*")
    done = len(list((cut / "commits").iterdir()))
    assert not (cut / "stage.json").exists()
    Cut.images, Cut.limit = 0, 10**9
    assert digests(run(toml)) == digests(whole)
    assert done > 0
    assert 0 < Cut.images < needed


@pytest.mark.slow
def test_killed_run_goes_on_to_the_same_bytes(run: Run, fetched: Path, tmp_path: Path) -> None:
    toml = TOYS.replace("m3w_builder.capfilt.toys:Captioner", "test_capfilt_stage:Slow")
    command = [sys.executable, "-m", "pipelines.capfilt", f"--fetch={fetched}", "--workers=2"]
    command += [f"--work={tmp_path / 'killed'}", f"--config={configured(tmp_path, toml)}"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path}
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, env=environment)
    while process.poll() is None and not list(tmp_path.glob("killed/capfilt-*/commits/*.json")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (stage,) = tmp_path.glob("killed/capfilt-*")
    assert not (stage / "stage.json").exists()
    subprocess.run(command, cwd=tmp_path, check=True, env=environment)
    assert digests(stage) == digests(run(toml, work="whole"))
    assert not list(stage.rglob(".tmp-*"))


def test_one_model_for_both_is_told_on_stderr_and_kept(
    fetched: Path, tmp_path: Path, capsys
) -> None:
    toml = "captioner = 'test_capfilt:Fake'\nmatcher = 'test_capfilt:Fake'\nmin_side = 100000\n"
    args = [f"--fetch={fetched}", f"--work={tmp_path}", f"--config={configured(tmp_path, toml)}"]
    for _ in range(2):  # the second time the stage is finished
        capfilt.main([*args, "--workers=1"])
        out, err = capsys.readouterr()
        (line,) = err.splitlines()
        assert line.startswith("m3w: warning: capfilt: captioner and matcher are one model (fake)")
    about = read_about(Path(out.strip()))
    fake = {"model_id": "fake", "checkpoint": ""}
    assert about["models"] == {"captioner": fake, "matcher": fake}
    assert about["warnings"] == [line.removeprefix("m3w: warning: capfilt: ")]


@pytest.mark.parametrize(
    ("matcher", "workers", "words"),
    [
        ("Wrong", 1, "capfilt: m3w-toy-matcher/1: expected finite numbers as scores, found nan"),
        ("Absent", 2, "weights.bin: expected a file with the weights"),
    ],
)
def test_what_goes_wrong_in_a_worker_is_one_line(
    run: Run, matcher: str, workers: int, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        run(f"matcher = 'test_capfilt_stage:{matcher}'\n", workers=workers)
    assert str(caught.value) == words


def test_nothing_configured_or_nothing_there_is_one_line(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"capfilt\.matcher: expected a plug-in, found none"):
        run("batch = 4\n")
    with pytest.raises(ConfigError, match="no_such_package:x: expected an importable"):
        run("matcher = 'no_such_package:x'\n")
    with pytest.raises(InputError, match="expected the folder of a finished stage"):
        capfilt.main([f"--fetch={tmp_path}", f"--work={tmp_path / 'work'}"])
    assert not (tmp_path / "work").exists()


def test_stage_needs_no_torch_and_says_nothing_of_it(
    run: Run, fetched: Path, tmp_path: Path
) -> None:
    code = "import sys; sys.modules['torch'] = None; from pipelines import capfilt; capfilt.main()"
    command = [sys.executable, "-c", code, f"--fetch={fetched}", f"--work={tmp_path / 'bare'}"]
    command += [f"--config={configured(tmp_path)}", "--workers=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert digests(Path(done.stdout.strip())) == digests(run())
