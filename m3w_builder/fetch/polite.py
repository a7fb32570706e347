"""Many URLs, politely: threads take turns by host, and what may end better is asked for again."""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from urllib.parse import urlsplit

from m3w_builder.config import FetchConfig
from m3w_builder.errors import MediaError
from m3w_builder.fetch.client import Client
from m3w_builder.fetch.download import StatusError
from m3w_builder.fetch.hosts import Turns
from m3w_builder.fetch.sockets import OutOfTimeError

# What may end better at another time.
TRANSIENT = frozenset(
    {"unreachable", "timeout", "bad_response", "truncated_body", "robots_unreachable"}
)
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
BUSY_STATUS = frozenset({429, 503})  # the whole host asks for a pause
NO_ANSWER = frozenset({"unreachable", "timeout", "tls_error"})

HOST_DEAD = MediaError("host_dead")


def ask_all(
    urls: Sequence[str],
    client: Client,
    ask: Callable[[int], MediaError | None],
    done: Callable[[int, MediaError | None], None],
) -> None:
    """Calls `ask(n)` for each URL, a few times where another try may help, then `done(n, error)` once.

    `ask` makes one request and returns what went wrong with it. URLs of a dead host are done without
    being asked for, with the error host_dead.
    """
    config = client.config
    turns = Turns(
        urls,
        config.per_host,
        interval=1 / config.host_rate if config.host_rate else 0.0,
        dead_after=config.dead_after,
    )
    tries = [0] * len(urls)

    def work() -> None:
        for n in turns:
            if turns.is_dead(n):
                done(n, HOST_DEAD)
                continue
            tries[n] += 1
            error = ask(n)
            wait = patience(urls[n], tries[n], error, config)
            _tell(turns, n, error, urls[n], client)
            if wait is None:
                done(n, error)
            else:
                turns.again(n, wait)

    count = min(config.threads, len(urls))
    with ThreadPoolExecutor(count) as threads:
        try:
            for finished in as_completed([threads.submit(work) for _ in range(count)]):
                finished.result()
        finally:
            turns.stop()  # after an error of ours: no new downloads


def _tell(turns: Turns, n: int, error: MediaError | None, url: str, client: Client) -> None:
    """Tells the turns what an answer, or none, says of its host; what another host says is not its fault."""
    if error is not None and error.where and urlsplit(error.where).netloc != urlsplit(url).netloc:
        return
    if isinstance(error, StatusError) and error.status in BUSY_STATUS:
        asked, longest = error.retry_after or 0.0, client.config.max_pause_seconds
        if asked > longest:
            turns.bury(n)
        turns.pause(n, min(max(asked, client.config.backoff_seconds), longest))
    elif error is not None and error.reason in NO_ANSWER:
        turns.failed(n)
    else:
        turns.slow_down(n, client.delay(url))
        turns.answered(n)


def patience(url: str, tries: int, error: MediaError | None, config: FetchConfig) -> float | None:
    """Returns the seconds until the next request after `tries` of them, None when there is none.

    Exponential backoff; the jitter is drawn by the URL, so that a rerun waits as long.
    """
    if error is None or tries >= config.attempts:
        return None
    asked = 0.0
    if isinstance(error, StatusError):
        if error.status not in TRANSIENT_STATUS:
            return None
        asked = error.retry_after or 0.0
    elif error.reason not in TRANSIENT or isinstance(error, OutOfTimeError):
        return None
    if asked > config.max_pause_seconds:
        return None
    lot = random.Random(f"{url} {tries}").uniform(0.5, 1.0)
    backoff = config.backoff_seconds * 2.0 ** (tries - 1) * lot
    return min(max(backoff, asked), config.max_pause_seconds)
