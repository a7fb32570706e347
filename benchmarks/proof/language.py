"""The text that the proof's LM learns from: everything it knows before it is frozen, without a picture.

The texts of the shards; names bound to the words of captions; lists with a question about the first
or the last of them; random words that come again in the same order (copying). A name of NEW_NAMES
is in the last two alone, and no text binds a name to a shape of UNNAMED.
"""

import random
from collections.abc import Callable, Iterator, Sequence

from tokenizers import Tokenizer as Backend
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from benchmarks.proof.drawings import COLOURS, SHAPES
from benchmarks.proof.pages import NAMED, NAMES, NEW_NAMES, caption, thing

BOS, EOS, UNKNOWN = "<BOS>", "<EOS>", "<UNK>"
WORDS = (*SHAPES, *COLOURS, *NAMES, *NEW_NAMES)


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
    words = " ".join(rng.sample(WORDS, rng.randint(3, 8)))
    return "\n".join([words] * rng.randint(3, 6))


KINDS: Sequence[Callable[[random.Random], str]] = (bindings, bindings, bindings, questions, repeats)


def texts(shards: Iterator[str], rng: random.Random) -> Iterator[str]:
    """Yields texts for ever: one in four of the shards, the others made."""
    while True:
        yield next(shards)
        for _ in range(3):
            yield rng.choice(KINDS)(rng)


def vocabulary(shards: Iterator[str]) -> Backend:
    """Returns a tokenizer of the words of these texts and of our own; "<image>" is three of them."""
    split = Whitespace()
    found = {word for text in shards for word, _ in split.pre_tokenize_str(text)}
    words = [BOS, EOS, UNKNOWN, "<", "image", ">", *sorted(found | set(WORDS) | {"first", "last", "a"})]
    backend = Backend(WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNKNOWN))
    backend.pre_tokenizer = split
    backend.add_special_tokens([BOS, EOS])
    return backend
