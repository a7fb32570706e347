"""FLOP of an update, written out: beside torch's own count, the paper's sizes, and known devices."""

import random
from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch")
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402

from m3w_builder.flamingo import config, flops, vision  # noqa: E402
from m3w_builder.flamingo.config import Bridge, Vision  # noqa: E402
from m3w_builder.flamingo.data.batch import Batch, collate  # noqa: E402
from m3w_builder.flamingo.data.examples import Example, Tag  # noqa: E402
from m3w_builder.flamingo.model import Flamingo  # noqa: E402
from m3w_builder.flamingo.train import Objective  # noqa: E402
from m3w_builder.flamingo.vision import Encoder  # noqa: E402

IMAGE, VOCABULARY, SIDE = 3, 500, 32
TFLOP = 1e12


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def llama(dim: int, layers: int, heads: int, vocabulary: int, ffw: int) -> LlamaForCausalLM:
    shape = LlamaConfig(
        hidden_size=dim,
        intermediate_size=ffw,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        vocab_size=vocabulary,
    )
    return LlamaForCausalLM(shape)


def small(every: int = 1) -> Flamingo:
    torch.manual_seed(0)
    shape = Bridge(
        every=every, heads=2, head=32, visual=64, visual_layers=2, visual_heads=2, latents=16
    )
    encoder = vision.load(Vision(image=SIDE, patch=8, dim=48, layers=2, heads=2))
    model = Flamingo(llama(96, 3, 4, VOCABULARY, 256), encoder, shape)
    with torch.no_grad():
        for bridge in model.bridges:
            bridge.alpha_xattn.fill_(0.5)
            bridge.alpha_dense.fill_(0.5)
    return model


def batch(*sizes: tuple[int, tuple[int, ...]], length: int = 64) -> Batch:
    """Returns a batch of examples of (tokens, frames of each medium), the first token seeing none."""
    rng, loaded = random.Random(0), []
    for number, (tokens, times) in enumerate(sizes):
        ids = [rng.randrange(4, VOCABULARY) for _ in range(tokens)]
        places = [1 + i * (tokens - 1) // len(times) for i in range(len(times))]
        for place in places:
            ids[place] = IMAGE
        phi = [sum(place <= position for place in places) for position in range(tokens)]
        tags = tuple(
            Tag(place, place + 1, node, ("x",) * t, ("",) * t)
            for node, (place, t) in enumerate(zip(places, times, strict=True))
        )
        loss = [position > 0 for position in range(tokens)]
        example = Example(str(number), ids, phi, loss, tags, (IMAGE,))
        black = torch.zeros(SIDE, SIDE, 3, dtype=torch.uint8).numpy()
        loaded.append((example, [[black] * t for t in times]))
    return collate(loaded, size=SIDE, length=length, pad=0)


def counted(model: Flamingo, of: Batch) -> int:
    """Returns torch's count of a forward and backward pass, attention as plain products."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        Objective(model)(of).backward()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("every", [1, 2])
def test_count_is_that_of_torch_where_nothing_is_padded(every: int) -> None:
    model, of = small(every), batch((64, (1, 1)), (64, (1, 1)))
    found = flops.of_batch(model, of, flops.frame(model.vision))
    assert found.total == pytest.approx(counted(model, of), rel=0.02)


def test_count_of_videos_is_that_of_torch() -> None:
    model, of = small(), batch((64, (5,)), (64, (5,)))
    found = flops.of_batch(model, of, flops.frame(model.vision))
    assert found.total == pytest.approx(counted(model, of), rel=0.02)


def test_rows_leave_padding_out_and_keep_packed_examples_apart() -> None:
    of = batch((40, (1,)), (10, (1,)), (30, (2, 1)), length=64)
    assert of.ids.shape == (2, 50)  # 40 + 10 in a row, 30 and 20 of padding in the other
    found = flops.rows(of)
    assert found == flops.Rows(
        tokens=80, squares=1600 + 100 + 900, seeing=77, labelled=77, times=(1, 1, 2, 1)
    )


def test_text_without_images_costs_no_resampler_and_no_keys() -> None:
    model = small()
    alone = batch((20, ()))
    assert flops.rows(alone).times == ()
    found = flops.of_batch(model, alone, flops.frame(model.vision))
    assert (found.vision, found.resampler) == (0, 0)
    assert found.bridges == 6 * 3 * 8 * 96**2 * 20  # the feed-forward of three bridges


def test_parts_add_up() -> None:
    one, two = flops.Flops(1, 2, 3, 4, 5), flops.Flops(lm=10)
    assert (one + two).total == one.total + two.total == 25


def meta(preset: str, ffw: int | None = None) -> Flamingo:
    """Returns a preset's model without its numbers, its LM with Chinchilla's 12 D^2 a block."""
    run = config.load(preset=preset)
    lm, dim = run.lm, run.lm.dim
    with torch.device("meta"):
        language = llama(dim, lm.layers, lm.heads, lm.vocabulary, ffw or 8 * dim // 3)
        return Flamingo(language, Encoder(width=3072, size=320), run.model)


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("preset", "bridges", "millions"),
    # What SPEC.md D.3 derives from the shapes: 48.2, 180.4 and 696 million a bridge. Table 5 rounds
    # 1.158 to 1.2; its 1.6 and 10 for the larger ones do not follow from its own Table 4.
    [("flamingo-3b", 24, 1158), ("flamingo-9b", 10, 1804), ("flamingo-80b", 12, 8355)],
)
def test_presets_have_the_papers_parameters(preset: str, bridges: int, millions: int) -> None:
    model = meta(preset)
    assert len(model.bridges) == bridges
    assert parameters(model.bridges) / 1e6 == pytest.approx(millions, rel=0.001)
    assert parameters(model.resampler) / 1e6 == pytest.approx(194, rel=0.005)  # Table 5


def test_flamingo_3b_costs_about_four_teraflop_a_document() -> None:
    model = meta("flamingo-3b")
    nfnet = flops.Frame(233e9, 100)  # NFNet-F6 at 320 px
    mean = sum(
        flops.of_rows(model, rows, nfnet).total
        for rows in (
            flops.Rows(256, 256**2, 240, 255, (1,) * 2),
            flops.Rows(256, 256**2, 240, 255, (1,) * 3),
        )
    )
    assert mean / 2 / TFLOP == pytest.approx(3.8, rel=0.03)
    pair = flops.of_rows(model, flops.Rows(17, 17**2, 17, 16, (1,)), nfnet)
    assert pair.total / TFLOP == pytest.approx(0.59, rel=0.03)


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("Intel(R) Xeon(R) Processor", None),
    ],
)
def test_peak_of_known_devices(name: str, peak: float | None) -> None:
    assert flops.peak(name) == peak


def test_mfu_is_the_share_of_the_peak_and_unknown_without_one() -> None:
    assert flops.mfu(4e12, 2.0, 8e12) == 0.25
    assert flops.mfu(4e12, 2.0, None) is None
