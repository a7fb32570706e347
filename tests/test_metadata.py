import json
import time

import pytest

from m3w_builder import dom
from m3w_builder.metadata import Metadata, is_picture, parse_json, pixels, plain, read_metadata

BASE = "https://ex.com/p/"


def read(head: str, body: str = "<p>x</p>") -> Metadata:
    return read_metadata(dom.parse(f"<html><head>{head}</head><body>{body}</body></html>"), BASE)


def leads(head: str, most: int = 20) -> list[str]:
    return [lead.image.url.removeprefix("https://ex.com") for lead in read(head).lead_images(most)]


def ld(data: object) -> str:
    return f'<script type="application/ld+json">{json.dumps(data)}</script>'


def test_meta_by_property_name_or_itemprop_first_and_all() -> None:
    page = read(
        '<meta property="og:title" content=" "><meta property="OG:Title" content="A  title">'
        '<meta name="author" content="Ann"><meta name="author" content="Bo"><meta itemprop="genre" content="news">'
        '<meta name="twitter:title" property="twitter:title" content="T">'
    )
    assert page.first("og:title", "twitter:title") == "A title"
    assert page.first("none", "author") == "Ann"
    assert page.all("author") == ["Ann", "Bo"]
    assert page.first("genre") == "news"
    assert page.first("none") == ""


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ("<title>A  page</title><meta property=og:title content=Other>", "A page"),
        ("<title> </title><meta property=og:title content=Other>", "Other"),
        ("<meta name=twitter:title content=Other>", "Other"),
        ("", ""),
    ],
)
def test_title(head: str, title: str) -> None:
    assert read(head).title == title


def test_the_title_of_a_drawing_is_not_the_pages() -> None:
    assert read("", "<svg><title>Menu</title></svg>").title == ""


@pytest.mark.parametrize(
    "script",
    [
        '{"a": 1}',
        '<!-- {"a": 1} -->',
        '//<![CDATA[\n{"a": 1}\n//]]>',
        '/*<![CDATA[*/ {"a": 1} /*]]>*/',
        '<![CDATA[{"a": 1}]]>',
        ' {"a": 1};; ',
        '{"a": 1,}',
        "{&quot;a&quot;: 1}",
    ],
)
def test_json_as_pages_write_it(script: str) -> None:
    assert parse_json(script) == {"a": 1}


def test_raw_control_characters_in_json() -> None:
    assert parse_json('{"a": "x\ny\t"}') == {"a": "x\ny\t"}


@pytest.mark.parametrize("script", ["", "{", "nothing", "[" * 100_000, '{"a": 1} {"b": 2}'])
def test_broken_json_is_nothing(script: str) -> None:
    assert parse_json(script) is None


@pytest.mark.parametrize(
    "script", [" " * 1_000_000 + "{", "{" + "//" * 500_000, "," * 1_000_000, "[" + ", " * 500_000]
)
def test_hostile_json_takes_linear_time(script: str) -> None:
    start = time.perf_counter()
    assert parse_json(script) is None
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    "data",
    [
        {"@type": "VideoObject", "name": "N"},
        [{"@type": ["Thing", "VideoObject"], "name": "N"}],
        {"@graph": [{"@type": "http://schema.org/VideoObject", "name": "N"}]},
        {"@type": "schema:VideoObject", "name": "N"},
        {"@type": "NewsArticle", "video": {"@type": "VideoObject", "name": "N"}},
    ],
)
def test_things_of_a_type_anywhere_in_json_ld(data: object) -> None:
    assert [thing["name"] for thing in read(ld(data)).things("VideoObject")] == ["N"]


def test_things_of_several_scripts_and_a_broken_one() -> None:
    head = (
        ld({"@type": "VideoObject", "name": "1"})
        + '<script type="application/ld+json">{"VideoObject"</script>'
    )
    page = read(head + ld({"@type": "VideoObject", "name": "2"}))
    assert [thing["name"] for thing in page.things("VideoObject")] == ["1", "2"]


def test_microdata_properties_belong_to_the_nearest_item() -> None:
    (thing,) = read(
        "",
        '<div itemscope itemtype="https://schema.org/VideoObject">'
        '<div itemprop=publisher itemscope itemtype="https://schema.org/Organization">'
        "<b itemprop=name>The site</b></div>"
        '<h2 itemprop="name">The <i>video</i></h2><meta itemprop=duration content=PT5S>'
        '<a itemprop="url contentUrl" href=/a.mp4>x</a></div>',
    ).things("VideoObject")
    assert thing["name"] == ["The video"]
    assert thing["duration"] == ["PT5S"]
    assert thing["contentUrl"] == thing["url"] == ["/a.mp4"]


def test_nested_microdata_takes_linear_time() -> None:
    start = time.perf_counter()
    item = "<div itemscope itemtype=VideoObject><div itemprop=name>"
    read("", "<i itemprop=name>x</i>".join([item] * 200) + "<p>x" * 50_000).things("VideoObject")
    assert time.perf_counter() - start < 5


IMAGES = {
    "@type": "ImageObject",
    "url": "/i.jpg",
    "width": 1200,
    "height": "630px",
    "caption": "A cat",
}


