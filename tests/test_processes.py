"""Work is spread over processes in order, and stays in this one where spreading cannot pay."""

import os

import pytest

from m3w_builder.processes import spread


def place(number: int) -> tuple[int, int]:
    return number, os.getpid()


@pytest.mark.parametrize(("items", "workers"), [(3, 1), (1, 4), (0, 4)])
def test_one_worker_or_one_item_needs_no_process(items: int, workers: int) -> None:
    assert list(spread(place, range(items), workers)) == [(n, os.getpid()) for n in range(items)]


def test_answers_come_in_the_order_of_the_items_from_other_processes() -> None:
    found = list(spread(place, range(5), 2))
    assert [number for number, _ in found] == list(range(5))
    assert os.getpid() not in {process for _, process in found}
