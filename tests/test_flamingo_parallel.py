"""Two ranks with half the batch do what one rank does, replicated or sharded; real processes over Gloo."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

import flamingo_runs  # noqa: E402
from fakes import dataset  # noqa: E402
from flamingo_runs import rows, small, trainer  # noqa: E402

from m3w_builder.config import toml  # noqa: E402
from m3w_builder.errors import TrainError  # noqa: E402
from m3w_builder.flamingo import checkpoint, entry, state  # noqa: E402
from m3w_builder.flamingo.parallel import Ranks, joined  # noqa: E402

ROOT = Path(__file__).parents[1]
LOSS, WEIGHT = (
    1e-5,
    1e-5,
)  # sums of float32 in another order; AdamW's first steps are about 3e-3 long


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("shards"), pages=12, pairs=12, videos=12)


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Returns what a program did on two ranks of this machine."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*launcher, "--nproc-per-node", "2", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_ranks_with_half_the_batch_are_one_with_all_of_it(
    shards: Path, tmp_path: Path, parallel: str
) -> None:
    found = torchrun(flamingo_runs.__file__, shards, tmp_path, parallel)
    assert found.returncode == 0, found.stderr
    theirs = json.loads((tmp_path / "rows.json").read_text())
    weights = torch.load(tmp_path / "weights.pt")

    torch.set_num_threads(1)
    one, mixture = trainer(small(shards, batch=2, train={"steps": 4}))
    before = {name: p.detach().clone() for name, p in one.model.trained()}
    ours = rows(one, mixture)
    for mine, its in zip(ours, theirs, strict=True):
        assert its["loss"] == pytest.approx(mine["loss"], rel=LOSS)
        assert its["losses"] == pytest.approx(mine["losses"], rel=LOSS)
        assert its["gradient_norm"] == pytest.approx(mine["gradient_norm"], rel=LOSS)
    assert theirs[0]["gradient_norms"] == pytest.approx(ours[0]["gradient_norms"], rel=LOSS)
    for name, weight in one.model.trained():
        torch.testing.assert_close(weights[name], weight.detach(), atol=WEIGHT, rtol=0)
        moved = (weights[name] - before[name]).abs().max()
        assert moved > 100 * WEIGHT, f"{name} did not learn"

    # The state of two ranks is whole: one rank goes on with it.
    again, _ = trainer(small(shards, batch=2, train={"steps": 6}))
    assert state.load(tmp_path, again)
    one.run = again.run
    for mine, its in zip(rows(one, mixture), rows(again, mixture), strict=True):
        assert its["loss"] == pytest.approx(mine["loss"], rel=10 * LOSS)


@pytest.mark.timeout(300)
def test_run_goes_on_sharded_under_torchrun_and_is_written_once(
    shards: Path, tmp_path: Path
) -> None:
    run = small(shards, train={"steps": 2})
    entry.train(run, tmp_path / "run")
    settings = tmp_path / "more.toml"
    more = run.train.model_copy(update={"steps": 3, "parallel": "fsdp"})
    settings.write_text(toml.as_toml(run.model_copy(update={"train": more})))
    verb = ("-m", "m3w_builder", "train", "--config", settings, "--output", tmp_path / "run")
    found = torchrun(*verb)
    assert found.returncode == 0, found.stderr
    assert found.stderr.count("going on after update 2") == 1
    log = [json.loads(line) for line in (tmp_path / "run" / "train.jsonl").open()]
    assert [row["step"] for row in log if row["phase"] == "flamingo"] == [1, 2, 3]
    assert checkpoint.load(tmp_path / "run").run.train == more


def test_without_torchrun_there_is_one_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined(cpu=True) as ranks:
        assert ranks == Ranks()
        assert ranks.first
        assert ranks.sum([1.0, 2.0]) == [1.0, 2.0]
    with pytest.raises(TrainError, match="expected several processes"), joined("fsdp", cpu=True):
        pass
