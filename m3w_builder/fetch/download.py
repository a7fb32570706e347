"""One download: a URL in, a checked body out, or a MediaError that says why not.

Redirects are followed here and not by the HTTP library: each hop meets the same checks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

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
from m3w_builder.fetch.bodies import received
from m3w_builder.fetch.sockets import Session, terms
from m3w_builder.urls import canonical

REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer with status 200; `body` is decoded, or b"" when it went into a file."""

    body: bytes
    final_url: str
    content_type: str
    status: int


def download(
    url: str,
    *,
    config: FetchConfig,
    session: Session,
    max_bytes: int,
    into: BinaryIO | None = None,
) -> Response:
    """Returns the answer to a GET, its body in memory or written to `into`; raises MediaError.

    Bounds: `config.total_seconds` for everything together, `max_bytes` before and after decoding.
    """
    with terms(config), _answered(url, config, session) as (answer, final_url):
        chunks = _named(received(answer, max_bytes))
        if into is None:
            body = b"".join(chunks)
            size = len(body)
        else:
            body, size = b"", sum(map(into.write, chunks))
        if not size:
            raise MediaError("empty_body")
        content_type = answer.headers.get("Content-Type", "")
        return Response(body, final_url, content_type, answer.status)


@contextmanager
def _answered(
    url: str, config: FetchConfig, session: Session
) -> Iterator[tuple[BaseHTTPResponse, str]]:
    """Yields the first answer that is no redirect, with its URL; the status is 200."""
    hop = canonical(url)
    if not hop:
        raise MediaError("bad_url", url[:200])
    for _ in range(config.max_redirects + 1):
        answer = _get(hop, session)
        try:
            if answer.status not in REDIRECTS:
                if answer.status != 200:
                    raise MediaError("http_status", str(answer.status))
                yield answer, hop
                return
            location = answer.headers.get("Location", "")
            hop = canonical(location, hop) if location else ""
        finally:
            answer.close()  # an answer read to its end has given its connection back by now
        if not hop:
            raise MediaError("bad_redirect", f"{answer.status} to {location[:200]!r}")
    raise MediaError("too_many_redirects", f"more than {config.max_redirects}")


def _get(url: str, session: Session) -> BaseHTTPResponse:
    """Returns the answer, its body unread; asks once more when a kept connection turns out dead."""
    try:
        return _request(url, session)
    except ProtocolError:
        pass
    try:
        return _request(url, session)
    except ProtocolError as error:
        raise MediaError("bad_response", _words(error)) from error


def _request(url: str, session: Session) -> BaseHTTPResponse:
    try:
        return session.pools.request(
            "GET",
            url,
            headers=session.headers,
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
