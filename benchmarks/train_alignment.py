"""Ours and open_flamingo's model as one function: the same sizes, the same weights, gradients by one name.

Ours gets open_flamingo's sizes (8 heads of 64 in Resampler and bridges, a Resampler of 6 layers and 64 latents)
and its GELU for our squared ReLU, by swapping the activation of our FeedForward modules. Our projection of the
features is the identity and our temporal embedding zero; open_flamingo has neither, and ours still spends the
time for both. `<image>` is one token of the frozen LM, and every weight is copied, the encoder's included.

The norms differ in how they are shared, not in what they compute: open_flamingo's Resampler norms latents once,
for queries and for keys, and media once at its end; ours norms each attention's context, as the paper says
(F1 3.1.2). Where these weights are equal it is the same function, and gradients of what is one parameter here
and several there are compared as sums. Left out is what the other does not learn: our projection, temporal
embedding and output row of <EOC>, their input row of `<image>`.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from benchmarks import flamingo_peers as peers
from benchmarks.train_work import Words
from m3w_builder.flamingo import lm as language
from m3w_builder.flamingo import vision
from m3w_builder.flamingo.config import Bridge, Language, Vision
from m3w_builder.flamingo.model import FeedForward, Flamingo
from m3w_builder.flamingo.vision import Encoder

OPEN_GATE = 0.5  # gates at 0 would hide the attention from loss and gradient
OPEN_FLAMINGO = {"heads": 8, "head": 64, "visual_layers": 6, "visual_heads": 8, "latents": 64}


@dataclass(frozen=True)
class Sizes:
    """The configuration of all models."""

    dim: int = 256  # of the LM
    layers: int = 4
    heads: int = 8
    vocabulary: int = 8187
    visual: int = (
        256  # of the encoder and of the Resampler, which open_flamingo does not tell apart
    )
    length: int = 256  # tokens of a document
    side: int = 224  # pixels
    patch: int = 32
    vision_layers: int = 6
    vision_heads: int = 4

    @property
    def words(self) -> Words:
        return Words(self.vocabulary)


class Given(Encoder):
    """Features that were computed before: what a step costs without its encoder."""

    table: Tensor  # [N, S, width]

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(width=sizes.visual, size=sizes.side)
        cells = (sizes.side // sizes.patch) ** 2
        self.register_buffer("table", torch.randn(64, cells, sizes.visual))

    def forward(self, frames: Tensor) -> Tensor:
        """Returns the features of the frames by their first pixel, so that a picture has its own."""
        return self.table[frames[:, 0, 0, 0].long() % len(self.table)]


def encoder(sizes: Sizes, *, given: bool) -> Encoder:
    """Returns the encoder of all models: the builtin ViT, or features given."""
    if given:
        return Given(sizes)
    shape = Vision(
        image=sizes.side,
        patch=sizes.patch,
        dim=sizes.visual,
        layers=sizes.vision_layers,
        heads=sizes.vision_heads,
    )
    return vision.load(shape)


def llama(sizes: Sizes, vocabulary: int) -> PreTrainedModel:
    """Returns the LM of transformers."""
    shape = Language(dim=sizes.dim, layers=sizes.layers, heads=sizes.heads)
    return language.builtin(shape, vocabulary)


def ours(sizes: Sizes, sees: Encoder) -> Flamingo:
    """Returns our model in open_flamingo's sizes and with its activation, gates open."""
    shape = Bridge(visual=sizes.visual, **OPEN_FLAMINGO)
    model = Flamingo(llama(sizes, sizes.vocabulary), copy.deepcopy(sees), shape)
    with torch.no_grad():
        model.resampler.project.weight.copy_(torch.eye(sizes.visual))
        model.resampler.times.zero_()
        for bridge in model.bridges:
            bridge.alpha_xattn.fill_(OPEN_GATE)
            bridge.alpha_dense.fill_(OPEN_GATE)
    for module in model.modules():
        if isinstance(module, FeedForward):
            module[2] = nn.GELU()
    return model


