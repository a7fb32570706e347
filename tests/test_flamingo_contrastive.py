"""Contrastive pretraining: CLIP's loss, copies that are no mistakes, updates, ranks, resuming, what is learnt."""

import json
import math
import multiprocessing
import random
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

import torch.distributed as dist  # noqa: E402
import torch.nn.functional as F  # noqa: E402
import typer  # noqa: E402
from fakes import Pack, dataset, document, image_media, write  # noqa: E402
from PIL import Image as Pictures  # noqa: E402
from PIL import ImageDraw  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from m3w_builder import shards  # noqa: E402
from m3w_builder.cli import contrast as verb  # noqa: E402
from m3w_builder.cli import extra  # noqa: E402
from m3w_builder.errors import TrainError  # noqa: E402
from m3w_builder.flamingo import config, vision  # noqa: E402
from m3w_builder.flamingo.config import Run, Vision  # noqa: E402
from m3w_builder.flamingo.data.batch import Batch, collate  # noqa: E402
from m3w_builder.flamingo.data.examples import example  # noqa: E402
from m3w_builder.flamingo.data.tokens import Tokenizer  # noqa: E402
from m3w_builder.flamingo.vision import contrastive, entry, ranks  # noqa: E402
from m3w_builder.samples import Sample, sample  # noqa: E402
from m3w_builder.types import Image, Text  # noqa: E402

SIZE = 32
COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (50, 80, 220),
    "white": (240, 240, 240),
}
PLACES = {
    "top left": (9, 9),
    "top right": (23, 9),
    "bottom left": (9, 23),
    "bottom right": (23, 23),
}
SHAPES = ("disc", "square", "bar")
TOKENIZER = Tokenizer.bytes()


def run(**tables: dict[str, Any]) -> Run:
    table: dict[str, dict[str, Any]] = {
        "examples": {"space_probability": 0.0, "pair_length": 64},
        "vision": {"image": SIZE, "patch": 8, "dim": 32, "layers": 2, "heads": 2, "joint": 16},
        "train": {"threads": 1},
    }
    for name, values in tables.items():
        table[name] = {**table.get(name, {}), **values}
    return config.parse(table)


RUN = run()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def drawn(number: int) -> tuple[str, bytes]:
    """Returns a caption and the PNG of what it says, drawn from the number."""
    draw = random.Random(f"drawn/{number}")
    colour, shape, place = (draw.choice(list(x)) for x in (COLOURS, SHAPES, PLACES))
    ground = tuple(draw.randrange(90, 160) for _ in range(3))
    picture = Pictures.new("RGB", (SIZE, SIZE), ground)
    pen, (x, y), r = ImageDraw.Draw(picture), PLACES[place], draw.randrange(5, 8)
    x, y = x + draw.randrange(-2, 3), y + draw.randrange(-2, 3)
    if shape == "disc":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=COLOURS[colour])
    else:
        high = r if shape == "square" else 2
        pen.rectangle((x - r, y - high, x + r, y + high), fill=COLOURS[colour])
    file = BytesIO()
    picture.save(file, "PNG")
    return f"a {colour} {shape} at the {place}", file.getvalue()


def pair(key: str, text: str, pixels: Tensor, picture: str = "") -> Any:
    """Returns a pair as the loader hands it to `collate`."""
    table = {
        "id": key,
        "kind": "image_text",
        "texts": [None, text],
        "images": ["png", None],
        "videos": [None, None],
        "info": [{"sha256": picture or f"picture of {key}"}, None],
    }
    return example(table, RUN.examples, TOKENIZER, random.Random(0)), [[pixels.numpy()]]


def batch(*texts: str, seed: int = 0, pictures: tuple[str, ...] = (), length: int = 128) -> Batch:
    """Returns a batch of pairs with random pictures."""
    dice = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (len(texts), SIZE, SIZE, 3), dtype=torch.uint8, generator=dice)
    names = pictures or ("",) * len(texts)
    loaded = [pair(f"{seed}-{n}", text, pixels[n], names[n]) for n, text in enumerate(texts)]
    return collate(loaded, size=SIZE, length=length, pad=TOKENIZER.eos)


def towers(chosen: Run = RUN) -> contrastive.Towers:
    torch.manual_seed(0)
    return contrastive.towers(vision.build(chosen.vision), chosen, TOKENIZER.size + 1)


