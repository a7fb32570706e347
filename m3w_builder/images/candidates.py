"""The addresses that the attributes of an element offer for its picture, with the sizes they promise."""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from lxml import etree

from m3w_builder.images.names import EXTENSION
from m3w_builder.text import word_set

Element = etree._Element

MAX_CANDIDATES = 100  # of one element; a real srcset has up to 20
MAX_VALUE = 16_384  # characters of an attribute that is no srcset; real ones with JSON have 5,000
MAX_DESCENDANTS = 200  # of a <picture> that are looked at
DEFAULT_WIDTH = 1200  # asked of an address template where the page lists no widths

_SPACED = re.compile(r"[\s,]*(\S+)")
_DENSITY = re.compile(r"(?=[.0-9])[0-9]{0,3}(?:\.[0-9]{1,4})?")
_DESCRIBED = re.compile(r"\s[0-9.]{1,8}[wx](?=\s*(?:,|\Z))")
_ABSOLUTE = re.compile(r"(?:https?:)?//[^\s{}\"'<>]+", re.I)
_RELATIVE = re.compile(r"[^\s{}<>\"':]+")
_IN_CODE = re.compile(r"(?:https?:)?\\?/[^\s\"'<>{}()\[\],]{4,}", re.I)
_TEMPLATE = re.compile(r"\{\.?(?:width|w|size)\}|%7B(?:width|w|size)%7D", re.I)
_NUMBER = re.compile(r"[0-9]{2,4}")
_MIN_WIDTH = re.compile(r"min-(?:device-)?width\s*:\s*([0-9]{1,5})(?:\.[0-9]+)?(px|r?em)", re.I)
_UNREADABLE = re.compile(r"image/(?:svg|jxl|hei[cf]|jp2|jpx|vnd\.)|video/|application/", re.I)

_NEVER = word_set(
    "alt title class id style width height sizes loading name decoding fetchpriority role itemprop"
    " itemtype rel border align hspace vspace usemap longdesc lang dir tabindex draggable layout"
    " crossorigin referrerpolicy data-sizes data-lazy-sizes data-widths media type"
)
_LESSER = word_set(
    "low lowsrc lowres thumb thumbnail small tiny lqip placeholder preview hover over rollover avatar"
    " pin share icon error onerror fallback flag poster mobile"
)
_SPLIT = re.compile(r"[-_.:]+|(?<=[a-z])(?=[A-Z])")


class Attribute(NamedTuple):
    """What the name of an attribute lets expect of its value."""

    use: str  # "never", "src", "srcset" or "maybe"
    rank: int = 1  # of its candidates: hidden source 2 > src 1 > unclear 0
    lesser: bool = False  # another picture, or a small copy
    source: bool = False  # an address without a file extension is one too
    width: int = 0
    density: float = 1.0


class Candidate(NamedTuple):
    """An address with the size it promises: `width` pixels, else `density`."""

    url: str
    width: int = 0
    density: float = 1.0
    rank: int = 0  # of the attribute: hidden source > plain src > thumbnail
    screen: int = 0  # px: the least screen its <source> is for; -1 if it is for small ones only
    lesser: bool = False  # to be taken only where there is nothing else
    listed: bool = False  # in a srcset, so that its size is known relative to the others


def srcset(value: str) -> list[Candidate]:
    """Returns the candidates of a srcset (HTML Standard 4.8.4.2.2); commas in addresses stay."""
    found: list[Candidate] = []
    position, end = 0, len(value)
    while position < end and len(found) < MAX_CANDIDATES:
        match = _SPACED.match(value, position)
        if not match:
            break
        url, position = match[1], match.end()
        descriptor = ""
        if url[-1] == ",":
            url = url.rstrip(",")
        else:
            stop = value.find(",", position)
            stop = end if stop < 0 else stop
            descriptor, position = value[position:stop].strip(), stop + 1
        if url:
            found.append(_described(url, descriptor))
    return found


def _described(url: str, descriptor: str) -> Candidate:
    if descriptor[-1:] == "w" and len(descriptor) <= 6 and descriptor.isascii():
        number = descriptor[:-1]
        if number.isdigit():
            return Candidate(url, int(number), 1.0, 1, listed=True)
    width, density, unknown = 0, 1.0, False
    for part in descriptor.split() if len(descriptor) <= MAX_VALUE else ():
        number, unit = part[:-1], part[-1]
        if unit == "w" and number.isascii() and number.isdigit() and len(number) <= 5:
            width = int(number)
        elif unit == "x" and number and _DENSITY.fullmatch(number):
            density = float(number)
        else:
            unknown = True
    if unknown and not EXTENSION.search(url):
        # A space in an address ends it; a file extension in what follows tells that it should not.
        parts = descriptor.split()
        named = max((n for n, part in enumerate(parts, 1) if EXTENSION.search(part)), default=0)
        url = " ".join((url, *parts[:named]))
    return Candidate(url, width, density, rank=1, listed=True)


