"""A captioner and a matcher without weights, for tests and demonstrations: they see colours, light and shape.

Toys, by no means models: their captions say nothing that is worth training on. But they look at the picture, draw by
nucleus sampling and keep to the contract, so that the whole path runs without a download.
"""

import random
import re
from collections.abc import Mapping, Sequence

import numpy as np
from PIL.Image import Image, Resampling

from m3w_builder.capfilt.plugins import Settings

SIDE = 32  # pixels: what they see of an image
VISIBLE = 0.05  # share of the pixels from which a colour is seen
DARK, BRIGHT = 85, 170  # mean grey level, below and above
OBLONG = 1.2  # longer over shorter side
COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "red": (200, 30, 30),
    "orange": (240, 140, 30),
    "yellow": (240, 220, 60),
    "green": (50, 140, 60),
    "blue": (50, 90, 190),
    "purple": (130, 50, 150),
    "pink": (240, 150, 180),
    "brown": (120, 75, 40),
}
LIGHT = ("dark", "bright")
SHAPES = ("wide", "tall", "square")


def colours(image: Image) -> dict[str, float]:
    """Returns the share of the pixels (0 to 1) whose nearest colour each is, the largest first."""
    small = np.asarray(image.convert("RGB").resize((SIDE, SIDE), Resampling.BOX), dtype=np.int64)
    named = np.array(list(COLOURS.values()))  # [C, 3]
    distance = ((small.reshape(-1, 1, 3) - named) ** 2).sum(axis=-1)  # [SIDE ** 2, C]
    counts = np.bincount(distance.argmin(axis=-1), minlength=len(named))
    shares = {name: float(n) / SIDE**2 for name, n in zip(COLOURS, counts, strict=True) if n}
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def light(image: Image) -> str:
    """Returns dark, bright, or "" for what is neither."""
    mean = np.asarray(image.convert("L").resize((SIDE, SIDE), Resampling.BOX)).mean()
    return "dark" if mean < DARK else "bright" if mean > BRIGHT else ""


def outline(image: Image) -> str:
    """Returns wide, tall or square."""
    ratio = image.width / image.height
    return "wide" if ratio > OBLONG else "tall" if ratio < 1 / OBLONG else "square"


class Captioner:
    """Names colours of an image, drawn by their shares; its tokens are words."""

    model_id = "m3w-toy-captioner/1"
    checkpoint = ""

    def load(self) -> None:
        """Has nothing to load."""

    def caption(
        self, images: Sequence[Image], settings: Settings, seeds: Sequence[int]
    ) -> list[list[str]]:
        """Returns captions such as "a dark wide scene in green and brown"."""
        return [_captions(*pair, settings) for pair in zip(images, seeds, strict=True)]


def _captions(image: Image, seed: int, settings: Settings) -> list[str]:
    draws, shares = random.Random(seed), colours(image)
    start = ["a", light(image), outline(image), "scene", "in"]
    return [
        " ".join(_sentence([word for word in start if word], shares, settings, draws))
        for _ in range(settings.captions)
    ]


def _sentence(
    start: list[str], shares: Mapping[str, float], settings: Settings, draws: random.Random
) -> list[str]:
    """Returns the words of one caption: colours without repetition, one more with even chance."""
    left, words = dict(shares), [*start]
    while left:
        name = _nucleus(left, settings, draws)
        del left[name]
        words += [name, "and"]
        if len(words) > settings.min_length and draws.random() < 0.5:
            break
    return words[:-1][: settings.max_length]


def _nucleus(weights: Mapping[str, float], settings: Settings, draws: random.Random) -> str:
    """Returns a word: one of the most likely that together have probability top_p."""
    flat = {word: weight ** (1 / settings.temperature) for word, weight in weights.items()}
    ordered = sorted(flat, key=lambda word: (-flat[word], word))
    kept: list[str] = []
    for word in ordered:
        kept.append(word)
        if sum(flat[w] for w in kept) >= settings.top_p * sum(flat.values()):
            break
    return draws.choices(kept, [flat[word] for word in kept])[0]


class Matcher:
    """Scores 0 to 1: the share of the words about colour, light and shape in a text that are true; 0.5 without any."""

    model_id = "m3w-toy-matcher/1"
    checkpoint = ""

    def load(self) -> None:
        """Has nothing to load."""

    def match(self, images: Sequence[Image], texts: Sequence[str]) -> list[float]:
        """Returns a score for each pair."""
        return [_match(*pair) for pair in zip(images, texts, strict=True)]


def _match(image: Image, text: str) -> float:
    words = re.findall(r"[a-z]+", text.lower().replace("gray", "grey"))
    checked = [word for word in words if word in COLOURS or word in LIGHT or word in SHAPES]
    if not checked:
        return 0.5
    shares = colours(image)
    true = {name for name, share in shares.items() if share >= VISIBLE}
    true |= {light(image), outline(image)}
    return sum(word in true for word in checked) / len(checked)
