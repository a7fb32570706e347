"""Near-duplicate documents beside datasketch: what is found of known copies, what is joined wrongly, how fast.

Truth is the exact Jaccard index of the sets of 5-word shingles, of every pair of documents. A corpus
is all real documents and one changed copy of each; a pair counts as joined by us if both end in one
connected component, by datasketch if a query of MinHashLSH finds it (128 permutations, sha1, shingles
of `text.lower().split()`, as its users do). Original with original is counted in one corpus only.
"""

import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache, partial
from itertools import combinations
from pathlib import Path
from statistics import mean, median
from time import process_time
from typing import Any
from unicodedata import category, normalize

import numpy as np

from benchmarks.extraction import extract, read, read_manifest
from m3w_builder.config import DedupConfig
from m3w_builder.near.components import components
from m3w_builder.near.lsh import edges, entries
from m3w_builder.near.minhash import SHINGLE, signature
from m3w_builder.rules import words

Paragraphs = tuple[str, ...]
Pair = tuple[int, int]
Changed = tuple[Paragraphs, Paragraphs]  # what the original and its copy have

OURS = "ours"
THRESHOLDS = {"datasketch": 0.75, "datasketch_0.8": 0.8}
BINS = (0, 0.1, 0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)  # of the Jaccard index
DIFFERENT = 0.5  # below it two documents must not be joined
ALIKE = 0.85  # from here on they must
MIN_WORDS = 50
SHORT = 12  # words of a paragraph that may stand around any text
ROUNDS = 5
RECENT = 1 << 11  # documents whose shingles are kept: originals meet again in the next corpus
TOGETHER = 60  # documents, of which every copy is in one corpus


def measure(folder: Path, sample: int = 0) -> dict[str, Any]:
    """Returns the figures of documents, from the pages of every folder/*/manifest.jsonl.

    `sample` takes only so many documents, 0 all.
    """
    documents = sampled(real(folder), sample)
    return {"documents": len(documents), **recall(documents), "together": together(documents)}


def speeds(folder: Path, sample: int = 0) -> dict[str, float]:
    """Returns signatures per second of CPU time: medians of rounds, in which all take turns."""
    texts = ["\n".join(document) for document in sampled(real(folder), sample)]
    runs: dict[str, Callable[[str], object]] = {"documents_per_s": signature}
    if hashed := datasketch():
        runs["datasketch_documents_per_s"] = partial(hashed, batch=True)
        runs["datasketch_one_by_one_documents_per_s"] = partial(hashed, batch=False)
    if hashed := rensa():
        runs["rensa_documents_per_s"] = hashed
    rates = defaultdict(list)
    for name, run in [*runs.items()] * (ROUNDS + 1):
        start = process_time()
        for text in texts:
            run(text)
        rates[name].append(len(texts) / (process_time() - start))
    return {name: round(median(found[1:]), 1) for name, found in rates.items()}


# Documents


@cache
def real(folder: Path) -> tuple[Paragraphs, ...]:
    """Returns the documents of real pages that have enough words, as the product extracts them."""
    found = {}
    for manifest in sorted(folder.glob("*/manifest.jsonl")):
        for row in read_manifest(manifest):
            if extracted := extract(read(row, manifest.parent)):
                paragraphs = tuple(text.text for text in extracted[1].texts)
                if len(words("\n".join(paragraphs))) >= MIN_WORDS:
                    found[paragraphs] = None  # each once
    return tuple(found)


def sampled(documents: Sequence[Paragraphs], count: int) -> Sequence[Paragraphs]:
    return random.Random(0).sample(documents, count) if 0 < count < len(documents) else documents


# Changes: a document, how much of it, a generator, short paragraphs of others -> original and copy


def truncated(page: Paragraphs, share: float, _draw: random.Random, _around: Paragraphs) -> Changed:
    """Returns the copy without its last words."""
    kept, left = [], round(len(" ".join(page).split()) * (1 - share))
    for paragraph in page:
        found = paragraph.split()[:left]
        left -= len(found)
        kept += [" ".join(found)] if found else []
    return page, tuple(kept)


def shuffled(page: Paragraphs, share: float, draw: random.Random, _around: Paragraphs) -> Changed:
    """Returns the copy with a share of its paragraphs in each other's places."""
    places = draw.sample(range(len(page)), round(len(page) * share))
    moved = list(page)
    for place, other in zip(places, draw.sample(places, len(places)), strict=True):
        moved[place] = page[other]
    return page, tuple(moved)


def framed(page: Paragraphs, share: float, draw: random.Random, around: Paragraphs) -> Changed:
    """Returns both among other boilerplate, which is a share of the words of each."""
    size = len(" ".join(page).split()) * share / (1 - share)

    def frame() -> Paragraphs:
        lines: list[str] = []
        while len(" ".join(lines).split()) < size:
            lines.append(draw.choice(around))
        half = len(lines) // 2
        return (*lines[:half], *page, *lines[half:])

    return frame(), frame()


