"""Which words belong to which picture, and in which role each stands."""

from time import process_time

import pytest

from m3w_builder import dom
from m3w_builder.interleave.blocks import Walk, walk
from m3w_builder.interleave.captions import MAX_CAPTION, MAX_ITEMS, MAX_NEIGHBOUR, bind
from m3w_builder.types import Image

BASE = "https://ex.com/p.html"
TEXT = "<p>A paragraph with enough words that nobody takes it for the name of a picture.</p>"
A, B = "<img src=/a.jpg>", "<img src=/b.jpg>"


def bound(body: str) -> Walk:
    root = dom.parse(f"<html><body>{TEXT}{body}{TEXT}</body></html>")
    found = walk(root, BASE)
    bind(found, root)
    return found


def captions(body: str) -> list[tuple[str, str]]:
    """Returns name and caption of each picture or video."""
    media = [item.media for item in bound(body).items if item.media]
    return [(one.url.rpartition("/")[2], one.caption) for one in media]


def texts(body: str) -> list[tuple[str, str]]:
    return [(item.role, item.text) for item in bound(body).items[1:-1] if item.text]


@pytest.mark.parametrize(
    "markup",
    [
        f"<figure>{A}<figcaption>Words</figcaption></figure>",
        f"<figure><figcaption>Words</figcaption>{A}</figure>",
        f"<figure><a href=/big>{A}</a><figcaption>Words</figcaption></figure>",
        f"<figure><div><div>{A}</div></div><figcaption><div><p>Words</p></div></figcaption></figure>",
        "<figure><picture><source srcset=/a.jpg><img src=/s.gif></picture><figcaption>Words</figcaption></figure>",
        # WordPress
        f"<div class='wp-caption alignright'><a href=/p/1>{A}</a><p class=wp-caption-text>Words</p></div>",
        f"<figure class=wp-block-image>{A}<figcaption class=wp-element-caption>Words</figcaption></figure>",
        f"<dl class=gallery-item><dt class=gallery-icon>{A}</dt><dd class='wp-caption-text'>Words</dd></dl>",
        # Wikipedia
        f"<div class='thumb tright'><div class=thumbinner>{A}<div class=thumbcaption><div class=magnify>"
        "<a href=/f></a></div>Words</div></div></div>",
        f"<div class=thumbinner>{A}<div class=thumbcaption><a href=/w>Words</a></div></div>",
        f"<figure typeof='mw:File/Thumb'><a href=/f>{A}</a><figcaption>Words</figcaption></figure>",
        f"<ul class=gallery><li class=gallerybox><div class=thumb>{A}</div><div class=gallerytext><p>Words</p>"
        "</div></li></ul>",
        # Galleries of lists
        f"<ul class=gallery><li>{A}<p>Words</p></li></ul>",
        f"<ul class=photo-gallery><li><a href=/f>{A}</a> Words</li></ul>",
        f"<dl><dt>{A}</dt><dd>Words</dd></dl>",
        f"<dl><dt><a href=/f>{A}</a><dd><p>Words</p></dl>",
        # Tables, other names
        f"<table><caption>Words</caption><tr><td>{A}</td></tr></table>",
        f"<table><tr><td>{A}<tr><td class=caption>Words</table>",
        f"<div class=figure><p class=title>Words</p><div class=mediaobject>{A}</div></div>",
        f"<div class=image-wrapper>{A}<span class=credit>Words</span></div>",
        f"<div class=photo>{A}<p>Words</p></div>",
        f"<div>{A}<div class=cutline>Words</div></div>",
        # Accessible names
        f"<p id=w>Words</p>{A.replace('img', 'img aria-labelledby=w')}",
        f"<span hidden id=w>Words</span>{A.replace('img', 'img aria-describedby=w')}",
        f"<b id=a>Wo</b><b id=b>rds</b>{A.replace('img', 'img aria-labelledby=c')}<i id=c>Words</i>",
    ],
)
def test_a_caption_is_bound_to_its_picture(markup: str) -> None:
    assert captions(markup) == [("a.jpg", "Words")]


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        (f"<figure>{A}{B}<figcaption>Both</figcaption></figure>", ["Both", "Both"]),
        (
            f"<figure><figure>{A}<figcaption>One</figcaption></figure><figure>{B}<figcaption>Two</figcaption>"
            "</figure><figcaption>Both</figcaption></figure>",
            ["One\nBoth", "Two\nBoth"],
        ),
        (
            f"<dl><dt>{A}</dt><dd>One</dd><dt>{B}</dt><dd>Two</dd></dl>",
            ["One", "Two"],
        ),
        (
            f"<dl><dt>{A}</dt><dd class=caption>One</dd><dt>{B}</dt><dd class=caption>Two</dd></dl>",
            ["One", "Two"],
        ),
        (
            f"<ul class=gallery><li>{A}<span>One</span></li><li>{B}<span>Two</span></li></ul>",
            ["One", "Two"],
        ),
        (
            f"<div class=gallery><figure>{A}<figcaption>One</figcaption></figure><figure>{B}</figure></div>",
            ["One", ""],
        ),
        (
            f"<div class='thumbinner multi'><div class=trow><div class=tsingle>{A}<div class=thumbcaption>One</div>"
            f"</div><div class=tsingle>{B}<div class=thumbcaption>Two</div></div></div></div>",
            ["One", "Two"],
        ),
        (f"{A}<p>A paragraph.</p><div><p class=caption>One</p>{B}</div>", ["", "One"]),
    ],
)
def test_each_picture_has_its_own_caption(markup: str, expected: list[str]) -> None:
    assert [caption for _, caption in captions(markup)] == expected


