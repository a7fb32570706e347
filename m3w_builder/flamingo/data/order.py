"""The order of an epoch: a pure function of (seed, epoch) that never has to be stored.

Chunks of samples that lie together are permuted over the whole dataset, then the samples inside
groups of chunks: a shuffle whose reads are long and whose working set is one group. Only what a place
needs is drawn, so ten million samples cost what their chunks cost, and resuming costs nothing.

    on disk   [0 1 2][3 4 5][6 7 8][9 10 11]
    chunks    [6 7 8][0 1 2] [9 10 11][3 4 5]      permuted
    groups     7 0 2  8 1 6    4 11 9  10 3 5      of two chunks, samples permuted in each
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]

KEPT_GROUPS = 8  # in memory: batches in the making are rarely of more


class Order:
    """`order(epoch, place)` is the sample at a place; each epoch holds every sample exactly once."""

    def __init__(self, chunks: Longs, group: int, seed: int) -> None:
        """`chunks` int64[C + 1]: the first sample of each chunk, then N; `group`: samples, about."""
        self.chunks, self.group = chunks, group
        self.seed = seed % 2**64  # what SeedSequence takes
        self._epoch = lru_cache(2)(self._permuted)  # a batch may lie across two
        self._group = lru_cache(KEPT_GROUPS)(self._shuffled)

    def __len__(self) -> int:
        return int(self.chunks[-1])

    def __reduce__(self) -> tuple[type["Order"], tuple[Longs, int, int]]:
        return type(self), (self.chunks, self.group, self.seed)

    def __call__(self, epoch: int, place: int) -> int:
        """Returns the number of the sample at `place` (below N) of an epoch."""
        _, first = self._epoch(epoch)
        number = last_at(first, place)
        begin, samples = self._group(epoch, int(first[number]) // self.group)
        return int(samples[place - begin])

    def _permuted(self, epoch: int) -> tuple[Longs, Longs]:
        """Returns the chunks of an epoch in their order, and the place of each one's first sample."""
        order = permutation(len(self.chunks) - 1, self.seed, epoch)
        sizes = np.diff(self.chunks)[order]
        return order, np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def _shuffled(self, epoch: int, group: int) -> tuple[int, Longs]:
        """Returns the place where a group begins, and its samples in their order.

        A group is the chunks that begin in [group, group + 1) x self.group.
        """
        order, first = self._epoch(epoch)
        begin, end = np.searchsorted(first, [group * self.group, (group + 1) * self.group])
        runs = [np.arange(self.chunks[c], self.chunks[c + 1]) for c in order[begin:end]]
        samples = np.concatenate(runs)
        return int(first[begin]), samples[permutation(len(samples), self.seed, epoch, group)]


def permutation(size: int, *seed: int) -> Longs:
    """Returns a permutation of range(size): the order of random 64-bit keys.

    Keys, not numpy's shuffle: the bits of PCG64 are promised to stay the same, the shuffle's use of
    them is not (NEP 19).
    """
    keys = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(size)
    return np.argsort(keys, kind="stable")


def last_at(ascending: Longs, value: int) -> int:
    """Returns the number of the last element that is not above `value`."""
    return int(np.searchsorted(ascending, value, side="right")) - 1


def cut(offsets: Longs, ends: Longs, samples: int, size: int) -> Longs:
    """Returns the first samples of the chunks of one shard.

    `offsets` and `ends` int64[n]: where the bytes of each sample begin and end. A chunk has at most
    `samples` samples and, unless one alone is longer, `size` bytes.
    """
    firsts, at = list[int](), 0
    while at < len(offsets):
        firsts.append(at)
        fits = int(np.searchsorted(ends, offsets[at] + size, side="right"))
        at = min(max(fits, at + 1), at + samples)
    return np.array(firsts, dtype=np.int64)
