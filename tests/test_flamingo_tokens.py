"""The tokenizer of any LM: plain-text tags, one new id, texts that spell special tokens."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("tokenizers", reason="the extra `train` is not installed")

from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend
from tokenizers.decoders import ByteFallback, Fuse, Replace, Strip
from tokenizers.decoders import Sequence as Decoders
from tokenizers.models import BPE, WordLevel
from tokenizers.normalizers import Prepend
from tokenizers.normalizers import Replace as Spaces
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.processors import TemplateProcessing

from m3w_builder.errors import TrainError
from m3w_builder.flamingo.config import Examples
from m3w_builder.flamingo.data.examples import example
from m3w_builder.flamingo.data.tokens import Tokenizer

BYTES = Tokenizer.bytes()
TEXTS = ["A starling in the grass.", "Starlings above the roofs.", "The cat, the grass, the roof."]


def sentencepiece() -> Backend:
    """Returns a tokenizer as Llama 2's: a space before each text, BOS added; padding and truncation."""
    letters = sorted({"▁", *"".join(TEXTS).replace(" ", "▁")})
    names = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *letters, "th", "the"]
    vocabulary = {name: i for i, name in enumerate(names)}
    merges = [("t", "h"), ("th", "e")]
    backend = Backend(BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    backend.add_special_tokens([AddedToken(name, special=True) for name in names[:3]])
    backend.normalizer = Normalizers([Prepend("▁"), Spaces(" ", "▁")])
    backend.decoder = Decoders([Replace("▁", " "), ByteFallback(), Fuse(), Strip(" ", 1, 0)])
    backend.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    backend.enable_padding(length=64)
    backend.enable_truncation(8)
    return backend


def llama2() -> Tokenizer:
    backend = sentencepiece()
    return Tokenizer(backend, bos=1, eos=2, size=backend.get_vocab_size())


def test_bytes_need_no_training() -> None:
    assert BYTES.size == 258
    assert len(BYTES.tag) == len(b"<image>")
    assert len({BYTES.bos, BYTES.eos, BYTES.eoc, *BYTES.encode("é")}) == 5


@pytest.mark.parametrize("tokenizer", [BYTES, llama2()], ids=["bytes", "sentencepiece"])
def test_end_of_chunk_is_the_first_id_after_the_frozen_vocabulary(tokenizer: Tokenizer) -> None:
    assert tokenizer.eoc == tokenizer.size == tokenizer.backend.get_vocab_size()
    assert tokenizer.decode(tokenizer.tag) == "<image>"


@given(st.text())
def test_bytes_come_back_as_text(text: str) -> None:
    assert BYTES.decode(BYTES.encode(text)) == text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("text", ["a cat", " a cat", "  two", "roof\nroof", "Ж <image> ☃", ""])
def test_sentences_come_back_through_a_prefix_space(text: str) -> None:
    tokenizer = llama2()
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_nothing_is_added_padded_or_cut() -> None:
    tokenizer = llama2()
    long = " ".join(TEXTS * 5)
    assert tokenizer.bos not in tokenizer.encode("a cat")
    assert len(tokenizer.encode("a cat")) < 8
    assert tokenizer.decode(tokenizer.encode(long)) == long


@pytest.mark.parametrize("tokenizer", [BYTES, llama2()], ids=["bytes", "sentencepiece"])
def test_text_that_spells_a_special_token_is_text(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("Say <s>, </s>, <BOS>, <EOS> and <EOC>.")
    assert not {tokenizer.bos, tokenizer.eos, tokenizer.eoc} & set(ids)
    assert tokenizer.decode(ids) == "Say <s>, </s>, <BOS>, <EOS> and <EOC>."


def test_spell_writes_special_tokens_out_and_decode_leaves_them_out() -> None:
    ids = [BYTES.bos, *BYTES.tag, *BYTES.encode("Hi é"), BYTES.eoc, BYTES.eos]
    assert BYTES.spell(ids) == "<BOS><image>Hi é<EOC><EOS>"
    assert BYTES.decode(ids) == "<image>Hi é"
    assert BYTES.spell([]) == BYTES.decode([]) == ""


def test_training_joins_what_is_frequent_and_gives_the_same_again() -> None:
    one, again = Tokenizer.trained(TEXTS * 3, 300), Tokenizer.trained(TEXTS * 3, 300)
    assert one.backend.to_str() == again.backend.to_str()
    assert 258 < one.size <= 300
    assert len(one.encode("the grass")) < len(BYTES.encode("the grass"))
    assert one.decode(one.encode("unseen ☃")) == "unseen ☃"


@pytest.mark.parametrize("tokenizer", [BYTES, llama2()], ids=["bytes", "sentencepiece"])
def test_saved_tokenizer_is_the_same_again(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    again = Tokenizer.read(tmp_path / "tokenizer.json")
    assert (again.bos, again.eos, again.eoc, again.tag) == (
        tokenizer.bos,
        tokenizer.eos,
        tokenizer.eoc,
        tokenizer.tag,
    )
    text = "A starling says </s> <EOS>."
    assert again.encode(text) == tokenizer.encode(text)
    assert again.decode(again.encode(text)) == text


def test_pets_of_the_paper_in_sentence_pieces() -> None:
    tokenizer = llama2()
    sample = {
        "kind": "interleaved",
        "texts": ["Cute pics of my pets!", None, "My puppy.", None, " My cat."],
        "images": [None, "000.jpg", None, "001.jpg", None],
    }
    choices = Examples(next_probability=0.0)
    one = example(sample, choices, tokenizer, random.Random(0))
    assert [tokenizer.decode(one.ids[tag.start : tag.end]) for tag in one.tags] == ["<image>"] * 2
    chunks = [[i for i, p in zip(one.ids, one.phi, strict=True) if p == n] for n in range(3)]
    assert [tokenizer.spell(chunk) for chunk in chunks] == [
        "<BOS>Cute pics of my pets!<EOC>",
        "<image> My puppy.<EOC>",  # the tokenizer's own space
        "<image>  My cat.<EOC><EOS>",
    ]


def test_size_is_the_lms_even_where_its_tokenizer_has_fewer(tmp_path: Path) -> None:
    padded = Tokenizer(Tokenizer.bytes().backend, bos=0, eos=1, size=320)
    padded.save(tmp_path / "tokenizer.json")
    assert Tokenizer.read(tmp_path / "tokenizer.json").eoc == padded.eoc == 320
    assert padded.decode([300, *padded.encode("a"), 320]) == "a"


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_folder_without_a_tokenizer_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(TrainError, match="expected a tokenizer of a run"):
        Tokenizer.read(path)
    BYTES.save(path)
    path.write_text(text)
    with pytest.raises(TrainError, match="expected a tokenizer of a run"):
        Tokenizer.read(path)


def test_tag_in_ordinary_tokens_even_where_the_lm_has_one_of_its_own() -> None:
    backend = Backend(WordLevel({"<unk>": 0, "<s>": 1, "<": 2, "image": 3, ">": 4}, "<unk>"))
    backend.add_special_tokens([AddedToken("<image>", special=True)])
    own = backend.token_to_id("<image>")
    tokenizer = Tokenizer(backend, bos=1, eos=1, size=backend.get_vocab_size())
    assert own not in tokenizer.tag
