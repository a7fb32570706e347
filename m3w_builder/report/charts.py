"""Charts of report.html in plain HTML that reflows: bars by name, and scores with their thresholds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from m3w_builder.histograms import bound_text, bucket_label, position
from m3w_builder.report.html import Html, join, tag
from m3w_builder.types import KINDS

TICKS = 4  # labels of an axis, besides the first


def bar(count: float, most: float) -> Html:
    """Returns a bar; `most` fills the width."""
    share = 100 * min(count / most, 1) if most else 0
    return tag("div", tag("i", style=f"width:{share:.2f}%") if count else "", class_="bar")


def histogram(title: str, counts: Iterable[tuple[str, int]]) -> Html:
    """Returns a card with a bar per bucket."""
    counts = list(counts)
    most = max(count for _, count in counts)
    cells = [
        cell
        for label, count in counts
        for cell in (
            tag("span", label, class_="label", title=label),
            bar(count, most),
            tag("span", f"{count:,}", class_="count"),
        )
    ]
    chart = tag("div", *cells, class_="histogram")
    return tag("section", tag("h3", title.capitalize()), chart, class_="card")


def score(name: str, found: Mapping[str, Any]) -> Html:
    """Returns a card of one score of scores.json: a column per bucket, its thresholds drawn in.

    Columns are equally wide, so that the axis is as the buckets are, mostly logarithmic.
    """
    buckets, cuts = found["buckets"], found["thresholds"]
    most = max(count for *_, count in buckets)
    columns = (_column(bucket, most) for bucket in buckets)
    lines = [part for cut in cuts for part in _cut(cut, buckets)]
    plot = tag("div", *columns, *lines, class_="plot")
    total = sum(count for *_, count in buckets)
    said = (tag("p", *_words(cut, buckets), class_="cut-of") for cut in cuts)
    head = tag("h3", name.replace("_", " "), " ", tag("small", f"{total:,}"))
    return tag("section", head, plot, _axis(buckets), *said, class_="card score")


def _column(bucket: Sequence[Any], most: int) -> Html:
    low, high, count = bucket
    title = f"{bucket_label(low, high)}: {count:,}"
    height = f"height:{100 * count / most:.1f}%"
    return tag("span", tag("i", style=height) if count else "", title=title)


def _cut(cut: Mapping[str, Any], buckets: Sequence[Any]) -> Iterable[Html]:
    """Yields the shade over what is beyond a threshold, and its line unless it lies off the chart."""
    place = 100 * position(buckets, cut["value"]) / len(buckets)
    beyond = f"left:0;width:{place:.2f}%" if cut["side"] == "min" else f"left:{place:.2f}%;right:0"
    yield tag("em", class_="beyond", style=beyond)
    if _is_on(cut, buckets):
        yield tag("em", class_="line", style=f"left:{place:.2f}%")


def _is_on(cut: Mapping[str, Any], buckets: Sequence[Any]) -> bool:
    lowest, highest = buckets[0][0], buckets[-1][1]
    above = lowest is None or lowest <= cut["value"]
    return above and (highest is None or cut["value"] <= highest)


def _words(cut: Mapping[str, Any], buckets: Sequence[Any]) -> tuple[str, Html]:
    side = "below" if cut["side"] == "min" else "above"
    where = "" if _is_on(cut, buckets) else ", off the chart"
    return f"{cut['setting']} = {cut['value']:g}", tag("small", f" drops {side}{where}")


def _axis(buckets: Sequence[Any]) -> Html:
    every = -(-len(buckets) // TICKS)
    labels = (
        tag("span", bound_text(low), style=f"left:{100 * place / len(buckets):.2f}%")
        for place, (low, _, _) in enumerate(buckets)
        if place % every == 0
    )
    return tag("div", *labels, class_="axis")


def scores(found: Mapping[str, Any]) -> Html:
    """Returns the cards of every subject of scores.json; scores without a threshold are folded away."""
    ordered = sorted(
        found, key=lambda name: (name not in KINDS, name != "interleaved", name)
    )  # documents, then media
    return join(*(_subject(name, found[name]) for name in ordered))


def _subject(name: str, found: Mapping[str, Any]) -> Html:
    cut = [score(key, value) for key, value in found.items() if value["thresholds"]]
    free = [score(key, value) for key, value in found.items() if not value["thresholds"]]
    grid = tag("div", *cut, class_="grid small")
    more = tag(
        "details",
        tag("summary", tag("span", f"{len(free)} without a threshold", class_="name")),
        tag("div", *free, class_="grid small"),
        class_="more",
    )
    title = tag("h3", name.replace("_", "-").capitalize(), class_="subject")
    return join(title, grid if cut else "", more if free else "")
