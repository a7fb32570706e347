"""The headers of a record: WARC or ARC, and the HTTP response in it, as bytes to fields.

Crawlers write what servers sent: line ends may be CRLF, LF or CR CR LF, header names in any case, values folded over
lines, bytes in any encoding.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from m3w_builder.errors import DropError
from m3w_builder.types import ID_HEX
from m3w_builder.warc.stream import Stream

MAX_HEAD = 2**18  # bytes of WARC or HTTP headers; servers take 8 to 64 KiB
_LINE_END = re.compile(rb"\n")
_END = re.compile(rb"\n\r*\n")
_HTTP_END = re.compile(rb"(?:^|\n)\r*\n")
_STATUS = re.compile(rb"HTTP/?[\d.]*[ \t]*(\d{3})?", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_DIGITS = re.compile(r"\d{14}")
_WHOLE = re.compile(r"bytes\s+0-(\d{1,18})/(\d{1,18})", re.IGNORECASE)
_BLANKS = frozenset(" \t")
_WARC_LINE = re.compile(rb"(?i:warc)/")

_TYPE = re.compile(rb"\nwarc-type[ \t]*:[ \t]*([a-z]{1,32})[ \t\r]*\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\ncontent-length[ \t]*:[ \t]*(\d{1,18})[ \t\r]*\n", re.IGNORECASE)

KEPT = frozenset({"response", "resource"})
_KEPT = frozenset(kind.encode() for kind in KEPT)

Headers = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Record:
    """A response or resource record. `reason` tells what was wrong or left out, "" when nothing."""

    offset: int  # see the package's docstring
    type: str  # response | resource
    url: str  # as the file has it, without <>
    date: str  # ISO 8601, UTC; "" when it cannot be read
    record_id: str  # WARC-Record-ID, or a digest that depends on the record alone
    status: int  # HTTP status; 200 for a resource and for a 206 that holds everything
    content_type: str  # of the HTTP header, or of the resource
    headers: Headers  # HTTP, names as sent
    body: bytes  # transfer- and content-decoded
    reason: str = ""  # truncated | wrong_length | not_read


@dataclass(slots=True)
class Head:
    """What a record says of itself."""

    type: str
    url: str = ""
    date: str = ""
    record_id: str = ""
    content_type: str = ""
    length: int = -1  # of the block; -1 when there is no readable length
    truncated: bool = False


def read_head(stream: Stream) -> Head:
    """Takes the header of the record that starts here; raises DropError."""
    if _WARC_LINE.match(stream.look(0, 5)):
        return _warc_head(stream)
    return _arc_head(_text(stream.take(stream.find(_LINE_END, MAX_HEAD))))


def _warc_head(stream: Stream) -> Head:
    size = stream.find(_END, MAX_HEAD)
    if not 0 <= size <= MAX_HEAD:
        found = stream.held
        stream.skip(min(found, MAX_HEAD))
        stream.check(stream.position)
        if found < MAX_HEAD:
            raise DropError("record_cut", f"{found} bytes of WARC header")
        raise DropError("header_too_large", f"WARC header longer than {MAX_HEAD} bytes")
    head = stream.take(size)
    kind = _TYPE.search(head)
    length = _LENGTH.search(head)
    if (
        kind and length and kind[1].lower() not in _KEPT
    ):  # most records: nothing else is asked of them
        return Head(kind[1].decode(), length=int(length[1]))
    return _full_head(head)


def _full_head(head: bytes) -> Head:
    lines = _lines(_text(head))
    fields = {name.lower(): value for name, value in reversed(lines)}
    kind = fields.get("warc-type", "").lower()
    if not kind:
        raise DropError("bad_header", "no WARC-Type")
    url = fields.get("warc-target-uri", "").strip("<> \t")
    return Head(
        type="dns" if url[:4].lower() == "dns:" else kind,  # Heritrix writes them as responses
        url=url,
        date=iso_utc(fields.get("warc-date", "")),
        record_id=fields.get("warc-record-id", "").strip("<> \t"),
        content_type=fields.get("content-type", ""),
        length=_length(fields),
        truncated="warc-truncated" in fields or "warc-segment-number" in fields,
    )


def _length(fields: Mapping[str, str]) -> int:
    text = fields.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1


def _arc_head(line: str) -> Head:
    url, _, date, rest = line.split(" ", 3)
    content_type, _, length = rest.strip().rpartition(" ")
    kind = "response" if url.startswith(("http:", "https:")) else "filedesc"
    size = int(length) if length.isascii() and length.isdigit() else -1
    return Head(kind, url, iso_utc(date[:14]), "", content_type.split(" ")[0], size)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _lines(text: str) -> list[tuple[str, str]]:
    """Returns the (name, value) pairs behind the first line; a line that starts with a blank goes on with the last."""
    found: list[tuple[str, str]] = []
    for line in text.split("\n")[1:]:
        name, colon, value = line.partition(":")
        if line[:1] in _BLANKS and found:
            before, start = found[-1]
            found[-1] = before, f"{start} {line.strip()}".strip()
        elif colon:
            found.append((name.strip(), value.strip()))
    return found


def iso_utc(text: str) -> str:
    """Returns a WARC-Date or a 14-digit ARC date as ISO 8601 in UTC, "" when it is neither."""
    if _DATE.fullmatch(text):
        return text
    try:
        if _DIGITS.fullmatch(text):
            when = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        else:
            when = datetime.fromisoformat(text)
    except ValueError:
        return ""
    when = when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def read_response(head: Head, block: bytes) -> tuple[int, Headers, int]:
    """Returns status, HTTP headers and where the body starts in a record's block; raises DropError.

    As browsers do, a status line without a code means 200, and a block that is HTML at once is an HTTP/0.9 reply.
    """
    plain = head.type == "resource" and "application/http" not in head.content_type
    if plain or block[:64].lstrip().startswith(b"<"):
        kind = head.content_type if plain else ""
        return 200, (("Content-Type", kind),) if kind else (), 0
    status = _STATUS.match(block)
    if not status:
        raise DropError("bad_http", f"starts with {block[:24]!r}")
    end = _HTTP_END.search(block, 0, MAX_HEAD)
    if not end and len(block) >= MAX_HEAD:
        raise DropError("header_too_large", f"HTTP header longer than {MAX_HEAD} bytes")
    body = end.end() if end else len(block)
    headers = tuple(_lines(_text(block[:body])))
    code = int(status[1] or 200)
    return 200 if code == 206 and _is_whole(headers) else code, headers, body


def _is_whole(headers: Headers) -> bool:
    """Tells whether a partial response (206) holds everything: browsers ask so for videos."""
    span = _WHOLE.fullmatch(header(headers, "content-range"))
    return span is not None and int(span[1]) + 1 == int(span[2])


def http_ends(block: bytes) -> bool:
    """Tells whether the beginning of a block holds all of its HTTP headers."""
    return _HTTP_END.search(block) is not None


def header(headers: Headers, name: str) -> str:
    """Returns the first value of a header (lower-case name), or ""."""
    return next((value for key, value in headers if key.lower() == name), "")


def fallback_id(head: Head, block: bytes) -> str:
    """Returns the id of a record without WARC-Record-ID: the same wherever the record lies.

    The beginning of the block tells two records of one URL and second apart; hashing all of it would mean to hold it.
    """
    digest = sha256(f"{head.url}\0{head.date}\0".encode("utf-8", "surrogatepass"))
    digest.update(block[:4096])
    return digest.hexdigest()[:ID_HEX]
