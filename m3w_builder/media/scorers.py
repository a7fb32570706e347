"""Scorers of the user's choice: functions from a PIL image (RGB, small) to named numbers.

`fetch.safety` and `fetch.image_scores` name them as "package.module:function". A function is imported
when the first image needs it, once per process, and sees each image once. It must give the same
numbers for the same pixels, and keep to one thread: a worker runs on every core.
"""

import math
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module

from PIL import Image

from m3w_builder.config import FetchConfig
from m3w_builder.errors import ConfigError

Scorer = Callable[[Image.Image], Mapping[str, float]]

OPENNSFW = "m3w_builder.media.safety:nsfw"
SIDE = 256  # pixels: a scorer's image is scaled down 8, 4 or 2 times, but no side below this
DECIMALS = 4


def scorers(config: FetchConfig) -> tuple[Scorer, ...]:
    """Returns the functions that a configuration names; raises ConfigError for one that is none."""
    safety = {"off": (), "opennsfw": (OPENNSFW,)}.get(config.safety, (config.safety,))
    return tuple(scorer(name) for name in (*safety, *config.image_scores))


@cache
def scorer(name: str) -> Scorer:
    """Returns the function "package.module:function", imported now."""
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{name}: expected an importable package.module:function: {error}"
        ) from error
    if not callable(found):
        raise ConfigError(f"{name}: expected a function, found {type(found).__name__}")
    return _checked(name, found)


def _checked(name: str, function: Scorer) -> Scorer:
    """Returns the function with its answers held to the contract, rounded."""

    def score(image: Image.Image) -> dict[str, float]:
        found = function(image)
        for key, value in found.items():
            if not (
                isinstance(key, str) and isinstance(value, int | float) and math.isfinite(value)
            ):
                raise ConfigError(
                    f"{name}: expected names with finite numbers, found {key}: {value}"
                )
        return {key: round(float(value), DECIMALS) for key, value in found.items()}

    return score
