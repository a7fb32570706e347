"""Text from a trained model: greedy, nucleus or beam search up to <EOC>, and the likelihood of given text.

transformers' own generation runs, with the LM's keys cached; the media are seen once, and so are their keys
and values in every bridge.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from inspect import signature
from random import Random
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from m3w_builder.errors import TrainError
from m3w_builder.flamingo.data.tokens import Tokenizer
from m3w_builder.flamingo.model import Flamingo, Sight

CANDIDATES = 64  # continuations that are scored side by side
Following = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Text with the media it talks about."""

    ids: list[int]  # [L]
    phi: list[int]  # [L], 0 = no image, i = media[i - 1]
    media: Tensor  # [m, R, V], of `Flamingo.see`

    def __post_init__(self) -> None:
        assert len(self.ids) == len(self.phi) > 0
        assert max(self.phi) <= len(self.media)


class Nucleus(LogitsProcessor):
    """Leaves one token per row: drawn from the likeliest that together have probability `top_p`.

    Each row draws from dice of its own, so that its text does not depend on its neighbours
    (Holtzman et al. 2020, arXiv 1904.09751).
    """

    def __init__(self, top_p: float, temperature: float, dice: Sequence[Random]) -> None:
        self._top_p, self._temperature, self._dice = top_p, temperature, dice

    def __call__(self, _: Tensor, scores: Tensor) -> Tensor:
        draws = torch.tensor([one.random() for one in self._dice], dtype=torch.float64)
        tokens = nucleus(scores.float().cpu() / self._temperature, self._top_p, draws)
        only = torch.full_like(scores, -torch.inf)
        return only.scatter(-1, tokens[:, None].to(scores.device), 0.0)


def nucleus(logits: Tensor, top_p: float, draws: Tensor) -> Tensor:
    """Returns a token per row: logits [B, V], draws float64[B] in [0, 1) -> int64[B]."""
    probabilities, order = logits.double().softmax(-1).sort(dim=-1, descending=True, stable=True)
    before = probabilities.cumsum(-1) - probabilities
    kept = probabilities.where(before < top_p, 0.0)
    total = kept.cumsum(-1)
    place = (total <= draws[:, None] * total[:, -1:]).sum(-1)
    last = (kept > 0).sum(-1) - 1
    return order.gather(-1, torch.minimum(place, last)[:, None])[:, 0]


@torch.no_grad()
def generate(
    model: Flamingo,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    *,
    beams: int = 1,
    top_p: float | None = None,
    temperature: float = 1.0,
    least: int = 0,
    limit: int = 64,
    seeds: Sequence[int | str] | None = None,
) -> list[str]:
    """Returns the text after each prompt, without the <EOC> or EOS that ends it.

    Greedy with one beam and no `top_p`; nucleus sampling with `top_p`, each prompt by the draws of
    its own seed; beam search with several beams. At least `least` and at most `limit` tokens. New
    text looks at what the prompt's last token sees.
    """
    assert top_p is None or beams == 1
    ids, phi, mask, media = _left_padded(prompts, tokenizer.eos, model.device)
    room = getattr(model.lm.config, "max_position_embeddings", None)
    limit = min(limit, room - ids.shape[1]) if room else limit
    if limit < 1:
        raise TrainError(f"prompt: expected fewer than {room} tokens, found {ids.shape[1]}")
    ends = [tokenizer.eoc, tokenizer.eos]
    config = GenerationConfig(
        max_new_tokens=limit,
        min_new_tokens=min(least, limit) or None,
        num_beams=beams,
        do_sample=False,
        eos_token_id=ends,
        pad_token_id=tokenizer.eos,
        suppress_tokens=[tokenizer.bos] if tokenizer.bos not in ends else None,
    )
    processors = LogitsProcessorList()
    if top_p is not None:
        dice = [Random(str(seed)) for seed in seeds or range(len(prompts))]
        processors.append(Nucleus(top_p, temperature, dice))
    lm: Any = model.lm  # a generative one: transformers has no type for that
    with model.eyes.on(Sight(media, phi, model.shape, keys={})):
        found = lm.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=config,
            logits_processor=processors,
        )
    rows = found[:, ids.shape[1] :].tolist()
    return [tokenizer.decode(_until(row, ends)) for row in rows]


