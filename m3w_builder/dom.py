"""Bytes of a page to an lxml tree, with guards in front of what makes a parser stall.

lxml parses every page; it silently loses text below deep nesting and on a few damaged pages, so
`parse` counts tags before and after, and re-parses such a page as HTML5 or rejects it.
"""

import codecs
import logging
import re
import warnings
from collections import Counter
from email.message import Message

import html5lib
import webencodings
from bs4.dammit import EncodingDetector, UnicodeDammit
from html5lib.constants import DataLossWarning
from lxml import etree

from m3w_builder.errors import PageError
from m3w_builder.text import word_set

Element = etree._Element

# A crawl is full of badly encoded pages: a line on stderr for each would drown everything else.
logging.getLogger("bs4.dammit").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", category=DataLossWarning)

MAX_ATTRIBUTES = 1_000  # on one tag: lxml is quadratic in them
MAX_DEPTH = 2_000  # open elements; a real page has 20 to 60
MAX_PATHS = 2**24  # characters of all DOM paths of a page; a real one has up to a million
MAX_REPARSE = 2 * 2**20  # characters: html5lib reads 5 MB/s
MIN_TAGS_KEPT = 0.5  # a tree with fewer of the page's tags or of its words is suspect

# The WHATWG standard names these encodings by their subset; browsers decode the superset.
_SUPERSETS = {
    "shift_jis": "cp932",
    "gbk": "gb18030",
    "euc-kr": "cp949",
    "big5": "big5hkscs",
    "replacement": "utf-8",
    "x-user-defined": "windows-1252",
    "iso-8859-8-i": "iso-8859-8",
    "x-mac-cyrillic": "mac-cyrillic",
    "macintosh": "mac-roman",
    "windows-874": "cp874",
    "utf-16le": "utf-8",  # a label that can be read as ASCII is not UTF-16
    "utf-16be": "utf-8",
}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BINARY = (
    b"%PDF",
    b"\x1f\x8b",
    b"PK\x03\x04",
    b"\x89PNG",
    b"GIF8",
    b"\xff\xd8\xff",
    b"RIFF",
    b"{",
    b"[",
)
_UNDECLARED = ("gb18030", "cp932", "euc_jp", "big5hkscs", "cp949")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ufffe\uffff]")
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)[^>]*>")
_ATTRIBUTE = re.compile(r"""[^\s=>"'/]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'>]+))?""")
_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|template|svg|noscript|iframe|textarea|title)\b.*?(?:</\1|\Z)"
    r"|<[/!?a-zA-Z][^<>]*>?",
    re.S | re.I,
)
_LONG_TAG = 20_000  # characters: shorter ones cannot hold enough attributes to hurt
_VOID = word_set("area base br col embed hr img input link meta param source track wbr")
_METADATA = word_set(
    "base basefont bgsound link meta noframes noscript script style template title"
)
_CLOSES_ITSELF = word_set("p li dt dd tr td th option optgroup thead tbody tfoot")


def decode(html: bytes, content_type: str = "") -> str:
    """Returns the page's text: by BOM, valid UTF-8, the declared charset if it fits, or detection.

    Raises PageError page_empty or not_html (binary data, JSON).
    """
    if not html.strip(b" \t\r\n\0"):
        raise PageError("page_empty", f"{len(html)} bytes")
    for bom, encoding in _BOMS:
        if html.startswith(bom):
            return html[len(bom) :].decode(encoding, "replace")
    if html.lstrip()[:8].startswith(_BINARY):
        raise PageError("not_html", f"starts with {html.lstrip()[:8]!r}")
    if wide := _wide(html[:4096]):
        return html.decode(wide, "replace")
    declared = [*_declared(html, content_type)]
    if html.isascii():
        encoding = "iso2022_jp" if "iso-2022-jp" in declared or b"\x1b$B" in html else "ascii"
        return html.decode(encoding, "replace")
    text = _first_fitting(html, declared)
    if len(_CONTROLS.findall(text[:4096])) > 0.05 * len(text[:4096]):
        raise PageError("not_html", "control characters: binary data")
    return text


