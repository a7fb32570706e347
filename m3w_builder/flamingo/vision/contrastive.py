"""Contrastive pretraining of the vision encoder on image-text pairs (F2 B.1.3): towers, loss, updates.

    image tower   the encoder, mean over its cells, one linear map   ->  joint space, length 1
    text tower    a small Transformer encoder, mean over tokens, one linear map (discarded afterwards)

    loss = (image -> text + text -> image) / 2, softmax cross-entropies of beta * cosine over the batch, as CLIP
    (Radford et al. 2021, arXiv 2103.00020), with label smoothing; log beta is learnt, and at most log 100.

A batch often holds a text or a picture twice. Such a pair is no mistake of the model's: it is neither right
nor wrong, and is left out of the other's softmax. Without copies the loss is CLIP's exactly.

    M pairs in a batch, N those of all ranks, J width of the joint space
"""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from hashlib import sha256
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from m3w_builder.errors import TrainError
from m3w_builder.flamingo.config import Run
from m3w_builder.flamingo.data.batch import Batch
from m3w_builder.flamingo.vision import ranks
from m3w_builder.flamingo.vision.encoder import Encoder
from m3w_builder.flamingo.vision.vit import Block

PHASE = "contrast"
Row = dict[str, Any]  # one line of the log

BETA, MOST_BETA = 1 / 0.07, 100.0  # first and largest inverse temperature (CLIP, 2.5)
TEXT_CLIP = 10.0  # global norm of the gradients of all but the image tower (F2 B.1.3)
AGC, AGC_FLOOR = 1e-2, 1e-3  # F2 B.1.3; Brock et al. 2021, arXiv 2102.06171
WARMUP = 0.05  # share of the updates, linear: without it a small ViT stays on the plateau of equal features
HELD_OUT = 0.05  # share of the pairs that teach nothing, so that `recall` can ask about them
BERT_MINI = {"dim": 256, "layers": 4, "heads": 4}  # the text tower of F2 B.3.3; B.1.3 does not say


class TextTower(nn.Module):
    """Packed rows of texts -> one vector per text, the mean over its tokens."""

    def __init__(self, vocabulary: int, *, length: int, dim: int, layers: int, heads: int) -> None:
        super().__init__()
        self.width = dim
        self.words = nn.Embedding(vocabulary, dim)
        self.places = nn.Embedding(length, dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, batch: Batch) -> Tensor:
        """Returns [M, dim]: text m is where phi = m + 1, for in a pair that is every token."""
        own = batch.documents[:, :, None] == batch.documents[:, None, :]  # [B, L, L]
        x = self.words(batch.ids) + self.places(batch.positions)
        for block in self.blocks:
            x = block(x, own[:, None])
        tokens: Tensor = self.norm(x)[batch.phi > 0].float()  # [tokens, dim]
        owners = batch.phi[batch.phi > 0] - 1
        sums = tokens.new_zeros(len(batch.times), self.width).index_add(0, owners, tokens)
        return sums / owners.bincount(minlength=len(sums))[:, None]


