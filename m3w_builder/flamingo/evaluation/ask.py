"""Cases are asked: shots are chosen, prompts made, answers taken, and their dispersion over orders of the shots."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from m3w_builder.errors import DropError
from m3w_builder.flamingo.evaluation.cases import Case, Cases, Task
from m3w_builder.flamingo.evaluation.prompts import (
    ZERO_SHOT_EXAMPLES,
    Layout,
    asked,
    continuations,
    lay_out,
    trimmed,
)
from m3w_builder.flamingo.evaluation.settings import Settings
from m3w_builder.flamingo.evaluation.shots import Features, drawn, nearest, orders
from m3w_builder.flamingo.evaluation.sights import Sights
from m3w_builder.flamingo.evaluation.subject import Subject
from m3w_builder.flamingo.generate import Prompt

LISTED = 5  # labels whose scores a case lists, the best first
MOST = 64  # new tokens at most, unless told otherwise: a pair of training has no more

Row = dict[str, Any]
Asked = tuple[
    Row, list[Layout]
]  # a case, and its prompt once for each order of the shots; [] = rejected


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
        self._query = {case.id: case for case in cases.query}
        self._sights = Sights(subject)
        self._limit = settings.limit or self._longest()
        self._choices: tuple[str, list[list[int]]] = ("", [])

    def at(self, shots: int, mine: Sequence[Case]) -> Iterator[Row]:
        """Yields a row per case, in their order; a case that cannot be asked has its reason."""
        size = self.settings.batch
        for start in range(0, len(mine), size):
            chunk = [self._asked(case, shots) for case in mine[start : start + size]]
            answers = self._ranked(chunk) if self.task.closed else self._written(chunk)
            for (row, layouts), answer in zip(chunk, answers, strict=True):
                yield row | answer if layouts else row
            self._sights.forget()

    def _asked(self, case: Case, shots: int) -> Asked:
        try:
            if not case.output.strip():
                raise CaseError("no_reference")
            self._sights.want(case.media)
            examples = self._shots(case, shots)
            room = max(map(len, self._continuations(case))) if self.task.closed else self._limit
            layouts = [
                self._layout(order, case, shots, room) for order in self._orders(examples, case)
            ]
        except DropError as error:
            return {"id": case.id, "rejected": error.reason, "detail": error.detail}, []
        told = {"references": list(case.references), "shots": [one.id for one in examples]}
        return {"id": case.id, **told}, layouts

    def _shots(self, case: Case, count: int) -> list[Case]:
        """Returns the shots of a case in their order; one whose picture cannot be read is passed over."""
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
        vector = self._similar.query.vectors[self._similar.places[case.id]]
        for i in nearest(case, vector, self.cases.support, self._similar.support):
            yield self.cases.support[i]

    def _orders(self, examples: Sequence[Case], case: Case) -> Sequence[Sequence[Case]]:
        count = self.settings.ensemble if len(examples) > 1 else 0
        return orders(examples, count, self.settings.seed, case) if count else [examples]

    def _layout(self, examples: Sequence[Case], case: Case, shots: int, room: int) -> Layout:
        tokenizer, switch = self.subject.tokenizer, self.subject.switch
        layout = lay_out(
            self.task.form, examples, case, tokenizer, switch=switch, pictures=shots > 0
        )
        length, context = len(layout.ids), self.subject.context
        if context is not None and length + room > context:
            raise CaseError("prompt_too_long", f"{length} tokens and {room} to come, of {context}")
        return layout

    def _prompt(self, layout: Layout) -> Prompt:
        return Prompt(layout.ids, layout.phi, self._sights.get(layout.media))

    def _written(self, chunk: Sequence[Asked]) -> Iterator[Row]:
        """Yields the text of each case: of several orders of the shots what most of them give."""
        layouts = [layout for _, several in chunk for layout in several]
        texts = list[str]()
        for start in range(0, len(layouts), self.settings.batch):
            prompts = [self._prompt(one) for one in layouts[start : start + self.settings.batch]]
            texts += self.subject.generate(prompts, beams=self.settings.beams, limit=self._limit)
        left = iter(texts)
        for _, several in chunk:
            yield agreed([trimmed(next(left)) for _ in several]) if several else {}

    def _ranked(self, chunk: Sequence[Asked]) -> Iterator[Row]:
        """Yields the labels of each case by their mean log-likelihood over orders of the shots."""
        for row, layouts in chunk:
            choices = self._continuations(self._query[row["id"]])
            scores = [self.subject.likelihood(self._prompt(one), choices) for one in layouts]
            yield dispersed(self.cases.labels, scores) if scores else {}

    def _continuations(self, case: Case) -> list[list[int]]:
        """Returns the labels in tokens, the same for all cases whose prompt ends alike."""
        prompt = asked(self.task.form, case)
        if self._choices[0] != prompt:
            made = continuations(prompt, self.cases.labels, self.subject.tokenizer)
            self._choices = prompt, made
        return self._choices[1]

    def _longest(self) -> int:
        """Returns the tokens of the longest answer of the support, with its end, up to MOST."""
        encode = self.subject.tokenizer.encode
        lengths = (len(encode(f" {case.output}")) + 1 for case in self.cases.support)
        return min(max(lengths, default=MOST), MOST)


def dispersed(labels: Sequence[str], scores: Sequence[Sequence[float]]) -> Row:
    """Returns the answer of an ensemble: scores[order][label] in nats.

    `agreement` is the share of orders that by themselves give the final label, `entropy` that of their
    labels in nats (0 = all the same): how far the answer hangs on the order of the shots alone.
    """
    mean = [math.fsum(column) / len(scores) for column in zip(*scores, strict=True)]
    best = _first_best(mean)
    votes = Counter(_first_best(order) for order in scores)
    listed = sorted(range(len(labels)), key=lambda i: (-mean[i], i))[:LISTED]
    return {
        "prediction": labels[best],
        "scores": {labels[i]: mean[i] for i in listed},
        "orders": len(scores),
        "agreement": votes[best] / len(scores),
        "entropy": _entropy(votes),
    }


def agreed(texts: Sequence[str]) -> Row:
    """Returns the text that most orders give, the first of equally frequent ones, and how many do."""
    votes = Counter(texts)
    text, count = votes.most_common(1)[0]
    return {
        "prediction": text,
        "orders": len(texts),
        "agreement": count / len(texts),
        "entropy": _entropy(votes),
    }


def _entropy(votes: Counter[Any]) -> float:
    """Returns the entropy of votes, in nats."""
    shares = (count / votes.total() for count in votes.values())
    return abs(math.fsum(share * math.log(share) for share in shares))


def _first_best(scores: Sequence[float]) -> int:
    return max(range(len(scores)), key=lambda i: (scores[i], -i))
