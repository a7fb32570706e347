"""Signatures of texts: what counts, what does not, and how near the estimate is."""

import random
from math import sqrt
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3w_builder.near.minhash import (
    BANDS,
    PERMUTATIONS,
    SHINGLE,
    bands,
    jaccard,
    signature,
    sketch,
)
from m3w_builder.rules import words

FOX = "The quick brown fox jumps over the lazy dog, and is gone."
VOCABULARY = [f"w{n}" for n in range(5000)]


def text(count: int, seed: int) -> list[str]:
    return random.Random(seed).choices(VOCABULARY, k=count)


def edited(found: list[str], share: float, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [draw.choice(VOCABULARY) if draw.random() < share else word for word in found]


def index(a: list[str], b: list[str]) -> float:
    """Returns the Jaccard index of the shingles, from their definition."""
    one, two = (
        {tuple(found[n : n + SHINGLE]) for n in range(len(found) - SHINGLE + 1)} for found in (a, b)
    )
    return len(one & two) / len(one | two)


def agreeing(a: bytes, b: bytes) -> float:
    return float(np.mean(np.frombuffer(a, "<u4") == np.frombuffer(b, "<u4")))


def test_signature_never_drifts() -> None:
    # Stored beside documents: another value here makes all earlier work unequal to later.
    assert len(signature(FOX)) == 4 * PERMUTATIONS
    assert signature(FOX)[:16].hex() == "b74b6514a670515676c7ae1c67ce1b13"
    assert signature(FOX)[-16:].hex() == "c46b7517d98f8d47776fff0adbe7255b"
    assert hex(bands(signature(FOX))[-1]) == "0x1259f685465521a3"
    assert hex(sketch(signature(FOX))[0]) == "0xb9ada15e14bf3774"


@pytest.mark.parametrize(
    "same",
    [
        FOX.upper(),
        FOX.replace(" ", " \n\t\u00a0"),
        FOX.replace(",", " —").replace(".", "!"),
        f"“{FOX}” …",
        FOX.replace("quick", "qu\u00adick").replace("fox", "\u200bfox"),
        FOX.replace("o", "ó"),
        normalize("NFD", FOX.replace("o", "ö")),
        FOX.replace("fox", "ｆｏｘ"),
        f"{FOX} 🦊🐕‍🦺❤️",
    ],
)
def test_case_accents_punctuation_and_spacing_do_not_count(same: str) -> None:
    assert signature(same) == signature(FOX)


def test_form_of_letters_does_not_count() -> None:
    for text in (
        "한국어 위키백과는 누구나 편집할 수 있는 백과사전",
        "ガギグゲゴがぎぐげご",
        "naïve Ångström",
    ):
        forms = {signature(normalize(form, text)) for form in ("NFC", "NFD", "NFKC", "NFKD")}
        assert len(forms) == 1


@pytest.mark.parametrize(
    "other", [FOX.replace("fox", "fix"), FOX + " 5", FOX.replace("is gone", "gone is")]
)
def test_letters_digits_and_order_count(other: str) -> None:
    assert signature(other) != signature(FOX)


@pytest.mark.parametrize("empty", ["", " \n", "... -- !", "🦊", "\ud800", "\0"])
def test_no_words_no_signature(empty: str) -> None:
    assert signature(empty) == b""
    assert len(bands(b"")) == 0
    assert not sketch(b"").any()


def test_short_text_is_one_shingle() -> None:
    assert agreeing(signature("one two three"), signature("One, two, three!")) == 1
    assert agreeing(signature("one two three"), signature("one two four")) < 0.1
    assert agreeing(signature("one two three"), signature("one two three four")) < 0.1


def test_two_letters_are_a_word_where_scripts_have_no_spaces() -> None:
    chinese = "北京是中华人民共和国的首都，也是全国的政治中心。"
    assert signature(chinese) == signature(" ".join(words(chinese)))
    assert signature("ﾊﾞﾅﾅを食べる") != b""
    longer = chinese + "天安门广场位于北京市中心，可容纳一百万人举行盛大集会。"
    assert 0.2 < float(jaccard(sketch(signature(chinese)), sketch(signature(longer)))) < 0.7


@given(st.lists(st.sampled_from(["a", "Bc", "d.", "é", "中文", "12", "“", "ไทย"]), max_size=30))
def test_signature_is_of_a_set_of_runs_of_words(found: list[str]) -> None:
    once = signature(" ".join(found))
    assert signature("\n".join(found)) == signature(" ".join(found).title()) == once
    # A text twice has the shingles of the text once, and those over the seam.
    twice = signature(" ".join(found * 2))
    values, more = np.frombuffer(once, "<u4"), np.frombuffer(twice, "<u4")
    if words_of(found) >= SHINGLE:
        assert (more <= values).all()


def words_of(found: list[str]) -> int:
    return sum(part != "“" for part in found)


def test_cut_of_a_long_text_into_pieces_leaves_no_trace() -> None:
    long = text(30_000, 1)  # 160 kB, three pieces
    parts = [signature(" ".join(long[n : n + 5000 + SHINGLE - 1])) for n in range(0, 30_000, 5000)]
    least = np.min([np.frombuffer(part, "<u4") for part in parts], axis=0)
    assert least.tobytes() == signature(" ".join(long))


@pytest.mark.parametrize(
    "letter", ["x", "中", "\u0958", "\ufb2c", "\U0001d15e", "\U00020000", "ก\u0e34", "ﷺ"]
)
def test_letter_without_end_has_a_signature(letter: str) -> None:
    # Some letters are two or three when composed.
    assert len(signature(letter * 140_000)) in (0, 4 * PERMUTATIONS)


@pytest.mark.parametrize("share", [0.01, 0.03, 0.1, 0.25])
@pytest.mark.parametrize("count", [40, 400])
def test_estimate_is_within_four_deviations(count: int, share: float) -> None:
    for seed in range(20):
        one = text(count, seed)
        two = edited(one, share, seed + 100)
        truth = index(one, two)
        a, b = (signature(" ".join(found)) for found in (one, two))
        deviation = sqrt(truth * (1 - truth) / PERMUTATIONS)
        assert abs(agreeing(a, b) - truth) <= 4 * deviation + 1e-9
        chance = truth + (1 - truth) / 16
        deviation = sqrt(chance * (1 - chance) / PERMUTATIONS) * 16 / 15
        assert abs(float(jaccard(sketch(a), sketch(b))) - truth) <= 4 * deviation + 1e-9


def test_mean_of_estimates_has_no_bias() -> None:
    errors = []
    for seed in range(200):
        one = text(100, seed)
        two = edited(one, 0.05, seed + 1000)
        estimate = jaccard(*(sketch(signature(" ".join(found))) for found in (one, two)))
        errors.append(float(estimate) - index(one, two))
    assert abs(np.mean(errors)) < 4 * 0.047 / sqrt(len(errors))


def test_jaccard_takes_many_sketches_at_once() -> None:
    sketches = np.stack([sketch(signature(" ".join(text(50, seed)))) for seed in range(4)])
    table = jaccard(sketches[:, None], sketches[None])
    assert table.shape == (4, 4)
    assert (table.diagonal() == 1).all()
    assert table[~np.eye(4, dtype=bool)].max() < 0.2
    assert (jaccard(~sketches, sketches) == 0).all()


def test_bands_of_equal_values_at_different_places_differ() -> None:
    found = bands(b"\x07\0\0\0" * PERMUTATIONS)
    assert len(found) == len(set(found.tolist())) == BANDS


def test_likely_pairs_meet_in_a_band() -> None:
    met, pairs = 0, 300
    for seed in range(pairs):
        one = text(200, seed)
        two = [*one[: 200 - 12], *text(6, seed + 500)]  # 184 of 202 shingles: 0.91
        a, b = (bands(signature(" ".join(found))) for found in (one, two))
        met += bool((a == b).any())
    assert met == pairs
