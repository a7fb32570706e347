"""Several examples in one row of a frozen LM: the mask that keeps them apart, and what the LM makes of it."""

from inspect import signature
from math import inf
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

# Shares of the largest logit. What a masked token says is multiplied by 0; MoE sums in another order.
UNSEEN = 1e-5
UNMOVED = 0.1  # bfloat16 and TF32 differ by less with the number of tokens, other positions by more


def together(documents: Tensor, attention: str = "sdpa") -> Tensor:
    """Returns [B, 1, L, L]: may a token attend to another: earlier, and of the same example.

    As transformers' implementations of attention take it: bool, or for "eager" what is added to the
    scores.
    """
    mask = (documents[:, :, None] == documents[:, None, :]).tril()[:, None]
    if attention != "eager":
        return mask
    return torch.zeros_like(mask, dtype=torch.float).masked_fill(~mask, torch.finfo().min)


@torch.no_grad()
def packs(lm: PreTrainedModel) -> bool:
    """Returns whether examples that share a row of this LM stay apart under `together`.

    The LM is asked: recurrent and linear attention, ALiBi and BART's positions take no such mask,
    and say so in no common way.
    """
    parameters = signature(lm.forward).parameters
    if "position_ids" not in parameters:
        return False
    if lm.device.type == "meta":
        return True
    row = torch.arange(12, device=lm.device).expand(2, -1)
    positions, documents = torch.where(row < 7, row, row - 7), torch.where(row < 7, 1, 2)
    words: Any = lm.get_input_embeddings()
    ids = row % len(words.weight)
    ids = torch.stack([ids[0], torch.cat([ids[0, :7].flip(0), ids[0, 7:]])])
    mask = together(documents, lm.config._attn_implementation)
    alone = lm(input_ids=ids[:1, 7:], use_cache=False).logits
    try:
        found = lm(input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False)
    except (RuntimeError, TypeError, ValueError):  # it takes masks of another shape alone
        return False
    one, other = found.logits[:, 7:]
    seen, moved = (one - other).abs().max(), (one - alone).abs().max()
    return bool(seen <= UNSEEN * alone.abs().max() and moved <= UNMOVED * alone.abs().max())


@torch.no_grad()
def looks_ahead(lm: PreTrainedModel) -> bool:
    """Returns whether a later token changes what this LM says of earlier ones: an encoder, as BERT is."""
    if lm.device.type == "meta":
        return False
    words: Any = lm.get_input_embeddings()
    row = torch.arange(8, device=lm.device) % len(words.weight)
    other = torch.cat([row[:-1], row[:1]])
    logits = lm(input_ids=torch.stack([row, other])).logits[:, :-1]
    return bool((logits[0] - logits[1]).abs().max() > UNSEEN * logits.abs().max())


def reach(config: PreTrainedConfig) -> float:
    """Returns how far back every layer of the LM looks: what its own masks cut, `together` does not."""
    text = config.get_text_config()
    windows = (getattr(text, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return min((window for window in windows if window), default=inf)
