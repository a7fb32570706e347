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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
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
    own: dict[str, Callable[["Handler"], None]]  # paths of this server alone
    hits: dict[str, int]
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


@contextmanager
def serve(*, tls: bool = False) -> Iterator[str]:
    """Yields the base URL of a server that runs until the block ends."""
    with server(tls=tls) as (base, _):
        yield base


@contextmanager
def server(
    *, tls: bool = False, paths: dict[str, Callable[[Handler], None]] | None = None
) -> Iterator[tuple[str, type[Handler]]]:
    """Yields the base URL and the handler class, whose `hits`, `seen` and `busy` tell what came."""
    fields = {
        "own": paths or {},
        "hits": {},
        "seen": {},
        "busy": {"now": 0, "most": 0},
        "clients": set(),
        "finished": [],
    }
    handler = type("CountingHandler", (Handler,), fields)
    listener = _Listener(("127.0.0.1", 0), handler)
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
