"""Forward and backward of a Flamingo: ours, open_flamingo's and flamingo-pytorch's, with equal sizes in one run.

    python -m benchmarks.train_speed [--json] [--repeats 5] [--bf16] [--peers DIR]
    python -m benchmarks.train_speed --gpu       the flamingo-3b shape on CUDA: see benchmarks/train_gpu.py

CPU seconds of one thread, the least of the repeats; the rows take turns, so that a busy machine is unfair to
none. `equal` is a batch without any padding, with features given and with the encoder (a ViT of 6 layers);
`mix` is the realistic one of benchmarks/train_work.py, with the encoder. Tokens per second are useful ones:
padding is not counted. The optimiser, labels and collation are left out.

Ours and open_flamingo's are made one function first (benchmarks/train_alignment.py), and before anything is
timed their losses and gradients on the mix are compared. `lm` is the frozen LM alone with its embeddings
learnt, which nothing built on it undercuts; flamingo-pytorch comes with a decoder of its own (PaLM's), of
the same width and depth. With --bf16 the mix is also run under autocast, our frozen weights stored so; a CPU
without AMX or AVX512-BF16 ("bf16_hardware": false) emulates it, slower than fp32.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks import flamingo_peers as peers
from benchmarks.train_alignment import Sizes, apart, encoder, gradients, llama, ours, theirs
from benchmarks.train_work import PAD, WEIGHTS, Work, equal, images, mix, tokens
from m3w_builder.flamingo.data.batch import Batch, collate
from m3w_builder.flamingo.train import Objective

Losses = dict[str, float]  # by dataset, in nats per token that counts
OURS, OPEN, PALM = "ours", "open_flamingo", "flamingo_pytorch"  # what the names of rows end with


def packed(work: Work, sizes: Sizes) -> dict[str, Batch]:
    """Returns the batches that our loader makes of the work."""
    return {
        name: collate(loaded, size=sizes.side, length=sizes.length, pad=PAD)
        for name, loaded in work.items()
    }


def padded(work: Work, documents: int = peers.SLOTS) -> dict[str, tuple[float, peers.Padded]]:
    """Returns the batches that open_flamingo's loader makes of it, with their weights.

    `documents` is how many image slots each of them has.
    """
    slots = {"pairs": 1, "documents": documents}
    return {
        name: (WEIGHTS[name], peers.padded(loaded, slots[name], PAD))
        for name, loaded in work.items()
    }


def our_step(objective: Objective, batches: Mapping[str, Batch]) -> Losses:
    """Accumulates the weighted gradients of each dataset, as the trainer does; returns the losses."""
    losses = {}
    for name, batch in batches.items():
        loss = objective(batch) / int(batch.loss[:, 1:].sum())
        losses[name] = loss.detach()
        (WEIGHTS[name] * loss).backward()
    return {name: float(loss) for name, loss in losses.items()}


@dataclass(frozen=True)
class Row:
    """One figure: a step of a model, and how many useful tokens it learns from."""

    name: str
    tokens: int
    model: nn.Module
    step: Callable[[], Any]
    bf16: bool = False
    device: str = "cpu"

    def seconds(self) -> float:
        """Returns the time of a step from empty gradients: CPU time, on a GPU the wall's."""
        self.model.zero_grad(set_to_none=True)
        started = self._clock()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            self.step()
        return self._clock() - started

    def _clock(self) -> float:
        if self.device == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()


def alike(sizes: Sizes) -> dict[str, float]:
    """Returns how far ours and open_flamingo's are apart on the mix: losses and gradients, relative."""
    torch.manual_seed(0)
    sees = encoder(sizes, given=False)
    mine = ours(sizes, sees)
    its = theirs(sizes, sees, mine)
    work = mix(sizes.words, sizes.side, length=sizes.length)
    losses = (
        our_step(Objective(mine), packed(work, sizes)),
        _their_step(its, padded(work), sizes),
    )
    found = {
        f"{who}_{n}_loss": x[n]
        for who, x in zip(("ours", "theirs"), losses, strict=True)
        for n in x
    }
    worst = max(abs(losses[0][name] / losses[1][name] - 1) for name in WEIGHTS)
    return found | {"loss_apart": worst, "gradient_apart": apart(*gradients(mine, its))}


