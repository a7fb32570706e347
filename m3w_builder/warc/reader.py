"""Records of a WARC or ARC file, or of a byte range of it.

To start in the middle of a file is to find a record start somewhat before the range and to walk from record to record
into it, exactly as a reader that comes from the beginning of the file would: so both agree on what is a record.
"""

from collections.abc import Callable, Generator, Iterator
from itertools import count

from m3w_builder.errors import DropError, InputError, MediaError
from m3w_builder.types import Reject, item_id
from m3w_builder.warc.coding import codings, decode
from m3w_builder.warc.heads import (
    KEPT,
    MAX_HEAD,
    Head,
    Record,
    fallback_id,
    header,
    http_ends,
    read_head,
    read_response,
)
from m3w_builder.warc.stream import (
    GZIP,
    PIECE,
    START,
    TAIL,
    File,
    Member,
    Plain,
    Stream,
    find_start,
)

LOOK_BACK = 4 * 2**20  # bytes before a range at which the walk into it begins
MAX_REPAIR = 16 * 2**20  # bytes searched for the end of a record whose length is wrong
PEEK = 2**14  # bytes of a block that nearly always hold its HTTP headers
SNIFF = 1024  # decoded bytes that `wanted` gets to see
INDEX_SHIFT = 40  # an offset is (number in the gzip member) << 40 | where the member starts
MAX_INDEX = (1 << 63 - INDEX_SHIFT) - 1  # an offset is stored as a signed 64-bit number
OFFSET_BITS = (1 << INDEX_SHIFT) - 1

Wanted = Callable[[Record], bool]
Item = tuple[int, Record | Reject | None]


def read_records(
    path: str,
    start: int = 0,
    end: int | None = None,
    *,
    max_body: int,
    wanted: Wanted | None = None,
) -> Iterator[Record | Reject]:
    """Yields the response and resource records that start at a byte in [start, end) of the file.

    `wanted` is shown each record with the first `SNIFF` bytes of its decoded body: when it says no, the record is
    yielded like that (reason "not_read"), whatever its size. Damage and bodies of more than `max_body` bytes yield a
    Reject. Raises InputError when the file cannot be opened.
    """
    with _open(path) as file:
        reader = _Reader(file, max_body, wanted or _everything)
        for offset, item in reader.items(start, file.size if end is None else end):
            if item is not None and offset & OFFSET_BITS >= start:
                yield item


def record_at(path: str, offset: int, *, max_body: int) -> Record:
    """Returns the record at an offset that `read_records` gave; raises MediaError when there is none or it is damaged.

    A record deep in a large gzip member costs inflating all that comes before it.
    """
    start = offset & OFFSET_BITS
    with _open(path) as file:
        reader = _Reader(file, max_body, lambda record: record.offset == offset)
        for found, item in reader.step(start):
            if found < offset:
                continue
            if isinstance(item, Record):
                return item
            if item is not None:
                raise MediaError(item.reason, item.detail)
            break
    raise MediaError("not_a_record", f"no response at {path}@{offset}")


def _open(path: str) -> File:
    try:
        return File(path)
    except OSError as error:
        raise InputError(f"{path}: expected a readable WARC file: {error.strerror}") from error


def _everything(_: Record) -> bool:
    return True


