"""What the benchmark of training trains on: drawn token ids and pixels, nothing read from disk.

Two batches, both in the mixture of the two datasets that open_flamingo knows. `equal`: four documents of
256 tokens with three images each, which leaves nothing to pad. `mix`: documents of 256 tokens with 1, 2,
3 and 4 images (the median of open_flamingo's paper is 2) and twice as many pairs of 10 to 32 tokens.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m3w_builder.flamingo.data.batch import Loaded
from m3w_builder.flamingo.data.examples import Example, Tag

PAD, BOS, EOS, FIRST = 0, 1, 2, 3  # ids of the drawn vocabulary; words from FIRST on
DOCUMENT = 256  # tokens
EQUAL = 3  # images of each document of `equal`
IMAGES = (1, 2, 3, 4)  # of the documents of `mix`
PAIRS = (10, 12, 14, 16, 18, 20, 22, 32)  # tokens of its pairs
WEIGHTS = {"pairs": 0.2, "documents": 1.0}  # in the order of open_flamingo's step


@dataclass(frozen=True)
class Words:
    """The vocabulary: the frozen LM's `size` tokens, the last of them `<image>`, then <EOC>."""

    size: int

    @property
    def image(self) -> int:
        return self.size - 1

    @property
    def eoc(self) -> int:
        return self.size


Work = dict[str, list[Loaded]]  # by dataset


def equal(words: Words, side: int, *, copies: int = 4, length: int = DOCUMENT) -> Work:
    """Returns documents without anything to pad, of images of `side` pixels."""
    rng = random.Random(0)
    return {"documents": [_document(rng, words, side, length, EQUAL) for _ in range(copies)]}


def mix(words: Words, side: int, *, copies: int = 1, length: int = DOCUMENT) -> Work:
    """Returns the mix, `copies` times its four documents and eight pairs."""
    rng = random.Random(1)
    pairs = [_pair(rng, words, side, size) for _ in range(copies) for size in PAIRS]
    documents = [
        _document(rng, words, side, length, images) for _ in range(copies) for images in IMAGES
    ]
    return {"pairs": pairs, "documents": documents}


def tokens(work: Work) -> int:
    """Returns the tokens of the texts, padding not among them."""
    return sum(len(example.ids) for loaded in work.values() for example, _ in loaded)


def images(work: Work) -> int:
    """Returns how many images there are, empty slots not among them."""
    return sum(len(pictures) for loaded in work.values() for _, pictures in loaded)


def _document(rng: random.Random, words: Words, side: int, length: int, count: int) -> Loaded:
    """Returns `<BOS>words<image>words<EOC><image>words<EOC>...`, cut before its end as a window is."""
    chunk = (length - 1) // (count + 1)
    ids, tags = [BOS, *_text(rng, words, length - 1 - count * chunk)], []
    for _ in range(count):
        tags.append(len(ids))
        ids += [words.image, *_text(rng, words, chunk - 2), words.eoc]
    return _loaded(rng, words, side, ids, tags)


def _pair(rng: random.Random, words: Words, side: int, length: int) -> Loaded:
    """Returns `<BOS><image>words<EOC><EOS>`."""
    ids = [BOS, words.image, *_text(rng, words, length - 4), words.eoc, EOS]
    return _loaded(rng, words, side, ids, [1])


def _text(rng: random.Random, words: Words, count: int) -> list[int]:
    return [rng.randrange(FIRST, words.image) for _ in range(count)]


def _loaded(
    rng: random.Random, words: Words, side: int, ids: list[int], tags: Sequence[int]
) -> Loaded:
    """Returns the example with its pictures; phi and loss are open_flamingo's in both models.

    A token sees the image of the last tag before it, the tag its own; what sees none, and the tags
    themselves, are not learnt (our loss = "seen").
    """
    phi = [sum(tag <= position for tag in tags) for position in range(len(ids))]
    loss = [bool(seen) and token != words.image for token, seen in zip(ids, phi, strict=True)]
    key = f"{rng.getrandbits(80):020x}"
    marks = tuple(
        Tag(place, place + 1, node, (f"{number:03}.jpg",), ("",))
        for number, (node, place) in enumerate(zip(range(1, 2 * len(tags), 2), tags, strict=True))
    )
    pixels = np.random.default_rng(rng.getrandbits(32))
    pictures: list[list[NDArray[np.uint8]]] = [
        [pixels.integers(0, 256, (side, side, 3), dtype=np.uint8)] for _ in tags
    ]
    return Example(key, ids, phi, loss, marks, (words.image,)), pictures
