import gzip
import json
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from m3w_builder import images
from m3w_builder.errors import PageError
from m3w_builder.images import picture_key
from m3w_builder.interleave import apart, interleave, read_page
from m3w_builder.interleave.hints import REASONS
from m3w_builder.pairs import image_pairs, video_pairs
from m3w_builder.types import Document, Image, Page, Text, Video

HOSTILE = Path(__file__).parents[2] / "shared" / "data" / "hostile"
GOLDEN = sorted((Path(__file__).parent / "data" / "pages").glob("*.html"))
URL = "https://ex.com/blog/2020/post.html"
WORDS = "A paragraph has a number of words and says something, so that it counts as running text. "
LONG = f"<p>{WORDS * 2}</p>"


def document(body: str, head: str = "") -> Document:
    html = f"<html lang=en><head><title>T</title>{head}</head><body>{body}</body></html>"
    return interleave(read_page(Page(URL, html.encode())))


def render(found: Document) -> str:
    """Returns a document as text, a line per node."""
    lines = []
    for node in found.nodes:
        if isinstance(node, Text):
            lines.append(f"{node.role}: {node.text}")
        elif isinstance(node, Image):
            lines.append(f"image: {node.url} | {node.alt} | {node.caption}")
        else:
            lines.append(f"video: {node.url} | {node.title} | {'file' if node.file else 'player'}")
    return "\n".join(line.replace("\n", "\\n") for line in lines) + "\n"


def inside(markup: str) -> list[str]:
    """Returns the lines of a piece of markup that stands between two paragraphs."""
    lines = render(document(f"<article>{LONG}{markup}{LONG}</article>")).splitlines()
    return [line for line in lines if WORDS[:20] not in line]


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<h2>A title</h2>", ["heading: A title"]),
        ("<p>one<br>two", ["paragraph: one\\ntwo"]),
        ("one<br><br>two", ["paragraph: one", "paragraph: two"]),
        ("<div>a<b>b</b>c <i>d</i></div>", ["paragraph: abc d"]),
        ("<ul><li>one<li>two</ul>", ["list_item: one", "list_item: two"]),
        ("<dl><dt>term</dt><dd>meaning</dd></dl>", ["list_item: term", "list_item: meaning"]),
        ("<blockquote><p>said</p></blockquote>", ["quote: said"]),
        ("<pre>a\n  b</pre>", ["code: a\\n  b"]),
        ("<table><tr><th>a<th>b<tr><td>1<td>2</table>", ["table: a | b\\n1 | 2"]),
        (
            "<table><tr><td><p>x</p><p>y</p><p>z</p></td></tr></table>",
            ["paragraph: x", "paragraph: y", "paragraph: z"],
        ),
        ("<form><p>in a form</p></form>", ["paragraph: in a form"]),
        ("<my-el><p>in a custom element</p></my-el>", ["paragraph: in a custom element"]),
        ("<details><summary>s</summary><p>d</p></details>", ["paragraph: s", "paragraph: d"]),
        ("<script>x</script><style>y</style><template>z</template>", []),
        ("<p>x<a class=headerlink href=#x>¶</a></p>", ["paragraph: x"]),
        (
            "<p>energy <math alttext='E=mc^2'><mi>E</mi></math> law</p>",
            ["paragraph: energy E=mc^2 law"],
        ),
        ("<p>so <img class=emoji alt='😀' src=/e.png> good</p>", ["paragraph: so 😀 good"]),
        ("<div class=share><p>Share this with all of your friends</p></div>", []),
        ("<div style='display:none'><p>SECRET</p></div>", []),
        ("<nav><a href=/a>a</a> <a href=/b>b</a></nav>", []),
        ("<ul><li><a href=/a>Other story</a></li><li><a href=/b>Another story</a></li></ul>", []),
    ],
)
def test_text_by_role(markup: str, expected: list[str]) -> None:
    assert inside(markup) == expected


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        (
            "<p>a <img src=/i.jpg alt=I> b</p>",
            ["paragraph: a", "image: https://ex.com/i.jpg | I | ", "paragraph: b"],
        ),
        ("<div><img src=i.jpg></div>", ["image: https://ex.com/blog/2020/i.jpg |  | "]),
        (
            "<figure><img src=/f.jpg><figcaption>Cap</figcaption></figure>",
            ["image: https://ex.com/f.jpg |  | Cap", "caption: Cap"],
        ),
        (
            "<div class=wp-caption><a href=/p/1><img src=/f.jpg></a><p class=wp-caption-text>Cap</p></div>",
            ["image: https://ex.com/f.jpg |  | Cap", "caption: Cap"],
        ),
        (
            "<div class=figure><p class=title>Figure 1. Cap</p><div class=mediaobject><img src=/f.jpg></div></div>",
            ["caption: Figure 1. Cap", "image: https://ex.com/f.jpg |  | Figure 1. Cap"],
        ),
        ("<noscript><img src=/real.jpg></noscript>", ["image: https://ex.com/real.jpg |  | "]),
        (
            "<img src=/wait.jpg><noscript><img src=/real.jpg></noscript>",
            ["image: https://ex.com/real.jpg |  | "],
        ),
        (
            "<picture><source srcset='/b.webp 900w'><img src=/b.jpg></picture>",
            ["image: https://ex.com/b.webp |  | "],
        ),
        (
            "<img src=/a.jpg><p>text</p><img src=/a.jpg>",
            ["image: https://ex.com/a.jpg |  | ", "paragraph: text"],
        ),
        ("<svg><path/></svg><img src='data:image/png;base64,AA'>", []),
        ("<video src=/v.mp4 title=V></video>", ["video: https://ex.com/v.mp4 | V | file"]),
        (
            "<iframe src=https://www.youtube.com/embed/abcdefghijk></iframe>",
            ["video: https://www.youtube.com/watch?v=abcdefghijk |  | player"],
        ),
    ],
)
def test_media_in_their_places(markup: str, expected: list[str]) -> None:
    assert inside(markup) == expected


