"""From documents and media rows to annotations: which image is asked about what, in which unit, and the answers.

An image is looked at once, whoever shows it: its unit, its seed and its place in a batch depend on sha256s alone.
What is shuffled are references and short texts; the bytes are read, and decoded, where the model runs.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

from PIL.Image import Image

from m3w_builder.capfilt.plugins import Models, captions, matches, settings_of, told
from m3w_builder.config import CapfiltConfig, Config
from m3w_builder.errors import MediaError
from m3w_builder.histograms import counters
from m3w_builder.media import pixels
from m3w_builder.media.kinds import sniffed
from m3w_builder.optouts import page_refusal
from m3w_builder.packs import read_range
from m3w_builder.samples import canonical_json
from m3w_builder.stages import Counts
from m3w_builder.tables import OPTOUT_COLUMNS, Row, read_table, write_table
from m3w_builder.types import OptOut

Origin = Literal["web", "synthetic", "human"]

IMAGES_PER_UNIT = 64  # what a killed worker loses, but no more units than:
MAX_UNITS = 4096
DECIDING = frozenset({"min_match"})  # keys that `decide` reads, and no result depends on
MAX_WORDS = 30  # of a normalised text (BLIP, data/pretrain_dataset.py)
_NOISE = re.compile(r'[.!"()*#:;~]')
_COLUMNS = (
    *("id", "kind", "url", "record", *OPTOUT_COLUMNS),
    *(f"nodes.list.element.{name}" for name in ("type", "url", "text")),
)


class Ask(NamedTuple):
    """One image of a document, and the page's text for it, "" where only captions are wanted."""

    document: str
    node: int  # of the image
    text: str
    origin: Origin  # of the text
    record: str = ""  # of the capture: another one of the page may have other texts


class Place(NamedTuple):
    """Where fetch stored an image."""

    sha256: str
    pack: str
    offset: int
    length: int


Unit = tuple[str, Iterable[tuple[Place, Ask]]]  # its name and what is asked in it


class Annotations(NamedTuple):
    """What a unit found out."""

    unit: str
    rows: list[Row]  # of the table `annotations`
    counts: Counts


@dataclass(frozen=True, slots=True)
class Look:
    """A distinct image with everything that is asked about it."""

    place: Place
    asks: tuple[Ask, ...]


def asks(path: Path, config: Config) -> Iterator[tuple[str, Ask]]:
    """Yields (image URL, ask) for each image to look at in a documents file.

    These are those of image-text pairs, with the pair's text, and if `pages` those of interleaved documents.
    A page that opts out, itself or its media, asks nothing.
    """
    for row in read_table(path, "documents", _COLUMNS):
        chosen = row["kind"] == "image_text" or (
            row["kind"] == "interleaved" and config.capfilt.pages and config.capfilt.captioner
        )
        if not chosen or _refused(row, config):
            continue
        text = ""
        if row["kind"] == "image_text":
            text = " ".join(n["text"] for n in row["nodes"] if n["type"] == "text")
        origin: Origin = "human" if _host(row["url"]) in config.capfilt.human else "web"
        for index, node in enumerate(row["nodes"]):
            if node["type"] == "image":
                yield node["url"], Ask(row["id"], index, text, origin, row["record"])


def _refused(row: Row, config: Config) -> bool:
    found = [OptOut(**optout) for optout in row["optouts"]]
    return any(page_refusal(row["url"], found, config.rights, kind) for kind in ("text", "image"))


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def places(path: Path, config: CapfiltConfig) -> Iterator[tuple[str, Place]]:
    """Yields (image URL, place) for each stored image of a media file that is not too small."""
    wanted = ("url", "kind", "status", "sha256", "width", "height", "pack", "offset", "length")
    for row in read_table(path, "media", wanted):
        if row["kind"] != "image" or row["status"] != "ok":
            continue
        if min(row["width"], row["height"]) >= config.min_side:
            yield row["url"], Place(row["sha256"], row["pack"], row["offset"], row["length"])


