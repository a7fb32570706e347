"""The unit of work of `fetch`: media URLs in, one pack of bytes and one row per URL out.

Rows and pack are in URL order whatever came first: the same bodies give the same pack. What arrives
is measured at once and set aside in an unnamed file; the pack is written when all is there. In
memory is at most one body per thread and one decoded picture; a video is streamed into a file.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Literal, Self

from m3w_builder.config import FetchConfig
from m3w_builder.errors import MediaError
from m3w_builder.fetch import Session, download
from m3w_builder.fetch.hosts import Turns
from m3w_builder.files import TEMPORARY
from m3w_builder.frames import sample_frames
from m3w_builder.media import measure_image
from m3w_builder.packs import PackWriter
from m3w_builder.subtitles import measure_subtitles
from m3w_builder.types import WHOLE_FILE, Frame, Media, MediaKind
from m3w_builder.urls import canonical
from m3w_builder.warc import record_at

# Every status that a Media row can have besides "ok".
REASONS = {
    # where it comes from
    "not_archived": "the crawl has no response for it, and the network is switched off",
    "bad_url": "not an http or https URL, or one with an impossible host name",
    "private_address": "the host name stands for an address that is not public",
    "unreachable": "no such host, or it does not accept connections",
    "tls_error": "the certificate or the handshake is not valid",
    "timeout": "the server took too long, to connect, between two reads or in total",
    "bad_response": "what came is not HTTP, or its headers are too long",
    "http_status": "a status other than 200; the detail is the status",
    "too_many_redirects": "more hops than max_redirects",
    "bad_redirect": "a redirect to nowhere, or to what is no http or https URL",
    "too_large": "more bytes than allowed, as sent or as decoded",
    "truncated_body": "the body ended before its announced end",
    "bad_encoding": "a Content-Encoding that we cannot undo, or that is a lie",
    "empty_body": "zero bytes",
    # the archive's own (see m3w_builder.warc)
    "not_a_record": "the archive has no response where the index says",
    "bad_gzip": "the archive's gzip member is damaged",
    "record_cut": "the archive ends inside the record",
    "record_too_large": "the archived body has more bytes than allowed",
    "header_too_large": "the archived headers are too long",
    "bad_header": "the archived headers cannot be read",
    "bad_length": "the archived record has a wrong length",
    "bad_http": "the archived response is not HTTP",
    "too_many_records": "one gzip member of the archive has too many records",
    # pictures
    "not_an_image": "no image format that we know",
    "image_unsupported": "an image format that we refuse; the detail names it",
    "image_too_large": "the header says more pixels than max_image_pixels",
    "image_damaged": "the image does not decode to its end",
    # videos
    "not_a_video": "no container format that we know",
    "video_playlist": "a list that names other files (HLS, DASH, ...), which are not fetched",
    "no_video_track": "a container without moving pictures",
    "no_frames": "not one frame could be decoded",
    "video_truncated": "less than half of the frames that the duration promises",
    "video_damaged": "the container cannot be opened",
    "video_timeout": "not decoded within video_seconds",
    # subtitles
    "not_subtitles": "no cue with a time and a text",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A media URL that documents name, and where the crawl archived it."""

    url: str  # canonical
    kind: MediaKind
    candidates: tuple[tuple[str, int], ...] = ()  # (file, offset), the first is tried first


@dataclass(frozen=True, slots=True)
class _Body:
    """A body with its origin; `data` is b"" when it went into a file."""

    data: bytes
    origin: Literal["archive", "http"]
    final_url: str
    content_type: str
    fetched: str = ""


Obtain = Callable[[BinaryIO | None], _Body]  # given a file, the body goes there


def collect(requests: Sequence[Request], *, pack: Path, config: FetchConfig) -> list[Media]:
    """Writes the pack and returns one Media per request, in the order of (url, kind).

    Where the network has nothing better, the row says what is wrong with the archived copy.
    """
    ordered = sorted(requests, key=lambda request: (request.url, request.kind))
    pack.parent.mkdir(parents=True, exist_ok=True)
    with _Unit(pack.parent, config) as unit:
        rows = [unit.from_archive(request) for request in ordered]
        missing = [n for n, row in enumerate(rows) if row.status != "ok"]
        if config.network and missing:
            for n, row in _downloaded([ordered[n] for n in missing], unit, config):
                if row.status == "ok" or rows[missing[n]].status == "not_archived":
                    rows[missing[n]] = row
        with PackWriter(pack) as writer:
            return [unit.packed(row, writer) for row in rows]


