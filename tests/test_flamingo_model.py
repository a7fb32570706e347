"""The model against the paper: identity at gate 0, no leak between images, sizes, video frames."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from m3w_builder.flamingo.model import (  # noqa: E402
    Flamingo,
    GatedCrossAttention,
    Resampler,
    language_model,
    segments,
    temporal,
)
from m3w_builder.flamingo.presets import Shape  # noqa: E402
from m3w_builder.flamingo.tokens import EOC  # noqa: E402
from m3w_builder.flamingo.vision import CosineCells, cosines  # noqa: E402

SMALL = Shape(
    image=16,
    patch=8,
    dim=32,
    layers=3,
    heads=2,
    head=16,
    context=64,
    every=2,
    visual=24,
    visual_layers=2,
    visual_heads=2,
    latents=4,
)
PHI = torch.tensor([[0, 0, 1, 1, 2, 2], [0, 3, 3, 3, 3, 0]])


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture
def model() -> Flamingo:
    return Flamingo(language_model(SMALL), SMALL).eval()


def opened(model: Flamingo) -> Flamingo:
    """Returns the model with its gates half open."""
    for name, weight in model.trained():
        if ".alpha_" in name:
            nn.init.constant_(weight, 0.5)
    return model


def frames(count: int) -> Tensor:
    return torch.randn(count, SMALL.image, SMALL.image, 3)


def test_closed_gates_give_the_frozen_lm_exactly(model: Flamingo) -> None:
    ids = torch.randint(0, 256, (2, 6))
    with torch.no_grad():
        logits = model(ids, PHI, model.see(frames(3), [1, 1, 1]))
        assert torch.equal(logits[..., :-1], model.lm(ids))


def test_open_gates_change_only_tokens_from_the_first_image_on_when_dense_is_closed(
    model: Flamingo,
) -> None:
    ids = torch.randint(0, 256, (2, 6))
    for name, weight in model.trained():
        if "alpha_xattn" in name:
            nn.init.constant_(weight, 0.5)
    with torch.no_grad():
        logits = model(ids, PHI, model.see(frames(3), [1, 1, 1]))[..., :-1]
        plain = model.lm(ids)
    assert torch.equal(logits[0, :2], plain[0, :2])
    assert torch.equal(logits[1, :1], plain[1, :1])
    assert (logits - plain)[0, 2:].abs().min() > 0


def test_image_changes_only_the_tokens_that_attend_to_it(model: Flamingo) -> None:
    bridge = opened(model).bridges[0]
    y, media = torch.randn(2, 6, SMALL.dim), torch.randn(3, SMALL.latents, SMALL.visual)
    changed = media.clone()
    changed[1] += 1  # medium 2
    looking = segments(PHI, 3)
    moved = (bridge.look(y, changed, looking) - bridge.look(y, media, looking)).abs().sum(-1)
    assert moved[PHI != 2].max() == 0.0
    assert moved[PHI == 2].min() > 0.0


def test_token_without_an_image_sees_exactly_nothing(model: Flamingo) -> None:
    bridge = opened(model).bridges[0]
    y, media = torch.randn(2, 6, SMALL.dim), torch.randn(3, SMALL.latents, SMALL.visual)
    seen = bridge.look(y, media, segments(PHI, 3))
    assert seen[PHI == 0].abs().max() == 0.0
    assert not bridge.look(y, media[:0], segments(torch.zeros_like(PHI), 0)).any()


def masked(bridge: GatedCrossAttention, y: Tensor, media: Tensor, phi: Tensor) -> Tensor:
    """Returns the paper's own way (F1 3.1.3): attend to every image, then mask by phi."""
    attention, context = bridge.attention, media.flatten(0, 1)[None]
    q = attention._heads(attention.q(attention.norm(y)))
    k, v = map(attention._heads, attention.kv(attention.norm_context(context)).chunk(2, dim=-1))
    of = torch.arange(1, len(media) + 1).repeat_interleave(media.shape[1])
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    hidden = (phi[..., None] != of)[:, None]
    weights = scores.masked_fill(hidden, -torch.inf).softmax(-1).nan_to_num(0.0)
    return attention.out((weights @ v).transpose(1, 2).flatten(2))


