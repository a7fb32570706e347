"""The evaluation of a model on a benchmark: shots, prompts, answers, score; over ranks without repeats."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch.distributed as dist

from m3w_builder.errors import DropError, InputError
from m3w_builder.flamingo.evaluation.cases import Case, Cases, Task
from m3w_builder.flamingo.evaluation.metrics.cider import cider
from m3w_builder.flamingo.evaluation.metrics.ranks import roc_auc, selective
from m3w_builder.flamingo.evaluation.metrics.vqa import accuracy
from m3w_builder.flamingo.evaluation.prompts import (
    ZERO_SHOT_EXAMPLES,
    Layout,
    continuations,
    lay_out,
    trimmed,
)
from m3w_builder.flamingo.evaluation.settings import Settings
from m3w_builder.flamingo.evaluation.shots import Features, drawn, nearest, orders
from m3w_builder.flamingo.evaluation.sights import Sights, features
from m3w_builder.flamingo.evaluation.splits import disjoint
from m3w_builder.flamingo.evaluation.subject import Subject
from m3w_builder.flamingo.generate import Prompt

LISTED = 5  # labels whose scores a case lists, the best first
DEFAULT_LIMIT = 64  # new tokens where there is no support to tell how long answers are

Row = dict[str, Any]
Tick = Callable[[str, int, int], None]  # what, done, total


def silent(*_: object) -> None:
    """Shows no progress."""


class CaseError(DropError):
    """One case cannot be asked: counted by reason, never fatal."""


@dataclass(frozen=True, slots=True)
class Similar:
    """What RICES looks for shots by."""

    query: Features
    support: Features
    places: dict[str, int]  # of the query cases, by id


class Evaluation:
    """A model, a benchmark and its cases; `at` gives the rows of one number of shots."""

    def __init__(
        self,
        subject: Subject,
        task: Task,
        cases: Cases,
        settings: Settings,
        similar: Similar | None = None,
    ) -> None:
        self.subject, self.task, self.cases, self.settings = subject, task, cases, settings
        self._similar = similar
        self._sights = Sights(subject)
        self._limit = settings.limit or self._longest()

    def at(self, shots: int, mine: Sequence[Case]) -> Iterator[Row]:
        """Yields a row per case, in their order; a case that cannot be asked has its reason."""
        for start in range(0, len(mine), self.settings.batch):
            chunk = mine[start : start + self.settings.batch]
            found = list[tuple[Case, list[Case]] | Row]()
            for case in chunk:
                try:
                    self._sights.want(case.media)
                    found.append((case, self._shots(case, shots)))
                except DropError as error:
                    found.append({"id": case.id, "rejected": error.reason, "detail": error.detail})
            yield from self._closed(found, shots) if self.task.closed else self._open(found, shots)
            self._sights.forget()

    def _shots(self, case: Case, count: int) -> list[Case]:
        """Returns the shots of a case, in their order; one whose picture cannot be read is passed over."""
        text_alone = not count and not self.task.closed
        count = ZERO_SHOT_EXAMPLES if text_alone else count
        found = list[Case]()
        for shot in self._candidates(case, drawn_only=text_alone):
            if len(found) == count:
                break
            try:
                if not text_alone:
                    self._sights.want(shot.media)
            except DropError:
                continue
            found.append(shot)
        if len(found) < count:
            raise CaseError("too_few_shots", f"{len(found)} of {count}")
        return found[::-1] if self._similar and not text_alone else found

    def _candidates(self, case: Case, drawn_only: bool) -> Iterator[Case]:
        if self._similar is None or drawn_only:
            yield from drawn(self.settings.seed, case, self.cases.support)
            return
        at = self._similar.places[case.id]
        vector = self._similar.query.vectors[at]
        for i in nearest(case, vector, self.cases.support, self._similar.support):
            yield self.cases.support[i]

    def _open(self, found: Sequence[tuple[Case, list[Case]] | Row], shots: int) -> list[Row]:
        prompts, rows = list[Prompt](), list[Row]()
        for one in found:
            if isinstance(one, dict):
                rows.append(one)
                continue
            case, examples = one
            try:
                layout = self._layout(examples, case, shots, self._limit)
            except CaseError as error:
                rows.append({"id": case.id, "rejected": error.reason, "detail": error.detail})
                continue
            prompts.append(self._prompt(layout))
            rows.append(self._row(case, examples))
        texts = (
            self.subject.generate(prompts, beams=self.settings.beams, limit=self._limit)
            if prompts
            else []
        )
        answered = (row for row in rows if "rejected" not in row)
        for row, text in zip(answered, texts, strict=True):
            row["prediction"] = trimmed(text)
        return rows

    def _closed(self, found: Sequence[tuple[Case, list[Case]] | Row], shots: int) -> list[Row]:
        rows = list[Row]()
        for one in found:
            if isinstance(one, dict):
                rows.append(one)
                continue
            case, examples = one
            try:
                rows.append(self._row(case, examples) | self._ranked(case, examples, shots))
            except CaseError as error:
                rows.append({"id": case.id, "rejected": error.reason, "detail": error.detail})
        return rows

    def _ranked(self, case: Case, examples: Sequence[Case], shots: int) -> Row:
        """Returns the labels by their mean log-likelihood over orders of the shots, and how far those agree."""
        count = self.settings.ensemble if examples else 0
        seed = self.settings.seed
        each = orders(examples, count, seed, case) if count else [tuple(examples)]
        labels = self.cases.labels
        choices = continuations(self.task.form, case, labels, self.subject.tokenizer)
        room = max(map(len, choices))
        scores = list[list[float]]()
        for order in each:
            layout = self._layout(order, case, shots, room)
            scores.append(self.subject.likelihood(self._prompt(layout), choices))
        return dispersed(labels, scores)

    def _layout(self, examples: Sequence[Case], case: Case, shots: int, room: int) -> Layout:
        layout = lay_out(
            self.task.form,
            examples,
            case,
            self.subject.tokenizer,
            switch=self.subject.switch,
            pictures=shots > 0,
        )
        context = self.subject.context
        if context is not None and len(layout.ids) + room > context:
            raise CaseError(
                "prompt_too_long", f"{len(layout.ids)} tokens and {room} to come, of {context}"
            )
        return layout

    def _prompt(self, layout: Layout) -> Prompt:
        return Prompt(layout.ids, layout.phi, self._sights.get(layout.media))

    def _row(self, case: Case, examples: Sequence[Case]) -> Row:
        return {
            "id": case.id,
            "references": list(case.references),
            "shots": [example.id for example in examples],
        }

    def _longest(self) -> int:
        """Returns the tokens of the longest answer of the support, and its end."""
        encode = self.subject.tokenizer.encode
        lengths = (len(encode(f" {case.output}")) for case in self.cases.support)
        return max(lengths, default=DEFAULT_LIMIT - 1) + 1


def dispersed(labels: Sequence[str], scores: Sequence[Sequence[float]]) -> Row:
    """Returns the answer of an ensemble: scores[order][label] in nats.

    `agreement` is the share of orders that by themselves give the final label, `entropy` that of their
    labels in nats (0 = all the same): how far the answer hangs on the order of the shots alone.
    """
    mean = [math.fsum(column) / len(scores) for column in zip(*scores, strict=True)]
    best = _first_best(mean)
    votes = Counter(_first_best(order) for order in scores)
    shares = [count / len(scores) for count in votes.values()]
    listed = sorted(range(len(labels)), key=lambda i: (-mean[i], i))[:LISTED]
    return {
        "prediction": labels[best],
        "scores": {labels[i]: mean[i] for i in listed},
        "agreement": votes[best] / len(scores),
        "entropy": abs(math.fsum(share * math.log(share) for share in shares)),
    }


def _first_best(scores: Sequence[float]) -> int:
    return max(range(len(scores)), key=lambda i: (scores[i], -i))


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
    cases = disjoint(copy, task, settings)
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    similar = (
        _similar(subject, cases, cache, tick) if settings.rices and any(settings.shots) else None
    )
    evaluation = Evaluation(subject, task, cases, settings, similar)
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


def _similar(subject: Subject, cases: Cases, cache: Path | None, tick: Tick) -> Similar:
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
    if settings.ensemble and task.closed:
        sure = [row["agreement"] for row in answered]
        right = [row["score"] == 100 for row in answered]
        kept, coverage = selective(right, sure, settings.abstain_below)
        for row in answered:
            row["answered"] = row["agreement"] >= settings.abstain_below
        result["mean_agreement"] = math.fsum(sure) / len(sure)
        result["answered"] = {"accuracy": _finite(100 * kept), "coverage": 100 * coverage}
    return {**result, "cases": len(answered), "rejected": dict(sorted(rejected.items()))}


def _finite(value: float) -> float | None:
    """Returns a value as JSON has it: null where there is none."""
    return None if math.isnan(value) else value
