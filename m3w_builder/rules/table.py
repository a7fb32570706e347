"""Every rule as a row of `RULES`: what it looks at, which settings bound it, where that comes from.

A bound passes itself (64 px passes `min_image_side = 64`) except where `open` says otherwise. The
first broken rule in the order of `RULES` gives the reason and the detail of the reject row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from m3w_builder.config import RulesConfig
from m3w_builder.rules.statistics import DUPLICATE_NGRAMS, TOP_NGRAMS
from m3w_builder.rules.wordlists import STOP_WORDS_OF

Subject = Literal["document", "text", "image", "images", "pair", "image_text", "video_text"]
Verdict = tuple[str, str]  # reason, detail

GOPHER = "Gopher (arXiv 2112.11446) A.1.1"
GOPHER_TABLE = "Gopher (arXiv 2112.11446) Table A1"
FLAMINGO = "Flamingo (arXiv 2204.14198) A.3.1"
ALIGN = "ALIGN (arXiv 2102.05918) section 3"
OBELICS = "OBELICS (arXiv 2306.16527), config_filter_web_documents.yaml"
C4 = "C4 (arXiv 1910.10683) 2.2, as datatrove's c4_filters.py has it"
FINEWEB = "FineWeb (arXiv 2406.17557), datatrove's fineweb_quality_filter.py"
OMNICORPUS = "OmniCorpus (arXiv 2406.08418), its text filters"
MMC4 = "mmc4 (arXiv 2304.06939)"
OURS = "ours: Flamingo gives no rule for its video pairs"

ENGLISH = frozenset(("en",))
LISTED = frozenset(STOP_WORDS_OF)  # languages


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; the prefix of a setting says what fails: below min_, above max_, anything with drop_."""

    reason: str
    subject: Subject
    value: str  # the measured number it looks at; "" where it is no number
    settings: tuple[str, ...]  # fields of RulesConfig
    source: str
    drops: str  # what it drops, in words
    open: bool = False  # the bound itself fails, too
    spaced: bool = False  # looks only at texts in scripts with spaces between words
    languages: frozenset[str] = frozenset()  # looks only at texts in these; none = all
    label: bool = False  # spares what may be the label of a picture

    def broken(self, value: float, config: RulesConfig) -> Verdict | None:
        """Returns the verdict on a value beyond a bound, None inside."""
        for setting in self.settings:
            bound = float(getattr(config, setting))
            if bound == off(setting):
                continue
            if setting.startswith("drop_"):
                if value:
                    return self.reason, number(value)
                continue
            beyond = value < bound if setting.startswith("min_") else value > bound
            if beyond or (self.open and value == bound):
                sign = ("<" if setting.startswith("min_") else ">") + ("=" if self.open else "")
                return self.reason, f"{number(value)} {sign} {number(bound)}"
        return None

    def asks(self, language: str, values: Mapping[str, float]) -> bool:
        """Tells whether the rule looks at a text in this language ("" = unknown) with these shares."""
        if self.languages and language not in self.languages:
            return False
        return not (self.spaced and values["unspaced_words"] > MAX_UNSPACED_WORDS)

    def off(self, config: RulesConfig) -> bool:
        """Tells whether the rule can drop nothing: no list of it has anything, or no number a bound."""
        values = {setting: getattr(config, setting) for setting in self.settings}
        return () in values.values() or all(value == off(name) for name, value in values.items())


MAX_UNSPACED_WORDS = 0.5  # above it most words are cut to two letters, and lines are dense


@cache
def off(setting: str) -> float | None:
    """Returns the value of a number that switches its rule off, None where none does."""
    metadata = RulesConfig.model_fields[setting].metadata
    bounds = {
        name: getattr(m, name) for m in metadata for name in ("le", "gt", "ge") if hasattr(m, name)
    }
    if setting.startswith("max_") and bounds.get("le") == 1:
        return 1.0
    return None if bounds.get("gt", -1) >= 0 or bounds.get("ge", 0) > 0 else 0.0


