"""The runs of the proof: one configuration, what each variant changes in it, and how it is trained.

Both frozen parts are made once, before all runs; a run differs by its seed (the learnt weights' first
values and the order of the data) and by its variant alone.
"""

import random
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from benchmarks.proof import language
from m3w_builder.flamingo import checkpoint, config
from m3w_builder.flamingo.config import Run
from m3w_builder.flamingo.data.batch import Loaded
from m3w_builder.flamingo.data.loader import Mixture, batches
from m3w_builder.flamingo.data.reader import Shards, open_source, texts
from m3w_builder.flamingo.model import Flamingo
from m3w_builder.flamingo.parallel import gathered
from m3w_builder.flamingo.train import Row, Trainer
from m3w_builder.flamingo.vision import entry as contrast

Tables = Mapping[str, Mapping[str, Any]]

# The paper's choices unless a line says why not.
TABLES: Tables = {
    "examples": {
        "length": 64,
        "pair_length": 16,
        "next_probability": 0.0,  # on every page of the site the words come after their picture
        "loss": "seen",  # this LM has never read a tag: learning to spell it would come first
        "flip": 0.0,  # an arrow is not its mirror image
        "jitter": 0.1,
    },
    "model": {
        "heads": 4,
        "head": 32,
        "visual": 64,
        "visual_layers": 1,
        "visual_heads": 4,
        "latents": 4,
    },
    "vision": {
        "image": 32,
        "patch": 8,
        "dim": 64,
        "layers": 3,
        "heads": 4,
        "steps": 600,
        "rate": 2e-3,
        "batch": 64,
        "joint": 64,
        "smoothing": 0.0,
    },
    "train": {
        "steps": 1100,
        "pairs_first": 350,  # until colour and shape are told apart: the pages' names are about shapes alone
        "rate": 3e-3,
        "warmup": 20,
        "batch": 16,
        "threads": 1,
        "save_every": 1_000_000,
    },
}
# At lambda = 0.03 a clip would count for nothing in so few updates.
DATASETS = {
    "documents": {"kind": "interleaved", "weight": 1.0, "batch": 16},
    "pairs": {"kind": "image_text", "weight": 0.2, "batch": 24},
    "clips": {"kind": "video_text", "weight": 0.2, "batch": 4},
}

# What a variant changes; `misordered` is the share of documents with permuted pictures.
VARIANTS: Mapping[str, dict[str, Any]] = {
    "default": {},
    "pairs_only": {"without": "documents"},
    "attend_all": {"model": {"attend": "all"}},
    "no_gates": {"model": {"gated": False}},
    # As many batches of each dataset as the others have, an update for each.
    "round_robin": {"train": {"mixing": "round_robin", "pairs_first": 700, "steps": 2950}},
    "misordered_50": {"misordered": 0.5},
    "misordered_100": {"misordered": 1.0},
}


def configured(parts: Path, shards: Path, variant: str, seed: int) -> Run:
    """Returns the configuration of a run on frozen parts and shards."""
    change = VARIANTS[variant]
    tables = {name: {**table, **change.get(name, {})} for name, table in TABLES.items()}
    tables["lm"] = {"source": str(parts / "lm")}
    tables["vision"] |= {"source": str(parts / "vision")}
    tables["train"] |= {"seed": seed}
    datasets = {
        name: {**table, "shards": str(shards)}
        for name, table in DATASETS.items()
        if name != change.get("without")
    }
    return config.load(**tables, datasets=datasets)


def train(run: Run, folder: Path, misordered: float = 0.0) -> Iterator[Row]:
    """Trains a run, writes it where `m3w train` would, and yields its log."""
    torch.set_num_threads(run.train.threads)
    sets = {name: open_source(name, source) for name, source in run.datasets.items()}
    parts = checkpoint.frozen(folder, run)
    prints = parts.fingerprints()  # before the model takes the LM over
    torch.manual_seed(run.train.seed)
    model = Flamingo(parts.lm, parts.vision, run.model)
    weights = {name: config.weight(run.datasets[name], one.kind) for name, one in sets.items()}
    mixture = Misordered(
        sets, run, parts.tokenizer, size=parts.vision.size, colour=parts.vision.mean
    )
    mixture.share = misordered
    trainer = Trainer(model, run, weights)
    yield from trainer.fit(batches(mixture, 0, run.train.steps))
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.save(folder, gathered(model.trained(), trainer.ranks), run, prints)


class Misordered(Mixture):
    """Puts the pictures of a share of the documents behind other tags, always the same ones.

    What the reader would refuse on disk is done here in memory, after it.
    """

    share = 0.0

    def _loaded(self, shards: Shards, number: int, epoch: int) -> Loaded:
        made, frames = super()._loaded(shards, number, epoch)
        dice = random.Random(f"misordered/{made.key}")
        if shards.kind == "interleaved" and dice.random() < self.share:
            frames = shifted(frames, dice)
        return made, frames


def shifted(frames: list[Any], dice: random.Random) -> list[Any]:
    """Returns the pictures in another order, in which none is where it was."""
    by = dice.randrange(1, len(frames)) if len(frames) > 1 else 0
    return frames[by:] + frames[:by]


# The frozen parts


def make_lm(folder: Path, shards: Path, size: language.Size) -> Iterator[float]:
    """Pretrains the LM on the text of all shards and on its own; yields losses."""
    torch.set_num_threads(1)
    sets = [
        open_source(n, config.Source(shards=str(shards), kind=t["kind"]))
        for n, t in DATASETS.items()
    ]
    streams = [texts(one, size.seed) for one in sets]
    yield from language.pretrain(folder, chain.from_iterable(zip(*streams, strict=False)), size)


def make_vision(folder: Path, shards: Path) -> contrast.Report:
    """Pretrains the encoder as `m3w contrast` does."""
    run = config.load(
        **{**TABLES, "train": {"threads": 1}},
        datasets={"pairs": {"shards": str(shards), "kind": "image_text"}},
    )
    return contrast.contrast(run, folder)
