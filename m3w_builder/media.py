"""Images as they arrive from the web: recognised by content, checked by one decode, measured.

What is stored is always one upright still picture in a format every loader reads. JPEG, PNG and
WebP keep their original bytes. Re-encoded are:

- GIF, BMP, TIFF, PPM, ICO, JPEG 2000 and AVIF, which not every loader reads;
- pictures that EXIF turns and 16-bit grey, which loaders show on their side, or white;
- animations (GIF, WebP, APNG, AVIF), TIFF pages, ICO sizes: the first (largest) picture of them.

Lossless sources become PNG; lossy ones JPEG, or WebP when they have an alpha channel. Colour
profiles are kept, EXIF (and with it GPS) is not. Refused as `image_unsupported`: SVG (a program
with its own fetches), HEIC and JPEG XL (Pillow has no decoder), PDF and Photoshop (documents),
floating point and 32-bit pixels (no scale of their own).

`PIL.Image.open` is not used: it tries formats that nobody asked for, and tells of large pictures
on a process-wide channel. Here the magic bytes choose the reader, and the size is compared before
any pixel exists.
"""

import logging
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from PIL import Image, ImageFile, ImageStat
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.IcoImagePlugin import IcoImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from m3w_builder.errors import MediaError

MIN_GREY_SIDE = (
    32  # pixels: the copy that flatness is measured on is scaled down 8, 4 or 2 times to this
)
LOSSY_QUALITY = 95  # of pictures that are re-encoded from a lossy format
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

# Pillow tells of each oddity on process-wide channels; those that matter are errors here.
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

Reader = Callable[[BytesIO], ImageFile.ImageFile]


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as it will be stored, with what was measured."""

    body: bytes
    format: str  # jpg | png | webp
    width: int  # pixels, of the stored picture
    height: int
    reencoded: bool
    scores: dict[str, float] = field(default_factory=dict)  # flatness: grey levels


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a format is read and stored; `keep` is the extension of those that keep their bytes."""

    name: str
    reader: Reader
    keep: str = ""
    lossy: bool = False


JPEG = _Kind("JPEG", JpegImageFile, keep="jpg", lossy=True)
PNG = _Kind("PNG", PngImageFile, keep="png")
WEBP = _Kind("WebP", WebPImageFile, keep="webp", lossy=True)
JPEG2000 = _Kind("JPEG 2000", Jpeg2KImageFile, lossy=True)
TIFF = _Kind("TIFF", TiffImageFile)

# The first that matches the head of the file; a string is refused under that name.
SNIFF: tuple[tuple[re.Pattern[bytes], _Kind | str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"\xff\xd8\xff", JPEG),
        (rb"\x89PNG\r\n\x1a\n", PNG),
        (rb"RIFF....WEBP", WEBP),
        (rb"GIF8[79]a", _Kind("GIF", GifImageFile)),
        (rb"....ftyp(avif|avis)", _Kind("AVIF", AvifImageFile, lossy=True)),
        (rb"BM.{12}[\x0c-\x7c]\0\0\0", _Kind("BMP", BmpImageFile)),
        (rb"II(\*\0|\+\0)|MM(\0\*|\0\+)", TIFF),
        (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", JPEG2000),
        (rb"\0\0\x01\0[^\0]\0", _Kind("ICO", IcoImageFile)),
        (rb"P[1-6]\s", _Kind("PPM", PpmImageFile)),
        (rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", "HEIC"),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL"),
        (rb"%PDF-", "PDF"),
        (rb"8BPS", "Photoshop"),
        (rb"(\xef\xbb\xbf)?\s*(<(\?xml|!--|!DOCTYPE svg).*?)?<svg[\s>]", "SVG"),
    )
)
HEAD = 4096  # bytes looked at


def measure_image(body: bytes, *, max_pixels: int) -> StoredImage:
    """Returns the image to store with its scores; raises MediaError.

    Decodes at most once, and nothing whose header says more than `max_pixels`.
    Reasons: empty_body, not_an_image, image_unsupported, image_too_large, image_damaged.
    """
    kind = _sniffed(body)
    with _decoding(kind):
        image = kind.reader(BytesIO(body))
    _check_size(image, max_pixels)
    if not kind.keep or _needs_encoding(image):
        return _reencoded(image, kind)
    width, height = image.size
    with _decoding(kind):
        grey = _grey(image)
    return StoredImage(body, kind.keep, width, height, False, {"flatness": _flatness(grey)})


