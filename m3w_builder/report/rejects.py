"""Drops of report.html: every reason with its count and a few examples.

Read as a stream: a build can have a thousand times more rejects than samples.
"""

from collections import Counter
from pathlib import Path

from m3w_builder.report.charts import bar
from m3w_builder.report.html import Html, link, tag
from m3w_builder.tables import read_table

EXAMPLES = 6  # per reason
REASONS = 40
LONGEST = 300  # characters of a detail

Why = tuple[str, str]  # stage, reason


def section(folder: Path) -> Html | None:
    """Returns the reasons, most frequent first, None when nothing was dropped."""
    counts: Counter[Why] = Counter()
    examples: dict[Why, list[tuple[str, str, str]]] = {}
    for path in sorted(folder.glob("rejects/*.parquet")):
        for row in read_table(path, "rejects"):
            why = row["stage"], row["reason"]
            counts[why] += 1
            kept = examples.setdefault(why, [])
            kept.append((row["id"], row["url"], row["detail"]))
            if len(kept) > 8 * EXAMPLES:  # the smallest ids, whatever the order of the files
                examples[why] = sorted(kept)[:EXAMPLES]
    if not counts:
        return None
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:REASONS]
    most = ordered[0][1]
    rows = [_reason(why, count, most, sorted(examples[why])[:EXAMPLES]) for why, count in ordered]
    return tag("div", *rows, class_="card")


def _reason(why: Why, count: int, most: int, examples: list[tuple[str, str, str]]) -> Html:
    stage, reason = why
    name = tag("span", reason, " ", tag("span", stage, class_="chip"), class_="name")
    summary = tag("summary", name, tag("span", f"{count:,}", class_="count"), bar(count, most))
    items = (
        tag("li", link(url), tag("code", detail[:LONGEST]) if detail else "")
        for _, url, detail in examples
    )
    return tag("details", summary, tag("ul", *items, class_="examples"))
