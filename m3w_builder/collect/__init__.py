"""The unit of work of `fetch`: media URLs in, one pack of bytes and one row per URL out.

Rows and pack are in URL order whatever came first: the same bodies give the same pack. What arrives
is measured at once and set aside in the unit's journal; the pack is written when all is there. A
killed unit goes on from its journal. In memory is at most what `bytes_in_flight` allows and one
decoded picture; a video is streamed into a file.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from m3w_builder.collect.live import download
from m3w_builder.collect.reasons import REASONS as REASONS
from m3w_builder.collect.sources import Earlier as Earlier
from m3w_builder.collect.sources import Request as Request
from m3w_builder.collect.unit import Unit
from m3w_builder.config import FetchConfig, RightsConfig
from m3w_builder.fetch import Client
from m3w_builder.packs import PackWriter
from m3w_builder.types import Media


def collect(
    requests: Sequence[Request],
    *,
    pack: Path,
    config: FetchConfig,
    rights: RightsConfig | None = None,
    journal: Path | None = None,
    records: Path | None = None,
) -> list[Media]:
    """Writes the pack and returns one Media per request, in the order of (url, kind).

    Where the network has nothing better, the row says what is wrong with the archived copy. `journal`
    is where a unit that was killed left what it had; the caller removes it when the rows are safe.
    `records` is the folder where what hosts say (robots.txt ...) is kept.
    """
    ordered = sorted(requests, key=lambda request: (request.url, request.kind))
    pack.parent.mkdir(parents=True, exist_ok=True)
    client = _client(config, rights or RightsConfig(), records)
    client.forgive()
    with Unit(pack.parent, journal, client) as unit:
        missing = []
        for request in ordered:
            if (request.url, request.kind) in unit.journal.rows:
                continue
            row = unit.from_archive(request)
            if row.status == "ok" or row.status == "opted_out" or not config.network:
                unit.journal.add(row)
            else:
                missing.append((request, row))
        if missing:
            download(missing, unit)
        with PackWriter(pack) as writer:
            rows = [unit.journal.rows[request.url, request.kind] for request in ordered]
            return [unit.packed(row, writer) for row in rows]


@lru_cache(maxsize=2)
def _client(config: FetchConfig, rights: RightsConfig, records: Path | None) -> Client:
    """Returns the client of this worker: its units share connections, TLS context and site records."""
    return Client(config, rights, records)
