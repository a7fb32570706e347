"""SIGTERM and SIGINT end training between two updates, so that its state can be saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Stoppable(Protocol):
    """What looks after each update whether it was asked to stop."""

    stop_asked: bool


@contextmanager
def stopped_by_signals(training: Stoppable) -> Iterator[None]:
    """Lets SIGTERM and SIGINT end training after the update under way; a second one ends it at once."""

    def stop(number: int, _frame: object) -> None:
        training.stop_asked = True
        signal.signal(number, before[signal.Signals(number)])

    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
