"""What tags, classes, ids and roles say, and what they do not."""

import pytest
from lxml import html

from m3w_builder.interleave import hints
from m3w_builder.interleave.hints import BIT, CAPTION, FIGURE, LABEL, REASONS, UNSEEN


def said(tag: str = "div", **attributes: str) -> set[str]:
    """Returns the names of the marks of a block."""
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    found = hints.marks(tag, named)
    return {name for name, bit in BIT.items() if found & bit}


@pytest.mark.parametrize(
    ("names", "mark"),
    [
        ("comments", "comments"),
        ("commentList", "comments"),  # a capital begins a word
        ("post__comments", "comments"),
        ("col-8 sidebar--left", "aside"),
        ("HTMLNav", "nav"),
        ("article-body", "body"),
        ("ad-slot", "ads"),
        ("cookie", "cookie"),
        ("entry-meta", "meta"),  # two words, one meaning
        ("post-read-more", "related"),
        ("wp-block-gallery", "media"),
        ("Kommentare", "comments"),
    ],
)
def test_words_of_a_name_say_what_it_names(names: str, mark: str) -> None:
    assert mark in said(class_=names)
    assert mark in said(id=names)


@pytest.mark.parametrize(
    ("names", "mark"),
    [
        ("adept", "ads"),  # words, not pieces of them
        ("navy", "nav"),
        ("shareholder", "share"),
        ("read", "related"),  # a word of a pair
        ("more-than-read", "body"),
        ("no-sidebar", "aside"),  # a page without one
        ("has-comments", "comments"),
        ("js-nav", "nav"),
        ("hide-footer", "footer"),
    ],
)
def test_names_that_do_not_say_it(names: str, mark: str) -> None:
    assert mark not in said(class_=names)


def test_a_neutral_word_counts_for_its_own_name_only() -> None:
    assert "aside" in said(class_="no-js sidebar")
    assert "aside" in said(class_="sidebar no-js")


def test_a_pair_does_not_reach_over_two_names() -> None:
    assert "related" in said(class_="read-more")
    assert "related" not in said(class_="read entry")
    assert said(class_="entry read") == said(class_="entry") | said(class_="read")


@pytest.mark.parametrize("tag", ["html", "body"])
def test_what_a_whole_page_is_called_is_no_name_of_a_block(tag: str) -> None:
    assert said(tag, class_="sidebar comments") == said(tag)


def test_an_id_of_a_heading_is_made_of_its_words() -> None:
    assert said("h2", id="comments") == said("h2")
    assert "comments" in said("h2", class_="comments")


def test_a_generated_name_is_not_read() -> None:
    assert said(class_="sidebar " + "x" * hints.MAX_NAMES) == said()


@pytest.mark.parametrize(
    ("tag", "attributes", "mark"),
    [
        ("nav", {}, "nav"),
        ("aside", {}, "aside"),
        ("div", {"role": "navigation"}, "nav"),
        ("div", {"role": "contentinfo"}, "footer"),
        ("div", {"role": "main"}, "main"),
        ("div", {"itemprop": "articleBody"}, "article_body"),
        ("p", {"itemprop": "author"}, "byline"),
        ("div", {"hidden": ""}, "hidden"),
        ("div", {"style": "color: red; DISPLAY : none"}, "hidden"),
        ("div", {"style": "visibility:hidden"}, "hidden"),
    ],
)
def test_tags_roles_and_properties_say_it_too(
    tag: str, attributes: dict[str, str], mark: str
) -> None:
    assert mark in said(tag, **attributes)


@pytest.mark.parametrize("style", ["display: block", "visibility: visible", "overflow: hidden", ""])
def test_what_is_displayed_is_not_hidden(style: str) -> None:
    assert "hidden" not in said(style=style)


@pytest.mark.parametrize(
    ("names", "flag"),
    [
        ("wp-caption-text", CAPTION),
        ("thumbcaption", CAPTION),
        ("wp-caption", FIGURE),
        ("image-wrapper", FIGURE),
        ("thumbinner", FIGURE),
        ("photo-credit", LABEL),
        ("sr-only", UNSEEN),
        ("screen-reader-text", UNSEEN),
        ("headerlink", UNSEEN),
    ],
)
def test_names_of_frames_captions_and_handles(names: str, flag: int) -> None:
    assert hints.marks("div", {"class": names}) & flag
    assert not hints.marks("div", {"class": "plain"}) & flag


def test_flags_and_marks_are_different_bits() -> None:
    bits = [*BIT.values(), UNSEEN, FIGURE, CAPTION, LABEL]
    assert sum(bits) == 1 << 57 | 1 << 58 | 1 << 59 | 1 << 60 | hints.MARK_BITS


def test_the_reason_is_the_first_that_counts() -> None:
    assert hints.reason(BIT["comments"] | BIT["body"]) == "comments"
    assert hints.reason(BIT["hidden"] | BIT["comments"]) == "hidden"
    assert hints.reason(BIT["body"] | BIT["li"]) == ""
    assert [hints.reason(BIT[name]) for name in REASONS] == list(REASONS)
    assert sum(BIT[name] for name in REASONS) == hints.APART


@pytest.mark.parametrize(
    ("attributes", "unseen"),
    [
        ({"class": "headerlink"}, True),
        ({"class": "mw-editsection"}, True),
        ({"class": "visually-hidden"}, True),
        ({"hidden": ""}, True),
        ({"aria-hidden": "false"}, False),
        ({"class": "hidden-gem"}, False),
        ({}, False),
    ],
)
def test_an_inline_element_that_is_not_shown(attributes: dict[str, str], unseen: bool) -> None:
    assert hints.is_unseen(attributes) is unseen


@pytest.mark.parametrize(
    ("markup", "sign"),
    [
        ("<img class=logo src=/a.png>", True),
        ("<img class=user-avatar src=/a.png>", True),
        ("<img id=site-logo src=/a.png>", True),
        ("<img src=/img/Icon-mail.png>", True),
        ("<img src=/a.png class=photo>", False),
    ],
)
def test_a_picture_called_a_sign(markup: str, sign: bool) -> None:
    element = html.fragment_fromstring(markup)
    assert hints.is_sign(element, element.get("src")) is sign
