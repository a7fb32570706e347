"""What of the evaluation sets is in finished shards: every image and frame is hashed anew, every text read.

With an encoder the images are compared by embedding, too (neighbours). Nothing is changed here:
`removals` says what would have to go.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from m3w_builder.config import DecontaminateConfig
from m3w_builder.decontaminate.benchmark import IMAGE, TEXT, Benchmark, Match, Sight, benchmark
from m3w_builder.decontaminate.items import PLAIN, Item, Picture, measured
from m3w_builder.decontaminate.neighbours import Buckets, Encoder, clusters, encoder
from m3w_builder.decontaminate.sources import pictures
from m3w_builder.errors import InputError, MediaError
from m3w_builder.media import measure_image
from m3w_builder.media.kinds import sniffed
from m3w_builder.media.pixels import decoding, opened, scaled
from m3w_builder.processes import spread
from m3w_builder.samples import Parts, Record, nodes
from m3w_builder.shards import Judge, Removal, read_shard

K = TypeVar("K")
BATCH = 32  # pictures that an encoder gets at a time
WHOLE = -1  # the node of a finding in the text, which is that of the sample


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is: a sample, its node, the member of the tar ("" for the text)."""

    id: str
    url: str
    kind: str
    node: int
    medium: Literal["image", "frame", "text"]
    file: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something of a dataset that is, or holds, an item of an evaluation set."""

    place: Place
    match: Match


@dataclass(frozen=True, slots=True)
class Searched:
    """How much was compared, and what was found."""

    counts: Counter[str]  # image, frame, text
    findings: tuple[Finding, ...]


def search(
    shards: Sequence[Path], config: DecontaminateConfig, workers: int = 1
) -> Iterator[Searched]:
    """Yields what was found in each shard, in their order; raises ShardError for a damaged one."""
    yield from spread(partial(search_shard, config=config), shards, workers)


def search_shard(path: Path, config: DecontaminateConfig) -> Searched:
    """Returns what of the configured evaluation sets is in a shard."""
    sets = benchmark(config)
    assert sets is not None, "no evaluation set is configured"
    seen: list[tuple[Place, Sight]] = []
    findings: list[Finding] = []
    counts: Counter[str] = Counter()
    for _, record, parts in read_shard(path):
        place, text = _text(record)
        findings += [Finding(place, match) for match in sets.text_matches(text)]
        counts["text"] += 1
        seen += [(at, _sight(body, digests)) for at, body, digests in _pictures(record, parts)]
    found = sets.image_matches([sight for _, sight in seen])
    counts.update(place.medium for place, _ in seen)
    for (place, _), matches in zip(seen, found, strict=True):
        findings += [Finding(place, match) for match in matches]
    return Searched(counts, tuple(findings))


def _text(record: Record) -> tuple[Place, str]:
    place = Place(record["id"], record["url"], record["kind"], WHOLE, "text")
    return place, "\n".join(text for text in record["texts"] if text is not None)


def _pictures(record: Record, parts: Parts) -> Iterator[tuple[Place, bytes, list[str]]]:
    """Yields place, bytes and known sha256 of each image and frame of a sample."""
    for number, (info, node) in enumerate(nodes(record)):
        medium: Literal["image", "frame"] = "image" if info["type"] == "image" else "frame"
        digests = [info["source_sha256"]] if medium == "image" else []
        for name in [] if isinstance(node, str) else node:
            at = Place(record["id"], record["url"], record["kind"], number, medium, name)
            if name in parts:  # m3w check tells what is missing
                yield at, parts[name], digests


def _sight(body: bytes, digests: Iterable[str]) -> Sight:
    item = measured(Picture("", "", body))
    known = (*digests, item.sha256, item.stored_sha256)
    return Sight(known, item.phash, item.pdq_quality, item.phash_firm)


def search_embeddings(shards: Sequence[Path], config: DecontaminateConfig) -> list[Finding]:
    """Returns the images of all shards whose embedding is that of an evaluation picture.

    Holds a vector per distinct image in memory: 2 GB for a million of 512 dimensions. Raises
    ConfigError for an encoder that is none, InputError for sets without pictures.
    """
    encode = encoder(config.encoder)
    theirs = [*_encoded(_evaluation(config.against), encode)]
    if not theirs:
        raise InputError(
            f"encoder: {config.encoder}: expected evaluation sets with pictures, found hashes and texts"
        )
    places: dict[str, list[Place]] = {}  # of each distinct image, by its digest
    ours = [*_encoded(_training(shards, places), encode)]
    if not ours:
        return []
    ours.sort(key=lambda image: image[0])  # whatever the order of the shards
    vectors = np.stack([vector for _, vector in ours])
    buckets = Buckets(clusters(vectors), np.stack([vector for _, vector in theirs]))
    findings = []
    for (digest, _), near in zip(ours, buckets.near(vectors, config.min_cosine), strict=True):
        matches: dict[str, Match] = {}
        for at, cosine in near:
            set_name, item = theirs[at][0]
            matches.setdefault(set_name, Match(set_name, item, "embedding", cosine))
        findings += [Finding(p, match) for p in places[digest] for match in matches.values()]
    return findings


def _evaluation(against: Sequence[str]) -> Iterator[tuple[tuple[str, str], bytes]]:
    for picture in pictures(against):
        yield (picture.set, picture.name), picture.body


def _training(
    shards: Iterable[Path], places: dict[str, list[Place]]
) -> Iterator[tuple[str, bytes]]:
    """Yields digest and bytes of each distinct image, and notes where it stands."""
    for path in shards:
        for _, record, parts in read_shard(path):
            for place, body, _ in _pictures(record, parts):
                digest = sha256(body).hexdigest()
                if digest not in places:
                    yield digest, body
                places.setdefault(digest, []).append(place)


def _encoded(
    images: Iterable[tuple[K, bytes]], encode: Encoder
) -> Iterator[tuple[K, NDArray[np.float32]]]:
    """Yields the vector of each image that can be decoded."""
    rest = ((key, picture) for key, body in images if (picture := _upright(body)))
    while batch := [*islice(rest, BATCH)]:
        vectors = encode([picture for _, picture in batch])
        yield from zip((key for key, _ in batch), vectors, strict=True)


def _upright(body: bytes) -> Image.Image | None:
    """Returns a picture in RGB and full size, transparency on white; None for a broken one."""
    try:
        stored = measure_image(body, config=PLAIN).body
        kind = sniffed(stored)
        with decoding(kind):
            image = opened(stored, kind, PLAIN.max_image_pixels)
            return scaled(image, PLAIN.max_image_pixels, grey=False)
    except MediaError:
        return None


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Returns the surest finding of each place and set, ordered by place."""
    best: dict[tuple[Place, str], Finding] = {}
    for found in findings:
        key = (found.place, found.match.set)
        if key not in best or found.match.rank() < best[key].match.rank():
            best[key] = found
    return sorted(
        best.values(), key=lambda f: (f.place.id, f.place.node, f.place.file, f.match.set)
    )


