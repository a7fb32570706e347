"""The benchmark of the extract stage: pages are packed whole, each under a host of its own; tables come out."""

import json
from pathlib import Path

import pytest

from benchmarks import extract_stage
from m3w_builder.inputs import plan, read_pages
from m3w_builder.types import Page

PAGES = Path(__file__).parent / "data" / "pages"


def manifest(folder: Path) -> tuple[str, int]:
    """Returns a manifest of the bundled pages, and how many they are."""
    names = sorted(page.name for page in PAGES.glob("*.html"))
    rows = [{"id": name, "html": name, "base": f"http://h.example/{name}"} for name in names]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / "manifest.jsonl"), len(rows)


def test_pages_are_packed_whole_under_hosts_of_their_own(tmp_path: Path) -> None:
    pages = [Page("http://h.example/a?b", b"<p>\x00\xff"), Page("http://h.example/", b"<html>")]
    files = extract_stage.pack(pages, 2, tmp_path / "crawl", pages_per_file=1)
    assert len(files) == 4
    found = [p for unit in plan(list(map(str, files))) for p in read_pages(unit, max_body=1000)]
    assert all(isinstance(page, Page) for page in found)
    assert [page.html for page in found] == [b"<p>\x00\xff", b"<html>"] * 2
    assert len({page.url.split("/")[2] for page in found}) == 4
    assert found[0].url.endswith(".h.example/a?b")


@pytest.mark.parametrize(
    ("name", "said"), [("none.jsonl", "No such file or directory"), ("empty.jsonl", "no pages")]
)
def test_manifest_without_pages_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(SystemExit):
        extract_stage.main([str(tmp_path / name)])
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_every_row_has_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, count = manifest(tmp_path)
    extract_stage.main([path, "--root", str(PAGES), "--copies=3", "--workers=1"])
    printed = capsys.readouterr().out
    assert printed.startswith(f"{3 * count} pages of ")
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in printed.splitlines() if line]
    cells = {row[0]: row[1:] for row in rows if row}
    assert float(cells["read"][0]) > 0
    assert float(cells["extract.extract"][0]) > float(cells["of it statistics"][0])
    assert float(cells["1 worker"][4]) > 0
