import gzip
import json
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "extraction.py"
TEXT = "Some running text that is long enough to be taken for the content of a page, twice over."


def test_predictions_are_in_the_scorers_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = "<a href=/i.jpg><img src=/i-300x200.jpg alt=A></a><figcaption>C</figcaption>"
    html = f"<p>{TEXT}</p><figure>{picture}</figure><p>{TEXT}</p>"
    (tmp_path / "a.html.gz").write_bytes(gzip.compress(html.encode()))
    (tmp_path / "b.html").write_bytes(b"")
    rows = [
        {"id": "a", "html": "a.html.gz", "url": "http://h/a"},
        {"id": "b", "html": "b.html", "url": "http://h/b"},
    ]
    manifest, output = tmp_path / "m.jsonl", tmp_path / "out.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    runpy.run_path(str(SCRIPT))["main"]([str(manifest), str(output), "--against", "lxml"])
    first, second = map(json.loads, output.read_text().splitlines())
    assert [node["type"] for node in first["nodes"]] == ["text", "image", "text", "text"]
    assert first["nodes"][1]["srcs"] == ["http://h/i.jpg", "http://h/i-300x200.jpg"]
    assert first["text"] == f"{TEXT}\n{TEXT}"
    assert first["sec"] >= 0
    assert (second["id"], second["nodes"]) == ("b", [])
    assert "pages/s/core" in capsys.readouterr().out
