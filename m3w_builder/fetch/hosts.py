"""Whose turn it is: URLs of many hosts handed out to threads, a few at a time of each host.

A slow host holds up its own URLs and no others: the turn goes round the hosts, not down the list.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Condition
from urllib.parse import urlsplit


class Turns:
    """Hands out the indexes of `urls` to threads, at most `per_host` at once of each host."""

    def __init__(self, urls: Sequence[str], per_host: int) -> None:
        self._hosts = [urlsplit(url).netloc for url in urls]
        self._per_host = per_host
        self._waiting: dict[str, deque[int]] = {}
        for index, host in enumerate(self._hosts):
            self._waiting.setdefault(host, deque()).append(index)
        self._ready = deque(self._waiting)  # hosts that wait and have a turn free
        self._running: Counter[str] = Counter()
        self._changed = Condition()

    def __iter__(self) -> Iterator[int]:
        """Yields indexes for one thread; a turn is over when the next is asked for."""
        while (index := self._take()) is not None:
            with self._given(index):
                yield index

    @contextmanager
    def _given(self, index: int) -> Iterator[None]:
        try:
            yield
        finally:
            self._give_back(self._hosts[index])

    def _take(self) -> int | None:
        with self._changed:
            while not self._ready:
                if not self._waiting:
                    return None
                self._changed.wait()
            host = self._ready.popleft()
            queue = self._waiting[host]
            index = queue.popleft()
            self._running[host] += 1
            if not queue:
                del self._waiting[host]
                if not self._waiting:
                    self._changed.notify_all()  # nothing will come: all may go home
            elif self._running[host] < self._per_host:
                self._ready.append(host)
            return index

    def _give_back(self, host: str) -> None:
        with self._changed:
            if self._running[host] == self._per_host and host in self._waiting:
                self._ready.append(host)
                self._changed.notify()
            self._running[host] -= 1

    def stop(self) -> None:
        """Hands out nothing more."""
        with self._changed:
            self._waiting.clear()
            self._ready.clear()
            self._changed.notify_all()
