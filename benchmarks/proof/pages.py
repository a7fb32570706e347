"""The pages of the proof's site: what each kind of page shows and says, before it is HTML.

gallery   pictures with alternative texts, no text of their own: image-text pairs
story     pictures, each with its caption below it
naming    pictures of two or three shapes, each with the made-up name the shape has on this page
asking    three pictures in a row, then what the first or the last of them shows
film      a clip that changes half-way from one shape to another, and a line that says so
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.proof.drawings import COLOURS, SHAPES, Thing

PageKind = Literal["gallery", "story", "naming", "asking", "film"]

# Shapes that no naming page ever names: the few-shot task is about them alone.
UNNAMED = ("moon", "arrow", "house", "bolt")
NAMED = tuple(shape for shape in SHAPES if shape not in UNNAMED)

PEOPLE = ("Anna", "Tom", "Lea", "Max", "Ida", "Ben", "Eva", "Jan", "Mia", "Leo", "Zoe", "Kim")
PLACES = ("Paris", "Rome", "Oslo", "Bern", "Lima", "Cairo", "Kyoto", "Delhi", "Quito", "Turin")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _syllables() -> list[str]:
    """Returns names of three letters that are no words of the site, in an order without a pattern."""
    names = [a + b + c for a in "bdfgklmprtvwz" for b in "aeiou" for c in "bdfgkmnpx"]
    random.Random("names").shuffle(names)
    return names


NAMES = tuple(_syllables()[:64])  # on naming pages
NEW_NAMES = tuple(
    _syllables()[64:96]
)  # on no page: the LM alone reads them, in text without pictures


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing of a thing; `alt` makes it a pair."""

    thing: Thing
    alt: str = ""


@dataclass(frozen=True, slots=True)
class Clip:
    """A video of one second a thing."""

    things: tuple[Thing, ...]
    caption: str


Node = str | Picture | Clip


@dataclass(frozen=True, slots=True)
class Page:
    kind: PageKind
    nodes: tuple[Node, ...]


def caption(thing: Thing) -> str:
    return f"a {thing}"


def pages(kind: PageKind, rng: random.Random) -> Iterator[Page]:
    """Yields pages of a kind for ever."""
    make = {
        "gallery": _gallery,
        "story": _story,
        "naming": _naming,
        "asking": _asking,
        "film": _film,
    }[kind]
    while True:
        yield Page(kind, tuple(make(rng)))


def thing(rng: random.Random, shapes: Sequence[str] = tuple(SHAPES)) -> Thing:
    return Thing(rng.choice(list(COLOURS)), rng.choice(shapes))


def opening(rng: random.Random) -> str:
    """Returns a sentence that tells nothing about the pictures below it."""
    return f"{rng.choice(PEOPLE)} was in {rng.choice(PLACES)} on {rng.choice(DAYS)}."


def _gallery(rng: random.Random, size: int = 12) -> Iterator[Node]:
    for _ in range(size):
        shown = thing(rng)
        yield Picture(shown, alt=caption(shown))


def _story(rng: random.Random) -> Iterator[Node]:
    yield opening(rng)
    for _ in range(rng.randint(2, 4)):
        shown = thing(rng)
        yield Picture(shown)
        yield caption(shown)


def _naming(rng: random.Random, size: int = 5) -> Iterator[Node]:
    shapes = rng.sample(NAMED, rng.randint(2, 3))
    names = dict(zip(shapes, rng.sample(NAMES, len(shapes)), strict=True))
    shown = [*shapes, *rng.choices(shapes, k=size - len(shapes))]
    rng.shuffle(shown)
    for shape in shown:
        yield Picture(thing(rng, [shape]))
        yield names[shape]


def _asking(rng: random.Random, size: int = 3) -> Iterator[Node]:
    shapes = rng.sample(list(SHAPES), size)
    yield opening(rng)
    for shape in shapes:
        yield Picture(thing(rng, [shape]))
    yield rng.choice([f"first {shapes[0]}", f"last {shapes[-1]}"])


def _film(rng: random.Random, seconds: int = 4) -> Iterator[Node]:
    before, after = (
        Thing(rng.choice(list(COLOURS)), shape) for shape in rng.sample(list(SHAPES), 2)
    )
    things = (before,) * (seconds // 2) + (after,) * (seconds - seconds // 2)
    yield Clip(things, f"first {before.shape} last {after.shape}")
