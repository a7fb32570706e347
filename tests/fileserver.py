"""A file server on 127.0.0.1 that knows ranges, or does not, and fails as often as it is told to."""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Files:
    """A folder to serve, and what came."""

    folder: Path
    ranges: bool = True
    failing: Counter[str] = field(default_factory=Counter)  # name -> so many answers of 503 first
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)  # name, Range header, of each GET

    def asked_for(self, end: str) -> list[str]:
        """Returns the Range headers of the requests for files whose name ends so."""
        return [span for name, span in self.asked if name.endswith(end)]


@contextmanager
def serving(folder: Path, *, ranges: bool = True) -> Iterator[Files]:
    """Yields the files of a folder behind `url` until the block ends."""
    files = Files(folder, ranges)
    handler = type("FileHandler", (_Handler,), {"files": files})
    listener = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    files.url = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield files
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


class _Handler(BaseHTTPRequestHandler):
    files: Files

    def do_HEAD(self) -> None:
        self._answer(head=True)

    def do_GET(self) -> None:
        self.files.asked.append((self.path.lstrip("/"), self.headers.get("Range", "")))
        self._answer(head=False)

    def _answer(self, *, head: bool) -> None:
        name = self.path.lstrip("/")
        path = self.files.folder / name
        if not head and self.files.failing[name] > 0:
            self.files.failing[name] -= 1
            self._send(503, b"busy", head)
        elif not path.is_file():
            self._send(404, b"not here", head)
        else:
            data = path.read_bytes()
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if found and self.files.ranges:
                self._send(206, data[int(found[1]) : int(found[2]) + 1], head)
            else:
                self._send(200, data, head)

    def _send(self, status: int, body: bytes, head: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not head:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
