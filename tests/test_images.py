import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from m3w_builder import images
from m3w_builder.urls import canonical

TAGS = ("img", "amp-img", "amp-anim", "object", "embed")
BASE = "https://ex.com/blog/2020/post.html"


def first(markup: str):
    return next(html.fragment_fromstring(f"<div>{markup}</div>").iterdescendants(*TAGS))


def url(markup: str) -> str:
    image = images.read(first(markup), BASE)
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
        ('<img src="#">', ""),
        # srcset
        ('<img srcset="/a.jpg 1x,/b.jpg 2x">', "/b.jpg"),
        ('<img srcset="  /a.jpg   100w ,\n /b.jpg\t200w  , ">', "/b.jpg"),
        ('<img srcset="/a,b.jpg 100w, /c,d.jpg 90w">', "/a,b.jpg"),
        ('<img srcset="/a.jpg 100w 50h, /b.jpg 200w 100h">', "/b.jpg"),
        ('<img srcset="/my cat.jpg 300w, /my big cat.jpg 900w">', "/my%20big%20cat.jpg"),
        ('<img srcset="data:image/gif;base64,R0,l 900w, /b.jpg 2w">', "/b.jpg"),
        ('<img srcset="/b.jpg .5x, /a.jpg">', "/a.jpg"),
        ('<img src="/cat.jpg" srcset="/cat-300x200.jpg 300w, /cat-600x400.jpg 600w">', "/cat.jpg"),
        ('<img src="/cat.jpg" srcset="/cat.jpg 600w, /cat-900x600.jpg 900w">', "/cat-900x600.jpg"),
        (
            '<img src="/a/cat-articleLarge.jpg" srcset="/a/cat-jumbo.jpg 1024w">',
            "/a/cat-jumbo.jpg",
        ),
        ('<img src="/p/7/thumb.jpg" data-x="/p/7/144x144.jpg">', "/p/7/144x144.jpg"),
        ('<img src="undefined">', ""),
        ('<img src="/photos/638a0bbf/undefined">', "/photos/638a0bbf/undefined"),
        ('<img src="/dog.jpg" srcset="/cat-300x200.jpg 300w">', "/cat-300x200.jpg"),
        # lazy loading, by the value and not by a list of names
        ('<img src="/x.svg" data-foo-bar="/real.jpg">', "/real.jpg"),
        ('<img src="/t-150x150.jpg" data-src="/real/dog.jpg">', "/real/dog.jpg"),
        ('<img src="/blank.gif" original="/real.jpg">', "/real.jpg"),
        (
            '<img src="/blank.gif" data-src="/my cat: a portrait.jpg">',
            "/my%20cat:%20a%20portrait.jpg",
        ),
        ('<img data-original="//cdn.com/i?id=7">', "https://cdn.com/i?id=7"),
        ('<img data-srcset="/a.jpg 1x, /b.jpg 3x">', "/b.jpg"),
        ('<img data-responsive="/a.jpg 100w, /b.jpg 300w">', "/b.jpg"),
        (
            '<img data-src="//c.com/a_{width}x.jpg" data-widths="[180, 720, 4000]">',
            "https://c.com/a_720x.jpg",
        ),
        ('<img src="/lo.jpg" data-src-small="/s.jpg" data-src-large="/l.jpg">', "/l.jpg"),
        ('<img src="/a.jpg" data-avatar="/me.jpg" data-share-image="/og.jpg">', "/a.jpg"),
        ('<img data-sources=\'[{"src":"https:\\/\\/c.com\\/a.jpg"}]\'>', "https://c.com/a.jpg"),
        (
            '<img src="/c.jpg?w=90" data-medium-file="/c.jpg?w=300" data-orig-file="/c.jpg"'
            ' data-large-file="/c.jpg?w=1024">',
            "/c.jpg",
        ),
        ('<img src="/c-300x200.jpg" data-zoom="/c-900x600.jpg">', "/c-900x600.jpg"),
        ('<img src="/a.jpg" alt="b.jpg" title="c.jpg" onclick="show(\'/d.jpg\')">', "/a.jpg"),
        ('<img src="/a.jpg" data-caption="Our cat in /b.jpg">', "/a.jpg"),
        ('<img src="/a.jpg" longdesc="/b.jpg" usemap="/c.jpg" data-url="/page.html">', "/a.jpg"),
        # placeholders
        ('<img src="/img/loading-spinner.svg">', ""),
        ('<img src="/1x1.trans.gif">', ""),
        ('<img src="/no-image.png">', ""),
        ('<img src="/blank-9f86d081884c.gif?v=2">', ""),
        ('<img src="https://via.placeholder.com/300x200">', ""),
        ('<img src="/grey-16x9.png" data-x="/a.jpg">', "/a.jpg"),
        ('<img src="/point-blank.jpg">', "/point-blank.jpg"),
        ('<img src="/wilber-channel-gray.png">', "/wilber-channel-gray.png"),
        ('<img src="/layers-transparent.png">', "/layers-transparent.png"),
        ('<img src="/loading-dock.jpg">', "/loading-dock.jpg"),
        ('<img src="https://b.stats.ex.com/cat.jpg">', "https://b.stats.ex.com/cat.jpg"),
        ('<img src="https://pixel.ex.com/1.gif">', ""),
        ('<img src="/track.gif?u=1">', ""),
        ('<img src="/a.gif" style="width:1px;height:1px">', ""),
        ('<img src="/a.gif" width="100%" height="auto">', "/a.gif"),
        ('<img src="/a.jpg" width="570" height="0">', "/a.jpg"),
        ('<img src="/a.gif" width="0" height="0">', ""),
        # picture
        (
            '<picture><source media="(max-width: 600px)" srcset="/s.jpg">'
            '<source media="(min-width: 601px)" srcset="/m.jpg">'
            '<source media="(min-width: 60em)" srcset="/l.jpg"><img src="/a.jpg"></picture>',
            "/l.jpg",
        ),
        (
            '<picture><source media="(max-width: 9px)" srcset="/s.jpg"><img src="/a.jpg"></picture>',
            "/a.jpg",
        ),
        (
            '<picture><source srcset="/s.jpg 9w"><source data-srcset="/l.jpg 99w"><img></picture>',
            "/l.jpg",
        ),
        (
            '<picture><source type="image/jxl" srcset="/b 900w"><img src="/a.jpg"></picture>',
            "/a.jpg",
        ),
        (
            '<picture><source type="image/heic" srcset="/b 9w"><img src="/a.jpg"></picture>',
            "/a.jpg",
        ),
        (
            '<picture><source type="image/svg+xml" srcset="/b"><img src="/a.jpg"></picture>',
            "/a.jpg",
        ),
        ('<picture><source srcset="/b.svg 900w"><img src="/a.jpg"></picture>', "/a.jpg"),
        ('<picture><source type="image/avif" srcset="/b 9w"><img src="/a.jpg"></picture>', "/b"),
        (
            '<picture><source media="(prefers-color-scheme: dark)" srcset="/d.png 9w">'
            '<img src="/a.png"></picture>',
            "/a.png",
        ),
        ('<picture><source srcset="/b.svg"><img></picture>', "/b.svg"),
        (
            '<picture><img src="/a.jpg"><picture><source srcset="/b.jpg 9w"><img></picture></picture>',
            "/a.jpg",
        ),
        # links, AMP, object, embed
        ('<a href="/cat.jpg?x#y"><span><img src="/cat_thumb.png"></span></a>', "/cat.jpg?x"),
        ('<a href="/cat.svg"><img src="/cat.jpg"></a>', "/cat.jpg"),
        (
            '<a href="/w/File:Cat.jpg"><img src="/thumb/Cat.jpg/9px-Cat.jpg"></a>',
            "/thumb/Cat.jpg/9px-Cat.jpg",
        ),
        (
            '<amp-img src="/a.jpg" srcset="/a.jpg 100w, /b.jpg 640w" layout="fill"></amp-img>',
            "/b.jpg",
        ),
        ('<amp-anim src="/a.gif"></amp-anim>', "/a.gif"),
        ('<object data="/a.png" type="image/png"></object>', "/a.png"),
        ('<object data="/a.png"></object>', "/a.png"),
        ('<object data="/a" type="image/webp"></object>', "/a"),
        ('<object data="/a.png" type="text/html"></object>', ""),
        ('<object data="/a.swf"></object>', ""),
        ('<object data="/a.svg"><img src="/a.png"></object>', ""),
        ('<object data="/a.svg"></object>', "/a.svg"),
        ('<embed src="/a.gif">', "/a.gif"),
        ('<embed src="/a.mp4">', ""),
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


