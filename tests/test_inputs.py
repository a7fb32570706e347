"""What is asked for becomes units, and units become pages, archived media and rejects."""

import gzip
import random
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import pytest

from m3w_builder.errors import InputError
from m3w_builder.inputs import Unit, folder_of, local_resource, plan, read_pages, read_urls
from m3w_builder.inputs.sniff import HTML, kind_of
from m3w_builder.types import WHOLE_FILE, Page, Reject, Resource
from m3w_builder.urls import canonical

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
MP4 = b"\0\0\0\x20ftypisom" + bytes(40)
PAGE = b"<!DOCTYPE html><html><title>t</title><p>Text</p></html>"
MAX_BODY = 2**20

Item = Page | Resource | Reject


def record(
    url: str, body: bytes, content_type: str = "", status: str = "200 OK", more: str = ""
) -> bytes:
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    block = f"HTTP/1.1 {status}\r\n{kind}{more}\r\n".encode() + body
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2024-05-01T00:00:00Z\r\n"
    name = f"WARC-Record-ID: <urn:x:{url}>\r\nContent-Length: {len(block)}\r\n\r\n"
    return gzip.compress(head.encode() + name.encode() + block + b"\r\n\r\n", mtime=0)


def read(*patterns: Path, max_body: int = MAX_BODY) -> list[Item]:
    units = plan([str(p) for p in patterns])
    return [item for unit in units for item in read_pages(unit, max_body=max_body)]


def of_record(tmp_path: Path, *args: str | bytes, **more: str) -> Item | None:
    """Returns what one record becomes."""
    file = tmp_path / "one.warc.gz"
    file.write_bytes(record(*args, **more))  # type: ignore[arg-type]
    items = read(file)
    return items[0] if items else None


# The plan


def test_units_cover_every_byte_once(tmp_path: Path) -> None:
    file = tmp_path / "a.warc.gz"
    file.write_bytes(b"".join(record(f"http://a.test/{n}", PAGE, "text/html") for n in range(50)))
    units = plan([str(file)], range_bytes=1000)
    assert units[0] == Unit("warc", str(file), 0, 1000)
    assert [u.start for u in units[1:]] == [u.end for u in units[:-1]]
    assert units[-1].end == file.stat().st_size
    pages = [page for unit in units for page in read_pages(unit, max_body=MAX_BODY)]
    assert [p.url for p in pages] == [f"http://a.test/{n}" for n in range(50)]
    assert Unit(**asdict(units[3])) == units[3]


def test_patterns_that_overlap_read_a_file_once(tmp_path: Path) -> None:
    for name in ("b.warc.gz", "a.warc.gz"):
        (tmp_path / name).write_bytes(record("http://a.test/", PAGE))
    (tmp_path / "empty.warc.gz").touch()
    units = plan([str(tmp_path / "*.warc.gz"), str(tmp_path / "a.warc.gz"), str(tmp_path)])
    assert [Path(u.path).name for u in units] == ["a.warc.gz", "b.warc.gz"]


