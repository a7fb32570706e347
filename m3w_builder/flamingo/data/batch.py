"""Examples become a batch: short ones share a row, and only the images that exist are there.

Padding is what open_flamingo spends two fifths of a step on; here a row holds as many whole examples as
fit, each with positions of its own, and the model lets none see its neighbour.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from m3w_builder.flamingo.data.examples import Example

Pixels = NDArray[np.uint8]  # [size, size, 3]
Loaded = tuple[Example, Sequence[Sequence[Pixels]]]  # with the frames of each tag


@dataclass(frozen=True, slots=True)
class Batch:
    """E examples in B rows of L tokens, and their M media."""

    ids: Tensor  # int64[B, L]
    phi: Tensor  # int64[B, L]: 0 = no image, m = media m of this batch, counted from 1
    positions: Tensor  # int64[B, L]: place inside the own example
    documents: Tensor  # int64[B, L]: number of the example in its row from 1, 0 = padding
    loss: Tensor  # bool[B, L]: does predicting this token count; never a first one, never padding
    frames: Tensor  # uint8[sum(times), size, size, 3], the media one after the other
    times: list[int]  # [M] frames of each medium, 1 for an image
    keys: list[str]  # [E] of the documents
    images: list[list[str]]  # [E] ids of the pictures, tag after tag
    packed: bool  # does any row hold several examples
    rejected: Mapping[str, int] = field(default_factory=dict)  # samples left out, by reason

    def __len__(self) -> int:
        return len(self.keys)

    def to(self, device: torch.device | str) -> "Batch":
        """Returns the batch on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """Returns the batch in pages that CUDA copies while it computes; torch's loader asks for it."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        names = ("ids", "phi", "positions", "documents", "loss", "frames")
        changed: dict[str, Any] = {name: change(getattr(self, name)) for name in names}
        return replace(self, **changed)


def collate(
    loaded: Sequence[Loaded],
    *,
    size: int,
    length: int,
    pad: int,
    rejected: Mapping[str, int] | None = None,
) -> Batch:
    """Returns the batch: phi renumbered from image-of-the-example to media-of-the-batch.

    The media keep the order of the examples, wherever packing puts the text.
    """
    rows = pack([len(example.ids) for example, _ in loaded], length)
    first = _before([len(example.tags) for example, _ in loaded])
    widths = [sum(len(loaded[i][0].ids) for i in row) for row in rows]
    shape = (len(rows), max(widths, default=0))
    ids = np.full(shape, pad, dtype=np.int64)
    phi, positions, documents = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    loss = np.zeros(shape, dtype=bool)
    for row, members in enumerate(rows):
        start = 0
        for number, i in enumerate(members, 1):
            example = loaded[i][0]
            here = slice(start, start + len(example.ids))
            ids[row, here] = example.ids
            looks = np.asarray(example.phi)
            phi[row, here] = np.where(looks > 0, looks + first[i], 0)
            positions[row, here] = np.arange(len(looks))
            documents[row, here] = number
            loss[row, here] = example.loss
            start = here.stop
    media = [frames for _, pixels in loaded for frames in pixels]
    flat = [frame for frames in media for frame in frames]
    pixels = np.stack(flat) if flat else np.zeros((0, size, size, 3), dtype=np.uint8)
    return Batch(
        ids=torch.from_numpy(ids),
        phi=torch.from_numpy(phi),
        positions=torch.from_numpy(positions),
        documents=torch.from_numpy(documents),
        loss=torch.from_numpy(loss),
        frames=torch.from_numpy(pixels),
        times=[len(frames) for frames in media],
        keys=[example.key for example, _ in loaded],
        images=[example.images for example, _ in loaded],
        packed=any(len(row) > 1 for row in rows),
        rejected=dict(Counter(rejected or {})),
    )


def pack(lengths: Sequence[int], length: int) -> list[list[int]]:
    """Returns rows of indexes, each of at most `length` tokens: first fit, the longest first.

    One that is longer than `length` has a row of its own. Ties go by index: a pure function.
    """
    rows, free = list[list[int]](), list[int]()
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        row = next((r for r, room in enumerate(free) if room >= lengths[i]), len(rows))
        if row == len(rows):
            rows.append([])
            free.append(max(length, lengths[i]))
        rows[row].append(i)
        free[row] -= lengths[i]
    return rows


def _before(counts: Sequence[int]) -> list[int]:
    """Returns how many come before each: [2, 0, 3] -> [0, 2, 2]."""
    return [0, *np.cumsum(counts, dtype=int).tolist()][: len(counts)]
