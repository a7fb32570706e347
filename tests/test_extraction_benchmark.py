import gzip
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from m3w_builder.types import Page

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "tests" / "data" / "pages"
SCRIPT = runpy.run_path(str(ROOT / "benchmarks" / "extraction.py"))
PEERS = sys.modules["benchmarks.peers"].PEERS
TEXT = "Some running text that is long enough to be taken for the content of a page, twice over."
PICTURE = "<a href=/i.jpg><img src=/i-300x200.jpg alt=A></a><figcaption>C</figcaption>"
SCORER = """
import json, sys
with open(sys.argv[2], encoding="utf-8") as file:
    rows = [json.loads(line) for line in file]
assert sys.argv[3] == "--json" and open(sys.argv[1]).read()
images = sum(node["type"] == "image" for row in rows for node in row["nodes"])
print(json.dumps({"pages": len(rows), "f1": images / 8, "other": 3}))
"""


def manifest(folder: Path, rows: list[dict[str, str]]) -> str:
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def bundled(folder: Path) -> list[str]:
    """Returns the arguments that run the benchmark on the bundled pages."""
    pages = sorted(PAGES.glob("*.html"))
    rows = [{"id": p.stem, "html": p.name, "base": f"http://h/{p.name}"} for p in pages]
    return [manifest(folder, rows), str(folder / "out.jsonl"), "--root", str(PAGES)]


def run(*argv: str) -> None:
    SCRIPT["main"]([*argv])


