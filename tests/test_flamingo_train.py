"""One update and a whole run: what moves, what must not, what is written, what is said when it cannot go on."""

import json
import resource
import shutil
import signal
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from fakes import dataset, picture  # noqa: E402
from flamingo_runs import SMALL, rows, small, trainer  # noqa: E402
from torch.nn.utils import clip_grad_norm_  # noqa: E402

from m3w_builder.errors import M3WError, OutputError, TrainError  # noqa: E402
from m3w_builder.flamingo import checkpoint, entry, state  # noqa: E402
from m3w_builder.flamingo.config import Run, Training  # noqa: E402
from m3w_builder.flamingo.data.batch import Batch  # noqa: E402
from m3w_builder.flamingo.train import (  # noqa: E402
    Trainer,
    enough_memory,
    groups,
    rate_at,
    seen,
)
from m3w_builder.types import KINDS  # noqa: E402

WEIGHTS = {"interleaved": 1.0, "image_text": 0.2, "video_text": 0.03}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def done(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a finished run; tests copy it before they change it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    entry.train(small(shards), folder)
    return folder


@pytest.fixture
def copied(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "run"))


def weights(one: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in one.model.named_parameters()}


# One update


def test_loss_is_that_of_each_example_by_itself(shards: Path) -> None:
    one, mixture = trainer(small(shards))
    for batch in mixture[0].values():
        packed = one.objective(batch).item()
        media = one.model.see(batch.frames, batch.times)
        alone = 0.0
        for row in range(len(batch.ids)):
            for number in range(1, int(batch.documents[row].max()) + 1):
                own = batch.documents[row] == number
                ids, phi, loss = (x[row, own][None] for x in (batch.ids, batch.phi, batch.loss))
                logits = one.model(ids, phi, media)[0, :-1].log_softmax(-1)
                chances = logits.gather(-1, ids[0, 1:, None])[:, 0]
                alone -= chances[loss[0, 1:]].sum().item()
        assert packed == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_update_weighs_adds_up_clips_once_and_steps(shards: Path, reduction: str) -> None:
    run = small(shards, train={"reduction": reduction})
    one, mixture = trainer(run)
    other, _ = trainer(run)
    batches = mixture[0]
    row, sizes = one.update(batches)

    total = torch.zeros(())
    for name, batch in batches.items():
        count = len(batch) if reduction == "sum" else batch.loss[:, 1:].sum()
        total = total + WEIGHTS[name] * other.objective(batch) / count
    total.backward()
    norm = clip_grad_norm_(other.learnt, 1.0)
    for group in other.optimiser.param_groups:
        group["lr"] = run.train.rate / run.train.warmup
    other.optimiser.step()

    assert row["loss"] == pytest.approx(total.item(), rel=1e-6)
    assert row["gradient_norm"] == pytest.approx(norm.item(), rel=1e-5)
    assert norm > 1, "nothing would be clipped"
    assert sizes.sequences == sum(map(len, batches.values()))
    for name, found in one.model.trained():
        torch.testing.assert_close(found, dict(other.model.trained())[name], atol=1e-6, rtol=1e-5)


def test_measuring_the_datasets_apart_changes_nothing(shards: Path) -> None:
    one, mixture = trainer(small(shards))
    other, _ = trainer(small(shards))
    row, _ = one.update(mixture[0], apart=True)
    other.update(mixture[0])
    assert weights(one).keys() == weights(other).keys()
    assert all(torch.equal(w, weights(other)[name]) for name, w in weights(one).items())
    norms = row["gradient_norms"]
    assert set(norms) == set(KINDS)
    assert row["gradient_norm"] <= sum(norms.values()) + 1e-5


def test_training_moves_what_is_learnt_and_nothing_frozen(shards: Path) -> None:
    one, mixture = trainer(small(shards))
    before, buffers = weights(one), dict(one.model.named_buffers())
    rows(one, mixture)
    after = weights(one)
    moved = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    learnt = {name for name, _ in one.model.trained()}
    assert moved == learnt
    assert {"eoc_in", "eoc_out", "resampler.latents", "bridges.0.alpha_xattn"} < learnt
    assert all(torch.equal(b, buffers[name]) for name, b in one.model.named_buffers())


def test_loss_falls(shards: Path) -> None:
    one, mixture = trainer(small(shards, train={"steps": 40, "rate": 1e-2}))
    found = [row["loss"] for row in one.fit(iter([mixture[0]] * 40))]
    assert found[-1] < 0.7 * found[0]


