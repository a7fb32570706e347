"""Histograms of every score over everything measured, kept or not, with the thresholds that cut them.

Counted where it is measured, in fixed buckets: a unit's commit record holds one counter per bucket that
is not empty ("scores.image.side:64:96"), so that the sums stay true when units are retried or resumed.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import inf, isfinite
from typing import Any, Literal

from m3w_builder.config import CapfiltConfig, Config, SafetyConfig
from m3w_builder.config.rules import Bound
from m3w_builder.rules import RULES, Rule, off, text_values
from m3w_builder.types import KINDS, Media

Buckets = list[tuple[float, float, int]]  # low (inside), high (outside), count
Histograms = dict[str, dict[str, Buckets]]  # by subject and score

SCORES, LANGUAGES = "scores.", "languages."
_MANTISSAS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
_POSITIVE = [float(f"{m}e{power}") for power in range(-3, 6) for m in _MANTISSAS] + [1e6]
# Of any score: ten buckets a decade, on both sides of zero.
ANY = (*(-edge for edge in reversed(_POSITIVE)), 0.0, *_POSITIVE)
_SHARE = re.compile(
    "(duplicate|top)_|.*_(ratio|lines|words|chars|characters|repetition|share)"
    "|(punctuation|uppercase|digits)$"
)
SHARES = (0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
# Of the scores whose usual values or thresholds lie elsewhere; a bucket holds its lower bound.
EDGES: dict[str, tuple[float, ...]] = {
    "words": (
        0,
        1,
        2,
        3,
        4,
        6,
        10,
        20,
        30,
        50,
        75,
        100,
        150,
        200,
        300,
        500,
        1e3,
        2e3,
        5e3,
        1e4,
        2e4,
        5e4,
        1e5,
    ),
    "characters": (0, 1, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6),
    "unigrams": (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 21, 30, 50, 100, 200, 500),
    "mean_word_length": (0, 1, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 8, 9, 10, 12, 15, 20),
    "stop_words": tuple(range(9)),
    "language_score": (
        0,
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.55,
        0.6,
        0.65,
        0.7,
        0.75,
        0.8,
        0.85,
        0.9,
        0.95,
    ),
    "side": (0, 16, 32, 48, 64, 96, 128, 160, 201, 256, 320, 400, 512, 768, 1024, 1536, 2048, 4096),
    "aspect_ratio": (1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2, 2.5, 3, 4, 5, 7, 10, 20, 50),
    "flatness": (0, 1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120),
    "entropy": tuple(n / 2 for n in range(17)),
    "pdq_quality": tuple(range(0, 101, 10)),
    "nsfw": tuple(n / 20 for n in range(20)),
    "explicit": tuple(n / 20 for n in range(20)),
    "match": tuple(n / 40 for n in range(40)),  # cosines of CLIP lie close together
    "flagged_words": (0, 1, 2, 3, 5, 10, 20, 50, 100),
    "seconds": (0, 1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800, 3600),
    "frames": (0, 1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800, 3600),
}


@dataclass(frozen=True, slots=True)
class Threshold:
    """A bound of the configuration on a score; a value beyond it is a reason to drop."""

    subject: str  # interleaved | image_text | video_text | text | image | video | web_text | ...
    score: str
    setting: str  # "rules.min_words"
    side: Literal["min", "max"]
    value: float


def counters(subject: str, scores: Mapping[str, float]) -> Iterator[str]:
    """Yields the name of one counter per score: of the bucket that its value falls in.

    `subject` is what was measured: the kind of a document, "text" (of an interleaved document), "image", "video",
    or for a matcher's score the text that it judged, "web_text", "synthetic_text" or "human_text".
    """
    for score, value in scores.items():
        edges, names = _names(subject, score)
        yield names[bisect_right(edges, value)]


def edges_of(score: str) -> tuple[float, ...]:
    """Returns the bounds of a score's buckets, by its name."""
    return EDGES.get(score) or (SHARES if _SHARE.match(score) else ANY)


@cache
def _names(subject: str, score: str) -> tuple[tuple[float, ...], list[str]]:
    edges = edges_of(score)
    bounds = pairwise((-inf, *edges, inf))
    return edges, [f"{SCORES}{subject}.{score}:{low:g}:{high:g}" for low, high in bounds]


def text_scores(counts: Mapping[str, float]) -> dict[str, float]:
    """Returns what rules with a bound compare of a text, by its counts; what is absent there is 0."""
    values = text_values(counts)
    return {score: values[score] for score in _bounded()}


@cache
def _bounded() -> tuple[str, ...]:
    """Returns the scores that bounds of texts may cut; no histogram shows yes or no."""
    rules = (rule for rule in RULES if rule.subject == "text")
    return tuple(dict.fromkeys(rule.value for rule in rules if any(map(_side, rule.settings))))


def media_scores(row: Media) -> dict[str, float]:
    """Returns what was measured of a stored image or video, with its shape in pixels."""
    short, long = sorted((row.width, row.height))
    shape = {"side": float(short), "aspect_ratio": long / short if short else inf}
    if row.kind == "image":
        return {**row.scores, **shape}
    return {"side": float(short), "seconds": row.seconds, "frames": float(len(row.frames))}


def language_counter(kind: str, language: str) -> str:
    """Returns the name of the counter of a document's language, "" being unknown."""
    return f"{LANGUAGES}{kind}.{language or 'unknown'}"


