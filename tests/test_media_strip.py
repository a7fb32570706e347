"""Metadata goes, the coded pixels stay byte for byte: JPEG, PNG and WebP by their containers."""

import io
import json
import zlib
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from server import jpeg

from m3w_builder.errors import MediaError
from m3w_builder.media.strip import STRIP, strip_jpeg, strip_png, strip_webp

DATA = Path(__file__).parents[2] / "shared" / "data"
PICTURE = Image.open(io.BytesIO(jpeg(64, 48)))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
CODERS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
SECRET = b"SECRET"


def encoded(extension: str, picture: Image.Image = PICTURE, **options: Any) -> bytes:
    body = io.BytesIO()
    picture.save(body, CODERS[extension], **options)
    return body.getvalue()


def pixels(body: bytes) -> tuple[str, tuple[int, int], bytes]:
    image = Image.open(io.BytesIO(body))
    return image.mode, image.size, image.tobytes()


def segment(marker: int, payload: bytes) -> bytes:
    return pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def png_chunk(name: bytes, data: bytes) -> bytes:
    return pack(">I", len(data)) + name + data + b"crc?"


def webp_chunk(name: bytes, data: bytes) -> bytes:
    return name + pack("<I", len(data)) + data + bytes(len(data) % 2)


def exif(value: int = 6) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112], tags[0x010E] = value, "SECRET"
    return tags


CLEAN = [
    ("jpg", encoded("jpg")),
    ("jpg", encoded("jpg", progressive=True)),
    ("jpg", encoded("jpg", restart_marker_blocks=2)),
    ("jpg", encoded("jpg", PICTURE.convert("L"))),
    ("jpg", encoded("jpg", PICTURE.convert("CMYK"))),
    ("jpg", encoded("jpg", icc_profile=SRGB)),
    ("png", encoded("png")),
    ("png", encoded("png", PICTURE.quantize(9), transparency=3)),
    ("png", encoded("png", icc_profile=SRGB, dpi=(72, 72))),
    ("webp", encoded("webp")),
    ("webp", encoded("webp", PICTURE.convert("RGBA"), lossless=True)),
    ("webp", encoded("webp", icc_profile=SRGB)),
]


@pytest.mark.parametrize(("extension", "body"), CLEAN)
def test_an_image_without_metadata_stays_the_very_object(extension: str, body: bytes) -> None:
    assert STRIP[extension](body).body is body


@pytest.mark.parametrize(("extension", "body"), CLEAN)
def test_what_lies_behind_the_end_is_dropped(extension: str, body: bytes) -> None:
    assert STRIP[extension](body + SECRET * 99).body == body


@pytest.mark.parametrize("extension", CODERS)
def test_metadata_goes_and_the_pixels_stay(extension: str) -> None:
    body = encoded(extension, exif=exif(), xmp=SECRET, icc_profile=SRGB)
    found = STRIP[extension](body)
    assert SECRET in body
    assert SECRET not in found.body
    assert found.body == encoded(extension, icc_profile=SRGB) or extension == "webp"
    assert pixels(found.body) == pixels(body)
    assert SECRET in found.exif
    image = Image.open(io.BytesIO(found.body))
    assert image.info["icc_profile"] == SRGB
    assert not {"exif", "xmp"} & set(image.info)


def test_webp_flags_say_what_is_left() -> None:
    picture = PICTURE.convert("RGBA")
    picture.putalpha(100)
    body = encoded("webp", picture, exif=exif(), xmp=SECRET, icc_profile=b"no")
    found = strip_webp(body).body
    assert body[20] & 0x3C == 0x3C
    assert found[12:16] == b"VP8X"
    assert found[20] & 0x3C == 0x10  # alpha
    assert int.from_bytes(found[4:8], "little") == len(found) - 8


def test_jpeg_keeps_what_colours_need_and_nothing_else() -> None:
    body = encoded("jpg", PICTURE.convert("CMYK"))
    assert b"Adobe" in strip_jpeg(body).body
    extra = [segment(0xE0 + n, SECRET) for n in range(1, 16)] + [segment(0xFE, SECRET)]
    extra += [segment(0xE2, b"MPF\0" + SECRET), segment(0xE0, b"JFXX\0" + SECRET)]
    assert strip_jpeg(body[:2] + b"".join(extra) + body[2:]).body == body


def test_jpeg_thumbnails_go_with_what_holds_them() -> None:
    body = encoded("jpg")
    at = body.index(b"JFIF\0")
    thumbnail = segment(0xE0, body[at : at + 12] + b"\1\1SEC")
    assert strip_jpeg(body[:2] + thumbnail + body[20:]).body == body
    inner = segment(0xE1, b"Exif\0\0" + body)
    assert strip_jpeg(body[:2] + inner + body[2:]).body == body


