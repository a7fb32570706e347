"""From a document and its media rows to one sample of a shard: its JSON and the members beside it.

The JSON's lists run parallel to the nodes and hold member names, not URLs: `images[i]` is
"000.jpg" where node i is a picture and null elsewhere. URLs, sizes and hashes are in `info[i]`.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from m3w_builder.subtitles import parse, within
from m3w_builder.types import Document, Image, Media, Node, Text, Track, Video

SCHEMA = "m3w/1"
DECIMALS = 6  # of every float: the last bits of a double differ between machines
IMAGE_FORMATS = ("jpg", "png", "webp")
WRITTEN = ("alt", "title", "caption", "description")  # of a media node: what people wrote about it

Record = dict[str, Any]  # the JSON of a sample
Parts = dict[str, bytes]  # its other members, by name


@dataclass(frozen=True, slots=True)
class Part:
    """One media member: its name after the key's dot, and where fetch stored its bytes."""

    name: str
    pack: str
    offset: int
    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Caption:
    """A text that CapFilt keeps with an image (m3w_builder.capfilt)."""

    node: int  # of the image, in the document
    text: str | None  # None: the page's own
    origin: str  # web | synthetic | human
    model: str = ""  # id of what wrote it, "" for the page's own
    matcher: str = ""  # id of what scored it
    score: float | None = None  # the higher, the better it fits


Read = Callable[[Part], bytes]


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: `record` is its JSON, `parts` its media members in document order."""

    record: Record
    parts: tuple[Part, ...]

    @property
    def key(self) -> str:
        return str(self.record["id"])

    @property
    def kind(self) -> str:
        return str(self.record["kind"])


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one node becomes in the parallel lists."""

    info: Record
    parts: tuple[Part, ...] = ()
    text: str | None = None
    image: str | None = None
    video: list[str] | None = None


def sample(
    document: Document,
    media: Mapping[int, Media],
    subtitles: Mapping[str, bytes] | None = None,
    captions: Sequence[Caption] = (),
) -> Sample:
    """Returns the sample of a document; `media` maps the index of a node in it to its media row.

    A media node without a row is left out; texts always stay. `subtitles` maps the URL of a track to
    what fetch stored of it. `captions` stand behind their image, in a pair behind the page's own text.
    """
    entries: list[_Entry] = []
    number = 0  # of the next media node
    own = next((caption for caption in captions if caption.text is None), None)
    for index, node in enumerate(document.nodes):
        if isinstance(node, Text):
            entries.append(_text(node.text, node, own))
        elif index in media:
            prefix = f"{number:03}." if document.kind == "interleaved" else ""
            entries.append(_media_entry(node, media[index], prefix, subtitles or {}))
            number += 1
        if document.kind == "interleaved":
            entries += _captions(document, captions, index)
    if document.kind != "interleaved":
        entries += [e for i in range(len(document.nodes)) for e in _captions(document, captions, i)]
    parts = tuple(part for entry in entries for part in entry.parts)
    return Sample(_record(document, entries), parts)


def _text(text: str, node: Text, caption: Caption | None) -> _Entry:
    info: Record = {"type": "text", "role": node.role, "path": node.path}
    if caption:
        score = None if caption.score is None else round(caption.score, DECIMALS)
        info |= {"origin": caption.origin, "model": caption.model}
        info |= {"matcher": caption.matcher, "match": score}
    return _Entry(info, text=text)


def _captions(document: Document, captions: Sequence[Caption], index: int) -> Iterator[_Entry]:
    """Yields the synthetic texts of an image node."""
    for caption in captions:
        if caption.node == index and caption.text is not None:
            node = Text(caption.text, "caption", document.nodes[index].path)
            yield _text(caption.text, node, caption)


def _record(document: Document, entries: list[_Entry]) -> Record:
    return {
        "schema": SCHEMA,
        "id": document.id,
        "kind": document.kind,
        "url": document.url,
        "title": document.title,
        "canonical": document.canonical,
        "language": document.language,
        "crawled": document.crawled,
        "record": document.record,
        "licence": document.licence,
        "texts": [entry.text for entry in entries],
        "images": [entry.image for entry in entries],
        "videos": [entry.video for entry in entries],
        "info": [entry.info for entry in entries],
        "scores": _rounded(document.scores),
    }


def _media_entry(node: Node, media: Media, prefix: str, subtitles: Mapping[str, bytes]) -> _Entry:
    if isinstance(node, Image) and media.kind == "image":
        return _image(node, media, prefix)
    if isinstance(node, Video) and media.kind == "video":
        return _video(node, media, prefix, subtitles)
    raise ValueError(f"a {type(node).__name__} node with the {media.kind} row of {media.url}")


