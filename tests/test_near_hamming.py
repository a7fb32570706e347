"""Near-duplicate images: what differs in few bits is found, whatever the order and the splits."""

from hashlib import sha256
from itertools import combinations
from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from m3w_builder.media.hashes import distance
from m3w_builder.near import hamming
from m3w_builder.near.hamming import (
    CHUNK_BITS,
    CHUNKS,
    IMAGE,
    MIN_ONES,
    hash_table,
    hash_words,
    image_edges,
    image_entries,
    within,
)

GUARANTEED = CHUNKS - 1  # bits: so few flips leave one chunk whole
PHOTO = sha256(b"photo").hexdigest()

flips = st.lists(st.integers(0, 255), max_size=40)


@st.composite
def crowds(draw: st.DrawFn) -> list[str]:
    """Returns the hashes of a few families: originals, and copies of them with flipped bits."""
    originals = draw(st.lists(st.integers(0, 2**256 - 1), min_size=1, max_size=3))
    copies = draw(st.lists(st.tuples(st.sampled_from(originals), flips), max_size=12))
    return [f"{hash_:064x}" for hash_ in originals + [flipped(*copy) for copy in copies]]


def flipped(hash_: int, places: list[int]) -> int:
    for place in places:
        hash_ ^= 1 << place
    return hash_


def sha(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


def image(number: int) -> int:
    return int(sha(number)[:16], 16)


def entries(hashes: list[str]) -> NDArray[np.void]:
    return np.concatenate([image_entries(sha(n), phash, 100.0) for n, phash in enumerate(hashes)])


def pairs(edges: NDArray[np.uint64]) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, b in edges}


def groups(edges: set[tuple[int, int]], count: int) -> set[frozenset[int]]:
    """Returns the connected components of the images."""
    group = {image(n): {image(n)} for n in range(count)}
    for a, b in edges:
        group[a] |= group[b]
        for member in group[a]:
            group[member] = group[a]
    return {frozenset(members) for members in group.values()}