def batches_of(count: int, pairs: int = 4) -> list[dict[str, Batch]]:
    """Returns updates of two datasets, none of their pairs held out."""
    return [
        {
            name: batch(*(f"{name} {step} {n}" for n in range(pairs)), seed=seed + 10 * step)
            for seed, name in enumerate(("one", "two"), 1)
        }
        for step in range(count)
    ]


@pytest.fixture
def all_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contrastive, "HELD_OUT", 0.0)


# The loss


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_without_copies_the_loss_is_clips(smoothing: float) -> None:
    model, pairs = towers(), batch("a cat", "two dogs", "a house", "the sea")
    images, texts = model(pairs)
    logits, right = model.beta() * images @ texts.T, torch.arange(4)
    clip = [F.cross_entropy(x, right, label_smoothing=smoothing) for x in (logits, logits.T)]
    found = contrastive.pair_loss(model, pairs, smoothing)
    assert found.item() == pytest.approx(sum(clip).item() / 2, abs=1e-6)


def test_the_temperature_is_learnt_from_the_batch() -> None:
    model = towers()
    assert model.beta().item() == pytest.approx(1 / 0.07)
    contrastive.pair_loss(model, batch("a", "b", "c"), 0.0).backward()
    assert model.log_beta.grad is not None
    assert model.log_beta.grad != 0


def test_features_have_length_one_in_the_joint_space() -> None:
    for features in towers()(batch("a cat", "two dogs")):
        assert features.shape == (2, 16)
        assert torch.allclose(features.norm(dim=-1), torch.ones(2), atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_pair_and_its_copies_are_no_mistakes(smoothing: float) -> None:
    logits = torch.randn(3, 3)
    allowed = torch.tensor([[True, False, True], [False, True, True], [True, True, True]])
    loss = contrastive.cross_entropy(logits, torch.arange(3), allowed, smoothing)
    kept = F.cross_entropy(logits[:1, [0, 2]], torch.tensor([0]), label_smoothing=smoothing)
    assert loss[0].item() == pytest.approx(kept.item(), abs=1e-6)
    whole = F.cross_entropy(logits[2:], torch.tensor([2]), label_smoothing=smoothing)
    assert loss[2].item() == pytest.approx(whole.item(), abs=1e-6)


def test_a_text_that_stands_twice_is_not_pushed_from_either_picture() -> None:
    logits = torch.randn(3, 3, requires_grad=True)
    same = contrastive.identities(batch("a cat", "a cat", "a dog"))
    allowed = contrastive.comparable(same, same) | torch.eye(3, dtype=torch.bool)
    contrastive.cross_entropy(logits, torch.arange(3), allowed, 0.1).sum().backward()
    assert logits.grad is not None
    assert (logits.grad == 0).tolist() == [
        [False, True, False],
        [True, False, False],
        [False, False, False],
    ]


def test_a_batch_of_one_text_has_nothing_to_learn() -> None:
    loss = contrastive.pair_loss(towers(), batch("a cat", "a cat", "a cat"), 0.0)
    assert loss.item() == 0  # CLIP's would be log 3


def test_pairs_are_compared_unless_text_or_picture_is_the_same() -> None:
    pairs = batch("a cat", "a cat", "a dog", "a cow", pictures=("x", "y", "y", "z"))
    named = contrastive.identities(pairs)
    assert (~contrastive.comparable(named, named)).int().tolist() == [
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 0, 0, 1],
    ]


def test_texts_are_the_same_whatever_row_they_are_packed_in() -> None:
    model = towers().eval()
    packed = batch("a cat", "two dogs", "the sea", length=128)
    apart = batch("a cat", "two dogs", "the sea", length=20)
    assert len(packed.ids) < len(apart.ids) == 3
    assert torch.equal(contrastive.identities(packed), contrastive.identities(apart))
    assert torch.allclose(model.text(packed), model.text(apart), atol=1e-5)


def test_pairs_that_are_not_taken_change_nothing() -> None:
    model, four = towers(), batch("a", "b", "c", "d")
    some = contrastive.pair_loss(model, four, 0.1, torch.tensor([0, 2]))
    images, texts = model(four)
    logits = model.beta() * images[[0, 2]] @ texts[[0, 2]].T
    right = torch.arange(2)
    clip = [F.cross_entropy(x, right, label_smoothing=0.1) for x in (logits, logits.T)]
    assert some.item() == pytest.approx(sum(clip).item() / 2, abs=1e-6)