@pytest.mark.parametrize(
    "markup",
    [
        f"<p>{A}</p><p>A paragraph.</p>",
        f"<ul><li>{A}<p>A list item.</p></li></ul>",
        f"<a class=photo href=/x>{A}<span>Another story</span></a>",
        f"<div class=photo>{A}<p><a href=/x>Another story</a></p></div>",
        f"<div class=photo>{A}<h3>A heading</h3></div>",
        f"<div class=photo>{A}<p>{'word ' * MAX_NEIGHBOUR}</p></div>",
        f"<div>{A}<p class=caption>{'word ' * MAX_CAPTION}</p></div>",
        f"<dl><dt>{A} A term</dt><dd>A meaning</dd></dl>",
        f"<dl><dt>{A}</dt><dd>{'word ' * MAX_NEIGHBOUR}</dd></dl>",
        f"<dl><dt>{A}</dt><dt>A term</dt><dd>A meaning</dd></dl>",
        f"<div>{'<p>A paragraph.</p>' * MAX_ITEMS}{A}<p class=caption>Far</p></div>",
        "<img src=/a.jpg aria-labelledby=none>",
    ],
)
def test_what_is_no_caption(markup: str) -> None:
    assert [caption for _, caption in captions(markup)] == [""]


@pytest.mark.parametrize("around", ["<p id=x>Words</p>", "<div id=x>"])
def test_references_of_many_pictures_are_followed_in_one_pass(around: str) -> None:
    many = "<img src=/a.jpg aria-labelledby='none nor x'>" * 2000
    start = process_time()
    found = captions(f"{around}{many}{'<p>More words.</p>' * 20_000}")
    assert process_time() - start < 2
    assert {caption for _, caption in found} == {"Words" if around.startswith("<p") else ""}


def test_an_id_that_stands_twice_is_that_of_its_first_element() -> None:
    markup = "<b id=w>Words</b><b id=w>Others</b><img src=/a.jpg aria-describedby=w>"
    assert captions(markup) == [("a.jpg", "Words")]


def test_alt_title_and_caption_are_three_roles() -> None:
    image = "<img src=/a.jpg alt='The alt' title='The title' aria-label='The label'>"
    (media,) = [
        i.media
        for i in bound(f"<figure>{image}<figcaption>The caption</figcaption></figure>").items
        if i.media
    ]
    assert isinstance(media, Image)
    assert (media.alt, media.title, media.caption) == ("The alt", "The title", "The caption")


@pytest.mark.parametrize(
    "markup",
    [
        "<img src=/a.jpg aria-label='Words'>",
        "<div role=img aria-label='Words' style='background-image: url(/a.jpg)'></div>",
        "<img src=/a.jpg alt='' aria-label='Words'>",
    ],
)
def test_a_label_stands_in_for_an_alt_text(markup: str) -> None:
    (media,) = [item.media for item in bound(markup).items if isinstance(item.media, Image)]
    assert (media.alt, media.caption) == ("Words", "")


def test_a_reference_that_says_the_alt_text_again_is_no_caption() -> None:
    assert captions("<p id=w>Words</p><img src=/a.jpg alt=Words aria-labelledby=w>") == [
        ("a.jpg", "")
    ]


def test_a_caption_stands_in_its_place_as_text_too() -> None:
    markup = f"<figure>{A}<figcaption><p>One<br>line</p><p>Two</p></figcaption></figure>"
    assert texts(markup) == [("caption", "One\nline"), ("caption", "Two")]
    assert captions(markup) == [("a.jpg", "One\nline\nTwo")]


def test_a_caption_said_twice_is_bound_once() -> None:
    markup = f"<figure>{A}<p class=caption>Words</p><figcaption>Words</figcaption></figure>"
    assert captions(markup) == [("a.jpg", "Words")]


def test_what_is_called_a_caption_without_a_picture_is_a_paragraph() -> None:
    assert texts("<div class=caption>Words</div>") == [("paragraph", "Words")]
    assert texts("<div><ul><li class=caption>Words</li></ul></div>") == [("paragraph", "Words")]


def test_a_figure_of_code_keeps_its_caption() -> None:
    markup = "<figure><pre>  f()</pre><figcaption>A listing</figcaption></figure>"
    assert texts(markup) == [("code", "  f()"), ("caption", "A listing")]


def test_a_video_has_a_caption() -> None:
    markup = "<figure><video src=/v.mp4></video><figcaption>A film</figcaption></figure>"
    assert captions(markup) == [("v.mp4", "A film")]


def test_captions_know_their_first_picture() -> None:
    found = bound(f"<figure>{A}{B}<figcaption>Both</figcaption></figure>")
    assert found.captions == {3: 1}


@pytest.mark.parametrize("before", [False, True])
def test_a_lazy_picture_and_its_twin_for_no_script_are_one(before: bool) -> None:
    lazy, twin = (
        "<img src=/wait.jpg>",
        "<noscript><img src=/real.jpg alt=Words title=More></noscript>",
    )
    found = bound(f"<div>{twin}{lazy}</div>" if before else f"<div>{lazy}{twin}</div>")
    media = [item.media for item in found.items if isinstance(item.media, Image)]
    assert len(media) == 2
    assert media[0] == media[1]
    assert (media[0].url, media[0].alt, media[0].title) == (
        "https://ex.com/real.jpg",
        "Words",
        "More",
    )


def test_the_twin_knows_the_alt_text_of_the_same_picture() -> None:
    found = bound("<img data-src=/a.jpg><noscript><img src=/a.jpg alt=Words></noscript>")
    assert [item.media.alt for item in found.items if isinstance(item.media, Image)] == [
        "Words",
        "Words",
    ]
