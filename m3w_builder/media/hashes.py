"""Perceptual hashes: what pictures look like, in 256 and in 64 bits.

All are signs of low frequencies of one 64 x 64 grey copy. PDQ (Facebook, 2019: "The TMK+PDQF
video-hashing algorithm and the PDQ image-hashing algorithm") takes frequencies 1 to 16 of each axis
and tells pictures apart among billions. The 64-bit hash takes frequencies 0 to 7 and forgives more:
a cropped margin above all. In drawings, screenshots and all that is symmetric many frequencies are
nearly zero, and noise decides their signs: the firm hash is PDQ without the bits that small noise may
turn. What each finds is measured in docs/images.md.

The frequencies are those of the reference implementation, which for a 64 x 64 input gives the same
digits (tests/test_media_hashes.py). Its own way down to 64 x 64 (two box filters, then picking
pixels) aliases on small pictures, so Pillow's Lanczos filter, which works on integers, does that.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64  # pixels of the grey copy
_RANKS = np.arange(17)[:, None]
_DCT: NDArray[np.float64] = np.sqrt(2 / SIDE) * np.cos(
    np.pi / (2 * SIDE) * _RANKS * (2 * np.arange(SIDE) + 1)
)  # float[17, 64], the DCT-II
# Equal coefficients of symmetric pictures differ in their last bits from machine to machine.
DECIMALS = 6
FIRM = 8.0  # grey levels: recompression (JPEG, quality 20) moves few coefficients further


class Hashes(NamedTuple):
    """What a picture looks like."""

    phash: str  # PDQ, 64 hex digits
    phash64: str  # 16 hex digits
    phash_firm: str  # 64 hex digits: of PDQ's bits those that exceed the median by FIRM
    quality: int  # PDQ's, 0 to 100; below 50 its authors advise not to match


def perceptual_hashes(grey: Image.Image) -> Hashes:
    """Returns the hashes of a picture of mode L and any size."""
    square = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.float64)
    waves = np.round(_DCT @ square @ _DCT.T, DECIMALS)  # float[17, 17]
    pdq = waves[1:, 1:]
    return Hashes(_hex(pdq), _hex(waves[:8, :8]), _hex(pdq, FIRM), _quality(square))


def distance(one: str, other: str) -> int:
    """Returns in how many bits two hashes of the same kind differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _hex(waves: NDArray[np.float64], by: float = 0.0) -> str:
    """Returns which coefficients exceed the lower median `by` more, the last one first, as PDQ writes it."""
    middle = np.partition(waves, (waves.size - 1) // 2, axis=None)[(waves.size - 1) // 2]
    return np.packbits((waves > middle + by).ravel()[::-1]).tobytes().hex()


def _quality(square: NDArray[np.float64]) -> int:
    """Returns PDQ's measure of how much there is to see: the sum of steps of over 1 %."""
    steps = sum(
        int(np.abs(np.trunc(np.diff(square, axis=axis) * (100 / 255))).sum()) for axis in (0, 1)
    )
    return min(100, steps // 90)
