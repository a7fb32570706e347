import json
import time

import pytest

from m3w_builder import dom, video
from m3w_builder.metadata import Metadata, read_metadata
from m3w_builder.types import Track, Video

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


YT = "https://www.youtube.com/embed/abcdefghijk"


@pytest.mark.parametrize(
    ("markup", "url"),
    [
        ('<video src="a.mp4"></video>', BASE + "a.mp4"),
        ('<video src="/clip?id=1"></video>', "https://ex.com/clip?id=1"),
        ('<video src="/a.mp4?from=https://youtu.be/abcdefghijk"></video>', "https://ex.com/a.mp4?from=https://youtu.be/abcdefghijk"),
        ('<video><source src="a.m3u8"><source src="a.webm"></video>', BASE + "a.webm"),
        ('<video><source src="/a" type="application/x-mpegURL"><source src="/b" type="video/mp4"></video>', "https://ex.com/b"),
        ('<video><source data-src="a.mp4"></video>', BASE + "a.mp4"),
        ('<video src="blob:https://ex.com/1"><source src="a.mp4"></video>', BASE + "a.mp4"),
        ('<video data-src="/b.mp4"></video>', "https://ex.com/b.mp4"),
        ('<video data-lazy-whatever="/b.mp4"></video>', "https://ex.com/b.mp4"),
        ('<video data-video-src="/b"></video>', "https://ex.com/b"),
        ("""<video data-setup='{"sources": [{"type": "video/mp4", "src": "https:\\/\\/ex.com\\/b.mp4"}]}'></video>""", "https://ex.com/b.mp4"),
        ("""<video data-config='{"file": "/low.mp4"}'><source src="/high.mp4"></video>""", "https://ex.com/high.mp4"),
        ('<video-js src="/b.mp4"></video-js>', "https://ex.com/b.mp4"),
        ('<div data-video-src="/b.mp4"></div>', "https://ex.com/b.mp4"),
        ('<amp-video src="/b.mp4"></amp-video>', "https://ex.com/b.mp4"),
        ('<amp-ima-video data-tag="https://ads.ex/vast"><source src="/b.mp4"></amp-ima-video>', "https://ex.com/b.mp4"),
        ('<embed src="/clip.mov">', "https://ex.com/clip.mov"),
        ('<iframe src="/clip.mp4"></iframe>', "https://ex.com/clip.mp4"),
        ('<object data="/clip.mp4"></object>', "https://ex.com/clip.mp4"),
        ('<object data="/get?id=1" type="video/mp4"></object>', "https://ex.com/get?id=1"),
        ('<object data="player.swf"><param name=flashvars value="image=/a.jpg&amp;file=%2Fclip.flv"></object>', "https://ex.com/clip.flv"),
        ('<object><param name="Movie" value="/clip.wmv"></object>', "https://ex.com/clip.wmv"),
        ('<embed src="player.swf" flashvars="autostart=true&amp;file=clip.mp4">', BASE + "clip.mp4"),
    ],
)  # fmt: skip
def test_elements_that_play_a_file(markup: str, url: str) -> None:
    found = first(markup)
    assert found
    assert (found.url, found.file) == (url, True)


