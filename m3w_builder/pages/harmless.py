"""A page's tree without what acts: no script, no handler, no frame, no form that sends, no redirect.

What the result shows, the page's own styles and pictures, stays. The Content-Security-Policy that `marked` adds says
the same to the browser: it holds where a browser parses some markup otherwise than lxml does.
"""

import re
from collections.abc import Container

from lxml import etree

from m3w_builder.text import word_set

Element = etree._Element

_GONE = word_set(
    "script noscript base applet param portal noembed noframes bgsound set animate animatemotion"
    " animatetransform"
)
_EMPTIED = word_set("iframe frame object embed")  # their boxes stay, what they show does not
_PLAIN = word_set("title textarea option style")  # a browser reads no element in them
_RENAMED = {"xmp": "pre", "plaintext": "pre"}  # a browser reads no reference in them
_LINKS = word_set("stylesheet icon")
_ACTS = word_set(
    "srcdoc action formaction formmethod formtarget target autofocus autoplay ping manifest http-equiv"
    " nonce integrity crossorigin is slot accesskey contextmenu attributionsrc"
)
_ADDRESSES = word_set(
    "href src data poster background cite longdesc lowsrc dynsrc codebase classid"
)
_SHOWING = word_set(  # elements whose addresses a browser shows and never goes to: data: is safe
    "img source video audio track input link image feimage body table tbody tr td th"
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?=:)", re.IGNORECASE)
_SCHEMES = word_set("http https mailto tel ftp")
_IGNORED = re.compile(r"[\x00-\x20]")  # in addresses, by browsers
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MARKUP = re.compile(r"<(?=[a-z/!?])", re.IGNORECASE)


def settable(words: str | None) -> str:
    """Returns a text without the characters that lxml reads but lets nobody write: they are no XML."""
    return _NOT_XML.sub("", words or "")


def defuse(root: Element, shown: Container[Element]) -> list[Element]:
    """Disarms a page's tree, its names that `marked` uses itself included; returns what is still to be removed.

    `shown` are the noscript elements to show: they hold a picture that was kept.
    """
    gone = []
    for element in root.iter("*"):
        tag = element.tag
        if element in shown:
            element.tag = "span"
        elif tag in _GONE or _acts(element):
            gone.append(element)
            continue
        elif tag in _EMPTIED:
            _empty(element)
        elif tag in _PLAIN:
            _flatten(element)
        elif tag == "form":
            element.set("method", "dialog")  # sent nowhere
        elif tag in _RENAMED or tag.startswith("m3w-"):
            element.tag = _RENAMED.get(tag, "span")
        for name in list(element.attrib):
            if not _is_harmless(tag, str(name).lower(), element.get(name) or ""):
                del element.attrib[name]
    return gone


def remove(element: Element) -> None:
    """Takes an element out of its tree; the text behind it stays."""
    parent = element.getparent()
    if parent is None:
        return
    if element.tail:
        previous = element.getprevious()
        if previous is not None:
            previous.tail = settable(f"{previous.tail or ''}{element.tail}")
        else:
            parent.text = settable(f"{parent.text or ''}{element.tail}")
    parent.remove(element)


def _acts(element: Element) -> bool:
    """Tells whether an element of the head loads, redirects, or tells the encoding, which is another now."""
    if element.tag == "link":
        return _LINKS.isdisjoint((element.get("rel") or "").lower().split())
    if element.tag == "style":  # hides the page until a script comes, which never does
        return "amp-boilerplate" in element.attrib or element.get("id") == "antiClickjack"
    return element.tag == "meta" and ("http-equiv" in element.attrib or "charset" in element.attrib)


def _empty(element: Element) -> None:
    if element.tag != "object":  # what stands in one is shown in its place
        for child in list(element):
            element.remove(child)
        element.text = None
    for name in ("src", "data", "type", "codebase", "classid"):
        element.attrib.pop(name, "")


def _flatten(element: Element) -> None:
    words = settable("".join(str(piece) for piece in element.itertext()))
    for child in list(element):
        element.remove(child)
    # In SVG a browser takes a style for markup; CSS reads the escape as the same character.
    element.text = _MARKUP.sub(r"\\3c ", words) if element.tag == "style" else words


def _is_harmless(tag: str, name: str, value: str) -> bool:
    if name.startswith(("on", "data-m3w")) or name in _ACTS:
        return False
    if re.split("[}:]", name)[-1] not in _ADDRESSES:  # "{http://www.w3.org/1999/xlink}href"
        return True
    scheme = _SCHEME.match(_IGNORED.sub("", value))
    if scheme is None or scheme[0].lower() in _SCHEMES:
        return True
    return tag in _SHOWING and scheme[0].lower() == "data"