def number(value: float) -> str:
    """Returns a number as reject rows have it."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.6g}"


LANGUAGE = Rule(
    reason="language",
    subject="document",
    value="",
    settings=("languages", "min_language_score"),
    source=f"{FLAMINGO}: English; the threshold is datatrove's",
    drops="another language than these, or none that is sure enough",
)
PAIR_LANGUAGE = Rule(
    reason="pair_language",
    subject="pair",
    value="",
    settings=("pair_languages",),
    source="ALIGN (arXiv 2102.05918) section 8: English, but for its multilingual set",
    drops="another language than these, or none that is sure enough (`min_language_score`)",
)


def _quality(value: str, drops: str, *settings: str, **more: object) -> Rule:
    rule = Rule(value, "document", value, settings, GOPHER, drops)
    return replace(rule, **more)  # type: ignore[arg-type]


QUALITY = (
    _quality("words", "fewer words", "min_words", reason="words_too_few"),
    _quality("words", "more words", "max_words", reason="words_too_many"),
    _quality(
        "mean_word_length",
        "words too short or too long on average (the bounds are for English: Korean words have about 3 "
        "characters)",
        "min_mean_word_length",
        "max_mean_word_length",
        spaced=True,
    ),
    _quality("hash_ratio", 'more "#" per word', "max_hash_ratio"),
    _quality("ellipsis_ratio", "more ellipses per word", "max_ellipsis_ratio"),
    _quality("bullet_lines", "a larger share of bullet lines", "max_bullet_lines"),
    _quality(
        "ellipsis_lines", "a larger share of lines that end with an ellipsis", "max_ellipsis_lines"
    ),
    _quality("alpha_words", "a smaller share of words with a letter", "min_alpha_words"),
    _quality(
        "stop_words",
        "fewer different ones of the, be, to, of, and, that, have, with",
        "min_stop_words",
        languages=ENGLISH,
    ),
)


def _repetition(value: str, drops: str) -> Rule:
    return Rule(value, "document", value, (f"max_{value}",), GOPHER_TABLE, drops)


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


def _document(value: str, setting: str, source: str, drops: str, **more: object) -> Rule:
    return replace(Rule(value, "document", value, (setting,), source, drops), **more)  # type: ignore[arg-type]


COMPOSITION = (
    _document("character_repetition", "max_character_repetition", OBELICS,
              "a larger share of the most frequent sequences of 10 characters"),
    _document("word_repetition", "max_word_repetition", OBELICS,
              "a larger share of repeated sequences of 5 words"),
    _document("special_characters", "max_special_characters", OBELICS,
              "a larger share of characters that are no letters, spaces too"),
    _document("stop_word_ratio", "min_stop_word_ratio", OBELICS,
              "a smaller share of function words", spaced=True, languages=LISTED),
    _document("punctuation", "min_punctuation", OBELICS,
              "a smaller share of punctuation among words and punctuation", spaced=True),
    _document("terminal_lines", "min_terminal_lines", FINEWEB,
              "a smaller share of lines that end with a mark that ends a sentence", open=True, spaced=True),
    _document("short_lines", "max_short_lines", FINEWEB,
              "a larger share of lines of 30 characters or fewer", open=True, spaced=True),
    _document("newlines_per_word", "max_newlines_per_word", FINEWEB, "more line breaks per word"),
    _document("sentences", "min_sentences", C4, "fewer sentences", reason="sentences_too_few",
              spaced=True),
    _document("lorem_ipsum", "drop_lorem_ipsum", C4, 'documents that say "lorem ipsum"'),
    _document("curly_brackets", "drop_curly_brackets", C4, 'documents that have a "{"'),
)  # fmt: skip


def _text(reason: str, value: str, setting: str, source: str, drops: str, **more: object) -> Rule:
    return replace(Rule(reason, "text", value, (setting,), source, drops), **more)  # type: ignore[arg-type]


TEXTS = (
    _text("text_too_short", "words", "min_text_words", f"{OBELICS}: 4; {C4}: 3", "fewer words",
          label=True),
    _text("text_too_long", "words", "max_text_words", OBELICS, "more words"),
    _text("text_character_repetition", "character_repetition", "max_text_character_repetition",
          OBELICS, "a larger share of the most frequent sequences of 10 characters"),
    _text("text_word_repetition", "word_repetition", "max_text_word_repetition", OBELICS,
          "a larger share of repeated sequences of 5 words"),
    _text("text_special_characters", "special_characters", "max_text_special_characters", OBELICS,
          "a larger share of characters that are no letters, spaces too", label=True),
    _text("text_stop_word_ratio", "stop_word_ratio", "min_text_stop_word_ratio", OBELICS,
          "a smaller share of function words", spaced=True, label=True, languages=LISTED),
    _text("text_punctuation", "punctuation", "min_text_punctuation", OBELICS,
          "12 words or more with a smaller share of punctuation", spaced=True),
    _text("text_uppercase", "uppercase", "max_text_uppercase", OMNICORPUS,
          "a larger share of its letters in upper case", label=True),
    _text("text_digits", "digits", "max_text_digits", OMNICORPUS,
          "a larger share of digits among its characters", label=True),
    _text("text_spam_words", "spam_words", "max_text_spam_words",
          "OBELICS build_obelics/13: 40 words; ours are others",
          "such a share of words of page furniture (facebook, subscribe, cookie, ...), or a larger one", open=True),
    _text("text_word_length", "longest_word", "max_text_word_length", C4, "a longer word"),
    _text("text_unfinished", "unfinished", "drop_unfinished_texts", C4,
          "no line that ends with a mark that ends a sentence", spaced=True),
    _text("text_javascript", "javascript", "drop_javascript_texts", C4, 'texts that say "javascript"'),
    _text("text_policy", "policy", "drop_policy_texts", C4,
          "one of six phrases about cookies, terms and policies"),
)  # fmt: skip
PUNCTUATED_WORDS = 12  # a shorter text need not have punctuation (OBELICS)

IMAGES = (
    Rule("image_too_small", "image", "side", ("min_image_side",), FLAMINGO,
         "a width or height of fewer pixels"),
    Rule("image_too_wide_or_high", "image", "longer_side", ("max_image_side",), OBELICS,
         "a width or height of more pixels"),
    Rule("declared_too_small", "image", "declared_side", ("min_declared_side",), OBELICS,
         "a width or height of fewer pixels in the page, where it gives one"),
    Rule("declared_too_large", "image", "declared_longer_side", ("max_declared_side",), OBELICS,
         "a width or height of more pixels in the page, where it gives one"),
    Rule("aspect_ratio", "image", "aspect_ratio", ("max_aspect_ratio",), FLAMINGO,
         "a longer side of more than so many times the shorter one"),
    Rule("single_colour", "image", "flatness", ("min_flatness_deviation",),
         f"{FLAMINGO} names the rule; the test is ours",
         "a standard deviation of its grey values (of 255) that is not above it", open=True),
    Rule("image_format", "image", "", ("image_formats",), OBELICS,
         "another format, as the server names it, or as stored where it names none"),
    Rule("image_url_word", "image", "", ("image_url_words",), f"{MMC4}; OBELICS build_obelics/04",
         "one of these words in the path of its URL, whole, in any case, or in the plural"),
    Rule("images_too_few", "images", "images", ("min_images",), OBELICS, "fewer images"),
    Rule("images_too_many", "images", "images", ("max_images",), OBELICS, "more images"),
    Rule("words_per_image", "images", "words_per_image", ("min_words_per_image",), OMNICORPUS,
         "more than 2 images, with fewer words for each"),
)  # fmt: skip
FEW_IMAGES = 2

PAIRS = (
    Rule("pair_image_too_small", "image_text", "side", ("min_pair_side",),
         f'{ALIGN}: "shorter side larger than 200"', "a shorter side of fewer pixels"),
    Rule("pair_aspect_ratio", "image_text", "aspect_ratio", ("max_pair_aspect_ratio",),
         f'{ALIGN}: "aspect ratio smaller than 3"',
         "a longer side of so many times the shorter one, or more", open=True),
    Rule("alt_too_short", "image_text", "unigrams", ("min_alt_unigrams",), ALIGN,
         "fewer words in its text"),
    Rule("alt_too_long", "image_text", "unigrams", ("max_alt_unigrams",), ALIGN,
         "more words in its text"),
    Rule("video_text_too_short", "video_text", "unigrams", ("min_video_words",), OURS,
         "fewer words in its text"),
    Rule("video_no_frames", "video_text", "frames", ("min_video_frames",), OURS,
         "fewer stored frames"),
)  # fmt: skip

DOCUMENTS = (*QUALITY, *REPETITION, *COMPOSITION)
RULES: tuple[Rule, ...] = (LANGUAGE, *DOCUMENTS, *TEXTS, *IMAGES, PAIR_LANGUAGE, *PAIRS)


def active(config: RulesConfig) -> list[Rule]:
    """Returns the rules that can drop anything."""
    return [rule for rule in RULES if not rule.off(config)]
