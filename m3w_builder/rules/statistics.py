"""Gopher's quality and repetition statistics (Rae et al. 2021, arXiv 2112.11446, A.1.1, Table A1).

The paper leaves most definitions open and public codes differ: `measure` states our choices.
Words are numbered once; the rest is integer arithmetic in numpy, with no hashes to collide.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count
from string import punctuation
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from m3w_builder.types import Text

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
TOP_NGRAMS = range(2, 5)
DUPLICATE_NGRAMS = range(5, 11)

# Scripts written without spaces: Thai, Lao, Burmese, Khmer, kana, Han. Hangul has spaces.
_UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e80-\u0ecf\u0edc-\u0edf\u1000-\u103f\u1050-\u108f\u1780-\u17d3"
    "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
# What is left of UTF-8 without these bytes starts a letter of such a script, or one near it.
_OTHER_BYTES = bytes({*range(256)} - {0xE0, 0xE1, *range(0xE3, 0xF5)})
# Combining vowels and tones, which are not \w for `re`, stay with their letter.
_LETTER = rf"[{_UNSPACED}](?:(?!\w)[{_UNSPACED}])*"
_UNSPACED_WORD = re.compile(rf"(?:{_LETTER}){{1,2}}[^\w\s{_UNSPACED}]*")
_WORD = re.compile(rf"{_UNSPACED_WORD.pattern}|[^\s{_UNSPACED}]+")
_TOKEN = re.compile(rf"{_LETTER}|[^\s{_UNSPACED}]+")
# A dash, asterisk or plus is a bullet only before a space: "-5", "*nix" and "+49" are not.
_BULLET = re.compile(r"[•‣◦⁃∙●○■□▪▫◆◇►▶▸➢➤✓✔]|[-–—*+]\s")
_ELLIPSIS = re.compile(r"\.\.\.+")  # after "…" became "..."
AROUND = punctuation + "“”„‘’«»‹›…–—¡¿"
_CLOSING = ")]}\"'”’»"


def words(text: str) -> list[str]:
    """Returns the words of a text: what whitespace separates, punctuation included.

    In scripts without spaces (Han, kana, Thai, Lao, Burmese, Khmer) every two letters of a run are
    a word, with the punctuation after them: "我爱北京。" has two. That is about the length of a
    Chinese word and needs no dictionary.
    """
    return _WORD.findall(text) if has_unspaced(text) else text.split()


def tokens(text: str) -> list[str]:
    """Returns the words of a text, but every letter of a script without spaces on its own.

    Pairs of letters depend on where the run begins; what is compared with parts of other texts
    must not.
    """
    return _TOKEN.findall(text) if has_unspaced(text) else text.split()


def has_unspaced(text: str) -> bool:
    """Tells whether a text has a letter of a script without spaces, most texts at a glance."""
    if text.isascii() or not text.encode("utf-8", "surrogatepass").translate(None, _OTHER_BYTES):
        return False
    return _IS_UNSPACED.search(text) is not None


def unigrams(text: str) -> int:
    """Returns the number of words of a text."""
    return len(words(text))


class Words(NamedTuple):
    """The words of texts, numbered: D different ones, W in all."""

    different: list[str]  # (D,)
    bare: list[str]  # (D,) in lower case, without punctuation around
    ids: Ints  # (W,) numbers of the words as they follow one another
    per_text: Ints  # (T,) how many each text has
    unspaced: Bools  # (D,) of scripts without spaces

    @classmethod
    def of(cls, texts: Sequence[Text]) -> Self:
        """Returns the words of these texts."""
        parts = [text.text for text in texts]
        unspaced = has_unspaced("".join(parts))
        split = [words(part) for part in parts] if unspaced else [part.split() for part in parts]
        number: defaultdict[str, int] = defaultdict(count().__next__)
        ids = _ints(map(number.__getitem__, chain.from_iterable(split)))
        different = list(number)
        return cls(
            different,
            [word.strip(AROUND).lower() for word in different],
            ids,
            _ints(map(len, split)),
            np.array([has_unspaced(word) for word in different], np.bool_)
            if unspaced
            else np.zeros(len(different), np.bool_),
        )

    @property
    def text(self) -> Ints:
        """Which text each word is in (W,)."""
        return np.repeat(np.arange(len(self.per_text)), self.per_text)


def measure(texts: Sequence[Text], found: Words | None = None) -> dict[str, float]:
    """Returns all quality and repetition statistics of a document's texts.

    - Images and their tags take no part. Lengths are counted in characters (code points).
    - A *word* is what whitespace separates, punctuation included, symbols too ("-" is a word). In
      scripts without spaces (Han, kana, Thai, Lao, Burmese, Khmer) every two letters of a run are a
      word, with the punctuation after them; `unspaced_words` is the share of such words.
    - A *line* is what a line break separates inside a text, a *paragraph* is a text; both stripped,
      empty ones ignored.
    - `mean_word_length`: characters of all words over the number of words.
    - `hash_ratio`: "#" over words. `ellipsis_ratio`: runs of three or more dots ("…" is three) over
      words.
    - `bullet_lines`: share of lines that start with a bullet (• ‣ ◦ ● ■ ▪ ► ✓ and the like; a dash,
      an asterisk or a plus only before a space) or are the first line of a list item, whose bullet
      the browser draws.
    - `ellipsis_lines`: share of lines that end with "..." or "…", closing brackets and quotes after
      it ignored.
    - `alpha_words`: share of words with at least one letter of any script.
    - `stop_words`: how many *different* ones of the, be, to, of, and, that, have, with occur, in
      any case, punctuation around them removed. Nothing else is lower-cased: repetition compares
      text as it is written.
    - `duplicate_lines`, `duplicate_paragraphs`: share of lines (paragraphs) that occurred before;
      the first occurrence is no duplicate. `duplicate_line_chars`, `duplicate_paragraph_chars`:
      their characters over the characters of all lines (paragraphs).
    - *n-grams* run over all words of the document, across lines and paragraphs. Their characters
      are those of their words, without spaces, over the characters of all words, also without
      spaces. A word under several overlapping n-grams counts once.
    - `top_2gram_chars` to `top_4gram_chars`: characters inside all occurrences of the most frequent
      n-gram, 0 if none occurs twice; among equally frequent ones the longest, then the first.
    - `duplicate_5gram_chars` to `duplicate_10gram_chars`: characters inside n-grams that occurred
      before; the first occurrence is no duplicate.
    - Without words, every statistic is 0.
    - Others choose otherwise: datatrove divides n-gram characters by the text with its spaces and
      jumps n words ahead after a hit; RedPajama-V2 lower-cases, drops punctuation and counts the
      first occurrence of a duplicate n-gram, too.
    """
    whole = "\n".join(text.text for text in texts)
    return {**_word_statistics(whole, found or Words.of(texts)), **_line_statistics(texts)}


def _word_statistics(text: str, found: Words) -> dict[str, float]:
    size = len(found.ids)
    times = np.bincount(found.ids, minlength=len(found.different))
    lengths = _ints(map(len, found.different))[found.ids]
    without = [
        number
        for number, word in enumerate(found.different)
        if not word.isalpha() and not any(map(str.isalpha, word))
    ]
    return {
        "words": float(size),
        "mean_word_length": _share(int(lengths.sum()), size),
        "unspaced_words": _share(int(times[found.unspaced].sum()), size),
        "hash_ratio": _share(text.count("#"), size),
        "ellipsis_ratio": _share(len(_ELLIPSIS.findall(text.replace("…", "..."))), size),
        "alpha_words": _share(size - int(times[without].sum()), size),
        "stop_words": float(len(STOP_WORDS.intersection(found.bare))),
        **_ngram_statistics(found.ids, lengths, times),
    }


def _line_statistics(texts: Sequence[Text]) -> dict[str, float]:
    stripped = [(text.text.strip(), text.role) for text in texts]
    paragraphs = [text for text, _ in stripped if text]
    lines = [line for text in paragraphs for part in text.split("\n") if (line := part.strip())]
    bullets = sum(_BULLET.match(line) is not None for line in lines)
    # A list item that brings its own bullet was counted just now.
    bullets += sum(role == "list_item" and not _BULLET.match(t) for t, role in stripped if t)
    ellipses = sum(line.rstrip(_CLOSING).endswith(("...", "…")) for line in lines)
    return {
        "bullet_lines": _share(bullets, len(lines)),
        "ellipsis_lines": _share(ellipses, len(lines)),
        **_duplicates("line", lines),
        **_duplicates("paragraph", paragraphs),
    }


def _duplicates(name: str, parts: Sequence[str]) -> dict[str, float]:
    characters, unique = sum(map(len, parts)), set(parts)
    return {
        f"duplicate_{name}s": _share(len(parts) - len(unique), len(parts)),
        f"duplicate_{name}_chars": _share(characters - sum(map(len, unique)), characters),
    }


def _ngram_statistics(ids: Ints, lengths: Ints, times: Ints) -> dict[str, float]:
    """Returns the n-gram statistics of word numbers `ids` (W,) with `lengths` (W,).

    `times` (D,) is how often each of the D different words occurs.
    """
    shares = dict.fromkeys((f"top_{n}gram_chars" for n in TOP_NGRAMS), 0.0)
    shares |= dict.fromkeys((f"duplicate_{n}gram_chars" for n in DUPLICATE_NGRAMS), 0.0)
    ends = np.append(0, lengths.cumsum())  # (W + 1,)
    for n, starts, first in _repeated_ngrams(ids, times):
        if n in TOP_NGRAMS:
            shares[f"top_{n}gram_chars"] = _covered(_top(starts, first, n, ends), n, ends)
        else:
            again = starts[~first]
            again.sort()
            shares[f"duplicate_{n}gram_chars"] = _covered(again, n, ends)
    return shares


def _repeated_ngrams(ids: Ints, times: Ints) -> Iterator[tuple[int, Ints, Bools]]:
    """Yields n, where each n-gram that occurs more than once starts, and which start is its first.

    The starts of one n-gram lie together and ascend. A repeated n-gram is two repeated (n-1)-grams,
    a word apart: the work shrinks with every step, and ends when nothing repeats.
    """
    starts = np.flatnonzero(times[ids] > 1)  # ascending, here and below
    grams = ids[starts]  # their numbers
    for n in range(TOP_NGRAMS[0], DUPLICATE_NGRAMS[-1] + 1):
        here = np.flatnonzero(starts[1:] - starts[:-1] == 1)
        # Both factors are below the number of words: each pair has a number of its own.
        pairs = grams[here] * len(ids) + grams[here + 1]
        order = pairs.argsort(kind="stable")
        pairs = pairs[order]
        same = np.zeros(len(pairs) + 1, np.bool_)  # as the one before
        np.equal(pairs[1:], pairs[:-1], out=same[1:-1])
        if not np.count_nonzero(same):
            return
        repeats = same[1:] | same[:-1]
        order, first = order[repeats], ~same[:-1][repeats]
        found = starts[here[order]]
        yield n, found, first
        back = order.argsort()
        starts, grams = found[back], first.cumsum()[back]


def _top(starts: Ints, first: Bools, n: int, ends: Ints) -> Ints:
    """Returns where the most frequent n-gram starts; of several the longest, then the first."""
    bounds = np.append(np.flatnonzero(first), len(starts))
    times = bounds[1:] - bounds[:-1]
    most = times.max()
    most_frequent = bounds[:-1][times == most]
    at = starts[most_frequent]
    lengths = ends[at + n] - ends[at]
    chosen = most_frequent[np.where(lengths == lengths.max(), at, len(ends)).argmin()]
    return starts[chosen : chosen + most]


def _covered(starts: Ints, n: int, ends: Ints) -> float:
    """Returns the share of characters under n-grams at `starts` (ascending), each counted once."""
    stops = starts + n
    np.minimum(stops[:-1], starts[1:], out=stops[:-1])
    return _share(int((ends[stops] - ends[starts]).sum()), int(ends[-1]))


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, np.int64)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
