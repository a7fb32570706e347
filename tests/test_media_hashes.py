"""Perceptual hashes: PDQ's own digits for a 64 x 64 picture, and which copies are found."""

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from m3w_builder.media.hashes import distance, perceptual_hashes


@cache
def photo(seed: int) -> Image.Image:
    """Returns 480 x 360 grey pixels with the spectrum of a photograph (amplitude 1/frequency)."""
    rng = np.random.default_rng(seed)
    y, x = np.fft.fftfreq(360)[:, None], np.fft.rfftfreq(480)[None]
    waves = np.exp(2j * np.pi * rng.random((360, 241))) / np.maximum(np.hypot(y, x), 1 / 480)
    levels = np.fft.irfft2(waves, (360, 480))
    levels = 128 + 50 * (levels - levels.mean()) / levels.std()
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def pattern(kind: int) -> Image.Image:
    """Returns a 64 x 64 picture from whole numbers alone."""
    y, x = np.mgrid[:64, :64]
    levels = (x * x // 7 + y * (13 + kind) + (x * y // 5) * kind) % 251
    return Image.fromarray(levels.astype(np.uint8))


# pdqhash 0.2.8, which wraps Facebook's C++: digits and quality of pattern(0), pattern(1), pattern(2).
REFERENCE = (
    ("518f6dc05b9f933ca6e09740a4a3d74e35a3556faa5caab0ae58bab0a658bab0", 100),
    ("c07e2fee55a0a565eb679247acc7938fac7fdbf0a41053d8ac1053d8aa5813d0", 100),
    ("9b663640ccc598c6638f8f0f7c1e80fe7ff8c0003ed8f0105fd8d2d07fd8c6d8", 100),
)


@pytest.mark.parametrize("kind", range(3))
def test_digits_are_those_of_the_reference(kind: int) -> None:
    found = perceptual_hashes(pattern(kind))
    assert (found.phash, found.quality) == REFERENCE[kind]


def test_digits_are_those_of_the_package_where_it_is_installed() -> None:
    pdqhash = pytest.importorskip("pdqhash", reason="pdqhash has no wheel: it wants a compiler")
    for seed in range(20):
        small = photo(seed).resize((64, 64), Image.Resampling.BICUBIC)
        bits, quality = pdqhash.compute(np.asarray(small.convert("RGB")))
        ours = perceptual_hashes(photo(seed))
        assert distance(ours.phash, np.packbits(bits.astype(bool)).tobytes().hex()) <= 2
        assert ours.quality == quality


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    body = io.BytesIO()
    image.save(body, "JPEG", quality=quality)
    return Image.open(body)


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_near_and_others_far(seed: int) -> None:
    image = photo(seed)
    copies = {
        "recompressed": recompressed(image, 30),
        "smaller": image.resize((120, 90), Image.Resampling.LANCZOS),
        "other aspect": image.resize((200, 200), Image.Resampling.LANCZOS),
        "brighter": ImageEnhance.Brightness(image).enhance(1.2),
    }
    phash, phash64, firm, _ = perceptual_hashes(image)
    for name, copy in copies.items():
        near, near64, near_firm, _ = perceptual_hashes(copy)
        assert distance(phash, near) <= 31, name
        assert distance(firm, near_firm) <= 31, name
        assert distance(phash64, near64) <= 8, name
    for other in (photo(seed + 100), ImageOps.mirror(image)):
        far, far64, far_firm, _ = perceptual_hashes(other)
        assert distance(phash, far) > 60
        assert distance(firm, far_firm) > 60
        assert distance(phash64, far64) > 12


def test_a_cropped_margin_is_forgiven_by_the_short_hash_alone() -> None:
    near, near64 = [], []
    for seed in range(20):
        whole = perceptual_hashes(photo(seed))
        cropped = perceptual_hashes(photo(seed).crop((12, 9, 468, 351)))  # 5 %
        near.append(distance(whole[0], cropped[0]) <= 31)
        near64.append(distance(whole[1], cropped[1]) <= 8)
    assert sum(near64) > 12 > sum(near)


def test_firm_bits_are_bits_of_pdq_that_noise_does_not_turn() -> None:
    symmetric = Image.new("L", (300, 300), "white")  # half of its frequencies are zero
    ImageDraw.Draw(symmetric).ellipse((40, 90, 260, 210), fill=120, outline=0, width=6)
    phash, _, firm, _ = perceptual_hashes(symmetric)
    assert int(firm, 16) & ~int(phash, 16) == 0
    assert 64 > int(firm, 16).bit_count() > 30
    noisy, _, noisy_firm, _ = perceptual_hashes(recompressed(symmetric, 50))
    assert distance(firm, noisy_firm) < 8 < distance(phash, noisy)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (3000, 2), (64, 64), (65, 63)])
def test_every_size_has_a_hash(size: tuple[int, int]) -> None:
    found = perceptual_hashes(Image.new("L", size, 100))
    assert (len(found.phash64), found.quality) == (16, 0)
    assert found.phash == found.phash_firm == "0" * 64  # nothing to see
