"""Small trainers for the tests of the trainer, and what one rank of several does, as a program of its own.

torchrun --nproc-per-node 2 tests/flamingo_runs.py SHARDS OUTPUT ddp|fsdp
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from m3w_builder.flamingo import config, state, vision
from m3w_builder.flamingo import lm as language
from m3w_builder.flamingo.config import Run, Source
from m3w_builder.flamingo.data import sources
from m3w_builder.flamingo.data.loader import Mixture, batches
from m3w_builder.flamingo.data.reader import open_source
from m3w_builder.flamingo.model import Flamingo
from m3w_builder.flamingo.parallel import Ranks, gathered, joined
from m3w_builder.flamingo.train import Row, Trainer

SMALL: dict[str, dict[str, Any]] = {
    "examples": {"length": 96, "pair_length": 64, "jitter": 0.0},
    "model": {
        "heads": 2,
        "head": 16,
        "visual": 24,
        "visual_layers": 1,
        "visual_heads": 2,
        "latents": 4,
    },
    "lm": {
        "dim": 32,
        "layers": 2,
        "heads": 2,
        "context": 256,
        "vocabulary": 300,
        "steps": 3,
        "batch": 2,
    },
    "vision": {
        "image": 16,
        "patch": 8,
        "dim": 16,
        "layers": 1,
        "heads": 2,
        "steps": 2,
        "batch": 4,
        "joint": 16,
    },
    "train": {
        "steps": 3,
        "rate": 3e-3,
        "warmup": 2,
        "batch": 2,
        "shuffle": 8,
        "save_every": 100,
        "threads": 1,
    },
}


def small(shards: Path | None = None, *, batch: int | None = None, **tables: dict[str, Any]) -> Run:
    """Returns a configuration that trains in a second, with a dataset per kind of `shards`.

    `batch` is each dataset's (default: by train.batch).
    """
    run = config.load(None, "tiny", **{n: {**SMALL.get(n, {}), **tables.get(n, {})} for n in SMALL})
    found = sources.kinds(str(shards)) if shards else {}
    datasets = {kind: Source(shards=str(shards), kind=kind, batch=batch) for kind in found}
    return run.model_copy(update={"datasets": datasets})


def trainer(run: Run, ranks: Ranks | None = None) -> tuple[Trainer, Mixture]:
    """Returns a trainer with random frozen parts, and its data."""
    ranks = ranks or Ranks()
    torch.manual_seed(0)
    lm, tokenizer = language.load(run.lm)
    with torch.no_grad():
        lm.get_output_embeddings().weight *= 20  # a fresh LM's head is too faint to say anything
    model = Flamingo(lm, vision.load(run.vision), run.model)
    sets = {name: open_source(name, source) for name, source in run.datasets.items()}
    weights = {name: config.weight(run.datasets[name], one.kind) for name, one in sets.items()}
    mixture = Mixture(sets, run, tokenizer, ranks.rank, ranks.world)
    return Trainer(model, run, weights, ranks), mixture


def rows(one: Trainer, mixture: Mixture) -> list[Row]:
    """Returns the rows of all updates that are left."""
    stream = batches(mixture, one.progress.step, one.run.train.steps, one.run.train.workers)
    return list(one.fit(stream))


def main(shards: str, output: str, parallel: str) -> None:
    """Trains with half the batch on each of two ranks; writes rows, weights and state from the first."""
    torch.set_num_threads(1)
    run = small(Path(shards), batch=1, train={"parallel": parallel, "steps": 4})
    folder = Path(output)
    with joined(parallel) as ranks:
        one, mixture = trainer(run, ranks)
        found = rows(one, mixture)
        state.save(folder, one)
        weights = gathered(one.model.trained(), ranks)
        if ranks.first:
            torch.save(weights, folder / "weights.pt")
            (folder / "rows.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
