"""Build each file of a folder of crawls on its own and print what came of it, as a Markdown table.

    python -m benchmarks.real_crawls FOLDER [--config FILE]

One row per file: pages, documents, images, pairs, videos in shards, the five most frequent drops,
seconds and peak memory of all processes. A file that is no input is a row with its one-line error.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.processes import measure


def build(source: Path, output: Path, options: list[str]) -> dict[str, Any]:
    """Builds one file; returns what `measure` saw of it, with the standard error."""
    command = [sys.executable, "-m", "pipelines.build", f"--input={source}", f"--output={output}"]
    return measure([*command, "--workers=1", *options])


def row(source: Path, folder: Path, options: list[str]) -> str:
    """Returns the table row of one crawl."""
    found = build(source, folder / source.name, options)
    seen = f"{found['wall']:.1f} | {found['peak']:.0f}"
    if found["status"]:
        error = found["error"].strip().splitlines()[-1]
        kind = "TRACEBACK " if "Traceback" in found["error"] else ""
        return f"| {source.name} | {kind}{error.replace('|', '/')} | | | | | | | {seen} |"
    sections = json.loads((folder / source.name / "waterfall.json").read_text())["sections"]
    steps = {(s["section"], step["name"]): step["count"] for s in sections for step in s["steps"]}
    drops = Counter[str]()
    for section in sections:
        drops.update({f"{d['reason']}": d["count"] for d in section["drops"]})
    frequent = ", ".join(f"{reason} {count}" for reason, count in drops.most_common(5))
    counts = [
        steps["pages", "HTML pages read"],
        steps["documents", "extracted"],
        steps["documents", "in shards"],
        steps["images in documents", "places in shards"],
        steps["image-text pairs", "in shards"],
        steps["video-text pairs", "in shards"],
    ]
    return f"| {source.name} | {' | '.join(map(str, counts))} | {frequent} | {seen} |"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    args, options = arguments.parse_known_args()
    print(
        "| file | pages | extracted | documents | images | pairs | videos | most frequent drops | s | MiB |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    files = [p for p in sorted(args.folder.iterdir()) if p.is_file()]
    with tempfile.TemporaryDirectory() as folder:
        for source in files:
            print(row(source, Path(folder), options), flush=True)


if __name__ == "__main__":
    main()
