"""The unit of work: from the archive or the web, in URL order, the same bytes every time."""

import ast
import re
import subprocess
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from fakes import warc_record
from imageio_ffmpeg import get_ffmpeg_exe
from server import BODY, jpeg, serve, server

import m3w_builder
from m3w_builder.collect import REASONS, Request, collect
from m3w_builder.config import FetchConfig
from m3w_builder.packs import read_range
from m3w_builder.types import WHOLE_FILE, Media

ONLINE = FetchConfig(safety="off", allow_private=True, host_rate=0.0, backoff_seconds=0.05)
OFFLINE = FetchConfig(network=False)


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with serve() as url:
        yield url


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    source = ("-f", "lavfi", "-i", "testsrc=s=64x48:d=3:r=5")
    subprocess.run([get_ffmpeg_exe(), "-v", "error", *source, str(path)], check=True)
    return path


def archive(path: Path, *records: bytes) -> list[tuple[str, int]]:
    """Writes a WARC file and returns the place of each record."""
    path.write_bytes(b"".join(records))
    return [(str(path), sum(map(len, records[:n]))) for n in range(len(records))]


def one(request: Request, tmp_path: Path, config: FetchConfig) -> Media:
    (row,) = collect([request], pack=tmp_path / "p.tar", config=config)
    return row


def test_archived_image_needs_no_network(tmp_path: Path) -> None:
    url = "http://example.com/a.jpg"
    place = archive(tmp_path / "a.warc.gz", warc_record(url, BODY))
    row = one(Request(url, "image", tuple(place)), tmp_path, OFFLINE)
    assert (row.status, row.origin, row.fetched) == ("ok", "archive", "2026-01-02T03:04:05Z")
    assert (row.format, row.width, row.height, row.reencoded) == ("jpg", 160, 120, False)
    assert (row.pack, row.source_bytes, row.sha256) == ("p.tar", len(BODY), row.source_sha256)
    assert read_range(tmp_path / "p.tar", row.offset, row.length) == BODY


def test_next_candidate_is_tried_when_the_first_is_unusable(tmp_path: Path) -> None:
    url = "http://example.com/a.jpg"
    bodies = (b"<html>gone", BODY[:500], BODY)
    places = archive(tmp_path / "a.warc.gz", *(warc_record(url, body) for body in bodies))
    row = one(Request(url, "image", tuple(places)), tmp_path, OFFLINE)
    assert (row.status, row.source_bytes) == ("ok", len(BODY))
    row = one(Request(url, "image", tuple(places[:2])), tmp_path, OFFLINE)
    assert (row.status, row.source_bytes) == ("image_damaged", 500)


def test_web_is_asked_when_the_archive_has_nothing_usable(base: str, tmp_path: Path) -> None:
    place = archive(tmp_path / "a.warc.gz", warc_record("http://x/", b"<html>"))
    row = one(Request(f"{base}/ok.jpg", "image", tuple(place)), tmp_path, ONLINE)
    assert (row.status, row.origin, row.fetched) == ("ok", "http", "")
    assert (row.content_type, row.final_url) == ("image/jpeg", f"{base}/ok.jpg")


