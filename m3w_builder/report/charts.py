"""Bars of report.html: the yield waterfall and the histograms, in plain HTML that reflows."""

from collections.abc import Iterable, Mapping
from typing import Any

from m3w_builder.report.html import Html, join, tag

TITLES = {"image_text": "image-text pairs", "video_text": "video-text pairs"}


def bar(count: float, most: float) -> Html:
    """Returns a bar; `most` fills the width."""
    share = 100 * min(count / most, 1) if most else 0
    return tag("div", tag("i", style=f"width:{share:.2f}%") if count else "", class_="bar")


def waterfall(data: Mapping[str, Any]) -> Html:
    """Returns a card per section of waterfall.json: what came in, what stayed, what was dropped."""
    cards = (_section(section) for section in data["sections"])
    return tag("div", *cards, class_="grid")


def _section(section: Mapping[str, Any]) -> Html:
    name = section["section"]
    steps, drops = section["steps"], section["drops"]
    most = max((item["count"] for item in (*steps, *drops)), default=0)
    rows = [_row(step["name"], step["count"], most) for step in steps]
    if drops:
        total = sum(drop["count"] for drop in drops)
        rows.append(tag("div", f"{total:,} dropped", class_="cut"))
        ordered = sorted(drops, key=lambda drop: (-drop["count"], drop["reason"]))
        rows += [_row(d["reason"], d["count"], most, stage=d["stage"]) for d in ordered]
    title = tag("h3", TITLES.get(name, name).capitalize())
    return tag("section", title, tag("div", *rows, class_="rows"), class_="card")


def _row(label: str, count: int, most: int, stage: str = "") -> Html:
    share = tag("span", f"{count / most:.1%}", class_="share") if count < most and not stage else ""
    chip = join(" ", tag("span", stage, class_="chip")) if stage else ""
    return tag(
        "div",
        tag("span", label, chip, class_="label"),
        tag("span", f"{count:,}", share, class_="count"),
        bar(count, most),
        class_="row drop" if stage else "row",
    )


def histogram(title: str, counts: Iterable[tuple[str, int]]) -> Html:
    """Returns a card with a bar per bucket."""
    counts = list(counts)
    most = max(count for _, count in counts)
    cells = [
        cell
        for label, count in counts
        for cell in (
            tag("span", label, class_="label"),
            bar(count, most),
            tag("span", f"{count:,}", class_="count"),
        )
    ]
    chart = tag("div", *cells, class_="histogram")
    return tag("section", tag("h3", title.capitalize()), chart, class_="card")
