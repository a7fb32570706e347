"""The terminal: samples, shards, counts and the yield waterfall as `rich` renderables.

Page text is untrusted: everything goes through `safe`, which takes out the control characters that
could drive a terminal, and through `Text`, which knows no markup.
"""

import io
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PIL import Image
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.measure import Measurement
from rich.padding import Padding
from rich.panel import Panel
from rich.style import Style
from rich.table import Table
from rich.text import Text

from m3w_builder.histograms import bucket_label, position
from m3w_builder.samples import Parts, Record, nodes
from m3w_builder.shards import Row, totals
from m3w_builder.whatif import Difference, Side

WIDTH = 96  # columns of a document: longer lines read badly
THUMBNAIL = (24, 8)  # columns and rows; a row is two pixels high
FRAME = (14, 5)
FRAMES_SHOWN = 6
CUES_SHOWN = 6
WIDEST = 1000  # columns of a table
BAR = 28  # columns of the longest bar
ROLES = {"heading": "bold", "caption": "italic", "code": "dim", "quote": "italic dim"}
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)

Counts = Iterable[tuple[str, int]]


def safe(text: str) -> str:
    """Returns text without the control characters that a terminal would obey."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))


def size(count: float) -> str:
    """Returns bytes in the unit that suits them: "3.4 MB"."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"


def print_whole(console: Console, tables: RenderableType) -> None:
    """Prints tables as wide as they are: rich would cut figures where a terminal only wraps lines."""
    needed = Measurement.get(console, console.options.update(max_width=WIDEST), tables).maximum
    console.width = max(console.width, needed)
    console.print(tables)


# Waterfall


def waterfall(data: Mapping[str, Any]) -> RenderableType:
    """Returns the yield waterfall of waterfall.json: the steps of each section, then its drops."""
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "left"):
        table.add_column(justify=justify)
    for number, section in enumerate(data["sections"]):
        if number:
            table.add_row()
        _section(table, section)
    return table


def _section(table: Table, section: Mapping[str, Any]) -> None:
    steps, drops = section["steps"], section["drops"]
    most = max((item["count"] for item in (*steps, *drops)), default=0)
    table.add_row(Text(safe(section["section"]).replace("_", " "), style="bold"))
    for step in steps:
        share = Text(_bar(step["count"], most), style="green")
        if step["count"] < most:
            share.append(f" {step['count'] / most:.1%}", style="dim")
        table.add_row(Text(f"  {safe(step['name'])}"), f"{step['count']:,}", share)
    for drop in sorted(drops, key=lambda drop: (-drop["count"], drop["reason"])):
        name = Text(f"    − {safe(drop['reason'])}", style="red").append(
            f"  {safe(drop['stage'])}", style="dim"
        )
        bar = Text(_bar(drop["count"], most), style="red")
        table.add_row(name, Text(f"{drop['count']:,}", style="red"), bar)


def _bar(count: float, longest: float) -> str:
    """Returns a bar in eighths of a column; anything above zero shows."""
    eighths = round(BAR * 8 * min(count / longest, 1)) if longest else 0
    eighths = max(eighths, 1) if count > 0 else 0
    return "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")


# Shards and statistics


