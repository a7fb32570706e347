import tracemalloc
from contextlib import suppress
from time import process_time

import pytest
from lxml import etree

from m3w_builder import dom
from m3w_builder.dom import tree
from m3w_builder.errors import PageError


def words(root: dom.Element) -> str:
    return "".join(map(str, root.itertext()))


def body(html: str) -> str:
    """Returns the inside of the parsed body as markup."""
    found = dom.parse(html).find("body")
    assert found is not None
    return etree.tostring(found, encoding="unicode")[len("<body>") : -len("</body>")]


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ("<p " + " ".join(f"a{i}=1" for i in range(5000)) + ">x", "too_many_attributes"),
        ("<p " + " ".join(f"a{i}" for i in range(5000)), "too_many_attributes"),
        ("<div>x" * 20_000 + "</div>" * 20_000, "nesting_too_deep"),
        ("<div>" * 100_000 + "x", "nesting_too_deep"),
        ("<font>x" * 5_000, "nesting_too_deep"),
        ("<div>x" * 400_000, "page_damaged"),
        ("<!-- all of it", "not_html"),
    ],
)
def test_what_stalls_a_parser_is_refused(html: str, reason: str) -> None:
    with pytest.raises(PageError, match=reason):
        dom.parse(html)


@pytest.mark.parametrize(
    "html",
    [
        "<p>some words</p>" * 100_000,
        "<p>x</html>" * 20_000,
        "<svg><path/></svg>" * 20_000,
        "<svg>" * 1_900 + "</svg>" * 1_900,
        "<noscript><p>x</noscript>" * 20_000,
        "<script/></script>" * 20_000,
        "<" * 2_000_000,
        "<a " * 500_000,
        '<a b="' * 300_000,
        "<!--" * 500_000,
        "<p " + "x" * 5_000_000 + ">y",
        "word " * 1_000_000,
        "&#&amp" * 300_000,
    ],
    ids=lambda html: html[:12],
)
def test_storms_take_bounded_time_and_memory(html: str) -> None:
    tracemalloc.start()  # counts what Python holds; the tree itself is lxml's
    start = process_time()
    with suppress(PageError):
        dom.read(html.encode())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert process_time() - start < 10
    assert peak < 100 * 2**20


def test_short_tags_and_long_text_are_not_counted_as_attributes() -> None:
    text = "a=1 " * 50_000
    root = dom.parse(f"<p title='{text}'>x</p><script>{text}</script><p>{text}")
    assert [p.get("title") for p in root.iter("p")] == [text, None]


def test_text_under_moderate_nesting_is_kept() -> None:
    root = dom.parse("<div>" * 700 + "<p>deep words</p>" + "</div>" * 700)
    assert "deep words" in words(root)


@pytest.mark.parametrize("control", ["\x01", "\ufffe", "&#1;", "&#x1F;", "&#xFFFE;", "&#0;"])
def test_control_characters_do_not_stop_the_second_parser(control: str) -> None:
    damaging = "<table><tbody><tr><td>" * 1100  # deeper than lxml goes
    root = dom.parse(damaging + f"some words {control} here. " * 30)
    assert "some words" in words(root)


