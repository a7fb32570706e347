"""What becomes of a reference: it stays in, or is dropped with one reason; and how both are written."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from m3w_builder import capfilt
from m3w_builder.stages import Counts
from m3w_builder.tables import Row, flat_row, plain, write_table
from m3w_builder.types import ID_HEX, KINDS, MEDIA_NAMES, Reject

Reference = dict[str, Any]
Drop = tuple[str, str]  # reason, detail
MAX_DETAIL = 500  # characters


@dataclass(frozen=True)
class Dropped:
    """A reject and the section of the waterfall it counts in: documents, texts, images, videos, image_text, video_text.

    A veto drops a reference that is among the outcomes, too: what was decided without carrying it along.
    """

    section: str
    reject: Reject
    veto: bool = False


@dataclass(frozen=True)
class Noted:
    """Something found that is reported and kept, by the counter `noted.<section>.<reason>`."""

    section: str
    reject: Reject


Outcome = Reference | Dropped | Noted


def section_of(reference: Reference) -> str:
    """Returns the section of a whole document or pair."""
    return "documents" if reference["kind"] == "interleaved" else str(reference["kind"])


def reject(reference: Reference, verdict: Drop, url: str = "") -> Reject:
    """Returns the reject of a document, or of what it shows at another URL."""
    reason, detail = verdict
    where = reference["id"], url or reference["url"]
    return Reject(*where, "select", reason, detail[:MAX_DETAIL])


def drop(reference: Reference, reason: str, detail: str, *, veto: bool = False) -> Dropped:
    """Returns the drop of a whole document or pair."""
    return Dropped(section_of(reference), reject(reference, (reason, detail)), veto)


def partition_of(outcome: Outcome, partitions: int) -> int:
    """Returns the id range that an outcome is written in; ranges are equal shares of the id space."""
    key = outcome["id"] if isinstance(outcome, dict) else outcome.reject.id
    return int(key, 16) * partitions >> (4 * ID_HEX)


def write_partition(partition: int, outcomes: Iterable[Outcome], folder: Path) -> Counts:
    """Writes one id range: the selected rows in id order, rejects and notes; returns its counts."""
    outcomes = list(outcomes)
    dropped = [outcome for outcome in outcomes if isinstance(outcome, Dropped)]
    vetoed = {one.reject.id for one in dropped if one.veto}
    noted = [one for one in outcomes if isinstance(one, Noted) and one.reject.id not in vetoed]
    kept = [one for one in outcomes if isinstance(one, dict) and one["id"] not in vetoed]
    kept.sort(key=lambda row: (KINDS.index(row["kind"]), row["id"]))
    if len({row["id"] for row in kept}) < len(kept):  # a key of a shard is one sample
        raise AssertionError(f"partition {partition}: a document was selected twice")
    name = f"{partition:05d}.parquet"
    write_table(folder / "selected" / name, "selected", map(_selected_row, kept))
    for kind, items in (("rejects", dropped), ("noted", noted)):
        rows = sorted(astuple(item.reject) for item in items)
        if rows or kind == "rejects":
            write_table(folder / kind / name, "rejects", (flat_row(Reject(*row)) for row in rows))
    return _counts(kept, dropped, noted)


def _selected_row(kept: Reference) -> Row:
    media = [
        {**row, "scores": sorted(row["scores"].items()), "optouts": plain(row["optouts"])}
        for row in (*kept["media"], *kept["subtitles"])
    ]
    names = ("id", "kind", "file", "row", "keep", "bytes", "captions")
    return {**{name: kept[name] for name in names}, "media": media}


def _counts(
    kept: Iterable[Reference], dropped: Iterable[Dropped], noted: Iterable[Noted]
) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in kept:
        kind = row["kind"]
        counts[kind] += 1
        counts[f"{kind}.bytes"] += row["bytes"]
        counts.update(capfilt.count(row["captions"]))
        counts[f"{kind}.texts"] += row["texts"]
        for media in (*row["media"], *row["subtitles"]):
            counts[f"{kind}.{MEDIA_NAMES[media['kind']]}"] += 1
            counts[f"{kind}.frames"] += len(media["frames"])
    for one in dropped:
        counts[f"rejects.{one.section}.{one.reject.reason}"] += 1
    for note in noted:
        counts[f"noted.{note.section}.{note.reject.reason}"] += 1
    return counts
