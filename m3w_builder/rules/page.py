"""docs/rules.md, made from the tables: every rule with its bounds, source and effect, and every preset."""

import json
from collections.abc import Iterable, Mapping
from inspect import getdoc
from typing import Any

from m3w_builder.config import Config, parse, presets
from m3w_builder.rules.statistics import measure
from m3w_builder.rules.table import RULES, Rule, Subject
from m3w_builder.rules.texts import measure_texts, shares

_HEADINGS: dict[Subject, tuple[str, str]] = {
    "document": ("Interleaved documents", ""),
    "text": (
        "Texts of a document",
        """\
All of these are off by default: Flamingo drops no single text. They look at texts in one of
`text_roles` (default: paragraphs and quotes; headings, captions, list items, code and tables are
short or odd by nature). A text of at most `max_label_words` (default 10) words that stands within
`label_distance` nodes (default 2; OmniCorpus: 10 lines) of a picture may be its label: rules marked
"label" spare it. What adds up over texts (words, shares of characters, of words and of lines,
sentences) is counted anew for the document's own rules after texts were dropped; what does not
(repetition, bullets, ellipses, word lengths, the eight stop words) stays that of the whole.
""",
    ),
    "image": ("Images", ""),
    "images": ("Images of a document", "Of those that are left.\n"),
    "pair": (
        "Pairs",
        """\
A pair's text has a language of its own where it is long enough to tell (`m3w_builder.language.of_pair`),
else that of its page. The default takes all: Flamingo and ALIGN give the rule of language for pages.
""",
    ),
    "image_text": ("Image-text pairs", ""),
    "video_text": ("Video-text pairs", ""),
}
# Reasons that are decided elsewhere: reason -> (dropped for, settings, source).
OTHERS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "duplicate_page": (
        "another capture of the page is newer, or an earlier dataset has the page (docs/dedup.md)",
        ("dedup.against",),
        "OBELICS",
    ),
    "removed": ("a takedown by `m3w remove`", ("rights.removed",), "docs/rights.md"),
    "opted_out": (
        "a reservation of rights, by the page or the file itself, or on a list of the user's",
        ("rights.ignore", "rights.optout_lists"),
        "docs/rights.md",
    ),
    "blocked_url": (
        "a page or medium on a block list, or whose host says that it is pornographic",
        ("safety.block_lists", "safety.block_hosts"),
        "docs/people.md",
    ),
    "licence": ("another licence than these, or none; [] = any", ("rights.licences",), "ours"),
    "no_image": ("a document that shows no picture or video", (), "Flamingo A.3.1"),
    "personal_data": (
        "a text with personal data, where they are to be dropped and not masked",
        ("privacy.email", "privacy.phone", "privacy.ip", "privacy.card", "privacy.iban"),
        "docs/people.md",
    ),
    "explicit_text": (
        "more flagged words, or a plug-in's higher score: the document, or the text alone",
        ("safety.max_flagged", "safety.min_flagged", "safety.max_text_score", "safety.scope"),
        "OBELICS (the share)",
    ),
    "explicit_image": (
        "a higher score of the safety model: the document, or the image alone",
        ("safety.max_nsfw", "safety.scope"),
        "Yahoo open_nsfw (2016)",
    ),
    "evaluation_text": (
        "a document or pair with a text of an evaluation set",
        ("decontaminate.against", "decontaminate.min_text_overlap"),
        "docs/decontamination.md",
    ),
    "evaluation_image": (
        "an image or video of an evaluation set, or its page",
        ("decontaminate.image_distance", "decontaminate.drop"),
        "docs/decontamination.md",
    ),
    "image_unavailable": ("a picture that could not be had (docs/fetch.md)", (), "none"),
    "video_unavailable": ("a video that could not be had (docs/fetch.md)", (), "none"),
    "video_player": ("a video of which only the player's page is known", (), "none"),
    "image_too_frequent": (
        "an image on more pages of the crawl: a logo, an icon",
        ("corpus.max_pages_per_image",),
        "OBELICS",
    ),
    "paragraph_too_frequent": (
        "a paragraph on more pages of one domain; 0 = off",
        ("corpus.max_paragraph_repeats",),
        "OBELICS (2)",
    ),
    "image_of_many_texts": (
        "a pair whose image has more different texts in all pairs",
        ("corpus.max_texts_per_image",),
        "ALIGN section 3",
    ),
    "text_of_many_images": (
        "a pair whose text more different images have",
        ("corpus.max_images_per_text",),
        "ALIGN section 3",
    ),
    "rare_words": (
        "a pair with a word, or pair of words, outside the most frequent ones of all pairs",
        ("corpus.vocabulary",),
        "ALIGN section 3",
    ),
    "repeated_image": ("the same bytes are above in the document", (), "OBELICS"),
    "no_image_left": ("a document all of whose pictures and videos were dropped", (), "Flamingo"),
    "no_text_left": ("a document or pair all of whose texts were dropped", (), "ours"),
    "text_mismatch": (
        "a pair's own text that a matcher finds not to fit its image",
        ("capfilt.min_match",),
        "BLIP 3.3",
    ),
    "caption_mismatch": ("a synthetic caption, likewise", ("capfilt.min_match",), "BLIP 3.3"),
    "duplicate_content": (
        "a better copy of the text, or of picture and text, is kept (docs/dedup.md)",
        (),
        "ours",
    ),
    "near_duplicate": (
        "a better copy that is much alike is kept",
        (
            "dedup.min_jaccard",
            "dedup.min_joint_jaccard",
            "dedup.min_joint_images",
            "dedup.image_distance",
        ),
        "docs/dedup.md",
    ),
}
_PREAMBLE = """\
# Rules

What `select` drops, and why. The first rule that something breaks is the reason in its reject row.
A value equal to the bound passes, except where the bound is marked open. Settings are keys of
`[rules]`; a setting that is off by default is shown with the value that switches it off: 0 (`min_`,
and `max_` of what is no share), 1 (`max_` of a share), false, or an empty list. This file is
generated by `m3w_builder.rules.markdown()`.

"spaced": not applied when most words are of scripts without spaces (Chinese, Japanese, Thai, ...),
whose words are cut to two letters and whose lines and sentences are not like those the bounds are for.
"label": spares what may be the label of a picture. A list of languages: applied to texts in these alone.

`[rules.per_language.CODE]` sets any threshold of documents, texts and words for one language.

`[[rules.bounds]]` bounds any score, such as one that a plug-in of `fetch.image_scores` gives: `subject`
(document, text, image, image_text, video_text), `score`, `min`, `max`; the reason is `bound_` and the
score's name. What has no such score passes (a scorer that was not run says nothing), but a text, for
which absent is 0.
"""


