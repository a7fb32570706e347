"""robots.txt and ai.txt: what a file says about one URL, by the cases of RFC 9309 and of real sites."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protego import Protego

from m3w_builder.optouts import AiTxt, Robots, TdmRep

AGENT = "m3w-builder"
SITE = "https://ex.com"


def robots(text: str, url: str, agent: str = AGENT) -> bool:
    return Robots.parse(text.encode(), agent).allows(SITE + url)


@pytest.mark.parametrize(
    ("text", "url", "allowed"),
    [
        ("", "/a", True),
        ("User-agent: *\nDisallow: /\n", "/a", False),
        ("User-agent: *\nDisallow: /", "/a", False),  # no newline at the end
        ("User-agent: *\rDisallow: /a\r\nDisallow: /b", "/b", False),
        ("User-agent: *\nDisallow:\n", "/a", True),  # an empty rule matches nothing (2.2.2)
        ("Disallow: /\n", "/a", True),  # a rule of no group
        ("User-agent: *\nDisallow: /\n", "/robots.txt", True),  # 2.2.2: implicitly allowed
        ("User-agent: *\nDisallow: /a # why\n", "/a", False),
        ("  user-AGENT :  *  \n  DISALLOW : /a  \n", "/abc", False),
        ("User-agent *\nDisallow /a\n", "/a", False),  # Google's parser takes a blank for the colon
        ("User-agent: *\nDissallow: /a\n", "/a", False),  # and five misspellings
        ("User-agent: *\nDisallow: images/\n", "/images/a", False),  # the first "/" is missing
        ("User-agent: *\nDisallow: https://ex.com/a\n", "/a", False),
        ("User-agent: *\nDisallow: https://ex.com\n", "/a", False),
    ],
)
def test_lines(text: str, url: str, allowed: bool) -> None:
    assert robots(text, url) is allowed


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("User-agent: M3W-Builder\nDisallow: /", False),  # 2.2.1: case-insensitive
        ("User-agent: m3w-builder/2.0\nDisallow: /", False),  # a version says nothing
        ("User-agent: m3w-builder*\nDisallow: /", False),
        ("User-agent: m3w\nDisallow: /", True),  # another robot, whose name ours begins with
        ("User-agent: builder\nDisallow: /", True),
        ("User-agent: m3w-builder-news\nDisallow: /", True),
        ("User-agent: other\nUser-agent: m3w-builder\nDisallow: /", False),
        ("User-agent: *\nDisallow: /\nUser-agent: m3w-builder\nDisallow: /x", True),  # ours replaces
        ("User-agent: *\nDisallow: /\nUser-agent: m3w-builder\n", True),  # ours has no rule
        ("User-agent: *\nDisallow: /\nUser-agent: m3w-builder\nDisallow:", True),
        # Groups of one agent are merged (2.2.1), wherever they stand.
        ("User-agent: m3w-builder\nDisallow: /x\nUser-agent: b\nAllow: /\n"
         "User-agent: m3w-builder\nDisallow: /a", False),
        ("User-agent: *\nDisallow: /x\nUser-agent: b\nAllow: /\nUser-agent: *\nDisallow: /a", False),
        # Other lines do not interfere with a group (2.2.4).
        ("User-agent: m3w-builder\nSitemap: https://ex.com/s.xml\nUser-agent: b\nDisallow: /", False),
        ("User-agent: m3w-builder\nCrawl-delay: 1\n\nDisallow: /", False),
        ("User-agent: m3w-builder\nContent-Signal: ai-train=no\nDisallow: /", False),
    ],
)  # fmt: skip
def test_groups(text: str, allowed: bool) -> None:
    assert robots(text, "/a") is allowed


RFC_5_1 = """
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
"""
RFC_5_2 = "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"


@pytest.mark.parametrize(
    ("text", "agent", "url", "allowed"),
    [
        (RFC_5_1, "otherbot", "/a.gif", False),
        (RFC_5_1, "otherbot", "/a.gif?x", True),
        (RFC_5_1, "otherbot", "/example/", False),
        (RFC_5_1, "otherbot", "/publications/a", True),
        (RFC_5_1, "foobot", "/example/page.html", True),
        (RFC_5_1, "foobot", "/example/other.html", False),
        (RFC_5_1, "barbot", "/example/page.html", False),
        (RFC_5_1, "bazbot", "/example/page.html", False),
        (RFC_5_1, "bazbot", "/a.gif", True),
        (RFC_5_1, "quxbot", "/example/", True),
        (RFC_5_2, "foobot", "/example/page/allowed.gif", True),
        (RFC_5_2, "foobot", "/example/page/disallowed.gif", False),
    ],
)
def test_examples_of_the_rfc(text: str, agent: str, url: str, allowed: bool) -> None:
    assert robots(text, url, agent) is allowed


@pytest.mark.parametrize(
    ("pattern", "url", "matches"),
    [
        # Google Search Central, "URL matching based on path values".
        ("/fish", "/fish.html", True),
        ("/fish", "/Fish.asp", False),
        ("/fish", "/catfish", False),
        ("/fish*", "/fishheads/yummy.html", True),
        ("/fish/", "/fish", False),
        ("/*.php", "/folder/filename.php?parameters", True),
        ("/*.php", "/windows.PHP", False),
        ("/*.php$", "/filename.php", True),
        ("/*.php$", "/filename.php?parameters", False),
        ("/fish*.php", "/fishheads/catfish.php?parameters", True),
        ("*", "/", True),
        ("/$", "/", True),
        ("/$", "/a", False),
        ("/a*b*c$", "/abcbc", True),
        ("/a*b*c$", "/abcd", False),
        ("/a**b", "/axxb", True),
        ("/aba*ba", "/aba", False),  # the parts do not overlap
        ("/a$b", "/a$bc", True),  # a dollar inside is a character
        # RFC 9309, 2.2.2: percent-encodings of the same octets are equal.
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz", True),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar", True),
        ("/foo/bar/ツ", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%E3%83%84", "/foo/bar/%e3%83%84", True),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", True),
        ("/a~b", "/a%7Eb", True),
        # 2.2.3: a special character itself is written with its code.
        ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html", True),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-x.html", False),
        ("/path/foo-%24", "/path/foo-$", True),
        ("/path/foo-%24", "/path/foo-", False),
        ("/100%", "/100%25", True),
    ],
)
def test_patterns(pattern: str, url: str, matches: bool) -> None:
    assert robots(f"User-agent: *\nDisallow: {pattern}", url) is not matches
    assert TdmRep.parse(
        f'[{{"location": "{pattern}", "tdm-reservation": 1}}]'.encode()
    ).allows(SITE + url) is not matches  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "url", "allowed"),
    [
        # Google Search Central, "Order of precedence for rules".
        ("Allow: /p\nDisallow: /", "/page", True),
        ("Allow: /folder\nDisallow: /folder", "/folder/page", True),  # Allow wins a tie
        ("Disallow: /folder\nAllow: /folder", "/folder/page", True),
        ("Allow: /page\nDisallow: /*.htm", "/page.htm", False),
        ("Allow: /page\nDisallow: /*.ph", "/page.php5", True),
        ("Allow: /$\nDisallow: /", "/", True),
        ("Allow: /$\nDisallow: /", "/page.htm", False),
    ],
)
def test_longest_match_decides(rules: str, url: str, allowed: bool) -> None:
    assert robots(f"User-agent: *\n{rules}", url) is allowed


def test_the_line_that_decides_is_the_evidence() -> None:
    text = b"User-agent: *\nDisallow: /\n  disallow: /photos/*.jpg   # ours\n"
    file = Robots.parse(text, AGENT)
    optout = file.optout(f"{SITE}/photos/a.jpg", where=f"{SITE}/robots.txt", when="2026-11-27")
    assert optout is not None
    assert (optout.signal, optout.found) == ("robots.txt", "disallow: /photos/*.jpg")
    assert (optout.where, optout.when) == (f"{SITE}/robots.txt", "2026-11-27")
    assert file.optout(f"{SITE}/robots.txt", where="", when="") is None


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        (200, False),
        (206, False),
        (301, True),  # after the last redirect: unavailable (2.3.1.2)
        (401, True),
        (403, True),
        (404, True),
        (410, True),  # 2.3.1.3
        (429, False),
        (500, False),
        (503, False),  # 2.3.1.4: unreachable, complete disallow
        (None, False),
    ],
)
def test_meaning_of_the_status(status: int | None, allowed: bool) -> None:
    body = b"User-agent: *\nDisallow: /a"
    file = Robots.of_answer(status, body, AGENT)
    assert file.allows(f"{SITE}/a") is allowed
    if status != 200 and not allowed and status != 206:
        optout = file.optout(f"{SITE}/b", where="", when="")
        assert optout is not None
        assert optout.found == f"unreachable: {status or 'no answer'}"


def test_bytes_that_are_no_utf8() -> None:
    body = "User-agent: *\nDisallow: /é\n".encode("latin-1")
    assert not Robots.parse(body, AGENT).allows(f"{SITE}/%E9t%E9")
    assert Robots.parse(body, AGENT).allows(f"{SITE}/%C3%A9")
    for codec in ("utf-8-sig", "utf-16"):
        assert not robots_bytes("User-agent: *\nDisallow: /é\n".encode(codec), "/%C3%A9")


def robots_bytes(body: bytes, url: str) -> bool:
    return Robots.parse(body, AGENT).allows(SITE + url)


def test_what_is_behind_500_kib_is_not_read() -> None:
    line = b"# " + b"x" * 98 + b"\n"
    head, tail = b"User-agent: *\n", b"Disallow: /a\n"
    assert not robots_bytes(head + line * 5_068 + tail, "/a")
    assert robots_bytes(head + line * 5_070 + tail, "/a")
    # A line that the limit cuts would be another rule: "Disallow: /" of "Disallow: /private".
    cut = head + b"#" * (500 * 1024 - len(head) - 12) + b"\nDisallow: /private"
    assert cut[: 500 * 1024].endswith(b"\nDisallow: /")
    assert robots_bytes(cut, "/a")


@pytest.mark.parametrize("start", [b"<!DOCTYPE html>", b"\xef\xbb\xbf\n <html>", b"<?xml ?>"])
def test_a_web_page_is_no_robots_file(start: bytes) -> None:
    page = start + b"<pre>\nUser-agent: *\nDisallow: /\n</pre>"
    assert robots_bytes(page, "/a")
    assert AiTxt.parse(page, AGENT).allows(f"{SITE}/a")
    assert TdmRep.parse(start + b'[{"location": "/", "tdm-reservation": 1}]').allows(f"{SITE}/a")


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ("Crawl-delay: 2.5", 2.5),
        ("Crawl-delay: 1\nCrawl-delay: 3", 3.0),
        ("Request-rate: 1/10", 10.0),
        ("Request-rate: 2/1m 0400-0845", 30.0),
        ("Crawl-delay: 2\nRequest-rate: 1/5", 5.0),
        ("Crawl-delay: soon", None),
        ("Crawl-delay: -1", None),
        ("Crawl-delay: inf\nCrawl-delay: nan", None),
        ("Request-rate: 0/5", None),
        ("Disallow: /a", None),
    ],
)
def test_delay(lines: str, seconds: float | None) -> None:
    assert Robots.parse(f"User-agent: *\n{lines}".encode(), AGENT).delay == seconds
    assert Robots.parse(f"User-agent: other\n{lines}".encode(), AGENT).delay is None


def test_hostile_files_take_bounded_time() -> None:
    bodies = [
        b"User-agent: *\nDisallow: /" + b"*a" * 250_000,
        b"User-agent: *\n" + b"Disallow: /*a*a*a*a*a*a*a*b\n" * 18_000,
        b"User-agent: m3w-builder\n" * 21_000 + b"Disallow: /b",
        b"".join(b"User-agent: a%d\n" % n for n in range(25_000)) + b"Disallow: /b\n" * 9_000,
    ]
    started = time.process_time()
    for body in bodies:
        assert robots_bytes(body, "/" + "a" * 2_000)
    assert time.process_time() - started < 5  # 0.4 s measured


@given(st.text(), st.text(), st.text(min_size=1))
def test_any_text_is_read(text: str, url: str, agent: str) -> None:
    body = text.encode("utf-8", "surrogatepass")
    for file in (Robots.parse(body, agent), AiTxt.parse(body, agent), TdmRep.parse(body)):
        assert file.allows(url) in (True, False)


@given(st.binary(max_size=400))
def test_any_bytes_are_read(body: bytes) -> None:
    prefixed = b"User-agent: *\nDisallow: " + body
    for data in (body, prefixed):
        for file in (Robots.parse(data, AGENT), AiTxt.parse(data, AGENT), TdmRep.parse(data)):
            assert file.allows(f"{SITE}/a") in (True, False)


PATHS = st.lists(st.sampled_from(["/", "a", "b", "*", "$", ".", "?", "%41"]), max_size=6)
FILES = st.lists(
    st.tuples(st.sampled_from(["Allow", "Disallow"]), PATHS.map(lambda p: "/" + "".join(p))),
    max_size=5,
)


@given(FILES, st.lists(st.sampled_from(["a", "b", ".", "/", "A"]), max_size=6))
def test_agrees_with_protego(rules: list[tuple[str, str]], path: list[str]) -> None:
    # Of equal patterns in another spelling, and of a dollar that may be a character, it thinks otherwise.
    rules = [(key, value) for key, value in rules if "$" not in value and "%" not in value]
    # Stars that follow each other count for its order.
    rules = [(key, re.sub(r"\*+", "*", value)) for key, value in rules]
    text = "User-agent: *\n" + "".join(f"{key}: {value}\n" for key, value in rules)
    url = f"{SITE}/" + "".join(path)
    assert robots(text, url[len(SITE) :]) is Protego.parse(text).can_fetch(url, AGENT)


SPAWNING = "# Spawning AI\nUser-Agent: *\nDisallow: *.jpg\nDisallow: *.c\nAllow: *.png\n"


@pytest.mark.parametrize(
    ("text", "url", "allowed"),
    [
        (SPAWNING, "/a.jpg", False),
        (SPAWNING, "/a.jpg?w=300", False),
        (SPAWNING, "/a.jpg.html", True),
        (SPAWNING, "/a.css", True),  # "*.c" is a file type, not the beginning of one
        (SPAWNING, "/a.c", False),
        (SPAWNING, "/a", True),
        (SPAWNING + "Disallow: /\nDisallow: *\n", "/a", False),
        (SPAWNING + "Disallow: /\nDisallow: *\n", "/a.png", True),
        ("User-Agent: *\nDisallow: /\n", "/a.jpg", False),
        ("User-Agent: gptbot\nDisallow: /\n", "/a.jpg", True),
        ("User-Agent: *\nAllow: /\nUser-Agent: m3w-builder\nDisallow: /\n", "/a", False),
        ("# AI.TXT 1.0\n[identity]\nname: x\ntraining: no\n", "/a.jpg", True),  # other formats
    ],
)
def test_ai_txt(text: str, url: str, allowed: bool) -> None:
    assert AiTxt.parse(text.encode(), AGENT).allows(SITE + url) is allowed


def test_ai_txt_knows_a_media_type_that_the_address_does_not_show() -> None:
    file = AiTxt.parse(SPAWNING.encode(), AGENT)
    assert file.allows(f"{SITE}/image?id=3")
    optout = file.optout(f"{SITE}/image?id=3", formats=("jpg", "jpeg"), where="w", when="t")
    assert optout is not None
    assert (optout.signal, optout.found) == ("ai.txt", "Disallow: *.jpg")
    assert AiTxt.of_answer(503, SPAWNING.encode(), AGENT).allows(f"{SITE}/a.jpg")
    assert not AiTxt.of_answer(200, SPAWNING.encode(), AGENT).allows(f"{SITE}/a.jpg")