def test_an_update_without_pairs_is_no_error() -> None:
    loss = contrastive.pair_loss(towers(), batch("a"), 0.1, torch.tensor([], dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0


# Updates


def test_adaptive_clipping_limits_each_unit_to_a_share_of_its_weights() -> None:
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0]]))
        layer.bias.copy_(torch.tensor([0.6, 0.8]))
    layer.weight.grad = torch.tensor([[0.0, 10.0, 0.0], [0.0, 1.0, 0.0]])
    layer.bias.grad = torch.tensor([0.001, 0.0])
    contrastive.clip_adaptively(layer.parameters(), 0.01)
    assert layer.weight.grad[0].norm().item() == pytest.approx(0.01 * 5)
    assert layer.weight.grad[1].norm().item() == pytest.approx(0.01 * 1e-3)  # the floor
    assert layer.bias.grad.tolist() == pytest.approx([0.001, 0.0])  # below its limit


def test_adaptive_clipping_takes_channels_of_convolutions_and_places() -> None:
    encoder = vision.build(RUN.vision)
    for weight in encoder.parameters():
        weight.grad = torch.ones_like(weight)
    contrastive.clip_adaptively(encoder.parameters())
    embed = encoder.get_parameter("embed.weight")
    assert embed.grad is not None
    wanted = 0.01 * embed.detach().flatten(1).norm(dim=1)
    assert torch.allclose(embed.grad.flatten(1).norm(dim=1), wanted, atol=1e-6)


def test_the_rate_rises_for_a_twentieth_and_falls_to_zero() -> None:
    shares = [contrastive.schedule(done, 100) for done in range(100)]
    assert shares[0] == pytest.approx(0.2)
    assert max(shares) == shares[4] == pytest.approx(0.96)
    assert shares[60] == pytest.approx(0.4)
    assert shares[99] == pytest.approx(0.01)
    assert contrastive.schedule(0, 1) == 1


@pytest.mark.usefixtures("all_taught")
def test_datasets_are_compared_apart_and_their_gradients_add_up() -> None:
    (two,) = batches_of(1)
    wanted = dict[str, Tensor]()
    model = towers()
    for name in ("one", "two"):
        loss = contrastive.pair_loss(model, two[name], RUN.vision.smoothing)
        (loss / 2).backward()
    wanted = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    found = dict[str, Tensor]()
    model = towers()
    optimiser = contrastive.adam(model, RUN)
    optimiser.register_step_pre_hook(
        lambda *_: found.update(
            {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        )
    )
    (row,) = contrastive.fit(model, optimiser, [two], RUN)
    assert row["losses"].keys() == {"one", "two"}
    assert row["loss"] == pytest.approx(sum(row["losses"].values()) / 2)
    assert found.keys() == wanted.keys()
    norm = math.sqrt(sum(g.norm() ** 2 for n, g in wanted.items() if not n.startswith("image.")))
    assert row["gradient_norm"] == pytest.approx(norm, rel=1e-5)
    share = min(1.0, contrastive.TEXT_CLIP / norm)
    assert torch.allclose(found["text.words.weight"], share * wanted["text.words.weight"])


@pytest.mark.usefixtures("all_taught")
def test_the_temperature_is_held_below_its_limit() -> None:
    model = towers()
    with torch.no_grad():
        model.log_beta.fill_(math.log(120.0))
    for row in contrastive.fit(model, contrastive.adam(model, RUN), batches_of(1), RUN):
        assert row["beta"] <= 100.0 * (1 + 1e-6)


@pytest.mark.usefixtures("all_taught")
def test_a_loss_that_is_not_finite_is_one_line() -> None:
    model = towers()
    with torch.no_grad():
        model.from_text.weight.fill_(torch.nan)
    with pytest.raises(TrainError, match="update 1: expected a finite loss, found nan"):
        list(contrastive.fit(model, contrastive.adam(model, RUN), batches_of(1), RUN))


@pytest.mark.usefixtures("all_taught")
def test_half_precision_learns_about_the_same() -> None:
    half = run(train={"precision": "bf16"})
    losses = []
    for chosen in (RUN, half):
        model = towers()
        rows = contrastive.fit(model, contrastive.adam(model, chosen), batches_of(3), chosen)
        losses.append([row["loss"] for row in rows])
        assert model.log_beta.dtype == torch.float32
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_cosines_are_compared_in_full_precision() -> None:
    model, pairs = towers(), batch("a cat", "two dogs", "a house", "the sea")
    with torch.autocast("cpu", torch.bfloat16):
        found = contrastive.pair_loss(model, pairs, 0.1)
        images, texts = model(pairs)
    logits, right = model.beta() * images @ texts.T, torch.arange(4)
    clip = [F.cross_entropy(x, right, label_smoothing=0.1) for x in (logits, logits.T)]
    assert found.item() == pytest.approx(sum(clip).item() / 2, abs=1e-6)


# Held-out pairs


def test_a_twentieth_of_the_pairs_is_held_out_by_key() -> None:
    keys = [f"{number:020x}" for number in range(20_000)]
    held = [key for key in keys if contrastive.held_out(key)]
    assert 0.045 < len(held) / len(keys) < 0.055
    assert held == [key for key in keys if contrastive.held_out(key)]


def test_held_out_pairs_teach_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contrastive, "held_out", lambda key: key.endswith("-3"))

    def weights(last: str) -> dict[str, Tensor]:
        model = towers()
        pairs = batch("a", "b", "c", last)
        pairs.frames[3] = ord(last)
        rows = contrastive.fit(model, contrastive.adam(model, RUN), [{"one": pairs}], RUN)
        assert [row["pairs"] for row in rows] == [3]
        return model.state_dict()

    one, other = weights("d"), weights("e")
    assert all(torch.equal(one[name], other[name]) for name in one)


