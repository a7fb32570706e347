"""Model shapes and training recipes that belong together; `tiny` needs no download.

The paper's recipe is the default of `Recipe`; `tiny` differs because it runs for a minute on two
CPU cores: a larger learning rate, a short warm-up, small batches.
"""

from dataclasses import dataclass, field

from m3w_builder.flamingo.examples import Choices
from m3w_builder.types import Kind

# lambda_m of the mixture (F2 B.1.2); one set of image-text pairs stands for ALIGN and LTIP.
WEIGHTS: dict[Kind, float] = {"interleaved": 1.0, "image_text": 0.2, "video_text": 0.03}


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the model. `dim` is D of the LM, `visual` is D of the Resampler (F2 Table 4)."""

    image: int = 320  # pixels, side of the square (F2 B.1.2)
    patch: int = 32  # pixels, side of a cell of the vision encoder
    dim: int = 2048
    layers: int = 24
    heads: int = 16
    head: int = 128  # key and value size
    context: int = 2048  # positions of the LM
    every: int = 1  # a gated cross-attention before LM blocks 0, every, 2 every, ...
    visual: int = 1536
    visual_layers: int = 6
    visual_heads: int = 16
    latents: int = 64  # R visual tokens of one image or video
    times: int = 8  # learnt temporal embeddings, one per frame


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the bridge is trained (F2 B.1.2), and how the tiny LM is made before it is frozen."""

    steps: int = 500_000
    rate: float = 1e-4
    warmup: int = 5000  # steps, linear from 0; constant afterwards
    decay: float = 0.1  # AdamW weight decay; 0 for the Resampler
    clip: float = 1.0  # global gradient norm, once per update
    batch: dict[Kind, int] = field(  # per update; the ratio of the paper's ablations (F2 B.3.1)
        default_factory=lambda: {"interleaved": 256, "image_text": 512, "video_text": 64}
    )
    shuffle: int = 1000  # samples in a dataset's shuffle buffer
    seed: int = 0
    lm_steps: int = 0  # of plain byte-LM training; 0 for an LM that was trained elsewhere
    lm_rate: float = 3e-3
    lm_batch: int = 8  # rows of `Choices.length` tokens
    threads: int = 0  # of torch on a CPU; 0 = as many as torch takes by itself


@dataclass(frozen=True, slots=True)
class Preset:
    """A shape with its recipe and its choices."""

    shape: Shape
    recipe: Recipe
    choices: Choices = field(default_factory=Choices)


def batches(documents: int) -> dict[Kind, int]:
    """Returns the batch per dataset for one update, in the ratio 4 : 8 : 1 (F2 B.3.1)."""
    return {
        "interleaved": documents,
        "image_text": 2 * documents,
        "video_text": max(1, documents // 4),
    }


PRESETS = {
    "tiny": Preset(
        Shape(
            image=64,
            patch=8,
            dim=128,
            layers=4,
            heads=4,
            head=32,
            context=512,
            visual=96,
            visual_layers=2,
            visual_heads=4,
            latents=16,
        ),
        # One thread: at these sizes a second one gains a third on an idle machine and waits, ten
        # times slower in all, on a busy one.
        Recipe(
            steps=60,
            rate=2e-3,
            warmup=10,
            batch=batches(4),
            shuffle=200,
            lm_steps=150,
            threads=1,
        ),
    )
}