def meet(
    asked: Iterable[Ask], stored: Iterable[Place], units: int
) -> Iterator[tuple[str, tuple[Place, Ask]]]:
    """Yields (unit, (place, ask)) for the asks about one image URL."""
    found = min(stored, default=None)
    if found:
        for ask in asked:
            yield unit_of(found.sha256, units), (found, ask)


def units_for(fetched: Counts) -> int:
    """Returns how many units there are for what fetch has stored: a function of its counts alone."""
    images = fetched.get("images.archive", 0) + fetched.get("images.http", 0)
    return min(MAX_UNITS, max(1, -(-images // IMAGES_PER_UNIT)))


def unit_of(digest: str, units: int) -> str:
    """Returns the unit of an image: an equal share of the sha256s."""
    return f"{int(digest[:15], 16) * units >> 60:05d}"


def looks(pairs: Iterable[tuple[Place, Ask]]) -> list[Look]:
    """Returns the distinct images of a unit in the order of their sha256; what came twice counts once."""
    found: dict[str, tuple[Place, set[Ask]]] = {}
    for place, ask in pairs:
        earlier, asked = found.setdefault(place.sha256, (place, set()))
        asked.add(ask)
        found[place.sha256] = min(earlier, place), asked
    return [Look(place, tuple(sorted(asked))) for _, (place, asked) in sorted(found.items())]


def annotate(
    unit: str, pairs: Iterable[tuple[Place, Ask]], models: Models, packs: Path, config: Config
) -> Annotations:
    """Returns what the models say of a unit's images; one that cannot be decoded is counted.

    Raises ConfigError for a wrong answer of a plug-in, ShardError for a pack that is not there.
    """
    rows: list[Row] = []
    counts: Counter[str] = Counter()
    for some in _chunks(looks(pairs), config.capfilt.batch):
        seen = []
        for look in some:
            counts["images"] += 1
            if picture := _picture(look.place, packs, config):
                seen.append((look, picture))
            else:
                counts["images.unreadable"] += 1
        if seen:
            rows += _batch(seen, models, config.capfilt, counts)
    rows.sort(key=lambda r: (r["document"], r["node"], r["operator"], r["origin"], r["number"]))
    return Annotations(unit, rows, dict(counts))


def _picture(place: Place, packs: Path, config: Config) -> Image | None:
    """Returns an image in RGB, halved as long as no side falls below `capfilt.side`; None for a broken one."""
    body = read_range(packs / place.pack, place.offset, place.length)
    try:
        kind = sniffed(body)
        image = pixels.opened(body, kind, config.fetch.max_image_pixels)
        with pixels.decoding(kind):
            return pixels.scaled(image, config.capfilt.side, grey=False)
    except MediaError:
        return None


def _batch(
    seen: Sequence[tuple[Look, Image]],
    models: Models,
    config: CapfiltConfig,
    counts: Counter[str],
) -> Iterator[Row]:
    """Yields the rows of some images: one call of the captioner, then as many as it takes of the matcher."""
    shown = [image for _, image in seen]
    written: list[list[str]] = [[] for _ in seen]
    if models.captioner:
        seeds = [seed_of(look.place.sha256, config.seed) for look, _ in seen]
        answers = captions(models.captioner, shown, settings_of(config), seeds)
        written = [_distinct(texts, config, counts) for texts in answers]
        for (look, _), texts, seed in zip(seen, written, seeds, strict=True):
            yield from _caption_rows(look, texts, models.captioner.model_id, seed, config)
    if models.matcher:
        pairs = [
            (number, text)
            for number, (look, _) in enumerate(seen)
            for text in sorted({*_page_texts(look, config), *written[number]})
        ]
        scores: dict[tuple[int, str], float] = {}
        for some in _chunks(pairs, config.batch):
            pictures = [shown[number] for number, _ in some]
            answer = matches(models.matcher, pictures, [text for _, text in some])
            scores |= zip(some, answer, strict=True)
        for number, (look, _) in enumerate(seen):
            told_of = {text: scores[number, text] for n, text in pairs if n == number}
            yield from _match_rows(look, written[number], told_of, models.matcher.model_id, config)
            counts.update(f"texts.{ask.origin}" for ask in look.asks if ask.text)


def _distinct(texts: Iterable[str], config: CapfiltConfig, counts: Counter[str]) -> list[str]:
    """Returns the captions of an image without empty and repeated ones."""
    found = [shape(text, normalise=config.normalise) for text in texts]
    kept = list(dict.fromkeys(filter(None, found)))
    counts["captions"] += len(kept)
    counts["captions.empty"] += found.count("")
    counts["captions.repeated"] += len(found) - found.count("") - len(kept)
    return kept


def _page_texts(look: Look, config: CapfiltConfig) -> Iterator[str]:
    for ask in look.asks:
        if text := shape(ask.text, normalise=config.normalise):
            yield text


def shape(text: str, *, normalise: bool) -> str:
    """Returns a text on one line; if `normalise`, as BLIP's pre_caption has it: 30 words in lower case."""
    if normalise:
        return " ".join(_NOISE.sub(" ", text.lower()).split()[:MAX_WORDS])
    return " ".join(text.split())


def seed_of(digest: str, seed: int) -> int:
    """Returns the seed of an image's captions, 32 bits: not a matter of when or beside what it is seen."""
    return int.from_bytes(sha256(f"{seed} {digest}".encode()).digest()[:4])


def _caption_rows(
    look: Look, texts: Sequence[str], model: str, seed: int, config: CapfiltConfig
) -> Iterator[Row]:
    how = canonical_json(told(config, "caption"))
    for ask in look.asks:
        for number, text in enumerate(texts):
            yield {
                **_key(ask, look, "caption", "synthetic", number, text),
                "model": model,
                "score": None,
                "seed": seed,
                "settings": how,
            }


def _match_rows(
    look: Look, texts: Sequence[str], scores: dict[str, float], model: str, config: CapfiltConfig
) -> Iterator[Row]:
    how = canonical_json(told(config, "match"))
    for ask in look.asks:
        own = shape(ask.text, normalise=config.normalise)
        matched = [(ask.origin, 0, own)] if own else []
        matched += [("synthetic", number, text) for number, text in enumerate(texts)]
        for origin, number, text in matched:
            yield {
                **_key(ask, look, "match", origin, number, text),
                "model": model,
                "score": scores[text],
                "seed": None,
                "settings": how,
            }


def _key(ask: Ask, look: Look, operator: str, origin: str, number: int, text: str) -> Row:
    return {
        "document": ask.document,
        "record": ask.record,
        "node": ask.node,
        "sha256": look.place.sha256,
        "operator": operator,
        "origin": origin,
        "number": number,
        "text": text,
    }


_T = TypeVar("_T")


def _chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    return (items[first : first + size] for first in range(0, len(items), size))


def write_unit(found: Annotations, folder: Path) -> Counts:
    """Writes the annotations of a unit; returns its counts, with the histograms of the matcher's scores."""
    write_table(folder / "annotations" / f"{found.unit}.parquet", "annotations", found.rows)
    counts = Counter(found.counts)
    for row in found.rows:
        if row["operator"] == "match":
            counts.update(counters(f"{row['origin']}_text", {"match": row["score"]}))
    return counts


def annotations(path: Path) -> Iterator[tuple[str, Row]]:
    """Yields (document id, row) of an annotations file."""
    for row in read_table(path, "annotations"):
        yield row["document"], row


def asked(config: CapfiltConfig, models: Models) -> list[str]:
    """Returns what the results depend on, besides the images and texts: what the stage's digest covers."""
    measuring = {k: v for k, v in config.model_dump(mode="json").items() if k not in DECIDING}
    return [canonical_json(measuring), canonical_json(models.ids())]
