"""Trees as tables give what walking down each tree would give, and survive their file."""

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from m3w_builder.interleave.content import MODEL
from m3w_builder.interleave.features import NAMES
from m3w_builder.interleave.trees import Trees, load, save

FEATURES = 5
VALUES = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])


@st.composite
def trees(draw: st.DrawFn) -> Trees:
    depth, count = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    shape = (depth, count)
    return Trees(
        draw(arrays.arrays(np.intp, shape, elements=st.integers(0, FEATURES - 1))),
        draw(arrays.arrays(np.float32, shape, elements=VALUES)),
        draw(arrays.arrays(np.int32, (count, 2**depth), elements=st.integers(-32767, 32767))),
        draw(st.integers(-5000, 5000)),
    )


columns = st.integers(0, 6).flatmap(
    lambda n: arrays.arrays(np.float32, (FEATURES, n), elements=VALUES)
)


def naive(found: Trees, item: list[float]) -> int:
    """Walks down every tree: at each level right, if the feature exceeds the threshold."""
    total = found.base
    depth, count = found.features.shape
    for tree in range(count):
        entry = 0
        for level in range(depth):
            if item[found.features[level][tree]] > found.thresholds[level][tree]:
                entry += 2**level
        total += int(found.leaves[tree][entry])
    return total


def same(one: Trees, other: Trees) -> bool:
    return one.base == other.base and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("features", "thresholds", "leaves")
    )


@settings(max_examples=80, deadline=None)
@given(trees(), columns)
def test_a_score_is_the_sum_of_the_leaves_reached(found: Trees, items: np.ndarray) -> None:
    assert found.score(items).tolist() == [naive(found, item) for item in items.T.tolist()]


@settings(max_examples=40, deadline=None)
@given(trees(), columns, st.randoms(use_true_random=False))
def test_a_score_depends_on_nothing_but_its_item(found: Trees, items: np.ndarray, random) -> None:
    order = list(range(items.shape[1]))
    random.shuffle(order)
    assert found.score(items[:, order]).tolist() == found.score(items)[order].tolist()


def test_a_test_that_is_just_met_does_not_hold() -> None:
    found = Trees(
        np.zeros((1, 1), np.intp), np.ones((1, 1), np.float32), np.array([[3, 5]], np.int32), 100
    )
    assert found.score(np.array([[0.0, 1.0, 1.5]], np.float32)).tolist() == [103, 103, 105]


def test_trees_come_back_from_their_file(tmp_path: Path) -> None:
    @settings(max_examples=20, deadline=None)
    @given(trees())
    def check(found: Trees) -> None:
        save(tmp_path / "t.npz", found)
        assert same(load(tmp_path / "t.npz"), found)

    check()


def test_a_file_depends_on_its_trees_alone(tmp_path: Path) -> None:
    found = load(MODEL)
    save(tmp_path / "a.npz", found)
    save(tmp_path / "b.npz", load(tmp_path / "a.npz"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert same(load(tmp_path / "b.npz"), found)


def test_the_shipped_trees_ask_for_features_that_are_measured() -> None:
    found = load(MODEL)
    depth, count = found.features.shape
    assert found.features.max() < len(NAMES) <= 256
    assert found.leaves.shape == (count, 2**depth)
    assert found.thresholds.shape == (depth, count)
    assert np.abs(found.leaves).max() <= 32767
