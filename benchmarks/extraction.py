"""Extracts every page of a manifest as the product does, for the scorers; beside others, on request.

    python benchmarks/extraction.py MANIFEST PREDICTIONS [--root DIR] [--peers trafilatura,...|all]
        [--scorer SCRIPT] [--speed [ROUNDS]] [--linear]

MANIFEST is JSON lines with at least id, html (a file relative to --root, by default the manifest's
folder; .gz is inflated) and url (else base). PREDICTIONS gets {"id", "nodes", "text", "sec"} per page,
PREDICTIONS.<peer>.jsonl the same of each peer (benchmarks/peers.py says which there are and how they
run); settings are the product's defaults, in one process. Standard output is one table: pages per second
of CPU time, its ratio to trafilatura, and with --scorer the figures that this program, run on each
PREDICTIONS, prints as JSON.

What is timed ("sec", row m3w) is what a page is extracted for: parse, interleaved document, image and
video pairs. "m3w, scored" is all that the extract stage does to a page: language and text statistics,
too. Of a peer it is its own call. All extractors run page by page, in another order for each page
and each call after a garbage collection, so that noise hits all alike. --speed adds rounds (3 unless
told): figures are medians of the rounds. --linear shows seconds per megabyte of one page grown to 10 MB.

Two choices of this script, the document being what it is. An image row names in "srcs" every address
under which the page itself shows this picture: a scorer compares addresses, its truth has the one in
src or the one a thumbnail links to, and the same picture in another size is the same picture. And
"text", for scorers of an article's text, is the running text: without captions, which belong to their
pictures, and without h1 headings, the page's or the site's title. Truths copied from an article's body
have neither (of 39 h1 in our documents of the article benchmark its truth has 3, of 158 captions 21);
other headings, lists, tables, code and quotes it has. "nodes" leave nothing out.
"""

import argparse
import gc
import gzip
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time
from types import MappingProxyType
from typing import Any

from lxml import etree

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peers import PEERS, Peer, Row
from m3w_builder.config import Config
from m3w_builder.errors import PageError
from m3w_builder.extract import extract as measured
from m3w_builder.images import addresses
from m3w_builder.interleave import ParsedPage, interleave, read_page
from m3w_builder.pairs import image_pairs, video_pairs
from m3w_builder.types import Document, Image, Page, Text, Video
from m3w_builder.urls import canonical

NOWHERE = "https://example.org/page"  # of a saved page whose manifest knows no address
H1 = re.compile(r"/h1(\[\d+\])?$")  # at the end of a DOM path
OURS = "m3w"
MARK = "trafilatura"  # whose speed is the measure
ROUNDS = 3
MEGABYTES = (0.1, 1, 3, 10)
FIGURES = "score sh4_f1 img_f1 imgpl_f1 text_f1 near placed f1 precision recall"  # of any scorer


