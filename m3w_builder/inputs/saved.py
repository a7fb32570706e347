"""Pages that a browser or a mirroring tool saved to disk, with the media that lie beside them.

A saved page has no HTTP response: its URL is what it says of itself, else one on a host that is a digest of its body,
so that two pages saved under one name stay two. Local media are found from the URLs that the page's documents name.
"""

import html
import mimetypes
import os
import posixpath
import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes, urlsplit

from m3w_builder.dom import decode as decode_text
from m3w_builder.errors import InputError, PageError
from m3w_builder.inputs.sniff import SUBTITLES, is_html, kind_of
from m3w_builder.types import ID_HEX, WHOLE_FILE, Page, Reject, Resource, item_id
from m3w_builder.urls import canonical
from m3w_builder.warc.coding import decode

HTML_ENDINGS = (".html", ".htm", ".xhtml", ".html.gz", ".htm.gz", ".xhtml.gz")
NOWHERE = "saved.invalid"  # RFC 6761: never a real host
_HEAD = 2**18  # bytes in which a page tells its URL
_MAGIC_BYTES = 1024  # of a media file, to know it by

_TAG = re.compile(r"<(link|meta|base)\b([^>]{0,4000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w:-]{1,40})\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)""")
_SAVED_FROM = re.compile(r"<!--\s*saved from url=\(\d{1,6}\)(\S{1,4000})\s*-->", re.IGNORECASE)


@lru_cache(maxsize=4)
def html_files(folder: str) -> tuple[str, ...]:
    """Returns the saved pages below a folder, sorted, relative; without the frames that browsers save beside a page."""
    found: list[str] = []
    for root, folders, files in os.walk(folder, onerror=_unlisted):
        pages = [name for name in files if name.lower().endswith(HTML_ENDINGS)]
        beside = {f"{name.rsplit('.', 1)[0]}_files" for name in pages}
        folders[:] = [name for name in folders if name not in beside]
        found += [os.path.relpath(os.path.join(root, name), folder) for name in pages]
    return tuple(sorted(found))


def _unlisted(error: OSError) -> None:
    raise InputError(
        f"{error.filename}: expected a folder that may be listed: {error.strerror}"
    ) from error


def folder_of(path: str) -> str:
    """Returns the folder whose files belong to an input: the input itself, or where the one page lies."""
    return os.path.dirname(path) if os.path.isfile(path) else path


def read_saved(path: str, start: int, end: int, *, max_body: int) -> Iterator[Page | Reject]:
    """Yields pages [start, end) of a folder, or the one page that `path` is."""
    names = [os.path.basename(path)] if os.path.isfile(path) else html_files(path)[start:end]
    for name in names:
        yield _read_page(folder_of(path), name, max_body)


def _read_page(folder: str, name: str, max_body: int) -> Page | Reject:
    try:
        with open(os.path.join(folder, name), "rb") as file:
            body = file.read(max_body + 1)
    except OSError as error:
        return _reject(name, b"", "file_unreadable", str(error.strerror))
    complete = True
    if name.lower().endswith(".gz") and len(body) <= max_body:
        body, complete = decode(body, ["gzip"], max_body)
    if len(body) > max_body:
        return _reject(name, body, "record_too_large", f"more than {max_body} bytes")
    if not complete:
        return _reject(name, body, "file_unreadable", "gzip data that is cut or damaged")
    url = _own_url(body) or _fallback(name, body)
    record = sha256(url.encode() + b"\0\0" + body).hexdigest()[:ID_HEX]
    return Page(url=url, html=body, record=record, source=_shown(name))


def _reject(name: str, body: bytes, reason: str, detail: str) -> Reject:
    url = _fallback(name, body)
    return Reject(item_id(url), url, "extract", reason, f"{_shown(name)}: {detail}")


def _fallback(name: str, body: bytes) -> str:
    """Returns the URL of a page that tells none: pages of one name differ by host."""
    return f"https://{sha256(body).hexdigest()[:16]}.{NOWHERE}/{quote(os.fsencode(name))}"


def _shown(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")


def _own_url(body: bytes) -> str:
    """Returns the URL by <link rel=canonical>, og:url or the browser's "saved from" comment, "" without any."""
    try:
        head = decode_text(body[:_HEAD])
    except PageError:
        return ""  # the extractor names the reason
    comment = _SAVED_FROM.search(head)
    saved = canonical(comment[1]) if comment else ""
    tags = [(tag[1].lower(), _attributes(tag[2])) for tag in _TAG.finditer(head)]
    links = [
        a.get("href", "")
        for tag, a in tags
        if tag == "link" and "canonical" in a.get("rel", "").lower().split()
    ]
    metas = [
        a.get("content", "")
        for tag, a in tags
        if tag == "meta" and a.get("property", "").lower() == "og:url"
    ]
    found = (canonical(url, saved) for url in (*links, *metas) if url)
    return next((url for url in found if url), saved)


def _attributes(text: str) -> dict[str, str]:
    return {
        name.lower(): html.unescape(value.strip("\"'")) for name, value in _ATTRIBUTE.findall(text)
    }


def local_resource(url: str, page: Page, folder: str) -> Resource | None:
    """Returns the image, video or subtitle file in `folder` that a page's media URL stands for, None without any.

    The page's relative references were resolved against its URL: relative to that, `url` leads from the page's file to
    the media file. Of equal URLs the files' content decides (`record`), never where they lie.
    """
    file = _local(url, page, folder)
    if not file:
        return None
    try:
        kind = _media_kind(file)
        status = os.stat(file)
        record = _digest(file, status.st_size, status.st_mtime_ns) if kind else ""
    except OSError:
        return None  # it may not be read: for us it is not there
    return Resource(url, file, WHOLE_FILE, 200, kind, "", record) if kind else None


def _local(url: str, page: Page, folder: str) -> str:
    """Returns the file that a URL leads to, "" when there is none or it lies outside of the folder."""
    there, own = urlsplit(url), urlsplit(page.url)
    path = unquote_to_bytes(there.path)
    if there[:2] != own[:2] or b"\0" in path:
        return ""
    way = posixpath.relpath(path, posixpath.dirname(unquote_to_bytes(own.path)))
    root = os.path.realpath(folder)
    file = os.path.realpath(os.path.join(root, os.path.dirname(page.source), os.fsdecode(way)))
    return file if Path(file).is_relative_to(root) and os.path.isfile(file) else ""


def _media_kind(file: str) -> str:
    """Returns the media type of an image, video or subtitle file, by content, "" for other files."""
    with open(file, "rb") as opened:
        head = opened.read(_MAGIC_BYTES)
    kind = "" if not head or is_html(head) else kind_of(mimetypes.guess_type(file)[0] or "", head)
    return kind if kind.startswith(("image/", "video/")) or kind in SUBTITLES else ""


@lru_cache(maxsize=2**12)  # a site's logo is on each of its pages
def _digest(file: str, _size: int, _modified: int) -> str:
    with open(file, "rb") as opened:
        return file_digest(opened, "sha256").hexdigest()[:ID_HEX]
