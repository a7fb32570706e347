"""Which media the documents want, and where each can be had: the planning half of the fetch stage.

Everything here is a reference of a few hundred bytes: these rows are what the fetch pipeline shuffles.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from m3w_builder.collect import Request, collect
from m3w_builder.collect.reasons import RETRIED
from m3w_builder.config import DEFAULT_RIGHTS, Config, RightsConfig
from m3w_builder.dedup import moment
from m3w_builder.histograms import counters, media_scores
from m3w_builder.journal import remove
from m3w_builder.optouts import Kind, page_refusal, signals
from m3w_builder.reuse import earlier
from m3w_builder.stages import Counts, finished_files, unit_name
from m3w_builder.subtitles import spoken
from m3w_builder.tables import (
    MEDIA_COLUMNS,
    OPTOUT_COLUMNS,
    Row,
    flat_row,
    media,
    media_row,
    read_table,
    write_table,
)
from m3w_builder.types import MEDIA_NAMES, WHOLE_FILE, Media, MediaKind, OptOut, Reject, item_id
from m3w_builder.warc.reader import OFFSET_BITS

RANGE_BYTES = 16 * 2**20  # of one input file: archived media of a range are one unit of work
REDIRECT_HOPS = 2  # inside the archive; a longer chain is asked for over the network


@dataclass(frozen=True)
class Want:
    """A media URL that some document names; `at` is where a redirect of the archive led."""

    url: str
    kind: MediaKind
    at: str
    fallback: tuple[tuple[str, int], ...] = ()


def wants(path: Path, rights: RightsConfig = DEFAULT_RIGHTS) -> Iterator[tuple[str, Want]]:
    """Yields (URL, want) for each distinct media URL of a documents file, spoken subtitles among them.

    A page that opts out, itself or its media, wants none; another page may name the same ones.
    """
    seen: set[tuple[str, MediaKind]] = set()
    for row in read_table(path, "documents", ["url", *OPTOUT_COLUMNS, *MEDIA_COLUMNS]):
        if _refused(row, rights):
            continue
        for node in row["nodes"]:
            if node["type"] == "image" or (node["type"] == "video" and node["file"]):
                seen.add((node["url"], node["type"]))
                seen.update((url, "subtitles") for url in spoken(node["tracks"] or ()))
    for url, kind in sorted(seen):
        yield url, Want(url, kind, at=url)


def _refused(row: Row, rights: RightsConfig) -> bool:
    found = [OptOut(**optout) for optout in row["optouts"]]
    kinds: tuple[Kind, ...] = ("text", "image")
    return any(page_refusal(row["url"], found, rights, kind) for kind in kinds)


def archived(path: Path) -> Iterator[tuple[str, Row]]:
    """Yields (URL, row) of a resources file."""
    for row in read_table(path, "resources"):
        yield row["url"], row


def locate(
    wanted: Iterable[Want], captures: Iterable[Row], fallbacks: Iterable[Row] = ()
) -> Iterator[tuple[str, Want | Request]]:
    """Yields what to do about the wants of one URL: a Request, or a Want at a redirect's target.

    `captures` are the crawl's, `fallbacks` those of the archives that the user names. The newest good
    capture wins, then the newest redirect; ties are broken by the record id, those of one record that
    lies in two files by the place: a resumed run must ask the same unit for it.
    """
    newest = sorted(captures, key=_recency, reverse=True)
    good = [row for row in newest if row["status"] == 200]
    moved = [row for row in newest if row["location"]]
    fallback = _places(sorted(fallbacks, key=_recency, reverse=True))
    distinct = {(want.url, want.kind): want for want in wanted}
    for want in distinct.values():
        own = fallback if want.at == want.url else want.fallback
        if good:
            yield want.url, Request(want.url, want.kind, _places(good), own)
        elif moved:
            there = moved[0]["location"]
            yield there, Want(want.url, want.kind, at=there, fallback=own)
        else:
            yield want.url, Request(want.url, want.kind, (), own)


def _recency(row: Row) -> tuple[int, str, str, int]:
    return moment(row["crawled"]), row["record"], row["file"], row["offset"]


def _places(captures: Sequence[Row]) -> tuple[tuple[str, int], ...]:
    return tuple(dict.fromkeys((row["file"], row["offset"]) for row in captures))[:3]


def give_up(item: Want | Request) -> Request:
    """Returns the request of a want whose redirects leave the archive."""
    return item if isinstance(item, Request) else Request(item.url, item.kind, (), item.fallback)


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


def is_live(unit: str) -> bool:
    """Returns whether a unit asks the network; one host is always in one unit, so its limits hold."""
    return unit.startswith("http ")


def fetch_unit(
    unit: str,
    requests: Iterable[Request],
    folder: Path,
    config: Config,
    reuse: Path | None = None,
) -> Counts:
    """Collects a unit's media into its pack and its media table; returns its counts.

    `reuse` is an earlier fetch stage, whose images are asked for only if they changed.
    What an archive cannot serve is left to the unit of its host: `passed_on` tells.
    """
    name = unit_name(unit)
    requests = set(requests)
    if reuse and is_live(unit):
        known = earlier(reuse, [request.url for request in requests])
        requests = {
            replace(r, earlier=known.get(r.url)) if r.kind == "image" else r for r in requests
        }
    offline = config.fetch.model_copy(update={"network": False})
    rows = collect(
        sorted(requests, key=lambda r: (r.url, r.kind)),
        pack=folder / "packs" / f"{name}.tar",
        config=config.fetch if is_live(unit) else offline,
        rights=config.rights,
        journal=_journal(folder, name),
        records=folder / "records",
    )
    later: list[Media] = []
    if config.fetch.network and not is_live(unit):
        later = [row for row in rows if row.status not in ("ok", "opted_out")]
        rows = [row for row in rows if row.status in ("ok", "opted_out")]
        write_table(folder / "passed_on" / f"{name}.parquet", "media", map(media_row, later))
    _write_rows(folder, name, rows)
    return _counts(rows)


def _write_rows(folder: Path, name: str, rows: Sequence[Media]) -> None:
    write_table(folder / "media" / f"{name}.parquet", "media", map(media_row, rows))
    write_table(folder / "rejects" / f"{name}.parquet", "rejects", map(flat_row, _rejects(rows)))


def passed_on(unit: str, requests: Iterable[Request], folder: Path) -> Iterator[Request]:
    """Yields the requests of a finished archive unit that its archive could not serve."""
    path = folder / "passed_on" / f"{unit_name(unit)}.parquet"
    if not path.exists():
        return
    found = {(row["url"], row["kind"]): row for row in read_table(path, "media")}
    for request in sorted(set(requests), key=lambda r: (r.url, r.kind)):
        if row := found.get((request.url, request.kind)):
            yield replace(request, candidates=(), archived=(row["status"], row["detail"]))


def forget(folder: Path, name: str, retry: int = 0) -> None:
    """Removes the journal of a unit, or of its n-th retry, that is committed."""
    remove(_journal(folder, f"{name}-{retry}" if retry else name))


def _journal(folder: Path, name: str) -> Path:
    return folder / "journal" / name


def failed_units(folder: Path) -> list[str]:
    """Returns the names of the units that have rows which --retry-failed asks for once more."""
    return [
        path.stem
        for path in finished_files(folder, "media")
        if any(row["status"] in RETRIED for row in read_table(path, "media", ("status",)))
    ]


def retry_unit(name: str, folder: Path, config: Config, retry: int) -> Counts:
    """Asks once more for what failed in a finished unit; returns the unit's new counts.

    What is new lies in a pack of its own: packs do not change once they are written.
    """
    old = [media(row) for row in read_table(folder / "media" / f"{name}.parquet", "media")]
    pack = folder / "packs" / f"{name}-{retry}.tar"
    again = [
        row for row in old if row.status in RETRIED or row.pack == pack.name
    ]  # of a killed retry
    new = collect(
        [Request(row.url, row.kind) for row in again],
        pack=pack,
        config=config.fetch,
        rights=config.rights,
        journal=_journal(folder, f"{name}-{retry}"),
        records=folder / "records",
    )
    better = {(row.url, row.kind): row for row in new}
    rows = [better.get((row.url, row.kind), row) for row in old]
    _write_rows(folder, name, rows)
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
        counts.update(signals(row.optouts))
        if row.status != "ok":
            counts[f"rejects.{section}.{row.status}"] += 1
        else:
            counts[f"{section}.{row.origin}"] += 1
            counts[f"{section}.bytes"] += row.source_bytes
            counts["frames"] += len(row.frames)
            if row.kind != "subtitles":
                counts.update(counters(row.kind, media_scores(row)))
    return counts
