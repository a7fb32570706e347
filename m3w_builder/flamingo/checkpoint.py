"""A finished run on disk, and one line to have it back: `model, tokenizer, run = load(Path("run"))`.

    config.toml          the whole configuration
    trained.safetensors  what was learnt: Resampler, bridges, <EOC>
    lm/  vision/         the frozen parts, where they were made here; of others run.json has the fingerprint
    run.json             written last: where it is, the run is whole

An exported folder (`export`) has the frozen parts of any source in it.
"""

import json
import shutil
import uuid
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from m3w_builder import __version__
from m3w_builder.config import toml
from m3w_builder.errors import ConfigError, TrainError
from m3w_builder.files import TEMPORARY, make_folder, writable, write_text
from m3w_builder.flamingo import config as configuration
from m3w_builder.flamingo import lm as language
from m3w_builder.flamingo import vision
from m3w_builder.flamingo.config import Run
from m3w_builder.flamingo.data.tokens import Tokenizer
from m3w_builder.flamingo.model import Flamingo
from m3w_builder.flamingo.tensors import refused, write_tensors
from m3w_builder.flamingo.vision import Encoder

FORMAT = "m3w-flamingo/2"
CONFIG, LEARNT, DONE = "config.toml", "trained.safetensors", "run.json"
LM, VISION = "lm", "vision"
FILES = (CONFIG, LEARNT, DONE, LM, VISION)
SAMPLED = 4096  # values of a weight that its fingerprint is made of


class Finished(NamedTuple):
    """A trained model, in evaluation mode, and what belongs to it."""

    model: Flamingo
    tokenizer: Tokenizer
    run: Run


class Frozen(NamedTuple):
    """The parts that are not trained with the bridge."""

    lm: PreTrainedModel
    tokenizer: Tokenizer
    vision: Encoder

    def fingerprints(self) -> dict[str, str]:
        return {LM: fingerprint(self.lm), VISION: fingerprint(self.vision)}


def save(
    folder: Path, learnt: Mapping[str, Tensor], run: Run, prints: Mapping[str, str], **notes: Any
) -> None:
    """Writes a finished run into its folder; `prints` are the fingerprints of its frozen parts."""
    write_config(folder, run)
    write_tensors(folder / LEARNT, learnt)
    versions = {"m3w_builder": __version__, "torch": torch.__version__}
    versions["transformers"] = transformers.__version__
    about = {"format": FORMAT, "versions": versions, "frozen": dict(prints), **notes}
    write_text(folder / DONE, json.dumps(about, indent=2) + "\n")


def load(folder: Path) -> Finished:
    """Returns a finished or exported run; raises TrainError."""
    folder = Path(folder)
    about = _about(folder)
    run = read_config(folder)
    parts = frozen(folder, run)
    for name, found in parts.fingerprints().items():
        wanted = about.get("frozen", {}).get(name)
        if found != wanted:
            raise TrainError(
                f"{folder}: expected the {name} that this run was trained with, found another"
                f" ({getattr(run, name).source}): give it the same weights, or use `m3w export`"
                " where they are"
            )
    model = Flamingo(parts.lm, parts.vision, run.model)
    try:
        learnt = load_file(folder / LEARNT)
    except (OSError, SafetensorError) as error:
        raise TrainError(f"{folder / LEARNT}: expected the learnt weights: {error}") from error
    fill(model, learnt, folder / LEARNT)
    return Finished(model.eval(), parts.tokenizer, run)


def frozen(folder: Path, run: Run) -> Frozen:
    """Returns the frozen parts: those in the folder of a run, else those of their sources.

    Random weights are those of the seed: each source begins with the same dice.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.train.seed)
        if (folder / LM).is_dir():
            lm, tokenizer = language.open_folder(folder / LM)
        else:
            lm, tokenizer = language.load(run.lm, run.examples)
        torch.manual_seed(run.train.seed)
        return Frozen(lm, tokenizer, vision.load(_sight(folder, run)))


def words(folder: Path, run: Run) -> Tokenizer:
    """Returns the tokenizer of a run's LM."""
    if (folder / LM).is_dir():
        return Tokenizer.read(folder / LM / language.TOKENIZER)
    return language.load(run.lm, run.examples)[1]


