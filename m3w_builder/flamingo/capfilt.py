"""Our own Flamingo as CapFilt's captioner and matcher: a checkpoint folder that `m3w train` wrote.

    captioner = "m3w_builder.flamingo.capfilt:Captioner?checkpoint=run&device=cuda"
    matcher   = "m3w_builder.flamingo.capfilt:Matcher?checkpoint=other-run&relative=yes"

A checkpoint that is a captioner should not be its own filter: train two (BLIP, Table 4).
"""

from collections.abc import Sequence
from functools import cache
from hashlib import file_digest, sha256
from pathlib import Path

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from m3w_builder.capfilt.plugins import Settings
from m3w_builder.errors import ConfigError, TrainError
from m3w_builder.flamingo import checkpoint as runs
from m3w_builder.flamingo.checkpoint import Finished
from m3w_builder.flamingo.data.images import fit
from m3w_builder.flamingo.data.tokens import Tokenizer
from m3w_builder.flamingo.generate import Prompt, generate
from m3w_builder.flamingo.model import Flamingo


class _Run:
    """A finished run, read when it is asked for."""

    def __init__(self, checkpoint: str, device: str = "cpu") -> None:
        self._folder = Path(checkpoint)
        self._device = device
        self.checkpoint = _digest(self._folder)
        self.model_id = f"m3w-flamingo/{self.checkpoint[:16]}"

    def load(self) -> None:
        """Reads the weights, once per process and device; raises ConfigError."""
        self._model, self._tokenizer, _ = _loaded(self._folder, self._device)

    def _see(self, images: Sequence[Image]) -> Tensor:
        """Returns what the model sees of each image: [M, R, V]."""
        encoder = self._model.vision
        frames = np.stack([fit(image, encoder.size, encoder.mean) for image in images])
        return self._model.see(torch.from_numpy(frames).to(self._device), [1] * len(images))


class Captioner(_Run):
    """Writes captions by nucleus sampling, each image by draws of its own."""

    @torch.no_grad()
    def caption(
        self, images: Sequence[Image], settings: Settings, seeds: Sequence[int]
    ) -> list[list[str]]:
        """Returns `settings.captions` texts per image; its lengths are in tokens of the run's LM."""
        n, tokenizer = settings.captions, self._tokenizer
        ids = [*head(tokenizer), *tokenizer.encode(settings.prompt)]
        prompts = [Prompt(ids, [1] * len(ids), one[None]) for one in self._see(images)]
        texts = generate(
            self._model,
            tokenizer,
            [prompt for prompt in prompts for _ in range(n)],
            top_p=settings.top_p,
            temperature=settings.temperature,
            least=settings.min_length,
            limit=settings.max_length,
            seeds=[f"{seed}/{number}" for seed in seeds for number in range(n)],
        )
        clean = [" ".join(text.split()) for text in texts]
        return [clean[first : first + n] for first in range(0, len(clean), n)]


class Matcher(_Run):
    """Scores by the mean log-likelihood of a text's tokens and its end, given the image: nats, 0 at most.

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
        context = getattr(self._model.lm.config, "max_position_embeddings", None)
        ids, counted = _rows(texts, self._tokenizer, context, self._device)
        looks = torch.arange(1, len(texts) + 1, device=self._device)[:, None].expand_as(ids)
        scores = likelihood(self._model, ids, looks, media, counted)
        if self._relative:
            scores -= likelihood(self._model, ids, torch.zeros_like(ids), media, counted)
        return [float(score) for score in scores.tolist()]


def head(tokenizer: Tokenizer) -> list[int]:
    """Returns what opens a pair: <BOS><image>."""
    return [tokenizer.bos, *tokenizer.tag]


def _rows(
    texts: Sequence[str], tokenizer: Tokenizer, context: int | None, device: str
) -> tuple[Tensor, Tensor]:
    """Returns ids [B, L] of <BOS><image>text<EOC>, right-padded, and which of them count: the text and its end."""
    first = head(tokenizer)
    room = context - len(first) - 1 if context else None
    rows = [[*first, *tokenizer.encode(text)[:room], tokenizer.eoc] for text in texts]
    ids = torch.full((len(rows), max(map(len, rows))), tokenizer.eos)
    counted = torch.zeros_like(ids, dtype=torch.bool)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        counted[number, len(first) : len(row)] = True
    return ids.to(device), counted.to(device)


def likelihood(model: Flamingo, ids: Tensor, phi: Tensor, media: Tensor, counted: Tensor) -> Tensor:
    """Returns the mean log-likelihood of the counted tokens of each row: [B, L] -> [B], nats."""
    keep = torch.zeros_like(counted)
    keep[:, :-1] = counted[:, 1:]
    logits = model(ids, phi, media, keep=keep).float()  # [n, size + 1]
    found = logits.log_softmax(-1).gather(-1, ids[counted][:, None])[:, 0]
    rows = counted.nonzero()[:, 0]
    sums = found.new_zeros(len(ids)).index_add(0, rows, found)
    mean: Tensor = sums / counted.sum(-1)
    return mean


@cache
def _digest(folder: Path) -> str:
    """Returns the digest of the weights of a finished run; raises ConfigError where there is none."""
    found = sha256()
    try:
        (folder / runs.DONE).stat()  # written last
        frozen = [p for name in (runs.LM, runs.VISION) for p in (folder / name).rglob("*")]
        for path in [folder / runs.CONFIG, folder / runs.LEARNT, *sorted(frozen)]:
            with path.open("rb") as file:
                found.update(file_digest(file, "sha256").digest())
    except OSError as error:
        raise ConfigError(
            f"{folder}: expected the folder of a finished training run: {error.strerror}"
        ) from error
    return found.hexdigest()


@cache
def _loaded(folder: Path, device: str) -> Finished:
    """Returns a run with its model on the device."""
    try:
        place = torch.device(device)
        found = runs.load(folder)
        found.model.to(place)
    except (TrainError, RuntimeError, AssertionError) as error:  # torch's, of a device
        raise ConfigError(f"capfilt: {str(error).splitlines()[0]}") from error
    if place.type == "cpu":
        torch.set_num_threads(1)  # a worker runs on every core
    return found
