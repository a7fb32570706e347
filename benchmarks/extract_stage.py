"""The whole extract stage on real pages: pages per second, and what of the time is whose.

    python -m benchmarks.extract_stage MANIFEST... [--root DIR] [--copies N] [--workers 1,2]

The pages of the manifests (form: benchmarks/extraction.py) are packed into WARC files as a crawl has
them, each with its request and metadata records, N times over under other hosts, and extracted as a
user would: `python -m pipelines.extract` with the local runner, once for each number of workers (1 and
all cores unless told). Each run is preceded by one of a single page per worker: that is start-up
(imports, Beam, the sandbox), told apart because a crawl has millions of pages. CPU seconds are those of
all processes, orphans too.

Beside it the same pages in a plain loop in this process, step by step: reading the WARC files,
`extract.extract` and what of it is language and statistics, making rows and writing them. What the stage
costs beyond the loop is the sandbox and Beam.
"""

import argparse
import ctypes
import gc
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from benchmarks.extraction import read, read_manifest
from m3w_builder.config import Config
from m3w_builder.dedup import text_key
from m3w_builder.extract import extract
from m3w_builder.inputs import plan, read_pages
from m3w_builder.language import detect
from m3w_builder.rules import measure_texts
from m3w_builder.tables import TableWriter, document_row
from m3w_builder.types import Document, Page

PAGES_PER_FILE = 100  # so that all workers have something to do until the end
DATE = "2026-01-01T00:00:00Z"
_SUBREAPER = 36  # of prctl(2): orphans below us become our children, so that their time counts


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("manifests", type=Path, nargs="+", metavar="MANIFEST")
    arguments.add_argument(
        "--root", type=Path, help="folder of the pages (default: the manifest's)"
    )
    arguments.add_argument("--copies", type=int, default=1)
    cores = os.cpu_count() or 1
    arguments.add_argument("--workers", default=f"1,{cores}", help="numbers of workers to try")
    args = arguments.parse_args(argv)
    try:
        pages = [
            read(row, args.root or manifest.parent)
            for manifest in args.manifests
            for row in read_manifest(manifest)
        ]
    except (OSError, ValueError, KeyError) as error:
        arguments.error(repr(error))
    if not pages:
        arguments.error("no pages")
    workers = list(dict.fromkeys(int(number) for number in args.workers.split(",")))
    with tempfile.TemporaryDirectory() as folder:
        report(pages, args.copies, workers, Path(folder))


def report(pages: Sequence[Page], copies: int, workers: Sequence[int], folder: Path) -> None:
    """Prints the tables."""
    files = pack(pages, copies, folder / "crawl")
    size = sum(len(page.html) for page in pages) / len(pages)
    stored = sum(file.stat().st_size for file in files)
    total = len(pages) * copies
    print(
        f"{total} pages of {size / 1e3:.0f} kB on average, in {len(files)} files of {stored / 1e6:.1f} MB\n"
    )
    loop = plain_loop(files, folder / "plain")
    print("| plain loop | ms/page |\n| --- | --- |")
    for step, seconds in loop.items():
        print(f"| {step} | {1e3 * seconds / total:.2f} |")
    alone = sum(seconds for step, seconds in loop.items() if not step.startswith("of it"))
    print(f"| all | {1e3 * alone / total:.2f} = {total / alone:.0f} pages/s |\n")
    print(
        "| stage | start-up, wall s | CPU s | pages/s, wall | pages/s/core, CPU | ms/page, CPU "
        "| beyond the loop |\n|" + " --- |" * 7
    )
    stage(
        files[:1], folder / "unmeasured", 1
    )  # so that the first run reads no code from a cold disk
    for number in workers:
        few = pack(pages[:1] * number, 1, folder / f"few{number}", pages_per_file=1)
        start = stage(few, folder / f"start{number}", number)
        whole = stage(files, folder / f"work{number}", number)
        rest = total - number
        wall, cpu = whole.wall - start.wall, whole.cpu - start.cpu
        print(
            f"| {number} worker{'s' * (number > 1)} | {start.wall:.1f} | {start.cpu:.1f} "
            f"| {rest / wall:.0f} | {rest / cpu:.0f} | {1e3 * cpu / rest:.2f} "
            f"| {cpu / rest * total / alone - 1:+.0%} |",
            flush=True,
        )


