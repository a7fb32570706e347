"""HTTP bodies: take off Transfer-Encoding and Content-Encoding (RFC 9112 section 7, RFC 9110 section 8.4).

Many crawlers store the decoded body under the headers of the encoded one: what is not encoded as it says is returned
as it is. What is cut or damaged is decoded as far as it goes.
"""

import re
from collections.abc import Callable

import brotli
import pyarrow as pa
from isal import isal_zlib

from m3w_builder.warc.heads import Headers
from m3w_builder.warc.stream import IsalError, salvage

_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,16})[ \t]*(?:;[^\n]{0,256})?\r?\n")
_NEWLINE = re.compile(rb"\r?\n?")

MAX_CODINGS = 4  # gzip in gzip happens; more is an attack
MAX_MEMBERS = 64  # gzip members of one body; each costs a copy of the rest
Decoded = tuple[bytes, bool]  # the body, and whether it is complete


def codings(headers: Headers) -> list[str]:
    """Returns the codings that the headers name, in the order in which they were applied."""
    content: list[str] = []
    transfer: list[str] = []
    for name, value in headers:
        if name.lower() == "content-encoding":
            content += [coding.strip() for coding in value.lower().split(",")]
        elif name.lower() == "transfer-encoding" and "chunked" in value.lower():
            transfer = ["chunked"]
    return [*content[:MAX_CODINGS], *transfer]


def decode(body: bytes, named: list[str], limit: int) -> Decoded:
    """Returns the body without its codings and whether it is complete; longer than `limit` means "too long"."""
    complete = True
    for coding in reversed(named):
        if body and coding in _DECODERS:
            body, whole = _DECODERS[coding](body, limit)
            complete = complete and whole
    return body, complete


def _dechunk(body: bytes, limit: int) -> Decoded:
    pieces: list[bytes] = []
    at = size = 0
    while size <= limit:
        line = _CHUNK.match(body, at)
        if not line:
            return (b"".join(pieces), False) if at else (body, True)
        length = int(line[1], 16)
        piece = body[line.end() : line.end() + length]
        if not length or len(piece) < length:
            return b"".join([*pieces, piece]), not length
        pieces.append(piece)
        size += length
        newline = _NEWLINE.match(body, line.end() + length)
        assert newline  # it matches nothing, too
        at = newline.end()
    return b"".join(pieces), True


def _gunzip(body: bytes, limit: int) -> Decoded:
    if not body.startswith(b"\x1f\x8b"):
        return body, True
    pieces: list[bytes] = []
    size = 0
    for _ in range(MAX_MEMBERS):
        piece, whole, body = _inflate(body, 31, limit + 1 - size)
        pieces.append(piece)
        size += len(piece)
        if not whole or size > limit or not body.startswith(b"\x1f\x8b"):
            return b"".join(pieces), whole
    return b"".join(pieces), False


def _deflate(body: bytes, limit: int) -> Decoded:
    """Inflates zlib data, or the raw deflate that some servers send in its place."""
    zlib_header = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    piece, whole, _ = _inflate(body, 15 if zlib_header else -15, limit + 1)
    return (piece, whole) if piece else (body, True)


def _inflate(body: bytes, wbits: int, limit: int) -> tuple[bytes, bool, bytes]:
    """Returns up to `limit` inflated bytes, whether that is all, and what follows."""
    inflater = isal_zlib.decompressobj(wbits)
    try:
        piece: bytes = inflater.decompress(body, limit)
    except IsalError:
        return salvage(body, wbits, limit)[:limit], False, b""
    return piece, inflater.eof or len(piece) == limit, inflater.unused_data


def _unbrotli(body: bytes, limit: int) -> Decoded:
    decoder = brotli.Decompressor()
    pieces: list[bytes] = []
    size = 0
    feed = body
    try:
        while size <= limit:
            piece = decoder.process(feed, output_buffer_limit=limit + 1 - size)
            pieces.append(piece)
            size += len(piece)
            if decoder.is_finished() or decoder.can_accept_more_data():
                break
            feed = b""
    except brotli.error:
        return (b"".join(pieces), False) if pieces else (body, True)
    return b"".join(pieces), decoder.is_finished() or size > limit


def _unzstd(body: bytes, limit: int) -> Decoded:
    pieces: list[bytes] = []
    size = 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
            while size <= limit and (piece := stream.read(2**16)):
                pieces.append(piece)
                size += len(piece)
    except OSError:
        return (b"".join(pieces), False) if pieces else (body, True)
    return b"".join(pieces), True


_DECODERS: dict[str, Callable[[bytes, int], Decoded]] = {
    "chunked": _dechunk,
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _deflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
