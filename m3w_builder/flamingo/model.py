"""Flamingo: a Perceiver Resampler and gated cross-attention bridge a frozen encoder and LM.

Only the images that exist are computed, and only for the text that looks at them: tokens are
gathered by image (`segments`), so a token with phi = 0 has no attention to compute and gets
exactly 0. Media and phi travel as arguments; nothing is parked on a module between calls.

    B sequences of L tokens, D their width      M media in the batch, T frames each, S cells a frame
    R latents of width V per medium             Q the longest run of text that looks at one medium
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m3w_builder.flamingo.lm import CausalLM
from m3w_builder.flamingo.presets import Shape
from m3w_builder.flamingo.tokens import EOC
from m3w_builder.flamingo.vision import CosineCells


class FeedForward(nn.Sequential):
    """Pre-norm feed-forward of hidden width 4 D with squared ReLU (F2 A.1.4)."""

    def __init__(self, dim: int) -> None:
        norm, wide = nn.LayerNorm(dim), nn.Linear(dim, 4 * dim, bias=False)
        super().__init__(norm, wide, SquaredReLU(), nn.Linear(4 * dim, dim, bias=False))


class SquaredReLU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x).square()


class Attention(nn.Module):
    """Pre-norm attention of x [N, Q, dim] over a context [N, K, context]: -> [N, Q, dim].

    Keys and values share one LayerNorm (F1 3.1.2).
    """

    def __init__(self, dim: int, context: int, *, heads: int, head: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.norm_context = nn.LayerNorm(context)
        self.q = nn.Linear(dim, heads * head, bias=False)
        self.kv = nn.Linear(context, 2 * heads * head, bias=False)
        self.out = nn.Linear(heads * head, dim, bias=False)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q = self._heads(self.q(self.norm(x)))
        k, v = map(self._heads, self.kv(self.norm_context(context)).chunk(2, dim=-1))
        y = F.scaled_dot_product_attention(q, k, v)  # [N, heads, Q, head]
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class Resampler(nn.Module):
    """T x S visual features of a medium -> R latents, whatever T and S are (F1 Fig. 4)."""

    def __init__(self, features: int, shape: Shape) -> None:
        super().__init__()
        dim = shape.visual
        self.project = nn.Linear(features, dim, bias=False)
        self.times = nn.Parameter(torch.randn(shape.times, dim) * 0.02)
        self.latents = nn.Parameter(torch.randn(shape.latents, dim) * 0.02)
        self.layers = nn.ModuleList(ResamplerLayer(shape) for _ in range(shape.visual_layers))

    def forward(self, features: Tensor) -> Tensor:
        x_f = self.project(features)  # [M, T, S, V]
        x_f = x_f + temporal(self.times, x_f.shape[1])[:, None]
        x_f = x_f.flatten(1, 2)  # [M, T * S, V]
        x = self.latents.expand(len(x_f), -1, -1)
        for layer in self.layers:
            x = layer(x, x_f)
        return x  # [M, R, V]


class ResamplerLayer(nn.Module):
    """The latents x attend to the features and to themselves: [M, R, V] -> [M, R, V]."""

    def __init__(self, shape: Shape) -> None:
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


def segments(phi: Tensor, media: int) -> Tensor:
    """Returns int64[M, Q], the flat positions of the text that looks at each medium.

    Right-padded with phi.numel(): phi [[0, 1, 1, 2]], M = 2 -> [[1, 2], [3, 4]].
    """
    flat = phi.flatten()
    sizes = torch.bincount(flat, minlength=media + 1)[1:]
    order = flat.argsort(stable=True)[flat.numel() - int(sizes.sum()) :]  # without phi = 0
    ends = sizes.cumsum(0)
    medium = flat[order] - 1
    column = torch.arange(len(order), device=phi.device) - (ends - sizes)[medium]
    table = flat.new_full((media, int(sizes.max()) if media else 0), flat.numel())
    table[medium, column] = order
    return table


class GatedCrossAttention(nn.Module):
    """GATED XATTN-DENSE (F1 Fig. 5): two tanh gates at 0, so that at first it changes nothing."""

    def __init__(self, dim: int, visual: int, *, heads: int, head: int) -> None:
        super().__init__()
        self.attention = Attention(dim, visual, heads=heads, head=head)
        self.ffw = FeedForward(dim)
        self.alpha_xattn = nn.Parameter(torch.zeros(()))
        self.alpha_dense = nn.Parameter(torch.zeros(()))

    def forward(self, y: Tensor, media: Tensor, looking: Tensor) -> Tensor:
        y = y + self.alpha_xattn.tanh() * self.look(y, media, looking)
        dense: Tensor = self.ffw(y)
        return y + self.alpha_dense.tanh() * dense  # [B, L, D]

    def look(self, y: Tensor, media: Tensor, looking: Tensor) -> Tensor:
        """Returns what each token sees of its image: [B, L, D], exactly 0 where phi = 0."""
        if not looking.numel():
            return torch.zeros_like(y)
        flat = y.flatten(0, 1)
        nobody = flat.new_zeros(1, flat.shape[1])  # the padding of `looking` points at this row
        seen = self.attention(torch.cat([flat, nobody])[looking], media)  # [M, Q, D]
        every = torch.cat([torch.zeros_like(flat), nobody]).index_put((looking,), seen)
        return every[:-1].view_as(y)

    def gates(self) -> tuple[float, float]:
        """Returns |tanh| of the two gates."""
        return abs(self.alpha_xattn.tanh().item()), abs(self.alpha_dense.tanh().item())


class Flamingo(nn.Module):
    """The frozen LM and encoder with what is learnt between them: Resampler, gates, <EOC>."""

    def __init__(self, lm: CausalLM, shape: Shape) -> None:
        super().__init__()
        self.every = shape.every
        self.vision = CosineCells(shape.patch).requires_grad_(False)
        self.lm = lm.requires_grad_(False)
        self.resampler = Resampler(self.vision.width, shape)
        self.bridges = nn.ModuleList(
            GatedCrossAttention(shape.dim, shape.visual, heads=shape.heads, head=shape.head)
            for _ in range(0, len(lm.blocks), shape.every)
        )
        self.eoc_in = nn.Parameter(torch.randn(shape.dim) * 0.02)
        self.eoc_out = nn.Parameter(torch.randn(shape.dim) * 0.02)
        self.train()

    def train(self, mode: bool = True) -> "Flamingo":
        """Sets the mode of the trained part; what is frozen stays in evaluation mode."""
        super().train(mode)
        self.vision.eval()
        self.lm.eval()
        return self

    def see(self, frames: Tensor, times: list[int]) -> Tensor:
        """Returns [M, R, V]: frames [sum(times), H, W, 3] encoded, then resampled per medium."""
        if not times:
            return frames.new_zeros(0, 0, 0)
        with torch.no_grad():
            features = self.vision(frames).split(times)  # M of [T, S, width]
        media = dict[int, Tensor]()
        for t in sorted(set(times)):  # media of equal length in one go: no padded frames
            rows = [m for m, length in enumerate(times) if length == t]
            latents = self.resampler(torch.stack([features[m] for m in rows]))
            media.update(zip(rows, latents, strict=True))
        return torch.stack([media[m] for m in range(len(times))])

    def forward(self, ids: Tensor, phi: Tensor, media: Tensor) -> Tensor:
        """Returns logits [B, L, vocabulary + 1], the last column <EOC>; phi counts media from 1."""
        looking = segments(phi, len(media))
        y = self.words(ids) + self.lm.places.weight[: ids.shape[1]]
        for i, block in enumerate(self.lm.blocks):
            if i % self.every == 0:
                y = self.bridges[i // self.every](y, media, looking)
            y = block(y)
        y = self.lm.norm(y)
        return torch.cat([self.lm.head(y), (y @ self.eoc_out)[..., None]], dim=-1)

    def words(self, ids: Tensor) -> Tensor:
        """Returns the embeddings: the frozen LM's, and the learnt one for <EOC>."""
        new = ids == EOC
        known: Tensor = self.lm.words(ids.masked_fill(new, 0))
        return torch.where(new[..., None], self.eoc_in, known)

    def trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yields what is learnt, with names: never a frozen weight."""
        return ((name, p) for name, p in self.named_parameters() if p.requires_grad)

    def gates(self) -> list[tuple[float, float]]:
        """Returns |tanh| of the (attention, dense) gates, first block first (F2 Fig. 6)."""
        return [b.gates() for b in self.bridges if isinstance(b, GatedCrossAttention)]


def language_model(shape: Shape) -> CausalLM:
    """Returns a fresh byte LM of the shape's size."""
    return CausalLM(dim=shape.dim, layers=shape.layers, heads=shape.heads, context=shape.context)
