"""The display: counts of commit records, in words, whole at 80 columns, without control characters in a log."""

import io
import json
import time

import pytest
from rich.console import Console

from m3w_builder.stages import Stage, open_stage
from pipelines.progress import Display, Tally


def commit(stage: Stage, unit: str, **counts: int) -> None:
    folder = stage.folder / "commits"
    folder.mkdir(exist_ok=True)
    (folder / f"{unit}.json").write_text(
        json.dumps({k.replace("__", "."): n for k, n in counts.items()})
    )


@pytest.fixture
def stage(tmp_path):
    made = open_stage(tmp_path, "extract", [])
    commit(made, "one", pages=120_000, interleaved=100_000, image_text=200_000, video_text=1)
    commit(made, "two", pages=3, rejects__pages__no_content=1)
    return made


def shown(stage: Stage, **options) -> str:
    console = Console(file=io.StringIO(), **options)
    with Display(console).shown() as display, display.watch(stage, 2):
        time.sleep(0.01)  # a stage takes time: what finished before it began is told apart
        stage.finish()
    return console.file.getvalue()


def test_counts_are_summed_in_the_words_of_a_user(stage):
    tally = Tally(stage)
    assert tally.note() == "120,003 pages, 100,000 documents, 200,001 pairs"
    assert tally.parts == 2
    commit(stage, "three", interleaved=1)
    assert "100,001 documents" in tally.note()


def test_fetch_tells_what_it_got_of_what_was_asked(tmp_path):
    fetch = open_stage(tmp_path, "fetch", [])
    commit(fetch, "a", images__urls=5, images__archive=3, images__http=1, videos__urls=1)
    assert Tally(fetch).note() == "4 of 5 images, 0 of 1 videos"


def test_a_log_gets_one_plain_line_per_stage(stage):
    text = shown(stage, width=40)
    assert text == "extract: 2 parts in 0:00:00: 120,003 pages, 100,000 documents, 200,001 pairs\n"
    assert shown(stage, width=40).count("\n") == 1


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_cuts_no_figure(stage, width):
    text = shown(stage, width=width, force_terminal=True, color_system=None, legacy_windows=False)
    assert "…" not in text
    last = text.split("\x1b[2K")[-1]
    for figure in ("2/2", "parts", "0:00:00", "120,003", "100,000", "200,001"):
        assert figure in last
    assert max(map(len, last.replace("\x1b[?25h", "").splitlines())) <= width
