"""Encoded images become square, normalised arrays: float32 [size, size, 3], the whole picture kept.

The picture is fitted, never cropped, and padded with the mean colour (F2 B.1.2): after
normalisation the padding is exactly 0. No torchvision: its PyPI wheel breaks beside a CPU torch.
"""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from m3w_builder.config import MAX_IMAGE_PIXELS
from m3w_builder.errors import MediaError

# Mean and deviation of natural images, RGB in 0..1 (the ImageNet statistics every encoder uses).
MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], dtype=np.float32)

Pixels = NDArray[np.float32]


def load(data: bytes, size: int) -> Pixels:
    """Returns the image as [size, size, 3]; raises MediaError when it cannot be decoded."""
    try:
        with Image.open(BytesIO(data)) as image:
            if image.width * image.height > MAX_IMAGE_PIXELS:
                raise MediaError("too_many_pixels", f"{image.width}x{image.height}")
            image.draft("RGB", (size, size))  # a JPEG decodes at the smallest sufficient scale
            return fit(_rgb(ImageOps.exif_transpose(image)), size)
    except UnidentifiedImageError as error:  # its own words name an object's address
        raise MediaError("undecodable", "no known image format") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError("undecodable", str(error)) from error


def fit(image: Image.Image, size: int) -> Pixels:
    """Returns an RGB picture scaled to fit, centred, the rest 0 (the mean colour)."""
    small = ImageOps.contain(image, (size, size), Image.Resampling.BICUBIC)
    pixels = (np.asarray(small, dtype=np.float32) / 255 - MEAN) / DEVIATION
    canvas: Pixels = np.zeros((size, size, 3), dtype=np.float32)
    top, left = (size - small.height) // 2, (size - small.width) // 2
    canvas[top : top + small.height, left : left + small.width] = pixels
    return canvas


def _rgb(image: Image.Image) -> Image.Image:
    """Returns the picture in RGB; what is transparent shows the white of a page."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
