"""One `<img>`-like element to an Image node: the largest real candidate among all its attributes.

A lazily loaded picture hides its address in an attribute of any name, so every attribute whose
value reads like an image address is a candidate, and the placeholder in `src` loses.
data: URIs and inline SVG are never images of a document (no address to fetch them from).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from lxml import etree

from m3w_builder.text import clean
from m3w_builder.types import Image
from m3w_builder.urls import canonical

Element = etree._Element

IMAGE_TAGS = frozenset(("img", "amp-img", "amp-anim", "image"))
MAX_CANDIDATES = 100  # of one element; a real srcset has up to 20
MIN_SIDE = 3  # declared pixels: a smaller side is a counter or a line, not a picture

_EXTENSION = re.compile(r"\.(?:jpe?g|png|gif|webp|avif|bmp|tiff?|jfif|heic|svgz?)(?![\w.])", re.I)
_ADDRESS = re.compile(r"^(?:https?:)?//[^\s{}]+$|^[^\s{}<>\"':]+$", re.I)
_PLACEHOLDER = re.compile(
    r"(?:^|[/_.-])(?:blank|spacer|transparent|placeholder|pixel|loading|loader|lazy|spinner|dummy"
    r"|1x1|1px|clear|empty|s\.gif|grey|gray|shim|trans|ajax-loader|default-image|no-?image)(?=[/_.-]|\d|$)[^/]*$",
    re.I,
)
_TRACKER = re.compile(
    r"//(?:[^/]*\.)?(?:facebook\.com/tr|scorecardresearch|quantserve|doubleclick\.net|google-analytics|stats\.wp"
    r"|pixel\.|b\.|alexametrics|feedburner\.com/~|vgwort\.de|addtoany|gravatar\.com/blank|amazon-adsystem|assoc-amazon)",
    re.I,
)
_LESSER = re.compile(
    r"low|thumb|small|tiny|lqip|placeholder|preview|hover|avatar|pin|share|icon|error|fallback"
)
_NOT_ADDRESSES = frozenset(
    ("alt", "title", "class", "id", "style", "width", "height", "sizes", "loading", "name")
)
_SIZE_PART = re.compile(
    r"[-_.](?:\d+x\d+|\d+w|thumb(?:nail)?|small|medium|large|tn|th|s|m|l|scaled|full|orig(?:inal)?|big)(?=[-_.]|$)"
    r"|^(?:thumb(?:nail)?|tn|th|small|\d+px)[-_]",
    re.I,
)
_PIXELS = re.compile(r"^\s*(\d{1,5})(?:\.\d+)?\s*(?:px)?\s*$", re.I)
_STYLE_SIZE = re.compile(r"(?:^|;)\s*(width|height)\s*:\s*(\d{1,5})(?:\.\d+)?px", re.I)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An address with the size it promises: `width` pixels, else `density`."""

    url: str
    width: int = 0
    density: float = 1.0
    rank: int = 0  # of the attribute: real source > plain src > thumbnail


def srcset(value: str) -> list[Candidate]:
    """Returns the candidates of a srcset (HTML Standard 4.8.4.2.2); commas in addresses stay."""
    found: list[Candidate] = []
    position, end = 0, len(value)
    while position < end and len(found) < MAX_CANDIDATES:
        match = _SRCSET_URL.match(value, position)
        if not match:
            break
        url, position = match[1], match.end()
        descriptor = ""
        if url.endswith(","):
            url = url.rstrip(",")
        else:
            stop = value.find(",", position)
            stop = end if stop < 0 else stop
            descriptor, position = value[position:stop], stop + 1
        found.append(_described(url, descriptor))
    return found


_SRCSET_URL = re.compile(r"[\s,]*(\S+)")


def _described(url: str, descriptor: str) -> Candidate:
    width, density = 0, 1.0
    for part in descriptor.split():
        number = part[:-1]
        if part[-1] == "w" and re.fullmatch(r"[0-9]{1,5}", number):
            width = int(number)
        elif part[-1] == "x" and re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]{1,4})?", number):
            density = float(number)
    return Candidate(url, width, density, rank=1)


def read(element: Element, base: str) -> Image | None:
    """Returns the Image node of an img-like element (no path yet), None if it is no picture."""
    width, height = _size(element)
    if (width is not None and width < MIN_SIDE) or (height is not None and height < MIN_SIDE):
        return None
    url = _best([*_candidates(element), *_sources(element)], base)
    url = _linked(element, url, base) if url else ""
    if not url or _TRACKER.search(url):
        return None
    alt = clean(element.get("alt") or element.get("aria-label") or "")
    return Image(url, alt, clean(element.get("title") or ""), width=width, height=height)


def _best(candidates: list[Candidate], base: str) -> str:
    """Returns the canonical address of the largest candidate that is no placeholder."""
    order = sorted(candidates, key=lambda c: (c.width, c.density, c.rank), reverse=True)
    for candidate in order:
        if candidate.url[:5].lower() != "data:" and not _PLACEHOLDER.search(
            candidate.url.split("?")[0]
        ):
            url = canonical(candidate.url, base)
            if url:
                return url
    return ""


