"""The evaluation sets of a configuration, ready to be asked: is this image, this text one of theirs?

Images: equal bytes (as served or as stored), or hashes within `image_distance`: the firm ones where both
sides have them, else PDQ's (lists of others have no other). What shows too little to be matched
(`near.hamming.shows_enough`), on either side, is compared by its bytes alone. Texts: `min_text_overlap` of one's
13-grams.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from m3w_builder.config import DecontaminateConfig
from m3w_builder.decontaminate import sources
from m3w_builder.decontaminate.items import COLUMNS, Item, digest_of, save
from m3w_builder.decontaminate.ngrams import Ngrams
from m3w_builder.near import hamming

IMAGE = "evaluation_image"  # reasons
TEXT = "evaluation_text"

WAYS = ("bytes", "pdq", "embedding", "ngrams")


class Sight(NamedTuple):
    """What an image is known by."""

    sha256s: Sequence[str]  # as served and as stored
    phash: str  # PDQ, "" for none
    quality: float  # of PDQ
    phash_firm: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """The item of one evaluation set that something is, and how that is known."""

    set: str
    item: str
    way: str  # one of WAYS
    value: float  # bits that differ, cosine, share of the n-grams

    def __str__(self) -> str:
        told = {
            "bytes": "the same bytes",
            "pdq": f"{self.value:.0f} bits of PDQ differ",
            "embedding": f"cosine {self.value:.3f}",
            "ngrams": f"{self.value:.0%} of its n-grams",
        }
        return f"{self.set}: {self.item}: {told[self.way]}"

    def rank(self) -> tuple[int, float]:
        """Returns what sorts the surest first."""
        far = self.value if self.way == "pdq" else -self.value
        return WAYS.index(self.way), far


class _Looks:
    """Some images of one set, by one of their hashes."""

    def __init__(self, items: Sequence[Item], hash_of: Callable[[Item], str]) -> None:
        seen = [i for i in items if hamming.shows_enough(hash_of(i), i.pdq_quality)]
        self.names = [item.name for item in seen]
        self.hashes = hamming.hash_table([hash_of(item) for item in seen])


class _Images:
    """The images of one set."""

    def __init__(self, name: str, items: Sequence[Item], distance: int) -> None:
        self._set, self._items, self._distance = name, items, distance
        self._by_digest: dict[str, str] = {}
        for item in items:
            for digest in (item.sha256, item.stored_sha256):
                if digest:
                    self._by_digest.setdefault(digest, item.name)
        self._firm = _Looks(items, lambda item: item.phash_firm)
        self._others = _Looks([i for i in items if not i.phash_firm], lambda item: item.phash)

    @cached_property
    def _all(self) -> _Looks:
        """All by PDQ, for what has no other hash."""
        return _Looks(self._items, lambda item: item.phash)

    def matches(self, sights: Sequence[Sight]) -> list[Match | None]:
        """Returns the nearest of this set for each image."""
        return [self._same(sight) or self._alike(sight) for sight in sights]

    def _same(self, sight: Sight) -> Match | None:
        names = (self._by_digest[d] for d in sight.sha256s if d in self._by_digest)
        return next((Match(self._set, name, "bytes", 0.0) for name in names), None)

    def _alike(self, sight: Sight) -> Match | None:
        if sight.phash_firm:
            asked = [(sight.phash_firm, self._firm), (sight.phash, self._others)]
        else:
            asked = [(sight.phash, self._all)]
        found: list[Match] = []
        for digits, looks in asked:
            if hamming.shows_enough(digits, sight.quality):
                query = hamming.hash_table([digits])
                (at,), (bits,) = hamming.within(query, looks.hashes, self._distance)
                found += [Match(self._set, looks.names[at], "pdq", float(bits))] if at >= 0 else []
        return min(found, key=Match.rank, default=None)


class Benchmark:
    """All evaluation sets of a configuration; `benchmark` gives the one of this process."""

    def __init__(self, items: Sequence[Item], config: DecontaminateConfig) -> None:
        self.items = tuple(items)
        self.digest = digest_of(items)
        self.sets = tuple(dict.fromkeys(item.set for item in items))
        pictures: dict[str, list[Item]] = {}
        for item in items:
            if item.is_picture:
                pictures.setdefault(item.set, []).append(item)
        self._images = [_Images(*each, config.image_distance) for each in pictures.items()]
        texts = {(item.set, item.text): item for item in reversed(items) if item.text}
        self._texts = [*reversed(texts.values())]  # the first of equal ones
        self._ngrams = Ngrams(item.text for item in self._texts)
        self._min_overlap = config.min_text_overlap

    @property
    def short_texts(self) -> int:
        """How many different texts are too short to be looked for."""
        return self._ngrams.short

    def image_matches(self, sights: Sequence[Sight]) -> list[list[Match]]:
        """Returns for each image the nearest item of each set that has it, the surest first."""
        columns = [images.matches(sights) for images in self._images]
        rows = zip(*columns, strict=True) if columns else ((),) * len(sights)
        return [sorted(filter(None, row), key=Match.rank) for row in rows]

    def images(self, sights: Sequence[Sight]) -> list[str]:
        """Returns for each image the evidence that it is one of theirs, "" if it is not."""
        return [str(found[0]) if found else "" for found in self.image_matches(sights)]

    def image(
        self, sha256s: Sequence[str], phash: str, quality: float, phash_firm: str = ""
    ) -> str:
        """Returns the evidence that an image is one of theirs, "" if it is not."""
        return self.images([Sight(sha256s, phash, quality, phash_firm)])[0]

    def text_matches(self, text: str) -> list[Match]:
        """Returns the text of each set that a document holds the largest share of, if it is enough."""
        best: dict[str, Match] = {}
        for place, share in self._ngrams.shares(text):
            item = self._texts[place]
            if share >= self._min_overlap:
                match = Match(item.set, item.name, "ngrams", share)
                best[item.set] = min(best.get(item.set, match), match, key=Match.rank)
        return sorted(best.values(), key=Match.rank)

    def text(self, text: str) -> str:
        """Returns the evidence that a document holds one of their texts, "" if it does not."""
        found = self.text_matches(text)
        return str(found[0]) if found else ""


@lru_cache(maxsize=2)
def benchmark(config: DecontaminateConfig) -> Benchmark | None:
    """Returns the evaluation sets of a configuration, None without any; a process reads them once.

    Raises InputError for a path that has none. Pictures are hashed one by one here: `prepared`
    does that once for all processes, and names another table when a set has changed.
    """
    if not config.against:
        return None
    return Benchmark(sources.load(config.against), config)


def prepared(config: DecontaminateConfig, folder: Path, workers: int = 1) -> DecontaminateConfig:
    """Returns the configuration with its evaluation sets replaced by one table of their hashes.

    The table lies in `folder` and is used again while names, sizes and times of all their files stay.
    """
    if not config.against:
        return config
    known = "\0".join((*COLUMNS.names, *_files(config.against)))
    state = sha256(known.encode("utf-8", "surrogateescape"))
    path = folder / f"evaluation-{state.hexdigest()[:16]}.parquet"
    if not path.is_file():
        save(path, sources.load(config.against, workers))
    return config.model_copy(update={"against": (str(path),)})


def _files(against: Sequence[str]) -> Iterable[str]:
    for path, name in zip(against, sources.set_names(against), strict=True):
        yield name
        for unit in sources.units(path, name):
            for file in unit.files:
                status = (unit.root / file).stat()
                yield f"{file} {status.st_size} {status.st_mtime_ns}"
