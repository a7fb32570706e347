"""What each text of a document is made of, in numbers that add: sums over texts tell of the document.

Counts are stored per text (`measure_texts`), shares are taken when a rule looks (`shares`). So the
shares of what is left after some texts were dropped are exact, without another look at the texts.
Repetition does not add: it is measured of each text and of the whole.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import count, repeat
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m3w_builder.rules.statistics import Ints, Words, measure
from m3w_builder.rules.wordlists import POLICY_PHRASES, SPAM_WORDS, STOP_WORDS_OF
from m3w_builder.types import Text

Scores = dict[str, float]
Hashes = NDArray[np.uint64]
Floats = NDArray[np.float64]
Points = NDArray[np.uint32]

SHORT_LINE = 30  # characters; FineWeb
LONG_WORD = 100  # characters: a shorter longest word is not stored
CHARACTER_GRAM, WORD_GRAM = 10, 5  # OBELICS
MAX_GRAMS = 1 << 20  # characters or words of a document: repetition is measured at its beginning

_SPECIAL, _UPPER, _DIGIT, _PUNCTUATION, _END, _WIDE, _QUOTE, _CLOSE, _SPACE = (
    1 << bit for bit in range(9)
)
_ENDS, _WIDE_ENDS = ".!?…؟۔।॥։", "。！？｡"  # of sentences; the wide ones need no space behind
_PUNCTUATION_MARKS = ",;:?!.،؛؟۔।，；：？！。、｡"
_QUOTES = "\"'”’»」』"  # a line may end with one (C4, FineWeb)
_CLOSES = ")]）］"  # with quotes: may stand between the end of a sentence and the next one
_TABLED = 0x20000  # code points; beyond it are ideographs up to 0x3ffff, then nothing with a case
_PLACE = np.uint64(MAX_GRAMS - 1)
_NO_REPETITION = {"character_repetition": 0.0, "word_repetition": 0.0}
_BASE = np.uint64(0x9E3779B97F4A7C15)  # of the polynomials that n-grams are told apart by


def measure_texts(texts: Sequence[Text], language: str) -> tuple[list[Scores], Scores]:
    """Returns the counts of each text (what is absent is 0), and the scores of their document.

    The document's are `measure`'s, the `shares` of the summed counts, and the repetition in the whole.

    - `characters` (code points); of them `special` (neither letter nor combining mark: digits, spaces,
      punctuation, symbols), `uppercase` letters, `digits`, `punctuation` (, ; : ? ! . and the wide
      and Arabic ones).
    - `words`; of them `unspaced` (of scripts without spaces), `stop` (function words of `language`:
      12 languages have a list), `spam` (our words of page furniture, English), compared in lower
      case, without punctuation around them. `longest_word`, where it has 100 characters or more.
    - `lines` that are not empty; of them `terminal` (end in a mark that ends a sentence, or a quote)
      and `short` (30 characters or fewer).
    - `sentences`: marks that end one, before a space, a quote or the end (wide ones anywhere), at
      least 1 a text. Abbreviations count.
    - `lorem_ipsum`, `javascript`, `policy` (C4's six phrases), `curly_brackets` ("{"): how often, in
      any case.
    - `character_repetition`, `word_repetition` (OBELICS): of all sequences of 10 characters the share
      of the most frequent ones, so many as the square root of the number of different ones, without
      those that occur once; of all sequences of 5 words (in lower case, without punctuation) the
      share of those that occur more than once. Those of a document run across its texts, and are
      looked for in its first 2^20 characters and words.
    """
    if not texts:
        return [], {**measure(texts), **shares({}), **_NO_REPETITION}
    parts = [text.text for text in texts]
    whole = "\n".join(parts) + "\n"
    code = np.frombuffer(whole.encode("utf-32-le", "surrogatepass"), np.uint32)
    lengths = np.fromiter(map(len, parts), np.int64, len(parts))
    starts = (lengths + 1).cumsum() - lengths - 1
    found = Words.of(texts)
    counts = {
        **_character_counts(code, starts, lengths),
        **_word_counts(found, language),
        **_phrase_counts(parts, whole.lower()),
    }
    characters, all_characters = _character_repetition(code, starts, lengths)
    of_words, all_words = _word_repetition(found)
    names = (*counts, "character_repetition", "word_repetition")
    table = np.array([*counts.values(), characters, of_words], np.float64)  # (C, T)
    return _rows(names, table), {
        **measure(texts, found),
        **shares(dict(zip(names, table.sum(axis=1).tolist(), strict=True))),
        "character_repetition": all_characters,
        "word_repetition": all_words,
    }


def shares(counts: Mapping[str, float]) -> Scores:
    """Returns what rules of documents compare, of the summed counts of a document's texts.

    Without words or characters every share is 0. `special_characters`, `digits` are shares of the
    characters, `uppercase` of those that are not special; `punctuation` of words and punctuation;
    `stop_word_ratio`, `spam_words`, `unspaced_words` of the words; `terminal_lines`, `short_lines` of
    the lines. `newlines_per_word` counts the breaks between lines.
    """
    get = defaultdict(float, counts).__getitem__
    letters = get("characters") - get("special")
    return {
        "words": get("words"),
        "unspaced_words": _share(get("unspaced"), get("words")),
        "special_characters": _share(get("special"), get("characters")),
        "digits": _share(get("digits"), get("characters")),
        "uppercase": _share(get("uppercase"), letters),
        "punctuation": _share(get("punctuation"), get("words") + get("punctuation")),
        "stop_word_ratio": _share(get("stop"), get("words")),
        "spam_words": _share(get("spam"), get("words")),
        "terminal_lines": _share(get("terminal"), get("lines")),
        "short_lines": _share(get("short"), get("lines")),
        "newlines_per_word": _share(max(get("lines") - 1, 0.0), get("words")),
        **{name: get(name) for name in ("sentences", "lorem_ipsum", "curly_brackets")},
    }


def total(counts: Iterable[Mapping[str, float]]) -> Scores:
    """Returns the summed counts of several texts."""
    summed: defaultdict[str, float] = defaultdict(float)
    for one in counts:
        for name, value in one.items():
            summed[name] += value
    return summed


def _rows(names: Sequence[str], table: Floats) -> list[Scores]:
    """Returns a dict per text of what is not 0 in a table (C, T)."""
    rows: list[Scores] = [{} for _ in range(table.shape[1])]
    of, at = np.nonzero(table)
    for name, row, value in zip(of.tolist(), at.tolist(), table[of, at].tolist(), strict=True):
        rows[row][names[name]] = value
    return rows


# --- characters --------------------------------------------------------------------------------


def _character_counts(code: Points, starts: Ints, lengths: Ints) -> dict[str, Ints]:
    """Counts the code points (C,) of texts (T,), each followed by a line break."""
    kinds = _kinds()[code if code.max() < _TABLED else _tabled(code)]

    bounds = np.append(starts, len(code))

    def per_text(places: Ints) -> Ints:
        before = places.searchsorted(bounds)
        return before[1:] - before[:-1]

    def of_kind(kind: int) -> Ints:
        return np.flatnonzero(kinds & kind != 0)

    breaks = np.flatnonzero(code == 10)
    line_lengths = np.diff(breaks, prepend=-1) - 1
    lines = breaks[line_lengths > 0]
    punctuation = of_kind(_PUNCTUATION | _END)
    marks = kinds[punctuation]
    ends = punctuation[marks & _END != 0]
    apart = kinds[ends + 1] & (_SPACE | _CLOSE | _QUOTE) != 0
    ends = ends[apart | (kinds[ends] & _WIDE != 0)]
    return {
        "characters": lengths,
        "special": per_text(of_kind(_SPECIAL)) - 1,
        "uppercase": per_text(of_kind(_UPPER)),
        "digits": per_text(of_kind(_DIGIT)),
        "punctuation": per_text(punctuation[marks & _PUNCTUATION != 0]),
        "lines": per_text(lines),
        "terminal": per_text(lines[kinds[lines - 1] & (_END | _QUOTE) != 0]),
        "short": per_text(breaks[(line_lengths > 0) & (line_lengths <= SHORT_LINE)]),
        "sentences": np.maximum(per_text(ends), 1),
    }


@cache
def _kinds() -> NDArray[np.uint16]:
    """Returns what each code point below _TABLED is (20 ms, once a process)."""
    names = "".join(map(unicodedata.category, map(chr, range(_TABLED)))).encode()
    category = np.frombuffer(names, "S2")
    kinds = np.zeros(_TABLED, np.uint16)
    kinds[~np.isin(np.frombuffer(names[::2], "S1"), [b"L", b"M"])] |= _SPECIAL
    kinds[np.isin(category, [b"Lu", b"Lt"])] |= _UPPER
    kinds[category == b"Nd"] |= _DIGIT
    kinds[np.isin(category, [b"Zs", b"Zl", b"Zp"])] |= _SPACE
    for kind, characters in (
        (_SPACE, "\t\n\v\f\r"),
        (_PUNCTUATION, _PUNCTUATION_MARKS),
        (_END, _ENDS + _WIDE_ENDS),
        (_WIDE, _WIDE_ENDS),
        (_QUOTE, _QUOTES),
        (_CLOSE, _CLOSES),
    ):
        kinds[list(map(ord, characters))] |= kind
    return kinds


def _tabled(code: Points) -> Points:
    """Returns the code points with those beyond the table as one of the same kind."""
    ideographs = (code >= _TABLED) & (code < 2 * _TABLED)
    return np.where(ideographs, ord("字"), np.where(code < _TABLED, code, ord("☺")))


# --- words -------------------------------------------------------------------------------------


def _word_counts(found: Words, language: str) -> dict[str, Ints]:
    text, texts = found.text, len(found.per_text)
    known = _known(language if language in STOP_WORDS_OF else "")
    of_different = np.fromiter(map(known.get, found.bare, repeat(0)), np.uint8, len(found.bare))
    kinds = of_different[found.ids]  # (W,)
    counts = {
        "words": found.per_text,
        "stop": np.bincount(text[kinds & _STOP != 0], minlength=texts),
        "spam": np.bincount(text[kinds & _SPAM != 0], minlength=texts),
    }
    if found.unspaced.any():
        counts["unspaced"] = np.bincount(text[found.unspaced[found.ids]], minlength=texts)
    lengths = np.fromiter(map(len, found.different), np.int64, len(found.different))
    if lengths.max(initial=0) >= LONG_WORD:
        longest = np.zeros(texts, np.int64)
        np.maximum.at(longest, text, lengths[found.ids])
        counts["longest_word"] = np.where(longest >= LONG_WORD, longest, 0)
    return counts


_STOP, _SPAM = 1, 2


@cache
def _known(language: str) -> dict[str, int]:
    """Returns the words that count in a text of this language: _STOP, _SPAM or both."""
    stop = STOP_WORDS_OF.get(language, frozenset())
    return {
        word: _STOP * (word in stop) + _SPAM * (word in SPAM_WORDS) for word in stop | SPAM_WORDS
    }


def _phrase_counts(parts: Sequence[str], whole: str) -> dict[str, Ints]:
    """Counts phrases in texts; `whole` is all of them, in lower case."""
    phrases = {
        "lorem_ipsum": ("lorem ipsum",),
        "javascript": ("javascript",),
        "policy": POLICY_PHRASES,
        "curly_brackets": ("{",),
    }
    return {
        name: np.array([sum(part.lower().count(one) for one in some) for part in parts], np.int64)
        for name, some in phrases.items()
        if any(one in whole for one in some)
    }


# --- repetition --------------------------------------------------------------------------------


def _character_repetition(code: Points, starts: Ints, lengths: Ints) -> tuple[Floats, float]:
    return _repetition(code[:-1], starts, lengths, CHARACTER_GRAM, frequent=True)


def _word_repetition(found: Words) -> tuple[Floats, float]:
    number: defaultdict[str, int] = defaultdict(count().__next__)
    bare = np.fromiter(map(number.__getitem__, found.bare), np.int64, len(found.bare))[found.ids]
    lengths = found.per_text
    if "" in number:  # was punctuation alone
        said = bare != number[""]
        bare, lengths = bare[said], np.bincount(found.text[said], minlength=len(lengths))
    starts = lengths.cumsum() - lengths
    return _repetition(bare, starts, lengths, WORD_GRAM, frequent=False)


def _repetition(
    values: NDArray[Any], starts: Ints, lengths: Ints, n: int, *, frequent: bool
) -> tuple[Floats, float]:
    """Returns the share of repeated n-grams of `values` (V,): in each text (T,), and in all.

    Text i is the values from `starts[i]` on, `lengths[i]` of them. With `frequent` only the most
    frequent n-grams count, so many as the square root of the number of different ones.
    """
    grams = _grams(values[:MAX_GRAMS].astype(np.uint64), n)
    places, group = _repeated(grams)
    if not places.size:
        return np.zeros(len(lengths)), 0.0
    mass = len(places)
    if frequent:
        sizes = np.sort(np.bincount(group))
        mass = int(sizes[-isqrt(len(grams) - mass + len(sizes)) :].sum())
    text = starts.searchsorted(places, side="right") - 1
    inside = places + n <= (starts + lengths)[text]
    # Places ascend within a group, and so do their texts: equal neighbours are all there are.
    both = (group * len(lengths) + text)[inside]
    change = np.ones(len(both) + 1, np.bool_)
    np.not_equal(both[1:], both[:-1], out=change[1:-1])
    bounds = np.flatnonzero(change)
    sizes = bounds[1:] - bounds[:-1]
    several = sizes > 1
    bounds, sizes = bounds[:-1][several], sizes[several]
    numbers = np.maximum(lengths - n + 1, 0)
    of_texts = _mass(both[bounds] % len(lengths), sizes, numbers, frequent=frequent)
    return of_texts / np.maximum(numbers, 1), mass / len(grams)


def _mass(owner: Ints, sizes: Ints, numbers: Ints, *, frequent: bool) -> Floats:
    """Returns how many n-grams of each owner (O,) repeat: `sizes` are how often each different one occurs.

    `numbers` (O,) are how many n-grams each owner has in all.
    """
    if frequent:
        repeats = np.bincount(owner, minlength=len(numbers))
        most = int(numbers.max()) + 1
        keys = owner * most - sizes  # by owner, the most frequent first
        keys.sort()
        owner = -(-keys // most)
        sizes = owner * most - keys
        rank = np.arange(len(owner)) - (repeats.cumsum() - repeats)[owner]
        different = numbers - np.bincount(owner, sizes - 1, len(numbers))
        chosen = rank < np.sqrt(different).astype(np.int64)[owner]
        owner, sizes = owner[chosen], sizes[chosen]
    return np.bincount(owner, sizes, len(numbers)).astype(np.float64)


def _repeated(grams: Hashes) -> tuple[Ints, Ints]:
    """Returns where n-grams that occur more than once start, equal ones together and ascending, and their numbers.

    Of a hash 44 bits are compared, so that it sorts in one word with its place.
    """
    packed = grams & ~_PLACE
    packed |= np.arange(len(grams), dtype=np.uint64)
    packed.sort()
    same = np.zeros(len(grams) + 1, np.bool_)  # as the one before
    np.less_equal(packed[1:] ^ packed[:-1], _PLACE, out=same[1:-1])
    repeats = np.flatnonzero(same[1:] | same[:-1])
    return (packed[repeats] & _PLACE).astype(np.int64), (~same[repeats]).cumsum() - 1


def _grams(values: Hashes, n: int) -> Hashes:
    """Returns a number for each n-gram: a polynomial in _BASE, modulo 2^64, by doubling."""
    if len(values) < n:
        return values[:0]
    grams, size = values, 1
    for bit in f"{n:b}"[1:]:
        grams, size = grams[:-size] * _power(size) + grams[size:], 2 * size
        if bit == "1":
            grams, size = grams[:-1] * _BASE + values[size:], size + 1
    return grams * _BASE  # the last value, too, changes the upper bits


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(int(_BASE), exponent, 1 << 64))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
