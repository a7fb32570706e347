"""Every rule as a row of `RULES`: what it looks at, which setting bounds it, where that comes from.

A bound passes itself (64 px passes `min_image_side = 64`) except where `open` says otherwise. The
first broken rule in the order of `RULES` gives the reason and the detail of the reject row.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from inspect import getdoc
from math import inf
from typing import Literal

from m3w_builder.config import Config, RulesConfig
from m3w_builder.rules.statistics import DUPLICATE_NGRAMS, TOP_NGRAMS, measure

Subject = Literal["document", "image", "image_text", "video_text"]
Verdict = tuple[str, str]  # reason, detail

MAX_UNSPACED_WORDS = 0.5  # above it most words are cut to two letters: their length says nothing

GOPHER = "Gopher (arXiv 2112.11446) A.1.1"
GOPHER_TABLE = "Gopher (arXiv 2112.11446) Table A1"
FLAMINGO = "Flamingo (arXiv 2204.14198) A.3.1"
ALIGN = "ALIGN (arXiv 2102.05918) section 3"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; the prefix of a setting, min_ or max_, says which side of its bound fails."""

    reason: str
    subject: Subject
    value: str  # the measured number it looks at
    settings: tuple[str, ...]  # fields of RulesConfig
    source: str
    drops: str  # what it drops, in words
    open: bool = False  # the bound itself fails, too

    def broken(self, value: float, config: RulesConfig) -> Verdict | None:
        """Returns the verdict on a value beyond a bound, None inside."""
        for setting in self.settings:
            bound = float(getattr(config, setting))
            beyond = value < bound if setting.startswith("min_") else value > bound
            if beyond or (self.open and value == bound):
                sign = ("<" if setting.startswith("min_") else ">") + ("=" if self.open else "")
                return self.reason, f"{_number(value)} {sign} {_number(bound)}"
        return None


def _quality(reason: str, value: str, settings: tuple[str, ...], drops: str) -> Rule:
    return Rule(reason, "document", value, settings, GOPHER, drops)


def _repetition(value: str, drops: str) -> Rule:
    return Rule(value, "document", value, (f"max_{value}",), GOPHER_TABLE, drops)


LANGUAGE = Rule(
    reason="language",
    subject="document",
    value="language_score",
    settings=("languages", "min_language_score"),
    source=f"{FLAMINGO}: English; the threshold is datatrove's",
    drops="another language than these, or none that is sure enough; no languages = off",
)

QUALITY = (
    _quality("words_too_few", "words", ("min_words",), "fewer words"),
    _quality("words_too_many", "words", ("max_words",), "more words"),
    _quality(
        "mean_word_length",
        "mean_word_length",
        ("min_mean_word_length", "max_mean_word_length"),
        "words too short or too long on average; not applied when most words are of "
        "scripts without spaces (the bounds are for English: Korean words have about 3 characters)",
    ),
    _quality("hash_ratio", "hash_ratio", ("max_hash_ratio",), 'more "#" per word'),
    _quality("ellipsis_ratio", "ellipsis_ratio", ("max_ellipsis_ratio",), "more ellipses per word"),
    _quality(
        "bullet_lines", "bullet_lines", ("max_bullet_lines",), "a larger share of bullet lines"
    ),
    _quality(
        "ellipsis_lines",
        "ellipsis_lines",
        ("max_ellipsis_lines",),
        "a larger share of lines that end with an ellipsis",
    ),
    _quality(
        "alpha_words", "alpha_words", ("min_alpha_words",), "a smaller share of words with a letter"
    ),
    _quality(
        "stop_words",
        "stop_words",
        ("min_stop_words",),
        "English with fewer different ones of the, be, to, of, and, that, have, with",
    ),
)

REPETITION = (
    _repetition("duplicate_lines", "a larger share of repeated lines"),
    _repetition("duplicate_paragraphs", "a larger share of repeated paragraphs"),
    _repetition("duplicate_line_chars", "more characters in repeated lines"),
    _repetition("duplicate_paragraph_chars", "more characters in repeated paragraphs"),
    *(
        _repetition(f"top_{n}gram_chars", f"more characters in the most frequent {n}-gram")
        for n in TOP_NGRAMS
    ),
    *(
        _repetition(f"duplicate_{n}gram_chars", f"more characters in repeated {n}-grams")
        for n in DUPLICATE_NGRAMS
    ),
)

