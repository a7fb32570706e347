"""Downloads of a unit: threads take turns by host, what may end better is tried again, politely."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from m3w_builder.collect.reasons import BUSY_STATUS, GONE, NO_ANSWER, TRANSIENT, TRANSIENT_STATUS
from m3w_builder.collect.sources import Request
from m3w_builder.collect.unit import Unit
from m3w_builder.config import FetchConfig
from m3w_builder.errors import MediaError
from m3w_builder.fetch import StatusError, Turns
from m3w_builder.types import Media


def download(missing: Sequence[tuple[Request, Media]], unit: Unit) -> None:
    """Adds a row to the unit's journal for each request that no archive could serve.

    With a request comes the row that says why not.
    """
    config = unit.client.config
    turns = Turns(
        [request.url for request, _ in missing],
        config.per_host,
        interval=1 / config.host_rate if config.host_rate else 0.0,
        dead_after=config.dead_after,
    )
    tries = [0] * len(missing)

    def work() -> None:
        for n in turns:
            request, archived = missing[n]
            tries[n] += 1
            if turns.is_dead(n):
                row: Media | None = Media(request.url, request.kind, "host_dead")
            else:
                row = _attempt(request, unit, n, tries[n], turns)
            if row is not None:
                unit.journal.add(_settled(request, unit, row, archived))

    count = min(config.threads, len(missing))
    with ThreadPoolExecutor(count) as threads:
        try:
            for done in as_completed([threads.submit(work) for _ in range(count)]):
                done.result()
        finally:
            turns.stop()  # after an error of ours: no new downloads


def _attempt(request: Request, unit: Unit, n: int, number: int, turns: Turns) -> Media | None:
    """Returns the row of what is at the URL now, or None when it will have another turn."""
    row, error = unit.from_network(request)
    if error is None or error.reason not in NO_ANSWER:
        turns.slow_down(n, unit.client.delay(request.url))
        turns.answered(n)
    else:
        turns.failed(n)
    wait = _wait(request, number, error, unit.client.config)
    if wait is None:
        return row
    if isinstance(error, StatusError) and error.status in BUSY_STATUS:
        turns.pause(n, wait)
    turns.again(n, wait)
    return None


def _wait(
    request: Request, number: int, error: MediaError | None, config: FetchConfig
) -> float | None:
    """Returns the seconds until the next attempt, None when there is none.

    Exponential backoff; the jitter is drawn by the URL, so that a rerun waits as long.
    """
    if error is None or number >= config.attempts:
        return None
    asked = 0.0
    if isinstance(error, StatusError):
        if error.status not in TRANSIENT_STATUS:
            return None
        asked = error.retry_after or 0.0
    elif error.reason not in TRANSIENT:
        return None
    if asked > config.max_pause_seconds:
        return None
    lot = random.Random(f"{request.url} {number}").uniform(0.5, 1.0)
    backoff = config.backoff_seconds * 2.0 ** (number - 1) * lot
    return min(max(backoff, asked), config.max_pause_seconds)


def _settled(request: Request, unit: Unit, row: Media, archived: Media) -> Media:
    """Returns the row that counts: of the network, of the user's archives, or why none is usable."""
    if row.status in GONE and request.fallback:
        stored = unit.from_archive(request, fallback=True)
        row = stored if stored.status in ("ok", "opted_out") else row
    final = row.status in ("ok", "opted_out") or archived.status == "not_archived"
    return row if final else archived