def test_jpeg_comment_between_scans_goes() -> None:
    body = encoded("jpg", progressive=True)
    scans = [at for at in range(len(body) - 1) if body[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 2
    hidden = body[: scans[1]] + segment(0xFE, SECRET + b"\xff\xd9") + body[scans[1] :]
    assert strip_jpeg(hidden).body == body


def test_jpeg_of_endless_passes_is_refused() -> None:
    body = encoded("jpg", progressive=True)
    last = body.rindex(b"\xff\xda")
    for more, fits in ((50, True), (200, False)):
        long = body[:-2] + body[last:-2] * more + body[-2:]
        if fits:
            assert strip_jpeg(long).body is long
        else:
            with pytest.raises(
                MediaError, match=r"^image_unsupported: JPEG of more than 100 scans"
            ):
                strip_jpeg(long)


def test_profile_in_pieces_is_judged_whole() -> None:
    large = pack(">I", 70_000) + SRGB[4:] + bytes(70_000 - len(SRGB))
    body = encoded("jpg", icc_profile=large)
    assert body.count(b"ICC_PROFILE\0") == 2
    assert strip_jpeg(body).body is body
    at = body.index(b"ICC_PROFILE\0", body.index(b"ICC_PROFILE\0") + 1) - 4
    length = int.from_bytes(body[at + 2 : at + 4])
    assert strip_jpeg(body[:at] + body[at + 2 + length :]).body == encoded("jpg")  # half a profile


def test_png_chunks_that_burst_go_unread() -> None:
    body = encoded("png")
    bomb = png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(20 * 2**20)))
    texts = [png_chunk(name, SECRET) for name in (b"tEXt", b"iTXt", b"zTXt", b"tIME", b"prVt")]
    assert strip_png(body[:33] + bomb + b"".join(texts) + body[33:]).body == body


def test_apng_becomes_its_still_picture() -> None:
    others = [Image.new("RGB", (64, 48), color) for color in ("red", "blue")]
    body = encoded("png", save_all=True, append_images=others)
    found = strip_png(body).body
    assert getattr(Image.open(io.BytesIO(found)), "n_frames", 1) == 1
    assert pixels(found) == pixels(encoded("png"))


@pytest.mark.parametrize(("extension", "body"), CLEAN)
def test_a_file_that_ends_early_is_refused(extension: str, body: bytes) -> None:
    for size in range(16, len(body), 7):
        with pytest.raises(MediaError, match=r"^image_damaged: "):
            STRIP[extension](body[:size])


extras = st.lists(st.tuples(st.sampled_from(range(16)), st.binary(max_size=60)), max_size=6)


@given(extras, st.binary(max_size=50), st.sampled_from(CLEAN))
@settings(max_examples=150, deadline=None)
def test_whatever_is_added_goes_again(
    added: list[tuple[int, bytes]], tail: bytes, clean: tuple[str, bytes]
) -> None:
    extension, body = clean
    if extension == "jpg":
        noise = b"".join(segment(0xE0 + n, b"?" + data) for n, data in added)
        dirty = body[:2] + noise + body[2:]
    elif extension == "png":
        noise = b"".join(png_chunk(b"priV", data) for _, data in added)
        dirty = body[:33] + noise + body[33:]
    else:
        noise = b"".join(webp_chunk(b"JUNK", data) for _, data in added)
        dirty = b"RIFF" + pack("<I", len(body) - 8 + len(noise)) + body[8:] + noise
    assert STRIP[extension](dirty + tail).body == body


@given(
    st.sampled_from(CLEAN),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), min_size=1, max_size=8),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_files_are_refused_or_come_out_stable(
    clean: tuple[str, bytes], damage: list[tuple[float, bytes]]
) -> None:
    extension, whole = clean
    body = bytearray(whole)
    for place, data in damage:
        at = 16 + int(place * (len(body) - 16))
        body[at : at + len(data)] = data
    try:
        found = STRIP[extension](bytes(body))
    except MediaError:  # and no other error
        return
    assert len(found.body) <= len(body) + 1  # a missing padding byte
    assert STRIP[extension](found.body).body is found.body


def real_images() -> list[Path]:
    if not DATA.exists():
        pytest.skip("shared/data is not here")
    hostile = json.loads((DATA / "hostile" / "index.json").read_text())
    usable = [
        DATA / "hostile" / e["file"]
        for e in hostile
        if e["kind"] == "images" and e["expect"] == "ok"
    ]
    found = [
        path for path in sorted((DATA / "sites").rglob("*")) if path.suffix in (".jpg", ".png")
    ]
    return usable + found[::5]


@pytest.mark.filterwarnings("ignore")  # Pillow's, about odd files
def test_real_images_keep_their_pixels() -> None:
    heads = {b"\xff\xd8\xff": "jpg", b"\x89PN": "png", b"RIF": "webp"}
    kept = changed = 0
    for path in real_images():
        body = path.read_bytes()
        extension = heads.get(body[:3])
        if not extension:
            continue
        found = STRIP[extension](body)
        if found.body is body:
            kept += 1
            continue
        changed += 1
        assert pixels(found.body) == pixels(body), path
        assert len(found.body) < len(body), path
    assert kept > 20
    assert changed > 20
