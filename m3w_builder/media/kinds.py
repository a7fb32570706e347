"""Image formats, recognised by their first bytes and never by a name or a Content-Type.

`PIL.Image.open` is not used: it tries formats that nobody asked for. Here the magic bytes choose the
one reader that sees the file.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.IcoImagePlugin import IcoFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from m3w_builder.errors import MediaError

HEAD = 4096  # bytes looked at


@dataclass(frozen=True, slots=True)
class Kind:
    """How a format is read and stored; `keep` is the extension of those that keep their pixels."""

    name: str
    reader: Callable[[BytesIO], Image.Image]  # the header alone: no pixel is decoded
    keep: str = ""
    lossy: bool = False


def _largest_icon(file: BytesIO) -> Image.Image:
    """Returns the largest picture of an icon, with its own size: the directory's may be a lie.

    Not IcoImageFile, which decodes while it opens.
    """
    return IcoFile(file).frame(0)


JPEG = Kind("JPEG", JpegImageFile, keep="jpg", lossy=True)
PNG = Kind("PNG", PngImageFile, keep="png")
WEBP = Kind("WebP", WebPImageFile, keep="webp", lossy=True)
AVIF = Kind("AVIF", AvifImageFile, lossy=True)

# The first that matches the head of the file; a string is refused under that name.
SNIFF: tuple[tuple[re.Pattern[bytes], Kind | str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"\xff\xd8\xff", JPEG),
        (rb"\x89PNG\r\n\x1a\n", PNG),
        (rb"RIFF....WEBP", WEBP),
        (rb"GIF8[79]a", Kind("GIF", GifImageFile)),
        (rb"....ftyp(avi[fs]|(mif1|msf1)....(....){0,7}avi[fs])", AVIF),
        (rb"BM.{12}[\x0c-\x7c]\0\0\0", Kind("BMP", BmpImageFile)),
        (rb"II(\*\0|\+\0)|MM(\0\*|\0\+)", Kind("TIFF", TiffImageFile)),
        (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", Kind("JPEG 2000", Jpeg2KImageFile, lossy=True)),
        (rb"\0\0\x01\0[^\0]\0", Kind("ICO", _largest_icon)),
        (rb"P[1-6]\s", Kind("PPM", PpmImageFile)),
        (rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", "HEIC"),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL"),
        (rb"%PDF-", "PDF"),
        (rb"8BPS", "Photoshop"),
        (rb"(\xef\xbb\xbf)?\s*(<(\?xml|!--|!DOCTYPE svg).*?)?<svg[\s>]", "SVG"),
    )
)


def sniffed(body: bytes) -> Kind:
    """Returns the kind of an image that we read.

    Raises MediaError for everything else: empty_body, image_unsupported, not_an_image.
    """
    if not body:
        raise MediaError("empty_body")
    for pattern, kind in SNIFF:
        if pattern.match(body[:HEAD]):
            if isinstance(kind, str):
                raise MediaError("image_unsupported", kind)
            return kind
    raise MediaError("not_an_image", f"starts with {body[:12]!r}")