class Given(nn.Module):
    """Towers whose features are given."""

    def __init__(self, images: Tensor, texts: Tensor) -> None:
        super().__init__()
        self.log_beta = nn.Parameter(torch.tensor(0.0))
        self.images, self.texts = images, texts

    def forward(self, _: Batch) -> tuple[Tensor, Tensor]:
        return self.images, self.texts


def test_recall_counts_any_text_or_picture_that_is_the_same() -> None:
    pairs = batch("a cat", "a cat", "a dog", "a cow")
    eye = torch.eye(4)
    confused = eye[[1, 0, 3, 2]]  # the cats for each other, and dog for cow
    found = contrastive.recall(Given(eye, confused), [pairs])  # type: ignore[arg-type]
    assert found == {"pairs": 4, "image_to_text": 0.5, "text_to_image": 0.5, "chance": 6 / 16}


# Ranks


def _rank(number: int, folder: Path, split: list[list[int]]) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=number, world_size=len(split))
    model = towers()
    loss = contrastive.pair_loss(model, _texts(split[number], seed=3), 0.1)
    loss.backward()
    ranks.average(model)
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    torch.save({"loss": loss.detach(), "grads": grads}, folder / f"{number}.pt")
    dist.barrier()
    dist.destroy_process_group()


def _texts(chosen: list[int], seed: int) -> Batch:
    """Returns those of five pairs, two of which have the same text."""
    texts = ("a cat", "a dog", "the sea", "a cat", "a house")
    whole = batch(*texts, seed=seed)
    loaded = [pair(whole.keys[n], texts[n], whole.frames[n], whole.images[n][0]) for n in chosen]
    return collate(loaded, size=SIZE, length=128, pad=TOKENIZER.eos)


