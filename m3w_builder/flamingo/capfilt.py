"""Our own Flamingo as CapFilt's captioner and matcher: a checkpoint folder that `m3w train` wrote.

    captioner = "m3w_builder.flamingo.capfilt:Captioner?checkpoint=run&device=cuda"
    matcher   = "m3w_builder.flamingo.capfilt:Matcher?checkpoint=other-run&relative=yes"

A checkpoint that is a captioner should not be its own filter: train two (BLIP, Table 4).
"""

from collections.abc import Sequence
from functools import cache
from hashlib import file_digest, sha256
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from m3w_builder.capfilt.plugins import Settings
from m3w_builder.errors import ConfigError, TrainError
from m3w_builder.flamingo import checkpoint as runs
from m3w_builder.flamingo.generate import NEVER
from m3w_builder.flamingo.images import fit
from m3w_builder.flamingo.model import Flamingo
from m3w_builder.flamingo.tokens import BOS, EOC, EOS, PAD, TAG, decode, encode

BYTES_PER_TOKEN = 4  # lengths are in tokens of a common vocabulary; this model speaks bytes
HEAD = (BOS, *TAG)


class _Run:
    """A finished run, read when it is asked for."""

    def __init__(self, checkpoint: str, device: str = "cpu") -> None:
        self._folder = Path(checkpoint)
        self._device = device
        self.checkpoint = _digest(self._folder)
        self.model_id = f"m3w-flamingo/{self.checkpoint[:16]}"

    def load(self) -> None:
        """Reads the weights, once per process and device; raises ConfigError."""
        self._model, self._size = _loaded(self._folder, self._device)

    def _see(self, images: Sequence[Image]) -> Tensor:
        """Returns what the model sees of each image: [M, R, V]."""
        frames = np.stack([fit(image, self._size) for image in images])
        return self._model.see(torch.from_numpy(frames).to(self._device), [1] * len(images))


