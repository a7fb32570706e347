"""The built-in encoder: a small Vision Transformer (Dosovitskiy et al. 2021, arXiv 2010.11929).

For machines without downloads: `contrastive` trains it on the shards' own pairs. Without a class
token, since its cells are what the Resampler reads, and their mean what contrastive training compares.

    F frames, S = H/patch * W/patch cells, D width
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m3w_builder.errors import TrainError
from m3w_builder.flamingo.vision.encoder import Encoder


class Block(nn.Module):
    """Pre-norm attention among all cells and a GELU feed-forward: [B, L, D] -> [B, L, D]."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.norm_ffw = nn.LayerNorm(dim)
        self.ffw = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """`seen` bool[B, 1, L, L]: may the row's position look at the column's (default: at all)."""
        qkv = self.qkv(self.norm_attention(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [B, heads, L, D / heads]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        ffw: Tensor = self.ffw(self.norm_ffw(x))
        return x + ffw


class ViT(Encoder):
    """Cells of `patch` pixels, embedded linearly, with a learnt place each."""

    def __init__(self, *, size: int, patch: int, dim: int, layers: int, heads: int) -> None:
        super().__init__(width=dim, size=size)
        if size % patch or dim % heads:
            raise TrainError(
                f"vision: expected image a multiple of patch and dim of heads, found image {size},"
                f" patch {patch}, dim {dim}, heads {heads}"
            )
        side = size // patch
        self.embed = nn.Conv2d(3, dim, patch, stride=patch)
        self.places = nn.Parameter(torch.randn(1, dim, side, side))
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def features(self, pixels: Tensor) -> Tensor:
        cells = self.embed(pixels)  # [F, D, rows, columns]
        x = (cells + self._places(cells.shape[2], cells.shape[3])).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        y: Tensor = self.norm(x)  # [F, S, D]
        return y

    def _places(self, rows: int, columns: int) -> Tensor:
        """Returns the places [1, D, rows, columns]; those of another grid are interpolated."""
        if self.places.shape[2:] == (rows, columns):
            return self.places
        return F.interpolate(self.places.float(), (rows, columns), mode="bicubic").to(self.places)
