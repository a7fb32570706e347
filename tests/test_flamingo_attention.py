"""Attention of text to images: exactly its own image, in three forms that agree, gradients too."""

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor  # noqa: E402

from m3w_builder.errors import TrainError  # noqa: E402
from m3w_builder.flamingo.attention import Attention, Looking, first_seen  # noqa: E402

PHI = torch.tensor([[0, 0, 1, 1, 2, 2], [0, 3, 3, 3, 3, 0]])
FORMS = ("segments", "dense", "flex")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture
def attention() -> Attention:
    return Attention(32, 24, heads=2, head=8).requires_grad_(False)


def text(rows: int = 2, tokens: int = 6) -> Tensor:
    return torch.randn(rows, tokens, 32)


def pictures(count: int = 3) -> Tensor:
    return torch.randn(count, 4, 24)


def masked(attention: Attention, y: Tensor, media: Tensor, seen: Tensor) -> Tensor:
    """Returns the paper's own way (F1 3.1.3): attend to every image, then mask: seen bool[B, L, M]."""
    q = attention._heads(attention.q(attention.norm(y)))
    context = attention.norm_context(media.flatten(0, 1)[None])
    k, v = map(attention._heads, attention.kv(context).chunk(2, dim=-1))
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    hidden = ~seen.repeat_interleave(media.shape[1], dim=-1)[:, None]
    weights = scores.masked_fill(hidden, -torch.inf).softmax(-1).nan_to_num(0.0)
    return attention.out((weights @ v).transpose(1, 2).flatten(2))


def own(phi: Tensor, media: int) -> Tensor:
    """Returns bool[B, L, M]: image phi alone."""
    return phi[..., None] == torch.arange(1, media + 1)


def table(seen: list[list[list[int]]], media: int) -> Tensor:
    """Returns bool[B, L, M] of the media that each token sees, counted from 1."""
    return torch.tensor(
        [[[m in token for m in range(1, media + 1)] for token in row] for row in seen]
    )


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_full_attention_under_the_mask(attention: Attention, form: str) -> None:
    y, media = text(), pictures()
    found = attention.look(y, media, Looking.at(PHI, 3, form=form))
    torch.testing.assert_close(found, masked(attention, y, media, own(PHI, 3)))


@pytest.mark.parametrize("form", FORMS)
def test_image_changes_only_the_tokens_that_look_at_it(attention: Attention, form: str) -> None:
    y, media = text(), pictures()
    changed = media.clone()
    changed[1] += 1  # medium 2
    looking = Looking.at(PHI, 3, form=form)
    moved = attention.look(y, changed, looking) - attention.look(y, media, looking)
    assert moved[PHI != 2].abs().max() == 0.0
    assert moved[PHI == 2].abs().sum(-1).min() > 0.0


@pytest.mark.parametrize("form", FORMS)
def test_token_without_an_image_sees_exactly_nothing(attention: Attention, form: str) -> None:
    seen = attention.look(text(), pictures(), Looking.at(PHI, 3, form=form))
    assert seen[PHI == 0].abs().max() == 0.0
    assert seen[PHI > 0].abs().sum(-1).min() > 0.0
    blind = Looking.at(torch.zeros_like(PHI), 0, form=form)
    assert not attention.look(text(), pictures(0), blind).any()


def test_segments_have_the_gradients_of_full_attention(attention: Attention) -> None:
    attention.requires_grad_(True)
    y, media = text().requires_grad_(), pictures().requires_grad_()
    wanted = [y, media, *attention.parameters()]

    def gradients(form: str) -> tuple[Tensor, ...]:
        found = attention.look(y, media, Looking.at(PHI, 3, form=form))
        return torch.autograd.grad(found.square().sum(), wanted)

    for one, other in zip(gradients("segments"), gradients("dense"), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("form", ["segments", "dense"])
def test_bfloat16_on_a_cpu_is_the_same_attention_rounded(attention: Attention, form: str) -> None:
    y, media, looking = text(), pictures(), Looking.at(PHI, 3, form=form)
    exact = attention.look(y, media, looking)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = attention.look(y, media, looking)
    torch.testing.assert_close(rounded.float(), exact, atol=0.01, rtol=0.02)
    assert rounded[PHI == 0].abs().max() == 0.0


def test_flex_trains_on_cuda_alone_and_says_so(attention: Attention) -> None:
    attention.requires_grad_(True)
    with pytest.raises(TrainError, match='found cpu: take "segments"'):
        attention.look(text(), pictures(), Looking.at(PHI, 3, form="flex"))


@pytest.mark.parametrize("form", FORMS)
def test_all_images_up_to_phi_are_seen_from_the_first_of_the_example(
    attention: Attention, form: str
) -> None:
    phi = torch.tensor([[0, 1, 2, 3, 3, 4], [5, 5, 6, 0, 0, 0]])
    documents = torch.tensor([[1, 1, 1, 2, 2, 2], [1, 1, 1, 1, 0, 0]])
    first = first_seen(phi, documents)
    seen = table([[[], [1], [1, 2], [3], [3], [3, 4]], [[5], [5], [5, 6], [], [], []]], 6)
    y, media = text(), pictures(6)
    found = attention.look(y, media, Looking.at(phi, 6, form=form, first=first))
    torch.testing.assert_close(found, masked(attention, y, media, seen))


@settings(max_examples=50)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_each_position_has_a_place_of_its_own_under_its_image(phi: list[int]) -> None:
    plan = Looking.at(torch.tensor([phi]), 4)
    slots = plan.slot.tolist()
    assert len(set(slots)) == len(slots) == sum(image > 0 for image in phi)
    assert [slot // plan.longest for slot in slots] == plan.medium.tolist()
    assert [phi[position] - 1 for position in plan.order] == plan.medium.tolist()
    assert plan.longest == max((phi.count(image) for image in range(1, 5)), default=0)


@settings(max_examples=30)
@given(
    phi=st.lists(st.lists(st.integers(0, 5), min_size=9, max_size=9), min_size=1, max_size=3),
    form=st.sampled_from(FORMS),
)
def test_any_phi_in_any_order_is_full_attention_under_the_mask(
    phi: list[list[int]], form: str
) -> None:
    attention = Attention(32, 24, heads=2, head=8).requires_grad_(False)
    looks = torch.tensor(phi)
    y, media = text(len(phi), 9), pictures(5)
    found = attention.look(y, media, Looking.at(looks, 5, form=form))
    torch.testing.assert_close(found, masked(attention, y, media, own(looks, 5)))


def test_phi_beyond_the_media_is_an_error() -> None:
    with pytest.raises(TrainError, match="expected at most the 2 media of the batch, found 3"):
        Looking.at(PHI, 2)


def test_kept_keys_are_computed_once(attention: Attention) -> None:
    y, media = text(), pictures()
    looking = Looking.at(PHI, 3, keys={})
    first = attention.look(y, media, looking)
    again = attention.look(y, torch.zeros_like(media), looking)  # the kept ones count
    assert torch.equal(first, again)
