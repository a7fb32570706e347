"""The LM's tokenizer as Flamingo uses it: `<image>` is plain text, `<EOC>` the one new token.

`<EOC>`, end of chunk, takes the first id after the frozen LM's vocabulary, and only its two embedding
rows are learnt; `<image>` is spelt in ordinary tokens (F1 3.2.1). Text that spells a special token,
as a page about tokenizers does, is encoded as text.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend
from tokenizers.decoders import ByteLevel as Decoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from m3w_builder.errors import TrainError
from m3w_builder.files import write_text

BOS, EOS = "<BOS>", "<EOS>"  # of a tokenizer of ours
IDS = "tokenizer_ids.json"


class Tokenizer:
    """Text to the ids of an LM of `size` tokens and back; `eoc` is one id more than the LM knows."""

    def __init__(self, backend: Backend, *, bos: int, eos: int, size: int) -> None:
        self.backend = backend
        self.backend.encode_special_tokens = True
        self.backend.no_padding()
        self.backend.no_truncation()
        self.bos, self.eos, self.size = bos, eos, size
        self.eoc = size
        self.tag = tuple(self.encode("<image>"))

    def encode(self, text: str) -> list[int]:
        """Returns the ids of `text`, never a special one; a lone surrogate becomes "?"."""
        clean = text.encode("utf-8", "replace").decode()
        ids: list[int] = self.backend.encode(clean, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of the ordinary tokens alone."""
        known = [i for i in ids if i < self.size]
        text: str = self.backend.decode(known, skip_special_tokens=True)
        return text

    def spell(self, ids: Iterable[int]) -> str:
        """Returns the text with the special tokens written out, for people and tests."""
        names = {self.bos: BOS, self.eos: EOS, self.eoc: "<EOC>"}
        parts, run = list[str](), list[int]()
        for i in ids:
            if i in names:
                parts += [self.decode(run), names[i]]
                run = []
            else:
                run.append(i)
        return "".join([*parts, self.decode(run)])

    @classmethod
    def bytes(cls) -> "Tokenizer":
        """Returns the tokenizer of the 256 bytes: it needs no training and no download."""
        return cls.trained([], 258)

    @classmethod
    def trained(cls, texts: Iterable[str], size: int) -> "Tokenizer":
        """Returns a byte-level BPE (Sennrich et al. 2016) of at most `size` tokens."""
        backend = Backend(BPE())
        backend.pre_tokenizer = ByteLevel(add_prefix_space=False)
        backend.decoder = Decoder()
        specials = [AddedToken(name, special=True) for name in (BOS, EOS)]
        trainer = BpeTrainer(
            vocab_size=size,
            special_tokens=specials,
            initial_alphabet=sorted(ByteLevel.alphabet()),
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer)
        ids = backend.get_vocab()
        return cls(backend, bos=ids[BOS], eos=ids[EOS], size=len(ids))

    def save(self, path: Path) -> None:
        """Writes tokenizer.json, and beside it the ids that this class adds to it."""
        write_text(path, self.backend.to_str())
        ids = {"bos": self.bos, "eos": self.eos, "size": self.size}
        write_text(_beside(path), json.dumps(ids) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Tokenizer":
        """Returns a saved tokenizer; raises TrainError."""
        try:
            ids = json.loads(_beside(path).read_text(encoding="utf-8"))
            return cls(_parsed(path.read_text(encoding="utf-8")), **ids)
        except (OSError, ValueError, TypeError) as error:
            raise TrainError(f"{path}: expected a tokenizer of a run: {error}") from error


def _parsed(text: str) -> Backend:
    try:
        return Backend.from_str(text)
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise ValueError(str(error)) from error


def _beside(path: Path) -> Path:
    return path.with_name(IDS)