class Captioner(_Run):
    """Writes captions by nucleus sampling, each image by draws of its own."""

    @torch.no_grad()
    def caption(
        self, images: Sequence[Image], settings: Settings, seeds: Sequence[int]
    ) -> list[list[str]]:
        """Returns `settings.captions` texts per image."""
        n = settings.captions
        media = self._see(images)
        dice = [Random(f"{seed}/{number}") for seed in seeds for number in range(n)]
        owner = [1 + row // n for row in range(len(dice))]
        rows = _sampled(self._model, media, owner, settings, dice)
        texts = [" ".join(decode(row).split()) for row in rows]
        return [texts[first : first + n] for first in range(0, len(texts), n)]


class Matcher(_Run):
    """Scores by the mean log-likelihood of a text's bytes and its end, given the image: nats, 0 at most.

    With `relative=yes` less their mean log-likelihood without an image, which takes away what the language model finds
    likely of any picture: above 0 the image makes the text likelier.
    """

    def __init__(self, checkpoint: str, device: str = "cpu", relative: str = "no") -> None:
        super().__init__(checkpoint, device)
        if relative not in ("yes", "no"):
            raise ConfigError(f"{checkpoint}: relative: expected yes or no, found {relative}")
        self._relative = relative == "yes"
        self.model_id += "/relative" * self._relative

    @torch.no_grad()
    def match(self, images: Sequence[Image], texts: Sequence[str]) -> list[float]:
        """Returns a score for each pair."""
        media = self._see(images)
        ids, counted = _rows(texts, self._model.lm.places.num_embeddings, self._device)
        looks = torch.arange(1, len(texts) + 1, device=self._device)[:, None].expand_as(ids)
        scores = likelihood(self._model, ids, looks, media, counted)
        if self._relative:
            scores -= likelihood(self._model, ids, torch.zeros_like(ids), media, counted)
        return [float(score) for score in scores.tolist()]


def _sampled(
    model: Flamingo,
    media: Tensor,
    owner: Sequence[int],
    settings: Settings,
    dice: Sequence[Random],
) -> list[list[int]]:
    """Returns the new tokens of each row, without the <EOC> or <EOS> that ends it.

    Row i looks at image owner[i] (from 1); all rows have the same prompt, so none is ever padded.
    """
    device = media.device
    prompt = [*HEAD, *encode(settings.prompt)]
    least, most = settings.min_length * BYTES_PER_TOKEN, settings.max_length * BYTES_PER_TOKEN
    most = min(most, model.lm.places.num_embeddings - len(prompt))
    ids = torch.tensor([prompt] * len(owner), device=device)
    phi = torch.tensor(owner, device=device)[:, None]
    ended = torch.zeros(len(owner), dtype=torch.bool)
    for step in range(most):
        logits = model(ids, phi.expand_as(ids), media)[:, -1].float().cpu()
        logits[:, list(NEVER)] = -torch.inf
        if step < least:
            logits[:, [EOC, EOS]] = -torch.inf
        draws = torch.tensor([one.random() for one in dice], dtype=torch.float64)
        tokens = nucleus(logits / settings.temperature, settings.top_p, draws)
        tokens[ended] = EOC
        ended |= (tokens == EOC) | (tokens == EOS)
        if ended.all():
            break
        ids = torch.cat([ids, tokens[:, None].to(device)], dim=1)
    return [_until_end(row[len(prompt) :]) for row in ids.tolist()]


def _until_end(ids: list[int]) -> list[int]:
    return next((ids[:i] for i, token in enumerate(ids) if token in (EOC, EOS)), ids)


def nucleus(logits: Tensor, top_p: float, draws: Tensor) -> Tensor:
    """Returns a token per row: logits [B, V], draws float64[B] in [0, 1) -> int64[B].

    Drawn from the likeliest tokens that together have at least probability `top_p` (Holtzman et al. 2020,
    arXiv 1904.09751).
    """
    probabilities, order = logits.double().softmax(-1).sort(dim=-1, descending=True, stable=True)
    before = probabilities.cumsum(-1) - probabilities
    kept = probabilities.where(before < top_p, 0.0)
    total = kept.cumsum(-1)
    place = (total <= draws[:, None] * total[:, -1:]).sum(-1)
    last = (kept > 0).sum(-1) - 1
    return order.gather(-1, torch.minimum(place, last)[:, None])[:, 0]


def _rows(texts: Sequence[str], context: int, device: str) -> tuple[Tensor, Tensor]:
    """Returns ids [B, L] of <BOS><image>text<EOC>, right-padded, and which of them count: the text and its end."""
    room = context - len(HEAD) - 1
    rows = [[*HEAD, *encode(text)[:room], EOC] for text in texts]
    ids = torch.full((len(rows), max(map(len, rows))), PAD)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
    counted = ids != PAD
    counted[:, : len(HEAD)] = False
    return ids.to(device), counted.to(device)


def likelihood(model: Flamingo, ids: Tensor, phi: Tensor, media: Tensor, counted: Tensor) -> Tensor:
    """Returns the mean log-likelihood of the counted tokens of each row: [B, L] -> [B], nats."""
    logits = model(ids, phi, media)[:, :-1].float()
    found = logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    kept = counted[:, 1:]
    mean: Tensor = found.where(kept, 0.0).sum(-1) / kept.sum(-1)
    return mean


@cache
def _digest(folder: Path) -> str:
    """Returns the digest of the weights of a finished run; raises ConfigError where there is none."""
    found = sha256()
    try:
        (folder / runs.CONFIG).stat()  # written last
        for name in (runs.LEARNT, runs.LM):
            with (folder / name).open("rb") as file:
                found.update(file_digest(file, "sha256").digest())
    except OSError as error:
        raise ConfigError(
            f"{folder}: expected the folder of a finished training run: {error.strerror}"
        ) from error
    return found.hexdigest()


@cache
def _loaded(folder: Path, device: str) -> tuple[Flamingo, int]:
    """Returns the model of a run on its device, and the side of the images it sees, in pixels."""
    try:
        place = torch.device(device)
        model, preset = runs.load(folder)
        model.to(place)
    except (TrainError, RuntimeError, AssertionError) as error:  # torch's, of a device
        raise ConfigError(f"capfilt: {str(error).splitlines()[0]}") from error
    if place.type == "cpu":
        torch.set_num_threads(1)  # a worker runs on every core
    return model, preset.shape.image
