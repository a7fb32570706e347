import pytest
from lxml import html

from m3w_builder import images

BASE = "https://ex.com/blog/2020/post.html"


def url(markup: str) -> str:
    element = next(html.fragment_fromstring(f"<div>{markup}</div>").iter("img", "amp-img"))
    image = images.read(element, BASE)
    return image.url.removeprefix("https://ex.com") if image else ""


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ('<img src="img/a.jpg">', "/blog/2020/img/a.jpg"),
        ('<img src="../img/a.jpg">', "/blog/img/a.jpg"),
        ('<img src="//cdn.x.com/a.jpg">', "https://cdn.x.com/a.jpg"),
        ('<img src="https://ex.com:8080/a.jpg">', ":8080/a.jpg"),
        ('<img src="http://1.2.3.4/a.jpg">', "http://1.2.3.4/a.jpg"),
        ('<img src="https://c.com/w_200,h_300/a.jpg">', "https://c.com/w_200,h_300/a.jpg"),
        ('<img srcset="/a-1.jpg 1x, /a-2.jpg 2x">', "/a-2.jpg"),
        ('<img src="/s.jpg" srcset="/w_1,h_2/a.jpg 320w, /w_9,h_8/b.jpg 640w">', "/w_9,h_8/b.jpg"),
        ('<img srcset="/a.jpg, /b.jpg 1.5x">', "/b.jpg"),
        ('<img srcset="/a.jpg 2w, /b.jpg ²w">', "/a.jpg"),
        (f'<img srcset="/a.jpg 2w, /b.jpg {"9" * 5000}w">', "/a.jpg"),
        ('<picture><source srcset="/b.webp 900w"><img src="/a.jpg"></picture>', "/b.webp"),
        ('<picture><source media="(x)"><img src="/a.jpg"></picture>', "/a.jpg"),
        ('<img src="/blank.gif" data-src="/real.jpg">', "/real.jpg"),
        ('<img src="data:image/gif;base64,R0" data-whatever="/p/real.png?x=1">', "/p/real.png?x=1"),
        ('<img src="/x/loading.gif" data-lazy-srcset="/a.jpg 100w, /b.jpg 200w">', "/b.jpg"),
        ('<img data-src="/image/123">', "/image/123"),
        ('<img src="/a.jpg" data-hover="/b-thumb.jpg" data-thumb="/t.jpg">', "/a.jpg"),
        ('<a href="/full/cat.jpg"><img src="/t/cat-300x200.jpg"></a>', "/full/cat.jpg"),
        ('<a href="/wiki/File:Cat.jpg"><img src="/t/Cat.jpg"></a>', "/t/Cat.jpg"),
        ('<a href="/other.jpg"><img src="/cat.jpg"></a>', "/cat.jpg"),
        ('<amp-img src="/a.jpg"></amp-img>', "/a.jpg"),
        ('<img src="data:image/png;base64,AAAA">', ""),
        ('<img src="/a.gif" width="1" height="1">', ""),
        ('<img src="https://www.facebook.com/tr?id=1">', ""),
        ('<img src="/spacer.gif">', ""),
        ("<img>", ""),
        ('<img src="javascript:alert(1)">', ""),
    ],
)
def test_the_largest_real_candidate_wins(markup: str, expected: str) -> None:
    assert url(markup) == expected


def test_declared_size_alt_and_title_are_kept() -> None:
    element = html.fragment_fromstring(
        '<img src="a.jpg" width="30px" style="height: 20px" alt=" A  cat " title=T>'
    )
    image = images.read(element, BASE)
    assert image
    assert (image.width, image.height, image.alt, image.title) == (30, 20, "A cat", "T")


@pytest.mark.parametrize(
    ("alt", "says"),
    [
        ("A cat on a mat", True),
        ("Cat", True),
        ("猫", True),
        ("", False),
        ("image", False),
        ("IMG_1234.JPG", False),
        ("DSC-0042", False),
        ("https://ex.com/a.jpg", False),
        ("photo 3", False),
        ("cat_17", False),
    ],
)
def test_what_counts_as_a_description(alt: str, says: bool) -> None:
    assert images.is_description(alt, "https://ex.com/p/cat_17.jpg") is says


def test_a_srcset_of_a_million_commas_ends() -> None:
    assert len(images.srcset("/a.jpg 1x," * 100_000)) == images.MAX_CANDIDATES