def _image(node: Image, media: Media, prefix: str) -> _Entry:
    if media.format not in IMAGE_FORMATS:
        raise ValueError(f"{media.url}: expected one of {IMAGE_FORMATS}, found {media.format!r}")
    part = Part(f"{prefix}{media.format}", media.pack, media.offset, media.length, media.sha256)
    info: Record = {
        "type": "image",
        "url": node.url,
        "final_url": media.final_url,
        "alt": node.alt,
        "title": node.title,
        "caption": node.caption,
        "width": media.width,
        "height": media.height,
        "format": media.format,
        "sha256": media.sha256,
        "source_sha256": media.source_sha256,
        "phash": media.phash,
        "phash_firm": media.phash_firm,
        "reencoded": media.reencoded,
        "origin": media.origin,
        "path": node.path,
        "scores": _rounded(media.scores),
    }
    return _Entry(info, (part,), image=part.name)


def _video(node: Video, media: Media, prefix: str, subtitles: Mapping[str, bytes]) -> _Entry:
    parts = tuple(
        Part(f"{prefix}{frame.t:05}.jpg", media.pack, frame.offset, frame.length, frame.sha256)
        for frame in media.frames
    )
    frames = zip(parts, media.frames, strict=True)
    info: Record = {
        "type": "video",
        "url": node.url,
        "final_url": media.final_url,
        "title": node.title,
        "caption": node.caption,
        "description": node.description,
        "poster": node.poster,
        "seconds": round(media.seconds, DECIMALS),
        "fps": round(media.fps, DECIMALS),
        "codec": media.codec,
        "width": media.width,
        "height": media.height,
        "audio": media.audio,
        "sha256": media.sha256,
        "frames": [{"name": p.name, "t": frame.t, "sha256": frame.sha256} for p, frame in frames],
        "subtitles": [
            _subtitles(track, subtitles[track.url], media)
            for track in node.tracks
            if track.url in subtitles
        ],
        "path": node.path,
    }
    return _Entry(info, parts, video=[part.name for part in parts])


def _subtitles(track: Track, vtt: bytes, media: Media) -> Record:
    """Returns a track with the cues that are shown while the stored frames are."""
    start, end = (media.frames[0].t, media.frames[-1].t + 1) if media.frames else (0, 0)
    return {
        "url": track.url,
        "kind": track.kind,
        "language": track.language,
        "label": track.label,
        "sha256": sha256(vtt).hexdigest(),
        "cues": [asdict(cue) for cue in within(parse(vtt.decode()), start, end)],
    }


def hidden(record: Record, hide: Callable[[str], str]) -> Record:
    """Returns the JSON of a sample with every text in it that people wrote put through `hide`.

    These are the title of the page, the texts, of media the alt text, title, caption and description,
    of subtitles the labels and cues. Addresses (URLs) are none.
    """
    return {
        **record,
        "title": hide(record["title"]),
        "texts": [text if text is None else hide(text) for text in record["texts"]],
        "info": [_hidden(info, hide) for info in record["info"]],
    }


def _hidden(info: Record, hide: Callable[[str], str]) -> Record:
    found = {**info, **{name: hide(info[name]) for name in WRITTEN if name in info}}
    if "subtitles" in info:
        found["subtitles"] = [
            {
                **track,
                "label": hide(track["label"]),
                "cues": [{**cue, "text": hide(cue["text"])} for cue in track["cues"]],
            }
            for track in info["subtitles"]
        ]
    return found


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, DECIMALS) for name, value in scores.items()}


def canonical_json(value: Any) -> str:
    """Returns JSON whose bytes depend on the value alone: sorted keys, no spaces, UTF-8."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def pair_text(record: Record) -> str:
    """Returns the text of a pair: what its `txt` member holds; of alternatives (CapFilt's) the first."""
    texts = [text for text in record["texts"] if text is not None]
    return texts[0] if is_choice(record) else "\n".join(texts)


def is_choice(record: Record) -> bool:
    """Says whether the texts of a sample are alternatives: a pair that CapFilt looked at."""
    pair = record["kind"] != "interleaved"
    return pair and any("origin" in i for i in record["info"] if i.get("type") == "text")


def members(sample: Sample, read: Read) -> Iterator[tuple[str, bytes]]:
    """Yields name and bytes in shard order: json, media in document order, txt of a pair."""
    yield "json", canonical_json(sample.record).encode()
    for part in sample.parts:
        yield part.name, read(part)
    if sample.kind != "interleaved":
        yield "txt", pair_text(sample.record).encode()


def nodes(record: Record) -> Iterator[tuple[Record, str | list[str]]]:
    """Yields per node its info and either its text or the names of its media members, in order."""
    lists = zip(record["info"], record["texts"], record["images"], record["videos"], strict=True)
    for info, text, image, video in lists:
        yield info, text if text is not None else [image] if image is not None else video


def media_members(record: Record) -> Iterator[tuple[str, str]]:
    """Yields name and sha256 of every image and frame of a sample, in order."""
    for info, image in zip(record["info"], record["images"], strict=True):
        if info["type"] == "image":
            yield image, info["sha256"]
        elif info["type"] == "video":
            yield from ((frame["name"], frame["sha256"]) for frame in info["frames"])


def word_count(record: Record) -> int:
    """Returns the number of words (runs without white space) in the texts of a sample."""
    return sum(len(text.split()) for text in record["texts"] if text is not None)
