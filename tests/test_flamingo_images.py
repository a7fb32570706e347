"""Encoded images to squares of bytes: the whole picture, upright, padded with the mean colour."""

import io
import random

import numpy as np
import pytest
from fakes import picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

pytest.importorskip("torch", reason="the extra `train` is not installed")

from m3w_builder.errors import MediaError
from m3w_builder.flamingo.data.images import (
    MEAN,
    Change,
    augment,
    drawn,
    fitted,
    load,
)

PADDING = [round(255 * channel) for channel in MEAN]


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_wide_picture_is_padded_above_and_below_with_exactly_the_mean() -> None:
    pixels = load(picture(200, 100, encoding="png"), 32)
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    assert (pixels[:8] == PADDING).all()
    assert (pixels[24:] == PADDING).all()
    assert (pixels[8:24] != PADDING).any(axis=2).all()


def test_padding_is_the_colour_of_the_encoder() -> None:
    assert load(picture(200, 100), 32, colour=(0.5, 0.0, 1.0))[0, 0].tolist() == [128, 0, 255]


def test_nothing_is_cropped() -> None:
    image = Image.new("RGB", (300, 100))
    image.paste((255, 0, 0), (0, 0, 20, 100))
    image.paste((0, 0, 255), (280, 0, 300, 100))
    pixels = load(encoded(image), 60)
    assert pixels[30, 0].tolist() == [255, 0, 0]
    assert pixels[30, -1].tolist() == [0, 0, 255]


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 400))
def test_longer_side_fits_and_the_shape_is_kept(width: int, height: int, size: int) -> None:
    fit = fitted((width, height), size)
    assert max(fit) == size
    assert min(fit) >= 1
    longer, shorter = max(width, height), min(width, height)
    assert abs(min(fit) - shorter * size / longer) <= 1


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_each_stored_format_is_read(kind: str) -> None:
    assert load(picture(90, 120, encoding=kind), 24).std() > 20


def test_large_jpeg_is_decoded_at_the_smallest_sufficient_scale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, asked = picture(1600, 1200), list[tuple[int, int]]()
    draft = Image.Image.draft
    from PIL.JpegImagePlugin import JpegImageFile

    original = JpegImageFile.draft

    def noted(self: JpegImageFile, mode: str | None, size: tuple[int, int] | None) -> object:
        answer = original(self, mode, size)
        asked.append(self.size)
        return answer

    monkeypatch.setattr(JpegImageFile, "draft", noted)
    small = load(data, 320).astype(int)
    assert asked == [(400, 300)]  # a quarter; an eighth would be below 320
    monkeypatch.setattr(JpegImageFile, "draft", draft)  # which does nothing
    whole = load(data, 320).astype(int)
    assert np.abs(small - whole).mean() < 2


def test_picture_stands_upright_as_its_exif_says() -> None:
    image = Image.new("RGB", (80, 40), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, 40, 40))  # red left, blue right
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: red comes up
    pixels = load(encoded(image, "JPEG", exif=exif, quality=95), 40)
    assert pixels[5, 20, 0] > 200
    assert pixels[35, 20, 2] > 200
    assert (pixels[:, :10] == PADDING).all()


def test_transparent_pixels_are_white_like_a_page() -> None:
    assert load(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0))), 8)[4, 4].tolist() == [255] * 3
    palette = Image.new("P", (8, 8))
    assert load(encoded(palette, transparency=0), 8)[4, 4].tolist() == [255] * 3


def test_sixteen_bits_are_not_all_white() -> None:
    levels = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    pixels = load(encoded(Image.fromarray(levels)), 64)
    assert 120 < pixels.mean() < 135


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_body"),
        (b"<html>", "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image_unsupported"),
        (picture(90, 60)[:200], "image_damaged"),
        (
            picture(900, 600)[:-4000],
            "image_damaged",
        ),  # truncated: not grey at its end, but left out
        (picture(90, 60, encoding="png")[:-30], "image_damaged"),
    ],
)
def test_what_is_no_image_has_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(MediaError) as error:
        load(data, 16)
    assert error.value.reason == reason


def test_decompression_bomb_is_not_decoded() -> None:
    bomb = encoded(Image.new("1", (30_000, 30_000)))
    assert len(bomb) < 200_000
    with pytest.raises(MediaError) as error:
        load(bomb, 16)
    assert error.value.reason == "image_too_large"


def test_flip_turns_left_and_right_around() -> None:
    data = picture(64, 64)
    flipped = load(data, 64, change=Change(flip=True))
    assert (flipped[:, ::-1] == load(data, 64)).all()


def test_colours_change_and_the_padding_does_not() -> None:
    data, change = picture(64, 32), Change(brightness=1.3, contrast=0.8, saturation=0.5)
    plain, changed = load(data, 64), load(data, 64, change=change)
    assert (changed[:16] == PADDING).all()
    assert (changed[16:48] != plain[16:48]).any(axis=2).mean() > 0.9


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_each_change_of_colour_is_that_of_pillow(factor: float) -> None:
    with Image.open(io.BytesIO(picture(64, 64))) as image:
        for name, enhancer in (
            ("brightness", ImageEnhance.Brightness),
            ("contrast", ImageEnhance.Contrast),
            ("saturation", ImageEnhance.Color),
        ):
            ours = np.asarray(augment(image, Change(**{name: factor}))).astype(int)
            theirs = np.asarray(enhancer(image).enhance(factor)).astype(int)
            assert np.abs(ours - theirs).max() <= 1, name
            assert np.abs(ours - np.asarray(image)).max() > 5, name


def test_each_picture_has_draws_of_its_own_within_bounds() -> None:
    rng = random.Random(0)
    changes = [drawn(rng, 0.5, 0.1) for _ in range(400)]
    assert 160 < sum(change.flip for change in changes) < 240
    factors = np.array([(c.brightness, c.contrast, c.saturation) for c in changes])
    assert 0.9 <= factors.min() < 0.91
    assert 1.09 < factors.max() <= 1.1
    assert np.abs(np.corrcoef(factors.T) - np.eye(3)).max() < 0.2
    assert drawn(rng, 0.0, 0.0) == Change()