def markdown() -> str:
    """Returns docs/rules.md: each rule with its bounds and source, presets, and how numbers are counted."""
    lines = [_PREAMBLE]
    for subject, (heading, words) in _HEADINGS.items():
        rows = [_row(rule) for rule in RULES if rule.subject == subject]
        lines += [f"## {heading}", "", *([words] if words else []), *_table(rows), ""]
    default = _flat(Config())
    rows = [
        f"| `{reason}` | {drops} | {_settings(names, default) or 'none'} | {source} |"
        for reason, (drops, names, source) in OTHERS.items()
    ]
    lines += [
        "## Decided elsewhere",
        "",
        *_table(rows),
        "",
    ]
    lines += ["## Presets", "", _PRESETS, *_preset_table(), ""]
    for heading, function in (
        ("How documents are measured", measure),
        ("How texts are measured", measure_texts),
        ("Shares", shares),
    ):
        lines += [f"## {heading}", "", (getdoc(function) or "").partition("\n\n")[2], ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _table(rows: Iterable[str]) -> list[str]:
    return [
        "| reason | dropped for | setting and default | source |",
        "| --- | --- | --- | --- |",
        *rows,
    ]


def _row(rule: Rule) -> str:
    settings = _settings(rule.settings, Config().rules.model_dump(mode="json"))
    marks = [
        *(["open"] if rule.open else []),
        *(["spaced"] if rule.spaced else []),
        *(["label"] if rule.label else []),
        *([", ".join(sorted(rule.languages))] if rule.languages else []),
    ]
    settings += f" ({'; '.join(marks)})" if marks else ""
    return f"| `{rule.reason}` | {rule.drops} | {settings} | {rule.source} |"


def _settings(names: Iterable[str], defaults: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name} = {_shown(defaults[name])}`" for name in names)


_PRESETS = """\
`preset = "obelics"` as the first key of a configuration, or `--preset obelics`; own keys win. The files
in m3w_builder/config/presets/ say what of a recipe cannot be had. Settings in which a preset differs
from the default:
"""


def _preset_table() -> list[str]:
    default = _flat(Config())
    found = {name: _flat(parse({"preset": name})) for name in presets()}
    names = [name for name in found if found[name] != default]
    keys = [key for key in default if any(found[name][key] != default[key] for name in names)]
    return [
        f"| setting | default | {' | '.join(names)} |",
        "| --- |" + " --- |" * (1 + len(names)),
        *(
            f"| `{key}` | {_shown(default[key])} | "
            + " | ".join(
                _shown(found[name][key]) if found[name][key] != default[key] else ""
                for name in names
            )
            + " |"
            for key in keys
        ),
    ]


def _flat(config: Config) -> dict[str, Any]:
    tables = config.model_dump(mode="json")
    return {f"{name}.{key}": v for name, table in tables.items() for key, v in table.items()}


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
