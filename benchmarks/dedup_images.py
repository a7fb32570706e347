"""Near-duplicate images: which changed copies are found, how often two different pictures are taken for one.

    python -m benchmarks.dedup_images FOLDER [--json] [--sample N]

Pictures: those that `select` would keep by its rules for images, of FOLDER/sites (a site is a sub-folder;
without `sites` the sub-folders of FOLDER) and of the crawls in FOLDER/warc (a site is a file).

Recall: each picture is changed in each way and meets its copy through entries and edges, as in `select`;
imagehash.phash (64 bits, 8 may differ) compares the same pairs. Pictures that we do not match at all
(too plain) are left out and counted. A copy that the rules would drop (below 64 pixels) is left out.

False matches: every picture against every copy of the pictures of other sites. A picture that is on two
sites is no false match: one whose thumbnails differ by less than `SAME` in the mean.

Speed: CPU time of this process, medians over rounds, the same pictures in all of them. Needs imagehash.
"""

import argparse
import json
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import imagehash
import numpy as np
from PIL import Image, ImageOps

from benchmarks.images import coded, crop, jpeg, marked, on_white
from m3w_builder.config import FetchConfig
from m3w_builder.config.corpus import MAX_IMAGE_DISTANCE
from m3w_builder.config.rules import RulesConfig
from m3w_builder.errors import InputError, MediaError
from m3w_builder.media import StoredImage, measure_image, pixels
from m3w_builder.media.hashes import perceptual_hashes
from m3w_builder.media.kinds import sniffed
from m3w_builder.media.measure import GREY_SIDE
from m3w_builder.near.hamming import bits_apart, hash_words, image_edges, image_entries
from m3w_builder.rules import image_rule
from m3w_builder.warc.heads import Record
from m3w_builder.warc.reader import read_records

FETCH, RULES = FetchConfig(safety="off"), RulesConfig()
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp")
IMAGEHASH_BITS = 8  # of 64: what is usually taken for a copy
SAME = 4.0  # grey levels a channel: mean difference of two thumbnails of one picture
THUMBNAIL = (32, 32)
MAX_BODY = 2**24
ROUNDS = 5

Change = Callable[[Image.Image], bytes]


def resized(share: float) -> Change:
    def change(image: Image.Image) -> bytes:
        size = round(image.width * share), round(image.height * share)
        return jpeg(image.resize(size, Image.Resampling.LANCZOS))

    return change