def shard_table(rows: Sequence[Row], each: bool = True) -> RenderableType:
    """Returns the totals per kind, after a line per shard unless `each` is False."""
    names = ("documents", "words", "images", "videos", "frames")
    table = Table(box=None, header_style="dim", pad_edge=False, collapse_padding=True)
    table.add_column("shard" if each else "", no_wrap=True)
    for name in (*names, "size"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("sha256" if each else "", no_wrap=True, style="dim")
    for row in rows if each else ():
        counts = (_number(row[name]) for name in names)
        table.add_row(safe(row["path"]), *counts, size(row["bytes"]), row["sha256"][:8])
    if each and rows:
        table.add_row()
    for kind, total in totals(rows).items():
        label = Text(kind, style="bold")
        shards = f"{total['shards']:,} shard{'s' if total['shards'] > 1 else ''}"
        counts = (_number(total[name]) for name in names)
        table.add_row(label, *counts, size(total["bytes"]), shards)
    return table


def _number(count: int) -> Text:
    return Text(f"{count:,}", style="" if count else "dim")


def table_list(rows: Iterable[tuple[str, int, int, int]]) -> RenderableType:
    """Returns a line per folder of Parquet files: name, files, rows, bytes."""
    table = Table(box=None, header_style="dim", pad_edge=False, collapse_padding=True)
    table.add_column("folder")
    for name in ("files", "rows", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, files, count, length in rows:
        table.add_row(safe(name), f"{files:,}", f"{count:,}", size(length))
    return table


def stats(rows: Sequence[Row], found: Mapping[str, Any]) -> RenderableType:
    """Returns totals and distributions, as `shards.stats.Stats.as_dict` gives them."""
    parts: list[RenderableType] = [shard_table(rows, each=False)]
    for name in ("domains", "languages", "roles", "formats", "origins"):
        if found[name]:
            parts += ["", _histogram(name, list(found[name].items())[:12])]
    for name, buckets in found["histograms"].items():
        parts += ["", _histogram(name, buckets.items())]
    return Group(*parts)


def _histogram(title: str, counts: Counts) -> RenderableType:
    counts = list(counts)
    total, longest = sum(c for _, c in counts), max(c for _, c in counts)
    table = Table.grid(padding=(0, 2))
    for justify in ("right", "right", "left"):
        table.add_column(justify=justify, min_width=9)
    for label, count in counts:
        share = Text(_bar(count, longest), style="cyan").append(
            f" {count / total:.1%}", style="dim"
        )
        table.add_row(safe(label), f"{count:,}", share)
    return Group(Text(title, style="bold"), table)


def scores(found: Mapping[str, Any]) -> RenderableType:
    """Returns the scores of scores.json that a threshold cuts, over everything measured, with it in its place."""
    parts: list[RenderableType] = []
    for subject, histograms in found["scores"].items():
        for name, score in histograms.items():
            title = f"{subject.replace('_', '-')}: {name.replace('_', ' ')}"
            if cuts := score["thresholds"]:
                parts += [_score(safe(title), _joined(score["buckets"]), cuts), ""]
    for kind, counts in found["languages"].items():
        parts += [
            _histogram(f"{safe(kind).replace('_', '-')}: languages found", counts.items()),
            "",
        ]
    return Group(*parts[:-1])


def _joined(buckets: Sequence[Any]) -> list[Any]:
    """Returns the buckets with empty neighbours as one."""
    found: list[Any] = []
    for low, high, count in buckets:
        if found and not count and not found[-1][2]:
            found[-1] = [found[-1][0], high, 0]
        else:
            found.append([low, high, count])
    return found


def _score(title: str, buckets: Sequence[Any], cuts: Sequence[Any]) -> RenderableType:
    """Returns a line per bucket, red where all of it is beyond a threshold, and a line per threshold."""
    most, total = max(n for *_, n in buckets), sum(n for *_, n in buckets)
    places = sorted((position(buckets, cut["value"]), cut["setting"], cut) for cut in cuts)
    table = Table.grid(padding=(0, 2))
    for justify in ("right", "right", "left"):
        table.add_column(justify=justify, min_width=9)
    for number, (low, high, count) in enumerate(buckets):
        while places and places[0][0] <= number:
            table.add_row(*_threshold(places.pop(0)[-1], ""))
        style = "red" if any(_is_beyond(cut, low, high) for cut in cuts) else "cyan"
        share = Text(_bar(count, most), style=style).append(f" {count / total:.1%}", style="dim")
        table.add_row(bucket_label(low, high), f"{count:,}", share)
        while places and places[0][0] < number + 1:
            table.add_row(*_threshold(places.pop(0)[-1], f" (inside {bucket_label(low, high)})"))
    for *_, cut in places:
        table.add_row(*_threshold(cut, ""))
    return Group(Text(title, style="bold").append(f"  {total:,}", style="dim"), table)


def _is_beyond(cut: Mapping[str, Any], low: float | None, high: float | None) -> bool:
    if cut["side"] == "min":
        return high is not None and high <= cut["value"]
    return low is not None and low > cut["value"]


def _threshold(cut: Mapping[str, Any], where: str) -> tuple[str, str, Text]:
    arrow, side = ("▲", "below") if cut["side"] == "min" else ("▼", "above")
    text = Text(f"{arrow} {safe(cut['setting'])} = {cut['value']:g}", style="red")
    return "", "", text.append(f" drops {side}{where}", style="dim")


# What if


def whatif(
    changed: Mapping[str, tuple[Any, Any]],
    lines: Sequence[Difference],
    sides: Mapping[str, Mapping[str, Side]],
    stage: str,
) -> RenderableType:
    """Returns two waterfalls beside one another: what a change of settings does, section by section."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2))
    table.add_column("")
    for name in ("old", "new", "change"):
        table.add_column(name, justify="right", no_wrap=True)
    for key, (old, new) in changed.items():
        table.add_row(
            Text(safe(key), style="bold"), *(Text(safe(json.dumps(v))) for v in (old, new))
        )
    sections = list(dict.fromkeys(line.section for line in lines))
    moved = {line.section for line in lines if line.change}
    for section in sections:
        if section in moved:
            table.add_row()
            table.add_row(Text(safe(section).replace("_", " "), style="bold"))
            for line in lines:
                if line.section == section:
                    _difference(table, line)
    parts: list[RenderableType] = [table, ""]
    same = [safe(section) for section in sections if section not in moved]
    parts.append(
        Text(f"no change: {', '.join(same) or 'none'}" if moved else "nothing changes", "dim")
    )
    for kind, found in sides.items():
        for sign, name in (("+", "gained"), ("−", "lost")):
            if found[name].count:
                parts += [
                    "",
                    _side(
                        f"{kind.replace('_', '-')}: {found[name].count:,} {name}", sign, found[name]
                    ),
                ]
    parts += [
        "",
        Text(f"A build with these settings finds its select stage done: {safe(stage)}", "dim"),
    ]
    return Group(*parts)


def _difference(table: Table, line: Difference) -> None:
    good = (line.change > 0) != line.drop
    style = "dim" if not line.change else "green" if good else "red"
    name = Text(f"    − {safe(line.name)}" if line.drop else f"  {safe(line.name)}")
    change = f"{line.change:+,}".replace("-", "−") if line.change else ""
    table.add_row(name, f"{line.old:,}", f"{line.new:,}", change, style=style)


def _side(title: str, sign: str, side: Side) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for example in side.examples:
        why = Text(safe(f"{example['reason']} {example['detail']}"[:80]), style="dim")
        table.add_row(f"  {sign} {example['id']}", Text(safe(example["url"]), style="cyan"), why)
    if left := side.count - len(side.examples):
        table.add_row(Text(f"    and {left:,} more", style="dim"))
    return Group(Text(title, style="bold"), table)


# One sample


def document(record: Record, parts: Parts, pictures: bool = True) -> RenderableType:
    """Returns one sample as it reads: headings, texts, images and videos in their place."""
    body: list[RenderableType] = [_head(record), ""]
    for info, node in nodes(record):
        if isinstance(node, str):
            body.append(_text(info["role"], node))
        elif info["type"] == "image":
            body.append(_image(info, node[0], parts, pictures))
        else:
            body.append(_video(info, node, parts, pictures))
    return Group(*body)


def _head(record: Record) -> RenderableType:
    url = safe(record["url"])
    about = [record["kind"], record["id"], record["language"] or "language unknown"]
    about += [record["crawled"]] if record["crawled"] else []
    head = Text().append(safe(record["title"]) or url, style="bold")
    head.append(f"\n{url}", style=Style(color="cyan", link=url if url.startswith("http") else None))
    head.append(f"\n{'  '.join(map(safe, about))}", style="dim")
    measured = {name: value for name, value in sorted(record["scores"].items()) if value}
    if measured:
        scores = "  ".join(f"{name} {value:.3g}" for name, value in measured.items())
        head.append(f"\n{safe(scores)}", style="dim")
    return head


def _text(role: str, text: str) -> RenderableType:
    lines = Text(safe(text), style=ROLES.get(role, ""), overflow="fold")
    if role == "list_item":
        table = Table.grid(padding=(0, 1))
        table.add_row(" •", lines)
        return table
    left = {"quote": 4, "code": 4}.get(role, 0)
    return Padding(lines, (int(role == "heading"), 0, int(role != "list_item"), left))


def _image(info: Record, name: str, parts: Parts, pictures: bool) -> RenderableType:
    about = Table.grid(padding=(0, 1))
    about.add_column(style="dim", no_wrap=True)
    about.add_column(overflow="fold")
    for label in ("alt", "title", "caption"):
        if info[label]:
            about.add_row(label, Text(safe(info[label])))
    about.add_row("from", Text(safe(info["url"]), style="cyan"))
    box = Table.grid(padding=(0, 2))
    thumbnail = [_thumbnail(parts[name], THUMBNAIL)] if pictures else []
    box.add_row(*thumbnail, about)
    length = size(len(parts[name]))
    title = (
        f"{name}  {info['width']}×{info['height']}  {length}" + "  re-encoded" * info["reencoded"]
    )
    return _framed(box, title, "green")


def _video(info: Record, names: list[str], parts: Parts, pictures: bool) -> RenderableType:
    strip = Table.grid(padding=(0, 1))
    shown = names[:: -(-len(names) // FRAMES_SHOWN)]
    if pictures:
        strip.add_row(*(_thumbnail(parts[name], FRAME) for name in shown))
    times = {frame["name"]: frame["t"] for frame in info["frames"]}
    strip.add_row(*(Text(f"{times[name]} s", style="dim") for name in shown))
    lines = [info[label] for label in ("title", "caption", "description") if info[label]]
    text = Text("\n".join(map(safe, lines)))
    about = Text(safe(info["url"]), style="cyan")
    title = f"video  {info['seconds']:g} s  {info['width']}×{info['height']}  {info['fps']:.4g} fps"
    title += f"  {info['codec']}  {len(names)} frames" + "  sound" * info["audio"]
    body = Group(strip, *([text] if lines else []), *map(_subtitles, info["subtitles"]), about)
    return _framed(body, title, "magenta")


def _subtitles(track: Record) -> RenderableType:
    """Returns the first cues of a track with their seconds."""
    shown = track["cues"][:CUES_SHOWN]
    text = Text(
        f"{track['kind']} {safe(track['language'] or track['label'])}".rstrip(), style="bold"
    )
    for cue in shown:
        text.append(f"\n{cue['start']:g} s  ", style="dim")
        text.append(safe(" ".join(cue["text"].split())), style="italic")
    if left := len(track["cues"]) - len(shown):
        text.append(f"\n… and {left:,} more", style="dim")
    return text


def _framed(body: RenderableType, title: str, colour: str) -> RenderableType:
    panel = Panel(body, title=escape(safe(title)), title_align="left", border_style=colour)
    return Padding(panel, (0, 0, 1, 0))


def small(data: bytes, box: tuple[int, int]) -> Image.Image | None:
    """Returns a picture on white inside `box` (pixels), None when it cannot be decoded."""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.draft("RGB", (box[0] * 2, box[1] * 2))
            image = opened.convert("RGBA")
    except UNREADABLE:
        return None
    image.thumbnail(box)
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A"))
    return flat


def _thumbnail(data: bytes, box: tuple[int, int]) -> Text:
    """Returns a picture in half blocks: the upper pixel in the foreground, the lower behind it."""
    image = small(data, (box[0], box[1] * 2))
    if image is None:
        return Text("(not decodable)", style="red")
    rows = [
        Text.assemble(*(("▀", _cell(image, x, y)) for x in range(image.width)))
        for y in range(0, image.height - 1, 2)
    ]
    return Text("\n").join(rows)


def _cell(image: Image.Image, x: int, y: int) -> Style:
    upper, lower = image.getpixel((x, y)), image.getpixel((x, y + 1))
    assert isinstance(upper, tuple)  # an RGB picture has no palette
    assert isinstance(lower, tuple)
    colour, behind = (f"rgb({r},{g},{b})" for r, g, b in (upper, lower))
    return Style(color=colour, bgcolor=behind)
