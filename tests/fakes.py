"""Valid values in one call, for every test: documents, pictures, media rows, a finished dataset."""

import gzip
import io
import random
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from itertools import groupby
from pathlib import Path

from PIL import Image as Pictures
from PIL import ImageDraw

from m3w_builder import shards
from m3w_builder.files import write_text
from m3w_builder.samples import Part, Read, Sample, canonical_json, sample
from m3w_builder.tables import flat_row, write_table
from m3w_builder.types import (
    Document,
    Frame,
    Image,
    Kind,
    Media,
    Node,
    Reject,
    Text,
    Video,
    document_id,
)

PAGE = "https://example.org/page.html"
CONFIG, VERSION = "0123456789abcdef", "0.1.0"
BIRDS = (
    ("A robin on a branch in snow", "The robin sings through the winter, even at night."),
    ("Two swans on a grey lake", "Swans stay with one partner & return to the same lake."),
    ("A heron waits <quietly> for a fish", "A heron may stand still for an hour."),
    ("Starlings above the roofs at dusk", "Thousands of starlings turn at once: a murmuration."),
)


def document(
    *nodes: Node, kind: Kind = "interleaved", url: str = PAGE, **fields: object
) -> Document:
    """Returns a document of these nodes with its true id."""
    media = "" if kind == "interleaved" else next(n.url for n in nodes if not isinstance(n, Text))
    known = {"title": "A page", "language": "en", "crawled": "2026-01-02T03:04:05Z", **fields}
    return Document(document_id(kind, url, media), kind, url, nodes, **known)  # type: ignore[arg-type]