def _wide(head: bytes) -> str:
    """Returns utf-16-be or utf-16-le when every second byte of the markup is NUL, else ""."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    half = len(head) / 2
    if even > 0.3 * half and odd < 0.1 * half:
        return "utf-16-be"
    return "utf-16-le" if odd > 0.3 * half and even < 0.1 * half else ""


def _declared(html: bytes, content_type: str) -> list[str]:
    """Returns the standard names of the encodings that the HTTP header and the page declare."""
    message = Message()
    message["content-type"] = content_type
    labels = (
        message.get_param("charset") if content_type else None,
        EncodingDetector.find_declared_encoding(html[:4096], is_html=True),
    )
    found = (webencodings.lookup(label) for label in labels if isinstance(label, str))
    return [encoding.name for encoding in found if encoding]


def _first_fitting(html: bytes, declared: list[str]) -> str:
    """Returns the text in the first encoding that fits the bytes; a wrong declaration does not."""
    try:
        return html.decode("utf-8")  # other encodings' text is practically never valid UTF-8
    except UnicodeDecodeError:
        text = html.decode("utf-8", "replace")
    wrong = text.count("\ufffd") - text.endswith("\ufffd")  # the end may be cut in a character
    right = sum(map(len, re.findall("[^\x00-\x7f\ufffd]+", text)))
    if wrong <= 0.02 * right + ("utf-8" in declared):
        return text  # UTF-8 with a few damaged bytes
    for name in declared:
        encoding = _SUPERSETS.get(name, name)
        text = html.decode(encoding, "replace")
        if text.count("\ufffd") <= 0.001 * len(text) and _plausible(text, encoding):
            return text
    return _detected(html)


def _plausible(text: str, encoding: str) -> bool:
    """Tells whether a Western page has Western text: not most letters accented."""
    if encoding not in ("windows-1252", "iso-8859-15", "windows-1254", "utf-8"):
        return True
    text = _MARKUP.sub(" ", text[:200_000])
    high = sum(map(len, re.findall("[\x80-\u00ff]+", text)))
    return high <= 0.3 * max(1, sum(map(len, re.findall("[A-Za-z]+", text))) + high)


def _detected(html: bytes) -> str:
    """Returns the text in the encoding that its words suggest (markup taken away first)."""
    words = _MARKUP.sub(" ", html.decode("latin-1")[:200_000]).encode("latin-1")
    for encoding in _UNDECLARED:
        if _is_east_asian(words, encoding):
            return html.decode(encoding, "replace")
    guess = UnicodeDammit(words, is_html=True).original_encoding or "windows-1252"
    if guess in ("utf-8", "ascii", "iso-8859-1"):
        guess = "windows-1252"
    return html.decode(guess, "replace")


def _is_east_asian(words: bytes, encoding: str) -> bool:
    """Tells whether the bytes are common characters of a multi-byte encoding and nothing else."""
    try:
        text = words[: len(words) - len(words) % 2].decode(encoding)
    except UnicodeDecodeError:
        return False
    high = re.findall("[^\x00-\x7f]", text)
    pattern = _COMMON[encoding]
    return (
        len(high) > 5
        and len(re.findall(pattern, text)) > 0.9 * len(high)
        and _frequent(text, encoding)
    )


_KANA, _HAN, _HANGUL = "\u3040-\u30ff", "\u4e00-\u9fff", "\uac00-\ud7a3"
_MARKS = "\u3000-\u303f\uff00-\uff60\u2010-\u2030·×÷°"
_COMMON = {
    "gb18030": f"[{_HAN}{_MARKS}]",
    "big5hkscs": f"[{_HAN}{_MARKS}]",
    "cp932": f"[{_KANA}{_HAN}{_MARKS}]",
    "euc_jp": f"[{_KANA}{_HAN}{_MARKS}]",
    "cp949": f"[{_HANGUL}{_MARKS}]",
}
_FREQUENT = {
    "gb18030": ("[的是一了在有和不人这中大为上个国我以要他时来用们生到作地于出]", 0.05),
    "big5hkscs": ("[的是一了在有和不人這中大為上個國我以要他時來用們生到作地於出]", 0.05),
    "cp932": (f"[{_KANA}]", 0.2),
    "euc_jp": (f"[{_KANA}]", 0.2),
    "cp949": ("[이다는의에을를가하고은지로기한도]", 0.1),
}


def _frequent(text: str, encoding: str) -> bool:
    """Tells whether the language's most frequent characters are there."""
    pattern, share = _FREQUENT[encoding]
    return len(re.findall(pattern, text)) >= share * len(re.findall("[^\x00-\x7f]", text))


def parse(text: str) -> Element:
    """Returns the html element of a page.

    Raises PageError: too_many_attributes, nesting_too_deep, page_damaged, not_html.
    """
    text = text.replace("\0", "")  # other control characters go when text is cleaned
    _guard_attributes(text)
    root = _lxml(text)
    tags = text.count("<") - text.count("</") - text.count("<!")
    if root is not None and float(root.xpath("count(.//*)")) >= MIN_TAGS_KEPT * tags:  # type: ignore[arg-type]
        return root
    return _second_opinion(text, root)


