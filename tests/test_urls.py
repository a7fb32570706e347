"""Canonical URLs: one line in, one line out."""

import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3w_builder import urls
from m3w_builder.urls import canonical, shown

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


@pytest.mark.parametrize(
    ("url", "expected"),
    [  # RFC 3986, 5.4
        ("g", "http://a.b/b/c/g"),
        ("./g", "http://a.b/b/c/g"),
        ("g/", "http://a.b/b/c/g/"),
        ("/g", "http://a.b/g"),
        ("//g.h", "http://g.h/"),
        ("?y", "http://a.b/b/c/d;p?y"),
        ("g?y", "http://a.b/b/c/g?y"),
        ("#s", "http://a.b/b/c/d;p?q"),
        ("g#s", "http://a.b/b/c/g"),
        (";x", "http://a.b/b/c/;x"),
        (".", "http://a.b/b/c/"),
        ("..", "http://a.b/b/"),
        ("../../g", "http://a.b/g"),
        ("../../../g", "http://a.b/g"),
        ("/../g", "http://a.b/g"),
        ("g.", "http://a.b/b/c/g."),
        ("..g", "http://a.b/b/c/..g"),
        ("g;x=1/../y", "http://a.b/b/c/y"),
        ("g?y/../x", "http://a.b/b/c/g?y/../x"),
        ("http:g", "http://a.b/b/c/g"),
    ],
)
def test_a_relative_reference_resolves_as_the_standard_says(url, expected):
    assert canonical(url, "http://a.b/b/c/d;p?q") == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://ex.com/a/../b/./c.jpg", "http://ex.com/b/c.jpg"),
        ("http://ex.com/a/%2E%2e/b.jpg", "http://ex.com/b.jpg"),
        ("a//b.jpg", "https://ex.com/blog/2020/a//b.jpg"),
        ("/x/https://o.com/a.jpg", "https://ex.com/x/https://o.com/a.jpg"),
        ("http:///ex.com/a", "http://ex.com/a"),
        ("https:/a.jpg", "https://ex.com/a.jpg"),
        ("http:/o.com/a.jpg", "http://o.com/a.jpg"),
        ("///cdn.com/a.jpg", "https://cdn.com/a.jpg"),
        ("http:\\\\ex.com\\a?b\\c", "http://ex.com/a?b%5Cc"),
        ("/100%.jpg", "https://ex.com/100%.jpg"),
        ("/a.jpg?", "https://ex.com/a.jpg"),
        ("/a.jpg?x=[1]|2", "https://ex.com/a.jpg?x=[1]|2"),
        ("http://ex.com:/a", "http://ex.com/a"),
        ("http://ex.com:0080/a", "http://ex.com/a"),
        ("http://ex.com:443/a", "http://ex.com:443/a"),
        ("http://ex.com?q", "http://ex.com/?q"),
        ("http://a_b.ex.com/a", "http://a_b.ex.com/a"),
        ("http://localhost:8000/a", "http://localhost:8000/a"),
        ("http://faß.de/", "http://xn--fa-hia.de/"),
        ("http://BÜCHER.example/", "http://xn--bcher-kva.example/"),
        ("http://例え。テスト/", "http://xn--r8jz45g.xn--zckzah/"),
        ("http://ｅｘ．com/", "http://ex.com/"),
        ("http://ex%61mple.com/", "http://example.com/"),
        ("http://1.2.3.4/a.jpg", "http://1.2.3.4/a.jpg"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://017700000001/", "http://127.0.0.1/"),
        ("http://[2001:DB8:0:0::1]/", "http://[2001:db8::1]/"),
        ("http://1.2.3.4.5/", ""),
        ("http://256.1.1.1/", ""),
        ("http://a b.com/", ""),
        ("http://a<b>.com/", ""),
        ("http://a℀b.com/", ""),
        (f"http://{'ü' * 80}.com/", ""),
        ("http://ex.com:80a/", ""),
        ("http://", ""),
        ("http://@/", ""),
        ("//", ""),
        ("C:\\pictures\\a.jpg", ""),
        ("blob:https://ex.com/1", ""),
        ("/" + "a" * 9000, ""),
    ],
)
def test_browsers_agree(url, expected):
    assert canonical(url, BASE) == expected


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("https://cdn.ex.com/", "https://cdn.ex.com/img/a.jpg"),
        ("https://cdn.ex.com", "https://cdn.ex.com/img/a.jpg"),
        ("https://cdn.ex.com:8443/x/y?z=/", "https://cdn.ex.com:8443/x/img/a.jpg"),
        ("HTTPS://CDN.ex.com/x/../y/", "https://cdn.ex.com/y/img/a.jpg"),
        ("mailto:me@ex.com", ""),
        ("", ""),
    ],
)
def test_the_base_may_be_any_url(base, expected):
    assert canonical("img/a.jpg", base) == expected


PIECES = st.sampled_from(
    ["http:", "https:", "//", "/", "?", "#", "ex.com", "a", ".", "..", "%2e", ":", "@", "ü", "8"]
)


@given(st.text(max_size=60) | st.lists(PIECES, max_size=8).map("".join))
def test_canonical_is_stable_and_never_raises(url):
    once = canonical(url, BASE)
    assert canonical(once) == once
    assert once == quote(once, safe="/%:=&?~+!$,;'@()*[]|^`{}")


@given(st.lists(PIECES, max_size=8).map("".join))
def test_the_short_way_and_the_long_way_agree(url):
    short = urls._clean(url, BASE)
    assert short in ("", urls._resolved(url, BASE) if short else "")


@pytest.mark.parametrize("url", ["/." * 4000, "a@" * 4000, "ü." * 4000, "/" * 10**7, " " * 10**7])
def test_hostile_addresses_end_at_once(url):
    began = time.perf_counter()
    canonical(url, BASE)
    canonical("http://" + url, BASE)
    assert time.perf_counter() - began < 1


def test_address_in_a_message_has_no_credentials() -> None:
    assert shown("ftp://user:secret@example.com/a@b") == "ftp://example.com/a@b"
    assert shown("http://a@b:c@example.com:99999/") == "http://example.com:99999/"
    assert shown("https://example.com/@user") == "https://example.com/@user"
    assert len(shown("x" * 999)) == 200
