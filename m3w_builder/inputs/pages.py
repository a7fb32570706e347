"""A unit of work to pages, to where its media are archived, and to what was damaged.

Media beside saved pages are not among them: only a page's documents tell which it shows (`local_resource`).
"""

import os
from collections.abc import Iterator

from m3w_builder.inputs.saved import read_saved
from m3w_builder.inputs.sniff import HTML, kind_of
from m3w_builder.inputs.units import Unit
from m3w_builder.types import Page, Reject, Resource, item_id
from m3w_builder.urls import canonical
from m3w_builder.warc import Record, read_records
from m3w_builder.warc.heads import header


def read_pages(unit: Unit, *, max_body: int) -> Iterator[Page | Resource | Reject]:
    """Yields a unit's pages, where its images, videos and redirects are archived, and what was damaged.

    `max_body` (bytes) bounds pages alone: media are not read here. A URL list yields nothing: see `read_urls`.
    """
    if unit.kind == "html":
        yield from read_saved(unit.path, unit.start, unit.end, max_body=max_body)
    elif unit.kind == "warc":
        for item in read_records(
            unit.path, unit.start, unit.end, max_body=max_body, wanted=_is_page
        ):
            found = _sorted_out(item, unit.path) if isinstance(item, Record) else item
            if found is not None:
                yield found


def _is_page(record: Record) -> bool:
    return record.status == 200 and kind_of(record.content_type, record.body) == HTML


def _sorted_out(record: Record, path: str) -> Page | Resource | Reject | None:
    url = canonical(record.url)
    kind = kind_of(record.content_type, record.body)
    source = f"{os.path.basename(path)}@{record.offset}"
    location = header(record.headers, "location") if 300 <= record.status < 400 else ""
    if location:
        return _resource(record, path, kind) if url and canonical(location, url) else None
    if kind != HTML:
        return _resource(record, path, kind) if url and kind and record.status == 200 else None
    if not url:
        key = item_id(record.url or source)
        return Reject(key, record.url, "extract", "bad_url", f"{source}: expected an http(s) URL")
    if record.status != 200:
        return Reject(item_id(url), url, "extract", "http_status", str(record.status))
    return Page(
        url=url,
        html=record.body,
        content_type=record.content_type,
        headers=record.headers,
        crawled=record.date,
        record=record.record_id,
        source=source,
    )


def _resource(record: Record, path: str, kind: str) -> Resource:
    url = canonical(record.url)
    location = header(record.headers, "location") if record.status != 200 else ""
    return Resource(
        url=url,
        file=path,
        offset=record.offset,
        status=record.status,
        content_type=kind or record.content_type,
        crawled=record.date,
        record=record.record_id,
        location=canonical(location, url) if location else "",
    )
