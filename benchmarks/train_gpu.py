"""The flamingo-3b shape on a GPU, with random weights, in bfloat16: what `train_speed --gpu` measures.

    python -m benchmarks.train_speed --gpu [--json] [--documents 32] [--updates 30] [--peers DIR]

Two things. `trainer` is the product as it runs: shards of drawn pictures, 5.7 to a document as in MMC4, read by
the loader's workers, the preset flamingo-3b and its own update with AdamW; medians over the updates after the
first ten, which compile. MFU counts what the model needs (m3w_builder/flamingo/flops.py), not padding;
`waited` is the share of the time in which the GPU waits for data. `step` is a forward and backward pass on the
mix of benchmarks/train_work.py, ours and open_flamingo's in its sizes (8 heads of 64, GELU) under the same LM
and the same encoder, a ViT-L/16 of 320 pixels: time of the wall, after a warm-up.

Without timm the trainer has that ViT in place of NFNet-F6; "vision" says which. The folder of --peers may be made
elsewhere and carried along: a machine with a GPU often has no way to install.
"""

import statistics
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from benchmarks.loader import like_mmc4, pictures_of
from benchmarks.photographs import SHARED
from benchmarks.train_alignment import Sizes
from benchmarks.train_speed import mix_rows, timed
from m3w_builder.flamingo import config, flops, vision
from m3w_builder.flamingo import lm as language
from m3w_builder.flamingo.config import Run
from m3w_builder.flamingo.data.files import Cache
from m3w_builder.flamingo.data.loader import Mixture, batches
from m3w_builder.flamingo.data.reader import open_source
from m3w_builder.flamingo.data.tokens import Tokenizer
from m3w_builder.flamingo.model import Flamingo
from m3w_builder.flamingo.parallel import Ranks
from m3w_builder.flamingo.train import Trainer

COMPILING = 10  # updates that are not counted
LARGE = {"source": "builtin", "image": 320, "patch": 16, "dim": 1024, "layers": 24, "heads": 16}
# The LM and the encoder of the preset in open_flamingo's bridge.
SIZES = Sizes(
    dim=2048,
    layers=24,
    heads=16,
    vocabulary=32000,
    visual=1024,
    side=320,
    patch=16,
    vision_layers=24,
    vision_heads=16,
)
WORDS = ("lake", "bird", "a", "the", "boat", "of", "stone", "morning", "under", "paper", "seven")


def preset(shards: Path, *, documents: int, updates: int) -> Run:
    """Returns flamingo-3b on two datasets of a folder; twice as many pairs as documents an update."""
    sources = {
        kind: {"shards": str(shards), "kind": kind} for kind in ("interleaved", "image_text")
    }
    encoder = {} if find_spec("timm") else LARGE
    train = {"batch": documents, "steps": COMPILING + updates}
    return config.load(preset="flamingo-3b", datasets=sources, train=train, vision=encoder)


def trained(run: Run, cache: Path, device: str) -> dict[str, Any]:
    """Returns the medians of the trainer's updates on the run's datasets."""
    torch.manual_seed(run.train.seed)
    with torch.device(device):
        lm, _ = language.load(run.lm)
        model = Flamingo(lm, vision.load(run.vision), run.model)
    words = Tokenizer.trained([" ".join(WORDS)], min(400, run.lm.vocabulary))
    tokenizer = Tokenizer(words.backend, bos=words.bos, eos=words.eos, size=run.lm.vocabulary)
    sets = {name: open_source(name, one, Cache(cache)) for name, one in run.datasets.items()}
    mixture = Mixture(sets, run, tokenizer, size=model.vision.size, colour=model.vision.mean)
    weights = {name: config.weight(run.datasets[name], one.kind) for name, one in sets.items()}
    trainer = Trainer(model, run, weights, Ranks(device=torch.device(device)))
    found = list(trainer.fit(batches(mixture, 0, run.train.steps, run.train.workers)))
    counted = found[COMPILING:]

    def middle(key: str) -> float:
        return statistics.median(row[key] for row in counted)

    one = flops.frame(model.vision)
    batch = mixture[run.train.steps]
    needed = sum((flops.of_batch(model, b, one) for b in batch.values()), flops.Flops())
    seconds = middle("seconds")
    return {
        "vision": run.vision.source,
        "parameters": sum(p.numel() for p in model.parameters()),
        "learnt": sum(p.numel() for _, p in model.trained()),
        "documents": run.train.batch,
        "updates": len(counted),
        "seconds": round(seconds, 4),
        "tokens_s": round(middle("tokens_per_second"), 1),
        "images_s": round(middle("images_per_second"), 1),
        "waited": round(sum(r["waited"] for r in counted) / sum(r["seconds"] for r in counted), 4),
        "tflop": needed.total / 1e12,
        "mfu": middle("mfu")
        if "mfu" in counted[0]
        else None,  # None: the device's peak is not known
        "gpu_bytes": counted[-1].get("gpu_bytes"),
    }


def figures(
    folder: Path, *, documents: int, updates: int, repeats: int, missing: str = ""
) -> dict[str, Any]:
    """Returns the JSON object of a run; `missing` says why there are no peers, "" where there are."""
    if not torch.cuda.is_available():
        raise SystemExit(
            "--gpu: expected a CUDA device, found none: leave it out to measure on CPUs"
        )
    pictures = pictures_of(SHARED / "sites", folder)
    shards = like_mmc4(folder / "shards", WORDS, pictures, 10 * documents)
    run = preset(shards, documents=documents, updates=updates)
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        **{f"trainer_{key}": value for key, value in trained(run, folder, "cuda").items()},
    }
    torch.cuda.empty_cache()
    copies = max(1, documents // 4)
    measuring = mix_rows("step", SIZES, bf16=True, device="cuda", copies=copies, peer=not missing)
    return found | {"peers": missing or None} | timed(measuring, repeats)