@pytest.mark.parametrize(
    ("markup", "url"),
    [
        ('<iframe src="//www.youtube.com/embed/abcdefghijk?x=1"></iframe>', WATCH),
        ('<iframe src="https://www.youtube-nocookie.com/embed/abcdefghijk"></iframe>', WATCH),
        ('<iframe src="https://www.youtube.com/watch?app=1&amp;v=abcdefghijk"></iframe>', WATCH),
        ('<iframe src="https://www.youtube.com/embed/videoseries?list=PL12"></iframe>', "https://www.youtube.com/playlist?list=PL12"),
        ('<iframe src="https://www.youtube.com/embed/?list=UU12"></iframe>', "https://www.youtube.com/playlist?list=UU12"),
        (f'<iframe src="about:blank" data-src="{YT}"></iframe>', WATCH),
        (f'<iframe data-cmp-whatever="{YT}"></iframe>', WATCH),
        (f'<iframe src="https://web.archive.org/web/2016if_/{YT}"></iframe>', WATCH),
        ('<iframe src="https://cdn.ex/f?src=https%3A%2F%2Fwww.youtube.com%2Fembed%2Fabcdefghijk"></iframe>', WATCH),
        ('<iframe data-src="https://player.vimeo.com/video/123456?h=1"></iframe>', "https://vimeo.com/123456"),
        ('<iframe src="https://geo.dailymotion.com/player/x1.html?video=x2ab"></iframe>', "https://www.dailymotion.com/video/x2ab"),
        ('<iframe src="https://www.facebook.com/plugins/video.php?height=3&amp;href=https%3A%2F%2Fwww.facebook.com%2Fa%2Fvideos%2F12%2F&amp;t=0"></iframe>',
         "https://www.facebook.com/a/videos/12/"),
        ('<iframe src="https://www.tiktok.com/embed/v2/712"></iframe>', "https://www.tiktok.com/embed/v2/712"),
        ('<iframe src="https://twitter.com/i/videos/712"></iframe>', "https://twitter.com/i/status/712"),
        ('<iframe src="https://player.twitch.tv/?channel=&amp;video=v123"></iframe>', "https://www.twitch.tv/videos/123"),
        ('<iframe src="https://fast.wistia.net/embed/iframe/ab12"></iframe>', "https://fast.wistia.net/embed/iframe/ab12"),
        ('<iframe src="https://embed.ted.com/talks/lang/de/a_talk"></iframe>', "https://www.ted.com/talks/a_talk"),
        ('<iframe src="https://players.brightcove.net/1/d_default/index.html?videoId=2"></iframe>',
         "https://players.brightcove.net/1/d_default/index.html?videoId=2"),
        ('<iframe src="https://videos.ex.org/embed/12"></iframe>', "https://videos.ex.org/embed/12"),
        ('<iframe src="/video/player/12"></iframe>', "https://ex.com/video/player/12"),
        ('<object><param name=movie value="http://www.youtube.com/v/abcdefghijk&amp;hl=en"></object>', WATCH),
        ('<embed src="http://vimeo.com/moogaloop.swf?clip_id=123456&amp;server=x">', "https://vimeo.com/123456"),
        ('<video><source type="video/youtube" src="https://youtu.be/abcdefghijk?_=1"></video>', WATCH),
        ('<video src="/live/playlist.m3u8"></video>', "https://ex.com/live/playlist.m3u8"),
        ("""<video data-setup='{"sources": [{"src": "https://youtu.be/abcdefghijk"}]}'></video>""", WATCH),
        ('<lite-youtube videoid="abcdefghijk"></lite-youtube>', WATCH),
        ('<lite-vimeo videoid="123456"></lite-vimeo>', "https://vimeo.com/123456"),
        ('<youtube-video src="https://youtu.be/abcdefghijk"></youtube-video>', WATCH),
        ('<amp-youtube data-videoid="abcdefghijk"></amp-youtube>', WATCH),
        ('<amp-vimeo data-videoid="123456"></amp-vimeo>', "https://vimeo.com/123456"),
        ('<amp-dailymotion data-videoid="x2ab"></amp-dailymotion>', "https://www.dailymotion.com/video/x2ab"),
        (f'<amp-iframe src="{YT}"></amp-iframe>', WATCH),
        ('<amp-video-iframe src="https://videos.ex.org/embed/12"></amp-video-iframe>', "https://videos.ex.org/embed/12"),
        ('<amp-brightcove data-account="1" data-video-id="2" data-player-id="d"></amp-brightcove>',
         "https://players.brightcove.net/1/d_default/index.html?videoId=2"),
        ('<amp-jwplayer data-media-id="m1" data-player-id="p1"></amp-jwplayer>', "https://cdn.jwplayer.com/players/m1-p1.html"),
        ('<amp-wistia-player data-media-hashed-id="ab12"></amp-wistia-player>', "https://fast.wistia.net/embed/iframe/ab12"),
        ('<amp-facebook data-embed-as="video" data-href="https://www.facebook.com/a/videos/12/"></amp-facebook>',
         "https://www.facebook.com/a/videos/12"),
        ('<div data-plyr-provider="youtube" data-plyr-embed-id="abcdefghijk"></div>', WATCH),
        ('<div data-youtube-id="abcdefghijk"></div>', WATCH),
        ('<div class="fb-video" data-href="https://www.facebook.com/a/videos/12/"></div>', "https://www.facebook.com/a/videos/12"),
        ('<blockquote cite="https://www.tiktok.com/@ann/video/712" data-video-id="712"></blockquote>', "https://www.tiktok.com/@ann/video/712"),
        ('<video data-account="1" data-video-id="2" data-player="d" data-embed="e"></video>',
         "https://players.brightcove.net/1/d_e/index.html?videoId=2"),
    ],
)  # fmt: skip
def test_elements_that_play_what_is_no_file(markup: str, url: str) -> None:
    found = first(markup)
    assert found
    assert (found.url, found.file) == (url, False)


