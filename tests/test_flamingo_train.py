"""Training, from one update to the CLI verbs: what moves, what must not, what is written."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

import typer  # noqa: E402
from fakes import dataset, picture  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from m3w_builder.cli.train import register  # noqa: E402
from m3w_builder.errors import TrainError  # noqa: E402
from m3w_builder.flamingo import checkpoint, entry  # noqa: E402
from m3w_builder.flamingo.data import Batch, Dataset, find  # noqa: E402
from m3w_builder.flamingo.examples import Choices  # noqa: E402
from m3w_builder.flamingo.generate import generate  # noqa: E402
from m3w_builder.flamingo.model import Flamingo, language_model  # noqa: E402
from m3w_builder.flamingo.presets import PRESETS, Preset, Recipe, Shape, batches  # noqa: E402
from m3w_builder.flamingo.tokens import BOS, EOC, PAD, TAG  # noqa: E402
from m3w_builder.flamingo.train import (  # noqa: E402
    accumulate,
    batch_loss,
    fit,
    groups,
    next_token_loss,
    warm_up,
)
from m3w_builder.types import KINDS, Kind  # noqa: E402

SMALL = Shape(
    image=16,
    patch=8,
    dim=32,
    layers=2,
    heads=2,
    head=16,
    context=256,
    visual=24,
    visual_layers=1,
    visual_heads=2,
    latents=4,
)
CHOICES = Choices(length=96, pair_length=64)
RECIPE = Recipe(steps=3, rate=3e-3, warmup=2, batch=batches(2), lm_steps=3, lm_batch=2, shuffle=8)
QUICK = Preset(SMALL, RECIPE, CHOICES)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("shards"))


@pytest.fixture
def model() -> Flamingo:
    return Flamingo(language_model(SMALL), SMALL)


def streams(shards: Path) -> dict[Kind, Iterator[Batch]]:
    return {
        kind: Dataset(kind, paths).batches(RECIPE.batch[kind], CHOICES, SMALL.image)
        for kind, paths in find(shards).items()
    }


def test_loss_falls_on_one_batch(shards: Path, model: Flamingo) -> None:
    kept = {kind: repeat(next(stream)) for kind, stream in streams(shards).items()}
    with torch.no_grad():
        model.lm.head.weight *= 20  # a fresh LM's head is too faint to say anything, and frozen
    rows = list(fit(model, kept, replace(RECIPE, steps=30, rate=1e-2)))
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]


def test_training_moves_what_is_learnt_and_nothing_frozen(shards: Path, model: Flamingo) -> None:
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    list(fit(model, streams(shards), RECIPE))
    moved = {n for n, w in model.state_dict().items() if not torch.equal(w, before[n])}
    assert not [name for name in moved if name.startswith(("lm.", "vision."))]
    assert moved >= {"eoc_in", "eoc_out", "resampler.latents", "bridges.0.alpha_xattn"}
    assert len(moved) == len(list(model.trained()))


def test_gradients_of_the_datasets_add_up_with_their_weights(shards: Path, model: Flamingo) -> None:
    batches_ = {kind: next(stream) for kind, stream in streams(shards).items()}
    accumulate(model, batches_, 1)
    assert model.eoc_out.grad is not None
    total = model.eoc_out.grad.clone()
    parts = []
    for kind, weight in (("interleaved", 1.0), ("image_text", 0.2), ("video_text", 0.03)):
        model.zero_grad()
        batch_loss(model, batches_[kind]).backward()
        parts.append(weight * model.eoc_out.grad)
    torch.testing.assert_close(total, torch.stack(parts).sum(0))


def test_log_rows_tell_losses_gates_and_gradients(shards: Path, model: Flamingo) -> None:
    rows = list(fit(model, streams(shards), RECIPE))
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert set(rows[0]["losses"]) == set(KINDS)
    assert len(rows[0]["gates"]) == SMALL.layers
    assert rows[0]["gradient_norm"] > 0
    assert rows[0]["loss"] == pytest.approx(
        sum(w * rows[0]["losses"][k] for k, w in zip(KINDS, (1, 0.2, 0.03), strict=True))
    )


def test_resampler_has_no_weight_decay(model: Flamingo) -> None:
    resampler, others = groups(model, RECIPE)
    assert (resampler["weight_decay"], others["weight_decay"]) == (0.0, 0.1)
    assert {id(p) for p in resampler["params"]} == {id(p) for p in model.resampler.parameters()}
    assert len(resampler["params"]) + len(others["params"]) == len(list(model.trained()))


def test_byte_lm_learns_before_it_is_frozen(shards: Path) -> None:
    words = Dataset("text", [path for paths in find(shards).values() for path in paths])
    recipe = replace(RECIPE, lm_steps=40, lm_batch=4)
    rows = list(warm_up(language_model(SMALL), words.texts(64), recipe))
    assert rows[-1]["loss"] < rows[0]["loss"] - 1


def test_loss_counts_only_the_chosen_tokens() -> None:
    ids = torch.tensor([[1, 2, 3, PAD]])
    logits = torch.randn(1, 4, 300)
    counts = torch.tensor([[True, False, True, False]])
    expected = -logits[0, 1].log_softmax(-1)[3]
    torch.testing.assert_close(next_token_loss(logits, ids, counts), expected)
    assert next_token_loss(logits, ids, torch.zeros_like(counts)) == 0.0


def test_loss_that_is_not_finite_stops_the_run(shards: Path, model: Flamingo) -> None:
    with torch.no_grad():
        model.eoc_out.fill_(torch.nan)
    with pytest.raises(TrainError, match="step 1: expected a finite loss, found nan"):
        list(fit(model, streams(shards), RECIPE))


def test_run_is_written_and_gives_the_same_logits(shards: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    report = entry.train(shards, run, QUICK)
    files = {path.name for path in run.iterdir()}
    assert files == {"config.json", "flamingo.safetensors", "lm.safetensors", "train.jsonl"}
    log = [json.loads(line) for line in (run / "train.jsonl").read_text().splitlines()]
    assert [row["phase"] for row in log] == ["lm"] * 3 + ["flamingo"] * 3
    assert set(report.losses) == set(KINDS)

    one, preset = checkpoint.load(run)
    assert preset == QUICK
    checkpoint.save(tmp_path / "copy", one, QUICK)
    other, _ = checkpoint.load(tmp_path / "copy")
    ids, frames = torch.tensor([[BOS, *TAG, 65, EOC]]), torch.randn(1, 16, 16, 3)
    with torch.no_grad():
        logits = [m(ids, torch.ones_like(ids), m.see(frames, [1])) for m in (one, other)]
    assert torch.equal(*logits)


def test_same_seed_gives_the_same_run(shards: Path, tmp_path: Path) -> None:
    reports = [entry.train(shards, tmp_path / name, QUICK) for name in ("a", "b")]
    assert reports[0].losses == reports[1].losses
    weights = [(tmp_path / name / "flamingo.safetensors").read_bytes() for name in ("a", "b")]
    assert weights[0] == weights[1]


def test_finished_run_is_not_overwritten(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TrainError, match="already holds a finished run"):
        entry.train(shards, tmp_path, QUICK)


def test_folder_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="expected a finished training run"):
        checkpoint.load(tmp_path)
    (tmp_path / "config.json").write_text('{"format": "other/1"}')
    with pytest.raises(TrainError, match="expected format m3w-flamingo/1, found other/1"):
        checkpoint.load(tmp_path)


def test_weights_of_another_shape_are_refused(tmp_path: Path, model: Flamingo) -> None:
    checkpoint.save(tmp_path, model, QUICK)
    config = json.loads((tmp_path / "config.json").read_text())
    config["shape"]["visual_layers"] = 2
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(TrainError, match="expected the learnt weights of its shape"):
        checkpoint.load(tmp_path)


def test_generation_stops_at_end_of_chunk(model: Flamingo) -> None:
    model.eval()
    prompt, media = [BOS, *TAG], model.see(torch.randn(1, 16, 16, 3), [1])
    with torch.no_grad():
        state = model.lm.norm  # every position ends in the same vector: the LM's bias
        torch.nn.init.zeros_(state.weight)
        torch.nn.init.ones_(state.bias)
        torch.nn.init.zeros_(model.lm.head.weight)
        model.lm.head.weight[66] = 1.0
        model.eoc_out.fill_(0.0)
        assert generate(model, prompt, [1] * 8, media, limit=5) == [66] * 5
        model.eoc_out.fill_(2.0)
        assert generate(model, prompt, [1] * 8, media, limit=5) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "huge"}, "preset: expected one of tiny, found huge"),
        ({"steps": 0}, "steps: expected 1 or more, found 0"),
        ({"lm_steps": -1}, "lm_steps: expected 0 or more, found -1"),
        ({"batch": 0}, "batch: expected 1 or more, found 0"),
    ],
)
def test_impossible_option_is_named(changes: dict[str, object], message: str) -> None:
    options = {"name": "tiny", "steps": None, "lm_steps": None, "batch": None, "seed": 0}
    with pytest.raises(TrainError, match=message):
        entry.preset(**{**options, **changes})  # type: ignore[arg-type]


def test_batches_keep_the_ratio_of_the_paper() -> None:
    assert batches(256) == Recipe().batch
    assert PRESETS["tiny"].recipe.batch == {"interleaved": 4, "image_text": 8, "video_text": 1}


def test_verbs_train_and_caption(shards: Path, tmp_path: Path) -> None:
    app, runner = typer.Typer(), CliRunner()
    register(app)
    run, image = tmp_path / "run", tmp_path / "hill.jpg"
    image.write_bytes(picture(90, 60))
    options = ["--steps", "1", "--lm-steps", "1", "--batch", "1", "--datasets", "image_text"]
    done = runner.invoke(app, ["train", str(shards), "--output", str(run), *options, "--json"])
    assert done.exit_code == 0, done.output
    assert list(json.loads(done.stdout)["losses"]) == ["image_text"]
    said = runner.invoke(app, ["caption", str(run), str(image), "--json"])
    assert said.exit_code == 0, said.output
    assert set(json.loads(said.stdout)) == {"image", "caption"}
    for bad in (tmp_path / "none.jpg", run / "config.json"):
        error = runner.invoke(app, ["caption", str(run), str(bad)]).exception
        assert isinstance(error, TrainError)
        assert "\n" not in str(error)


def test_rows_are_drawn_lazily(shards: Path, model: Flamingo) -> None:
    rows = fit(model, streams(shards), replace(RECIPE, steps=10**9))
    assert len(list(islice(rows, 2))) == 2