@pytest.mark.parametrize(
    ("head", "urls"),
    [
        ('<meta property="og:image" content="a.jpg">', ["/p/a.jpg"]),
        ('<meta property="og:image:url" content="/a.jpg">', ["/a.jpg"]),
        ('<meta property="og:image" content="http://ex.com/a.jpg">'
         '<meta property="og:image:secure_url" content="https://ex.com/a.jpg">', ["/a.jpg"]),
        ('<meta property="og:image" content="/a.jpg"><meta property="og:image" content="/b.jpg">',
         ["/a.jpg", "/b.jpg"]),
        ('<meta name="twitter:image:src" content="/t.jpg">', ["/t.jpg"]),
        ('<link rel="image_src" href="/l.jpg">', ["/l.jpg"]),
        ('<meta itemprop="image" content="/m.jpg">', ["/m.jpg"]),
        (ld({"@type": "NewsArticle", "image": "/j.jpg"}), ["/j.jpg"]),
        (ld({"@type": "Recipe", "image": ["/j.jpg", "/k.jpg"]}), ["/j.jpg", "/k.jpg"]),
        (ld({"@type": "https://schema.org/BlogPosting", "image": IMAGES}), ["/i.jpg"]),
        (ld({"@graph": [{"@type": "WebPage", "primaryImageOfPage": {"@id": "#i"}},
                        {"@type": "ImageObject", "@id": "#i", "contentUrl": "/i.jpg"}]}), ["/i.jpg"]),
        (ld({"@type": "WebPage", "mainEntity": {"@type": "Product", "image": "/p.jpg"}}), ["/p.jpg"]),
        # The same picture in two sizes is one.
        ('<meta property="og:image" content="/a-1024x672.jpg"><meta name="twitter:image" content="/a.jpg">',
         ["/a-1024x672.jpg"]),
    ],
)  # fmt: skip
def test_lead_images(head: str, urls: list[str]) -> None:
    assert leads(head) == urls


@pytest.mark.parametrize(
    "head",
    [
        '<meta property="og:image" content="">',
        '<meta property="og:image" content="data:image/png;base64,xx">',
        '<meta property="og:image" content="/img/site-logo.png">',
        '<meta property="og:image" content="/img/SiteLogoBlue.png">',
        '<meta property="og:image" content="/default_share.jpg">',
        '<meta property="og:image" content="/img-placeholder.png">',
        '<meta property="og:image" content="/apple-touch-icon.png">',
        '<meta property="og:image" content="/picture.svg">',
        ld({"@type": "NewsArticle", "publisher": {"@type": "Organization", "image": "/o.jpg"}}),
        ld({"@type": "NewsArticle", "author": {"@type": "Person", "image": "/me.jpg"}}),
        ld({"@type": "Organization", "image": "/o.jpg"}),
        ld({"@type": "ItemList", "itemListElement": [{"@type": "Article", "image": "/o.jpg"}]}),
    ],
)
def test_what_is_no_lead_image(head: str) -> None:
    assert leads(head) == []


def test_most_trusted_first_and_scripts_unread_where_meta_suffices() -> None:
    head = (
        ld({"@type": "Article", "image": "/j.jpg"})
        + "<link rel=image_src href=/l.jpg><meta name=twitter:image content=/t.jpg>"
        + "<meta property=og:image content=/o.jpg>"
    )
    assert leads(head) == ["/o.jpg", "/t.jpg", "/j.jpg", "/l.jpg"]
    page = read(head)
    assert len(page.lead_images(1)) == 1
    assert page._parsed == {}


def test_a_lead_image_has_what_the_page_says_of_it_and_its_element() -> None:
    page = read(
        '<meta property="og:image" content="/a.jpg"><meta property="og:image:width" content="1200">'
        '<meta property="og:image:height" content="100%"><meta property="og:image:alt" content="A cat &amp; a dog">'
        '<meta name="twitter:image" content="/a.jpg"><meta name="twitter:image:alt" content="Other">'
    )
    (lead,) = page.lead_images()
    image = lead.image
    assert (image.alt, image.width, image.height, image.path) == ("A cat & a dog", 1200, None, "")
    assert lead.element.get("property") == "og:image"


def test_json_ld_image_has_its_caption_and_size() -> None:
    (lead,) = read(ld({"@type": "Article", "image": IMAGES})).lead_images()
    image = lead.image
    assert (image.caption, image.width, image.height) == ("A cat", 1200, 630)
    assert lead.element.tag == "script"


@pytest.mark.parametrize(
    "name", ["logic-gates.jpg", "iconic-bridge.jpg", "defaults.jpg", "a%20cat.jpg", "x"]
)
def test_pictures_that_only_sound_like_logos(name: str) -> None:
    assert is_picture(f"https://ex.com/{name}")


@pytest.mark.parametrize(
    ("text", "words"),
    [("a &amp;  b", "a & b"), ("<p>One</p> <b>two</b>", "One two"), ("1 < 2", "1 < 2"), ("", "")],
)
def test_plain_text_of_metadata(text: str, words: str) -> None:
    assert plain(text) == words


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (12, 12),
        ("12", 12),
        ("12px", 12),
        ("12.5", 12),
        ("100%", None),
        ("0", None),
        (None, None),
        ("9" * 9, None),
    ],
)
def test_pixels(value: object, size: int | None) -> None:
    assert pixels(value) == size
