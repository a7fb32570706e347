"""Several processes train one model: torchrun starts them, gradients are summed once per update.

`ddp`: each rank holds all weights. The gradients of all datasets are added up first and summed over the ranks
once, in buckets. torch's own DistributedDataParallel would reduce during each backward pass and has to search
for parameters that a batch without images leaves out; here those add nothing, and no rank waits.
`fsdp`: FSDP2 (`fully_shard`) holds a share of each LM block, bridge and Resampler layer on every rank, and of
the rest, the two <EOC> rows among them, as one group. Gradients are summed as the backward pass goes.

Without torchrun there is one rank, and nothing here costs anything.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from m3w_builder.errors import TrainError
from m3w_builder.flamingo.model import Bridged, Flamingo, blocks, whole

CPU = torch.device("cpu")
BUCKET = 32 * 2**20  # elements that are summed over the ranks at a time
PATIENCE = timedelta(hours=6)  # that other ranks wait while the first trains the frozen parts


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    world: int = 1
    device: torch.device = CPU
    sharded: bool = False  # FSDP2

    @property
    def first(self) -> bool:
        """Says whether this is the process that writes and prints."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Returns the sums over all ranks."""
        if self.world == 1:
            return list(values)
        found = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(found)
        sums: list[float] = found.tolist()
        return sums

    def counted(self, counts: Counter[str]) -> Counter[str]:
        """Returns the sums of counts by name over all ranks."""
        found: list[Any] = [counts]
        if self.world > 1:
            found = [None] * self.world
            dist.all_gather_object(found, counts)
        return sum(found, Counter[str]())

    def wait(self) -> None:
        """Returns when every rank has come here."""
        if self.world > 1:
            dist.barrier()

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sums the gradients over the ranks, in place; FSDP2 has done so already."""
        if self.world == 1 or self.sharded:
            return
        for bucket in _buckets(parameters):
            flat = torch.cat([_gradient(p).flatten() for p in bucket])
            dist.all_reduce(flat)
            parts = torch.split(flat, [p.numel() for p in bucket])
            for parameter, part in zip(bucket, parts, strict=True):
                parameter.grad = part.view_as(parameter)

    def spread(self, parameters: Iterable[nn.Parameter]) -> None:
        """Gives every rank the first one's values."""
        if self.world > 1 and not self.sharded:
            for parameter in parameters:
                dist.broadcast(parameter.data, 0)


@contextmanager
def joined(parallel: str = "ddp", *, cpu: bool = False) -> Iterator[Ranks]:
    """Yields this process's place among those of torchrun; of one process alone without it.

    NCCL where there are GPUs, Gloo on CPUs.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    cuda = torch.cuda.is_available() and not cpu
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if cuda else CPU
    if cuda:
        if local >= torch.cuda.device_count():
            raise TrainError(
                f"torchrun: expected at most {torch.cuda.device_count()} processes on this machine,"
                f" one per GPU, found more: lower --nproc-per-node"
            )
        torch.cuda.set_device(device)
    if world == 1 and parallel == "ddp":
        yield Ranks(device=device)
        return
    if world == 1:
        raise TrainError(
            'train.parallel = "fsdp": expected several processes, found one:'
            " start it as torchrun --nproc-per-node N -m m3w_builder train ..."
        )
    dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield Ranks(dist.get_rank(), world, device, parallel == "fsdp")
    finally:
        dist.destroy_process_group()


def shard(objective: nn.Module, model: Flamingo, ranks: Ranks) -> None:
    """Shards the weights over the ranks in place (FSDP2); `objective` is the module that is called."""
    mesh = init_device_mesh(ranks.device.type, (ranks.world,))
    for unit in units(model):
        fully_shard(unit, mesh=mesh)
    if next(model.vision.parameters(), None) is not None:
        fully_shard(model.vision, mesh=mesh)
    fully_shard(objective, mesh=mesh)


def units(model: Flamingo) -> list[nn.Module]:
    """Returns the repeated modules, which are sharded and compiled each by itself."""
    lm = [block.known if isinstance(block, Bridged) else block for block in blocks(model.lm)]
    return [*model.resampler.layers, *model.bridges, *lm]


def gathered(tensors: Iterable[tuple[str, Tensor]], ranks: Ranks) -> dict[str, Tensor]:
    """Returns the whole tensors on the CPU of the first rank, {} on the others; all have to ask."""
    found = dict[str, Tensor]()
    for name, tensor in tensors:
        full = whole(tensor.detach())
        if ranks.first:
            found[name] = full.cpu().contiguous()
    return found


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _buckets(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    bucket, size = list[nn.Parameter](), 0
    for parameter in parameters:
        if bucket and size + parameter.numel() > BUCKET:
            yield bucket
            bucket, size = [], 0
        bucket.append(parameter)
        size += parameter.numel()
    if bucket:
        yield bucket