def _sight(folder: Path, run: Run) -> configuration.Vision:
    if not (folder / VISION).is_dir():
        return run.vision
    return run.vision.model_copy(update={"source": str(folder / VISION), "weights": ""})


def export(folder: Path, output: Path) -> None:
    """Writes a folder with every weight of a finished run: `load` needs no source but that folder."""
    if output.exists() and any(output.iterdir()):
        raise TrainError(f"{output}: expected an empty folder, found files: choose another")
    about, (model, _, run) = _about(folder), load(folder)
    parts = frozen(folder, run)  # as they are: those of the model have bridges between their blocks
    put(output / LM, lambda to: language.save(to, parts.lm, parts.tokenizer))
    sight = _sight(folder, run)
    if Path(sight.source).is_dir():
        put(output / VISION, lambda to: _copy(Path(sight.source), to))
    else:
        put(output / VISION, lambda to: vision.save(to, parts.vision, sight))
    write_tensors(output / LEARNT, dict(model.trained()))
    write_config(output, run)
    write_text(output / DONE, json.dumps(about, indent=2) + "\n")


def _copy(source: Path, to: Path) -> None:
    shutil.copytree(source, to, dirs_exist_ok=True)


def put(folder: Path, write: Callable[[Path], None]) -> None:
    """Lets `write` fill a folder that appears whole or not at all."""
    temporary = make_folder(folder.parent) / f"{TEMPORARY}{uuid.uuid4().hex}-{folder.name}"
    with writable(folder.parent):
        try:
            temporary.mkdir()
            with refused(folder):
                write(temporary)
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def fill(model: Flamingo, learnt: Mapping[str, Tensor], path: Path) -> None:
    """Sets the learnt weights of a model; raises TrainError where they are another shape's."""
    own = dict(model.trained())
    odd = sorted(own.keys() ^ learnt.keys())
    odd += [name for name in own if not odd and own[name].shape != learnt[name].shape]
    if odd:
        raise TrainError(f"{path}: expected the learnt weights of its configuration, odd: {odd[0]}")
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(learnt[name])


def fingerprint(module: nn.Module) -> str:
    """Returns a digest of evenly spread values of every weight, at bfloat16's precision.

    It tells another checkpoint apart in a second; it does not prove that every value is the same.
    """
    found = sha256()
    for name, weight in sorted(module.state_dict().items()):
        flat = weight.detach().flatten()
        some = flat[:: max(1, flat.numel() // SAMPLED)].to(torch.bfloat16).float().cpu()
        found.update(f"{name}{list(weight.shape)}".encode() + some.numpy().tobytes())
    return found.hexdigest()


def write_config(folder: Path, run: Run) -> None:
    """Writes config.toml."""
    write_text(folder / CONFIG, toml.as_toml(run))


def read_config(folder: Path) -> Run:
    """Returns the configuration of a run; raises TrainError."""
    try:
        return configuration.parse(toml.read(folder / CONFIG), str(folder / CONFIG))
    except ConfigError as error:
        raise TrainError(f"{folder}: expected the configuration of a run: {error}") from error


def finished(folder: Path) -> bool:
    """Says whether a folder holds a finished run."""
    return (folder / DONE).exists()


def marked(folder: Path) -> bool:
    """Says whether the report in a folder is one of ours, of any version of the format."""
    try:
        found = str(json.loads((folder / DONE).read_text(encoding="utf-8"))["format"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return found.startswith(FORMAT.partition("/")[0] + "/")


def _about(folder: Path) -> dict[str, Any]:
    old = folder / "config.json"  # of m3w-flamingo/1
    if old.exists() and not finished(folder):
        raise TrainError(
            f"{folder}: expected format {FORMAT}, found m3w-flamingo/1: train it again"
        )
    try:
        about = json.loads((folder / DONE).read_text(encoding="utf-8"))
        found = about["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainError(f"{folder}: expected a finished training run: {error}") from error
    if found != FORMAT:
        raise TrainError(f"{folder}: expected format {FORMAT}, found {found}")
    return dict(about)
