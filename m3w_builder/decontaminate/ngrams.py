"""Which texts of an evaluation set a document holds: shares of their 13-grams.

A text is compared by what is said in it: case, punctuation and white space count for nothing. An
n-gram spans 13 words (Gopher, GPT-3); a shorter text is one n-gram of all its words, if they are at
least 8 (GPT-3, Brown et al. 2020, appendix C: N from 8 to 13). In scripts without spaces two letters
are a word, so an n-gram has up to 26 letters there.

Only words of the evaluation sets have a number; an n-gram is one 64-bit hash of its numbers.
"""

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from m3w_builder.rules import tokens, words

WORDS = 13  # of an n-gram: MassiveText (Rae et al. 2021), GPT-3 (Brown et al. 2020)
MIN_WORDS = 8  # of a text; GPT-3: "minimum value of 8 for non-synthetic tasks"

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]

_BASE = np.uint64(0x9E3779B97F4A7C15)  # of the polynomial, modulo 2^64: odd
_APOSTROPHES = dict.fromkeys(map(ord, "'’ʼ"))
_ASCII = {code: " " for code in range(128) if not chr(code).isalnum()} | {ord("'"): None}
_BITS_PER_NGRAM = 16  # entries of the table per n-gram: one place in 16 is a false hope
_MAX_TABLE = 1 << 26


def normal(text: str) -> str:
    """Returns the words of a text without case and punctuation, with spaces between."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = text.casefold()
    if text.isascii():
        return text.translate(_ASCII)
    return _punctuation().sub(" ", text.translate(_APOSTROPHES))


@cache
def _punctuation() -> re.Pattern[str]:
    """Returns what matches runs of punctuation and symbols."""
    marks = (
        chr(code) for code in range(sys.maxunicode) if unicodedata.category(chr(code))[0] in "PS"
    )
    return re.compile(f"[{re.escape(''.join(marks))}]+")


def span(text: str) -> int:
    """Returns how many tokens an n-gram of a normal text has, 0 for a text that is too short."""
    count, length = len(words(text)), len(tokens(text))
    if count < MIN_WORDS:
        return 0
    return length if count <= WORDS else WORDS * length // count


def rolling(numbers: Hashes, n: int) -> Hashes:
    """Returns the hashes of all runs of n numbers along the last axis: (..., W) to (..., W - n + 1)."""
    count = max(0, numbers.shape[-1] - n + 1)
    found = numbers[..., :count].copy()
    for step in range(1, n):
        found *= _BASE
        found += numbers[..., step : step + count]
    return found


class Ngrams:
    """The n-grams of many texts; `shares` looks up those of a document."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Takes the texts in their order; of equal ones the first stands for all."""
        self._numbers: dict[str, int] = {}
        self.short = 0  # different texts below MIN_WORDS
        seen: set[str] = set()
        by_span: dict[int, list[tuple[int, list[int]]]] = {}
        for place, text in enumerate(texts):
            bare = normal(text)
            found = tokens(bare)
            if (key := " ".join(found)) in seen:
                continue
            seen.add(key)
            if n := span(bare):
                by_span.setdefault(n, []).append((place, [*map(self._number, found)]))
            else:
                self.short += 1
        self.texts = len(seen) - self.short  # different ones that are looked for
        self._levels = [_Level(n, by_span[n]) for n in sorted(by_span)]
        self._table, self._shift = _table([level.heads for level in self._levels])

    def _number(self, word: str) -> int:
        """Returns the number of a word, a new one included; never 0, which is any other word."""
        if word not in self._numbers:
            digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            self._numbers[word] = int.from_bytes(digest) | 1
        return self._numbers[word]

    def shares(self, text: str) -> list[tuple[int, float]]:
        """Returns (place, share of its different n-grams that the text has) of each text that has any."""
        if not self._levels:
            return []
        known = self._numbers.get
        numbers = np.array([known(word, 0) for word in tokens(normal(text))], np.uint64)
        heads = rolling(numbers, MIN_WORDS)
        starts = np.flatnonzero(self._table[heads >> self._shift])
        if not len(starts):
            return []
        hashes, done = heads[starts], MIN_WORDS
        found: list[tuple[int, float]] = []
        for level in self._levels:
            for step in range(done, level.n):
                fits = starts + step < len(numbers)
                starts, hashes = starts[fits], hashes[fits]
                hashes = hashes * _BASE + numbers[starts + step]
            done = level.n
            found += level.shares(hashes)
        return sorted(found)


class _Level:
    """The n-grams of the texts whose n-grams have n tokens."""

    def __init__(self, n: int, texts: Sequence[tuple[int, list[int]]]) -> None:
        self.n = n
        whole = [text for text in texts if len(text[1]) == n]  # nearly all: one n-gram each
        longer = [
            (place, np.array(numbers, np.uint64)) for place, numbers in texts if len(numbers) > n
        ]
        matrix = np.array([numbers for _, numbers in whole], np.uint64).reshape(len(whole), n)
        heads = [rolling(matrix[:, :MIN_WORDS], MIN_WORDS).ravel()]
        heads += [rolling(numbers[: MIN_WORDS - n or None], MIN_WORDS) for _, numbers in longer]
        self.heads = np.unique(np.concatenate(heads))
        parts = [*rolling(matrix, n), *(np.unique(rolling(numbers, n)) for _, numbers in longer)]
        hashes = np.concatenate(parts)
        self._totals = np.array([*map(len, parts)])
        self._places = np.array([place for place, _ in (*whole, *longer)])
        owners = np.repeat(np.arange(len(texts)), self._totals)
        order = hashes.argsort(kind="stable")
        self._hashes, first = np.unique(hashes[order], return_index=True)  # (K,)
        self._bounds = np.append(first, len(hashes))  # owners of hash k: bounds[k] to bounds[k + 1]
        self._owners = owners[order]

    def shares(self, hashes: Hashes) -> Iterator[tuple[int, float]]:
        """Yields (place of a text, share) for the n-grams of a document."""
        at = np.searchsorted(self._hashes, hashes)
        at[at == len(self._hashes)] = 0
        hits = np.unique(at[self._hashes[at] == hashes])
        if len(hits):
            runs = [self._owners[self._bounds[hit] : self._bounds[hit + 1]] for hit in hits]
            owners, counts = np.unique(np.concatenate(runs), return_counts=True)
            shares = counts / self._totals[owners]
            yield from zip(self._places[owners].tolist(), shares.tolist(), strict=True)


def _table(heads: Sequence[Hashes]) -> tuple[NDArray[np.bool_], np.uint64]:
    """Returns which upper bits the first MIN_WORDS tokens of an n-gram may have, and the shift to them.

    Most words of a document begin no such n-gram: this tells without a search.
    """
    every = np.concatenate(heads) if heads else np.empty(0, np.uint64)
    size = min(1 << (len(every) * _BITS_PER_NGRAM).bit_length(), _MAX_TABLE)
    shift = np.uint64(64 - (size.bit_length() - 1))
    table = np.zeros(size, np.bool_)
    table[every >> shift] = True
    return table, shift
