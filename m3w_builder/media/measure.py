"""What is stored of one image, and what was measured on it, from one decode.

What is stored is always one upright still picture in a format every loader reads. JPEG, PNG and WebP
keep their coded pixels, without metadata. Encoded anew are:

- GIF, BMP, TIFF, PPM, ICO, JPEG 2000 and AVIF, which not every loader reads;
- pictures that EXIF turns, 16 bits a channel and CMYK, which loaders show on their side, white, or
  in wrong colours;
- animated WebP: its first picture.

docs/images.md has the whole policy.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from m3w_builder.config import FetchConfig
from m3w_builder.media import pixels
from m3w_builder.media.hashes import perceptual_hashes
from m3w_builder.media.kinds import sniffed
from m3w_builder.media.scorers import SIDE as SCORER_SIDE
from m3w_builder.media.scorers import scorers
from m3w_builder.media.strip import STRIP, Stripped

GREY_SIDE = 64  # pixels: no side of the copy that is measured falls below this by scaling

LEVELS = np.arange(256.0)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as it will be stored, with what was measured.

    `body` is the very object that came in where nothing had to go; without `reencoded` it differs from
    it in metadata and trailing bytes alone.
    """

    body: bytes
    format: str  # jpg | png | webp
    width: int  # pixels, of the stored picture
    height: int
    reencoded: bool  # the pixels were coded anew
    phash: str = ""  # PDQ, 64 hex digits
    phash64: str = ""  # the 64-bit hash that forgives crops, 16 hex digits
    phash_firm: str = ""  # PDQ without the bits that noise may turn, 64 hex digits
    # flatness (grey levels), entropy (bits), sharpness, pdq_quality (0 to 100), nsfw (0 to 1), ...
    scores: dict[str, float] = field(default_factory=dict)


def measure_image(body: bytes, *, config: FetchConfig) -> StoredImage:
    """Returns the image to store with its hashes and scores; raises MediaError.

    Decodes at most once, and nothing whose header says more than `config.max_image_pixels`.
    Reasons: empty_body, not_an_image, image_unsupported, image_too_large, image_damaged.
    """
    kind = sniffed(body)
    plain = STRIP[kind.keep](body) if kind.keep else Stripped(body)
    image = pixels.opened(plain.body, kind, config.max_image_pixels)
    turn = pixels.orientation(plain.exif or image.info.get("exif", b""))
    kept = (
        bool(kind.keep)
        and turn == 1
        and image.mode != "CMYK"
        and not (plain.animated or plain.deep)
    )
    picture = image if kept else pixels.decoded(image, kind, turn)
    width, height = picture.size
    called = scorers(config)
    with pixels.decoding(kind):
        small = pixels.scaled(picture, SCORER_SIDE if called else GREY_SIDE, grey=not called)
    grey = pixels.scaled(small, GREY_SIDE, grey=True)
    phash, phash64, phash_firm, quality = perceptual_hashes(grey)
    scores = {**grey_scores(grey), "pdq_quality": float(quality)}
    for score in called:
        scores |= score(small)
    stored, extension = (plain.body, kind.keep) if kept else pixels.encoded(picture, image, kind)
    return StoredImage(
        stored, extension, width, height, not kept, phash, phash64, phash_firm, scores
    )


def grey_scores(grey: Image.Image) -> dict[str, float]:
    """Returns what the grey levels (0 to 255) of the small copy tell.

    flatness: their standard deviation; 0 is a single colour.
    entropy: of their histogram, 0 to 8 bits.
    sharpness: the variance of their Laplacian (Pech-Pacheco et al. 2000); small is blurred.
    """
    levels = np.asarray(grey, dtype=np.int32)
    share = np.bincount(levels.ravel(), minlength=256) / levels.size
    some = share[share > 0]
    mean = share @ LEVELS
    return {
        "flatness": round(float(np.sqrt(max(0.0, share @ LEVELS**2 - mean**2))), 4),
        "entropy": round(abs(float(some @ np.log2(some))), 4),
        "sharpness": round(_sharpness(levels), 2),
    }


def _sharpness(grey: NDArray[np.int32]) -> float:
    """Returns the variance of the Laplacian over the pixels (H, W) that have four neighbours."""
    if min(grey.shape) < 3:
        return 0.0
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    laplacian = (around - 4 * grey[1:-1, 1:-1]).ravel()
    size = laplacian.size
    return int(laplacian @ laplacian) / size - (int(laplacian.sum()) / size) ** 2
