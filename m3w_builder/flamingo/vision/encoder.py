"""What every vision encoder is: uint8 frames in, the cells of its last grid out, flattened.

It normalises by its own statistics, so that workers send bytes and nobody else needs to know them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m3w_builder.flamingo.data.images import DEVIATION, MEAN

RGB = tuple[float, float, float]


class Encoder(nn.Module):
    """uint8[F, H, W, 3] -> float[F, S, width]; a subclass says what `features` are."""

    def __init__(
        self, *, width: int, size: int, mean: RGB = MEAN, deviation: RGB = DEVIATION
    ) -> None:
        super().__init__()
        self.width = width  # channels of a cell
        self.size = size  # pixels, side of the square it is fed with
        self.mean, self.deviation = (
            mean,
            deviation,
        )  # the mean is also what pictures are padded with

    def forward(self, frames: Tensor) -> Tensor:
        """Returns the cells of each frame: uint8[F, H, W, 3] -> [F, S, width]."""
        return self.features(self.normalised(frames))

    def features(self, pixels: Tensor) -> Tensor:
        """Returns the cells of normalised pixels: [F, 3, H, W] -> [F, S, width]."""
        raise NotImplementedError

    def pooled(self, frames: Tensor) -> Tensor:
        """Returns one vector of length 1 per frame, the mean of its cells: float32[F, width]."""
        return F.normalize(self(frames).float().mean(dim=1), dim=-1)

    def normalised(self, frames: Tensor) -> Tensor:
        """Returns mean 0 and deviation 1 per channel, in the type of the weights: [F, 3, H, W]."""
        channels = [
            (frames[..., c].float() - 255 * mean) / (255 * deviation)
            for c, (mean, deviation) in enumerate(zip(self.mean, self.deviation, strict=True))
        ]
        return torch.stack(channels, dim=1).to(next(self.parameters()).dtype)
