"""The functions behind `m3w train`, `m3w caption` and `m3w export`: folders and options in, a result out.

A run has up to three phases: `contrast` teaches the builtin encoder the shards' pairs, `lm` teaches the builtin
LM their text, `flamingo` the bridge between the two, frozen by then. What the first two made is in the folder
at once, so that a run that goes on does not make it again.
"""

import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from rich.console import Console

from m3w_builder.config import toml
from m3w_builder.errors import MediaError, TrainError
from m3w_builder.files import make_folder, sweep
from m3w_builder.flamingo import checkpoint, config, curve, pretrain, state, vision
from m3w_builder.flamingo import lm as language
from m3w_builder.flamingo import log as logs
from m3w_builder.flamingo.config import Run, Source
from m3w_builder.flamingo.data import images, sources
from m3w_builder.flamingo.data.loader import Mixture, batches
from m3w_builder.flamingo.data.reader import Shards, open_source
from m3w_builder.flamingo.data.tokens import Tokenizer
from m3w_builder.flamingo.generate import Prompt, generate
from m3w_builder.flamingo.log import Log
from m3w_builder.flamingo.model import Flamingo
from m3w_builder.flamingo.parallel import Ranks, gathered, joined
from m3w_builder.flamingo.train import Row, Trainer
from m3w_builder.flamingo.vision import contrastive
from m3w_builder.flamingo.vision import entry as contrast

# Of a run that goes on these may change: no update depends on them, on the last two but for rounding.
FREE = {
    ("train", key)
    for key in ("steps", "workers", "save_every", "max_rejected", "parallel", "checkpointing")
}


@dataclass(frozen=True, slots=True)
class Report:
    """What a run came to: mean losses over the first and the last tenth of each phase."""

    output: str
    steps: int  # updates done
    finished: bool  # false where a signal ended it
    contrast_loss: tuple[float, float] | None  # nats, (first, last); None without that phase
    lm_loss: tuple[float, float] | None  # nats per token
    losses: dict[str, tuple[float, float]]  # nats per token, by dataset
    gates: list[tuple[float, float]]  # |tanh| of (attention, dense), first block first
    rejected: dict[str, int]  # samples left out, by dataset/reason
    seconds: float


def configured(
    shards: str | None = None,
    *,
    path: Path | None = None,
    preset: str = "",
    datasets: Sequence[str] | None = None,
    **options: Mapping[str, Any],
) -> Run:
    """Returns the configuration of a run: the preset, over it the file, over both the options.

    `shards` has a dataset for each kind that lies there, and replaces [datasets]; `datasets` chooses some.
    """
    run = config.load(path, preset, **{name: dict(table) for name, table in options.items()})
    if shards is not None:
        found = {kind: Source(shards=shards, kind=kind) for kind in sources.kinds(shards)}
        if not found:
            raise TrainError(
                f"{shards}: expected shards such as interleaved-000000.tar, found other names:"
                " list them under [datasets.NAME] with their kind"
            )
        run = run.model_copy(update={"datasets": found})
    if not run.datasets:
        raise TrainError("expected a folder of shards or a [datasets.NAME] table, found neither")
    for name in datasets or ():
        if name not in run.datasets:
            raise TrainError(
                f"--datasets: expected some of {', '.join(run.datasets)}, found {name!r}"
            )
    chosen = {n: s for n, s in run.datasets.items() if datasets is None or n in datasets}
    return run.model_copy(update={"datasets": chosen})


def printed(shards: str | None = None, **options: Any) -> str:
    """Returns the configuration that `configured` gives as TOML; without datasets where none are named."""
    names = ("path", "preset")
    run = config.load(**{n: options[n] for n in names if n in options})
    if shards is not None or run.datasets:
        return toml.as_toml(configured(shards, **options))
    tables = {n: v for n, v in options.items() if n not in (*names, "datasets")}
    return toml.as_toml(config.load(options.get("path"), options.get("preset", ""), **tables))


def train(
    run: Run, output: Path, *, restart: bool = False, console: Console | None = None
) -> Report:
    """Trains and writes the run, or goes on with the one in `output`; raises TrainError on bad input."""
    console = console or Console(quiet=True)
    _use_threads(run)
    with joined(run.train.parallel) as ranks:
        if ranks.first:
            _claim(output, run, restart=restart)
        ranks.wait()
        sets = {name: open_source(name, source) for name, source in run.datasets.items()}
        if ranks.first:
            done = {"flamingo": state.step(output)}
            done |= {"lm": run.lm.steps} if (output / checkpoint.LM).is_dir() else {}
            done |= {"contrast": run.vision.steps} if (output / checkpoint.VISION).is_dir() else {}
            logs.cut(output, done)
        with Log(
            output, console if ranks.first else Console(quiet=True), active=ranks.first
        ) as log:
            if ranks.first:
                _make_lm(output, run, sets, log)
            ranks.wait()
            _make_encoder(output, run, sets, ranks, log)
            return _bridge(output, run, sets, ranks, log)


