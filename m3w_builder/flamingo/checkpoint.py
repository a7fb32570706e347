"""A finished run on disk: config.json, flamingo.safetensors (learnt), lm.safetensors (frozen).

The learnt part is separate, so that it can be shared without the LM it sits in. config.json is
written last: where it is, the run is whole.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as encoded
from torch import Tensor

from m3w_builder import __version__
from m3w_builder.errors import TrainError
from m3w_builder.files import atomic, write_text
from m3w_builder.flamingo.examples import Choices
from m3w_builder.flamingo.model import Flamingo, language_model
from m3w_builder.flamingo.presets import Preset, Recipe, Shape

FORMAT = "m3w-flamingo/1"
CONFIG, LEARNT, LM = "config.json", "flamingo.safetensors", "lm.safetensors"


def save(folder: Path, model: Flamingo, preset: Preset, **notes: Any) -> None:
    """Writes the run; each file appears whole or not at all."""
    _save_tensors(folder / LEARNT, dict(model.trained()))
    _save_tensors(folder / LM, model.lm.state_dict())
    config = {"format": FORMAT, "m3w_builder": __version__, **asdict(preset), **notes}
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def load(folder: Path) -> tuple[Flamingo, Preset]:
    """Returns a finished run's model, in evaluation mode, and its preset; raises TrainError."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if config.get("format") != FORMAT:
            raise TrainError(f"{folder}: expected format {FORMAT}, found {config.get('format')}")
        parts = Shape(**config["shape"]), Recipe(**config["recipe"]), Choices(**config["choices"])
        preset = Preset(*parts)
        model = Flamingo(language_model(preset.shape), preset.shape)
        model.lm.load_state_dict(load_file(folder / LM))
        learnt = load_file(folder / LEARNT)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise TrainError(f"{folder}: expected a finished training run: {error}") from error
    _fill(model, learnt, folder)
    return model.eval(), preset


def _fill(model: Flamingo, learnt: dict[str, Tensor], folder: Path) -> None:
    own = dict(model.trained())
    if own.keys() != learnt.keys():
        odd = sorted(own.keys() ^ learnt.keys())[0]
        raise TrainError(f"{folder / LEARNT}: expected the learnt weights of its shape, odd: {odd}")
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(learnt[name])


def _save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(encoded({n: t.detach().contiguous() for n, t in tensors.items()}))
