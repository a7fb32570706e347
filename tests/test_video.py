import json

import pytest

from m3w_builder import dom, video
from m3w_builder.types import Video

BASE = "https://ex.com/p/"
WATCH = "https://www.youtube.com/watch?v=abcdefghijk"


def declared(markup: str) -> list[Video]:
    return video.declared(
        dom.parse(f"<html><head>{markup}</head><body><p>x</p></body></html>"), BASE
    )


def json_ld(data: object) -> list[Video]:
    return declared(f'<script type="application/ld+json">{json.dumps(data)}</script>')


def first(markup: str) -> Video | None:
    body = dom.parse(f"<body>{markup}</body>").find("body")
    assert body is not None
    return video.read(body[0], BASE)


@pytest.mark.parametrize(
    ("markup", "url", "file"),
    [
        ('<video src="a.mp4"></video>', BASE + "a.mp4", True),
        ('<video><source src="a.m3u8"><source src="a.webm"></video>', BASE + "a.webm", True),
        ('<video data-src="/b.mp4"></video>', "https://ex.com/b.mp4", True),
        ('<iframe src="//www.youtube.com/embed/abcdefghijk?x=1"></iframe>', WATCH, False),
        ('<iframe data-src="https://player.vimeo.com/video/123456"></iframe>', "https://vimeo.com/123456", False),
        ('<amp-youtube data-videoid="abcdefghijk"></amp-youtube>', WATCH, False),
        ('<embed src="/clip.mov">', "https://ex.com/clip.mov", True),
    ],
)  # fmt: skip
def test_elements_that_play_a_video(markup: str, url: str, file: bool) -> None:
    found = first(markup)
    assert found
    assert (found.url, found.file) == (url, file)


@pytest.mark.parametrize(
    "markup",
    [
        '<iframe src="https://ads.example/frame"></iframe>',
        "<video></video>",
        '<video src="a.mp3"></video>',
    ],
)
def test_elements_that_play_none(markup: str) -> None:
    assert first(markup) is None


def test_video_object_anywhere_in_json_ld() -> None:
    thing = {
        "@type": ["VideoObject"],
        "name": "N",
        "description": "D",
        "contentUrl": ["a.mp4"],
        "duration": "PT1M5S",
    }
    (found,) = json_ld({"@graph": [{"@type": "NewsArticle", "video": [thing]}]})
    assert (found.url, found.title, found.description, found.seconds, found.file) == (
        BASE + "a.mp4",
        "N",
        "D",
        65.0,
        True,
    )


def test_embed_url_alone_is_no_file() -> None:
    (found,) = json_ld(
        {"@type": "VideoObject", "embedUrl": "https://www.youtube.com/embed/abcdefghijk"}
    )
    assert (found.url, found.file) == (WATCH, False)


@pytest.mark.parametrize(
    "script", ["{", "[" * 100_000, '{"@type": "VideoObject", "contentUrl": {"a": []}}', "null"]
)
def test_broken_json_ld_is_no_video(script: str) -> None:
    assert declared(f'<script type="application/ld+json">{script}</script>') == []


def test_microdata_video_object() -> None:
    (found,) = declared(
        '</head><div itemscope itemtype="https://schema.org/VideoObject"><meta itemprop="contentURL" content="/a.mp4">'
        '<span itemprop="name">A  name</span></div>'
    )
    assert (found.url, found.title) == ("https://ex.com/a.mp4", "A name")


def test_open_graph_video_is_a_file_by_name_or_type() -> None:
    assert declared('<meta property="og:video" content="/a.mp4">')[0].file
    typed = '<meta property="og:video:url" content="/x?id=1"><meta property="og:video:type" content="video/mp4">'
    assert declared(typed)[0].file
    assert not declared('<meta property="og:video" content="https://youtu.be/abcdefghijk">')[0].file


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("PT1M30S", 90.0),
        ("P1DT1S", 86401.0),
        ("42", 42.0),
        ("PT", None),
        ("", None),
        ("soon", None),
    ],
)
def test_durations(duration: str, seconds: float | None) -> None:
    assert video.seconds(duration) == seconds
