"""Which texts of an evaluation set a document holds: shares of their 13-grams.

A text is compared by what is said in it: case, punctuation and white space count for nothing. An
n-gram spans 13 words (Gopher, GPT-3); a shorter text is one n-gram of all its words, if they are at
least 8 (GPT-3, Brown et al. 2020, appendix C: N from 8 to 13). In scripts without spaces two letters
are a word, so an n-gram has up to 26 letters there.

A word is a number of 64 bits, an n-gram a hash of its numbers: both are computed for a whole document
at a time, and a table tells which n-grams may be one of theirs before any is looked up.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from m3w_builder.rules import tokens, words

WORDS = 13  # of an n-gram: MassiveText (Rae et al. 2021), GPT-3 (Brown et al. 2020)
MIN_WORDS = 8  # of a text; GPT-3: "minimum value of 8 for non-synthetic tasks"

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]

# Of polynomials modulo 2^64 over bytes and over words: odd numbers, and a third to mix their bits.
_BYTES, _WORDS, _MIX = map(np.uint64, (0xD6E8FEB86659FD93, 0x9E3779B97F4A7C15, 0xFF51AFD7ED558CCD))
_LONGEST = 256  # bytes of a word: those behind weigh the same
_POWERS = np.multiply.accumulate(np.full(_LONGEST, _BYTES))
_TEXTS = 4096  # of an evaluation set at a time
_INSIDE = "'’ʼ\xad\u200b\u2060\ufeff"  # apostrophes, soft hyphens and the like part no word
_SPACES = "\x00-\x1f\x7f-\x9f\u1680\u2028\u2029"  # what NFKC leaves of them, for a class of `re`
_BEYOND = re.compile("[\U00010000-\U0010ffff]")  # planes that hold emoji, too
_ASCII = {code: " " for code in range(128) if not chr(code).isalnum()} | {ord("'"): None}
_ROOM = 16  # entries of the table per n-gram
_MAX_TABLE = 1 << 26  # bytes


def normal(text: str) -> str:
    """Returns the words of a text without case and punctuation, with spaces between."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = text.casefold()
    if text.isascii():
        return text.translate(_ASCII)
    for mark in _INSIDE:
        text = text.replace(mark, "")
    text = _punctuation().sub(" ", text)
    return text.translate(_MARKS) if _BEYOND.search(text) else text


class _Marks(dict[int, str | int]):
    """What `str.translate` makes of punctuation and symbols: a space; looked up once each."""

    def __missing__(self, code: int) -> str | int:
        mark = unicodedata.category(chr(code))[0] in "PS"
        return self.setdefault(code, " " if mark else code)


_MARKS = _Marks()


@cache
def _punctuation() -> re.Pattern[str]:
    """Returns what matches runs of punctuation and symbols up to U+FFFF: with others `re` is slow."""
    marks = (chr(code) for code in range(1 << 16) if unicodedata.category(chr(code))[0] in "PS")
    return re.compile(f"[{_SPACES}{re.escape(''.join(marks))}]+")


def span(text: str, length: int) -> int:
    """Returns how many tokens an n-gram of a normal text of `length` has, 0 for one that is too short."""
    count = length if text.isascii() else len(words(text))
    if count < MIN_WORDS:
        return 0
    return length if count <= WORDS else WORDS * length // count


def numbers(text: str) -> Hashes:
    """Returns the number of each token of a normal text with spaces between its tokens: (W,)."""
    body = np.frombuffer(f" {text} ".encode("utf-8", "surrogatepass"), np.uint8)
    inside = body > ord(" ")
    starts = np.flatnonzero(inside[1:] & ~inside[:-1]) + 1
    if not len(starts):
        return np.empty(0, np.uint64)
    lengths = np.diff(starts, append=len(body))
    place = np.arange(starts[0], len(body)) - np.repeat(starts, lengths)  # of a byte in its word
    weights = _POWERS[np.minimum(place, _LONGEST - 1)]
    weights *= np.where(inside, body, 0)[starts[0] :]
    found = np.add.reduceat(weights, starts - starts[0])
    found ^= found >> np.uint64(32)
    found *= _MIX
    return found


def rolling(numbers: Hashes, n: int) -> Hashes:
    """Returns the hashes of all runs of n numbers along the last axis: (..., W) to (..., W - n + 1)."""
    count = max(0, numbers.shape[-1] - n + 1)
    found = numbers[..., :count].copy()
    for step in range(1, n):
        found *= _WORDS
        found += numbers[..., step : step + count]
    return found


def _spaced(text: str) -> str:
    """Returns a normal text with spaces between its tokens."""
    return text if text.isascii() else " ".join(tokens(text))