def of_element(element: Element) -> list[Candidate]:
    """Returns what the attributes of an element offer, in the order they stand."""
    found: list[Candidate] = []
    for name, value in element.items():
        attribute = attribute_of(name)
        if attribute.use == "never" or not value:
            continue
        if attribute.use == "src":
            if value[:5].lower() != "data:":
                found.append(Candidate(str(value), rank=1))
        elif attribute.use == "srcset":
            found.extend(_set(str(value), attribute))
        elif len(value) <= MAX_VALUE:
            found.extend(hidden(element, attribute, str(value).strip()))
    return found[:MAX_CANDIDATES]


@lru_cache(maxsize=4096)
def attribute_of(name: str) -> Attribute:
    """Returns what to expect of an attribute by its name (pages share few names: cached)."""
    lower = name.lower()
    if lower in _NEVER or lower.startswith(("on", "aria-", "xmlns")) or len(name) > 100:
        return Attribute("never")
    words = _SPLIT.split(name)
    lesser = any(word.lower() in _LESSER for word in words)
    if lower == "src":
        return Attribute("src")
    if "srcset" in lower or "src-set" in lower:
        return Attribute("srcset", lesser=lesser)
    source = "src" in lower
    named = re.search("orig|image|full|large|lazy|img|photo|picture|zoom|hi-?res", lower)
    width = next((int(word) for word in words if _NUMBER.fullmatch(word)), 0)
    sharp = "2x" in lower or "retina" in lower
    rank = 1 if lower.endswith("href") else 2  # of svg's <image>, a link anywhere else
    return Attribute(
        "maybe", rank, lesser, source or bool(named), width, 2.0 if sharp and not width else 1.0
    )


def _set(value: str, attribute: Attribute) -> list[Candidate]:
    found = srcset(value)
    if "data:" in value:
        found = [each for each in found if each.url[:5] != "data:"]
    return [each._replace(rank=0, lesser=True) for each in found] if attribute.lesser else found


def hidden(element: Element, attribute: Attribute, value: str) -> list[Candidate]:
    """Returns the candidates in the value of an attribute of any name: an address, a srcset, JSON."""
    if ("/" not in value and "." not in value) or value[:5].lower() == "data:":
        return []
    pictured = EXTENSION.search(value) is not None
    if " " in value and (pictured or attribute.source) and _DESCRIBED.search(value):
        return _set(value, attribute)
    if value[0] in "[{":
        return _in_code(value)
    if _is_address(value, attribute, pictured):
        rank = 0 if attribute.lesser else attribute.rank
        return [Candidate(value, attribute.width, attribute.density, rank, lesser=attribute.lesser)]
    if attribute.source and "{" in value and _TEMPLATE.search(value):
        return [Candidate(_TEMPLATE.sub(str(_widest(element)), value), rank=2)]
    return []


def _is_address(value: str, attribute: Attribute, pictured: bool) -> bool:
    if _ABSOLUTE.fullmatch(value):
        return pictured or attribute.source
    if _RELATIVE.fullmatch(value):
        return pictured or (attribute.source and attribute.rank == 2 and "/" in value)
    # A file name may hold spaces and colons, a sentence about it does not end in its extension.
    end = EXTENSION.search(value, max(0, len(value) - 6))
    return attribute.source and end is not None and not set(value) & set("{}<>\"',;")


def _in_code(value: str) -> list[Candidate]:
    """Returns the image addresses in JSON or a list; they may be of other pictures, so they are lesser."""
    found = (match[0].replace("\\/", "/") for match in _IN_CODE.finditer(value))
    return [Candidate(url, lesser=True) for url in found if EXTENSION.search(url)]


def _widest(element: Element) -> int:
    """Returns the largest width the element lists for an address template, up to 2048."""
    widths = [
        int(number)
        for name, value in element.items()
        if str(name).endswith("widths")
        for number in _NUMBER.findall(str(value)[:MAX_VALUE])
    ]
    return max((width for width in widths if width <= 2048), default=DEFAULT_WIDTH)


def of_picture(element: Element) -> list[Candidate]:
    """Returns what the `<source>` elements before an img in its `<picture>` offer."""
    parent = element.getparent()
    while parent is not None and parent.tag == "source":
        parent = parent.getparent()  # libxml2 nests what follows an unclosed source
    if parent is None or parent.tag != "picture":
        return []
    found: list[Candidate] = []
    # An unclosed picture holds the pictures after it: only the sources since the last img count.
    for near in islice(parent.iter(), MAX_DESCENDANTS):
        if near is element:
            break
        if near.tag == "source":
            found.extend(_of_source(near))
        elif near.tag in ("img", "picture"):
            found.clear()
    return found[:MAX_CANDIDATES]


def _of_source(source: Element) -> Iterator[Candidate]:
    media, kind = source.get("media") or "", source.get("type") or ""
    lesser = "print" in media or "dark" in media or _UNREADABLE.match(kind) is not None
    screen = _screen(media) if media else 0
    for each in of_element(source):
        if lesser or screen:
            yield each._replace(screen=screen, lesser=lesser or each.lesser)
        else:
            yield each


def _screen(media: str) -> int:
    match = _MIN_WIDTH.search(media[:1000])
    if match:
        return int(match[1]) * (1 if match[2].lower() == "px" else 16)
    return -1 if "max-" in media else 0