PEERS_LOSE = [  # where others fail: a picture's element, and its address
    ("<img src='img/a.jpg'>", "/blog/2020/img/a.jpg"),
    ("<img src='../img/a.jpg'>", "/blog/img/a.jpg"),
    ("<img src='//cdn.x.com/a.jpg'>", "https://cdn.x.com/a.jpg"),
    ("<img srcset='/a-1.jpg 1x, /a-2.jpg 2x'>", "/a-2.jpg"),
    ("<picture><source srcset='/a.webp' type=image/webp><img src=/a.jpg></picture>", "/a.jpg"),
    ("<picture><source media=print><img src=/a.jpg></picture>", "/a.jpg"),
    ("<figure><img src=/f.jpg><figcaption>Cap</figcaption></figure>", "/f.jpg"),
    ("<img src=/blank.gif data-src=/real.jpg>", "/real.jpg"),
    ("<noscript><img src=/real.jpg></noscript>", "/real.jpg"),
    ("<img src='https://res.cloudinary.com/x/w_200,h_300/a.jpg'>", "https://res.cloudinary.com/x/w_200,h_300/a.jpg"),
    ("<img src='https://ex.com:8080/a.jpg'>", "https://ex.com:8080/a.jpg"),
    ("<img src='http://1.2.3.4/a.jpg'>", "http://1.2.3.4/a.jpg"),
    ("<img src='/my cat.jpg'>", "/my%20cat.jpg"),
    ("<div><img src=/a.jpg></div>", "/a.jpg"),
    ("<img srcset='/a-300.jpg 300w, /a-600.jpg 600w'>", "/a-600.jpg"),
    *(
        (f"<{tag}><img src=/a.jpg></{tag.split()[-1]}>", "/a.jpg")
        for tag in ("ul><li", "form", "details", "label", "my-element", "table><tr><td", "dl><dd", "center")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("markup", "address"), PEERS_LOSE)
def test_a_picture_that_peers_lose(markup: str, address: str) -> None:
    url = address if ":" in address else "https://ex.com" + address
    assert [line.split(" | ")[0] for line in inside(markup) if "image" in line] == [f"image: {url}"]


@pytest.mark.parametrize(
    ("reference", "address"),
    [("img/a.jpg", "img/a.jpg"), ("/a.jpg", "a.jpg"), ("../a.jpg", "a.jpg")],
)
def test_a_picture_is_relative_to_the_base_element(reference: str, address: str) -> None:
    found = document(f"{LONG}<img src='{reference}'>{LONG}", "<base href='https://cdn.ex.com/'>")
    assert [image.url for image in found.images] == [f"https://cdn.ex.com/{address}"]


@pytest.mark.parametrize(
    "markup",
    [
        "<ul><li>{}</li></ul>",
        "<ol><li><p>{}</p></li></ol>",
        "<table><tr><td>{}</td></tr></table>",
        "<pre>{}</pre>",
        "<form><p>{}</p></form>",
        "<my-el><p>{}</p></my-el>",
        "<details><p>{}</p></details>",
        "<label>{}</label>",
        "<figure><p>{}</p></figure>",
        "<dl><dd>{}</dd></dl>",
        "<center>{}</center>",
    ],
)
def test_a_text_that_peers_lose(markup: str) -> None:
    said = "These are the words that must not be lost on the way."
    assert [line.partition(": ")[2] for line in inside(markup.format(said))] == [said]


def test_boilerplate_around_the_content_is_left_out() -> None:
    menu = "".join(f"<li><a href=/{i}>Menu entry {i}</a></li>" for i in range(20))
    found = document(
        f"<header><img src=/logo.png><ul>{menu}</ul></header><div><div id=content>{LONG}<img src=/i.jpg>{LONG}</div>"
        f"<div class=sidebar><h3>Popular</h3><img src=/ad.jpg>{LONG}</div></div>"
        f"<div class=comments>{LONG * 5}</div><footer>{LONG}<img src=/f.png></footer>"
    )
    assert [node.url for node in found.images] == ["https://ex.com/i.jpg"]
    assert len(found.texts) == 2


def test_lead_picture_above_the_text_belongs_to_it() -> None:
    found = document(
        f"<main><header><h1>T</h1><figure><img src=/lead.jpg><figcaption>Lead</figcaption></figure></header>"
        f"<div class=body>{LONG * 4}</div></main>"
    )
    assert isinstance(found.nodes[0], Text | Image)
    assert found.images[0].caption == "Lead"


LEAD = "<meta property=og:image content=/lead.jpg><meta property=og:image:alt content='The lead'>"
LINKED_DATA = (
    '<script type="application/ld+json">{"@type": "NewsArticle", "image": {"@type": "ImageObject",'
    ' "url": "https://ex.com/lead.jpg", "caption": "The lead"}}</script>'
)
STORY = "".join(f"<p>{WORDS * 2} This is paragraph {number}.</p>" for number in range(5))


def addresses(body: str, head: str) -> list[str]:
    """Returns the pictures of a page by file name, and "text" for each run of texts."""
    nodes = document(f"<article><h1>A headline</h1>{body}</article>", head).nodes
    names = ["text" if isinstance(n, Text) else n.url.rpartition("/")[2] for n in nodes]
    return [name for i, name in enumerate(names) if name != "text" or names[i - 1 : i] != ["text"]]


@pytest.mark.parametrize("head", [LEAD, LINKED_DATA, "<link rel=image_src href=/lead.jpg>"])
def test_a_lead_picture_of_the_metadata_comes_first(head: str) -> None:
    assert addresses(STORY, head) == ["lead.jpg", "text"]


@pytest.mark.parametrize(
    "shown", ["/lead.jpg", "/lead-300x200.jpg", "/lead.jpg?w=640", "//ex.com/lead.jpg#x"]
)
def test_a_lead_picture_that_the_page_shows_stays_where_it_is(shown: str) -> None:
    assert len(addresses(f"{STORY}<img src='{shown}'>{STORY}", LEAD)) == 3


@pytest.mark.parametrize(
    "address",
    ["/logo.png", "/img/default-og-image.jpg", "/favicon.ico", "data:image/png;base64,AA"],
)
def test_a_picture_that_stands_for_the_site_is_no_lead(address: str) -> None:
    assert addresses(STORY, f"<meta property=og:image content='{address}'>") == ["text"]


def test_a_picture_above_the_text_is_the_lead() -> None:
    assert addresses(f"<img src=/other.jpg>{STORY}", LEAD) == ["text", "other.jpg", "text"]


def test_the_lead_picture_has_its_own_alt_and_caption() -> None:
    (one,) = document(STORY, LEAD).images
    assert (one.alt, one.caption, one.path) == ("The lead", "", "/html/head/meta[1]")
    (two,) = document(STORY, LINKED_DATA).images
    assert (two.alt, two.caption, two.path) == ("", "The lead", "/html/head/script")


@pytest.mark.parametrize(
    "again",
    [
        "/cat-300x200.jpg",
        "/cat.jpg?w=300",
        "/cat.jpg",
        "/cat@2x.jpg",
        "/cat-scaled.jpg",
        "/cat-1024x683.jpg.webp",
    ],
)
def test_one_picture_in_two_sizes_is_one_picture(again: str) -> None:
    found = document(f"{LONG}<img src=/cat.jpg>{LONG}<img src='{again}'>{LONG}")
    assert [image.url for image in found.images] == ["https://ex.com/cat.jpg"]


def test_two_pictures_of_one_name_are_two() -> None:
    found = document(f"{LONG}<img src=/a/cat.jpg><img src=/b/cat.jpg><img src=/a/cat2.jpg>{LONG}")
    assert len(found.images) == 3


OUT = {
    "navigation": "<nav><ul><li><a href=/a>News</a><li><a href=/b>Sport</a></ul></nav>",
    "a menu without a nav": "<ul class=main-menu><li><a href=/a>News</a><li><a href=/b>Sport</a></ul>",
    "breadcrumbs": "<div class=breadcrumb><a href=/>Home</a> / <a href=/n>News</a></div>",
    "share buttons": "<ul class=share-bar><li><a href=//f.example>Share it</a><li><a href=//t.example>Post it</a></ul>",
    "related stories": "<div class=related-posts><h3>Related</h3><ul><li><a href=/a><img src=/a.jpg>Story one</a>"
    "<li><a href=/b><img src=/b.jpg>Story two</a></ul></div>",
    "an advertisement": "<div class=ad-slot><a href=//ads.example><img src=//ads.example/buy.jpg></a></div>",
    "page numbers": "<div class=pagination><a href=?p=1>1</a> <a href=?p=2>2</a> <a href=?p=2>Next</a></div>",
    "hidden text": "<p hidden>Words that nobody sees.</p><div style='display:none'><p>Nor these.</p></div>",
    "a footer": f"<footer>{LONG}<img src=/f.jpg></footer>",
    "comments": f"<section id=comments><h2>2 comments</h2><div class=comment><img src=/me.jpg class=avatar>{LONG}"
    "</div></section>",
}  # fmt: skip
ABOVE = {
    "a link to the content": "<a class=skip-link href=#main>Skip to main content</a>",
    "a logo": "<header class=site-header><a href=/><img src=/logo.png alt=Home></a></header>",
    "a warning": "<noscript>Please turn on JavaScript to see all of this page.</noscript>",
}
BELOW = {
    "a cookie banner": "<div id=cookie-banner><p>This site uses cookies to count its visitors and to show what you may"
    " want to buy. Do you agree with that?</p><button>Yes</button></div>",
    "a form for a newsletter": "<div class=newsletter-signup><p>Get our newsletter every morning in your inbox, free of"
    " charge.</p><form><input></form></div>",
    "teasers": "<div class=teasers>"
    + "".join(f"<a href=/{n}><img src=/t{n}.jpg><h3>Another story {n}</h3></a>" for n in range(6))
    + "</div>",
}  # fmt: skip
IN = {
    "a gallery": (
        "<div class=gallery><figure><img src=/1.jpg><figcaption>One</figcaption></figure><figure><img src=/2.jpg>"
        "<figcaption>Two</figcaption></figure></div>",
        ["1.jpg", "One", "2.jpg", "Two"],
    ),
    "a film": (
        "<figure class=wp-block-embed><iframe src=https://www.youtube.com/embed/abcdefghijk></iframe><figcaption>A film"
        "</figcaption></figure>",
        ["watch?v=abcdefghijk", "A film"],
    ),
    "a slide show": (
        "<div class=slider><div class=slide><img src=/1.jpg></div><div class=slide><img src=/2.jpg></div></div>",
        ["1.jpg", "2.jpg"],
    ),
    "a picture in a link to itself": ("<p><a href=/1-full.jpg><img src=/1-small.jpg></a></p>", ["1-full.jpg"]),
    "a heading": ("<h2>The second part</h2>", ["The second part"]),
}  # fmt: skip


def names(body: str) -> list[str]:
    """Returns the nodes of an article with something in it, without the article's own."""
    nodes = document(f"<main><h1>A headline</h1>{body}</main>").nodes
    found = [n.text if isinstance(n, Text) else n.url.rpartition("/")[2] for n in nodes]
    return [name for name in found if WORDS[:20] not in name and name != "A headline"]


@pytest.mark.parametrize("name", OUT)
def test_what_is_no_content_is_out_wherever_it_stands(name: str) -> None:
    assert names(f"{STORY}{OUT[name]}{STORY.replace('This', 'That')}") == []
    assert names(f"{STORY}{OUT[name]}") == []
    assert names(f"{OUT[name]}{STORY}") == []


@pytest.mark.parametrize("name", ABOVE)
def test_what_is_no_content_is_out_above_the_text(name: str) -> None:
    assert names(f"</main>{ABOVE[name]}<main>{STORY}") == []


@pytest.mark.parametrize("name", BELOW)
def test_what_is_no_content_is_out_below_the_text(name: str) -> None:
    assert names(f"{STORY}</main>{BELOW[name]}") == []


@pytest.mark.parametrize("name", IN)
def test_what_is_content_is_in(name: str) -> None:
    markup, expected = IN[name]
    assert names(f"{STORY}{markup}{STORY.replace('This', 'That')}") == expected


def test_base_element_counts_only_as_http() -> None:
    head = '<base href="https://cdn.ex.com/">'
    assert (
        document(f"{LONG}<img src=img/a.jpg>{LONG}", head).images[0].url
        == "https://cdn.ex.com/img/a.jpg"
    )
    head = '<base href="file:///etc/">'
    assert (
        document(f"{LONG}<img src=a.jpg>{LONG}", head).images[0].url
        == "https://ex.com/blog/2020/a.jpg"
    )


def test_document_keeps_where_it_comes_from() -> None:
    html = f"<title>A  title</title><p>{WORDS}</p><p>{WORDS}</p>".encode()
    found = interleave(
        read_page(Page(URL + "#frag", html, "", (), "2026-01-01T00:00:00Z", "r", "s"))
    )
    assert (found.url, found.title, found.crawled, found.record, found.source) == (
        URL, "A title", "2026-01-01T00:00:00Z", "r", "s",
    )  # fmt: skip
    assert found.texts[0].path == "/html/body/p[1]"


def test_a_page_without_text_has_no_content() -> None:
    with pytest.raises(PageError, match="no_content"):
        document("<img src=a.jpg>")


def test_a_page_without_address_is_refused() -> None:
    with pytest.raises(PageError, match="bad_url"):
        read_page(Page("file:///etc/passwd", b"<p>x"))


def test_too_many_elements_and_images_are_refused() -> None:
    with pytest.raises(PageError, match="too_many_images"):
        document("<img src=a.jpg>" * 10_001)
    with pytest.raises(PageError, match="too_many_elements"):
        document("<br>" * 300_001)


def test_text_of_a_deep_page_is_found_without_recursion() -> None:
    assert len(document("<div>" * 900 + LONG * 2).texts) == 2


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_page(path: Path) -> None:
    """Adding two files adds a test: a page, and the document it becomes."""
    page = Page(f"https://ex.com/{path.name}", path.read_bytes())
    assert render(interleave(read_page(page))) == path.with_suffix(".txt").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_path_of_every_node_finds_its_element(path: Path) -> None:
    parsed = read_page(Page(f"https://ex.com/{path.name}", path.read_bytes()))
    for node in interleave(parsed).nodes:
        (element,) = parsed.root.getroottree().xpath(node.path)
        if isinstance(node, Text):
            assert node.text.split()[0] in "".join(element.itertext())
        elif isinstance(node, Image) and element.tag != "meta":
            shown = {picture_key(url) for url in images.addresses(element, parsed.base)}
            assert picture_key(node.url) in shown


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_dropped_item_of_a_page_has_a_reason(path: Path) -> None:
    parsed = read_page(Page(f"https://ex.com/{path.name}", path.read_bytes()))
    assert [verdict == "" for verdict in parsed.verdicts] == parsed.kept
    assert {*parsed.verdicts, *(why for _, why in parsed.walk.skipped)} <= {
        "",
        "links",
        "outside",
        "repeated",
        *REASONS,
    }
    assert all(why for _, why in parsed.walk.skipped)


@pytest.mark.parametrize(
    ("damage", "texts"),
    [
        ("<p>{0}<p>{1}", 2),  # nothing is closed
        ("<div><b><i><p>{0}<div><a href=/x><p>{1}<table><tr><td><ul><li>", 2),
        ("<p>{0}</b></i></div></div></p><p>{1}</p></body></html></html>", 2),  # what was never opened
        ("<p>{0}</p><p>{1}</p><img src='/a.jpg", 2),  # cut off in a tag
        ("<p>{0}</p><p>{1}</p><!-- cut off in a comment", 2),
        ("</body></html><p>{0}</p><p>{1}</p>", 2),  # after the end
        ("<b><p>{0}</b></p><i><p>{1}</i></p>", 2),  # crossed
        ("<P CLASS=X>{0}</P><P>{1}</p>", 2),
        ("<p a=1 a=2 '=\"x\" <=>{0}</p><p>{1}</p>", 2),  # odd attributes
        ("<p>{0}</p><p>{1} &copy &#0; &#x110000; &nosuch; &amp</p>", 2),
        ("<p>{0}</p>\0<p>\0{1}\0</p>", 2),
        ("<ul><p>{0}</p><li>{1}</ul>", 2),
    ],
)  # fmt: skip
def test_a_damaged_page_keeps_its_text(damage: str, texts: int) -> None:
    said = [f"{WORDS}This is {name}." for name in ("the first", "the other")]
    found = interleave(read_page(Page(URL, damage.format(*said).encode()))).texts
    assert len(found) == texts
    assert all(text.text.startswith(words) for text, words in zip(found, said, strict=True))


def test_nul_bytes_are_no_characters() -> None:
    html = f"<ti\0tle>T</title><p>{WORDS}</p><p>wo\0rd {WORDS}</p><img src='/a\0.jpg'>".encode()
    found = interleave(read_page(Page(URL, html)))
    assert found.texts[1].text.startswith("word A paragraph")
    assert [image.url for image in found.images] == ["https://ex.com/a.jpg"]


MARKUP = st.sampled_from([
    "<p>", "</p>", "<div class='related'>", "</div>", "<table>", "<tr><td>", "</table>", "<li>", "<ul", ">", "</a>",
    "<a href=/x>", "<img src=/i.jpg alt='", "'>", "<!--", "-->", "<pre>", "</pre>", "<noscript>", "<svg>", "</svg>",
    "&lt;", "\0", "\xff", "<script>", "</script>", "words of a text ", "<figure>", "<figcaption>", "<br>", "日本",
    "<math>", "<video src=/v.mp4>", "<iframe src=//www.youtube.com/embed/abcdefghijk>", "<body>", "</html>", "<o:p>",
    "<dl>", "<dd>", "<dt>",
])  # fmt: skip


@pytest.mark.filterwarnings("ignore::html5lib.constants.DataLossWarning")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(MARKUP, max_size=30))
def test_any_markup_becomes_a_document_or_a_counted_reject(pieces: list[str]) -> None:
    page = Page(URL, "".join(pieces).encode("latin-1", "replace"))
    try:
        parsed = read_page(page)
        found = interleave(parsed)
    except PageError:
        return
    for node in found.nodes:
        assert len(parsed.root.getroottree().xpath(node.path)) == 1
        assert not isinstance(node, Text) or node.text.strip()
    assert render(interleave(read_page(page))) == render(found)


