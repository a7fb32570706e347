"""The training curve of a run as a picture without a library: a line per dataset, smoothed, in SVG.

`svg` is plain markup, to be put into any page; `write` puts it beside a report of the run.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from m3w_builder.files import write_text

PICTURE, REPORT = "curve.svg", "report.md"
FILES = (PICTURE, REPORT)
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 320, 56, 28, 36  # pixels
COLOURS = ("#1b6ca8", "#d1495b", "#2a9d5c", "#8a5a9e", "#c9822b", "#4b5563")
POINTS = 400  # of a line
SMOOTHING = 0.02  # share of the updates that a point is the mean of

Point = tuple[float, float]
Rows = Sequence[Mapping[str, Any]]


def write(folder: Path, rows: Rows, report: Mapping[str, Any]) -> None:
    """Writes curve.svg and report.md of a run."""
    write_text(folder / PICTURE, svg(rows))
    write_text(folder / REPORT, _report(report))


def series(rows: Rows) -> dict[str, list[Point]]:
    """Returns (update, loss in nats per token) of each dataset of the bridge's phase."""
    found = dict[str, list[Point]]()
    for row in rows:
        if row["phase"] == "flamingo":
            for name, loss in row["losses"].items():
                found.setdefault(name, []).append((row["step"], loss))
    return found


def svg(rows: Rows) -> str:
    """Returns the losses of the rows of train.jsonl as a picture."""
    lines = {name: smoothed(points) for name, points in series(rows).items()}
    points = [point for line in lines.values() for point in line]
    if not points:
        points = [(1.0, 0.0)]
    low, high = (pick(y for _, y in points) for pick in (min, max))
    low, high = min(low, 0.0) if low < 1 else low - 0.05 * (high - low), high or 1.0
    last = max(x for x, _ in points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" role="img" aria-label="training losses">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *_axes(last, low, high),
    ]
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_place(p, last, low, high) for p in line))
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        )
        x = LEFT + number * 150
        parts.append(f'<rect x="{x}" y="10" width="12" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 17}" y="16" fill="#222">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def smoothed(points: Sequence[Point]) -> list[Point]:
    """Returns at most POINTS points, each the mean of those around it."""
    reach = max(0, round(SMOOTHING * len(points) / 2))
    every = max(1, -(-len(points) // POINTS))
    found = list[Point]()
    for i in range(0, len(points), every):
        near = points[max(0, i - reach) : i + reach + 1]
        found.append((points[i][0], sum(y for _, y in near) / len(near)))
    return found


def _axes(last: float, low: float, high: float) -> Iterator[str]:
    for tick in range(5):
        value = low + (high - low) * tick / 4
        _, y = _place((0, value), last, low, high)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - 12}" y2="{y:.1f}" stroke="#e3e6ea"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#555">{value:.2f}</text>'
        x, _ = _place((last * tick / 4, low), last, low, high)
        below = HEIGHT - BOTTOM + 16
        yield f'<text x="{x:.1f}" y="{below}" text-anchor="middle" fill="#555">{last * tick / 4:.0f}</text>'
    yield (
        f'<text x="{WIDTH - 12}" y="{HEIGHT - 6}" text-anchor="end" fill="#555">'
        "updates; loss in nats per token</text>"
    )


def _place(point: Point, last: float, low: float, high: float) -> Point:
    x, y = point
    width, height = WIDTH - LEFT - 12, HEIGHT - TOP - BOTTOM
    return LEFT + width * x / last, TOP + height * (1 - (y - low) / ((high - low) or 1.0))


def _report(report: Mapping[str, Any]) -> str:
    rows = {"encoder (contrastive)": report["contrast_loss"], "LM (text)": report["lm_loss"]}
    table = [(name, ends) for name, ends in {**rows, **report["losses"]}.items() if ends]
    lines = [
        "# Training run",
        "",
        f"{report['steps']} updates of the bridge.",
        "",
        f"![losses]({PICTURE})",
        "",
        "| | loss, first tenth | last tenth |",
        "| --- | --- | --- |",
        *(f"| {name} | {first:.3f} | {last:.3f} |" for name, (first, last) in table),
        "",
        "Gates, |tanh| of attention and dense, first block first: "
        + ", ".join(f"{a:.3f} {d:.3f}" for a, d in report["gates"]),
    ]
    rejected = report["rejected"]
    if rejected:
        lines += ["", "Samples left out: " + ", ".join(f"{n} {k}" for n, k in rejected.items())]
    return "\n".join(lines) + "\n"
