"""`m3w page`: what became of each part of a page, as a table, as JSON, and drawn on the page."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from m3w_builder import pages
from m3w_builder.config import Config
from m3w_builder.errors import InputError
from m3w_builder.types import Page, Text
from tests.server import serve

ARTICLE = Path(__file__).parent / "data" / "pages" / "article.html"
ADDRESS = "https://news.example.org/bridge/article.html"
PROSE = (
    "After four years of work the old stone bridge was opened to walkers on Friday morning, and the first "
    "of them crossed it in thick fog, long before the mayor of the town had found his words."
)
EVIL = """
<a id="js" href=" java&#10;script:alert(1)">a link</a> <a id="data" href="data:text/html,x">a link</a>
<img id="handler" src="x.jpg" onerror="alert(1)" alt="picture"> <svg onload="alert(1)"><animate attributeName="href"/>
<style><img src=x onerror=alert(2)></style></svg>
<iframe src="https://elsewhere.example/" srcdoc="<script>alert(1)</script>">text</iframe>
<form action="https://elsewhere.example/" onsubmit="alert(1)"><button formaction="javascript:alert(1)">Go</button>
<textarea autofocus><p title="</textarea><img src=x onerror=alert(3)>"></textarea></form>
<noscript><p title="</noscript><img src=x onerror=alert(4)>"></p></noscript>
<object data="x.swf"></object><embed src="x.swf"><m3w-legend data-m3w="text">forged</m3w-legend>
<script>alert(5)</script>
"""


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def article(inside: str, head: str = "") -> bytes:
    """Returns a page whose content is a few paragraphs and `inside`."""
    text = "".join(f"<p>{PROSE} Again, {n}.</p>" for n in range(4))
    return (
        f"<!doctype html><html><head><title>Bridge</title>{head}</head>"
        f"<body><main><article><h1>The bridge</h1>{text}{inside}</article></main></body></html>"
    ).encode()


def look(inside: str, head: str = "") -> pages.View:
    return pages.look(Page(ADDRESS, article(inside, head)), Config())


def parsed(text: str) -> Any:
    """Returns the tree of a marked page."""
    return html.document_fromstring(text)


def drawn(view: pages.View) -> Any:
    return parsed(pages.marked(view))


def fates(root: Any) -> list[tuple[str, str, str]]:
    """Returns tag, fate and text of each mark."""
    for label in root.xpath("//m3w-tag"):
        label.drop_tree()
    return [
        (e.tag, e.get("data-m3w"), " ".join(e.text_content().split()))
        for e in root.iter("*")
        if e.get("data-m3w")
    ]


# The table and JSON


def test_page_lists_nodes_and_counts_what_was_dropped(m3w) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = m3w("page", ARTICLE, "--url", ADDRESS)
    assert code == 0
    for words in ("The bridge opens again", "caption of ", "/main/article/", "--all shows them"):
        assert words in out
    assert "https://news.example.org/bridge/railing.jpg" in out
    assert "Lovely, I was there" not in out
    assert "passes the default text rules" in out


def test_all_lists_dropped_blocks_in_their_place(m3w) -> None:  # type: ignore[no-untyped-def]
    out = m3w("page", ARTICLE, "--all")[1]
    lines = out.splitlines()

    def line(words: str) -> int:
        return next(number for number, text in enumerate(lines) if words in text)

    assert line("Home > News") < line("article/header/h1")
    assert line("A stone bridge") < line("Share Post") < line("After four years")
    assert "nav" in lines[line("Home > News")]
    assert "comments" in lines[line("Lovely, I was there")]


def test_json_has_nodes_and_dropped_blocks(m3w) -> None:  # type: ignore[no-untyped-def]
    found = json.loads(m3w("page", ARTICLE, "--json")[1])
    assert found["documents"][0]["nodes"][0]["text"] == "The bridge opens again"
    assert found["rejects"] == []
    share = next(block for block in found["dropped"] if block.get("text") == "Share Post")
    assert share == {
        "type": "block",
        "reason": "share",
        "path": "/html/body/main/article/div[1]",
        "text": "Share Post",
    }
    twin = next(block for block in found["dropped"] if block["reason"] == "repeated")
    assert twin["path"].endswith("/noscript/img")
    assert twin["url"].endswith("/railing.jpg")


def test_every_item_is_a_node_or_has_a_reason() -> None:
    view = pages.look(Page(ADDRESS, ARTICLE.read_bytes()), Config())
    assert view.document is not None
    assert [b.node for b in view.blocks if not b.reason] == list(view.document.nodes)
    assert [b.number for b in view.blocks if not b.reason] == list(range(len(view.document.nodes)))
    assert {b.item for b in view.blocks if b.item >= 0} == set(range(len(view.parsed.walk.items)))


def test_lead_picture_of_the_metadata_comes_first() -> None:
    view = look("", '<meta property="og:image" content="/lead.jpg">')
    lead = view.blocks[0]
    assert (lead.number, lead.kind, lead.element) == (0, "image", None)
    assert "Shown nowhere" in pages.marked(view)


def test_hidden_block_is_dropped_and_counted() -> None:
    view = look('<div style="display:none"><p>Nobody sees these words of the page.</p></div>')
    assert ("hidden", 1) in view.reasons
    root = drawn(view)
    assert "1 hidden" in root.find(".//m3w-legend").text_content()
    assert root.xpath("//div[@data-m3w='dropped'][contains(@style, 'display:none')]")


def test_page_without_content_says_so(m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "x.html"
    file.write_text("<html><body><img src=a.jpg></body></html>")
    code, out, _ = m3w("page", file, "--all")
    assert code == 0
    assert "no interleaved document: no_content" in out
    assert json.loads(m3w("page", file, "--json")[1])["rejects"][0]["reason"] == "no_content"


# Where the page comes from


def test_packed_page_and_page_of_the_web_are_read(m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    packed = tmp_path / "x.html.gz"
    packed.write_bytes(gzip.compress(ARTICLE.read_bytes()))
    assert "The bridge opens again" in m3w("page", packed, "--url", ADDRESS)[1]
    config = tmp_path / "c.toml"
    config.write_text("[fetch]\nallow_private = true\n")
    with serve() as base:
        code, out, _ = m3w("page", f"{base}/html.jpg", "--config", config)
        assert m3w("page", f"{base}/gone", "--config", config)[2].endswith(
            "/gone: http_status: 410\n"
        )
    assert code == 0
    assert "Sorry" in out


def test_page_of_the_web_is_fetched_under_guard(m3w) -> None:  # type: ignore[no-untyped-def]
    code, _, error = m3w("page", "http://127.0.0.1:9/")
    assert code == 1
    assert error.count("\n") == 1
    assert "private_address" in error


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "found a file that starts with"),
        (b"", "an empty file"),
        (b"https://example.org/a\n", "expected an HTML page, found none"),
        (b"<html>" + b"<b>" * 400_000, "the page is rejected: "),
    ],
)
def test_what_is_no_page_is_one_line(content, words, m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    code, out, error = m3w("page", file, "--html", tmp_path / "out.html")
    assert (code, out, error.count("\n")) == (1, "", 1)
    assert str(file) in error
    assert words in error
    assert not (tmp_path / "out.html").exists()


def test_page_of_an_archive_is_chosen_by_its_address(tmp_path: Path) -> None:
    archive = tmp_path / "x.warc"
    archive.write_bytes(
        b"".join(record(f"https://e.org/{n}", article(f"<p>Page {n}.</p>")) for n in (1, 2))
    )
    assert b"Page 2." in pages.load(str(archive), "https://e.org/2", Config()).html
    assert b"Page 1." in pages.load(str(archive), "", Config()).html
    with pytest.raises(InputError, match=r"https://e\.org/3, found none"):
        pages.load(str(archive), "https://e.org/3", Config())


def record(url: str, body: bytes) -> bytes:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
        f"WARC-Record-ID: <urn:uuid:{url[-1]}>\r\nContent-Type: application/http\r\n"
        f"Content-Length: {len(answer)}\r\n\r\n"
    )
    return head.encode() + answer + b"\r\n\r\n"


# The marked page


def test_html_marks_the_article(m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "seen.html"
    assert m3w("page", ARTICLE, "--url", ADDRESS, "--html", file)[:2] == (0, "")
    text = file.read_text(encoding="utf-8")
    assert m3w("page", ARTICLE, "--url", ADDRESS, "--html", "-")[1].strip() == text.strip()
    root = parsed(text)
    assert root.find(".//base").get("href") == ADDRESS
    assert root.xpath("//h1/@data-m3w") == ["text"]
    assert root.xpath("//h1/m3w-tag")[0].text == "0 heading"
    picture = root.xpath("//figure//img")[0]
    assert picture.get("data-m3w") == "media"
    assert "caption: The old bridge on its first day." in picture.get("title")
    number = picture.get("title").split()[0]
    caption = root.xpath("//figcaption/m3w-tag")[0].text
    assert re.fullmatch(rf"\d+ caption of {number}", caption)
    lazy = root.xpath("//img[contains(@src, 'railing')]")[0]  # as a script would have put it
    assert lazy.get("data-m3w") == "media"
    assert root.xpath("//iframe/@data-m3w") == ["media"]
    share = next(e for e in root.iter("div") if "Share" in (e.text_content()))
    assert share.get("data-m3w") == "dropped"
    assert share.get("title") == "dropped: share (not entered)\n/html/body/main/article/div[1]"
    legend = root.find(".//m3w-legend").text_content()
    for words in (
        "The bridge opens again",
        ADDRESS,
        " texts kept",
        "2 images kept",
        "1 nav",
        "passes",
    ):
        assert words in legend


def test_page_without_address_shows_what_lies_beside_it(m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "x.html"
    file.write_bytes(article("<img src=a.jpg alt='A picture of it'>"))
    out = m3w("page", file, "--html", "-")[1]
    root = parsed(out)
    assert root.find(".//base").get("href") == file.as_uri()
    assert root.xpath("//article/img/@src") == ["a.jpg"]


def test_runs_of_text_around_blocks_are_marked_themselves() -> None:
    text = f"{PROSE} It <b>was</b> so."
    view = look(f"<div id=x>{text}<p>{PROSE} Then.</p>{PROSE} At last.</div>")
    marks = [mark for mark in fates(drawn(view)) if mark[0] != "h1"][4:]
    assert marks == [
        ("m3w-run", "text", f"{PROSE} It"),
        ("b", "text", "was"),
        ("m3w-run", "text", "so."),
        ("p", "text", f"{PROSE} Then."),
        ("m3w-run", "text", f"{PROSE} At last."),
    ]


def test_kept_picture_in_a_dropped_block_stays_clear() -> None:
    view = look(
        f"<div>{PROSE}<img src=a.jpg alt='The bridge in the fog' width=600 height=400></div>"
    )
    item = next(b for b in view.blocks if b.kind == "image")
    assert not item.reason
    # as if the words around it had been dropped
    text = next(b for b in view.blocks if b.kind == "text" and b.words == PROSE)
    blocks = [
        b if b is not text else type(b)(**{**vars(b), "number": -1, "reason": "outside"})
        for b in view.blocks
    ]
    root = drawn(pages.View(view.page, view.parsed, view.documents, [], view.places, blocks))
    assert ("m3w-run", "dropped", PROSE) in fates(root)
    assert not root.xpath("//*[@data-m3w='dropped']//img")


def test_labels_and_marks_do_not_touch_the_words() -> None:
    content = ARTICLE.read_bytes()
    before = parsed(content.decode()).xpath("string(//article)")
    root = drawn(pages.look(Page(ADDRESS, content), Config()))
    for gone in root.xpath("//m3w-tag"):
        gone.drop_tree()
    words = " ".join(root.xpath("string(//article)").split())
    assert words == " ".join(before.split())


def test_nothing_of_the_page_can_run() -> None:
    head = (
        '<meta http-equiv=refresh content="0;url=//e.org"><meta http-equiv=Content-Security-Policy content="x">'
        '<base href="//evil.example/"><link rel=preload href=x><link rel=stylesheet href=y.css>'
    )
    text = pages.marked(look(EVIL, head))
    assert text.startswith("<!DOCTYPE html>")
    root = parsed(text)
    policy, *rest = root.xpath("//meta[@http-equiv]/@content")
    assert "script-src 'none'" in policy
    assert rest == []
    assert root.find("head")[1].get("content") == policy  # nothing of the page stands before it
    tags = {str(element.tag) for element in root.iter("*")}
    assert tags.isdisjoint(("script", "noscript", "animate"))
    names = {str(name) for element in root.iter("*") for name in element.attrib}
    assert not [name for name in names if name.startswith("on")]
    assert names.isdisjoint(("srcdoc", "action", "formaction", "autofocus"))
    assert "javascript:" not in text.replace("\n", "")
    assert root.xpath("//a[@id='js' or @id='data']/@href") == []
    assert root.xpath("//iframe/@src | //embed/@src | //object/@data") == []
    assert root.xpath("//link/@href") == ["y.css"]
    assert len(root.xpath("//base")) == len(root.xpath("//m3w-legend")) == 1
    assert "<img src=x onerror" not in text


def test_text_in_labels_and_legend_is_escaped() -> None:
    hostile = '"><script>alert(1)</script>'
    view = pages.look(
        Page(
            ADDRESS,
            article(
                f"<img src='a.jpg?{hostile}' alt='{hostile}'>", "<title>&lt;script&gt;</title>"
            ),
        ),
        Config(),
    )
    root = drawn(view)
    assert root.xpath("//script") == []


def test_characters_that_are_no_xml_do_no_harm() -> None:
    view = look(
        f"<p title='&#1;'>&#1;{PROSE} End&#2;.</p><textarea>&#3;</textarea><noscript></noscript>&#4;"
    )
    assert "End." in pages.marked(view)


@pytest.mark.parametrize(
    ("doctype", "strict"),
    [
        ("<!doctype html>", True),
        ("", False),
        ('<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">', False),
        (
            '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" '
            '"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">',
            True,
        ),
    ],
)
def test_page_is_laid_out_by_its_own_doctype(doctype: str, strict: bool) -> None:
    content = article("").replace(b"<!doctype html>", doctype.encode())
    text = pages.marked(pages.look(Page(ADDRESS, content), Config()))
    assert text.startswith("<!DOCTYPE html>" if strict else "<html")


@pytest.mark.parametrize("name", ["article", "manual", "recipe_ja"])
def test_every_text_is_found_in_the_tree(name: str) -> None:
    view = pages.look(Page(ADDRESS, ARTICLE.with_stem(name).read_bytes()), Config())
    texts = [b.item for b in view.blocks if isinstance(b.node, Text) and b.item >= 0]
    assert [item for item in texts if not view.places.slots.get(item)] == []


def test_a_picture_that_is_shown_larger_elsewhere_keeps_every_number() -> None:
    small, large = ("<img src=/cat-300x200.jpg>", "<img src=/cat-1200x800.jpg>")
    page = Page("https://ex.com/a", article(f"{small}<p>Between the two.</p>{large}"))
    found = pages.look(page, Config())
    kept = [block.node for block in found.blocks if block.number >= 0]
    document = next(d for d in found.documents if d.kind == "interleaved")
    assert kept == list(document.nodes)
    assert [block.reason for block in found.blocks if block.number < 0] == ["repeated"]


def test_opt_outs_of_a_page_are_shown_with_what_follows(m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "p.html"
    file.write_bytes(article("", '<meta name="robots" content="noai, noimageindex">'))
    found = json.loads(m3w("page", file, "--url", ADDRESS, "--json")[1])
    assert [o["found"] for o in found["optouts"]] == ["noai", "noimageindex"]
    assert found["documents"][0]["optouts"] == found["optouts"]
    out = m3w("page", file, "--url", ADDRESS)[1]
    assert f"the page opts out: meta-robots: noai ({ADDRESS})" in out
    config = tmp_path / "c.toml"
    config.write_text('[rights]\nignore = ["meta-robots"]\n')
    out = m3w("page", file, "--url", ADDRESS, "--config", config)[1]
    assert "opt-outs that are ignored: meta-robots: noai, meta-robots: noimageindex" in out
    file.write_bytes(article("", '<meta name="robots" content="noimageindex">'))
    out = m3w("page", file, "--url", ADDRESS)[1]
    assert (
        f"the page opts out for its images and videos: meta-robots: noimageindex ({ADDRESS})" in out
    )
    file.write_bytes(article(""))
    assert "opt" not in m3w("page", file, "--url", ADDRESS)[1].replace("opened", "")
    assert json.loads(m3w("page", file, "--json")[1])["optouts"] == []
