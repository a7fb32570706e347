"""Rebuild crawl.warc.gz from Debian packages and the pages beside this script, byte for byte.

    mkdir /tmp/crawl && cd /tmp/crawl
    apt-get download gimp-help-en=2.10.34-2 debian-handbook=11.20220922 wand-doc=0.6.11-1 \\
        gnome-mahjongg=1:3.38.3-2 gnome-user-docs=43.0-2 python3-mecavideo=8.0~rc5-1
    for deb in *.deb; do dpkg -x "$deb" unpacked; done
    python examples/make_crawl.py /tmp/crawl/unpacked -o crawl.warc.gz

These are the versions of Debian 12; snapshot.debian.org keeps them. Needs warcio. Dates are fixed
and record ids are hashes, so only another zlib can change a byte. Every page and picture of a
package is stored as it is there: the crawl invents only addresses and HTTP headers.
"""

import argparse
import gzip
import mimetypes
import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

HERE = Path(__file__).parent
START = datetime(2024, 5, 1, 8, 0, 0, tzinfo=UTC)  # of the first capture, then one a second
DOCS = "https://docs.example.org/"
BLOG = "https://blog.example.net/"
MEDIA = "https://media.example.net/"

# Where the files under an address lie inside the folder of the unpacked packages.
FOLDERS = {
    DOCS + "gimp-help-en/": "usr/share/gimp/2.0/help/en",
    DOCS + "debian-handbook/": "usr/share/doc/debian-handbook/html",
    DOCS + "wand-doc/": "usr/share/doc/wand-doc/html",
    MEDIA + "mahjongg/": "usr/share/help/C/gnome-mahjongg/figures",
    MEDIA + "desktop/": "usr/share/help/C/gnome-help/figures",
    MEDIA + "physics/": "usr/share/pymecavideo/data/video",
}
SOURCES = re.compile(r'<(?:img|source|video)\b[^>]*?\s(?:data-)?src="([^"]+)"', re.DOTALL)
TYPES = {".ogv": "video/ogg", ".webm": "video/webm", ".webp": "image/webp", ".html": "text/html"}
LOGIN = b"<!DOCTYPE html><title>Sign in</title><p>Please sign in to see this picture.</p>"
MISSING = b"<!DOCTYPE html><title>404 Not Found</title><h1>Not Found</h1>"
ROBOTS = b"User-agent: *\nDisallow: /private/\n"


@dataclass(frozen=True)
class Capture:
    """One answer of a server."""

    url: str
    body: bytes
    content_type: str
    status: str = "200 OK"
    headers: tuple[tuple[str, str], ...] = ()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", type=Path, help="folder of the unpacked packages")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "crawl.warc.gz")
    arguments = parser.parse_args()
    absent = [folder for folder in FOLDERS.values() if not (arguments.root / folder).is_dir()]
    if absent:
        sys.exit(f"{arguments.root}: expected unpacked packages, found no {absent[0]}")
    with arguments.output.open("wb") as file:
        crawl = Crawl(WARCWriter(file, gzip=True, warc_version="1.1"))
        crawl.info(arguments.output.name)
        for capture in captures(arguments.root):
            crawl.add(capture)
    print(f"{arguments.output}: {arguments.output.stat().st_size:,} bytes, {crawl.count} captures")


def captures(root: Path) -> Iterator[Capture]:
    """Yields every capture in the order of the crawl: each page, then what it shows."""
    yield Capture(DOCS + "robots.txt", ROBOTS, "text/plain")
    pages = [docs_page(root, path) for path in seeds()]
    pages += [blog_page(path) for path in sorted((HERE / "pages").glob("*.html"))]
    seen: set[str] = set()
    odd = {capture.url: capture for capture in oddities(root)}
    for page in pages:
        yield page
        for url in shown(page):
            if url not in seen:
                seen.add(url)
                yield odd[url] if url in odd else stored(root, url)
    # Crawlers come by again: the page and the picture have not changed, and revisit records say so.
    again = next(page for page in pages if page.url.endswith("/gimp-tool-cage.html"))
    yield again
    yield stored(root, shown(again)[0])