def test_an_element_that_is_no_picture_is_none() -> None:
    for markup in ("<p data-src='/a.jpg'>x</p>", "<a href='/a.jpg'>x</a>", "<svg><path/></svg>"):
        assert images.read(html.fragment_fromstring(markup), BASE) is None


def paths(element) -> list[str]:
    return [each.removeprefix("https://ex.com") for each in images.addresses(element, BASE)]


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ('<img src="/a.jpg">', ["/a.jpg"]),
        ('<img src="/blank.gif" data-src="/a.jpg">', ["/a.jpg"]),
        ('<img src="/a.jpg" srcset="/b.jpg 9w, /c.jpg 20w">', ["/c.jpg", "/a.jpg", "/b.jpg"]),
        (
            '<a href="/f/cat.jpg"><picture><source srcset="/cat.webp"><img src="/cat-90x90.jpg">'
            "</picture></a>",
            ["/f/cat.jpg", "/cat.webp", "/cat-90x90.jpg"],
        ),
        (
            '<img src="/a.jpg" data-avatar="/me.jpg" data-thumb="/a-9x90.jpg">',
            ["/a.jpg", "/a-9x90.jpg"],
        ),
        ('<object data="/a.png"></object>', ["/a.png"]),
        ('<img src="/blank.gif">', []),
        ('<img src="https://www.facebook.com/tr?id=1">', []),
    ],
)
def test_every_address_of_the_picture_is_named(markup: str, expected: list[str]) -> None:
    found = paths(first(markup))
    assert found[:1] == expected[:1]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ('<div style="background-image: url(/a.jpg)"></div>', "/a.jpg"),
        (
            '<div style="background:#000 url( &quot;/my cat.jpg&quot; ) no-repeat"></div>',
            "/my%20cat.jpg",
        ),
        ("<div style=\"color:red;BACKGROUND-IMAGE:URL('/a.jpg')\"></div>", "/a.jpg"),
        ('<div style="background:linear-gradient(red,blue),url(/a.jpg)"></div>', "/a.jpg"),
        ('<div style="background-image:image-set(url(/a.jpg) 1x,url(/b.jpg) 2x)"></div>', "/b.jpg"),
        ('<div style="background:url(/a\\28 1\\).jpg)"></div>', "/a(1).jpg"),
        ('<div data-bg="/a.jpg"></div>', "/a.jpg"),
        ('<div data-bg="url(/a.jpg)"></div>', "/a.jpg"),
        ('<section data-background-image="/a.jpg"><p>x</p></section>', "/a.jpg"),
        (
            '<section data-lazy-background="https://cdn.com/x?id=1"></section>',
            "https://cdn.com/x?id=1",
        ),
        ('<div data-bgset="/a.jpg 100w, /b.jpg 300w"></div>', "/b.jpg"),
        ('<div data-style="background-image:url(/a.jpg)"></div>', "/a.jpg"),
        ('<div class="lazy" data-src="/a.jpg"></div>', "/a.jpg"),
        ('<div class="lazy" data-src="/a.jpg"><p>text</p></div>', ""),
        ('<div data-src="/player.html"></div>', ""),
        (
            '<figure itemid="/a.jpg" itemtype="http://schema.org/ImageObject"><p>x</p></figure>',
            "/a.jpg",
        ),
        ('<figure itemid="/a.jpg" itemtype="http://schema.org/ImageObject"><img></figure>', ""),
        ('<figure itemid="/a.jpg" itemtype="http://schema.org/Thing"></figure>', ""),
        ('<div data-image="/og.jpg" data-url="/page"></div>', ""),
        ('<div data-bg="dark"></div>', ""),
        ('<div data-bg="#fff"></div>', ""),
        ('<div style="background-image:url(data:image/png;base64,AAAA)"></div>', ""),
        ('<div style="background-image:linear-gradient(red, blue)"></div>', ""),
        ('<div style="background:url(/a.png) repeat-x"></div>', ""),
        ('<div style="background:url(/a.png);background-position:0 -32px"></div>', ""),
        ('<div style="background:url(/sprites.png)"></div>', ""),
        ('<div style="background:url(/img/icon-mail.png)"></div>', ""),
        ('<div style="background:url(/blank.gif)"></div>', ""),
        ('<div style="background:url(#grad)"></div>', ""),
        ('<div style="list-style:url(/a.png)"></div>', ""),
        ('<div style="width:1px;background:url(/a.jpg)"></div>', ""),
        ("<div></div>", ""),
    ],
)
def test_a_background_picture(markup: str, expected: str) -> None:
    element = html.fragment_fromstring(markup)
    image = images.background(element, BASE)
    assert (image.url.removeprefix("https://ex.com") if image else "") == expected
    if expected:
        assert paths(element)[0] == expected


