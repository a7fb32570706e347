"""Turns: round the hosts, a few at once, not too often, with pauses, second tries and an end."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from m3w_builder.fetch.hosts import Turns


class Clock:
    """A clock that one sets; only single-threaded tests use it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def urls(**counts: int) -> list[str]:
    return [f"http://{host}/{n}" for host, count in counts.items() for n in range(count)]


def test_turns_go_round_the_hosts() -> None:
    assert list(Turns(urls(a=3, b=1, c=1), 2)) == [0, 3, 4, 1, 2]


def test_every_url_has_a_turn_and_no_host_more_threads_than_allowed() -> None:
    turns = Turns(urls(a=40, b=40, c=3), 3)
    lock, running, most, seen = threading.Lock(), {"a": 0, "b": 0, "c": 0}, set(), []
    names = [url[7] for url in urls(a=40, b=40, c=3)]

    def work() -> None:
        for index in turns:
            turns.answered(index)
            with lock:
                running[names[index]] += 1
                most.add(running[names[index]])
                seen.append(index)
            time.sleep(0.001)
            with lock:
                running[names[index]] -= 1

    with ThreadPoolExecutor(12) as threads:
        for done in [threads.submit(work) for _ in range(12)]:
            done.result()
    assert sorted(seen) == list(range(83))
    assert max(most) == 3


def test_interval_lies_between_two_starts_of_one_host() -> None:
    turns, starts = Turns(urls(a=3, b=1), 4, interval=0.1), {}
    for index in turns:
        starts[index] = time.monotonic()
    assert starts[1] - starts[0] >= 0.1
    assert starts[2] - starts[1] >= 0.1
    assert list(starts) == [0, 3, 1, 2]


def test_paused_host_lets_the_others_go_on() -> None:
    turns, order = Turns(urls(a=2, b=3), 1), []
    for index in turns:
        order.append(index)
        if index == 0:
            turns.pause(0, 0.1)
    assert order == [0, 2, 3, 4, 1]


def test_url_gets_another_turn_after_its_time_and_others_of_the_host_go_first() -> None:
    turns, order, start = Turns(urls(a=2), 1), [], time.monotonic()
    for index in turns:
        order.append(index)
        if len(order) == 1:
            turns.again(index, 0.1)
    assert order == [0, 1, 0]
    assert time.monotonic() - start >= 0.1


def test_other_threads_wait_for_a_second_turn() -> None:
    """The last URL is running, nothing waits: who goes home now would leave its second turn to one thread."""
    turns, tries = Turns(urls(a=1), 1), []

    def work() -> None:
        for index in turns:
            tries.append(threading.get_ident())
            time.sleep(0.05)
            if len(tries) < 4:
                turns.again(index, 0.0)

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(work) for _ in range(3)]:
            done.result()
    assert len(tries) == 4


def test_host_is_dead_after_failures_in_a_row_and_does_not_wait_then() -> None:
    clock = Clock()
    turns = Turns(urls(a=6), 1, dead_after=3, clock=clock)
    fates = []
    for index in turns:
        fates.append(turns.is_dead(index))
        if index == 1:
            turns.failed(index)
            turns.answered(index)  # what was before does not count
        else:
            turns.failed(index)
            turns.pause(index, 0.0 if index < 4 else 1000.0)  # of a dead host nobody minds
    assert fates == [False] * 5 + [True]


def test_first_request_goes_alone_and_answers_widen_the_way() -> None:
    turns = Turns(urls(a=20), 4)

    def free() -> int:
        """Returns how many threads may ask the host now."""
        return turns._host(0).width - turns._host(0).running

    threads = [iter(turns) for _ in range(4)]
    index = next(threads[0])
    assert free() == 0
    for width in (2, 4, 4):
        turns.answered(index)
        assert turns._host(0).width == width
    indexes = [index, *(next(thread) for thread in threads[1:])]
    assert (indexes, free()) == ([0, 1, 2, 3], 0)
    for width in (2, 1, 1):
        turns.failed(index)
        assert turns._host(0).width == width


def test_slowed_host_is_asked_by_one_at_a_time() -> None:
    turns, starts = Turns(urls(a=3), 4), []
    for index in turns:
        starts.append(time.monotonic())
        turns.slow_down(index, 0.08)
    assert min(b - a for a, b in pairwise(starts)) >= 0.08


def test_stopped_turns_end_for_those_who_wait() -> None:
    turns = Turns(urls(a=2), 1, interval=100.0)
    running = iter(turns)
    next(running)
    waiting = threading.Thread(target=lambda: list(turns))
    waiting.start()
    turns.stop()
    waiting.join(5)
    assert not waiting.is_alive()
    assert list(running) == []