def rows_in(path: Path | str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def table(printed: str) -> dict[str, list[str]]:
    """Returns the cells of a printed table by the name of their row."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()]
    return {line[0]: line[1:] for line in lines if line}


def test_predictions_are_in_the_scorers_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = f"<h1>The title</h1><p>{TEXT}</p><figure>{PICTURE}</figure><h2>Part</h2><p>{TEXT}</p>"
    (tmp_path / "a.html.gz").write_bytes(gzip.compress(html.encode()))
    (tmp_path / "b.html").write_bytes(b"")
    rows = [
        {"id": "a", "html": "a.html.gz", "url": "http://h/a"},
        {"id": "b", "html": "b.html", "url": "http://h/b"},
    ]
    output = tmp_path / "out.jsonl"
    run(manifest(tmp_path, rows), str(output))
    first, second = rows_in(output)
    kinds = [(node["type"], node.get("role")) for node in first["nodes"]]
    assert ("image", None) in kinds
    assert ("text", "caption") in kinds
    picture = next(node for node in first["nodes"] if node["type"] == "image")
    assert picture["src"] == picture["srcs"][0] == "http://h/i.jpg"
    assert "http://h/i-300x200.jpg" in picture["srcs"]
    assert first["text"] == f"{TEXT}\nPart\n{TEXT}"
    assert first["sec"] > 0
    assert (second["id"], second["nodes"], second["text"]) == ("b", [], "")
    assert table(capsys.readouterr().out)["extractor"] == ["pages/s/core", "x trafilatura"]


def test_picture_in_an_element_with_a_prefix(tmp_path: Path) -> None:
    html = f"<p>{TEXT}</p><o:p>a</o:p><o:p><img src=/i.jpg></o:p><p>{TEXT}</p>"
    (tmp_path / "a.html").write_text(html, encoding="utf-8")
    output = tmp_path / "out.jsonl"
    run(manifest(tmp_path, [{"id": "a", "html": "a.html", "url": "http://h/a"}]), str(output))
    images = [node for node in rows_in(output)[0]["nodes"] if node["type"] == "image"]
    assert [node["srcs"] for node in images] == [["http://h/i.jpg"]]


def test_trafilatura_addresses_are_the_first_of_a_srcset() -> None:
    sources = ("/a.jpg", "/a%20b.jpg 1x", "/a-300.jpg 300w, /a-600.jpg 600w", "/two words.jpg")
    xml = "".join(f"<graphic src='{source}'/>" for source in sources)
    rows = sys.modules["benchmarks.peers"].trafilatura_rows(f"<doc><main>{xml}</main></doc>")
    assert [row["src"] for row in rows] == ["/a.jpg", "/a%20b.jpg", "/a-300.jpg", "/two words.jpg"]


def test_pages_lie_in_another_folder_and_have_only_a_base(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(*bundled(tmp_path))
    rows = {row["id"]: row for row in rows_in(tmp_path / "out.jsonl")}
    assert set(rows) == {path.stem for path in PAGES.glob("*.html")}
    for row in rows.values():
        assert row["text"]
        sources = [node["src"] for node in row["nodes"] if node["type"] == "image"]
        assert all(source.startswith("http") for source in sources)


def test_table_has_a_row_for_each_extractor_with_the_scorers_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scorer = tmp_path / "scorer.py"
    scorer.write_text(SCORER, encoding="utf-8")
    chosen = ["--peers", "everything,lxml", "--scorer", str(scorer), "--speed", "2"]
    run(*bundled(tmp_path), *chosen)
    rows = table(capsys.readouterr().out)
    assert rows["extractor"] == ["pages/s/core", "x trafilatura", "f1"]
    assert list(rows)[2:] == ["m3w", "m3w, scored", "everything", "lxml"]
    assert float(rows["m3w"][0]) < float(rows["lxml"][0])
    ours, all_of_it = (rows_in(tmp_path / f"out.jsonl{end}") for end in ("", ".everything.jsonl"))
    for name, found in (("m3w", ours), ("everything", all_of_it)):
        images = sum(node["type"] == "image" for row in found for node in row["nodes"])
        assert rows[name][2] == f"{images / 8:.4f}"
    assert rows["lxml"][2] == rows["m3w, scored"][2] == ""
    assert not (tmp_path / "out.jsonl.lxml.jsonl").exists()
    assert [row["id"] for row in all_of_it] == [row["id"] for row in ours]
    assert all(len(a["text"]) > len(b["text"]) for a, b in zip(all_of_it, ours, strict=True))


def test_ratio_is_to_trafilatura(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PEERS, "trafilatura", PEERS["everything"])
    run(*bundled(tmp_path), "--peers", "trafilatura", "--speed")
    rows = table(capsys.readouterr().out)
    assert rows["trafilatura"][1] == "1.00"
    assert float(rows["m3w"][1]) < 1


def test_missing_peer_gives_one_line_and_the_others_run(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules["benchmarks.peers"], "find_spec", lambda _: None)
    run(*bundled(tmp_path), "--peers", "trafilatura,trafilatura-recall,newspaper")
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "trafilatura is not installed: pip install trafilatura",
        "newspaper is not installed: pip install 'newspaper4k[ja,th,zh,nlp]'",
    ]
    assert list(table(printed.out))[2:] == ["m3w"]


@pytest.mark.parametrize("name", PEERS)
def test_peer_finds_the_text_in_order(name: str) -> None:
    peer = PEERS[name]
    if peer.missing:
        pytest.skip(peer.missing)
    words = [f"{TEXT} This is the {number} of them." for number in ("first", "second", "third")]
    html = f"<html><body><article><p>{words[0]}</p><p>{words[1]}</p><p>{words[2]}</p></article>"
    page = Page("http://h/", html.encode())
    found = peer.predict(page, peer.run(page))
    if peer.rows is None:
        assert found == {"nodes": [], "text": ""}
    else:
        assert [node["text"] for node in found["nodes"]] == words
        assert found["text"].split() == " ".join(words).split()


@pytest.mark.parametrize("name", PEERS)
def test_peer_finds_nothing_in_nothing(name: str) -> None:
    peer = PEERS[name]
    if peer.missing:
        pytest.skip(peer.missing)
    page = Page("http://h/", b" ")
    assert peer.predict(page, peer.run(page)) == {"nodes": [], "text": ""}


def test_everything_is_what_a_reader_sees() -> None:
    html = """<html><head><title>No</title></head><body>One <b>wo</b>rd<script>no</script> and<br>
        <!-- no --> more <img src="a.png"> after <p hidden>no</p><div style="display: none">no</div>
        <noscript><img src="no.png"></noscript>end</body></html>"""
    peer = PEERS["everything"]
    page = Page("http://h/", html.encode())
    nodes = peer.predict(page, peer.run(page))["nodes"]
    assert [node.get("text") or node["src"] for node in nodes] == [
        "One word and", "more", "a.png", "after end",
    ]  # fmt: skip


def test_linear_grows_one_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SCRIPT["main"].__globals__, "MEGABYTES", (0.05, 0.1))
    run(*bundled(tmp_path), "--linear")
    rows = table(capsys.readouterr().out)
    assert float(rows["0.1"][0]) > float(rows["0.1"][1]) > 0


def test_grown_page_repeats_its_body_whole() -> None:
    page = Page("http://h/", f"<title>T</title><body class=x><p>{TEXT}<img src=a.png>".encode())
    large = SCRIPT["grown"](page, 10_000)
    assert 9_500 < len(large.html) < 10_500
    tree = PEERS["lxml"].run(large)
    assert [child.get("class") for child in tree.find("body")][:2] == ["part-0", "part-1"]
    assert tree.findtext(".//title") == "T"
    assert len(tree.findall(".//img")) == len(tree.findall("body/div/p/img")) > 50


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["none.jsonl", "out"], "FileNotFoundError"),
        (["{manifest}", "out", "--peers", "other"], "got other"),
    ],
)
def test_mistakes_are_told(
    argv: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bundled(tmp_path)[0]
    with pytest.raises(SystemExit):
        run(*(part.replace("{manifest}", path) for part in argv))
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "{}\n", "\n"])
def test_bad_manifest_is_told(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit):
        run(str(path), str(tmp_path / "out.jsonl"))
    assert str(path) in capsys.readouterr().err
