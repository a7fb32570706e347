"""Atomic files: all or nothing, and killed attempts can be swept; files of lists that are read once."""

import errno
import os
from pathlib import Path

import pytest

from m3w_builder.errors import OutputError
from m3w_builder.files import TEMPORARY, ReadOnce, atomic, locked, sweep, writable, write_text


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


def test_folder_in_the_place_of_a_file_is_told(tmp_path):
    with pytest.raises(OutputError, match="expected a file to write, found a folder"):
        write_text(tmp_path, "x")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG])
def test_what_the_disk_refuses_is_an_output_error_that_names_the_folder(tmp_path, code):
    with (
        pytest.raises(OutputError, match=f"^{tmp_path}: .*{os.strerror(code)}"),
        atomic(tmp_path / "a"),
    ):
        raise OSError(code, os.strerror(code))
    assert list(tmp_path.iterdir()) == []


def test_file_in_the_place_of_a_folder_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "a", tmp_path / "file" / "b" / "c"):
        with pytest.raises(OutputError, match="expected a folder that can be written"):
            write_text(path, "x")


def test_unreadable_input_is_no_fault_of_the_output(tmp_path):
    with pytest.raises(PermissionError), writable(tmp_path / "out"):
        raise PermissionError(errno.EACCES, "Permission denied", str(Path("/elsewhere/input")))


def test_files_are_read_once_and_again_when_asked_for_what_they_hold_now(tmp_path):
    file, read = tmp_path / "list", []

    def lines(paths):
        read.append(paths)
        return Path(paths[0]).read_text().split()

    once, paths = ReadOnce(lines), (str(file),)
    with pytest.raises(FileNotFoundError):
        once(paths)
    file.write_text("one")
    assert (once(paths), once(paths), once.current(paths)) == (["one"], ["one"], ["one"])
    file.write_text("one two")
    assert once(paths) == ["one"]
    assert once.current(paths) == once(paths) == ["one", "two"]
    assert read == [paths] * 3


def test_lists_of_few_configurations_are_held(tmp_path):
    read = []
    once = ReadOnce(lambda paths: read.append(paths) or paths)
    for name in "abcaabc":
        assert once((name,)) == (name,)
    assert [name for (name,) in read] == list("abcabc")