def report(
    sets: Benchmark, compared: Mapping[str, int], findings: Sequence[Finding]
) -> dict[str, Any]:
    """Returns what was found as JSON values: counts, a row per evaluation set, every finding."""
    return {
        "compared": {
            f"{medium}s": compared.get(medium, 0) for medium in ("image", "frame", "text")
        },
        "candidates": _counted(findings),
        "short_texts": sets.short_texts,
        "sets": [_of_set(name, sets.items, findings) for name in sets.sets],
        "findings": [{**asdict(f.place), **asdict(f.match)} for f in findings],
    }


def _counted(findings: Sequence[Finding]) -> dict[str, int]:
    """Returns how many images, frames and texts are candidates, and how many images and frames exact."""
    places = {(f.place, f.match.way) for f in findings}
    distinct = Counter(place.medium for place in {place for place, _ in places})
    counts = {f"{medium}s": distinct[medium] for medium in ("image", "frame", "text")}
    exact = sum(way == "bytes" for _, way in places)
    return {**counts, "exact": exact, "samples": len({place.id for place, _ in places})}


def _of_set(name: str, items: Iterable[Item], findings: Iterable[Finding]) -> dict[str, Any]:
    own = [item for item in items if item.set == name]
    return {
        "set": name,
        "pictures": sum(item.is_picture for item in own),
        "texts": sum(bool(item.text) for item in own),
        "unreadable": {item.name: item.unreadable for item in own if item.unreadable},
        "candidates": _counted([f for f in findings if f.match.set == name]),
    }


def removals(findings: Iterable[Finding], drop: str) -> Judge:
    """Returns what `shards.rewrite` asks about each sample: what of it has to go, and why.

    `drop` is "image" or "page": what an image, or a frame of a video, takes along. A text takes its
    sample along, whatever `drop` says.
    """
    found: dict[str, list[Removal]] = {}
    for finding in findings:
        place = finding.place
        reason = TEXT if place.medium == "text" else IMAGE
        node = None if drop == "page" or place.node == WHOLE else place.node
        found.setdefault(place.id, []).append(Removal(reason, str(finding.match), node))
    return partial(_of_sample, found)


def _of_sample(found: Mapping[str, Sequence[Removal]], record: Record) -> Sequence[Removal]:
    return found.get(record["id"], ())
