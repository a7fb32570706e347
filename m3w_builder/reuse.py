"""What an earlier fetch stage holds, for conditional requests: what did not change is not sent again.

Not those in which an opt-out was found: what is stored is without the metadata it may stand in.
Only images whose stored pixels are the sent ones can be used again; of the others, and of videos, the
source is not kept.
"""

from collections.abc import Iterable
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from m3w_builder.collect import Earlier
from m3w_builder.errors import InputError
from m3w_builder.stages import finished_files
from m3w_builder.tables import media
from schemas.arrow import MEDIA


def earlier(stage: Path, urls: Iterable[str]) -> dict[str, Earlier]:
    """Returns, by URL, the images of a fetch stage that can be asked for conditionally (RFC 9110, 13)."""
    field = pc.field
    usable = (field("status") == "ok") & (field("kind") == "image") & field("url").isin(list(urls))
    found: dict[str, Earlier] = {}
    for path in finished_files(stage, "media"):
        for row in map(media, pq.read_table(path, schema=MEDIA, filters=usable).to_pylist()):
            if not (row.reencoded or row.optouts) and (row.etag or row.last_modified):
                found[row.url] = Earlier(
                    str(stage / "packs" / row.pack),
                    row.offset,
                    row.length,
                    row.source_sha256,
                    row.source_bytes,
                    row.content_type,
                    row.etag,
                    row.last_modified,
                )
    return found


def expect_stage(folder: Path) -> Path:
    """Returns the folder of a fetch stage; raises InputError where it is none."""
    if not (folder / "media").is_dir() or not (folder / "packs").is_dir():
        raise InputError(
            f"{folder}: expected the folder of a fetch stage (WORK/fetch-...), found no media/ and packs/"
        )
    return folder.absolute()
