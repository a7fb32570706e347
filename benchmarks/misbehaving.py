"""A web server of which some URLs misbehave, each in its own way and each time alike: /<behaviour>/<number>.jpg.

    python -m benchmarks.misbehaving PORT HOSTS

One asyncio process that listens on many loopback addresses and remembers what it was asked for:
/-/count, /-/report and /-/reset tell and forget. BEHAVIOURS says what a fetch should make of each.
"""

import asyncio
import gzip
import io
import json
import random
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from functools import cache
from urllib.parse import parse_qs, urlsplit

from PIL import Image

from benchmarks.web import host

DEAD_HOSTS = 20  # addresses where nobody listens
MIN_HOSTS = 4
# Behaviour -> the statuses that are right for it.
BEHAVIOURS: dict[str, tuple[str, ...]] = {
    "ok": ("ok",),
    # slow
    "drip": ("timeout",),
    "stall": ("timeout",),
    "silent": ("timeout",),
    # dead
    "refused": ("unreachable", "host_dead"),
    "reset": ("bad_response", "unreachable"),
    # huge
    "endless": ("too_large",),
    "terabyte": ("too_large",),
    "bomb": ("too_large",),
    # lying
    "short": ("truncated_body",),
    "html": ("not_an_image",),
    "mistyped": ("ok",),
    "cut": ("image_damaged",),
    "gzip_lie": ("bad_encoding",),
    "empty": ("empty_body",),
    # redirecting
    "loop": ("too_many_redirects",),
    "chain": ("ok",),
    "away": ("ok",),
    "to_file": ("bad_redirect",),
    # refusing, the first time or always
    "busy429": ("ok",),
    "busy503": ("ok",),
    "gone": ("http_status",),
}
BAD = tuple(name for name in BEHAVIOURS if name != "ok")
SERVES_PICTURE = tuple(name for name, right in BEHAVIOURS.items() if right == ("ok",))


@cache
def _base(variant: int) -> bytes:
    """Returns a JPEG of about 20 KB."""
    draw = random.Random(variant)
    small = Image.frombytes("RGB", (40, 30), draw.randbytes(3600))
    body = io.BytesIO()
    small.resize((320, 240), Image.Resampling.BICUBIC).save(body, "JPEG", quality=88)
    return body.getvalue()


def picture(number: int) -> bytes:
    """Returns the JPEG of a number: no other number has the same bytes (a comment names it)."""
    base, comment = _base(number % 16), str(number).encode()
    return base[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + base[2:]


class Request:
    """One request: what was asked, and the ways to answer."""

    def __init__(self, target: str, hits: int, port: int, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(target)
        _, self.behaviour, name = parts.path.split("/")
        self.number = int(name.partition(".")[0])
        self.hop = int(parse_qs(parts.query).get("hop", ["0"])[0])
        self.hits = hits  # of this target, this one included
        self.port = port
        self.writer = writer

    def head(self, status: str = "200 OK", **headers: object) -> None:
        """Writes status line and headers; `Content_Length=...` becomes a header."""
        fields = {"Content_Type": "image/jpeg", **headers}
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.writer.write("\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode())

    def send(self, body: bytes, status: str = "200 OK", **headers: object) -> None:
        """Writes a whole, honest answer."""
        self.head(status, Content_Length=len(body), **headers)
        self.writer.write(body)

    def send_picture(self, **headers: object) -> None:
        self.send(picture(self.number), **headers)

    def redirect(self, to: str) -> None:
        self.send(b"moved", "302 Found", Location=to)


# A behaviour returns whether the connection can be used again.
Behaviour = Callable[[Request], Awaitable[bool]]


async def _drip(request: Request) -> bool:
    request.head(Content_Length=1000)
    for _ in range(1000):
        request.writer.write(b"x")
        await request.writer.drain()
        await asyncio.sleep(0.2)
    return False


async def _stall(request: Request) -> bool:
    body = picture(request.number)
    request.head(Content_Length=len(body))
    request.writer.write(body[: len(body) // 2])
    await asyncio.sleep(60)
    return False


async def _silent(_: Request) -> bool:
    await asyncio.sleep(60)
    return False


async def _reset(request: Request) -> bool:
    sock = request.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


async def _endless(request: Request) -> bool:
    request.head(Connection="close")
    while True:
        request.writer.write(bytes(65536))
        await request.writer.drain()


async def _terabyte(request: Request) -> bool:
    request.head(Content_Length=2**40)
    return False


async def _short(request: Request) -> bool:
    body = picture(request.number)
    request.head(Content_Length=len(body))
    request.writer.write(body[:1000])
    return False


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(2**26), 9, mtime=0)


async def _plain(request: Request) -> bool:
    """The behaviours that are one whole answer."""
    match request.behaviour:
        case "bomb":
            request.send(_bomb(), Content_Encoding="gzip")
        case "html":
            request.send(b"<!doctype html><p>Sorry, no such picture")
        case "mistyped":
            request.send_picture(Content_Type="text/html")
        case "cut":
            body = picture(request.number)
            request.send(body[: len(body) // 2])
        case "gzip_lie":
            request.send_picture(Content_Encoding="gzip")
        case "empty":
            request.send(b"")
        case "loop":
            request.redirect(f"/loop/{request.number}.jpg?hop={1 - request.hop}")
        case "to_file":
            request.redirect("file:///etc/passwd")
        case "gone":
            request.send(b"gone", "404 Not Found")
        case "chain" if request.hop < 3:
            request.redirect(f"/chain/{request.number}.jpg?hop={request.hop + 1}")
        case "away" if not request.hop:
            place = f"{host(request.number % MIN_HOSTS)}:{request.port}"
            request.redirect(f"http://{place}/away/{request.number}.jpg?hop=1")
        case "busy429" if request.hits == 1:
            request.send(b"later", "429 Too Many Requests", Retry_After=1)
        case "busy503" if request.hits == 1:
            request.send(b"later", "503 Service Unavailable", Retry_After=1)
        case _:
            request.send_picture()
    return True


OTHERS: dict[str, Behaviour] = {
    "drip": _drip,
    "stall": _stall,
    "silent": _silent,
    "reset": _reset,
    "endless": _endless,
    "terabyte": _terabyte,
    "short": _short,
}


class Server:
    """Remembers how often each target was asked for."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: dict[str, int] = {}

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one connection until it is closed."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if not await self._answer(head.split(b" ", 2)[1].decode("latin-1"), writer):
                    return
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away
        finally:
            writer.close()

    async def _answer(self, target: str, writer: asyncio.StreamWriter) -> bool:
        if target.startswith("/-/"):
            self._tell(target, writer)
            return True
        name = target.split("/")[1]
        if name not in BEHAVIOURS:  # robots.txt and the like
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return True
        self.asked[target] = self.asked.get(target, 0) + 1
        request = Request(target, self.asked[target], self.port, writer)
        return await OTHERS.get(name, _plain)(request)

    def _tell(self, target: str, writer: asyncio.StreamWriter) -> None:
        found: object = None
        if target == "/-/count":
            found = len(self.asked)
        elif target == "/-/report":
            found = self.asked
        elif target == "/-/reset":
            self.asked = {}
        body = json.dumps(found).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def _serve(port: int, hosts: int) -> None:
    server = Server(port)
    addresses = ["127.0.0.1", *(host(n) for n in range(hosts))]
    await asyncio.start_server(server.connection, addresses, port, backlog=512)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
