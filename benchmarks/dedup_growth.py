"""Time and memory of finding copies as the corpus grows: signatures, and the transform that `select` runs.

A document is made of real paragraphs, 300 words and a little more, and has two pictures. Of every ten
two are copies of a third, of whose words one in a hundred is another.
"""

import json
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import apache_beam as beam

from benchmarks.dedup_documents import real
from benchmarks.processes import measure as run
from m3w_builder.config import DedupConfig
from m3w_builder.near.minhash import signature
from pipelines.common import run_pipeline

SIZES = (10_000, 40_000, 160_000)
WORDS = 300  # of a document, at least
LENGTHS = range(10, 61)  # words of the paragraphs that documents are made of
COPIES = (8, 9)  # of every ten documents, of the first of the ten
EDITED = 0.01  # of the words of a copy
CHUNK = 1000  # documents of a unit of work
WORKERS = 2
CHILD = (
    "import sys; from benchmarks.dedup_growth import find; find(int(sys.argv[1]), *sys.argv[2:])"
)


def measure(folder: Path, sizes: Sequence[int] = SIZES) -> list[dict[str, float]]:
    """Returns a row per size: seconds of CPU time and of the clock, peak MB, copies planted and dropped.

    Each size is run in processes of its own, from the start of Python to its end; peak is the largest
    sum of all their resident sets.
    """
    every = {p for document in real(folder) for p in document if len(p.split()) in LENGTHS}
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        source, answer = Path(scratch, "paragraphs.json"), Path(scratch, "answer.json")
        source.write_text(json.dumps(sorted(every)), encoding="utf-8")
        for size in sizes:
            root = str(Path(__file__).parents[1])
            python = ["env", f"PYTHONPATH={root}", sys.executable, "-c", CHILD]
            found = run([*python, *map(str, (size, source, answer))])
            if found["status"]:
                raise SystemExit(found["error"])
            rows.append(
                {
                    "size": size,
                    "seconds": round(found["cpu"], 1),
                    "wall_seconds": round(found["wall"], 1),
                    "peak_mb": round(found["peak"]),
                    **json.loads(answer.read_text(encoding="utf-8")),
                }
            )
    return rows


def document(number: int, paragraphs: Sequence[str]) -> dict[str, Any]:
    """Returns what `select` knows of a synthetic document that passed all rules."""
    is_copy = number % 10 in COPIES
    original = number - number % 10 if is_copy else number
    draw, words = random.Random(original), list[str]()
    while len(words) < WORDS:
        words += draw.choice(paragraphs).split()
    if is_copy:
        other = random.Random(number)
        words = [other.choice(words) if other.random() < EDITED else word for word in words]
    text = " ".join(words)
    pictures = [_hash(f"{original} {n}") for n in range(2)]
    return {
        "id": _hash(str(number))[:20],
        "kind": "interleaved",
        "url": f"https://site{number % 1000}.example/{number}",
        "declared": f"https://site{number % 1000}.example/{number}",
        "crawled": "2026-01-01T00:00:00Z",
        "text_sha256": _hash(text),
        "characters": len(text),
        "signature": signature(text),
        "media": [
            {
                "kind": "image",
                "sha256": picture,
                "group": int(picture[:16], 16),
                "width": 640,
                "height": 480,
                "frames": (),
            }
            for picture in pictures
        ],
    }


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()


@cache
def _paragraphs(source: str) -> list[str]:
    found: list[str] = json.loads(Path(source).read_text(encoding="utf-8"))
    return found


def _chunk(start: int, size: int, source: str) -> Iterator[dict[str, Any]]:
    for number in range(start, min(start + CHUNK, size)):
        yield document(number, _paragraphs(source))


def find(size: int, source: str, answer: str) -> None:
    """Finds the copies among documents of the paragraphs in `source`; writes to `answer` how many."""
    from pipelines.copies import Copies, blocks_for

    planted = sum(number % 10 in COPIES for number in range(size))

    def build(pipeline: beam.Pipeline) -> beam.PCollection:
        return (
            pipeline
            | beam.Create(range(0, size, CHUNK), reshuffle=True)
            | "Documents" >> beam.FlatMap(_chunk, size=size, source=source)
            | "Copies" >> Copies(DedupConfig(), blocks_for(size))
            | beam.combiners.Count.Globally()
            | "Answer" >> beam.Map(_write, planted=planted, answer=answer)
        )

    run_pipeline(build, [], useful=WORKERS)


def _write(dropped: int, planted: int, answer: str) -> None:
    Path(answer).write_text(json.dumps({"planted": planted, "dropped": dropped}), encoding="utf-8")
