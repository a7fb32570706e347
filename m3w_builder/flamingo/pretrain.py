"""The builtin LM, taught the shards' own text: a stand-in for a pretrained one where nothing can be downloaded.

A few hundred updates teach it spelling and the captions' words, not the world. It reads `<image>` in the text,
in ordinary tokens as Flamingo writes it, and never sees <EOC>, which is Flamingo's alone.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from transformers import PreTrainedModel

from m3w_builder.flamingo.config import Language, Run
from m3w_builder.flamingo.data import examples
from m3w_builder.flamingo.data.reader import Shards, for_ever, texts
from m3w_builder.flamingo.data.tokens import Tokenizer
from m3w_builder.flamingo.train import Row, enough_memory

PHASE = "lm"
WARMUP = 20  # updates
DECAY = 0.1
CLIP = 1.0
DOCUMENTS = 100_000  # that the tokenizer is made of, at most


def spelling(sets: Sequence[Shards], lm: Language, seed: int) -> Tokenizer:
    """Returns a byte-level BPE of the shards' text, which also knows how to spell `<image>`."""
    documents = min(DOCUMENTS, sum(map(len, sets)))
    return Tokenizer.trained(_words(sets, seed, documents), lm.vocabulary)


def _words(sets: Sequence[Shards], seed: int, documents: int) -> Iterator[str]:
    streams = cycle([texts(one, seed) for one in sets])
    for stream in islice(streams, documents):
        yield next(stream)
        yield "<image>"


def rows(
    sets: Sequence[Shards], tokenizer: Tokenizer, length: int, seed: int
) -> Iterator[list[int]]:
    """Yields rows of exactly `length` tokens for ever: documents of each set in turn, end to end."""
    row = list[int]()
    for stream in cycle([_documents(one, tokenizer, seed) for one in sets]):
        row += next(stream)
        while len(row) >= length:
            yield row[:length]
            row = row[length:]


def _documents(shards: Shards, tokenizer: Tokenizer, seed: int) -> Iterator[list[int]]:
    def plain(record: Mapping[str, Any]) -> list[int]:
        ids, _ = examples.tokenise(record, tokenizer)
        return [i for i in ids if i != tokenizer.eoc]

    return for_ever(shards, seed, plain)


def warm_up(lm: PreTrainedModel, stream: Iterator[list[int]], run: Run) -> Iterator[Row]:
    """Trains the LM on rows of text; yields log rows. The rate falls to 0: it never learns again."""
    shape = run.lm
    optimiser = AdamW(lm.parameters(), lr=shape.rate, weight_decay=DECAY)
    lm.requires_grad_(True).train()
    for step in range(shape.steps):
        started = time.perf_counter()
        for group in optimiser.param_groups:
            group["lr"] = shape.rate * min((step + 1) / WARMUP, 1 - step / shape.steps)
        ids = torch.tensor(list(islice(stream, shape.batch)), device=lm.device)
        with enough_memory("lower lm.batch or examples.length"):
            logits = lm(input_ids=ids, use_cache=False).logits[:, :-1]
            loss = F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())
            loss.backward()  # type: ignore[no-untyped-call]
            clip_grad_norm_(lm.parameters(), CLIP)
            optimiser.step()
        optimiser.zero_grad()
        seconds = round(time.perf_counter() - started, 4)
        yield {"phase": PHASE, "step": step + 1, "loss": loss.item(), "seconds": seconds}
    lm.requires_grad_(False).eval()
