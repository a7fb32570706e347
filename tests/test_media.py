"""Images: recognised by content, checked by decoding, stored as every loader can read them."""

import io
import json
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory import PEAK
from PIL import Image, ImageChops, ImageCms, ImageFile, ImageFilter, ImageOps, ImageStat
from PIL.PngImagePlugin import PngInfo
from server import jpeg

from m3w_builder.config import FetchConfig
from m3w_builder.errors import MediaError
from m3w_builder.media import StoredImage, measure_image
from m3w_builder.media.strip import PNG_SIGNATURE

PIXELS = 64 * 10**6
HOSTILE = Path(__file__).parents[2] / "shared" / "data" / "hostile"
PICTURE = Image.open(io.BytesIO(jpeg(64, 48)))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    body = io.BytesIO()
    picture.save(body, kind, **options)
    return body.getvalue()


def measure(body: bytes, max_pixels: int = PIXELS) -> StoredImage:
    return measure_image(body, config=FetchConfig(max_image_pixels=max_pixels, safety="off"))


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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_orientation_is_undone_in_every_format_that_has_one(kind: str) -> None:
    picture = Image.new("RGB", (64, 48), "white")
    picture.paste("red", (0, 0, 64, 8))  # a red edge on top
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right: the edge belongs on the right
    options = {"tiffinfo": {0x0112: 6}} if kind == "TIFF" else {"exif": exif}
    image = opened(measure(encoded(picture, kind, **options))).convert("RGB")
    assert image.size == (48, 64)
    assert image.getpixel((45, 30)) == pytest.approx((255, 0, 0), abs=30)
    assert image.getpixel((3, 30)) == pytest.approx((255, 255, 255), abs=30)


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


