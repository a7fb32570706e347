"""Rules on single texts: which drop, at which bound, in which roles; what may be a label stays."""

from collections.abc import Sequence

import pytest

from m3w_builder.config import Config, RulesConfig, parse
from m3w_builder.rules import (
    Node,
    Verdict,
    looks_at_texts,
    measure_texts,
    node_drops,
    remaining,
)
from m3w_builder.types import Role, Text

PROSE = "The house by the lake was built in the spring, and we have lived in it for ten years."
PICTURE = Node("image")


def select(**values: object) -> RulesConfig:
    return parse({"rules": values}).rules


def nodes(*parts: str | Text | Node, language: str = "en") -> list[Node]:
    """Returns the nodes of a document; a str is a paragraph."""
    texts = [Text(part) if isinstance(part, str) else part for part in parts]
    counts = iter(measure_texts([text for text in texts if isinstance(text, Text)], language)[0])
    return [
        Node("text", part.role, next(counts)) if isinstance(part, Text) else part for part in texts
    ]


def drops(
    parts: Sequence[str | Text | Node], config: RulesConfig, language: str = "en"
) -> dict[int, Verdict]:
    return node_drops(nodes(*parts, language=language), language, config)


def test_no_text_is_dropped_by_default() -> None:
    assert drops(["", "x", "12", "{ javascript }", "A" * 2000], Config().rules) == {}


@pytest.mark.parametrize(
    ("settings", "passes", "fails", "verdict"),
    [
        ({"min_text_words": 3}, "one two three", "one two", ("text_too_short", "2 < 3")),
        ({"max_text_words": 3}, "one two three", "one two three 4", ("text_too_long", "4 > 3")),
        (
            {"max_text_character_repetition": 0.3},
            PROSE,
            "ha " * 27,
            ("text_character_repetition", "0.333333 > 0.3"),
        ),
        (
            {"max_text_word_repetition": 0.5},
            PROSE,
            f"{PROSE} {PROSE}",
            ("text_word_repetition", "0.882353 > 0.5"),
        ),
        (
            {"max_text_special_characters": 0.5},
            "abc, 1",
            "ab, 12",
            ("text_special_characters", "0.666667 > 0.5"),
        ),
        (
            {"min_text_stop_word_ratio": 0.5},
            "the end",
            "the bitter end",
            ("text_stop_word_ratio", "0.333333 < 0.5"),
        ),
        (
            {"min_text_punctuation": 0.001},
            "one two three four five six seven eight nine ten eleven",
            "one two three four five six seven eight nine ten eleven twelve",
            ("text_punctuation", "0 < 0.001"),
        ),
        ({"max_text_uppercase": 0.5}, "ABcd 12", "ABCd 12", ("text_uppercase", "0.75 > 0.5")),
        ({"max_text_digits": 0.5}, "12 a", "123 a", ("text_digits", "0.6 > 0.5")),
        (
            {"max_text_spam_words": 0.25},
            "Share the good old days",
            "Share the good days",
            ("text_spam_words", "0.25 >= 0.25"),
        ),
        (
            {"max_text_word_length": 1000},
            f"a {'b' * 1000}",
            f"a {'b' * 1001}",
            ("text_word_length", "1001 > 1000"),
        ),
        ({"drop_unfinished_texts": True}, "One.\ntwo", "One. Two", ("text_unfinished", "1")),
        ({"drop_javascript_texts": True}, "Java", "Enable JavaScript.", ("text_javascript", "1")),
        ({"drop_policy_texts": True}, "Our policy", "Cookie Policy", ("text_policy", "1")),
    ],
)
def test_text_inside_the_bound_stays_and_beyond_it_goes(settings, passes, fails, verdict) -> None:
    config = select(**settings)
    assert drops([passes, fails], config) == {1: verdict}


def test_only_paragraphs_and_quotes_are_looked_at_unless_told() -> None:
    roles: tuple[Role, ...] = (
        *("heading", "paragraph", "list_item", "caption", "code", "table", "quote"),
    )
    texts = [Text("short", role) for role in roles]
    assert list(drops(texts, select(min_text_words=2))) == [1, 6]
    assert list(drops(texts, select(min_text_words=2, text_roles=roles))) == list(range(7))


