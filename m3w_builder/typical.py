"""The most typical drops of every reason: OUT/examples.json, with words and thumbnails to look at.

Where a reason's details carry the measured value ("43 < 50"), the most typical are those whose value is
nearest to the reason's median; elsewhere they are spread evenly over the id space, which is a hash.
Ties go to the smallest id, and every URL is shown once. Rejects are read as a stream, twice: a build can
have a thousand times more of them than samples.
"""

import base64
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from m3w_builder.config import Config
from m3w_builder.optouts import Kind, media_refusal, page_refusal
from m3w_builder.packs import read_range
from m3w_builder.privacy import mask
from m3w_builder.render import small
from m3w_builder.shards.stats import Top, domain
from m3w_builder.stages import Stage
from m3w_builder.tables import media, read_table
from m3w_builder.tombstones import tombstones
from m3w_builder.types import Document, Media
from m3w_builder.write import documents_at
from schemas.arrow import MEDIA

SHOWN = 20  # examples of a reason
SIDE = 96  # pixels of a thumbnail
QUALITY = 60  # WebP: about 2 kB
WORDS = 160  # characters of a text
DETAIL = 500  # characters of a detail
DOMAINS = 20
# What must not be kept is not shown either: address and detail alone.
HIDDEN = frozenset(
    {"opted_out", "explicit_image", "explicit_text", "personal_data", "blocked_url", "removed"}
)
_MEASURED = re.compile(r"(-?\d[\d.]*(?:e[-+]?\d+)?) [<>]=? ")

Row = dict[str, Any]
Key = tuple[float, str, str, str]  # distance, id, url, detail: the smallest are kept


@dataclass
class Best:
    """The rows with the smallest keys, one of each URL, in bounded memory whatever the order."""

    most: int
    kept: dict[str, Key] = field(default_factory=dict)

    def offer(self, key: Key) -> None:
        """Takes a row unless its URL has a smaller key."""
        url = key[2]
        self.kept[url] = min(key, self.kept.get(url, key))
        if len(self.kept) >= 4 * self.most:
            self.kept = {kept[2]: kept for kept in self.best()}

    def best(self) -> list[Key]:
        """Returns what is kept, the smallest key first."""
        return sorted(self.kept.values())[: self.most]


@dataclass
class Reason:
    """One reason of one stage: how many drops, their median value if they have values, and the most typical."""

    count: int = 0
    values: Counter[float] = field(default_factory=Counter)  # rounded to three digits
    nearest: Best = field(default_factory=lambda: Best(SHOWN))
    spread: list[Best] = field(default_factory=lambda: [Best(SHOWN) for _ in range(SHOWN)])

    @property
    def median(self) -> float | None:
        """Returns the lower median of the values, None where most drops have none."""
        if 2 * self.values.total() <= self.count:
            return None
        left = (self.values.total() + 1) // 2
        for value in sorted(self.values):
            left -= self.values[value]
            if left <= 0:
                return value
        raise AssertionError("a counter with values has a median")

    def count_one(self, detail: str) -> None:
        """Counts one drop, and its value where the detail begins with one."""
        self.count += 1
        if (value := _value(detail)) is not None:
            self.values[float(f"{value:.3g}")] += 1

    def offer(self, row: Row, median: float | None) -> None:
        """Considers one drop as an example."""
        place = row["id"], row["url"], row["detail"]
        if median is None:
            slot = int(row["id"], 16) * SHOWN >> 4 * len(row["id"])
            self.spread[slot].offer((0.0, *place))
        elif (value := _value(row["detail"])) is not None:
            self.nearest.offer((abs(value - median), *place))

    def typical(self) -> list[Key]:
        """Returns the examples: nearest first, or in the order of their ids."""
        if near := self.nearest.best():
            return near
        ranks = [(rank, key) for best in self.spread for rank, key in enumerate(best.best())]
        by_url = {key[2]: (rank, key) for rank, key in sorted(ranks, reverse=True)}
        return sorted(key for _, key in sorted(by_url.values())[:SHOWN])


