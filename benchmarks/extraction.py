"""Extracts every page of a manifest as the product does, for the scorers.

    python benchmarks/extraction.py MANIFEST PREDICTIONS [--root DIR] [--against trafilatura,lxml]

MANIFEST is JSON lines with at least id, html (a file relative to --root, by default the manifest's
folder; .gz is inflated) and url. PREDICTIONS gets {"id", "nodes", "text", "sec"} per page. An image
node also names, in "srcs", the address the page shows it under when the node has a larger one; "text"
is the running text, without captions. `--against` times others on the same pages in the same run (one
process, CPU time) and prints the ratios.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

from lxml import etree

from m3w_builder.config import Config
from m3w_builder.errors import PageError
from m3w_builder.extract import extract as measured
from m3w_builder.interleave import ParsedPage, interleave, read_page
from m3w_builder.pairs import image_pairs, video_pairs
from m3w_builder.types import Document, Image, Page, Text, Video
from m3w_builder.urls import canonical


def main(argv: list[str] | None = None) -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--root", type=Path, help="folder of the pages (default: the manifest's)")
    parser.add_argument("--against", default="", help="comma-separated: trafilatura, lxml")
    options = parser.parse_args(argv)
    root = options.root or options.manifest.parent
    rows = [
        json.loads(line)
        for line in options.manifest.read_text(encoding="utf-8").splitlines()
        if line
    ]
    pages = [read(row, root) for row in rows]
    predictions = [predict(row["id"], page) for row, page in zip(rows, pages, strict=True)]
    lines = (json.dumps(prediction, ensure_ascii=False) + "\n" for prediction in predictions)
    options.predictions.write_text("".join(lines), encoding="utf-8")
    compare(pages, [name for name in options.against.split(",") if name])


def read(row: dict[str, Any], root: Path) -> Page:
    """Returns the page of a manifest row."""
    data = (root / row["html"]).read_bytes()
    return Page(row["url"], gzip.decompress(data) if row["html"].endswith(".gz") else data)


def extract(page: Page) -> tuple[ParsedPage, Document] | None:
    """Returns the parsed page and its document, having made the pairs too; None without content."""
    try:
        parsed = read_page(page)
        image_pairs(parsed)
        video_pairs(parsed)
        return parsed, interleave(parsed)
    except PageError:
        return None


def predict(page_id: str, page: Page) -> dict[str, Any]:
    """Returns the scorers' row of a page."""
    start = process_time()
    found = extract(page)
    row: dict[str, Any] = {
        "id": page_id,
        "nodes": [],
        "text": "",
        "sec": round(process_time() - start, 6),
    }
    if found:
        parsed, document = found
        row["nodes"] = [as_row(node, parsed) for node in document.nodes]
        row["text"] = "\n".join(node.text for node in document.texts if node.role != "caption")
    return row


def as_row(node: Text | Image | Video, parsed: ParsedPage) -> dict[str, Any]:
    """Returns a node in the scorers' form."""
    if isinstance(node, Text):
        return {"type": "text", "text": node.text, "role": node.role}
    if isinstance(node, Image):
        shown = parsed.root.getroottree().xpath(node.path)[0].get("src") or ""  # type: ignore[index, union-attr]
        srcs = [node.url, canonical(shown, parsed.base) or node.url]
        return {
            "type": "image",
            "src": node.url,
            "srcs": srcs,
            "alt": node.alt,
            "caption": node.caption,
        }
    return {"type": "video", "src": node.url, "title": node.title}


def stage(page: Page) -> object:
    """Does all that the extract stage does to a page: language and text statistics, too."""
    return measured(page, Config())


def trafilatura(page: Page) -> object:
    """Runs trafilatura with images, its nearest equivalent."""
    from trafilatura import extract as peer

    return peer(
        page.html, url=page.url, output_format="xml", include_images=True, with_metadata=False
    )


def lxml(page: Page) -> object:
    """Parses the page and nothing else: the lower limit of anything built on lxml."""
    return etree.fromstring(page.html, etree.HTMLParser()) if page.html.strip() else None


def compare(pages: list[Page], peers: list[str]) -> None:
    """Prints pages per second of CPU time, ours and the peers', and the ratios."""
    contenders: dict[str, Callable[[Page], object]] = {"m3w": extract, "m3w, scored": stage}
    contenders |= {name: {"trafilatura": trafilatura, "lxml": lxml}[name] for name in peers}
    ours = 0.0
    for name, function in contenders.items():
        start = process_time()
        for page in pages:
            function(page)
        rate = len(pages) / (process_time() - start)
        ours = ours or rate
        print(f"{name:12} {rate:8.1f} pages/s/core   m3w = {ours / rate:.2f} x", file=sys.stdout)


if __name__ == "__main__":
    main()
