"""What an evaluation needs of a model, and a trained Flamingo as such."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from m3w_builder.flamingo import generate
from m3w_builder.flamingo.config import Run
from m3w_builder.flamingo.data.batch import Pixels
from m3w_builder.flamingo.data.tokens import Tokenizer
from m3w_builder.flamingo.evaluation.prompts import Switch
from m3w_builder.flamingo.generate import Prompt
from m3w_builder.flamingo.model import Flamingo

FRAMES_AT_ONCE = 64  # that go through the encoder together


class Subject(Protocol):
    """A model under evaluation."""

    @property
    def tokenizer(self) -> Tokenizer: ...
    @property
    def size(self) -> int: ...  # pixels, side of a frame
    @property
    def colour(self) -> Sequence[float]: ...  # RGB in 0..1, of padding
    @property
    def switch(self) -> Switch: ...  # which token of a tag switches phi
    @property
    def context(self) -> int | None: ...  # tokens the LM takes, None for any number
    @property
    def digest(self) -> str: ...  # of what was learnt
    @property
    def encoder(self) -> str: ...  # digest of the frozen encoder

    def see(self, media: Sequence[Sequence[Pixels]]) -> list[Tensor]:
        """Returns what the model sees of each medium's frames: [R, V]."""
        ...

    def pooled(self, media: Sequence[Sequence[Pixels]]) -> Tensor:
        """Returns the encoder's features: float32[M, width], averaged over space and frames, of length 1."""
        ...

    def generate(self, prompts: Sequence[Prompt], *, beams: int, limit: int) -> list[str]:
        """Returns the text after each prompt, up to <EOC> or `limit` tokens."""
        ...

    def likelihood(self, prompt: Prompt, continuations: Sequence[Sequence[int]]) -> list[float]:
        """Returns the log-probability of each continuation, in nats."""
        ...


@dataclass(frozen=True)
class Trained:
    """A finished run under evaluation."""

    model: Flamingo
    tokenizer: Tokenizer
    run: Run

    @property
    def size(self) -> int:
        return self.model.vision.size

    @property
    def colour(self) -> Sequence[float]:
        return self.model.vision.mean

    @property
    def switch(self) -> Switch:
        return self.run.examples.switch

    @property
    def context(self) -> int | None:
        return getattr(self.model.lm.config, "max_position_embeddings", None)

    @cached_property
    def digest(self) -> str:
        return digest((name, weight.detach()) for name, weight in self.model.trained())

    @cached_property
    def encoder(self) -> str:
        return digest(self.model.vision.state_dict().items())

    @torch.no_grad()
    def see(self, media: Sequence[Sequence[Pixels]]) -> list[Tensor]:
        seen = list[Tensor]()
        for part in _portions(media):
            with self._precision():
                seen += self.model.see(self._frames(part), [len(frames) for frames in part])
        return seen

    @torch.no_grad()
    def pooled(self, media: Sequence[Sequence[Pixels]]) -> Tensor:
        found = list[Tensor]()
        for part in _portions(media):
            with self._precision():
                each = self.model.vision.pooled(self._frames(part)).float()
            clips = torch.split(each, [len(frames) for frames in part])
            found += [clip.mean(0) for clip in clips]
        vectors = torch.stack(found).cpu()
        length = vectors.norm(dim=-1, keepdim=True).clamp(min=torch.finfo().tiny)
        unit: Tensor = vectors / length
        return unit

    def generate(self, prompts: Sequence[Prompt], *, beams: int, limit: int) -> list[str]:
        with self._precision():
            return generate.generate(self.model, self.tokenizer, prompts, beams=beams, limit=limit)

    def likelihood(self, prompt: Prompt, continuations: Sequence[Sequence[int]]) -> list[float]:
        with self._precision():
            return generate.likelihood(self.model, prompt, continuations)

    def _frames(self, media: Sequence[Sequence[Pixels]]) -> Tensor:
        flat = np.stack([frame for frames in media for frame in frames])
        return torch.from_numpy(flat).to(self.model.device)

    def _precision(self) -> torch.autocast:
        bf16 = self.run.train.precision == "bf16"
        return torch.autocast(self.model.device.type, torch.bfloat16, enabled=bf16)


def digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Returns the sha256 of named tensors: names, types, shapes and values, in the order of the names."""
    found = sha256()
    for name, tensor in sorted(tensors, key=lambda pair: pair[0]):
        found.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _portions(media: Sequence[Sequence[Pixels]]) -> Iterable[list[Sequence[Pixels]]]:
    """Yields runs of media of at most FRAMES_AT_ONCE frames together, at least one each."""
    part = list[Sequence[Pixels]]()
    for frames in media:
        if part and sum(map(len, part)) + len(frames) > FRAMES_AT_ONCE:
            yield part
            part = []
        part.append(frames)
    if part:
        yield part
