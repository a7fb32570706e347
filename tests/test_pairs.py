import pytest

from m3w_builder.interleave import read_page
from m3w_builder.pairs import image_pairs, video_pairs
from m3w_builder.types import Page

URL = "https://ex.com/p/a.html"


def images(body: str) -> list[tuple[str, str]]:
    pairs = image_pairs(read_page(Page(URL, f"<body>{body}</body>".encode())))
    return [(pair.images[0].url, pair.texts[0].text) for pair in pairs]


def videos(body: str, head: str = "") -> list[tuple[str, str]]:
    html = f"<html><head>{head}</head><body>{body}</body></html>"
    pairs = video_pairs(read_page(Page(URL, html.encode())))
    return [(pair.videos[0].url, pair.texts[0].text) for pair in pairs]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ('<img src=/i.jpg alt="A cat on a mat">', "A cat on a mat"),
        (
            '<figure><img src=/i.jpg alt="A cat"><figcaption>Our cat, 2020</figcaption></figure>',
            "A cat",
        ),
        (
            '<figure><img src=/i.jpg alt="IMG_1.jpg"><figcaption>Our cat, 2020</figcaption></figure>',
            "Our cat, 2020",
        ),
        ('<figure><img src=/i.jpg alt=""><figcaption>Our cat</figcaption></figure>', "Our cat"),
        ('<img src=/i.jpg title="A cat asleep">', "A cat asleep"),
        ('<footer><img src=/i.jpg alt="A cat in the footer"></footer>', "A cat in the footer"),
        (
            '<noscript><img src=/i.jpg alt="A cat without script"></noscript>',
            "A cat without script",
        ),
    ],
)
def test_what_describes_an_image(markup: str, text: str) -> None:
    assert images(markup) == [("https://ex.com/i.jpg", text)]


@pytest.mark.parametrize("alt", ["", "image", "i.jpg", "https://ex.com/i.jpg", "..."])
def test_an_image_without_description_makes_no_pair(alt: str) -> None:
    assert images(f'<img src=/i.jpg alt="{alt}">') == []


def test_one_pair_per_image() -> None:
    assert (
        len(images('<img src=/i.jpg alt="A cat"><p>x</p><img src=/i.jpg alt="A cat again">')) == 1
    )


def test_pairs_have_their_own_ids_and_captions_as_role() -> None:
    parsed = read_page(Page(URL, b'<img src=/i.jpg alt="A cat"><img src=/j.jpg alt="A dog">'))
    one, two = image_pairs(parsed)
    assert one.id != two.id
    assert one.kind == "image_text"
    assert one.texts[0].role == "caption"
    assert one.nodes[0] == one.images[0]


LD = '<script type="application/ld+json">{"@type": "VideoObject", "name": "A name", "contentUrl": "/v.mp4"}</script>'


@pytest.mark.parametrize(
    ("body", "head", "text"),
    [
        (
            "<figure><video src=/v.mp4></video><figcaption>A caption</figcaption></figure>",
            "",
            "A caption",
        ),
        ("<video src=/v.mp4 title='A title'></video>", "", "A title"),
        ("<video src=/v.mp4 aria-label='A label'></video>", "", "A label"),
        ("<video src=/v.mp4></video>", LD, "A name"),
        ("", LD, "A name"),
        ("<video src=/v.mp4></video>", "<meta property=og:title content='The page'>", "The page"),
        ("", "<title>The page</title><meta property=og:video content=/v.mp4>", "The page"),
    ],
)
def test_what_describes_a_video(body: str, head: str, text: str) -> None:
    assert videos(body, head) == [("https://ex.com/v.mp4", text)]


def test_the_page_title_describes_only_an_only_video() -> None:
    assert (
        videos("<video src=/v.mp4></video><video src=/w.mp4></video>", "<title>The page</title>")
        == []
    )


def test_a_player_is_no_pair() -> None:
    assert (
        videos("<iframe src=https://www.youtube.com/embed/abcdefghijk title='A video'></iframe>")
        == []
    )


def test_a_watch_page_in_a_video_element_is_no_file() -> None:
    assert (
        videos("<video title='A video'><source src=https://youtu.be/abcdefghijk?_=1></video>") == []
    )