def seeds() -> list[str]:
    """Returns the paths in crawl.txt."""
    lines = (HERE / "crawl.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def docs_page(root: Path, path: str) -> Capture:
    """Returns a page of a package, sent the way its server does: plain, gzipped or in chunks."""
    capture = stored(root, DOCS + path)
    if path.startswith("wand-doc/"):
        body, header = gzip.compress(capture.body, mtime=0), ("Content-Encoding", "gzip")
    elif path.startswith("debian-handbook/"):
        body, header = chunked(capture.body), ("Transfer-Encoding", "chunked")
    else:
        return capture
    return Capture(capture.url, body, capture.content_type, headers=(header,))


def blog_page(path: Path) -> Capture:
    """Returns one of our own pages; smart-quotes.html is not in the charset that it declares."""
    charset = "windows-1252" if path.stem == "smart-quotes" else "utf-8"
    body = path.read_text(encoding="utf-8").encode(charset)
    return Capture(BLOG + path.name, body, "text/html; charset=utf-8")


def oddities(root: Path) -> Iterator[Capture]:
    """Yields what real servers answer when a page asks for a picture."""
    taj = DOCS + "gimp-help-en/images/filters/examples/taj_orig.jpg"
    yield Capture(BLOG + "img/members.jpg", LOGIN, "image/jpeg")
    yield Capture(BLOG + "img/gone.jpg", MISSING, "text/html", "404 Not Found")
    yield Capture(BLOG + "img/moved.jpg", b"", "text/html", "302 Found", (("Location", taj),))
    yield Capture(BLOG + "img/torn.jpg", stored(root, taj).body[:9000], "image/jpeg")


def shown(page: Capture) -> list[str]:
    """Returns the addresses of the pictures and videos of a page, in order."""
    body = page.body
    if ("Content-Encoding", "gzip") in page.headers:
        body = gzip.decompress(body)
    sources = SOURCES.findall(body.decode("utf-8", "replace"))
    return [urljoin(page.url, s) for s in dict.fromkeys(sources) if not s.startswith("data:")]


def stored(root: Path, url: str) -> Capture:
    """Returns the file of a package as its server sends it."""
    path = urlsplit(url)._replace(query="").geturl()
    prefix = next(p for p in FOLDERS if path.startswith(p))
    file = root / FOLDERS[prefix] / path.removeprefix(prefix)
    content_type = TYPES.get(file.suffix) or mimetypes.types_map[file.suffix]
    return Capture(url, file.read_bytes(), content_type)


def chunked(body: bytes, size: int = 8192) -> bytes:
    """Returns the body in HTTP/1.1 chunks."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


class Crawl:
    """Writes captures as a crawler does: response, request, metadata of a page; or a revisit."""

    def __init__(self, writer: WARCWriter) -> None:
        self.writer = writer
        self.count = 0
        self.first: dict[str, tuple[str, str, str]] = {}  # url -> digest, date, id of its response

    @property
    def date(self) -> str:
        return (START + timedelta(seconds=self.count)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def info(self, name: str) -> None:
        """Write the record that describes the file."""
        fields = {
            "software": "m3w-builder examples/make_crawl.py",
            "format": "WARC File Format 1.1",
            "description": "Freely licensed pages for the demonstration; see LICENSES.md",
        }
        text = "".join(f"{key}: {value}\r\n" for key, value in fields.items()).encode()
        headers = {"WARC-Filename": name}
        self._write("warcinfo", "", text, headers=headers, content_type="application/warc-fields")

    def add(self, capture: Capture) -> None:
        """Write one capture; the second of the same address becomes a revisit."""
        self.count += 1
        if capture.url in self.first:
            self._revisit(capture)
            return
        http = StatusAndHeaders(capture.status, self._http(capture), protocol="HTTP/1.1")
        digest, response = self._write("response", capture.url, capture.body, http=http)
        self.first[capture.url] = (digest, self.date, response)
        link = {"WARC-Concurrent-To": response}
        parts = urlsplit(capture.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        host = [("Host", parts.netloc), ("User-Agent", "examplebot/1.0"), ("Accept", "*/*")]
        asked = StatusAndHeaders(f"GET {target} HTTP/1.1", host, is_http_request=True)
        self._write("request", capture.url, b"", http=asked, headers=link)
        if capture.content_type.startswith("text/html"):
            fields = f"fetchTimeMs: {20 + len(capture.body) % 80}\r\nhopsFromSeed: 0\r\n".encode()
            kind = "application/warc-fields"
            self._write("metadata", capture.url, fields, headers=link, content_type=kind)

    def _http(self, capture: Capture) -> list[tuple[str, str]]:
        when = (START + timedelta(seconds=self.count)).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = [("Date", when), ("Server", "nginx"), ("Content-Type", capture.content_type)]
        headers += capture.headers
        if ("Transfer-Encoding", "chunked") not in capture.headers:
            headers.append(("Content-Length", str(len(capture.body))))
        return headers

    def _revisit(self, capture: Capture) -> None:
        digest, date, response = self.first[capture.url]
        headers = {
            "WARC-Profile": "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest",
            "WARC-Refers-To": response,
            "WARC-Refers-To-Target-URI": capture.url,
            "WARC-Refers-To-Date": date,
            "WARC-Payload-Digest": digest,
        }
        http = StatusAndHeaders(capture.status, self._http(capture), protocol="HTTP/1.1")
        self._write("revisit", capture.url, b"", http=http, headers=headers)

    def _write(
        self,
        kind: str,
        url: str,
        payload: bytes,
        *,
        http: StatusAndHeaders | None = None,
        headers: dict[str, str] | None = None,
        content_type: str = "",
    ) -> tuple[str, str]:
        """Write a record; returns its payload digest and its id."""
        name = uuid.uuid5(uuid.NAMESPACE_URL, f"{kind} {self.count} {url}")
        fixed = {"WARC-Record-ID": f"<urn:uuid:{name}>", "WARC-Date": self.date}
        record = self.writer.create_warc_record(
            url,
            kind,
            payload=BytesIO(payload),
            length=len(payload),
            http_headers=http,
            warc_content_type=content_type,
            warc_headers_dict=fixed | (headers or {}),
        )
        self.writer.write_record(record)
        return record.rec_headers.get_header("WARC-Payload-Digest"), fixed["WARC-Record-ID"]


if __name__ == "__main__":
    main()
