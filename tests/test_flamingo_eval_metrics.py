"""Metrics against what the official tools give: words, CIDEr, VQA accuracy, ROC AUC, abstaining."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3w_builder.errors import TrainError
from m3w_builder.flamingo.evaluation.metrics.cider import cider, words
from m3w_builder.flamingo.evaluation.metrics.ranks import roc_auc, selective
from m3w_builder.flamingo.evaluation.metrics.vqa import CONTRACTIONS, accuracy, normalised

# What Stanford's PTBTokenizer (CoreNLP 3.4.1) and the list of COCO's evaluation leave of each caption.
STANFORD = {
    "A man's dog isn't (really) a well-known \"thing\"... it's 3/4 full.": (
        "a man 's dog is n't -lrb- really -rrb- a well-known thing it 's 3/4 full"
    ),
    "two people, one in a red t-shirt, play tic-tac-toe.": (
        "two people one in a red t-shirt play tic-tac-toe"
    ),
    "A man can't stop; he cannot, he's gonna fall!": "a man ca n't stop he can not he 's gon na fall",
    "A 3-year-old girl eats 1,000 cakes at 4:30 p.m.": (
        "a 3-year-old girl eats 1,000 cakes at 4:30 p.m."
    ),
    "the dogs' bowl is on Mr. Smith's table": "the dogs bowl is on mr. smith 's table",
    "A black/white cat & a dog": "a black/white cat & a dog",
    '"Stop" sign near 5th Ave. at dusk': "stop sign near 5th ave. at dusk",
    "THE CATS SAY HELLO!!": "the cats say hello !!",
    "A plate with $5.50 on it, 50% off": "a plate with $ 5.50 on it 50 % off",
    "They're at the U.S. Open, I'd say": "they 're at the u.s. open i 'd say",
    "A woman -- smiling -- holds a phone": "a woman smiling holds a phone",
    "a sign that reads 'no parking'": "a sign that reads no parking",
    "a person holding a nintendo wii game controller .": (
        "a person holding a nintendo wii game controller"
    ),
    "“There is no other way but to leave office early.”": (
        "there is no other way but to leave office early"
    ),
    "U.S.-Israeli relations": "u.s.-israeli relations",
    "George W. Bush at IL-25": "george w. bush at il-25",
    "an undisclosed number—of customers": "an undisclosed number of customers",
}
REFERENCES = (
    (
        "A man riding a wave on top of a surfboard.",
        "A surfer's board cuts through the wave.",
        "a person surfing in the ocean",
    ),
    (
        "Two dogs, one brown, play with a frisbee!",
        "Two dogs are playing in the grass.",
        "A brown dog and a white dog run after a frisbee.",
    ),
    (
        "A plate of food (rice and beans) on a table",
        "There's rice on the plate; it isn't full.",
        "a well-known dish: rice & beans",
    ),
)
SAID = (
    "a man riding a wave on a surfboard",
    "two dogs playing with a frisbee in the grass.",
    "A plate with rice and beans",
)


@pytest.mark.parametrize("caption", STANFORD)
def test_words_are_those_of_cocos_evaluation(caption: str) -> None:
    assert words(caption) == STANFORD[caption].split()


@given(st.text())
def test_words_of_any_text_hold_no_white_space(text: str) -> None:
    assert all(word and not any(c.isspace() for c in word) for word in words(text))


def test_cider_is_that_of_the_reference_implementation_on_stanfords_words() -> None:
    pytest.importorskip("pycocoevalcap", reason="the extra `eval` is not installed")
    found = cider(SAID, REFERENCES)
    assert found == pytest.approx([232.977544931711, 216.803173874820, 118.055628950733], abs=1e-9)


def test_cider_of_a_reference_is_ten_times_that_of_a_cosine_of_one() -> None:
    pytest.importorskip("pycocoevalcap", reason="the extra `eval` is not installed")
    once = [("a red kite over the sea",), ("two boys build a tower",)]
    assert cider([texts[0] for texts in once], once) == pytest.approx([1000, 1000])
    assert cider(["nothing of it here", "seven green hats"], once) == pytest.approx([0, 0])
    assert cider([], []) == []
    assert cider(["a", ""], [["..."], ["."]]) == [0, 0]  # no word to agree on


def test_missing_cider_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocoevalcap.cider.cider", None)
    with pytest.raises(TrainError, match=r"pip install 'm3w-builder\[eval\]'"):
        cider(["a"], [["a"]])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The two dogs.", "2 dogs"),
        ("dont know", "don't know"),
        ("shouldnt've", "shouldn't've"),
        ("3,000", "3000"),
        ("red/blue", "red blue"),
        ("yes , sir", "yes sir"),
        ("2.5", "2.5"),
        ("none", "0"),
        (" A\nhat\t", "hat"),
        ("o'clock: 4:30", "o'clock: 4:30"),
        ("somebody'd", "somebodyd"),
        ("t-shirt", "t shirt"),
        ("the", ""),
    ],
)
def test_answers_are_normalised_as_the_challenge_does(answer: str, expected: str) -> None:
    assert normalised(answer) == expected


def test_contractions_are_the_114_of_the_official_list() -> None:
    assert len(CONTRACTIONS) == 114
    assert CONTRACTIONS["yall'd've"] == CONTRACTIONS["y'all'dve"] == "y'all'd've"
    assert "shed" not in CONTRACTIONS  # a shed
    assert "well" not in CONTRACTIONS


@pytest.mark.parametrize(
    ("agree", "expected"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)]
)
def test_vqa_accuracy_leaves_each_annotator_out_once(agree: int, expected: float) -> None:
    answers = ["Yes."] * agree + ["no"] * (10 - agree)
    assert accuracy("yes", answers) == pytest.approx(expected)


def test_single_answer_is_compared_exactly() -> None:
    assert accuracy("A dog", ["dog"]) == 1
    assert accuracy("dogs", ["dog"]) == 0


def test_roc_auc_of_known_orders() -> None:
    truth = [False, False, True, True]
    assert roc_auc([0.1, 0.4, 0.35, 0.8], truth) == 0.75
    assert roc_auc([4, 3, 2, 1], truth) == 0
    assert roc_auc([1, 1, 1, 1], truth) == 0.5
    assert math.isnan(roc_auc([1, 2], [True, True]))


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), max_size=30))
def test_roc_auc_is_the_share_of_pairs_in_order(cases: list[tuple[int, bool]]) -> None:
    ones = [score for score, one in cases if one]
    zeros = [score for score, one in cases if not one]
    pairs = [(a > b) + 0.5 * (a == b) for a in ones for b in zeros]
    found = roc_auc([score for score, _ in cases], [one for _, one in cases])
    if pairs:
        assert found == pytest.approx(sum(pairs) / len(pairs))
    else:
        assert math.isnan(found)


def test_abstaining_trades_coverage_for_accuracy() -> None:
    right, sure = [1.0, 1.0, 0.0, 0.0], [1.0, 0.8, 0.8, 0.5]
    assert selective(right, sure, 0.0) == (0.5, 1.0)
    assert selective(right, sure, 0.8) == (pytest.approx(2 / 3), 0.75)
    assert selective(right, sure, 1.0) == (1.0, 0.25)
    accuracy_of_none, coverage = selective(right, [0.0] * 4, 0.5)
    assert math.isnan(accuracy_of_none)
    assert coverage == 0