def _value(detail: str) -> float | None:
    found = _MEASURED.match(detail)
    return float(found[1]) if found else None


@dataclass
class Drops:
    """What a stream of rejects holds: reasons by (stage, reason), and whose domains they are of."""

    reasons: dict[tuple[str, str], Reason] = field(default_factory=lambda: defaultdict(Reason))
    domains: Top = field(default_factory=Top)


def choose(files: Sequence[Path]) -> Drops:
    """Returns counts and typical examples of rejects files; their order changes nothing."""
    drops = Drops()
    for row in _rows(files, ("url", "stage", "reason", "detail")):
        drops.reasons[row["stage"], row["reason"]].count_one(row["detail"])
        if row["stage"] == "select":
            drops.domains.add(domain(row["url"]))
    medians = {why: reason.median for why, reason in drops.reasons.items()}
    for row in _rows(files):
        why = row["stage"], row["reason"]
        drops.reasons[why].offer(row, medians[why])
    return drops


def _rows(files: Sequence[Path], columns: Sequence[str] | None = None) -> Iterator[Row]:
    for path in sorted(files):
        yield from read_table(path, "rejects", columns)


def examples(drops: Drops) -> Row:
    """Returns examples.json without words and pictures: reasons by their count, examples as rejects."""
    ordered = sorted(drops.reasons.items(), key=lambda item: (-item[1].count, item[0]))
    return {
        "reasons": [
            {
                "stage": stage,
                "reason": reason,
                "count": found.count,
                "median": found.median,
                "examples": [
                    {"id": key, "url": url, "detail": detail[:DETAIL]}
                    for _, key, url, detail in found.typical()
                ],
            }
            for (stage, reason), found in ordered
        ],
        "domains": drops.domains.most(DOMAINS),
    }


def describe(files: Sequence[Path], extract: Stage, fetch: Stage, config: Config) -> Row:
    """Returns examples.json: with title and first words of documents and pairs, and small pictures.

    Nothing is shown of what opted out, is explicit, holds personal data or was taken down, nor of
    what shares its id or a URL with such a reject: an older capture has the words that the newest
    forbids. What is shown names its `page` and its `media` (URLs and digests), so that `forget` can
    take it out.
    """
    found = examples(choose(files))
    shown = [
        example
        for reason in found["reasons"]
        if reason["reason"] not in HIDDEN
        for example in reason["examples"]
    ]
    documents = _documents({example["id"] for example in shown}, extract)
    names = [_names(example, documents.get(example["id"])) for example in shown]
    hidden = _hidden(files, set().union(*names))
    pictured: dict[str, list[Row]] = {}  # examples by the URL of their medium
    for example, known_as in zip(shown, names, strict=True):
        document = documents.get(example["id"])
        if not hidden.isdisjoint(known_as):
            continue
        if document is None:
            pictured.setdefault(example["url"], []).append(example)
        elif not _refused(document, config):
            example |= {"kind": document.kind, "page": document.url}
            if url := _medium(document, example["url"]):
                pictured.setdefault(url, []).append(example)
            if document.kind != "interleaved" or example["url"] == document.url:
                words = _words(document).removeprefix(document.title).lstrip()
                example["title"] = _cut(mask(document.title, config.privacy))
                example["text"] = _cut(mask(words, config.privacy))
    for row in sorted(_media(pictured, fetch), key=lambda row: (row.url, row.kind), reverse=True):
        if picture := _thumbnail(row, fetch, config):
            for example in pictured[row.url]:
                known = row.url, row.final_url, row.sha256, row.source_sha256
                example |= {"picture": picture, "media": list(dict.fromkeys(filter(None, known)))}
    return found


