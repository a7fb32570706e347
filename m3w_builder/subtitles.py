"""Subtitle files as pages link them, WebVTT or SubRip (SRT) in any encoding, to cues and clean WebVTT.

Real files mix the two: SRT with WebVTT's points, WebVTT without its first line, hours left out, blank
lines forgotten. So there is one reading of both: a line with a valid `start --> end` begins a cue, its
text is what follows up to a blank line or the next such line, and everything else (identifiers, NOTE,
STYLE and REGION blocks, garbage) is nothing. That is what the rules of WebVTT come to
(https://www.w3.org/TR/webvtt1/, 6.1), which never give up on a file either.

A cue's text is what is spoken: tags (`<i>`, `<c.loud>`, `<00:01.500>`, `<font>`, SubStation's `{\\an8}`)
and the name in `<v Name>` go, character references are resolved, its line breaks stay. Cues that end
before they begin, or with it, are never shown and are left out; overlapping ones stay.
"""

import codecs
import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import webencodings

from m3w_builder.errors import MediaError
from m3w_builder.text import clean

MAX_CUES = 20_000  # of one file; a day of captions has as many
MAX_LINES = 20  # of one cue
MAX_LINE = 2_000  # characters of one line
SPOKEN = ("subtitles", "captions")  # of HTML's track kinds those whose text is spoken

_TIME = r"(?:(\d{1,4}):)?(\d{1,3}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
_IDENTIFIER = re.compile(r"\s*\d+\s*")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,300}>|<[\d:.]{1,20}>|</>|\{\\[^{}]{0,300}\}")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like the next one
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Cue:
    """A text and when it is shown, in seconds from the start of the video (whole milliseconds)."""

    start: float
    end: float
    text: str


class Measured(NamedTuple):
    """A subtitle file: as it is stored, when its last cue ends, how many it has."""

    vtt: bytes
    seconds: float
    cues: int


def measure_subtitles(body: bytes, content_type: str = "") -> Measured:
    """Returns a subtitle file as normalised WebVTT with its length; raises MediaError not_subtitles."""
    cues = parse(decode(body, content_type))
    return Measured(write(cues), max(cue.end for cue in cues), len(cues))


def decode(body: bytes, content_type: str = "") -> str:
    """Returns the text of a file: by its mark, as UTF-8, as the server says, as Windows-1252."""
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace")
    if wide := _utf16(body[:1000]):
        return body.decode(wide, "replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        said = _CHARSET.search(content_type)
    named = webencodings.lookup(said[1]) if said else None
    if named is None or named.name == "utf-8":  # which it is not, whatever the server says
        return body.decode("cp1252", "replace")
    return named.codec_info.decode(body, "replace")[0]


def _utf16(head: bytes) -> str:
    """Returns the UTF-16 that a text of mostly western letters and digits is in, "" for none."""
    zeros = [head[side::2].count(0) * 2 for side in (0, 1)]
    if max(zeros, default=0) * 3 < len(head) or not head:
        return ""
    return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"


def parse(text: str) -> list[Cue]:
    """Returns the cues by the time at which they begin; raises MediaError not_subtitles without any."""
    cues = sorted(_cues(text), key=lambda cue: (cue.start, cue.end))
    if not cues:
        raise MediaError("not_subtitles", "no cue with a text")
    return cues


def _cues(text: str) -> Iterator[Cue]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = 0
    for number, line in enumerate(lines):
        if "-->" not in line or not (match := _TIMING.fullmatch(line[:MAX_LINE])):
            continue
        numbers = match.groups()
        start, end = _seconds(*numbers[:4]), _seconds(*numbers[4:])
        said = _said(lines, number + 1)
        if said and end > start:
            yield Cue(start, end, said)
            found += 1
            if found == MAX_CUES:
                return


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    whole = (int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)
    return (whole * 1000 + int((fraction or "0").ljust(3, "0"))) / 1000


def _said(lines: Sequence[str], start: int) -> str:
    """Returns the text of the cue whose lines begin there."""
    found: list[str] = []
    for line in lines[start : start + MAX_LINES]:
        if not line.strip():
            break
        if "-->" in line:  # the blank line is missing: the number of the next cue stands before it
            if found and _IDENTIFIER.fullmatch(found[-1]):
                found.pop()
            break
        found.append(line)
    texts = (clean(html.unescape(_TAG.sub("", line)))[:MAX_LINE].strip() for line in found)
    return "\n".join(text for text in texts if text)


def write(cues: Sequence[Cue]) -> bytes:
    """Returns cues as WebVTT that says nothing else: equal cues give equal bytes."""
    blocks = (f"{_clock(c.start)} --> {_clock(c.end)}\n{_escaped(c.text)}\n" for c in cues)
    return "\n".join(("WEBVTT\n", *blocks)).encode()


def _clock(seconds: float) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{milliseconds:03}"


def _escaped(text: str) -> str:
    for character, reference in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("{", "&lbrace;")):
        text = text.replace(character, reference)
    return text


def spoken(tracks: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Yields the addresses of the tracks of a video node (as in its row) whose text is what is spoken."""
    return (track["url"] for track in tracks if track["kind"] in SPOKEN)


def within(cues: Sequence[Cue], start: float, end: float) -> list[Cue]:
    """Returns the cues that are shown at some time in [start, end)."""
    return [cue for cue in cues if cue.start < end and cue.end > start]
