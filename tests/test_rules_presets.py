"""Presets: for every rule of one, a document that passes the whole recipe and one that this rule drops."""

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from m3w_builder import safety
from m3w_builder.config import PRESETS, Config, RulesConfig, as_toml, parse, preset, presets
from m3w_builder.errors import ConfigError
from m3w_builder.rules import (
    RULES,
    Node,
    Rule,
    active,
    decide,
    image_pair_rule,
    image_rule,
    images_rule,
    measure_texts,
    node_drops,
    off,
    pair_rule,
    remaining,
    video_pair_rule,
)
from m3w_builder.types import Text

CONFIGS = {name: parse({"preset": name}).rules for name in presets()}


@dataclass(frozen=True)
class Picture:
    """What is known of an image."""

    width: int = 640
    height: int = 480
    flatness: float = 50.0
    url: str = "https://example.org/cat.jpg"
    format: str = "jpg"
    declared: tuple[int | None, int | None] = (320, 240)


@dataclass(frozen=True)
class Page:
    """An interleaved document."""

    texts: tuple[str, ...]
    pictures: tuple[Picture, ...] = (Picture(),)
    language: str = "en"
    language_score: float = 1.0


@dataclass(frozen=True)
class Pair:
    """A pair of an image, or of a video with so many frames, and so many words."""

    unigrams: int = 8
    width: int = 640
    height: int = 480
    frames: int = 0
    language: str = "en"
    language_score: float = 1.0


def verdict(one: Page | Pair, config: RulesConfig) -> str | None:
    """Returns the first reason for which a recipe drops anything of a document, or a pair."""
    found = next(filter(None, _verdicts(one, config)), None)
    return found and found[0]


def _verdicts(one: Page | Pair, config: RulesConfig) -> Iterator[tuple[str, str] | None]:
    if isinstance(one, Pair):
        kind = "video_text" if one.frames else "image_text"
        yield pair_rule(kind, {"language_score": one.language_score}, one.language, config)
        if one.frames:
            yield video_pair_rule(one.unigrams, one.frames - 1, config)
        else:
            yield image_pair_rule(one.unigrams, one.width, one.height, config)
        return
    counts, scores = measure_texts([Text(text) for text in one.texts], one.language)
    scores["language_score"] = one.language_score
    nodes = [Node("text", "paragraph", count) for count in counts]
    drops = node_drops(nodes, one.language, config)
    yield from drops.values()
    yield decide(remaining(scores, nodes, drops), one.language, config)
    for picture in one.pictures:
        scores_of_picture = {"flatness": picture.flatness}
        yield image_rule(
            picture.width,
            picture.height,
            scores_of_picture,
            config,
            url=picture.url,
            format=picture.format,
            declared=picture.declared,
        )
    yield images_rule(len(one.pictures), scores["words"], config)


# --- documents -----------------------------------------------------------------------------------

FUNCTION = ("the", "of", "and", "to", "in", "that", "with", "have", "be", "for", "from", "by")


def content(number: int) -> str:
    """Returns a word of seven letters for each number, no two alike."""
    number, letters = (number + 1) * 48271 % 2147483647, []
    for place in range(7):
        alphabet = "aeiou" if place % 2 else "bcdfghklmnprstvwz"
        number, letter = divmod(number, len(alphabet))
        letters.append(alphabet[letter])
    return "".join(letters)


