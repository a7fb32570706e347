"""What the rules decide: pure functions of measured numbers and settings to (reason, detail) or None."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf, nan
from typing import NamedTuple
from urllib.parse import urlsplit

from m3w_builder.config import RulesConfig
from m3w_builder.rules.table import (
    DOCUMENTS,
    FEW_IMAGES,
    LANGUAGE,
    PAIR_LANGUAGE,
    PUNCTUATED_WORDS,
    RULES,
    TEXTS,
    Rule,
    Subject,
    Verdict,
    number,
)
from m3w_builder.rules.texts import shares, total
from m3w_builder.types import Kind


def decide(scores: Mapping[str, float], language: str, config: RulesConfig) -> Verdict | None:
    """Returns why an interleaved document is dropped, or None.

    `scores` are those of `measure_texts` with "language_score", the probability of `language`. Below
    `min_language_score` the language is unknown: not among the wanted ones, and no English.
    """
    config = config.of(language)
    known = _known(language, scores["language_score"], config)
    if config.languages and known not in config.languages:
        return LANGUAGE.reason, f"{language or 'unknown'} {scores['language_score']:.2f}"
    asked = (rule for rule in DOCUMENTS if config.text_rules and rule.asks(known, scores))
    verdicts = (rule.broken(scores[rule.value], config) for rule in asked)
    return next(filter(None, verdicts), None) or bounds_rule("document", scores, config)


def _known(language: str, score: float, config: RulesConfig) -> str:
    """Returns the language, "" when it is not sure enough."""
    return language if score >= config.min_language_score else ""


class Node(NamedTuple):
    """What the rules on texts look at, of one node of a document."""

    type: str  # text | image | video
    role: str = ""  # of a text
    scores: Mapping[str, float] = {}  # of a text: its counts, by `measure_texts`


def looks_at_texts(config: RulesConfig) -> bool:
    """Tells whether `node_drops` can drop anything: if not, nobody need read the scores of texts."""
    return any(bound.subject == "text" for bound in config.bounds) or any(
        rules.text_rules and not all(rule.off(rules) for rule in TEXTS)
        for rules in (config, *map(config.of, config.per_language))
    )


def node_drops(nodes: Sequence[Node], language: str, config: RulesConfig) -> dict[int, Verdict]:
    """Returns why texts of an interleaved document are dropped, by their place among its nodes.

    Only texts in one of `text_roles` are looked at. One of at most `max_label_words` words, within
    `label_distance` nodes of a picture, may be its label: the rules that are marked so spare it.
    """
    config = config.of(language)
    rules = [rule for rule in TEXTS if config.text_rules and not rule.off(config)]
    bounded = [bound for bound in config.bounds if bound.subject == "text"]
    if not rules and not bounded:
        return {}
    pictures = [index for index, node in enumerate(nodes) if node.type == "image"]
    drops = {}
    for index, node in enumerate(nodes):
        if node.type != "text" or node.role not in config.text_roles:
            continue
        beside = any(abs(index - picture) <= config.label_distance for picture in pictures)
        verdict = text_rule(node.scores, language, config, beside=beside, rules=rules)
        if verdict:
            drops[index] = verdict
    return drops


def text_rule(
    counts: Mapping[str, float],
    language: str,
    config: RulesConfig,
    *,
    beside: bool = False,
    rules: Iterable[Rule] = TEXTS,
) -> Verdict | None:
    """Returns why a text with these counts is dropped, or None; `beside`: a picture is near."""
    values = text_values(counts)
    spared = beside and values["words"] <= config.max_label_words
    for rule in rules:
        if (spared and rule.label) or not rule.asks(language, values):
            continue
        if rule.reason == "text_punctuation" and values["words"] < PUNCTUATED_WORDS:
            continue
        if verdict := rule.broken(values[rule.value], config):
            return verdict
    return bounds_rule("text", {**counts, **values}, config, absent=0.0)


def text_values(counts: Mapping[str, float]) -> dict[str, float]:
    """Returns what the rules on texts compare, of a text's counts: shares, and what stands as it was counted."""
    counted = (
        *("character_repetition", "word_repetition"),
        *("longest_word", "javascript", "policy"),
    )
    return {
        **shares(counts),
        **{name: counts.get(name, 0.0) for name in counted},
        "unfinished": float(not counts.get("terminal", 0.0)),
    }


def remaining(
    scores: Mapping[str, float], nodes: Sequence[Node], drops: Collection[int]
) -> dict[str, float]:
    """Returns a document's scores as they are after these nodes were dropped.

    What adds up over texts (words, shares of characters, words and lines, sentences) is that of the
    texts that are left; what does not (repetition, Gopher's shares of bullets and ellipses, word
    lengths, its eight stop words) stays that of the whole document.
    """
    left = [
        node.scores
        for index, node in enumerate(nodes)
        if node.type == "text" and index not in drops
    ]
    return {**scores, **shares(total(left))} if drops else dict(scores)


