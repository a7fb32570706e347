"""Which documents stay: pure functions over references (scores, hashes, media rows), never over text or pixels.

The order is fixed, so that every drop has one reason: page duplicates, opt-outs, document rules, media and its rules,
"no image left", text duplicates. A reference is a small dict: it is what the select pipeline shuffles.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from m3w_builder import dedup, rules
from m3w_builder.config import FRAMES_PER_SECOND, Config
from m3w_builder.optouts import REASON, evidence, media_refusal, page_refusal
from m3w_builder.stages import Counts
from m3w_builder.subtitles import spoken
from m3w_builder.tables import (
    MEDIA_COLUMNS,
    OPTOUT_COLUMNS,
    Row,
    flat_row,
    plain,
    read_table,
    write_table,
)
from m3w_builder.types import ID_HEX, KINDS, MEDIA_NAMES, OptOut, Reject

Reference = dict[str, Any]
Drop = tuple[str, str]  # reason, detail


@dataclass(frozen=True)
class Dropped:
    """A reject and the section of the waterfall it counts in: documents, images, videos, image_text, video_text."""

    section: str
    reject: Reject


Outcome = Reference | Dropped  # a document that is still in, or why it is not
PLAYER: Drop = ("video_player", "no media file is known, only the player's page")
_COLUMNS = [
    *("id", "kind", "url", "crawled", "record", "language", "text_sha256", "scores"),
    *(*OPTOUT_COLUMNS, *MEDIA_COLUMNS),
]


def references(path: Path) -> Iterator[Reference]:
    """Yields a reference per row of a documents file."""
    for number, row in enumerate(read_table(path, "documents", _COLUMNS)):
        nodes = row.pop("nodes")
        row["scores"] = dict(row["scores"])
        row["optouts"] = [OptOut(**optout) for optout in row["optouts"]]
        row["file"], row["row"] = path.name, number
        row["nodes"] = len(nodes)
        row["media"] = [
            (index, node["type"], node["url"], node["file"])
            for index, node in enumerate(nodes)
            if node["type"] != "text"
        ]
        row["tracks"] = [
            (index, url)
            for index, node in enumerate(nodes)
            if node["type"] == "video" and node["file"]
            for url in dict.fromkeys(spoken(node["tracks"] or ()))
        ]
        yield row


def media_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Yields (kind and URL, row) of a media file."""
    for row in read_table(path, "media"):
        row["scores"] = dict(row["scores"])
        row["optouts"] = [OptOut(**optout) for optout in row["optouts"]]
        yield f"{row['kind']} {row['url']}", row


def page_of(reference: Reference) -> str:
    """Returns what all captures of one page share."""
    return dedup.page_key(reference["url"])


def one_capture(captures: Iterable[Reference]) -> Iterator[Outcome]:
    """Yields the documents of the newest capture of a page, and a reject for every other document."""
    # A record that was archived twice gives equal documents: file and row break the tie.
    ranked = sorted(captures, key=lambda row: (_page_copy(row).rank(), row["row"]))
    newest = ranked[0]
    seen = set()
    for row in ranked:
        if row["record"] == newest["record"] and row["id"] not in seen:
            seen.add(row["id"])
            yield row
        else:
            yield _drop(row, "duplicate_page", f"kept {newest['url']} of {newest['crawled']}"[:500])


def _page_copy(row: Reference) -> dedup.PageCopy:
    return dedup.PageCopy(row["crawled"], row["record"], row["id"], row["file"])


def judge(reference: Reference, config: Config) -> Outcome:
    """Applies the rules that need no media: the page's opt-outs, text quality, repetition, language.

    What opts out of the use of its media alone (noimageai) keeps its text for now: `withheld` says why.
    """
    if found := page_refusal(reference["url"], reference["optouts"], config.rights):
        return _drop(reference, REASON, evidence(found))
    if found := page_refusal(reference["url"], reference["optouts"], config.rights, "image"):
        if reference["kind"] != "interleaved":
            return _drop(reference, REASON, evidence(found))
        reference = {**reference, "withheld": evidence(found)}
    if reference["kind"] == "interleaved":
        if not reference["media"]:
            return _drop(reference, "no_image", "the page shows none in its content")
        if broken := rules.decide(reference["scores"], reference["language"], config.rules):
            return _drop(reference, *broken)
    return reference


