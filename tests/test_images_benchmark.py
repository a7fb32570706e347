"""The benchmark of images runs, and counts what is found."""

import json
from pathlib import Path

import pytest
from fakes import picture

from benchmarks import images


def test_every_change_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, site in enumerate(("one", "two")):
        (tmp_path / site).mkdir()
        (tmp_path / site / "a.jpg").write_bytes(picture(320, 240, number))
        (tmp_path / site / "small.png").write_bytes(picture(96, 64, number, "png"))
    images.main(["--copies", str(tmp_path)])
    shown = capsys.readouterr().out
    assert shown.startswith("2 images, ")
    assert [line.split(" | ")[0] for line in shown.splitlines()[4:21]] == [
        f"| {change}" for change in images.CHANGES
    ]
    assert "1 pairs of two sites; false matches of PDQ, firm, 64 bits: [0, 0, 0]" in shown


def test_speed_is_one_json_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(images, "ROUNDS", 1)
    images.main(["--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["measure_image without safety"] < found["measure_image with opennsfw"]