MEDIA = (
    Rule(
        reason="image_too_small",
        subject="image",
        value="side",
        settings=("min_image_side",),
        source=FLAMINGO,
        drops="a width or height of fewer pixels",
    ),
    Rule(
        reason="aspect_ratio",
        subject="image",
        value="aspect_ratio",
        settings=("max_aspect_ratio",),
        source=FLAMINGO,
        drops="a longer side of more than so many times the shorter one",
    ),
    Rule(
        reason="single_colour",
        subject="image",
        value="flatness",
        settings=("min_flatness_deviation",),
        source=f"{FLAMINGO} names the rule; the test is ours",
        drops="a standard deviation of its grey values (of 255) that is not above it",
        open=True,
    ),
    Rule(
        reason="pair_image_too_small",
        subject="image_text",
        value="side",
        settings=("min_pair_side",),
        source=f'{ALIGN}: "shorter side larger than 200"',
        drops="a shorter side of fewer pixels",
    ),
    Rule(
        reason="pair_aspect_ratio",
        subject="image_text",
        value="aspect_ratio",
        settings=("max_pair_aspect_ratio",),
        source=f'{ALIGN}: "aspect ratio smaller than 3"',
        drops="a longer side of so many times the shorter one, or more",
        open=True,
    ),
    Rule(
        reason="alt_too_short",
        subject="image_text",
        value="unigrams",
        settings=("min_alt_unigrams",),
        source=ALIGN,
        drops="fewer words in its text",
    ),
    Rule(
        reason="alt_too_long",
        subject="image_text",
        value="unigrams",
        settings=("max_alt_unigrams",),
        source=ALIGN,
        drops="more words in its text",
    ),
    Rule(
        reason="video_text_too_short",
        subject="video_text",
        value="unigrams",
        settings=("min_video_words",),
        source="ours: Flamingo gives no rule for its video pairs",
        drops="fewer words in its text",
    ),
    Rule(
        reason="video_no_frames",
        subject="video_text",
        value="frames",
        settings=("min_video_frames",),
        source="ours: Flamingo gives no rule for its video pairs",
        drops="fewer stored frames",
    ),
)

RULES: tuple[Rule, ...] = (LANGUAGE, *QUALITY, *REPETITION, *MEDIA)


def decide(scores: Mapping[str, float], language: str, config: RulesConfig) -> Verdict | None:
    """Returns why an interleaved document is dropped, or None.

    `scores` are those of `measure` with "language_score", the probability of `language`. Below
    `min_language_score` the language is unknown: not among the wanted ones, and no English.
    """
    sure = scores[LANGUAGE.value] >= config.min_language_score
    known = language if sure else ""
    if config.languages and known not in config.languages:
        return LANGUAGE.reason, f"{language or 'unknown'} {scores[LANGUAGE.value]:.2f}"
    if not config.text_rules:
        return None
    skipped = {LANGUAGE.reason}
    if known != "en":
        skipped.add("stop_words")
    if scores["unspaced_words"] > MAX_UNSPACED_WORDS:
        skipped.add("mean_word_length")
    return _first_broken("document", scores, config, skipped)


def image_rule(
    width: int, height: int, scores: Mapping[str, float], config: RulesConfig
) -> Verdict | None:
    """Returns why an image (pixels; scores with "flatness", in grey levels) is dropped, or None."""
    return _first_broken("image", {**scores, **_shape(width, height)}, config)


def image_pair_rule(unigrams: int, width: int, height: int, config: RulesConfig) -> Verdict | None:
    """Returns why an image-text pair is dropped, or None: ALIGN's rules that look at one record.

    `unigrams` is that of `rules.unigrams` on the pair's text, width and height are pixels.
    """
    values = {**_shape(width, height), "unigrams": float(unigrams)}
    return _first_broken("image_text", values, config)


def video_pair_rule(unigrams: int, frames: int, config: RulesConfig) -> Verdict | None:
    """Returns why a video-text pair with so many words and stored frames is dropped, or None."""
    values = {"unigrams": float(unigrams), "frames": float(frames)}
    return _first_broken("video_text", values, config)


def _first_broken(
    subject: Subject,
    values: Mapping[str, float],
    config: RulesConfig,
    skipped: Collection[str] = (),
) -> Verdict | None:
    for rule in RULES:
        if rule.subject == subject and rule.reason not in skipped:
            verdict = rule.broken(values[rule.value], config)
            if verdict:
                return verdict
    return None


def _shape(width: int, height: int) -> dict[str, float]:
    short, long = sorted((width, height))
    return {"side": float(short), "aspect_ratio": long / short if short else inf}


def _number(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() else f"{value:.6g}"


_HEADINGS: dict[Subject, str] = {
    "document": "Interleaved documents",
    "image": "Images",
    "image_text": "Image-text pairs",
    "video_text": "Video-text pairs",
}
_RIGHTS = """\
## Opt-outs

Before all other rules; docs/rights.md tells which signals there are.

| reason | dropped for | setting and default | source |
| --- | --- | --- | --- |
| `opted_out` | a reservation of rights, by the page or the file itself, or on a list of the user's | \
`rights.ignore = []`, `rights.optout_lists = []` | docs/rights.md |
"""
_PREAMBLE = """\
# Rules

What `select` drops, and why. The first rule that something breaks is the reason in its reject row.
A value equal to the bound passes, except where the bound is marked open. Settings are keys of
`[rules]`. This file is generated by `m3w_builder.rules.markdown()`.
"""


def markdown() -> str:
    """Returns docs/rules.md: each rule with its bounds and source, and how numbers are counted."""
    lines = [_PREAMBLE, _RIGHTS]
    for subject, heading in _HEADINGS.items():
        lines += [f"## {heading}", ""]
        lines += ["| reason | dropped for | setting and default | source |"]
        lines += ["| --- | --- | --- | --- |"]
        lines += [_row(rule) for rule in RULES if rule.subject == subject] + [""]
    lines += ["## How documents are measured", "", (getdoc(measure) or "").partition("\n\n")[2]]
    return "\n".join(lines) + "\n"


def _row(rule: Rule) -> str:
    defaults = Config().rules.model_dump(mode="json")
    settings = ", ".join(f"`{name} = {json.dumps(defaults[name])}`" for name in rule.settings)
    settings += " (open)" if rule.open else ""
    return f"| `{rule.reason}` | {rule.drops} | {settings} | {rule.source} |"
