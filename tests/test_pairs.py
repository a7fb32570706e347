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


LONG = "Minka, our cat, asleep on the red sofa of the living room in 2020"


def figure(alt: str, caption: str, title: str = "") -> str:
    return f'<figure><img src=/i.jpg alt="{alt}" title="{title}"><figcaption>{caption}</figcaption></figure>'


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        # The alt text, where it says as much as a sentence or half of what the caption does.
        (figure("A cat asleep on a red sofa", LONG), "A cat asleep on a red sofa"),
        (figure("Minka asleep", "Minka asleep in 2020"), "Minka asleep"),
        (figure("Cat", LONG), LONG),
        (figure("Image of", LONG), LONG),
        (figure("Image of a cat asleep on a sofa", LONG), "Image of a cat asleep on a sofa"),
        (figure("m45__2019-09-01", LONG), LONG),
        (figure("5b274ebc-2e46-40d6-830e-d912e48ca7fa", LONG), LONG),
        (figure("&lt;p&gt;A cat asleep on a sofa&lt;/p&gt;", ""), "A cat asleep on a sofa"),
        (figure("", "Our cat", LONG), LONG),
        (figure("眠る猫の写真です", "赤い居間"), "眠る猫の写真です"),
        # A credit is no description, beside a caption or in its place.
        (figure("", "Our cat<br>Foto: Ann Lee"), "Our cat"),
        (figure("A cat", "© Ann Lee / The Very Long Name of a Picture Agency"), "A cat"),
        (figure("A cat", "Photo by Ann Lee for The Very Long Agency"), "A cat"),
    ],
)
def test_the_text_that_describes_best(markup: str, text: str) -> None:
    assert images(markup) == [("https://ex.com/i.jpg", text)]


def test_the_pages_own_title_describes_a_picture_only_if_nothing_else_does() -> None:
    head = "<title>A cake without sugar | The site</title>"
    cake = '<img src=/i.jpg alt="A cake without sugar">'
    captioned = "<figure>" + cake + "<figcaption>The cake</figcaption></figure>"
    assert images(head + cake) == [("https://ex.com/i.jpg", "A cake without sugar")]
    assert images(head + captioned) == [("https://ex.com/i.jpg", "The cake")]


def test_the_sites_name_describes_nothing() -> None:
    head = '<meta property="og:site_name" content="The Daily News">'
    assert images(head + '<img src=/i.jpg alt="The daily news">') == []


def test_a_text_of_three_pictures_describes_none_of_them() -> None:
    two = '<img src=/a.jpg alt="A cat"><img src=/b.jpg alt="A cat">'
    assert len(images(two)) == 2
    assert images(two + '<img src=/c.jpg alt="A cat">') == []
    assert images(two + figure("A cat", "Our cat")) == [("https://ex.com/i.jpg", "Our cat")]
    sizes = '<img src=/b-300x200.jpg alt="A cat">'  # the same picture again
    assert len(images(two + sizes)) == 3


@pytest.mark.parametrize(
    "alt", ["", "image", "image of", "i.jpg", "https://ex.com/i.jpg", "...", "(c) Ann Lee"]
)
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


def test_a_player_whose_file_the_page_declares_is_a_pair_with_its_element_as_place() -> None:
    head = LD.replace('"contentUrl"', '"embedUrl": "/video/embed/1", "contentUrl"')
    html = f"<html><head>{head}</head><body><p>x</p><iframe src=/video/embed/1></iframe></body>"
    (pair,) = video_pairs(read_page(Page(URL, html.encode())))
    assert pair.videos[0].url == "https://ex.com/v.mp4"
    assert pair.videos[0].path == "/html/body/iframe"
    assert pair.texts[0].text == "A name"


def test_what_the_page_declares_of_a_video_beats_a_label_that_says_little() -> None:
    head = LD.replace("A name", "A cat climbs the curtain of our kitchen")
    text = "A cat climbs the curtain of our kitchen"
    assert videos("<video src=/v.mp4 title=Clip></video>", head) == [("https://ex.com/v.mp4", text)]


def test_a_label_of_three_videos_describes_none() -> None:
    body = "".join(
        f"<video src=/{name}.mp4 title='The tip'></video>" for name in ("red", "blue", "green")
    )
    assert videos(body) == []


def test_a_link_to_a_file_is_no_pair() -> None:
    assert videos("<a href=/v.mp4>A cat climbs the curtain</a>") == []