def edited(page: Paragraphs, share: float, draw: random.Random, around: Paragraphs) -> Changed:
    """Returns the copy with a share of its words replaced, deleted, or followed by another."""

    def edit(word: str) -> str:
        if draw.random() >= share:
            return word
        other = draw.choice(draw.choice(around).split())
        return draw.choice((other, "", f"{word} {other}"))

    return page, tuple(" ".join(map(edit, paragraph.split())) for paragraph in page)


def reset(page: Paragraphs, _share: float, _draw: random.Random, _around: Paragraphs) -> Changed:
    """Returns the copy as another editor would set it: quotes, dashes, spaces, case, form of accents."""
    straight = str.maketrans("“”„«»‘’‚–—…\u00a0", '"""""\'\'\'--. ')
    curly = str.maketrans("\"'-", "”’–")
    plain = tuple(normalize("NFC", paragraph).translate(straight) for paragraph in page)
    copy = (p.translate(curly).replace(", ", ",\u00a0").replace(". ", "…\u2009") for p in plain)
    titles = (p.upper() if len(p.split()) <= SHORT and "ß" not in p else p for p in copy)
    return plain, tuple(normalize("NFD", p) for p in titles)


UNCOUNTED = (
    "typography"  # of equal words for us, of others for datasketch: in no figure but its own
)
CHANGES: dict[str, tuple[Callable[..., Changed], tuple[float, ...]]] = {
    "truncate": (truncated, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "shuffle paragraphs": (shuffled, (0.25, 0.5, 1)),
    "change boilerplate": (framed, (0.05, 0.1, 0.2, 0.3)),
    "edit words": (edited, (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)),
    UNCOUNTED: (reset, (1,)),
}


def short_paragraphs(documents: Iterable[Paragraphs]) -> Paragraphs:
    every = {p for document in documents for p in document if 0 < len(p.split()) <= SHORT}
    return tuple(sorted(every))


# Truth


@cache
def folded(word: str) -> str:
    """Returns what of a word counts, by a definition of its own and not that of `near.minhash`."""
    plain = normalize("NFKD", normalize("NFKD", word).casefold())
    return "".join(c for c in plain if category(c)[0] in "LMN" and not "\u0300" <= c <= "\u036f")


@lru_cache(RECENT)
def shingles(document: Paragraphs) -> frozenset[tuple[str, ...]]:
    found = [kept for word in words("\n".join(document)) if (kept := folded(word))]
    size = min(SHINGLE, len(found))
    return frozenset(tuple(found[n : n + size]) for n in range(len(found) - size + 1))


def indices(documents: Sequence[Paragraphs]) -> dict[Pair, float]:
    """Returns the Jaccard index of every pair (smaller place first) that has a shingle in common."""
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, document in enumerate(documents):
        for shingle in shingles(document):
            holders[shingle].append(place)
    common = Counter(pair for places in holders.values() for pair in combinations(places, 2))
    sizes = [len(shingles(document)) for document in documents]
    return {(a, b): both / (sizes[a] + sizes[b] - both) for (a, b), both in common.items()}


# Finders: texts -> pairs


def joined(texts: Sequence[str]) -> set[Pair]:
    """Returns the pairs in one component."""
    members, labels = components(direct(texts))
    of_label = defaultdict(list)
    for member, label in zip(members.tolist(), labels.tolist(), strict=True):
        of_label[label].append(member)
    return {pair for group in of_label.values() for pair in combinations(group, 2)}


def direct(texts: Sequence[str]) -> np.ndarray:
    nothing = np.empty(0, np.uint64)
    rows = [entries(n, "", signature(text), nothing) for n, text in enumerate(texts)]
    return edges(np.concatenate(rows), DedupConfig())


def queried(texts: Sequence[str], threshold: float) -> set[Pair]:
    """Returns the pairs that datasketch's index finds."""
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=threshold, num_perm=128)
    signatures = [_hashed_once(text) for text in texts]
    for place, one in enumerate(signatures):
        index.insert(place, one)
    return {
        (place, other)
        for place, one in enumerate(signatures)
        for other in index.query(one)
        if place < other
    }


@lru_cache(RECENT)
def _hashed_once(text: str) -> Any:
    hashed = datasketch()
    assert hashed
    return hashed(text)


def split_shingles(text: str) -> list[str]:
    found = text.lower().split()
    return [" ".join(found[n : n + SHINGLE]) for n in range(max(1, len(found) - SHINGLE + 1))]


@cache
def datasketch() -> Callable[..., Any] | None:
    """Returns text -> datasketch's MinHash; None where it is not installed."""
    try:
        from datasketch import MinHash
    except ImportError:
        print("datasketch is not installed: pip install datasketch", file=sys.stderr)
        return None

    def hashed(text: str, batch: bool = True) -> Any:
        made = MinHash(num_perm=128)
        if batch:
            made.update_batch([shingle.encode() for shingle in split_shingles(text)])
        else:
            for shingle in split_shingles(text):
                made.update(shingle.encode())
        return made

    return hashed


