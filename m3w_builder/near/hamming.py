"""Near-duplicate images: which perceptual hashes differ in few bits, found without comparing all pairs.

A hash is cut into chunks; images that agree in a whole chunk meet in a bucket, where the distance is
counted. Hashes that differ in fewer bits than there are chunks agree in one (Norouzi, Punjani, Fleet
2012, "Fast search in Hamming space with multi-index hashing"): these pairs are all found. Of those
further apart most are; docs/images.md has the shares, and what other numbers of chunks cost.

Hashes are near when they differ in at most `distance` bits, and in no more than a quarter of the bits
that are set in both together. The second limit is for hashes of few set bits (the firm ones of plain
pictures), which are all not far from each other; PDQ sets half of the 256 and never meets it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from m3w_builder.near.components import Places, joined

Words = NDArray[np.uint64]

WORDS = 4  # of 64 bits in a hash, the first digit in the first one
CHUNKS = 15  # of 17 bits, one of 18
CHUNK_BITS = -(-64 * WORDS // CHUNKS)
MIN_QUALITY = 50  # PDQ's authors: hashes of less are not to be matched
MIN_ONES = 16  # set bits of a hash below which there is nothing to compare
SET_PER_BIT = 4  # bits set in both hashes together for each bit in which they may differ
FAR = 64 * WORDS + 1  # more bits than a hash has
MAX_COMPARED = 4096  # hashes of a bucket that one is compared with
IMAGE = np.dtype([("key", "<u8"), ("image", "<u8"), ("hash", "<u8", (WORDS,))])


def _weights() -> NDArray[np.int64]:
    """Returns int64[256, 15]: what each bit adds to the value of each chunk.

    A chunk has bits of all rows and columns of the DCT. An even number of chunks would part its odd
    frequencies from the even ones, and in symmetric pictures one of the two is zero.
    """
    row, column = np.divmod(np.arange(64 * WORDS), 16)
    of_chunk = (2 * row + column)[:, None] % CHUNKS == np.arange(CHUNKS)
    return np.where(of_chunk, 1 << (of_chunk.cumsum(axis=0) - of_chunk), 0)


_WEIGHTS = _weights()


def hash_words(phash: str) -> Words:
    """Returns 64 hex digits as uint64[4]."""
    return np.frombuffer(bytes.fromhex(phash), dtype=">u8").astype(np.uint64)


def shows_enough(phash: str, quality: float) -> bool:
    """Tells whether a picture with this hash ("" for none) and quality can be matched with others."""
    return bool(phash) and quality >= MIN_QUALITY and int(phash, 16).bit_count() >= MIN_ONES


def hash_table(hashes: Sequence[str]) -> Words:
    """Returns hashes of 64 hex digits each as uint64[n, 4], word by word in memory: what `within` reads fastest."""
    words = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=">u8").reshape(-1, WORDS)
    return np.asfortranarray(words.astype(np.uint64))


def image_entries(sha256: str, phash: str, quality: float) -> NDArray[np.void]:
    """Returns IMAGE[15], one per chunk; IMAGE[0] for an image that shows too little to be matched.

    `sha256` is that of the stored bytes, `phash` of 256 bits as hex digits, `quality` PDQ's (0 to 100).
    """
    if not shows_enough(phash, quality):
        return np.empty(0, IMAGE)
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(phash), dtype=np.uint8))
    entries = np.empty(CHUNKS, IMAGE)
    entries["key"] = (np.arange(CHUNKS) << CHUNK_BITS) + bits @ _WEIGHTS
    entries["image"] = np.uint64(int(sha256[:16], 16))
    entries["hash"] = hash_words(phash)
    return entries


def image_edges(block: NDArray[np.void], distance: int) -> Words:
    """Returns uint64[E, 2]: near images, the smaller id first, sorted.

    `block` is IMAGE[n] in any order; all entries of a key that is in it must be in it. The edges join
    what the pairs of near hashes in each bucket join; pairs joined by others already are left out.
    Within a bucket equal hashes count once, and each is compared with the `MAX_COMPARED` that follow
    in the order of their bits: with all others but in the fullest buckets (a flat chunk), where what
    is found must agree in further bits.
    """
    # Sorted by other words in the buckets of other chunks, so that full ones lose different pairs.
    turned = np.take_along_axis(block["hash"], _words_from(block["key"]), axis=1)
    rows = block[np.lexsort((block["image"], *turned.T[::-1], block["key"]))]
    key, image, hashes = rows["key"], rows["image"], rows["hash"]
    again = np.zeros(len(rows), dtype=bool)  # of the key and the hash of the row before
    again[1:] = (key[1:] == key[:-1]) & (hashes[1:] == hashes[:-1]).all(axis=1)
    first = np.maximum.accumulate(np.where(again, 0, np.arange(len(rows))))
    equal = np.stack((image[first[again]], image[again]), axis=1)
    near = image[~again][_near(key[~again], hashes[~again], distance)]
    return _distinct(np.concatenate((equal, near)))


def _words_from(key: Words) -> Places:
    """Returns int64[n, 4]: the order of the words of a hash in the bucket of its key."""
    chunk = (key >> np.uint64(CHUNK_BITS)).astype(np.int64)
    return (chunk[:, None] + np.arange(WORDS)) % WORDS


def _near(key: Words, hashes: Words, distance: int) -> Places:
    """Returns int64[E, 2]: places of near hashes, uint64[n, 4], within runs of equal keys."""
    found = [np.empty((0, 2), dtype=np.int64)]
    roots = np.arange(len(key))
    room = np.searchsorted(key, key, side="right") - roots - 1  # rows that follow in the bucket
    order = np.argsort(-room, kind="stable")
    steps = np.arange(1, MAX_COMPARED + 1)
    counts = np.searchsorted(-room[order], -steps, side="right")  # of rows with so many after them
    words = np.ascontiguousarray(hashes.T[:2])
    here = words[:, order]
    for step, count in zip(steps, counts[counts > 0], strict=False):
        left = order[:count]
        # Two of the four words are enough to tell nearly all that are not near.
        bits = np.bitwise_count(here[0, :count] ^ words[0][left + step])
        bits += np.bitwise_count(here[1, :count] ^ words[1][left + step])
        near = left[np.flatnonzero(bits <= distance)]
        if near.size:
            near = near[bits_apart(hashes[near], hashes[near + step]) <= distance]
            near = near[roots[near] != roots[near + step]]
            found.append(np.stack((near, near + step), axis=1))
            roots = joined(roots, near, near + step)
    return np.concatenate(found)


def bits_apart(some: Words, others: Words) -> Places:
    """Returns int64[n]: in how many bits hashes [n, 4] differ; FAR where that is too much for them."""
    bits = _ones(some ^ others)
    bits[SET_PER_BIT * bits > _ones(some) + _ones(others)] = FAR
    return bits


def _ones(hashes: Words) -> Places:
    """Returns int64[n]: the set bits of hashes [n, 4]."""
    ones: Places = np.bitwise_count(hashes).sum(axis=-1, dtype=np.int64)
    return ones


def _distinct(pairs: Words) -> Words:
    """Returns the pairs with the smaller id first, sorted, each once, none of an image with itself."""
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    new = np.ones(len(pairs), dtype=bool)
    new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return pairs[new]


def within(queries: Words, index: Words, distance: int) -> tuple[Places, Places]:
    """Returns for each query the place of its nearest near hash, or -1, and the bits they differ in.

    `queries` is uint64[n, 4], `index` uint64[m, 4]; both answers are int64[n]. Exact; of several
    equally near ones the first counts; -1 comes with distance + 1. Compares n * m hashes, a query at a
    time: in some 20 bytes for each hash of the index. Choosing candidates by chunks saves little here: of
    real pictures one in twelve agrees with another, but for a bit, in one of 16, and picking costs as much.
    """
    place, bits = np.full(len(queries), -1), np.full(len(queries), distance + 1)
    words = np.ascontiguousarray(index.T[:2])
    for row, query in enumerate(queries):
        some = np.bitwise_count(words[0] ^ query[0])
        some += np.bitwise_count(words[1] ^ query[1])
        maybe = np.flatnonzero(some <= distance)
        apart = bits_apart(index[maybe], query)
        if apart.size and apart.min() <= distance:
            place[row], bits[row] = maybe[apart.argmin()], apart.min()
    return place, bits
