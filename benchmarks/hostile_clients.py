"""What a downloader does with one URL, each in a process of its own with limits of time and memory.

    python benchmarks/hostile_clients.py ours|img2dataset < cases > results

A case and a result are a JSON object a line. It runs under the Python that has the downloader, so it imports
nothing else at the top. `ours` is the fetch stage's unit of work; `img2dataset` its download and resize
functions with their defaults, with `resize_mode=no` since sizes are not what is asked here.
"""

import base64
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 3.0  # seconds: the timeout that both are given
LIMIT_SECONDS = 15.0  # then a case is killed
LIMIT_BYTES = 4 * 2**30  # of address space above what the process has at the start
MAX_BODY = 4_000_000  # bytes of a stored picture that are passed on
DIRECTIVES = ["noai", "noimageai", "noindex", "noimageindex"]  # img2dataset's default

Case = dict[str, str]  # url; guard: off | on | server (its address alone counts as public)
Result = dict[str, Any]  # outcome: stored | failed | killed; said; raw; body; size; seconds; mib


def ours(case: Case) -> Result:
    """Runs the fetch stage's unit of work on one URL; the only place that knows how it is called."""
    from m3w_builder.collect import Request, collect
    from m3w_builder.config import FetchConfig
    from m3w_builder.packs import read_range

    if case["guard"] == "server":
        _server_is_public()
    config = FetchConfig(
        allow_private=case["guard"] == "off",
        ports=(80, 443, urlsplit(case["url"]).port or 80)
        if case["guard"] == "server"
        else (80, 443),
        safety="off",
        backoff_seconds=0.1,
        connect_seconds=PATIENCE,
        read_seconds=PATIENCE,
        total_seconds=PATIENCE,
    )
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder) / "0.tar"
        (row,) = collect([Request(case["url"], "image")], pack=pack, config=config)
        if row.status != "ok":
            return {"outcome": "failed", "status": row.status, "said": row.detail, "raw": False}
        body = read_range(pack, row.offset, row.length)
    return {"outcome": "stored", "status": "ok", "raw": True, **_stored(body)}


def _server_is_public() -> None:
    """Makes 127.0.0.1 count as a public address: the first hop of a redirect has to be let through."""
    for name, module in list(sys.modules.items()):
        if name.startswith("m3w_builder.fetch") and hasattr(module, "is_public"):
            vars(module)["is_public"] = _or_the_server(vars(module)["is_public"])


def _or_the_server(vetted: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda ip: ip == "127.0.0.1" or vetted(ip)


def img2dataset(case: Case) -> Result:
    """Runs img2dataset's functions; `raw` says whether `disable_all_reencoding` stores the body."""
    from img2dataset.downloader import download_image_with_retry
    from img2dataset.resizer import Resizer

    _, stream, error = download_image_with_retry((0, case["url"]), PATIENCE, 0, None, DIRECTIVES)
    if stream is None:
        return {"outcome": "failed", "said": error or "no message", "raw": False}
    body, width, height, _, _, error = Resizer(256, "no", False)(stream)
    if body is None:
        return {"outcome": "failed", "said": error, "raw": True}
    return {"outcome": "stored", "raw": True, "size": [width, height], **_stored(body)}


def _stored(body: bytes) -> Result:
    return {"body": base64.b64encode(body).decode() if len(body) <= MAX_BODY else ""}


CLIENTS: dict[str, Callable[[Case], Result]] = {"ours": ours, "img2dataset": img2dataset}
IMPORTS = {"ours": "m3w_builder.collect", "img2dataset": "img2dataset.resizer"}


def limited(client: Callable[[Case], Result], case: Case) -> Result:
    """Runs one case in a forked process; `mib` is what it needs on top of what it starts with."""
    reading, writing = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if not child:
        os.close(reading)
        _child(client, case, writing)
    os.close(writing)
    told, ended = _read(reading, started + LIMIT_SECONDS)
    if not ended:
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    seconds = round(time.monotonic() - started, 2)
    before, _, answer = told.partition(b"\n")
    if ended and answer:
        result: Result = json.loads(answer)
    else:
        limit = f"status {status}" if ended else f"{LIMIT_SECONDS:g} s"
        result = {"outcome": "killed", "said": limit, "raw": False}
    mib = round(max(0, usage.ru_maxrss * 1024 - int(before)) / 2**20)
    return {"status": "", **result, "seconds": seconds, "mib": mib}


def _memory(column: int) -> int:
    """Returns the address space (column 0) or the resident set (1) of this process in bytes."""
    pages = Path("/proc/self/statm").read_text().split()[column]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _child(client: Callable[[Case], Result], case: Case, writing: int) -> None:
    """Writes its memory at the start in a line, then the result."""
    os.write(writing, b"%d\n" % _memory(1))
    most = _memory(0) + LIMIT_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        result = client(case)
    except MemoryError:
        limit = f"{LIMIT_BYTES / 2**30:g} GiB"
        result = {"outcome": "killed", "said": f"out of memory at {limit}", "raw": False}
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(json.dumps(result).encode())
    os._exit(0)


def _read(reading: int, until: float) -> tuple[bytes, bool]:
    """Returns what comes through a pipe, and whether that ended in time."""
    pieces: list[bytes] = []
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while left := max(0.0, until - time.monotonic()):
            if not select.select([pipe], [], [], left)[0]:
                break
            piece = pipe.read(1 << 20)
            if not piece:
                return b"".join(pieces), True
            pieces.append(piece)
    return b"".join(pieces), False


def main() -> None:
    name = sys.argv[1]
    __import__(IMPORTS[name])
    for line in sys.stdin:
        print(json.dumps(limited(CLIENTS[name], json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