class Towers(nn.Module):
    """Both towers, their maps into the joint space, and the inverse temperature."""

    def __init__(self, image: Encoder, text: TextTower, joint: int) -> None:
        super().__init__()
        self.image, self.text = image, text
        self.from_image = nn.Linear(image.width, joint, bias=False)
        self.from_text = nn.Linear(text.width, joint, bias=False)
        self.log_beta = nn.Parameter(torch.tensor(math.log(BETA)))

    def beta(self) -> Tensor:
        """Returns the inverse temperature."""
        return self.log_beta.exp()

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns images and texts float32[M, J], each of length 1."""
        images = self.from_image(self.image(batch.frames).mean(dim=1)).float()
        texts = self.from_text(self.text(batch)).float()
        return F.normalize(images, dim=-1), F.normalize(texts, dim=-1)


def towers(encoder: Encoder, run: Run, vocabulary: int) -> Towers:
    """Returns towers around an encoder; the text tower is as large as the builtin one, or BERT-mini."""
    vision = run.vision
    shape = {"dim": vision.dim, "layers": vision.layers, "heads": vision.heads}
    if vision.source != "builtin":
        shape = BERT_MINI
    text = TextTower(vocabulary, length=run.examples.pair_length, **shape)
    return Towers(encoder.requires_grad_(True), text, vision.joint)


# The loss


def pair_loss(model: Towers, batch: Batch, smoothing: float, taken: Tensor | None = None) -> Tensor:
    """Returns the mean loss of a batch of pairs in nats; of those `taken` (int64[m], default: all).

    On several ranks each compares its own pairs with those of all, and the gradient goes back to them.
    """
    images, texts = model(batch)
    named = identities(batch).to(images.device)
    if taken is not None:
        images, texts, named = images[taken], texts[taken], named[taken]
    all_images, all_texts, all_named, first = ranks.gather(images, texts, named)
    own = first + torch.arange(len(images), device=images.device)
    allowed = comparable(named, all_named)
    allowed[torch.arange(len(own)), own] = True
    with torch.autocast(images.device.type, enabled=False):  # cosines in full precision
        rows = [
            cross_entropy(model.beta() * a @ b.T, own, allowed, smoothing)
            for a, b in ((images, all_texts), (texts, all_images))
        ]
    return torch.stack(rows).mean(dim=0).sum() / max(1, len(all_images)) * ranks.world()


def cross_entropy(logits: Tensor, own: Tensor, allowed: Tensor, smoothing: float) -> Tensor:
    """Returns the cross-entropy of each row among its allowed columns: [m, N] -> [m], nats.

    `own` int64[m] is the right column; `smoothing` of the target is spread over the allowed ones.
    """
    chances = logits.masked_fill(~allowed, -torch.inf).log_softmax(dim=-1)
    right = chances.gather(-1, own[:, None])[:, 0]
    spread = chances.masked_fill(~allowed, 0.0).sum(-1) / allowed.sum(-1)
    return -(1 - smoothing) * right - smoothing * spread


def comparable(rows: Tensor, columns: Tensor) -> Tensor:
    """Returns bool[m, N], false where two pairs have the same text or the same picture.

    `rows` int64[m, 2] and `columns` int64[N, 2] are `identities`.
    """
    return (rows[:, None] != columns[None]).all(dim=-1)


def identities(batch: Batch) -> Tensor:
    """Returns int64[M, 2]: hashes of the text, as the tower reads it, and of the picture of each pair."""
    ids, phi = batch.ids.cpu(), batch.phi.cpu()
    tokens, owners = ids[phi > 0], phi[phi > 0] - 1
    counts = owners.bincount(minlength=len(batch.times)).tolist()
    by_text = torch.split(tokens[owners.argsort(stable=True)], counts)
    texts = [text.numpy().tobytes() for text in by_text]
    pictures = [image.encode() for images in batch.images for image in images]
    pairs = [[_hash(text), _hash(picture)] for text, picture in zip(texts, pictures, strict=True)]
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)


def _hash(data: bytes) -> int:
    return int.from_bytes(sha256(data).digest()[:8], "little", signed=True)


# Updates


def adam(model: Towers, run: Run) -> Adam:
    """Returns Adam without weight decay (F2 B.1.3)."""
    return Adam(model.parameters(), lr=run.vision.rate)


def fit(
    model: Towers,
    optimiser: Adam,
    batches: Iterable[Mapping[str, Batch]],
    run: Run,
    *,
    first: int = 0,
) -> Iterator[Row]:
    """Trains from update `first` on, one per item of `batches`, and yields a row of the log for each.

    Every dataset has its own batch and loss, and the gradients add up before the one update: that beats
    merging them into one batch (F2 Table 11). The rate falls linearly to 0,
    after a short warm-up that the paper does not mention (WARMUP).
    """
    device = model.log_beta.device
    half = run.train.precision == "bf16"
    model.train()
    for step, batch_of in enumerate(batches, first + 1):
        started = time.perf_counter()
        for group in optimiser.param_groups:
            group["lr"] = run.vision.rate * schedule(step - 1, run.vision.steps)
        losses, pairs = dict[str, float](), 0
        for name, found in batch_of.items():
            rows = [m for m, key in enumerate(found.keys) if not held_out(key)]
            batch, taken = found.to(device), torch.tensor(rows, dtype=torch.int64, device=device)
            with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
                loss = pair_loss(model, batch, run.vision.smoothing, taken)
            (loss / len(batch_of)).backward()  # type: ignore[no-untyped-call]
            losses[name], pairs = _finite(loss, step), pairs + len(rows)
        norm = _step(model, optimiser)
        yield {
            "phase": PHASE,
            "step": step,
            "loss": sum(losses.values()) / len(losses),
            "losses": losses,
            "beta": model.beta().item(),
            "gradient_norm": norm,
            "pairs": pairs,
            "rejected": {name: dict(batch.rejected) for name, batch in batch_of.items()},
            "seconds": round(time.perf_counter() - started, 4),
        }


def schedule(done: int, steps: int) -> float:
    """Returns the share of the rate after `done` updates: up for WARMUP, then linearly to 0."""
    return min((done + 1) / (WARMUP * steps), 1.0) * (1 - done / steps)


def _step(model: Towers, optimiser: Adam) -> float:
    """Makes the one update; returns the gradient norm of all but the image tower, before clipping."""
    ranks.average(model)
    others = [p for name, p in model.named_parameters() if not name.startswith("image.")]
    norm = nn.utils.clip_grad_norm_(others, TEXT_CLIP)
    clip_adaptively(model.image.parameters())
    optimiser.step()
    optimiser.zero_grad()
    with torch.no_grad():
        model.log_beta.clamp_(max=math.log(MOST_BETA))
    return float(norm)


def clip_adaptively(weights: Iterable[nn.Parameter], share: float = AGC) -> None:
    """Limits each unit's gradient norm to `share` of its weights' norm, in place (Brock et al. 2021).

    A unit is an output row of a matrix or an output channel of a convolution, and the whole of a vector.
    The paper has it for NFNets; a ViT's linear maps, norms and places are treated alike.
    """
    for weight in weights:
        if weight.grad is not None:
            limit = share * _norms(weight.detach()).clamp(min=AGC_FLOOR)
            norm = _norms(weight.grad).clamp(min=torch.finfo(weight.dtype).tiny)
            weight.grad.mul_((limit / norm).clamp(max=1.0))


def _norms(x: Tensor) -> Tensor:
    """Returns the norm of each unit of a weight [units, ...], of a vector as a whole; broadcasts."""
    units = x.flatten(1) if x.ndim > 1 else x[None]
    norms: Tensor = torch.linalg.vector_norm(units, dim=1)
    return norms.view(-1, *(1,) * (x.ndim - 1))


def _finite(loss: Tensor, step: int) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise TrainError(f"update {step}: expected a finite loss, found {value}: lower vision.rate")
    return value


# How well it retrieves


def held_out(key: str) -> bool:
    """Says whether the pair of that key is kept for `recall`: always the same ones."""
    return _hash(key.encode()) / 2**64 + 0.5 < HELD_OUT


@torch.no_grad()
def recall(model: Towers, batches: Iterable[Batch]) -> Row:
    """Returns recall@1 of pictures for texts and of texts for pictures, among all pairs of `batches`.

    A text that stands at two pictures, or a picture with two texts, is right with either; `chance` is
    what guessing would reach.
    """
    model.eval()
    device = model.log_beta.device
    found = [(*model(batch.to(device)), identities(batch).to(device)) for batch in batches]
    images, texts, named = (torch.cat(parts) for parts in zip(*found, strict=True))
    right = ~comparable(named, named)
    cosine = images @ texts.T
    rows = torch.arange(len(right), device=device)
    return {
        "pairs": len(right),
        "image_to_text": right[rows, cosine.argmax(dim=1)].float().mean().item(),
        "text_to_image": right[rows, cosine.argmax(dim=0)].float().mean().item(),
        "chance": right.float().mean().item(),
    }
