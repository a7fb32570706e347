import io
from typing import Any

import pytest
from fakes import WATERFALL, Pack, document, image_media, jpeg, page_sample, picture, video_sample
from rich.console import Console, RenderableType

from m3w_builder import render
from m3w_builder.samples import Sample, members, sample
from m3w_builder.types import Image, Text


def shown(renderable: RenderableType, **options: Any) -> str:
    file = io.StringIO()
    Console(file=file, width=90, **options).print(renderable)
    return file.getvalue()


def view(found: Sample, pack: Pack, **options: Any) -> str:
    parts = dict(list(members(found, pack))[1:])
    return shown(render.document(found.record, parts, pictures=bool(options)), **options)


def test_document_reads_in_order_with_boxes_for_images() -> None:
    pack = Pack()
    text = view(page_sample(pack, 1), pack)
    places = [
        text.index(part)
        for part in ("Birds, part 1", "Birds of the lake, part 1", "000.jpg", "Two swans on")
    ]
    assert places == sorted(places)
    assert "240×180" in text


def test_colour_terminal_gets_pictures_in_half_blocks() -> None:
    pack = Pack()
    plain = view(page_sample(pack), pack)
    colour = view(page_sample(pack), pack, force_terminal=True, color_system="truecolor")
    assert "▀" not in plain
    assert colour.count("▀") >= 190
    assert "\x1b[38;2;" in colour


def test_thumbnail_keeps_the_shape_and_survives_bad_bytes() -> None:
    rows = render._thumbnail(jpeg(200, 100), (24, 8)).plain.split("\n")
    assert (len(rows), {len(row) for row in rows}) == (6, {24})
    assert render._thumbnail(b"no picture", (24, 8)).plain == "(not decodable)"
    assert render.small(picture(encoding="png"), (10, 10)) is not None


def test_video_is_a_strip_of_frames_with_their_seconds() -> None:
    pack = Pack()
    text = view(video_sample(pack, seconds=14), pack)
    assert "0 s" in text
    assert "12 s" in text
    assert "14 frames" in text
    assert "1 s " not in text.replace("11 s", "")


def test_control_characters_and_markup_of_a_page_do_nothing() -> None:
    pack = Pack()
    evil = "\x1b[31mred\x1b]0;title\x07 [bold]x[/bold] \x9b2J"
    url = "https://example.org/a.jpg"
    nodes = Text(evil), Image(url, alt=evil)
    found = sample(document(*nodes, title=evil), {1: image_media(pack, url, jpeg())})
    text = view(found, pack)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\x9b" not in text
    assert text.count("[bold]x[/bold]") == 3


def test_waterfall_shows_every_step_and_drop() -> None:
    text = shown(render.waterfall(WATERFALL))
    for words in ("WARC records", "40", "HTML pages", "14", "35.0%", "few_words", "7", "select"):
        assert words in text
    assert text.index("few_words") < text.index("− language")


def test_waterfall_of_nothing_is_nothing_and_no_crash() -> None:
    empty = {"section": "pages", "steps": [{"name": "pages", "count": 0}], "drops": []}
    assert "0" in shown(render.waterfall({"sections": [empty]}))
    assert shown(render.waterfall({"sections": []})).strip() == ""


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3_450_000, "3.5 MB")]
)
def test_sizes_have_the_unit_that_suits_them(count: int, text: str) -> None:
    assert render.size(count) == text
