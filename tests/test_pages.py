"""`m3w page`: what became of each part of a page, as a table and as JSON."""

import gzip
import json
import sys
from pathlib import Path

import pytest

from m3w_builder import pages
from m3w_builder.cli import run
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


@pytest.fixture
def m3w(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Returns a call of the command line: (exit code, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["m3w", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as exit_:
            run()
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out, captured.err

    return call


def article(inside: str, head: str = "") -> bytes:
    """Returns a page whose content is a few paragraphs and `inside`."""
    text = "".join(f"<p>{PROSE} Again, {n}.</p>" for n in range(4))
    return (
        f"<!doctype html><html><head><title>Bridge</title>{head}</head>"
        f"<body><main><article><h1>The bridge</h1>{text}{inside}</article></main></body></html>"
    ).encode()


def look(inside: str, head: str = "") -> pages.View:
    return pages.look(Page(ADDRESS, article(inside, head)), Config())


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


def test_hidden_block_is_dropped_and_counted() -> None:
    view = look('<div style="display:none"><p>Nobody sees these words of the page.</p></div>')
    assert ("hidden", 1) in view.reasons


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
    code, out, error = m3w("page", file)
    assert (code, out, error.count("\n")) == (1, "", 1)
    assert str(file) in error
    assert words in error


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


@pytest.mark.parametrize("name", ["article", "manual", "recipe_ja"])
def test_every_text_is_found_in_the_tree(name: str) -> None:
    view = pages.look(Page(ADDRESS, ARTICLE.with_stem(name).read_bytes()), Config())
    texts = [b.item for b in view.blocks if isinstance(b.node, Text) and b.item >= 0]
    assert [item for item in texts if not view.places.slots.get(item)] == []
