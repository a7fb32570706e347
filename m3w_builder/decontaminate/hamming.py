"""Nearest hashes by Hamming distance, exactly: every hash is compared, half of it at first."""

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]  # (n, 4): 256 bits each
BLOCK = 1 << 20  # comparisons at a time: 16 MB


def hashes(digits: list[str]) -> Hashes:
    """Returns hashes of 64 hex digits each as rows of four numbers: uint64[n, 4]."""
    body = np.frombuffer(bytes.fromhex("".join(digits)), ">u8")
    return body.reshape(len(digits), 4).astype(np.uint64)


def within(
    queries: Hashes, index: Hashes, distance: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns for each query the place of its nearest hash (of several the first) and the bits that differ.

    The place is -1 where none is within the distance.
    """
    places = np.full(len(queries), -1, np.int64)
    bits = np.full(len(queries), 257, np.int64)
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
