"""Bytes of a WARC file as streams: a plain stretch of the file, or one gzip member inflated piece by piece.

`find_start` is how a reader finds its feet in the middle of a file. It can be fooled only by a WARC file that is
itself the body of a record; `reader` therefore starts looking well before the range that it was asked for.
"""

import os
import re
import zlib
from types import TracebackType
from typing import Self

from isal import igzip_lib

from m3w_builder.errors import DropError

BLOCK = 2**20  # bytes read from the file at once
FEED = 2**16  # compressed bytes given to the inflater at once
PIECE = 2**18  # inflated bytes asked for at once
TAIL = 2**13  # bytes looked at behind a record's end; holds the longest ARC header

GZIP = b"\x1f\x8b\x08"
IsalError: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]  # wrong in its stubs

# Quantifiers are bounded or possessive: a hostile file must not make a search quadratic. What is searched for begins
# with fixed bytes, which makes the search fast; lower-case "warc/" is understood only where a record is expected.
_VERSION = rb"/\d{1,3}\.\d{1,3}[ \t\r]{0,8}\n[A-Za-z][\w-]{0,64}[ \t]{0,8}:"
_ARC = rb"[a-z][a-z0-9+.-]{1,12}:\S{1,4000}+ \S{1,45}+ \d{12,18} [^\n]{0,200} -?\w{1,12}\r?\n"
START = re.compile(b"(?i:warc)" + _VERSION + b"|" + _ARC)  # a record, at this very place
_WARC_RECORD = re.compile(b"WARC" + _VERSION)
_ARC_RECORD = re.compile(rb"\n(" + _ARC + b")")
_MEMBERS = re.compile(rb"\x1f\x8b\x08[\x00-\x1f]")
_NEWLINES = re.compile(rb"[\r\n]*")


