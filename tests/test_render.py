import io
from typing import Any

import pytest
from fakes import (
    SCORES,
    WATERFALL,
    Pack,
    document,
    image_media,
    jpeg,
    page_sample,
    picture,
    video_sample,
)
from rich.console import Console, RenderableType

from m3w_builder import render
from m3w_builder.samples import Sample, members, sample
from m3w_builder.types import Image, Text
from m3w_builder.whatif import Difference, Side


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


def test_scores_have_a_line_per_bucket_and_thresholds_in_their_place() -> None:
    lines = shown(render.scores(SCORES)).splitlines()
    places = [
        n
        for n, line in enumerate(lines)
        for words in ("30–50", "rules.min_words = 50 drops below", "50–75")
        if words in line
    ]
    assert places == sorted(places)
    assert len(places) == 3
    (inside,) = [line for line in lines if "rules.max_words" in line]
    assert "drops above (inside 75–100)" in inside
    assert lines.index(inside) == next(n for n, line in enumerate(lines) if "75–100 " in line) + 1
    assert "100+" in shown(render.scores(SCORES))


def test_empty_neighbours_are_one_line() -> None:
    buckets = [[0, 1, 3], [1, 2, 0], [2, 3, 0], [3, 4, 0], [4, 5, 1]]
    cut = {"setting": "rules.x", "side": "max", "value": 4.5}
    found = {"scores": {"image": {"x": {"buckets": buckets, "thresholds": [cut]}}}, "languages": {}}
    text = shown(render.scores(found))
    assert "1–4  " in text
    assert "2–3" not in text


def test_buckets_beyond_a_threshold_are_red() -> None:
    text = shown(render.scores(SCORES), force_terminal=True, color_system="standard")
    lines = {
        words: next(line for line in text.splitlines() if words in line)
        for words in ("30–50", "50–75", "100+")
    }
    red, cyan = "\x1b[31m", "\x1b[36m"
    assert red in lines["30–50"]
    assert cyan in lines["50–75"]
    assert red in lines["100+"]


def test_whatif_shows_what_changes_and_names_what_does_not() -> None:
    lines = [
        Difference("documents", "in shards", 70, 72, drop=False),
        Difference("documents", "words_too_few", 3, 1, drop=True),
        Difference("documents", "language", 4, 4, drop=True),
        Difference("pages", "read", 82, 82, drop=False),
    ]
    example = {
        "id": "0a",
        "url": "https://example.org/\x1b",
        "reason": "words_too_few",
        "detail": "43 < 50",
    }
    sides = {"interleaved": {"gained": Side(2, [example]), "lost": Side()}}
    text = shown(render.whatif({"rules.min_words": (50, 30)}, lines, sides, "select-x"))
    for words in (
        "rules.min_words",
        "+2",
        "−2",
        "no change: pages",
        "2 gained",
        "43 < 50",
        "and 1 more",
    ):
        assert words in text
    assert "lost" not in text
    assert "\x1b" not in text
    assert "nothing changes" in shown(render.whatif({}, lines[2:], {}, "select-x"))


def test_subtitles_of_a_video_are_shown_with_their_seconds() -> None:
    pack = Pack()
    found = video_sample(pack)
    cues = [{"start": n, "end": n + 1, "text": f"line {n}"} for n in range(9)]
    track = {"kind": "captions", "language": "en", "label": "", "cues": cues}
    found.record["info"][0]["subtitles"] = [track]
    text = view(found, pack)
    for words in ("captions en", "5 s  line 5", "… and 3 more"):
        assert words in text
    assert "line 6" not in text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3_450_000, "3.5 MB")]
)
def test_sizes_have_the_unit_that_suits_them(count: int, text: str) -> None:
    assert render.size(count) == text
