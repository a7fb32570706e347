"""Pixels by Pillow: opened, checked for size, scaled down, made upright, encoded anew.

Pillow tells of each oddity on process-wide channels; those that matter are errors here.
"""

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from PIL import Image, ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from m3w_builder.errors import MediaError
from m3w_builder.media.kinds import Kind
from m3w_builder.media.strip import MAX_EXIF, is_profile

LOSSY_QUALITY = 95  # of pictures that are encoded anew from a lossy format
MAX_LOSSY_SIDE = 16383  # pixels: what WebP can hold (JPEG: 65500); larger ones become PNG
ORIENTATION = 0x0112  # EXIF tag; 1 is upright
# What makes the others upright. ImageOps.exif_transpose writes the EXIF anew and fails on a damaged one.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Modes that have eight bits a channel and a meaning in RGB; the others (F, I, LAB, ...) have neither.
RGB_MODES = frozenset(("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr"))

warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)

# What Pillow's readers raise on damaged files. Not MemoryError: sizes are checked before.
DAMAGED: tuple[type[Exception], ...] = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)


@contextmanager
def decoding(kind: Kind) -> Iterator[None]:
    """Gives what Pillow raises inside its reason; nothing but calls of Pillow belongs inside."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise MediaError("image_too_large", _words(kind, error)) from error
    except DAMAGED as error:
        raise MediaError("image_damaged", _words(kind, error)) from error


def _words(kind: Kind, error: BaseException) -> str:
    return f"{kind.name}: {' '.join(str(error).split())[:160]}"


def opened(body: bytes, kind: Kind, max_pixels: int) -> Image.Image:
    """Returns the image with no pixel decoded; raises MediaError(image_damaged, image_too_large).

    Frames and pages are not counted: only the first is ever decoded.
    """
    with decoding(kind):
        image = kind.reader(BytesIO(body))
    width, height = image.size
    if width < 1 or height < 1:
        raise MediaError("image_damaged", f"{width} x {height} pixels")
    if width * height > max_pixels:
        raise MediaError(
            "image_too_large", f"{width} x {height} pixels, at most {max_pixels} in all"
        )
    return image


def orientation(exif: bytes) -> int:
    """Returns the EXIF orientation, 1 (upright) where there is none or a damaged one."""
    if not exif or len(exif) > MAX_EXIF:
        return 1
    try:
        tags = Image.Exif()
        tags.load(exif)
        found = tags.get(ORIENTATION, 1)
    except DAMAGED:
        return 1  # the pixels may still be whole
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def scaled(image: Image.Image, side: int, *, grey: bool) -> Image.Image:
    """Returns a copy in L or RGB, as many times halved as no side falls below `side` by it.

    Transparency lies on white. A JPEG is decoded at (up to 1/8) scale only; `image` is used up.
    """
    factor = 1 << max(0, (min(image.size) // side).bit_length() - 1)
    if isinstance(image, JpegImageFile):
        coded = min(factor, 8)
        image.draft("L" if grey else "RGB", (image.width // coded, image.height // coded))
        factor //= coded
    image.load()
    if image.mode in ("1", "P", "PA"):  # these cannot be scaled; all others are scaled first
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    small = image.reduce(factor) if factor > 1 else image
    mode = "L" if grey else "RGB"
    if not small.has_transparency_data:
        return small.convert(mode)
    layers = small.convert("RGBA")
    copy = Image.new(mode, small.size, "white")
    copy.paste(layers.convert(mode), mask=layers.getchannel("A"))
    return copy


def decoded(image: Image.Image, kind: Kind, turn: int) -> Image.Image:
    """Returns the first picture, upright, in L, LA, RGB, RGBA, or P where it is stored lossless.

    `turn` is its EXIF orientation. Raises MediaError: image_damaged, image_unsupported (the mode).
    """
    with decoding(kind):
        image.load()
    picture = _eight_bits(image, palette=not _is_lossy(image, kind))
    return picture.transpose(UPRIGHT[turn]) if turn in UPRIGHT else picture


def _is_lossy(image: Image.Image, kind: Kind) -> bool:
    return kind.lossy and max(image.size) <= MAX_LOSSY_SIDE


def _eight_bits(image: Image.Image, *, palette: bool) -> Image.Image:
    profile = image.info.get("icc_profile") or b""
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda level: level * (1 / 257)).convert("L")
    if image.mode == "CMYK":
        return _from_ink(image, profile)
    if image.mode not in RGB_MODES:
        raise MediaError("image_unsupported", f"{image.mode} pixels")
    if image.mode == "P" and palette:
        return image.copy()
    if image.has_transparency_data:
        return image.convert("LA" if image.mode == "LA" else "RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _from_ink(image: Image.Image, profile: bytes) -> Image.Image:
    """Returns sRGB of a CMYK picture, by its profile where it has one for CMYK."""
    if is_profile(profile, b"CMYK"):
        try:
            ink = ImageCms.ImageCmsProfile(BytesIO(profile))
            screen = ImageCms.createProfile("sRGB")
            found = ImageCms.profileToProfile(image, ink, screen, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            found = None  # a profile in name only
        if found:
            return found
    return image.convert("RGB")


def encoded(picture: Image.Image, image: Image.Image, kind: Kind) -> tuple[bytes, str]:
    """Returns the bytes of a decoded picture and their extension.

    Lossless sources become PNG; lossy ones JPEG, or WebP where they have an alpha channel. Of what
    `image`, its source, says about itself only a colour profile goes along.
    """
    options: dict[str, Any] = {}
    profile = image.info.get("icc_profile") or b""
    if is_profile(profile, b"GRAY" if picture.mode in ("L", "LA") else b"RGB "):
        options["icc_profile"] = profile
    if picture.mode == "P":
        options["transparency"] = picture.info.get("transparency")
    extension, encoder = "png", "PNG"
    if _is_lossy(image, kind):
        options["quality"] = LOSSY_QUALITY
        extension, encoder = ("webp", "WEBP") if "A" in picture.getbands() else ("jpg", "JPEG")
    plain = picture.copy()
    plain.info = {}  # EXIF, comments, gamma, resolution
    body = BytesIO()
    plain.save(body, encoder, **options)
    return body.getvalue(), extension