class File:
    """A file read by offset, through one cached block."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by __exit__
        self.size = os.fstat(self._file.fileno()).st_size
        self.name = os.path.basename(path)
        self._block = b""
        self._at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def view(self, offset: int, size: int) -> memoryview:
        """Returns `size` bytes at `offset`, fewer at the end of the file."""
        if offset >= self.size:
            return memoryview(b"")
        if size > BLOCK:
            return memoryview(os.pread(self._file.fileno(), size, offset))
        low = offset - self._at
        end = min(offset + size, self.size)
        if low < 0 or end > self._at + len(self._block):
            self._block = os.pread(self._file.fileno(), BLOCK, offset)
            self._at, low = offset, 0
        return memoryview(self._block)[low : low + size]


class Stream:
    """What lies ahead, held as far as it was looked at; subclasses say where more comes from."""

    def __init__(self, position: int = 0) -> None:
        self._data = b""
        self._at = 0
        self._base = position  # of what is held
        self.ended = False  # nothing more comes; what is held may still be taken

    @property
    def position(self) -> int:
        """How many bytes were passed (in a plain stream: where in the file)."""
        return self._base + self._at

    def _more(self, size: int) -> bytes:
        """Returns the next piece, about `size` bytes; b"" at the end."""
        raise NotImplementedError

    @property
    def held(self) -> int:
        return len(self._data) - self._at

    def fill(self, size: int) -> int:
        """Holds `size` bytes ahead, fewer at the end; returns how many are held."""
        missing = size - len(self._data) + self._at
        if missing > 0 and not self.ended:
            left = self._data[self._at :]
            pieces = [left] if left else []  # joining one piece does not copy it
            while missing > 0 and (piece := self._more(missing)):
                pieces.append(piece)
                missing -= len(piece)
            self._data = b"".join(pieces)
            self._base += self._at
            self._at = 0
        return len(self._data) - self._at

    def look(self, skip: int, size: int) -> bytes:
        """Returns up to `size` bytes that lie `skip` bytes ahead."""
        self.fill(skip + size)
        low = self._at + skip
        return self._data[low : low + size]

    def take(self, size: int) -> bytes:
        """Returns the next `size` bytes, fewer at the end, and moves behind them."""
        found = self.look(0, size)
        self._at += len(found)
        return found

    def skip(self, size: int) -> None:
        """Moves on, holding no more than a piece."""
        while size > 0 and self.fill(min(size, PIECE)):
            step = min(size, self.held)
            self._at += step
            size -= step

    def at_start(self) -> bool:
        """Skips newlines; tells whether a record starts here."""
        self.fill(TAIL)
        while self.held and self._data[self._at] in b"\r\n":
            match = _NEWLINES.match(self._data, self._at)
            assert match  # it matches nothing, too
            self._at = match.end()
            self.fill(TAIL)
        return START.match(self._data, self._at) is not None

    def find(self, pattern: re.Pattern[bytes], limit: int) -> int:
        """Returns how far ahead `pattern` ends, -1 when not within about `limit` bytes."""
        searched = 0
        while not (match := pattern.search(self._data, self._at + searched)):
            held = self.held
            searched = max(0, held - TAIL)
            if held >= limit or self.fill(max(2 * held, TAIL)) == held:
                return -1
        return match.end() - self._at

    def may_end(self, size: int) -> bool:
        """Tells whether a record may end `size` bytes ahead: an empty line, a record or nothing follows."""
        tail = self.look(size, TAIL)
        if tail.startswith(b"\r\n\r\n"):
            return True
        rest = tail.lstrip(b"\r\n")
        return _starts(rest) if rest else size <= self._left()

    def _left(self) -> int:
        """Returns how many bytes lie ahead, as far as is known."""
        return self.held

    def to_start(self, limit: int) -> int:
        """Returns how far ahead the next record starts or the stream ends, -1 when not within about `limit` bytes."""
        searched = 0
        while (found := _first_record(self._data, self._at + searched)) < 0:
            held = self.held
            if held >= limit:
                return -1
            searched = max(0, held - TAIL)
            if self.fill(max(2 * held, PIECE)) == held:
                return held
        return found - self._at

    def cut_at(self, size: int) -> bool:
        """Tells whether the file ends `size` bytes ahead, in the middle of things."""
        raise NotImplementedError

    def check(self, end: int) -> None:
        """Raises DropError when the record that should end at position `end` is cut or damaged."""


class Plain(Stream):
    """The file itself from `offset` on."""

    def __init__(self, file: File, offset: int) -> None:
        super().__init__(offset)
        self._file = file

    def _more(self, size: int) -> bytes:
        piece = bytes(self._file.view(self._base + len(self._data), max(size, FEED)))
        self.ended = not piece
        return piece

    def look(self, skip: int, size: int) -> bytes:
        if skip > self.held:  # without holding what lies between
            return bytes(self._file.view(self.position + skip, size))
        return super().look(skip, size)

    def skip(self, size: int) -> None:
        if size > self.held:
            self._base = min(self.position + size, self._file.size)
            self._data, self._at = b"", 0
        else:
            self._at += size

    def _left(self) -> int:
        return self._file.size - self.position

    def to_start(self, limit: int) -> int:
        stop = min(self.position + limit, self._file.size)
        found = find_start(self._file, self.position, stop)
        return -1 if found == stop < self._file.size else found - self.position

    def cut_at(self, size: int) -> bool:
        return self.position + size >= self._file.size


class Member(Stream):
    """One gzip member, inflated; `next` is where it ends, or from where to look for the next one if it is damaged."""

    def __init__(self, file: File, offset: int) -> None:
        super().__init__()
        self._file = file
        self._offset = offset
        self._fed = offset
        self._inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        self._silent = True  # until the first piece
        self._inflated = 0
        self._owed = 0  # the position at which the record read now should end
        self.damage = ""  # the inflater's words
        self.cut = False  # the file ends inside the member
        self.next = offset

    def _more(self, size: int) -> bytes:
        while not self.ended:
            feed: bytes | memoryview = b""
            if self._inflater.needs_input:
                feed = self._file.view(self._fed, FEED)
                self._fed += len(feed)
                if not feed:
                    self.ended = self.cut = True
                    self.next = self._file.size
                    break
            try:
                piece: bytes = self._inflater.decompress(feed, max(size, PIECE))
            except IsalError as error:
                return self._rescue(str(error))
            self._inflated += len(piece)
            if self._inflater.eof:
                self.next = self._fed - len(self._inflater.unused_data)
                self.ended = self._inflated >= self._owed or not self._join()
            if piece:
                self._silent = False
                return piece
        return b""

    def _join(self) -> bool:
        """Goes on into the next member when the record does: some writers compress blocks, not records."""
        if bytes(self._file.view(self.next, 3)) != GZIP or is_member(self._file, self.next):
            return False
        self._inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        self._offset = self._fed = self.next
        self._silent = True
        return True

    def _rescue(self, damage: str) -> bytes:
        """Ends the stream; returns what a small member holds before the damage (isal drops a failed call's output)."""
        self.ended = True
        self.damage = damage
        # The next member starts before what was fed; how far before is not known. Not from the start of this member:
        # members nested in each other would make that quadratic.
        self.next = max(self._offset + 1, self._fed - 2 * FEED)
        if not self._silent:
            return b""
        return salvage(bytes(self._file.view(self._offset, FEED)), 31, PIECE)

    def _owe(self, size: int) -> bool:
        """Says that the record needs `size` more bytes; tells whether a member that had ended goes on with them."""
        self._owed = self.position + size
        if self._inflated >= self._owed or not self.ended or self.damage or self.cut:
            return False
        self.ended = not self._join()
        return not self.ended

    def at_start(self) -> bool:
        return super().at_start() or (
            0 < self.held < TAIL and self._owe(TAIL) and super().at_start()
        )

    def find(self, pattern: re.Pattern[bytes], limit: int) -> int:
        found = super().find(pattern, limit)
        return super().find(pattern, limit) if found < 0 and self._owe(limit) else found

    def may_end(self, size: int) -> bool:
        self._owe(size)
        # A long record is believed until its end was seen: looking so far ahead would mean to hold it.
        if size > BLOCK and self.fill(BLOCK + 1) > BLOCK:
            return True
        return super().may_end(size)

    def cut_at(self, size: int) -> bool:
        return self.cut and size >= self.held

    def check(self, end: int) -> None:
        self.fill(TAIL)  # the checksum comes behind the last record
        if self.damage and not self._data[self._at :].strip(b"\r\n"):
            raise DropError("bad_gzip", self.damage)
        if self.cut and self.position < end:
            raise DropError("record_cut", f"{end - self.position} bytes are missing")


def salvage(data: bytes, wbits: int, limit: int) -> bytes:
    """Returns what zlib inflates before it meets the damage, up to about `limit` bytes."""
    inflater = zlib.decompressobj(wbits)
    pieces: list[bytes] = []
    try:
        while data and not inflater.eof and 512 * len(pieces) < limit:
            pieces.append(inflater.decompress(data, 512))
            data = inflater.unconsumed_tail
    except zlib.error:
        pass  # the damage: what came before it is the result
    return b"".join(pieces)


def find_start(file: File, offset: int, stop: int) -> int:
    """Returns where the first record or gzip member of records starts in [offset, stop); `stop` if there is none."""
    while offset < stop:
        before = 1 if offset else 0  # the newline before an ARC header
        block = file.view(offset - before, FEED)
        record = _first_record(block, before)
        for match in _MEMBERS.finditer(block, before, record if record >= 0 else len(block)):
            if is_member(file, offset - before + match.start()):
                record = match.start()
                break
        if record >= 0:
            return min(offset - before + record, stop)
        if len(block) < FEED:
            break
        offset += FEED - before - TAIL
    return stop


def _first_record(data: bytes | memoryview, start: int) -> int:
    """Returns where the first record header in `data` is, -1 if there is none."""
    warc = _WARC_RECORD.search(data, start)
    end = warc.start() if warc else len(data)
    arc = _ARC_RECORD.search(data, max(0, start - 1), end)
    return arc.start(1) if arc else end if warc else -1


def starts_record(file: File, offset: int) -> bool:
    """Tells whether a record, or a gzip member of records, is at `offset`."""
    return START.match(file.view(offset, TAIL)) is not None or is_member(file, offset)


def is_member(file: File, offset: int) -> bool:
    """Tells whether a gzip member that starts with a record is at `offset`."""
    head = file.view(offset, TAIL)
    try:
        start = zlib.decompressobj(31).decompress(head, 512)
    except zlib.error:
        return False
    return START.match(start.lstrip(b"\r\n")) is not None


def _starts(data: bytes) -> bool:
    return START.match(data) is not None or data.startswith(GZIP)