class _Reader:
    """Walks one file; what it yields depends on the place alone, never on where the walk began."""

    def __init__(self, file: File, max_body: int, wanted: Wanted) -> None:
        self._file = file
        self._max_body = max_body
        self._wanted = wanted
        self._start = 0
        self._end = 0

    def items(self, start: int, end: int) -> Iterator[Item]:
        """Yields what starts before `end`, beginning at or somewhat before `start`."""
        if (start > 0 or end < self._file.size) and not self._splits():
            if start > 0:
                return
            end = self._file.size
        self._start, self._end = start, end
        at = find_start(self._file, start - LOOK_BACK, end) if start > LOOK_BACK else 0
        while at < min(end, self._file.size):
            at = yield from self.step(at)

    def _splits(self) -> bool:
        """Tells whether a gzip member holds one record; else all records belong to the range that has byte 0.

        A member that goes on behind its first record is the whole file, or a block of it that ends anywhere: where a
        record seems to start in it may be the middle of incompressible data, which gzip stores as it is.
        """
        if bytes(self._file.view(0, 3)) != GZIP:
            return True
        member = Member(self._file, 0)
        if member.at_start():
            self._read(member, 0)
        return not member.at_start() and not member.held

    def step(self, at: int) -> Generator[Item, None, int]:
        """Yields what one gzip member or plain record holds; returns where to go on."""
        if bytes(self._file.view(at, 3)) == GZIP:
            return (yield from self._gzip(at))
        head = bytes(self._file.view(at, TAIL))
        newlines = len(head) - len(head.lstrip(b"\r\n"))
        if newlines:
            return at + newlines
        if not START.match(head):
            return (yield from self._junk(at, DropError("not_a_record", repr(head[:24]))))
        plain = Plain(self._file, at)
        item = self._read(plain, at)
        yield at, item
        if isinstance(item, Reject):
            return find_start(self._file, plain.position, self._end)
        return plain.position

    def _junk(self, at: int, error: DropError) -> Generator[Item, None, int]:
        yield at, self._reject(at, "", error)
        return find_start(self._file, at + 1, self._end)

    def _gzip(self, at: int) -> Generator[Item, None, int]:
        member = Member(self._file, at)
        starts = member.at_start()
        if not starts and (error := _no_records(member)):
            return (yield from self._junk(at, error))
        for index in count():
            offset = at | index << INDEX_SHIFT
            if index == MAX_INDEX:
                error = DropError("too_many_records", f"more than {index} in one gzip member")
                yield offset, self._reject(offset, "", error)
                break
            if starts:
                item = self._read(member, offset)
            elif member.held:
                item = self._reject(offset, "", DropError("not_a_record", repr(member.look(0, 24))))
            else:
                break
            yield offset, item
            if isinstance(item, Reject):
                _to_start(member)
            starts = member.at_start()
        return find_start(self._file, member.next, self._end) if member.damage else member.next

    def _read(self, stream: Stream, offset: int) -> Record | Reject | None:
        """Returns the record that starts here, None when nobody asks for it; moves behind it."""
        head = Head("")
        try:
            head = read_head(stream)
            size, reason = _block_size(stream, head.length)
        except DropError as error:
            return self._reject(offset, head.url, error)
        end = stream.position + size
        item: Record | Reject | None
        try:
            item = self._record(stream, head, offset, size)
        except DropError as error:
            item = self._reject(offset, head.url, error)
        stream.skip(end - stream.position)
        try:
            stream.check(end)
        except DropError as error:
            return self._reject(offset, head.url, error)
        if isinstance(item, Record) and reason and not item.reason:
            item.reason = reason
        return item

    def _record(self, stream: Stream, head: Head, offset: int, size: int) -> Record | None:
        if head.type not in KEPT or offset & OFFSET_BITS < self._start:
            return None
        block = stream.look(0, min(size, PEEK))
        if size > PEEK and not http_ends(block):
            block = stream.look(0, min(size, MAX_HEAD + SNIFF))
        status, headers, body_at = read_response(head, block)
        named = codings(headers)
        record = Record(
            offset=offset,
            type=head.type,
            url=head.url,
            date=head.date,
            record_id=head.record_id or fallback_id(head, block),
            status=status,
            content_type=header(headers, "content-type"),
            headers=headers,
            body=decode(block[body_at : body_at + SNIFF], named, SNIFF)[0][:SNIFF],
        )
        if not self._wanted(record):
            record.reason = "not_read"
            return record
        self._limit(size - body_at)
        stream.skip(body_at)
        record.body, complete = decode(stream.take(size - body_at), named, self._max_body)
        self._limit(len(record.body))
        record.reason = "" if complete and not head.truncated else "truncated"
        return record

    def _limit(self, size: int) -> None:
        if size > self._max_body:
            raise DropError("record_too_large", f"more than {self._max_body} bytes")

    def _reject(self, offset: int, url: str, error: DropError) -> Reject:
        key = item_id(url or f"{self._file.name}@{offset}")
        return Reject(
            key, url, "extract", error.reason, f"{self._file.name}@{offset}: {error.detail}"
        )


def _no_records(member: Member) -> DropError | None:
    """Returns why a gzip member that does not start with a record has none, None when it is empty."""
    if member.damage:
        return DropError("bad_gzip", member.damage)
    if member.held:
        return DropError("not_a_record", f"gzip member of {member.look(0, 24)!r}")
    return DropError("record_cut", "inside the gzip header") if member.cut else None


def _to_start(stream: Stream) -> None:
    """Moves on to the next record, or to the end."""
    while stream.held and not stream.at_start():
        found = stream.to_start(PIECE)
        stream.skip(found if found > 0 else max(1, stream.held - TAIL))


def _block_size(stream: Stream, declared: int) -> tuple[int, str]:
    """Returns how long the record's block is, and "wrong_length" when that is not what it says.

    The length is believed when the record may end there. Else the block ends where the next record starts, or with
    the gzip member; a file that ends earlier is cut.
    """
    if declared >= 0 and stream.may_end(declared):
        return declared, ""
    found = stream.to_start(MAX_REPAIR)
    if found < 0:
        raise DropError(
            "bad_length", f"Content-Length {declared}, no record within {MAX_REPAIR} bytes"
        )
    if declared > found and stream.cut_at(found):
        raise DropError("record_cut", f"{found} of {declared} bytes")
    tail = stream.look(max(0, found - 4), min(found, 4))
    newlines = 4 if tail == b"\r\n\r\n" else 2 if tail.endswith(b"\n\n") else 0
    return found - newlines, "wrong_length"