def read(counts: Mapping[str, int]) -> Histograms:
    """Returns the histograms among counts, each from its first to its last bucket with a count."""
    found: dict[tuple[str, str], dict[tuple[float, float], int]] = {}
    for name, count in counts.items():
        if name.startswith(SCORES):
            head, *bounds = name.removeprefix(SCORES).rsplit(":", 2)
            subject, _, score = head.partition(".")
            low, high = map(float, bounds)
            found.setdefault((subject, score), {})[low, high] = count
    histograms: Histograms = {}
    for (subject, score), buckets in sorted(found.items()):
        low, high = min(buckets)[0], max(buckets)[1]
        edges = [edge for edge in edges_of(score) if low <= edge <= high]
        empty = dict.fromkeys(pairwise(edges), 0)
        whole = sorted({**empty, **buckets}.items())
        histograms.setdefault(subject, {})[score] = [(*place, n) for place, n in whole]
    return histograms


def languages(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Returns per kind how many documents of each language there were, the most frequent first."""
    found: dict[str, dict[str, int]] = {}
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if name.startswith(LANGUAGES):
            kind, _, language = name.removeprefix(LANGUAGES).partition(".")
            found.setdefault(kind, {})[language] = count
    return dict(sorted(found.items()))


_SUBJECTS = {"document": "interleaved"}  # of rules -> of histograms, where they differ


def thresholds(config: Config) -> list[Threshold]:
    """Returns the bounds that a configuration sets on scores, in the order of the rules; not those that are off."""
    found = [
        Threshold(*_place(rule), f"rules.{name}", side, value)
        for rule in RULES
        if config.rules.text_rules
        or rule.subject not in ("document", "text")
        or rule.reason == "language"
        if rule.subject != "pair"  # a pair's language is its page's, or asks for nothing else
        for name in rule.settings
        if (side := _side(name)) and (value := float(getattr(config.rules, name))) != off(name)
    ]
    found += [
        Threshold(
            _SUBJECTS.get(bound.subject, bound.subject), bound.score, "rules.bounds", side, value
        )
        for bound in config.rules.bounds
        for side, value in _sides(bound)
    ]
    return [*found, *_of_safety(config.safety), *_of_capfilt(config.capfilt)]


def _of_safety(config: SafetyConfig) -> Iterator[Threshold]:
    texts = [kind for kind in KINDS if config.judges_documents or kind != "interleaved"]
    for setting, score, subjects in (
        ("max_nsfw", "nsfw", ["image"]),
        ("max_flagged", "flagged_share", [*texts, *(["text"] if config.judges_texts else [])]),
        ("max_text_score", "explicit", KINDS),
    ):
        if (value := float(getattr(config, setting))) < 1:
            for subject in subjects:
                yield Threshold(subject, score, f"safety.{setting}", "max", value)


def _of_capfilt(config: CapfiltConfig) -> Iterator[Threshold]:
    if config.matcher:
        for subject in ("web_text", "synthetic_text"):  # what a human wrote stays
            yield Threshold(subject, "match", "capfilt.min_match", "min", config.min_match)


def _sides(bound: Bound) -> Iterator[tuple[Literal["min", "max"], float]]:
    if bound.min is not None:
        yield "min", bound.min
    if bound.max is not None:
        yield "max", bound.max


def _side(setting: str) -> Literal["min", "max"] | None:
    if setting.startswith("min_"):
        return "min"
    return "max" if setting.startswith("max_") else None


def _place(rule: Rule) -> tuple[str, str]:
    """Returns the subject and score of the histogram that a rule cuts; a pair's medium has its own."""
    if rule.value in ("side", "aspect_ratio"):
        return "image", rule.value
    if rule.value == "frames":
        return "video", rule.value
    # The rules of languages look at names, and at how sure they are.
    return _SUBJECTS.get(rule.subject, rule.subject), rule.value or "language_score"


def describe(counts: Mapping[str, int], config: Config) -> dict[str, Any]:
    """Returns scores.json: per subject and score its buckets and thresholds, and the languages.

    A bucket is [low, high, count], null for a side that is open.
    """
    cuts = thresholds(config)
    return {
        "scores": {
            subject: {
                score: {
                    "buckets": [[_finite(low), _finite(high), n] for low, high, n in buckets],
                    "thresholds": [
                        {"setting": cut.setting, "side": cut.side, "value": cut.value}
                        for cut in cuts
                        if (cut.subject, cut.score) == (subject, score)
                    ],
                }
                for score, buckets in scores.items()
            }
            for subject, scores in read(counts).items()
        },
        "languages": languages(counts),
    }


def _finite(bound: float) -> float | None:
    return bound if isfinite(bound) else None


def bound_text(bound: float | None) -> str:
    """Returns a bound of a bucket as it is read: "1,000", "0.15", "" for an open one."""
    if bound is None:
        return ""
    return f"{bound:,.0f}" if abs(bound) >= 1000 else f"{bound:g}"


def bucket_label(low: float | None, high: float | None) -> str:
    """Returns a bucket as it is read: "50–75", "100,000+"; the upper bound is outside."""
    if high is None:
        return f"{bound_text(low)}+"
    return (
        f"{bound_text(low)}–{bound_text(high)}" if low is not None else f"below {bound_text(high)}"
    )


def position(buckets: Sequence[Sequence[Any]], value: float) -> float:
    """Returns where a value lies on an axis that gives every bucket of scores.json the width 1.

    Inside a bucket it is placed linearly; beyond the first or last one, and inside an open one, at its closed end.
    """
    lows = [-inf if low is None else low for low, _, _ in buckets]
    highs = [inf if high is None else high for _, high, _ in buckets]
    number = bisect_left(highs, value)
    if number == len(buckets):
        return float(number)
    low, high = lows[number], highs[number]
    if not isfinite(low):
        return number + 1.0
    if not isfinite(high):
        return float(number)
    return number + min(max((value - low) / (high - low), 0.0), 1.0)
