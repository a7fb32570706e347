"""open_flamingo and flamingo-pytorch from PyPI, as they are, on the work that ours gets.

Both are old packages whose pins contradict today's torch; their model code runs. They are put, without
what they ask for, into a folder that only the benchmark looks into (`environment`); of their needs only
einops is missing here. open_flamingo's package imports open_clip for a function that is not called: an
empty module stands in for it. Nothing else is patched.

open_flamingo pads: every document has 6 image slots, every pair as many tokens as the longest (its
train/data.py), and the zero images go through the encoder, the Resampler and the keys. Its step is that
of its train_utils.py: pairs, then documents, the gradient of the whole embedding, zeroed but for two rows.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m3w_builder.flamingo.data.batch import Loaded

PACKAGES = (
    "open-flamingo==2.0.1",
    "flamingo-pytorch==0.1.2",
    "einops==0.8.2",
    "einops-exts==0.0.4",
)
SLOTS = 6  # images of a document (open_flamingo's MAX_NUM_IMAGES)
IGNORED = -100  # a label that does not count


class Unavailable(Exception):
    """A peer cannot run here; says why."""


def environment(folder: Path) -> None:
    """Makes the peers importable: from where they are, else installed into the folder."""
    if folder.exists() and str(folder) not in sys.path:
        sys.path.append(str(folder))
    if find_spec("open_flamingo") and find_spec("flamingo_pytorch"):
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    done = subprocess.run(
        [*command, str(folder), *PACKAGES], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise Unavailable(f"pip install {' '.join(PACKAGES)}: {lines[-1]}")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


@dataclass(frozen=True)
class Padded:
    """A batch as open_flamingo's collation makes it: B sequences of L tokens with T image slots."""

    ids: Tensor  # int64[B, L]
    attention: Tensor  # int64[B, L], 0 = padding
    labels: Tensor  # int64[B, L], IGNORED where predicting the token does not count
    frames: Tensor  # uint8[B, T, 1, 3, H, W], zero where there is no image

    def to(self, device: torch.device | str) -> "Padded":
        """Returns the batch on a device."""
        return Padded(*(tensor.to(device) for tensor in vars(self).values()))


def padded(loaded: Sequence[Loaded], slots: int, pad: int) -> Padded:
    """Returns the examples padded to the longest, their images to `slots`."""
    size = max(len(example.ids) for example, _ in loaded)
    ids = np.full((len(loaded), size), pad)
    labels, attention = np.full_like(ids, IGNORED), np.zeros_like(ids)
    side = loaded[0][1][0][0].shape[0]
    frames = np.zeros((len(loaded), slots, 1, side, side, 3), dtype=np.uint8)
    for row, (example, images) in enumerate(loaded):
        here = slice(0, len(example.ids))
        ids[row, here], attention[row, here] = example.ids, 1
        labels[row, here] = np.where(example.loss, example.ids, IGNORED)
        for slot, (picture,) in enumerate(images):
            frames[row, slot, 0] = picture
    arrays = (ids, attention, labels, np.ascontiguousarray(frames.transpose(0, 1, 2, 5, 3, 4)))
    return Padded(*map(torch.from_numpy, arrays))


class Visual(nn.Module):
    """Our encoder under the name and with the answer that open_flamingo expects of open_clip's."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, frames: Tensor) -> tuple[None, Tensor]:
        return None, self.encoder(frames.permute(0, 2, 3, 1))  # [F, 3, H, W] -> [F, S, width]


def open_flamingo(lm: nn.Module, encoder: nn.Module, *, eoc: int, image: int, every: int) -> Any:
    """Returns open_flamingo's model over a Llama (with rows for both tokens) and an encoder.

    What is trained is what its factory says: Resampler, cross-attention and input embeddings.
    """
    with _standing_in("open_clip"):
        flamingo, flamingo_lm, utils = (
            import_module(f"open_flamingo.src.{name}")
            for name in ("flamingo", "flamingo_lm", "utils")
        )
    utils.extend_instance(lm, flamingo_lm.FlamingoLMMixin)
    language: Any = lm
    language.set_decoder_layers_attr_name("model.layers")
    visual = SimpleNamespace(visual=Visual(encoder))
    width = int(getattr(encoder, "width"))  # noqa: B009 (any encoder)
    model = flamingo.Flamingo(visual, language, eoc, image, width, every)
    model.requires_grad_(False)
    model.perceiver.requires_grad_(True)
    model.lang_encoder.gated_cross_attn_layers.requires_grad_(True)
    model.lang_encoder.get_input_embeddings().requires_grad_(True)
    return model


@contextmanager
def _standing_in(name: str) -> Iterator[None]:
    """Lets an import of a module that is not needed pass, and leaves no trace of it."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = ModuleType(name)
    try:
        yield
    finally:
        del sys.modules[name]


def open_flamingo_step(
    model: Any, batches: Mapping[str, tuple[float, Padded]], rows: Sequence[int]
) -> dict[str, float]:
    """Accumulates the weighted gradients of each dataset; returns the bare losses."""
    losses = {}
    for name, (weight, batch) in batches.items():
        loss = model(batch.frames, batch.ids, batch.attention, batch.labels).loss
        losses[name] = loss.detach()
        (weight * loss).backward()
    gradient = model.lang_encoder.get_input_embeddings().weight.grad
    mask = torch.zeros_like(gradient)
    mask[list(rows)] = 1.0
    model.lang_encoder.get_input_embeddings().weight.grad = gradient * mask
    return {name: float(loss) for name, loss in losses.items()}


class Pictures(nn.Module):
    """Our encoder for flamingo-pytorch, whose loader is the caller's: [N, 3, H, W] -> [N, S, width]."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, frames: Tensor) -> Tensor:
        features: Tensor = self.encoder(frames.permute(0, 2, 3, 1))
        return features


def flamingo_pytorch(encoder: nn.Module, **sizes: int) -> Any:
    """Returns flamingo-pytorch's whole model, which has a decoder of its own (PaLM's)."""
    return import_module("flamingo_pytorch").FlamingoPaLM(img_encoder=Pictures(encoder), **sizes)


def flamingo_pytorch_step(model: Any, batch: Padded) -> float:
    """Runs one forward and backward pass; the package has no loss, so it is the plain one."""
    logits = model(batch.ids, images=batch.frames[:, :, 0])
    targets = batch.labels[:, 1:].flatten()
    loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), targets, ignore_index=IGNORED)
    loss.backward()
    return float(loss.detach())