CHANGES: dict[str, dict[str, Change]] = {
    "resize": {f"{share}": resized(share) for share in (0.9, 0.75, 0.5, 0.33, 0.25)},
    "recompress": {
        f"quality {q}": lambda image, q=q: jpeg(image, q)  # type: ignore[misc]
        for q in (90, 75, 60, 40, 30, 20)
    },
    "encode": {
        "png": lambda image: coded(image, "PNG"),
        "webp": lambda image: coded(image, "WEBP", quality=80),
    },
    "crop": {
        f"{share:.0%}": lambda image, share=share: jpeg(crop(image, share))  # type: ignore[misc]
        for share in (0.02, 0.05, 0.10)
    },
    "watermark": {
        "small": lambda image: jpeg(marked(image, "© example", image.width // 20, 255)),
        "large": lambda image: jpeg(marked(image, "EXAMPLE", image.width // 6, 110)),
    },
    "grey": {"": lambda image: jpeg(image.convert("L"))},
    "flip": {"": lambda image: jpeg(ImageOps.mirror(image))},
}


@dataclass(frozen=True)
class Picture:
    """One encoding of a picture, with what is compared."""

    site: str
    body: bytes
    stored: StoredImage
    short: int  # imagehash.phash

    @property
    def entries(self) -> np.ndarray:
        return image_entries(
            sha256(self.stored.body).hexdigest(),
            self.stored.phash_firm,
            self.stored.scores["pdq_quality"],
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--json", action="store_true", help="one object instead of a table")
    arguments.add_argument("--sample", type=int, default=0, help="pictures at most; 0 = all")
    options = arguments.parse_args(argv)
    found = measure(options.folder, options.sample)
    print(json.dumps(found) if options.json else table(found))


def measure(folder: Path, sample: int = 0) -> dict[str, Any]:
    """Returns recall by kind and strength of change, the rate of false matches, precision and speed."""
    warnings.simplefilter("ignore")  # what Pillow thinks of real files
    originals = pictures(folder, sample)
    shown = [picture for picture in originals if len(picture.entries)]
    twins = same_pictures(shown)
    recall: dict[str, dict[str, dict[str, float]]] = {}
    counts = dict.fromkeys(("pairs", "ours", "imagehash", "true_ours", "true_imagehash"), 0)
    for kind, strengths in CHANGES.items():
        recall[kind] = {}
        for strength, change in strengths.items():
            copies = [changed(picture, change) for picture in shown]
            hits = [
                (met(one, copy), near_short(one, copy))
                for one, copy in zip(shown, copies, strict=True)
                if copy
            ]
            if not hits:
                continue
            ours, theirs = (sum(column) for column in zip(*hits, strict=True))
            recall[kind][strength] = {
                "ours": round(ours / len(hits), 4),
                "imagehash": round(theirs / len(hits), 4),
                "copies": len(hits),
            }
            counts["true_ours"] += ours
            counts["true_imagehash"] += theirs
            for name, count in false_matches(shown, copies, twins).items():
                counts[name] += count
    return {
        "pictures": len(originals),
        "too_plain": len(originals) - len(shown),
        "sites": len({picture.site for picture in shown}),
        "recall": recall,
        "pairs": counts["pairs"],
        "false_matches": {name: counts[name] for name in ("ours", "imagehash")},
        "false_match_rate": {
            name: counts[name] / counts["pairs"] for name in ("ours", "imagehash")
        },
        "precision": {
            name: round(counts[f"true_{name}"] / (counts[f"true_{name}"] + counts[name]), 6)
            for name in ("ours", "imagehash")
        },
        "pictures_on_two_sites": int(twins.sum()) // 2,
        **speed(shown),
    }


def pictures(folder: Path, sample: int = 0) -> list[Picture]:
    """Returns the distinct pictures that `select` would keep, in the order of their digests."""
    bodies: dict[str, tuple[str, bytes]] = {}
    for site, body in (*_files(folder), *_archived(folder)):
        bodies.setdefault(sha256(body).hexdigest(), (site, body))
    found = []
    for _, (site, body) in sorted(bodies.items()):
        if sample and len(found) == sample:
            break
        if picture := measured(site, body):
            found.append(picture)
    if len({picture.site for picture in found}) < 2:
        raise InputError(f"{folder}: expected pictures of two sites or more, found {len(found)}")
    return found


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    sites = folder / "sites" if (folder / "sites").is_dir() else folder
    for path in sorted(sites.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            yield path.relative_to(sites).parts[0], path.read_bytes()


def _archived(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted((folder / "warc").glob("*arc*")):
        for record in read_records(str(path), max_body=MAX_BODY):
            if isinstance(record, Record) and sniffed_format(record.body):
                yield path.name, record.body


def sniffed_format(body: bytes) -> str:
    """Returns the format of an image, "" for what is none."""
    try:
        return sniffed(body).name
    except MediaError:
        return ""


def measured(site: str, body: bytes) -> Picture | None:
    """Returns the picture, or None when it is damaged or the rules drop it."""
    try:
        stored = measure_image(body, config=FETCH)
    except MediaError:
        return None
    if image_rule(stored.width, stored.height, stored.scores, RULES):
        return None
    bits = np.packbits(imagehash.phash(on_white(body)).hash)
    return Picture(site, body, stored, int.from_bytes(bits.tobytes()))


def changed(picture: Picture, change: Change) -> Picture | None:
    return measured(picture.site, change(on_white(picture.body)))


# Matches


def met(one: Picture, other: Picture) -> bool:
    """Says whether two pictures are joined: equal bytes, or an edge."""
    if one.stored.body == other.stored.body:
        return True
    both = np.concatenate((one.entries, other.entries))
    return len(image_edges(both, MAX_IMAGE_DISTANCE)) > 0


def near_short(one: Picture, other: Picture) -> bool:
    return (one.short ^ other.short).bit_count() <= IMAGEHASH_BITS


def false_matches(
    shown: Sequence[Picture], copies: Sequence[Picture | None], twins: np.ndarray
) -> dict[str, int]:
    """Returns how many pairs of a picture and a copy of another site's there are, and of them match."""
    some = [n for n, copy in enumerate(copies) if copy]
    there = [copy for copy in copies if copy]
    strangers = other_sites(shown, there) & ~twins[:, some]
    matchable = np.array([len(copy.entries) > 0 for copy in there])
    return {
        "pairs": int(strangers.sum()),
        "ours": int(
            (strangers & matchable & (distances(shown, there) <= MAX_IMAGE_DISTANCE)).sum()
        ),
        "imagehash": int((strangers & (short_distances(shown, there) <= IMAGEHASH_BITS)).sum()),
    }


def same_pictures(shown: Sequence[Picture]) -> np.ndarray:
    """Returns bool[n, n]: pairs of one picture on two sites, by their thumbnails; hashes have no say."""
    small = np.stack([np.asarray(on_white(p.body).resize(THUMBNAIL), np.float32) for p in shown])
    twins = np.zeros((len(shown),) * 2, dtype=bool)
    for n, one in enumerate(small):
        twins[n] = np.abs(small - one).mean(axis=(1, 2, 3)) < SAME
    return twins & other_sites(shown, shown)


def other_sites(some: Sequence[Picture], others: Sequence[Picture]) -> np.ndarray:
    names = np.array([p.site for p in some]), np.array([p.site for p in others])
    return names[0][:, None] != names[1]


def distances(some: Sequence[Picture], others: Sequence[Picture]) -> np.ndarray:
    """Returns int64[n, m], the bits in which firm hashes differ."""
    there = np.stack([hash_words(p.stored.phash_firm) for p in others])
    return np.stack([bits_apart(there, hash_words(p.stored.phash_firm)) for p in some])


def short_distances(some: Sequence[Picture], others: Sequence[Picture]) -> np.ndarray:
    short = (np.array([p.short for p in pictures_], np.uint64) for pictures_ in (some, others))
    one, other = short
    return np.bitwise_count(one[:, None] ^ other)


# Speed


def speed(shown: Sequence[Picture]) -> dict[str, float]:
    """Returns pictures a second: the hashes of a decoded picture, the decode, and the same of imagehash."""
    times: dict[str, list[float]] = defaultdict(list)

    def timed(name: str, work: Callable[[Any], Any], given: Sequence[Any]) -> list[Any]:
        start = time.process_time()
        done = [work(one) for one in given]
        times[name].append(time.process_time() - start)
        return done

    bodies = [picture.body for picture in shown]
    for _ in range(ROUNDS):
        copies = timed("decode_images_per_s", grey_copy, bodies)
        timed("images_per_s", perceptual_hashes, copies)
        full = timed("imagehash_decode_images_per_s", on_white, bodies)
        timed("imagehash_images_per_s", imagehash.phash, full)
    return {name: round(len(shown) / median(seconds), 1) for name, seconds in times.items()}


def grey_copy(body: bytes) -> Image.Image:
    return pixels.scaled(
        pixels.opened(body, sniffed(body), FETCH.max_image_pixels), GREY_SIDE, grey=True
    )


def table(found: dict[str, Any]) -> str:
    """Returns what was measured as Markdown."""
    lines = ["| change | ours | imagehash.phash | copies |", "| --- | --- | --- | --- |"]
    for kind, strengths in found["recall"].items():
        for strength, row in strengths.items():
            lines.append(
                f"| {kind} {strength} | {row['ours']:.1%} | {row['imagehash']:.1%} | {row['copies']} |"
            )
    rest = {key: value for key, value in found.items() if key != "recall"}
    return "\n".join([*lines, "", *(f"{key}: {value}" for key, value in rest.items())])


if __name__ == "__main__":
    main()