SHORT = select(
    min_text_words=4,
    max_text_uppercase=0.8,
    max_text_digits=0.8,
    max_text_special_characters=0.3,
    min_text_stop_word_ratio=0.3,
)


@pytest.mark.parametrize("label", ["Sylt", "1887", "FIGURE 3", "Mount Everest, 1953", "— 12 —"])
def test_what_may_be_the_label_of_a_picture_stays(label: str) -> None:
    assert list(drops([label, PROSE, PROSE, PICTURE], SHORT)) == [0]
    assert drops([label, PROSE, PICTURE], SHORT) == {}
    assert drops([PICTURE, PROSE, label], SHORT) == {}
    assert list(drops([label, Node("video")], SHORT)) == [0]


def test_how_near_and_how_short_a_label_is_can_be_set() -> None:
    near = SHORT.model_copy(update={"label_distance": 1})
    assert list(drops([PICTURE, PROSE, "Sylt"], near)) == [2]
    none = SHORT.model_copy(update={"label_distance": 0})
    assert list(drops([PICTURE, "Sylt", PICTURE], none)) == [1]
    long = "Lake Como Lake Garda Lake Maggiore Lake Lugano Lake Iseo"
    assert drops([PICTURE, long], SHORT) == {}
    assert list(drops([PICTURE, f"{long} Lake"], SHORT)) == [1]


def test_page_furniture_beside_a_picture_is_no_label() -> None:
    config = select(max_text_spam_words=0.12, drop_policy_texts=True, drop_javascript_texts=True)
    assert list(drops([PICTURE, "Share on Facebook"], config)) == [1]


def test_language_has_thresholds_of_its_own_for_texts() -> None:
    config = select(min_text_words=4, per_language={"de": {"min_text_words": 1}})
    assert drops(["zwei Wörter"], config, "de") == {}
    assert list(drops(["two words"], config, "en")) == [0]


def test_function_words_are_asked_only_of_languages_that_have_a_list() -> None:
    config = select(min_text_stop_word_ratio=0.3)
    assert drops(["Minden ember szabadnak születik"], config, "hu") == {}
    assert list(drops(["Minden ember szabadnak születik"], config, "en")) == [0]


def test_bound_on_a_score_of_texts_takes_an_absent_one_for_zero() -> None:
    config = select(bounds=[{"subject": "text", "score": "spam", "max": 1}])
    assert drops([PROSE, "facebook twitter"], config) == {1: ("bound_spam", "2 > 1")}
    config = select(bounds=[{"subject": "text", "score": "digits", "min": 0.1}])
    assert list(drops([PROSE, "12"], config)) == [0]


def test_text_rules_off_is_off_for_texts_too() -> None:
    assert drops(["x"], select(min_text_words=5, text_rules=False)) == {}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, False),
        ({"min_text_words": 2}, True),
        ({"min_text_words": 2, "text_rules": False}, False),
        ({"per_language": {"de": {"min_text_words": 2}}}, True),
        ({"bounds": [{"subject": "text", "score": "spam", "max": 1}]}, True),
        ({"bounds": [{"subject": "image", "score": "spam", "max": 1}]}, False),
    ],
)
def test_scores_of_texts_are_needed_where_a_rule_looks_at_them(settings, expected) -> None:
    assert looks_at_texts(select(**settings)) is expected


def test_document_is_counted_anew_without_what_was_dropped() -> None:
    parts = [PROSE, "12 34 56", PICTURE, PROSE, "Share on facebook {"]
    _, before = measure_texts([Text(part) for part in parts if isinstance(part, str)], "en")
    _, after = measure_texts([Text(PROSE), Text(PROSE)], "en")
    left = remaining(before, nodes(*parts), {1, 4})
    additive = ("words", "special_characters", "stop_word_ratio", "punctuation", "sentences")
    for name in (*additive, "terminal_lines", "short_lines", "newlines_per_word", "curly_brackets"):
        assert left[name] == after[name], name
    assert left["duplicate_paragraphs"] == before["duplicate_paragraphs"]
    assert remaining(before, nodes(*parts), {}) == before