def test_resampler_alone_has_no_weight_decay(shards: Path) -> None:
    one, _ = trainer(small(shards))
    resampler, others = groups(one.model, Training(decay=0.1))
    assert (resampler["weight_decay"], others["weight_decay"]) == (0.0, 0.1)
    assert {id(p) for p in resampler["params"]} == {id(p) for p in one.model.resampler.parameters()}
    assert len(resampler["params"]) + len(others["params"]) == len(one.learnt)


def test_rate_rises_linearly_and_stays() -> None:
    train = Training(rate=1e-4, warmup=5000)
    found = [rate_at(step, train) for step in (0, 2499, 4999, 5000, 499_999)]
    assert found == pytest.approx([2e-8, 5e-5, 1e-4, 1e-4, 1e-4])


def test_rows_tell_what_happened(shards: Path) -> None:
    one, mixture = trainer(small(shards))
    first, *_, last = rows(one, mixture)
    assert (first["step"], last["step"]) == (1, 3)
    assert set(first["losses"]) == set(KINDS)
    assert len(first["gates"]) == SMALL["lm"]["layers"]
    assert first["loss"] == pytest.approx(
        sum(WEIGHTS[k] * first["losses"][k] for k in KINDS), rel=1e-6
    )
    assert first["tokens_per_second"] > 0
    assert 0 <= first["waited"] <= first["seconds"]
    assert "gradient_norms" in first
    assert "gradient_norms" not in last


def test_round_robin_and_pairs_first(shards: Path) -> None:
    turns = {"mixing": "round_robin", "steps": 6}
    found = rows(*trainer(small(shards, train=turns)))
    assert [list(row["losses"]) for row in found] == [[kind] for kind in KINDS] * 2
    first = rows(*trainer(small(shards, train={"pairs_first": 2})))
    assert [set(row["losses"]) for row in first] == [*[set(KINDS[1:])] * 2, set(KINDS)]


def test_batch_of_nothing_is_no_update_of_its_dataset(shards: Path) -> None:
    one, mixture = trainer(small(shards))
    batch = mixture[0]["image_text"]
    names = ("ids", "phi", "positions", "documents", "loss")
    none = Batch(
        *(getattr(batch, name)[:0, :0] for name in names),
        frames=batch.frames[:0],
        times=[],
        keys=[],
        images=[],
        packed=False,
        rejected={"image_damaged": 4},
    )
    row, _ = one.update({"interleaved": mixture[0]["interleaved"], "image_text": none})
    assert set(row["losses"]) == {"interleaved"}
    assert one.progress.rejected == {"image_text/image_damaged": 4}
    before = weights(one)
    row, _ = one.update({"image_text": none})
    assert row["loss"] == row["gradient_norm"] == 0
    assert all(torch.equal(w, before[name]) for name, w in weights(one).items())


def test_row_that_lets_every_weight_be_passed_changes_no_loss(shards: Path) -> None:
    one, mixture = trainer(small(shards))
    batch = mixture[0]["interleaved"]
    assert seen(batch) is batch
    blind = Batch(
        **{
            name: getattr(batch, name)
            for name in ("ids", "positions", "documents", "loss", "keys", "images", "packed")
        },
        phi=torch.zeros_like(batch.phi),
        frames=batch.frames[:0],
        times=[],
    )
    loss = one.objective(seen(blind))
    assert loss.item() == pytest.approx(one.objective(blind).item(), rel=1e-6)
    loss.backward()
    assert all(p.grad is not None for p in one.learnt)
    assert not any(p.grad.any() for p in one.model.resampler.parameters())


