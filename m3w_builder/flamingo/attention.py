"""Attention of text to images, in three forms that give the same: by segments, by a mask, by FlexAttention.

`segments` is the default: text is gathered by the image it looks at, so other images cost nothing and no
mask exists. `dense` is SDPA over all media of the batch under a mask, `flex` the same as a block mask for
CUDA. Only the masked two can let a token see all earlier images of its document (`attend = "all"`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from m3w_builder.errors import TrainError

Keys = dict[nn.Module, tuple[Tensor, Tensor]]  # keys and values, of an attention over some media


@dataclass(frozen=True, slots=True)
class Looking:
    """Who looks where: computed once per pass, used by every bridge."""

    form: str
    first: Tensor  # int64[N], N = B * L: the first medium that a token sees; phi is the last
    order: Tensor  # int64[n]: flat positions of the tokens that see something, by medium
    medium: Tensor  # int64[n]: theirs, from 0
    slot: Tensor  # int64[n]: their places among the M * Q of all media, Q for each
    longest: int  # Q
    keys: "Keys | None" = None  # where attention keeps the keys of the media; None in training

    @classmethod
    def at(
        cls,
        phi: Tensor,
        media: int,
        *,
        form: str = "segments",
        first: Tensor | None = None,
        keys: "Keys | None" = None,
    ) -> "Looking":
        """Returns the plan for phi int64[B, L] over `media` media; with `first`, from that one on.

        Raises TrainError where phi counts further than the media go.
        """
        if first is not None and form == "segments":
            form = "dense"
        flat = phi.flatten()
        sizes = torch.bincount(flat, minlength=media + 1)
        if len(sizes) > media + 1:
            raise TrainError(
                f"phi: expected at most the {media} media of the batch, found {len(sizes) - 1}"
            )
        sizes = sizes[1:]
        order = flat.argsort(stable=True)[flat.numel() - int(sizes.sum()) :]  # without phi = 0
        medium = flat[order] - 1
        column = torch.arange(len(order), device=phi.device) - (sizes.cumsum(0) - sizes)[medium]
        longest = int(sizes.max()) if media else 0
        since = flat if first is None else first.flatten()
        slot = medium * longest + column
        return cls(form, since, order, medium, slot, longest, keys)


def first_seen(phi: Tensor, documents: Tensor | None = None) -> Tensor:
    """Returns int64[B, L]: the first medium that any token of the same example looks at."""
    rows = torch.arange(len(phi), device=phi.device)[:, None]
    number = torch.zeros_like(phi) if documents is None else documents
    group = (rows * (phi.shape[1] + 1) + number).flatten()
    flat = phi.flatten()
    none = int(flat.max()) + 1 if flat.numel() else 1
    least = flat.new_full((len(phi) * (phi.shape[1] + 1),), none)
    least = least.scatter_reduce(0, group, torch.where(flat > 0, flat, none), "amin")
    return least[group].view_as(phi)


def attended(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Returns softmax(q k') v by head: SDPA, on a CPU in bfloat16 plain products, which are faster there.

    `allowed` bool[..., Q, K]: may a query see a key; each sees at least one.
    """
    if q.device.type != "cpu" or q.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    found: Tensor = scores.softmax(-1, dtype=torch.float32).to(v.dtype) @ v
    return found


class Attention(nn.Module):
    """Pre-norm multi-head attention of x over a context, of width `dim` and `context`.

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
        """Returns [N, Q, dim]: x [N, Q, dim] over its own context [N, K, context]."""
        q = self._heads(self.q(self.norm(x)))
        k, v = self._keys(context)
        y = attended(q, k, v)  # [N, heads, Q, head]
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out

    def look(self, y: Tensor, media: Tensor, looking: Looking) -> Tensor:
        """Returns what each token sees of its image: [B, L, D], exactly 0 where phi = 0."""
        if not looking.longest:
            return torch.zeros_like(y)
        form = self._by_segment if looking.form == "segments" else self._by_mask
        flat = y.flatten(0, 1)
        seen = self.out(form(flat.index_select(0, looking.order), media, looking))  # [n, D]
        none = torch.zeros_like(flat, dtype=seen.dtype)
        return none.index_copy(0, looking.order, seen).view_as(y)

    def _by_segment(self, y: Tensor, media: Tensor, looking: Looking) -> Tensor:
        """Returns [n, heads * head] for y [n, D]: padded to Q per medium inside the attention alone."""
        q = self.q(self.norm(y))  # [n, heads * head]
        slots = q.new_zeros(len(media) * looking.longest, q.shape[1])
        padded = slots.index_copy(0, looking.slot, q).view(len(media), looking.longest, -1)
        k, v = self._keys_once(media, looking)
        found = attended(self._heads(padded), k, v)
        return found.transpose(1, 2).flatten(2).flatten(0, 1).index_select(0, looking.slot)

    def _by_mask(self, y: Tensor, media: Tensor, looking: Looking) -> Tensor:
        """Returns [n, heads * head] for y [n, D]: over all M * R latents, most of them masked."""
        latents = media.shape[1]
        k, v = (x.transpose(0, 1).flatten(1, 2)[None] for x in self._keys_once(media, looking))
        q = self._heads(self.q(self.norm(y))[None])  # [1, heads, n, head]
        first, last = looking.first[looking.order] - 1, looking.medium
        if looking.form == "flex":
            if q.requires_grad and q.device.type != "cuda":
                raise TrainError(
                    'model.attention: expected CUDA to train with "flex" on, found'
                    f' {q.device.type}: take "segments", which gives the same'
                )

            def sees(_b: Tensor, _h: Tensor, query: Tensor, key: Tensor) -> Tensor:
                return (key // latents >= first[query]) & (key // latents <= last[query])

            mask = create_block_mask(sees, None, None, q.shape[2], k.shape[2], device=q.device.type)
            found = _flex(q.device.type)(q, k, v, block_mask=mask)
        else:
            medium = torch.arange(k.shape[2], device=q.device) // latents
            allowed = (medium >= first[:, None]) & (medium <= last[:, None])  # [n, M * R]
            found = attended(q, k, v, allowed)
        flat: Tensor = found.transpose(1, 2).flatten(2)[0]
        return flat

    def _keys_once(self, media: Tensor, looking: Looking) -> tuple[Tensor, Tensor]:
        """Returns the keys and values of the media, computed once where `looking` keeps them."""
        if looking.keys is None:
            return self._keys(media)
        if self not in looking.keys:
            looking.keys[self] = self._keys(media)
        return looking.keys[self]

    def _keys(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Returns keys and values [N, heads, K, head] of a context [N, K, context]."""
        k, v = map(self._heads, self.kv(self.norm_context(context)).chunk(2, dim=-1))
        return k, v

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


@cache
def _flex(device: str) -> Callable[..., Any]:
    """Returns FlexAttention: compiled on CUDA; as plain operations elsewhere, for tests."""
    attention: Callable[..., Any] = flex_attention
    return torch.compile(attention, dynamic=True) if device == "cuda" else attention
