"""The arithmetic of an update, written out from the shapes, and what share of the device's peak it is.

6 N D is wrong for Flamingo: most weights are frozen. Counted is what the model needs, in FLOP, a
multiply-add being two; not what an implementation spends on padding or on recomputed activations.

    vision encoder      2 per weight        forward alone
    LM, its head        4 per weight        forward and the gradient of the input
    Resampler, bridges  6 per weight        forward and both gradients; 4 where the input is frozen
    attention           12 per query, key and channel: two products, each with both gradients (self-
                        attention as whole squares of each example, as is usual for MFU)

Each per token, latent or cell that passes the weight: the head at labelled positions, the bridge's
queries where phi > 0. Norms, activations, embeddings and the optimiser are left out: below 1 %.
"""

from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from m3w_builder.flamingo.attention import Attention
from m3w_builder.flamingo.data.batch import Batch
from m3w_builder.flamingo.model import (
    Flamingo,
    GatedCrossAttention,
    Resampler,
    ResamplerLayer,
)
from m3w_builder.flamingo.vision import Encoder

FROZEN, TRAINED, FROZEN_INPUT = 4, 6, 4  # FLOP per weight and row
ATTENTION = 12  # per query, key and channel

# FLOP/s of dense bf16 by a part of CUDA's name, the first that fits (the makers' data sheets).
PEAKS = {
    "B200": 2250e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
}


@dataclass(frozen=True, slots=True)
class Flops:
    """FLOP of one forward and backward pass."""

    vision: float = 0.0
    resampler: float = 0.0
    bridges: float = 0.0
    lm: float = 0.0
    head: float = 0.0

    def __add__(self, other: "Flops") -> "Flops":
        mine, its = asdict(self), asdict(other)
        return Flops(**{part: mine[part] + its[part] for part in mine})

    @property
    def total(self) -> float:
        return self.vision + self.resampler + self.bridges + self.lm + self.head


@dataclass(frozen=True, slots=True)
class Rows:
    """What of a batch passes through weights."""

    tokens: int  # padding not among them
    squares: int  # sum over the examples of L^2
    seeing: int  # tokens with phi > 0
    labelled: int
    times: tuple[int, ...]  # frames of each medium


def rows(batch: Batch) -> Rows:
    """Returns the counts of a batch; of one on a GPU this waits for it, so count before `to`."""
    inside = batch.documents > 0
    widest = int(batch.documents.max()) + 1 if batch.documents.numel() else 1
    row = torch.arange(len(batch.documents), device=batch.documents.device)[:, None] * widest
    lengths = torch.bincount((batch.documents + row)[inside])
    return Rows(
        tokens=int(inside.sum()),
        squares=int((lengths**2).sum()),
        seeing=int((batch.phi > 0).sum()),
        labelled=int(batch.loss[:, 1:].sum()),
        times=tuple(batch.times),
    )


@dataclass(frozen=True, slots=True)
class Frame:
    """What the encoder makes of one frame, measured once: encoders differ too much to be written out."""

    flops: float
    cells: int  # S


def frame(encoder: Encoder) -> Frame:
    """Returns the cost and the cells of one frame, by running the encoder on a black one."""
    device = next(encoder.parameters(), torch.empty(0)).device
    black = torch.zeros(1, encoder.size, encoder.size, 3, dtype=torch.uint8, device=device)
    plain = sdpa_kernel(SDPBackend.MATH)  # the CPU's fused attention is not counted
    with torch.no_grad(), plain, FlopCounterMode(display=False) as counter:
        features = encoder(black)
    return Frame(float(counter.get_total_flops()), features.shape[1])


def of_batch(model: Flamingo, batch: Batch, one: Frame) -> Flops:
    """Returns the FLOP of a forward and backward pass over a batch."""
    return of_rows(model, rows(batch), one)


def of_rows(model: Flamingo, n: Rows, one: Frame) -> Flops:
    """Returns the same from the counts of a batch."""
    latents = model.resampler.latents.shape[0]  # of a medium
    bridges = (b for b in model.bridges if isinstance(b, GatedCrossAttention))
    return Flops(
        vision=sum(n.times) * one.flops,
        resampler=_resampler(model.resampler, n, one.cells, latents),
        bridges=sum(_bridge(bridge, n, latents) for bridge in bridges),
        lm=_language(model.lm, n),
        head=_head(model, n),
    )


def _resampler(resampler: Resampler, n: Rows, cells: int, each: int) -> int:
    features, latents = sum(n.times) * cells, len(n.times) * each
    total = FROZEN_INPUT * weights(resampler.project) * features
    pairs = sum(each * (t * cells + each) for t in n.times)
    for layer in resampler.layers:
        if isinstance(layer, ResamplerLayer):
            total += _attention(layer.attention, latents, features + latents, pairs)
            total += TRAINED * weights(layer.ffw) * latents
    return total


def _bridge(bridge: GatedCrossAttention, n: Rows, each: int) -> int:
    seen = _attention(bridge.attention, n.seeing, len(n.times) * each, n.seeing * each)
    return seen + TRAINED * weights(bridge.ffw) * n.tokens


def _attention(attention: Attention, queries: int, context: int, pairs: int) -> int:
    """`pairs` is how often a query meets a key."""
    projections = weights(attention.q, attention.out) * queries + weights(attention.kv) * context
    return TRAINED * projections + ATTENTION * attention.q.out_features * pairs


def _language(lm: PreTrainedModel, n: Rows) -> int:
    config = lm.config.get_text_config()
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    channels: int = config.num_hidden_layers * config.num_attention_heads * head
    blocks = weights(lm) - weights(lm.get_output_embeddings())
    return FROZEN * blocks * n.tokens + ATTENTION * channels * n.squares


def _head(model: Flamingo, n: Rows) -> int:
    known = weights(model.lm.get_output_embeddings())
    return (FROZEN * known + TRAINED * len(model.eoc_out)) * n.labelled


def weights(*modules: nn.Module) -> int:
    """Returns how many weights multiply each row: those of the matrices, embeddings left out."""
    return sum(
        p.numel()
        for module in modules
        for part in module.modules()
        if not isinstance(part, nn.Embedding)
        for p in part.parameters(recurse=False)
        if p.ndim == 2
    )


def peak(device: str) -> float | None:
    """Returns FLOP/s of dense bf16 of a device by its name, None where it is not known: a CPU."""
    return next((flops for name, flops in PEAKS.items() if name in device), None)


def mfu(flops: float, seconds: float, peaks: float | None) -> float | None:
    """Returns the share of the peak (of all devices together) that useful arithmetic is."""
    return flops / seconds / peaks if peaks and seconds > 0 else None
