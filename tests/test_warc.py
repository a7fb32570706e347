"""Reading WARC and ARC files: each record once, whatever the ranges; damage is named and survived."""

import gzip
import io
import json
import random
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import brotli
import pyarrow as pa
import pytest
from memory import PEAK
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from m3w_builder.errors import InputError, MediaError
from m3w_builder.types import Reject
from m3w_builder.warc import Record, read_records, reader, record_at
from m3w_builder.warc.heads import MAX_HEAD, iso_utc

SHARED = Path(__file__).parents[2] / "shared"
BODY = b"<html><body><p>" + b"A page about rivers. " * 40 + b"</p></body></html>"
MAX_BODY = 2**20


def record(
    n: int = 0,
    body: bytes = BODY,
    *,
    http: str = "",
    length: str | int | None = None,
    kind: str = "response",
) -> bytes:
    """Returns one WARC record of a page, with a wrong Content-Length if one is given."""
    block = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{http}\r\n".encode() + body
    declared = len(block) if length is None else length
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://h.test/{n}\r\n"
        f"WARC-Date: 2024-05-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:{n}>\r\nContent-Length: {declared}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def arc(n: int, body: bytes = BODY, length: int | None = None) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    size = len(block) if length is None else length
    return f"http://h.test/{n} 192.0.2.1 20080430204825 text/html {size}\n".encode() + block + b"\n"


