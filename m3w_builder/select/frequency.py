"""What occurs too often, or too rarely, in the whole crawl: packed records of who has what, counted by key.

The first pass packs a record per thing and owner; records of one key meet in one block, whatever the number of
blocks; the second pass sends each owner what it has too much of. Keys are 64 bits of a hash.

ALIGN (Jia et al. 2021, arXiv 2102.05918, section 3) has the rules for pairs; OBELICS (Laurençon et al. 2023, arXiv
2306.16527, A.1.6) those for images and paragraphs of documents.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from m3w_builder.config import CorpusConfig


class What(IntEnum):
    """What a record counts: how many different counted things go with one key."""

    IMAGE = 1  # bytes of an image (so also its address) -> pages that show it
    PARAGRAPH = 2  # paragraph in a domain -> pages that have it
    PAIR_TEXT = 3  # text of pairs -> images that have it
    PAIR_IMAGE = 4  # image of pairs -> texts that it has
    NGRAM = 5  # word or pair of words -> how often pairs' texts have it


RECORD = np.dtype([("key", "<u8"), ("counted", "<u8"), ("owner", "<u8"), ("what", "u1")])
Records = NDArray[np.void]


class Hit(NamedTuple):
    """A document has something that occurs too often (or, an n-gram, too rarely)."""

    what: int
    key: int
    times: int


def key64(*parts: str | int) -> int:
    """Returns 64 bits of a hash of the parts."""
    text = "\0".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def records(rows: Iterable[tuple[int, int, int, int]]) -> Records:
    """Returns records of (key, counted, owner, what)."""
    return np.fromiter(rows, RECORD)


def bounds(config: CorpusConfig) -> dict[int, int]:
    """Returns how many counted things a key may have, by what is counted; what is switched off is not in it."""
    limits = {
        What.IMAGE: config.max_pages_per_image,
        What.PARAGRAPH: config.max_paragraph_repeats,
        What.PAIR_TEXT: config.max_images_per_text,
        What.PAIR_IMAGE: config.max_texts_per_image,
    }
    return {int(what): limit for what, limit in limits.items() if limit}


def too_many(block: Records, limits: Mapping[int, int]) -> Iterator[tuple[int, Hit]]:
    """Yields (owner, hit) for each key of a block with more counted things than its limit."""
    for what, limit in limits.items():
        mine = np.unique(block[block["what"] == what])  # also sorts, by key, counted, owner
        if not len(mine):
            continue
        pairs = np.unique(mine[["key", "counted"]])
        keys, counts = np.unique(pairs["key"], return_counts=True)
        often, times = keys[counts > limit], counts[counts > limit]
        if not len(often):
            continue
        place = np.searchsorted(often, mine["key"]).clip(max=len(often) - 1)
        for at in np.flatnonzero(often[place] == mine["key"]):
            hit = Hit(what, int(mine["key"][at]), int(times[place[at]]))
            yield int(mine["owner"][at]), hit


def times_of(block: Records) -> Counter[int]:
    """Returns how many n-grams of a block occur how often."""
    ngrams = block["key"][block["what"] == What.NGRAM]
    _, counts = np.unique(ngrams, return_counts=True)
    often, numbers = np.unique(counts, return_counts=True)
    return Counter(dict(zip(often.tolist(), numbers.tolist(), strict=True)))


def cutoff(times: Mapping[int, int], vocabulary: int) -> int:
    """Returns the number of occurrences up to which an n-gram is outside the vocabulary.

    The vocabulary is the largest set of at most so many n-grams that has, with one, all that are as frequent.
    """
    room = vocabulary
    for often in sorted(times, reverse=True):
        room -= times[often]
        if room < 0:
            return often
    return 0


def too_rare(block: Records, most: int) -> Iterator[tuple[int, Hit]]:
    """Yields (owner, hit) for each owner of an n-gram that occurs at most so often: one of the rarest it has here."""
    if not most:
        return
    ngrams = block[block["what"] == What.NGRAM]
    keys, counts = np.unique(ngrams["key"], return_counts=True)
    rare = counts <= most
    keys, counts = keys[rare], counts[rare]
    if not len(keys):
        return
    place = np.searchsorted(keys, ngrams["key"]).clip(max=len(keys) - 1)
    found = keys[place] == ngrams["key"]
    owners, keys, counts = ngrams["owner"][found], keys[place[found]], counts[place[found]]
    order = np.lexsort((keys, counts, owners))
    owners, first = np.unique(owners[order], return_index=True)
    for owner, at in zip(owners.tolist(), order[first].tolist(), strict=True):
        yield owner, Hit(What.NGRAM, int(keys[at]), int(counts[at]))


def ngrams(words: list[str]) -> list[int]:
    """Returns the keys of the words and pairs of words of a text, in lower case."""
    folded = [word.casefold() for word in words]
    pairs = [key64(one, other) for one, other in pairwise(folded)]
    return [*map(key64, folded), *pairs]