def prose(count: int, start: int = 0) -> str:
    """Returns so many words in sentences of ten: every other one is a function word, none else occurs twice."""
    found = []
    for i in range(start, start + count):
        word = FUNCTION[i // 2 % len(FUNCTION)] if i % 2 else content(i)
        last = i == start + count - 1 or (i - start) % 10 == 9
        found.append(word + ("." if last else "," if i % 5 == 4 else ""))
    return " ".join(found)


def paragraphs(count: int, *, each: int = 20) -> tuple[str, ...]:
    """Returns so many words in paragraphs."""
    return tuple(prose(min(each, count - i), i) for i in range(0, count, each))


def page(*texts: str) -> Page:
    return Page((*paragraphs(100), *texts))


PASSES = Page(paragraphs(100))
REPEATED = Page((prose(20),) * 6)
BARE = " ".join(content(i) for i in range(60))  # no function word, no punctuation
LINES = Page(tuple(f"{content(i)}\n{content(i + 1)}" for i in range(0, 80, 2)))


def images(count: int) -> Page:
    return replace(PASSES, pictures=tuple(Picture() for _ in range(count)))


def picture(**values: object) -> Page:
    return replace(PASSES, pictures=(Picture(**values),))  # type: ignore[arg-type]


Case = Callable[
    [RulesConfig], tuple[Page | Pair, Page | Pair]
]  # passes the recipe, breaks the rule
REPETITION = [
    *("duplicate_lines", "duplicate_paragraphs", "duplicate_line_chars"),
    *("duplicate_paragraph_chars", "word_repetition"),
    *(f"duplicate_{n}gram_chars" for n in range(5, 11)),
]
CASES: dict[str, Case] = {
    "language": lambda c: (
        replace(PASSES, language_score=c.min_language_score),
        replace(PASSES, language_score=c.min_language_score - 1e-6),
    ),
    "words_too_few": lambda c: (
        Page(paragraphs(c.min_words)),
        Page(paragraphs(c.min_words - 1)),
    ),
    "words_too_many": lambda c: (
        Page(paragraphs(c.max_words)),
        Page(paragraphs(c.max_words + 1)),
    ),
    "mean_word_length": lambda c: (PASSES, Page(("a b c d e f " * 10,))),
    "hash_ratio": lambda c: (page("# # #"), page(*["# # #"] * 5)),
    "ellipsis_ratio": lambda c: (page("And so on ..."), page("a ... b ... c ... " * 6)),
    "bullet_lines": lambda c: (
        page("• A list of one."),
        Page(tuple(f"• {text}" for text in paragraphs(100))),
    ),
    "ellipsis_lines": lambda c: (
        page("And so on ..."),
        Page(tuple(f"{text}.." for text in paragraphs(100))),
    ),
    "alpha_words": lambda c: (page("And 1 2 3."), page("1 2 3 4 5 6 7 8 9 " * 4)),
    "stop_words": lambda c: (PASSES, Page((BARE,))),
    **{reason: lambda c: (PASSES, REPEATED) for reason in REPETITION},
    **{f"top_{n}gram_chars": lambda c: (PASSES, Page((f"{prose(9)} " * 9,))) for n in (2, 3, 4)},
    "character_repetition": lambda c: (PASSES, Page(("ha ha ha ha " * 9,))),
    "special_characters": lambda c: (PASSES, Page(("1 2 3 - 4 a 5 6 + 7 8",))),
    "stop_word_ratio": lambda c: (PASSES, Page((BARE,))),
    "punctuation": lambda c: (PASSES, Page((BARE,))),
    "terminal_lines": lambda c: (PASSES, Page((BARE,))),
    "short_lines": lambda c: (PASSES, LINES),
    "newlines_per_word": lambda c: (PASSES, LINES),
    "sentences_too_few": lambda c: (
        Page(paragraphs(10 * c.min_sentences, each=10)),
        Page(paragraphs(10 * (c.min_sentences - 1), each=10)),
    ),
    "lorem_ipsum": lambda c: (PASSES, page("Lorem ipsum dolor sit amet.")),
    "curly_brackets": lambda c: (PASSES, page("The function main() { return 0; }.")),
    "text_too_short": lambda c: (
        page(prose(c.min_text_words, 200)),
        page(prose(c.min_text_words - 1, 200)),
    ),
    "text_too_long": lambda c: (
        page(prose(c.max_text_words, 200)),
        page(prose(c.max_text_words + 1, 200)),
    ),
    "text_character_repetition": lambda c: (PASSES, page("ha ha ha ha " * 9)),
    "text_word_repetition": lambda c: (PASSES, page(f"{prose(20)} {prose(20)}")),
    "text_special_characters": lambda c: (PASSES, page("1 2 3 - 4 a 5 6 + 7 8")),
    "text_stop_word_ratio": lambda c: (PASSES, page(BARE)),
    "text_punctuation": lambda c: (PASSES, page(BARE)),
    "text_spam_words": lambda c: (
        page("He was to share the house with a friend from the city."),
        page("Subscribe and follow us on Facebook and on Twitter."),
    ),
    "text_word_length": lambda c: (
        Page((*paragraphs(400), f"{'a' * c.max_text_word_length} {prose(9, 400)}")),
        Page((*paragraphs(400), f"{'a' * (c.max_text_word_length + 1)} {prose(9, 400)}")),
    ),
    "text_unfinished": lambda c: (PASSES, page(BARE)),
    "text_javascript": lambda c: (PASSES, page("You have to enable JavaScript for this page.")),
    "text_policy": lambda c: (PASSES, page("This is what the privacy policy has to say of it.")),
    "image_too_small": lambda c: (
        picture(width=c.min_image_side, height=c.min_image_side),
        picture(width=c.min_image_side, height=c.min_image_side - 1),
    ),
    "image_too_wide_or_high": lambda c: (
        picture(width=c.max_image_side, height=c.max_image_side),
        picture(width=c.max_image_side, height=c.max_image_side + 1),
    ),
    "declared_too_small": lambda c: (
        picture(declared=(None, None)),
        picture(declared=(None, c.min_declared_side - 1)),
    ),
    "declared_too_large": lambda c: (
        picture(declared=(c.max_declared_side, None)),
        picture(declared=(c.max_declared_side + 1, None)),
    ),
    "aspect_ratio": lambda c: (
        picture(width=int(200 * c.max_aspect_ratio), height=200),
        picture(width=200, height=int(200 * c.max_aspect_ratio) + 1),
    ),
    "single_colour": lambda c: (picture(flatness=2.1), picture(flatness=2.0)),
    "image_format": lambda c: (picture(format="png"), picture(format="gif")),
    "image_url_word": lambda c: (PASSES, picture(url="https://example.org/a/site-logo.png")),
    "images_too_few": lambda c: (images(c.min_images), images(c.min_images - 1)),
    "images_too_many": lambda c: (images(c.max_images), images(c.max_images + 1)),
    "pair_language": lambda c: (Pair(), Pair(language="de")),
    "pair_image_too_small": lambda c: (
        Pair(width=300, height=c.min_pair_side),
        Pair(width=300, height=c.min_pair_side - 1),
    ),
    "pair_aspect_ratio": lambda c: (
        Pair(width=int(300 * c.max_pair_aspect_ratio) - 1, height=300),
        Pair(width=int(300 * c.max_pair_aspect_ratio), height=300),
    ),
    "alt_too_short": lambda c: (Pair(c.min_alt_unigrams), Pair(c.min_alt_unigrams - 1)),
    "alt_too_long": lambda c: (Pair(c.max_alt_unigrams), Pair(c.max_alt_unigrams + 1)),
    "video_text_too_short": lambda c: (
        Pair(c.min_video_words, frames=9),
        Pair(c.min_video_words - 1, frames=9),
    ),
    "video_no_frames": lambda c: (Pair(frames=2), Pair(frames=1)),
}
EACH = [(name, rule) for name, config in CONFIGS.items() for rule in active(config)]


def alone(rule: Rule, config: RulesConfig) -> RulesConfig:
    """Returns a configuration whose other rules are off, as far as they can be."""
    none = {
        setting: () if isinstance(getattr(config, setting), tuple) else off(setting)
        for other in RULES
        for setting in other.settings
    }
    kept = {setting: getattr(config, setting) for setting in rule.settings}
    switched = {key: value for key, value in none.items() if value is not None}
    return config.model_copy(update={**switched, **kept})


@pytest.mark.parametrize(("name", "rule"), EACH, ids=lambda v: getattr(v, "reason", v))
def test_one_document_passes_the_recipe_and_one_breaks_the_rule(name: str, rule: Rule) -> None:
    config = CONFIGS[name]
    passes, fails = CASES[rule.reason](config)
    assert verdict(passes, config) is None
    assert verdict(fails, alone(rule, config)) == rule.reason
    assert verdict(fails, config) is not None


def test_default_preset_is_the_default_configuration() -> None:
    assert parse({"preset": "flamingo"}) == parse({}) == Config()


def test_presets_set_what_the_papers_say() -> None:
    obelics = CONFIGS["obelics"]
    assert (obelics.min_words, obelics.max_words, obelics.max_images) == (10, 2000, 30)
    assert (obelics.min_image_side, obelics.max_aspect_ratio) == (150, 2.0)
    assert (obelics.min_stop_word_ratio, obelics.min_text_stop_word_ratio) == (0.35, 0.3)
    mmc4 = CONFIGS["mmc4"]
    assert (mmc4.min_image_side, mmc4.min_sentences, mmc4.min_language_score) == (150, 5, 0.99)
    fineweb = CONFIGS["fineweb"]
    assert (fineweb.min_terminal_lines, fineweb.max_short_lines) == (0.12, 0.67)
    assert CONFIGS["align"].pair_languages == ("en",)


ADDED = {  # ours, and what switches it off
    "corpus.max_pages_per_image": 0,
    "dedup.min_jaccard": 1.0,
    "dedup.min_joint_jaccard": 1.0,
    "safety.max_flagged": 1.0,
    "safety.block_hosts": False,
    **{f"privacy.{kind}": "keep" for kind in ("email", "phone", "ip", "card", "iban")},
}
HAS = {  # what a recipe has of it, or something that ours stands in for
    "align": set(),
    "fineweb": {"dedup.min_jaccard", "safety.block_hosts", "privacy.email", "privacy.ip"},
    "mmc4": {"corpus.max_pages_per_image", "safety.max_flagged"},
    "obelics": {
        *("corpus.max_pages_per_image", "dedup.min_jaccard", "dedup.min_joint_jaccard"),
        "safety.max_flagged",
    },
}


@pytest.mark.parametrize("name", HAS)
def test_presets_have_no_rule_that_the_recipe_has_not(name: str) -> None:
    config = parse({"preset": name})
    for key, off_value in ADDED.items():
        section, setting = key.split(".")
        assert (getattr(getattr(config, section), setting) != off_value) == (key in HAS[name]), key


def test_default_names_what_the_paper_does_not_state() -> None:
    words = (PRESETS / "flamingo.toml").read_text(encoding="utf-8").partition("Ours, ")[2]
    for key in ("max_pages_per_image", "[dedup]", "[privacy]", "block_hosts", "max_nsfw"):
        assert key in words.partition("Cannot be had")[0]


@pytest.mark.parametrize(
    ("name", "flagged", "text", "document"),
    [
        ("obelics", 1, True, True),  # 1 of 50 words: no minimum number
        ("mmc4", 1, False, True),  # C4: any word, the page
        ("flamingo", 1, False, False),  # may be a quotation
        ("flamingo", 2, False, True),
        ("fineweb", 50, False, False),
        ("align", 50, False, False),
    ],
)
def test_flagged_words(name: str, flagged: int, *, text: bool, document: bool) -> None:
    config = parse({"preset": name}).safety
    found = safety.text_rule({"flagged_words": float(flagged), "words": 50.0}, config)
    assert bool(found and config.judges_texts) == text
    assert bool(found and config.judges_documents) == document


@pytest.mark.parametrize("name", presets())
def test_own_keys_win_over_the_preset(name: str) -> None:
    config = parse({"preset": name, "rules": {"min_words": 7}, "corpus": {"vocabulary": 5}})
    assert config.rules == CONFIGS[name].model_copy(update={"min_words": 7})
    assert config.corpus.vocabulary == 5
    assert config.corpus.max_texts_per_image == 1000


def test_list_of_a_preset_is_replaced_not_added_to() -> None:
    config = parse({"preset": "obelics", "rules": {"image_url_words": ["ad"]}})
    assert config.rules.image_url_words == ("ad",)


@pytest.mark.parametrize("name", presets())
def test_printed_preset_loads_as_the_preset(name: str) -> None:
    config = parse({"preset": name})
    assert parse(tomllib.loads(as_toml(config))) == config


@pytest.mark.parametrize("name", presets())
def test_keys_of_a_preset_stand_in_its_own_words(name: str) -> None:
    table = preset(name)
    assert "preset" not in table
    assert set(table) <= set(Config.model_fields)


@pytest.mark.parametrize("name", ["obelisk", "", 3, ["obelics"]])
def test_unknown_preset_names_the_known_ones(name: object) -> None:
    with pytest.raises(ConfigError, match="align, fineweb, flamingo, mmc4, obelics"):
        parse({"preset": name}, "mine.toml")