@contextmanager
def _decoding(kind: _Kind) -> Iterator[None]:
    """Gives what Pillow raises inside its reason; nothing but calls of Pillow belongs inside."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise MediaError("image_too_large", _words(kind, error)) from error
    except DAMAGED as error:
        raise MediaError("image_damaged", _words(kind, error)) from error


def _sniffed(body: bytes) -> _Kind:
    """Returns the kind of an image we read; raises MediaError for everything else."""
    if not body:
        raise MediaError("empty_body")
    for pattern, kind in SNIFF:
        if pattern.match(body[:HEAD]):
            if isinstance(kind, str):
                raise MediaError("image_unsupported", kind)
            return kind
    raise MediaError("not_an_image", f"starts with {body[:12]!r}")


def _check_size(image: ImageFile.ImageFile, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise MediaError("image_damaged", f"{width} x {height} pixels")
    if width * height > max_pixels:
        raise MediaError(
            "image_too_large", f"{width} x {height} pixels, at most {max_pixels} in all"
        )


def _needs_encoding(image: ImageFile.ImageFile) -> bool:
    """Returns whether loaders would read the original bytes wrongly."""
    return (
        getattr(image, "is_animated", False)
        or image.mode.startswith("I;16")
        or _orientation(image) != 1
    )


def _orientation(image: ImageFile.ImageFile) -> int:
    """Returns the EXIF orientation, 1 (upright) where there is none or a damaged one."""
    if "exif" not in image.info:
        return 1
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except DAMAGED:
        return 1  # the pixels may still be whole
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _grey(image: Image.Image) -> Image.Image:
    """Returns a small grey copy, transparency on white; decodes a JPEG at that scale only."""
    factor = _factor(*image.size)
    if isinstance(image, JpegImageFile):
        image.draft("L", (image.width // factor, image.height // factor))
        factor = 1
    image.load()
    if image.mode in ("1", "P", "PA"):  # these cannot be scaled; all others are scaled first
        image = image.convert("RGBA" if image.has_transparency_data else "L")
    small = image.reduce(factor) if factor > 1 else image
    if not small.has_transparency_data:
        return small.convert("L")
    layers = small.convert("RGBA")
    grey = Image.new("L", small.size, 255)
    grey.paste(layers.convert("L"), mask=layers.getchannel("A"))
    return grey


def _factor(width: int, height: int) -> int:
    """Returns how many times the grey copy is smaller: a scale that a JPEG can be decoded at."""
    return next((n for n in (8, 4, 2) if min(width, height) >= n * MIN_GREY_SIDE), 1)


def _flatness(grey: Image.Image) -> float:
    """Returns the standard deviation in grey levels (0 to 127.5); 0 is a single colour."""
    return round(ImageStat.Stat(grey).stddev[0], 4)


def _reencoded(image: ImageFile.ImageFile, kind: _Kind) -> StoredImage:
    """Returns the first picture, upright, 8 bits a channel, in a format all loaders read."""
    orientation = _orientation(image)
    with _decoding(kind):
        image.load()
    lossy = kind.lossy and max(image.size) <= MAX_LOSSY_SIDE
    picture = _eight_bits(image, palette=not lossy)
    if orientation in UPRIGHT:
        picture = picture.transpose(UPRIGHT[orientation])
    flatness = _flatness(_grey(picture))
    options: dict[str, Any] = {"quality": LOSSY_QUALITY} if lossy else {}
    if image.mode != "CMYK":  # there the profile describes the ink, not the RGB that it became
        options["icc_profile"] = image.info.get("icc_profile")
    if picture.mode == "P":
        options["transparency"] = picture.info.get("transparency")
    extension, encoder = ("jpg", "JPEG") if lossy else ("png", "PNG")
    if lossy and "A" in picture.getbands():
        extension, encoder = "webp", "WEBP"
    picture.info.clear()  # what the source said about itself: EXIF, comments, gamma, resolution
    body = BytesIO()
    picture.save(body, encoder, **options)
    size = picture.size
    return StoredImage(body.getvalue(), extension, *size, True, {"flatness": flatness})


def _eight_bits(image: ImageFile.ImageFile, *, palette: bool) -> Image.Image:
    """Returns the decoded picture as L, LA, RGB or RGBA, or as P when `palette` allows it."""
    if image.mode in ("F", "I"):
        raise MediaError("image_unsupported", f"{image.mode} pixels")
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda level: level * (1 / 257)).convert("L")
    if image.mode == "P" and palette:
        return image.copy()
    if image.has_transparency_data:
        return image.convert("LA" if image.mode == "LA" else "RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _words(kind: _Kind, error: BaseException) -> str:
    return f"{kind.name}: {' '.join(str(error).split())[:160]}"
