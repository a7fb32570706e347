"""Which items are content, given their scores: the bars, and the rules that overrule the trees.

The trees are fitted anew now and then, so these tests choose the scores. What the shipped trees make
of whole pages is in test_interleave.
"""

import numpy as np
import pytest

from m3w_builder.errors import PageError
from m3w_builder.interleave import ParsedPage, content, interleave, read_page
from m3w_builder.interleave.content import (
    BAR,
    BAR_LABEL,
    BAR_LEAD,
    BAR_LINK,
    BAR_NAMED,
    BAR_PICTURE,
    HOLE,
)
from m3w_builder.types import Page

URL = "https://ex.com/p.html"
WORDS = "A paragraph has a number of words and says something, so that it counts as running text."
SENTENCES = [
    f"{WORDS} This is the {name} of them."
    for name in ("first", "second", "third", "fourth", "fifth")
]
TEXT = "".join(f"<p>{sentence}</p>" for sentence in SENTENCES)
NO, YES = -9999, 9999


class Scores:
    """Trees with a verdict of their own: one score for all items, or one for each text."""

    def __init__(self, usual: int, **others: int) -> None:
        self.usual, self.others = usual, others
        self.page: ParsedPage | None = None

    def score(self, columns: np.ndarray) -> np.ndarray:
        assert self.page is not None
        names = [
            item.text or item.media.url for item in self.page.walk.items if item.text or item.media
        ]
        assert columns.shape[1] == len(names)
        found = [
            next((s for key, s in self.others.items() if key in name), self.usual) for name in names
        ]
        return np.array(found)


def read(body: str, head: str = "<title>The title</title>") -> ParsedPage:
    html = f"<html lang=en><head>{head}</head><body>{body}</body></html>"
    return read_page(Page(URL, html.encode()))


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch):
    """Returns a function that reads a page and judges its items by given scores."""

    def judge(
        body: str, usual: int = YES, head: str = "<title>The title</title>", **others: int
    ) -> ParsedPage:
        page = read(body, head)
        scores = Scores(usual, **others)
        scores.page = page
        monkeypatch.setattr(content, "_model", lambda: scores)
        assert len(page.kept) == len(page.walk.items)  # judged now, while the scores hold
        return page

    return judge


def names(page: ParsedPage) -> list[str]:
    """Returns the kept items, by text or file name."""
    items = zip(page.walk.items, page.kept, strict=True)
    return [
        i.text or i.media.url.rpartition("/")[2]
        for i, good in items
        if good and (i.text or i.media)
    ]


@pytest.mark.parametrize(
    ("markup", "bar"),
    [
        ("<p>item</p>", BAR),
        ("<div class=related-posts><div><p>item</p></div></div>", BAR_NAMED),
        ("<p class=byline>item</p>", BAR_LABEL),
        ("<p><time>item</time></p>", BAR_LABEL),
        ("<ul><li><a href=/x>item</a></li></ul>", BAR_LINK),
        ("<ul><li>an item <a href=/x>linked</a></li></ul>", BAR),
        ("<img src=/item.jpg>", BAR_PICTURE),
        ("<video src=/item.mp4></video>", BAR_PICTURE),
        ("<a href=/x><img src=/item.jpg></a>", BAR),
        ("<a href=/item-1600x900.jpg><img src=/item-160x90.jpg></a>", BAR_PICTURE),
        ("<img src=/item.jpg class=logo>", BAR),
    ],
)
def test_an_item_is_kept_if_its_score_exceeds_its_bar(judged, markup: str, bar: int) -> None:
    for score, good in ((bar, False), (bar + 1, True)):
        page = judged(TEXT + markup, item=score)
        (item,) = [
            i for i, one in enumerate(page.walk.items) if "item" in (one.text or one.media.url)
        ]
        assert page.kept[item] is good


@pytest.mark.parametrize("name", ["sidebar", "newsletter", "adverts", "related", "share", "footer"])
@pytest.mark.parametrize("markup", ["<p>item</p>", "<p>x</p><img src=/item.jpg>"])
def test_what_is_named_as_boilerplate_needs_a_higher_score(judged, name: str, markup: str) -> None:
    body = f"{TEXT}<div class={name}>{markup}</div>"
    assert "item" not in str(names(judged(body, item=BAR + 1)))
    assert "item" in str(names(judged(body, item=YES)))


def test_the_pages_lead_picture_has_the_lowest_bar(judged) -> None:
    head = "<title>T</title><meta property=og:image content=/item.jpg>"
    for place in (
        "<img src=/item-300x200.jpg>",
        "<div class=sidebar><p>x</p><img src=/item.jpg></div>",
    ):
        assert "item" in str(names(judged(TEXT + place, head=head, item=BAR_LEAD + 1)))
        assert "item" not in str(names(judged(TEXT + place, head=head, item=BAR_LEAD)))


def test_comments_are_none_of_a_page_with_text_of_its_own(judged) -> None:
    comments = f"<div id=comments><p>{WORDS} I agree.</p><img src=/i.jpg></div>"
    assert names(judged(TEXT + comments)) == SENTENCES


def test_comments_are_what_a_page_without_other_text_is_about(judged) -> None:
    comments = f"<div id=comments>{TEXT}</div>"
    assert names(judged(f"<p>{WORDS}</p>{comments}")) == [WORDS, *SENTENCES]


def test_a_page_that_nothing_is_kept_of_keeps_what_no_name_sets_apart(judged) -> None:
    page = judged(f"{TEXT}<div class=sidebar><p>{WORDS}</p></div>", usual=NO)
    assert names(page) == SENTENCES