def are_near(one: str, other: str, bits: int) -> bool:
    ones = int(one, 16).bit_count() + int(other, 16).bit_count()
    return distance(one, other) <= min(bits, ones // 4)


def brute_force(hashes: list[str], bits: int) -> set[tuple[int, int]]:
    seen = [(n, phash) for n, phash in enumerate(hashes) if int(phash, 16).bit_count() >= MIN_ONES]
    return {
        (min(image(a), image(b)), max(image(a), image(b)))
        for (a, one), (b, other) in combinations(seen, 2)
        if are_near(one, other, bits)
    }


@given(crowds(), st.integers(0, GUARANTEED))
def test_all_within_the_guaranteed_distance_are_joined(hashes: list[str], bits: int) -> None:
    found = pairs(image_edges(entries(hashes), bits))
    near = brute_force(hashes, bits)
    assert found <= near
    assert groups(found, len(hashes)) == groups(near, len(hashes))


@given(crowds(), st.integers(0, 31))
def test_none_beyond_the_distance_is_joined(hashes: list[str], bits: int) -> None:
    assert pairs(image_edges(entries(hashes), bits)) <= brute_force(hashes, bits)


@given(crowds(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_order_repetition_and_spreading_change_nothing(hashes, random, parts) -> None:
    whole = entries(hashes)
    shuffled = np.repeat(whole, 2)[random.sample(range(2 * len(whole)), 2 * len(whole))]
    assert (image_edges(shuffled, 31) == image_edges(whole, 31)).all()
    spread = [image_edges(whole[whole["key"] % parts == part], 31) for part in range(parts)]
    together = set().union(*map(pairs, spread))
    assert groups(together, len(hashes)) == groups(pairs(image_edges(whole, 31)), len(hashes))


def test_an_entry_has_the_number_and_the_bits_of_its_chunk() -> None:
    found = image_entries("0123456789abcdef" * 4, PHOTO, 50.0)
    assert found.dtype == IMAGE
    assert (found["key"] >> CHUNK_BITS).tolist() == list(range(CHUNKS))
    assert set(found["image"].tolist()) == {0x0123456789ABCDEF}
    assert ["".join(f"{word:016x}" for word in row) for row in found["hash"]] == [PHOTO] * CHUNKS
    for place in range(256):  # each bit is in the key of one chunk
        other = image_entries(sha(0), f"{flipped(int(PHOTO, 16), [place]):064x}", 50.0)
        assert (other["key"] != found["key"]).sum() == 1


@pytest.mark.parametrize(
    ("phash", "quality"), [(PHOTO, 49.0), (PHOTO, 0.0), ("", 100.0), ("1" * 15 + "0" * 49, 100.0)]
)
def test_what_shows_too_little_is_matched_with_nothing(phash: str, quality: float) -> None:
    assert len(image_entries(sha(0), phash, quality)) == 0


def test_no_images_have_no_edges() -> None:
    assert image_edges(np.empty(0, IMAGE), 31).shape == (0, 2)


def test_hashes_of_few_set_bits_must_be_nearer() -> None:
    few, many = "f" * 5 + "0" * 59, PHOTO
    for bits, hash_ in ((10, few), (31, many)):
        whole = int(hash_, 16)
        ones = [place for place in range(256) if whole >> place & 1]
        for flips_, found in ((bits // 2, True), (bits + 1, False)):
            other = flipped(
                whole, ones[: flips_ // 2] + list(range(100, 100 + flips_ - flips_ // 2))
            )
            assert (within(words([hash_]), words([f"{other:064x}"]), 31)[0] == 0).all() == found


def test_a_full_bucket_is_not_compared_pair_by_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hamming, "MAX_COMPARED", 256)
    rng = np.random.default_rng(5)
    block = np.zeros(60_000, IMAGE)  # all in one bucket: what shows the same flat chunk
    block["image"] = rng.permutation(len(block))
    block["hash"] = rng.integers(0, 2**64, (len(block), 4), dtype=np.uint64)
    copies = np.flatnonzero(block["image"] % 100 == 99)
    block["hash"][copies] = block["hash"][np.argsort(block["image"])][block["image"][copies] - 1]
    start = process_time()
    found = pairs(image_edges(block, 31))
    assert process_time() - start < 5  # half a second; all pairs would take 10
    assert found == {(n - 1, n) for n in range(99, len(block), 100)}


def test_a_crowd_of_copies_has_few_edges() -> None:
    rng = np.random.default_rng(6)
    block = np.zeros(20_000, IMAGE)  # one picture in as many encodings
    block["image"] = np.arange(len(block))
    block["hash"] = words([PHOTO])
    block["hash"][:, 3] ^= np.uint64(1) << rng.integers(0, 64, len(block), dtype=np.uint64)
    block["hash"][:, 2] ^= np.uint64(1) << rng.integers(0, 64, len(block), dtype=np.uint64)
    edges = image_edges(block, 31)
    assert len(edges) < 2 * len(block)
    assert components(edges, len(block)) == 1


def components(edges: NDArray[np.uint64], count: int) -> int:
    """Returns the number of connected components of images 0 to count - 1."""
    root = list(range(count))

    def find(member: int) -> int:
        while root[member] != member:
            root[member] = member = root[root[member]]
        return member

    for a, b in edges.tolist():
        root[find(a)] = find(b)
    return sum(find(member) == member for member in range(count))


def words(hashes: list[str]) -> NDArray[np.uint64]:
    return np.stack([hash_words(phash) for phash in hashes])


def test_a_table_has_a_row_of_words_for_each_hash() -> None:
    assert (hash_table([PHOTO, sha(1)]) == words([PHOTO, sha(1)])).all()
    assert hash_table([]).shape == (0, 4)
    assert within(words([PHOTO]), hash_table([]), 31)[0].tolist() == [-1]
    assert within(hash_table([]), words([PHOTO]), 31)[0].tolist() == []


@given(crowds(), crowds(), st.integers(0, 31))
def test_nearest_is_the_brute_force_one(asked: list[str], known: list[str], bits: int) -> None:
    place, apart = within(words(asked), hash_table(known), bits)
    for one, found, differ in zip(asked, place, apart, strict=True):
        near = [(distance(one, h), n) for n, h in enumerate(known) if are_near(one, h, bits)]
        nearest, first = min(near, default=(bits + 1, -1))
        assert (found, differ) == (first, nearest)
