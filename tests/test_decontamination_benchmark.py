"""The benchmark of decontamination runs, and counts what is found."""

import json
import random
from pathlib import Path

import pytest
from fakes import picture

from benchmarks import decontamination


def page(number: int) -> str:
    draw = random.Random(number)
    words = [
        "river",
        "stone",
        "of",
        "the",
        "a",
        "light",
        "walks",
        "under",
        "seven",
        "bridges",
        "now",
    ]
    texts = "".join(f"<p>{' '.join(draw.choice(words) for _ in range(40))}.</p>" for _ in range(6))
    return f"<html><head><title>A page</title></head><body><article>{texts}</article></body></html>"


def test_every_figure_is_in_one_json_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for number in range(8):
        (tmp_path / f"{number}.html").write_text(page(number))
        url = f"https://www.site{number}.example/"
        rows.append({"id": str(number), "html": f"{number}.html", "url": url})
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "images" / "one").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "images" / "one" / f"{number}.jpg").write_bytes(picture(320, 240, number))
    monkeypatch.setattr(decontamination, "PLANTED", 2)
    monkeypatch.setattr(decontamination, "SIZES", (10,))
    decontamination.main([str(manifest), "--images", str(tmp_path / "images"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["unrelated"]["documents"] > 0
    assert found["unrelated"]["overlap 0.8"] == 0
    assert found["planted"]["overlap 0.8, edits 0%"] == 1.0
    assert found["planted"]["overlap 0.0, edits 20%"] <= 1.0
    assert found["images"]["as PNG"] == 1.0
    assert found["images"]["mirrored"] == 0.0
    assert found["ms"]["document, 10 texts"] > 0