@pytest.mark.parametrize(
    ("title", "kept"),
    [
        ("The bridge opens", True),
        ("The bridge opens - The Example", True),
        ("The Example | The bridge opens", True),
        ("The bridge opens again", True),
        ("Something else altogether", False),
    ],
)
def test_the_headline_is_the_heading_that_stands_in_the_title(
    judged, title: str, kept: bool
) -> None:
    body = f"<h2>The bridge opens</h2><h3>Another heading</h3>{TEXT}"
    page = judged(body, head=f"<title>{title}</title>", bridge=NO, Another=NO)
    assert ("The bridge opens" in names(page)) is kept


def test_the_headline_stands_once(judged) -> None:
    body = f"<div><h2>The bridge opens</h2></div><h1>The bridge opens</h1>{TEXT}"
    page = judged(body, head="<title>The bridge opens</title>")
    assert names(page) == ["The bridge opens", *SENTENCES]


def test_a_heading_below_the_text_is_no_headline(judged) -> None:
    body = f"{TEXT}<div><h2>The bridge opens</h2></div>"
    assert names(judged(body, head="<title>The bridge opens</title>", bridge=NO)) == SENTENCES


@pytest.mark.parametrize(
    ("heading", "title", "same"),
    [
        ("The bridge opens", "The bridge opens", True),
        ("the BRIDGE opens", "The bridge opens | Site", True),
        ("The bridge", "The bridge opens for the first time", False),
        ("Site", "The bridge opens - Site", False),
        ("橋が開く", "橋が開く - サイト", True),
        ("橋が閉まる日", "船が着く", False),
        ("", "", False),
    ],
)
def test_a_headline_has_most_of_its_titles_words(heading: str, title: str, same: bool) -> None:
    assert content.is_headline(heading, [title]) is same


def test_a_hole_in_a_row_of_paragraphs_is_filled(judged) -> None:
    assert names(judged(TEXT, third=HOLE + 1)) == SENTENCES
    assert names(judged(TEXT, third=HOLE)) == [s for s in SENTENCES if "third" not in s]


def test_a_row_of_paragraphs_that_is_mostly_none_is_not_filled(judged) -> None:
    body = f"<div>{TEXT}</div><section><p>{WORDS} Kept.</p></section>"
    assert names(judged(body, usual=0, first=NO, second=NO, Kept=YES)) == [f"{WORDS} Kept."]


@pytest.mark.parametrize(
    "markup",
    [
        f"<p class=other>{WORDS} odd</p>",  # not their like
        f"<div>{WORDS} odd</div>",
        f"<section><p>{WORDS} odd</p></section>",  # elsewhere
        f"<p>{WORDS} <a href=/x>odd</a></p>",
        "<p>odd</p>",  # a label
    ],
)
def test_what_is_not_of_the_row_fills_no_hole(judged, markup: str) -> None:
    assert "odd" not in " ".join(names(judged(TEXT + markup, odd=0)))


def test_a_caption_shares_the_fate_of_its_picture(judged) -> None:
    figure = "<figure><img src=/i.jpg><figcaption>A caption</figcaption></figure>"
    assert names(judged(TEXT + figure, jpg=YES, caption=NO))[-2:] == ["i.jpg", "A caption"]
    assert names(judged(TEXT + figure, jpg=NO, caption=YES)) == SENTENCES


def test_a_part_that_stands_twice_is_taken_once(judged) -> None:
    page = judged(f"<div class=desktop>{TEXT}</div><div class=mobile>{TEXT}</div>")
    assert names(page) == SENTENCES
    assert page.kept == [True] * 5 + [False] * 5


def test_short_texts_and_a_refrain_may_stand_twice(judged) -> None:
    assert (
        names(judged(f"{TEXT}<div><p>Chorus</p></div><div><p>Chorus</p></div>"))[5:]
        == ["Chorus"] * 2
    )
    assert names(judged(f"<div><p>{WORDS}</p><p>{WORDS}</p></div>")) == [WORDS, WORDS]


@pytest.mark.parametrize(
    ("markup", "reason"),
    [
        ("<div class=sidebar><p>item</p><p>and</p></div>", "aside"),
        (
            "<div class=sidebar><div class=share><p>item</p></div></div>",
            "aside",
        ),  # the outermost name
        ("<div id=comments><p>item</p></div>", "comments"),
        ("<p><a href=/x>item</a></p>", "links"),
        ("<a href=/x><img src=/item.jpg></a>", "links"),
        ("<p>item</p>", "outside"),
        ("<div class=article><p>item</p></div>", "outside"),
    ],
)
def test_what_is_dropped_has_a_reason(judged, markup: str, reason: str) -> None:
    page = judged(TEXT + markup, item=NO)
    (verdict,) = [
        v
        for v, one in zip(page.verdicts, page.walk.items, strict=True)
        if "item" in (one.text or one.media.url)
    ]
    assert verdict == reason
    assert [bool(verdict) for verdict in page.verdicts] == [not good for good in page.kept]


def test_a_page_without_items_has_no_content(judged) -> None:
    page = read("<nav><a href=/x>x</a></nav>")
    assert page.kept == page.verdicts == []
    with pytest.raises(PageError, match="no_content"):
        interleave(page)


def test_a_page_of_one_text_is_that_text(judged) -> None:
    for score in (YES, NO):
        assert names(judged("<p>One.</p>", usual=score)) == ["One."]
