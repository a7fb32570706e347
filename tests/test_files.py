"""Atomic files: all or nothing, and killed attempts can be swept."""

import pytest

from m3w_builder.errors import OutputError
from m3w_builder.files import TEMPORARY, atomic, locked, sweep, write_text


def test_file_appears_only_when_the_block_ends(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with atomic(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_failed_block_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), atomic(path) as temporary:
        temporary.write_text(f"{1 / 0}")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_sweep_removes_only_temporaries(tmp_path):
    write_text(tmp_path / "sub" / "kept", "x")
    (tmp_path / "sub" / f"{TEMPORARY}1-kept").write_text("left by a killed attempt")
    (tmp_path / f"{TEMPORARY}2" / "frames").mkdir(parents=True)
    assert sweep(tmp_path) == 2
    assert [p.name for p in (tmp_path / "sub").iterdir()] == ["kept"]


def test_second_lock_is_refused_with_a_reason(tmp_path):
    with (
        locked(tmp_path / "lock"),
        pytest.raises(OutputError, match="another build is running"),
        locked(tmp_path / "lock"),
    ):
        pass
    with locked(tmp_path / "lock"):
        pass