def pack(
    pages: Sequence[Page], copies: int, folder: Path, *, pages_per_file: int = PAGES_PER_FILE
) -> list[Path]:
    """Writes pages to WARC files, `copies` times; returns the files."""
    folder.mkdir()
    found = []
    for copy in range(copies):
        for start in range(0, len(pages), pages_per_file):
            found.append(folder / f"{copy:03}-{start:06}.warc.gz")
            with found[-1].open("wb") as out:
                writer = WARCWriter(out, gzip=True)
                for number in range(start, min(start + pages_per_file, len(pages))):
                    _write(writer, pages[number], f"c{copy}p{number}")
    return found


def _write(writer: WARCWriter, page: Page, label: str) -> None:
    """Writes the request, response and metadata records of a page, under a host below its own."""
    parts = urlsplit(page.url)
    url = parts._replace(netloc=f"{label}.{parts.netloc}").geturl()
    asked = StatusAndHeaders(
        f"GET {parts.path or '/'} HTTP/1.1", [("Host", parts.netloc)], is_http_request=True
    )
    sent = [
        ("Server", "nginx"),
        ("Date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("Content-Type", page.content_type or "text/html"),
        ("Vary", "Accept-Encoding"),
        ("X-Crawler-Content-Encoding", "gzip"),
    ]
    for kind, body, headers in (
        ("request", b"", asked),
        ("response", page.html, StatusAndHeaders("200 OK", sent, protocol="HTTP/1.1")),
        ("metadata", b"fetchTimeMs: 100\r\ncharset-detected: UTF-8\r\n", None),
    ):
        record = writer.create_warc_record(
            url,
            kind,
            payload=BytesIO(body),
            length=len(body),
            http_headers=headers,
            warc_content_type="" if headers else "application/warc-fields",
            warc_headers_dict={"WARC-Date": DATE},
        )
        writer.write_record(record)


@dataclass
class Clock:
    """CPU seconds of this process, by step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, step: str) -> Iterator[None]:
        """Counts what the block takes."""
        start = time.process_time()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - start


def plain_loop(files: Sequence[Path], folder: Path) -> dict[str, float]:
    """Returns the CPU seconds of each step of extracting WARC files, in this process, without Beam or sandbox."""
    config = Config()
    clock = Clock()
    for number, unit in enumerate([None, *plan([str(file) for file in files])]):
        unit = unit or plan([str(files[0])])[0]
        if number == 1:
            clock.seconds.clear()  # the first file was read to warm up, imports and all
        gc.collect()
        with clock.time("read"):
            items = list(read_pages(unit, max_body=config.extract.max_page_bytes))
        pages = [item for item in items if isinstance(item, Page)]
        documents: list[Document] = []
        with clock.time("extract.extract"):
            for page in pages:
                documents += extract(page, config)[0]
        whole = [document for document in documents if document.kind == "interleaved"]
        with clock.time("of it language"):
            for document in whole:
                detect("\n".join(node.text for node in document.texts))
        with clock.time("of it statistics"):
            for document in whole:
                measure_texts(document.texts, document.language)
        with (
            clock.time("text keys, rows, Parquet"),
            TableWriter(folder / f"{number}.parquet", "documents") as table,
        ):
            for document in documents:
                table.write(document_row(document, text_key(document.texts)))
    return clock.seconds


@dataclass(frozen=True)
class Run:
    """What a run of the stage took, in seconds; CPU time of all its processes."""

    wall: float
    cpu: float


def stage(files: Sequence[Path], work: Path, workers: int) -> Run:
    """Runs the extract stage as a user does."""
    command = [sys.executable, "-m", "pipelines.extract", f"--work={work}", f"--workers={workers}"]
    command += [f"--input={file}" for file in files]
    return _timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def _timed(run: Callable[[], object]) -> Run:
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    run()
    wall = time.monotonic() - started
    with suppress(ChildProcessError):  # when there is none left
        while True:
            os.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Run(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


if __name__ == "__main__":
    main()
