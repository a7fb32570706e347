"""How a request becomes a row: a body is obtained, agreed to, measured and set aside in the journal."""

import hashlib
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from mmap import ACCESS_READ, mmap
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Self

from m3w_builder.collect.sources import Body, Obtain, Request, archived, live
from m3w_builder.errors import MediaError
from m3w_builder.fetch import Client, OptedOutError
from m3w_builder.fetch.records import now
from m3w_builder.files import TEMPORARY
from m3w_builder.frames import sample_frames
from m3w_builder.journal import Journal
from m3w_builder.media import measure_image
from m3w_builder.packs import PackWriter
from m3w_builder.subtitles import measure_subtitles
from m3w_builder.types import Frame, Media

Outcome = tuple[Media, MediaError | None]  # the row, and what made it unusable


class Unit:
    """One unit of work below `folder`; its threads share a client, a journal and one decoder."""

    def __init__(self, folder: Path, journal: Path | None, client: Client) -> None:
        self._parent = folder
        self._journal_path = journal
        self.client = client
        self._decoding = Lock()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        enter = self._open.enter_context
        folder = tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=self._parent)
        self._folder = Path(enter(folder))
        self.journal = enter(Journal(self._journal_path or self._folder / "journal"))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def from_archive(self, request: Request, *, fallback: bool = False) -> Media:
        """Returns the row of the first candidate that is usable, else why the last is not."""
        status, detail = request.archived
        row = Media(request.url, request.kind, status, detail)
        for place in request.fallback if fallback else request.candidates:
            row, _ = self._row(request, archived(request, place, self.client, exact=fallback))
            if row.status in ("ok", "opted_out"):
                break
        return row

    def from_network(self, request: Request) -> Outcome:
        """Returns the row of what is at the URL now."""
        return self._row(request, live(request, self.client))

    def _row(self, request: Request, obtain: Obtain) -> Outcome:
        work = self._video if request.kind == "video" else self._in_memory
        with self.client.budget.room() as room:
            return work(Media(request.url, request.kind), lambda into: obtain(into, room))

    def _in_memory(self, row: Media, obtain: Callable[[BinaryIO | None], Body]) -> Outcome:
        try:
            body = obtain(None)
        except MediaError as error:
            return _refused(row, error), error
        digest, size = hashlib.sha256(body.data).hexdigest(), len(body.data)
        row = _described(row, body, *(body.source or (digest, size)))
        try:
            row = self._consented(row, body.data)
            measure = self._measured if row.kind == "image" else self._read
            return measure(row, body.data, digest), None
        except MediaError as error:
            return _refused(row, error), error

    def _video(self, row: Media, obtain: Callable[[BinaryIO | None], Body]) -> Outcome:
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            source = Path(name) / "source"
            with source.open("w+b") as file:
                try:
                    body = obtain(file)
                except MediaError as error:
                    return _refused(row, error), error
                size = file.tell()
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                row = _described(row, body, digest, size)
            try:
                with (
                    source.open("rb") as whole,
                    mmap(whole.fileno(), 0, access=ACCESS_READ) as data,
                ):
                    row = self._consented(row, data)
                return self._sampled(row, source), None
            except MediaError as error:
                return _refused(row, error), error

    def _consented(self, row: Media, body: bytes | mmap) -> Media:
        """Returns the row with what the body itself reserves; raises OptedOutError."""
        consent, where = self.client.consent, row.final_url
        embedded = consent.of_body(body, row.source_sha256, where, row.fetched or now())
        if not embedded:
            return row
        consent.require(embedded, row.kind)
        return replace(row, optouts=(*row.optouts, *embedded))

    def _measured(self, row: Media, body: bytes, digest: str) -> Media:
        with self._decoding:
            image = measure_image(body, config=self.client.config)
        offset, length = self.journal.set_aside(image.body)
        if image.body is not body:
            digest = hashlib.sha256(image.body).hexdigest()
        return replace(
            row,
            sha256=digest,
            format=image.format,
            width=image.width,
            height=image.height,
            reencoded=image.reencoded,
            phash=image.phash,
            phash64=image.phash64,
            phash_firm=image.phash_firm,
            scores=image.scores,
            offset=offset,
            length=length,
        )

    def _read(self, row: Media, body: bytes, _digest: str) -> Media:
        vtt, seconds, _ = measure_subtitles(body, row.content_type)
        offset, length = self.journal.set_aside(vtt)
        digest = hashlib.sha256(vtt).hexdigest()
        return replace(
            row,
            sha256=digest,
            format="vtt",
            seconds=seconds,
            reencoded=digest != row.source_sha256,
            offset=offset,
            length=length,
        )

    def _sampled(self, row: Media, source: Path) -> Media:
        with self._decoding:
            video = sample_frames(source, config=self.client.config, folder=source.parent)
        frames = []
        for t, path in video.frames:
            frame = path.read_bytes()
            offset, length = self.journal.set_aside(frame)
            frames.append(Frame(t, offset, length, hashlib.sha256(frame).hexdigest()))
        return replace(
            row,
            detail=video.detail,
            sha256=row.source_sha256,
            format=video.format,
            width=video.width,
            height=video.height,
            seconds=video.seconds,
            fps=video.fps,
            codec=video.codec,
            audio=video.audio,
            frames=tuple(frames),
        )

    def packed(self, row: Media, pack: PackWriter) -> Media:
        """Returns the row after its bytes went from where they were set aside into the pack."""
        if row.status != "ok":
            return row
        if row.kind != "video":
            offset, length = self._move(row, row.format, pack)
            return replace(row, pack=pack.name, offset=offset, length=length)
        frames = []
        for frame in row.frames:
            offset, length = self._move(frame, "jpg", pack)
            frames.append(replace(frame, offset=offset, length=length))
        return replace(row, pack=pack.name, frames=tuple(frames))

    def _move(self, place: Media | Frame, extension: str, pack: PackWriter) -> tuple[int, int]:
        body = self.journal.read(place.offset, place.length)
        return pack.add(place.sha256, extension, body)


def _refused(row: Media, error: MediaError) -> Media:
    """Returns the row with the reason why it cannot be used."""
    optouts = (*row.optouts, *error.optouts) if isinstance(error, OptedOutError) else row.optouts
    distinct = tuple(dict.fromkeys(optouts))
    return replace(row, status=error.reason, detail=error.detail, optouts=distinct)


def _described(row: Media, body: Body, digest: str, size: int) -> Media:
    return replace(
        row,
        origin=body.origin,
        final_url=body.final_url,
        content_type=body.content_type,
        fetched=body.fetched,
        source_sha256=digest,
        source_bytes=size,
        etag=body.etag,
        last_modified=body.last_modified,
        optouts=body.optouts,
    )
