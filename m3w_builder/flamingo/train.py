"""Training: per update a batch of every dataset, gradients weighted and added up, clipped once, one step.

    loss = sum over datasets of lambda_d * L_d          (F2 Eq. 2)
    L_d  = sum of the tokens' losses / tokens           reduction = "mean"
           sum of the tokens' losses / sequences        reduction = "sum"

Tokens and sequences are those of all ranks: W ranks with a W-th of the batch each do what one rank does.
`Trainer.fit` yields log rows: who calls it decides what to print and to keep.
"""

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, get_total_norm
from torch.optim import AdamW

from m3w_builder.errors import TrainError
from m3w_builder.flamingo import flops
from m3w_builder.flamingo.config import Run, Training
from m3w_builder.flamingo.data.batch import Batch
from m3w_builder.flamingo.model import Flamingo, whole
from m3w_builder.flamingo.parallel import Ranks, shard, units

Row = dict[str, Any]  # one line of the log
Batches = Mapping[str, Batch]  # of an update, by dataset
Gradients = list[Tensor | None]

PHASE = "flamingo"
NORMS_EVERY = 20  # updates between two that measure each dataset's gradient apart


class Objective(nn.Module):
    """The model with its loss, as the one module that is called: what FSDP2 shards."""

    def __init__(self, model: Flamingo) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        """Returns the sum of the next-token losses that count, in nats, in float32.

        Position t predicts token t + 1: logits are computed where that one counts, nowhere else.
        """
        keep = torch.zeros_like(batch.loss)
        keep[:, :-1] = batch.loss[:, 1:]
        media = self.model.see(batch.frames, batch.times)
        # A row of one example needs no mask but the causal one, which flash attention has built in.
        apart = (batch.positions, batch.documents) if batch.packed else (None, None)
        logits = self.model(batch.ids, batch.phi, media, *apart, keep)  # [n, size + 1]
        return F.cross_entropy(logits.float(), batch.ids[:, 1:][keep[:, :-1]], reduction="sum")


@dataclass(slots=True)
class Sizes:
    """What the batches of an update hold: of one rank, or of all."""

    tokens: float = 0  # whose prediction counts
    sequences: float = 0
    text: float = 0  # tokens, padding aside
    frames: float = 0
    rejected: float = 0  # samples
    flops: float = 0  # of the forward and backward passes; 0 where the device's peak is not known

    @classmethod
    def of(cls, batch: Batch, flops: float = 0) -> "Sizes":
        return cls(
            tokens=int(batch.loss[:, 1:].sum()),
            sequences=len(batch),
            text=int((batch.documents > 0).sum()),
            frames=sum(batch.times),
            rejected=sum(batch.rejected.values()),
            flops=flops,
        )

    def values(self) -> list[float]:
        """Returns the numbers in the order of the fields."""
        return [self.tokens, self.sequences, self.text, self.frames, self.rejected, self.flops]


@dataclass(slots=True)
class Progress:
    """How far a run is: with weights and optimiser all that the next update depends on."""

    step: int = 0  # updates done
    rejected: Counter[str] = field(default_factory=Counter)  # samples by "dataset/reason"