@pytest.mark.parametrize(
    "markup",
    [
        '<iframe src="https://ads.example/frame"></iframe>',
        '<iframe src="https://www.google.com/maps/embed?pb=1"></iframe>',
        '<iframe src="https://open.spotify.com/embed/episode/1"></iframe>',
        '<iframe src="https://player.megaphone.fm/X1"></iframe>',
        '<iframe src="https://www.facebook.com/plugins/like.php?href=https%3A%2F%2Fex.com%2Fvideo"></iframe>',
        '<iframe src="https://ex.org/another-post/embed/"></iframe>',
        '<iframe src="about:blank"></iframe>',
        "<iframe></iframe>",
        "<video></video>",
        '<video src="a.mp3"></video>',
        '<video data-ad-tag-url="https://ads.ex/vast" data-poster="/a.jpg"></video>',
        '<video><track src="a.vtt"></video>',
        '<amp-video src="{{url}}"></amp-video>',
        '<video src=\\"\\"></video>',
        '<lite-youtube videoid="{{id}}"></lite-youtube>',
        '<object data="menu.swf"></object>',
        '<div data-video="tab-1"></div>',
        '<div data-href="https://www.facebook.com/sharer.php?u=x"></div>',
        '<a href="clip.mp4">A link</a>',
    ],
)
def test_elements_that_play_none(markup: str) -> None:
    assert first(markup) is None


def test_a_video_has_its_poster_its_size_and_what_it_is_called() -> None:
    found = first(
        '<video src="a.mp4" poster="/a.jpg" width=640 height="360px" aria-label="A  cat">'
    )
    assert found == Video(
        BASE + "a.mp4", "A cat", poster="https://ex.com/a.jpg", width=640, height=360
    )


@pytest.mark.parametrize(
    "title", ["YouTube video player", "Video", "vimeo-player", "Embedded video"]
)
def test_a_players_own_name_is_no_title(title: str) -> None:
    found = first(f'<iframe src="{YT}" title="{title}"></iframe>')
    assert found
    assert found.title == ""