def member(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def read(path: Path, data: bytes, max_body: int = MAX_BODY) -> tuple[list[Record], list[Reject]]:
    path.write_bytes(data)
    items = list(read_records(str(path), max_body=max_body))
    return [i for i in items if isinstance(i, Record)], [i for i in items if isinstance(i, Reject)]


def urls(records: list[Record]) -> str:
    return " ".join(r.url.rpartition("/")[2] for r in records)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "crawl.warc.gz"


CONTAINERS = {
    "plain": b"".join(record(n) for n in range(4)),
    "member per record": b"".join(member(record(n)) for n in range(4)),
    "one member": member(b"".join(record(n) for n in range(4))),
    "two members of two": member(record(0) + record(1)) + member(record(2) + record(3)),
    "one member, stored": gzip.compress(b"".join(record(n) for n in range(4)), 0),
    "members, stored": b"".join(gzip.compress(record(n), 0) for n in range(4)),
    "mixed": record(0) + member(record(1)) + record(2) + member(record(3)),
    "blocks, not records": b"".join(
        member(b"".join(record(n) for n in range(4))[at : at + 70]) for at in range(0, 6000, 70)
    ),
    "arc": b"".join(arc(n) for n in range(4)),
    "arc.gz": b"".join(member(arc(n)) for n in range(4)),
    "no blank lines": b"".join(member(record(n)[:-4]) for n in range(4)),
    "LF": b"".join(record(n).replace(b"\r\n", b"\n") for n in range(4)).replace(
        str(len(BODY) + 44).encode(), str(len(BODY) + 41).encode()
    ),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_gives_the_same_records(path: Path, container: str) -> None:
    records, rejects = read(path, CONTAINERS[container])
    assert (urls(records), rejects) == ("0 1 2 3", [])
    assert {r.body for r in records} == {BODY}
    assert {r.reason for r in records} == {""}


@pytest.mark.parametrize("container", CONTAINERS)
def test_an_offset_finds_its_record_again(path: Path, container: str) -> None:
    records, _ = read(path, CONTAINERS[container])
    assert [record_at(str(path), r.offset, max_body=MAX_BODY) for r in records] == records


@pytest.mark.parametrize("look_back", [reader.LOOK_BACK, 3000])
@pytest.mark.parametrize("container", CONTAINERS)
def test_ranges_read_every_record_once(
    path: Path, container: str, look_back: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "LOOK_BACK", look_back)
    read(path, CONTAINERS[container])
    whole = list(read_records(str(path), max_body=MAX_BODY))
    rng = random.Random(container)
    for _ in range(20):
        assert list(in_ranges(path, rng)) == whole


def in_ranges(path: Path, rng: random.Random) -> Iterator[Record | Reject]:
    size = path.stat().st_size
    cuts = sorted({0, size, *(rng.randrange(size + 1) for _ in range(rng.choice((1, 3, 8))))})
    for start, end in pairwise(cuts):
        yield from read_records(str(path), start, end, max_body=2**24)


@pytest.mark.parametrize("folder", ["warc", "warc_malformed", "hostile/warc"])
def test_ranges_of_real_files_read_every_record_once(folder: str) -> None:
    rng = random.Random(folder)
    for file in shared_files(folder):
        if file.stat().st_size < 2**21:
            assert list(in_ranges(file, rng)) == list(read_records(str(file), max_body=2**24)), file


def shared_files(folder: str) -> list[Path]:
    if not (SHARED / "data" / folder).is_dir():
        pytest.skip(f"{SHARED / 'data' / folder} is not there")
    return sorted((SHARED / "data" / folder).iterdir())


def test_reads_what_warcio_writes(path: Path) -> None:
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=True)
    http = StatusAndHeaders(
        "404 Gone", [("Content-Type", "text/plain"), ("X-A", "b")], protocol="HTTP/1.0"
    )
    for kind in ("request", "response", "metadata"):
        payload, headers = (BODY, http) if kind == "response" else (b"GET / HTTP/1.1\r\n\r\n", None)
        writer.write_record(
            writer.create_warc_record(
                "http://a.test/",
                kind,
                payload=io.BytesIO(payload),
                length=len(payload),
                http_headers=headers,
            )
        )
    (found,), rejects = read(path, out.getvalue())
    assert (found.status, found.content_type, found.body, rejects) == (404, "text/plain", BODY, [])
    assert found.headers == (("Content-Type", "text/plain"), ("X-A", "b"))


DAMAGED = {  # name: (file, records that come out, reasons of records, reasons of rejects)
    "bad CRC": (member(record(1))[:-6] + b"xx" + member(record(1))[-4:], "0 2", [], ["bad_gzip"]),
    "bad deflate": (
        member(record(1))[:60] + b"\xff" * 9 + member(record(1))[69:],
        "0 2",
        [],
        ["bad_gzip"],
    ),
    "junk": (random.Random(1).randbytes(900), "0 2", [], ["not_a_record"]),
    "zeros": (bytes(512), "0 2", [], ["not_a_record"]),
    "member of junk": (member(bytes(10**6)), "0 2", [], ["not_a_record"]),
    "member cut, then more": (member(record(1))[:100], "0 2", [], ["bad_gzip"]),
    "empty member": (member(b""), "0 2", [], []),
    "not http": (member(record(1).replace(b"HTTP/1.1", b"HELLO 12")), "0 2", [], ["bad_http"]),
    "no type": (member(record(1).replace(b"WARC-Type", b"Wharf-Typ")), "0 2", [], ["bad_header"]),
    "huge WARC header": (
        member(record(1).replace(b"WARC-Date", b"X: " + bytes(2 * MAX_HEAD) + b"\r\nX")),
        "0 2",
        [],
        ["header_too_large"],
    ),
    "huge HTTP header": (
        member(record(1, http="X: y\r\n" * 50_000)),
        "0 2",
        [],
        ["header_too_large"],
    ),
    "inner cut": (
        member(record(1, member(BODY)[:-30], http="Content-Encoding: gzip\r\n")),
        "0 1 2",
        ["truncated"],
        [],
    ),
    **{
        f"Content-Length {length}": (pack(record(1, length=length)), "0 1 2", ["wrong_length"], [])
        for length in (0, 300, 5000, 10**18, -5, "abc", "1e3", "")
        for pack in (member, bytes)
    },
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damage_is_named_and_the_next_record_found(path: Path, damage: str) -> None:
    data, out, reasons, refused = DAMAGED[damage]
    records, rejects = read(path, member(record(0)) + data + member(record(2)))
    assert urls(records) == out
    assert [r.reason for r in records if r.reason] == reasons
    assert [r.reason for r in rejects] == refused


def test_a_wrong_length_does_not_change_the_body(path: Path) -> None:
    records, _ = read(path, record(0, length=7) + record(1, length=9999) + record(2))
    assert [r.body for r in records] == [BODY] * 3


@pytest.mark.parametrize(("cut", "out"), [(8, "0 1 2"), (40, "0 1"), (200, "0 1")])
def test_a_cut_file_keeps_what_is_whole(path: Path, cut: int, out: str) -> None:
    records, rejects = read(path, b"".join(member(record(n)) for n in range(3))[:-cut])
    assert urls(records) == out
    assert [r.reason for r in rejects] == ([] if out == "0 1 2" else ["record_cut"])


def test_a_reject_names_url_and_place(path: Path) -> None:
    _, (reject,) = read(path, member(record(0, bytes(2 * MAX_BODY))))
    assert (reject.url, reject.stage, reject.reason) == (
        "http://h.test/0",
        "extract",
        "record_too_large",
    )
    assert reject.detail == f"crawl.warc.gz@0: more than {MAX_BODY} bytes"


CODED = {
    "gzip": (member(BODY), "Content-Encoding: gzip\r\n"),
    "gzip in gzip": (member(member(BODY)), "content-encoding: x-gzip, gzip\r\n"),
    "two members": (member(BODY[:99]) + member(BODY[99:]), "Content-Encoding: gzip\r\n"),
    "zlib": (zlib.compress(BODY), "Content-Encoding: deflate\r\n"),
    "raw deflate": (zlib.compress(BODY)[2:-4], "Content-Encoding: deflate\r\n"),
    "brotli": (brotli.compress(BODY), "Content-Encoding: br\r\n"),
    "zstd": (pa.compress(BODY, codec="zstd", asbytes=True), "Content-Encoding: zstd\r\n"),
    "says gzip": (BODY, "Content-Encoding: gzip\r\n"),
    "says brotli": (BODY, "Content-Encoding: br\r\n"),
    "says zstd": (BODY, "Content-Encoding: zstd\r\n"),
    "says chunked": (BODY, "Transfer-Encoding: chunked\r\n"),
    "unknown": (BODY, "Content-Encoding: utf-8\r\n"),
    "chunked": (b"63;x=y\r\n" + BODY[:99] + b"\r\n%x\r\n" % (len(BODY) - 99) + BODY[99:] + b"\r\n0\r\n\r\n",
                "Transfer-Encoding: chunked\r\n"),
    "chunked gzip": (b"%x\r\n" % len(member(BODY)) + member(BODY) + b"\r\n0\r\n\r\n",
                     "Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("coding", CODED)
def test_the_body_is_decoded(path: Path, coding: str) -> None:
    body, headers = CODED[coding]
    (found,), rejects = read(path, member(record(0, body, http=headers)))
    assert (found.body, found.reason, rejects) == (BODY, "", [])


@pytest.mark.parametrize("coding", ["gzip", "zlib", "chunked"])
def test_a_cut_body_is_decoded_as_far_as_it_goes(path: Path, coding: str) -> None:
    body, headers = CODED[coding]
    (found,), _ = read(path, member(record(0, body[: len(body) - 15], http=headers)))
    assert found.body
    assert BODY.startswith(found.body)
    assert found.reason == "truncated"


BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": member,
    "br": lambda zeros: brotli.compress(zeros, quality=1),
    "zstd": lambda zeros: pa.compress(zeros, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused(path: Path, bomb: str) -> None:
    body = BOMBS[bomb](bytes(16 * MAX_BODY))
    records, rejects = read(path, record(0, body, http=f"Content-Encoding: {bomb}\r\n") + record(1))
    assert (urls(records), [r.reason for r in rejects]) == ("1", ["record_too_large"])


def test_unwanted_bodies_are_not_read_whatever_their_size(path: Path) -> None:
    path.write_bytes(
        member(record(0, bytes(9 * MAX_BODY))) + record(1, bytes(9 * MAX_BODY)) + record(2)
    )
    seen = list(read_records(str(path), max_body=MAX_BODY, wanted=lambda r: r.url.endswith("2")))
    assert all(isinstance(r, Record) for r in seen)
    assert [(len(r.body), r.reason) for r in seen if isinstance(r, Record)] == [
        (reader.SNIFF, "not_read"),
        (reader.SNIFF, "not_read"),
        (len(BODY), ""),
    ]


def test_a_record_without_an_id_gets_one_that_does_not_depend_on_the_file(tmp_path: Path) -> None:
    (first,), _ = read(tmp_path / "a.arc", arc(0))
    (_, second), _ = read(tmp_path / "b.arc.gz", member(arc(7)) + member(arc(0)))
    assert first.record_id == second.record_id
    assert len(first.record_id) == 20


def test_headers_are_read_as_crawlers_write_them(path: Path) -> None:
    text = record(0).decode()
    for before, after in (
        ("WARC/1.0", "warc/0.18"),
        ("WARC-Type: response", "warc-type:\r\n\tResponse"),
        ("http://h.test/0", "<http://h.test/страница 9>"),
        ("2024-05-01T00:00:00Z", "20240501000000"),
    ):
        text = text.replace(before, after)
    (found,), _ = read(path, text.encode())
    assert (found.type, found.url) == ("response", "http://h.test/страница 9")
    assert found.date == "2024-05-01T00:00:00Z"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("HTTP/1.1 404 Not Found", 404),
        ("HTTP/1.0", 200),
        ("http/1.1  302 ", 302),
        ("HTTP/2 200", 200),
    ],
)
def test_status_lines(path: Path, line: str, status: int) -> None:
    data = record(0).replace(b"HTTP/1.1 200 OK", line.encode().ljust(15))
    if len(line) > 15:
        data = member(data)
    (found,), _ = read(path, data)
    assert found.status == status


def test_a_partial_response_that_holds_everything_counts_as_200(path: Path) -> None:
    for span, status in (("bytes 0-9/10", 200), ("bytes 0-9/99", 206)):
        data = member(
            record(0, bytes(10), http=f"Content-Range: {span}\r\n").replace(b"200 OK", b"206 Pa")
        )
        (found,), _ = read(path, data)
        assert found.status == status


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-05-01T10:00:00+02:00", "2024-05-01T08:00:00Z"),
        ("20080430204825", "2008-04-30T20:48:25Z"),
        ("2024-05-01T00:00:00.123Z", "2024-05-01T00:00:00.123Z"),
        ("yesterday", ""),
        ("20089999999999", ""),
    ],
)
def test_dates(text: str, date: str) -> None:
    assert iso_utc(text) == date


def test_a_missing_record_and_a_missing_file_are_errors(path: Path) -> None:
    first = member(record(0, kind="request"))
    read(path, first + member(record(1))[:90])
    for offset, reason in ((0, "not_a_record"), (1, "not_a_record"), (len(first), "record_cut")):
        with pytest.raises(MediaError) as raised:
            record_at(str(path), offset, max_body=MAX_BODY)
        assert raised.value.reason == reason
    with pytest.raises(InputError, match="expected a readable WARC file"):
        list(read_records(str(path) + "x", max_body=MAX_BODY))


def test_hostile_files_give_at_least_the_pages_that_they_should() -> None:
    index = {e["file"].split("/")[1]: e for e in hostile_index() if e["kind"] == "warc"}
    for file in shared_files("hostile/warc"):
        items = list(read_records(str(file), max_body=2**24))
        assert sum(isinstance(i, Record) for i in items) >= index[file.name]["pages"], file.name


def hostile_index() -> list[dict[str, Any]]:
    shared_files("hostile")
    found: list[dict[str, Any]] = json.loads((SHARED / "data/hostile/index.json").read_text())
    return found


def test_real_files_give_the_records_that_warcio_counts() -> None:
    for entry in json.loads(shared_files("warc_index")[0].read_text()):
        items = list(read_records(str(SHARED / "data/warc" / entry["file"]), max_body=2**26))
        listed = sum(entry["records"].get(kind, 0) for kind in ("response", "resource"))
        lookups = {"ipwb__sample-1.warc.gz": 5, "ipwb__mkelly1.warc": 1, "warclight__etig-2014_08_13.warc.gz": 48,
                   "ipwb__IAH-20080430204825-00000-blackbook.warc.gz": 38, "aut__example.arc.gz": 38,
                   "warclight__2013-steacie-hackfest-2015_01_13.warc.gz": 4}  # fmt: skip
        assert len(items) == listed - lookups.get(entry["file"], 0), entry["file"]


def test_memory_stays_bounded(tmp_path: Path) -> None:
    """A body of 384 MiB, a member of as many zeros, and as many behind a record: none is ever held."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    zeros = b"".join(packer.compress(bytes(2**24)) for _ in range(24)) + packer.flush()
    behind = zlib.compressobj(1, zlib.DEFLATED, 31)
    tail = (
        behind.compress(record(1))
        + b"".join(behind.compress(bytes(2**24)) for _ in range(24))
        + behind.flush()
    )
    file = tmp_path / "bombs.warc.gz"
    file.write_bytes(
        member(record(0, zeros, http="Content-Encoding: gzip\r\n"))
        + zeros
        + tail
        + member(record(2))
    )
    code = (
        "import sys; from m3w_builder.warc import *; "
        "print(*(r.reason or r.url[-1] for r in read_records(sys.argv[1], max_body=2**24)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + PEAK, str(file)], capture_output=True, text=True, check=True
    )
    *found, peak = done.stdout.split()
    assert found == ["record_too_large", "not_a_record", "1", "not_a_record", "2"]
    assert int(peak) < 300