@torch.no_grad()
def likelihood(
    model: Flamingo, prompt: Prompt, continuations: Sequence[Sequence[int]]
) -> list[float]:
    """Returns the sum of the log-probabilities of each continuation's tokens, in nats.

    The prompt is passed once, whatever the number of continuations, where the LM keeps all it needs.
    """
    if not all(continuations):
        raise TrainError("continuation: expected at least one token, found none")
    following = _cached(model, prompt) if model.packs else _whole(model, prompt)
    scores = list[float]()
    for start in range(0, len(continuations), CANDIDATES):
        ids, real = _right_padded(continuations[start : start + CANDIDATES], model.device)
        found = following(ids[:, :-1]).float().log_softmax(-1).gather(-1, ids[..., None])[..., 0]
        scores += found.where(real, 0.0).sum(-1).tolist()
    return scores


def _cached(model: Flamingo, prompt: Prompt) -> Following:
    """Returns the logits [n, w + 1, V] after the prompt and after each of w more tokens int64[n, w]."""
    ids = torch.tensor([prompt.ids], device=model.device)
    phi = torch.tensor([prompt.phi], device=model.device)
    sight = Sight(prompt.media, phi, model.shape, keys={})
    lm: Any = model.lm
    # transformers renamed `past_key_values` in the course of its version 5.
    name = "cache" if "cache" in signature(lm.forward).parameters else "past_key_values"
    with model.eyes.on(sight):
        known = lm(input_ids=ids, use_cache=True)

    def following(ids: Tensor) -> Tensor:
        first: Tensor = known.logits[:, -1:].expand(len(ids), -1, -1)
        if not ids.shape[1]:
            return first
        cache = deepcopy(known[name])
        cache.reorder_cache(ids.new_zeros(len(ids)))  # every row goes on from the one there is
        places = torch.arange(ids.shape[1], device=ids.device) + len(prompt.ids)
        options = {name: cache, "position_ids": places.expand(len(ids), -1), "use_cache": True}
        with model.eyes.on(sight.after()):
            return torch.cat([first, lm(input_ids=ids, **options).logits], dim=1)

    return following


def _whole(model: Flamingo, prompt: Prompt) -> Following:
    """Returns the same by full passes, for recurrent LMs and such."""

    def following(ids: Tensor) -> Tensor:
        before, looks = (ids.new_tensor(x).expand(len(ids), -1) for x in (prompt.ids, prompt.phi))
        phi = torch.cat([looks, looks[:, -1:].expand(ids.shape)], dim=1)
        logits: Tensor = model(torch.cat([before, ids], dim=1), phi, prompt.media)
        return logits[:, len(prompt.ids) - 1 :]

    return following


def _right_padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Returns ids int64[n, w] and bool[n, w]: is it a token; no token attends to what comes later."""
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    real = torch.zeros_like(ids, dtype=torch.bool)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        real[number, : len(row)] = True
    return ids.to(device), real.to(device)


def _left_padded(
    prompts: Sequence[Prompt], pad: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns ids, phi and mask int64[B, L], and the media of all prompts; phi counts those."""
    length = max(len(prompt.ids) for prompt in prompts)
    ids = torch.full((len(prompts), length), pad)
    phi, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    before = 0
    for row, prompt in enumerate(prompts):
        here = slice(length - len(prompt.ids), length)
        looks = torch.tensor(prompt.phi)
        ids[row, here] = torch.tensor(prompt.ids)
        phi[row, here] = torch.where(looks > 0, looks + before, 0)
        mask[row, here] = 1
        before += len(prompt.media)
    media = torch.cat([prompt.media for prompt in prompts])
    return ids.to(device), phi.to(device), mask.to(device), media


def _until(ids: list[int], ends: Sequence[int]) -> list[int]:
    return next((ids[:i] for i, token in enumerate(ids) if token in ends), ids)