@pytest.mark.parametrize(
    ("markup", "tracks"),
    [
        ('<video src=a.mp4><track src="a.vtt" srclang=en label=" English "></video>',
         [Track(BASE + "a.vtt", "subtitles", "en", "English")]),
        ('<video src=a.mp4><track kind=Captions src="/a.srt?x=1#t"><track kind=chapters src=c.vtt></video>',
         [Track("https://ex.com/a.srt?x=1", "captions"), Track(BASE + "c.vtt", "chapters")]),
        ('<video><source src=a.mp4><track src=a.vtt><source src=b.webm><track src=b.vtt></video>',
         [Track(BASE + "a.vtt"), Track(BASE + "b.vtt")]),
        ('<amp-video src=a.mp4><track data-src=a.vtt><track src=a.vtt kind=captions></amp-video>',
         [Track(BASE + "a.vtt")]),
        ('<video src=a.mp4><track kind=sprites src=a.vtt></video>', [Track(BASE + "a.vtt", "metadata")]),
        ('<video src=a.mp4><track><track src=""><track src="data:text/vtt,x"><track src="blob:x"></video>', []),
        ('<iframe src="https://www.youtube.com/embed/abcdefghijk"><track src=a.vtt></iframe>', []),
    ],
)  # fmt: skip
def test_tracks_of_a_video(markup: str, tracks: list[Track]) -> None:
    found = first(markup)
    assert found
    assert list(found.tracks) == tracks


def test_tracks_stay_when_the_metadata_knows_the_file() -> None:
    head = '<meta property="og:video" content="/clip.mp4"><meta property="og:video:type" content="video/mp4">'
    known = video.declarations(page(head))
    body = dom.parse("<body><video><track src=a.vtt></video></body>").find("body")
    assert body is not None
    found = video.read(body[0], BASE, known)
    assert found
    assert (found.url, found.tracks) == ("https://ex.com/clip.mp4", (Track(BASE + "a.vtt"),))


def test_tags_and_attributes_that_the_walk_asks_about() -> None:
    assert {"video", "iframe", "embed", "object", "amp-video", "lite-youtube"} <= video.VIDEO_TAGS
    assert "data-youtube-id" in video.FACADE_ATTRIBUTES


def test_sources_of_another_video_are_not_taken() -> None:
    assert first('<video><p>x</p><div><video><source src="b.mp4"></video></div></video>') is None


def test_hostile_elements_take_linear_time() -> None:
    start = time.perf_counter()
    first("<video>" * 1000 + "<source src=x.m3u8>" * 20_000)
    first("<video src=a.mp4>" + "<track src=x.vtt>" * 20_000)
    first("<iframe " + " ".join(f'a{i}="/{"x" * 4000}"' for i in range(500)) + "></iframe>")
    first(f"""<video data-setup='{{{'"//' * 6000}'></video>""")
    video.player("https://www.youtube.com/?" + "v=&" * 2700)
    assert time.perf_counter() - start < 5


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
        ("PT60S", 60.0),
        ("P0Y0M0DT0H1M2S", 62.0),
        ("T1M02S", 62.0),
        ("1:30", 90.0),
        ("00:01:30.5", 90.5),
        ("PT0S", None),
        ("9" * 400, None),
        ("PT" + "9" * 400 + "S", None),
        ("PT", None),
        ("", None),
        ("soon", None),
    ],
)
def test_durations(duration: str, seconds: float | None) -> None:
    assert video.seconds(duration) == seconds


def page(head: str, body: str = "") -> Metadata:
    return read_metadata(dom.parse(f"<html><head>{head}</head><body>{body}</body></html>"), BASE)


def ld(**properties: object) -> str:
    thing = {"@type": "VideoObject", **properties}
    return f'<script type="application/ld+json">{json.dumps(thing)}</script>'


@pytest.mark.parametrize(
    ("properties", "url", "file"),
    [
        ({"contentUrl": "/a.mp4", "embedUrl": YT}, "https://ex.com/a.mp4", True),
        ({"contentUrl": "/get?id=1"}, "https://ex.com/get?id=1", True),
        ({"contentUrl": "/page.html", "embedUrl": "/a.mp4"}, "https://ex.com/a.mp4", True),
        ({"contentUrl": BASE, "embedUrl": YT}, BASE, False),
        ({"contentUrl": YT}, WATCH, False),
        ({"contentUrl": "/a.m3u8"}, "https://ex.com/a.m3u8", False),
        (
            {"contentUrl": "/a", "encodingFormat": "application/x-mpegURL"},
            "https://ex.com/a",
            False,
        ),
        ({"contentUrl": ["/a.m3u8", "/a.mp4"]}, "https://ex.com/a.mp4", True),
        ({"url": "/a.mp4"}, "https://ex.com/a.mp4", True),
        ({"url": "https://youtu.be/abcdefghijk"}, WATCH, False),
    ],
)
def test_the_address_of_a_video_object(properties: dict[str, object], url: str, file: bool) -> None:
    (found,) = declared(ld(**properties))
    assert (found.url, found.file) == (url, file)


