"""Texts by their 13-grams: what counts as the same words, how much of a text must be there."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3w_builder.decontaminate.ngrams import MIN_WORDS, WORDS, Ngrams, normal, rolling, span
from m3w_builder.rules import tokens

CAPTION = "A man riding a wave on top of a surfboard."  # ten words, of COCO's kind
POEM = "我爱北京天安门，天安门上太阳升，伟大领袖毛主席，带领我们向前进。"


def words(count: int, first: int = 0) -> str:
    return " ".join(f"word{number}" for number in range(first, first + count))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Don't stop!", "dont stop"),
        ("don’t “stop”…", "Don't stop"),
        ("well-known, e.g. here", "Well known e g here"),
        ("ＦＵＬＬ ｗｉｄｔｈ", "full width"),
        ("Cafe\u0301 Straße", "CAFÉ STRASSE"),
        ("a\nb\t c", "A B C"),
        ("é\x01b\u2028c\x7fd\xa0e", "é b c d e"),
        ("soft\xadhyphen é", "softhyphen é"),
        ("नमस्ते दुनिया।", "नमस्ते दुनिया"),  # combining vowels stay with their letters
    ],
)
def test_case_punctuation_and_form_do_not_count(one: str, other: str) -> None:
    assert tokens(normal(one)) == tokens(normal(other))


def span_of(text: str) -> int:
    return span(normal(text), len(tokens(normal(text))))


def test_ngram_spans_thirteen_words_or_all_of_a_shorter_text() -> None:
    assert [span_of(words(count)) for count in (7, 8, 12, 13, 14, 500)] == [0, 8, 12, 13, 13, 13]
    assert (WORDS, MIN_WORDS) == (13, 8)


def test_two_letters_are_a_word_where_there_are_no_spaces() -> None:
    assert span_of("一二三四五六七八九十甲乙丙丁") == 0  # fourteen letters are seven words
    assert span_of("一二三四五六七八九十甲乙丙丁戊己") == 16
    assert span_of("一二三四五六七八九十" * 10) == 26


def test_caption_is_found_in_a_page_however_it_is_written() -> None:
    ngrams = Ngrams(["too short", CAPTION])
    assert (ngrams.texts, ngrams.short) == (1, 1)
    page = f"{words(300)}\n“A MAN riding a wave — on top of a surfboard” {words(300)}"
    assert ngrams.shares(page) == [(1, 1.0)]
    assert ngrams.shares(page.replace("riding", "on")) == []
    assert ngrams.shares("") == []


def test_chinese_is_found_wherever_its_run_begins() -> None:
    ngrams = Ngrams([POEM])
    for before in ("", "他", "他说", "他唱了"):
        assert ngrams.shares(f"{before}{POEM}他们说") == [(0, 1.0)]


def test_share_is_that_of_the_evaluation_text() -> None:
    ngrams = Ngrams([words(32)])  # twenty 13-grams
    assert ngrams.shares(f"{words(22)} {words(500, 1000)}") == [(0, 0.5)]
    assert ngrams.shares(f"{words(13)} x {words(13)}") == [(0, 0.05)]  # one of them, twice
    assert ngrams.shares(words(12)) == []


def test_equal_texts_are_looked_for_once_and_all_found() -> None:
    ngrams = Ngrams([CAPTION, words(20), CAPTION.upper()])
    assert ngrams.texts == 2
    assert ngrams.shares(CAPTION) == [(0, 1.0), (2, 1.0)]


def test_one_ngram_of_several_texts_is_found_for_each() -> None:
    ngrams = Ngrams([words(20), words(16, 4), words(13, 30)])
    assert ngrams.shares(words(16, 4)) == [(0, 4 / 8), (1, 1.0)]


def test_nothing_to_look_for_finds_nothing() -> None:
    for ngrams in (Ngrams([]), Ngrams(["a b c"])):
        assert ngrams.shares(words(100)) == []


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(30, 60))
def test_shares_are_those_of_sets_of_tuples(seed: int, vocabulary: int, length: int) -> None:
    """Against the definition, with few different words, so that n-grams repeat."""
    draw = random.Random(seed)
    texts = [
        [f"w{draw.randrange(vocabulary)}" for _ in range(draw.randrange(8, 40))] for _ in range(8)
    ]
    page = [f"w{draw.randrange(vocabulary)}" for _ in range(length)] + texts[0] + texts[1][:20]
    expected = []
    for place, text in enumerate(texts):
        n = min(13, len(text))
        grams = {tuple(text[i : i + n]) for i in range(len(text) - n + 1)}
        held = grams & {tuple(page[i : i + n]) for i in range(len(page) - n + 1)}
        if held:
            expected.append((place, len(held) / len(grams)))
    assert Ngrams(" ".join(text) for text in texts).shares(" ".join(page)) == expected


@given(st.lists(st.text(max_size=40), max_size=20))
def test_any_text_is_found_in_itself(texts: list[str]) -> None:
    ngrams = Ngrams(texts)
    for place, text in enumerate(texts):
        whole = [share for found, share in ngrams.shares(text) if found == place]
        assert whole == ([1.0] if span_of(text) else [])


def test_rolling_hash_of_a_run_does_not_depend_on_where_it_stands() -> None:
    import numpy as np

    numbers = np.array([5, 7, 11, 5, 7, 11], np.uint64)
    hashes = rolling(numbers, 3)
    assert len(hashes) == 4
    assert hashes[0] == hashes[3]
    assert len(set(hashes.tolist())) == 3
    assert len(rolling(numbers, 7)) == 0