def test_segments_equal_full_attention_under_the_mask(model: Flamingo) -> None:
    bridge = opened(model).bridges[0]
    y, media = torch.randn(2, 6, SMALL.dim), torch.randn(3, SMALL.latents, SMALL.visual)
    torch.testing.assert_close(
        bridge.look(y, media, segments(PHI, 3)), masked(bridge, y, media, PHI)
    )


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_segments_hold_each_position_under_its_image(phi: list[int]) -> None:
    table = segments(torch.tensor([phi]), 4)
    for medium in range(4):
        here = [p for p in table[medium].tolist() if p != len(phi)]
        assert here == [i for i, p in enumerate(phi) if p == medium + 1]


def test_media_of_any_length_are_seen_alike_alone_and_in_a_batch(model: Flamingo) -> None:
    clips = frames(12)
    together = model.see(clips, [1, 8, 1, 2])
    assert together.shape == (4, SMALL.latents, SMALL.visual)
    alone = model.see(clips[1:9], [8])
    torch.testing.assert_close(together[1:2], alone)


def test_order_of_frames_matters(model: Flamingo) -> None:
    clip = frames(8)
    assert not torch.allclose(model.see(clip, [8]), model.see(clip.flip(0), [8]))


def test_temporal_embedding_stretches_from_8_to_30_frames() -> None:
    times = torch.randn(8, 5)
    assert torch.equal(temporal(times, 8), times)
    assert torch.equal(temporal(times, 1), times[:1])
    long = temporal(times, 30)
    assert long.shape == (30, 5)
    torch.testing.assert_close(long[[0, -1]], times[[0, -1]])


def weights(module: nn.Module) -> int:
    """Returns the number of parameters of matrices: no norms, gates or embeddings of frames."""
    return sum(p.numel() for name, p in module.named_parameters() if name.endswith("weight"))


def test_cross_attention_of_flamingo_3b_has_the_published_size() -> None:
    with torch.device("meta"):
        bridge = GatedCrossAttention(2048, 1536, heads=16, head=128)
    assert 24 * weights(bridge) == pytest.approx(1.158e9, rel=1e-3)  # SPEC D.3; paper: 1.2B


def test_resampler_of_flamingo_3b_has_the_published_size() -> None:
    with torch.device("meta"):
        resampler = Resampler(3072, Shape())
    assert weights(resampler) == pytest.approx(193.6e6, rel=1e-3)  # paper: 194M


def test_bridges_stand_before_every_kth_block(model: Flamingo) -> None:
    assert len(model.bridges) == 2  # before blocks 0 and 2 of 3
    seven = Flamingo(language_model(replace(SMALL, layers=15)), replace(SMALL, layers=15, every=7))
    assert len(seven.bridges) == 3  # 0, 7, 14


def test_only_the_bridge_and_end_of_chunk_are_learnt(model: Flamingo) -> None:
    names = {name.split(".")[0] for name, _ in model.trained()}
    assert names == {"resampler", "bridges", "eoc_in", "eoc_out"}


def test_end_of_chunk_learns_its_input_and_output_embedding(model: Flamingo) -> None:
    ids = torch.tensor([[65, EOC, 66, 67]])
    media = model.see(frames(1), [1])
    model(ids, torch.ones_like(ids), media)[..., EOC].sum().backward()
    assert model.eoc_in.grad is not None
    assert model.eoc_in.grad.abs().sum() > 0
    assert model.eoc_out.grad is not None
    assert model.eoc_out.grad.abs().sum() > 0


def test_training_mode_leaves_the_frozen_parts_in_evaluation(model: Flamingo) -> None:
    model.train()
    assert model.resampler.training
    assert not model.lm.training
    assert not any(block.training for block in model.lm.blocks)
    assert not model.vision.training


def test_cosines_are_orthonormal() -> None:
    torch.testing.assert_close(cosines(8) @ cosines(8).T, torch.eye(8), atol=1e-6, rtol=0)


def test_cells_keep_colour_and_place() -> None:
    cells = CosineCells(8)
    image = torch.zeros(1, 16, 16, 3)
    image[0, :8, 8:] = 1.0  # white in the upper right cell
    features = cells(image)
    assert features.shape == (1, 4, cells.width)
    lit = features[0, :, : -4 * cells.places].abs().sum(-1)
    assert lit.argmax() == 1
    assert lit[[0, 2, 3]].max() == 0.0
    assert len({tuple(row.tolist()) for row in features[0, :, -4 * cells.places :]}) == 4
