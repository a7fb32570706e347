"""The benchmark of training: the work is what it says, ours and open_flamingo's step are one function."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("webdataset", reason="the extra `dev` is not installed")

from benchmarks import flamingo_peers as peers  # noqa: E402
from benchmarks import train_gpu, train_speed  # noqa: E402
from benchmarks.loader import like_mmc4, pictures_of  # noqa: E402
from benchmarks.train_alignment import Sizes  # noqa: E402
from benchmarks.train_work import PAIRS, Words, equal, images, mix, tokens  # noqa: E402

SMALL = Sizes(
    dim=32,
    layers=2,
    heads=2,
    vocabulary=90,
    visual=32,
    length=48,
    side=32,
    patch=16,
    vision_layers=1,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_mix_is_as_long_as_it_says_and_the_same_every_time() -> None:
    words = Words(8187)
    one, two = mix(words, 8), mix(words, 8)
    assert (tokens(one), images(one)) == (4 * 256 + sum(PAIRS), 1 + 2 + 3 + 4 + len(PAIRS))
    assert [example for example, _ in one["documents"]] == [e for e, _ in two["documents"]]
    assert tokens(mix(words, 8, copies=3)) == 3 * tokens(one)
    nothing_to_pad = equal(words, 8)["documents"]
    assert {(len(example.ids), len(pictures)) for example, pictures in nothing_to_pad} == {(256, 3)}


def test_both_sides_learn_from_the_same_tokens_and_images() -> None:
    work = mix(SMALL.words, SMALL.side, length=SMALL.length)
    ours, theirs = train_speed.packed(work, SMALL), train_speed.padded(work)
    assert {name: len(batch.times) for name, batch in ours.items()} == {"pairs": 8, "documents": 10}
    assert {name: b.frames.shape[:2] for name, (_, b) in theirs.items()} == {
        "pairs": (8, 1),
        "documents": (4, 6),
    }
    for name, batch in ours.items():
        _, other = theirs[name]
        wanted = other.labels[:, 1:]
        targets = sorted(wanted[wanted != peers.IGNORED].tolist())
        assert sorted(batch.ids[batch.loss].tolist()) == targets
        assert SMALL.words.image not in targets
        assert int((batch.documents > 0).sum()) == int(other.attention.sum())


def test_without_peers_ours_is_measured_and_the_reason_said() -> None:
    found = train_speed.measured(SMALL, repeats=1, bf16=True, missing="no network")
    rows = ("equal_given_lm", "equal_given_ours", "equal_encoder_ours", "mix_ours", "mix_bf16_ours")
    assert [key.removesuffix("_tokens_s") for key in found if key.endswith("_tokens_s")] == [*rows]
    assert all(found[f"{row}_ms"] > 0 for row in rows)
    assert found["mix_images"] == 18
    assert found["mix_images_padded"] == 32
    assert train_speed.table(found).endswith("no network")


def test_trainer_is_measured_on_shards_of_pictures(tmp_path: Path) -> None:
    pictures = pictures_of(tmp_path / "none", tmp_path, count=6)
    shards = like_mmc4(tmp_path / "shards", train_gpu.WORDS, pictures, 6)
    run = train_gpu.preset(shards, documents=2, updates=2)
    assert (run.lm.dim, run.lm.layers, len(run.datasets)) == (2048, 24, 2)
    small: dict[str, Any] = {
        "lm": {"dim": 32, "layers": 2, "heads": 2, "vocabulary": 300},
        "model": {"heads": 2, "head": 16, "visual": 32, "visual_heads": 2, "latents": 4},
        "vision": {
            "source": "builtin",
            "image": 32,
            "patch": 16,
            "dim": 32,
            "layers": 1,
            "heads": 2,
        },
        "train": {"workers": 0, "compile": False},
    }
    for name, changes in small.items():
        part = getattr(run, name).model_copy(update=changes)
        run = run.model_copy(update={name: part})
    found = train_gpu.trained(run, tmp_path / "cache", "cpu")
    assert found["updates"] == 2
    assert found["tokens_s"] > 0
    assert 0 <= found["waited"] <= 1
    assert found["tflop"] > 0
    assert found["learnt"] < found["parameters"]


def test_without_a_gpu_the_gpu_figures_say_so(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit, match="expected a CUDA device, found none"):
        train_gpu.figures(tmp_path, documents=1, updates=1, repeats=1)


@pytest.fixture(scope="module")
def peers_there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = list(sys.path)
    try:
        peers.environment(tmp_path_factory.mktemp("peers"))
    except peers.Unavailable as error:
        pytest.skip(str(error))
    yield
    sys.path[:] = before


@pytest.mark.slow
@pytest.mark.usefixtures("peers_there")
def test_ours_and_open_flamingo_are_one_function() -> None:
    found = train_speed.alike(SMALL)
    assert found["loss_apart"] < 1e-6
    assert found["gradient_apart"] < 1e-5


@pytest.mark.slow
@pytest.mark.usefixtures("peers_there")
def test_every_row_has_a_figure() -> None:
    found = train_speed.measured(SMALL, repeats=1, bf16=False)
    for name in ("equal_given", "equal_encoder", "mix"):
        for who in ("open_flamingo", "ours"):
            assert found[f"{name}_{who}_tokens_s"] > 0
        assert found[f"{name}_over_open_flamingo"] > 0
    assert found["equal_given_flamingo_pytorch_ms"] > 0
    assert json.loads(json.dumps(found)) == found
