"""Locality-sensitive hashing: documents that may be copies meet under a key, and pairs are checked there.

A document has a row of `ENTRY` for its contents, for each band of its text and for each group of its
pictures. The rows of one key, a bucket, must be in one block; in what order they are there, and which
keys a block has, changes no edge.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from m3w_builder.config import DedupConfig
from m3w_builder.near.components import Edges
from m3w_builder.near.minhash import bands, jaccard, mix, sketch

Entries = NDArray[np.void]  # of ENTRY
Places = NDArray[np.int64]  # in the sorted rows of a block
Bools = NDArray[np.bool_]

EXACT, TEXT, JOINT = range(3)  # why two documents meet: equal contents, like texts, a picture
ENTRY = np.dtype(
    [
        ("key", "<u8"),
        ("doc", "<u8"),  # the first 64 bits of its id
        ("why", "u1"),
        ("sketch", "<u8", 8),  # of its text
        ("images", "<u8"),  # a bit for each group of like pictures of which it has one
    ]
)  # 89 bytes

SMALL = 64  # documents of a bucket: up to here every pair is compared
LEADERS = 64  # of a larger bucket, with which all others are compared
_PAIRS = 1 << 14  # compared at once: their rows are 3 MB


def entries(doc: int, content: str, signature: bytes, image_groups: NDArray[np.uint64]) -> Entries:
    """Returns the rows of one document.

    Args:
        doc: the first 64 bits of its id.
        content: hex digest of all that two documents must share to be equal; "" = equal to none.
        signature: MinHash of its text; b"" = no words.
        image_groups: uint64[G], of each of its pictures what it has in common with like ones.
    """
    groups = mix(np.unique(image_groups))
    exact = np.array([int(content[:16], 16)] if content else [], np.uint64)
    keys = exact, bands(signature), groups
    rows = np.zeros(sum(map(len, keys)), ENTRY)
    rows["key"] = np.concatenate(keys)
    rows["doc"] = doc
    rows["why"] = np.repeat(np.array([EXACT, TEXT, JOINT], np.uint8), [len(k) for k in keys])
    rows["sketch"] = sketch(signature)
    rows["images"] = np.bitwise_or.reduce(np.uint64(1) << (groups >> np.uint64(58)))
    return rows


def edges(block: Entries, config: DedupConfig) -> Edges:
    """Returns uint64[E, 2], the pairs of documents that are copies: smaller first, ascending, no pair twice.

    Documents that meet in an EXACT row are copies. Those that meet in a TEXT row are, if the estimated
    Jaccard index of their texts is at least `min_jaccard`; in a JOINT row, if it is at least
    `min_joint_jaccard` and the share of common pictures at least `min_joint_images`. A Jaccard
    threshold of 1 switches its kind of row off.

    In a bucket of up to 64 documents every pair is compared. In a larger one documents lead by turns,
    in the order of their numbers: all others are compared with the leader, and its copies lead no
    more. After 64 leaders it ends, so that a row costs 64 comparisons at most. Two copies that meet in
    such buckets only, and are copies of none of their leaders, are not found.
    """
    off = [TEXT] * (config.min_jaccard == 1) + [JOINT] * (config.min_joint_jaccard == 1)
    rows, starts, sizes = _buckets(block[~np.isin(block["why"], off)] if off else block)
    exact = rows["why"][starts] == EXACT
    found = [_stars(starts[exact], sizes[exact])]
    for left, right in _pairs(starts[~exact], sizes[~exact]):
        alike = _alike(rows[left], rows[right], config)
        found.append(np.stack([left[alike], right[alike]], axis=1))
    for large in np.flatnonzero(~exact & (sizes > SMALL)):
        start = starts[large]
        found.append(start + _led(rows[start : start + sizes[large]], config))
    pairs = np.sort(rows["doc"][np.concatenate(found)], axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return pairs[_changes(pairs[:, 0]) | _changes(pairs[:, 1])]


def _buckets(block: Entries) -> tuple[Entries, Places, Places]:
    """Returns the rows that are not alone in their bucket, and where each bucket starts, and its size.

    Within a bucket rows ascend by document, and none is there twice.
    """
    order = block["key"].argsort()
    keys = block["key"][order]
    same = np.zeros(len(keys) + 1, np.bool_)  # as the one before
    np.equal(keys[1:], keys[:-1], out=same[1:-1])
    shared = order[same[1:] | same[:-1]]
    shared = shared[np.lexsort([block[name][shared] for name in ("doc", "why", "key")])]
    first = _changes(block["key"][shared]) | _changes(block["why"][shared])
    kept = first | _changes(block["doc"][shared])
    rows = block[shared[kept]]
    starts = np.flatnonzero(first[kept])
    return rows, starts, np.diff(starts, append=len(rows))


def _changes(column: NDArray[np.generic]) -> Bools:
    """Returns bool[N], where a value is another than the one before it."""
    changes = np.ones(len(column), np.bool_)
    np.not_equal(column[1:], column[:-1], out=changes[1:])
    return changes


def _stars(starts: Places, sizes: Places) -> Places:
    """Returns int64[P, 2], the first place of each bucket with each other place of it."""
    centres = np.repeat(starts, sizes)
    return np.stack([centres, centres + _within(sizes)], axis=1)[_within(sizes) > 0]


def _within(sizes: Places) -> Places:
    """Returns 0, 1 ... size - 1 for each size."""
    return np.arange(sizes.sum()) - np.repeat(sizes.cumsum() - sizes, sizes)


def _pairs(starts: Places, sizes: Places) -> Iterator[tuple[Places, Places]]:
    """Yields two places of every pair of each small bucket, some thousands at once."""
    for size in range(2, SMALL + 1):
        left, right = np.triu_indices(size, 1)
        of_size = starts[sizes == size]
        step = -(-_PAIRS // len(left))
        for n in range(0, len(of_size), step):
            offsets = of_size[n : n + step, None]
            yield (offsets + left).ravel(), (offsets + right).ravel()


def _led(rows: Entries, config: DedupConfig) -> Places:
    """Returns int64[P, 2], the places of pairs of copies of a large bucket, the leader first."""
    found = [np.empty((0, 2), np.int64)]
    leads = np.ones(len(rows), np.bool_)
    for _ in range(LEADERS):
        leader = leads.argmax()
        if not leads[leader]:
            break
        parts = (rows[n : n + _PAIRS] for n in range(0, len(rows), _PAIRS))
        alike = np.concatenate([_alike(rows[leader], part, config) for part in parts])
        leads &= ~alike
        leads[leader] = alike[leader] = False
        copies = np.flatnonzero(alike)
        found.append(np.stack([np.full_like(copies, leader), copies], axis=1))
    return np.concatenate(found)


def _alike(left: Entries, right: Entries, config: DedupConfig) -> Bools:
    """Returns bool[P], which rows of the same bucket are copies: `left` one or P, `right` P."""
    estimate = jaccard(left["sketch"], right["sketch"])
    common = np.bitwise_count(left["images"] & right["images"])
    union = np.bitwise_count(left["images"] | right["images"])
    joint = estimate >= config.min_joint_jaccard
    joint &= common >= config.min_joint_images * union
    alike: Bools = np.where(right["why"] == TEXT, estimate >= config.min_jaccard, joint)
    return alike
