"""What a run says: rows, lines, TensorBoard's numbers, and a picture of its losses."""

import io
import json
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from rich.console import Console  # noqa: E402

from m3w_builder.flamingo import curve, log  # noqa: E402

ROWS = [
    {
        "phase": "flamingo",
        "step": step,
        "loss": 3.0 / step,
        "losses": {"pages": 2.0 / step, "<pairs> & more": 5.0 / step},
        "gates": [(0.1, 0.2), (0.3, 0.4)],
        "rejected": {"pages/no_image": 2},
    }
    for step in range(1, 101)
]
SVG = "{http://www.w3.org/2000/svg}"


def test_rows_are_written_one_a_line_and_yielded(tmp_path: Path) -> None:
    shown = io.StringIO()
    with log.Log(tmp_path, Console(file=shown, width=200)) as book:
        assert list(book.follow(ROWS, 100)) == ROWS
    assert log.read(tmp_path) == json.loads(json.dumps(ROWS))
    lines = shown.getvalue().splitlines()
    assert 10 <= len(lines) <= 16
    assert "Flamingo  step    1  loss 3.000  pages 2.000" in lines[0]
    assert lines[0].endswith("gates 0.2000 0.3000")


def test_other_ranks_write_nothing(tmp_path: Path) -> None:
    shown = io.StringIO()
    with log.Log(tmp_path, Console(file=shown), active=False) as book:
        assert list(book.follow(ROWS, 100)) == ROWS
        book.say("nothing")
    assert not list(tmp_path.iterdir())
    assert shown.getvalue() == ""


def test_every_number_goes_to_tensorboard_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = list[tuple[str, float, int]]()

    class SummaryWriter:
        def __init__(self, folder: Path) -> None:
            assert folder == tmp_path / log.BOARD

        def add_scalar(self, name: str, value: float, step: int) -> None:
            found.append((name, value, step))

        def close(self) -> None:
            found.append(("closed", 0, 0))

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(log, "find_spec", lambda name: name)
    with log.Log(tmp_path, Console(quiet=True)) as book:
        list(book.follow(ROWS[:1], 1))
    assert found == [
        ("flamingo/loss", 3.0, 1),
        ("flamingo/losses/pages", 2.0, 1),
        ("flamingo/losses/<pairs> & more", 5.0, 1),
        ("flamingo/gates/0/0", 0.1, 1),
        ("flamingo/gates/0/1", 0.2, 1),
        ("flamingo/gates/1/0", 0.3, 1),
        ("flamingo/gates/1/1", 0.4, 1),
        ("flamingo/rejected/pages/no_image", 2.0, 1),
        ("closed", 0, 0),
    ]


def test_without_tensorboard_the_log_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "find_spec", lambda _: None)
    with log.Log(tmp_path, Console(quiet=True)) as book:
        list(book.follow(ROWS[:1], 1))
    assert [path.name for path in tmp_path.iterdir()] == [log.FILE]


def test_picture_has_a_falling_line_per_dataset_inside_its_frame() -> None:
    root = ElementTree.fromstring(curve.svg(ROWS))
    lines = root.findall(f"{SVG}polyline")
    assert len(lines) == 2
    for line in lines:
        points = [tuple(map(float, p.split(","))) for p in line.attrib["points"].split()]
        assert all(0 <= x <= curve.WIDTH and 0 <= y <= curve.HEIGHT for x, y in points)
        assert points[0][1] < points[-1][1], "a loss that falls goes down, where y is larger"
        assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert {text.text for text in root.findall(f"{SVG}text")} >= {"pages", "<pairs> & more"}


def test_picture_of_nothing_is_a_picture() -> None:
    assert not ElementTree.fromstring(curve.svg([])).findall(f"{SVG}polyline")


def test_long_runs_are_drawn_by_few_points() -> None:
    points = [(float(x), 1.0) for x in range(100_000)]
    found = curve.smoothed(points)
    assert len(found) <= curve.POINTS
    assert {y for _, y in found} == {1.0}
    assert curve.smoothed([(1.0, 5.0)]) == [(1.0, 5.0)]
