"""The frozen vision encoder: `load(config)` gives one of any source, `save` writes one of ours.

builtin              a small ViT, random until `contrastive` has trained it
timm:NAME            any timm model, dm_nfnet_f6 included
open_clip:NAME       the visual tower of an open_clip model
efficientnet-lite0   ImageNet features that install from PyPI
FOLDER               a vision model of transformers, or what `m3w contrast` wrote
"""

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from m3w_builder.errors import ConfigError, TrainError
from m3w_builder.files import write_text
from m3w_builder.flamingo.config import Vision
from m3w_builder.flamingo.tensors import write_tensors
from m3w_builder.flamingo.vision import backends
from m3w_builder.flamingo.vision.encoder import Encoder
from m3w_builder.flamingo.vision.vit import ViT

__all__ = ["Encoder", "load", "save"]

FORMAT = "m3w-vision/1"
CONFIG, WEIGHTS = "vision.json", "vision.safetensors"


def load(vision: Vision) -> Encoder:
    """Returns the encoder of a configuration, frozen and in evaluation mode; raises TrainError."""
    return build(vision).eval().requires_grad_(False)


def build(vision: Vision) -> Encoder:
    """Returns the encoder of a configuration, to be trained or frozen; raises TrainError."""
    library, _, name = vision.source.partition(":")
    if vision.source == "builtin":
        if vision.weights:
            raise TrainError(
                f"vision.weights: expected none for the builtin encoder, found {vision.weights!r}:"
                " name the folder of a trained one as vision.source"
            )
        return ViT(
            size=vision.image,
            patch=vision.patch,
            dim=vision.dim,
            layers=vision.layers,
            heads=vision.heads,
        )
    if library == "timm":
        return backends.timm(name, vision)
    if library == "open_clip":
        return backends.open_clip(name, vision)
    if vision.source == backends.LITE:
        return backends.lite(vision)
    path = Path(vision.source)
    if not path.is_dir():
        raise TrainError(
            "vision.source: expected builtin, timm:NAME, open_clip:NAME, efficientnet-lite0 or a"
            f" folder, found {vision.source!r}"
        )
    return _read(path, vision.image) if (path / CONFIG).is_file() else backends.folder(path, vision)


def save(folder: Path, encoder: Encoder, vision: Vision) -> None:
    """Writes the encoder and the configuration that `build` makes its like from."""
    tensors = {name: tensor.cpu() for name, tensor in encoder.state_dict().items()}
    write_tensors(folder / WEIGHTS, tensors)
    table = {"format": FORMAT, "vision": vision.model_dump(mode="json")}
    write_text(folder / CONFIG, json.dumps(table, indent=2) + "\n")


def _read(folder: Path, size: int) -> Encoder:
    """Returns a saved encoder for pictures of `size` pixels; raises TrainError."""
    try:
        table = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if table.get("format") != FORMAT:
            raise TrainError(f"{folder}: expected format {FORMAT}, found {table.get('format')}")
        vision = Vision.model_validate_json(json.dumps(table["vision"]))
        # The builtin's places fit any size by themselves; other models are built for one.
        image = vision.image if vision.source == "builtin" else size
        encoder = build(vision.model_copy(update={"weights": "", "image": image}))
        encoder.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, ConfigError) as error:
        raise TrainError(f"{folder}: expected an encoder of m3w contrast: {error}") from error
    encoder.size = size
    return encoder
