"""A small HTTP server on 127.0.0.1 that behaves, and misbehaves, by path: a path is a function.

    with serve() as base:
        download(f"{base}/ok.jpg", ...)

A handler gets the open connection: it can lie about lengths, stop in the middle or never stop.
"""

import gzip
import io
import ssl
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import brotli
from PIL import Image

CERTIFICATE = Path(__file__).parent / "data" / "localhost.pem"  # self-made: key and certificate


def jpeg(width: int = 160, height: int = 120, seed: int = 7) -> bytes:
    """Returns a JPEG with some structure; another seed gives another picture."""
    picture = Image.effect_mandelbrot((width, height), (-2 - seed / 50, -1.2, 1, 1.2), 40)
    body = io.BytesIO()
    picture.convert("RGB").save(body, "JPEG")
    return body.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Looks the path up in PATHS; `hits` counts the requests of this server per path."""

    protocol_version = "HTTP/1.1"
    hits: dict[str, int]
    own: Mapping[str, Callable[["Handler"], None]]  # paths of this server alone
    seen: dict[str, dict[str, str]]  # headers of the last request per path
    busy: dict[str, int]  # requests being answered now, and at most
    clients: set[tuple[str, int]]  # connections that came
    finished: list[float]  # when the answers ended, by the monotonic clock

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        with _LOCK:
            self.hits[path] = self.hits.get(path, 0) + 1
            self.seen[path] = dict(self.headers)
            self.clients.add(self.client_address)
            self.busy["now"] += 1
            self.busy["most"] = max(self.busy["most"], self.busy["now"])
        try:
            (self.own.get(path) or PATHS.get(path, _missing))(self)
        except (ConnectionError, ssl.SSLError):
            self.close_connection = True
        finally:
            with _LOCK:
                self.busy["now"] -= 1
                self.finished.append(time.monotonic())

    def argument(self, name: str, default: str = "") -> str:
        """Returns an argument of the query."""
        return parse_qs(urlsplit(self.path).query).get(name, [default])[0]

    def arguments(self, name: str) -> list[str]:
        """Returns all arguments of the query that have this name."""
        return parse_qs(urlsplit(self.path).query).get(name, [])

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        """Sends a whole, honest answer; `Content_Type=...` becomes a header."""
        self.head(status, Content_Length=str(len(body)), **headers)
        self.wfile.write(body)

    def head(self, status: int = 200, **headers: str) -> None:
        """Sends only the status line and the headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # some handlers never end

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError | ssl.SSLError):  # clients hang up
            super().handle_error(request, client_address)


_LOCK = threading.Lock()
BODY = jpeg()


def _missing(request: Handler) -> None:
    request.send(b"<html>not here</html>", 404, Content_Type="text/html")


