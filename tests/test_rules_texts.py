"""What is counted of single texts, against naive references and by definition; scripts without spaces."""

import json
import string
from collections import Counter
from collections.abc import Sequence
from math import isqrt
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m3w_builder.rules import measure, measure_texts, shares, words
from m3w_builder.rules.texts import total
from m3w_builder.rules.wordlists import SPAM_WORDS, STOP_WORDS_OF
from m3w_builder.types import Text

SHARED = Path(__file__).parents[2] / "shared/data"
AROUND = string.punctuation + "“”„‘’«»‹›…–—¡¿"


def counts(text: str, language: str = "en") -> dict[str, float]:
    return measure_texts([Text(text)], language)[0][0]


# --- repetition, as OBELICS's code has it --------------------------------------------------------


def naive_characters(text: str, n: int = 10) -> float:
    times = sorted(Counter(text[i : i + n] for i in range(len(text) - n + 1)).values())[::-1]
    if not times:
        return 0.0
    most = min(isqrt(len(times)), len(times) - times.count(1))
    return sum(times[:most]) / sum(times)


def naive_words(text: str, n: int = 5) -> float:
    bare = [b for word in words(text) if (b := word.strip(AROUND).lower())]
    times = Counter(tuple(bare[i : i + n]) for i in range(len(bare) - n + 1)).values()
    return sum(time for time in times if time > 1) / sum(times) if times else 0.0


def check(parts: Sequence[str]) -> None:
    found, scores = measure_texts([Text(part) for part in parts], "en")
    for one, part in zip(found, parts, strict=True):
        assert one.get("character_repetition", 0.0) == pytest.approx(naive_characters(part))
        assert one.get("word_repetition", 0.0) == pytest.approx(naive_words(part))
    whole = "\n".join(parts)
    assert scores["character_repetition"] == pytest.approx(naive_characters(whole))
    assert scores["word_repetition"] == pytest.approx(naive_words(whole))


@given(st.lists(st.text("ab A.", max_size=80), max_size=6))
@settings(max_examples=200)
def test_repetition_equals_the_naive_reference(parts: list[str]) -> None:
    check(parts)


@given(st.lists(st.text("aé我 🦊\ud800.\n", max_size=60), max_size=6))
def test_repetition_of_any_script_equals_the_naive_reference(parts: list[str]) -> None:
    check(parts)


def real_paragraphs(count: int) -> list[list[str]]:
    path = SHARED / "articles/manifest.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with path.open(encoding="utf-8") as lines:
        return [
            json.loads(line)["text"].split("\n")
            for _, line in zip(range(count), lines, strict=False)
        ]


def test_repetition_in_real_articles_equals_the_naive_reference() -> None:
    for parts in real_paragraphs(20):
        check(parts)


# --- counts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two  cats, 3 dogs!", {"characters": 18, "special": 4 + 3, "digits": 1, "uppercase": 1}),
        ("été ไม่ नमस्ते", {"special": 2}),  # combining marks belong to letters
        ("\U0001f98a\U00020000", {"characters": 2, "special": 1}),  # an emoji, an ideograph
        ("a, b; c: d? e! f. g“h”", {"punctuation": 6}),
        ("好，吧。是、", {"punctuation": 3}),
        ("The cat and THE dog", {"words": 5, "stop": 3}),
        ("“the” (of) don't", {"stop": 3}),
        ("Share on Facebook, subscribe!", {"words": 4, "spam": 3}),
        ("one\n\ntwo.\nthree", {"lines": 3, "terminal": 1, "short": 3}),
        (f"{'a' * 30}\n{'a' * 31}", {"lines": 2, "short": 1}),
        ('He said "yes"\nand (no)\nwhy?', {"terminal": 2}),
        ("Yes. No! (Why?) e.g. 3.14 …end", {"sentences": 4}),
        ("no end", {"sentences": 1}),
        ("是。不是！", {"sentences": 2}),
        ("Lorem Ipsum lorem ipsum", {"lorem_ipsum": 2}),
        ("JavaScript: if (a) { b }", {"javascript": 1, "curly_brackets": 1}),
        ("This site uses cookies. See our Privacy Policy.", {"policy": 2}),
        ("我爱北京", {"words": 2, "unspaced": 2}),
        (f"a {'b' * 100}", {"longest_word": 100}),
        (f"a {'b' * 99}", {"longest_word": 0}),
    ],
)
def test_count(text: str, expected: dict[str, float]) -> None:
    found = counts(text)
    assert {name: found.get(name, 0.0) for name in expected} == expected


def test_stop_words_are_those_of_the_language() -> None:
    text = "der Hund und die Katze"
    assert counts(text, "de")["stop"] == 3
    assert "stop" not in counts(text, "xx")


def test_counts_are_of_their_own_text_and_absent_where_none() -> None:
    texts = [Text("The end."), Text(""), Text("12"), Text("\n"), Text("Why, yes!\nNo.")]
    found, _ = measure_texts(texts, "en")
    assert [one.get("words", 0.0) for one in found] == [2, 0, 1, 0, 3]
    assert [one.get("digits", 0.0) for one in found] == [0, 0, 2, 0, 0]
    assert [one.get("terminal", 0.0) for one in found] == [1, 0, 0, 0, 2]
    assert [one.get("lines", 0.0) for one in found] == [1, 0, 1, 0, 2]
    assert all(value for one in found for value in one.values())


@given(st.lists(st.text("ab The.,!1#我爱。\n{ไม่", max_size=40).map(Text), min_size=1, max_size=5))
def test_counts_add_up_to_the_shares_of_the_document(texts: list[Text]) -> None:
    found, scores = measure_texts(texts, "en")
    assert shares(total(found)).items() <= scores.items()
    assert measure(texts).items() <= scores.items()
    free = ("words", "sentences", "lorem_ipsum", "curly_brackets", "newlines_per_word")
    assert all(
        0.0 <= share <= 1.0 for name, share in shares(total(found)).items() if name not in free
    )


def test_document_without_texts_has_every_score_and_all_are_zero() -> None:
    found, scores = measure_texts([], "en")
    assert found == []
    assert scores == dict.fromkeys(measure_texts([Text("a word")], "en")[1], 0.0)


def test_lists_of_words_are_lower_case_and_bare() -> None:
    for listed in (SPAM_WORDS, *STOP_WORDS_OF.values()):
        assert all(word == word.lower().strip(AROUND) for word in listed)


def test_running_text_has_two_function_words_in_five() -> None:
    shares_of = sorted(
        measure_texts([Text(part) for part in parts], "en")[1]["stop_word_ratio"]
        for parts in real_paragraphs(119)
    )
    assert 0.4 <= shares_of[len(shares_of) // 2] <= 0.5
