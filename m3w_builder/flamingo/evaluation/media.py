"""What stands behind a case: encoded bytes -> the square frames that the encoder takes.

A video gives up to 30 frames at 3 per second (F2 B.1.2), the middle ones of a longer clip (the paper does
not say which); the learnt temporal embeddings are stretched over as many as there are.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from m3w_builder.config import FetchConfig
from m3w_builder.errors import MediaError
from m3w_builder.flamingo.data.batch import Pixels
from m3w_builder.flamingo.data.images import load
from m3w_builder.flamingo.evaluation.cases import Media
from m3w_builder.frames import sample_frames

T = TypeVar("T")

FRAMES = 30  # of a clip (F2 B.1.2)
RATE = 3  # frames per second (F2 B.1.2)
LONGEST = 600  # seconds of a video that are looked at


def frames(media: Media, size: int, colour: Sequence[float]) -> list[Pixels]:
    """Returns uint8 [size, size, 3] per frame, padded with `colour`; one of an image.

    Raises MediaError: missing_media, and the reasons of images.load and of sample_frames.
    """
    return [load(data, size, colour) for data in _encoded(media, size)]


def _encoded(media: Media, size: int) -> list[bytes]:
    try:
        with media.path.open("rb") as file:
            if media.spans:
                return _read(file.fileno(), media.path, middle(media.spans))
            if media.kind == "image":
                return [file.read()]
    except (OSError, ValueError) as error:  # a name with a null byte, too
        raise MediaError("missing_media", f"{media.key}: {error}") from error
    return _sampled(media.path, size)


def _read(file: int, path: Path, spans: Sequence[tuple[int, int]]) -> list[bytes]:
    found = [os.pread(file, length, offset) for offset, length in spans]
    if any(len(data) < length for data, (_, length) in zip(found, spans, strict=True)):
        raise MediaError("truncated_shard", str(path))
    return found


def _sampled(path: Path, size: int) -> list[bytes]:
    # A frame is stored once more as JPEG on its way: twice the final size keeps that from showing.
    config = FetchConfig(frame_side=2 * size, max_frames=LONGEST * RATE)
    with tempfile.TemporaryDirectory() as folder:
        found = sample_frames(path, config=config, folder=Path(folder), rate=RATE)
        return [file.read_bytes() for _, file in middle(found.frames)]


def middle(items: Sequence[T], count: int = FRAMES) -> Sequence[T]:
    """Returns the `count` items in the middle, all where there are fewer."""
    start = max(0, (len(items) - count) // 2)
    return items[start : start + count]