def main(argv: list[str] | None = None) -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--root", type=Path, help="folder of the pages (default: the manifest's)")
    parser.add_argument("--peers", default="", help=f"all, or comma-separated: {', '.join(PEERS)}")
    parser.add_argument("--scorer", type=Path, help="program that scores predictions")
    parser.add_argument("--speed", type=int, nargs="?", const=ROUNDS, default=0, metavar="ROUNDS")
    parser.add_argument("--linear", action="store_true", help="seconds per MB of a growing page")
    options = parser.parse_args(argv)
    names = list(PEERS) if options.peers == "all" else [n for n in options.peers.split(",") if n]
    if unknown := [name for name in names if name not in PEERS]:
        parser.error(f"--peers: expected all or some of {', '.join(PEERS)}, got {unknown[0]}")
    root = options.root or options.manifest.parent
    try:
        rows = read_manifest(options.manifest)
        pages = [read(row, root) for row in rows]
    except (OSError, ValueError, KeyError) as error:
        parser.error(f"{options.manifest}: {error!r}")
    if not pages:
        parser.error(f"{options.manifest}: no pages")

    peers = installed(names)
    runs: dict[str, Callable[[Page], object]] = {OURS: extract}
    if options.speed:
        runs["m3w, scored"] = partial(measured, config=Config())
    runs |= {name: peer.run for name, peer in peers.items()}
    makers: dict[str, Callable[[Page, Any], Row]] = {OURS: lambda _, found: predict(found)}
    makers |= {name: peer.predict for name, peer in peers.items() if peer.rows}
    made: dict[str, list[Row]] = {name: [] for name in makers}
    rounds = [timed(pages, runs, makers, made)]
    rounds += [timed(pages, runs, turn=turn) for turn in range(1, options.speed)]
    scores = {}
    for name, found in made.items():
        file = options.predictions
        file = file if name == OURS else file.with_name(f"{file.name}.{name}.jsonl")
        with file.open("w", encoding="utf-8") as out:
            for row, prediction, sec in zip(rows, found, rounds[0][name], strict=True):
                line = {"id": row["id"], **prediction, "sec": round(sec, 6)}
                out.write(json.dumps(line, ensure_ascii=False) + "\n")
        if options.scorer:
            scores[name] = score(options.scorer, options.manifest, file)
    print(table(rounds, scores))
    if options.linear:
        print(linear(pages))


def read_manifest(path: Path) -> list[Row]:
    """Returns the rows of a manifest."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line.strip()]


def read(row: Row, root: Path) -> Page:
    """Returns the page of a manifest row."""
    data = (root / row["html"]).read_bytes()
    url = row.get("url") or row["base"]
    url = url if canonical(url) else NOWHERE
    return Page(url, gzip.decompress(data) if row["html"].endswith(".gz") else data)


def installed(names: Sequence[str]) -> dict[str, Peer]:
    """Returns the peers that are there; says of the others what to install."""
    missing = {name: PEERS[name].missing for name in names}
    for line in dict.fromkeys(filter(None, missing.values())):
        print(line, file=sys.stderr)
    return {name: PEERS[name] for name in names if not missing[name]}


def extract(page: Page) -> tuple[ParsedPage, Document] | None:
    """Returns the parsed page and its document, having made the pairs too; None without content."""
    try:
        parsed = read_page(page)
        image_pairs(parsed)
        video_pairs(parsed)
        return parsed, interleave(parsed)
    except PageError:
        return None


def timed(
    pages: Sequence[Page],
    runs: Mapping[str, Callable[[Page], object]],
    makers: Mapping[str, Callable[[Page, Any], Row]] = MappingProxyType({}),
    made: Mapping[str, list[Row]] = MappingProxyType({}),
    turn: int = 0,
) -> dict[str, list[float]]:
    """Returns the seconds of CPU time that each extractor takes for each page.

    What it found is made a prediction by its maker, if it has one, and goes to `made`.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    shuffle = random.Random(turn).shuffle
    order = list(runs)
    for run in runs.values():
        run(pages[0])  # imports what it needs
    gc.collect()
    gc.freeze()  # what was loaded so far costs nobody a collection
    for page in pages:
        shuffle(order)  # a neighbour leaves the heap warm, or trimmed
        for name in order:
            gc.collect()
            start = process_time()
            found = runs[name](page)
            seconds[name].append(process_time() - start)
            if name in makers:
                made[name].append(makers[name](page, found))
            del found
    gc.unfreeze()
    return seconds


def predict(found: tuple[ParsedPage, Document] | None) -> Row:
    """Returns "nodes" and "text" of what `extract` returned."""
    if found is None:
        return {"nodes": [], "text": ""}
    parsed, document = found
    running = (t for t in document.texts if t.role != "caption" and not H1.search(t.path))
    text = "\n".join(node.text for node in running)
    return {"nodes": [as_row(node, parsed) for node in document.nodes], "text": text}


def as_row(node: Text | Image | Video, parsed: ParsedPage) -> Row:
    """Returns a node in the scorers' form."""
    if isinstance(node, Text):
        return {"type": "text", "text": node.text, "role": node.role}
    if isinstance(node, Video):
        return {"type": "video", "src": node.url, "title": node.title}
    (element,) = parsed.root.getroottree().xpath(node.path)  # type: ignore[misc]
    shown = addresses(element, parsed.base)
    return {
        "type": "image",
        "src": node.url,
        "srcs": list(dict.fromkeys([node.url, *shown])),
        "alt": node.alt,
        "caption": node.caption,
    }


def score(scorer: Path, manifest: Path, predictions: Path) -> Mapping[str, float]:
    """Returns the figures of a scoring program."""
    command = [sys.executable, *map(str, (scorer, manifest, predictions)), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def table(
    rounds: Sequence[Mapping[str, Sequence[float]]], scores: Mapping[str, Mapping[str, float]]
) -> str:
    """Returns the table of all extractors, what the rounds gave as medians."""
    shown = [key for key in FIGURES.split() if any(key in figures for figures in scores.values())]
    lines = [["extractor", "pages/s/core", f"x {MARK}", *shown], ["---"] * (3 + len(shown))]
    for name in rounds[0]:
        rate = median(len(turn[name]) / sum(turn[name]) for turn in rounds)
        ratio = median(sum(turn[MARK]) / sum(turn[name]) if MARK in turn else 0 for turn in rounds)
        figures = scores.get(name, {})
        cells = [f"{figures[key]:.4f}" if key in figures else "" for key in shown]
        lines.append([name, f"{rate:.1f}", f"{ratio:.2f}" if ratio else "", *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def linear(pages: Sequence[Page]) -> str:
    """Returns a table of the seconds per megabyte of one page grown: least of three, lxml's beside."""
    page = max(
        (page for page in pages if len(page.html) <= MEGABYTES[0] * 1e6),
        key=lambda page: len(page.html),
        default=min(pages, key=lambda page: len(page.html)),
    )
    lines = [
        f"{page.url}, {len(page.html)} bytes, repeated",
        "",
        "| MB | s/MB | lxml parse, s/MB |",
    ]
    lines.append("| --- | --- | --- |")
    for megabytes in MEGABYTES:
        large = grown(page, int(megabytes * 1e6))
        size = len(large.html) / 1e6
        least = [least_seconds(run, large) / size for run in (extract, PEERS["lxml"].run)]
        lines.append(f"| {size:.1f} | {least[0]:.4f} | {least[1]:.4f} |")
    return "\n".join(lines)


def grown(page: Page, size: int) -> Page:
    """Returns a page with the content of its body again and again, each copy in a wrapper of its own."""
    root = PEERS["lxml"].run(page)
    body = None if root is None else root.find("body")
    if body is None:
        return page
    inside = (body.text or "") + "".join(
        etree.tostring(child, encoding="unicode", method="html") for child in body
    )
    for child in [*body]:
        body.remove(child)
    body.text = "\ue000"
    whole = etree.tostring(root, encoding="unicode", method="html")
    before, _, after = whole.partition("\ue000")
    wrapper = '<div class="part-{}">{}</div>\n'
    parts = max(1, size // len(wrapper.format("000", inside).encode()))
    wrapped = (wrapper.format(number, inside) for number in range(parts))
    return Page(page.url, (before + "".join(wrapped) + after).encode())


def least_seconds(run: Callable[[Page], object], page: Page) -> float:
    """Returns the least CPU time of three runs."""
    seconds = []
    for _ in range(3):
        gc.collect()
        start = process_time()
        run(page)
        seconds.append(process_time() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