@pytest.mark.parametrize("options", [{"checkpointing": True}, {"precision": "bf16"}])
def test_cheaper_updates_are_the_same_or_close(shards: Path, options: dict[str, object]) -> None:
    plain, mixture = trainer(small(shards))
    other, _ = trainer(small(shards, train=options))
    expected, found = (list(one.fit(mixture[s] for s in range(3))) for one in (plain, other))
    exact = "checkpointing" in options
    for one, two in zip(expected, found, strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-6 if exact else 2e-2)
    kinds = {p.dtype for p in other.learnt}
    frozen = {p.dtype for p in other.model.parameters() if not p.requires_grad}
    assert kinds == {torch.float32}
    assert frozen == {torch.float32 if exact else torch.bfloat16}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_compiled_blocks_do_the_same(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Traced and differentiated as for a GPU, without the minutes of a C++ compiler.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    plain, mixture = trainer(small(shards))
    other, _ = trainer(small(shards, train={"compile": True}))
    torch._dynamo.utils.counters.clear()
    expected, found = (list(one.fit(mixture[s] for s in range(3))) for one in (plain, other))
    for one, two in zip(expected, found, strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0, "nothing was compiled"


def test_loss_that_is_not_finite_stops_the_run(shards: Path) -> None:
    one, mixture = trainer(small(shards))
    with torch.no_grad():
        one.model.eoc_out.fill_(torch.nan)
    with pytest.raises(
        TrainError, match="update 1: expected a finite loss of interleaved, found nan"
    ):
        rows(one, mixture)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes"),
    ],
)
def test_too_little_memory_is_one_line(error: RuntimeError) -> None:
    words = r"lower train\.batch or examples\.length"
    with pytest.raises(TrainError, match=words) as caught, enough_memory():
        raise error
    assert "\n" not in str(caught.value)


def test_other_errors_of_torch_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), enough_memory():
        raise RuntimeError("shapes do not fit")


def test_really_too_large_a_tensor_is_one_line() -> None:
    with pytest.raises(TrainError, match="out of memory"), enough_memory():
        torch.empty(2**60, dtype=torch.uint8)


def test_rows_are_drawn_lazily(shards: Path) -> None:
    one, mixture = trainer(small(shards, train={"steps": 10**9}))
    stream = (mixture[step] for step in range(10**9))
    assert len(list(islice(one.fit(stream), 2))) == 2


# A whole run


def test_run_is_written_and_comes_back_by_one_line(shards: Path, done: Path) -> None:
    files = {path.name for path in done.iterdir()}
    assert files == {
        *("config.toml", "trained.safetensors", "lm", "vision", "run.json"),
        *("state.safetensors", "train.jsonl", "curve.svg", "report.md"),
    }
    model, tokenizer, run = checkpoint.load(done)
    assert run == small(shards)
    assert not model.training
    ids = [tokenizer.bos, *tokenizer.tag, tokenizer.eoc]
    logits = [_logits(checkpoint.load(folder).model, ids) for folder in (done, done)]
    assert torch.equal(*logits)
    about = json.loads((done / "run.json").read_text())
    assert about["format"] == "m3w-flamingo/2"
    assert set(about["frozen"]) == {"lm", "vision"}
    assert about["report"]["steps"] == 3


