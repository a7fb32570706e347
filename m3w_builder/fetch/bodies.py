"""The body of an HTTP answer as checked chunks: size, decoded size, completeness.

A compressed body is decoded piece by piece: kilobytes that stand for gigabytes cost one piece.
"""

import re
import zlib
from collections.abc import Callable, Iterator

import brotli
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import ProtocolError

from m3w_builder.errors import MediaError

PIECE = 65536  # bytes read or decoded at once
MAX_CODINGS = 3  # Content-Encodings on top of each other

Chunks = Iterator[bytes]


def received(answer: BaseHTTPResponse, max_bytes: int) -> Chunks:
    """Yields the decoded body; raises MediaError too_large, bad_encoding or truncated_body.

    At most `max_bytes` are read and at most `max_bytes` come out. Codings are named in the
    order they were applied (RFC 9110, 8.4).
    """
    announced(answer, max_bytes)
    _refuse_negative_chunks(answer)
    chunks = _limited(answer.stream(PIECE), max_bytes)
    codings = _codings(answer)
    for coding in reversed(codings):
        chunks = _DECODERS[coding](chunks)
    return _limited(chunks, max_bytes) if codings else chunks


def _refuse_negative_chunks(answer: BaseHTTPResponse) -> None:
    """Makes a chunk of a negative size an error; urllib3 would read to the end in one piece, without bound."""
    update = getattr(answer, "_update_chunk_length", None)
    if update is None:
        return

    def checked() -> None:
        update()
        if (getattr(answer, "chunk_left", None) or 0) < 0:
            raise ProtocolError("a chunk of a negative size")

    vars(answer)["_update_chunk_length"] = checked


def announced(answer: BaseHTTPResponse, max_bytes: int) -> int:
    """Returns the bytes that come, `max_bytes` where it is not said; raises MediaError.

    A length that is none makes the answer unusable (RFC 9112, 6.3): who knows where it ends.
    """
    said = {part.strip() for part in answer.headers.get("Content-Length", "").split(",")}
    declared = said.pop()
    if said or not re.fullmatch(r"[0-9]*", declared):
        raise MediaError("bad_response", f"Content-Length: {declared[:60]}")
    if len(declared) > 18 or int(declared or 0) > max_bytes:
        raise MediaError("too_large", f"{declared[:20]} bytes announced, at most {max_bytes}")
    whole = declared and not answer.headers.get("Content-Encoding")
    whole = whole and not answer.headers.get("Transfer-Encoding")  # which overrides the length
    return int(declared) if whole else max_bytes


def _codings(answer: BaseHTTPResponse) -> list[str]:
    header = answer.headers.get("Content-Encoding", "").lower()
    names = [name for part in header.split(",") if (name := part.strip()) not in ("", "identity")]
    if len(names) > MAX_CODINGS or not _DECODERS.keys() >= set(names):
        raise MediaError("bad_encoding", f"Content-Encoding: {header[:60]}")
    return names


def _limited(chunks: Chunks, max_bytes: int) -> Chunks:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise MediaError("too_large", f"more than {max_bytes} bytes")
        yield chunk


def _gunzipped(chunks: Chunks) -> Chunks:
    """Yields the decoded pieces of gzip (any number of members) or of zlib."""
    decoder, rest = zlib.decompressobj(zlib.MAX_WBITS | 32), b""
    for piece in chunks:
        chunk, rest = rest + piece, b""
        while chunk:
            if decoder.eof and len(chunk) < 2:  # half of a magic number
                rest = chunk
                break
            if decoder.eof:
                if not chunk.startswith(b"\x1f\x8b"):
                    return  # junk behind the end
                decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
            yield from _inflated(decoder, chunk)
            chunk = decoder.unused_data
    if not decoder.eof:
        raise MediaError("truncated_body", "the gzip stream has no end")


def _inflated(decoder: "zlib._Decompress", chunk: bytes) -> Chunks:
    try:
        while chunk:
            yield decoder.decompress(chunk, PIECE)
            chunk = decoder.unconsumed_tail
    except zlib.error as error:
        raise MediaError("bad_encoding", str(error)) from error


def _deflated(chunks: Chunks) -> Chunks:
    """Yields what "deflate" holds: zlib as the RFC says, or bare deflate as many servers send."""
    first = next(chunks, b"")
    is_zlib = len(first) > 1 and first[0] & 15 == 8 and int.from_bytes(first[:2]) % 31 == 0
    decoder = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
    yield from _inflated(decoder, first)
    for chunk in chunks:
        yield from _inflated(decoder, chunk)
    if not decoder.eof:
        raise MediaError("truncated_body", "the deflate stream has no end")


def _unbrotlied(chunks: Chunks) -> Chunks:
    decoder = brotli.Decompressor()
    try:
        for chunk in chunks:
            yield decoder.process(chunk, output_buffer_limit=PIECE)
            while not decoder.can_accept_more_data():
                yield decoder.process(b"", output_buffer_limit=PIECE)
    except brotli.error as error:
        raise MediaError("bad_encoding", "not brotli") from error
    if not decoder.is_finished():
        raise MediaError("truncated_body", "the brotli stream has no end")


_DECODERS: dict[str, Callable[[Chunks], Chunks]] = {
    "gzip": _gunzipped,
    "x-gzip": _gunzipped,
    "deflate": _deflated,
    "br": _unbrotlied,
}
