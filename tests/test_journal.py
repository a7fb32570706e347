"""The journal: whatever instant a unit is killed at, what it says is true and nothing else is kept."""

from hashlib import sha256
from pathlib import Path

import pytest

from m3w_builder.files import sweep
from m3w_builder.journal import Journal, remove
from m3w_builder.types import Frame, Media, OptOut


def image(journal: Journal, n: int) -> Media:
    body = bytes([n]) * (100 + n)
    offset, length = journal.set_aside(body)
    row = Media(
        f"http://x/{n}",
        "image",
        sha256=sha256(body).hexdigest(),
        scores={"flatness": n / 7},
        offset=offset,
        length=length,
    )
    journal.add(row)
    return row


def video(journal: Journal) -> Media:
    frames = []
    for t in range(3):
        body = f"frame {t}".encode()
        frames.append(Frame(t, *journal.set_aside(body), sha256(body).hexdigest()))
    row = Media("http://x/v", "video", sha256="of the source", frames=tuple(frames))
    journal.add(row)
    return row


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "unit"


def test_second_attempt_finds_rows_and_bodies(path: Path) -> None:
    with Journal(path) as first:
        seen = (OptOut("ai.txt", "http://x/ai.txt", "Disallow: /", "2026-01-01T00:00:00Z"),)
        refused = Media("http://x/r", "image", "opted_out", optouts=seen)
        first.add(refused)
        rows = [image(first, 1), video(first), refused]
    with Journal(path) as second:
        assert second.rows == {(row.url, row.kind): row for row in rows}
        assert second.read(rows[0].offset, rows[0].length) == bytes([1]) * 101
        rows.append(image(second, 2))
        assert second.read(rows[3].offset, rows[3].length) == bytes([2]) * 102
        assert second.read(rows[1].frames[2].offset, 7) == b"frame 2"


def test_journal_cut_anywhere_gives_whole_rows_and_goes_on(path: Path) -> None:
    with Journal(path) as whole:
        rows = [image(whole, n) for n in range(4)]
    lines, bodies = path.with_suffix(".rows").read_bytes(), path.with_suffix(".bytes").read_bytes()
    ends = [n + 1 for n, byte in enumerate(lines) if byte == 10]
    for cut in (0, 1, ends[0] - 1, ends[0], ends[1] + 5, ends[2], len(lines)):
        path.with_suffix(".rows").write_bytes(lines[:cut])
        path.with_suffix(".bytes").write_bytes(bodies)
        kept = sum(end <= cut for end in ends)
        with Journal(path) as journal:
            assert list(journal.rows.values()) == rows[:kept]
            row = image(journal, 9)
        with Journal(path) as journal:
            assert list(journal.rows.values()) == [*rows[:kept], row]


def test_body_that_the_disk_lost_takes_its_row_with_it(path: Path) -> None:
    with Journal(path) as journal:
        first, second = image(journal, 1), image(journal, 2)
    file = path.with_suffix(".bytes")
    damaged = bytearray(file.read_bytes())
    damaged[second.offset] ^= 1
    file.write_bytes(damaged)
    with Journal(path) as journal:
        assert list(journal.rows.values()) == [first]
    file.write_bytes(b"")
    with Journal(path) as journal:
        assert journal.rows == {}


def test_second_live_attempt_has_a_journal_of_its_own(path: Path) -> None:
    with Journal(path) as first:
        row = image(first, 1)
        with Journal(path) as second:
            assert second.rows == {}
            image(second, 2)
        assert sweep(path.parent) == 2
        assert first.read(row.offset, row.length) == bytes([1]) * 101
    with Journal(path) as again:
        assert list(again.rows) == [("http://x/1", "image")]
    remove(path)
    assert list(path.parent.iterdir()) == []
