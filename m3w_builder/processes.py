"""Work spread over processes of this machine, where no Beam runs: shards to check, to search, to rewrite."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def spread(do: Callable[[T], R], items: Sequence[T], workers: int) -> Iterator[R]:
    """Yields what `do` returns for each item, in their order, from several processes when that pays.

    `do`, items and answers must pickle where there is more than one worker and more than one item.
    """
    workers = min(workers, len(items))
    if workers < 2:
        yield from map(do, items)
        return
    # Loaded late: most readers of shards never start a process.
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Started anew, not forked: libraries of the caller may hold threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(do, items)
