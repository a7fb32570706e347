"""Training: one update per step from a batch of every dataset, gradients accumulated, clipped once.

Eq. 2 sums the losses of a sequence's tokens; here each dataset's loss is the mean over its
tokens, as every open implementation has it, so lambda 0.2 really is a fifth. Both phases are
generators of log rows: who calls them decides what to print and to keep.
"""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from m3w_builder.errors import TrainError
from m3w_builder.flamingo.data import Batch
from m3w_builder.flamingo.lm import CausalLM
from m3w_builder.flamingo.model import Flamingo
from m3w_builder.flamingo.presets import WEIGHTS, Recipe
from m3w_builder.types import Kind

Row = dict[str, Any]  # one line of the log

LM_WARMUP = 20  # steps


def warm_up(lm: CausalLM, texts: Iterator[list[int]], recipe: Recipe) -> Iterator[Row]:
    """Trains the byte LM on plain text alone, so that there is something to freeze.

    Stands in for the pretrained LM that a machine without downloads lacks: a few hundred steps
    teach it spelling, not English. The learning rate falls to 0, since the LM never trains again.
    """
    optimiser = AdamW(lm.parameters(), lr=recipe.lm_rate, weight_decay=recipe.decay)
    schedule = LambdaLR(
        optimiser,
        lambda step: min((step + 1) / LM_WARMUP, max(0.0, 1 - step / max(1, recipe.lm_steps))),
    )
    lm.train()
    for step in range(1, recipe.lm_steps + 1):
        started = time.perf_counter()
        ids = torch.tensor(list(islice(texts, recipe.lm_batch)))
        loss = next_token_loss(lm(ids), ids, torch.ones_like(ids, dtype=torch.bool))
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(lm.parameters(), recipe.clip)
        _step(optimiser, schedule)
        yield {"phase": "lm", "step": step, "loss": _finite(loss, step), **_seconds(started)}


def fit(model: Flamingo, streams: Mapping[Kind, Iterable[Batch]], recipe: Recipe) -> Iterator[Row]:
    """Trains the Resampler, the gated cross-attention and <EOC>; everything else stays as it is."""
    optimiser = AdamW(groups(model, recipe), lr=recipe.rate)
    schedule = LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / recipe.warmup))
    sources = {kind: iter(stream) for kind, stream in streams.items()}
    model.train()
    for step in range(1, recipe.steps + 1):
        started = time.perf_counter()
        losses = accumulate(model, {kind: next(source) for kind, source in sources.items()}, step)
        norm = nn.utils.clip_grad_norm_((p for _, p in model.trained()), recipe.clip)
        _step(optimiser, schedule)
        yield {
            "phase": "flamingo",
            "step": step,
            "loss": sum(WEIGHTS[kind] * loss for kind, loss in losses.items()),
            "losses": losses,
            "gates": model.gates(),
            "gradient_norm": float(norm),
            **_seconds(started),
        }


def accumulate(model: Flamingo, batches: Mapping[Kind, Batch], step: int) -> dict[Kind, float]:
    """Adds lambda times each dataset's gradient; returns the bare losses in nats per token."""
    losses: dict[Kind, float] = {}
    for kind, batch in batches.items():
        loss = batch_loss(model, batch)
        losses[kind] = _finite(loss, step)
        (WEIGHTS[kind] * loss).backward()  # type: ignore[no-untyped-call]
    return losses


def batch_loss(model: Flamingo, batch: Batch) -> Tensor:
    """Returns the mean next-token loss of a batch, in nats per token that counts."""
    media = model.see(batch.frames, batch.times)
    return next_token_loss(model(batch.ids, batch.phi, media), batch.ids, batch.loss)


def next_token_loss(logits: Tensor, ids: Tensor, counts: Tensor) -> Tensor:
    """Returns the mean cross-entropy of ids[:, 1:] where `counts` says so; 0 when it never does."""
    chosen = counts[:, 1:]
    total = F.cross_entropy(logits[:, :-1][chosen], ids[:, 1:][chosen], reduction="sum")
    return total / chosen.sum().clamp(min=1)


def groups(model: Flamingo, recipe: Recipe) -> list[dict[str, Any]]:
    """Returns the optimiser's groups: weight decay everywhere but on the Resampler (F2 B.1.2)."""
    resampler = [p for name, p in model.trained() if name.startswith("resampler.")]
    others = [p for name, p in model.trained() if not name.startswith("resampler.")]
    return [
        {"params": resampler, "weight_decay": 0.0},
        {"params": others, "weight_decay": recipe.decay},
    ]


def _step(optimiser: AdamW, schedule: LambdaLR) -> None:
    optimiser.step()
    schedule.step()
    optimiser.zero_grad()


def _finite(loss: Tensor, step: int) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise TrainError(
            f"step {step}: expected a finite loss, found {value}: lower the learning rate"
        )
    return value


def _seconds(started: float) -> dict[str, float]:
    return {"seconds": round(time.perf_counter() - started, 4)}
