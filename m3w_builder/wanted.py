"""Which media the documents want, and where each can be had: the planning half of the fetch stage.

Everything here is a reference of a few hundred bytes: these rows are what the fetch pipeline shuffles.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from m3w_builder.collect import Request, collect
from m3w_builder.config import Config
from m3w_builder.dedup import moment
from m3w_builder.stages import Counts, unit_name
from m3w_builder.subtitles import spoken
from m3w_builder.tables import MEDIA_COLUMNS, Row, flat_row, media_row, read_table, write_table
from m3w_builder.types import MEDIA_NAMES, WHOLE_FILE, Media, MediaKind, Reject, item_id
from m3w_builder.warc.reader import OFFSET_BITS

RANGE_BYTES = 16 * 2**20  # of one input file: archived media of a range are one unit of work
REDIRECT_HOPS = 2  # inside the archive; a longer chain is asked for over the network


@dataclass(frozen=True)
class Want:
    """A media URL that some document names; `at` is where a redirect of the archive led."""

    url: str
    kind: MediaKind
    at: str


def wants(path: Path) -> Iterator[tuple[str, Want]]:
    """Yields (URL, want) for each distinct media URL of a documents file, spoken subtitles among them."""
    seen: set[tuple[str, MediaKind]] = set()
    for row in read_table(path, "documents", MEDIA_COLUMNS):
        for node in row["nodes"]:
            if node["type"] == "image" or (node["type"] == "video" and node["file"]):
                seen.add((node["url"], node["type"]))
                seen.update((url, "subtitles") for url in spoken(node["tracks"] or ()))
    for url, kind in sorted(seen):
        yield url, Want(url, kind, at=url)


def archived(path: Path) -> Iterator[tuple[str, Row]]:
    """Yields (URL, row) of a resources file."""
    for row in read_table(path, "resources"):
        yield row["url"], row


def locate(wanted: Iterable[Want], captures: Iterable[Row]) -> Iterator[tuple[str, Want | Request]]:
    """Yields what to do about the wants of one URL: a Request, or a Want at a redirect's target.

    The newest good capture wins, then the newest redirect; ties are broken by the record id, those of
    one record that lies in two files by the place: a resumed run must ask the same unit for it.
    """
    newest = sorted(captures, key=_recency, reverse=True)
    good = [row for row in newest if row["status"] == 200]
    moved = [row for row in newest if row["location"]]
    distinct = {(want.url, want.kind): want for want in wanted}
    for want in distinct.values():
        if good:
            yield want.url, Request(want.url, want.kind, _places(good))
        elif moved:
            yield moved[0]["location"], Want(want.url, want.kind, at=moved[0]["location"])
        else:
            yield want.url, Request(want.url, want.kind, ())


def _recency(row: Row) -> tuple[int, str, str, int]:
    return moment(row["crawled"]), row["record"], row["file"], row["offset"]


def _places(captures: Sequence[Row]) -> tuple[tuple[str, int], ...]:
    return tuple(dict.fromkeys((row["file"], row["offset"]) for row in captures))[:3]


def give_up(item: Want | Request) -> Request:
    """Returns the request of a want whose redirects leave the archive."""
    return item if isinstance(item, Request) else Request(item.url, item.kind, ())


def unit_of(request: Request, buckets: int) -> str:
    """Returns the unit of work of a request: a range of an archive file, or a bucket of files or hosts."""
    if not request.candidates:
        return f"http {_bucket(urlsplit(request.url).netloc, buckets)}"
    file, offset = request.candidates[0]
    if offset == WHOLE_FILE:  # one by one, files would be as many units as there are pictures
        return f"files {_bucket(request.url, buckets)}"
    return f"archive {file} {(offset & OFFSET_BITS) // RANGE_BYTES}"


def _bucket(key: str, buckets: int) -> int:
    return int(unit_name(key), 16) % buckets


def fetch_unit(unit: str, requests: Iterable[Request], folder: Path, config: Config) -> Counts:
    """Collects a unit's media into its pack and its media table; returns its counts."""
    name = unit_name(unit)
    pack = folder / "packs" / f"{name}.tar"
    rows = collect(
        sorted(set(requests), key=lambda r: (r.url, r.kind)), pack=pack, config=config.fetch
    )
    write_table(folder / "media" / f"{name}.parquet", "media", map(media_row, rows))
    write_table(folder / "rejects" / f"{name}.parquet", "rejects", map(flat_row, _rejects(rows)))
    return _counts(rows)


def _rejects(rows: Iterable[Media]) -> Iterator[Reject]:
    for row in rows:
        if row.status != "ok":
            yield Reject(item_id(row.url), row.url, "fetch", row.status, row.detail)


def _counts(rows: Iterable[Media]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in rows:
        section = MEDIA_NAMES[row.kind]
        counts[f"{section}.urls"] += 1
        if row.status != "ok":
            counts[f"rejects.{section}.{row.status}"] += 1
        else:
            counts[f"{section}.{row.origin}"] += 1
            counts[f"{section}.bytes"] += row.source_bytes
            counts["frames"] += len(row.frames)
    return counts
