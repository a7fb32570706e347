"""Whose turn it is: URLs of many hosts handed out to threads, politely and without anyone waiting for others.

A host is asked by a few threads at once, not more often than its interval, not at all while it asked for a
pause, and never again in this unit after it failed for several URLs in a row. A URL may get another turn later. The
turn goes round the hosts, not down the list: a slow host holds up its own URLs and no others.
"""

import heapq
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Condition
from urllib.parse import urlsplit


@dataclass(slots=True)
class _Host:
    """The state of one host; times are of the clock that `Turns` was given."""

    full: int  # how many threads may ask it at once
    interval: float  # seconds between the starts of two requests
    waiting: list[tuple[float, int]] = field(default_factory=list)  # heap of (not before, index)
    width: int = 1  # how many may now: doubled by an answer, halved by a failure
    running: int = 0
    ready: float = 0.0  # no request before
    failed: set[int] = field(default_factory=set)  # URLs, since the last answer
    buried: bool = False
    queued: bool = False  # whether it stands in the queue of `Turns`


class Turns:
    """Hands out the indexes of `urls` to threads, at most `per_host` at once of each host.

    The first request to a host goes alone: until it `answered`, nobody knows what it asks of us.
    `interval` is the least time between two starts at one host (seconds). A host that `failed` for
    `dead_after` URLs, without an answer between, is dead: its URLs are still handed out, for the
    caller to give up at once.
    """

    def __init__(
        self,
        urls: Sequence[str],
        per_host: int,
        *,
        interval: float = 0.0,
        dead_after: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dead_after = math.inf if dead_after is None else dead_after
        self._clock = clock
        self._names = [urlsplit(url).netloc for url in urls]
        self._hosts: dict[str, _Host] = {}
        for index, name in enumerate(self._names):
            host = self._hosts.setdefault(name, _Host(per_host, interval))
            host.waiting.append((0.0, index))  # in order: a heap
        self._queue: list[tuple[float, int, str]] = []  # heap of (when, order, host)
        self._order = 0
        self._open = len(self._names)  # handed out or waiting
        self._changed = Condition()
        with self._changed:
            for name in self._hosts:
                self._enqueue(name)

    def __iter__(self) -> Iterator[int]:
        """Yields indexes for one thread; a turn is over when the next is asked for."""
        while (index := self._take()) is not None:
            try:
                yield index
            finally:
                self._give_back(index)

    def again(self, index: int, seconds: float) -> None:
        """Gives a URL that is running one more turn, not before `seconds` from now."""
        with self._changed:
            heapq.heappush(self._host(index).waiting, (self._clock() + seconds, index))
            self._open += 1

    def pause(self, index: int, seconds: float) -> None:
        """Lets nobody ask the host of a URL for some seconds."""
        with self._changed:
            host = self._host(index)
            host.ready = max(host.ready, self._clock() + seconds)

    def slow_down(self, index: int, interval: float) -> None:
        """Makes the host of a URL be asked at most once in `interval` seconds, one at a time."""
        with self._changed:
            host = self._host(index)
            if interval > host.interval:
                host.interval, host.full, host.width = interval, 1, 1
                host.ready = max(host.ready, self._clock() + interval)

    def failed(self, index: int) -> None:
        """Notes that the host did not answer: it may be asked by half as many threads."""
        with self._changed:
            host = self._host(index)
            host.failed.add(index)
            host.width = max(1, host.width // 2)

    def answered(self, index: int) -> None:
        """Notes that the host answered: it may be asked by twice as many threads."""
        with self._changed:
            host = self._host(index)
            host.failed.clear()
            host.width = min(2 * host.width, host.full)
            self._enqueue(self._names[index])

    def bury(self, index: int) -> None:
        """Declares the host of a URL dead: it asked to be left alone for longer than we wait."""
        with self._changed:
            self._host(index).buried = True

    def is_dead(self, index: int) -> bool:
        """Returns whether the host of a URL failed too often to be asked again."""
        with self._changed:
            return self._is_dead(self._host(index))

    def stop(self) -> None:
        """Hands out nothing more."""
        with self._changed:
            self._open = 0
            self._queue.clear()
            self._changed.notify_all()

    def _host(self, index: int) -> _Host:
        return self._hosts[self._names[index]]

    def _is_dead(self, host: _Host) -> bool:
        return host.buried or len(host.failed) >= self._dead_after

    def _enqueue(self, name: str) -> None:
        """Puts a host into the queue, at the time it may be asked, unless it is full or has nothing."""
        host = self._hosts[name]
        if host.queued or not host.waiting or host.running >= host.width:
            return
        dead = self._is_dead(host)
        when = 0.0 if dead else max(host.ready, host.waiting[0][0])
        self._order += 1
        heapq.heappush(self._queue, (max(when, self._clock()), self._order, name))
        host.queued = True
        self._changed.notify()

    def _take(self) -> int | None:
        with self._changed:
            while self._open > 0:
                name, wait = self._next()
                if name is None:
                    self._changed.wait(wait)
                    continue
                host = self._hosts[name]
                _, index = heapq.heappop(host.waiting)
                host.running += 1
                host.ready = max(host.ready, self._clock() + host.interval)
                self._enqueue(name)
                return index
            return None

    def _next(self) -> tuple[str | None, float | None]:
        """Returns a host that may be asked now, or None and the seconds until one may, None if unknown."""
        while self._queue:
            when, _, name = self._queue[0]
            wait = when - self._clock()
            if wait > 0:
                return None, wait
            heapq.heappop(self._queue)
            host = self._hosts[name]
            host.queued = False
            later = max(host.ready, host.waiting[0][0]) > self._clock()
            if not later or self._is_dead(host):
                return name, None
            self._enqueue(name)  # it asked for a pause meanwhile
        return None, None

    def _give_back(self, index: int) -> None:
        with self._changed:
            self._host(index).running -= 1
            self._open -= 1
            self._enqueue(self._names[index])
            if self._open <= 0:
                self._changed.notify_all()  # nothing will come: all may go home
