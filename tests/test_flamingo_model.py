"""The model against the paper: identity at gate 0 in any LM, examples apart, sizes, video, what learns."""

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

import tiny  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from transformers import BertConfig, BertLMHeadModel, GPT2Config, GPT2LMHeadModel  # noqa: E402

from m3w_builder.errors import TrainError  # noqa: E402
from m3w_builder.flamingo.config import Bridge  # noqa: E402
from m3w_builder.flamingo.model import (  # noqa: E402
    Flamingo,
    GatedCrossAttention,
    Resampler,
    temporal,
)
from m3w_builder.flamingo.packing import packs  # noqa: E402

PHI = torch.tensor([[0, 0, 1, 1, 2, 2], [0, 3, 3, 3, 3, 0]])
EOC = tiny.VOCABULARY


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture
def model() -> Flamingo:
    return tiny.flamingo()


def seen(model: Flamingo, count: int = 3) -> Tensor:
    return model.see(tiny.frames(count), [1] * count)


# The LM


@pytest.mark.parametrize("name", tiny.CONFIGS)
def test_closed_gates_give_the_frozen_lm_bit_for_bit(name: str) -> None:
    words = tiny.ids(2, 6)
    with torch.no_grad():
        plain = tiny.language(name)(input_ids=words, use_cache=False).logits
        model = tiny.flamingo(name, gate=0.0)
        logits = model(words, PHI, seen(model))
    assert logits.shape == (2, 6, tiny.VOCABULARY + 1)
    assert torch.equal(logits[..., :-1], plain)


@pytest.mark.parametrize("name", tiny.CONFIGS)
def test_open_gates_let_every_lm_see_from_the_first_image_on(name: str) -> None:
    model, words = tiny.flamingo(name), tiny.ids(2, 6)
    with torch.no_grad():
        logits = model(words, PHI, seen(model))
        others = model(words, PHI, seen(model).flip(0))
    assert torch.equal(logits[0, :2], others[0, :2])
    assert torch.equal(logits[1, :1], others[1, :1])
    assert (logits - others)[0, 2:].abs().amax(-1).min() > 0
    assert (logits - others)[1, 1:].abs().amax(-1).min() > 0


@pytest.mark.parametrize("name", tiny.CONFIGS)
def test_end_of_chunk_is_read_and_predicted_by_every_lm(name: str) -> None:
    model, words = tiny.flamingo(name), tiny.ids(1, 6)
    words[0, 2] = EOC
    media = seen(model, 1)
    model(words, torch.ones_like(words), media)[..., EOC].sum().backward()
    for row in (model.eoc_in, model.eoc_out):
        assert row.grad is not None
        assert row.grad.abs().sum() > 0


def test_end_of_chunk_starts_of_the_size_of_a_word_as_the_lm_gets_it() -> None:
    lm = tiny.language("gemma2")  # scales its words by the root of their width
    with torch.no_grad():
        size = lm.get_input_embeddings()(tiny.ids(200)).std()
    assert 0.5 < tiny.flamingo("gemma2").eoc_in.std() / size < 2.0


def test_the_bare_lm_is_what_it_was_when_nothing_is_seen(model: Flamingo) -> None:
    words = tiny.ids(2, 6)
    with torch.no_grad():
        plain = tiny.language()(input_ids=words).logits
        assert torch.equal(model.lm(input_ids=words).logits[..., :-1], plain)


def test_lm_without_a_list_of_blocks_is_an_error() -> None:
    lm = tiny.language()
    lm.config.num_hidden_layers = 7
    with pytest.raises(TrainError, match="a list of 7 blocks, found none in LlamaForCausalLM"):
        Flamingo(lm, tiny.Cells(), tiny.BRIDGE)


# Several examples in a row


