"""The text that the proof's LM learns from: everything it knows before it is frozen, without a picture.

The texts of the shards; names bound to the words of captions; lists with a question about the first
or the last of them; random words that come again in the same order (copying). Here, and nowhere
else, there are the names of NEW_NAMES: no page has them, so no picture is ever seen beside one.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer as Backend
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.proof.drawings import COLOURS, SHAPES
from benchmarks.proof.pages import DAYS, NAMES, NEW_NAMES, PEOPLE, PLACES, caption, thing

BOS, EOS, UNKNOWN = "<BOS>", "<EOS>", "<UNK>"
WORD_DEVIATION = 0.02  # of the LM's words in the end, as a Llama begins with
VOCABULARY_TEXTS = 4000  # of the shards, that the words are taken from
WORDS = (*SHAPES, *COLOURS, *NAMES, *NEW_NAMES)
ANY = (*WORDS, *PEOPLE, *PLACES, *DAYS)


def bindings(rng: random.Random) -> str:
    """Returns lines such as "a red circle dax", where a shape keeps its name to the end."""
    shapes = rng.sample(list(SHAPES), rng.randint(2, 4))
    names = dict(zip(shapes, rng.sample((*NAMES, *NEW_NAMES), len(shapes)), strict=True))
    bare = rng.random() < 0.5
    lines = []
    for shape in rng.choices(shapes, k=rng.randint(4, 10)):
        words = shape if bare else caption(thing(rng, [shape]))
        lines.append(f"{words} {names[shape]}")
    return "\n".join(lines)


def questions(rng: random.Random) -> str:
    """Returns a list of shapes, then "first" with the first of them or "last" with the last."""
    shapes = rng.sample(list(SHAPES), rng.randint(2, 4))
    lines = [s if rng.random() < 0.5 else caption(thing(rng, [s])) for s in shapes]
    answer = rng.choice([f"first {shapes[0]}", f"last {shapes[-1]}"])
    return "\n".join([*lines, answer])


def repeats(rng: random.Random) -> str:
    """Returns random words, twice to four times in the same order."""
    words = " ".join(rng.sample(ANY, rng.randint(3, 8)))
    return "\n".join([words] * rng.randint(3, 6))


def couples(rng: random.Random) -> str:
    """Returns couples of any words in a random order, most of them several times."""
    words = rng.sample(ANY, 2 * rng.randint(2, 4))
    order = rng.choices(range(0, len(words), 2), k=rng.randint(6, 14))
    return "\n".join(f"{words[i]} {words[i + 1]}" for i in order)


KINDS: Sequence[Callable[[random.Random], str]] = (
    bindings,
    bindings,
    couples,
    couples,
    questions,
    repeats,
)


def texts(shards: Iterator[str], rng: random.Random) -> Iterator[str]:
    """Yields texts for ever: one in four of the shards, the others made."""
    while True:
        yield next(shards)
        for _ in range(3):
            yield rng.choice(KINDS)(rng)


def vocabulary(shards: Iterable[str]) -> Backend:
    """Returns a tokenizer of the words of these texts and of our own; "<image>" is three of them."""
    split = Whitespace()
    found = {word for text in shards for word, _ in split.pre_tokenize_str(text)}
    words = [
        BOS,
        EOS,
        UNKNOWN,
        "<",
        "image",
        ">",
        *sorted(found | set(WORDS) | {"first", "last", "a"}),
    ]
    backend = Backend(WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNKNOWN))
    backend.pre_tokenizer = split
    backend.add_special_tokens([BOS, EOS])
    return backend


# Its pretraining


@dataclass(frozen=True, slots=True)
class Size:
    """Of the LM and of its pretraining."""

    dim: int = 96
    layers: int = 2
    heads: int = 2
    context: int = 256
    steps: int = 1500
    warm: int = 300  # steps on `repeats` and `couples` alone: copying is learnt first, and early
    batch: int = 64  # texts
    rate: float = 5e-3
    seed: int = 0


def pretrain(folder: Path, shards: Iterator[str], size: Size) -> Iterator[float]:
    """Trains a Llama on `texts` and writes a transformers folder; yields the loss of each step."""
    backend = vocabulary(islice(shards, VOCABULARY_TEXTS))
    rng = random.Random(size.seed)
    torch.manual_seed(size.seed)
    lm = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=backend.get_vocab_size(),
            hidden_size=size.dim,
            intermediate_size=8 * size.dim // 3,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            max_position_embeddings=size.context,
            initializer_range=0.1,  # about 1 / sqrt(dim): attention patterns form sooner than with 0.02
            tie_word_embeddings=False,
            bos_token_id=backend.token_to_id(BOS),
            eos_token_id=backend.token_to_id(EOS),
        )
    )
    optimiser = torch.optim.AdamW(lm.parameters(), lr=size.rate, weight_decay=0.1)
    mixed = texts(shards, rng)
    for step in range(size.steps):
        for group in optimiser.param_groups:
            group["lr"] = size.rate * min((step + 1) / 50, max(0.02, 1 - step / size.steps))
        warm = step < size.warm
        ids, real = _rows(
            [
                rng.choice((repeats, couples))(rng) if warm else next(mixed)
                for _ in range(size.batch)
            ],
            backend,
        )
        logits = lm(input_ids=ids, attention_mask=real.long(), use_cache=False).logits
        loss = F.cross_entropy(logits[:, :-1][real[:, 1:]], ids[:, 1:][real[:, 1:]])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(lm.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        yield loss.item()
    settle(lm, WORD_DEVIATION)
    lm.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=BOS, eos_token=EOS, unk_token=UNKNOWN
    ).save_pretrained(folder)


@torch.no_grad()
def settle(lm: LlamaForCausalLM, deviation: float) -> None:
    """Scales what the blocks pass on, so that its words have this deviation: the LM stays the same function.

    Its norms divide the scale out, before every block and before the head. Training here leaves words five times
    as large as a Llama's, and what a bridge adds through a gate that opens from 0 is small beside them.
    """
    words = lm.get_input_embeddings().weight
    factor = deviation / words.std()
    words.mul_(factor)
    for layer in lm.model.layers:
        layer.self_attn.o_proj.weight.mul_(factor)
        layer.mlp.down_proj.weight.mul_(factor)


def _rows(lines: Sequence[str], backend: Backend) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns ids int64[B, L] of `<BOS>text<EOS>`, padded on the right, and where they are no padding."""
    bos, eos = backend.token_to_id(BOS), backend.token_to_id(EOS)
    rows = [[bos, *backend.encode(line, add_special_tokens=False).ids, eos] for line in lines]
    shape = (len(rows), max(map(len, rows)))
    ids, real = torch.full(shape, eos), torch.zeros(shape, dtype=torch.bool)
    for row, known in enumerate(rows):
        ids[row, : len(known)] = torch.tensor(known)
        real[row, : len(known)] = True
    return ids, real
