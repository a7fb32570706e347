"""A unit of pages: whatever one page or one server does, the others come out and it is counted."""

from pathlib import Path

from server import serve

from m3w_builder.config import parse
from m3w_builder.extract import extract_unit
from m3w_builder.inputs import plan
from m3w_builder.tables import read_table

HASTY = {"page_seconds": 0.5}
PRIVATE = {"allow_private": True}


def rejects(folder: Path) -> list[tuple[str, str]]:
    rows = [row for file in (folder / "rejects").iterdir() for row in read_table(file, "rejects")]
    return [(row["url"], row["reason"]) for row in rows]


def test_a_server_slower_than_a_page_may_be_is_one_reject(tmp_path: Path) -> None:
    config = parse({"extract": HASTY, "fetch": {**PRIVATE, "total_seconds": 1.5}})
    with serve() as base:
        urls = [f"{base}/drip", f"{base}/html.jpg"]
        (tmp_path / "urls.txt").write_text("\n".join(urls))
        counts = extract_unit(plan([str(tmp_path / "urls.txt")])[0], tmp_path / "out", config)
    assert rejects(tmp_path / "out") == [(urls[0], "timeout")]
    assert (counts["pages"], counts["failed_records"]) == (1, 1)
