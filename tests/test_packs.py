"""Packs are plain reproducible tars whose members can be read by place."""

import io
import resource
import tarfile
from pathlib import Path

import pytest

from m3w_builder.errors import OutputError, ShardError
from m3w_builder.packs import PackWriter, read_range

BODIES = {"a.jpg": b"first", "b.png": bytes(512), "c.webp": b"", "d.jpg": b"x" * 1000}


def write(path: Path, bodies: dict[str, bytes]) -> dict[str, tuple[int, int]]:
    with PackWriter(path) as pack:
        return {
            name: pack.add(*(f"{name}.x".split(".")[:2]), body) for name, body in bodies.items()
        }


def test_every_body_is_where_its_place_says(tmp_path: Path) -> None:
    path = tmp_path / "p.tar"
    places = write(path, BODIES)
    assert {name: read_range(path, *place) for name, place in places.items()} == BODIES


def test_pack_is_a_plain_tar_without_a_trace_of_this_machine(tmp_path: Path) -> None:
    write(tmp_path / "p.tar", BODIES)
    with tarfile.open(tmp_path / "p.tar") as tar:
        members = tar.getmembers()
        assert tar.offset == (tmp_path / "p.tar").stat().st_size - 1024
    assert [m.name for m in members] == list(BODIES)
    assert {(m.mtime, m.uid, m.gid, m.mode, m.uname) for m in members} == {(0, 0, 0, 0o644, "")}


def test_equal_contents_give_equal_bytes(tmp_path: Path) -> None:
    write(tmp_path / "one.tar", BODIES)
    write(tmp_path / "two.tar", BODIES)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_equal_bodies_are_stored_once(tmp_path: Path) -> None:
    with PackWriter(tmp_path / "p.tar") as pack:
        places = [
            pack.add("a", "jpg", b"same"),
            pack.add("a", "jpg", b"same"),
            pack.add("c", "jpg", b""),
        ]
    assert places[0] == places[1] != places[2]
    with tarfile.open(tmp_path / "p.tar") as tar:
        assert tar.getnames() == ["a.jpg", "c.jpg"]


def test_failed_pack_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), PackWriter(tmp_path / "p.tar") as pack:
        pack.add("a", "jpg", BODIES["no such body"])
    assert list(tmp_path.iterdir()) == []


def test_rewritten_pack_is_read_anew(tmp_path: Path) -> None:
    for body in (b"old", b"new"):
        place = write(tmp_path / "p.tar", {"a": body})["a"]
        assert read_range(tmp_path / "p.tar", *place) == body


def test_missing_bytes_are_a_one_line_error(tmp_path: Path) -> None:
    write(tmp_path / "p.tar", {"a": b"body"})
    with pytest.raises(ShardError, match="expected 9999 bytes at 512, found 1536"):
        read_range(tmp_path / "p.tar", 512, 9999)
    with pytest.raises(ShardError, match="expected a pack"):
        read_range(tmp_path / "none.tar", 0, 1)


def test_pack_of_nothing_is_an_empty_tar(tmp_path: Path) -> None:
    write(tmp_path / "p.tar", {})
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "p.tar").read_bytes())) as tar:
        assert tar.getnames() == []


def test_pack_whose_last_bytes_find_no_room_does_not_appear(tmp_path: Path) -> None:
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, old[1]))  # no file grows beyond it
    try:
        with pytest.raises(OutputError), PackWriter(tmp_path / "x.tar") as pack:
            pack.add("a", "jpg", b"x" * 600)  # fits into the buffer: the close fails
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert list(tmp_path.iterdir()) == []
