"""Distinct JPEGs for benchmarks: crops of real photographs at web sizes, each drawn from its number.

The mean is about 184 KB and 0.70 megapixels, that of the set on which img2dataset was first measured
(docs/benchmarks.md). Grain is added because a crop that was scaled up is smoother than a photograph.
"""

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image

SHARED = Path(__file__).parents[2] / "shared" / "data"
MEAN_PIXELS = 0.68e6  # of the distribution; what is clipped makes up for the rounding
SPREAD = 0.45  # of the logarithm of the pixels
QUALITY = 92
GRAIN = 0.046  # share of noise in the picture
MIN_SIDE = 240  # pixels of a source: smaller ones are icons and screenshots of buttons


def photographs(sources: Path, folder: Path, count: int) -> list[Path]:
    """Writes `count` JPEGs, those that are there already left alone; returns their paths in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:06}.jpg" for number in range(count)]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    originals = _originals(sources) if missing else []
    for number in missing:
        temporary = paths[number].with_suffix(".tmp")
        _photograph(originals, number).save(temporary, "JPEG", quality=QUALITY)
        temporary.replace(paths[number])
    return paths


def has_photographs(sources: Path) -> bool:
    """Says whether a folder has JPEGs that are large enough."""
    return bool(_originals(sources))


def drawn(folder: Path) -> Path:
    """Returns the folder with eight pictures drawn in it, for where there are no photographs."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(8):
        area = (-2 - number / 9, -1.2, 1, 1.2)
        planes = [Image.effect_mandelbrot((640, 480), area, 20 + 9 * band) for band in range(3)]
        Image.merge("RGB", planes).save(folder / f"{number}.jpg", quality=QUALITY)
    return folder


def _originals(sources: Path) -> list[Path]:
    """Returns the JPEGs that are large enough, by name."""
    found = sorted(p for p in sources.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    return [path for path in found if min(_size(path)) >= MIN_SIDE]


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@lru_cache(maxsize=64)
def _decoded(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


@lru_cache(maxsize=1)
def _grain() -> Image.Image:
    """Returns a field of noise, the same in every run, from which pieces are cut."""
    noise = random.Random(0).randbytes(2048 * 2048)
    return Image.frombytes("L", (2048, 2048), noise)


def _photograph(originals: Sequence[Path], number: int) -> Image.Image:
    draw = random.Random(number)
    original = _decoded(originals[number % len(originals)])
    share = draw.uniform(0.6, 1.0)
    width, height = (round(side * share) for side in original.size)
    left, top = draw.randint(0, original.width - width), draw.randint(0, original.height - height)
    pixels = MEAN_PIXELS * math.exp(draw.gauss(-SPREAD * SPREAD / 2, SPREAD))
    scale = math.sqrt(min(pixels, 3e6) / (width * height))
    size = max(64, min(2000, round(width * scale))), max(64, min(2000, round(height * scale)))
    box = (left, top, left + width, top + height)
    picture = original.resize(size, Image.Resampling.BICUBIC, box=box)
    x, y = draw.randint(0, 2048 - size[0]), draw.randint(0, 2048 - size[1])
    grain = _grain().crop((x, y, x + size[0], y + size[1])).convert("RGB")
    return Image.blend(picture, grain, GRAIN)