def needs(reference: Reference) -> Iterator[tuple[str, tuple[str, int]]]:
    """Yields (kind and URL, (document id, node index)) for each media node that can be had, and its tracks."""
    if "withheld" in reference:
        return
    for index, kind, url, is_file in reference["media"]:
        if kind == "image" or is_file:
            yield f"{kind} {url}", (reference["id"], index)
    for index, url in reference["tracks"]:
        yield f"subtitles {url}", (reference["id"], index)


def join(
    needed: Iterable[tuple[str, int]], rows: Iterable[Row]
) -> Iterator[tuple[str, tuple[int, Row]]]:
    """Yields (document id, (node index, media row)) for each need of one media URL."""
    for row in rows:
        for document, index in needed:
            yield document, (index, row)


def admit(
    reference: Reference,
    media: Iterable[tuple[int, Row]],
    config: Config,
) -> Iterator[Outcome]:
    """Applies the media rules; yields rejects of nodes, then the document with what stays, or its reject."""
    rows: dict[int, Row] = {}
    tracks: list[tuple[int, Row]] = []  # one that could not be had is no reason to drop its video
    for index, row in media:
        if row["kind"] != "subtitles":
            rows[index] = row
        elif row["status"] == "ok":
            tracks.append((index, row))
    drops = {
        index: drop
        for index, kind, _, is_file in reference["media"]
        if (drop := _media_drop(reference, kind, is_file, rows.get(index), config))
    }
    stays = [i for i, *_ in reference["media"] if i not in drops]
    if reference["kind"] == "interleaved":
        again = dedup.repeated([rows[i]["sha256"] for i in stays])
        drops |= {
            stays[n]: ("repeated_image", "the same bytes are above in the document") for n in again
        }
        stays = [i for i in stays if i not in drops]
    verdict = _document_drop(reference, [rows[i] for i in stays], drops, config)
    if reference["kind"] == "interleaved":
        for index, kind, url, _ in reference["media"]:
            if index in drops:
                yield Dropped(f"{kind}s", Reject(reference["id"], url, "select", *drops[index]))
    if verdict:
        yield _drop(reference, *verdict)
    else:
        yield _kept(reference, stays, rows, tracks, config)


def _media_drop(
    reference: Reference,
    kind: str,
    is_file: bool,
    row: Row | None,
    config: Config,
) -> Drop | None:
    if "withheld" in reference:
        return REASON, reference["withheld"]
    if kind == "video" and not is_file:
        return PLAYER
    if row is None:  # fetch obeyed other opt-outs than we do
        return f"{kind}_unavailable", "not asked for"
    return _node_drop(row, config)


def _node_drop(row: Row, config: Config) -> Drop | None:
    if row["status"] == REASON:
        return REASON, row["detail"]
    if row["status"] != "ok":
        return f"{row['kind']}_unavailable", row["status"]
    urls, digests = (row["url"], row["final_url"]), (row["sha256"], row["source_sha256"])
    if found := media_refusal(urls, digests, row["optouts"], config.rights, row["kind"]):
        return REASON, evidence(found)
    if row["kind"] == "image":
        return rules.image_rule(row["width"], row["height"], row["scores"], config.rules)
    return None


def _document_drop(
    reference: Reference, media: Sequence[Row], drops: Mapping[int, Drop], config: Config
) -> Drop | None:
    if not media:
        if reference["kind"] != "interleaved":
            return next(iter(drops.values()))
        return "no_image_left", ", ".join(sorted({reason for reason, _ in drops.values()}))
    if reference["kind"] == "interleaved":
        return None
    unigrams = int(reference["scores"]["unigrams"])
    if reference["kind"] == "image_text":
        return rules.image_pair_rule(unigrams, media[0]["width"], media[0]["height"], config.rules)
    return rules.video_pair_rule(unigrams, len(media[0]["frames"]), config.rules)


