"""Rows on disk: our types to and from the Parquet tables of `schemas.arrow`.

Row groups are small (64 rows): `write` picks single documents out of many files, and a row group is the
least that Parquet reads.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from m3w_builder.errors import ShardError
from m3w_builder.files import atomic
from m3w_builder.types import (
    Document,
    Frame,
    Image,
    Media,
    Node,
    OptOut,
    Reject,
    Resource,
    Text,
    Track,
    Video,
)
from schemas.arrow import SCHEMAS

ROWS_PER_GROUP = 64
# Of documents: what names their media, without the texts.
MEDIA_COLUMNS = tuple(f"nodes.list.element.{name}" for name in ("type", "url", "file", "tracks"))
OPTOUT_COLUMNS = tuple(
    f"optouts.list.element.{name}" for name in ("signal", "where", "found", "when")
)
Row = dict[str, Any]

_NODE_TYPES: dict[str, type[Node]] = {"text": Text, "image": Image, "video": Video}
_TYPE_NAMES = {cls: name for name, cls in _NODE_TYPES.items()}
_FIELDS = {
    cls: tuple(f.name for f in dataclasses.fields(cls))
    for cls in (*_TYPE_NAMES, Document, Media, Reject, Resource)
}


class TableWriter:
    """Writes rows of one schema to a Parquet file that appears only when the block ends well."""

    def __init__(self, path: Path, schema: str) -> None:
        self._schema = SCHEMAS[schema]
        self._path = path
        self._open = ExitStack()
        self._rows: list[Row] = []
        self._file: pq.ParquetWriter

    def __enter__(self) -> Self:
        temporary = self._open.enter_context(atomic(self._path))
        # Of 64 rows a dictionary or a column's bounds are larger than what they would spare.
        writer = pq.ParquetWriter(
            temporary,
            self._schema,
            compression="zstd",
            use_dictionary=False,
            write_statistics=False,
        )
        self._file = self._open.enter_context(writer)
        return self

    def write(self, row: Row) -> None:
        """Adds one row; the file grows by whole row groups."""
        self._rows.append(row)
        if len(self._rows) == ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The stack unwinds in turn: where the last write or the close fails, nothing is renamed.
        if error is None:
            self._open.callback(self._flush)
        self._open.__exit__(kind, error, trace)


def write_table(path: Path, schema: str, rows: Iterable[Row]) -> None:
    """Writes all rows to one Parquet file, atomically."""
    with TableWriter(path, schema) as table:
        for row in rows:
            table.write(row)


def read_table(path: Path, schema: str, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Yields the rows of a Parquet file of ours; raises ShardError when its schema is another one."""
    try:
        with pq.ParquetFile(path) as file:
            found = file.schema_arrow
            if not found.equals(SCHEMAS[schema]):
                raise ShardError(f"{path}: expected the columns of {schema}, found {found.names}")
            for batch in file.iter_batches(
                ROWS_PER_GROUP, columns=list(columns) if columns else None
            ):
                yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise ShardError(f"{path}: expected a Parquet file of {schema}: {error}") from error


def document_row(document: Document, text_sha256: str) -> Row:
    """Returns the DOCUMENTS row of a document."""
    row = _row(document)
    row["scores"] = sorted(document.scores.items())
    row["optouts"] = plain(document.optouts)
    row["nodes"] = [_node_row(node) for node in document.nodes]
    row["text_sha256"] = text_sha256
    return row


def _node_row(node: Node) -> Row:
    row = _row(node)
    row["type"] = _TYPE_NAMES[type(node)]
    if isinstance(node, Video):
        row["tracks"] = plain(node.tracks)
    elif isinstance(node, Text):
        row["scores"] = sorted(node.scores.items())
    return row


def plain(items: Sequence[OptOut | Track | Frame]) -> list[Row]:
    """Returns the rows of a list inside a row."""
    return [dataclasses.asdict(item) for item in items]


def _row(item: Node | Document | Media | Reject | Resource) -> Row:
    """Returns the fields of an item by name; unlike dataclasses.asdict it copies nothing."""
    return {name: getattr(item, name) for name in _FIELDS[type(item)]}


def document(row: Row) -> Document:
    """Returns the document of a DOCUMENTS row."""
    fields = {name: row[name] for name in _FIELDS[Document]}
    fields["scores"] = dict(row["scores"])
    fields["optouts"] = tuple(OptOut(**optout) for optout in row["optouts"])
    fields["nodes"] = tuple(_node(node) for node in row["nodes"])
    return Document(**fields)


def _node(row: Row) -> Node:
    cls = _NODE_TYPES[row["type"]]
    fields = {name: row[name] for name in _FIELDS[cls]}
    if cls is Video:
        fields["tracks"] = tuple(Track(**track) for track in row["tracks"] or ())
    elif cls is Text:
        fields["scores"] = dict(row["scores"] or ())
    return cls(**fields)


def media_row(media: Media) -> Row:
    """Returns the MEDIA row of what fetch found out."""
    row = _row(media)
    row["scores"] = sorted(media.scores.items())
    row["optouts"] = plain(media.optouts)
    row["frames"] = plain(media.frames)
    return row


def media(row: Row) -> Media:
    """Returns the media of a MEDIA row (further columns are ignored)."""
    fields = {name: row[name] for name in _FIELDS[Media]}
    fields["scores"] = dict(row["scores"])
    fields["optouts"] = tuple(OptOut(**optout) for optout in row["optouts"])
    fields["frames"] = tuple(Frame(**frame) for frame in row["frames"])
    return Media(**fields)


def flat_row(item: Reject | Resource) -> Row:
    """Returns the row of a type whose fields are the columns."""
    return _row(item)
