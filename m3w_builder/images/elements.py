"""One element to an Image node, and to every address it names for that one picture."""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from lxml import etree

from m3w_builder.images.candidates import (
    MAX_CANDIDATES,
    MAX_DESCENDANTS,
    Candidate,
    attribute_of,
    hidden,
    of_element,
    of_picture,
)
from m3w_builder.images.keys import is_original, pixels_in, same_picture, stem
from m3w_builder.images.names import (
    is_image_address,
    is_placeholder,
    is_tracker,
    is_unreadable,
)
from m3w_builder.text import clean
from m3w_builder.types import Image
from m3w_builder.urls import canonical

Element = etree._Element

IMAGE_TAGS = frozenset(("img", "amp-img", "amp-anim", "image"))
_EMBEDDED = {"object": "data", "embed": "src"}
_PLACES = frozenset(("div", "span", "figure", "i", "section", "a"))  # a lazy picture is put into
MIN_SIDE = 3  # declared pixels: a smaller side is a counter or a line, not a picture
_NOTHING = frozenset(("undefined", "null", "none", "false"))  # what a script wrote
MAX_STYLE = 4096  # characters of a style that are looked at
MAX_PIXELS = 10**6  # of an address without a size: the original
MAX_LINK_DEPTH = 3  # levels between a thumbnail and the link around it

_PIXELS = re.compile(r"\s*([0-9]{1,5})(?:\.[0-9]+)?\s*(?:px)?\s*", re.I)
_STYLE_SIZE = re.compile(r"(?:^|[;\s])(width|height)\s*:\s*([0-9]{1,5})(?:\.[0-9]+)?px", re.I)
_CSS_URL = re.compile(
    r"""url\(\s*(?:"([^"]*)"|'([^']*)'|((?:\\[0-9a-f]{1,6}\s?|\\.|[^\\)"'\s])*+))\s*\)(?:\s*([0-9](?:\.[0-9])?)(?:x|dppx)\b)?""",
    re.I,
)
_CSS_ESCAPE = re.compile(r"\\(?:([0-9a-f]{1,6})\s?|(.))", re.I | re.S)
_BACKGROUND = re.compile(r"background|parallax|(?:^|-)(?:[a-z]*bg|bg[a-z]*)(?=-|$)")
_TILED = re.compile(
    r"repeat(?<!no-repeat)(?=[\s;!xy,-]|$)|background-position[^;]*:[^;]*-[1-9]", re.I
)
_DECOR = re.compile(
    r"(?:^|[-_./])(?:sprites?|icons?|pattern|texture|gradient|overlay|noise|bg|background|arrow|bullet)s?\d*(?=[-_.]|$)"
)


def read(element: Element, base: str) -> Image | None:
    """Returns the Image node of an img-like element (no path yet), None if it is no picture.

    Beside IMAGE_TAGS an object or embed of an image type is one.
    """
    return _image(element, base, _candidates(element))


def background(element: Element, base: str) -> Image | None:
    """Returns the picture behind an element, of its style or a lazy-loading attribute, or the one
    that a script puts in its place (an empty element with a source, a schema.org ImageObject).

    None for data: URIs, gradients, tiles, sprites, placeholders and files named as decoration.
    """
    image = _image(element, base, _backgrounds(element))
    if image is None or _DECOR.search(image.url.partition("?")[0].rpartition("/")[2].lower()):
        return None
    return image


def may_name_background(name: str) -> bool:
    """Tells whether an attribute of this name may hold the picture behind an element."""
    return _background_use(name) != ""


def addresses(element: Element, base: str) -> list[str]:
    """Returns every canonical address the element names for its picture, the chosen one first.

    Placeholders and pictures of another name are not among them; empty if there is no picture.
    """
    named = element.tag in IMAGE_TAGS or element.tag in _EMBEDDED
    candidates = _candidates(element) if named else _backgrounds(element)
    chosen = _chosen(candidates, base)
    if not chosen or is_tracker(chosen):
        return []
    found = dict.fromkeys((_linked(element, chosen, base) or chosen, chosen))
    if len(candidates) > 1:
        for candidate in candidates:
            url = _address(candidate, base)
            if url and (not candidate.lesser or same_picture(url, chosen)):
                found[url] = None
    return list(found)


def _image(element: Element, base: str, candidates: list[Candidate]) -> Image | None:
    if not candidates:
        return None
    width, height = declared_size(element)
    if (width is not None and width < MIN_SIDE) or (height is not None and height < MIN_SIDE):
        return None
    url = _chosen(candidates, base)
    if not url:
        return None
    url = _linked(element, url, base) or url
    if is_tracker(url):
        return None
    alt, title = element.get("alt") or element.get("aria-label"), element.get("title")
    return Image(
        url, clean(alt) if alt else "", clean(title) if title else "", width=width, height=height
    )


def _candidates(element: Element) -> list[Candidate]:
    if element.tag in IMAGE_TAGS:
        found = of_element(element)
        pictured = of_picture(element)
        return [*found, *pictured] if pictured else found
    return _embedded(element) if element.tag in _EMBEDDED else []


def _embedded(element: Element) -> list[Candidate]:
    """Returns the address of an object or embed of an image type; its fallback wins over SVG."""
    url = (element.get(_EMBEDDED[element.tag]) or "").strip()
    kind = (element.get("type") or "").strip().lower()
    if not (kind.startswith("image/") if kind else is_image_address(url)):
        return []
    if ("svg" in kind or is_unreadable(url)) and element.find(".//img") is not None:
        return []
    return [Candidate(url, rank=1)]


