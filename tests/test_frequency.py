"""What is too frequent or too rare: exact counts, whatever the order of the records and the number of blocks."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3w_builder.config import CorpusConfig
from m3w_builder.select.frequency import (
    RECORD,
    What,
    bounds,
    cutoff,
    ngrams,
    records,
    times_of,
    too_many,
    too_rare,
)
from pipelines.blocks import split

SMALL = st.integers(0, 5)
ROWS = st.lists(st.tuples(SMALL, SMALL, SMALL, st.sampled_from([What.IMAGE, What.PAIR_TEXT])))
LIMITS = {int(What.IMAGE): 1, int(What.PAIR_TEXT): 2}


def blocks(rows, count):
    return [np.frombuffer(data, RECORD) for _, data in split(records(rows), count)] if rows else []


def expected(rows):
    counted = defaultdict(set)
    for key, other, _, what in rows:
        counted[what, key].add(other)
    return {
        (owner, what, key, len(counted[what, key]))
        for key, _, owner, what in rows
        if len(counted[what, key]) > LIMITS[what]
    }


@given(rows=ROWS, count=st.integers(1, 7), order=st.randoms())
def test_hits_are_those_of_a_plain_count_in_any_order_and_number_of_blocks(rows, count, order):
    order.shuffle(rows)
    hits = [hit for block in blocks(rows, count) for hit in too_many(block, LIMITS)]
    assert {(owner, hit.what, hit.key, hit.times) for owner, hit in hits} == expected(rows)


def test_a_key_with_as_many_as_its_limit_passes_and_one_more_does_not():
    rows = [(7, image, image, What.PAIR_TEXT) for image in range(10)]
    limits = bounds(CorpusConfig())
    assert list(too_many(records(rows), limits)) == []
    hits = list(too_many(records([*rows, (7, 10, 10, What.PAIR_TEXT)]), limits))
    assert sorted(owner for owner, _ in hits) == list(range(11))
    assert {hit.times for _, hit in hits} == {11}


def test_the_same_thing_counted_twice_counts_once():
    rows = [(7, 1, owner, What.IMAGE) for owner in range(20)]
    assert list(too_many(records(rows), LIMITS)) == []


def test_zero_switches_a_count_off():
    config = CorpusConfig(max_pages_per_image=0, max_images_per_text=3)
    assert bounds(config) == {What.PAIR_TEXT: 3, What.PAIR_IMAGE: 1000}


WORDS = st.lists(st.lists(st.sampled_from("abcde"), max_size=6), max_size=8)


@given(texts=WORDS, vocabulary=st.integers(1, 30), count=st.integers(1, 5))
def test_vocabulary_is_the_most_frequent_ngrams_without_splitting_ties(texts, vocabulary, count):
    rows = [(key, n, n, What.NGRAM) for n, text in enumerate(texts) for key in ngrams(text)]
    parts = blocks(rows, count)
    most = cutoff(sum(map(times_of, parts), Counter()), vocabulary)
    times = Counter(key for key, *_ in rows)
    kept = {key for key in times if times[key] > most}
    assert len(kept) <= vocabulary
    if most:  # one more class of equally frequent ones would be too much
        assert len([key for key in times if times[key] >= most]) > vocabulary
    rare = {owner for block in parts for owner, _ in too_rare(block, most)}
    assert rare == {n for n, text in enumerate(texts) if not kept.issuperset(ngrams(text))}


def test_ngrams_are_words_and_pairs_of_words_in_any_case():
    assert ngrams(["Red", "boat"]) == ngrams(["red", "BOAT"])
    assert len(ngrams(["red", "boat", "sails"])) == 5
    assert set(ngrams(["red", "boat"])) & set(ngrams(["boat", "red"])) == set(
        ngrams(["red"]) + ngrams(["boat"])
    )


@pytest.mark.parametrize("count", [1, 3, 64])
def test_blocks_have_every_record_once_and_each_key_in_one(count):
    rng = np.random.default_rng(3)
    rows = np.zeros(1000, RECORD)
    rows["key"], rows["owner"] = rng.integers(0, 50, 1000), np.arange(1000)
    parts = [(n, np.frombuffer(data, RECORD)) for n, data in split(rows, count)]
    assert sorted(np.concatenate([part["owner"] for _, part in parts])) == list(range(1000))
    assert sum(len(set(part["key"])) for _, part in parts) == len(set(rows["key"]))
    assert all(n < count for n, _ in parts)
