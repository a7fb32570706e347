"""The clients that benchmarks/fetch.py compares, each run as `python -m benchmarks.clients NAME LIST`.

LIST is a file of URLs, one a line. The first `--warm` of them are fetched before the clock starts. Prints a
JSON object: images, CPU seconds (user and system, of this process and its children) and wall seconds.

- `ours`: what the fetch stage does to a unit: guarded download, hash, decode check, measurements, pack.
- `work`: the same without a network: the bodies come out of files, as archived media do.
- `pycurl`, `urllib3`: a bare fetch; what is received is thrown away.
- `floor`: pycurl's, then sha256, our decode check and one write: what no design on these libraries is below.
"""

import argparse
import hashlib
import io
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

Client = Callable[[Sequence[str]], int]  # URLs -> how many images were received

CONNECTIONS = 16  # at once, of every client: ours has as many threads


def _collect(urls: Sequence[str], files: Mapping[str, str] = MappingProxyType({})) -> int:
    """Runs the fetch stage's unit of work; the only place that knows how it is called."""
    from m3w_builder.collect import Request, collect
    from m3w_builder.config import FetchConfig
    from m3w_builder.types import WHOLE_FILE

    config = FetchConfig(allow_private=True, threads=CONNECTIONS, host_rate=0.0, safety="off")
    places = {url: ((file, WHOLE_FILE),) for url, file in files.items()}
    requests = [Request(url, "image", places.get(url, ())) for url in urls]
    with tempfile.TemporaryDirectory() as folder:
        rows = collect(requests, pack=Path(folder) / "0.tar", config=config)
    for row in rows:
        if row.status != "ok":
            raise RuntimeError(f"{row.url}: expected an image, found {row.status} ({row.detail})")
    return len(rows)


def ours(urls: Sequence[str]) -> int:
    """Fetches with the product."""
    return _collect(urls)


def work(urls: Sequence[str], folder: str) -> int:
    """Does the product's work on the files of the same names."""
    return _collect(urls, {url: f"{folder}/{urlsplit(url).path[1:]}" for url in urls})


def bare_urllib3(urls: Sequence[str]) -> int:
    """Fetches with urllib3's pools and threads."""
    import ssl

    from urllib3 import PoolManager

    pools = PoolManager(
        len(urls), maxsize=CONNECTIONS, block=True, ssl_context=ssl.create_default_context()
    )

    def get(url: str) -> bool:
        answer = pools.request("GET", url, retries=False)
        return answer.status == 200 and bool(answer.data)

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        return sum(threads.map(get, urls))


def bare_pycurl(urls: Sequence[str]) -> int:
    """Fetches with libcurl's multi interface, in one thread."""
    return _pycurl(urls, None)


def floor(urls: Sequence[str]) -> int:
    """Fetches like that, and does to each body the least that a checked and stored image needs."""
    from PIL.JpegImagePlugin import JpegImageFile

    with tempfile.TemporaryFile() as file:

        def keep(body: bytes) -> None:
            hashlib.sha256(body).digest()
            image = JpegImageFile(io.BytesIO(body))
            image.draft("L", (image.width // 8, image.height // 8))
            image.load()
            file.write(body)

        return _pycurl(urls, keep)


def _pycurl(urls: Sequence[str], keep: Callable[[bytes], None] | None) -> int:
    import os

    import pycurl

    multi, waiting, received = pycurl.CurlMulti(), list(urls)[::-1], 0
    multi.setopt(pycurl.M_MAXCONNECTS, 4 * CONNECTIONS)
    idle = [pycurl.Curl() for _ in range(CONNECTIONS)]
    for curl in idle:
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CAINFO, os.environ["SSL_CERT_FILE"])
    pieces: dict[pycurl.Curl, list[bytes]] = {}
    busy = 0
    while waiting or busy:
        while waiting and idle:
            curl = idle.pop()
            curl.setopt(pycurl.URL, waiting.pop())
            pieces[curl] = []
            curl.setopt(pycurl.WRITEFUNCTION, pieces[curl].append if keep else len)
            multi.add_handle(curl)
            busy += 1
        multi.perform()
        _, done, failed = multi.info_read()
        for curl, _, message in failed:
            raise RuntimeError(f"{curl.getinfo(pycurl.EFFECTIVE_URL)}: {message}")
        for curl in done:
            received += curl.getinfo(pycurl.RESPONSE_CODE) == 200
            if keep:
                keep(b"".join(pieces[curl]))
            multi.remove_handle(curl)
            idle.append(curl)
            busy -= 1
        if busy and not done:
            multi.select(1.0)
    return received


CLIENTS: dict[str, Client] = {
    "ours": ours,
    "urllib3": bare_urllib3,
    "pycurl": bare_pycurl,
    "floor": floor,
}


def cpu_seconds() -> float:
    """Returns user and system seconds of this process and of its children that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        for usage in [resource.getrusage(who)]
    )


def timed(client: Client, urls: Sequence[str]) -> dict[str, float]:
    """Returns what a client spends on the URLs; raises RuntimeError when it misses one."""
    cpu, wall = cpu_seconds(), time.monotonic()
    count = client(urls)
    spent = {"images": count, "cpu": cpu_seconds() - cpu, "wall": time.monotonic() - wall}
    if count != len(urls):
        raise RuntimeError(f"expected {len(urls)} images, received {count}")
    return spent


def main(argv: Sequence[str] | None = None) -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("client", choices=[*CLIENTS, "work"])
    arguments.add_argument("list", type=Path, help="file of URLs")
    arguments.add_argument("--warm", type=int, default=32, help="URLs before the clock starts")
    arguments.add_argument("--folder", default="", help="of `work`: where the files are")
    args = arguments.parse_args(argv)
    urls = args.list.read_text().split()
    client = CLIENTS.get(args.client) or (lambda some: work(some, args.folder))
    if args.warm:
        client(urls[: args.warm])
    json.dump(timed(client, urls[args.warm :]), sys.stdout)


if __name__ == "__main__":
    main()