@pytest.mark.slow
@pytest.mark.timeout(240)  # two more processes that import torch
def test_two_ranks_with_unequal_batches_are_one_with_both(tmp_path: Path) -> None:
    context, split = multiprocessing.get_context("spawn"), [[0, 1], [2, 3, 4]]
    processes = [
        context.Process(target=_rank, args=(number, tmp_path, split), daemon=True)
        for number in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    found = [torch.load(tmp_path / f"{number}.pt", weights_only=True) for number in range(2)]
    model = towers()
    loss = contrastive.pair_loss(model, _texts([0, 1, 2, 3, 4], seed=3), 0.1)
    loss.backward()
    mean = sum(one["loss"].item() for one in found) / 2
    assert mean == pytest.approx(loss.item(), rel=1e-5)
    for name, weight in model.named_parameters():
        assert weight.grad is not None
        for one in found:
            assert torch.allclose(one["grads"][name], weight.grad, atol=1e-5), name


# From shards to an encoder


def pairs_on_disk(folder: Path, count: int, first: int = 0) -> Path:
    """Writes a finished dataset of drawn pairs; returns its folder."""
    pack = Pack()
    samples = [_sample(pack, number) for number in range(first, first + count)]
    row = write(folder / "image_text-000000.tar", samples, pack)
    shards.finish(folder, [row], title="Drawn", config="0123456789abcdef", version="0.1.0")
    return folder


def _sample(pack: Pack, number: int) -> Sample:
    text, data = drawn(number)
    url = f"https://img.example.org/{number}.png"
    nodes = Image(url, text, path="/html/body/img"), Text(text, "caption")
    return sample(document(*nodes, kind="image_text"), {0: image_media(pack, url, data)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pairs_on_disk(tmp_path_factory.mktemp("drawn"), 300)


def small(folder: Path, **options: int) -> Run:
    shape = {"image": SIZE, "patch": 8, "dim": 32, "layers": 1, "heads": 2, "joint": 16}
    return entry.configured(
        (str(folder),),
        vision={**shape, "batch": 8, "steps": 12, **options},
        train={"save_every": 4, "threads": 1},
        lm={"vocabulary": 300},
    )


def rows(output: Path) -> list[dict[str, Any]]:
    lines = (output / "train.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def test_a_run_writes_an_encoder_that_loads(folder: Path, tmp_path: Path) -> None:
    report = entry.contrast(small(folder), tmp_path)
    held = sum(map(contrastive.held_out, _keys(folder)))
    assert report.held_out["pairs1"]["pairs"] == held > 0
    assert [row["step"] for row in rows(tmp_path)] == list(range(1, 13))
    assert json.loads((tmp_path / "contrast.json").read_text())["steps"] == 12
    encoder = vision.load(Vision(source=str(tmp_path), image=SIZE))
    assert encoder(torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8)).shape == (1, 16, 32)
    assert not list(tmp_path.glob("*.pt"))


def _keys(folder: Path) -> list[str]:
    return entry._pairs(small(folder))["pairs1"].keys


class Stopped(Exception):
    pass


def _stopping(after: int) -> Callable[..., Iterator[Any]]:
    def batches(*args: Any) -> Iterator[Any]:
        for done, found in enumerate(entry_batches(*args)):
            if done == after:
                raise Stopped
            yield found

    return batches


entry_batches = entry.batches


@pytest.mark.parametrize("after", [2, 6, 11])
def test_a_run_that_was_stopped_ends_like_one_that_was_not(
    folder: Path, tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    entry.contrast(small(folder), whole)
    monkeypatch.setattr(entry, "batches", _stopping(after))
    with pytest.raises(Stopped):
        entry.contrast(small(folder), stopped)
    assert not (stopped / "vision.json").exists()
    assert len(rows(stopped)) == after
    monkeypatch.setattr(entry, "batches", entry_batches)
    torch.rand(7)  # other dice
    again = small(folder)
    freely = again.train.model_copy(update={"save_every": 5, "workers": 1})
    entry.contrast(again.model_copy(update={"train": freely}), stopped)
    assert rows(stopped) == rows(whole)
    weights = [(place / "vision.safetensors").read_bytes() for place in (whole, stopped)]
    assert weights[0] == weights[1]


def test_a_folder_is_one_runs(folder: Path, tmp_path: Path) -> None:
    entry.contrast(small(folder, steps=2), tmp_path)
    with pytest.raises(TrainError, match="holds a finished encoder: begin anew with --restart"):
        entry.contrast(small(folder, steps=2), tmp_path)
    (tmp_path / "vision.json").unlink()
    with pytest.raises(TrainError, match="another configuration"):
        entry.contrast(small(folder, steps=3), tmp_path)
    assert entry.contrast(small(folder, steps=3), tmp_path, restart=True).steps == 3
    assert len(rows(tmp_path)) == 3


def test_a_damaged_state_is_one_line(folder: Path, tmp_path: Path) -> None:
    entry.contrast(small(folder, steps=2), tmp_path)
    (tmp_path / "vision.json").unlink()
    (tmp_path / "contrast.pt").write_bytes(b"no state")
    with pytest.raises(TrainError, match=r"contrast.pt: expected the state of this run"):
        entry.contrast(small(folder, steps=2), tmp_path)


def test_shards_without_pairs_are_one_line(tmp_path: Path) -> None:
    where = dataset(tmp_path / "out", pages=3, pairs=0, videos=0)
    with pytest.raises(TrainError, match="expected image_text"):
        entry.contrast(small(where), tmp_path / "encoder")
    pages = config.Source(shards=str(where), kind="interleaved")
    only = small(where).model_copy(update={"datasets": {"pages": pages}})
    with pytest.raises(TrainError, match="expected one of image_text, found pages of interleaved"):
        entry.contrast(only, tmp_path / "encoder")
    with pytest.raises(TrainError, match="found neither"):
        entry.configured()


def test_every_folder_of_shards_is_a_dataset_of_its_own(folder: Path, tmp_path: Path) -> None:
    other = pairs_on_disk(tmp_path / "other", 40, first=1000)
    two = entry.configured((str(folder), str(other)), vision={"batch": 6, "image": SIZE})
    sets = entry._pairs(two)
    mixed = entry.Mixture(sets, entry.alone(two, sets), TOKENIZER)
    found = mixed[0]
    assert {name: len(one) for name, one in found.items()} == {"pairs1": 6, "pairs2": 6}


def test_the_verb_says_what_came_out(folder: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    verb.register(app)
    settings = tmp_path / "small.toml"
    settings.write_text(
        'preset = "tiny"\n[vision]\nimage = 32\ndim = 32\nlayers = 1\nheads = 2\njoint = 16\n'
    )
    options = ["--output", str(tmp_path / "a"), "--config", str(settings), "--batch", "8"]
    result = CliRunner().invoke(app, ["contrast", str(folder), *options, "--steps", "3"])
    assert result.exit_code == 0, result.output
    assert "nats in 3 updates" in result.output
    assert "held-out pairs: image to text" in result.output
    options[1] = str(tmp_path / "b")
    again = CliRunner().invoke(app, ["contrast", str(folder), *options, "--steps", "3", "--json"])
    said = json.loads(again.stdout)
    assert said["steps"] == 3
    assert set(said["held_out"]["pairs1"]) == {"pairs", "image_to_text", "text_to_image", "chance"}


BROKEN = {
    "torchvision": (
        RuntimeError("operator torchvision::nms does not exist"),
        "pip uninstall torchvision",
    ),
    "missing": (
        ModuleNotFoundError("No module", name="torch"),
        "training needs torch: pip install",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_libraries_that_do_not_load_are_one_line(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, message = BROKEN[case]

    def failing(_: str) -> Any:
        if isinstance(first, ModuleNotFoundError):
            raise first
        raise ModuleNotFoundError("Could not import module 'PreTrainedModel'") from first

    monkeypatch.setattr(extra, "import_module", failing)
    with pytest.raises(TrainError, match=message):
        extra.loaded("vision.entry")


@pytest.mark.timeout(150)  # 5 s of one thread: the machine may be busy
def test_what_is_drawn_is_learnt(folder: Path) -> None:
    """Colour, shape and place of unseen pictures are found again; captions and pictures swap roles."""
    chosen = run(vision={"steps": 220, "rate": 2e-3, "batch": 24, "dim": 48, "joint": 64})
    known = Tokenizer.trained((drawn(n)[0] for n in range(100)), 400)
    made = [_decoded(n, known) for n in range(700)]
    taught, asked = made[:600], made[600:]
    torch.manual_seed(0)
    model = contrastive.towers(vision.build(chosen.vision), chosen, known.size + 1)

    def updates() -> Iterator[dict[str, Batch]]:
        for step in range(220):
            some = random.Random(step).sample(taught, 24)
            yield {"drawn": collate(some, size=SIZE, length=256, pad=known.eos)}

    questions = [collate(asked, size=SIZE, length=256, pad=known.eos)]
    before = contrastive.recall(model, questions)
    list(contrastive.fit(model, contrastive.adam(model, chosen), updates(), chosen))
    after = contrastive.recall(model, questions)
    assert after["chance"] < 0.04
    assert max(before["image_to_text"], before["text_to_image"]) < 0.15
    assert min(after["image_to_text"], after["text_to_image"]) > 0.5


def _decoded(number: int, known: Tokenizer) -> Any:
    text, data = drawn(number)
    with Pictures.open(BytesIO(data)) as picture:
        pixels = torch.tensor(list(picture.tobytes()), dtype=torch.uint8).view(SIZE, SIZE, 3)
    table = {
        "id": str(number),
        "kind": "image_text",
        "texts": [None, text],
        "images": ["png", None],
        "videos": [None, None],
        "info": [{"sha256": str(number)}, None],
    }
    return example(table, RUN.examples, known, random.Random(0)), [[pixels.numpy()]]


def test_pictures_of_other_tools_are_told_apart_by_their_keys() -> None:
    loaded = []
    for key, text in (("0001", "a cat"), ("0002", "a dog"), ("0003", "a cat")):
        lists = {"texts": [None, text], "images": ["jpg", None], "videos": [None, None]}
        foreign = {"kind": "image_text", "id": key, **lists}
        made = example(foreign, run().examples, TOKENIZER, random.Random(0))
        loaded.append((made, [[np.zeros((SIZE, SIZE, 3), np.uint8)]]))
    named = contrastive.identities(collate(loaded, size=SIZE, length=64, pad=TOKENIZER.eos))
    same = ~contrastive.comparable(named, named)
    assert same.int().tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]  # by the text alone
