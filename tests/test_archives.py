"""Archives that stand in for the live web: WARC files, and CDX and CDXJ indexes beside them."""

from pathlib import Path

import pytest
from fakes import warc_record
from server import BODY

from m3w_builder.archives import captures, plan
from m3w_builder.collect import Request, collect
from m3w_builder.config import FetchConfig
from m3w_builder.errors import InputError
from m3w_builder.warc import record_at

URL = "http://example.com/a%20b.jpg"


@pytest.fixture
def warc(tmp_path: Path) -> tuple[Path, int]:
    """Returns a WARC file and the offset of the second of its records."""
    first = warc_record("http://example.com/gone", b"", status="404 Not Found")
    path = tmp_path / "old.warc.gz"
    path.write_bytes(first + warc_record(URL, BODY))
    return path, len(first)


def test_warc_file_is_its_own_index(warc: tuple[Path, int]) -> None:
    ((url, row),) = captures(warc[0])
    assert url == URL
    assert (row["status"], row["crawled"]) == (200, "2026-01-02T03:04:05Z")
    assert record_at(row["file"], row["offset"], max_body=10**6).body == BODY


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "i.cdx",
            " CDX N b a m s k r M S V g\n"
            "com,example)/a%20b.jpg 20260102030405 http://example.com/a%20b.jpg image/jpeg 200 ABC - - 99 "
            "{at} old.warc.gz\n"
            "com,example)/gone 20260102030405 http://example.com/gone text/html 404 ABC - - 99 0 old.warc.gz\n",
        ),
        (
            "nine.cdx",
            "com,example)/a%20b.jpg 20260102030405 http://example.com/a%20b.jpg image/jpeg 200 ABC - "
            "{at} old.warc.gz\n",
        ),
        (
            "i.cdxj",
            '!meta {{"format": "cdxj"}}\n'
            'com,example)/a%20b.jpg 20260102030405 {{"url": "http://example.com/a%20b.jpg", "mime": "image/jpeg", '
            '"status": "200", "offset": "{at}", "length": "99", "filename": "crawl/old.warc.gz"}}\n',
        ),
    ],
)
def test_index_leads_to_the_record(name: str, text: str, warc: tuple[Path, int]) -> None:
    index = warc[0].parent / name
    index.write_text(text.format(at=warc[1]))
    ((url, row),) = captures(index)
    assert (url, row["crawled"], row["content_type"]) == (URL, "2026-01-02T03:04:05Z", "image/jpeg")
    assert record_at(row["file"], row["offset"], max_body=10**6).body == BODY


def test_index_line_without_an_offset_leads_nowhere(warc: tuple[Path, int]) -> None:
    index = warc[0].parent / "i.cdxj"
    index.write_text(
        'k 20260102030405 {"url": "http://a.b/", "status": "200", "filename": "old.warc.gz"}\n'
    )
    assert list(captures(index)) == []


def test_stale_index_does_not_serve_another_urls_bytes(
    warc: tuple[Path, int], tmp_path: Path
) -> None:
    place = ((str(warc[0]), warc[1]),)  # of URL, whatever an index says
    config = FetchConfig(safety="off", allow_private=True, attempts=1)
    wrong = Request("http://127.0.0.1:9/x.jpg", "image", fallback=place)
    (row,) = collect([wrong], pack=tmp_path / "p.tar", config=config)
    assert row.status == "unreachable"


def test_line_that_is_no_index_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "bad.cdx").write_text("com,example)/ 2026\n")
    with pytest.raises(InputError, match="line 1: expected WARC or ARC files, or CDX"):
        list(captures(tmp_path / "bad.cdx"))


def test_files_are_found_by_pattern_and_missing_ones_told(warc: tuple[Path, int]) -> None:
    folder = warc[0].parent
    (folder / "b.cdx").write_text("")
    assert plan([f"{folder}/*"]) == [folder / "b.cdx", warc[0]]
    with pytest.raises(InputError, match="found nothing there"):
        plan([f"{folder}/*.arc"])
