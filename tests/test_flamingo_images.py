"""Encoded images to arrays: the whole picture, padded with the mean colour."""

import io

import numpy as np
import pytest
from fakes import picture
from PIL import Image

from m3w_builder.errors import MediaError
from m3w_builder.flamingo.images import DEVIATION, MEAN, load


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def test_wide_picture_is_padded_above_and_below_with_exactly_the_mean() -> None:
    pixels = load(picture(200, 100, encoding="png"), 32)
    assert pixels.shape == (32, 32, 3)
    assert not pixels[:8].any()
    assert not pixels[24:].any()
    assert pixels[8:24].any(axis=(1, 2)).all()


def test_colours_are_normalised() -> None:
    pixels = load(encoded(Image.new("RGB", (10, 10), (255, 0, 51))), 16)
    expected = (np.array([1, 0, 0.2], np.float32) - MEAN) / DEVIATION
    np.testing.assert_allclose(pixels[8, 8], expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_each_stored_format_is_read(kind: str) -> None:
    assert load(picture(90, 120, encoding=kind), 24).std() > 0.1


def test_transparent_pixels_are_white_like_a_page() -> None:
    pixels = load(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0))), 8)
    np.testing.assert_allclose(pixels[4, 4], (1 - MEAN) / DEVIATION, rtol=1e-5)


@pytest.mark.parametrize("data", [b"", b"<html>", picture(90, 60)[:200]])
def test_what_is_no_image_has_a_reason(data: bytes) -> None:
    with pytest.raises(MediaError) as error:
        load(data, 16)
    assert error.value.reason == "undecodable"