def image_rule(
    width: int,
    height: int,
    scores: Mapping[str, float],
    config: RulesConfig,
    *,
    url: str = "",
    format: str = "",  # noqa: A002 - the field's name
    declared: tuple[int | None, int | None] = (None, None),
) -> Verdict | None:
    """Returns why an image is dropped, or None.

    `width` and `height` are pixels, `declared` those that the page gives; `scores` has "flatness" in
    grey levels; `url` is the one that the page names, `format` is of `source_format`.
    """
    given = [float(side) for side in declared if side is not None] or [nan]  # beyond no bound
    sides = {"declared_side": min(given), "declared_longer_side": max(given)}
    if verdict := _first_broken("image", {**scores, **_shape(width, height), **sides}, config):
        return verdict
    if config.image_formats and format not in config.image_formats:
        return "image_format", format or "unknown"
    if config.image_url_words and (word := _url_word(url, config.image_url_words)):
        return "image_url_word", word
    return bounds_rule("image", scores, config)


_WORD_IN_PATH = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def _url_word(url: str, words: Iterable[str]) -> str:
    """Returns the first of these words in the path of a URL: "/img/siteLogo2.png" has "logo", "/logos/", too."""
    parts = urlsplit(url)
    found = {word.lower() for word in _WORD_IN_PATH.findall(f"{parts.path} {parts.query}")}
    return next((word for word in words if word in found or f"{word}s" in found), "")


def source_format(content_type: str, stored: str) -> str:
    """Returns an image's format as its server names it ("image/jpeg" -> "jpg"), else as it is stored."""
    kind, _, subtype = content_type.partition(";")[0].strip().lower().partition("/")
    if kind != "image" or not subtype:
        return stored
    return {"jpeg": "jpg", "pjpeg": "jpg", "x-png": "png", "svg+xml": "svg"}.get(subtype, subtype)


def images_rule(images: int, words: float, config: RulesConfig) -> Verdict | None:
    """Returns why a document with so many images and words left is dropped, or None."""
    each = words / images if images > FEW_IMAGES else inf
    values = {"images": float(images), "words_per_image": each}
    return _first_broken("images", values, config)


def pair_rule(
    kind: Kind, scores: Mapping[str, float], language: str, config: RulesConfig
) -> Verdict | None:
    """Returns why a pair is dropped by its language or the user's bounds, or None.

    `scores` are the pair's, with "language_score", the probability of its `language`.
    """
    score, config = scores["language_score"], config.of(language)
    if config.pair_languages and _known(language, score, config) not in config.pair_languages:
        return PAIR_LANGUAGE.reason, f"{language or 'unknown'} {score:.2f}"
    return bounds_rule(kind, scores, config)


def image_pair_rule(
    unigrams: int, width: int, height: int, config: RulesConfig, language: str = ""
) -> Verdict | None:
    """Returns why an image-text pair is dropped, or None: ALIGN's rules that look at one record.

    `unigrams` is that of `rules.unigrams` on the pair's text, width and height are pixels.
    """
    values = {**_shape(width, height), "unigrams": float(unigrams)}
    return _first_broken("image_text", values, config.of(language))


def video_pair_rule(
    unigrams: int, frames: int, config: RulesConfig, language: str = ""
) -> Verdict | None:
    """Returns why a video-text pair with so many words and stored frames is dropped, or None."""
    values = {"unigrams": float(unigrams), "frames": float(frames)}
    return _first_broken("video_text", values, config.of(language))


def bounds_rule(
    subject: str, scores: Mapping[str, float], config: RulesConfig, absent: float | None = None
) -> Verdict | None:
    """Returns why something is beyond one of the user's own bounds (`rules.bounds`), or None.

    What lacks the score has `absent`; with None it passes: a scorer that was not run says nothing.
    """
    for bound in config.bounds:
        value = scores.get(bound.score, absent) if bound.subject == subject else None
        if value is None:
            continue
        if bound.min is not None and value < bound.min:
            return f"bound_{bound.score}", f"{number(value)} < {number(bound.min)}"
        if bound.max is not None and value > bound.max:
            return f"bound_{bound.score}", f"{number(value)} > {number(bound.max)}"
    return None


def _first_broken(
    subject: Subject, values: Mapping[str, float], config: RulesConfig
) -> Verdict | None:
    """Returns the first verdict of a subject's rules on numbers."""
    rules = (rule for rule in RULES if rule.subject == subject and rule.value)
    verdicts = (rule.broken(values[rule.value], config) for rule in rules)
    return next(filter(None, verdicts), None)


def _shape(width: int, height: int) -> dict[str, float]:
    short, long = sorted((width, height))
    return {
        "side": float(short),
        "longer_side": float(long),
        "aspect_ratio": long / short if short else inf,
    }
