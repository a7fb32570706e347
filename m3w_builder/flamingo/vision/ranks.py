"""What contrastive training needs of torch.distributed: features of all ranks, and one gradient.

Each rank's loss is about its own rows, times the number of ranks, so that the mean of the gradients
over the ranks is the gradient of the mean loss over all pairs. With one process all of this is nothing.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def world() -> int:
    """Returns the number of ranks."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Returns the number of this rank."""
    return dist.get_rank() if dist.is_initialized() else 0


def gather(images: Tensor, texts: Tensor, named: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
    """Returns images, texts [N, J] and names [N, 2] of all ranks, and where this rank's begin.

    Ranks may hold unequal numbers of pairs; the gradient of what others do with mine comes back.
    """
    if world() == 1:
        return images, texts, named, 0
    counts = [torch.zeros(1, dtype=torch.int64, device=images.device) for _ in range(world())]
    dist.all_gather(counts, torch.tensor([len(images)], device=images.device))
    sizes = [int(count) for count in counts]
    parts = [_all(x, sizes) for x in (images, texts, named)]
    return parts[0], parts[1], parts[2], sum(sizes[: rank()])


def average(model: nn.Module) -> None:
    """Makes every gradient the mean over the ranks."""
    if world() == 1:
        return
    for weight in model.parameters():
        if weight.requires_grad:
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
            dist.all_reduce(weight.grad)
            weight.grad /= world()


def _all(x: Tensor, sizes: list[int]) -> Tensor:
    """Returns the rows of all ranks, one after the other."""
    room = max(1, *sizes)
    padded = torch.cat([x, x.new_zeros(room - len(x), x.shape[1])])
    rows = _Gather.apply(padded) if x.is_floating_point() else _gathered(padded)  # type: ignore[no-untyped-call]
    return torch.cat([part[:size] for part, size in zip(rows.split(room), sizes, strict=True)])


def _gathered(x: Tensor) -> Tensor:
    parts = [torch.empty_like(x) for _ in range(world())]
    dist.all_gather(parts, x.contiguous())
    return torch.cat(parts)


class _Gather(torch.autograd.Function):
    """[n, J] of each rank -> [world * n, J]; backwards the sum of what all ranks want of mine."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        return _gathered(x)

    @staticmethod
    def backward(_ctx: Any, grad: Tensor) -> Tensor:
        total = grad.contiguous()
        dist.all_reduce(total)
        return total.chunk(world())[rank()]