PIECES = st.sampled_from(
    [
        "/",
        "?",
        "&",
        "=",
        ".",
        ",",
        "a",
        "cat",
        ".jpg",
        "thumb",
        "640",
        "-300x200",
        "url=",
        "=s9",
        "https://",
        "%2F",
        "w_200",
        "cdn-cgi",
        "x.com",
        "styles",
    ]
)
SAME = {
    "cms suffixes": """
        https://ex.com/u/2020/01/cat.jpg
        https://ex.com/u/2020/01/cat-300x200.jpg
        https://ex.com/u/2020/01/cat-scaled.jpg
        https://ex.com/u/2020/01/cat_thumb.jpg
        https://ex.com/u/2020/01/cat@2x.jpg
        https://ex.com/u/2020/01/cat-640w.webp
        https://ex.com/u/2020/01/cat.jpg.webp
        https://ex.com/u/2020/01/cat_480x480_crop_center.jpg
        https://www.ex.com/u/2020/01/cat.jpg?w=640&h=480
        http://ex.com/u/2020/01/cat.jpg?resize=640%2C480&ssl=1
        https://ex.com/u/2020/01/cat.jpg?v=1589
        https://i0.wp.com/ex.com/u/2020/01/cat.jpg?resize=300%2C200&ssl=1
        https://i2.wp.com/www.ex.com/u/2020/01/cat.jpg?fit=900,900
        https://ex.com/_next/image?url=%2Fu%2F2020%2F01%2Fcat.jpg&w=640&q=75
        https://ex.com/_next/image?url=https%3A%2F%2Fex.com%2Fu%2F2020%2F01%2Fcat.jpg&w=1080&q=75
        https://o.com/cdn-cgi/image/width=80,quality=75/https://ex.com/u/2020/01/cat.jpg
        https://ex.com/cdn-cgi/image/fit=cover,width=800/u/2020/01/cat.jpg
        https://res.x.com/demo/w_200/https%3A%2F%2Fex.com%2Fu%2F2020%2F01%2Fcat.jpg
        https://wsrv.nl/?url=ex.com/u/2020/01/cat.jpg
        https://thumbor.x.com/unsafe/300x200/smart/ex.com/u/2020/01/cat.jpg
        https://proxy.x.com/?url=https://ex.com/u/2020/01/cat.jpg&w=100
        https://ex.com/timthumb.php?src=/u/2020/01/cat.jpg&w=100&zc=1
        https://ex-com.cdn.ampproject.org/i/s/ex.com/u/2020/01/cat.jpg
        """,
    "options in a segment": """
        https://res.c.com/demo/image/upload/cat.jpg
        https://res.c.com/demo/image/upload/w_200,h_300,c_fill/cat.jpg
        https://res.c.com/demo/image/upload/w_640/q_auto/f_auto/v1589999999/cat.png
        https://res.c.com/demo/image/upload/c_limit,f_auto,fl_lossy,q_auto/dpr_2.0/cat.jpg
        """,
    "a prefix of options": """
        https://ik.io/me/cat.jpg
        https://ik.io/me/tr:w-300,h-200/cat.jpg
        https://ik.io/me/cat.jpg?tr=w-300
        """,
    "blog sizes": """
        https://1.bp.b.com/-YIP/Vy7/AAA/s640/diagram.png
        https://1.bp.b.com/-YIP/Vy7/AAA/s1600/diagram.png
        https://1.bp.b.com/-YIP/Vy7/AAA/s72-c/diagram.png
        https://1.bp.b.com/-YIP/Vy7/AAA/w400-h300-p/diagram.png
        """,
    "size at the end": """
        https://lh3.g.com/AbCdEf123456=s640
        https://lh3.g.com/AbCdEf123456=w1200-h630-p-k-no-nu
        https://lh3.g.com/AbCdEf123456
        """,
    "wiki thumbnails": """
        https://up.w.org/wiki/commons/a/ab/Cat.jpg
        https://up.w.org/wiki/commons/thumb/a/ab/Cat.jpg/640px-Cat.jpg
        https://up.w.org/wiki/commons/thumb/a/ab/Cat.jpg/1280px-Cat.jpg
        """,
    "named styles": """
        https://ex.com/sites/default/files/2020-01/cat.jpg
        https://ex.com/sites/default/files/styles/large/public/2020-01/cat.jpg?itok=AbC-d
        """,
    "what follows a file is how to show it": """
        https://static.w.com/media/abc~mv2.jpg
        https://static.w.com/media/abc~mv2.jpg/v1/fill/w_740,h_493,al_c,q_85/abc~mv2.webp
        """,
    "size in a segment": """
        https://ich.b.com/news/640/cpsprodpb/16A9F/production/_108123456_cat.jpg
        https://ich.b.com/news/1024/cpsprodpb/16A9F/production/_108123456_cat.jpg
        """,
    "signed options": """
        https://cdn2.c.com/img/LI8y19stcvIQUdzbYdH4-DAigtc=/fit-in/570x0/2017/12/01/b36c/lite.jpg
        https://cdn2.c.com/img/JumVcu1ZSLtPP8ui0UWaSlgi5RU=/670x503/2017/12/01/b36c/lite.jpg
        https://cdn2.c.com/img/2017/12/01/b36c/lite.jpg
        """,
    "operators": """
        https://m.com/max/800/1*AbCdEf.jpeg
        https://m.com/v2/resize:fit:1400/1*AbCdEf.jpeg
        """.replace("/v2", ""),
    "a file named by its size": """
        https://ex.com/photos/101/large.jpg
        https://ex.com/photos/101/thumb.jpg
        https://ex.com/photos/101/640x480.jpg
        """,
    "image servers": """
        https://iiif.x.org/iiif/2/abc123/full/800,/0/default.jpg
        https://iiif.x.org/iiif/2/abc123/full/max/0/default.jpg
        https://iiif.x.org/iiif/2/abc123/square/!200,200/0/default.png
        """,
    "cached": """
        https://ex.com/media/catalog/product/c/a/cat_1.jpg
        https://ex.com/media/catalog/product/cache/9df78eab33525d08d6e5fb8d27136e95/c/a/cat_1.jpg
        """,
    "query of a hash": """
        https://images.g.com/avatar/0123456789abcdef0123456789abcdef?s=96&r=g
        https://images.g.com/avatar/0123456789abcdef0123456789abcdef?r=g&s=200
        """,
    "size words": """
        https://pbs.t.com/media/ABCDEF?format=jpg&name=large
        https://pbs.t.com/media/ABCDEF?format=jpg&name=small
        https://pbs.t.com/media/ABCDEF.jpg:large
        """,
    "photo letters": """
        https://live.f.com/65535/51234567890_0a1b2c3d4e_z.jpg
        https://live.f.com/65535/51234567890_0a1b2c3d4e_b.jpg
        https://live.f.com/65535/51234567890_0a1b2c3d4e.jpg
        """,
    "named crops": """
        https://static.n.com/2019/02/15/merlin_94083158_9e622a52-articleLarge.jpg?quality=90&auto=webp
        https://static.n.com/2019/02/15/merlin_94083158_9e622a52-superJumbo.jpg
        https://static.n.com/2019/02/15/merlin_94083158_9e622a52-jumbo.jpg
        """,
    "assets": """
        https://images.ct.net/space/4Id/0aHash/cat.png?w=800&fm=webp&q=70&fit=fill&f=face&fl=progressive
        https://images.ct.net/space/4Id/0aHash/cat.png
        https://images.ct.net/space/4Id/0aHash/cat.png?h=250&auto=format,compress&dpr=2&ixlib=rb-4
        """,
}
DIFFERENT = """
    https://ex.com/photo-1.jpg https://ex.com/photo-2.jpg
    https://ex.com/photo_01.jpg https://ex.com/photo_10.jpg
    https://ex.com/dsc-640.jpg https://ex.com/dsc-720.jpg
    https://ex.com/photo-2019.jpg https://ex.com/photo-2020.jpg
    https://ex.com/p.php?id=1 https://ex.com/p.php?id=2
    https://ex.com/a.jpg?id=1 https://ex.com/a.jpg?id=2
    https://ex.com/image.php?file=a https://ex.com/image.php?file=b
    https://ex.com/image.php?v=1 https://ex.com/image.php?v=2
    https://ex.com/image?s=1 https://ex.com/image?s=2
    https://ex.com/chart.png?symbol=A https://ex.com/chart.png?symbol=B
    https://ex.com/tile.png?x=1&y=2 https://ex.com/tile.png?x=2&y=2
    https://ex.com/photos/101/large.jpg https://ex.com/photos/102/large.jpg
    https://ex.com/uploads/640/image.jpg https://ex.com/uploads/720/image.jpg
    https://ex.com/2019/12/cat.jpg https://ex.com/2020/12/cat.jpg
    https://ex.com/s01/e02.jpg https://ex.com/s02/e02.jpg
    https://ex.com/pict_600x600-300x300.jpg https://ex.com/pict_600x6002-300x300.jpg
    https://ex.com/tech-720x225px-2.png https://ex.com/tech-720x844px-1.png
    https://ex.com/level-1x1.jpg https://ex.com/level-1x2.jpg
    https://ex.com/albums/20200101/101.jpg https://ex.com/albums/20200101/102.jpg
    https://ex.com/img/large.jpg https://ex.com/img/small.jpg
    https://ex.com/f_john/a.jpg https://ex.com/f_jane/a.jpg
    https://ex.com/_next/image?url=%2Fa.jpg&w=640 https://ex.com/_next/image?url=%2Fb.jpg&w=640
    https://i0.wp.com/ex.com/a.jpg https://i0.wp.com/o.com/a.jpg
    https://o.com/cdn-cgi/image/width=80/a.jpg https://o.com/cdn-cgi/image/width=80/b.jpg
    https://o.com/share.jpg?id=1&url=https://ex.com/p https://o.com/share.jpg?id=2&url=https://ex.com/p
    https://o.com/shot?id=1&url=https://ex.com/p https://o.com/shot?id=2&url=https://ex.com/p
    https://ex.com/a/cat.jpg https://ex.com/b/cat.jpg
    https://ex.com:8000/cat.jpg https://ex.com:9000/cat.jpg
    https://ex.com/Cat.jpg https://ex.com/cat.jpg
    https://ex.com/small-cat.jpg https://ex.com/big-cat.jpg
    https://ex.com/a b/c.jpg https://ex.com/a/b/c.jpg
    https://ex.com/search.php?q=cats https://ex.com/search.php?q=dogs
"""


