"""Gopher's quality and repetition statistics (Rae et al. 2021, arXiv 2112.11446, A.1.1, Table A1).

The paper leaves most definitions open and public codes differ: `measure` states our choices.
Words are numbered once; the rest is integer arithmetic in numpy, with no hashes to collide.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from string import punctuation

import numpy as np
from numpy.typing import NDArray

from m3w_builder.types import Text

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
# Combining vowels and tones, which are not \w for `re`, stay with their letter.
_LETTER = rf"[{_UNSPACED}](?:(?!\w)[{_UNSPACED}])*"
_UNSPACED_WORD = re.compile(rf"(?:{_LETTER}){{1,2}}[^\w\s{_UNSPACED}]*")
_WORD = re.compile(rf"{_UNSPACED_WORD.pattern}|[^\s{_UNSPACED}]+")
# A dash, asterisk or plus is a bullet only before a space: "-5", "*nix" and "+49" are not.
_BULLET = re.compile(r"[•‣◦⁃∙●○■□▪▫◆◇►▶▸➢➤✓✔]|[-–—*+]\s")
_ELLIPSIS = re.compile(r"\.\.\.+")  # after "…" became "..."
_AROUND = punctuation + "“”„‘’«»‹›…–—¡¿"
_CLOSING = ")]}\"'”’»"

Ints = NDArray[np.int64]


def words(text: str) -> list[str]:
    """Returns the words of a text: what whitespace separates, punctuation included.

    In scripts without spaces (Han, kana, Thai, Lao, Burmese, Khmer) every two letters of a run are
    a word, with the punctuation after them: "我爱北京。" has two. That is about the length of a
    Chinese word and needs no dictionary.
    """
    if not _IS_UNSPACED.search(text):
        return text.split()
    return _WORD.findall(text)


def unigrams(text: str) -> int:
    """Returns the number of words of a text."""
    return len(words(text))


def measure(texts: Sequence[Text]) -> dict[str, float]:
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
    return {**_word_statistics("\n".join(text.text for text in texts)), **_line_statistics(texts)}


def _word_statistics(text: str) -> dict[str, float]:
    found = words(text)
    number = {word: i for i, word in enumerate(dict.fromkeys(found))}
    ids = _ints(map(number.__getitem__, found))
    times = np.bincount(ids, minlength=len(number))
    lengths = _ints(map(len, number))[ids]
    unspaced = len(_UNSPACED_WORD.findall(text)) if _IS_UNSPACED.search(text) else 0
    alpha = _ints(map(_has_letter, number))
    return {
        "words": float(len(found)),
        "mean_word_length": _share(int(lengths.sum()), len(found)),
        "unspaced_words": _share(unspaced, len(found)),
        "hash_ratio": _share(text.count("#"), len(found)),
        "ellipsis_ratio": _share(len(_ELLIPSIS.findall(text.replace("…", "..."))), len(found)),
        "alpha_words": _share(int(alpha @ times), len(found)),
        "stop_words": float(len(STOP_WORDS.intersection(w.strip(_AROUND).lower() for w in number))),
        **_ngram_statistics(ids, lengths),
    }


def _has_letter(word: str) -> bool:
    return word.isalpha() or any(map(str.isalpha, word))


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


def _ngram_statistics(ids: Ints, lengths: Ints) -> dict[str, float]:
    """Returns the n-gram statistics of word numbers `ids` (W,) with `lengths` (W,)."""
    top = dict.fromkeys((f"top_{n}gram_chars" for n in TOP_NGRAMS), 0.0)
    duplicate = dict.fromkeys((f"duplicate_{n}gram_chars" for n in DUPLICATE_NGRAMS), 0.0)
    ends = np.append(0, lengths.cumsum())  # (W + 1,)
    for n, starts, grams in _repeated_ngrams(ids):
        if n in TOP_NGRAMS:
            times = np.bincount(grams)[grams]
            characters = np.where(times == times.max(), ends[starts + n] - ends[starts], 0)
            chosen = starts[grams == grams[characters.argmax()]]
            top[f"top_{n}gram_chars"] = _covered(chosen, n, ends)
        else:
            again = np.delete(starts, np.unique(grams, return_index=True)[1])
            duplicate[f"duplicate_{n}gram_chars"] = _covered(again, n, ends)
    return {**top, **duplicate}


def _repeated_ngrams(ids: Ints) -> Iterator[tuple[int, Ints, Ints]]:
    """Yields n, where each n-gram that occurs more than once starts (ascending), and its number.

    Only a repeated (n-1)-gram can begin a repeated n-gram: the work shrinks with every step, and
    ends when nothing repeats.
    """
    starts, grams = np.arange(len(ids)), ids
    for n in range(TOP_NGRAMS[0], DUPLICATE_NGRAMS[-1] + 1):
        inside = starts + n <= len(ids)
        starts, grams = starts[inside], grams[inside]
        # Both factors are below the number of words: each pair has a number of its own.
        pairs = grams * len(ids) + ids[starts + n - 1]
        _, grams, times = np.unique(pairs, return_inverse=True, return_counts=True)
        repeats = times[grams] > 1
        starts, grams = starts[repeats], grams[repeats]
        if not len(starts):
            return
        yield n, starts, grams


def _covered(starts: Ints, n: int, ends: Ints) -> float:
    """Returns the share of characters under n-grams at `starts` (ascending), each counted once."""
    following = np.append(starts[1:], len(ends) - 1)
    stops = np.minimum(starts + n, following)
    return _share(int((ends[stops] - ends[starts]).sum()), int(ends[-1]))


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, np.int64)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
