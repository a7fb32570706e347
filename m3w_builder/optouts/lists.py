"""Local lists: files with a domain, a URL or a sha256 a line.

In an opt-out list a URL is a prefix. In a list of takedowns (m3w_builder.tombstones) it is one address, and a
prefix where a star ends it; the star changes nothing in an opt-out list, so that either reads the other's.

Made for millions of lines: entries lie sorted in one block of bytes, about their own length and
eight bytes each, and are found by binary search.
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self, overload
from urllib.parse import urlsplit

from m3w_builder.errors import ConfigError
from m3w_builder.files import ReadOnce
from m3w_builder.types import OptOut
from m3w_builder.urls import canonical

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_DOMAIN = re.compile(r"(?:\*?\.)?([^\s/?#@:\[\]]+)")
_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")  # IPv4
_HOST = re.compile(
    r"(?:[a-z0-9_-]{1,63}\.)+[a-z0-9-]{2,63}"
)  # a name without a dot is a typing error


class _Sorted(Sequence[bytes]):
    """Distinct byte strings in their order, in two blocks of memory."""

    def __init__(self, items: Iterable[bytes]) -> None:
        ordered = sorted(set(items))
        self._ends = array("Q", [0])
        for item in ordered:
            self._ends.append(self._ends[-1] + len(item))
        self._text = b"".join(ordered)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._text[self._ends[index] : self._ends[index + 1]]

    def __contains__(self, item: object) -> bool:
        assert isinstance(item, bytes)
        at = bisect_left(self, item)
        return at < len(self) and self[at] == item


@dataclass(frozen=True, slots=True)
class _List:
    """One file; URLs stand without their scheme: http and https are one place."""

    name: str
    domains: _Sorted
    prefixes: _Sorted
    pages: _Sorted
    hashes: _Sorted

    def url(self, url: str, page: str) -> str:
        """Returns the entry that a canonical URL falls under, "" if none; `page` is its key without a scheme."""
        host = (urlsplit(url).hostname or "").rstrip(".")
        while host:
            if host.encode() in self.domains:
                return host
            host = host.partition(".")[2]
        if page.encode() in self.pages:
            return page
        bare = url.partition("//")[2].encode()
        # No entry begins with another one: the last that is not above the URL is the only candidate.
        at = bisect_right(self.prefixes, bare) - 1
        prefix = self.prefixes[at] if at >= 0 else b""
        return prefix.decode() if prefix and bare.startswith(prefix) else ""


Key = Callable[[str], str]  # of a canonical URL: what addresses of one page share


@dataclass(frozen=True, slots=True)
class OptOutLists:
    """What the user's lists name. `digest` changes when a line of them does."""

    lists: tuple[_List, ...] = ()
    digest: str = ""
    signal: str = "list"
    key: Key | None = None  # None: every URL is a prefix

    @classmethod
    def load(
        cls,
        paths: Iterable[str | Path],
        *,
        setting: str = "rights.optout_lists",
        signal: str = "list",
        key: Key | None = None,
    ) -> Self:
        """Reads the files; a line that is none of the three raises ConfigError with its number."""
        bodies = []
        for path in map(Path, paths):
            try:
                bodies.append((path, path.read_bytes()))
            except OSError as error:
                raise ConfigError(
                    f"{setting}: {path}: expected a readable file: {error.strerror}"
                ) from error
        return cls.read(bodies, signal=signal, key=key)

    @classmethod
    def read(
        cls, bodies: Sequence[tuple[Path, bytes]], *, signal: str = "list", key: Key | None = None
    ) -> Self:
        """Reads files that are in memory, with their names."""
        digest = sha256(b"".join(sha256(body).digest() for _, body in bodies))
        lists = tuple(_read(path, body, key) for path, body in bodies)
        return cls(lists, digest.hexdigest()[:16] if lists else "", signal, key)

    def url(self, url: str) -> OptOut | None:
        """Returns the opt-out of a canonical URL: its domain, or one above it, or its beginning."""
        page = self.key(url).partition("//")[2] if self.key else ""
        return self._first((entry.name, entry.url(url, page)) for entry in self.lists)

    def sha256(self, digest: str) -> OptOut | None:
        """Returns the opt-out of a file by the sha256 of its bytes (64 hex digits)."""
        if not _SHA256.fullmatch(digest):
            return None
        key = bytes.fromhex(digest)
        return self._first((e.name, digest.lower() if key in e.hashes else "") for e in self.lists)

    def _first(self, found: Iterable[tuple[str, str]]) -> OptOut | None:
        return next((OptOut(self.signal, name, entry, "") for name, entry in found if entry), None)


def entries(path: Path, body: bytes) -> Iterator[tuple[str, str]]:
    """Yields what a list names: ("sha256", hex), ("domain", ASCII name), ("url" or "prefix", canonical URL).

    Raises ConfigError, with its number, for a line that is none of them.
    """
    for number, raw in enumerate(body.split(b"\n"), 1):
        line = raw.decode("utf-8", "replace").removeprefix("\ufeff").strip()
        if not line or line.startswith("#"):
            continue
        line = line.partition(" #")[0].rstrip()
        if _SHA256.fullmatch(line):
            yield "sha256", line.lower()
        elif _HOST.fullmatch(line):  # nearly every line: no URL is to be parsed
            yield "domain", line
        elif url := canonical(line.removesuffix("*")) or _without_scheme(line.removesuffix("*")):
            yield "prefix" if line.endswith("*") else "url", url
        elif host := _domain(line):
            yield "domain", host
        else:
            raise ConfigError(
                f"{path}, line {number}: expected a domain, an http(s) URL or a sha256, found {line[:80]!r}"
            )


def _read(path: Path, body: bytes, key: Key | None) -> _List:
    domains, prefixes, pages, hashes = set(), set(), set(), set()
    for kind, entry in entries(path, body):
        if kind == "sha256":
            hashes.add(bytes.fromhex(entry))
        elif kind == "domain":
            domains.add(entry.encode())
        elif kind == "url" and key:
            pages.add(key(entry).partition("//")[2].encode())
        else:
            prefixes.add(entry.partition("//")[2].encode())
    return _List(
        *(path.name, _Sorted(domains), _Sorted(_shortest(prefixes)), _Sorted(pages)),
        _Sorted(hashes),
    )


def _domain(line: str) -> str:
    """Returns the host name in ASCII of "example.org", "*.example.org", ".example.org" or an IPv4 address, else ""."""
    match = _DOMAIN.fullmatch(line)
    host = urlsplit(canonical(f"http://{match[1]}/")).netloc.rstrip(".") if match else ""
    return host if _HOST.fullmatch(host) or _ADDRESS.fullmatch(host) else ""


def _without_scheme(line: str) -> str:
    """Returns the URL of "example.org/path", as lists of proxies have it, "" if it is none."""
    host, slash, path = line.partition("/")
    return canonical(f"http://{host}/{path}") if slash and _domain(host) else ""


def _shortest(prefixes: Iterable[bytes]) -> list[bytes]:
    """Returns the prefixes without those that begin with another one."""
    kept: list[bytes] = []
    for prefix in sorted(prefixes):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return kept


optout_lists = ReadOnce(OptOutLists.load)
