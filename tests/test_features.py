"""What is measured of the items of a page: shapes, names, what the numbers mean, and what leaves them alone."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from m3w_builder import dom
from m3w_builder.interleave.blocks import Item, Walk, walk
from m3w_builder.interleave.captions import bind
from m3w_builder.interleave.features import MAX_RUN, MIN_RUN, NAMES, measure, running

BASE = "https://ex.com/p.html"
TEXT = "A paragraph with enough words, and some more, that it counts as running text by itself."
PAGE = f"""<nav><a href=/a>Home</a></nav><main><article><h1>The title</h1><p>{TEXT}</p>
<figure><img src=/i.jpg width=640 height=480 alt=words><figcaption>A caption</figcaption></figure>
<p>{TEXT} <a href=/b>A link</a></p><ul><li>one<li>two</ul></article>
<div class=comments><p>{TEXT} Thanks!</p></div></main><div class=sidebar><a href=/c>Other</a> <p>{TEXT}</p></div>"""


def walked(body: str) -> Walk:
    root = dom.parse(f"<html><body>{body}</body></html>")
    found = walk(root, BASE)
    bind(found, root)
    return found


def feature(name: str, body: str, title: str = "", lead: str = "") -> list[float]:
    """Returns one feature of all items of a page."""
    row = measure(walked(body), title, lead)[NAMES.index(name)]
    return [float(number) for number in row]


def test_names_are_unique_and_one_byte_can_number_them() -> None:
    assert len(set(NAMES)) == len(NAMES) <= 256


@pytest.mark.parametrize(
    "body",
    [
        PAGE,
        "<p>one",
        f"<p>{TEXT}",
        "<img src=/i.jpg>",
        "<img src=/i.jpg><img src=/j.jpg>",
        "<h1>One</h1><h1>One</h1>",
        "<ul><li><a href=/a>a</a><li><a href=/b>b</a></ul>",
        "<video src=/v.mp4></video>",
        "<div>" * 60 + "one",
        "<p>one" * 400,
    ],
)
def test_every_item_of_every_page_has_finite_numbers(body: str) -> None:
    found = walked(body)
    rows = measure(found, "", "")
    assert rows.shape == (len(NAMES), len(found.items))
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.sampled_from(
            (
                "<p>",
                "</p>",
                "<div class=comments>",
                "</div>",
                "<li>",
                "<a href=/x>",
                "</a>",
                "word ",
                "<h2>",
                "</h2>",
                "<img src=/i.jpg alt=x>",
                "<aside>",
                "</aside>",
                "<article>",
                "</article>",
            )
        ),
        max_size=25,
    )
)
def test_any_markup_can_be_measured(pieces: list[str]) -> None:
    found = walked("<p>one</p>" + "".join(pieces))
    rows = measure(found, "one", "https://ex.com/i.jpg")
    assert rows.shape == (len(NAMES), len(found.items))
    assert np.isfinite(rows).all()


def test_the_same_page_gives_the_same_numbers() -> None:
    first = measure(walked(PAGE), "The title", "https://ex.com/i.jpg")
    again = measure(walked(PAGE), "The title", "https://ex.com/i.jpg")
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize(
    "other",
    [
        PAGE.replace(">\n<", "><"),  # white space between blocks
        PAGE.replace("<p>", "<p lang=en data-x=1>"),  # attributes that say nothing
        PAGE.replace("<article>", "<article><!-- c --><script>x()</script>"),
        PAGE.replace("/i.jpg", "/j.jpg"),  # what a picture is called
        PAGE.replace(" words,", "\n words,"),
        PAGE + "<div><div><span></span></div></div>",  # boxes that hold nothing
    ],
)
def test_what_a_reader_does_not_see_changes_no_number(other: str) -> None:
    assert other != PAGE
    assert np.array_equal(
        measure(walked(PAGE), "The title", ""), measure(walked(other), "The title", "")
    )


@pytest.mark.parametrize(
    ("item", "weight"),
    [
        (Item(0, None, "paragraph", "x" * 100, weight=100), 100),
        (Item(0, None, "paragraph", "x" * MIN_RUN, weight=MIN_RUN), MIN_RUN),
        (Item(0, None, "paragraph", "x" * (MIN_RUN - 1), weight=MIN_RUN - 1), 0),
        (Item(0, None, "paragraph", "x" * 9999, weight=9999), MAX_RUN),
        (Item(0, None, "heading", "x" * 100, weight=100), 0),
        (Item(0, None, "caption", "x" * 100, weight=100), 0),
        (Item(0, None, "list_item", "x" * 100, weight=100), 100),
        (Item(0, None, "paragraph", "x" * 100, linked=51, weight=100), 0),
        (Item(0, None, "paragraph", "x" * 100, linked=50, weight=100), 100),
        (Item(0, None, "paragraph", "字" * 20, weight=40), 40),
    ],
)
def test_what_counts_as_running_text(item: Item, weight: int) -> None:
    assert running(item) == weight


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("index", "<p>a<p>b<p>c", [0, 1, 2]),
        ("words", "<p>one two three<p>four", [3, 1]),
        ("media", "<p>a</p><img src=/i.jpg>", [0, 1]),
        ("heading", "<h1>a</h1><h3>b</h3><p>c", [1, 3, 0]),
        ("digit", "<p>a 1<p>b", [1, 0]),
        ("date", "<p>12.3.2024<p>1999<p>10:30<p>5 days ago<p>17 cats", [1, 1, 1, 1, 0]),
        ("commas", "<p>a, b, c<p>日、本", [2, 1]),
        ("ends", "<p>A sentence.<p>A label<p>文。", [1, 0, 1]),
        ("repeated", "<p>a<p>b<p>a<p>a", [2, 0, 2, 2]),
        ("says_share", "<p>Share this<p>Teilen<p>A bridge", [2, 2, 0]),
        ("says_more", "<p>Related stories<p>A bridge", [4, 0]),
        ("picture_width", "<p>a</p><img src=/i.jpg width=640>", [-1, 640]),
        ("picture_alt", "<img src=/i.jpg alt=four><p>a", [4, -1]),
        ("picture_logo", "<img src=/logo.png><img src=/a.png>", [1, 0]),
        ("picture_icon", "<img src=/a.png width=16 height=16><img src=/b.png width=600>", [1, 0]),
        ("in_comments", "<p>a</p><div class=comments><p>b</div>", [0, 1]),
        ("in_article", "<article><p>a</article><p>b", [1, 0]),
        ("page_items", "<p>a<p>b<p>c", [3, 3, 3]),
        ("group_count", "<p>a<p>b<div>c</div>", [2, 2, 1]),
        ("since_heading", "<p>a<h2>b</h2><p>c<p>d", [1, 0, 1, 2]),
        ("box_+1", "<p>a<br><br>b<p>c", [1, 0, 0]),
        ("role_-1", "<h2>a</h2><p>b", [-1, 1]),
        ("good_before", f"<p>{TEXT}<p>{TEXT}<p>a", [0, 0.5, 1]),
        ("good_after_2", f"<p>a<p>{TEXT}<p>b", [len(TEXT), 0, 0]),
    ],
)
def test_what_a_feature_is(name: str, body: str, expected: list[float]) -> None:
    assert feature(name, body) == pytest.approx(expected)


def test_a_text_that_stands_in_the_title_is_told() -> None:
    assert feature("title", "<p>The bridge<p>opens<p>No", "The bridge opens") == [1, 0, 0]


def test_the_lead_picture_is_known_in_any_size() -> None:
    body = "<img src=/a-300x200.jpg><img src=/b.jpg>"
    assert feature("picture_lead", body, lead="https://ex.com/a.jpg") == [1, 0]
    assert feature("picture_lead", body) == [0, 0]


def test_the_main_box_is_the_innermost_with_most_of_the_running_text() -> None:
    body = f"<p>before<div><div id=x><p>{TEXT}<p>{TEXT}<p>{TEXT}</div><p>beside</div><p>after"
    assert feature("inside_main", body) == [0, 1, 1, 1, 0, 0]
    assert feature("before_main", body) == [1, 0, 0, 0, 0, 0]
    assert feature("after_main", body) == [0, 0, 0, 0, 1, 2]


def test_what_a_named_box_holds_is_a_share_of_the_page() -> None:
    body = f"<p>{TEXT}</p><div class=comments><p>{TEXT}</p></div>"
    assert feature("share_in_comments", body) == [-1, pytest.approx(0.5)]
    assert feature("page_comments_share", body) == [pytest.approx(0.5)] * 2


def test_boxes_around_the_same_items_are_one_level() -> None:
    flat = measure(walked(f"<div><p>{TEXT}<p>a</div><p>b"), "", "")
    deep = measure(walked(f"<div><section><div><p>{TEXT}<p>a</div></section></div><p>b"), "", "")
    around = [
        i
        for i, name in enumerate(NAMES)
        if name.rpartition("_")[2] in "0123" and "depth" not in name
    ]
    assert around
    assert np.array_equal(flat[around], deep[around])