def _picture(request: Handler) -> None:
    seed, width = int(request.argument("seed", "7")), int(request.argument("width", "160"))
    time.sleep(float(request.argument("wait", "0")))
    request.send(jpeg(width, width * 3 // 4, seed), Content_Type="image/jpeg")


def _file(request: Handler) -> None:
    request.send(Path(request.argument("path")).read_bytes())


def _drip(request: Handler) -> None:
    """One byte in a tenth of a second."""
    request.head(Content_Length="1000")
    for _ in range(1000):
        request.wfile.write(b"x")
        time.sleep(0.1)


def _drip_headers(request: Handler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(1000):
        request.wfile.write(b"x")
        time.sleep(0.1)


def _silent(request: Handler) -> None:
    time.sleep(30)


def _endless(request: Handler) -> None:
    request.head(Connection="close")
    while True:
        request.wfile.write(bytes(65536))


def _chunk(request: Handler, body: bytes) -> None:
    request.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")


def _chunked(request: Handler) -> None:
    request.head(Transfer_Encoding="chunked")
    for start in range(0, len(BODY), 1000):
        _chunk(request, BODY[start : start + 1000])
    _chunk(request, b"")


def _cut_chunked(request: Handler) -> None:
    request.head(Transfer_Encoding="chunked", Connection="close")
    _chunk(request, BODY[:1000])
    request.close_connection = True


def _cut(request: Handler) -> None:
    """Fewer bytes than announced."""
    request.head(Content_Length=str(len(BODY)))
    request.wfile.write(BODY[:1000])
    request.close_connection = True


def _no_length(request: Handler) -> None:
    """The end of the connection is the end of the body."""
    request.head(Connection="close")
    request.wfile.write(BODY)
    request.close_connection = True


def _redirect(request: Handler) -> None:
    """/redirect?to=URL, or ?hops=N to itself and at last to /ok.jpg."""
    hops = int(request.argument("hops", "0"))
    target = request.argument("to") or (f"/redirect?hops={hops - 1}" if hops else "/ok.jpg")
    request.send(b"moved", int(request.argument("status", "302")), Location=target)


def _bare_deflate(request: Handler) -> None:
    zipper = zlib.compressobj(9, zlib.DEFLATED, -15)
    request.send(zipper.compress(BODY) + zipper.flush(), Content_Encoding="deflate")


def _not_http(request: Handler) -> None:
    request.wfile.write(b"220 smtp.example ESMTP\r\n\r\n")
    request.close_connection = True


def _many_headers(request: Handler) -> None:
    request.send_response(200)
    for number in range(500):
        request.send_header(f"X-{number}", "x" * 1000)
    request.end_headers()


def _drop_once(request: Handler) -> None:
    """Closes the connection without an answer at the first request of each."""
    if request.hits["/drop_once"] % 2:
        request.close_connection = True
        return
    request.send(BODY)


def fixed(body: bytes, status: int = 200, **headers: str) -> Callable[[Handler], None]:
    return lambda request: request.send(body, status, **headers)


PATHS: dict[str, Callable[[Handler], None]] = {
    "/ok.jpg": fixed(BODY, Content_Type="image/jpeg"),
    "/lying_type": fixed(BODY, Content_Type="text/html"),
    "/picture": _picture,
    "/file": _file,
    "/html.jpg": fixed(b"<!doctype html><p>Sorry", Content_Type="image/jpeg"),
    "/empty": fixed(b""),
    "/gone": fixed(b"gone", 410),
    "/error": fixed(b"oops", 503),
    "/drip": _drip,
    "/drip_headers": _drip_headers,
    "/silent": _silent,
    "/endless": _endless,
    "/announces_a_terabyte": lambda request: request.head(Content_Length=str(2**40)),
    "/announces_5000_digits": lambda request: request.head(Content_Length="9" * 5000),
    "/many_headers": _many_headers,
    "/long_header": fixed(b"x", X_Long="x" * 200_000),
    "/not_http": _not_http,
    "/chunked": _chunked,
    "/cut_chunked": _cut_chunked,
    "/cut": _cut,
    "/no_length": _no_length,
    "/redirect": _redirect,
    "/redirect_nowhere": fixed(b"moved", 302),
    "/gzip": fixed(gzip.compress(BODY), Content_Encoding="gzip"),
    "/gzip_twice": fixed(gzip.compress(gzip.compress(BODY)), Content_Encoding="gzip, gzip"),
    "/gzip_cut": fixed(gzip.compress(BODY)[:-500], Content_Encoding="gzip"),
    "/gzip_lie": fixed(BODY, Content_Encoding="gzip"),
    "/gzip_members": fixed(
        gzip.compress(BODY[:99]) + gzip.compress(BODY[99:]), Content_Encoding="gzip"
    ),
    "/zip_bomb": fixed(gzip.compress(bytes(2**24), 1), Content_Encoding="gzip"),
    "/deflate": fixed(zlib.compress(BODY), Content_Encoding="deflate"),
    "/bare_deflate": _bare_deflate,
    "/brotli": fixed(brotli.compress(BODY), Content_Encoding="br"),
    "/brotli_bomb": fixed(brotli.compress(bytes(2**24), quality=1), Content_Encoding="br"),
    "/brotli_cut": fixed(brotli.compress(BODY)[:-500], Content_Encoding="br"),
    "/unknown_coding": fixed(BODY, Content_Encoding="zstd"),
    "/drop_once": _drop_once,
}


# Further answers, of benchmarks/hostile.py.


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Returns a picture as a file of that kind."""
    body = io.BytesIO()
    picture.save(body, kind, **options)
    return body.getvalue()


def _pixels(mode: str = "RGB") -> Image.Image:
    return Image.open(io.BytesIO(BODY)).convert(mode)


def _grey16() -> bytes:
    """Returns a 16-bit PNG with all levels from black to white."""
    levels = b"".join((level * 257).to_bytes(2, "little") for level in range(256))
    return encoded(Image.frombytes("I;16", (256, 64), levels * 64), "PNG")


def _turned() -> bytes:
    """Returns a picture of 160 x 120 that EXIF turns: upright it is 120 x 160."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(_pixels(), "JPEG", exif=exif)


@cache
def png_bomb() -> bytes:
    """Returns a PNG of 12,000 x 12,000 pixels (432 MB decoded) in 420 KB."""
    return encoded(Image.new("RGB", (12_000, 12_000)), "PNG")


@cache
def zeros(coding: str) -> bytes:
    """Returns 64 MiB of zeros, compressed."""
    raw = bytes(2**26)
    return {
        "gzip": lambda: gzip.compress(raw, 9),
        "deflate": lambda: zlib.compress(raw, 9),
        "br": lambda: brotli.compress(raw, quality=1),
    }[coding]()


def _bomb(request: Handler) -> None:
    """/bomb?coding=gzip, deflate or br."""
    coding = request.argument("coding")
    request.send(zeros(coding), Content_Encoding=coding)


def _busy(request: Handler) -> None:
    """/busy?status=429: asks the first caller to come back in a second."""
    if request.hits["/busy"] == 1:
        request.send(b"later", int(request.argument("status")), Retry_After="1")
    else:
        request.send(BODY)


def _tagged(request: Handler) -> None:
    """/tagged?X-Robots-Tag=noai&...: the query becomes headers."""
    request.send_response(200)
    for name, values in parse_qs(urlsplit(request.path).query).items():
        for value in values:
            request.send_header(name, value)
    request.send_header("Content-Length", str(len(BODY)))
    request.end_headers()
    request.wfile.write(BODY)


def _raw(answer: bytes) -> Callable[[Handler], None]:
    """Returns a handler that sends exactly these bytes and hangs up."""

    def handle(request: Handler) -> None:
        request.wfile.write(answer)
        request.close_connection = True

    return handle


def _endless_headers(request: Handler) -> None:
    request.send_response(200)
    request.flush_headers()
    while True:
        request.wfile.write(b"X-More: " + b"x" * 1000 + b"\r\n")


def _half(request: Handler) -> None:
    """Half of the body, then silence."""
    request.head(Content_Length=str(len(BODY)))
    request.wfile.write(BODY[: len(BODY) // 2])
    time.sleep(30)


def _hang_up(request: Handler) -> None:
    request.close_connection = True


PATHS |= {
    "/cut_no_length": _raw(b"HTTP/1.1 200 OK\r\n\r\n" + BODY[: len(BODY) // 2]),
    "/cut_image.jpg": fixed(BODY[: len(BODY) // 2], Content_Type="image/jpeg"),
    "/circle": fixed(b"moved", 302, Location="/circle"),
    "/half": _half,
    "/hang_up": _hang_up,
    "/bad_length": _raw(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + BODY),
    "/negative_length": _raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" + BODY),
    "/two_lengths": _raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
    ),
    "/bad_chunk": _raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n"),
    "/huge_chunk": _raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\nhello\r\n"
    ),
    "/endless_headers": _endless_headers,
    "/bomb": _bomb,
    "/busy": _busy,
    "/tagged": _tagged,
    "/no_content": fixed(b"", 204),
    "/not_modified": lambda request: request.head(304),
    "/partial": fixed(BODY[:1000], 206, Content_Range=f"bytes 0-999/{len(BODY)}"),
    "/forbidden": fixed(b"no", 403),
    "/svg.jpg": fixed(b"<svg xmlns='http://www.w3.org/2000/svg'/>", Content_Type="image/jpeg"),
    "/png_bomb": lambda request: request.send(png_bomb(), Content_Type="image/png"),
    "/grey16.png": lambda request: request.send(_grey16(), Content_Type="image/png"),
    "/turned.jpg": lambda request: request.send(_turned(), Content_Type="image/jpeg"),
    "/cmyk.jpg": lambda request: request.send(encoded(_pixels("CMYK"), "JPEG")),
    "/pixel.gif": lambda request: request.send(encoded(Image.new("L", (1, 1)), "GIF")),
    "/picture.webp": lambda request: request.send(encoded(_pixels(), "WEBP")),
    "/picture.avif": lambda request: request.send(encoded(_pixels(), "AVIF")),
    "/%C3%BC.jpg": fixed(BODY),
    "/a%20b.jpg": fixed(BODY),
}


@contextmanager
def serve(*, tls: bool = False) -> Iterator[str]:
    """Yields the base URL of a server that runs until the block ends."""
    with server(tls=tls) as (base, _):
        yield base


@contextmanager
def server(
    *,
    tls: bool = False,
    address: str = "127.0.0.1",
    own: Mapping[str, Callable[[Handler], None]] = MappingProxyType({}),
) -> Iterator[tuple[str, type[Handler]]]:
    """Yields the base URL and the handler class, whose `hits`, `seen` and `busy` tell what came.

    `own` are paths that only this server has (a robots.txt, say).
    """
    fields = {
        "hits": {},
        "own": own,
        "seen": {},
        "busy": {"now": 0, "most": 0},
        "clients": set(),
        "finished": [],
    }
    handler = type("CountingHandler", (Handler,), fields)
    listener = _Listener((address, 0), handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.server_port}", handler
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
