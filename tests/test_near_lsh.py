"""Pairs of copies: what meets and is checked, whatever the order of rows and the spread of keys."""

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3w_builder.config import DedupConfig
from m3w_builder.near.components import components
from m3w_builder.near.lsh import (
    ENTRY,
    EXACT,
    JOINT,
    LEADERS,
    SMALL,
    TEXT,
    Entries,
    edges,
    entries,
)
from m3w_builder.near.minhash import BANDS, signature

CONFIG = DedupConfig()
NONE = np.empty(0, np.uint64)
NOTHING_ALIKE = np.random.default_rng(0).integers(0, 2**64, (500, 8), np.uint64)


def row(
    key: int, doc: int, why: int = TEXT, sketch: int | list[int] = 0, images: int = 0
) -> np.ndarray:
    rows = np.zeros(1, ENTRY)
    rows["key"], rows["doc"], rows["why"] = key, doc, why
    rows["sketch"], rows["images"] = sketch, images
    return rows


def block(*rows: np.ndarray) -> Entries:
    return np.concatenate([np.empty(0, ENTRY), *rows])


def pairs(rows: Entries, config: DedupConfig = CONFIG) -> list[tuple[int, int]]:
    return [tuple(pair) for pair in edges(rows, config).tolist()]


def unlike(values: int) -> list[int]:
    """Returns a sketch that differs from zeros in so many of its 128 values."""
    bits = sum(1 << 4 * n for n in range(values))
    return [bits >> 64 * n & (2**64 - 1) for n in range(8)]


def groups(*names: int) -> np.ndarray:
    return np.array(names, np.uint64)


def test_document_has_a_row_for_its_contents_each_band_and_each_picture() -> None:
    rows = entries(7, "f" * 64, signature("some words of a text"), groups(3, 5, 3))
    assert rows["why"].tolist() == [EXACT] + [TEXT] * BANDS + [JOINT] * 2
    assert rows["key"][0] == 2**64 - 1
    assert len(set(rows["key"].tolist())) == len(rows)
    assert set(rows["doc"].tolist()) == {7}
    assert len({r["sketch"].tobytes() for r in rows}) == 1
    assert np.bitwise_count(rows["images"]).tolist() == [2] * len(rows)
    assert rows.itemsize == 89


def test_document_without_text_pictures_and_contents_has_no_rows() -> None:
    assert len(entries(7, "", b"", NONE)) == 0
    assert entries(7, "", b"", groups(1))["why"].tolist() == [JOINT]


def test_equal_contents_are_copies_unchecked() -> None:
    rows = block(*(row(1, doc, EXACT, unlike(doc)) for doc in (5, 3, 9)), row(2, 4, EXACT))
    assert pairs(rows) == [(3, 5), (3, 9)]


@pytest.mark.parametrize(
    ("differing", "config", "found"),
    [
        (0, CONFIG, True),
        (30, CONFIG, True),  # 1 - 30 / 128 * 16 / 15 = 0.75
        (31, CONFIG, False),
        (31, DedupConfig(min_jaccard=0.7), True),
        (0, DedupConfig(min_jaccard=1.0), False),  # only equal contents are copies
    ],
)
def test_like_texts_are_copies_from_the_threshold_on(
    differing: int, config: DedupConfig, found: bool
) -> None:
    rows = block(row(1, 5), row(1, 3, sketch=unlike(differing)))
    assert pairs(rows, config) == [(3, 5)] * found


@pytest.mark.parametrize(
    ("differing", "images", "config", "found"),
    [
        (48, 0b0011, CONFIG, True),  # 0.6
        (49, 0b0011, CONFIG, False),
        (48, 0b0110, CONFIG, False),  # one of three
        (48, 0b0001, CONFIG, True),  # one of two
        (48, 0b1100, CONFIG, False),
        (48, 0b0110, DedupConfig(min_joint_images=0.3), True),
        (0, 0b0011, DedupConfig(min_joint_jaccard=1.0), False),
    ],
)
def test_documents_with_common_pictures_and_roughly_like_texts_are_copies(
    differing: int, images: int, config: DedupConfig, found: bool
) -> None:
    rows = block(row(1, 5, JOINT, images=0b0011), row(1, 3, JOINT, unlike(differing), images))
    assert pairs(rows, config) == [(3, 5)] * found


