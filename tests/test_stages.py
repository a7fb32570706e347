"""Stages: keyed by what was asked, counted from commit records, finished once."""

import errno

import pytest

from m3w_builder.errors import InputError, OutputError
from m3w_builder.stages import load, open_stage, run_unit


def test_same_question_finds_the_same_folder_and_another_does_not(tmp_path):
    first = open_stage(tmp_path, "extract", ["config a", "input b"])
    assert open_stage(tmp_path, "extract", ["config a", "input b"]) == first
    assert open_stage(tmp_path, "extract", ["config a", "input c"]) != first


def test_stage_depends_on_its_parents(tmp_path):
    one, two = (open_stage(tmp_path, "extract", [x]) for x in "ab")
    assert (
        open_stage(tmp_path, "fetch", [], [one]).folder
        != open_stage(tmp_path, "fetch", [], [two]).folder
    )


def test_committed_unit_is_not_done_again_and_counts_are_summed(tmp_path):
    stage = open_stage(tmp_path, "extract", [])
    calls = []

    def work():
        calls.append(1)
        return {"pages": 2, "rejects.pages.no_content": 1}

    for unit in ("u1", "u1", "u2"):
        run_unit(stage.folder, unit, work)
    assert len(calls) == 2
    assert not stage.finished
    stage.finish()
    assert load(stage.folder).counts() == {"pages": 4, "rejects.pages.no_content": 2}


def test_failed_unit_is_not_committed(tmp_path):
    stage = open_stage(tmp_path, "extract", [])
    with pytest.raises(ZeroDivisionError):
        run_unit(stage.folder, "u", lambda: {"n": 1 // 0})
    assert stage.commits() == {}


def test_full_disk_is_a_line_that_says_what_to_do(tmp_path):
    def work():
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="written: No space left on device; mend that"):
        run_unit(tmp_path, "u", work)


def test_parent_is_found_however_far_back(tmp_path):
    extract = open_stage(tmp_path, "extract", [])
    extract.finish()
    fetch = open_stage(tmp_path, "fetch", [], [extract])
    fetch.finish()
    select = open_stage(tmp_path, "select", [], [fetch])
    assert select.parent("extract").folder == extract.folder.resolve()


def test_folder_that_is_no_stage_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="finished stage"):
        load(tmp_path)
