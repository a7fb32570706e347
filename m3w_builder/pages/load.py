"""A saved page, one of a WARC file or one of the web, as the extract stage would get it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from m3w_builder.config import Config
from m3w_builder.errors import InputError, MediaError
from m3w_builder.fetch import Client
from m3w_builder.inputs import live_page, plan, read_pages
from m3w_builder.types import Page, Reject
from m3w_builder.urls import canonical

_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


def load(source: str, url: str, config: Config) -> Page:
    """Returns the page of a file or an http(s) address; `url` is its address, or names the one of a WARC file.

    Raises InputError when there is none.
    """
    if _ADDRESS.match(source):
        return _with_address(_download(source, config), url)
    if not Path(source).is_file():
        raise InputError(
            f"{source}: expected a saved HTML page or an http(s) address, no such file"
        )
    address = _canonical(url) if url else ""
    rejects = []
    for item, archived in _items(source, config):
        if isinstance(item, Reject):
            rejects.append(item)
        elif not archived or not address or item.url == address:
            return _with_address(item, url)
    if rejects and not address:
        raise InputError(f"{source}: {rejects[0].reason}: {rejects[0].detail}")
    raise InputError(f"{source}: expected an HTML page{f' of {url}' if url else ''}, found none")


def _items(source: str, config: Config) -> Iterator[tuple[Page | Reject, bool]]:
    """Yields the pages of a file and whether they come from an archive, which knows their addresses."""
    for unit in plan([source]):
        for item in read_pages(unit, max_body=config.extract.max_page_bytes):
            if isinstance(item, Page | Reject):
                yield item, unit.kind == "warc"


def _with_address(page: Page, url: str) -> Page:
    return replace(page, url=_canonical(url)) if url else page


def _canonical(url: str) -> str:
    found = canonical(url)
    if not found:
        raise InputError(f"{url}: expected an http(s) address")
    return found


def _download(url: str, config: Config) -> Page:
    try:
        with Client(config.fetch, config.rights) as client:
            return live_page(_canonical(url), client, config.extract.max_page_bytes)
    except MediaError as error:
        raise InputError(f"{url}: {error}") from error