def _claim(output: Path, run: Run, *, restart: bool) -> None:
    """Makes the folder this run's; raises TrainError where it is another's or finished."""
    make_folder(output)
    sweep(output)
    if restart:
        _ours(output)
        for name in (*checkpoint.FILES, state.FILE, logs.FILE, logs.BOARD, *curve.FILES):
            path = output / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if (output / checkpoint.CONFIG).exists():
        before = checkpoint.read_config(output)
        if odd := differences(before, run):
            raise TrainError(
                f"{output}: holds a run of another configuration ({odd[0]}): choose another folder,"
                " or begin anew with --restart"
            )
        if checkpoint.finished(output) and state.step(output) >= run.train.steps:
            raise TrainError(
                f"{output}: already holds a finished run of {state.step(output)} updates:"
                " raise train.steps to go on, or begin anew with --restart"
            )
    elif checkpoint.finished(output) or (output / "config.json").exists():
        raise TrainError(f"{output}: holds another program's files: choose another folder")
    (output / checkpoint.DONE).unlink(missing_ok=True)
    checkpoint.write_config(output, run)


def _ours(output: Path) -> None:
    """Raises TrainError where `--restart` would remove folders that no run of ours has made."""
    folders = (checkpoint.LM, checkpoint.VISION, logs.BOARD)
    found = [name for name in folders if (output / name).exists()]
    if found and not (output / checkpoint.CONFIG).exists():
        raise TrainError(
            f"{output}: expected a run to begin anew, found {found[0]}/ and no {checkpoint.CONFIG}:"
            " choose another folder"
        )


def differences(one: Run, other: Run) -> list[str]:
    """Returns the keys in which two runs differ so that one cannot go on as the other, with values."""
    before, after = (dict(_flat(run.model_dump(mode="json"))) for run in (one, other))
    return [
        f"{'.'.join(key)} was {before.get(key)!r}, is {after.get(key)!r}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key) and key not in FREE
    ]


def _flat(table: Mapping[str, Any], *above: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, *above, key)
        else:
            yield (*above, key), value


# The frozen parts that are made here


def _make_lm(output: Path, run: Run, sets: Mapping[str, Shards], log: Log) -> None:
    """Trains the builtin LM that is not in the folder yet, and puts it there."""
    folder, seed = output / checkpoint.LM, run.train.seed
    if run.lm.source != "builtin" or run.lm.random or folder.is_dir():
        return
    torch.manual_seed(seed)
    texts = list(sets.values())
    tokenizer = pretrain.spelling(texts, run.lm, seed)
    lm = language.builtin(run.lm, tokenizer.size)
    rows = pretrain.rows(texts, tokenizer, run.examples.length, seed)
    for _ in log.follow(pretrain.warm_up(lm, rows, run), run.lm.steps):
        pass
    checkpoint.put(folder, lambda to: language.save(to, lm, tokenizer))


def _make_encoder(
    output: Path, run: Run, sets: Mapping[str, Shards], ranks: Ranks, log: Log
) -> None:
    """Trains the builtin encoder that is not in the folder yet, on all ranks, and puts it there."""
    folder = output / checkpoint.VISION
    if run.vision.source != "builtin" or folder.is_dir():
        return
    torch.manual_seed(run.train.seed)
    encoder = vision.build(run.vision).to(ranks.device)
    pairs = {name: one for name, one in sets.items() if one.kind == "image_text"}
    if pairs and run.vision.steps:
        tokenizer = checkpoint.words(output, run)
        for _ in log.follow(_contrast(encoder, run, pairs, tokenizer, ranks), run.vision.steps):
            pass
    elif run.vision.steps:
        log.say("encoder: no image-text pairs to learn from, so its weights stay random")
    ranks.wait()
    if ranks.first:
        checkpoint.put(folder, lambda to: vision.save(to, encoder, run.vision))
    ranks.wait()


def _contrast(
    encoder: vision.Encoder,
    run: Run,
    pairs: Mapping[str, Shards],
    tokenizer: Tokenizer,
    ranks: Ranks,
) -> Iterator[Row]:
    """Trains the encoder on the pairs; yields log rows."""
    alone = contrast.alone(run, pairs)
    towers = contrastive.towers(encoder, alone, tokenizer.size + 1).to(ranks.device)
    mixture = Mixture(
        pairs,
        alone,
        tokenizer,
        ranks.rank,
        ranks.world,
        size=encoder.size,
        colour=encoder.mean,
    )
    stream = batches(mixture, 0, run.vision.steps, run.train.workers)
    return contrastive.fit(towers, contrastive.adam(towers, alone), stream, alone)