@pytest.mark.parametrize(
    ("kind", "extension", "reencoded"),
    [("GIF", "png", True), ("WEBP", "jpg", True), ("PNG", "png", False), ("AVIF", "jpg", True)],
)
def test_animation_becomes_its_first_picture(kind: str, extension: str, reencoded: bool) -> None:
    frames = [Image.new("RGB", (40, 40), color) for color in ("red", "green", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    body = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    image = measure(body)
    assert (image.format, image.reencoded) == (extension, reencoded)
    assert getattr(opened(image), "n_frames", 1) == 1
    assert opened(image).convert("RGB").getpixel((5, 5)) == pytest.approx((255, 0, 0), abs=4)


def test_number_of_frames_costs_nothing() -> None:
    frames = [Image.new("P", (40, 40), n % 7) for n in range(3000)]
    body = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    before = time.process_time()
    measure(body)
    assert time.process_time() - before < 0.5


def test_palette_keeps_its_transparency() -> None:
    picture = Image.new("P", (40, 40), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.paste(0, (0, 0, 20, 40))
    image = measure(encoded(picture, "GIF", transparency=0))
    assert opened(image).convert("RGBA").getpixel((5, 5))[3] == 0  # type: ignore[index]
    assert opened(image).convert("RGBA").getpixel((30, 5)) == (0, 0, 255, 255)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_greys(kind: str, order: Any) -> None:
    levels = b"".join((n * 257).to_bytes(2, order) for n in range(256)) * 64
    mode = "I;16" if order == "little" else "I;16B"
    image = measure(encoded(Image.frombytes(mode, (256, 64), levels), kind))
    assert (image.format, image.reencoded) == ("png", True)
    assert [opened(image).getpixel((n, 9)) for n in (0, 1, 100, 255)] == [0, 1, 100, 255]


def test_sixteen_bit_colour_becomes_eight_bit() -> None:
    rows = b"".join(b"\0" + b"\x12\x34\x80\x00\xff\xff" * 8 for _ in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    body = PNG_SIGNATURE + b"".join(
        chunk(name, data)
        for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )
    image = measure(body)
    assert image.reencoded
    assert image.body[24] == 8
    assert opened(image).getpixel((3, 3)) == (0x12, 0x80, 0xFF)


@pytest.mark.parametrize("transparency", [None, 0, bytes([0, 128, 255])])
@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palettes_keep_their_colours(kind: str, transparency: Any) -> None:
    picture = Image.new("P", (40, 40), 2)
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.paste(1, (0, 0, 20, 40))
    if kind == "GIF" and isinstance(transparency, bytes):
        transparency = 1
    options = {} if transparency is None else {"transparency": transparency}
    body = encoded(picture, kind, **options)
    before, image = Image.open(io.BytesIO(body)).convert("RGBA"), measure(body)
    assert opened(image).convert("RGBA").tobytes() == before.tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_ink_becomes_the_colours_it_prints(kind: str) -> None:
    picture = Image.new("CMYK", (80, 60), (0, 255, 255, 0))
    image = measure(encoded(picture, kind))
    assert (opened(image).mode, image.reencoded) == ("RGB", True)
    assert opened(image).getpixel((9, 9)) == pytest.approx((255, 0, 0), abs=3)
    assert "icc_profile" not in opened(image).info


def test_colour_profile_is_kept_only_where_it_is_for_these_pixels() -> None:
    for mode, kind in (("RGB", "JPEG"), ("RGB", "PNG"), ("RGB", "WEBP"), ("RGB", "TIFF")):
        image = measure(encoded(PICTURE.convert(mode), kind, icc_profile=SRGB))
        assert opened(image).info.get("icc_profile") == SRGB, kind
    ink = SRGB[:16] + b"CMYK" + SRGB[20:]
    for profile in (ink, b"nonsense", SRGB[:60]):
        for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
            image = measure(encoded(PICTURE, kind, icc_profile=profile))
            assert "icc_profile" not in opened(image).info, (kind, profile[:20])
            assert image.reencoded == (kind == "TIFF")
    image = measure(encoded(PICTURE.convert("CMYK"), "JPEG", icc_profile=ink))  # no ink tables
    assert "icc_profile" not in opened(image).info


def test_nothing_about_the_photographer_is_stored() -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x9286] = "SECRET", "SECRET"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.5)
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "SECRET")
    text.add_text("Comment", "SECRET", zip=True)
    bodies = [
        encoded(PICTURE, "JPEG", exif=exif, comment=b"SECRET", xmp=b"SECRET"),
        encoded(PICTURE, "PNG", exif=exif, pnginfo=text),
        encoded(PICTURE, "WEBP", exif=exif, xmp=b"SECRET"),
        encoded(PICTURE, "AVIF", exif=exif, xmp=b"SECRET"),
        encoded(PICTURE, "TIFF", exif=exif, description="SECRET"),
        encoded(PICTURE.quantize(), "GIF", comment=b"SECRET"),
    ]
    for body in bodies:
        image = measure(body + b"SECRET")
        assert b"SECRET" not in image.body
        assert not opened(image).getexif()
        assert not {"exif", "xmp", "comment", "Comment"} & set(opened(image).info)


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


def test_icon_that_understates_its_picture_is_refused() -> None:
    png = encoded(Image.new("L", (3000, 3000)), "PNG")
    icon = struct.pack("<HHHBBBBHHII", 0, 1, 1, 32, 32, 0, 0, 1, 32, len(png), 22) + png
    assert reason(icon, 10**6) == ("image_too_large", "3000 x 3000 pixels, at most 1000000 in all")
    assert measure(icon).width == 3000


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


def test_sharpness_falls_with_blur() -> None:
    picture = Image.open(io.BytesIO(jpeg(640, 480)))
    found = [
        measure(encoded(picture.filter(ImageFilter.GaussianBlur(radius)), "PNG"))
        for radius in (0, 8, 16)
    ]
    assert found[0].scores["sharpness"] > found[1].scores["sharpness"]
    assert found[1].scores["sharpness"] > found[2].scores["sharpness"]


def test_entropy_is_that_of_the_grey_levels() -> None:
    assert measure(encoded(Image.new("RGB", (300, 300), "red"), "PNG")).scores["entropy"] == 0
    halves = Image.new("L", (256, 256), 0)
    halves.paste(255, (0, 0, 128, 256))
    assert measure(encoded(halves, "PNG")).scores["entropy"] == 1
    assert measure(encoded(halves, "PNG")).scores["flatness"] == 127.5


def nothing(image: Image.Image) -> dict[str, float]:
    """A scorer that finds nothing."""
    return {}


def test_only_one_decode_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[tuple[str, tuple[int, int]]] = []
    load = ImageFile.ImageFile.load

    def counted(image: ImageFile.ImageFile) -> Any:
        if image.tile:
            loads.append((image.mode, image.size))
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", counted)
    measure(jpeg(1280, 960))
    assert loads == [("L", (160, 120))]
    loads.clear()
    measure_image(jpeg(1280, 960), config=FetchConfig(safety="test_media:nothing"))
    assert loads == [("RGB", (640, 480))]


ALL_KINDS = [
    encoded(PICTURE.convert(mode), kind, **options)
    for kind, mode, options in (
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {"transparency": 3}),
        ("WEBP", "RGBA", {}),
        ("GIF", "P", {}),
        ("AVIF", "RGB", {}),
        ("BMP", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "CMYK", {}),
        ("ICO", "RGBA", {}),
        ("JPEG2000", "RGB", {}),
        ("PPM", "RGB", {}),
    )
]


@given(
    st.sampled_from(ALL_KINDS),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), min_size=1, max_size=6),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.filterwarnings("ignore")
def test_damage_anywhere_is_a_reason_or_a_picture(
    whole: bytes, damage: list[tuple[float, bytes]]
) -> None:
    body = bytearray(whole)
    for place, data in damage:
        at = int(place**3 * len(body))  # headers more often than pixels
        body[at : at + len(data)] = data
    try:
        image = measure(bytes(body), 10**6)
    except MediaError:  # and no other error
        return
    assert opened(image).size == (image.width, image.height)
    assert len(image.phash) == 64


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
from m3w_builder.config import FetchConfig
from m3w_builder.errors import MediaError
from m3w_builder.config import FetchConfig
from m3w_builder.media import measure_image
config = FetchConfig(max_image_pixels=10**7, safety="off")
for path in sorted(pathlib.Path({str(HOSTILE / "images")!r}).iterdir()):
    try:
        measure_image(path.read_bytes(), config=config)
    except MediaError:
        pass
"""
    done = subprocess.run(
        [sys.executable, "-c", code + PEAK], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert int(done.stdout) < 200  # MB