def test_files_without_a_telling_name_are_known_by_their_content(tmp_path: Path) -> None:
    contents = {
        "1": record("http://a.test/", PAGE),
        "2": gzip.decompress(record("http://a.test/", PAGE)),
        "3": b"http://a.test/ 192.0.2.1 20080430204825 text/html 3\nabc\n",
        "4": PAGE,
        "5": b"# list\n\nhttps://a.test/1\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    units = plan([str(tmp_path / name) for name in contents])
    kinds = {Path(u.path).name: u.kind for u in units}
    assert kinds == {"1": "warc", "2": "warc", "3": "warc", "4": "html", "5": "urls"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.warc.gz", None, "found nothing there"),
        ("missing-*.warc.gz", None, "found nothing there"),
        ("empty.warc.gz", b"", "found an empty"),
        ("a.wacz", b"PK\x03\x04", "found WACZ: unzip it"),
        ("a.bin", b"\x7fELF\0\0", "found a file that starts with b'\\x7fELF"),
        (
            "paths.txt",
            b"crawl-data/CC-MAIN/x.warc.gz\n",
            "found a file that starts with b'crawl-data",
        ),
        ("comments.txt", b"# nothing\n", "found an empty"),
    ],
)
def test_an_input_that_cannot_be_read_is_one_clear_line(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        plan([str(tmp_path / name)])
    message = str(error.value)
    assert message.startswith(str(tmp_path / name))
    assert words in message
    assert "expected WARC" in message
    assert "\n" not in message


def test_an_empty_folder_and_no_pattern_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found a folder without any"):
        plan([str(tmp_path)])
    with pytest.raises(InputError, match="no input"):
        plan([])


# URL lists


def test_a_url_list_is_cut_into_units_without_comments(tmp_path: Path) -> None:
    urls = [f"https://a.test/{n}" for n in range(150)]
    file = tmp_path / "list.txt"
    file.write_text("\ufeff# pages\n" + "\r\n\n".join(urls) + "\n")
    units = plan([str(file)])
    assert [(u.kind, u.start, u.end) for u in units] == [("urls", 0, 100), ("urls", 100, 150)]
    assert [url for unit in units for url in read_urls(unit)] == urls
    assert list(read_pages(units[0], max_body=MAX_BODY)) == []


# WARC records


def test_a_page_keeps_what_the_crawl_knew(tmp_path: Path) -> None:
    page = of_record(tmp_path, "http://A.test:80/x y#z", PAGE, "text/html; charset=x")
    assert page == Page(
        url="http://a.test/x%20y",
        html=PAGE,
        content_type="text/html; charset=x",
        headers=(("Content-Type", "text/html; charset=x"),),
        crawled="2024-05-01T00:00:00Z",
        record="urn:x:http://A.test:80/x y#z",
        source="one.warc.gz@0",
    )


@pytest.mark.parametrize("content_type", ["image/png", "", "application/octet-stream", "text/html"])
def test_an_image_is_a_resource_whatever_its_type_says(tmp_path: Path, content_type: str) -> None:
    found = of_record(tmp_path, "http://a.test/i", PNG, content_type)
    assert isinstance(found, Resource)
    assert (found.file, found.offset) == (str(tmp_path / "one.warc.gz"), 0)
    assert (found.url, found.status, found.content_type) == ("http://a.test/i", 200, "image/png")


def test_a_video_larger_than_any_page_is_a_resource(tmp_path: Path) -> None:
    found = of_record(
        tmp_path, "http://a.test/v", MP4 + bytes(3 * MAX_BODY), "application/octet-stream"
    )
    assert isinstance(found, Resource)
    assert found.content_type == "video/mp4"


def test_a_redirect_is_a_resource_with_its_target(tmp_path: Path) -> None:
    found = of_record(
        tmp_path,
        "http://a.test/b/old",
        PAGE,
        "text/html",
        status="302 Found",
        more="Location: ../new#x\r\n",
    )
    assert isinstance(found, Resource)
    assert (found.status, found.location) == (302, "http://a.test/new")


@pytest.mark.parametrize(
    ("url", "body", "content_type", "status", "reason"),
    [
        ("http://a.test/", PAGE, "text/html", "404 Not Found", "http_status"),
        ("urn:page:1", PAGE, "text/html", "200 OK", "bad_url"),
        ("", PAGE, "text/html", "200 OK", "bad_url"),
        ("http://a.test/", PAGE + bytes(2 * MAX_BODY), "text/html", "200 OK", "record_too_large"),
    ],
)
def test_pages_that_cannot_be_used_are_rejects(
    tmp_path: Path, url: str, body: bytes, content_type: str, status: str, reason: str
) -> None:
    found = of_record(tmp_path, url, body, content_type, status=status)
    assert isinstance(found, Reject)
    assert found.reason == reason


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"p { }", "text/css", "200 OK"),
        (b"%PDF-1.4", "application/pdf", "200 OK"),
        (b"{}", "", "200 OK"),
        (b"", "image/png", "304 Not Modified"),
        (PNG, "image/png", "404 Not Found"),
    ],
)
def test_the_rest_is_passed_over(
    tmp_path: Path, body: bytes, content_type: str, status: str
) -> None:
    assert of_record(tmp_path, "http://a.test/", body, content_type, status=status) is None


