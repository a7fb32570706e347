"""A run that is killed or stopped goes on as if nothing had been: every loss and weight, bit for bit."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from fakes import Pack, dataset, page_sample, write  # noqa: E402
from flamingo_runs import small, trainer  # noqa: E402

from m3w_builder.config import toml  # noqa: E402
from m3w_builder.errors import TrainError  # noqa: E402
from m3w_builder.flamingo import checkpoint, entry, log, state  # noqa: E402
from m3w_builder.flamingo.config import Source  # noqa: E402
from m3w_builder.flamingo.data.loader import Mixture, batches  # noqa: E402
from m3w_builder.flamingo.data.reader import open_source  # noqa: E402

ROOT = Path(__file__).parents[1]
STEPS = 40
TIMES = ("seconds", "waited", "tokens_per_second", "images_per_second")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("shards"))


def settings(shards: Path, workers: int = 0) -> Any:
    return small(shards, train={"steps": STEPS, "save_every": 3, "workers": workers})


@pytest.fixture(scope="module")
def uninterrupted(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs") / "whole"
    entry.train(settings(shards), folder)
    return folder


def exact(folder: Path) -> list[dict[str, Any]]:
    """Returns the log of a run without its times."""
    return [{k: v for k, v in row.items() if k not in TIMES} for row in log.read(folder)]


def started(run: Any, folder: Path) -> subprocess.Popen[str]:
    """Returns `m3w train` as a process of its own, writing to `folder`."""
    path = folder.parent / "train.toml"
    path.write_text(toml.as_toml(run))
    return subprocess.Popen(
        [sys.executable, "-m", "m3w_builder", "train", "--config", path, "--output", folder],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def after(process: subprocess.Popen[str], folder: Path, updates: int) -> None:
    """Returns when the run has that many updates in its log."""
    while process.poll() is None:
        rows = log.read(folder)
        if rows and rows[-1]["phase"] == "flamingo" and rows[-1]["step"] >= updates:
            return
        time.sleep(0.002)
    raise AssertionError(process.communicate()[0])


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("workers", "kills"), [(0, 2), (2, 1)])
def test_killed_at_any_moment_it_goes_on_bit_for_bit(
    shards: Path, uninterrupted: Path, tmp_path: Path, workers: int, kills: int
) -> None:
    draw, folder, reached = random.Random(workers), tmp_path / "run", 0
    for _ in range(kills):
        process = started(settings(shards, workers), folder)
        after(process, folder, reached + draw.randint(4, 9))  # a state is saved by then
        time.sleep(draw.uniform(0, 0.05))  # in the middle of whatever it does then
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it was done before"
        assert reached <= state.step(folder) <= STEPS
        reached = state.step(folder)
    assert reached > 0
    entry.train(settings(shards, workers), folder)
    assert exact(folder) == exact(uninterrupted)
    for name in (checkpoint.LEARNT, state.FILE):
        assert (folder / name).read_bytes() == (uninterrupted / name).read_bytes()


@pytest.mark.timeout(300)
def test_asked_to_end_it_finishes_the_update_saves_and_says_so(
    shards: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = started(settings(shards), folder)
    after(process, folder, 4)
    process.send_signal(signal.SIGTERM)
    said = process.communicate()[0]
    assert process.returncode == 0, said
    done = state.step(folder)
    assert f"stopped after update {done}: the same command goes on from there" in said
    assert log.read(folder)[-1]["step"] == done
    assert not (folder / checkpoint.DONE).exists()
    entry.train(settings(shards), folder)
    assert exact(folder) == exact(uninterrupted)


def test_state_holds_all_that_the_next_update_depends_on(shards: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    run = small(shards, train={"steps": 6})
    one, mixture = trainer(run)
    found = list(one.fit(batches(mixture, 0, 3)))
    one.progress.rejected["interleaved/no_image"] = 7
    state.save(tmp_path, one, mixture, {"lm": "this"})
    expected = list(one.fit(batches(mixture, 3, 6)))
    torch.manual_seed(99)
    other, again = trainer(run)
    with torch.no_grad():
        for parameter in other.learnt:
            parameter.add_(1.0)
    halves = Mixture(again.sources, run, again.tokenizer, 1, 2)
    assert state.load(tmp_path, other, halves, {"lm": "this"})
    assert halves.positions(3) == mixture.positions(3) != again.positions(1)
    assert state.load(tmp_path, other, again, {"lm": "this"})
    assert other.progress.step == len(found) == 3
    got = list(other.fit(batches(again, 3, 6)))
    for one_, two in zip(expected, got, strict=True):
        assert {k: v for k, v in one_.items() if k not in TIMES} == {
            k: v for k, v in two.items() if k not in TIMES
        }
    assert not state.load(tmp_path / "elsewhere", other, again, {})
    words = "expected the lm that this run was begun with, found another"
    with pytest.raises(TrainError, match=words):
        state.load(tmp_path, other, again, {"lm": "that"})


def test_shards_are_known_wherever_they_lie(tmp_path: Path) -> None:
    pack = Pack()
    for folder, first in (("here", 0), ("other", 2)):
        pages = [page_sample(pack, first + number) for number in range(2)]
        write(tmp_path / folder / "interleaved-000000.tar", pages, pack)
    shutil.copytree(tmp_path / "here", tmp_path / "moved")
    here, moved, other = (
        state.inputs({"pages": open_source("pages", Source(shards=str(tmp_path / folder)))}, {})
        for folder in ("here", "moved", "other")
    )
    assert here == moved
    assert here["datasets.pages"].startswith("2 samples ")
    assert other["datasets.pages"].startswith("2 samples ")
    assert here != other


def test_log_is_cut_to_the_state(tmp_path: Path) -> None:
    rows = [{"phase": "lm", "step": 1}, *({"phase": "flamingo", "step": s} for s in (1, 2, 3))]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / log.FILE).write_text(text + '{"phase": "flamingo", "st')
    assert log.read(tmp_path) == rows
    log.cut(tmp_path, {"lm": 5, "flamingo": 2})
    assert log.read(tmp_path) == rows[:3]
    log.cut(tmp_path, {"flamingo": 2})
    assert log.read(tmp_path) == rows[1:3]