class Trainer:
    """A model, its optimiser and its progress, on one rank of several.

    `weights` is lambda by dataset. `stop_asked`, set on any rank at any time, ends `fit` after an update:
    all ranks agree on which, and are `stopping` then.
    """

    def __init__(
        self, model: Flamingo, run: Run, weights: Mapping[str, float], ranks: Ranks | None = None
    ) -> None:
        self.model, self.run, self.weights = model, run, weights
        self.ranks = ranks or Ranks()
        self.progress = Progress()
        self.stop_asked = self.stopping = False
        self.objective = Objective(model.to(self.ranks.device))
        model.checkpointing = run.train.checkpointing
        if run.train.precision == "bf16":
            model.store_frozen(torch.bfloat16)
        self.peak = peak(self.ranks.device) if run.train.precision == "bf16" else None
        self.frame = flops.frame(model.vision) if self.peak else None
        if run.train.compile:
            for module in units(model):  # by class: equal blocks share what is compiled
                module.forward = torch.compile(module.forward, dynamic=True)
        self.ranks.spread(p for _, p in model.trained())
        if self.ranks.sharded:
            shard(self.objective, model, self.ranks)
        self.learnt = [p for _, p in model.trained()]
        fused = self.ranks.device.type == "cuda"
        self.optimiser = AdamW(groups(model, run.train), lr=run.train.rate, fused=fused)
        model.train()

    def fit(self, batches: Iterable[Batches]) -> Iterator[Row]:
        """Yields a row per update until `train.steps` are done; `batches` begin at the next one."""
        stream = iter(batches)
        for step in range(self.progress.step, self.run.train.steps):
            started = time.perf_counter()
            found = next(stream, None)
            if found is None:
                return
            waited = time.perf_counter() - started
            with enough_memory():
                row, sizes = self.update(found, apart=step % NORMS_EVERY == 0)
            self.progress.step = step + 1
            yield {
                "phase": PHASE,
                "step": step + 1,
                **row,
                "gates": self.model.gates(),
                "rejected": dict(self.progress.rejected),
                **self._speed(sizes, time.perf_counter() - started, waited),
            }
            if self.stopping:
                return

    def update(self, batches: Batches, *, apart: bool = False) -> tuple[Row, Sizes]:
        """Does one update on a batch of each dataset; returns what to log, and the sizes summed up.

        With `apart` the gradient of each dataset is measured by itself before they are added up.
        """
        sizes = self._sizes(batches)
        sums, norms, kept = dict[str, Tensor](), dict[str, float](), list[Tensor | None]()
        for name, batch in batches.items():
            sums[name] = self._backward(batch, self.weights[name] / self._share(sizes[name]))
            if apart:
                self.ranks.add_gradients(self.learnt)
                norms[name] = self._norm()
                kept = self._set_aside(kept)
        if apart:
            for parameter, gradient in zip(self.learnt, kept, strict=True):
                parameter.grad = gradient
        else:
            self.ranks.add_gradients(self.learnt)
        own = torch.stack(list(sums.values())).tolist()
        *found, stops = self.ranks.sum([*own, float(self.stop_asked)])
        self.stopping = stops > 0
        totals = dict(zip(sums, found, strict=True))
        self._finite({f"loss of {name}": total for name, total in totals.items()})
        norm, rate = self._step()
        row: Row = {
            "loss": sum(self.weights[n] * t / self._share(sizes[n]) for n, t in totals.items()),
            "losses": {n: t / sizes[n].tokens for n, t in totals.items() if sizes[n].tokens},
            "rate": rate,
            "gradient_norm": norm,
        }
        if apart:
            row["gradient_norms"] = norms
        return row, Sizes(*map(sum, zip(*(s.values() for s in sizes.values()), strict=True)))

    def _share(self, sizes: Sizes) -> float:
        """Returns what a dataset's sum of losses is divided by."""
        return max(1.0, sizes.sequences if self.run.train.reduction == "sum" else sizes.tokens)

    def _sizes(self, batches: Batches) -> dict[str, Sizes]:
        """Returns the sizes of each dataset's batch over all ranks; counts what they rejected."""
        own = [Sizes.of(batch, self._flops(batch)).values() for batch in batches.values()]
        found = iter(self.ranks.sum([value for values in own for value in values]))
        sizes = {n: Sizes(*islice(found, len(v))) for n, v in zip(batches, own, strict=True)}
        if any(one.rejected for one in sizes.values()):
            reasons = Counter(
                {f"{n}/{r}": k for n, batch in batches.items() for r, k in batch.rejected.items()}
            )
            self.progress.rejected += self.ranks.counted(reasons)
        return sizes

    def _backward(self, batch: Batch, scale: float) -> Tensor:
        """Adds the gradient of `scale` times the batch's loss; returns its sum over the tokens."""
        if self.ranks.sharded:
            batch = seen(batch)
            scale *= self.ranks.world  # FSDP2 averages over the ranks where a sum is meant
        elif not batch.loss[:, 1:].any():
            return torch.zeros((), device=self.ranks.device)
        with self._precision():
            loss: Tensor = self.objective(batch.to(self.ranks.device))
        (scale * loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _precision(self) -> AbstractContextManager[None]:
        if self.run.train.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.ranks.device.type, torch.bfloat16)

    def _norm(self) -> float:
        """Returns the norm of all gradients together."""
        found = get_total_norm([p.grad for p in self.learnt if p.grad is not None])
        return float(whole(found))

    def _set_aside(self, kept: Gradients) -> Gradients:
        """Returns `kept` with the gradients added, which the parameters no longer have."""
        both = list[Tensor | None]()
        for parameter, old in zip(self.learnt, kept or [None] * len(self.learnt), strict=True):
            new, parameter.grad = parameter.grad, None
            both.append(old if new is None else new if old is None else old.add_(new))
        return both

    def _flops(self, batch: Batch) -> float:
        return flops.of_batch(self.model, batch, self.frame).total if self.frame else 0.0

    def _speed(self, sizes: Sizes, seconds: float, waited: float) -> Row:
        """Returns how fast an update was on all ranks together, for the log."""
        row: Row = {
            "seconds": round(seconds, 4),
            "waited": round(waited, 4),  # for data, of those seconds
            "tokens_per_second": round(sizes.text / seconds, 1),
            "images_per_second": round(sizes.frames / seconds, 1),
        }
        if self.peak:
            row["mfu"] = flops.mfu(sizes.flops, seconds, self.peak * self.ranks.world)
        if self.ranks.device.type == "cuda":
            row["gpu_bytes"] = torch.cuda.max_memory_allocated(self.ranks.device)
        return row

    def _finite(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            if not math.isfinite(value):
                raise TrainError(
                    f"update {self.progress.step + 1}: expected a finite {name}, found {value}:"
                    " lower train.rate, or go on from the last state with more train.warmup"
                )

    def _step(self) -> tuple[float, float]:
        """Clips the gradients of all datasets together and steps once; returns (norm, rate)."""
        norm = float(whole(clip_grad_norm_(self.learnt, self.run.train.clip)))
        self._finite({"gradient norm": norm})
        rate = rate_at(self.progress.step, self.run.train)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad()
        return norm, rate


def groups(model: Flamingo, train: Training) -> list[dict[str, Any]]:
    """Returns the optimiser's groups: weight decay everywhere but on the Resampler (F2 B.1.2).

    The paper excepts the Resampler alone: norms, gates and <EOC> decay with the rest.
    """
    resampler = [p for name, p in model.trained() if name.startswith("resampler.")]
    others = [p for name, p in model.trained() if not name.startswith("resampler.")]
    return [
        {"params": resampler, "weight_decay": 0.0},
        {"params": others, "weight_decay": train.decay},
    ]


def rate_at(step: int, train: Training) -> float:
    """Returns the learning rate of an update, counted from 0: linear, then constant (F2 B.1.2)."""
    return train.rate * min(1.0, (step + 1) / train.warmup)


def seen(batch: Batch) -> Batch:
    """Returns the batch with a row more, which sees a black image, where no token sees any.

    No prediction of that row counts. With FSDP2 each rank has to pass every weight in each pass: one
    that skips the Resampler for want of an image would let the others wait for ever.
    """
    if (batch.phi > 0).any():
        return batch
    width = max(2, batch.ids.shape[1])
    pad = width - batch.ids.shape[1]

    def longer(tensor: Tensor, value: int) -> Tensor:
        last = torch.full((1, width), value, dtype=tensor.dtype)
        return torch.cat([F.pad(tensor, (0, pad)), last])

    return replace(
        batch,
        ids=longer(batch.ids, 0),
        phi=longer(batch.phi, len(batch.times) + 1),
        positions=longer(batch.positions, 0),
        documents=longer(batch.documents, 1),
        loss=longer(batch.loss, 0),
        frames=torch.cat([batch.frames, batch.frames.new_zeros(1, *batch.frames.shape[1:])]),
        times=[*batch.times, 1],
    )


def peak(device: torch.device) -> float | None:
    """Returns the FLOP/s of dense bf16 that a device can do, None where that is not known: a CPU."""
    return flops.peak(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


@contextmanager
def enough_memory() -> Iterator[None]:
    """Raises TrainError where the device or the machine has no memory left."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; of a CPU there is no class
        cpu = any(words in str(error) for words in ("not enough memory", "can't allocate memory"))
        if not cpu and not isinstance(error, torch.OutOfMemoryError):
            raise
        raise TrainError(
            "out of memory: lower train.batch or examples.length, or set train.checkpointing = true"
        ) from error
