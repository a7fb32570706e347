"""Near-duplicate images: which perceptual hashes differ in few bits, found without comparing all pairs.

A hash is cut into chunks; images that agree in a whole chunk meet in a bucket, where the distance is
counted. Two hashes that differ in fewer bits than there are chunks agree in one (pigeonhole; Norouzi,
Punjani, Fleet 2012, "Fast search in Hamming space with multi-index hashing"), so these pairs are all
found; of those further apart most are, as docs/images.md measures.
"""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Places = NDArray[np.int64]

WORDS = 4  # of 64 bits in a hash, PDQ's first digit in the first one
CHUNK_BITS = 16
CHUNKS = 64 * WORDS // CHUNK_BITS
MIN_QUALITY = 50  # PDQ's authors: hashes of less are not to be matched
MAX_COMPARED = 2048  # hashes of a bucket that one is compared with
IMAGE = np.dtype([("key", "<u8"), ("image", "<u8"), ("hash", "<u8", (WORDS,))])


def hash_words(phash: str) -> Words:
    """Returns PDQ's 64 hex digits as uint64[4]."""
    return np.frombuffer(bytes.fromhex(phash), dtype=">u8").astype(np.uint64)


def image_entries(sha256: str, phash: str, quality: float) -> NDArray[np.void]:
    """Returns IMAGE[16], one per chunk; IMAGE[0] for an image that shows too little to be matched.

    `sha256` is that of the stored bytes, `phash` PDQ, `quality` PDQ's own (0 to 100).
    """
    if not phash or quality < MIN_QUALITY:
        return np.empty(0, IMAGE)
    words = hash_words(phash)
    entries = np.empty(CHUNKS, IMAGE)
    entries["key"] = np.arange(CHUNKS) << CHUNK_BITS | words.astype(">u8").view(">u2")
    entries["image"] = int(sha256[:16], 16)
    entries["hash"] = words
    return entries


def image_edges(block: NDArray[np.void], distance: int) -> Words:
    """Returns uint64[E, 2]: pairs of images at most `distance` bits apart, the smaller id first, sorted.

    `block` is IMAGE[n] in any order; all entries of a key that is in it must be in it. Images with
    equal hashes are joined to the one with the smallest id, which stands for them. Within a bucket
    each hash is compared with the `MAX_COMPARED` that follow it in the order of their bits: with all
    others of most buckets; what fuller ones would add must then agree in more than the chunk.
    """
    rows = block[np.lexsort((block["image"], *_bits_after_chunk(block).T[::-1], block["key"]))]
    key, image, hashes = rows["key"], rows["image"], rows["hash"]
    follows = np.zeros(len(rows), dtype=bool)  # has the key and the hash of the row before it
    follows[1:] = (key[1:] == key[:-1]) & (hashes[1:] == hashes[:-1]).all(axis=1)
    first = np.maximum.accumulate(np.where(follows, 0, np.arange(len(rows))))
    found = [np.stack((image[first[follows]], image[follows]), axis=1)]
    key, image, hashes = key[~follows], image[~follows], hashes[~follows]
    for left, right in _near(key, np.ascontiguousarray(hashes.T), distance):
        found.append(np.stack((image[left], image[right]), axis=1))
    return _distinct(np.concatenate(found))


def _bits_after_chunk(block: NDArray[np.void]) -> Words:
    """Returns the hashes [n, 4], beginning with the word behind the one that has the key's chunk.

    So the full buckets of different chunks are ordered by different bits.
    """
    word = (block["key"] >> np.uint64(CHUNK_BITS)).astype(np.int64) * CHUNK_BITS // 64
    places = (word[:, None] + 1 + np.arange(WORDS)) % WORDS
    return np.take_along_axis(block["hash"], places, axis=1)


def _near(key: Words, words: Words, distance: int) -> list[tuple[Places, Places]]:
    """Returns the places of near hashes, words uint64[4, n], in runs of equal keys."""
    found = []
    ends = np.searchsorted(key, key, side="right")
    left = np.arange(len(key))
    for step in range(1, MAX_COMPARED + 1):
        left = left[left + step < ends[left]]
        if not left.size:
            break
        near = left[_within(words, left, left + step, distance)]
        found.append((near, near + step))
    return found


def _within(words: Words, left: Places, right: Places, distance: int) -> NDArray[np.bool_]:
    """Says of each pair of places whether its hashes are near; most pairs are out after two words."""
    bits = np.bitwise_count(words[0][left] ^ words[0][right])
    bits += np.bitwise_count(words[1][left] ^ words[1][right])
    near: NDArray[np.bool_] = bits <= distance
    maybe = np.flatnonzero(near)
    left, right, bits = left[maybe], right[maybe], bits[maybe].astype(np.uint16)
    for word in words[2:]:
        bits += np.bitwise_count(word[left] ^ word[right])
    near[maybe] = bits <= distance
    return near


def _distinct(pairs: Words) -> Words:
    """Returns the pairs with the smaller id first, sorted, each once, none of an image with itself."""
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    new = np.ones(len(pairs), dtype=bool)
    new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return pairs[new]


def within(queries: Words, index: Words, distance: int) -> tuple[Places, Places]:
    """Returns for each query the place of the nearest hash within the distance, or -1, and its bits.

    `queries` is uint64[n, 4], `index` uint64[m, 4]. Exact; of several equally near the first counts.
    Compares n * m hashes, one query at a time.
    """
    place = np.full(len(queries), -1)
    bits = np.full(len(queries), distance + 1)
    words = np.ascontiguousarray(index.T)
    for row, query in enumerate(queries):
        some = np.bitwise_count(words[0] ^ query[0])
        some += np.bitwise_count(words[1] ^ query[1])
        maybe = np.flatnonzero(some <= distance)
        apart = np.bitwise_count(index[maybe] ^ query).sum(axis=1, dtype=np.int64)
        if maybe.size and apart.min() <= distance:
            place[row], bits[row] = maybe[apart.argmin()], apart.min()
    return place, bits
