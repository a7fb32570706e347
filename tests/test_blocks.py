"""The walk of a page: what is one text and what is two, which blocks are not entered, what boxes hold."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from m3w_builder import dom
from m3w_builder.interleave.blocks import Walk, walk, weigh
from m3w_builder.interleave.tables import is_data_table
from m3w_builder.types import Image

BASE = "https://ex.com/a/page.html"
TEXT = "A paragraph with enough words that nobody could take it for the label of a button."


def walked(body: str) -> Walk:
    return walk(dom.parse(f"<html><body>{body}</body></html>"), BASE)


def lines(body: str) -> list[str]:
    """Returns the items of a page, a line each."""
    found = []
    for item in walked(body).items:
        kind = "image" if isinstance(item.media, Image) else "video" if item.media else item.role
        shown = item.text or (item.media.url.removeprefix("https://ex.com") if item.media else "")
        found.append(f"{kind}: {shown}")
    return found


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        # Inline tags neither split words nor glue them.
        ("<p>un<b>believ</b>able</p>", "unbelievable"),
        ("<p>one <b> two </b> three</p>", "one two three"),
        ("<p>one<span> two</span> <i>three </i>four</p>", "one two three four"),
        ("<p>H<sub>2</sub>O at 10<sup>5</sup> Pa</p>", "H2O at 105 Pa"),
        ("<p>one<!-- a comment -->two</p>", "onetwo"),
        ("<p>Super<wbr>cali<wbr>fragilistic</p>", "Supercalifragilistic"),
        ("<p>Press <kbd>Ctrl</kbd>+<kbd>C</kbd>.</p>", "Press Ctrl+C."),
        ("<p><font color=red>old</font><tt>est</tt> <acronym>HTML</acronym></p>", "oldest HTML"),
        ("<p>a\n   b\t c&nbsp; d</p>", "a b c d"),
        ("<p>one<br>two<br/>three<br clear='all'>four</p>", "one\ntwo\nthree\nfour"),
        ("<p><br>one<br></p>", "one"),
        # Links side by side are buttons or labels; in a sentence they are words.
        ("<p><a href=/a>News</a><a href=/b>Sport</a></p>", "News Sport"),
        ("<p><a href=/a>one</a>, <a href=/b>two</a>s.</p>", "one, twos."),
        ("<p>anti<a href=/a>gravity</a></p>", "antigravity"),
        # What cannot be seen is no character of the text; what joins letters is.
        ("<p>Donau&shy;dampf&#8203;schiff&#8288;fahrt&#65279;</p>", "Donaudampfschifffahrt"),
        ("<p>می&zwnj;خواهم</p>", "می‌خواهم"),
        ("<p>👩&zwj;🚀 flies</p>", "👩‍🚀 flies"),
        ("<p>&#8235;مرحبا <b>بالعالم</b>&#8236; ok</p>", "مرحبا بالعالم ok"),
        ("<p>שלום <a href=/x>עולם</a>!</p>", "שלום עולם!"),
        # A line break of the source is no space between ideographs, but one between other words.
        ("<p>日本<b>語</b>の\n    文章です。\n次の文</p>", "日本語の文章です。次の文"),
        ("<p>中文<br>换行</p>", "中文\n换行"),
        ("<p>한국어\n문장</p>", "한국어 문장"),
        ("<p>日本語\nEnglish</p>", "日本語 English"),
        ("<p>日本 語</p>", "日本 語"),
        ("<p><ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp>字<rt>ji</rt></ruby></p>", "漢字"),
        ("<p>ภาษา<wbr>ไทย</p>", "ภาษาไทย"),
        # Formulas are text.
        ("<p>so <math><mi>x</mi><mo>=</mo><mn>2</mn></math> holds</p>", "so x = 2 holds"),
        ("<p>so <math alttext='x^2'><mi>x</mi></math> holds</p>", "so x^2 holds"),
        (
            "<p>so <math><semantics><mi>x</mi><annotation encoding='application/x-tex'>\\frac{a}{b}"
            "</annotation></semantics></math> holds</p>",
            "so \\frac{a}{b} holds",
        ),
        (
            "<p>so <span class=katex><span class=katex-mathml><math><semantics><mi>x</mi><annotation"
            " encoding='application/x-tex'>x^2</annotation></semantics></math></span><span"
            " class=katex-html aria-hidden=true><span>x2</span></span></span> holds</p>",
            "so x^2 holds",
        ),
        ("<p>so \\(a+b\\) and $$c$$ hold</p>", "so \\(a+b\\) and $$c$$ hold"),
        ("<p>so <img class=latex src=/l.png alt='a^2'> holds</p>", "so a^2 holds"),
        ("<p>so <img class=emoji src=/e.png alt='😀'> good</p>", "so 😀 good"),
        # Handles and words for screen readers are not shown.
        ("<p>Title<a class=headerlink href=#t>¶</a></p>", "Title"),
        ("<p>Read<span class=sr-only> more of this</span></p>", "Read"),
        ("<p>seen<span hidden>one</span><span style='display:none'>two</span></p>", "seen"),
        ("<p>seen<script>one</script><style>two</style><template>three</template></p>", "seen"),
    ],
)
def test_what_a_reader_sees_of_a_paragraph(markup: str, expected: str) -> None:
    assert [item.text for item in walked(markup).items] == [expected]


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<div>one</div><div>two</div>", ["paragraph: one", "paragraph: two"]),
        (
            "<div><span>one</span></div><div><span>two</span></div>",
            ["paragraph: one", "paragraph: two"],
        ),
        ("<p>one<div>two</div>three", ["paragraph: one", "paragraph: two", "paragraph: three"]),
        ("one<p>two</p>three", ["paragraph: one", "paragraph: two", "paragraph: three"]),
        (
            "one<br><br>two<br>\n<br/>three",
            ["paragraph: one", "paragraph: two", "paragraph: three"],
        ),
        ("<h1>One</h1><h6>Two</h6>", ["heading: One", "heading: Two"]),
        ("<h2>One<br>two</h2>", ["heading: One\ntwo"]),
        (
            "<ul><li>one<ol><li>in</ol>after<li>two</ul>",
            ["list_item: one", "list_item: in", "list_item: after", "list_item: two"],
        ),
        ("<ol><li><p>one</p><p>two</p></ol>", ["list_item: one", "list_item: two"]),
        (
            "<dl><dt>term<dd>first<dd><p>second</p></dl>",
            ["list_item: term", "list_item: first", "list_item: second"],
        ),
        (
            "<blockquote>said<p>twice</p><footer>by her</footer></blockquote>",
            ["quote: said", "quote: twice", "quote: by her"],
        ),
        ("<details><summary>one</summary>two</details>", ["paragraph: one", "paragraph: two"]),
        ("<form><p>one</p></form>", ["paragraph: one"]),
        ("<my-element><p>one</p></my-element>", ["paragraph: one"]),
        ("<center>one</center><address>two</address>", ["paragraph: one", "paragraph: two"]),
        ("<p>one <img src=/i.jpg> two</p>", ["paragraph: one", "image: /i.jpg", "paragraph: two"]),
        ("<li>one<img src=/i.jpg></li>", ["list_item: one", "image: /i.jpg"]),
        ("<h2><img src=/i.jpg>One</h2>", ["image: /i.jpg", "heading: One"]),
        ("<p>* * *</p><p>→</p><hr><p>&nbsp;</p><p></p>", []),
        ("<select><option>one</select><textarea>two</textarea><button>three</button>", []),
    ],
)
def test_blocks_end_texts_and_give_them_their_role(markup: str, expected: list[str]) -> None:
    assert lines(markup) == expected


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<pre>    first\n  second\n\n\tthird  \n</pre>", "    first\n  second\n\n\tthird"),
        ("<pre>\n    first</pre>", "    first"),
        ("<pre><code>  def f():\n      return 1\n</code></pre>", "  def f():\n      return 1"),
        ("<pre><b>def</b> <i>f</i>():\n    <b>pass</b></pre>", "def f():\n    pass"),
        ("<pre><div>  a</div><div>    b</div></pre>", "  a\n    b"),
        ("<pre>a<br>  b</pre>", "a\n  b"),
        ("<pre>a&nbsp;=&nbsp;&lt;b&gt;</pre>", "a = <b>"),
        ("<pre>a\r\n  b</pre>", "a\n  b"),
        ("<pre>日本\n語</pre>", "日本\n語"),
        ("<listing>  x</listing>", "  x"),
    ],
)
def test_code_keeps_its_lines_and_their_indentation(markup: str, expected: str) -> None:
    (item,) = walked(markup).items
    assert (item.role, item.text) == ("code", expected)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("<tr><th>a<th>b<tr><td>1<td>2", "a | b\n1 | 2"),
        ("<thead><tr><th>a<th>b<tbody><tr><td>1<td>2<tfoot><tr><td>3<td>4", "a | b\n1 | 2\n3 | 4"),
        ("<tr><td>a<td><b>b</b>c<tr><td><p>1</p><p>2</p><td>3", "a | bc\n1 2 | 3"),
        ("<tr><td>a<td></td><td>b<tr><td>1<td>2<td></td>", "a |  | b\n1 | 2"),
        ("<tr><td>a<td>b<tr><td></td><td></td><tr><td>1<td>2", "a | b\n1 | 2"),
        (
            "<tr><td>a<td><img src=/y.png width=16 height=16 alt=yes><tr><td>b"
            "<td><img src=/n.png width=16 height=16 alt=no>",
            "a | yes\nb | no",
        ),
        ("<tr><td>one\ntwo<td>b<tr><td>c<td>d", "one two | b\nc | d"),
    ],
)
def test_a_table_is_a_text_with_a_row_a_line(rows: str, expected: str) -> None:
    (item,) = walked(f"<table>{rows}</table>").items
    assert (item.role, item.text) == ("table", expected)


def test_a_tables_caption_stands_apart_from_its_rows() -> None:
    found = lines("<table><caption>Sizes</caption><tr><td>a<td>b<tr><td>1<td>2</table>")
    assert found == ["caption: Sizes", "table: a | b\n1 | 2"]


@pytest.mark.parametrize(
    "table",
    [
        "<table><tr><td>one cell</table>",
        "<table><tr><td>one<td>row</table>",
        "<table role=presentation><tr><td>a<td>b<tr><td>c<td>d</table>",
        "<table><tr><td>a<td><ul><li>b</ul><tr><td>c<td>d</table>",
        "<table><tr><td>a<td><img src=/i.jpg><tr><td>c<td>d</table>",
        "<table><tr><td>a<td><h2>b</h2><tr><td>c<td>d</table>",
        f"<table><tr><td>a<td>{'word ' * 100}<tr><td>c<td>d</table>",
        "<table><tr><td>a<td><p>b<p>c<p>d<tr><td>c<td>d</table>",
        "<table><tr><td><table><tr><td>a<td>b</table><td>c<tr><td>d<td>e</table>",
    ],
)
def test_a_table_that_lays_out_the_page_is_not_data(table: str) -> None:
    element = dom.parse(table).find(".//table")
    assert element is not None
    assert not is_data_table(element)


def test_texts_of_a_layout_table_stay_apart() -> None:
    found = lines("<table role=presentation><tr><td>one<td>two<tr><td>three<td>four</table>")
    assert found == ["paragraph: one", "paragraph: two", "paragraph: three", "paragraph: four"]


@pytest.mark.parametrize(
    ("markup", "reason"),
    [
        ("<nav><a href=/a>a</a></nav>", "nav"),
        ("<menu><li>a</menu>", "nav"),
        (f"<footer><p>{TEXT}</p></footer>", "footer"),
        (f"<aside><p>{TEXT}</p></aside>", "aside"),
        (f"<p hidden>{TEXT}</p>", "hidden"),
        (f"<div style='color:red; display : none'><p>{TEXT}</p></div>", "hidden"),
        (f"<div style='visibility:hidden'><p>{TEXT}</p></div>", "hidden"),
        ("<ul class=share-buttons><li>one<li>two</ul>", "share"),
        ("<div class=sidebar><a href=/a>a</a></div>", "aside"),
        ("<div role=navigation><a href=/a>a</a></div>", "nav"),
        ("<div class=ad-slot><a href=/a><img src=/ad.jpg></a></div>", "ads"),
    ],
)
def test_a_block_set_apart_is_not_entered(markup: str, reason: str) -> None:
    found = walked(f"<p>{TEXT}</p>{markup}<p>the end</p>")
    assert [item.text for item in found.items] == [TEXT, "the end"]
    assert [why for _, why in found.skipped] == [reason]


@pytest.mark.parametrize(
    "markup",
    [
        f"<article><aside><p>{TEXT}</p></aside></article>",  # a note in the article
        f"<blockquote><footer>{TEXT}</footer></blockquote>",  # names who said it
        f"<div class=related><p>{TEXT}</p></div>",  # a name is not enough for a paragraph
        f"<div class=sidebar>{TEXT}</div>",  # nor for a long text
        f"<div class=share><h1>{TEXT}</h1></div>",
        "<div class=popular><figure><img src=/i.jpg></figure></div>",
    ],
)
def test_what_may_be_content_is_entered(markup: str) -> None:
    found = walked(f"<p>{TEXT}</p>{markup}<p>the end</p>")
    assert len(found.items) == 3
    assert found.skipped == []


@pytest.mark.parametrize("around", ["aside", "footer", "nav", "div hidden"])
def test_a_page_whose_text_is_all_set_apart_is_entered_after_all(around: str) -> None:
    found = walked(f"<p>{TEXT}</p><{around}>{f'<p>{TEXT} And on.</p>' * 4}</{around.split()[0]}>")
    assert len(found.items) == 5
    assert found.skipped == []


def test_a_name_around_most_of_the_text_names_the_page() -> None:
    article = f"<div class='post category-news related'>{f'<p>{TEXT}</p>' * 3}</div>"
    aside = f"<div class='related'><p>{TEXT}</p></div>"
    found = walked(article + aside)
    boxes = {box.element.get("class"): box for box in found.boxes if box.tag == "div"}
    assert boxes["post category-news related"].own != boxes["related"].own
    named = {found.boxes[item.box].marks for item in found.items}
    assert len(named) == 2


def test_an_id_made_of_its_headings_words_says_nothing_of_the_section() -> None:
    section = f"<section id=related-work><h2>Related work</h2><p>{TEXT}</p></section>"
    assert (
        walked(section).boxes[-1].marks == walked(section.replace("related-", "x-")).boxes[-1].marks
    )


def test_pictures_of_what_is_not_entered_serve_pairs_if_they_are_shown() -> None:
    found = walked(
        f"<p>{TEXT}</p><nav><img src=/a.jpg alt=A><img src=/b.jpg></nav>"
        "<div hidden><img src=/c.jpg alt=C></div>"
    )
    assert found.items[1:] == []
    assert [item.media and item.media.url for item in found.pictures_apart()] == [
        "https://ex.com/a.jpg"
    ]


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<p>a <img src=/i.png width=16 height=16> b</p>", ["paragraph: a b"]),
        ("<p>a <img src=/i.png width=16> b</p>", ["paragraph: a b"]),
        ("<p><img src=/i.png width=16 height=16> b</p>", ["image: /i.png", "paragraph: b"]),
        (
            "<p>a <img src=/i.png width=33 height=16> b</p>",
            ["paragraph: a", "image: /i.png", "paragraph: b"],
        ),
        ("<p>a <img src=/i.png> b</p>", ["paragraph: a", "image: /i.png", "paragraph: b"]),
    ],
)
def test_a_glyph_in_a_line_does_not_end_it(markup: str, expected: list[str]) -> None:
    assert lines(markup) == expected


@pytest.mark.parametrize(
    ("markup", "linked", "links"),
    [
        ("<p>no link</p>", 0, 0),
        ("<p>to <a href=/x>elsewhere</a></p>", 9, 1),
        ("<p><a href=/x>one</a> <a href=/y>two</a></p>", 6, 2),
        ("<p><a href=#part>within</a></p>", 0, 0),
        ("<p><a href=/full.jpg>to a picture</a></p>", 0, 0),
        ("<p><a name=here>anchor</a></p>", 0, 0),
    ],
)
def test_links_that_lead_elsewhere_are_counted(markup: str, linked: int, links: int) -> None:
    (item,) = walked(markup).items
    assert (item.linked, item.links) == (linked, links)


def test_a_text_about_its_date_is_dated() -> None:
    short, long = walked(f"<p>Posted <time>3 May</time></p><p>{TEXT} <time>3 May</time></p>").items
    assert (short.dated, long.dated) == (True, False)


@pytest.mark.parametrize(("shown", "weight"), [("abcd", 4), ("日本", 4), ("été", 4), ("", 0)])
def test_an_ideograph_weighs_as_much_as_two_letters(shown: str, weight: int) -> None:
    assert weigh(shown) == weight


# Trees of blocks and inline elements. Every text has a letter: a text without one is no item.
TAGS = (
    "div p span b a ul li dl dt dd h2 blockquote section article figure figcaption center em main"
)
texts = st.from_regex(r" ?[a-z]{1,4}[0-9]? ?", fullmatch=True)
nodes = st.recursive(
    texts,
    lambda inner: st.builds(
        lambda tag, parts: f"<{tag}{' href=/x' * (tag == 'a')}>{''.join(parts)}</{tag}>",
        st.sampled_from(TAGS.split()),
        st.lists(inner, max_size=4),
    ),
    max_leaves=25,
)
pages = st.lists(nodes, max_size=6).map("".join)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(pages)
def test_no_character_is_lost_and_none_is_made_up(page: str) -> None:
    root = dom.parse(f"<html><body>{page}</body></html>")
    shown = "".join(item.text for item in walk(root, BASE).items)
    assert "".join(shown.split()) == "".join("".join(map(str, root.itertext())).split())


@QUICK
@given(
    st.lists(
        st.tuples(st.sampled_from(["div", "p", "li", "h3", "dd", "section"]), texts),
        min_size=1,
        max_size=8,
    )
)
def test_texts_of_two_blocks_are_never_one(blocks: list[tuple[str, str]]) -> None:
    page = "".join(f"<{tag}>{text}</{tag}>" for tag, text in blocks)
    assert [item.text for item in walked(page).items] == [text.strip() for _, text in blocks]


@QUICK
@given(pages)
def test_boxes_nest_and_hold_their_items(page: str) -> None:
    found = walked(page)
    for index, box in enumerate(found.boxes):
        assert 0 <= box.start < box.end <= len(found.items)
        if box.parent < 0:
            assert (index, box.start, box.end) == (0, 0, len(found.items))
            continue
        parent = found.boxes[box.parent]
        assert box.parent < index
        assert parent.start <= box.start
        assert box.end <= parent.end
        assert box.depth == parent.depth + 1
        assert box.element in list(parent.element.iterdescendants())
        assert box.marks & parent.marks == parent.marks
    starts = [box.start for box in found.boxes]
    assert starts == sorted(starts)
    for i, item in enumerate(found.items):
        assert found.boxes[item.box].start <= i < found.boxes[item.box].end
        assert item.element is found.boxes[item.box].element


def test_a_page_inside_noscript_is_the_page() -> None:
    sentence = "What the page says, in a sentence that is long enough to be one."
    found = walked(f"<noscript><div><p>{sentence}</p><p>{sentence} Again.</p></div>")
    assert [item.text for item in found.items] == [sentence, f"{sentence} Again."]


def test_words_in_noscript_beside_a_page_are_not_read() -> None:
    sentence = "What the page says, in a sentence that is long enough to be one."
    found = walked(f"<p>{sentence}</p><noscript>Please switch on your scripts.</noscript>")
    assert [item.text for item in found.items] == [sentence]
