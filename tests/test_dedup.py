"""Duplicates: keys that ignore what does not matter, survivors that ignore every order."""

import random
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3w_builder.dedup import (
    PageCopy,
    normalise,
    page_key,
    paragraph_key,
    text_key,
)
from m3w_builder.types import Text

newest = partial(min, key=PageCopy.rank)

PAGE = "https://a.org/news"
T = TypeVar("T")


@pytest.mark.parametrize(
    ("url", "key"),
    [
        (PAGE, PAGE),
        (f"{PAGE}?utm_source=x&utm_medium=y", PAGE),
        (f"{PAGE}?id=7&UTM_Campaign=z&fbclid=Ab-1&page=2", f"{PAGE}?id=7&page=2"),
        (f"{PAGE}?gclid", PAGE),
        (f"{PAGE}?b=2&a=1", f"{PAGE}?b=2&a=1"),  # the order may matter to the server
        (f"{PAGE}?ref=x&source=y&cid=3&si=4", f"{PAGE}?ref=x&source=y&cid=3&si=4"),
        (f"{PAGE}?my_utm_source=x&gclid2=y", f"{PAGE}?my_utm_source=x&gclid2=y"),
        (f"{PAGE}?q=a%26utm_source%3Db", f"{PAGE}?q=a%26utm_source%3Db"),
        (f"{PAGE}?next=/b?utm_source=x", f"{PAGE}?next=/b?utm_source=x"),
        (f"{PAGE}/index.html", f"{PAGE}/index.html"),
        (f"{PAGE}?", PAGE),
    ],
)
def test_page_key_leaves_out_tracking_and_nothing_else(url: str, key: str) -> None:
    assert page_key(url) == key
    assert page_key(key) == key


@given(st.lists(st.sampled_from(["a=1", "b", "utm_x=1", "gclid=2", "", "utm_", "=", "?"])))
def test_page_key_is_idempotent(parts: list[str]) -> None:
    key = page_key(f"{PAGE}?{'&'.join(parts)}")
    assert page_key(key) == key


def test_text_key_ignores_case_width_whitespace_and_how_text_is_cut() -> None:
    key = text_key([Text("The ﬁrst line"), Text("and ２nd")])
    assert key == text_key([Text("the FIRST\nline  and\u00a02ND")])
    assert key != text_key([Text("the first line and 3rd")])
    assert len(key) == 64


def test_no_text_has_no_key() -> None:
    assert text_key([]) == text_key([Text(" \n")]) == ""


@given(st.text())
def test_normalised_text_stays_as_it_is(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_lone_surrogate_has_a_key() -> None:
    assert text_key([Text("\ud800")])
    assert paragraph_key("\ud800")


def test_paragraph_key_is_64_bits_of_the_normalised_text() -> None:
    assert paragraph_key("A  Line") == paragraph_key("a line") != paragraph_key("a lines")
    assert -(2**63) <= paragraph_key("a line") < 2**63


HERE = "https://www.a.org/shop/boat?colour=red&utm_source=x"


@pytest.mark.parametrize(
    ("declared", "key"),
    [
        ("https://www.a.org/shop/boat", "https://www.a.org/shop/boat"),
        ("https://a.org/shop/boat", "https://a.org/shop/boat"),
        ("http://m.a.org/boat?utm_medium=y", "http://m.a.org/boat"),
        ("", "https://www.a.org/shop/boat?colour=red"),
        ("https://b.org/shop/boat", "https://www.a.org/shop/boat?colour=red"),  # not its own
        ("https://www.a.org/", "https://www.a.org/shop/boat?colour=red"),  # a template's mistake
    ],
)
def test_declared_address_counts_on_the_same_site_and_not_for_its_front_page(
    declared: str, key: str
) -> None:
    assert page_key(HERE, declared) == key


def test_front_page_may_declare_itself() -> None:
    assert page_key("https://a.org/?id=3", "https://a.org/") == "https://a.org/"


def test_newest_copy_of_a_page_survives() -> None:
    old = PageCopy("2020-05-01T10:00:00Z", "<urn:uuid:1>", "aa")
    new = PageCopy("2020-05-01T10:00:01Z", "<urn:uuid:2>", "bb")
    assert newest([old, new]) == new


def test_fraction_of_a_second_is_later_than_none_and_no_time_is_earliest() -> None:
    times = ["", "2020-05-01", "2020-05-01T10:00:00Z", "2020-05-01T10:00:00.5Z"]
    copies = [PageCopy(time, "r", "id") for time in times]
    assert sorted(copies, key=PageCopy.rank) == copies[::-1]


def test_smallest_record_survives_among_pages_of_one_time() -> None:
    copies = [PageCopy("2020-05-01T10:00:00Z", f"<urn:uuid:{i}>", "aa") for i in range(3)]
    assert newest(copies[::-1]) == copies[0]


TIMES = st.sampled_from(["", "2020-05-01T10:00:00Z", "2020-05-01T10:00:00.25Z", "2021-01-01"])
IDS = st.text("ab", min_size=1, max_size=2)
PAGES = st.lists(st.builds(PageCopy, TIMES, IDS, IDS, IDS), min_size=1)


@given(PAGES, st.randoms(use_true_random=False), st.integers(0, 99))
def test_page_survivor_is_order_free_idempotent_and_grouping_free(
    copies: list[PageCopy], order: random.Random, cut: int
) -> None:
    survivor = newest(copies)
    assert newest(_shuffled(copies, order)) == survivor
    assert newest([survivor, *copies]) == newest([survivor]) == survivor
    assert newest(newest(part) for part in _halves(copies, cut)) == survivor


@given(st.lists(IDS, min_size=1))
def test_smallest_id_wins_ties(ids: list[str]) -> None:
    assert newest(PageCopy("", "r", id_) for id_ in ids).id == min(ids)


def _shuffled(copies: Sequence[T], order: random.Random) -> list[T]:
    return order.sample(copies, len(copies))


def _halves(copies: Sequence[T], cut: int) -> list[Sequence[T]]:
    cut %= len(copies)
    return [part for part in (copies[:cut], copies[cut:]) if part]