# The bridge


def _bridge(output: Path, run: Run, sets: Mapping[str, Shards], ranks: Ranks, log: Log) -> Report:
    started = time.monotonic()
    parts = checkpoint.frozen(output, run)
    prints = parts.fingerprints()
    torch.manual_seed(run.train.seed)
    model = Flamingo(parts.lm, parts.vision, run.model)
    weights = {name: config.weight(run.datasets[name], one.kind) for name, one in sets.items()}
    mixture = Mixture(
        sets,
        run,
        parts.tokenizer,
        ranks.rank,
        ranks.world,
        size=parts.vision.size,
        colour=parts.vision.mean,
    )
    trainer = Trainer(model, run, weights, ranks)
    if state.load(output, trainer):
        log.say(f"going on after update {trainer.progress.step}")
    stream = batches(mixture, trainer.progress.step, run.train.steps, run.train.workers)
    with _stopped_by_signals(trainer):
        for row in log.follow(trainer.fit(stream), run.train.steps):
            if row["step"] % run.train.save_every == 0 or trainer.stopping:
                state.save(output, trainer)
    finished = trainer.progress.step >= run.train.steps
    if finished and trainer.progress.step % run.train.save_every:
        state.save(output, trainer)
    if not finished:
        log.say(
            f"stopped after update {trainer.progress.step}: the same command goes on from there"
        )
    learnt = gathered(model.trained(), ranks)
    rows = logs.read(output)
    report = Report(
        output=str(output),
        steps=trainer.progress.step,
        finished=finished,
        contrast_loss=_ends([r["loss"] for r in rows if r["phase"] == "contrast"]),
        lm_loss=_ends([r["loss"] for r in rows if r["phase"] == "lm"]),
        losses={n: _ends(_losses(rows, n)) or (0.0, 0.0) for n in sets},
        gates=model.gates(),
        rejected=dict(trainer.progress.rejected),
        seconds=round(time.monotonic() - started, 1),
    )
    if ranks.first and finished:
        curve.write(output, rows, asdict(report))
        checkpoint.save(output, learnt, run, prints, report=asdict(report))
    return report


@contextmanager
def _stopped_by_signals(trainer: Trainer) -> Iterator[None]:
    """Lets SIGTERM and SIGINT end training after the update under way; a second one ends it at once."""

    def stop(number: int, _frame: object) -> None:
        trainer.stop_asked = True
        signal.signal(number, before[signal.Signals(number)])

    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _losses(rows: Sequence[Row], name: str) -> list[float]:
    return [r["losses"][name] for r in rows if r["phase"] == "flamingo" and name in r["losses"]]


def _ends(losses: Sequence[float]) -> tuple[float, float] | None:
    """Returns the means of the first and the last tenth, None of nothing."""
    if not losses:
        return None
    tenth = max(1, len(losses) // 10)
    return (round(mean(losses[:tenth]), 4), round(mean(losses[-tenth:]), 4))


def _use_threads(run: Run) -> None:
    torch.set_num_threads(run.train.threads or torch.get_num_threads())


def caption(
    run: Path,
    pictures: Sequence[Path],
    *,
    prompt: str = "",
    beams: int = 3,
    top_p: float | None = None,
) -> list[str]:
    """Returns the text that a finished run writes for each image file, after `prompt`."""
    model, tokenizer, settings = checkpoint.load(run)
    _use_threads(settings)
    frames = [_picture(path, model.vision.size, model.vision.mean) for path in pictures]
    head = [tokenizer.bos, *tokenizer.tag, *tokenizer.encode(prompt)]
    with torch.no_grad():
        media = model.see(torch.from_numpy(np.stack(frames)), [1] * len(frames))
    prompts = [Prompt(head, [1] * len(head), one[None]) for one in media]
    most = settings.examples.pair_length
    seeds = range(len(prompts))
    texts = generate(model, tokenizer, prompts, beams=beams, top_p=top_p, limit=most, seeds=seeds)
    return [text.strip() for text in texts]


def export(run: Path, output: Path) -> None:
    """Writes a folder with every weight of a finished run, the frozen ones too."""
    checkpoint.export(run, output)


def _picture(path: Path, size: int, colour: images.Colour) -> images.Pixels:
    try:
        return images.load(path.read_bytes(), size, colour)
    except OSError as error:
        raise TrainError(f"{path}: expected a readable image file: {error.strerror}") from error
    except MediaError as error:
        raise TrainError(f"{path}: expected an image: {error}") from error
