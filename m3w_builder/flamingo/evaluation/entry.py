"""What stands behind `m3w eval` and `m3w caption --shots`: folders and options in, results out."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from m3w_builder import __version__
from m3w_builder.config import toml
from m3w_builder.errors import InputError
from m3w_builder.files import write_text
from m3w_builder.flamingo import checkpoint
from m3w_builder.flamingo.evaluation import tasks
from m3w_builder.flamingo.evaluation.ask import Evaluation, Row
from m3w_builder.flamingo.evaluation.cases import Case, Cases, Media, Task
from m3w_builder.flamingo.evaluation.prompts import ZERO_SHOT_EXAMPLES, shown
from m3w_builder.flamingo.evaluation.run import Tick, evaluate, similar
from m3w_builder.flamingo.evaluation.settings import Settings
from m3w_builder.flamingo.evaluation.splits import disjoint
from m3w_builder.flamingo.evaluation.subject import Subject, Trained
from m3w_builder.flamingo.parallel import Ranks, joined

FORMAT = "m3w-evaluation/1"
FEATURES = "features"  # folder of a run that keeps RICES' features


def benchmark(
    run: Path,
    name: str,
    data: Path,
    settings: Settings,
    *,
    split: str = "",
    rows: Path | None = None,
    cache: Path | None = None,
    console: Console | None = None,
) -> dict[str, Any] | None:
    """Returns the results of a finished run on a copy of a benchmark, with all that they hang on.

    `rows` is a file for a line per case and number of shots. None on all ranks but the first. Raises
    InputError, TrainError.
    """
    task = tasks.named(name, data, split)
    copy = tasks.load(task, data, split)
    with joined() as ranks:
        subject = trained(run, ranks)
        with _progress(console if ranks.first else None) as tick:
            folder = cache or run / FEATURES
            results, tables = evaluate(subject, task, copy, settings, cache=folder, tick=tick)
        if not ranks.first:
            return None
    if rows:
        lines = (
            {"shots_shown": result["shots"], **row}
            for result, table in zip(results, tables, strict=True)
            for row in table
        )
        write_text(rows, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    chosen = disjoint(copy, task, settings)
    return {
        "format": FORMAT,
        "version": __version__,
        "task": {
            "name": task.name,
            "data": data.name,
            "split": split or task.split,
            "form": task.form,
            "metric": task.metric,
            "prompt": template(task),
        },
        "model": {"run": run.name, "learnt": subject.digest, "encoder": subject.encoder},
        "settings": settings.model_dump(mode="json")
        | {
            "zero_shot_texts": 0 if task.closed else ZERO_SHOT_EXAMPLES,
            "query_cases": len(chosen.query),
            "support_cases": len(chosen.support),
            "labels": len(chosen.labels),
        },
        "results": results,
    }


def trained(run: Path, ranks: Ranks | None = None) -> Trained:
    """Returns a finished run, ready to be asked; raises TrainError."""
    finished = checkpoint.load(run)
    if finished.run.train.threads:
        torch.set_num_threads(finished.run.train.threads)
    if finished.run.train.precision == "bf16":
        finished.model.store_frozen(torch.bfloat16)  # as it was trained
    if ranks:
        finished.model.to(ranks.device)
    return Trained(*finished)


def template(task: Task) -> str:
    """Returns the prompt of a task with names in braces: "Question: {question} Answer: {output}"."""
    fields = Case("", Media(Path()), ("{output}",), "{question}", "{text}")
    return shown(task.form, fields)


@dataclass(frozen=True, slots=True)
class Described:
    """What a model says of a picture after shots, and how far that hangs on their order."""

    image: str
    caption: str
    orders: int  # of the shots that were tried; one alone says nothing of the confidence
    agreement: float  # share of them that give this very answer
    entropy: float  # of the answers of all orders, in nats
    shots: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def describe(
    subject: Subject, pictures: Sequence[Path], folder: Path, shots: int, settings: Settings
) -> list[Described]:
    """Returns a caption of each picture after examples of a folder, or its class where that has classes.

    The folder is one that `m3w eval --task folder` takes: captions.jsonl, captions.csv or a sub-folder per
    class. With `settings.ensemble` the agreement tells a guess from an answer, so that a caller may abstain.
    Raises InputError, for a picture that cannot be read too.
    """
    task = tasks.named("folder", folder)
    if task.form == "question":
        raise InputError(f"{folder}: expected captions or classes as examples, found questions")
    copy = tasks.load(task, folder)
    query = [Case(str(path), Media(path), ("?",)) for path in dict.fromkeys(pictures)]
    asked = {case.media.path.resolve() for case in query}
    support = [case for case in copy.query if case.media.path.resolve() not in asked]
    if len(support) < shots:
        raise InputError(
            f"{folder}: expected {shots} other pictures as examples, found {len(support)}"
        )
    cases = Cases(query, support, copy.labels)
    ways = similar(subject, cases, None) if settings.rices and shots else None
    found = Evaluation(subject, task, cases, settings, ways).at(shots, query)
    rows = {row["id"]: _readable(row) for row in found}
    return [_described(rows[str(path)]) for path in pictures]


def _readable(row: Row) -> Row:
    if "rejected" in row:
        detail = f": {row['detail']}" if row["detail"] else ""
        raise InputError(f"{row['id']}: expected a readable image, found {row['rejected']}{detail}")
    return row


def _described(row: Row) -> Described:
    sure = (row["orders"], row["agreement"], row["entropy"])
    return Described(row["id"], row["prediction"], *sure, tuple(row["shots"]))


@contextmanager
def _progress(console: Console | None) -> Iterator[Tick]:
    """Yields what shows how far an evaluation is; nothing without a console."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console or Console(quiet=True), disable=console is None) as bar:
        known = dict[str, Any]()

        def tick(what: str, done: int, total: int) -> None:
            if what not in known:
                known[what] = bar.add_task(what, total=total)
            bar.update(known[what], completed=done, total=total)

        yield tick


def settings(**given: Any) -> Settings:
    """Returns validated settings; raises ConfigError that names the option."""
    return toml.validated(Settings, given, "m3w eval")