@cache
def picture(width: int = 96, height: int = 64, seed: int = 0, encoding: str = "jpg") -> bytes:
    """Returns an encoded picture: a sky, a sun and hills, all drawn from the seed."""
    draw = random.Random(seed)
    sky = tuple(draw.randrange(90, 220) for _ in range(3))
    image = Pictures.new("RGB", (width, height), sky)
    pen, side = ImageDraw.Draw(image), min(width, height)
    x, y, r = draw.randrange(width), height // 4, side // 8 + 1
    pen.ellipse((x - r, y - r, x + r, y + r), fill=(255, 236, 160))
    for level in (2, 3, 4):
        colour = tuple(draw.randrange(20, 140) for _ in range(3))
        heights = [
            height * level // 5 + draw.randrange(-side // 9 - 1, side // 9 + 1) for _ in range(9)
        ]
        ridge = [(width * i // 8, top) for i, top in enumerate(heights)]
        pen.polygon([(0, height), *ridge, (width, height)], fill=colour)
    file = io.BytesIO()
    image.save(file, {"jpg": "JPEG"}.get(encoding, encoding), quality=85)
    return file.getvalue()


def jpeg(width: int = 96, height: int = 64, seed: int = 0) -> bytes:
    """Returns a JPEG of that size."""
    return picture(width, height, seed)


def warc_record(
    url: str, body: bytes, status: str = "200 OK", kind: str = "image/jpeg", headers: str = ""
) -> bytes:
    """Returns a gzipped WARC response record; `headers` are further lines of the HTTP answer."""
    answer = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{headers}\r\n".encode() + body
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Date: 2026-01-02T03:04:05Z\r\n"
        "WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>\r\n"
        f"WARC-Target-URI: {url}\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(answer)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + answer + b"\r\n\r\n", mtime=0)


class Pack:
    """A pack of fetch in memory: `add` stores bytes, calling it with a part reads them back."""

    def __init__(self) -> None:
        self.bytes = b""

    def add(self, data: bytes) -> tuple[int, int]:
        """Stores bytes; returns their offset and length."""
        self.bytes += data
        return len(self.bytes) - len(data), len(data)

    def __call__(self, part: Part) -> bytes:
        return self.bytes[part.offset : part.offset + part.length]


def image_media(pack: Pack, url: str, data: bytes) -> Media:
    """Returns the media row of a picture that this stores in the pack."""
    with Pictures.open(io.BytesIO(data)) as image:
        (width, height) = image.size
        encoding = str(image.format).lower().replace("jpeg", "jpg")
    digest, (offset, length) = sha256(data).hexdigest(), pack.add(data)
    return Media(
        url=url,
        kind="image",
        final_url=url,
        origin="archive",
        content_type=f"image/{encoding}",
        source_sha256=digest,
        source_bytes=length,
        sha256=digest,
        format=encoding,
        width=width,
        height=height,
        scores={"flatness": 41.25},
        pack="000000.tar",
        offset=offset,
        length=length,
    )


def video_media(pack: Pack, url: str, frames: Sequence[bytes]) -> Media:
    """Returns the media row of a video with one frame per second."""
    found = [Frame(t, *pack.add(data), sha256(data).hexdigest()) for t, data in enumerate(frames)]
    return Media(
        url=url,
        kind="video",
        final_url=url,
        origin="http",
        sha256=sha256(url.encode()).hexdigest(),
        format="mp4",
        width=1280,
        height=720,
        pack="000000.tar",
        seconds=len(frames) - 0.5,
        fps=30000 / 1001,
        codec="h264",
        audio=True,
        frames=tuple(found),
    )


def page_sample(pack: Pack, number: int = 0) -> Sample:
    """Returns an interleaved sample: a heading, then picture and paragraph in turn."""
    url = f"https://example.org/birds/{number}.html"
    nodes: list[Node] = [Text(f"Birds of the lake, part {number}", "heading", "/html/body/h1")]
    media: dict[int, Media] = {}
    for index in range(1 + number % 4):
        alt, text = BIRDS[(number + index) % len(BIRDS)]
        address = f"https://img.example.org/{number}-{index}.jpg"
        data = picture(240 + 40 * index, 160 + 20 * number, 10 * number + index, _format(index))
        media[len(nodes)] = image_media(pack, address, data)
        nodes += [Image(address, alt, caption=f"Figure {index}: {alt}"), Text(text)]
    return sample(
        document(*nodes, url=url, title=f"Birds, part {number}", scores={"words": 1 / 3}), media
    )


def _format(index: int) -> str:
    return ("jpg", "png", "webp")[index % 3]


def pair_sample(pack: Pack, number: int = 0) -> Sample:
    """Returns an image-text pair."""
    alt, _ = BIRDS[number % len(BIRDS)]
    url = f"https://img.example.org/pair-{number}.{_format(number)}"
    media = image_media(pack, url, picture(260, 220, 100 + number, _format(number)))
    nodes = Image(url, alt, path="/html/body/img"), Text(f"{alt} ({number})", "caption")
    return sample(document(*nodes, kind="image_text"), {0: media})


def video_sample(pack: Pack, number: int = 0, seconds: int = 4) -> Sample:
    """Returns a video-text pair of that many frames."""
    url = f"https://video.example.org/{number}.mp4"
    frames = [picture(320, 180, 200 + number + t) for t in range(seconds)]
    nodes = (
        Video(url, title=f"Flight {number}", poster=""),
        Text(f"A flight over hills, take {number}"),
    )
    return sample(document(*nodes, kind="video_text"), {0: video_media(pack, url, frames)})


WATERFALL = {
    "sections": [
        {
            "section": "pages",
            "of": "",
            "came": 14,
            "stayed": 12,
            "steps": [{"name": "WARC records", "count": 40}, {"name": "HTML pages", "count": 14}],
            "drops": [{"stage": "extract", "reason": "no_content", "count": 2}],
        },
        {
            "section": "documents",
            "of": "pages",
            "came": 12,
            "stayed": 4,
            "steps": [{"name": "extracted", "count": 12}, {"name": "written", "count": 4}],
            "drops": [
                {"stage": "select", "reason": "few_words", "count": 7},
                {"stage": "select", "reason": "language", "count": 1},
            ],
        },
    ]
}
SCORES = {
    "scores": {
        "interleaved": {
            "words": {
                "buckets": [[20, 30, 3], [30, 50, 5], [50, 75, 1], [75, 100, 2], [100, None, 1]],
                "thresholds": [
                    {"setting": "rules.min_words", "side": "min", "value": 50.0},
                    {"setting": "rules.max_words", "side": "max", "value": 80.0},
                ],
            },
            "<b>": {"buckets": [[0, 0.001, 12]], "thresholds": []},
        },
    },
    "languages": {"interleaved": {"en": 11, "unknown": 1}},
}
REJECTS = [
    Reject("00", "https://example.org/short.html", "select", "few_words", "12 words, at least 50"),
    Reject("01", "https://example.org/<b>.html", "select", "few_words", "3 words, at least 50"),
    Reject("02", "https://example.org/x.jpg", "fetch", "not_an_image", "<html> & \x1b[31mred"),
]


def dataset(folder: Path, pages: int = 4, pairs: int = 5, videos: int = 2) -> Path:
    """Writes a finished dataset as a build leaves it (two shards of pages); returns its folder."""
    pack = Pack()
    samples = [
        *(page_sample(pack, n) for n in range(pages)),
        *(pair_sample(pack, n) for n in range(pairs)),
        *(video_sample(pack, n) for n in range(videos)),
    ]
    rows = []
    for kind, group in groupby(samples, lambda s: s.kind):
        ordered = sorted(group, key=lambda s: s.key)
        half = len(ordered) // 2 if kind == "interleaved" else 0
        for number, part in enumerate(p for p in (ordered[:half], ordered[half:]) if p):
            rows.append(write(folder / f"{kind}-{number:06}.tar", part, pack))
    rejects = [flat_row(reject) for reject in REJECTS]
    write_table(folder / "rejects" / "select-0.parquet", "rejects", rejects)
    write_text(folder / "waterfall.json", canonical_json(WATERFALL))
    write_text(folder / "scores.json", canonical_json(SCORES))
    shards.finish(folder, rows, title="Birds of the lake", config=CONFIG, version=VERSION)
    return folder


def write(path: Path, samples: Sequence[Sample], read: Read) -> shards.Row:
    """Writes a shard of samples in any order whose media come from one pack."""
    row = shards.write_shard(path, sorted(samples, key=lambda s: s.key), read)
    assert row is not None, "no samples"
    return row