def test_one_key_of_two_kinds_is_two_buckets() -> None:
    assert pairs(block(row(1, 5, TEXT), row(1, 3, EXACT), row(1, 4, JOINT))) == []


def test_document_twice_is_no_copy_of_itself() -> None:
    rows = block(row(1, 5), row(1, 5), row(2, 5, EXACT), row(2, 5, EXACT), row(1, 6))
    assert pairs(rows) == [(5, 6)]


def test_pictures_alone_make_copies_of_documents_without_words() -> None:
    wordless = [entries(doc, "", b"", groups(1, 2)) for doc in (1, 2)]
    with_words = entries(3, "", signature("some words of a text"), groups(1, 2))
    assert pairs(block(*wordless, with_words)) == [(1, 2)]


def test_no_rows_no_edges() -> None:
    assert edges(block(), CONFIG).shape == (0, 2)
    assert edges(block(row(1, 1), row(2, 2)), CONFIG).shape == (0, 2)


ROWS = st.lists(
    st.builds(
        row,
        st.integers(0, 3),
        st.integers(0, 6),
        st.sampled_from([EXACT, TEXT, JOINT]),
        st.sampled_from([0, 1, 2**64 - 1]),
        st.integers(0, 3),
    ),
    max_size=40,
    unique_by=lambda r: (int(r["key"][0]), int(r["doc"][0]), int(r["why"][0])),
)


@given(ROWS, st.randoms(use_true_random=False))
def test_order_of_rows_and_spread_of_keys_change_nothing(
    rows: list[np.ndarray], order: random.Random
) -> None:
    whole = pairs(block(*rows))
    assert pairs(block(*order.sample(rows, len(rows)))) == whole
    parts = [block(*(r for r in rows if r["key"][0] % 3 == part)) for part in range(3)]
    assert sorted({pair for part in parts for pair in pairs(part)}) == whole


@pytest.mark.parametrize("size", [2, 3, SMALL, SMALL + 1, 3 * SMALL])
def test_every_pair_of_a_bucket_of_copies_is_connected(size: int) -> None:
    rows = block(*(row(1, doc) for doc in range(size)))
    found = pairs(rows)
    if size <= SMALL:
        assert found == list(combinations(range(size), 2))
    else:
        assert found == [(0, doc) for doc in range(1, size)]


def test_large_bucket_finds_the_copies_of_every_leader() -> None:
    # Eight texts, each in fifty documents, all in one bucket: as a common picture would have it.
    rows = block(*(row(1, doc, JOINT, NOTHING_ALIKE[doc % 8].tolist(), 1) for doc in range(400)))
    members, smallest = components(edges(rows, CONFIG))
    assert members.tolist() == list(range(400))
    assert smallest.tolist() == [doc % 8 for doc in range(400)]


def test_chain_in_a_large_bucket_is_followed_over_the_leaders() -> None:
    # Each is a copy of the one before, 0 and 2 are not: 1 was led by 0, and leads no more.
    chain = [row(1, n, sketch=unlike(28 * n)) for n in range(5)]
    rest = [row(1, 100 + n, sketch=NOTHING_ALIKE[n].tolist()) for n in range(SMALL)]
    members, smallest = components(edges(block(*chain, *rest), CONFIG))
    assert members.tolist() == [0, 1, 2, 3, 4]
    assert set(smallest.tolist()) == {0}


def test_large_bucket_ends_after_its_leaders() -> None:
    strangers = [row(1, n, sketch=NOTHING_ALIKE[n].tolist()) for n in range(LEADERS)]
    copies = [row(1, 1000 + n, sketch=NOTHING_ALIKE[400].tolist()) for n in range(3)]
    assert pairs(block(*strangers, *copies)) == []
    assert pairs(block(*strangers[1:], *copies)) == [(1000, 1001), (1000, 1002)]


def test_large_bucket_is_the_same_in_any_order() -> None:
    rows = [row(1, n, sketch=NOTHING_ALIKE[n % 90].tolist()) for n in range(300)]
    whole = pairs(block(*rows))
    random.Random(1).shuffle(rows)
    assert pairs(block(*rows)) == whole
