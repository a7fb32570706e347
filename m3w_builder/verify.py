"""Are the media of a dataset still what they were? Each is downloaded again and its sha256 compared."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from m3w_builder import shards
from m3w_builder.collect.sources import max_bytes
from m3w_builder.config import Config
from m3w_builder.errors import InputError, MediaError
from m3w_builder.fetch import NOT_MODIFIED, Client, ask_all, conditions
from m3w_builder.samples import Record
from m3w_builder.stages import finished_files
from m3w_builder.tables import media, read_table


@dataclass(frozen=True, slots=True)
class Known:
    """What a medium was when it was fetched."""

    url: str
    kind: Literal["image", "video"]
    sha256: str  # of the body as it came
    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one: same, changed, or the reason why it cannot be had."""

    url: str
    verdict: str
    detail: str = ""


def known(path: Path) -> list[Known]:
    """Returns the media of a finished dataset or of a fetch stage's folder, each once, by URL."""
    if (path / "media").is_dir():
        found = _of_stage(path)
    elif path.exists():
        found = (item for record in shards.open_dataset(path).records() for item in _of(record))
    else:
        raise InputError(
            f"{path}: expected a dataset or the folder of a fetch stage, found nothing"
        )
    return sorted({(item.url, item.kind): item for item in found}.values(), key=lambda i: i.url)


def _of_stage(path: Path) -> Iterator[Known]:
    for table in finished_files(path, "media"):
        for row in map(media, read_table(table, "media")):
            if row.status == "ok" and row.kind != "subtitles":
                yield Known(row.url, row.kind, row.source_sha256, row.etag, row.last_modified)


def _of(record: Record) -> Iterator[Known]:
    for info in record["info"]:
        if info["type"] == "image":
            yield Known(info["url"], "image", info["source_sha256"])
        elif info["type"] == "video":
            yield Known(info["url"], "video", info["sha256"])


class _Hash:
    """A file that keeps nothing but the digest and the size of what is written."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return len(data)


def verify(
    items: Sequence[Known], config: Config, *, conditional: bool = False
) -> Iterable[Verdict]:
    """Returns a verdict for each, in the order of the items.

    With `conditional` a server that says "not modified" to a kept ETag or Last-Modified is believed.
    """
    verdicts: dict[int, Verdict] = {}
    with Client(config.fetch, config.rights) as client:

        def ask(n: int) -> MediaError | None:
            item, body = items[n], _Hash()
            try:
                answer, _ = client.get(
                    item.url,
                    item.kind,
                    max_bytes=max_bytes(item.kind, config.fetch),
                    into=body,
                    conditions=conditions(item.etag, item.last_modified) if conditional else (),
                )
            except MediaError as error:
                return error
            if answer.status == NOT_MODIFIED:
                verdicts[n] = Verdict(item.url, "same", "not modified")
            elif (digest := body.sha256.hexdigest()) == item.sha256:
                verdicts[n] = Verdict(item.url, "same")
            else:
                verdicts[n] = Verdict(item.url, "changed", f"{body.size} bytes, sha256 {digest}")
            return None

        def done(n: int, error: MediaError | None) -> None:
            if error is not None:
                verdicts[n] = Verdict(items[n].url, error.reason, error.detail)

        if items:
            ask_all([item.url for item in items], client, ask, done)
    return [verdicts[n] for n in range(len(items))]
