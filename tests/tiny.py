"""Flamingos that fit in a test: LMs of every kind of transformers with random weights, and an encoder."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    FalconConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    OPTConfig,
    PhiConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from m3w_builder.flamingo.config import Bridge
from m3w_builder.flamingo.model import Flamingo, GatedCrossAttention
from m3w_builder.flamingo.vision import Encoder

VOCABULARY = 258  # of Tokenizer.bytes()
BRIDGE = Bridge(
    every=2, heads=2, head=8, visual=24, visual_layers=2, visual_heads=2, latents=4, times=8
)
_NONE = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
_LLAMA = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "max_position_embeddings": 96,
    **_NONE,
}
_GPT2 = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 3, "n_head": 2, "n_positions": 96}
_SHARED = {**_LLAMA, "num_key_value_heads": 1, "head_dim": 16}
_OPT = {**_LLAMA, "ffn_dim": 48}

CONFIGS: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**_LLAMA),
    "llama, tied": LlamaConfig(**_LLAMA, tie_word_embeddings=True),
    "mistral, short window": MistralConfig(**_LLAMA, num_key_value_heads=1, sliding_window=8),
    "gpt2": GPT2Config(**_GPT2, **_NONE),
    "gpt_neox": GPTNeoXConfig(**_LLAMA),
    "opt": OPTConfig(**_OPT),
    "opt, narrow words": OPTConfig(**_OPT, word_embed_proj_dim=16),
    "qwen2": Qwen2Config(**_LLAMA, num_key_value_heads=1),
    "qwen3": Qwen3Config(**_SHARED),
    # Eager attention and logits through tanh; words times the root of their width.
    "gemma2": Gemma2Config(**_SHARED, final_logit_softcapping=3.0, attn_logit_softcapping=5.0),
    "gemma3": Gemma3TextConfig(**_SHARED),
    "phi": PhiConfig(**_LLAMA),
    "falcon": FalconConfig(**_LLAMA),
    "bloom": BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=3, n_head=2, **_NONE),
    "mamba": MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=3, **_NONE),
}


class Cells(Encoder):
    """8 x 8 pixels -> 4 cells of 12 features; its own weights, so that there is something frozen."""

    def __init__(self) -> None:
        super().__init__(width=12, size=8)
        self.project = nn.Linear(48, 12)
        self.drop = nn.Dropout(0.5)

    def features(self, pixels: Tensor) -> Tensor:
        x = pixels.movedim(1, -1)
        x = x.reshape(-1, 2, 4, 2, 4, 3).transpose(2, 3).flatten(3).flatten(1, 2)
        features: Tensor = self.drop(self.project(x))
        return features


def language(name: str = "llama", seed: int = 0) -> PreTrainedModel:
    """Returns an LM of random weights, large enough that its logits differ from token to token."""
    torch.manual_seed(seed)
    lm: PreTrainedModel = AutoModelForCausalLM.from_config(deepcopy(CONFIGS[name]))
    for weight in lm.parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight, std=0.2)
    return lm.train(False)


def flamingo(
    name: str = "llama", shape: Bridge = BRIDGE, gate: float = 0.7, seed: int = 0
) -> Flamingo:
    """Returns a Flamingo in evaluation mode with gates of tanh(`gate`)."""
    model = Flamingo(language(name, seed), Cells(), shape)
    if shape.gated:
        for bridge in model.bridges:
            assert isinstance(bridge, GatedCrossAttention)
            nn.init.constant_(bridge.alpha_xattn, gate)
            nn.init.constant_(bridge.alpha_dense, gate)
    return model.train(False)


def frames(count: int, seed: int = 0) -> Tensor:
    """Returns random pictures, uint8[count, 8, 8, 3]."""
    dice = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 8, 8, 3), dtype=torch.uint8, generator=dice)


def ids(*shape: int, seed: int = 0) -> Tensor:
    """Returns random tokens of the bytes, int64[*shape]."""
    dice = torch.Generator().manual_seed(seed)
    return torch.randint(2, VOCABULARY, shape, generator=dice)
