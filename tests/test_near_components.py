"""Components: those of a plain union-find, whatever the order of the edges and how they were split."""

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3w_builder.near.components import Edges, components, forest

PAIRS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60)
LARGE = 2**64 - 1


def array(pairs: list[tuple[int, int]]) -> Edges:
    return np.array(pairs, np.uint64).reshape(-1, 2)


def labels(edges: Edges) -> dict[int, int]:
    members, smallest = components(edges)
    return dict(zip(members.tolist(), smallest.tolist(), strict=True))


def union_find(pairs: list[tuple[int, int]]) -> dict[int, int]:
    parent: dict[int, int] = {}

    def root(member: int) -> int:
        while parent.setdefault(member, member) != member:
            member = parent[member]
        return member

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return {member: root(member) for member in parent}


@given(PAIRS, st.randoms(use_true_random=False))
def test_labels_are_those_of_union_find_in_any_order(
    pairs: list[tuple[int, int]], order: random.Random
) -> None:
    expected = union_find(pairs)
    shuffled = [pair[:: order.choice((1, -1))] for pair in order.sample(pairs, len(pairs))]
    assert labels(array(pairs)) == labels(array(shuffled)) == expected
    assert list(labels(array(pairs))) == sorted(expected)


@given(PAIRS, PAIRS)
def test_forests_of_parts_have_the_components_of_the_whole(
    some: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    whole = forest(array(some + others))
    parts = np.concatenate([forest(array(some)), forest(array(others))])
    assert np.array_equal(forest(parts), whole)
    assert np.array_equal(forest(whole), whole)


@given(PAIRS)
def test_forest_has_an_edge_for_each_member_but_the_smallest(pairs: list[tuple[int, int]]) -> None:
    expected = union_find(pairs)
    trees = forest(array(pairs)).tolist()
    assert trees == [[low, member] for member, low in sorted(expected.items()) if low != member]


@pytest.mark.parametrize("seed", [0, 1])
def test_long_chain_is_one_component(seed: int) -> None:
    chain = random.Random(seed).sample(range(100_000), 50_000)
    members, smallest = components(array(list(pairwise(chain))))
    assert len(members) == 50_000
    assert (smallest == min(chain)).all()


def test_star_whose_centre_is_largest_is_one_component() -> None:
    assert set(labels(array([(n, LARGE) for n in range(1000)])).values()) == {0}


def test_numbers_of_all_64_bits_are_members() -> None:
    assert labels(array([(LARGE, 2**63)])) == {2**63: 2**63, LARGE: 2**63}


def test_no_edges_no_members() -> None:
    members, smallest = components(array([]))
    assert len(members) == len(smallest) == len(forest(array([]))) == 0
    assert forest(array([])).shape == (0, 2)
