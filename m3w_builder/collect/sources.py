"""Where the bytes of a media URL come from: what a crawl kept, or the URL itself, now."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from m3w_builder.config import FetchConfig
from m3w_builder.errors import MediaError
from m3w_builder.fetch import NOT_MODIFIED, Client, Room, conditions
from m3w_builder.fetch.download import Headers
from m3w_builder.packs import read_range
from m3w_builder.types import WHOLE_FILE, MediaKind, OptOut
from m3w_builder.urls import canonical
from m3w_builder.warc import record_at
from m3w_builder.warc.heads import header

MAX_VALIDATOR = 200  # characters of an ETag or Last-Modified header that are kept


@dataclass(frozen=True, slots=True)
class Earlier:
    """An image that an earlier fetch stage holds; its stored pixels are those that were sent."""

    pack: str
    offset: int
    length: int
    source_sha256: str
    source_bytes: int
    content_type: str
    etag: str
    last_modified: str


@dataclass(frozen=True, slots=True)
class Request:
    """A media URL that documents name, and where the crawl archived it."""

    url: str  # canonical
    kind: MediaKind
    candidates: tuple[tuple[str, int], ...] = ()  # (file, offset), the first is tried first
    fallback: tuple[tuple[str, int], ...] = ()  # in the user's archives, for when the URL is gone
    archived: tuple[str, str] = ("not_archived", "")  # status and detail of candidates tried before
    earlier: Earlier | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """A body with its origin; `data` is b"" when it went into a file."""

    data: bytes
    origin: Literal["archive", "http"]
    final_url: str
    content_type: str
    fetched: str = ""
    etag: str = ""
    last_modified: str = ""
    optouts: tuple[OptOut, ...] = ()
    source: tuple[str, int] | None = (
        None  # sha256 and size as sent, where `data` is without its metadata
    )


# Given the file that the body is to go into, or None for memory, of which the room is asked.
Obtain = Callable[[BinaryIO | None, Room], Body]


def live(request: Request, client: Client) -> Obtain:
    """Returns what downloads the body that is at the URL now."""

    def obtain(into: BinaryIO | None, room: Room) -> Body:
        answer, found = client.get(
            request.url,
            request.kind,
            max_bytes=max_bytes(request.kind, client.config),
            room=room,
            into=into,
            conditions=_conditions(request),
        )
        if request.earlier and answer.status == NOT_MODIFIED:
            return replace(_again(request.earlier), final_url=answer.final_url, optouts=found)
        return Body(
            answer.body,
            "http",
            answer.final_url,
            answer.content_type,
            etag=header(answer.headers, "etag")[:MAX_VALIDATOR],
            last_modified=header(answer.headers, "last-modified")[:MAX_VALIDATOR],
            optouts=found,
        )

    return obtain


def _conditions(request: Request) -> Headers:
    earlier = request.earlier
    return conditions(earlier.etag, earlier.last_modified) if earlier else ()


def _again(earlier: Earlier) -> Body:
    """Returns the body that an earlier stage stored."""
    return Body(
        read_range(Path(earlier.pack), earlier.offset, earlier.length),
        "http",
        "",
        earlier.content_type,
        etag=earlier.etag,
        last_modified=earlier.last_modified,
        source=(earlier.source_sha256, earlier.source_bytes),
    )


def archived(
    request: Request, place: tuple[str, int], client: Client, *, exact: bool = False
) -> Obtain:
    """Returns what reads the body that a crawl kept at a place; `exact`: of this very URL."""

    def obtain(into: BinaryIO | None, room: Room) -> Body:
        room.take(max_bytes(request.kind, client.config))
        body = _kept(request, place, client)
        if exact and body.final_url != request.url:  # a stale index
            raise MediaError("not_a_record", f"the index leads to {body.final_url}"[:200])
        if not body.data:
            raise MediaError("empty_body")
        if into is None:
            return body
        into.write(body.data)
        return replace(body, data=b"")

    return obtain


def _kept(request: Request, place: tuple[str, int], client: Client) -> Body:
    """Returns an archived body; what was reserved when it was archived holds."""
    consent, limit = client.consent, max_bytes(request.kind, client.config)
    found = consent.of_url(request.url)
    consent.require(found, request.kind)
    file, offset = place
    if offset == WHOLE_FILE:
        return Body(_whole(Path(file), limit), "archive", request.url, "", optouts=tuple(found))
    record = record_at(file, offset, max_body=limit)
    if record.status != 200:
        raise MediaError("http_status", str(record.status))
    if record.reason == "truncated":
        raise MediaError("truncated_body", "the crawler stopped in the middle")
    url = canonical(record.url)
    found += [*consent.of_url(url), *consent.of_answer(record.headers, url, record.date)]
    consent.require(found, request.kind)
    return Body(record.body, "archive", url, record.content_type, record.date, optouts=tuple(found))


def max_bytes(kind: MediaKind, config: FetchConfig) -> int:
    """Returns the longest body that is accepted of a kind."""
    limits = {
        "image": config.max_image_bytes,
        "video": config.max_video_bytes,
        "subtitles": config.max_subtitle_bytes,
    }
    return limits[kind]


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
