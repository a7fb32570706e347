"""The nearest hash by Hamming distance, exactly: of few every one is compared, of many those that may be near.

A hash of 256 bits is cut into 16 chunks. Two that differ in at most 31 bits differ in at most one bit of
some chunk: only hashes that agree with a query in a chunk, or in all but one bit of it, are compared
(multi-index hashing: Norouzi, Punjani and Fleet 2012).
"""

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]  # (n, 4)
Places = NDArray[np.int64]

BLOCK = 1 << 20  # comparisons at a time: 16 MB
CHUNKS, VALUES = 16, 1 << 16  # of 16 bits each
MAX_DISTANCE = 2 * CHUNKS - 1  # bits
FEW = 5_000  # hashes that are all compared: faster than choosing
_FLIPS = np.array([0, *(1 << bit for bit in range(16))], np.uint16)
_CHUNK = np.arange(CHUNKS)[:, None]


def hashes(digits: list[str]) -> Hashes:
    """Returns hashes of 64 hex digits each as rows of four numbers: uint64[n, 4]."""
    body = np.frombuffer(bytes.fromhex("".join(digits)), ">u8")
    return body.reshape(len(digits), 4).astype(np.uint64)


def within(queries: Hashes, index: Hashes, distance: int) -> tuple[Places, Places]:
    """Returns for each query the place of its nearest hash (of several the first) and the bits that differ.

    The place is -1 where none is within the distance. Compares every hash, half of it at first.
    """
    places = np.full(len(queries), -1, np.int64)
    bits = np.full(len(queries), distance + 1, np.int64)
    rows = max(1, BLOCK // max(1, len(index)))
    for start in range(0, len(queries), rows):
        block = queries[start : start + rows]
        half = sum(
            np.bitwise_count(block[:, None, word] ^ index[None, :, word]) for word in range(2)
        )
        near, at = np.nonzero(half <= distance)
        found = np.bitwise_count(block[near] ^ index[at]).sum(axis=1, dtype=np.int64)
        # By distance, then place, the best last: that is what stays.
        order = np.lexsort((at, found))[::-1]
        order = order[found[order] <= distance]
        places[start + near[order]], bits[start + near[order]] = at[order], found[order]
    return places, bits


class HashIndex:
    """Many hashes, of which the nearest is looked up: 70 bytes for each."""

    def __init__(self, index: Hashes) -> None:
        self._index = np.ascontiguousarray(index)
        if len(index) <= FEW:
            return
        chunks = self._index.view(np.uint16)  # (n, CHUNKS)
        self._order = np.concatenate(
            [chunks[:, n].argsort(kind="stable").astype(np.int32) for n in range(CHUNKS)]
        )
        # Where in `order` the hashes with a value of a chunk begin and, one further on, end.
        counts = [np.bincount(chunks[:, n], minlength=VALUES) for n in range(CHUNKS)]
        ends = [n * len(index) + np.append(0, counts[n].cumsum()) for n in range(CHUNKS)]
        self._bounds = np.array(ends)

    def within(self, queries: Hashes, distance: int) -> tuple[Places, Places]:
        """Returns what the function `within` does, for distances up to MAX_DISTANCE."""
        if len(self._index) <= FEW:
            return within(queries, self._index, distance)
        assert distance <= MAX_DISTANCE, distance
        places = np.full(len(queries), -1, np.int64)
        bits = np.full(len(queries), distance + 1, np.int64)
        for row, query in enumerate(np.ascontiguousarray(queries)):
            some = self._candidates(query)
            apart = np.bitwise_count(self._index[some] ^ query).sum(axis=1, dtype=np.int64)
            if len(some) and (least := apart.min()) <= distance:
                places[row], bits[row] = some[apart == least].min(), least
        return places, bits

    def _candidates(self, query: Hashes) -> Places:
        """Returns the places of all hashes that may be near (4,), some of them more than once."""
        values = query.view(np.uint16)[:, None] ^ _FLIPS
        starts = self._bounds[_CHUNK, values].ravel()
        sizes = self._bounds[_CHUNK, values.astype(np.int64) + 1].ravel() - starts
        before = np.cumsum(sizes) - sizes
        at = np.repeat(starts - before, sizes) + np.arange(sizes.sum())
        return np.asarray(self._order[at], np.int64)