@pytest.mark.parametrize("properties", [{}, {"url": "/page.html"}, {"contentUrl": "/a.mp3"}])
def test_a_video_object_without_video(properties: dict[str, object]) -> None:
    assert declared(ld(name="N", **properties)) == []


def test_texts_and_poster_of_a_video_object() -> None:
    (found,) = declared(
        ld(
            contentUrl="/a.mp4",
            name="Fragen &amp; Antworten",
            description="<p>One</p><p>two</p>",
            caption="5b274ebc-2e46-40d6-830e-d912e48ca7fa",
            thumbnailUrl=["/img-placeholder.png", "/a.jpg"],
            width={"@type": "QuantitativeValue", "value": 640},
            height="360",
        )
    )
    assert (found.title, found.description, found.caption) == ("Fragen & Antworten", "One two", "")
    assert (found.poster, found.width, found.height) == ("https://ex.com/a.jpg", 640, 360)


def test_the_thumbnail_of_a_video_object_is_its_poster() -> None:
    (found,) = declared(
        ld(contentUrl="/a.mp4", thumbnail={"@type": "ImageObject", "url": "/a.jpg"})
    )
    assert found.poster == "https://ex.com/a.jpg"


def test_the_card_is_one_video_whatever_the_order_of_its_tags() -> None:
    (found,) = declared(
        '<meta property="og:video:type" content="video/mp4"><meta property="og:video:width" content="640">'
        '<meta property="og:video" content="http://ex.com/a"><meta property="og:video:secure_url" content="https://ex.com/a">'
        '<meta property="og:video:duration" content="35"><meta name="twitter:player" content="https://ex.com/frame/1">'
        '<meta property="og:image" content="/a.jpg">'
    )
    assert (found.url, found.file, found.width) == ("http://ex.com/a", True, 640)
    assert (found.seconds, found.poster) == (35.0, "https://ex.com/a.jpg")


def test_the_title_of_a_videos_own_page_is_the_videos() -> None:
    head = '<meta property="og:video" content="/a.mp4"><meta property="og:title" content="A cat">'
    assert declared(head)[0].title == ""
    assert declared(head + '<meta property="og:type" content="video.other">')[0].title == "A cat"


@pytest.mark.parametrize(
    ("head", "urls"),
    [
        (
            '<meta name="twitter:player" content="https://ex.com/frame/1">',
            ["https://ex.com/frame/1"],
        ),
        ('<meta name="twitter:player" content="https://open.spotify.com/embed/1">', []),
        ('<meta name="twitter:player:stream" content="/a.mp4">', ["https://ex.com/a.mp4"]),
        ('<meta property="og:video" content="/a.mp3">', []),
    ],
)
def test_twitter_player(head: str, urls: list[str]) -> None:
    assert [found.url for found in declared(head)] == urls


def test_one_video_declared_twice_is_one() -> None:
    head = (
        ld(embedUrl=YT, name="N")
        + ld(contentUrl="https://youtu.be/abcdefghijk", description="D")
        + f'<meta name="twitter:player" content="{YT}?autoplay=1">'
    )
    (found,) = declared(head)
    assert (found.url, found.title, found.description) == (WATCH, "N", "D")


def test_a_page_cannot_declare_videos_without_end() -> None:
    things = [{"@type": "VideoObject", "contentUrl": f"/{i}.mp4"} for i in range(5000)]
    assert len(json_ld(things)) == video.MAX_VIDEOS