def _logits(model: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    frames = torch.arange(16 * 16 * 3, dtype=torch.uint8).view(1, 16, 16, 3)
    row = torch.tensor([ids])
    with torch.no_grad():
        logits: torch.Tensor = model(row, torch.ones_like(row), model.see(frames, [1]))
    return logits


def test_phases_are_logged_apart(done: Path) -> None:
    log = [json.loads(line) for line in (done / "train.jsonl").read_text().splitlines()]
    steps = [(row["phase"], row["step"]) for row in log]
    assert steps == [
        *[("lm", step) for step in (1, 2, 3)],
        *[("contrast", step) for step in (1, 2)],
        *[("flamingo", step) for step in (1, 2, 3)],
    ]


def test_same_seed_gives_the_same_run_and_another_another(
    shards: Path, done: Path, tmp_path: Path
) -> None:
    entry.train(small(shards), tmp_path / "again")
    entry.train(small(shards, train={"seed": 1}), tmp_path / "other")
    one, again, other = (
        (folder / checkpoint.LEARNT).read_bytes()
        for folder in (done, tmp_path / "again", tmp_path / "other")
    )
    assert one == again != other


def test_builtin_parts_are_not_trained_twice(shards: Path, copied: Path) -> None:
    (copied / checkpoint.DONE).unlink()
    (copied / state.FILE).unlink()
    before = {p: p.stat().st_mtime_ns for p in (copied / "lm").iterdir()}
    report = entry.train(small(shards), copied)
    assert {p: p.stat().st_mtime_ns for p in (copied / "lm").iterdir()} == before
    assert report.lm_loss is not None, "its rows stay in the log"
    assert len((copied / "train.jsonl").read_text().splitlines()) == 3 + 2 + 3


def test_finished_run_goes_on_with_more_updates_alone(shards: Path, copied: Path) -> None:
    with pytest.raises(
        TrainError, match=r"already holds a finished run of 3 updates: raise train\.steps"
    ):
        entry.train(small(shards), copied)
    report = entry.train(small(shards, train={"steps": 5, "save_every": 2}), copied)
    assert (report.steps, report.finished) == (5, True)
    steps = [json.loads(line)["step"] for line in (copied / "train.jsonl").open()][-5:]
    assert steps == [1, 2, 3, 4, 5]


def test_other_configuration_is_refused_by_the_key(shards: Path, copied: Path) -> None:
    other = small(shards, train={"rate": 1e-2})
    with pytest.raises(
        TrainError, match=r"train\.rate was 0\.003, is 0\.01\): choose another folder"
    ):
        entry.train(other, copied)
    entry.train(other, copied, restart=True)
    assert checkpoint.load(copied).run == other
    assert len((copied / "train.jsonl").read_text().splitlines()) == 3 + 2 + 3


def test_without_pairs_the_encoder_stays_random_and_says_so(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    run = small(shards)
    run = run.model_copy(update={"datasets": {"pages": run.datasets["interleaved"]}})
    report = entry.train(run, tmp_path, console=Console())
    assert "no image-text pairs to learn from" in " ".join(capsys.readouterr().out.split())
    assert report.contrast_loss is None
    assert list(report.losses) == ["pages"]


def test_lm_never_sees_the_new_token(shards: Path, done: Path) -> None:
    from m3w_builder.flamingo import pretrain
    from m3w_builder.flamingo.data.reader import open_source

    run = small(shards)
    sets = [open_source(name, source) for name, source in run.datasets.items()]
    tokenizer = checkpoint.words(done, run)
    found = list(islice(pretrain.rows(sets, tokenizer, 64, 0), 8))
    flat = [i for row in found for i in row]
    assert all(len(row) == 64 for row in found)
    assert max(flat) < tokenizer.size
    assert "<image>" in tokenizer.spell(flat)
    assert len(tokenizer.tag) < len("<image>"), "the tag was not learnt as words"


# What cannot be


def test_folder_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="expected a finished training run"):
        checkpoint.load(tmp_path)
    (tmp_path / "run.json").write_text('{"format": "other/1"}')
    with pytest.raises(TrainError, match="expected format m3w-flamingo/2, found other/1"):
        checkpoint.load(tmp_path)


def test_run_of_the_first_format_is_refused(tmp_path: Path, shards: Path) -> None:
    (tmp_path / "config.json").write_text('{"format": "m3w-flamingo/1"}')
    with pytest.raises(TrainError, match="found m3w-flamingo/1: train it again"):
        checkpoint.load(tmp_path)
    with pytest.raises(TrainError, match="choose another folder"):
        entry.train(small(shards), tmp_path)


def _another_shape(run: Path) -> None:
    text = (run / "config.toml").read_text().replace("visual_layers = 1", "visual_layers = 2")
    (run / "config.toml").write_text(text)


def _another_lm(run: Path) -> None:
    path = run / "lm" / "model.safetensors"
    from safetensors.torch import load_file, save_file

    tensors = {name: weight + 0.1 for name, weight in load_file(path).items()}
    save_file(tensors, path, {"format": "pt"})


def _cut_weights(run: Path) -> None:
    path = run / checkpoint.LEARNT
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _another_shape,
            "expected the learnt weights of its configuration, odd: resampler.layers.1",
        ),
        (_another_lm, "expected the lm that this run was trained with, found another"),
        (_cut_weights, "expected the learnt weights"),
    ],
)
def test_run_with_other_parts_is_refused(
    copied: Path, change: Callable[[Path], None], message: str
) -> None:
    change(copied)
    with pytest.raises(TrainError, match=message) as caught:
        checkpoint.load(copied)
    assert "\n" not in str(caught.value)


def test_damaged_state_is_one_line(shards: Path, copied: Path) -> None:
    (copied / checkpoint.DONE).unlink()
    (copied / state.FILE).write_bytes(b"nothing")
    with pytest.raises(TrainError, match=r"expected the state of a run, found .* --restart"):
        entry.train(small(shards), copied)


