"""report.html: what a build made and what it dropped, on one page that stands alone.

Samples are spread evenly over the key order, a shuffle: the same dataset gives the same page.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from m3w_builder.files import write_text
from m3w_builder.render import size
from m3w_builder.report import charts, gallery, rejects
from m3w_builder.report.flow import flow
from m3w_builder.report.html import Html, join, page, tag
from m3w_builder.samples import Parts, Record
from m3w_builder.shards import (
    Dataset,
    dataset_title,
    open_dataset,
    read_examples,
    read_scores,
    read_waterfall,
    totals,
)
from m3w_builder.shards.stats import Stats
from m3w_builder.types import KINDS
from m3w_builder.typical import choose, examples

SHOWN = {"interleaved": 8, "image_text": 40, "video_text": 6}
NAMES = {
    "interleaved": "Interleaved documents",
    "image_text": "Image-text pairs",
    "video_text": "Video-text pairs",
}
MOST = 15  # bars of domains, languages, formats ...
Section = tuple[str, str, str, str]  # anchor, title, note, content


def write_report(folder: Path, output: Path | None = None) -> Path:
    """Writes the report of a finished dataset; returns where (default: report.html in it)."""
    path = output or folder / "report.html"
    write_text(path, report(folder))
    return path


def report(folder: Path) -> str:
    """Returns the report of a finished dataset as HTML."""
    data = open_dataset(folder)
    sections = list(_sections(folder, data))
    links = (tag("a", title, href=f"#{anchor}") for anchor, title, _, _ in sections)
    body = (
        join(tag("h2", title, id=anchor), tag("p", note, class_="note"), content)
        for anchor, title, note, content in sections
    )
    title = dataset_title(folder)
    made = (
        f"configuration {data.rows[0]['config']}, m3w {data.rows[0]['version']}"
        if data.rows
        else ""
    )
    header = tag("header", tag("h1", title), tag("p", _summary(data), class_="lead"), class_="top")
    footer = tag("footer", f"Texts and images belong to the publishers of the pages. {made}")
    nav = tag("nav", *links)
    return page(f"{title} – M3W report", tag("main", header, nav, _tiles(data), *body, footer))


def sample_page(record: Record, parts: Parts) -> str:
    """Returns one sample as a page of its own."""
    title = record["title"] or record["id"]
    top = Html("<br>")
    return page(title, tag("main", top, gallery.document(record, parts, whole=True)))


def _sections(folder: Path, data: Dataset) -> Iterator[Section]:
    if waterfall := read_waterfall(folder):
        note = (
            "From pages to what is in the shards: how many came, how many stayed, and every reason for a drop, "
            "which leads to its examples."
        )
        yield "waterfall", "Yield", note, flow(waterfall)
    scores = read_scores(folder) or {"scores": {}, "languages": {}}
    if scores["scores"]:
        note = (
            "Everything that was measured, kept or not: a column per range of values. "
            "The shaded side of a line is what a setting drops."
        )
        yield "scores", "Scores and thresholds", note, charts.scores(scores["scores"])
    drops = read_examples(folder) or examples(choose(list(folder.glob("rejects/*.parquet"))))
    if content := rejects.section(drops):
        note = (
            "Every reason with its most typical examples: those nearest to the median of its values, "
            "or, where it has none, spread evenly over all; one of each address."
        )
        yield "drops", "Drops", note, content
    if data.rows:
        stats = Stats(data.records())
        note = "Of the samples in the shards, and of what was found and dropped before."
        yield "origins", "Domains and languages", note, _origins(stats, drops, scores["languages"])
    views: dict[str, Callable[[Record, Parts], Html]] = {
        "interleaved": gallery.document,
        "image_text": gallery.pair,
        "video_text": gallery.video,
    }
    layouts = {"interleaved": "grid wide feed", "image_text": "gallery", "video_text": "stack"}
    for kind in KINDS:
        found = [shard for shard in data.shards if shard[1]["kind"] == kind]
        if found:
            part = Dataset(tuple(found))
            count = sum(row["documents"] for row in part.rows)
            shown = (views[kind](*part.at(n)) for n in _spread(count, SHOWN[kind]))
            note = f"{min(count, SHOWN[kind])} of {count:,}, spread evenly over the shuffled order."
            yield kind, NAMES[kind], note, tag("div", *shown, class_=layouts[kind])
    if data.rows:
        yield "distributions", "Distributions", "Over all samples.", _distributions(stats)


def _spread(count: int, shown: int) -> list[int]:
    """Returns at most `shown` numbers below `count`, evenly spread."""
    shown = min(count, shown)
    return [number * count // shown for number in range(shown)]


def _summary(data: Dataset) -> str:
    parts = [f"{t['documents']:,} {NAMES[kind].lower()}" for kind, t in totals(data.rows).items()]
    return f"{', '.join(parts) or 'Nothing passed the rules'}."


def _tiles(data: Dataset) -> Html:
    def total(name: str) -> int:
        return sum(row[name] for row in data.rows)

    values = [
        (f"{total('documents'):,}", "samples"),
        (f"{total('words'):,}", "words"),
        (f"{total('images'):,}", "images"),
        (f"{total('videos'):,}", "videos"),
        (f"{total('frames'):,}", "video frames"),
        (size(total("bytes")), f"in {len(data.rows):,} shards"),
    ]
    tiles = (
        tag("div", tag("b", value), tag("span", label), class_="tile") for value, label in values
    )
    return tag("div", *tiles, class_="tiles")


def _origins(
    stats: Stats, drops: Mapping[str, Any], languages: Mapping[str, Mapping[str, int]]
) -> Html:
    """Returns the most frequent domains and languages, of what is kept and of what is not."""
    cards = {
        "domains kept": stats.domains.most(MOST),
        "domains dropped": drops["domains"][:MOST],
        "languages kept": stats.counts["languages"].most_common(MOST),
        **{
            f"languages found: {NAMES[kind].lower()}": list(counts.items())[:MOST]
            for kind, counts in languages.items()
        },
    }
    shown = (charts.histogram(name, counts) for name, counts in cards.items() if counts)
    return tag("div", *shown, class_="grid")


def _distributions(stats: Stats) -> Html:
    cards = [charts.histogram(name, buckets) for name, buckets in stats.histograms().items()]
    for name in ("roles", "formats", "origins"):
        if stats.counts[name]:
            cards.append(charts.histogram(name, stats.counts[name].most_common(MOST)))
    return tag("div", *cards, class_="grid")


__all__ = ["report", "sample_page", "write_report"]
