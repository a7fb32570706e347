"""Canonical URLs: one line in, one line out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3w_builder.urls import canonical

BASE = "https://ex.com/blog/2020/post.html"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("img/a.jpg", "https://ex.com/blog/2020/img/a.jpg"),
        ("../img/a.jpg", "https://ex.com/blog/img/a.jpg"),
        ("//cdn.x.com/a.jpg", "https://cdn.x.com/a.jpg"),
        ("/a b.jpg", "https://ex.com/a%20b.jpg"),
        ("/é.jpg?q=ü#frag", "https://ex.com/%C3%A9.jpg?q=%C3%BC"),
        ("https://res.x.com/w_200,h_300/a.jpg", "https://res.x.com/w_200,h_300/a.jpg"),
        ("HTTP://EX.com:80/A", "http://ex.com/A"),
        ("http://ex.com:8080/a", "http://ex.com:8080/a"),
        ("http://ex.com", "http://ex.com/"),
        ("/%7Euser/a%2Fb.jpg", "https://ex.com/%7Euser/a%2Fb.jpg"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://user:secret@ex.com/a", "http://ex.com/a"),
        ("\\img\\a.jpg", "https://ex.com/img/a.jpg"),
        ("  \n/a\t.jpg ", "https://ex.com/a.jpg"),
        ("http://[2001:db8::1]/a", "http://[2001:db8::1]/a"),
        ("data:image/png;base64,AA", ""),
        ("javascript:alert(1)", ""),
        ("file:///etc/passwd", ""),
        ("http://[::1", ""),
        ("http://ex.com:99999/", ""),
        ("/\udcff", ""),
        ("", ""),
    ],
)
def test_canonical(url, expected):
    assert canonical(url, BASE) == expected


@given(st.text(max_size=60))
def test_canonical_is_stable_and_never_raises(url):
    once = canonical(url, BASE)
    assert canonical(once) == once
