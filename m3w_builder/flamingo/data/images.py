"""Encoded images become squares of bytes: uint8 [size, size, 3], the whole picture kept.

The picture is fitted, never cropped, and padded with the mean colour (F2 B.1.2). Bytes, not floats: a
quarter of what workers hand over, and the encoder normalises by its own mean. No torchvision: its PyPI
wheel breaks beside a CPU torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from m3w_builder.config import MAX_IMAGE_PIXELS
from m3w_builder.media import pixels as decoder
from m3w_builder.media.kinds import sniffed

Pixels = NDArray[np.uint8]  # [size, size, 3], RGB
Colour = Sequence[float]  # RGB in 0..1

# Mean and deviation of natural images (the ImageNet statistics most encoders use).
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
READY = ("RGB", "RGBA", "L", "P")  # modes that convert to RGB as they are
GREY = np.array([0.299, 0.587, 0.114])  # how bright red, green and blue are (ITU-R 601)
REDUCING_GAP = (
    2.0  # one many times too large is reduced first: 53 dB from the full filter, 0.3 of its time
)


@dataclass(frozen=True, slots=True)
class Change:
    """What augmentation does to one picture, or alike to all frames of one clip."""

    flip: bool = False  # left to right
    brightness: float = 1.0  # 1 = as it is, for all three
    contrast: float = 1.0
    saturation: float = 1.0


AS_IT_IS = Change()


def drawn(rng: Random, flip: float, jitter: float) -> Change:
    """Returns a change by lot: `flip` is a probability, `jitter` how far from 1 a factor may lie."""
    flips = rng.random() < flip
    return Change(flips, *(1 + jitter * rng.uniform(-1, 1) for _ in range(3)))


def load(data: bytes, size: int, colour: Colour = MEAN, change: Change = AS_IT_IS) -> Pixels:
    """Returns the picture upright, on white where it is transparent, padded with `colour`.

    A JPEG is decoded at the smallest scale that is not below its final size. Raises MediaError:
    empty_body, not_an_image, image_unsupported, image_damaged (a truncated one, too), image_too_large.
    """
    kind = sniffed(data)
    image = decoder.opened(data, kind, MAX_IMAGE_PIXELS)
    turn = decoder.orientation(image.info.get("exif", b""))
    if isinstance(image, JpegImageFile):
        image.draft("RGB", fitted(image.size, size))
    with decoder.decoding(kind):
        image.load()
    picture = image if image.mode in READY else decoder.decoded(image, kind, turn=1)
    return fit(picture, size, colour, change, turn)


def fit(
    picture: Image.Image,
    size: int,
    colour: Colour = MEAN,
    change: Change = AS_IT_IS,
    turn: int = 1,
) -> Pixels:
    """Returns a picture scaled to fit, turned upright from its EXIF orientation, changed and centred.

    The padding keeps its colour: the change is made before there is any.
    """
    fits = fitted(picture.size, size)
    small = rgb(picture).resize(fits, Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)
    if turn in decoder.UPRIGHT:
        small = small.transpose(decoder.UPRIGHT[turn])
    small = augment(small, change)
    filled = tuple(round(255 * channel) for channel in colour)
    canvas = Image.new("RGB", (size, size), filled)
    canvas.paste(small, ((size - small.width) // 2, (size - small.height) // 2))
    return np.array(canvas)


def fitted(shape: tuple[int, int], size: int) -> tuple[int, int]:
    """Returns width and height, in pixels, that fit a square: the longer side is `size`."""
    width, height = shape
    longer = max(width, height)
    return max(1, round(width * size / longer)), max(1, round(height * size / longer))


def augment(picture: Image.Image, change: Change) -> Image.Image:
    """Returns an RGB picture with its colours changed, perhaps flipped.

    Brightness b scales, contrast c moves pixels from their mean grey, saturation s from their own grey
    g(x). The three are linear, so that one matrix does them: c b (s x + (1 - s) g(x)) + (1 - c) b mean(g).
    """
    if change.flip:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale, saturation = change.contrast * change.brightness, change.saturation
    if scale == saturation == change.contrast == 1:
        return picture
    mean = np.asarray(picture.reduce(picture.size)) @ GREY  # 0..255
    colours = scale * (saturation * np.eye(3) + (1 - saturation) * GREY)
    moved = np.full((3, 1), (1 - change.contrast) * change.brightness * mean.item())
    return picture.convert("RGB", tuple(np.hstack([colours, moved]).ravel().tolist()))


def rgb(picture: Image.Image) -> Image.Image:
    """Returns a picture in RGB; what is transparent shows the white of a page."""
    if not picture.has_transparency_data:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    layer = picture.convert("RGBA")
    page = Image.new("RGB", layer.size, "white")
    page.paste(layer, mask=layer.getchannel("A"))  # half the time of scaling four channels
    return page
