"""Robots directives of X-Robots-Tag headers and of meta elements, and what they cover.

Read as Google Search Central describes them: a comma-separated list, a product token with a colon
before the directives that are for one agent only, values behind a colon.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from m3w_builder.types import MediaKind, OptOut

Kind = MediaKind | Literal["text"]
EVERYTHING = frozenset({"noai", "noml", "noindex", "none", "unavailable_after"})
PICTURES = frozenset({"noimageai", "noimageindex"})  # images and the frames of videos
# Nobody but those who train models has a use for these: whoever they are addressed to, they are meant.
OF_AI = frozenset({"noai", "noml", "noimageai"})
MAX_TEXT = 8192  # characters of one header or element
MAX_FOUND = 200
_EVERY_AGENT = frozenset({"", "*", "robots", "all"})
_VALUED = re.compile(r"unavailable_after|max-[a-z-]+", re.I)
_TOKEN = re.compile(r"[\w*./-]{1,100}", re.A)
_DATE_GOES_ON = re.compile(r"\s*\d")  # "Friday, 25-Jun-10 ..." of RFC 850 has a comma


def directives(
    text: str, agent: str, now: str = "", addressee: str = ""
) -> Iterator[tuple[str, str]]:
    """Yields (directive, words as written) of each directive of a header that opts out for us.

    `addressee` is whom the element names before any prefix: "" or "robots" is everybody.
    unavailable_after opts out where its time is before `now` (ISO 8601), or one of them is unknown.
    """
    pieces = text[:MAX_TEXT].split(",")
    while pieces:
        piece = pieces.pop(0).strip()
        name, colon, rest = (part.strip() for part in piece.partition(":"))
        if colon and not _VALUED.fullmatch(name) and _TOKEN.fullmatch(name):
            if name.lower() not in EVERYTHING | PICTURES:
                addressee = name
                pieces.insert(0, rest)
                continue
            piece = name
        name = name.lower()
        if name == "unavailable_after":
            while pieces and _DATE_GOES_ON.match(pieces[0]):
                piece, rest = f"{piece},{pieces[0]}", f"{rest},{pieces.pop(0)}"
            if not _is_past(rest, now):
                continue
        if name in EVERYTHING | PICTURES and (_is_for(addressee, agent) or name in OF_AI):
            prefix = "" if addressee.lower() in _EVERY_AGENT else f"{addressee}: "
            yield name, f"{prefix}{piece}"[:MAX_FOUND]


def _is_for(addressee: str, agent: str) -> bool:
    token = addressee.lower().partition("/")[0]
    return token in _EVERY_AGENT or token == agent.lower()


def _is_past(date: str, now: str) -> bool:
    limit, moment = _time(date), _time(now)
    return limit is None or moment is None or limit < moment


def _time(text: str) -> datetime | None:
    """Returns the time of an ISO 8601, RFC 822 or RFC 850 date, UTC where no zone is named."""
    text = text.strip()[:100]
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            time = read(text)
            return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None


def covers(optout: OptOut, kind: Kind) -> bool:
    """Tells whether an opt-out is about a kind of content: noimageai is not about text."""
    if optout.signal not in ("x-robots-tag", "meta-robots"):
        return True
    pictures_only = optout.found.lower().rpartition(" ")[2] in PICTURES
    return kind in ("image", "video") or not pictures_only
