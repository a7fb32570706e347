"""Gopher's statistics against a naive reference, rules at their exact boundaries, docs/rules.md current."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from math import inf, nextafter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m3w_builder.config import Config, RulesConfig, parse
from m3w_builder.rules import (
    RULES,
    Rule,
    active,
    decide,
    image_rule,
    markdown,
    measure,
    measure_texts,
    off,
    unigrams,
    words,
)
from m3w_builder.types import Text

ROOT = Path(__file__).parents[1]
ARTICLES = ROOT.parent / "shared/data/articles/manifest.jsonl"
DEFAULT = Config().rules
DOCUMENT_RULES = [
    rule for rule in RULES if rule.subject == "document" and rule.reason != "language"
]


def select(**values: object) -> RulesConfig:
    return parse({"rules": values}).rules


def prose(count: int, start: int = 0) -> str:
    """Returns so many words, two of them stop words, none repeated but those."""
    return " ".join(["the", "of", *(f"word{i}" for i in range(start, start + count - 2))])


def name(value: Rule | str) -> str:
    """Returns what a test case is called."""
    return value if isinstance(value, str) else value.reason


def verdict(*texts: str | Text, language: str = "en", config: RulesConfig = DEFAULT) -> str | None:
    """Returns the reason why a document of these texts would be dropped."""
    nodes = [text if isinstance(text, Text) else Text(text) for text in texts]
    found = decide({**measure_texts(nodes, language)[1], "language_score": 0.9}, language, config)
    return found and found[0]


# --- the numbers -------------------------------------------------------------------------------


def naive_top(found: Sequence[str], n: int) -> float:
    grams = [tuple(found[i : i + n]) for i in range(len(found) - n + 1)]
    if not grams or max(Counter(grams).values()) == 1:
        return 0.0
    times = Counter(grams)
    best = max(times, key=lambda gram: (times[gram], sum(map(len, gram)), -grams.index(gram)))
    return naive_share(found, n, [i for i, gram in enumerate(grams) if gram == best])


def naive_duplicate(found: Sequence[str], n: int) -> float:
    grams = [tuple(found[i : i + n]) for i in range(len(found) - n + 1)]
    return naive_share(found, n, [i for i, gram in enumerate(grams) if gram in grams[:i]])


def naive_share(found: Sequence[str], n: int, starts: Sequence[int]) -> float:
    inside = {i + k for i in starts for k in range(n)}
    whole = sum(map(len, found))
    return sum(len(found[i]) for i in inside) / whole if whole else 0.0


def naive_ngrams(found: Sequence[str]) -> dict[str, float]:
    top = {f"top_{n}gram_chars": naive_top(found, n) for n in (2, 3, 4)}
    return top | {f"duplicate_{n}gram_chars": naive_duplicate(found, n) for n in range(5, 11)}


def ngrams(texts: Sequence[Text]) -> dict[str, float]:
    return {name: value for name, value in measure(texts).items() if "gram" in name}


@given(st.lists(st.sampled_from(["a", "bb", "ccc", "ab", "the"]), max_size=60))
@settings(max_examples=200)
def test_ngrams_equal_the_naive_reference(found: list[str]) -> None:
    assert ngrams([Text(" ".join(found))]) == naive_ngrams(found)


@given(st.lists(st.text("ab .…#\n•-the爱ไม่", max_size=40).map(Text), max_size=5))
def test_shares_lie_between_none_and_all(texts: list[Text]) -> None:
    scores = measure(texts)
    free = {"words", "mean_word_length", "hash_ratio", "ellipsis_ratio", "stop_words"}
    assert all(0.0 <= value <= 1.0 for name, value in scores.items() if name not in free)
    assert scores["words"] == unigrams("\n".join(text.text for text in texts))


def test_real_articles_equal_the_naive_reference() -> None:
    if not ARTICLES.exists():
        pytest.skip(f"{ARTICLES} is not here")
    for text in articles(25):
        assert ngrams([Text(text)]) == naive_ngrams(words(text)[:600]), text[:80]


def articles(count: int) -> Iterator[str]:
    with ARTICLES.open(encoding="utf-8") as lines:
        for _, line in zip(range(count), lines, strict=False):
            yield " ".join(words(json.loads(line)["text"])[:600])


def test_empty_document_has_every_score_and_all_are_zero() -> None:
    assert measure([]) == measure([Text(" \n ")]) == dict.fromkeys(measure([Text("a word")]), 0.0)


def test_every_rule_has_its_score() -> None:
    _, scores = measure_texts([], "en")
    assert {rule.value for rule in DOCUMENT_RULES} == scores.keys() - {
        *("unspaced_words", "digits", "uppercase", "spam_words")
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("we're - here", ["we're", "-", "here"]),
        ("我爱北京。你呢?", ["我爱", "北京。", "你呢?"]),
        ("我爱你", ["我爱", "你"]),
        ("iPhone手机2台, ok", ["iPhone", "手机", "2", "台,", "ok"]),
        ("「東京」タワー", ["「", "東京」", "タワ", "ー"]),
        ("ที่นี่มี", ["ที่นี่", "มี"]),  # vowel and tone marks stay with their letter
        ("자유로우며 그", ["자유로우며", "그"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("letter", "กฮເໜကၐႏកឳ々ぁーㇰㇿ㐀䶿一鿿豈ｦﾝ𠀀𿿽")
def test_one_letter_of_a_script_without_spaces_is_noticed(letter: str) -> None:
    assert words(f"naïve{letter}") == ["naïve", letter]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("mean_word_length", "ab abcd", 3.0),
        ("hash_ratio", "#a ## b c", 3 / 4),
        ("ellipsis_ratio", "a... b.. c….. d", 2 / 4),
        ("bullet_lines", "• a\n- b\n-5\nc - d\n*nix", 2 / 5),
        ("ellipsis_lines", "a...\n\nb…\nc [...]\nd\ne… f", 3 / 5),
        ("alpha_words", "a1 22 - é", 2 / 4),
        ("stop_words", "The the, “THAT” and-or other", 2),
        ("stop_words", "tO (oF) 'bE'", 3),
        ("alpha_words", "12 12 – 1st", 1 / 4),
        ("duplicate_lines", "a\nb\n a \nA\n\na", 2 / 5),
        ("duplicate_line_chars", "aa\nb\naa\nb\nccc", 3 / 9),
        ("top_2gram_chars", "a a a a bb", 4 / 6),  # overlapping occurrences counted once
        ("top_2gram_chars", "aa b x aa b y", 6 / 8),
        ("top_2gram_chars", "a b c d e", 0),  # nothing occurs twice
        ("top_3gram_chars", "a b cc x a b cc y b cc x", 8 / 14),  # the longest of the frequent
        ("duplicate_5gram_chars", "a b c d e f a b c d e", 5 / 11),  # the first is no duplicate
        ("duplicate_5gram_chars", "a b c d e f a b c d e f", 6 / 12),  # overlap counted once
        ("duplicate_6gram_chars", "a b c d e f a b c d e g", 0),
        ("unspaced_words", "我爱你 you", 2 / 3),
    ],
)
def test_definition(name: str, text: str, expected: float) -> None:
    assert measure([Text(text)])[name] == expected


def test_list_item_is_a_bullet_line_once() -> None:
    texts = [Text("one\ntwo", "list_item"), Text("• three", "list_item"), Text("four")]
    assert measure(texts)["bullet_lines"] == 2 / 4


def test_paragraphs_are_texts_and_ngrams_cross_them() -> None:
    scores = measure([Text("a b\nc"), Text("a b\nc "), Text("d"), Text("")])
    assert scores["duplicate_paragraphs"] == 1 / 3
    assert scores["duplicate_paragraph_chars"] == 5 / 11
    assert measure([Text("a b"), Text("c a"), Text("b c")])["top_3gram_chars"] == 1.0


# --- the document rules ------------------------------------------------------------------------


def passing_scores() -> dict[str, float]:
    return {**measure_texts([Text(prose(60))], "en")[1], "language_score": 1.0}


GOPHER_BOUNDS = [
    (rule, setting)
    for rule in DOCUMENT_RULES
    for setting in rule.settings
    if getattr(DEFAULT, setting) != off(setting)
]


@pytest.mark.parametrize(("rule", "setting"), GOPHER_BOUNDS, ids=name)
def test_bound_itself_passes_and_the_next_number_fails(rule: Rule, setting: str) -> None:
    bound = float(getattr(DEFAULT, setting))
    beyond = nextafter(bound, -inf if setting.startswith("min_") else inf)
    assert decide({**passing_scores(), rule.value: bound}, "en", DEFAULT) is None
    found = decide({**passing_scores(), rule.value: beyond}, "en", DEFAULT)
    assert found is not None
    assert found[0] == rule.reason


def lines(count: int, *, ending: str = "", start: str = "") -> list[str]:
    return [f"{start}{prose(12, 12 * i)}{ending}" for i in range(count)]


TEXTS: dict[str, tuple[list[str], list[str]]] = {  # reason: texts that pass, texts that fail
    "words_too_few": ([prose(50)], [prose(49)]),
    "words_too_many": ([prose(100_000)], [prose(100_001)]),
    "hash_ratio": ([prose(50), "#####"], [prose(50), "######"]),
    "ellipsis_ratio": (
        [prose(45) + " ...a" * 5],
        [prose(44) + "".join(f" ...{i}a" for i in range(6))],
    ),
    "bullet_lines": (
        ["\n".join([*lines(9, start="• "), "end"])],
        ["\n".join([*lines(10, start="• "), "end"])],
    ),
    "ellipsis_lines": (
        ["\n".join([*lines(3, ending="…"), *(prose(9, 99 * i) for i in range(1, 8))])],
        ["\n".join([*lines(4, ending="…"), *(prose(9, 99 * i) for i in range(1, 7))])],
    ),
    "alpha_words": (
        [prose(48) + "".join(f" {i}" for i in range(100, 112))],
        [prose(48) + "".join(f" {i}" for i in range(100, 113))],
    ),
    "stop_words": ([prose(60)], [prose(60).replace("of", "off")]),
    "duplicate_lines": (
        ["\n".join([*lines(7), *"abc", *"abc"])],
        ["\n".join([*lines(5), *"abcd", *"abcd"])],
    ),
    "duplicate_paragraphs": (
        ["\n".join(lines(6)), *"abcdef", *"abc"],
        ["\n".join(lines(9)), *"abcd", *"abcd"],
    ),
}


@pytest.mark.parametrize("reason", TEXTS)
def test_text_at_the_boundary_passes_and_beyond_it_fails(reason: str) -> None:
    passes, fails = TEXTS[reason]
    assert (verdict(*passes), verdict(*fails)) == (None, reason)


def test_mean_word_length_has_two_sides() -> None:
    letters = "abcdefghijklmnopqrst"
    pairs = " ".join(a + b for a in letters for b in letters)
    assert verdict(f"the of {pairs}") == "mean_word_length"
    assert verdict(" ".join(["the of", *(f"{i:012}x" for i in range(60))])) == "mean_word_length"


def test_repeated_passage_is_named_by_the_shortest_ngram_that_shows_it() -> None:
    passage = prose(20, 1000)
    assert verdict(prose(60), passage) is None
    assert verdict(f"{prose(60)} {passage} x {passage}") == "duplicate_5gram_chars"


def test_reject_names_the_value_and_the_bound() -> None:
    scores = passing_scores()
    assert decide({**scores, "words": 49.0}, "en", DEFAULT) == ("words_too_few", "49 < 50")
    assert decide({**scores, "hash_ratio": 1 / 3}, "en", DEFAULT) == (
        "hash_ratio",
        "0.333333 > 0.1",
    )


def test_language_outside_the_list_or_uncertain_is_dropped_first() -> None:
    scores = {**passing_scores(), "words": 1.0, "language_score": 0.984}
    assert decide(scores, "fr", DEFAULT) == ("language", "fr 0.98")
    sure = {**passing_scores(), "language_score": 0.65}
    assert decide(sure, "en", DEFAULT) is None
    unsure = {**sure, "language_score": nextafter(0.65, 0)}
    assert decide(unsure, "en", DEFAULT) == ("language", "en 0.65")
    nothing = {**sure, "language_score": 0.0}
    assert decide(nothing, "", DEFAULT) == ("language", "unknown 0.00")


def test_no_language_list_lets_every_language_pass() -> None:
    assert verdict(prose(60), language="fr", config=select(languages=[])) is None
    assert verdict(prose(60), language="fr", config=select(languages=["de", "fr"])) is None


def test_stop_words_are_asked_of_english_only() -> None:
    text, anything = prose(60).replace("of", "off"), select(languages=[])
    assert verdict(text, config=anything) == "stop_words"
    assert verdict(text, language="fr", config=anything) is None


def test_chinese_and_thai_are_not_measured_by_english_word_length() -> None:
    anything = select(languages=[])
    chinese = "".join(chr(0x4E00 + 7 * i) for i in range(120))
    thai = "".join(chr(0x0E01 + i % 44) + chr(0x0E34 + i % 5) for i in range(120))
    assert verdict(chinese, language="zh", config=anything) is None
    assert verdict(thai, language="th", config=anything) is None


def test_text_rules_can_be_switched_off_but_not_the_language() -> None:
    config = select(text_rules=False)
    assert verdict("too short", config=config) is None
    assert verdict("too short", language="fr", config=config) == "language"


def test_missing_score_is_our_bug_and_crashes() -> None:
    with pytest.raises(KeyError):
        decide({"language_score": 1.0}, "en", DEFAULT)


def test_language_has_thresholds_of_its_own() -> None:
    config = select(
        languages=["de", "en"],
        per_language={"de": {"min_words": 40, "min_language_score": 0.5, "min_alt_unigrams": 1}},
    )
    assert verdict(prose(40), language="de", config=config) is None
    assert verdict(prose(40), language="en", config=config) == "words_too_few"
    scores = {**passing_scores(), "language_score": 0.5}
    assert decide(scores, "de", config) is None
    assert decide(scores, "en", config) == ("language", "en 0.50")


def test_bounds_on_any_score_of_a_document() -> None:
    config = select(bounds=[{"subject": "document", "score": "words", "max": 55}])
    assert verdict(prose(55), config=config) is None
    assert verdict(prose(56), config=config) == "bound_words"


# --- the table ---------------------------------------------------------------------------------


def test_reasons_are_unique_snake_case() -> None:
    reasons = [rule.reason for rule in RULES]
    assert len(set(reasons)) == len(reasons)
    assert all(reason.isidentifier() and reason == reason.lower() for reason in reasons)


def test_every_threshold_of_the_configuration_belongs_to_one_rule() -> None:
    of_rules = [setting for rule in RULES for setting in rule.settings]
    of_config = [
        name for name in RulesConfig.model_fields if name.startswith(("min_", "max_", "drop_"))
    ]
    lists = ["languages", "pair_languages", "image_formats", "image_url_words"]
    assert sorted([*of_rules, "max_label_words"]) == sorted([*of_config, *lists])


def test_off_switches_a_rule_off() -> None:
    switches = {
        name: value for rule in RULES for name in rule.settings if (value := off(name)) is not None
    }
    config = RulesConfig.model_construct(**{**dict(DEFAULT), **switches, "languages": ()})
    assert {rule.reason for rule in active(config)} == {
        *("aspect_ratio", "pair_aspect_ratio", "video_no_frames")  # these have no such value
    }
    assert decide({**passing_scores(), "words": 0.0, "hash_ratio": 9.0}, "xx", config) is None
    assert image_rule(1, 1, {"flatness": 0.0}, config) is None


def test_default_says_which_rules_are_on() -> None:
    assert {rule.subject for rule in active(DEFAULT)} == {
        *("document", "image", "image_text", "video_text")
    }


def test_page_of_the_rules_is_current() -> None:
    written = (ROOT / "docs/rules.md").read_text(encoding="utf-8")
    assert written == markdown(), "write m3w_builder.rules.markdown() to docs/rules.md"
