"""Flamingo: a Perceiver Resampler and gated cross-attention bridge a frozen encoder and a frozen LM.

The LM's own forward runs; before its blocks 0, every, 2 every, ... a bridge adds what the token sees.
Only the images that exist are computed, and only for the text that looks at them: tokens are gathered
by image (`segments`), so a token with phi = 0 has no attention to compute and gets exactly 0.

    B rows of L tokens, D their width           M media in the batch, T frames each, S cells a frame
    R latents of width V per medium             Q the longest run of text that looks at one medium
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint
from transformers import GenerationConfig, PreTrainedModel

from m3w_builder.errors import TrainError
from m3w_builder.flamingo.attention import Attention, Keys, Looking, first_seen
from m3w_builder.flamingo.config import Bridge
from m3w_builder.flamingo.packing import looks_ahead, packs, reach, together
from m3w_builder.flamingo.vision import Encoder


class FeedForward(nn.Sequential):
    """Pre-norm feed-forward of hidden width 4 D with squared ReLU (F2 A.1.4)."""

    def __init__(self, dim: int) -> None:
        norm, wide = nn.LayerNorm(dim), nn.Linear(dim, 4 * dim, bias=False)
        super().__init__(norm, wide, SquaredReLU(), nn.Linear(4 * dim, dim, bias=False))


class SquaredReLU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x).square()


class Resampler(nn.Module):
    """T x S visual features of a medium -> R latents, whatever T and S are (F1 Fig. 4)."""

    def __init__(self, features: int, shape: Bridge) -> None:
        super().__init__()
        dim = shape.visual
        self.project = nn.Linear(features, dim, bias=False)
        self.times = nn.Parameter(torch.randn(shape.times, dim) * 0.02)
        self.latents = nn.Parameter(torch.randn(shape.latents, dim) * 0.02)
        self.layers = nn.ModuleList(ResamplerLayer(shape) for _ in range(shape.visual_layers))

    def forward(self, features: Tensor) -> Tensor:
        x_f = self.project(features)  # [M, T, S, V]
        x_f = x_f + temporal(self.times, x_f.shape[1])[:, None].to(x_f.dtype)
        x_f = x_f.flatten(1, 2)  # [M, T * S, V]
        x = self.latents.to(x_f.dtype).expand(len(x_f), -1, -1)
        for layer in self.layers:
            x = layer(x, x_f)
        return x  # [M, R, V]


class ResamplerLayer(nn.Module):
    """The latents x attend to the features and to themselves: [M, R, V] -> [M, R, V]."""

    def __init__(self, shape: Bridge) -> None:
        super().__init__()
        dim = shape.visual
        self.attention = Attention(dim, dim, heads=shape.visual_heads, head=shape.head)
        self.ffw = FeedForward(dim)

    def forward(self, x: Tensor, x_f: Tensor) -> Tensor:
        x = x + self.attention(x, torch.cat([x_f, x], dim=1))
        ffw: Tensor = self.ffw(x)
        return x + ffw


def temporal(times: Tensor, frames: int) -> Tensor:
    """Returns the embeddings of `frames` frames: [8, V] -> [T, V].

    A longer video stretches the learnt ones linearly (F2 B.1.2: 8 frames in training, 30 in
    evaluation); a shorter one, or an image, takes the first T: frame t is second t of a clip.
    """
    if frames <= len(times):
        return times[:frames]
    stretched = F.interpolate(times.T[None], size=frames, mode="linear", align_corners=True)
    return stretched[0].T


class GatedCrossAttention(nn.Module):
    """GATED XATTN-DENSE (F1 Fig. 5): two tanh gates at 0, so that at first it changes nothing."""

    def __init__(self, dim: int, shape: Bridge) -> None:
        super().__init__()
        self.gated = shape.gated
        self.attention = Attention(dim, shape.visual, heads=shape.heads, head=shape.head)
        self.ffw = FeedForward(dim)
        # Of one element, not of none: FSDP2 shards no scalars.
        self.alpha_xattn = nn.Parameter(torch.zeros(1), requires_grad=shape.gated)
        self.alpha_dense = nn.Parameter(torch.zeros(1), requires_grad=shape.gated)

    def forward(self, y: Tensor, media: Tensor, looking: Looking) -> Tensor:
        seen = self.attention.look(y, media, looking)
        y = y + self._open(self.alpha_xattn, seen)
        return y + self._open(self.alpha_dense, self.ffw(y))  # [B, L, D]

    def _open(self, alpha: Tensor, x: Tensor) -> Tensor:
        return (alpha.tanh().to(x.dtype) * x) if self.gated else x


@dataclass(slots=True)
class Sight:
    """What the tokens of one forward pass see, on its way through the LM to the bridges."""

    media: Tensor  # [M, R, V]
    phi: Tensor  # int64[B, L]
    shape: Bridge
    documents: Tensor | None = None  # int64[B, L]
    keep: Tensor | None = None  # bool[B, L]: the positions whose logits are wanted
    recompute: bool = False  # activations in the backward pass
    keys: Keys | None = None  # of the media, kept from pass to pass in generation
    first: Tensor | None = None  # int64[B, L]: the first medium a token sees, where not phi alone
    _looking: dict[tuple[int, int], Looking] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.first is None and self.shape.attend == "all":
            self.first = first_seen(self.phi, self.documents)

    def looking(self, rows: int, tokens: int) -> Looking:
        """Returns who looks where in a pass of that many rows and tokens.

        Generation passes the prompt once and then single tokens, which see what the prompt's last
        one saw; beams are further rows of the same prompt.
        """
        if (rows, tokens) not in self._looking:
            first = None if self.first is None else _fitted(self.first, rows, tokens)
            self._looking[rows, tokens] = Looking.at(
                _fitted(self.phi, rows, tokens),
                len(self.media),
                form=self.shape.attention,
                first=first,
                keys=self.keys,
            )
        return self._looking[rows, tokens]

    def after(self) -> "Sight":
        """Returns what text that follows sees, however long: what the last token saw."""
        first = None if self.first is None else self.first[:, -1:]
        return Sight(self.media, self.phi[:, -1:], self.shape, keys=self.keys, first=first)


def _fitted(x: Tensor, rows: int, tokens: int) -> Tensor:
    """Returns [rows, tokens] of [B, L]: each row for its beams, the last column for later tokens."""
    x = x.repeat_interleave(rows // len(x), dim=0)
    return x if tokens == x.shape[1] else x[:, -1:].expand(-1, tokens)


class Eyes:
    """Where the bridges find the sight of the pass that is under way; None for the bare LM."""

    sight: Sight | None = None

    @contextmanager
    def on(self, sight: Sight) -> Iterator[None]:
        """Lets the LM see for the length of a `with`."""
        self.sight, before = sight, self.sight
        try:
            yield
        finally:
            self.sight = before


class Around(nn.Module):
    """Stands in the LM for a module of it, which it holds; to the LM it is that module.

    What is learnt belongs to Flamingo, not to the LM: a tuple hides it from the LM's own parameters.
    """

    def __init__(self, known: nn.Module, *own: Any) -> None:
        super().__init__()
        self.known = known
        self._own = own

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("known"), name)


class Bridged(Around):
    """A block of the LM with a bridge before it: Bridged(block, bridge, eyes)."""

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        bridge, eyes = self._own
        if eyes.sight is None:
            return self.known(hidden_states, *args, **kwargs)
        run = partial(self._run, bridge, eyes.sight, args, kwargs)
        if eyes.sight.recompute:
            return checkpoint(run, hidden_states, use_reentrant=False)
        return run(hidden_states)

    def _run(
        self,
        bridge: GatedCrossAttention,
        sight: Sight,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        y: Tensor,
    ) -> Any:
        y = bridge(y, sight.media, sight.looking(*y.shape[:2]))
        return self.known(y, *args, **kwargs)


class Words(Around):
    """The LM's input embedding with one learnt row more, of <EOC>: Words(embedding, Flamingo).

    As Idefics decouples its own. The row is a parameter of Flamingo and asked for at each pass: FSDP2
    replaces parameters.
    """

    def forward(self, ids: Tensor) -> Tensor:
        (flamingo,) = self._own
        new = ids >= flamingo.size
        known: Tensor = self.known(ids.masked_fill(new, 0))
        return torch.where(new[..., None], flamingo.eoc_in.to(known.dtype), known)


class Head(Around):
    """The LM's output embedding with one learnt column more, where logits are wanted.

    Head(embedding, Flamingo).
    """

    def forward(self, x: Tensor) -> Tensor:
        (flamingo,) = self._own
        sight = flamingo.eyes.sight
        if sight is not None and sight.keep is not None:
            x = x[sight.keep]  # [n, D]
        logits = self.known(x)
        new = x @ flamingo.eoc_out.to(x.dtype)
        return torch.cat([logits, new[..., None].to(logits.dtype)], dim=-1)


class Flamingo(nn.Module):
    """The frozen LM and encoder with what is learnt between them: Resampler, bridges, <EOC>.

    Takes the LM over: its blocks, its words and its head are wrapped in place.
    """

    def __init__(self, lm: PreTrainedModel, vision: Encoder, shape: Bridge) -> None:
        super().__init__()
        self.shape, self.eyes = shape, Eyes()
        self.checkpointing = False
        words: Any = lm.get_input_embeddings()
        head: Any = lm.get_output_embeddings()
        layers = blocks(lm)
        lm.train(False)  # dropout would answer the questions below
        if looks_ahead(lm):
            raise TrainError(
                f"lm: expected a causal LM, found {type(lm).__name__}, which lets tokens see later ones"
            )
        self.packs = packs(lm)
        dim = getattr(lm.config.get_text_config(), "hidden_size", words.weight.shape[1])
        self.resampler = Resampler(vision.width, shape)
        self.bridges = nn.ModuleList(
            GatedCrossAttention(dim, shape) for _ in range(0, len(layers), shape.every)
        )
        self.size = head.weight.shape[0]  # the LM's vocabulary: the id of <EOC>
        self.eoc_in = nn.Parameter(_like(_embedded(words)))
        self.eoc_out = nn.Parameter(_like(head.weight))
        for number, bridge in enumerate(self.bridges):
            place = number * shape.every
            layers[place] = Bridged(layers[place], bridge, self.eyes)
        lm.set_input_embeddings(Words(words, self))
        lm.set_output_embeddings(Head(head, self))
        lm.generation_config = GenerationConfig()  # its own holds penalties, as of repetition
        self.lm = lm.requires_grad_(False)
        self.vision = vision.requires_grad_(False)
        self.train()

    @property
    def device(self) -> torch.device:
        return self.eoc_in.device

    def train(self, mode: bool = True) -> "Flamingo":
        """Sets the mode of the trained part; what is frozen stays in evaluation mode."""
        super().train(mode)
        self.vision.train(False)
        self.lm.train(False)
        return self

    def see(self, frames: Tensor, times: list[int]) -> Tensor:
        """Returns [M, R, V]: frames uint8[sum(times), H, W, 3] encoded, then resampled per medium."""
        if not times:
            return self.eoc_in.new_zeros(0, self.shape.latents, self.shape.visual)
        with torch.no_grad():
            features = self.vision(frames).split(times)  # M of [T, S, width]
        media = dict[int, Tensor]()
        for t in sorted(set(times)):  # media of equal length in one go: no padded frames
            rows = [m for m, length in enumerate(times) if length == t]
            latents = self._resampled(torch.stack([features[m] for m in rows]))
            media.update(zip(rows, latents, strict=True))
        return torch.stack([media[m] for m in range(len(times))])

    def _resampled(self, features: Tensor) -> Tensor:
        if self.checkpointing and self.training:
            latents: Tensor = checkpoint(self.resampler, features, use_reentrant=False)
        else:
            latents = self.resampler(features)
        return latents

    def forward(
        self,
        ids: Tensor,
        phi: Tensor,
        media: Tensor,
        positions: Tensor | None = None,
        documents: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> Tensor:
        """Returns logits [B, L, size + 1], the last column <EOC>; phi counts media from 1.

        `positions` and `documents` [B, L] are those of several examples in a row (`Batch`), which do
        not see each other; with `keep` bool[B, L] the logits of those positions alone: [n, size + 1].
        Raises TrainError where phi counts further than the media go.
        """
        if not ids.numel():
            return self.eoc_out.new_zeros(*(ids.shape if keep is None else (0,)), self.size + 1)
        assert (positions is None) == (documents is None)
        options = dict[str, Any]()
        if positions is not None and documents is not None:
            if not self.packs or ids.shape[1] > reach(self.lm.config):
                return self._unpacked(ids, phi, media, positions, documents, keep)
            mask = together(documents, self.lm.config._attn_implementation)
            options = {"position_ids": positions, "attention_mask": mask}
        recompute = self.checkpointing and self.training
        with self.eyes.on(Sight(media, phi, self.shape, documents, keep, recompute)):
            logits: Tensor = self.lm(input_ids=ids, use_cache=False, **options).logits
        return logits

    def _unpacked(
        self,
        ids: Tensor,
        phi: Tensor,
        media: Tensor,
        positions: Tensor,
        documents: Tensor,
        keep: Tensor | None,
    ) -> Tensor:
        """Returns the same logits by a row per example, for an LM that cannot keep them apart."""
        real = documents > 0
        rows = torch.arange(len(ids), device=ids.device)[:, None] * (ids.shape[1] + 1)
        _, example = torch.unique((rows + documents)[real], return_inverse=True)
        place = (example, positions[real])
        shape = (int(example.max()) + 1, int(positions.max()) + 1)

        def alone(x: Tensor) -> Tensor:
            return x.new_zeros(shape).index_put(place, x[real])

        wanted = alone(real if keep is None else keep)
        logits = self.forward(alone(ids), alone(phi), media, keep=wanted)  # in the rows' order
        if keep is not None:
            return logits
        return logits.new_zeros(*ids.shape, logits.shape[-1]).index_put((real,), logits)

    def trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yields what is learnt, with names: never a frozen weight."""
        return ((name, p) for name, p in self.named_parameters() if p.requires_grad)

    def gates(self) -> list[tuple[float, float]]:
        """Returns |tanh| of the (attention, dense) gates, first block first (F2 Fig. 6).

        (1, 1) without gates.
        """
        if not self.shape.gated:
            return [(1.0, 1.0)] * len(self.bridges)
        bridges = [b for b in self.bridges if isinstance(b, GatedCrossAttention)]
        alphas = [whole(a.detach()) for b in bridges for a in (b.alpha_xattn, b.alpha_dense)]
        found = torch.cat(alphas).tanh().abs().view(-1, 2).tolist()
        return [(attention, dense) for attention, dense in found]

    def store_frozen(self, dtype: torch.dtype) -> None:
        """Stores the frozen weights in `dtype` (F2 B.1.2: bfloat16); buffers, as of RoPE, stay."""
        for weight in self.parameters():
            if not weight.requires_grad:
                weight.data = weight.data.to(dtype)


def whole(tensor: Tensor) -> Tensor:
    """Returns a tensor that FSDP2 may have sharded; with shards every rank has to ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def _embedded(words: Any) -> Tensor:
    """Returns embeddings of about a thousand words as the LM gets them: some scale theirs."""
    known = len(words.weight)
    ids = torch.arange(0, known, max(1, known // 1000), device=words.weight.device)
    embedded: Tensor = words(ids)
    return embedded


def _like(weights: Tensor) -> Tensor:
    """Returns a random row of weights [N, D], of their mean size: float[D]."""
    spread = 0.02 if weights.device.type == "meta" else weights.float().std().item()
    return torch.randn(weights.shape[1]) * spread


def blocks(lm: PreTrainedModel) -> nn.ModuleList:
    """Returns the LM's list of blocks: the one of as many modules as its configuration has layers."""
    count = getattr(lm.config.get_text_config(), "num_hidden_layers", None)
    for module in lm.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise TrainError(
        f"lm: expected a decoder with a list of {count} blocks, found none in {type(lm).__name__}"
    )
