"""Near-duplicates: what is found, what is joined wrongly, how fast, and how that grows.

    python benchmarks/dedup.py [FOLDER] [--json] [--sample N] [--sizes 10000,40000,160000 | none]

FOLDER (default: ../shared/data beside the project) holds pages as */manifest.jsonl
(benchmarks/extraction.py says what is in one) and images as benchmarks/dedup_images.py wants them.
--json prints one object, the same figures as the tables. Of datasketch `documents_per_s` counts its
batches, the faster of its two ways.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import dedup_documents, dedup_growth
from m3w_builder.errors import M3WError

FOLDER = Path(__file__).parents[2] / "shared" / "data"


def main(argv: list[str] | None = None) -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--sample", type=int, default=300, help="documents, and pictures; 0: all")
    parser.add_argument(
        "--sizes",
        type=sizes,
        default=dedup_growth.SIZES,
        help="documents of each growing corpus, comma-separated; none: leave this out",
    )
    options = parser.parse_args(argv)
    if not dedup_documents.real(options.folder):
        parser.error(f"{options.folder}: expected pages in */manifest.jsonl, found none")
    try:
        found = measure(options.folder, options.sample, options.sizes)
    except M3WError as error:
        parser.error(str(error))
    print(json.dumps(found) if options.json else "\n\n".join(tables(found)))


def sizes(text: str) -> tuple[int, ...]:
    return () if text == "none" else tuple(int(size) for size in text.split(","))


def measure(folder: Path, sample: int, growing: tuple[int, ...]) -> dict[str, Any]:
    from benchmarks import dedup_images

    return {
        "documents": dedup_documents.measure(folder, sample),
        "images": dedup_images.measure(folder, sample),
        **dedup_documents.speeds(folder, sample),
        "growth": dedup_growth.measure(folder, growing),
    }


def tables(found: Mapping[str, Any]) -> Iterator[str]:
    """Yields the figures of documents as Markdown, those of images as JSON."""
    documents = found["documents"]
    changes = {
        f"{kind}, {share}": figures
        for kind, shares in documents["recall"].items()
        for share, figures in shares.items()
    }
    yield table("change", changes)
    yield table("Jaccard index", documents["joined_by_jaccard"])
    rates = "false_join_rate", "found_from_0.85", "precision"
    yield table("all pairs", {name: documents[name] for name in rates})
    yield table("all copies in one corpus", {name: documents["together"][name] for name in rates})
    speeds = {name: {"documents/s": rate} for name, rate in found.items() if "per_s" in name}
    yield table("signatures, one core", speeds)
    yield table("growth", {f"{row['size']:,}": row for row in found["growth"]})
    yield json.dumps(found["images"], indent=1)


def table(title: str, rows: Mapping[str, Mapping[str, float | None]]) -> str:
    """Returns a Markdown table of rows that all have the same columns."""
    columns = list(next(iter(rows.values()), {}))
    lines = [[title, *columns], ["---"] * (len(columns) + 1)]
    lines += [[name, *(cell(row[column]) for column in columns)] for name, row in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


if __name__ == "__main__":
    main()