@cache
def rensa() -> Callable[..., Any] | None:
    """Returns text -> rensa's MinHash; None where it is not installed."""
    try:
        from rensa import RMinHash
    except ImportError:
        print("rensa is not installed: pip install rensa", file=sys.stderr)
        return None

    def hashed(text: str) -> Any:
        made = RMinHash(num_perm=128, seed=1)
        made.update(split_shingles(text))
        return made

    return hashed


def finders() -> dict[str, Callable[[Sequence[str]], set[Pair]]]:
    found: dict[str, Callable[[Sequence[str]], set[Pair]]] = {OURS: joined}
    if datasketch():
        found |= {name: partial(queried, threshold=t) for name, t in THRESHOLDS.items()}
    return found


# Figures


class Tally:
    """Pairs by Jaccard index, and how many of them each finder joined."""

    def __init__(self) -> None:
        self.pairs: Counter[float] = Counter()
        self.joined: dict[str, Counter[float]] = defaultdict(Counter)

    def add(
        self, truth: Mapping[Pair, float], found: Mapping[str, set[Pair]], pairs: int, first: int
    ) -> None:
        """Counts `pairs` pairs, those of which the second document is at least at `first`."""
        counted = Counter(_bin(index) for (_, b), index in truth.items() if b >= first)
        counted[BINS[0]] += pairs - counted.total()
        self.pairs += counted
        for name, finds in found.items():
            self.joined[name] += Counter(_bin(truth.get(p, 0)) for p in finds if p[1] >= first)

    def share(self, name: str, low: float = 0, high: float = 2) -> float | None:
        """Returns the share of the pairs from `low` to below `high` that were joined."""
        every = sum(n for start, n in self.pairs.items() if low <= start < high)
        found = sum(n for start, n in self.joined[name].items() if low <= start < high)
        return found / every if every else None

    def figures(self) -> dict[str, Any]:
        names = list(self.joined)
        low = sum(n for start, n in self.pairs.items() if start < DIFFERENT)
        return {
            "pairs_below_0.5": low,
            "false_join_rate": {name: self.share(name, high=DIFFERENT) for name in names},
            "found_from_0.85": {name: self.share(name, ALIKE) for name in names},
            "precision": {name: self.precision(name) for name in names},
            "joined_by_jaccard": {
                f"{low:.2f}-{high:.2f}": {
                    "pairs": self.pairs[low],
                    **{name: self.share(name, low, high) for name in names},
                }
                for low, high in zip(BINS, (*BINS[1:], 1), strict=True)
            },
        }

    def precision(self, name: str) -> float | None:
        """Returns the share of what was joined that has at least half of its shingles in common."""
        right = sum(n for start, n in self.joined[name].items() if start >= DIFFERENT)
        return right / self.joined[name].total() if self.joined[name] else None


def _bin(index: float) -> float:
    return max(start for start in BINS if start <= index)


def recall(documents: Sequence[Paragraphs]) -> dict[str, Any]:
    """Returns the recall of each kind and strength of change, and the figures of all pairs."""
    around, tally, count = short_paragraphs(documents), Tally(), len(documents)
    of_kind: dict[str, Any] = defaultdict(dict)
    first = 0  # of the first corpus the pairs of originals count, too
    for kind, share, change in changes():
        draw = random.Random(f"{kind} {share}")
        changed = [change(document, share, draw, around) for document in documents]
        every = [original for original, _ in changed] + [copy for _, copy in changed]
        texts = ["\n".join(document) for document in every]
        truth = indices(every)
        found = {name: find(texts) for name, find in finders().items()}
        if kind != UNCOUNTED:
            tally.add(truth, found, _pairs(2 * count) - _pairs(first), first)
        copies = {(n, n + count) for n in range(count)}
        of_kind[kind][f"{share:.0%}"] = {
            "jaccard": mean(truth.get(pair, 0) for pair in copies),
            **{name: len(finds & copies) / count for name, finds in found.items()},
        }
        first = count
    return {"recall": of_kind, **tally.figures()}


def together(documents: Sequence[Paragraphs]) -> dict[str, Any]:
    """Returns the figures of a corpus of all copies of some documents, which form chains.

    `ours` are the pairs of the components, `ours_direct` those that were compared and found alike.
    """
    some, around = documents[:TOGETHER], short_paragraphs(documents)
    every = list(some)
    for kind, share, change in changes():
        draw = random.Random(f"{kind} {share}")
        if kind != UNCOUNTED:
            every += [change(document, share, draw, around)[1] for document in some]
    texts = ["\n".join(document) for document in every]
    found = {name: find(texts) for name, find in finders().items()}
    found["ours_direct"] = {(a, b) for a, b in direct(texts).tolist()}
    tally = Tally()
    tally.add(indices(every), found, _pairs(len(every)), 0)
    return tally.figures()


def changes() -> Iterator[tuple[str, float, Callable[..., Changed]]]:
    for kind, (change, shares) in CHANGES.items():
        yield from ((kind, share, change) for share in shares)


def _pairs(count: int) -> int:
    return count * (count - 1) // 2