def _candidates(element: Element) -> Iterator[Candidate]:
    """Yields what the attributes of an element offer, in the order they stand."""
    for name, value in _attributes(element):
        if name in _NOT_ADDRESSES or not value or value[:5].lower() == "data:":
            continue
        if name == "src":
            yield Candidate(value, rank=1)
        elif "srcset" in name:
            yield from srcset(value)
        elif len(value) < 4096 and (name.startswith("data-") or "src" in name):
            yield from _hidden(name, value.strip())


def _attributes(element: Element) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in element.items()]


def _hidden(name: str, value: str) -> Iterator[Candidate]:
    """Yields the candidate(s) in a lazy-loading attribute of any name."""
    if _EXTENSION.search(value) and re.search(r"\s\d+(?:\.\d+)?[wx]\b", value):
        yield from srcset(value)
    elif _ADDRESS.match(value) and (
        _EXTENSION.search(value)
        or ("src" in name and "/" in value)
        or (
            value.startswith(("http", "//"))
            and re.search("original|image|full|large|lazy|img", name)
        )
    ):
        yield Candidate(value, rank=0 if _LESSER.search(name) else 2)


def _sources(element: Element) -> Iterator[Candidate]:
    """Yields what the `<source>` elements of the picture around an img offer."""
    parent = element.getparent()
    if (
        parent is not None and parent.tag == "source"
    ):  # libxml2 nests what follows an unclosed source
        parent = parent.getparent()
    if parent is None or parent.tag not in ("picture", "amp-img"):
        return
    for source in parent.iter("source"):
        yield from _candidates(source)


def _size(element: Element) -> tuple[int | None, int | None]:
    """Returns the declared width and height in pixels, of the attributes or else the style."""
    style = dict(_STYLE_SIZE.findall(element.get("style") or ""))
    sizes = []
    for name in ("width", "height"):
        match = _PIXELS.match(element.get(name) or "")
        sizes.append(int(match[1]) if match else int(style[name]) if name in style else None)
    return sizes[0], sizes[1]


def _linked(element: Element, url: str, base: str) -> str:
    """Returns what a link around a thumbnail leads to if that is the same picture, else `url`."""
    ancestor = element.getparent()
    for _ in range(3):
        if ancestor is None or ancestor.tag == "a":
            break
        ancestor = ancestor.getparent()
    href = ancestor.get("href") or "" if ancestor is not None and ancestor.tag == "a" else ""
    if not is_image_address(href):
        return url
    target = canonical(href, base)
    return target if target and _stem(target) == _stem(url) else url


def is_image_address(href: str) -> bool:
    """Tells whether a link goes to a picture's file, not to a page about it ("File:a.jpg")."""
    path = href.split("?")[0]
    return _EXTENSION.search(path[-6:]) is not None and ":" not in path.rsplit("/", 1)[-1]


def _stem(url: str) -> str:
    """Returns a picture's name without extension and size: the same for thumbnail and original."""
    name = unquote(urlsplit(url).path).rsplit("/", 1)[-1].lower().rsplit(".", 1)[0]
    return _SIZE_PART.sub("", name) or name


def same_picture(one: str, other: str) -> bool:
    """Tells whether two addresses are one picture in two sizes: all the same but the size."""
    return one == other or (
        urlsplit(one).hostname == urlsplit(other).hostname
        and len(_stem(one)) > 3
        and _stem(one) == _stem(other)
        and urlsplit(one).path.rsplit("/", 1)[0] == urlsplit(other).path.rsplit("/", 1)[0]
    )


def is_description(text: str, url: str = "") -> bool:
    """Tells whether an alt text says something: not empty, a file name, an address or "image"."""
    words = text.strip().strip("[]().:!").casefold()
    if (len(words) < 3 and not any(ord(c) > 0x2E7F for c in words)) or not re.search(
        r"[^\W\d_]", words
    ):
        return False
    if _GENERIC.fullmatch(words) or _FILE_NAME.search(words) or "://" in words:
        return False
    stem = unquote(urlsplit(url).path).rsplit("/", 1)[-1].rsplit(".", 1)[0].casefold()
    return " " in words or words != stem


_GENERIC = re.compile(
    r"(?:an? |the |my )?(?:image|img|photo|picture|pic|foto|bild|icon|logo|thumbnail|thumb"
    r"|avatar|figure|null|none"
    r"|undefined|untitled|alt|alt text|placeholder|banner|spacer|blank|loading\.*"
    r"|image\d*|photo\d*)(?: ?\d+)?"
)
_FILE_NAME = re.compile(
    r"^\S+\.(?:jpe?g|png|gif|webp|avif|svg|bmp|tiff?)$"
    r"|^(?:img|dsc|dscn|image|photo|screen ?shot)[-_ ]?\d[\w-]*$"
)
