"""CLIP as CapFilt's matcher: cosine similarities of images and texts (-1 to 1), by open_clip and weights of yours.

    pip install open_clip_torch
    PYTHONPATH=examples m3w build --input ... --output ... --config FILE

with, in FILE:

    [capfilt]
    matcher = "clip_matcher:Matcher?weights=vit-b-32.pt&model=ViT-B-32&device=cuda"
    min_match = 0.28  # LAION-400M: 0.3; LAION-5B: 0.28 for English

No package ships any weights. docs/capfilt.md has the protocol.
"""

from collections.abc import Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Any

from PIL import Image

from m3w_builder.errors import ConfigError


class Matcher:
    """A model of open_clip with weights from a file."""

    def __init__(self, weights: str, model: str = "ViT-B-32", device: str = "cpu") -> None:
        self._weights, self._model, self._device = Path(weights), model, device
        if not self._weights.is_file():
            raise ConfigError(f"{weights}: expected a file with the weights of {model}")
        with self._weights.open("rb") as file:
            self.checkpoint = file_digest(file, "sha256").hexdigest()
        self.model_id = f"clip/{model}/{self.checkpoint[:16]}"

    def load(self) -> None:
        """Reads the weights; raises ConfigError without open_clip."""
        try:
            import open_clip
            import torch
        except ImportError as error:
            raise ConfigError(
                f"expected open_clip: pip install open_clip_torch ({error})"
            ) from error
        network, _, self._prepare = open_clip.create_model_and_transforms(
            self._model, pretrained=str(self._weights), device=self._device
        )
        self._network: Any = network.eval()
        self._tokens = open_clip.get_tokenizer(self._model)
        self._torch: Any = torch

    def match(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """Returns the cosine of each pair; an image that stands in several is encoded once."""
        distinct = {id(image): image for image in images}
        rows = {key: row for row, key in enumerate(distinct)}
        with self._torch.no_grad():
            pixels = self._torch.stack([self._prepare(image) for image in distinct.values()])
            seen = self._network.encode_image(pixels.to(self._device), normalize=True)
            tokens = self._tokens(list(texts)).to(self._device)
            read = self._network.encode_text(tokens, normalize=True)
            cosines = (seen[[rows[id(image)] for image in images]] * read).sum(-1)
        return [float(cosine) for cosine in cosines]