def rows(sizes: Sizes, *, bf16: bool, peer: bool) -> list[Row]:
    """Returns the rows to measure, each with models of its own; without peers ours and the LM alone."""
    found = [
        *equal_rows("equal_given", sizes, given=True, peer=peer),
        *equal_rows("equal_encoder", sizes, given=False, peer=peer),
        *mix_rows("mix", sizes, bf16=False, peer=peer),
    ]
    return found + mix_rows("mix_bf16", sizes, bf16=True, peer=peer) if bf16 else found


def equal_rows(name: str, sizes: Sizes, *, given: bool, peer: bool) -> list[Row]:
    """Returns the rows of the batch without padding; `given`: of features given."""
    torch.manual_seed(0)
    sees = encoder(sizes, given=given)
    work = equal(sizes.words, sizes.side, length=sizes.length)
    count, mine = tokens(work), ours(sizes, sees)
    batches, objective = packed(work, sizes), Objective(mine)
    slots = padded(work, documents=images(work) // len(work["documents"]))
    _, flat = slots["documents"]
    found = []
    if given:
        lm: Any = llama(sizes, sizes.vocabulary + 1).requires_grad_(False)
        lm.get_input_embeddings().requires_grad_(True)
        found.append(Row(f"{name}_lm", count, lm, lambda: _alone(lm, flat)))
    if peer:
        palm = peers.flamingo_pytorch(
            sees,
            dim=sizes.dim,
            num_tokens=sizes.vocabulary + 1,
            depth=sizes.layers,
            media_token_id=sizes.words.image,
            cross_attn_every=1,
            perceiver_depth=6,
        )
        other = theirs(sizes, sees, mine)
        found += [
            Row(f"{name}_{PALM}", count, palm, lambda: peers.flamingo_pytorch_step(palm, flat)),
            Row(f"{name}_{OPEN}", count, other, lambda: _their_step(other, slots, sizes)),
        ]
    return [*found, Row(f"{name}_{OURS}", count, mine, lambda: our_step(objective, batches))]


def mix_rows(
    name: str, sizes: Sizes, *, bf16: bool, device: str = "cpu", copies: int = 1, peer: bool = True
) -> list[Row]:
    """Returns the rows of the mix, or of `copies` of it."""
    torch.manual_seed(0)
    with torch.device(device):
        sees = encoder(sizes, given=False)
        mine = ours(sizes, sees)
    work = mix(sizes.words, sizes.side, copies=copies, length=sizes.length)
    count = tokens(work)
    batches = {name: batch.to(device) for name, batch in packed(work, sizes).items()}
    slots = {name: (weight, batch.to(device)) for name, (weight, batch) in padded(work).items()}
    if bf16:
        mine.store_frozen(torch.bfloat16)
    objective = Objective(mine)
    found = []
    if peer:
        with torch.device(device):
            other = theirs(sizes, sees, mine)
        step = partial(_their_step, other, slots, sizes)
        found.append(Row(f"{name}_{OPEN}", count, other, step, bf16, device))
    if bf16:
        mine.store_frozen(torch.bfloat16)
    our = partial(our_step, objective, batches)
    return [*found, Row(f"{name}_{OURS}", count, mine, our, bf16, device)]


def _their_step(
    model: Any, slots: Mapping[str, tuple[float, peers.Padded]], sizes: Sizes
) -> Losses:
    new = (sizes.words.eoc, sizes.words.image)  # the rows of its embedding that it learns
    return peers.open_flamingo_step(model, slots, new)


def _alone(lm: Any, batch: peers.Padded) -> None:
    lm(input_ids=batch.ids, attention_mask=batch.attention, labels=batch.labels).loss.backward()


def timed(measuring: Sequence[Row], repeats: int) -> dict[str, float]:
    """Returns the figures of rows that take turns, and open_flamingo's time over ours."""
    spent: dict[str, list[float]] = {row.name: [] for row in measuring}
    for turn in range(repeats + 1):  # the first warms up
        for row in measuring:
            seconds = row.seconds()
            if turn:
                spent[row.name].append(seconds)
                print(f"{row.name}: {1000 * seconds:.0f} ms", file=sys.stderr, flush=True)
    found = {}
    for row in measuring:
        least, middle = min(spent[row.name]), statistics.median(spent[row.name])
        found[f"{row.name}_ms"] = round(1000 * least, 1)
        found[f"{row.name}_ms_median"] = round(1000 * middle, 1)
        found[f"{row.name}_tokens_s"] = round(row.tokens / least, 1)
    for name in [n.removesuffix(f"_{OURS}") for n in spent if n.endswith(OURS)]:
        if f"{name}_{OPEN}" in spent:
            ratio = found[f"{name}_{OPEN}_ms"] / found[f"{name}_{OURS}_ms"]
            found[f"{name}_over_{OPEN}"] = round(ratio, 3)
    return found


def measured(sizes: Sizes, *, repeats: int, bf16: bool, missing: str = "") -> dict[str, Any]:
    """Returns the JSON object of a run; `missing` says why there are no peers, "" where there are."""
    work = mix(sizes.words, sizes.side, length=sizes.length)
    cpu = torch.cpu.get_capabilities()
    found: dict[str, Any] = {
        "repeats": repeats,
        "bf16_hardware": bool(cpu.get("amx_bf16") or cpu.get("avx512_bf16")),
        "mix_tokens": tokens(work),
        "mix_images": images(work),
        "mix_images_padded": sum(b.frames.shape[:2].numel() for _, b in padded(work).values()),
    }
    found |= {"peers": missing} if missing else alike(sizes)
    return found | timed(rows(sizes, bf16=bf16, peer=not missing), repeats)


def table(found: Mapping[str, Any]) -> str:
    """Returns a Markdown table of the rows, then the ratios and the comparison in lines."""
    lines = ["| step | CPU ms, least (median) | useful tokens/s |", "| --- | --- | --- |"]
    for key in found:
        if key.endswith("_tokens_s"):
            name = key.removesuffix("_tokens_s")
            least, median = found[f"{name}_ms"], found[f"{name}_ms_median"]
            lines.append(f"| {name} | {least:.0f} ({median:.0f}) | {found[key]:.0f} |")
    lines.append("")
    lines += [f"{key}: {found[key]}" for key in found if key.startswith("trainer_")]
    lines += [f"{key}: {found[key]}" for key in found if key.endswith(f"_over_{OPEN}")]
    lines += [
        f"{key}: {found[key]:.2g}" for key in ("loss_apart", "gradient_apart") if key in found
    ]
    return "\n".join([*lines, *filter(None, [found.get("peers")])])


def main(argv: Sequence[str] | None = None) -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--json", action="store_true", help="one JSON object, no table")
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--bf16", action="store_true", help="the mix in bfloat16, too")
    arguments.add_argument("--peers", type=Path, help="folder that keeps the peers between runs")
    arguments.add_argument("--gpu", action="store_true", help="the flamingo-3b shape on CUDA")
    arguments.add_argument("--documents", type=int, default=32, help="of an update, with --gpu")
    arguments.add_argument("--updates", type=int, default=30, help="of the trainer, with --gpu")
    args = arguments.parse_args(argv)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        missing = ""
        try:
            peers.environment((args.peers or Path(temporary)).resolve())
        except peers.Unavailable as error:
            missing = str(error)
        if args.gpu:
            gpu = import_module("benchmarks.train_gpu")  # which needs webdataset
            options = {"documents": args.documents, "updates": args.updates, "missing": missing}
            found = gpu.figures(Path(temporary), repeats=args.repeats, **options)
        else:
            found = measured(Sizes(), repeats=args.repeats, bf16=args.bf16, missing=missing)
    print(json.dumps(found) if args.json else table(found))


if __name__ == "__main__":
    main()
