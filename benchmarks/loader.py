"""The trainer's loader beside plain webdataset + Pillow: CPU per document, per pair, per used image.

    python -m benchmarks.loader [--documents 120] [--workers 0,1,2] [--photographs FOLDER]

Two datasets: one built by our own pipeline from examples/crawl.warc.gz, and one like MMC4 (5.7 images of
800 x 600 and 780 tokens a document, with pairs of such images). Both sides end with the same thing: the
tokens of a window of 256 and its first five images as 320 x 320 bytes, padded with the mean. The other side
is what one writes: webdataset decodes the images of a sample by Pillow, each is scaled and padded, the text
is tokenised and cut. `all` decodes every image of a document, `first five` only those; ours reads, hashes
and decodes what its window holds, and flips and changes colours, which the other side does not: so it is
measured without that, too.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from io import BytesIO
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset
from PIL import Image as Pictures
from PIL import ImageOps

from benchmarks.photographs import SHARED, drawn, has_photographs, photographs
from benchmarks.processes import measure
from m3w_builder.flamingo import config
from m3w_builder.flamingo.data import images
from m3w_builder.flamingo.data.examples import text
from m3w_builder.flamingo.data.files import Cache
from m3w_builder.flamingo.data.loader import Mixture, batches
from m3w_builder.flamingo.data.reader import open_source
from m3w_builder.flamingo.data.sources import find
from m3w_builder.flamingo.data.tokens import Tokenizer
from m3w_builder.samples import Part, Sample, sample
from m3w_builder.shards import open_dataset, write_shard
from m3w_builder.types import Document, Image, Kind, Media, Node, Text, document_id

SIZE, LENGTH, IMAGES = 320, 256, 5  # F2 B.1.2, F1 3.2.1
MMC4_IMAGES = 5.7  # per document (facts of the public set)
WORDS = 560  # per document: about 780 tokens
VOCABULARY = 8192
REPEATS = 3  # of every measurement; the least CPU time counts
CRAWL = Path(__file__).parents[1] / "examples" / "crawl.warc.gz"
NEED = {
    "interleaved": 100,
    "image_text": 200,
}  # samples per second that keep one H200 busy (estimate)
MEAN = np.round(255 * np.array(images.MEAN)).astype(np.uint8)

Counts = tuple[int, int]  # samples, used images


def built(folder: Path) -> Path:
    """Builds the crawl that comes with the project; returns the folder of its shards."""
    options = [
        f"--input={CRAWL}",
        f"--output={folder}",
        f"--config={CRAWL.with_name('config.toml')}",
    ]
    found = measure([sys.executable, "-m", "pipelines.build", *options, "--workers=1"])
    if found["status"]:
        raise SystemExit(found["error"])
    return folder


def like_mmc4(folder: Path, words: Sequence[str], pictures: Sequence[bytes], count: int) -> Path:
    """Writes `count` documents and twice as many pairs; returns the folder of the shards."""
    pack, draw = b"".join(pictures), random.Random(0)
    offsets = np.cumsum([0, *map(len, pictures)]).tolist()
    rows = [_media(data, at) for data, at in zip(pictures, offsets, strict=False)]
    turn = cycle(rows)

    def document(number: int) -> Sample:
        media = list(islice(turn, 1 + min(14, int(draw.expovariate(1 / (MMC4_IMAGES - 0.5))))))
        each = WORDS // len(media)
        nodes: list[Node] = []
        for one in media:
            nodes += [Image(one.url), Text(" ".join(draw.choices(words, k=each)))]
        return _sample("interleaved", f"https://a.example/{number}", nodes, media)

    def pair(number: int) -> Sample:
        one = next(turn)
        nodes = [Image(one.url), Text(" ".join(draw.choices(words, k=14)))]
        return _sample("image_text", f"https://b.example/{number}", nodes, [one])

    def read(part: Part) -> bytes:
        return pack[part.offset : part.offset + part.length]

    made = {"interleaved": [document(n) for n in range(count)]}
    made["image_text"] = [pair(n) for n in range(2 * count)]
    for kind, samples in made.items():
        ordered = sorted({s.key: s for s in samples}.values(), key=lambda s: s.key)
        write_shard(folder / f"{kind}-000000.tar", ordered, read)
    return folder


def _media(data: bytes, offset: int) -> Media:
    digest = sha256(data).hexdigest()
    url = f"https://i.example/{digest[:12]}.jpg"
    return Media(
        url=url,
        kind="image",
        final_url=url,
        sha256=digest,
        format="jpg",
        width=800,
        height=600,
        offset=offset,
        length=len(data),
    )


def _sample(kind: Kind, url: str, nodes: Sequence[Node], media: Sequence[Media]) -> Sample:
    places = [index for index, node in enumerate(nodes) if isinstance(node, Image)]
    first = media[0].url + url if kind == "image_text" else ""
    made = Document(document_id(kind, url, first), kind, url, tuple(nodes))
    return sample(made, dict(zip(places, media, strict=True)))


def pictures_of(sources: Path, folder: Path, count: int = 300) -> list[bytes]:
    """Returns JPEGs of 800 x 600 (quality 85) from photographs, drawn ones where there are none."""
    where = sources if has_photographs(sources) else drawn(folder / "drawn")
    found = []
    for path in photographs(where, folder / "photographs", count):
        file = BytesIO()
        with Pictures.open(path) as image:
            ImageOps.fit(image, (800, 600)).save(file, "JPEG", quality=85)
        found.append(file.getvalue())
    return found


# The other side


def plain(urls: list[str], tokenizer: Tokenizer, most: int | None) -> Iterator[Counts]:
    """Reads by webdataset and Pillow: yields per sample one and how many images its window used."""
    wanted = None if most is None else [f"{n:03}." for n in range(most)]

    def chosen(name: str) -> bool:
        part = name.rpartition("/")[2].partition(".")[2]
        return wanted is None or not part[:3].isdigit() or part[:4] in wanted

    source = webdataset.WebDataset(urls, shardshuffle=False, select_files=chosen).decode("pilrgb")
    for found in source:
        record = found["json"]
        pixels = [padded(found[name]) for name in record["images"] if name in found]
        spelt = ["<image>" if words is None else words for words in record["texts"]]
        ids = tokenizer.encode("\n".join(spelt))[:LENGTH]
        tags = tokenizer.decode(ids).count("<image>")
        used = np.stack(pixels[: min(tags, IMAGES)]) if tags and pixels else np.zeros((0,))
        yield 1, len(used)


def padded(image: Pictures.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Returns a picture fitted into the square and padded with the mean, the usual way."""
    small = ImageOps.contain(image, (SIZE, SIZE), Pictures.Resampling.BICUBIC)
    canvas = np.broadcast_to(MEAN, (SIZE, SIZE, 3)).copy()
    top, left = (SIZE - small.height) // 2, (SIZE - small.width) // 2
    canvas[top : top + small.height, left : left + small.width] = np.asarray(small)
    return canvas


