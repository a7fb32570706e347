"""Path patterns of robots.txt (RFC 9309, 2.2.2 and 2.2.3), which ai.txt and tdmrep.json share.

A pattern is matched by searching its literal parts one after the other: the time is bounded by the
lengths of the pattern and of the URL, whatever the number of wildcards.
"""

from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, unquote_to_bytes, urlsplit

# What stays as it is. "*" and "$" are encoded, so that a pattern's "%2A" is a star and not a wildcard.
_SAFE = "/?&=:;,@!'()+[]"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path pattern: its literal parts between wildcards, and whether "$" ends it."""

    parts: tuple[str, ...]
    whole: bool
    octets: int  # of the normalised pattern: the longer one is the more specific

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Returns the pattern; one that is a whole URL or lacks its first "/" is read as meant."""
        if text.startswith((b"http://", b"https://")):
            text = b"/" + text.split(b"//", 1)[1].partition(b"/")[2]
        elif not text.startswith((b"/", b"*", b"$")):
            text = b"/" + text
        whole = text.endswith(b"$")
        bare = text[:-1] if whole else text
        parts = [_normal(part) for part in bare.split(b"*")]
        # An empty part between two stars says nothing more than one star.
        parts = [p for n, p in enumerate(parts) if p or n in (0, len(parts) - 1)]
        return cls(tuple(parts), whole, sum(map(len, parts)) + len(parts) - 1 + whole)

    def matches(self, path: str) -> bool:
        """Tells whether a path of `path_of` begins with the pattern, or is it where "$" ends it."""
        if not path.startswith(self.parts[0]):
            return False
        first, *middle = self.parts
        at = len(first)
        if not middle:
            return not self.whole or at == len(path)
        last = middle.pop()
        for part in middle:
            at = path.find(part, at)
            if at < 0:
                return False
            at += len(part)
        if self.whole:
            return len(path) - len(last) >= at and path.endswith(last)
        return path.find(last, at) >= 0


def path_of(url: str) -> str:
    """Returns path and query of a URL, normalised for `Pattern.matches`."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket in the host
        return "/"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _normal(path.encode("utf-8", "replace"))


def _normal(text: bytes) -> str:
    """Returns one spelling for all percent-encodings of the same octets."""
    return quote(unquote_to_bytes(text), safe=_SAFE)
