"""The resumable state of a run: one file, written beside and renamed, so that it is whole or the one before.

    state.safetensors   weights/NAME, first/NAME, second/NAME (AdamW's moments), steps/NAME, and torch's dice;
                        in its metadata the updates done, the samples rejected, each dataset's position
                        in its stream, and what tells the data and the frozen parts from others

A batch is a pure function of (seed, step, rank) and the positions. Whole tensors are saved, from the first
rank, so that a run may go on with any number of ranks.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from m3w_builder.errors import TrainError
from m3w_builder.flamingo.data.files import File
from m3w_builder.flamingo.data.loader import Mixture
from m3w_builder.flamingo.data.reader import CONNECTIONS, Shards
from m3w_builder.flamingo.parallel import gathered
from m3w_builder.flamingo.tensors import write_tensors
from m3w_builder.flamingo.train import Progress, Trainer, enough_memory

FILE = "state.safetensors"
MOMENTS = {"first": "exp_avg", "second": "exp_avg_sq", "steps": "step"}
DICE = "dice"


def inputs(sets: Mapping[str, Shards], prints: Mapping[str, str]) -> dict[str, str]:
    """Returns what a run is made of, by name: its datasets, and `prints` of its frozen parts.

    Shards that moved are the same shards: no folder or address is in it.
    """
    data = {f"datasets.{name}": f"{len(one)} samples {digest(one)}" for name, one in sets.items()}
    return {**data, **prints}


def digest(shards: Shards) -> str:
    """Returns a digest of the shards' names, samples and members tables, which have each part's sha256."""

    def own(file: File) -> bytes:
        name = file.url.rpartition("/")[2].partition("?")[0]
        return name.encode() + sha256(file.table() or b"").digest()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        files = b"".join(pool.map(own, shards.files))
    return sha256(files + shards.chunks.astype("<i8").tobytes()).hexdigest()


def save(folder: Path, trainer: Trainer, mixture: Mixture, made_of: Mapping[str, str]) -> None:
    """Writes the state into the folder of a run; every rank has to call it, the first one writes.

    `made_of` is what `inputs` returns.
    """
    tensors = gathered(_tensors(trainer), trainer.ranks)
    if not trainer.ranks.first:
        return
    progress = trainer.progress
    positions = mixture.positions(progress.step)
    about = json.dumps(
        {
            "step": progress.step,
            "rejected": dict(progress.rejected),
            "positions": positions,
            "inputs": dict(made_of),
        }
    )
    dice = {DICE: torch.get_rng_state()}
    write_tensors(folder / FILE, {**tensors, **dice}, {"progress": about})


def load(folder: Path, trainer: Trainer, mixture: Mixture, made_of: Mapping[str, str]) -> bool:
    """Sets a fresh trainer and its data to the state in the folder of a run; False where there is none.

    Raises TrainError where the state is damaged, or of other data or frozen parts.
    """
    path = folder / FILE
    if not path.exists():
        return False
    try:
        with enough_memory(), safe_open(path, "pt") as file:
            progress = json.loads(file.metadata()["progress"])
            _compare(path, progress["inputs"], made_of)
            names = set(file.keys())
            for name, parameter in trainer.model.trained():
                _copy(parameter, file.get_tensor(f"weights/{name}"))
                if f"steps/{name}" in names:
                    trainer.optimiser.state[parameter] = {
                        own: _like(parameter, file.get_tensor(f"{kind}/{name}"))
                        for kind, own in MOMENTS.items()
                    }
            torch.set_rng_state(file.get_tensor(DICE))
        mixture.go_on(progress["step"], progress["positions"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise TrainError(
            f"{path}: expected the state of this run, found {_line(error)}: begin anew with --restart"
        ) from error
    trainer.progress = Progress(progress["step"], Counter(progress["rejected"]))
    return True


def step(folder: Path) -> int:
    """Returns how many updates the state in a folder has behind it, 0 without one; raises TrainError."""
    path = folder / FILE
    if not path.exists():
        return 0
    try:
        with safe_open(path, "pt") as file:
            return int(json.loads(file.metadata()["progress"])["step"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise TrainError(
            f"{path}: expected the state of a run, found {_line(error)}: begin anew with --restart"
        ) from error


def marked(folder: Path) -> bool:
    """Says whether a folder holds a state of ours."""
    try:
        with safe_open(folder / FILE, "pt") as file:
            return "progress" in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


def _compare(path: Path, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            raise TrainError(
                f"{path}: expected the {name} that this run was begun with, found another: give it"
                " the same, or begin anew with --restart"
            )


def _tensors(trainer: Trainer) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in trainer.model.trained():
        yield f"weights/{name}", parameter
        for kind, own in MOMENTS.items():
            if parameter in trainer.optimiser.state:
                yield f"{kind}/{name}", trainer.optimiser.state[parameter][own]


@torch.no_grad()
def _copy(parameter: Tensor, value: Tensor) -> None:
    if parameter.shape != value.shape:
        raise ValueError(f"weights of shape {list(value.shape)} for {list(parameter.shape)}")
    parameter.copy_(_like(parameter, value))


def _like(parameter: Tensor, value: Tensor) -> Tensor:
    """Returns a saved tensor where the parameter is; sharded as it is, unless it is a number."""
    if value.ndim == 0:
        return value.to(parameter.device) if parameter.device.type == "cuda" else value
    value = value.to(parameter.device)
    if isinstance(parameter, DTensor):
        return distribute_tensor(value, parameter.device_mesh, parameter.placements)
    return value


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
