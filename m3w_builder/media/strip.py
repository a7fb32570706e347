"""JPEG, PNG and WebP without what they say about themselves; the coded pixels stay byte for byte.

What stays is listed, everything else goes: EXIF (with it GPS and thumbnails), XMP, IPTC, comments,
texts, times, previews, further pictures (MPF, APNG frames), and whatever lies behind the end. Colour
profiles stay when they are one (ICC.1:2010, 7.2) and for this kind of pixel. A file with nothing to
take out is returned as it is.

A file that ends before its end marker (JPEG EOI, PNG IEND, RIFF size) is refused as image_damaged.
It is read here before Pillow sees it: no decoder meets a compressed comment of 300 MB.
"""

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from struct import pack, unpack_from

from m3w_builder.errors import MediaError

MAX_PROFILE = 4 * 2**20  # bytes of a colour profile; those for print reach 2 MB
MAX_EXIF = 2**16  # bytes: what fits into one JPEG segment

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# PNG (third edition), 11: what the pixels are, and how they are shown.
PNG_KEEP = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs".split()
)
PNG_SPACES = {0: b"GRAY", 2: b"RGB ", 3: b"RGB ", 4: b"GRAY", 6: b"RGB "}  # by colour type
WEBP_KEEP = frozenset((b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"))
WEBP_ICC, WEBP_META, WEBP_ANIMATED = 0x20, 0x0C, 0x02  # flags of VP8X

JPEG_SPACES = {1: b"GRAY", 3: b"RGB ", 4: b"CMYK"}  # by number of components
SOI, EOI, SOS, APP0, APP1, APP2, APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xEE
STANDALONE = frozenset((0x00, 0x01, *range(0xD0, 0xD8)))  # a stuffed byte, TEM, RST0 to RST7
CODING = frozenset((*range(0xC0, 0xD0), *range(0xDA, 0xE0)))  # SOF, DHT, SOS, DQT, DRI, ...
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15
# The end of coded pixels: FF, and not one of the markers that may stand among them.
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
ICC = b"ICC_PROFILE\0"
# Of a progressive JPEG; encoders write 10 or so, and each one costs a pass over all the pixels.
MAX_SCANS = 100


@dataclass(frozen=True, slots=True)
class Stripped:
    """A file without metadata, and what of it is still needed to read the pixels."""

    body: bytes  # the very object that came in, where nothing had to go
    exif: bytes = b""  # its orientation is applied to the pixels
    animated: bool = False
    deep: bool = False  # 16 bits a channel


def strip_jpeg(body: bytes) -> Stripped:
    """Returns a JPEG of JFIF, ICC, Adobe and coding segments (ITU T.81, B.1)."""
    parts: list[bytes | memoryview] = [body[:2]]
    profile: dict[int, bytes] = {}  # place among the parts -> sequence number, piece
    exif, space = b"", b""
    for marker, whole, payload in _segments(body):
        if marker in FRAMES and len(payload) > 5:
            space = JPEG_SPACES.get(payload[5], b"")
        if marker in CODING or marker == EOI:
            parts.append(whole)
        elif marker == APP0 and payload.startswith(b"JFIF\0") and len(payload) >= 14:
            parts.append(_segment(APP0, payload[:12] + b"\0\0"))  # without its thumbnail
        elif marker == APP14 and payload.startswith(b"Adobe") and len(payload) >= 12:
            parts.append(_segment(APP14, payload[:12]))
        elif marker == APP2 and payload.startswith(ICC):
            profile[len(parts)] = payload[len(ICC) :]
            parts.append(whole)
        elif marker == APP1 and payload.startswith(b"Exif\0") and not exif:
            exif = payload
    pieces = sorted(profile.values(), key=lambda piece: piece[:1])
    if profile and not is_profile(b"".join(piece[2:] for piece in pieces), space):
        parts = [part for place, part in enumerate(parts) if place not in profile]
    return Stripped(_joined(parts, body), exif)


def _segments(body: bytes) -> Iterator[tuple[int, memoryview, bytes]]:
    """Yields marker, whole and payload of each segment, coded pixels with the SOS before them.

    What stands between segments and after EOI is left out, as libjpeg does.
    """
    view, at, scans = memoryview(body), 2, 0
    while True:
        start = body.find(b"\xff", at)
        at = start + 1
        while body[at : at + 1] == b"\xff":  # fill bytes
            at += 1
        if start < 0 or at >= len(body):
            raise _ends_early("JPEG")
        marker, at = body[at], at + 1
        if marker == EOI:
            yield marker, view[start:at], b""
            return
        if marker in STANDALONE:
            continue
        end = at + int.from_bytes(body[at : at + 2])
        if marker == SOI or end > len(body) or end < at + 2:
            raise _ends_early("JPEG")
        payload = body[at + 2 : end]
        if marker == SOS:
            scans += 1
            if scans > MAX_SCANS:
                raise MediaError("image_unsupported", f"JPEG of more than {MAX_SCANS} scans")
            found = MARKER.search(body, end)
            if not found:
                raise _ends_early("JPEG")
            end = found.start()
        yield marker, view[start:end], payload
        at = end


def _segment(marker: int, payload: bytes) -> bytes:
    return pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def strip_png(body: bytes) -> Stripped:
    """Returns a PNG of the chunks that its pixels need; of an APNG the still picture."""
    parts: list[bytes | memoryview] = [PNG_SIGNATURE]
    view, exif, at = memoryview(body), b"", len(PNG_SIGNATURE)
    depth, colour = _png_header(body)
    name = b""
    while name != b"IEND":
        if at + 12 > len(body):
            raise _ends_early("PNG")
        length, name = unpack_from(">I4s", body, at)
        data, end = at + 8, at + 12 + length
        if end > len(body):
            raise _ends_early("PNG")
        if name in PNG_KEEP or (
            name == b"iCCP" and is_profile(_png_profile(body[data : end - 4]), PNG_SPACES[colour])
        ):
            parts.append(view[at:end])
        elif name == b"eXIf" and length <= MAX_EXIF:
            exif = body[data : end - 4]
        at = end
    return Stripped(_joined(parts, body), exif, deep=depth == 16)


def _png_header(body: bytes) -> tuple[int, int]:
    """Returns the bits a sample and the colour type of IHDR, which must come first."""
    if len(body) < 33:
        raise _ends_early("PNG")
    if body[8:16] != b"\0\0\0\x0dIHDR" or body[25] not in PNG_SPACES:
        raise MediaError("image_damaged", "PNG: no valid IHDR")
    return body[24], body[25]


def _png_profile(data: bytes) -> bytes:
    """Returns the profile of an iCCP chunk, b"" when it cannot be had within MAX_PROFILE bytes."""
    packed = data[data.find(b"\0", 0, 80) + 2 :]
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(packed, MAX_PROFILE)
    except zlib.error:
        return b""
    return profile if inflate.eof else b""


def strip_webp(body: bytes) -> Stripped:
    """Returns a WebP without EXIF, XMP and unknown chunks, its flags and sizes put right."""
    end = 8 + unpack_from("<I", body, 4)[0]
    if end > len(body):
        raise _ends_early("WebP")
    parts, exif, flags, at = [b"WEBP"], b"", 0, 12
    while at + 8 <= end:
        name, length = unpack_from("<4sI", body, at)
        data, at = at + 8, at + 8 + length + length % 2
        if data + length > end:
            raise _ends_early("WebP")
        payload = body[data : data + length]
        if name == b"VP8X" and payload:
            flags = payload[0]
        if name in WEBP_KEEP or (name == b"ICCP" and is_profile(payload, b"RGB ")):
            parts.append(pack("<4sI", name, length) + payload + bytes(length % 2))
        elif name == b"EXIF" and length <= MAX_EXIF:
            exif = payload
    if flags:
        kept = {part[:4] for part in parts}
        flags &= ~WEBP_META & ~(0 if b"ICCP" in kept else WEBP_ICC)
        parts = [
            part[:8] + bytes((flags,)) + part[9:] if part[:4] == b"VP8X" else part for part in parts
        ]
    riff = b"RIFF" + pack("<I", sum(map(len, parts)))
    return Stripped(_joined([riff, *parts], body), exif, animated=bool(flags & WEBP_ANIMATED))


def is_profile(profile: bytes, space: bytes) -> bool:
    """Returns whether this is an ICC profile for pixels of a colour space (four bytes)."""
    return (
        128 <= len(profile) <= MAX_PROFILE
        and profile[36:40] == b"acsp"
        and profile[16:20] == space
        and int.from_bytes(profile[:4]) <= len(profile)
    )


def _joined(parts: Sequence[bytes | memoryview], body: bytes) -> bytes:
    """Returns the parts in one, or the body itself where they are all of it.

    They stand in its order, a view is a piece of it, and no part is longer than what it stands for:
    so the large pieces need no comparison, and mostly no copy.
    """
    at = 0
    for part in parts:
        if isinstance(part, bytes) and not body.startswith(part, at):
            return b"".join(parts)
        at += len(part)
    return body if at == len(body) else b"".join(parts)


def _ends_early(kind: str) -> MediaError:
    return MediaError("image_damaged", f"{kind}: ends before its end marker")


STRIP: dict[str, Callable[[bytes], Stripped]] = {
    "jpg": strip_jpeg,
    "png": strip_png,
    "webp": strip_webp,
}
