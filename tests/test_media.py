"""Images: recognised by content, checked by decoding, stored as every loader can read them."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from memory import PEAK
from PIL import Image, ImageChops, ImageOps, ImageStat
from server import jpeg

from m3w_builder.errors import MediaError
from m3w_builder.media import StoredImage, measure_image

PIXELS = 64 * 10**6
HOSTILE = Path(__file__).parents[2] / "shared" / "data" / "hostile"
PICTURE = Image.open(io.BytesIO(jpeg(64, 48)))


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    body = io.BytesIO()
    picture.save(body, kind, **options)
    return body.getvalue()


def measure(body: bytes, max_pixels: int = PIXELS) -> StoredImage:
    return measure_image(body, max_pixels=max_pixels)


def reason(body: bytes, max_pixels: int = PIXELS) -> tuple[str, str]:
    with pytest.raises(MediaError) as caught:
        measure(body, max_pixels)
    return caught.value.reason, caught.value.detail


def opened(image: StoredImage) -> Image.Image:
    return Image.open(io.BytesIO(image.body))


@pytest.mark.parametrize(("kind", "extension"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")])
def test_common_formats_keep_their_bytes(kind: str, extension: str) -> None:
    body = encoded(PICTURE, kind)
    image = measure(body)
    assert (image.body, image.format, image.width, image.height, image.reencoded) == (
        body,
        extension,
        64,
        48,
        False,
    )


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM"])
def test_lossless_formats_become_png_with_equal_pixels(kind: str) -> None:
    body = encoded(PICTURE.quantize(200) if kind == "GIF" else PICTURE, kind)
    image = measure(body)
    assert (image.format, image.reencoded) == ("png", True)
    before = Image.open(io.BytesIO(body)).convert("RGB")
    assert opened(image).convert("RGB").tobytes() == before.tobytes()


@pytest.mark.parametrize(
    ("mode", "kind", "extension"),
    [("RGB", "AVIF", "jpg"), ("RGBA", "AVIF", "webp"), ("RGB", "JPEG2000", "jpg")],
)
def test_lossy_formats_become_jpeg_or_webp(mode: str, kind: str, extension: str) -> None:
    picture = PICTURE.convert(mode)
    if mode == "RGBA":
        picture.putalpha(100)
    image = measure(encoded(picture, kind))
    assert (image.format, opened(image).size) == (extension, (64, 48))


def test_transcoding_is_deterministic() -> None:
    body = encoded(PICTURE, "AVIF")
    assert measure(body) == measure(body)


def test_picture_on_its_side_is_stored_upright_without_exif() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    image = measure(encoded(PICTURE, "JPEG", exif=exif))
    assert (image.width, image.height, image.reencoded) == (48, 64, True)
    assert not opened(image).getexif()


@pytest.mark.parametrize("orientation", range(2, 9))
def test_every_orientation_is_undone_as_pillow_does(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = encoded(PICTURE, "JPEG", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(body)))
    assert opened(measure(body)).size == upright.size
    difference = ImageChops.difference(opened(measure(body)), upright)
    assert ImageStat.Stat(difference).mean[0] < 2  # one more JPEG pass


def test_picture_on_its_side_with_damaged_exif_is_stored_upright() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 72.0
    data = exif.tobytes().replace(b"\x00\x05\x00\x00\x00\x01", b"\x00\x02\x00\x00\x00\x01")
    image = measure(encoded(PICTURE, "JPEG", exif=data))
    assert (image.width, image.height) == (48, 64)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    ramp = Image.frombytes(
        "I;16", (256, 64), b"".join((n * 257).to_bytes(2, "little") for n in range(256)) * 64
    )
    image = measure(encoded(ramp, "PNG"))
    assert opened(image).convert("RGB").getpixel((100, 0)) == (100, 100, 100)
    assert 70 < image.scores["flatness"] < 76


@pytest.mark.parametrize(("kind", "extension"), [("GIF", "png"), ("WEBP", "jpg"), ("PNG", "png")])
def test_animation_becomes_its_first_picture(kind: str, extension: str) -> None:
    frames = [Image.new("RGBA", (40, 40), color) for color in ("red", "green", "blue")]
    body = encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    image = measure(body)
    assert (image.format, image.reencoded) == (extension, True)
    assert getattr(opened(image), "n_frames", 1) == 1
    assert opened(image).convert("RGB").getpixel((5, 5)) == pytest.approx((255, 0, 0), abs=3)


def test_palette_keeps_its_transparency() -> None:
    picture = Image.new("P", (40, 40), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.paste(0, (0, 0, 20, 40))
    image = measure(encoded(picture, "GIF", transparency=0))
    assert opened(image).convert("RGBA").getpixel((5, 5))[3] == 0  # type: ignore[index]
    assert opened(image).convert("RGBA").getpixel((30, 5)) == (0, 0, 255, 255)


def test_flatness_is_zero_for_one_colour_only() -> None:
    assert measure(encoded(Image.new("RGB", (300, 300), "white"), "PNG")).scores["flatness"] == 0
    assert measure(jpeg(640, 480)).scores["flatness"] > 20


def test_flatness_sees_a_black_drawing_on_transparency() -> None:
    drawing = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    drawing.paste((0, 0, 0, 255), (20, 20, 60, 60))
    assert measure(encoded(drawing, "PNG")).scores["flatness"] > 50


def test_flatness_is_alike_in_all_formats() -> None:
    picture = Image.open(io.BytesIO(jpeg(640, 480)))
    found = [measure(encoded(picture, kind)).scores["flatness"] for kind in ("JPEG", "PNG", "BMP")]
    assert max(found) - min(found) < 0.5


@pytest.mark.parametrize("progressive", [False, True])
def test_no_cut_jpeg_gets_through(progressive: bool) -> None:
    body = encoded(Image.open(io.BytesIO(jpeg(640, 480))), "JPEG", progressive=progressive)
    for size in [*range(3, len(body), 997), len(body) - 2]:
        assert reason(body[:size])[0] == "image_damaged"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "AVIF"])
def test_no_cut_image_gets_through(kind: str) -> None:
    body = encoded(PICTURE, kind)
    for share in (0.3, 0.6, 0.9):
        assert reason(body[: int(len(body) * share)])[0] == "image_damaged"


def test_size_is_refused_from_the_header() -> None:
    body = encoded(PICTURE, "PNG")
    assert measure(body, 64 * 48).width == 64
    assert reason(body, 64 * 48 - 1) == (
        "image_too_large",
        "64 x 48 pixels, at most 3071 in all",
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ("empty_body", "")),
        (b"<!doctype html><svg>", ("not_an_image", "starts with b'<!doctype ht'")),
        (b'<?xml version="1.0"?>\n<svg xmlns="x"/>', ("image_unsupported", "SVG")),
        (b"<!-- hello --><svg>", ("image_unsupported", "SVG")),
        (b"\0\0\0\x18ftypheic", ("image_unsupported", "HEIC")),
        (b"%PDF-1.7", ("image_unsupported", "PDF")),
        (encoded(Image.new("F", (9, 9)), "TIFF"), ("image_unsupported", "F pixels")),
    ],
)
def test_what_is_refused_has_a_name(body: bytes, expected: tuple[str, str]) -> None:
    assert reason(body) == expected


def hostile_images() -> list[dict[str, Any]]:
    index = HOSTILE / "index.json"
    if not index.exists():
        pytest.skip("shared/data/hostile is not here")
    return [entry for entry in json.loads(index.read_text()) if entry["kind"] == "images"]


@pytest.mark.filterwarnings("ignore")  # pytest takes the module's own filter away
def test_hostile_images_behave() -> None:
    for entry in hostile_images():
        if entry["file"] == "images/big_8000.webp":
            continue  # seconds; runs by hand
        try:
            image = measure((HOSTILE / entry["file"]).read_bytes())
        except MediaError:
            assert entry["expect"] != "ok", entry
        else:
            assert entry["expect"] != "reject", entry
            size = [image.width, image.height]
            assert entry.get("size", size) == size == list(opened(image).size), entry


def test_nothing_is_printed_and_memory_stays_small() -> None:
    hostile_images()
    code = f"""
import pathlib
from m3w_builder.errors import MediaError
from m3w_builder.media import measure_image
for path in sorted(pathlib.Path({str(HOSTILE / "images")!r}).iterdir()):
    try:
        measure_image(path.read_bytes(), max_pixels=10**7)
    except MediaError:
        pass
"""
    done = subprocess.run(
        [sys.executable, "-c", code + PEAK], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert int(done.stdout) < 200  # MB
