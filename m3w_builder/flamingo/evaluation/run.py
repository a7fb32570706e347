"""The evaluation of a model on a benchmark, over ranks without repeats: results, and a row per case."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch.distributed as dist

from m3w_builder.errors import InputError
from m3w_builder.flamingo.evaluation.ask import Evaluation, Row, Similar
from m3w_builder.flamingo.evaluation.cases import Cases, Task
from m3w_builder.flamingo.evaluation.metrics.cider import cider
from m3w_builder.flamingo.evaluation.metrics.ranks import roc_auc, selective
from m3w_builder.flamingo.evaluation.metrics.vqa import accuracy
from m3w_builder.flamingo.evaluation.settings import Settings
from m3w_builder.flamingo.evaluation.sights import features
from m3w_builder.flamingo.evaluation.splits import disjoint
from m3w_builder.flamingo.evaluation.subject import Subject

Tick = Callable[[str, int, int], None]  # what, done, total


def silent(*_: object) -> None:
    """Shows no progress."""


def evaluate(
    subject: Subject,
    task: Task,
    copy: Cases,
    settings: Settings,
    *,
    cache: Path | None = None,
    tick: Tick = silent,
) -> tuple[list[Row], list[list[Row]]]:
    """Returns a result and the rows of the cases for each number of shots, the same on every rank.

    Rank r of W asks cases r, r + W, ...: none twice, none padded. Raises InputError where no case can be asked.
    """
    if task.metric == "cider":
        cider([], [])  # what is missing is told before the work, not after it
    cases = disjoint(copy, task, settings)
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    alike = similar(subject, cases, cache, tick) if settings.rices and any(settings.shots) else None
    evaluation = Evaluation(subject, task, cases, settings, alike)
    mine = cases.query[rank::world]
    results, tables = list[Row](), list[list[Row]]()
    for shots in settings.shots:
        rows = list[Row]()
        for row in evaluation.at(shots, mine):
            rows.append(row)
            tick(f"{shots} shots", min(len(rows) * world, len(cases.query)), len(cases.query))
        rows = _gathered(rows, world)
        results.append({"shots": shots, **scored(task, rows, settings)})
        tables.append(rows)
    return results, tables


def similar(subject: Subject, cases: Cases, cache: Path | None, tick: Tick = silent) -> Similar:
    """Returns the features of both sets, by which RICES finds shots."""
    return Similar(
        features(subject, cases.query, cache, partial(tick, "features")),
        features(subject, cases.support, cache, partial(tick, "features")),
        {case.id: number for number, case in enumerate(cases.query)},
    )


def _gathered(rows: list[Row], world: int) -> list[Row]:
    """Returns the rows of all ranks in the order of the cases."""
    if world == 1:
        return rows
    parts: list[list[Row]] = [[]] * world
    dist.all_gather_object(parts, rows)
    total = sum(map(len, parts))
    return [parts[number % world][number // world] for number in range(total)]


def scored(task: Task, rows: Sequence[Row], settings: Settings) -> Row:
    """Returns the result of the rows and adds each case's own score to them; raises InputError without any."""
    answered = [row for row in rows if "rejected" not in row]
    rejected = Counter(row["rejected"] for row in rows if "rejected" in row)
    if not answered:
        reasons = ", ".join(f"{name} {count}" for name, count in sorted(rejected.items()))
        raise InputError(f"{task.name}: expected cases that can be asked, found none ({reasons})")
    said = [row["prediction"] for row in answered]
    truth = [row["references"] for row in answered]
    result: Row = {}
    if task.metric == "cider":
        values = cider(said, truth)
    elif task.form == "question":
        values = [100 * accuracy(text, texts) for text, texts in zip(said, truth, strict=True)]
    else:
        values = [100.0 * (text == texts[0]) for text, texts in zip(said, truth, strict=True)]
    for row, value in zip(answered, values, strict=True):
        row["score"] = value
    mean = math.fsum(values) / len(values)
    if task.metric == "roc_auc":
        margins = [row["scores"]["yes"] - row["scores"]["no"] for row in answered]
        result["roc_auc"] = _finite(100 * roc_auc(margins, [t[0] == "yes" for t in truth]))
        result["accuracy"] = mean
    else:
        result[task.metric] = mean
    if settings.ensemble:
        sure = [row["agreement"] for row in answered]
        score, coverage = selective(values, sure, settings.abstain_below)
        for row in answered:
            row["answered"] = row["agreement"] >= settings.abstain_below
        result["mean_agreement"] = math.fsum(sure) / len(sure)
        result["answered"] = {"score": _finite(score), "coverage": 100 * coverage}
    return {**result, "cases": len(answered), "rejected": dict(sorted(rejected.items()))}


def _finite(value: float) -> float | None:
    """Returns a value as JSON has it: null where there is none."""
    return None if math.isnan(value) else value