def test_damaged_copy_is_the_reason_when_the_web_has_none(base: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("<html>no image")
    places = ((str(tmp_path / "a.jpg"), WHOLE_FILE),)
    (row,) = collect(
        [Request(f"{base}/missing", "image", places)],
        pack=tmp_path / "p.tar",
        config=FetchConfig(allow_private=True),
    )
    assert row.status == "not_an_image"


def test_no_archive_and_no_network_is_a_reason(tmp_path: Path) -> None:
    row = one(Request("http://example.com/a.jpg", "image"), tmp_path, OFFLINE)
    assert (row.status, row.pack) == ("not_archived", "")


def test_local_file_is_read_within_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(BODY)
    request = Request("http://x/a.jpg", "image", ((str(tmp_path / "a.jpg"), WHOLE_FILE),))
    assert one(request, tmp_path, OFFLINE).status == "ok"
    small = OFFLINE.model_copy(update={"max_image_bytes": 100})
    assert one(request, tmp_path, small).status == "too_large"
    gone = Request("http://x/a.jpg", "image", ((str(tmp_path / "b.jpg"), WHOLE_FILE),))
    assert one(gone, tmp_path, OFFLINE).status == "not_archived"


@pytest.mark.parametrize("origin", ["archive", "http"])
def test_video_becomes_frames(origin: str, base: str, clip: Path, tmp_path: Path) -> None:
    url = f"{base}/file?path={clip}"
    places = ((str(clip), WHOLE_FILE),) if origin == "archive" else ()
    row = one(Request(url, "video", places), tmp_path, ONLINE)
    assert (row.status, row.origin, row.seconds, row.fps) == ("ok", origin, 3.0, 5.0)
    assert (row.width, row.height, row.codec, row.audio) == (64, 48, "h264", False)
    assert [frame.t for frame in row.frames] == [0, 1, 2]
    for frame in row.frames:
        assert read_range(tmp_path / "p.tar", frame.offset, 3) == b"\xff\xd8\xff"


def test_subtitles_are_stored_as_clean_webvtt(base: str, tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_bytes(
        "1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>Olé</i>".encode("cp1252")
    )
    url = f"{base}/file?path={tmp_path / 'a.srt'}"
    row = one(Request(url, "subtitles"), tmp_path, ONLINE)
    assert (row.status, row.kind, row.format, row.seconds) == ("ok", "subtitles", "vtt", 2.5)
    stored = read_range(tmp_path / "p.tar", row.offset, row.length)
    assert stored == "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nOlé\n".encode()
    assert row.sha256 == sha256(stored).hexdigest() != row.source_sha256
    small = ONLINE.model_copy(update={"max_subtitle_bytes": 20})
    assert one(Request(url, "subtitles"), tmp_path, small).status == "too_large"
    assert one(Request(f"{base}/ok.jpg", "subtitles"), tmp_path, ONLINE).status == "not_subtitles"


def test_image_is_no_video_and_the_reverse(base: str, clip: Path, tmp_path: Path) -> None:
    requests = [Request(f"{base}/ok.jpg", "video"), Request(f"{base}/file?path={clip}", "image")]
    rows = collect(requests, pack=tmp_path / "p.tar", config=ONLINE)
    assert [row.status for row in rows] == ["not_an_image", "not_a_video"]


def test_rows_and_pack_do_not_depend_on_who_comes_first(base: str, tmp_path: Path) -> None:
    """Every third is slow in one run; the order of the requests differs too."""
    urls = [f"{base}/picture?seed={n}&width={80 + n}" for n in range(12)]
    urls += [f"{base}/nothing", f"{base}/ok.jpg", f"{base}/lying_type"]
    requests = [Request(url, "image") for url in urls]
    first = collect(requests, pack=tmp_path / "one" / "p.tar", config=ONLINE)
    alone = ONLINE.model_copy(update={"threads": 1})
    second = collect(requests[::-1], pack=tmp_path / "two" / "p.tar", config=alone)
    assert first == second
    assert [row.url for row in first] == sorted(urls)
    packs = [(tmp_path / name / "p.tar").read_bytes() for name in ("one", "two")]
    assert packs[0] == packs[1]
    with tarfile.open(tmp_path / "one" / "p.tar") as tar:
        assert len(tar.getnames()) == 13  # ok.jpg and lying_type are the same picture


def test_slow_host_holds_nobody_up_and_per_host_holds(tmp_path: Path) -> None:
    config = ONLINE.model_copy(update={"threads": 6, "per_host": 2})
    with server() as (slow, slow_handler), server() as (fast, fast_handler):
        requests = [Request(f"{slow}/picture?wait=0.3&seed={n}", "image") for n in range(6)]
        requests += [Request(f"{fast}/picture?wait=0.02&seed={n}", "image") for n in range(20)]
        rows = collect(requests, pack=tmp_path / "p.tar", config=config)
        assert fast_handler.finished[-1] < slow_handler.finished[-1]
        assert all(row.status == "ok" for row in rows)
        assert (slow_handler.busy["most"], fast_handler.busy["most"]) == (2, 2)


def test_nothing_is_left_beside_the_pack(base: str, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "packs"
    requests = [Request(f"{base}/file?path={clip}", "video"), Request(f"{base}/cut", "image")]
    collect(requests, pack=folder / "p.tar", config=ONLINE)
    assert [path.name for path in folder.iterdir()] == ["p.tar"]


def test_every_reason_is_listed_with_its_meaning() -> None:
    package = Path(m3w_builder.__file__).parent
    sources = [package / name for name in ("frames.py", "subtitles.py")]
    rooms = [p for name in ("fetch", "collect", "media") for p in (package / name).glob("*.py")]
    found = set()
    for source in [*sources, *rooms]:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "MediaError":
                found |= {c.value for c in ast.walk(node.args[0]) if isinstance(c, ast.Constant)}
    warc = (package / "warc" / "__init__.py").read_text()
    found |= set(re.findall(r"^  ([a-z_]+)  +", warc, re.MULTILINE))
    assert found | {"not_archived", "host_dead", "opted_out"} == set(REASONS)


def test_pictures_of_many_sizes_are_measured_as_sent(base: str, tmp_path: Path) -> None:
    requests = [Request(f"{base}/picture?width={width}", "image") for width in (64, 200, 640)]
    rows = collect(requests, pack=tmp_path / "p.tar", config=ONLINE)
    assert sorted((row.width, row.height) for row in rows) == [(64, 48), (200, 150), (640, 480)]
    for row in rows:
        stored = read_range(tmp_path / "p.tar", row.offset, row.length)
        assert stored == jpeg(row.width, row.width * 3 // 4)