def theirs(sizes: Sizes, sees: Encoder, model: Flamingo) -> Any:
    """Returns open_flamingo's model, with our model's weights in it."""
    words = sizes.words
    lm = llama(sizes, words.size + 1)
    state = {
        name.replace(".known.", "."): weight  # what our wrappers hold
        for name, weight in model.lm.state_dict().items()
    }
    for name, eoc in (("model.embed_tokens", model.eoc_in), ("lm_head", model.eoc_out)):
        state[f"{name}.weight"] = torch.cat([state[f"{name}.weight"], eoc.detach()[None]])
    lm.load_state_dict(state)
    other = peers.open_flamingo(lm, copy.deepcopy(sees), eoc=words.eoc, image=words.image, every=1)
    with torch.no_grad():
        for mine, its in shared(model, other).values():
            value = mine[0].clone()
            if value.ndim == 1:  # norms start at 1 and 0, which would hide a mix-up
                value += 0.1 * torch.randn_like(value)
            for weight in (*mine, *its):
                weight.copy_(value.view_as(weight))
    return other


def shared(model: Flamingo, other: Any) -> dict[str, tuple[list[Tensor], list[Tensor]]]:
    """Returns what is learnt, ours and theirs under one name; several where one is shared more."""
    found: dict[str, tuple[list[Tensor], list[Tensor]]] = {
        "latents": ([model.resampler.latents], [other.perceiver.latents]),
    }

    def put(name: str, mine: Sequence[nn.Module], its: Sequence[nn.Module]) -> None:
        for part, _ in mine[0].named_parameters(recurse=False):
            rows = ([getattr(m, part) for m in mine], [getattr(m, part) for m in its])
            found[f"{name}.{part}"] = rows

    def attention(name: str, mine: Any, its: Any) -> None:
        for ours, theirs in (("q", "to_q"), ("kv", "to_kv"), ("out", "to_out")):
            put(f"{name}.{ours}", [getattr(mine, ours)], [getattr(its, theirs)])

    def feed_forward(name: str, mine: Any, its: Any) -> None:
        for part in (0, 1, 3):
            put(f"{name}.{part}", [mine[part]], [its[part]])

    for i, (layer, (attend, ffw)) in enumerate(
        zip(model.resampler.layers, other.perceiver.layers, strict=True)
    ):
        mine: Any = layer
        attention(f"resampler.{i}", mine.attention, attend)
        norms = [mine.attention.norm, mine.attention.norm_context]
        put(f"resampler.{i}.norms", norms, [attend.norm_media, attend.norm_latents])
        feed_forward(f"resampler.{i}.ffw", mine.ffw, ffw)
    blocks = other.lang_encoder.gated_cross_attn_layers
    for i, (bridge, block) in enumerate(zip(model.bridges, blocks, strict=True)):
        mine = bridge
        attention(f"bridge.{i}", mine.attention, block.attn)
        put(f"bridge.{i}.norm", [mine.attention.norm], [block.attn.norm])
        feed_forward(f"bridge.{i}.ffw", mine.ffw, block.ff)
        found[f"bridge.{i}.alpha_xattn"] = ([mine.alpha_xattn], [block.attn_gate])
        found[f"bridge.{i}.alpha_dense"] = ([mine.alpha_dense], [block.ff_gate])
    contexts: list[Any] = [bridge.attention.norm_context for bridge in model.bridges]  # type: ignore[union-attr]
    put("bridges.norm_context", contexts, [other.perceiver.norm])
    return found


def gradients(model: Flamingo, other: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Returns the gradients of both models by shared name, that of <EOC>'s embedding among them."""
    groups = shared(model, other)
    mine, its = (
        {
            name: torch.stack([weight.grad.flatten() for weight in group[side]]).sum(0)
            for name, group in groups.items()
        }
        for side in (0, 1)
    )
    words = other.lang_encoder.get_input_embeddings().weight.grad
    mine["eoc"], its["eoc"] = model.eoc_in.grad, words[model.size]
    return mine, its


def apart(mine: Mapping[str, Tensor], its: Mapping[str, Tensor]) -> float:
    """Returns the L2 norm of the difference over that of theirs, all gradients as one vector."""
    difference = sum(float((mine[name] - its[name]).square().sum()) for name in its)
    return float((difference / sum(float(g.square().sum()) for g in its.values())) ** 0.5)
