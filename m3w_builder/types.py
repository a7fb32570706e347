"""The few types everything speaks: a page in, documents of nodes out, media rows and rejects.

An interleaved page, an image-text pair and a video-text pair are all a `Document`: an ordered run of
nodes. URLs are absolute and canonical (`m3w_builder.urls.canonical`), times are ISO 8601 in UTC, sizes are pixels.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

Kind = Literal["interleaved", "image_text", "video_text"]
Role = Literal["heading", "paragraph", "list_item", "caption", "code", "table", "quote"]
KINDS: tuple[Kind, ...] = ("interleaved", "image_text", "video_text")

WHOLE_FILE = -1  # the offset of a body that is a file of its own
ID_HEX = 20  # 80 bits: a collision among 10^9 documents has probability 4e-7


@dataclass(frozen=True, slots=True)
class Page:
    """One HTML response as it was crawled."""

    url: str
    html: bytes  # content- and transfer-decoded
    content_type: str = ""  # of the HTTP header, with its charset
    headers: tuple[tuple[str, str], ...] = ()  # HTTP response headers, names as sent
    crawled: str = ""  # WARC-Date
    record: str = ""  # WARC-Record-ID, or a digest for saved files: does not depend on the file
    source: str = ""  # "file.warc.gz@offset": where to find it again


@dataclass(frozen=True, slots=True)
class OptOut:
    """A reservation of rights that was found: which signal, where, the words, when."""

    signal: str  # one of m3w_builder.optouts.SIGNALS
    where: str  # URL of the answer that carries it, or the name of the list
    found: str  # the directive as it was written, shortened
    when: str  # time of that answer, "" for a list


@dataclass(frozen=True, slots=True)
class Track:
    """A subtitle file that a page links to a video (WebVTT or SRT)."""

    url: str
    kind: str = "subtitles"  # subtitles | captions | descriptions | chapters | metadata
    language: str = ""  # as the page says (srclang)
    label: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a crawl archived a response that is not a page (an image, a video, a redirect to one)."""

    url: str  # canonical
    file: str
    offset: int  # byte offset of the WARC record in `file`, or WHOLE_FILE
    status: int  # HTTP status
    content_type: str
    crawled: str
    record: str
    location: str = ""  # canonical redirect target when status is 3xx


@dataclass(frozen=True, slots=True)
class Text:
    """A block of text: no markup, single spaces, "\\n" only where the page breaks the line."""

    text: str
    role: Role = "paragraph"
    path: str = ""  # DOM path, "/html/body/main/p[2]"
    key: int = 0  # of the normalised text, 64 bits: equal paragraphs have equal keys
    scores: dict[str, float] = field(default_factory=dict, hash=False)  # what is absent is 0


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in its place; `width`/`height` are what the page declares, None if it does not."""

    url: str
    alt: str = ""
    title: str = ""
    caption: str = ""
    width: int | None = None
    height: int | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Video:
    """A video in its place; `url` is a media file, or the player/watch page when `file` is False."""

    url: str
    title: str = ""
    caption: str = ""
    description: str = ""
    poster: str = ""
    file: bool = True
    width: int | None = None
    height: int | None = None
    seconds: float | None = None  # as declared (schema.org duration)
    path: str = ""
    tracks: tuple[Track, ...] = ()


Node = Text | Image | Video
MediaKind = Literal["image", "video", "subtitles"]
MEDIA_NAMES = {"image": "images", "video": "videos", "subtitles": "subtitles"}  # of several


@dataclass(frozen=True, slots=True)
class Document:
    """An ordered run of text and media nodes."""

    id: str  # document_id(kind, url, media url): sorting by id is a shuffle
    kind: Kind
    url: str  # canonical page URL
    nodes: tuple[Node, ...]
    title: str = ""
    canonical: str = ""  # what the page declares to be its address (rel=canonical), "" for nothing
    language: str = ""  # ISO 639-1 code, "" when unknown
    crawled: str = ""
    record: str = ""
    source: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    optouts: tuple[OptOut, ...] = ()  # of the page itself, whether or not they are respected
    licence: str = ""  # what the page says of itself: an address or name of a licence, canonical
    signature: bytes = b""  # MinHash of the text (m3w_builder.near.minhash), b"" without one

    @property
    def texts(self) -> tuple[Text, ...]:
        return tuple(node for node in self.nodes if isinstance(node, Text))

    @property
    def images(self) -> tuple[Image, ...]:
        return tuple(node for node in self.nodes if isinstance(node, Image))

    @property
    def videos(self) -> tuple[Video, ...]:
        return tuple(node for node in self.nodes if isinstance(node, Video))


@dataclass(frozen=True, slots=True)
class Reject:
    """One drop: which item, at which stage, why."""

    id: str  # of the document; of the page or media URL where no document exists
    url: str
    stage: str  # extract | fetch | select
    reason: str  # snake_case, one of a fixed set
    detail: str = ""  # the value found and the bound, or the decoder's words


@dataclass(frozen=True, slots=True)
class Frame:
    """One stored video frame: a JPEG inside the pack."""

    t: int  # seconds
    offset: int
    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Media:
    """What `fetch` found out about one media URL. `status` is "ok" or the reason it cannot be used."""

    url: str  # canonical, as the documents name it
    kind: MediaKind
    status: str = "ok"
    detail: str = ""
    final_url: str = ""  # after redirects
    origin: str = ""  # "archive" (taken from the crawl) or "http"
    fetched: str = ""  # time of the response: WARC-Date, or "" for http (keeps reruns identical)
    content_type: str = ""
    source_sha256: str = ""  # of the body as received
    source_bytes: int = 0
    sha256: str = ""  # of the stored bytes (image) or of the source (video)
    format: str = ""  # jpg | png | webp as stored; container for a video
    width: int = 0
    height: int = 0
    reencoded: bool = False
    phash: str = ""  # images: PDQ, 64 hex digits
    phash64: str = ""  # images: the hash that forgives crops, 16 hex digits
    phash_firm: str = ""  # images: PDQ without the bits that noise may turn, 64 hex digits
    scores: dict[str, float] = field(default_factory=dict)  # "flatness", ...
    etag: str = ""  # of the live answer, for a conditional re-fetch
    last_modified: str = ""
    optouts: tuple[OptOut, ...] = ()  # found on the way, respected or not
    pack: str = ""  # file name inside the fetch stage's packs/
    offset: int = 0  # of the stored bytes in the pack (images)
    length: int = 0
    seconds: float = 0.0  # videos
    fps: float = 0.0
    codec: str = ""
    audio: bool = False
    frames: tuple[Frame, ...] = ()


def document_id(kind: Kind, url: str, media_url: str = "") -> str:
    """Returns the stable key of a document: 20 hex digits, no dot (a webdataset key splits at dots)."""
    return sha256("\0".join((kind, url, media_url)).encode()).hexdigest()[:ID_HEX]


def item_id(url: str) -> str:
    """Returns the key of a page or media URL that has no document (for reject rows)."""
    return sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:ID_HEX]