# Our side


def mixture(
    folder: Path,
    kind: Kind,
    tokenizer: Tokenizer,
    cache: Path,
    batch: int,
    **examples: Any,
) -> Mixture:
    """Returns the mixture of one dataset, with all that training does to it by default."""
    table: dict[str, Any] = {"shards": str(folder), "kind": kind, "batch": batch}
    whole = {"datasets": {kind: table}, "vision": {"image": SIZE}, "examples": examples}
    run = config.parse(whole)
    sources = {kind: open_source(kind, run.datasets[kind], Cache(cache))}
    return Mixture(sources, run, tokenizer)


def ours(mixed: Mixture, kind: Kind, count: int) -> Iterator[Counts]:
    """Reads one epoch, batch by batch: yields samples and used images."""
    for step in range(count // mixed.counts[kind]):
        batch = mixed[step][kind]
        yield len(batch), len(batch.times)


def least(arms: Sequence[Callable[[], Iterator[Counts]]]) -> list[tuple[float, int, int]]:
    """Returns of each arm the least CPU seconds of an epoch, its samples and used images.

    The arms take turns, so that a busy machine slows all of them down.
    """
    seconds, found = [list[float]() for _ in arms], [list[Counts]() for _ in arms]
    for _ in range(REPEATS):
        for arm, read in enumerate(arms):
            started = time.process_time()
            found[arm] = list(read())
            seconds[arm].append(time.process_time() - started)
    counts = [tuple(map(sum, zip(*each, strict=True))) for each in found]
    return [(min(each), *count) for each, count in zip(seconds, counts, strict=True)]  # type: ignore[misc]


def compare(folder: Path, title: str, kind: Kind, tokenizer: Tokenizer, cache: Path) -> float:
    """Prints a row per reader; returns our CPU seconds per sample."""
    urls = [shard.url for shard in find(str(folder), kind)]
    mixed = mixture(folder, kind, tokenizer, cache, batch=4)
    unchanged = mixture(folder, kind, tokenizer, cache, batch=4, flip=0.0, jitter=0.0)
    count = len(mixed.sources[kind])
    arms: list[tuple[str, Callable[[], Iterator[Counts]]]] = [
        ("webdataset + Pillow, all", lambda: plain(urls, tokenizer, None)),
        ("webdataset + Pillow, first five", lambda: plain(urls, tokenizer, IMAGES)),
        ("ours, pictures unchanged", lambda: ours(unchanged, kind, count)),
        ("ours", lambda: ours(mixed, kind, count)),
    ]
    if kind != "interleaved":
        del arms[1]
    each = 0.0
    figures = least([read for _, read in arms])
    for (name, _), (seconds, samples, used) in zip(arms, figures, strict=True):
        each = seconds / samples
        row = f"{samples} | {used / samples:.2f} | {1000 * each:.2f} | {1 / each:.0f}"
        print(f"| {title} | {name} | {row} | {1000 * seconds / used:.2f} |", flush=True)
    return each


def scaling(folder: Path, tokenizer: Tokenizer, cache: Path, workers: Sequence[int]) -> None:
    """Prints documents per second of wall time for numbers of worker processes, their start left out."""
    print(f"\n| workers | documents/s (wall; load {os.getloadavg()[0]:.1f}) |\n| ---: | ---: |")
    mixed = mixture(folder, "interleaved", tokenizer, cache, batch=8)
    for number in workers:
        stream = batches(mixed, 0, 60, number)
        for _ in range(10):
            next(stream)
        started = time.monotonic()
        count = sum(len(found["interleaved"]) for found in stream)
        print(f"| {number} | {count / (time.monotonic() - started):.0f} |", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--documents", type=int, default=120)
    arguments.add_argument("--workers", default="0,1,2")
    arguments.add_argument("--photographs", type=Path, default=SHARED / "sites")
    args = arguments.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        crawl = built(folder / "crawl")
        records = open_dataset(crawl).records()
        said = [text(record) for record in records if record["kind"] == "interleaved"]
        tokenizer = Tokenizer.trained(said, VOCABULARY)
        pictures = pictures_of(args.photographs, folder)
        mmc4 = like_mmc4(folder / "mmc4", " ".join(said).split(), pictures, args.documents)
        bytes_each = sum(map(len, pictures)) / len(pictures)
        print(f"{bytes_each / 1000:.0f} KB per image of 800 x 600; {VOCABULARY} tokens\n")
        print(
            "| set | reader | samples | used images each | CPU ms each | per core and s | CPU ms per used image |"
        )
        print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
        cores = 0.0
        for where, title in ((crawl, "crawl"), (mmc4, "like MMC4")):
            for kind in ("interleaved", "image_text"):
                each = compare(where, f"{title}, {kind}", kind, tokenizer, folder / "cache")  # type: ignore[arg-type]
                cores += each * NEED[kind] * (where == mmc4)
        need = f"{NEED['interleaved']} documents and {NEED['image_text']} pairs a second"
        print(f"\n{cores:.1f} cores stay ahead of {need} (like MMC4)")
        scaling(mmc4, tokenizer, folder / "cache", [int(n) for n in args.workers.split(",")])


if __name__ == "__main__":
    main()
