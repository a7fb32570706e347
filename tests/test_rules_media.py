"""Rules on images, on a document's images and on pairs, at their exact boundaries."""

from collections.abc import Callable
from math import nextafter

import pytest

from m3w_builder.config import Config, RulesConfig, parse
from m3w_builder.rules import (
    RULES,
    Rule,
    Verdict,
    bounds_rule,
    image_pair_rule,
    image_rule,
    images_rule,
    pair_rule,
    source_format,
    video_pair_rule,
)

DEFAULT = Config().rules


def select(**values: object) -> RulesConfig:
    return parse({"rules": values}).rules


def name(value: Rule | str) -> str:
    """Returns what a test case is called."""
    return value if isinstance(value, str) else value.reason


def image(width: int, height: int, flatness: float = 50.0) -> Verdict | None:
    return image_rule(width, height, {"flatness": flatness}, DEFAULT)


def pair(width: int, height: int, count: int = 5) -> Verdict | None:
    return image_pair_rule(count, width, height, DEFAULT)


def video(count: int, frames: int = 1) -> Verdict | None:
    return video_pair_rule(count, frames, DEFAULT)


Media = tuple[list[Callable[[], Verdict | None]], list[Callable[[], Verdict | None]]]
MEDIA: dict[str, Media] = {  # reason: what passes, what fails
    "image_too_small": (
        [lambda: image(64, 64)],
        [lambda: image(63, 64), lambda: image(64, 63), lambda: image(0, 0)],
    ),
    "aspect_ratio": (
        [lambda: image(300, 100), lambda: image(100, 300)],
        [lambda: image(301, 100), lambda: image(100, 301)],
    ),
    "single_colour": (
        [lambda: image(64, 64, nextafter(2.0, 3))],
        [lambda: image(64, 64, 2.0), lambda: image(64, 64, 0.0)],
    ),
    "pair_image_too_small": (
        [lambda: pair(201, 201)],
        [lambda: pair(200, 201), lambda: pair(300, 200)],
    ),
    "pair_aspect_ratio": (
        [lambda: pair(902, 301), lambda: pair(301, 902)],
        [lambda: pair(903, 301), lambda: pair(301, 903)],
    ),
    "alt_too_short": ([lambda: pair(300, 300, 3)], [lambda: pair(300, 300, 2)]),
    "alt_too_long": ([lambda: pair(300, 300, 20)], [lambda: pair(300, 300, 21)]),
    "video_text_too_short": ([lambda: video(2)], [lambda: video(1), lambda: video(0)]),
    "video_no_frames": ([lambda: video(2, 1)], [lambda: video(2, 0)]),
}


MEDIA_RULES = [
    *(rule for rule in RULES if rule.subject in ("image", "images", "image_text", "video_text")),
]


@pytest.mark.parametrize("rule", [rule for rule in MEDIA_RULES if not rule.off(DEFAULT)], ids=name)
def test_media_rule_at_its_boundary(rule: Rule) -> None:
    passes, fails = MEDIA[rule.reason]
    assert [check() for check in passes] == [None] * len(passes)
    assert [found and found[0] for found in (check() for check in fails)] == [rule.reason] * len(
        fails
    )


def test_media_verdict_names_the_value_and_the_bound() -> None:
    assert image(640, 63) == ("image_too_small", "63 < 64")
    assert image(301, 100) == ("aspect_ratio", "3.01 > 3")
    assert image(64, 64, 2.0) == ("single_colour", "2 <= 2")
    assert pair(903, 301) == ("pair_aspect_ratio", "3 >= 3")


WIDE = select(max_image_side=1000, min_declared_side=150, max_declared_side=800)