@pytest.mark.parametrize("group", SAME.values(), ids=SAME)
def test_one_picture_in_several_sizes_has_one_key(group: str) -> None:
    keys = {each: images.picture_key(each) for each in group.split()}
    assert len(set(keys.values())) == 1, keys


@pytest.mark.parametrize("line", DIFFERENT.strip().splitlines())
def test_different_pictures_have_different_keys(line: str) -> None:
    one, _, other = line.strip().rpartition(" ")
    assert not images.same_picture(one, other), images.picture_key(one)


@given(st.lists(PIECES, max_size=10).map("".join))
def test_a_key_is_found_for_any_address(rest: str) -> None:
    address = canonical("https://ex.com/" + rest)
    assert images.picture_key(address)
    assert images.same_picture(address, address)


def test_no_two_groups_share_a_key() -> None:
    keys = [images.picture_key(group.split()[0]) for group in SAME.values()]
    assert len(set(keys)) == len(keys)


HOSTILE = {
    "commas": "," * 10**6,
    "spaces": "/a.jpg 1x," + " " * 10**6,
    "srcset": "/a.jpg 1x," * 10**5,
    "one word": "a" * 10**6,
    "digits": "1" * 10**6,
    "dots": "/a.jpg" + "." * 10**6,
    "options": "/" + "w_1," * 10**5,
    "json": "[" + '"/a.jpg",' * 10**5,
    "urls": "url(" * 10**5,
    "https": "https://" * 1000,
    "dashes": "/" + "-9x99" * 1500,
    "slashes": "/thumb" * 1300,
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_hostile_attributes_end_at_once(value: str) -> None:
    names = (
        "src",
        "srcset",
        "data-src",
        "data-srcset",
        "data-bg",
        "style",
        "alt",
        "width",
        "data-x",
    )
    began = time.perf_counter()
    for tag in ("img", "div", "object"):
        element = html.fragment_fromstring(f"<{tag}></{tag}>")
        for name in names:
            element.set(name, value)
        images.read(element, BASE)
        images.background(element, BASE)
        assert len(images.addresses(element, BASE)) <= images.MAX_CANDIDATES
    images.picture_key("https://ex.com/" + value)
    images.picture_key("https://ex.com/a?" + value)
    assert time.perf_counter() - began < 2


def test_a_picture_of_a_thousand_sources_and_images_ends() -> None:
    inner = '<source srcset="/a.jpg 1x, /b.jpg 2x">' * 1000 + '<img src="/a.jpg">' * 3000
    root = html.fragment_fromstring(f"<picture>{inner}</picture>")
    began = time.perf_counter()
    for element in root.iter("img"):
        images.read(element, BASE)
    assert time.perf_counter() - began < 2
