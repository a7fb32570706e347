"""What holds exactly, whatever was learnt: the first proof, and what the reader says of misordered shards.

Each function returns the largest difference it found, or what was said: 0.0 is the proof. They are tests, too
(tests/test_train_proof.py).
"""

import io
import tarfile
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from m3w_builder.errors import TrainError
from m3w_builder.flamingo import checkpoint
from m3w_builder.flamingo.config import Examples, Run, Source
from m3w_builder.flamingo.data import examples
from m3w_builder.flamingo.data.loader import Mixture, batches
from m3w_builder.flamingo.data.reader import open_source
from m3w_builder.flamingo.data.tokens import Tokenizer
from m3w_builder.flamingo.model import Flamingo, GatedCrossAttention, Sight

# F1 Fig. 6 / F2 Fig. 7.
PETS = {
    "id": "pets",
    "kind": "interleaved",
    "texts": [
        "Cute pics of my pets!",
        None,
        "My puppy sitting in the grass.",
        None,
        " My cat looking very dignified.",
    ],
    "images": [None, "000.jpg", None, "001.jpg", None],
}


@torch.no_grad()
def gates_at_zero(model: Flamingo, bare: Tensor, ids: Tensor, phi: Tensor, frames: Tensor) -> float:
    """Returns the largest difference between a fresh model's logits and those of the LM it was made of.

    `bare` are the logits [B, L, size] of the LM before the model took it over.
    """
    logits = model(ids, phi, model.see(frames, [1] * len(frames)))
    return (logits[..., :-1] - bare).abs().max().item()


@torch.no_grad()
def unattended(model: Flamingo, ids: Tensor, phi: Tensor, frames: Tensor) -> tuple[float, float]:
    """Returns how much the last picture changes the logits before it, and those that see it.

    In the whole model: a token before the last picture's tag must not change at all.
    """
    times = [1] * len(frames)
    before = model(ids, phi, model.see(frames, times))
    change = (before - model(ids, phi, model.see(_other(frames, -1), times))).abs()
    seeing = phi == len(frames)
    return change[~seeing].max().item(), change[seeing].max().item()


@torch.no_grad()
def only_its_own(model: Flamingo, phi: Tensor, frames: Tensor) -> tuple[float, float]:
    """Returns how much a picture changes what the bridges add to tokens of other pictures, and to its own.

    The bridges are asked by themselves, so that no self-attention carries anything from token to token: the
    earlier pictures, too, must change nothing.
    """
    times, dice = [1] * len(frames), torch.Generator().manual_seed(0)
    y = torch.randn(*phi.shape, len(model.eoc_in), generator=dice)
    seen = model.see(frames, times)
    others, own = 0.0, 0.0
    for number in range(len(frames)):
        changed = model.see(_other(frames, number), times)
        for bridge in model.bridges:
            assert isinstance(bridge, GatedCrossAttention)
            added = [
                bridge(y, media, Sight(media, phi, model.shape).looking(*phi.shape))
                for media in (seen, changed)
            ]
            change = (added[0] - added[1]).abs()
            others = max(others, change[phi != number + 1].max().item())
            own = max(own, change[phi == number + 1].max().item())
    return others, own


def _other(frames: Tensor, number: int) -> Tensor:
    """Returns the frames with one of them in its negative."""
    other = frames.clone()
    other[number] = 255 - other[number]
    return other


def phi_of_the_paper(tokenizer: Tokenizer) -> tuple[Sequence[int], str]:
    """Returns the values of phi along the paper's example, each once, and the text it is of."""
    choices = Examples(next_probability=0.0)
    made = examples.example(PETS, choices, tokenizer, examples.draws(0, 0, "pets"))
    changes = [after for before, after in pairwise(made.phi) if before != after]
    return [made.phi[0], *changes], tokenizer.spell(made.ids)


def proof(folder: Path, misordered: Path) -> dict[str, Any]:
    """Returns all of it for a finished run and a shard of misordered documents."""
    trained = checkpoint.load(folder)
    parts = checkpoint.frozen(folder, trained.run)
    dice = torch.Generator().manual_seed(0)
    ids = torch.randint(3, trained.tokenizer.size, (1, 24), generator=dice)
    phi = torch.tensor([[0] * 4 + [1] * 8 + [2] * 6 + [3] * 6])
    size = parts.vision.size
    frames = torch.randint(0, 256, (3, size, size, 3), dtype=torch.uint8, generator=dice)
    with torch.no_grad():
        bare = parts.lm(input_ids=ids).logits
    fresh = Flamingo(parts.lm, parts.vision, trained.run.model)
    values, text = phi_of_the_paper(Tokenizer.bytes())
    before, after = unattended(trained.model, ids, phi, frames)
    others, own = only_its_own(trained.model, phi, frames)
    return {
        "gates_at_zero": gates_at_zero(fresh, bare, ids, phi, frames),
        "phi_of_the_paper": {"phi": list(values), "text": text},
        "changed_picture": {
            "logits_before_it": before,
            "logits_that_see_it": after,
            "added_to_tokens_of_others": others,
            "added_to_its_own": own,
        },
        "misordered_on_disk": refused(misordered, trained.run, trained.tokenizer),
    }


def misorder(shard: Path, copy: Path) -> Path:
    """Writes a shard in which the pictures of each document lie under each other's names."""
    with tarfile.open(shard) as source, tarfile.open(copy, "w") as target:
        groups: dict[str, list[tuple[str, bytes]]] = {}
        for member in source:
            body = source.extractfile(member)
            assert body is not None
            key, _, part = member.name.partition(".")
            groups.setdefault(key, []).append((part, body.read()))
        for key, ((name, text), *pictures) in groups.items():
            bodies = [body for _, body in pictures]
            turned = zip((part for part, _ in pictures), bodies[1:] + bodies[:1], strict=True)
            for part, body in [(name, text), *turned]:
                info = tarfile.TarInfo(f"{key}.{part}")
                info.size = len(body)
                target.addfile(info, io.BytesIO(body))
    return copy


def refused(shard: Path, run: Run, tokenizer: Tokenizer) -> dict[str, Any]:
    """Returns how many documents of a shard the loader rejects, by reason, and how training ends."""
    source = Source(shards=str(shard), kind="interleaved")
    documents = {"documents": open_source("documents", source)}
    alone = run.train.model_copy(update={"pairs_first": 0, "batch": 16})
    plain = run.model_copy(update={"train": alone, "datasets": {}})
    mixture = Mixture(documents, plain, tokenizer)
    updates = len(documents["documents"]) // alone.batch
    rejected: Counter[str] = Counter()
    for update in range(updates):
        rejected.update(mixture.batch("documents", update).rejected)
    said = ""
    try:
        for _ in batches(mixture, 0, updates):
            pass
    except TrainError as error:
        said = str(error)
    seen = alone.batch * updates
    return {"documents": seen, "rejected": dict(rejected), "training_ends_with": said}