@pytest.mark.parametrize(
    ("width", "height", "declared", "expected"),
    [
        (1000, 900, (None, None), None),
        (900, 1001, (None, None), ("image_too_wide_or_high", "1001 > 1000")),
        (900, 900, (150, None), None),
        (900, 900, (149, None), ("declared_too_small", "149 < 150")),
        (900, 900, (300, 20), ("declared_too_small", "20 < 150")),
        (900, 900, (None, 801), ("declared_too_large", "801 > 800")),
    ],
)
def test_declared_size_is_a_rule_where_the_page_gives_one(width, height, declared, expected):
    scores = {"flatness": 50.0}
    assert image_rule(width, height, scores, WIDE, declared=declared) == expected


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("https://example.org/img/logo.png", "logo"),
        ("https://example.org/logos/2.png", "logo"),
        ("https://example.org/siteLogo2x.png", "logo"),
        ("https://example.org/BUTTON_left.gif", "button"),
        ("https://example.org/i?name=icon-7", "icon"),
        ("https://icon.example.org/cat.png", None),  # the host is not the picture's name
        ("https://example.org/iconic/logography.png", None),  # whole words
        ("https://example.org/analogous/silicon.png", None),
        ("https://example.org/%E0%A4.png", None),
        ("", None),
    ],
)
def test_word_in_the_path_of_an_image(url: str, word: str | None) -> None:
    config = select(image_url_words=["logo", "button", "icon"])
    found = image_rule(640, 480, {"flatness": 50.0}, config, url=url)
    assert found == (word and ("image_url_word", word))


@pytest.mark.parametrize(
    ("content_type", "stored", "format_"),
    [
        ("image/jpeg", "jpg", "jpg"),
        ("Image/GIF; q=1", "png", "gif"),  # stored as PNG
        ("image/svg+xml", "png", "svg"),
        ("text/html", "webp", "webp"),
        ("", "png", "png"),
        ("image/", "png", "png"),
    ],
)
def test_format_is_what_the_server_says(content_type: str, stored: str, format_: str) -> None:
    assert source_format(content_type, stored) == format_


def test_other_formats_are_dropped() -> None:
    config = select(image_formats=["jpg", "png"])
    scores = {"flatness": 50.0}
    assert image_rule(640, 480, scores, config, format="jpg") is None
    assert image_rule(640, 480, scores, config, format="gif") == ("image_format", "gif")


def test_number_of_images_and_of_words_for_each() -> None:
    config = select(min_images=1, max_images=4, min_words_per_image=50)
    assert images_rule(1, 0, config) is None
    assert images_rule(0, 500, config) == ("images_too_few", "0 < 1")
    assert images_rule(5, 500, config) == ("images_too_many", "5 > 4")
    assert images_rule(4, 200, config) is None
    assert images_rule(4, 199, config) == ("words_per_image", "49.75 < 50")
    assert images_rule(2, 1, config) is None  # so few need no words (OmniCorpus)


def test_image_without_a_side_is_no_division_by_zero() -> None:
    config = select(min_image_side=0)
    assert image_rule(10, 0, {"flatness": 9.0}, config) == ("aspect_ratio", "inf > 3")


def test_pair_languages_are_those_of_the_pair() -> None:
    config = select(pair_languages=["en", "de"])
    scores = {"unigrams": 5.0, "language_score": 0.7}
    assert pair_rule("image_text", scores, "de", config) is None
    assert pair_rule("image_text", scores, "fr", config) == ("pair_language", "fr 0.70")
    unsure = {**scores, "language_score": 0.6}
    assert pair_rule("video_text", unsure, "de", config) == ("pair_language", "de 0.60")
    assert pair_rule("image_text", {**scores, "language_score": 0.0}, "", config) == (
        "pair_language",
        "unknown 0.00",
    )
    assert pair_rule("image_text", scores, "fr", DEFAULT) is None


def test_bounds_on_any_score() -> None:
    config = select(bounds=[{"subject": "image", "score": "beauty", "min": 0.3}])
    scores = {"flatness": 50.0}
    assert image_rule(640, 480, {**scores, "beauty": 0.3}, config) is None
    assert image_rule(640, 480, {**scores, "beauty": 0.2}, config) == ("bound_beauty", "0.2 < 0.3")
    assert image_rule(640, 480, scores, config) is None  # the scorer was not run
    assert bounds_rule("image_text", {"beauty": 0.0}, config) is None


def test_language_has_thresholds_of_its_own_for_pairs() -> None:
    config = select(per_language={"de": {"min_alt_unigrams": 1}})
    assert image_pair_rule(1, 300, 300, config, "de") is None
    assert image_pair_rule(1, 300, 300, config, "en") == ("alt_too_short", "1 < 3")
