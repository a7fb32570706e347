"""A small causal language model (GPT-2's blocks) for machines without downloads.

It speaks bytes and its own specials only; <EOC> belongs to Flamingo, not to the LM. `blocks`,
`words`, `places`, `norm` and `head` are what Flamingo walks through, so `forward` must stay that
same walk.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from m3w_builder.flamingo.tokens import LM_VOCABULARY


class Block(nn.Module):
    """Pre-norm causal self-attention and a GELU feed-forward: [B, L, D] -> [B, L, D]."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.norm_ffw = nn.LayerNorm(dim)
        self.ffw = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.norm_attention(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [B, heads, L, head]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        ffw: Tensor = self.ffw(self.norm_ffw(x))
        return x + ffw


class CausalLM(nn.Module):
    """Token ids int64[B, L] -> logits float32[B, L, vocabulary]."""

    def __init__(
        self, *, dim: int, layers: int, heads: int, context: int, vocabulary: int = LM_VOCABULARY
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, dim)
        self.places = nn.Embedding(context, dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, vocabulary, bias=False)
        self.apply(_initialise)
        for name, weight in self.named_parameters():
            if name.endswith(("out.weight", "ffw.2.weight")):  # residual branches, as GPT-2
                nn.init.normal_(weight, std=0.02 / (2 * layers) ** 0.5)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids) + self.places.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
