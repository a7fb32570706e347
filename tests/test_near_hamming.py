"""Near-duplicate images: what differs in few bits is found, whatever the order and the splits."""

from hashlib import sha256
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from m3w_builder.media.hashes import distance
from m3w_builder.near import hamming
from m3w_builder.near.hamming import CHUNKS, IMAGE, image_edges, image_entries, within

GUARANTEED = CHUNKS - 1  # bits: so few flips leave one chunk whole

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


def brute_force(hashes: list[str], bits: int) -> set[tuple[int, int]]:
    return {
        (min(image(a), image(b)), max(image(a), image(b)))
        for (a, one), (b, other) in combinations(enumerate(hashes), 2)
        if distance(one, other) <= bits
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
    phash = "".join(f"{n:04x}" for n in range(100, 100 + CHUNKS))
    found = image_entries("0123456789abcdef" * 4, phash, 50.0)
    assert found.dtype == IMAGE
    assert found["key"].tolist() == [n << 16 | 100 + n for n in range(CHUNKS)]
    assert set(found["image"].tolist()) == {0x0123456789ABCDEF}
    assert [f"{word:016x}" for word in found["hash"][0]] == [
        phash[i : i + 16] for i in (0, 16, 32, 48)
    ]


@pytest.mark.parametrize(("phash", "quality"), [("0" * 64, 49.0), ("f" * 64, 0.0), ("", 100.0)])
def test_what_shows_too_little_is_matched_with_nothing(phash: str, quality: float) -> None:
    assert len(image_entries(sha(0), phash, quality)) == 0


def test_no_images_have_no_edges() -> None:
    assert image_edges(np.empty(0, IMAGE), 31).shape == (0, 2)


@given(crowds(), crowds(), st.integers(0, 31))
def test_nearest_is_the_brute_force_one(asked: list[str], known: list[str], bits: int) -> None:
    query, index = (np.stack([hamming.hash_words(h) for h in some]) for some in (asked, known))
    place, apart = within(query, index, bits)
    for one, found, differ in zip(asked, place, apart, strict=True):
        distances = [distance(one, other) for other in known]
        nearest = min(distances)
        assert (found, differ) == (
            (distances.index(nearest), nearest) if nearest <= bits else (-1, bits + 1)
        )
