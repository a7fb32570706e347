"""A frozen vision encoder without weights: cosine-transformed colour cells and their places.

It is fixed arithmetic, not a learnt encoder: it keeps what a small picture looks like
(brightness, colour and coarse texture of each cell) where a random network would scramble it.
What is in the picture is left to the Resampler, which a pretrained encoder would make far easier.
Any module that maps float32[F, H, W, 3] to float32[F, S, width] and has `width` can stand in its
place.
"""

import math

import torch
from torch import Tensor, nn

# JPEG's YCbCr: brightness apart from the two colour differences.
YCBCR = ((0.299, 0.587, 0.114), (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081))


class CosineCells(nn.Module):
    """[F, H, W, 3] -> [F, S, width]: `keep` x `keep` low frequencies per cell and colour."""

    basis: Tensor
    colours: Tensor

    def __init__(self, patch: int, keep: int = 4, places: int = 4) -> None:
        super().__init__()
        self.patch, self.places = patch, places
        self.width = 3 * keep**2 + 4 * places
        self.register_buffer("basis", cosines(patch)[:keep] / math.sqrt(patch), persistent=False)
        self.register_buffer("colours", torch.tensor(YCBCR), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        f, height, width, _ = frames.shape
        rows, columns = height // self.patch, width // self.patch
        cells = frames.view(f, rows, self.patch, columns, self.patch, 3)
        waves = torch.einsum(
            "ui,vj,ck,frisjk->frsuvc", self.basis, self.basis, self.colours, cells
        )  # [F, rows, columns, keep, keep, 3]
        places = _places(rows, columns, self.places).to(frames).expand(f, -1, -1)
        return torch.cat([waves.reshape(f, rows * columns, -1), places], dim=-1)  # [F, S, width]


def cosines(size: int) -> Tensor:
    """Returns the orthonormal DCT-II as [size, size]: row u is the wave of frequency u."""
    u, i = torch.arange(size)[:, None], torch.arange(size)[None, :]
    waves = torch.cos(math.pi * (i + 0.5) * u / size) * math.sqrt(2 / size)
    waves[0] /= math.sqrt(2)
    return waves


def _places(rows: int, columns: int, waves: int) -> Tensor:
    """Returns [S, 4 waves]: sines and cosines of each cell's height and width (0..1).

    A convolutional encoder knows where a cell is; the Resampler adds no spatial code (F2 2.1).
    """
    y, x = torch.meshgrid(torch.linspace(0, 1, rows), torch.linspace(0, 1, columns), indexing="ij")
    angles = torch.stack([y, x]).flatten(1)[..., None] * math.pi * 2.0 ** torch.arange(waves)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).transpose(0, 1).flatten(1)
