"""One download: a URL in, a checked body out, or a MediaError that says why not.

Redirects are followed here and not by the HTTP library: each hop meets the same checks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import (
    HTTPError,
    InvalidHeader,
    LocationValueError,
    ProtocolError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as SlowError

from m3w_builder.config import FetchConfig
from m3w_builder.errors import MediaError
from m3w_builder.fetch.bodies import announced, received
from m3w_builder.fetch.sockets import Session, off_the_clock, terms
from m3w_builder.urls import canonical, shown

REDIRECTS = frozenset({301, 302, 303, 307, 308})
NOT_MODIFIED = 304

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer with status 200, or 304 to a conditional request.

    `body` is decoded, or b"" when it went into a file.
    """

    body: bytes
    final_url: str
    content_type: str
    status: int
    headers: Headers = ()


class Sink(Protocol):
    """Where a body goes piece by piece: a file, or what only counts and hashes."""

    def write(self, data: bytes, /) -> int: ...


class StatusError(MediaError):
    """An answer with another status; `retry_after` is the seconds its server asks to wait, if it does."""

    def __init__(self, status: int, retry_after: float | None) -> None:
        wait = "" if retry_after is None else f", retry after {retry_after:g} s"
        super().__init__("http_status", f"{status}{wait}")
        self.status = status
        self.retry_after = retry_after


class Checks(Protocol):
    """What a download asks on its way; each raises MediaError to end it."""

    def url(self, url: str) -> None:
        """Before a request, at each hop."""

    def answer(self, url: str, headers: Headers) -> None:
        """When the headers of an answer are there, a redirect's too, before its body is read."""

    def size(self, size: int) -> None:
        """Before a body of at most `size` bytes is read."""


class NoChecks:
    """Nothing but the guard of the sockets."""

    def url(self, url: str) -> None: ...

    def answer(self, url: str, headers: Headers) -> None: ...

    def size(self, size: int) -> None: ...


def download(
    url: str,
    *,
    config: FetchConfig,
    session: Session,
    max_bytes: int,
    into: Sink | None = None,
    checks: Checks | None = None,
    conditions: Headers = (),
) -> Response:
    """Returns the answer to a GET, its body in memory or written to `into`; raises MediaError.

    Bounds: `config.total_seconds` for everything together (what `checks` take is not counted), `max_bytes`
    before and after decoding. With `conditions` (If-None-Match ...) the answer may be a 304 without a body.
    """
    checks = checks or NoChecks()
    headers = {**session.headers, **dict(conditions)}
    with terms(config), _answered(url, config, session, headers, checks) as (answer, final_url):
        facts = tuple(answer.headers.items())
        if answer.status == NOT_MODIFIED and conditions:
            checks.answer(final_url, facts)
            return Response(b"", final_url, "", NOT_MODIFIED, facts)
        if answer.status != 200:
            raise StatusError(answer.status, retry_after(answer.headers.get("Retry-After", "")))
        checks.answer(final_url, facts)
        room = announced(answer, max_bytes)
        with off_the_clock():
            checks.size(room)
        chunks = _named(received(answer, max_bytes))
        if into is None:
            body = b"".join(chunks)
            size = len(body)
        else:
            body, size = b"", sum(map(into.write, chunks))
        if not size:
            raise MediaError("empty_body")
        content_type = answer.headers.get("Content-Type", "")
        return Response(body, final_url, content_type, answer.status, facts)


def conditions(etag: str, last_modified: str) -> Headers:
    """Returns the headers that ask for a body only if it is another than that one (RFC 9110, 13.1)."""
    headers = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    return tuple((name, value) for name, value in headers.items() if value)


def retry_after(value: str) -> float | None:
    """Returns the seconds of a Retry-After header (RFC 9110, 10.2.3: a number or a date), None without."""
    value = value.strip()
    if value.isdecimal():
        return float(value[:12])
    try:
        date = parsedate_to_datetime(value)
        aware = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, round((aware - datetime.now(UTC)).total_seconds(), 1))
    except (ValueError, TypeError, IndexError, OverflowError):  # of a date that is none
        return None


@contextmanager
def _answered(
    url: str, config: FetchConfig, session: Session, headers: dict[str, str], checks: Checks
) -> Iterator[tuple[BaseHTTPResponse, str]]:
    """Yields the first answer that is no redirect, with its URL."""
    hop = canonical(url)
    if not hop:
        raise MediaError("bad_url", shown(url))
    for _ in range(config.max_redirects + 1):
        with off_the_clock():
            checks.url(hop)
        answer = _get(hop, session, headers)
        try:
            if answer.status not in REDIRECTS:
                yield answer, hop
                return
            checks.answer(hop, tuple(answer.headers.items()))
            location = answer.headers.get("Location", "")
            hop = canonical(location, hop) if location else ""
        finally:
            answer.close()  # an answer read to its end has given its connection back by now
        if not hop:
            raise MediaError("bad_redirect", f"{answer.status} to {shown(location)!r}")
    raise MediaError("too_many_redirects", f"more than {config.max_redirects}")


def _get(url: str, session: Session, headers: dict[str, str]) -> BaseHTTPResponse:
    """Returns the answer, its body unread; asks once more when a kept connection turns out dead."""
    try:
        return _request(url, session, headers)
    except ProtocolError:
        pass
    try:
        return _request(url, session, headers)
    except ProtocolError as error:
        raise MediaError("bad_response", _words(error)) from error


def _request(url: str, session: Session, headers: dict[str, str]) -> BaseHTTPResponse:
    try:
        return session.pools.request(
            "GET",
            url,
            headers=headers,
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
    except SlowError as error:
        raise MediaError("timeout", "no answer in time") from error
    except SSLError as error:
        raise MediaError("tls_error", _words(error)) from error
    except LocationValueError as error:
        raise MediaError("bad_url", _words(error)) from error
    except ProtocolError:
        raise
    except HTTPError as error:
        raise MediaError("bad_response", _words(error)) from error


def _named(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yields the chunks; the library's errors while reading get their reason."""
    try:
        yield from chunks
    except SlowError as error:
        raise MediaError("timeout", "the body stopped coming") from error
    except InvalidHeader as error:
        raise MediaError("bad_response", _words(error)) from error
    except HTTPError as error:
        raise MediaError("truncated_body", _words(error)) from error


def _words(error: Exception) -> str:
    """Returns the innermost message, which is the one that names the cause."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, Exception):
        return _words(cause)
    return " ".join(str(error).split())[:200]
