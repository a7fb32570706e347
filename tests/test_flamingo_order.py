"""The order of an epoch: complete, another each time, the same for ever, and a good shuffle."""

import pickle
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the extra `train` is not installed")

from m3w_builder.flamingo.data.order import Order, cut, permutation

sizes = st.lists(st.integers(1, 40), min_size=1, max_size=60)


def ordered(chunks: list[int], group: int = 100, seed: int = 0) -> Order:
    """Returns the order of chunks of these sizes."""
    return Order(np.cumsum([0, *chunks]), group, seed)


def epoch(order: Order, number: int = 0) -> list[int]:
    return [order(number, place) for place in range(len(order))]


@given(sizes, st.integers(1, 500), st.integers(-5, 5), st.integers(0, 3))
def test_each_epoch_holds_every_sample_exactly_once(
    chunks: list[int], group: int, seed: int, number: int
) -> None:
    order = ordered(chunks, group, seed)
    assert sorted(epoch(order, number)) == list(range(sum(chunks)))


@given(sizes, st.data())
def test_place_needs_no_other_place(chunks: list[int], data: st.DataObject) -> None:
    whole = epoch(ordered(chunks), 1)
    place = data.draw(st.integers(0, sum(chunks) - 1))
    assert ordered(chunks)(1, place) == whole[place]


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(epoch(ordered([10] * 10, seed=seed), n)) for seed in (0, 1) for n in (0, 1)}
    assert len(orders) == 4


def test_order_is_written_down() -> None:
    """A resumed run, on another version of numpy or another machine, meets this order again."""
    assert permutation(8, 7, 1).tolist() == [1, 3, 2, 7, 4, 5, 0, 6]
    written = [0, 4, 1, 5, 3, 2, 6, 8, 10, 11, 7, 9]
    assert epoch(ordered([3, 3, 3, 3], group=6, seed=3)) == written


def test_travels_to_a_worker_without_what_it_has_drawn() -> None:
    order = ordered([10] * 100)
    before = epoch(order)
    sent = pickle.dumps(order)
    assert len(sent) < 1200
    assert epoch(pickle.loads(sent)) == before


def test_neighbours_on_disk_are_rarely_neighbours_in_the_order() -> None:
    order = epoch(ordered([64] * 320, group=2048))
    steps = np.abs(np.diff(order))
    assert np.mean(steps == 1) < 0.003  # 2 / 2048 by chance inside a group
    assert np.median(steps) > 0.2 * len(order)  # a third in a perfect shuffle


def test_every_part_of_the_dataset_comes_in_every_part_of_the_epoch() -> None:
    order = np.array(epoch(ordered([64] * 320, group=2048)))
    eighths = [np.bincount(part * 8 // len(order), minlength=8) for part in np.split(order, 8)]
    assert min(map(min, eighths)) > 0.4 * len(order) / 64


def test_samples_of_a_group_come_from_few_chunks() -> None:
    """What a far reader must keep is one group: 32 chunks, not all 320."""
    chunks = np.array(epoch(ordered([64] * 320, group=2048))) // 64
    assert {len(set(part)) for part in np.split(chunks, 10)} == {32}


def test_ten_million_samples_take_a_moment() -> None:
    started = time.process_time()
    order = ordered([64] * 156_250, group=2048)
    assert len({order(3, place) for place in range(0, 10_000_000, 100_000)}) == 100
    assert time.process_time() - started < 5


def test_chunk_holds_at_most_so_many_samples_and_bytes() -> None:
    ends = np.arange(1, 11) * 10  # ten samples of ten bytes
    assert cut(ends - 10, ends, samples=4, size=1000).tolist() == [0, 4, 8]
    assert cut(ends - 10, ends, samples=4, size=25).tolist() == [0, 2, 4, 6, 8]
    assert cut(ends - 10, ends, samples=4, size=1).tolist() == list(range(10))
    assert cut(ends[:0], ends[:0], samples=4, size=1).tolist() == []