def forget(found: Row, is_removed: Callable[[Row], bool]) -> Row:
    """Returns examples.json without the examples (id, url; page, media where shown) that are taken down."""
    return {
        **found,
        "reasons": [
            {**reason, "examples": [e for e in reason["examples"] if not is_removed(e)]}
            for reason in found["reasons"]
        ],
    }


def _names(example: Row, document: Document | None) -> set[str]:
    """Returns the ids and URLs of an example, its page and, by its detail, what was kept in its place."""
    page = {document.url, document.canonical} - {""} if document else set()
    return {example["id"], example["url"], *page, *example["detail"].split()}


def _hidden(files: Sequence[Path], names: set[str]) -> set[str]:
    """Returns which ids and URLs are somewhere rejected for a reason that is not to be shown."""
    column, wanted = pc.field, pa.array(sorted(names), pa.string())
    named = column("id").isin(wanted) | column("url").isin(wanted)
    asked = column("reason").isin(sorted(HIDDEN)) & named
    found: set[str] = set()
    for path in files:
        rows = pq.read_table(path, columns=["id", "url"], filters=asked)
        found.update(*rows.to_pydict().values())
    return found & names


def _refused(document: Document, config: Config) -> bool:
    urls = filter(None, (document.url, document.canonical))
    if tombstones(config.rights.removed).find(urls):
        return True
    kinds: tuple[Kind, ...] = ("text", "image")
    asked = (page_refusal(document.url, document.optouts, config.rights, kind) for kind in kinds)
    return any(asked)


def _medium(document: Document, url: str) -> str:
    """Returns the URL of what an example shows: a pair's medium, or the node that was dropped."""
    if document.kind == "image_text":
        return document.images[0].url
    if document.kind == "video_text":
        return document.videos[0].url
    return url if url != document.url else ""


def _words(document: Document) -> str:
    text = " ".join(text.text for text in document.texts[:20])
    return " ".join(text[: 4 * WORDS].split())


def _cut(text: str) -> str:
    return text if len(text) <= WORDS else f"{text[: WORDS - 1].rstrip()}…"


def _documents(ids: set[str], extract: Stage) -> dict[str, Document]:
    """Returns the documents of ids; of several captures the oldest, however the input was split."""
    places = [
        {"id": key, "file": path.name, "row": row}
        for path in extract.files("documents")
        for row, key in enumerate(pq.read_table(path, columns=["id"])["id"].to_pylist())
        if key in ids
    ]
    found: dict[str, Document] = {}
    for key, document in documents_at(places, extract.folder / "documents"):
        found[key] = min(found.get(key, document), document, key=_capture)
    return found


def _capture(document: Document) -> tuple[str, str, str]:
    return document.crawled, document.record, _words(document)


def _media(urls: Iterable[str], fetch: Stage) -> Iterator[Media]:
    """Yields the usable images and videos of the URLs."""
    column, wanted = pc.field, pa.array(sorted(urls), pa.string())
    usable = (column("status") == "ok") & column("kind").isin(["image", "video"])
    for path in fetch.files("media"):
        found = pq.read_table(path, schema=MEDIA, filters=usable & column("url").isin(wanted))
        yield from map(media, found.to_pylist())


def _thumbnail(row: Media, fetch: Stage, config: Config) -> str:
    """Returns a WebP picture in base64: of an image, or of a video's first frame; "" for none."""
    digests = row.sha256, row.source_sha256
    urls = row.url, row.final_url
    frames = (frame.sha256 for frame in row.frames)
    gone = tombstones(config.rights.removed).find(urls, (*digests, *frames))
    refused = gone or media_refusal(urls, digests, row.optouts, config.rights, row.kind)
    place = row if row.kind == "image" else next(iter(row.frames), None)
    if refused or row.scores.get("nsfw", 0.0) > config.safety.max_nsfw or place is None:
        return ""
    data = read_range(fetch.folder / "packs" / row.pack, place.offset, place.length)
    image = small(data, (SIDE, SIDE))
    if image is None:
        return ""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY)
    return base64.b64encode(file.getvalue()).decode()
