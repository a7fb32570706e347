"""The thresholds of the rules: every one a named constant with its source.

Thresholds are inclusive on the passing side (64 px passes `min_image_side = 64`) unless their
comment says otherwise.
"""

from typing import Annotated

from pydantic import Field, model_validator

from m3w_builder.config.section import Count, Language, Positive, Ratio, Section

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


class RulesConfig(Section):
    """Which documents and media stay, by their own numbers. A value that switches a rule off stands in its comment."""

    languages: tuple[Language, ...] = Field(
        ("en",),
        description="ISO 639-1 codes that interleaved documents may have (Flamingo: English); [] = all",
    )
    min_language_score: Ratio = Field(
        MIN_LANGUAGE_SCORE, description="below it the language counts as unknown"
    )
    text_rules: bool = Field(
        True, description="Gopher quality and repetition rules on interleaved documents"
    )
    min_words: Count = MIN_WORDS
    max_words: Positive = MAX_WORDS
    min_mean_word_length: float = Field(MIN_MEAN_WORD_LENGTH, ge=0.0, description="characters")
    max_mean_word_length: float = Field(MAX_MEAN_WORD_LENGTH, gt=0.0, description="characters")
    max_hash_ratio: float = Field(MAX_HASH_RATIO, ge=0.0, description='"#" per word')
    max_ellipsis_ratio: float = Field(MAX_ELLIPSIS_RATIO, ge=0.0, description="ellipses per word")
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
        description="distinct English stop words, tested on English text only; 0 = off",
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
    min_image_side: Count = Field(MIN_IMAGE_SIDE, description="pixels, width and height")
    max_aspect_ratio: float = Field(
        MAX_ASPECT_RATIO, ge=1.0, description="longer over shorter side"
    )
    min_flatness_deviation: float = Field(
        FLAT_DEVIATION,
        ge=0.0,
        description="grey levels; not above it is a single colour; 0 = only exactly one colour",
    )
    min_pair_side: Count = Field(
        MIN_PAIR_SIDE, description="pixels, shorter side of a paired image"
    )
    max_pair_aspect_ratio: float = Field(
        MAX_PAIR_ASPECT_RATIO, gt=1.0, description="of a paired image; must be smaller"
    )
    min_alt_unigrams: Count = Field(MIN_ALT_UNIGRAMS, description="words of a pair's text")
    max_alt_unigrams: Positive = Field(MAX_ALT_UNIGRAMS, description="words of a pair's text")
    min_video_words: Count = Field(2, description="words of a video's text")
    min_video_frames: Positive = Field(1, description="stored frames")

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "RulesConfig":
        for low, high in (
            ("min_words", "max_words"),
            ("min_mean_word_length", "max_mean_word_length"),
            ("min_alt_unigrams", "max_alt_unigrams"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(
                    f"{low} = {getattr(self, low)} is above {high} = {getattr(self, high)}"
                )
        return self