def test_videos_are_nodes_with_a_path() -> None:
    found = document(f"{LONG}<video src=/v.mp4></video>{LONG}")
    assert [type(node) for node in found.nodes] == [Text, Video, Text]
    assert found.videos[0].path == "/html/body/video"


def hostile_rows() -> list[dict[str, Any]]:
    if not HOSTILE.exists():
        return []
    return [r for r in json.loads((HOSTILE / "index.json").read_text()) if r["kind"] == "html"]


@pytest.mark.slow
@pytest.mark.skipif(not HOSTILE.exists(), reason="the development data is not here")
@pytest.mark.parametrize("row", hostile_rows(), ids=lambda row: Path(row["file"]).name)
def test_a_hostile_page_ends_soon_as_what_is_expected(row: dict[str, Any]) -> None:
    data = (HOSTILE / row["file"]).read_bytes()
    data = gzip.decompress(data) if row["file"].endswith(".gz") else data
    start, outcome = process_time(), ""
    try:
        parsed = read_page(Page(URL, data))
        image_pairs(parsed)
        video_pairs(parsed)
        outcome = render(interleave(parsed))
    except PageError:
        pass  # a counted reject: right for all that is not marked ok
    assert process_time() - start < 5
    if row["expect"] == "ok":
        assert outcome
        assert row.get("text", "") in outcome


