"""The local build as a whole: what Beam costs beside our own work, and memory with 1x and 8x the input.

    python -m benchmarks.local_run [--input examples/crawl.warc.gz] [--copies 8] [--workers 2]

Beam's share: the same units of work are run by a plain loop in one process, without Beam, and by the
pipelines; the difference of the wall times is Beam's. Memory: the sum of the resident sets of all
processes of the build, sampled ten times a second.
"""

import argparse
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.processes import measure
from m3w_builder import wanted
from m3w_builder.config import Config
from m3w_builder.extract import extract_unit
from m3w_builder.inputs import plan
from m3w_builder.near import hamming, lsh
from m3w_builder.near.components import components
from m3w_builder.select import (
    admit,
    captures,
    copies,
    frequency,
    looks,
    outcomes,
    references,
)
from m3w_builder.stages import Stage, open_stage, run_unit
from m3w_builder.write import plan_shards, write_unit

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def groups(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """Groups values by key: what Beam's shuffle does."""
    found: dict[K, list[V]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found


def plain_build(source: str, work: Path, config: Config) -> None:
    """Builds shards with the stages' own functions and no Beam, one unit after the other."""
    extract = open_stage(work, "extract", ["plain"])
    for number, unit in enumerate(plan([source])):
        run_unit(
            extract.folder,
            f"{number}",
            lambda unit=unit: extract_unit(unit, extract.folder, config),
        )
    extract.finish()
    fetch = open_stage(work, "fetch", ["plain"], [extract])
    for unit, requests in groups(_requests(extract, config)).items():
        run_unit(
            fetch.folder,
            unit.replace("/", "_")[-80:],
            lambda u=unit, r=requests: wanted.fetch_unit(u, r, fetch.folder, config),
        )
    fetch.finish()
    selecting = open_stage(work, "select", ["plain"], [fetch])
    parts = groups(
        (outcomes.partition_of(o, config.select.partitions), o)
        for o in _outcomes(extract, fetch, config)
    )
    for part, found in parts.items():
        run_unit(
            selecting.folder,
            f"{part}",
            lambda p=part, o=found: outcomes.write_partition(p, o, selecting.folder),
        )
    selecting.finish()
    writing = open_stage(work, "write", ["plain"], [selecting])
    for shard in plan_shards(selecting.counts(), config.write.shard_bytes):
        run_unit(
            writing.folder,
            shard.name,
            lambda s=shard: write_unit(s, selecting, writing.folder, work / "out"),
        )


def _requests(extract: Stage, config: Config) -> Iterator[tuple[str, object]]:
    wants = groups(
        pair for file in extract.files("documents") for pair in wanted.wants(file, config.rights)
    )
    captures = groups(pair for file in extract.files("resources") for pair in wanted.archived(file))
    for _ in range(wanted.REDIRECT_HOPS + 1):
        located = [
            item
            for url, want in wants.items()
            for item in wanted.locate(want, captures.get(url, []))
        ]
        for _, item in located:
            if isinstance(item, wanted.Request):
                yield wanted.unit_of(item, config.fetch.buckets), item
        wants = groups((url, item) for url, item in located if isinstance(item, wanted.Want))
    for left in wants.values():
        yield from ((wanted.unit_of(r, config.fetch.buckets), r) for r in map(wanted.give_up, left))


def _outcomes(extract: Stage, fetch: Stage, config: Config) -> Iterator[outcomes.Outcome]:
    """Selects with the functions of `pipelines.select`, one after the other."""
    rows = [r for file in extract.files("documents") for r in references.references(file, config)]
    settled = [
        captures.settle(o) if isinstance(o, dict) else o
        for group in groups((captures.page_of(r), r) for r in rows).values()
        for o in captures.one_capture(group)
    ]
    ours = [o for o in settled if isinstance(o, dict)]
    media = groups(_with_looks(fetch, config))
    needed = groups(need for reference in ours for need in admit.needs(reference))
    met = [(needs, media.get(url, [])) for url, needs in needed.items()]
    joined = groups(j for pair in met for j in admit.join(*pair))
    hits = groups(_hits(ours, met, config))
    decided = [
        o
        for r in ours
        for o in admit.admit(
            r, joined.get(r["id"], []), hits.get(references.short(r["id"]), []), config
        )
    ]
    kept = [o for o in decided if isinstance(o, dict)]
    yield from (o for o in settled if not isinstance(o, dict))
    yield from decided
    block = np.concatenate([copies.entries(row) for row in kept])
    ranked = dict(map(copies.copy_of, kept))
    alike = groups(
        (label, ranked[member])
        for member, label in zip(*components(lsh.edges(block, config.dedup)), strict=True)
    )
    for group in alike.values():
        yield from copies.others_go(group)


def _with_looks(fetch: Stage, config: Config) -> Iterator[tuple[str, references.Row]]:
    items = [item for file in fetch.files("media") for item in references.media_rows(file)]
    images = [item for item in items if looks.is_image(item)]
    yield from (item for item in items if not looks.is_image(item))
    edges = hamming.image_edges(
        np.concatenate([looks.pack(item) for item in images]), config.dedup.image_distance
    )
    label = dict(zip(*components(edges), strict=True))
    for item in images:
        sha, _ = looks.by_bytes(item)
        yield from looks.with_group(sha, [label.get(np.uint64(sha), sha)], [item])


def _hits(
    ours: Sequence[outcomes.Reference],
    met: Sequence[tuple[list[admit.Need], list[references.Row]]],
    config: Config,
) -> Iterator[tuple[int, frequency.Hit]]:
    texts = np.concatenate([admit.text_records(row) for row in ours])
    counted = np.concatenate([admit.media_records(*pair) for pair in met])
    for block in (texts, counted):
        yield from frequency.too_many(block, frequency.bounds(config.corpus))
    most = frequency.cutoff(frequency.times_of(texts), config.corpus.vocabulary)
    yield from frequency.too_rare(texts, most)


def multiply(source: Path, target: Path, copies: int) -> None:
    """Writes a crawl `copies` times over: other hosts, other record ids, other text, the same pictures."""
    from io import BytesIO

    from warcio.archiveiterator import ArchiveIterator
    from warcio.warcwriter import WARCWriter

    with target.open("wb") as out:
        writer = WARCWriter(out, gzip=True)
        for copy in range(copies):
            with source.open("rb") as crawl:
                for record in ArchiveIterator(crawl):
                    if record.rec_type != "response":
                        continue
                    headers = record.rec_headers
                    url = headers.get_header("WARC-Target-URI").replace(
                        ".example.", f".copy{copy}.example."
                    )
                    body = record.content_stream().read()
                    for name in ("Content-Encoding", "Transfer-Encoding", "Content-Length"):
                        record.http_headers.remove_header(name)
                    if "html" in (record.http_headers.get_header("Content-Type") or ""):
                        body = _other_text(body, copy)
                    made = writer.create_warc_record(
                        url,
                        "response",
                        payload=BytesIO(body),
                        length=len(body),
                        http_headers=record.http_headers,
                        warc_headers_dict={"WARC-Date": headers.get_header("WARC-Date")},
                    )
                    writer.write_record(made)


def _other_text(html: bytes, copy: int) -> bytes:
    """Returns the page with links into its own copy, and one word in each paragraph that no other copy has."""
    html = html.replace(b".example.", f".copy{copy}.example.".encode())
    return re.sub(rb"<p\b([^>]*)>", rf"<p\1>copy{copy} ".encode(), html)


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--input", type=Path, default=Path("examples/crawl.warc.gz"))
    arguments.add_argument("--copies", type=int, default=8)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    args = arguments.parse_args()
    if args.plain:
        plain_build(str(args.input), args.plain, Config())
        return
    with tempfile.TemporaryDirectory() as folder:
        report(args, Path(folder))


def report(args: argparse.Namespace, folder: Path) -> None:
    """Prints a Markdown table of the runs."""
    many = folder / "many.warc.gz"
    multiply(args.input, many, args.copies)
    print(
        "| run | wall s | CPU s | peak of all processes, MiB | largest process, MiB |\n| --- | --- | --- | --- | --- |"
    )
    runs: dict[str, dict[str, float]] = {}

    def show(name: str, command: list[str]) -> None:
        runs[name] = found = measure(command)
        print(
            f"| {name} | {found['wall']:.1f} | {found['cpu']:.1f} | {found['peak']:.0f} | {found['largest']:.0f} |",
            flush=True,
        )

    plain = [
        sys.executable,
        "-m",
        "benchmarks.local_run",
        "--input",
        str(many),
        "--plain",
        str(folder / "plain"),
    ]
    show(f"plain loop, {args.copies}x", plain)
    for name, source, workers in (
        (f"build, 1 worker, {args.copies}x", many, 1),
        (f"build, {args.workers} workers, {args.copies}x", many, args.workers),
        (f"build, {args.workers} workers, 1x", args.input, args.workers),
    ):
        out = folder / re.sub(r"\W", "", name)
        show(
            name,
            [
                sys.executable,
                "-m",
                "pipelines.build",
                "--input",
                str(source),
                "--output",
                str(out),
                f"--workers={workers}",
            ],
        )
    ours, beam = (
        runs[f"{kind}, {args.copies}x"]["wall"] for kind in ("plain loop", "build, 1 worker")
    )
    print(f"\nBeam's share of the wall time with one worker: {(beam - ours) / beam:.1%}")


if __name__ == "__main__":
    main()