def _backgrounds(element: Element) -> list[Candidate]:
    found: list[Candidate] = []
    for name, value in element.items():
        use = _background_use(str(name))
        if not use or not value or len(value) > MAX_STYLE:
            continue
        if use == "itemid":
            if is_image_address(str(value)) and _describes_picture(element):
                found.append(Candidate(str(value), rank=1))
            continue
        if "(" in value and "url(" in value.lower():
            if not _TILED.search(str(value)):
                found.extend(_of_style(str(value)))
        elif name != "style" and (use == "background" or _is_empty(element)):
            attribute = attribute_of(str(name))
            attribute = attribute._replace(rank=2, source=use == "background")
            found.extend(hidden(element, attribute, str(value).strip()))
    return found[:MAX_CANDIDATES]


@lru_cache(maxsize=4096)
def _background_use(name: str) -> str:
    """Returns "style", "background", "source", "itemid" or "": what an attribute may hold."""
    if name == "itemid":
        return "itemid"
    if "style" in name:
        return "style"
    if not name.startswith("data-") or attribute_of(name).lesser:
        return ""
    if _BACKGROUND.search(name):
        return "background"
    return "source" if "src" in name else ""


def _is_empty(element: Element) -> bool:
    """Tells whether a script puts the picture in the place of an element: nothing else is in it."""
    return (
        len(element) == 0 and element.tag in _PLACES and not (element.text and element.text.strip())
    )


def _describes_picture(element: Element) -> bool:
    """Tells whether an element is a schema.org picture that only a script shows."""
    return "ImageObject" in (element.get("itemtype") or "") and not any(
        each.tag in IMAGE_TAGS for each in islice(element.iter(), MAX_DESCENDANTS)
    )


def _of_style(style: str) -> Iterator[Candidate]:
    lower = style.lower()
    if "background" not in lower and not lower.lstrip().startswith("url("):
        return
    for double, single, bare, density in _CSS_URL.findall(style):
        url = double or single or bare
        if "\\" in url:
            url = _CSS_ESCAPE.sub(_unescaped, url)
        if url and url[:5].lower() != "data:" and url[0] != "#":
            yield Candidate(url, density=float(density or 1), rank=1)


def _unescaped(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else 0
    return match[2] or (chr(code) if 0 < code < 0xD800 or 0xDFFF < code < 0x110000 else "")


def _chosen(candidates: list[Candidate], base: str) -> str:
    """Returns the canonical address of the largest candidate that is no placeholder, or ""."""
    if len(candidates) == 1:
        return _address(candidates[0], base)
    for best in sorted(candidates, key=_order, reverse=True):
        if url := _address(best, base):
            return _original(url, best, candidates, base) or url
    return ""


def _order(candidate: Candidate) -> tuple[bool, int, int, float, int, int]:
    return (
        not (candidate.lesser or is_unreadable(candidate.url)),
        candidate.width,
        candidate.screen,
        candidate.density,
        candidate.rank,
        0 if candidate.listed else pixels_in(candidate.url),
    )


def _original(url: str, best: Candidate, candidates: list[Candidate], base: str) -> str:
    """Returns a larger address of the same picture that no srcset lists: the one without a size."""
    size = best.width or pixels_in(url)
    sized = pixels_in(url) > 0  # "a-300x200.jpg" has an original, "a.webp" need not
    listed = {candidate.url for candidate in candidates if candidate.listed}
    for other in candidates:
        if size and not other.lesser and not other.listed and other.url not in listed:
            pixels = pixels_in(other.url)
            if other.url != best.url and (pixels > size or (sized and not pixels)):
                larger = _address(other, base)
                if larger and same_picture(larger, url) and (pixels or is_original(larger)):
                    url, size = larger, pixels or MAX_PIXELS
    return url


def _address(candidate: Candidate, base: str) -> str:
    url = candidate.url
    if url[:1] == "#" or url in _NOTHING or "{" in url or "<" in url or is_placeholder(url):
        return ""
    return canonical(url, base)


def declared_size(element: Element) -> tuple[int | None, int | None]:
    """Returns the declared width and height in pixels, of the attributes or else the style."""
    width, height = _pixels(element.get("width")), _pixels(element.get("height"))
    if width is None or height is None:
        style = element.get("style")
        if style and ("width" in style or "height" in style):
            sizes = dict(_STYLE_SIZE.findall(style[:MAX_STYLE].lower()))
            width = int(sizes["width"]) if width is None and "width" in sizes else width
            height = int(sizes["height"]) if height is None and "height" in sizes else height
    # Some publishing systems write 0 for a side they do not know.
    if width == 0 and height and height > MIN_SIDE:
        width = None
    elif height == 0 and width and width > MIN_SIDE:
        height = None
    return width, height


def _pixels(value: str | None) -> int | None:
    if not value:
        return None
    if value.isascii() and value.isdigit() and len(value) <= 5:
        return int(value)
    match = _PIXELS.fullmatch(value[:100])
    return int(match[1]) if match else None


def _linked(element: Element, url: str, base: str) -> str:
    """Returns the file a link around a thumbnail leads to if that is the same picture, else ""."""
    ancestor = element.getparent()
    for _ in range(MAX_LINK_DEPTH):
        if ancestor is None or ancestor.tag == "a":
            break
        ancestor = ancestor.getparent()
    href = ancestor.get("href") if ancestor is not None and ancestor.tag == "a" else None
    if not href or not is_image_address(href):
        return ""
    target = canonical(href, base)
    if not target or is_unreadable(target):
        return ""
    return target if stem(target) == stem(url) or same_picture(target, url) else ""
