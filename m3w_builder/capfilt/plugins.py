"""What captions and matches: two small protocols, found by name, their answers held to the contract.

A plug-in is named "package.module:name", with arguments "?key=value&key=value" that `name` is called with, as strings.
Making one is cheap: it says which model it is. `load` reads the weights; it is called once per process, where the model
runs, and `caption` and `match` only after it. Images come as PIL pictures in RGB. The same input must give the same
answer; which images share a call depends on the data alone, never on the workers.
"""

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from numbers import Real
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qsl

from PIL.Image import Image

from m3w_builder.config import CapfiltConfig
from m3w_builder.errors import ConfigError

DECIMALS = 6  # of a score: the last bits of a float differ between machines


@dataclass(frozen=True, slots=True)
class Settings:
    """How captions are drawn."""

    captions: int  # an image
    top_p: float  # nucleus, (0, 1]; 1 draws from all words
    temperature: float
    prompt: str
    min_length: int  # tokens of the captioner, its prompt left out
    max_length: int


class Model(Protocol):
    """What every plug-in has."""

    @property
    def model_id(self) -> str:
        """Name and version of the model: it stands beside every text and score."""

    @property
    def checkpoint(self) -> str:
        """A digest of the weights, "" where there are none."""

    def load(self) -> None:
        """Makes the model ready, on the device of its choice."""


class Captioner(Model, Protocol):
    """Writes captions."""

    def caption(
        self, images: Sequence[Image], settings: Settings, seeds: Sequence[int]
    ) -> Sequence[Sequence[str]]:
        """Returns `settings.captions` texts per image, without the prompt, drawn by its seed (32 bits)."""


class Matcher(Model, Protocol):
    """Scores how well texts fit images."""

    def match(self, images: Sequence[Image], texts: Sequence[str]) -> Sequence[float]:
        """Returns a number for each pair (images[i], texts[i]): the higher, the better the text fits."""


@dataclass(frozen=True)  # without slots: Beam keeps a weak reference
class Models:
    """The plug-ins of a configuration; None for one that it does not name."""

    captioner: Captioner | None
    matcher: Matcher | None

    def load(self) -> "Models":
        """Returns the plug-ins, ready."""
        for model in (self.captioner, self.matcher):
            if model:
                model.load()
        return self

    def ids(self) -> dict[str, dict[str, str]]:
        """Returns what each plug-in says it is."""
        return {
            name: {"model_id": model.model_id, "checkpoint": model.checkpoint}
            for name, model in (("captioner", self.captioner), ("matcher", self.matcher))
            if model
        }

    def warnings(self) -> list[str]:
        """Returns what a user should know of this choice of models, a line each."""
        one, other = self.captioner, self.matcher
        if not one or not other:
            return []
        same = one.model_id == other.model_id
        if not same and not (one.checkpoint and one.checkpoint == other.checkpoint):
            return []
        return [
            f"captioner and matcher are one model ({one.model_id}): it hardly rejects what it wrote itself (BLIP, "
            "Table 4: 8 % of the captions instead of 25 %, and worse results)"
        ]


def models(config: CapfiltConfig) -> Models:
    """Returns the plug-ins of a configuration, not loaded; raises ConfigError for one that is none."""
    captioner = plugin(config.captioner, "caption") if config.captioner else None
    matcher = plugin(config.matcher, "match") if config.matcher else None
    return Models(captioner, matcher)


@cache
def loaded(config: CapfiltConfig) -> Models:
    """Returns the plug-ins of a configuration, loaded: once per process, whoever asks."""
    return models(config).load()


def plugin(called: str, verb: str) -> Any:
    """Returns what "package.module:name?key=value" makes, which can `verb` (caption or match)."""
    name, _, query = called.partition("?")
    factory = _imported(name)
    try:
        arguments = dict(parse_qsl(query, strict_parsing=True, keep_blank_values=True))
        inspect.signature(factory).bind(**arguments)
    except (ValueError, TypeError) as error:
        wanted = ", ".join(_parameters(factory)) or "none"
        raise ConfigError(f"{called}: expected arguments among: {wanted}; {error}") from error
    made = factory(**arguments)
    missing = [
        attribute
        for attribute, kind in (("model_id", str), ("checkpoint", str))
        if not isinstance(getattr(made, attribute, None), kind)
    ] + [method for method in ("load", verb) if not callable(getattr(made, method, None))]
    if missing:
        raise ConfigError(
            f"{called}: expected model_id, checkpoint (text), load() and {verb}(), found no {missing[0]}"
        )
    return made


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{name}: expected an importable package.module:name: {error}") from error
    if not callable(found):
        raise ConfigError(f"{name}: expected a class or function, found {type(found).__name__}")
    return found


def _parameters(factory: Any) -> list[str]:
    try:
        return list(inspect.signature(factory).parameters)
    except ValueError:  # of a class in C
        return []


def captions(
    captioner: Captioner, images: Sequence[Image], settings: Settings, seeds: Sequence[int]
) -> list[list[str]]:
    """Returns the captions of each image; raises ConfigError for an answer that is none."""
    answer = [
        list(_listed(captioner, "texts", texts))
        for texts in _counted(
            captioner, "lists of captions", captioner.caption(images, settings, seeds), len(images)
        )
    ]
    for texts in answer:
        _counted(captioner, "captions an image", texts, settings.captions)
        for text in texts:
            if not isinstance(text, str):
                raise _wrong(captioner, "captions as text", repr(text))
    return answer


def matches(matcher: Matcher, images: Sequence[Image], texts: Sequence[str]) -> list[float]:
    """Returns the score of each pair, rounded; raises ConfigError for an answer that is none."""
    answer = _counted(matcher, "scores", matcher.match(images, texts), len(images))
    scores: list[float] = []
    for value in answer:
        if not isinstance(value, Real) or not math.isfinite(value):
            raise _wrong(matcher, "finite numbers as scores", repr(value))
        scores.append(round(float(value), DECIMALS))
    return scores


_T = TypeVar("_T")


def _counted(model: Model, what: str, found: Sequence[_T], count: int) -> Sequence[_T]:
    if len(_listed(model, what, found)) != count:
        raise _wrong(model, f"{count} {what}", str(len(found)))
    return found


def _listed(model: Model, what: str, found: Sequence[_T]) -> Sequence[_T]:
    """Returns what is a sequence; a text is one, too, but of letters."""
    if isinstance(found, str) or not hasattr(found, "__len__"):
        raise _wrong(model, f"a list of {what}", type(found).__name__)
    return found


def _wrong(model: Model, expected: str, found: str) -> ConfigError:
    return ConfigError(f"capfilt: {model.model_id}: expected {expected}, found {found[:80]}")


def settings_of(config: CapfiltConfig) -> Settings:
    """Returns how a configuration wants its captions."""
    return Settings(
        **{name: getattr(config, name) for name in Settings.__dataclass_fields__}  # one spelling
    )


def told(config: CapfiltConfig, operator: str) -> Mapping[str, Any]:
    """Returns the settings that stand beside the results of an operator."""
    common = {"side": config.side, "normalise": config.normalise}
    return {**asdict(settings_of(config)), **common} if operator == "caption" else common