def test_deep_and_full_page_is_refused_before_its_paths_fill_the_memory():
    page = Page("https://ex.com/", b"<div>" * 1500 + b"<p>word</p>" * 30_000)
    with pytest.raises(PageError, match="nesting_too_deep"):
        interleave(read_page(page))


def test_a_label_of_a_form_is_no_paragraph() -> None:
    assert (
        names(f"{STORY}<form><label for=q>Quantity</label><select id=q><option>1</select></form>")
        == []
    )


@pytest.mark.parametrize("name", ["newsletter-signup", "cookie-banner", "subscribe-box"])
def test_a_form_between_paragraphs_is_out(name: str) -> None:
    words = "Get our newsletter every morning in your inbox, free of charge."
    box = f"<div class={name}><p>{words}</p><form><input></form></div>"
    assert names(f"{STORY}{box}{STORY.replace('This', 'That')}") == []


def test_the_caption_of_a_repeated_picture_goes_with_it() -> None:
    figure = "<figure><img src=/i.jpg><figcaption>The caption</figcaption></figure>"
    assert names(f"{STORY}{figure}<p>Between.</p>{figure}{STORY.replace('This', 'That')}") == [
        "i.jpg",
        "The caption",
        "Between.",
    ]


def test_a_repeated_picture_has_a_reason() -> None:
    html = f"<p>{WORDS}</p><img src=/i.jpg><p>{WORDS} More.</p><img src=/i.jpg>"
    parsed = read_page(Page(URL, html.encode()))
    assert sum(verdict == "" for verdict in parsed.verdicts) == len(interleave(parsed).nodes)


def test_of_one_picture_in_two_sizes_the_larger_is_taken() -> None:
    body = f"{STORY}<img src=/cat-300x200.jpg><p>Between them.</p><img src=/cat-1200x800.jpg>{LONG}"
    assert names(body)[0] == "cat-1200x800.jpg"


def test_the_reason_of_a_cookie_banner() -> None:
    words = "This site uses cookies to count its visitors, do you agree with that?"
    html = f"{STORY}<div class=cookie-banner><p>{words}</p></div>"
    assert "cookie" in read_page(Page(URL, html.encode())).verdicts


def test_boxes_within_boxes_are_searched_for_words_a_bounded_number_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searches = []
    monkeypatch.setattr(apart, "is_wordless", lambda element: bool(searches.append(element)))
    html = "<div class=sidebar>" * 100 + "<i>w</i>" * 50 + "x" * 200
    read_page(Page(URL, html.encode()))
    assert len(searches) == apart.MAX_SEARCHES
