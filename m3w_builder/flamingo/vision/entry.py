"""The function behind `m3w contrast`: image-text shards in, a folder with a trained encoder out.

    contrast.toml      the whole configuration
    tokenizer.json     of the text tower: a byte-level BPE of the shards' own texts
    train.jsonl        a row per update
    contrast.pt        the resumable state: both towers, Adam, the updates done; gone when the run is whole
    contrast.json      what it came to: losses, recall on held-out pairs
    vision.*           the encoder; vision.json is written last: where it is, the run is whole

A batch is a pure function of (seed, update, rank), and nothing else is drawn: a run that was stopped goes
on, and its losses and weights are those of one that was not.
"""

import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from rich.console import Console
from torch.optim import Adam

from m3w_builder.config import toml
from m3w_builder.errors import ConfigError, DropError, TrainError
from m3w_builder.files import atomic, make_folder, write_text
from m3w_builder.flamingo import config, log, pretrain, vision
from m3w_builder.flamingo.config import Run, Source
from m3w_builder.flamingo.data import examples, images
from m3w_builder.flamingo.data.batch import Batch, Loaded, collate
from m3w_builder.flamingo.data.loader import Mixture, batches
from m3w_builder.flamingo.data.reader import Shards, open_source
from m3w_builder.flamingo.data.tokens import IDS, Tokenizer
from m3w_builder.flamingo.parallel import Ranks, joined
from m3w_builder.flamingo.stop import stopped_by_signals
from m3w_builder.flamingo.train import enough_memory
from m3w_builder.flamingo.vision import contrastive
from m3w_builder.flamingo.vision.contrastive import Row, Towers
from m3w_builder.types import Kind

SETTINGS, TOKENIZER, STATE, REPORT = (
    "contrast.toml",
    "tokenizer.json",
    "contrast.pt",
    "contrast.json",
)
# What a run writes into its folder, the configuration, which says that it is ours, last.
WRITTEN = (
    vision.CONFIG,
    vision.WEIGHTS,
    REPORT,
    STATE,
    log.FILE,
    log.BOARD,
    IDS,
    TOKENIZER,
    SETTINGS,
)
ASKED = 1000  # held-out pairs of a dataset that recall is asked of, at most
KIND: Kind = "image_text"


@dataclass(frozen=True, slots=True)
class Report:
    """What a run came to."""

    output: str
    steps: int  # updates done
    finished: bool  # false where a signal ended it
    loss: tuple[float, float] | None  # nats, means over the first and the last tenth of the updates
    held_out: dict[str, Row]  # recall@1 by dataset, of a finished encoder
    seconds: float


def configured(
    shards: tuple[str, ...] = (), *, path: Path | None = None, preset: str = "", **options: Any
) -> Run:
    """Returns the configuration of a contrastive run; raises TrainError, ConfigError.

    Each of `shards`, or each dataset of pairs in the file, has its own batch in every update.
    """
    run = config.load(path, preset, **options)
    if shards:
        found = {
            f"pairs{number}": Source(shards=where, kind=KIND)
            for number, where in enumerate(shards, 1)
        }
        run = run.model_copy(update={"datasets": found})
    if not run.datasets:
        raise TrainError("expected folders of shards or [datasets.NAME] tables, found neither")
    return run


def alone(run: Run, sets: Mapping[str, Shards]) -> Run:
    """Returns the configuration with which `Mixture` makes contrastive batches of these datasets.

    A batch of `vision.batch` pairs of each, whole at every update, without the leading space that
    Flamingo draws: what a text says does not change with it.
    """
    plain = run.train.model_copy(update={"mixing": "accumulate", "pairs_first": 0})
    texts = run.examples.model_copy(update={"space_probability": 0.0})
    sources = {
        name: run.datasets[name].model_copy(update={"batch": run.vision.batch}) for name in sets
    }
    return run.model_copy(update={"train": plain, "examples": texts, "datasets": sources})


def contrast(
    run: Run, output: Path, *, restart: bool = False, console: Console | None = None
) -> Report:
    """Trains an encoder and writes it, or goes on with what is in `output`; raises TrainError."""
    started = time.monotonic()
    if run.train.threads:
        torch.set_num_threads(run.train.threads)
    sets = _pairs(run)
    run = alone(run, sets)
    with joined("ddp") as ranks:
        if ranks.first:
            _claim(output, run, sets, restart=restart)
        ranks.wait()
        state = _begin(output, run, ranks)
        mixture = Mixture(
            sets,
            run,
            state.tokenizer,
            ranks.rank,
            ranks.world,
            size=state.model.image.size,
            colour=state.model.image.mean,
        )
        if state.positions:
            mixture.go_on(state.done, state.positions)
        _train(output, mixture, state, ranks, console or Console(quiet=True))
        finished = state.done >= run.vision.steps
        with enough_memory(contrastive.LESS):
            held_out = {
                name: contrastive.recall(state.model, asked(mixture, name))
                for name in (sets if finished else ())
            }
        report = Report(
            output=str(output),
            steps=state.done,
            finished=finished,
            loss=log.ends([row["loss"] for row in log.read(output)]),
            held_out=held_out,
            seconds=round(time.monotonic() - started, 1),
        )
        if ranks.first and finished:
            write_text(output / REPORT, json.dumps(asdict(report), indent=2) + "\n")
            vision.save(output, state.model.image, run.vision)
            (output / STATE).unlink(missing_ok=True)
        ranks.wait()
        return report