class Ngrams:
    """The n-grams of many texts; `shares` looks up those of a document."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Takes the texts in their order; equal ones are looked for once."""
        self._equal: dict[int, list[int]] = {}  # place of the first of them -> all
        self.short = 0  # different texts below MIN_WORDS
        first: dict[str, int] = {}
        by_span: dict[int, list[int]] = {}  # places
        for place, text in enumerate(texts):
            bare = normal(text)
            found = tokens(bare)
            known = first.setdefault(" ".join(found), place)
            self._equal.setdefault(known, []).append(place)
            if known != place:
                continue
            if n := span(bare, len(found)):
                by_span.setdefault(n, []).append(place)
            else:
                self.short += 1
        self.texts = len(first) - self.short  # different ones that are looked for
        of = _numbered(first)
        self._levels = [_Level(n, [(p, of[p]) for p in by_span[n]]) for n in sorted(by_span)]
        heads = [level.heads for level in self._levels]
        self._heads = np.unique(np.concatenate(heads)) if heads else np.empty(0, np.uint64)
        self._table, self._shift = _table(self._heads)

    def shares(self, text: str) -> list[tuple[int, float]]:
        """Returns (place, share of its different n-grams that the text has) of each text that has any."""
        if not self._levels:
            return []
        words = numbers(_spaced(normal(text)))
        heads = rolling(words, MIN_WORDS)
        starts = np.flatnonzero(self._table[heads >> self._shift])
        starts = starts[_places(self._heads, heads[starts]) >= 0]
        if not len(starts):
            return []
        hashes, done = heads[starts], MIN_WORDS
        found: list[tuple[int, float]] = []
        for level in self._levels:
            for step in range(done, level.n):
                fits = starts + step < len(words)
                starts, hashes = starts[fits], hashes[fits]
                hashes = hashes * _WORDS + words[starts + step]
            done = level.n
            found += level.shares(hashes)
        return sorted((each, share) for place, share in found for each in self._equal[place])


def _numbered(texts: dict[str, int]) -> dict[int, Hashes]:
    """Returns the numbers of texts with spaces between their tokens, by their places."""
    found: dict[int, Hashes] = {}
    rest = iter(texts.items())
    while some := [*islice(rest, _TEXTS)]:
        counts = [len(text.split(" ")) if text else 0 for text, _ in some]
        flat = numbers(" ".join(text for text, _ in some))
        assert len(flat) == sum(counts), "a token is not one number"
        parts = np.split(flat, np.cumsum(counts)[:-1])
        found |= zip((place for _, place in some), parts, strict=True)
    return found


class _Level:
    """The n-grams of the texts whose n-grams have n tokens."""

    def __init__(self, n: int, texts: Sequence[tuple[int, Hashes]]) -> None:
        self.n = n
        whole = [text for text in texts if len(text[1]) == n]  # nearly all: one n-gram each
        longer = [text for text in texts if len(text[1]) > n]
        matrix = np.array([words for _, words in whole], np.uint64).reshape(len(whole), n)
        heads = [rolling(matrix[:, :MIN_WORDS], MIN_WORDS).ravel()]
        heads += [rolling(words[: MIN_WORDS - n or None], MIN_WORDS) for _, words in longer]
        self.heads = np.unique(np.concatenate(heads))
        parts = [*rolling(matrix, n), *(np.unique(rolling(words, n)) for _, words in longer)]
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
        at = _places(self._hashes, hashes)
        hits = np.unique(at[at >= 0])
        if len(hits):
            runs = [self._owners[self._bounds[hit] : self._bounds[hit + 1]] for hit in hits]
            owners, counts = np.unique(np.concatenate(runs), return_counts=True)
            shares = counts / self._totals[owners]
            yield from zip(self._places[owners].tolist(), shares.tolist(), strict=True)


def _places(ordered: Hashes, hashes: Hashes) -> Places:
    """Returns where each hash is in an ascending array, -1 where it is not."""
    at = np.searchsorted(ordered, hashes)
    at[at == len(ordered)] = 0
    return np.where(ordered[at] == hashes, at, -1)


def _table(heads: Hashes) -> tuple[NDArray[np.bool_], np.uint64]:
    """Returns which upper bits the first MIN_WORDS tokens of an n-gram may have, and the shift to them.

    Most words of a document begin no such n-gram: this tells nearly all of them without a search.
    """
    size = min(1 << (len(heads) * _ROOM).bit_length(), _MAX_TABLE)
    shift = np.uint64(64 - (size.bit_length() - 1))
    table = np.zeros(size, np.bool_)
    table[heads >> shift] = True
    return table, shift