@pytest.mark.parametrize(
    ("content_type", "head", "kind"),
    [
        ("", b"\xef\xbb\xbf \n<!-- a --><!-- b -->\n<HTML lang=en>", HTML),
        ("text/plain", b'<?xml version="1.0"?>\n<!DOCTYPE html>', HTML),
        ("text/xml", b'<?xml version="1.0"?><rss>', ""),
        ("application/xhtml+xml; charset=utf-8", b"<x>", HTML),
        ("text/css", PAGE, ""),
        ("image/svg+xml", b"<svg>", "image/svg+xml"),
        ("", b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        ("", b"\0\0\0\x1cftypavif", "image/avif"),
        ("text/plain", b"a < b", ""),
        ("text/plain", b"\xef\xbb\xbfWEBVTT\n\n00:01.000 --> 00:02.000\nx", "text/vtt"),
        ("", b"1\r\n00:00:01,000 --> 00:00:02,000\r\nx", "application/x-subrip"),
        ("application/x-subrip", b"whatever", "application/x-subrip"),
    ],
)
def test_kinds(content_type: str, head: bytes, kind: str) -> None:
    assert kind_of(content_type, head) == kind


# Saved pages


def save(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("head", "url"),
    [
        ("<link rel=canonical href=https://a.test/p>", "https://a.test/p"),
        ('<meta content="https://a.test/og" property="og:url">', "https://a.test/og"),
        ("<!-- saved from url=(0017)http://b.test/x/y -->", "http://b.test/x/y"),
        ("<!-- saved from url=(0017)http://b.test/x/y --><link rel=canonical href='../z'>", "http://b.test/z"),
    ],
)  # fmt: skip
def test_the_url_of_a_saved_page(tmp_path: Path, head: str, url: str) -> None:
    save(tmp_path / "dé" / "p.html", f"<html>{head}<p>Text")
    (page,) = read(tmp_path)
    assert isinstance(page, Page)
    assert (page.url, page.source) == (url, "dé/p.html")


@pytest.mark.parametrize(
    "head", ["", "<link href='/a?b=1&amp;c=2' rel='x canonical'><base href='https://no.test'>"]
)
def test_the_host_of_a_page_that_tells_no_url_is_its_content(tmp_path: Path, head: str) -> None:
    file = save(tmp_path / "dé" / "p.html", f"<html>{head}<p>Text")
    (page,) = read(tmp_path)
    assert isinstance(page, Page)
    host = sha256(file.read_bytes()).hexdigest()[:16]
    assert page.url == f"https://{host}.saved.invalid/d%C3%A9/p.html"
    assert canonical(page.url) == page.url


def test_pages_saved_under_one_name_stay_apart(tmp_path: Path) -> None:
    for name in "ab":
        save(tmp_path / name / "index.html", f"<p>Page {name}")
    for patterns in ([tmp_path / "a", tmp_path / "b"], [tmp_path / "*" / "index.html"]):
        first, second = (page for page in read(*patterns) if isinstance(page, Page))
        assert first.url != second.url
        assert first.record != second.record


def found_locally(site: Path, page: Page, *references: str) -> list[str]:
    """Returns the files below the site that references of the page lead to, "" for none."""
    urls = [canonical(reference, page.url) for reference in references]
    found = [local_resource(url, page, str(site)) for url in urls]
    return [str(Path(f.file).relative_to(site)) if f else "" for f in found]


@pytest.mark.parametrize("head", ["", "<!-- saved from url=(0017)http://b.test/x/y.html -->"])
def test_media_beside_a_saved_page_are_found_from_their_urls(tmp_path: Path, head: str) -> None:
    site = tmp_path / "site"
    files = ("a b/p_files/é 1.png", "a b/100%.png", "a b/x%20y.png", "a b/q?v=1.png", "root.png")
    for name in files:
        save(site / name, "").write_bytes(PNG)
    (site / "a b/v").write_bytes(MP4)
    save(site / "a b" / "p.html", f"{head}<p>Text")
    (page,) = read(site)
    assert isinstance(page, Page)
    references = {
        "p_files/%C3%A9%201.png?v=1": files[0],
        "./p_files/é 1.png": files[0],
        "100%25.png": files[1],
        "100%.png": files[1],
        "x%2520y.png": files[2],
        "q%3Fv=1.png": files[3],
        "../root.png": files[4],
        "/root.png": files[4],
        "v": "a b/v",
    }
    assert found_locally(site, page, *references) == list(references.values())


def test_what_is_no_medium_of_the_folder_is_not_taken(tmp_path: Path) -> None:
    site = tmp_path / "site"
    save(tmp_path / "secret.png", "").write_bytes(PNG)
    save(site / "s.js", "x()")
    save(site / "lost.png", "<!DOCTYPE html><p>Not found")
    save(site / "empty.png", "")
    (site / "link.png").symlink_to(tmp_path / "secret.png")
    (site / "folder.png").mkdir()
    save(site / "p.html", "<!-- saved from url=(0017)http://b.test/x/y/p.html --><p>Text")
    (page,) = read(site)
    assert isinstance(page, Page)
    references = (
        "s.js", "lost.png", "empty.png", "link.png", "folder.png", "none.png", "%00.png", "../secret.png",
        "%2e%2e/secret.png", "..%2fsecret.png", "/etc/passwd", "http://c.test/x/y/p.html", ".", "x" * 5000,
    )  # fmt: skip
    assert found_locally(site, page, *references) == [""] * len(references)


def test_a_local_file_is_known_by_its_content_not_by_its_place(tmp_path: Path) -> None:
    found = []
    for folder, content in (("a", PNG), ("b", PNG), ("c", PNG + b"other")):
        save(tmp_path / folder / "i.png", "").write_bytes(content)
        page = Page("https://a.test/p.html", PAGE, source="p.html")
        found.append(local_resource("https://a.test/i.png", page, str(tmp_path / folder)))
    records = [f.record for f in found if f]
    assert records[0] == records[1] == sha256(PNG).hexdigest()[:20]
    assert records[2] != records[0]
    assert all(f and (f.offset, f.content_type) == (WHOLE_FILE, "image/png") for f in found)


def test_a_folder_is_cut_into_units_of_its_sorted_pages(tmp_path: Path) -> None:
    for n in range(250):
        save(tmp_path / f"{n:03}.htm", f"<p>Page {n}")
    save(tmp_path / "z.HTML.gz", "").write_bytes(gzip.compress(PAGE))
    save(tmp_path / "notes.txt", "no page")
    units = plan([str(tmp_path)])
    assert [(u.kind, u.path, u.start, u.end) for u in units] == [
        ("html", str(tmp_path), 0, 200),
        ("html", str(tmp_path), 200, 251),
    ]
    pages = [page for unit in units for page in read_pages(unit, max_body=MAX_BODY)]
    assert isinstance(pages[-1], Page)
    assert pages[-1].html == PAGE
    assert len(pages) == 251


def test_a_folder_named_like_a_page_is_read_but_not_what_a_browser_saved_beside_one(
    tmp_path: Path,
) -> None:
    for name in ("guide.html", "guide/one.html", "guide_files/frame.html"):
        save(tmp_path / name, "<p>Page")
    assert [page.source for page in read(tmp_path)] == ["guide.html", "guide/one.html"]


def test_one_saved_page_may_be_named(tmp_path: Path) -> None:
    file = save(tmp_path / "p.html", "<p>One")
    save(tmp_path / "q.html", "<p>Another")
    assert [item.source for item in read(file) if isinstance(item, Page)] == ["p.html"]
    assert folder_of(str(file)) == folder_of(str(tmp_path)) == str(tmp_path)


def test_a_saved_page_that_is_too_large_is_a_reject(tmp_path: Path) -> None:
    save(tmp_path / "p.html", "<p>" + "x" * 999)
    save(tmp_path / "q.html.gz", "").write_bytes(gzip.compress(b"<p>" + bytes(10**6)))
    save(tmp_path / "r.html.gz", "").write_bytes(
        gzip.compress(b"<p>" + random.Random(1).randbytes(999))
    )
    found = read(tmp_path, max_body=500)
    assert [i.reason for i in found if isinstance(i, Reject)] == ["record_too_large"] * 3


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_gzip_page_is_a_reject(tmp_path: Path, damage: str) -> None:
    body = gzip.compress(b"".join(b"<p>Paragraph %d" % n for n in range(999)), mtime=0)
    half = len(body) // 2
    damaged = body[:half] + (b"" if damage == "cut" else b"\xff" * 9 + body[half + 9 :])
    (tmp_path / "p.html.gz").write_bytes(damaged)
    (reject,) = read(tmp_path)
    assert isinstance(reject, Reject)
    assert (reject.reason, reject.detail) == (
        "file_unreadable",
        "p.html.gz: gzip data that is cut or damaged",
    )