def packed(*lengths: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns ids, phi, positions and documents [1, L] of examples, image i for the i-th; padded by 2."""
    words = tiny.ids(1, sum(lengths) + 2)
    phi, positions, documents = (torch.zeros_like(words) for _ in range(3))
    start = 0
    for number, length in enumerate(lengths, 1):
        here = slice(start, start + length)
        phi[0, here] = number
        phi[0, start] = 0
        positions[0, here] = torch.arange(length)
        documents[0, here] = number
        start += length
    return words, phi, positions, documents


@pytest.mark.parametrize("name", tiny.CONFIGS)
@pytest.mark.parametrize("attend", ["last", "all"])
def test_no_example_of_a_row_sees_its_neighbour(name: str, attend: str) -> None:
    model = tiny.flamingo(name, tiny.BRIDGE.model_copy(update={"attend": attend}))
    words, phi, positions, documents = packed(12, 3, 5)
    with torch.no_grad():
        media = seen(model)
        logits = model(words, phi, media, positions, documents)
        for number in (1, 2, 3):
            (own,) = (documents[0] == number).nonzero(as_tuple=True)
            alone = model(words[:, own], phi[:, own], media)
            torch.testing.assert_close(logits[:, own], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["llama", "bloom"])
def test_kept_positions_have_the_logits_of_all_of_them(name: str) -> None:
    model = tiny.flamingo(name)
    words, phi, positions, documents = packed(12, 3, 5)
    keep = (documents > 0) & (tiny.ids(1, 22) % 2 == 0)
    with torch.no_grad():
        media = seen(model)
        logits = model(words, phi, media, positions, documents)
        kept = model(words, phi, media, positions, documents, keep)
    assert kept.shape == (int(keep.sum()), EOC + 1)
    torch.testing.assert_close(kept, logits[keep], atol=1e-5, rtol=1e-4)


def test_lms_that_keep_examples_of_a_row_apart_are_told_by_asking() -> None:
    apart = {name: packs(tiny.language(name)) for name in tiny.CONFIGS}
    assert [name for name, can in apart.items() if not can] == ["bloom", "mamba"]


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt", "gemma2"])
def test_lms_are_asked_in_bfloat16_too(name: str) -> None:
    assert packs(tiny.language(name).to(torch.bfloat16))


def test_nothing_in_a_batch_has_logits_of_nothing(model: Flamingo) -> None:
    none = torch.zeros(0, 0, dtype=torch.long)
    media = model.see(tiny.frames(0), [])
    assert media.shape == (0, tiny.BRIDGE.latents, tiny.BRIDGE.visual)
    assert model(none, none, media, none, none).shape == (0, 0, EOC + 1)
    assert model(none, none, media, none, none, none.bool()).shape == (0, EOC + 1)


def test_text_without_media_passes(model: Flamingo) -> None:
    words = tiny.ids(1, 6)
    logits = model(words, torch.zeros_like(words), model.see(tiny.frames(0), []))
    assert logits.shape == (1, 6, EOC + 1)


def test_phi_beyond_the_media_is_an_error(model: Flamingo) -> None:
    with pytest.raises(TrainError, match="at most the 2 media of the batch, found 3"):
        model(tiny.ids(2, 6), PHI, seen(model, 2))


# Media


def test_media_of_any_length_are_seen_alike_alone_and_in_a_batch(model: Flamingo) -> None:
    clips, times = tiny.frames(42), [1, 8, 1, 2, 30]
    together = model.see(clips, times)
    assert together.shape == (5, tiny.BRIDGE.latents, tiny.BRIDGE.visual)
    alone = [model.see(own, [t]) for own, t in zip(clips.split(times), times, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_order_of_frames_matters(model: Flamingo) -> None:
    clip = tiny.frames(8)
    assert not torch.allclose(model.see(clip, [8]), model.see(clip.flip(0), [8]))


def test_temporal_embedding_stretches_from_8_to_30_frames() -> None:
    times = torch.randn(8, 5)
    assert torch.equal(temporal(times, 8), times)
    assert torch.equal(temporal(times, 1), times[:1])
    long = temporal(times, 30)
    assert long.shape == (30, 5)
    torch.testing.assert_close(long[[0, -1]], times[[0, -1]])
    torch.testing.assert_close(temporal(times, 15)[::2], times)
    torch.testing.assert_close(temporal(times, 15)[1], times[:2].mean(0))


# Sizes


def weights(module: nn.Module) -> int:
    """Returns the number of parameters of matrices: no norms, gates or embeddings of frames."""
    return sum(p.numel() for p in module.parameters() if p.ndim == 2 and p.shape[0] > 64)


def test_cross_attention_of_flamingo_3b_has_the_published_size() -> None:
    with torch.device("meta"):
        bridge = GatedCrossAttention(2048, Bridge())
    assert 24 * weights(bridge) == pytest.approx(1.158e9, rel=1e-3)  # SPEC D.3; paper: 1.2B
    rest = sum(p.numel() for p in bridge.parameters()) - weights(bridge)
    assert rest == 2 * (2048 + 1536 + 2048) + 2  # three norms and two gates


def test_resampler_of_flamingo_3b_has_the_published_size() -> None:
    with torch.device("meta"):
        resampler = Resampler(3072, Bridge())
    assert weights(resampler) == pytest.approx(193.6e6, rel=1e-3)  # paper: 194M


def test_a_whole_flamingo_can_be_laid_out_on_the_meta_device() -> None:
    with torch.device("meta"):
        lm = GPT2LMHeadModel(GPT2Config(n_layer=24, n_embd=2048, n_head=16))
        model = Flamingo(lm, tiny.Cells(), Bridge())
    learnt = sum(p.numel() for name, p in model.trained() if name.startswith("bridges"))
    assert learnt == pytest.approx(1.158e9, rel=1e-3)


def test_bridges_stand_before_every_kth_block() -> None:
    lm = GPT2LMHeadModel(GPT2Config(vocab_size=9, n_layer=15, n_embd=32, n_head=2))
    model = Flamingo(lm, tiny.Cells(), tiny.BRIDGE.model_copy(update={"every": 7}))
    assert len(model.bridges) == 3
    bridged = [i for i, block in enumerate(lm.transformer.h) if hasattr(block, "known")]
    assert bridged == [0, 7, 14]


# What learns


def loss(model: Flamingo) -> Tensor:
    words, phi, positions, documents = packed(12, 3, 5)
    logits = model(words, phi, seen(model), positions, documents, documents > 0)
    return nn.functional.cross_entropy(logits, words[documents > 0])


def test_only_the_bridge_and_end_of_chunk_are_learnt(model: Flamingo) -> None:
    names = {name.split(".")[0] for name, _ in model.trained()}
    assert names == {"resampler", "bridges", "eoc_in", "eoc_out"}


def test_a_step_moves_all_that_is_learnt_and_no_bit_of_the_rest(model: Flamingo) -> None:
    learnt = dict(model.trained())
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    assert not learnt.keys() & {n for n, p in model.named_parameters() if not p.requires_grad}
    step = torch.optim.AdamW(learnt.values(), lr=1e-2)
    model.train()
    words, phi, positions, documents = packed(12, 3, 5)
    words[0, 4] = EOC
    media = model.see(tiny.frames(10), [1, 8, 1])
    model(words, phi, media, positions, documents)[documents > 0].square().mean().backward()
    step.step()
    for name, weight in model.named_parameters():
        moved = not torch.equal(weight, before[name])
        assert moved == (name in learnt), name
        assert (weight.grad is None) != (name in learnt), name


def test_training_mode_leaves_the_frozen_parts_in_evaluation(model: Flamingo) -> None:
    model.train()
    assert model.resampler.training
    assert all(bridge.training for bridge in model.bridges)
    assert not any(module.training for module in model.lm.modules())
    assert not any(module.training for module in model.vision.modules())


@pytest.mark.parametrize("name", ["llama", "gemma2", "opt", "bloom"])
def test_checkpointing_has_the_same_gradients(name: str) -> None:
    model = tiny.flamingo(name).train()

    def gradients() -> tuple[Tensor, ...]:
        learnt = [p for n, p in model.trained() if n != "eoc_in"]
        return torch.autograd.grad(loss(model), learnt)

    plain = gradients()
    model.checkpointing = True
    for one, other in zip(plain, gradients(), strict=True):
        assert torch.equal(one, other)


def test_without_gates_all_is_let_through_and_learnt() -> None:
    model = tiny.flamingo(shape=tiny.BRIDGE.model_copy(update={"gated": False}))
    assert model.gates() == [(1.0, 1.0), (1.0, 1.0)]
    assert not [name for name, _ in model.trained() if ".alpha_" in name]
    half = tiny.flamingo(gate=100.0)  # tanh = 1
    half.load_state_dict(
        model.state_dict() | {n: p for n, p in half.named_parameters() if "alpha" in n}
    )
    with torch.no_grad():
        torch.testing.assert_close(loss(model), loss(half))


def test_gates_are_reported_first_block_first(model: Flamingo) -> None:
    with torch.no_grad():
        model.bridges[1].alpha_dense.fill_(-0.2)
    opened, closed = torch.tensor(0.7).tanh().item(), torch.tensor(0.2).tanh().item()
    assert model.gates() == [(opened, opened), (opened, pytest.approx(closed))]


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2"])
def test_frozen_parts_in_bfloat16_stay_close(name: str) -> None:
    model = tiny.flamingo(name).train()
    exact = loss(model)
    model.store_frozen(torch.bfloat16)
    kept = {n: p.dtype for n, p in model.named_parameters()}
    learnt = dict(model.trained())
    assert {kept[n] for n in learnt} == {torch.float32}
    assert {dtype for n, dtype in kept.items() if n not in learnt} == {torch.bfloat16}
    with torch.autocast("cpu", torch.bfloat16):
        close = loss(model)
    assert close.item() == pytest.approx(exact.item(), rel=0.05)
    close.backward()
    assert all(p.grad is not None for n, p in learnt.items() if n != "eoc_in")


def test_lm_whose_tokens_see_later_ones_is_refused() -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    shape = BertConfig(vocab_size=64, num_attention_heads=2, **sizes)
    with pytest.raises(TrainError, match="expected a causal LM, found BertLMHeadModel"):
        Flamingo(BertLMHeadModel(shape).eval(), tiny.Cells(), tiny.BRIDGE)