def _lxml(text: str) -> Element | None:
    parser = etree.HTMLParser(
        encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(text.encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError:
        return None
    if root is None or root.tag != "html":
        return None
    _empty_head(root)
    return root


def _empty_head(root: Element) -> None:
    """Moves content out of the head: where <body> is left out, lxml leaves <article> and its like there."""
    head, body = root.find("head"), root.find("body")
    strays = [] if head is None else [e for e in head if e.tag not in _METADATA]
    if strays:
        body = etree.SubElement(root, "body") if body is None else body
        body[:0] = strays


def _guard_attributes(text: str) -> None:
    for piece in text.split(">"):
        if len(piece) > _LONG_TAG:
            start = piece.rfind("<")
            if start >= 0 and piece[start + 1 : start + 2].isalpha():
                count = sum(1 for _ in _ATTRIBUTE.finditer(piece, start + 1)) - 1
                if count > MAX_ATTRIBUTES:
                    raise PageError("too_many_attributes", f"{count}, at most {MAX_ATTRIBUTES}")


def _second_opinion(text: str, root: Element | None) -> Element:
    """Returns the tree of a page with few tags left: lxml's if it kept the words, else HTML5's."""
    expected = _words(_MARKUP.sub(" ", text))
    if root is not None:
        kept = _words(" ".join(root.xpath("//text()[not(parent::script or parent::style)]")))  # type: ignore[arg-type]
        if kept >= MIN_TAGS_KEPT * expected:
            return root
    elif not expected:
        raise PageError("not_html", "no element and no word")
    if len(text) > MAX_REPARSE:
        raise PageError(
            "page_damaged", f"{len(text)} characters, at most {MAX_REPARSE} are re-parsed"
        )
    if (depth := _depth(text)) > MAX_DEPTH:
        raise PageError("nesting_too_deep", f"{depth} open elements, at most {MAX_DEPTH}")
    return _html5(text)


def _words(text: str) -> int:
    return sum(map(len, text.split()))


def _depth(text: str) -> int:
    """Returns about how deep tags nest: open ones less closed ones, where a close is required."""
    depth = deepest = 0
    for match in _TAG.finditer(text):
        name = match[2].lower()
        if name in _VOID or name in _CLOSES_ITSELF:
            continue
        depth = max(0, depth - 1) if match[1] else depth + 1
        deepest = max(deepest, depth)
    return deepest


def _html5(text: str) -> Element:
    text = _CONTROLS.sub("", text)  # lxml's own parser takes them, its tree builder does not
    try:
        tree = html5lib.parse(text, treebuilder="lxml", namespaceHTMLElements=False)
    except ValueError as error:  # a control character as a reference, "&#1;"
        raise PageError("page_damaged", str(error)[:200]) from error
    root: Element = tree.getroot()
    etree.strip_elements(root, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    return root


class Paths:
    """DOM paths of elements, "/html/body/main/p[2]"; linear in the page (lxml's getpath is not)."""

    def __init__(self) -> None:
        self._known: dict[Element, str] = {}
        self._spent = 0

    def of(self, element: Element) -> str:
        """Returns the path; steps of all siblings are numbered at once."""
        missing = [element]
        while missing[-1] not in self._known:
            parent = missing[-1].getparent()
            if parent is None:
                self._known[missing[-1]] = f"/{missing[-1].tag}"
            else:
                missing.append(parent)
        missing.pop()
        while missing:
            child = missing.pop()
            if child not in self._known:
                self._number(child.getparent())
        path = self._known[element]
        self._spend(path)
        return path

    def _spend(self, path: str) -> None:
        """Bounds what a page that is both deep and full would take: every node carries its path."""
        self._spent += len(path)
        if self._spent > MAX_PATHS:
            raise PageError("nesting_too_deep", f"DOM paths of more than {MAX_PATHS} characters")

    def _number(self, parent: Element | None) -> None:
        assert parent is not None
        children = [child for child in parent if isinstance(child.tag, str)]
        total, seen = Counter(child.tag for child in children), Counter[str]()
        for child in children:
            seen[child.tag] += 1
            step = f"{child.tag}[{seen[child.tag]}]" if total[child.tag] > 1 else child.tag
            self._known[child] = path = f"{self._known[parent]}/{step}"
            self._spend(path)
