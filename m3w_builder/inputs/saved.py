"""Pages that a browser or a mirroring tool saved to disk, with the media that lie beside them.

A saved page has no HTTP response: its URL is what it says of itself, and a local image takes the URL that the page's
reference resolves to, because that is how the page's documents will name it.
"""

import html
import mimetypes
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, unquote

from m3w_builder.dom import decode as decode_text
from m3w_builder.errors import InputError, PageError
from m3w_builder.inputs.sniff import media_type
from m3w_builder.types import ID_HEX, Page, Reject, Resource, item_id
from m3w_builder.urls import canonical
from m3w_builder.warc.coding import decode

HTML_ENDINGS = (".html", ".htm", ".xhtml", ".html.gz", ".htm.gz", ".xhtml.gz")
WHOLE_FILE = -1  # the offset of a resource that is a file of its own
NOWHERE = "https://saved.invalid/"  # RFC 6761: never a real host
_HEAD = 2**18  # characters in which a page tells its URL

_TAG = re.compile(r"<(link|meta|base)\b([^>]{0,4000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w:-]{1,40})\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)""")
_SAVED_FROM = re.compile(r"<!--\s*saved from url=\(\d{1,6}\)(\S{1,4000})\s*-->", re.IGNORECASE)
_REFERENCE = re.compile(
    r"""[\s"'](?:[\w-]{0,32}src(set)?|poster|data-original|data-lazy)\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)""",
    re.IGNORECASE,
)
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:|//|#", re.IGNORECASE)


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


def read_saved(
    path: str, start: int, end: int, *, max_body: int
) -> Iterator[Page | Resource | Reject]:
    """Yields pages [start, end) of a folder (or the one page that `path` is), each with its local media."""
    alone = os.path.isfile(path)
    folder = os.path.dirname(path) if alone else path
    names = [os.path.basename(path)] if alone else html_files(path)[start:end]
    seen: set[tuple[str, str]] = set()
    for name in names:
        page = _read_page(folder, name, max_body)
        yield page
        if isinstance(page, Page):
            for resource in _media(page, folder, name):
                if (resource.url, resource.file) not in seen:
                    seen.add((resource.url, resource.file))
                    yield resource


def _read_page(folder: str, name: str, max_body: int) -> Page | Reject:
    fallback = NOWHERE + quote(os.fsencode(name))
    try:
        with open(os.path.join(folder, name), "rb") as file:
            body = file.read(max_body + 1)
    except OSError as error:
        return Reject(
            item_id(fallback), fallback, "extract", "file_unreadable", f"{name}: {error.strerror}"
        )
    if name.lower().endswith(".gz"):
        body, _ = decode(body, ["gzip"], max_body)
    if len(body) > max_body:
        detail = f"{name}: more than {max_body} bytes"
        return Reject(item_id(fallback), fallback, "extract", "record_too_large", detail)
    url = _own_url(body) or fallback
    record = sha256(url.encode() + b"\0\0" + body).hexdigest()[:ID_HEX]
    return Page(
        url=url, html=body, record=record, source=os.fsencode(name).decode("utf-8", "replace")
    )


def _text(body: bytes) -> str:
    try:
        return decode_text(body)
    except PageError:
        return ""  # the extractor names the reason


def _own_url(body: bytes) -> str:
    """Returns the URL by <link rel=canonical>, og:url or the browser's "saved from" comment, "" without any."""
    head = _text(body)[:_HEAD]
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


def _media(page: Page, folder: str, name: str) -> Iterator[Resource]:
    """Yields the images and videos of the page that lie in the folder."""
    text = _text(page.html)
    bases = [
        _attributes(tag[2]).get("href", "")
        for tag in _TAG.finditer(text[:_HEAD])
        if tag[1].lower() == "base"
    ]
    base = canonical(bases[0], page.url) if bases else ""
    for reference in dict.fromkeys(_references(text)):
        url = canonical(reference, base or page.url)
        file = _local(reference, folder, name)
        kind = _media_kind(file) if file and url else ""
        if kind:
            yield Resource(url, file, WHOLE_FILE, 200, kind, "", item_id(url))


def _references(text: str) -> Iterator[str]:
    """Yields the relative references to media in a page's markup."""
    for srcset, value in _REFERENCE.findall(text):
        value = html.unescape(value.strip("\"'")).strip()
        choices = (
            [part.split()[0] for part in value.split(",") if part.strip()] if srcset else [value]
        )
        yield from (choice for choice in choices if choice and not _ABSOLUTE.match(choice))


def _local(reference: str, folder: str, name: str) -> str:
    """Returns the file that a relative reference names, "" when there is none or it lies outside of the folder."""
    path = unquote(re.split(r"[?#]", reference, maxsplit=1)[0])
    if not path or "\0" in path:
        return ""
    start = folder if path.startswith("/") else os.path.join(folder, os.path.dirname(name))
    root = os.path.realpath(folder)
    file = os.path.realpath(os.path.join(start, path.lstrip("/")))
    return file if Path(file).is_relative_to(root) and os.path.isfile(file) else ""


def _media_kind(file: str) -> str:
    try:
        with open(file, "rb") as opened:
            found = media_type(opened.read(64))
    except OSError:
        found = ""  # fetch says that it may not be read
    guess = mimetypes.guess_type(file)[0] or ""
    return found or (guess if guess.startswith(("image/", "video/", "audio/")) else "")
