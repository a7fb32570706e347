"""The sandbox: items that hang or kill their process are named; everything else passes through."""

import os
import signal
import time

import pytest

from m3w_builder.sandbox import ItemDied, Sandbox


def double(beat, number):
    beat(f"item {number}")
    return 2 * number


def whoami(beat):
    return os.getpid()


def hang(beat):
    beat("good")
    beat("slow")
    time.sleep(60)


def rest(beat):
    time.sleep(0.6)
    beat("item")
    beat("")
    time.sleep(0.6)
    return "rested"


def many(beat):
    for number in range(6):
        beat(f"item {number}")
        time.sleep(0.25)
    return "done"


def late(beat):
    for label in ("a", "b", "", "slow"):
        beat(label)
        time.sleep(0.2)
    time.sleep(60)


def die(beat, label="deadly"):
    beat("a longer label than that")
    beat(label)
    os.abort()


def eat(beat):
    beat("hungry")
    return len(bytearray(64 * 2**30))


def fail(beat):
    raise ValueError("a bug of ours")


@pytest.fixture
def sandbox(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    made = Sandbox()
    yield made
    made.close()


def call(sandbox, name, *args, seconds=20.0):
    return sandbox.call(f"test_sandbox:{name}", *args, seconds=seconds)


def test_values_come_back_and_the_child_is_reused(sandbox):
    assert [call(sandbox, "double", n) for n in (1, 2, 3)] == [2, 4, 6]


def test_hanging_item_is_named_and_the_next_call_works(sandbox):
    call(sandbox, "double", 1)
    with pytest.raises(ItemDied) as caught:
        call(sandbox, "hang", seconds=0.5)
    assert (caught.value.label, caught.value.reason) == ("slow", "page_timeout")
    assert call(sandbox, "double", 4) == 8


@pytest.mark.parametrize(("name", "label"), [("die", "deadly"), ("eat", "hungry")])
def test_item_that_kills_its_process_is_named(sandbox, name, label):
    with pytest.raises(ItemDied) as caught:
        call(sandbox, name)
    assert (caught.value.label, caught.value.reason) == (label, "page_crashed")


@pytest.mark.parametrize("label", ["ä" * 9000, "a b\n", "\udc80"])
def test_any_label_comes_back(sandbox, label):
    with pytest.raises(ItemDied) as caught:
        call(sandbox, "die", label)
    assert caught.value.label == label


def test_items_may_take_longer_together_than_one_may(sandbox):
    assert call(sandbox, "many", seconds=1.0) == "done"


def test_item_that_begins_late_has_its_whole_time(sandbox):
    call(sandbox, "double", 1)
    begun = time.monotonic()
    with pytest.raises(ItemDied) as caught:
        call(sandbox, "late", seconds=0.5)
    assert caught.value.label == "slow"
    assert 1.1 <= time.monotonic() - begun < 5


def test_exception_is_raised_here_with_its_trace(sandbox):
    with pytest.raises(ValueError, match="a bug of ours") as caught:
        call(sandbox, "fail")
    assert "sandboxed process" in caught.value.__notes__[0]


def test_child_that_died_between_two_calls_is_replaced(sandbox):
    pid = call(sandbox, "whoami")
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    assert call(sandbox, "double", 3) == 6


def test_time_between_items_is_not_the_items(sandbox):
    assert call(sandbox, "rest", seconds=0.3) == "rested"
