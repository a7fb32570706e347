"""What is known of an evaluation set: an item per picture (its hashes) and per text, one table of both.

The table is what `m3w decontaminate --save-hashes` writes: an evaluation set itself, without pictures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from m3w_builder.config import FetchConfig
from m3w_builder.errors import MediaError
from m3w_builder.files import atomic
from m3w_builder.media import measure_image

PLAIN = FetchConfig(safety="off")  # no scorer is asked


@dataclass(frozen=True, slots=True)
class Item:
    """A picture or a text of an evaluation set, or a file that should be one and cannot be read."""

    set: str
    name: str  # where in the set: "val/0001.jpg", "captions.json annotations[3].caption"
    sha256: str = ""  # of the file
    stored_sha256: str = ""  # of what a build stores of it: without metadata
    phash: str = ""  # PDQ, 64 hex digits
    pdq_quality: float = 100.0  # 0 to 100
    phash_firm: str = ""  # 64 hex digits; lists of others have none
    text: str = ""
    unreadable: str = ""  # the reason why, if so

    @property
    def is_picture(self) -> bool:
        return bool(self.sha256 or self.phash or self.phash_firm) and not self.unreadable


COLUMNS = pa.schema(
    [(f.name, pa.float64() if f.type is float else pa.string()) for f in fields(Item)]
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of an evaluation set as it was read."""

    set: str
    name: str
    body: bytes
    source_sha256: str = ""  # of the file that a build of ours made `body` from


def measured(picture: Picture) -> Item:
    """Returns the item of a picture, hashed exactly as fetch does."""
    digest = sha256(picture.body).hexdigest()
    source = picture.source_sha256 or digest
    try:
        found = measure_image(picture.body, config=PLAIN)
    except MediaError as error:
        return Item(picture.set, picture.name, source, unreadable=error.reason)
    if found.body is not picture.body and not picture.source_sha256:
        digest = sha256(found.body).hexdigest()
    quality = found.scores["pdq_quality"]
    hashes = found.phash, quality, found.phash_firm
    return Item(picture.set, picture.name, source, digest, *hashes)


def digest_of(items: Iterable[Item]) -> str:
    """Returns 16 hex digits that change with the items of the sets, not with where they lie."""
    hashed = sha256()
    for item in items:
        if not item.unreadable:
            hashed.update(repr(astuple(item)).encode("utf-8", "surrogatepass"))
    return hashed.hexdigest()[:16]


def save(path: Path, items: Sequence[Item]) -> None:
    """Writes items to a Parquet file, atomically; it can be named as an evaluation set."""
    columns = [[getattr(item, name) for item in items] for name in COLUMNS.names]
    with atomic(path) as temporary:
        pq.write_table(pa.table(columns, schema=COLUMNS), temporary, compression="zstd")