def test_full_disk_is_one_line(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        with pytest.raises(OutputError, match=r"expected a folder that can be written: .*large"):
            checkpoint.write_tensors(tmp_path / "state", {"weight": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())


def test_restart_removes_nothing_of_a_folder_that_is_no_run(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "lm").mkdir()
    (tmp_path / "lm" / "own.txt").write_text("kept")
    with pytest.raises(TrainError, match=r"expected a run to begin anew, found lm/ and no config"):
        entry.train(small(shards), tmp_path, restart=True)
    assert (tmp_path / "lm" / "own.txt").read_text() == "kept"


def test_missing_dataset_is_named(shards: Path) -> None:
    with pytest.raises(
        TrainError, match="expected some of interleaved, image_text, video_text, found"
    ):
        entry.configured(str(shards), datasets=["interleaved", "video"])
    with pytest.raises(TrainError, match="expected a folder of shards or"):
        entry.configured()


def test_fsdp_without_torchrun_says_how(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="torchrun --nproc-per-node N -m m3w_builder train"):
        entry.train(small(shards, train={"parallel": "fsdp"}), tmp_path)


# The verbs


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "train.toml"
    lines = []
    for name, table in SMALL.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines))
    return path


def test_verbs_train_caption_and_export(
    shards: Path, settings: Path, tmp_path: Path, m3w: Callable[..., tuple[int, str, str]]
) -> None:
    run, image = tmp_path / "run", tmp_path / "hill.jpg"
    image.write_bytes(picture(90, 60))
    options = ("--config", settings, "--steps", 1, "--batch", 1, "--datasets", "image_text")
    code, out, err = m3w("train", shards, "--output", run, *options, "--json")
    assert code == 0, err
    assert list(json.loads(out)["losses"]) == ["image_text"]

    moved = tmp_path / "moved"
    assert m3w("export", run, "--output", tmp_path / "exported")[0] == 0
    (tmp_path / "exported").rename(moved)
    shutil.rmtree(run)
    code, out, err = m3w("caption", moved, image, image, "--json")
    assert code == 0, err
    first, second = (json.loads(line) for line in out.splitlines())
    assert set(first) == {"image", "caption"}
    assert first == second
    code, out, _ = m3w("caption", moved, image, "--top-p", "0.9", "--prompt", "a ")
    assert code == 0
    for bad in (tmp_path / "none.jpg", moved / "config.toml"):
        code, _, err = m3w("caption", moved, bad)
        assert (code, err.count("\n")) == (1, 1)


def test_configuration_is_printed_and_read_again(
    shards: Path, tmp_path: Path, m3w: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, _ = m3w("train", shards, "--print-config", "--steps", 7)
    assert code == 0
    path = tmp_path / "all.toml"
    path.write_text(out)
    again: Run = entry.configured(path=path)
    assert again.train.steps == 7
    assert list(again.datasets) == list(KINDS)
    code, out, _ = m3w("train", "--print-config", "--preset", "flamingo-3b")
    assert (code, "[datasets" in out) == (0, False)


def test_run_without_an_output_is_one_line(
    shards: Path, m3w: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, err = m3w("train", shards)
    assert (code, "expected the folder of the run" in err) == (1, True)


def test_exported_run_of_other_sources_needs_none_of_them(shards: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from m3w_builder.flamingo import lm as language

    run = small(shards)
    tokenizer = language.load(run.lm)[1]
    language.save(tmp_path / "llama", language.builtin(run.lm, tokenizer.size), tokenizer)
    shape = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        image_size=16, patch_size=8,
    )  # fmt: skip
    transformers.CLIPVisionModel(shape).save_pretrained(tmp_path / "clip")
    colours = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.2, 0.2, 0.2]}
    (tmp_path / "clip" / "preprocessor_config.json").write_text(json.dumps(colours))
    run = small(
        shards,
        lm={"source": str(tmp_path / "llama")},
        vision={"source": str(tmp_path / "clip"), "image": 16},
    )
    report = entry.train(run, tmp_path / "run")
    assert report.contrast_loss is report.lm_loss is None
    assert not (tmp_path / "run" / "lm").exists()
    before = _logits(checkpoint.load(tmp_path / "run").model, [1, 2, 3])
    checkpoint.export(tmp_path / "run", tmp_path / "exported")
    for name in ("llama", "clip", "run"):
        shutil.rmtree(tmp_path / name)
    after = _logits(checkpoint.load(tmp_path / "exported").model, [1, 2, 3])
    assert torch.equal(before, after)
    with pytest.raises(M3WError, match="expected an empty folder"):
        checkpoint.export(tmp_path / "exported", tmp_path / "exported")