def _pairs(run: Run) -> dict[str, Shards]:
    """Returns the datasets of image-text pairs; raises TrainError where there is none."""
    opened = {name: open_source(name, source) for name, source in run.datasets.items()}
    found = {name: shards for name, shards in opened.items() if shards.kind == KIND}
    if not found:
        kinds = ", ".join(f"{name} of {shards.kind}" for name, shards in opened.items())
        raise TrainError(f"datasets: expected one of {KIND}, found {kinds}")
    return found


def _claim(output: Path, run: Run, sets: Mapping[str, Shards], *, restart: bool) -> None:
    """Makes the folder this run's, with its tokenizer; TrainError where it is another's or finished."""
    make_folder(output)
    if not _ours(output) and any((output / name).exists() for name in WRITTEN):
        raise TrainError(f"{output}: holds another program's files: choose another folder")
    if restart:
        for name in WRITTEN:
            path = output / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if (output / vision.CONFIG).exists():
        raise TrainError(f"{output}: holds a finished encoder: begin anew with --restart")
    if (output / SETTINGS).exists():
        before = config.parse(toml.read(output / SETTINGS), str(output / SETTINGS))
        if _deciding(before) != _deciding(run):
            raise TrainError(
                f"{output}: holds an encoder of another configuration ({SETTINGS}): choose another"
                " folder, or begin anew with --restart"
            )
    if not (output / IDS).exists():  # the last of the tokenizer's files
        tokenizer = pretrain.spelling(list(sets.values()), run.lm, run.train.seed)
        write_text(output / SETTINGS, toml.as_toml(run))
        tokenizer.save(output / TOKENIZER)


def _ours(output: Path) -> bool:
    """Says whether a folder is a contrastive run's: its configuration says so, which is written first."""
    try:
        return bool(config.parse(toml.read(output / SETTINGS)).datasets)
    except ConfigError:
        return False


def _deciding(run: Run) -> Run:
    """Returns a configuration without what changes no result."""
    free = {"workers": 0, "save_every": 1}
    return run.model_copy(update={"train": run.train.model_copy(update=free)})


@dataclass(slots=True)
class _State:
    """What training changes, and how many updates it has behind it."""

    tokenizer: Tokenizer
    model: Towers
    optimiser: Adam
    done: int = 0
    stop_asked: bool = False
    positions: dict[str, int] = field(default_factory=dict)  # of the streams, where it was loaded


def _begin(output: Path, run: Run, ranks: Ranks) -> _State:
    """Returns fresh towers, those of the seed, or the ones of the state in the folder."""
    tokenizer = Tokenizer.read(output / TOKENIZER)
    torch.manual_seed(run.train.seed)
    with enough_memory(contrastive.LESS):
        model = contrastive.towers(vision.build(run.vision), run, tokenizer.size + 1)
        optimiser = contrastive.adam(model.to(ranks.device), run)
    state, path = _State(tokenizer, model, optimiser), output / STATE
    if path.exists():
        try:
            with enough_memory(contrastive.LESS):
                saved = torch.load(path, map_location=ranks.device, weights_only=True)
                model.load_state_dict(saved["model"])
                optimiser.load_state_dict(saved["optimiser"])
            state.done, state.positions = int(saved["done"]), dict(saved["positions"])
        except (OSError, RuntimeError, KeyError, ValueError, UnpicklingError) as error:
            raise TrainError(
                f"{path}: expected the state of this run: begin anew with --restart"
            ) from error
    ranks.wait()  # before anybody writes a newer one
    return state


def _save(path: Path, state: _State, positions: dict[str, int]) -> None:
    parts = {"model": state.model.state_dict(), "optimiser": state.optimiser.state_dict()}
    with atomic(path) as temporary:
        torch.save({**parts, "done": state.done, "positions": positions}, temporary)


def _train(output: Path, mixture: Mixture, state: _State, ranks: Ranks, console: Console) -> None:
    """Makes the updates that are left, and saves the state every train.save_every of them.

    A signal to one rank ends all of them after the same update, its state saved.
    """
    run = mixture.run
    if ranks.first:
        log.cut(output, {contrastive.PHASE: state.done})
    stream = batches(mixture, state.done, run.vision.steps, run.train.workers)
    rows = contrastive.fit(state.model, state.optimiser, stream, run, first=state.done)
    shown = console if ranks.first else Console(quiet=True)
    with (
        log.Log(output, shown, active=ranks.first) as book,
        stopped_by_signals(state),
    ):
        for row in book.follow(rows, run.vision.steps):
            state.done = row["step"]
            (stops,) = ranks.sum([float(state.stop_asked)])
            if ranks.first and (stops or state.done % run.train.save_every == 0):
                _save(output / STATE, state, mixture.positions(state.done))
            if stops:
                break


def asked(mixture: Mixture, name: str, count: int = ASKED) -> Iterator[Batch]:
    """Yields batches of at most `count` held-out pairs of a dataset, their pictures unchanged."""
    shards, run, tokenizer = mixture.sources[name], mixture.run, mixture.tokenizer
    kept = (number for number, key in enumerate(shards.keys) if contrastive.held_out(key))
    loaded = _loadable(shards, islice(kept, count), mixture)
    while some := list(islice(loaded, run.vision.batch)):
        yield collate(some, size=mixture.size, length=run.examples.length, pad=tokenizer.eos)


def _loadable(shards: Shards, numbers: Iterable[int], mixture: Mixture) -> Iterator[Loaded]:
    for number in numbers:
        sample = shards.sample(number)
        draws = examples.draws(mixture.run.train.seed, 0, sample.key)
        try:
            made = examples.example(sample.record(), mixture.run.examples, mixture.tokenizer, draws)
            tag = made.tags[0]
            data = sample.member(tag.parts[0], tag.digests[0], tag.digests)
            yield made, [[images.load(data, mixture.size, mixture.colour)]]
        except DropError:
            continue  # counted where it would be trained on