FILE = "https://ex.com/a.mp4"


@pytest.mark.parametrize(
    ("markup", "head"),
    [
        # The player's address, its known watch page or one with other parameters is declared.
        ('<iframe src="https://ex.com/frames/12"></iframe>', ld(contentUrl="/a.mp4", embedUrl="/frames/12")),
        ('<iframe src="/video/embed/12"></iframe>', ld(contentUrl="/a.mp4", embedUrl="/video/embed/12")),
        (f'<iframe src="{YT}?rel=0"></iframe>', ld(contentUrl="/a.mp4", embedUrl=YT)),
        # Nothing but scripts know the address: the poster, an id, or there is but one video.
        ('<video poster="/1.jpg"></video>', ld(contentUrl="/a.mp4", thumbnailUrl="/1.jpg") + ld(contentUrl="/b.mp4")),
        ("""<video data-x='{"id": "6114216909001"}'></video>""",
         ld(contentUrl="/b.mp4") + ld(contentUrl="/a.mp4", embedUrl="https://players.brightcove.net/1/x/index.html?videoId=6114216909001")),
        ('<video src="blob:https://ex.com/1"></video>', ld(contentUrl="/a.mp4")),
        ("<video></video>", '<meta property="og:video" content="/a.mp4">'),
    ],
)  # fmt: skip
def test_what_the_page_declares_gives_the_file_of_an_element(markup: str, head: str) -> None:
    element = dom.parse(f"<body>{markup}</body>").find("body/*")
    assert element is not None
    found = video.read(element, BASE, video.declarations(page(head)))
    assert found
    assert (found.url, found.file) == (FILE, True)


@pytest.mark.parametrize(
    ("markup", "head"),
    [
        ("<video></video>", ld(contentUrl="/a.mp4") + ld(contentUrl="/b.mp4")),
        ('<video style="display: none"></video>', ld(contentUrl="/a.mp4")),
        ("<iframe></iframe>", ld(contentUrl="/a.mp4")),
        ("<video></video>", ""),
    ],
)
def test_elements_that_nothing_declared_is_for(markup: str, head: str) -> None:
    element = dom.parse(f"<body>{markup}</body>").find("body/*")
    assert element is not None
    assert video.read(element, BASE, video.declarations(page(head))) is None


def test_an_element_keeps_its_own_poster_and_title() -> None:
    known = video.declarations(
        page(ld(contentUrl="/a.mp4", name="N", thumbnailUrl="/n.jpg", duration="PT5S"))
    )
    element = dom.parse('<body><video src="/a.mp4" poster="/own.jpg" title="Own"></video>').find(
        "body/*"
    )
    assert element is not None
    found = video.read(element, BASE, known)
    assert found
    assert (found.title, found.poster, found.seconds) == ("Own", "https://ex.com/own.jpg", 5.0)


CARD = '<meta property="og:video" content="https://cdn.ex/a.mp4">'


@pytest.mark.parametrize(
    ("head", "shown", "url"),
    [
        (CARD, [], "https://cdn.ex/a.mp4"),
        (ld(embedUrl=YT), [], WATCH),
        (ld(contentUrl="/b.mp4") + CARD, [], "https://cdn.ex/a.mp4"),
        (CARD, [WATCH], "https://cdn.ex/a.mp4"),
        (CARD, ["https://cdn.ex/a.mp4"], None),
        (ld(contentUrl="/b.mp4", embedUrl=YT), [WATCH], None),
        (CARD, ["https://www.ex.com/video/embed/1"], None),  # the page's own player
        ("".join(ld(contentUrl=f"/{i}.mp4") for i in range(9)), [], None),  # a list of videos
        ("", [], None),
    ],
)
def test_the_lead_video_is_one_that_the_body_does_not_show(
    head: str, shown: list[str], url: str | None
) -> None:
    about = page(head)
    found = video.lead(video.declarations(about), about.base, shown)
    assert (found.url if found else None) == url
