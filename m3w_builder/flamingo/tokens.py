"""A byte-level tokenizer that needs no download: 256 bytes, the LM's three specials, and <EOC>.

`<image>` is plain text, seven ordinary bytes (F1 3.2.1). `<EOC>`, end of chunk, is the only new
token: it takes the first id after the frozen LM's vocabulary, and only its two embedding rows are
learnt.
"""

from collections.abc import Iterable

BOS, EOS, PAD = 256, 257, 258
LM_VOCABULARY = 259  # what the frozen LM knows: bytes, BOS, EOS, PAD
EOC = LM_VOCABULARY

SPECIALS = {BOS: "<BOS>", EOS: "<EOS>", PAD: "<PAD>", EOC: "<EOC>"}


def encode(text: str) -> list[int]:
    """Returns the UTF-8 bytes of `text` as token ids; a lone surrogate becomes "?"."""
    return list(text.encode("utf-8", "replace"))


def decode(ids: Iterable[int]) -> str:
    """Returns the text of the byte tokens alone; broken UTF-8 becomes U+FFFD."""
    return bytes(i for i in ids if i < 256).decode("utf-8", "replace")


def spell(ids: Iterable[int]) -> str:
    """Returns the text with the special tokens written out, for people and tests."""
    parts, run = [], []
    for i in [*ids, -1]:
        if 0 <= i < 256:
            run.append(i)
            continue
        parts += [decode(run), SPECIALS.get(i, "")]
        run = []
    return "".join(parts)


TAG = tuple(encode("<image>"))