def _downloaded(
    requests: Sequence[Request], unit: "_Unit", config: FetchConfig
) -> Iterator[tuple[int, Media]]:
    """Yields index and row of each request; the threads take turns by host."""
    turns = Turns([request.url for request in requests], config.per_host)

    def work() -> list[tuple[int, Media]]:
        return [(n, unit.from_network(requests[n])) for n in turns]

    count = min(config.threads, len(requests))
    with ThreadPoolExecutor(count) as threads:
        try:
            for done in as_completed([threads.submit(work) for _ in range(count)]):
                yield from done.result()
        finally:
            turns.stop()  # after an error of ours: no new downloads


@lru_cache(maxsize=2)
def _session(config: FetchConfig) -> Session:
    """Returns the session of this worker: its units share the connections and the TLS context."""
    return Session(config)


class _Unit:
    """One unit of work: how a request becomes a row, and the bytes set aside for the pack."""

    def __init__(self, folder: Path, config: FetchConfig) -> None:
        self._parent = folder
        self._config = config
        self._decoding = Lock()
        self._writing = Lock()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        enter = self._open.enter_context
        self._aside: BinaryIO = enter(tempfile.TemporaryFile(dir=self._parent))
        self._folder = enter(tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=self._parent))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def from_archive(self, request: Request) -> Media:
        """Returns the row of the first candidate that is usable, else why the last is not."""
        row = Media(request.url, request.kind, "not_archived")
        for place in request.candidates:
            row = self._row(request, partial(_archived, request, place, self._config))
            if row.status == "ok":
                break
        return row

    def from_network(self, request: Request) -> Media:
        """Returns the row of what is at the URL now."""
        return self._row(request, partial(_fetched, request, self._config))

    def packed(self, row: Media, pack: PackWriter) -> Media:
        """Returns the row after its bytes went from where they were set aside into the pack."""
        if row.status != "ok":
            return row
        if row.kind != "video":
            offset, length = self._move(row, f"{row.sha256}.{row.format}", pack)
            return replace(row, pack=pack.name, offset=offset, length=length)
        frames = []
        for frame in row.frames:
            offset, length = self._move(frame, f"{frame.sha256}.jpg", pack)
            frames.append(replace(frame, offset=offset, length=length))
        return replace(row, pack=pack.name, frames=tuple(frames))

    def _move(self, place: Media | Frame, name: str, pack: PackWriter) -> tuple[int, int]:
        self._aside.seek(place.offset)
        return pack.add(name, self._aside.read(place.length))

    def _set_aside(self, body: bytes) -> tuple[int, int]:
        with self._writing:
            offset = self._aside.tell()
            self._aside.write(body)
        return offset, len(body)

    def _row(self, request: Request, obtain: Obtain) -> Media:
        """Returns the row of one body, usable or not."""
        row = Media(request.url, request.kind)
        work = {"image": self._image, "video": self._video, "subtitles": self._subtitles}
        return _or_reason(row, lambda: work[request.kind](row, obtain))

    def _image(self, row: Media, obtain: Obtain) -> Media:
        body = obtain(None)
        row = _described(row, body, hashlib.sha256(body.data).hexdigest(), len(body.data))
        return _or_reason(row, lambda: self._measured(row, body.data))

    def _measured(self, row: Media, body: bytes) -> Media:
        with self._decoding:
            image = measure_image(body, max_pixels=self._config.max_image_pixels)
        offset, length = self._set_aside(image.body)
        digest = hashlib.sha256(image.body).hexdigest() if image.reencoded else row.source_sha256
        return replace(
            row,
            sha256=digest,
            format=image.format,
            width=image.width,
            height=image.height,
            reencoded=image.reencoded,
            scores=image.scores,
            offset=offset,
            length=length,
        )

    def _subtitles(self, row: Media, obtain: Obtain) -> Media:
        body = obtain(None)
        row = _described(row, body, hashlib.sha256(body.data).hexdigest(), len(body.data))
        return _or_reason(row, lambda: self._read(row, body.data))

    def _read(self, row: Media, body: bytes) -> Media:
        vtt, seconds, _ = measure_subtitles(body, row.content_type)
        offset, length = self._set_aside(vtt)
        digest = hashlib.sha256(vtt).hexdigest()
        same = digest == row.source_sha256
        return replace(
            row,
            sha256=digest,
            format="vtt",
            seconds=seconds,
            reencoded=not same,
            offset=offset,
            length=length,
        )

    def _video(self, row: Media, obtain: Obtain) -> Media:
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            folder = Path(name)
            with (folder / "source").open("w+b") as file:
                body = obtain(file)
                size = file.tell()
                file.seek(0)
                row = _described(row, body, hashlib.file_digest(file, "sha256").hexdigest(), size)
            return _or_reason(row, lambda: self._sampled(row, folder))

    def _sampled(self, row: Media, folder: Path) -> Media:
        with self._decoding:
            video = sample_frames(folder / "source", config=self._config, folder=folder)
        frames = []
        for t, path in video.frames:
            frame = path.read_bytes()
            offset, length = self._set_aside(frame)
            frames.append(Frame(t, offset, length, hashlib.sha256(frame).hexdigest()))
        return replace(
            row,
            detail=video.detail,
            sha256=row.source_sha256,
            format=video.format,
            width=video.width,
            height=video.height,
            seconds=video.seconds,
            fps=video.fps,
            codec=video.codec,
            audio=video.audio,
            frames=tuple(frames),
        )


