"""The thresholds of the rules: every one a named constant with its source.

Thresholds are inclusive on the passing side (64 px passes `min_image_side = 64`) unless docs/rules.md
says "open". 0 switches off a `min_`, 1 a `max_` of a share, 0 any other `max_`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from m3w_builder.config.section import Count, Language, Positive, Ratio, Section
from m3w_builder.types import Role

# Gopher quality rules (Rae et al. 2021, arXiv 2112.11446, A.1.1), used by Flamingo A.3.1.
MIN_WORDS = 50
MAX_WORDS = 100_000
MIN_MEAN_WORD_LENGTH = 3.0  # characters
MAX_MEAN_WORD_LENGTH = 10.0
MAX_HASH_RATIO = 0.1  # "#" per word
MAX_ELLIPSIS_RATIO = 0.1  # "..." or "…" per word
MAX_BULLET_LINES = 0.9  # share of lines that start with a bullet
MAX_ELLIPSIS_LINES = 0.3  # share of lines that end with an ellipsis
MIN_ALPHA_WORDS = 0.8  # share of words with an alphabetic character
MIN_STOP_WORDS = 2  # distinct ones of the, be, to, of, and, that, have, with

# Gopher repetition rules (Table A1).
MAX_DUPLICATE_LINES = 0.30
MAX_DUPLICATE_PARAGRAPHS = 0.30
MAX_DUPLICATE_LINE_CHARS = 0.20
MAX_DUPLICATE_PARAGRAPH_CHARS = 0.20
MAX_TOP_NGRAM_CHARS = {2: 0.20, 3: 0.18, 4: 0.16}
MAX_DUPLICATE_NGRAM_CHARS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}

# Images (Flamingo A.3.1). The test for "single colour" is ours, the paper gives none: see FLAT_DEVIATION.
MIN_IMAGE_SIDE = 64  # pixels
MAX_ASPECT_RATIO = 3.0  # longer over shorter side
FLAT_DEVIATION = (
    2.0  # grey levels of 255: a picture whose standard deviation is not above it is one colour
)

# Language. The tool and threshold of Flamingo are not published; OBELICS uses fastText at 0.8.
MIN_LANGUAGE_SCORE = 0.65  # datatrove and MINT-1T: FastText lid.176

# ALIGN (Jia et al. 2021, arXiv 2102.05918, section 3), the rules that look at one record.
MIN_PAIR_SIDE = 201  # pixels: "shorter side larger than 200"
MAX_PAIR_ASPECT_RATIO = 3.0  # "aspect ratio smaller than 3": 3 itself fails
MIN_ALT_UNIGRAMS = 3
MAX_ALT_UNIGRAMS = 20

# What may be the label of a picture: OmniCorpus spares paragraphs within 10 lines of one. Ours is nearer,
# since lines of a crawled page are not our nodes: a picture, its label, a credit.
LABEL_DISTANCE = 2  # nodes
MAX_LABEL_WORDS = 10


class Thresholds(Section):
    """What may be set for each language by itself."""

    min_language_score: Ratio = Field(
        MIN_LANGUAGE_SCORE, description="below it the language counts as unknown"
    )
    text_rules: bool = Field(
        True, description="false: no rule on words, characters, lines or repetition at all"
    )

    # Documents.
    min_words: Count = Field(MIN_WORDS, description="0 = off")
    max_words: Count = Field(MAX_WORDS, description="0 = off")
    min_mean_word_length: float = Field(
        MIN_MEAN_WORD_LENGTH, ge=0.0, description="characters; 0 = off"
    )
    max_mean_word_length: float = Field(
        MAX_MEAN_WORD_LENGTH, ge=0.0, description="characters; 0 = off"
    )
    max_hash_ratio: float = Field(MAX_HASH_RATIO, ge=0.0, description='"#" per word; 0 = off')
    max_ellipsis_ratio: float = Field(
        MAX_ELLIPSIS_RATIO, ge=0.0, description="ellipses per word; 0 = off"
    )
    max_bullet_lines: Ratio = Field(
        MAX_BULLET_LINES, description="share of lines starting with a bullet; 1 = off"
    )
    max_ellipsis_lines: Ratio = Field(
        MAX_ELLIPSIS_LINES, description="share of lines ending in an ellipsis; 1 = off"
    )
    min_alpha_words: Ratio = Field(
        MIN_ALPHA_WORDS, description="share of words with a letter; 0 = off"
    )
    min_stop_words: Annotated[int, Field(ge=0, le=8)] = Field(
        MIN_STOP_WORDS,
        description="distinct ones of Gopher's eight, tested on English text only; 0 = off",
    )
    max_duplicate_lines: Ratio = MAX_DUPLICATE_LINES
    max_duplicate_paragraphs: Ratio = MAX_DUPLICATE_PARAGRAPHS
    max_duplicate_line_chars: Ratio = MAX_DUPLICATE_LINE_CHARS
    max_duplicate_paragraph_chars: Ratio = MAX_DUPLICATE_PARAGRAPH_CHARS
    max_top_2gram_chars: Ratio = MAX_TOP_NGRAM_CHARS[2]
    max_top_3gram_chars: Ratio = MAX_TOP_NGRAM_CHARS[3]
    max_top_4gram_chars: Ratio = MAX_TOP_NGRAM_CHARS[4]
    max_duplicate_5gram_chars: Ratio = MAX_DUPLICATE_NGRAM_CHARS[5]
    max_duplicate_6gram_chars: Ratio = MAX_DUPLICATE_NGRAM_CHARS[6]
    max_duplicate_7gram_chars: Ratio = MAX_DUPLICATE_NGRAM_CHARS[7]
    max_duplicate_8gram_chars: Ratio = MAX_DUPLICATE_NGRAM_CHARS[8]
    max_duplicate_9gram_chars: Ratio = MAX_DUPLICATE_NGRAM_CHARS[9]
    max_duplicate_10gram_chars: Ratio = MAX_DUPLICATE_NGRAM_CHARS[10]
    max_character_repetition: Ratio = Field(
        1.0, description="share of the most frequent 10-character sequences (OBELICS: 0.1); 1 = off"
    )
    max_word_repetition: Ratio = Field(
        1.0, description="share of repeated 5-word sequences (OBELICS: 0.2); 1 = off"
    )
    max_special_characters: Ratio = Field(
        1.0, description="share of what is no letter, spaces too (OBELICS: 0.275); 1 = off"
    )
    min_stop_word_ratio: Ratio = Field(
        0.0, description="share of words in the language's list (OBELICS: 0.35); 0 = off"
    )
    min_punctuation: Ratio = Field(
        0.0, description="share of words and marks that are marks (OBELICS: 0.03); 0 = off"
    )
    min_terminal_lines: Ratio = Field(
        0.0, description="share of lines that end a sentence (FineWeb: 0.12); 0 = off"
    )
    max_short_lines: Ratio = Field(
        1.0, description="share of lines of 30 characters or fewer (FineWeb: 0.67); 1 = off"
    )
    max_newlines_per_word: float = Field(0.0, ge=0.0, description="FineWeb: 0.3; 0 = off")
    min_sentences: Count = Field(0, description="C4: 5; 0 = off")
    drop_lorem_ipsum: bool = Field(False, description='documents with "lorem ipsum" (C4)')
    drop_curly_brackets: bool = Field(False, description='documents with "{" (C4)')

    # Texts of a document.
    min_text_words: Count = Field(0, description="words of one text (OBELICS: 4, C4: 3); 0 = off")
    max_text_words: Count = Field(0, description="words of one text (OBELICS: 1000); 0 = off")
    max_text_character_repetition: Ratio = Field(1.0, description="OBELICS: 0.1; 1 = off")
    max_text_word_repetition: Ratio = Field(1.0, description="OBELICS: 0.1; 1 = off")
    max_text_special_characters: Ratio = Field(1.0, description="OBELICS: 0.3; 1 = off")
    min_text_stop_word_ratio: Ratio = Field(0.0, description="OBELICS: 0.3; 0 = off")
    min_text_punctuation: Ratio = Field(
        0.0, description="of a text of 12 words or more (OBELICS: 0.001); 0 = off"
    )
    max_text_uppercase: Ratio = Field(
        1.0, description="share of letters in upper case (OmniCorpus: 0.8); 1 = off"
    )
    max_text_digits: Ratio = Field(
        1.0, description="share of characters that are digits (OmniCorpus: 0.8); 1 = off"
    )
    max_text_spam_words: Ratio = Field(
        1.0, description="share of words of page furniture (OBELICS: 0.12); 1 = off"
    )
    max_text_word_length: Count = Field(
        0, description="characters of its longest word (C4: 1000; at least 100); 0 = off"
    )
    drop_unfinished_texts: bool = Field(
        False, description="texts without a line that ends a sentence (C4)"
    )
    drop_javascript_texts: bool = Field(False, description='texts that say "javascript" (C4)')
    drop_policy_texts: bool = Field(False, description="texts about cookies and policies (C4)")

    # Pairs.
    min_alt_unigrams: Count = Field(MIN_ALT_UNIGRAMS, description="words of a pair's text; 0 = off")
    max_alt_unigrams: Count = Field(MAX_ALT_UNIGRAMS, description="words of a pair's text; 0 = off")
    min_video_words: Count = Field(2, description="words of a video's text; 0 = off")


class LanguageThresholds(Thresholds):
    """The thresholds that one language has of its own; all others are those of `[rules]`."""

    @model_serializer(mode="wrap")
    def _given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        every: dict[str, Any] = handler(self)
        return {name: value for name, value in every.items() if name in self.model_fields_set}


class Bound(Section):
    """A bound on any score, such as one that a plug-in gives; what has no such score passes."""

    subject: Literal["document", "text", "image", "image_text", "video_text"]
    score: str = Field(pattern=r"^\w+$")
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError(f"score {self.score!r} needs min or max")
        return self


class RulesConfig(Thresholds):
    """Which documents, texts and media stay, by their own numbers; comments say what is off."""

    languages: tuple[Language, ...] = Field(
        ("en",),
        description="ISO 639-1 codes that interleaved documents may have (Flamingo: English); [] = all",
    )
    pair_languages: tuple[Language, ...] = Field(
        (), description="the same for pairs, whose texts have a language of their own; [] = all"
    )
    per_language: dict[Language, LanguageThresholds] = Field(
        {},
        description="other thresholds for a language: [rules.per_language.de] min_words = 40",
    )

    text_roles: tuple[Role, ...] = Field(
        ("paragraph", "quote"),
        description="roles that the rules on single texts look at; others are short or odd by nature",
    )
    label_distance: Count = Field(
        LABEL_DISTANCE,
        description="so many nodes from a picture a short text may be its label, and stays; 0 = off",
    )
    max_label_words: Count = Field(MAX_LABEL_WORDS, description="words of such a text")

    min_image_side: Count = Field(MIN_IMAGE_SIDE, description="pixels, width and height; 0 = off")
    max_image_side: Count = Field(
        0, description="pixels, width and height (OBELICS: 20000); 0 = off"
    )
    min_declared_side: Count = Field(
        0, description="pixels, where the page gives its size (OBELICS: 150); 0 = off"
    )
    max_declared_side: Count = Field(0, description="pixels (OBELICS: 20000); 0 = off")
    max_aspect_ratio: float = Field(
        MAX_ASPECT_RATIO, ge=1.0, description="longer over shorter side"
    )
    min_flatness_deviation: float = Field(
        FLAT_DEVIATION, ge=0.0, description="grey levels; not above it is a single colour; 0 = off"
    )
    image_formats: tuple[str, ...] = Field(
        (), description='as the server names them: "jpg", "png", "webp", "gif", ...; [] = all'
    )
    image_url_words: tuple[str, ...] = Field(
        (), description='words in the path of an image\'s URL that drop it ("logo"); [] = off'
    )
    min_images: Count = Field(0, description="of a document, of those that stay; 0 = off")
    max_images: Count = Field(0, description="of a document (OBELICS: 30); 0 = off")
    min_words_per_image: Count = Field(
        0, description="of a document with more than 2 images (OmniCorpus: 50); 0 = off"
    )

    min_pair_side: Count = Field(
        MIN_PAIR_SIDE, description="pixels, shorter side of a paired image; 0 = off"
    )
    max_pair_aspect_ratio: float = Field(
        MAX_PAIR_ASPECT_RATIO, gt=1.0, description="of a paired image; must be smaller"
    )
    min_video_frames: Positive = Field(1, description="stored frames")

    bounds: tuple[Bound, ...] = Field(
        (),
        description='on any score: [[rules.bounds]] subject = "image", score = "sharpness", min = 20.0',
    )

    def of(self, language: str) -> "RulesConfig":
        """Returns the thresholds for a language: its own over the general ones."""
        own = self.per_language.get(language)
        if own is None:
            return self
        return self.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        for where, rules in (
            ("", self),
            *((f"per_language.{code}.", self.of(code)) for code in self.per_language),
        ):
            for low, high in (
                ("min_words", "max_words"),
                ("min_mean_word_length", "max_mean_word_length"),
                ("min_text_words", "max_text_words"),
                ("min_alt_unigrams", "max_alt_unigrams"),
                ("min_image_side", "max_image_side"),
                ("min_declared_side", "max_declared_side"),
                ("min_images", "max_images"),
            ):
                least, most = getattr(rules, low), getattr(rules, high)
                if least > most > 0:
                    raise ValueError(f"{where}{low} = {least} is above {where}{high} = {most}")
        return self
