"""Frozen vision encoders: pictures to a flat grid of features."""

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """uint8[F, H, W, 3] -> float[F, S, width], S cells of the final grid, flattened (F2 2.1)."""

    width: int  # channels of a cell
    size: int  # pixels, side of the square it wants
    mean: tuple[float, float, float]  # RGB in 0..1: what padding is filled with

    def pooled(self, frames: Tensor) -> Tensor:
        """Returns [F, width]: the mean over the cells, of length 1 (RICES compares these)."""
        features: Tensor = self(frames).float().mean(1)
        return features / features.norm(dim=-1, keepdim=True).clamp(min=torch.finfo().tiny)