def _or_reason(row: Media, step: Callable[[], Media]) -> Media:
    """Returns what the step makes of the row, or the row with the reason why it cannot be used."""
    try:
        return step()
    except MediaError as error:
        return replace(row, status=error.reason, detail=error.detail)


def _described(row: Media, body: _Body, digest: str, size: int) -> Media:
    return replace(
        row,
        origin=body.origin,
        final_url=body.final_url,
        content_type=body.content_type,
        fetched=body.fetched,
        source_sha256=digest,
        source_bytes=size,
    )


def _max_bytes(request: Request, config: FetchConfig) -> int:
    limits = {
        "image": config.max_image_bytes,
        "video": config.max_video_bytes,
        "subtitles": config.max_subtitle_bytes,
    }
    return limits[request.kind]


def _fetched(request: Request, config: FetchConfig, into: BinaryIO | None) -> _Body:
    """Returns the body that is at the URL now."""
    answer = download(
        request.url,
        config=config,
        session=_session(config),
        max_bytes=_max_bytes(request, config),
        into=into,
    )
    return _Body(answer.body, "http", answer.final_url, answer.content_type)


def _archived(
    request: Request, place: tuple[str, int], config: FetchConfig, into: BinaryIO | None
) -> _Body:
    """Returns the body that the crawl kept at a place."""
    file, offset = place
    limit = _max_bytes(request, config)
    if offset == WHOLE_FILE:
        body = _Body(_whole(Path(file), limit), "archive", request.url, "")
    else:
        body = _recorded(file, offset, limit)
    if not body.data:
        raise MediaError("empty_body")
    if into is None:
        return body
    into.write(body.data)
    return replace(body, data=b"")


def _recorded(file: str, offset: int, limit: int) -> _Body:
    record = record_at(file, offset, max_body=limit)
    if record.status != 200:
        raise MediaError("http_status", str(record.status))
    if record.reason == "truncated":
        raise MediaError("truncated_body", "the crawler stopped in the middle")
    url = canonical(record.url)
    return _Body(record.body, "archive", url, record.content_type, record.date)


def _whole(path: Path, limit: int) -> bytes:
    """Returns a local file; more than the limit is not read."""
    try:
        with path.open("rb") as file:
            body = file.read(limit + 1)
    except OSError as error:
        raise MediaError("not_archived", f"{path.name}: {error.strerror}") from error
    if len(body) > limit:
        raise MediaError("too_large", f"more than {limit} bytes")
    return body
