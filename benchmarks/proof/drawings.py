"""Small drawn pictures: one coloured shape on a noisy background, never the same picture twice.

Class, colour, place, size, turn, background and noise are drawn apart, so that only sight tells what
is shown and a held-out picture is a new drawing. Nothing is downloaded.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

SIDE = 64  # pixels of a stored picture
SCALE = 4  # drawn larger, then reduced: smooth edges

COLOURS = {
    "red": (215, 45, 40),
    "green": (40, 165, 65),
    "blue": (45, 85, 215),
    "yellow": (238, 205, 40),
    "purple": (155, 50, 175),
}

Point = tuple[float, float]


def _regular(corners: int, inner: float = 1.0) -> list[Point]:
    """Returns a polygon on the unit circle, every other corner at `inner`; the first one on top."""
    steps = corners if inner == 1.0 else 2 * corners
    radii = [1.0 if i % 2 == 0 else inner for i in range(steps)] if inner != 1.0 else [1.0] * steps
    angles = [2 * math.pi * i / steps - math.pi / 2 for i in range(steps)]
    return [(r * math.cos(a), r * math.sin(a)) for r, a in zip(radii, angles, strict=True)]


def _heart() -> list[Point]:
    turns = [2 * math.pi * i / 40 for i in range(40)]
    return [
        (
            math.sin(t) ** 3,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16,
        )
        for t in turns
    ]


def _moon() -> list[Point]:
    outer = [(math.cos(a), math.sin(a)) for a in np.linspace(-2.2, 2.2, 30)]
    inner = [(0.62 * math.cos(a) - 0.45, 0.85 * math.sin(a)) for a in np.linspace(1.9, -1.9, 30)]
    return [(-x, y) for x, y in [*outer, *inner]]


def _boxes(*boxes: tuple[float, float, float, float]) -> list[list[Point]]:
    return [[(x, y), (w, y), (w, h), (x, h)] for x, y, w, h in boxes]


# Polygons on the square from -1 to 1, y downwards; "ring" has a hole instead.
SHAPES: dict[str, list[list[Point]]] = {
    "circle": [_regular(40)],
    "square": _boxes((-0.8, -0.8, 0.8, 0.8)),
    "triangle": [_regular(3)],
    "cross": _boxes((-0.3, -1, 0.3, 1), (-1, -0.3, 1, 0.3)),
    "star": [_regular(5, 0.4)],
    "heart": [_heart()],
    "moon": [_moon()],
    "ring": [_regular(40)],
    "arrow": [
        [(-1, -0.28), (0.1, -0.28), (0.1, -0.85), (1, 0), (0.1, 0.85), (0.1, 0.28), (-1, 0.28)]
    ],
    "bars": _boxes((-0.9, -1, -0.5, 1), (-0.2, -1, 0.2, 1), (0.5, -1, 0.9, 1)),
    "bolt": [[(0.3, -1), (-0.7, 0.2), (-0.1, 0.2), (-0.4, 1), (0.7, -0.25), (0.1, -0.25)]],
    "house": [
        [
            (0, -1),
            (0.95, -0.15),
            (0.7, -0.15),
            (0.7, 0.9),
            (-0.7, 0.9),
            (-0.7, -0.15),
            (-0.95, -0.15),
        ]
    ],
}


@dataclass(frozen=True, slots=True)
class Thing:
    """What a picture shows."""

    colour: str
    shape: str

    def __str__(self) -> str:
        return f"{self.colour} {self.shape}"


THINGS = [Thing(colour, shape) for shape in SHAPES for colour in COLOURS]


def draw(thing: Thing, rng: random.Random) -> Image.Image:
    """Returns one of the countless pictures of a thing, RGB, SIDE x SIDE."""
    shade = rng.randrange(120, 256)
    ground = tuple(max(0, min(255, shade + rng.randrange(-12, 13))) for _ in range(3))
    canvas = Image.new("RGB", (SIDE * SCALE, SIDE * SCALE), ground)
    pen = ImageDraw.Draw(canvas)
    radius = SIDE * SCALE * rng.uniform(0.36, 0.45)
    room = SIDE * SCALE / 2 - radius
    centre = tuple(SIDE * SCALE / 2 + rng.uniform(-room, room) for _ in range(2))
    turn = rng.uniform(-0.12, 0.12)
    colour = tuple(max(0, min(255, c + rng.randrange(-18, 19))) for c in COLOURS[thing.colour])
    place = _placed(centre, radius, turn)
    for polygon in SHAPES[thing.shape]:
        pen.polygon([place(point) for point in polygon], fill=colour)
    if thing.shape == "ring":
        pen.polygon([place((0.55 * x, 0.55 * y)) for x, y in SHAPES["ring"][0]], fill=ground)
    small = np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64)
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(2, 10), small.shape)
    return Image.fromarray(np.clip(small + noise, 0, 255).round().astype(np.uint8))


def _placed(centre: Sequence[float], radius: float, turn: float) -> Callable[[Point], Point]:
    cos, sin = math.cos(turn), math.sin(turn)

    def place(point: Point) -> Point:
        x, y = point
        return (
            centre[0] + radius * (x * cos - y * sin),
            centre[1] + radius * (x * sin + y * cos),
        )

    return place


def encoded(image: Image.Image, quality: int = 88) -> bytes:
    """Returns the picture as a JPEG."""
    out = BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()
