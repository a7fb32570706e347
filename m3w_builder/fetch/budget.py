"""Memory for bodies: what is being received or measured never exceeds a bound, whoever sends it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Budget:
    """So many bytes for everybody. Who needs some asks once, for all of it, so nobody waits in a circle."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._changed = Condition()

    @contextmanager
    def room(self) -> Iterator["Room"]:
        """Yields a place to ask for bytes; they are given back when the block ends."""
        room = Room(self)
        try:
            yield room
        finally:
            self.give(room.held)

    def take(self, size: int) -> int:
        """Waits for `size` bytes, for all there are if it is more; returns what was taken."""
        size = min(size, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        return size

    def give(self, size: int) -> None:
        """Gives bytes back."""
        with self._changed:
            self._free += size
            self._changed.notify_all()


class Room:
    """The bytes of one download."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.held = 0

    def take(self, size: int) -> None:
        """Waits for the bytes; what was held before is given back first (a redirect, another try)."""
        self._budget.give(self.held)
        self.held = 0
        self.held = self._budget.take(size)
