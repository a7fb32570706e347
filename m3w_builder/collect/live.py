"""Downloads of a unit: what no archive has, from the network, and what is to be done when it is gone."""

from collections.abc import Sequence

from m3w_builder.collect.reasons import GONE
from m3w_builder.collect.sources import Request
from m3w_builder.collect.unit import Unit
from m3w_builder.errors import MediaError
from m3w_builder.fetch import HOST_DEAD, TRANSIENT, TRANSIENT_STATUS, ask_all
from m3w_builder.types import Media


def download(missing: Sequence[tuple[Request, Media]], unit: Unit) -> None:
    """Adds a row to the unit's journal for each request that no archive could serve.

    With a request comes the row that says why not.
    """
    found: dict[int, Media] = {}

    def ask(n: int) -> MediaError | None:
        found[n], error = unit.from_network(missing[n][0])
        return error

    def done(n: int, error: MediaError | None) -> None:
        request, archived = missing[n]
        row = found.pop(n, None)
        if error is HOST_DEAD or row is None:  # whatever an earlier try had found
            row = Media(request.url, request.kind, HOST_DEAD.reason)
        unit.journal.add(_settled(request, unit, row, archived))

    ask_all([request.url for request, _ in missing], unit.client, ask, done)


def _settled(request: Request, unit: Unit, row: Media, archived: Media) -> Media:
    """Returns the row that counts: of the network, of the user's archives, or why none is usable."""
    if row.status in GONE and request.fallback:
        stored = unit.from_archive(request, fallback=True)
        row = stored if stored.status in ("ok", "opted_out") else row
    final = row.status in ("ok", "opted_out") or archived.status == "not_archived"
    return row if final or _may_pass(row) else archived


def _may_pass(row: Media) -> bool:
    """Returns whether another time may bring what this one did not: --retry-failed is to see it."""
    busy = row.status == "http_status" and int(row.detail[:3]) in TRANSIENT_STATUS
    return busy or row.status == HOST_DEAD.reason or row.status in TRANSIENT