def test_nul_bytes_go() -> None:
    root = dom.read(b"<p>a\0b<\0i>c</\0i>\0</p>")
    assert words(root) == "abc"
    assert root.find(".//i") is not None


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        # what HTML puts into the body though it stands outside of it
        ("<body><p>a</body><p>b", "<p>a</p><p>b</p>"),
        ("<body><p>a</body> and <b>b</b>", "<p>a</p> and <b>b</b>"),
        ("<html><body><p>a</body></html><p>b", "<p>a</p><p>b</p>"),
        ("<p>a</html>b<p>c</html>d", "<p>a</p>b<p>c</p>d"),
        ("<p>a</html><head><title>t</title></head><body><p>b</html>", "<p>a</p><p>b</p>"),
        ("<body>a</body><body><p>b</body>", "a<p>b</p>"),
        ("<title>T</title><article>a</article><meta name='x'><p>b", "<article>a</article><p>b</p>"),
        # foreign content ends where HTML begins
        ("<div><svg><path/><p>a</p></div>", "<div><svg><path/></svg><p>a</p></div>"),
        ("<svg><g><path/><div>a</div><p>b", "<svg><g><path/></g></svg><div>a</div><p>b</p>"),
        ("<math><mi>x</mi><p>a", "<math><mi>x</mi></math><p>a</p>"),
        ("<a><svg><span>a</span><svg></svg></a>", "<a><svg/><span>a</span><svg/></a>"),
        ("<svg><title>t<path/></svg><p>a", "<svg><title>t<path/></title></svg><p>a</p>"),
        ("<svg><style>x</svg><p>a", "<svg><style>x</style></svg><p>a</p>"),
        # and stays where it does not
        (
            "<svg><foreignObject><p>a</p></foreignObject></svg>",
            "<svg><foreignobject><p>a</p></foreignobject></svg>",
        ),
        ("<svg><title>t</title><path/></svg><p>a", "<svg><title>t</title><path/></svg><p>a</p>"),
        # code is not text after an empty script
        ("<p>a</p><script src=x />f(1)</script><p>b", '<p>a</p><script src="x">f(1)</script><p>b</p>'),
        ("<p>a</p><script src=x /><p>b", '<p>a</p><script src="x"/><p>b</p>'),
        # unclosed, unquoted, unfinished
        ("<p>a<p>b<ul><li>c<li>d", "<p>a</p><p>b</p><ul><li>c</li><li>d</li></ul>"),
        ("<p>a <b>b", "<p>a <b>b</b></p>"),
        ("<p>3 < 4 words", "<p>3 &lt; 4 words</p>"),
        ("<p>a<!-- b --><?x c?>d", "<p>ad</p>"),
        ("<p>a</p><!-- never closed <p>b", "<p>a</p>"),
        ("<p>a</p><p cl", "<p>a</p>"),
        ("plain words", "plain words"),
    ],
)  # fmt: skip
def test_the_tree_is_the_standards(html: str, expected: str) -> None:
    assert body(html) == expected


def test_an_unclosed_noscript_does_not_swallow_the_page() -> None:
    lost = "<article><noscript><div>x</article>" + "<p>words</p>" * 20
    root = dom.parse(f"<body>{lost}</body>")
    assert not any(next(p.iterancestors("noscript"), None) is not None for p in root.iter("p"))


def test_only_damaged_pages_are_parsed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = (
        "<html><head><title>A < b</title><style>p{}</style></head><body><svg><title>x</title><g><path/></g></svg>"
        "<noscript><img src=x></noscript><template><p>a</p></template><script>if (a</b/) f('</p>')</script>"
        "<p>words</p></body></html>"
    )
    monkeypatch.delattr(tree, "_html5")
    assert "words" in words(dom.parse(sound))


def test_a_tree_has_one_root_and_no_namespaces() -> None:
    root = dom.parse("<p>a</html><p>b<svg><circle/><p>c")
    assert root.getnext() is None
    assert {str(e.tag) for e in root.iter()} == {"html", "head", "body", "p", "svg", "circle"}


def test_paths_name_every_element_as_xpath_does() -> None:
    root = dom.parse("<body><div><p>a<p>b<b>c</b></div><div>d</div><o:p>e</o:p>")
    paths = dom.Paths()
    assert paths.of(root) == "/html"
    for element in [*root.iter("p", "b", "div"), *root.iter("b")]:
        assert root.getroottree().xpath(paths.of(element)) == [element]
        assert paths.of(element) == root.getroottree().getpath(element)


def test_paths_are_linear_in_siblings() -> None:
    root = dom.parse("<p>x</p>" * 50_000)
    paths, start = dom.Paths(), process_time()
    assert [paths.of(p) for p in root.iter("p")][-1] == "/html/body/p[50000]"
    assert process_time() - start < 5


def test_paths_of_a_page_both_deep_and_full_are_refused() -> None:
    root = dom.parse("<div>" * 1_900 + "<p>x</p>" * 3_000)
    with pytest.raises(PageError, match="nesting_too_deep"):
        list(map(dom.Paths().of, root.iter("p")))
