"""The two functions behind `m3w train` and `m3w caption`: folders and options in, a result out."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any, Literal, TextIO

import torch
from rich.console import Console

from m3w_builder.errors import MediaError, TrainError
from m3w_builder.flamingo import checkpoint
from m3w_builder.flamingo.data import Batch, Dataset, find
from m3w_builder.flamingo.display import shown
from m3w_builder.flamingo.generate import caption as describe
from m3w_builder.flamingo.model import Flamingo, language_model
from m3w_builder.flamingo.presets import PRESETS, Preset, Recipe, batches
from m3w_builder.flamingo.train import Row, fit, warm_up
from m3w_builder.types import Kind

LOG = "train.jsonl"


@dataclass(frozen=True, slots=True)
class Report:
    """What a run came to: mean losses over the first and the last tenth of each phase."""

    output: str
    steps: int
    lm_loss: tuple[float, float]  # nats per byte, (first, last); (0, 0) without LM steps
    losses: dict[Kind, tuple[float, float]]  # nats per token, (first, last)
    gates: list[tuple[float, float]]  # |tanh| of (attention, dense), first block first
    rejected: dict[Kind, dict[str, int]]  # samples left out, by dataset and reason
    seconds: float


def preset(
    name: str, *, steps: int | None, lm_steps: int | None, batch: int | None, seed: int
) -> Preset:
    """Returns a preset with the caller's changes; None keeps the preset's value."""
    if name not in PRESETS:
        raise TrainError(f"preset: expected one of {', '.join(PRESETS)}, found {name}")
    chosen = PRESETS[name]
    changes: dict[str, Any] = {"steps": steps, "lm_steps": lm_steps}
    for key, value in {**changes, "batch": batch}.items():
        least = 0 if key == "lm_steps" else 1
        if value is not None and value < least:
            raise TrainError(f"{key}: expected {least} or more, found {value}")
    changes["batch"] = batches(batch) if batch else None
    given = {key: value for key, value in changes.items() if value is not None}
    return replace(chosen, recipe=replace(chosen.recipe, seed=seed, **given))


def train(
    shards: Path,
    output: Path,
    chosen: Preset,
    *,
    datasets: tuple[Kind, ...] | None = None,
    console: Console | None = None,
) -> Report:
    """Trains on the shards of one folder and writes the run; raises TrainError on bad input.

    Two phases, logged apart: first the byte LM on the shards' own text; then, with the LM frozen,
    the bridge.
    """
    found = find(shards, datasets)
    _claim(output)
    _use_threads(chosen.recipe)
    torch.manual_seed(chosen.recipe.seed)
    started, recipe, length = time.monotonic(), chosen.recipe, chosen.choices.length
    words = _dataset("text", [path for paths in found.values() for path in paths], recipe)
    sets = {kind: _dataset(kind, paths, recipe) for kind, paths in found.items()}
    with (output / LOG).open("w", encoding="utf-8") as log:
        follow = partial(_follow, log=log, console=console or Console(quiet=True))
        lm = language_model(chosen.shape)
        lm_rows = follow(warm_up(lm, words.texts(length), recipe), recipe.lm_steps)
        model = Flamingo(lm, chosen.shape)
        rows = follow(fit(model, _streams(sets, chosen), recipe), recipe.steps)
    report = Report(
        output=str(output),
        steps=len(rows),
        lm_loss=_ends([row["loss"] for row in lm_rows]),
        losses={kind: _ends([row["losses"][kind] for row in rows]) for kind in sets},
        gates=model.gates(),
        rejected={kind: one.reasons() for kind, one in sets.items() if one.rejected},
        seconds=round(time.monotonic() - started, 1),
    )
    checkpoint.save(output, model, chosen, report=asdict(report))
    return report


def caption(run: Path, image: Path) -> str:
    """Returns the text a finished run writes for one image file."""
    model, chosen = checkpoint.load(run)
    _use_threads(chosen.recipe)
    try:
        return describe(model, image.read_bytes(), chosen.shape.image)
    except OSError as error:
        raise TrainError(f"{image}: expected a readable image file: {error.strerror}") from error
    except MediaError as error:
        raise TrainError(f"{image}: expected an image: {error}") from error


def _claim(output: Path) -> None:
    if (output / checkpoint.CONFIG).exists():
        raise TrainError(f"{output}: already holds a finished run: remove it or choose another")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainError(f"{output}: expected a folder to write to: {error.strerror}") from error


def _use_threads(recipe: Recipe) -> None:
    torch.set_num_threads(recipe.threads or torch.get_num_threads())


def _dataset(kind: Kind | Literal["text"], shards: list[Path], recipe: Recipe) -> Dataset:
    return Dataset(kind, shards, seed=recipe.seed, shuffle=recipe.shuffle)


def _streams(sets: Mapping[Kind, Dataset], chosen: Preset) -> dict[Kind, Iterator[Batch]]:
    batch, size = chosen.recipe.batch, chosen.shape.image
    return {kind: one.batches(batch[kind], chosen.choices, size) for kind, one in sets.items()}


def _follow(rows: Iterable[Row], steps: int, *, log: TextIO, console: Console) -> list[Row]:
    """Returns the rows of a phase after showing each and writing it to the log."""
    done = []
    for row in shown(rows, steps, console):
        log.write(json.dumps(row) + "\n")
        log.flush()
        done.append(row)
    return done


def _ends(losses: list[float]) -> tuple[float, float]:
    """Returns the means of the first and the last tenth."""
    if not losses:
        return (0.0, 0.0)
    tenth = max(1, len(losses) // 10)
    return (round(mean(losses[:tenth]), 4), round(mean(losses[-tenth:]), 4))