def _kept(
    reference: Reference,
    stays: Sequence[int],
    rows: Mapping[int, Row],
    tracks: Iterable[tuple[int, Row]],
    config: Config,
) -> Reference:
    gone = {i for i, *_ in reference["media"]} - set(stays)
    media = [{"node": i, **rows[i]} for i in stays]
    subtitles = [{"node": i, **row} for i, row in tracks if i in stays]
    subtitles.sort(key=lambda row: (row["node"], row["url"]))
    if reference["kind"] == "video_text":
        media = [
            {**row, "frames": clip(row["frames"], config.select.clip_seconds)} for row in media
        ]
    size = sum(
        row["length"] + sum(f["length"] for f in row["frames"]) for row in (*media, *subtitles)
    )
    return {
        **{
            key: reference[key]
            for key in ("id", "kind", "url", "file", "row", "crawled", "text_sha256")
        },
        "keep": [i for i in range(reference["nodes"]) if i not in gone],
        "media": media,
        "subtitles": subtitles,
        "characters": int(reference["scores"].get("characters", 0)),
        "bytes": size + int(reference["scores"].get("characters", 0)),
    }


def clip(frames: Sequence[Row], seconds: int) -> Sequence[Row]:
    """Returns the frames of the middle of a video, so many seconds of it; all of a shorter one.

    The text of a pair is about the whole; beginnings are titles, ends are credits. 0 means all.
    """
    count = seconds * FRAMES_PER_SECOND or len(frames)
    first = max(len(frames) - count, 0) // 2
    return frames[first : first + count]


def content_of(kept: Reference) -> str:
    """Returns what exact duplicates share: an interleaved document its text, a pair its media and text."""
    if kept["kind"] == "interleaved":
        return f"interleaved {kept['text_sha256'] or kept['id']}"
    return f"{kept['kind']} {kept['media'][0]['sha256']} {kept['text_sha256']}"


def one_copy(copies: Iterable[Reference]) -> Iterator[Outcome]:
    """Yields the best of several documents with the same content, and a reject for each other one."""
    ranked = sorted(copies, key=lambda copy: _text_copy(copy).rank())
    yield ranked[0]
    for copy in ranked[1:]:
        yield _drop(
            copy, "duplicate_content", f"same as {ranked[0]['id']} {ranked[0]['url']}"[:500]
        )


def _text_copy(kept: Reference) -> dedup.TextCopy:
    return dedup.TextCopy(len(kept["media"]), kept["characters"], kept["crawled"], kept["id"])


def partition_of(outcome: Outcome, partitions: int) -> int:
    """Returns the id range that an outcome is written in; ranges are equal shares of the id space."""
    key = outcome.reject.id if isinstance(outcome, Dropped) else outcome["id"]
    return int(key, 16) * partitions >> (4 * ID_HEX)


def write_partition(partition: int, outcomes: Iterable[Outcome], folder: Path) -> Counts:
    """Writes one id range: the selected rows in id order and the rejects; returns its counts."""
    outcomes = list(outcomes)
    kept = [outcome for outcome in outcomes if not isinstance(outcome, Dropped)]
    dropped = [outcome for outcome in outcomes if isinstance(outcome, Dropped)]
    kept.sort(key=lambda row: (KINDS.index(row["kind"]), row["id"]))
    rejects = sorted(astuple(drop.reject) for drop in dropped)
    name = f"{partition:05d}.parquet"
    write_table(folder / "selected" / name, "selected", map(_selected_row, kept))
    write_table(folder / "rejects" / name, "rejects", (flat_row(Reject(*row)) for row in rejects))
    return _counts(kept, dropped)


def _selected_row(kept: Reference) -> Row:
    media = [
        {**row, "scores": sorted(row["scores"].items()), "optouts": plain(row["optouts"])}
        for row in (*kept["media"], *kept["subtitles"])
    ]
    return {**{k: kept[k] for k in ("id", "kind", "file", "row", "keep", "bytes")}, "media": media}


def _counts(kept: Iterable[Reference], dropped: Iterable[Dropped]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in kept:
        kind = row["kind"]
        counts[kind] += 1
        counts[f"{kind}.bytes"] += row["bytes"]
        for media in (*row["media"], *row["subtitles"]):
            counts[f"{kind}.{MEDIA_NAMES[media['kind']]}"] += 1
            counts[f"{kind}.frames"] += len(media["frames"])
    for drop in dropped:
        counts[f"rejects.{drop.section}.{drop.reject.reason}"] += 1
    return counts


def _drop(reference: Reference, reason: str, detail: str) -> Dropped:
    kind = str(reference["kind"])
    section = "documents" if kind == "interleaved" else kind
    return Dropped(section, Reject(reference["id"], reference["url"], "select", reason, detail))
