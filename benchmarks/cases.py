"""The hostile answers of benchmarks/hostile.py: what is asked for, and what a fetch should make of it.

In a URL, {base} is the server of tests/server.py, {port} its port, {file} a local picture; the other
names are servers with files of their own (OWN).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from tests.server import Handler

REFUSED: tuple[str, ...] = ()  # any status but "ok"
PRIVATE = ("private_address", "bad_url")
OPTED_OUT = ("opted_out",)
Guard = Literal["off", "on", "server"]
ELSEWHERE = ("169.254.", "10.0.0.1", "64:ff9b", "2002:")


@dataclass(frozen=True)
class Case:
    """One hostile answer."""

    group: str
    what: str
    url: str
    right: tuple[str, ...]  # statuses; REFUSED: any but "ok"
    guard: Guard = "off"
    size: tuple[int, int] = (160, 120)  # pixels of what should be stored

    @property
    def leaves(self) -> bool:
        """Says whether a downloader without a guard would send something to another machine."""
        return any(place in self.url for place in ELSEWHERE)


def _text(body: str, status: int = 200, kind: str = "text/plain") -> Callable[[Handler], None]:
    return lambda request: request.send(body.encode(), status, Content_Type=kind)


OWN: dict[str, Mapping[str, Callable[[Handler], None]]] = {
    "base": {},
    "robots_all": {"/robots.txt": _text("User-agent: *\nDisallow: /\n")},
    "robots_us": {"/robots.txt": _text("User-agent: m3w-builder\nDisallow: /ok.jpg\n")},
    "robots_others": {"/robots.txt": _text("User-agent: otherbot\nDisallow: /\n")},
    "robots_error": {"/robots.txt": _text("oops", 503)},
    "robots_html": {"/robots.txt": _text("<html>not here", 404, "text/html")},
    "tdmrep": {
        "/.well-known/tdmrep.json": _text(
            json.dumps([{"location": "/", "tdm-reservation": 1}]), kind="application/json"
        )
    },
    "ai_txt": {"/ai.txt": _text("User-Agent: *\nDisallow: *.jpg\nDisallow: /\n")},
}


def _tagged(*fields: str) -> str:
    """Returns the URL of a picture with these headers, each "name=value"."""
    return "{base}/tagged?" + "&".join(field.replace(" ", "%20") for field in fields)


_PRIVATE_HOSTS = {
    "loopback": "127.0.0.1",
    "loopback, in decimal": "2130706433",
    "loopback, in octal": "0177.0.0.1",
    "loopback, in hex": "0x7f.0.0.1",
    "loopback, one hex number": "0x7f000001",
    "loopback, shortened": "127.1",
    "loopback, a dot behind": "127.0.0.1.",
    "loopback, another": "127.8.9.10",
    "localhost": "localhost",
    "localhost, a dot behind": "localhost.",
    "all addresses": "0.0.0.0",
    "IPv6 loopback": "[::1]",
    "IPv6, all addresses": "[::]",
    "IPv4-mapped IPv6": "[::ffff:127.0.0.1]",
    "NAT64 of loopback": "[64:ff9b::7f00:1]",
    "6to4 of loopback": "[2002:7f00:1::]",
}


def _group(name: str, guard: Guard, *rows: tuple[str, str, tuple[str, ...]]) -> list[Case]:
    """Returns the cases of (what, URL, right)."""
    return [Case(name, what, url, right, guard) for what, url, right in rows]


CASES: tuple[Case, ...] = (
    *_group(
        "Addresses that are not the web's",
        "on",
        ("a `file:` URL", "file://{file}", REFUSED),
        ("a path", "{file}", REFUSED),
        (
            "a `data:` URL",
            "data:image/gif;base64,R0lGODdhAQABAIAAAAAAAP///ywAAAAAAQABAAACAkQBADs=",
            REFUSED,
        ),
        ("an `ftp:` URL", "ftp://127.0.0.1:{port}/ok.jpg", REFUSED),
        ("no scheme", "//127.0.0.1:{port}/ok.jpg", REFUSED),
        *(
            (f"{what}: `{host}`", f"http://{host}:{{port}}/ok.jpg", PRIVATE)
            for what, host in _PRIVATE_HOSTS.items()
        ),
        (
            "cloud metadata: `169.254.169.254`",
            "http://169.254.169.254/latest/meta-data/",
            PRIVATE,
        ),
        ("a private address: `10.0.0.1`", "http://10.0.0.1/a.jpg", PRIVATE),
        ("a port of another service: 22", "http://127.0.0.1:22/a.jpg", REFUSED),
    ),
    *_group(
        "Redirects",
        "server",
        ("to `file:`", "{base}/redirect?to=file://{file}", ("bad_redirect",)),
        ("to loopback", "{base}/redirect?to=http://127.8.9.10:{port}/ok.jpg", PRIVATE),
        ("to loopback, in decimal", "{base}/redirect?to=http://2130706434:{port}/ok.jpg", PRIVATE),
        (
            "to IPv4-mapped IPv6",
            "{base}/redirect?to=http://[::ffff:127.8.9.10]:{port}/ok.jpg",
            PRIVATE,
        ),
        ("to cloud metadata", "{base}/redirect?to=http://169.254.169.254/", PRIVATE),
        ("to nowhere", "{base}/redirect_nowhere", ("bad_redirect",)),
        ("in a circle", "{base}/circle", ("too_many_redirects",)),
        ("50 hops", "{base}/redirect?hops=50", ("too_many_redirects",)),
        ("308, once", "{base}/redirect?status=308", ("ok",)),
    ),
    *_group(
        "URLs",
        "off",
        (
            "name and password in it",
            "http://user:secret@127.0.0.1:{port}/ok.jpg",
            ("ok", "bad_url"),
        ),
        ("not ASCII", "{base}/ü.jpg", ("ok",)),
        ("a space", "{base}/a b.jpg", ("ok",)),
        ("a line break and a header", "{base}/ok.jpg%0d%0aX-Evil:%201", ("http_status",)),
        ("a real line break", "{base}/ok\r\nX-Evil: 1.jpg", ("http_status", "bad_url")),
        ("a host label of 70 letters", f"http://{'a' * 70}.example/a.jpg", REFUSED),
        ("empty", "", ("bad_url",)),
    ),
    *_group(
        "Slow and dead servers",
        "off",
        ("a byte in a tenth of a second, for 100 s", "{base}/drip", ("timeout",)),
        ("headers, a byte at a time", "{base}/drip_headers", ("timeout",)),
        ("half of the body, then silence", "{base}/half", ("timeout",)),
        ("no answer", "{base}/silent", ("timeout",)),
        ("hangs up without an answer", "{base}/hang_up", ("bad_response", "unreachable")),
        ("nobody listens", "http://127.0.0.1:1/a.jpg", REFUSED),
        ("no such host", "http://nowhere.invalid/a.jpg", ("unreachable",)),
    ),
    *_group(
        "Too much",
        "off",
        ("an endless body", "{base}/endless", ("too_large", "timeout")),
        ("a terabyte announced", "{base}/announces_a_terabyte", ("too_large",)),
        ("a length of 5,000 digits", "{base}/announces_5000_digits", ("too_large",)),
        ("a chunk of 281 terabytes", "{base}/huge_chunk", ("truncated_body", "too_large")),
        ("500 headers of 1,000 bytes", "{base}/many_headers", ("bad_response",)),
        ("one header of 200 KB", "{base}/long_header", ("bad_response",)),
        ("headers without end", "{base}/endless_headers", ("bad_response",)),
        (
            "gzip: 64 MiB of zeros in 65 KB",
            "{base}/bomb?coding=gzip",
            ("too_large", "not_an_image"),
        ),
        ("deflate: the same", "{base}/bomb?coding=deflate", ("too_large", "not_an_image")),
        ("brotli: the same", "{base}/bomb?coding=br", ("too_large", "not_an_image")),
        ("a PNG of 12,000 x 12,000 pixels in 420 KB", "{base}/png_bomb", ("image_too_large",)),
    ),
    *_group(
        "Lies about the body",
        "off",
        ("fewer bytes than announced", "{base}/cut", ("truncated_body",)),
        ("cut, no length given", "{base}/cut_no_length", ("image_damaged",)),
        ("a cut JPEG, its length right", "{base}/cut_image.jpg", ("image_damaged",)),
        ("chunked, cut", "{base}/cut_chunked", ("truncated_body",)),
        (
            "chunked, a size that is no number",
            "{base}/bad_chunk",
            ("truncated_body", "bad_response"),
        ),
        ("a length that is no number", "{base}/bad_length", REFUSED),
        ("a negative length", "{base}/negative_length", REFUSED),
        ("two lengths", "{base}/two_lengths", REFUSED),
        ("gzip that was not asked for", "{base}/gzip", ("ok",)),
        ("gzip twice", "{base}/gzip_twice", ("ok",)),
        ("gzip, cut", "{base}/gzip_cut", ("truncated_body",)),
        ("gzip announced, none sent", "{base}/gzip_lie", ("bad_encoding",)),
        ("deflate", "{base}/deflate", ("ok",)),
        ("deflate without its zlib header", "{base}/bare_deflate", ("ok",)),
        ("brotli", "{base}/brotli", ("ok",)),
        ("zstd", "{base}/unknown_coding", ("bad_encoding",)),
        ("not HTTP", "{base}/not_http", ("bad_response",)),
        ("HTML named .jpg", "{base}/html.jpg", ("not_an_image",)),
        ("SVG named .jpg", "{base}/svg.jpg", ("image_unsupported",)),
        ("nothing", "{base}/empty", ("empty_body",)),
        ("JPEG as text/html", "{base}/lying_type", ("ok",)),
    ),
    *_group(
        "Statuses",
        "off",
        ("404", "{base}/missing.jpg", ("http_status",)),
        ("403", "{base}/forbidden", ("http_status",)),
        ("410", "{base}/gone", ("http_status",)),
        ("204", "{base}/no_content", ("http_status",)),
        ("206 that nobody asked for", "{base}/partial", ("http_status",)),
        ("304 that nobody asked for", "{base}/not_modified", ("http_status",)),
        ("503, always", "{base}/error", ("http_status",)),
        ("429 with Retry-After: 1, then the picture", "{base}/busy?status=429", ("ok",)),
    ),
    *_group(
        "Opt-outs",
        "off",
        *(
            (f"`X-Robots-Tag: {value}`", _tagged(f"X-Robots-Tag={value}"), right)
            for value, right in (
                ("noai", OPTED_OUT),
                ("noimageai", OPTED_OUT),
                ("none", OPTED_OUT),
                ("NoIndex, nofollow", OPTED_OUT),
                ("max-image-preview:none, noai", OPTED_OUT),
                ("unavailable_after: 25 Jun 2030 15:00:00 GMT, noai", OPTED_OUT),
                ("unavailable_after: 25 Jun 2010 15:00:00 GMT", OPTED_OUT),
                ("m3w-builder: noai", OPTED_OUT),
                ("googlebot: noindex", ("ok",)),
                ("nofollow", ("ok",)),
            )
        ),
        (
            "two headers, `noai` in the second",
            _tagged("X-Robots-Tag=nofollow", "X-Robots-Tag=noai"),
            OPTED_OUT,
        ),
        ("`tdm-reservation: 1`", _tagged("tdm-reservation=1"), OPTED_OUT),
        ("`tdm-reservation: 0`", _tagged("tdm-reservation=0"), ("ok",)),
        ("/.well-known/tdmrep.json", "{tdmrep}/ok.jpg", OPTED_OUT),
        ("/ai.txt", "{ai_txt}/ok.jpg", OPTED_OUT),
        ("robots.txt: `Disallow: /` for all", "{robots_all}/ok.jpg", OPTED_OUT),
        ("robots.txt: for our own name", "{robots_us}/ok.jpg", OPTED_OUT),
        ("robots.txt: for another name", "{robots_others}/ok.jpg", ("ok",)),
        ("robots.txt: 503 (RFC 9309: all is disallowed)", "{robots_error}/ok.jpg", REFUSED),
        ("robots.txt: 404, as HTML", "{robots_html}/ok.jpg", ("ok",)),
    ),
    Case("Pictures", "16-bit grey PNG", "{base}/grey16.png", ("ok",), size=(256, 64)),
    Case("Pictures", "a JPEG that EXIF turns", "{base}/turned.jpg", ("ok",), size=(120, 160)),
    Case("Pictures", "CMYK JPEG", "{base}/cmyk.jpg", ("ok",)),
    Case("Pictures", "WebP", "{base}/picture.webp", ("ok",)),
    Case("Pictures", "AVIF", "{base}/picture.avif", ("ok",)),
    Case("Pictures", "a GIF of one pixel", "{base}/pixel.gif", ("any",), size=(1, 1)),
)
