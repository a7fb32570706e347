"""Drops of report.html: every reason with its count, and its most typical examples to look at."""

from collections.abc import Mapping, Sequence
from typing import Any

from m3w_builder.histograms import bound_text
from m3w_builder.report.charts import bar
from m3w_builder.report.flow import anchor
from m3w_builder.report.html import Html, join, link, stored, tag

REASONS = 60
Row = Mapping[str, Any]


def section(found: Row) -> Html | None:
    """Returns the reasons of examples.json, most frequent first, None when nothing was dropped."""
    reasons: Sequence[Row] = found["reasons"]
    if not reasons:
        return None
    most = reasons[0]["count"]
    rows = [_reason(reason, most) for reason in reasons[:REASONS]]
    left = len(reasons) - REASONS
    more = tag("p", f"… and {left} rarer reasons", class_="note") if left > 0 else ""
    return tag("div", *rows, more, class_="card")


def _reason(found: Row, most: int) -> Html:
    count, median, examples = found["count"], found["median"], found["examples"]
    chips = [found["stage"], *([f"median {bound_text(median)}"] if median is not None else [])]
    name = tag(
        "span", found["reason"], " ", *(tag("span", c, class_="chip") for c in chips), class_="name"
    )
    summary = tag("summary", name, tag("span", f"{count:,}", class_="count"), bar(count, most))
    pictured = [example for example in examples if example.get("picture")]
    told = [example for example in examples if not example.get("picture")]
    sheet = tag("div", *map(_picture, pictured), class_="sheet") if pictured else ""
    items = tag("ul", *map(_item, told), class_="examples") if told else ""
    key = anchor(found["stage"], found["reason"])
    return tag("details", summary, sheet, items, id=key)


def _picture(example: Row) -> Html:
    """Returns one thumbnail of a contact sheet."""
    words = example.get("text") or example["url"].rpartition("/")[2] or example["url"]
    caption = tag("figcaption", tag("code", example["detail"]), link(example["url"], words))
    return tag("figure", tag("div", stored(example["picture"], words)), caption)


def _item(example: Row) -> Html:
    title, text = example.get("title", ""), example.get("text", "")
    words = join(tag("b", title), " ", text) if title or text else ""
    return tag(
        "li",
        tag("span", words, class_="words") if words else "",
        link(example["url"]),
        tag("code", example["detail"]) if example["detail"] else "",
    )
