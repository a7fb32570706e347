"""The yield of report.html as one flow, from pages to what is in the shards, every reason on the way."""

from collections.abc import Mapping, Sequence
from typing import Any

from m3w_builder.report.html import Html, join, tag

Section = Mapping[str, Any]
FEWEST = 0.002  # of a bar: a narrower segment could not be seen


def flow(data: Mapping[str, Any]) -> Html:
    """Returns waterfall.json as an indented chain: parts stand below what they are parts of."""
    sections: Sequence[Section] = data["sections"]
    parents = {section["section"]: section.get("of", "") for section in sections}
    steps = (_step(section, _depth(section["section"], parents)) for section in sections)
    return tag("div", *steps, class_="card flow")


def anchor(stage: str, reason: str) -> str:
    """Returns the id under which the examples of a reason stand."""
    return f"drop-{stage}-{reason}"


def _depth(name: str, parents: Mapping[str, str]) -> int:
    """Returns how many sections a section is below the first of its chain."""
    depth = 0
    while (name := parents.get(name, "")) and depth < len(parents):
        depth += 1
    return depth


def _step(section: Section, depth: int) -> Html:
    steps: Sequence[Mapping[str, Any]] = section["steps"]
    came = section.get("came", steps[0]["count"])
    stayed = section.get("stayed", steps[-1]["count"])
    drops = sorted(section["drops"], key=lambda drop: (-drop["count"], drop["reason"]))
    gone = came - stayed - sum(drop["count"] for drop in drops)
    share = f"{stayed / came:.1%}" if came else ""
    head = tag(
        "div",
        tag("h3", section["section"].replace("_", " ").capitalize()),
        tag("span", f"{came:,} → ", tag("b", f"{stayed:,}"), class_="ends"),
        tag("span", share, class_="share"),
        class_="step-head",
    )
    segments = [_segment("keep", stayed, came, "stayed")]
    segments += [_segment("drop", d["count"], came, d["reason"]) for d in drops]
    segments += [_segment("gone", gone, came, "gone with what they are parts of")]
    notes = [f"{step['name']} {step['count']:,}" for step in steps[1:-1] if step["count"]]
    reasons = tag("div", *(_reason(drop, came) for drop in drops), class_="whys")
    return tag(
        "section",
        head,
        tag("div", *segments, class_="stacked"),
        reasons if drops else "",
        tag("p", " · ".join(notes), class_="between") if notes else "",
        class_=f"step depth{min(depth, 2)}",
    )


def _segment(kind: str, count: int, most: int, title: str) -> Html:
    share = count / most if most else 0
    if share <= 0:
        return Html("")
    width = f"width:{100 * min(max(share, FEWEST), 1):.2f}%"
    return tag("i", class_=kind, style=width, title=f"{title}: {count:,}")


def _reason(drop: Mapping[str, Any], came: int) -> Html:
    share = join(" ", tag("small", f"{drop['count'] / came:.1%}")) if came else ""
    return tag(
        "a",
        drop["reason"],
        " ",
        tag("b", f"{drop['count']:,}"),
        share,
        href=f"#{anchor(drop['stage'], drop['reason'])}",
        title=f"dropped by {drop['stage']}",
        class_="why",
    )
