"""A page's text to an lxml tree, with guards in front of what makes a parser stall.

lxml parses every page. It is 20 times as fast as an HTML5 parser in Python and nearly always right; where it is wrong
its tree shows it, and such a page is mended here or parsed again as HTML5.
"""

import re
import warnings
from itertools import islice

import html5lib
from html5lib.constants import DataLossWarning
from lxml import etree

from m3w_builder.dom.encoding import MARKUP
from m3w_builder.errors import PageError
from m3w_builder.text import word_set

Element = etree._Element

warnings.filterwarnings("ignore", category=DataLossWarning)  # "<o:p>" has no name in XML

MAX_ATTRIBUTES = 1_000  # on one tag: lxml is quadratic in them
MAX_DEPTH = 2_000  # open elements; a real page has 20 to 60
MAX_REPARSE = 2 * 2**20  # bytes: html5lib reads 5 MB/s

_LONG_TAG = 5_000  # bytes: what shorter tags hold of attributes does no harm
_ATTRIBUTE = re.compile(rb"""[^\s=>"'/]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'>]+))?""")
_TAG = re.compile(rb"<(/?)([a-zA-Z][^\s/<>]*)[^<>]*>")
_NOT_XML = re.compile(  # control characters, as they are or as references
    "[\x00-\x08\x0b\x0e-\x1f\x7f\ufffe\uffff]"
    "|&#0*(?:[0-8]|1[124-9]|2[0-9]|3[01]|6553[45])(?![0-9]);?"
    "|&#x0*(?:[0-8bcef]|1[0-9a-f]|fff[ef])(?![0-9a-f]);?",
    re.IGNORECASE,
)
_EMPTY_SCRIPT = re.compile(rb"(<script\b[^<>]*)/>", re.I)
_VOID = word_set("area base br col embed hr img input link meta param source track wbr")
_METADATA = word_set(
    "base basefont bgsound link meta noframes noscript script style template title"
)
_CLOSES_ITSELF = word_set("p li dt dd tr td th option optgroup thead tbody tfoot")

# HTML Standard, 13.2.6.5: start tags that end foreign content; and the elements in it that hold HTML.
_BREAKS_OUT = word_set(
    "b big blockquote center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 hr i img li listing menu nobr ol p pre ruby "
    "s small span strong strike sub sup table tt u ul var"
)
_FOREIGN = ("svg", "math")
_HOLDS_HTML = word_set("foreignobject desc title annotation-xml mi mn mo ms mtext")
MANY_BLOCKS = 10  # in a <noscript> or <template>: those of real pages hold a picture or a few lines


def parse(text: str) -> Element:
    """Returns the html element of a page.

    Raises PageError: too_many_attributes, nesting_too_deep, page_damaged, not_html.
    """
    return build(text.replace("\0", "").encode("utf-8", "replace"))


def build(page: bytes) -> Element:
    """Returns the html element of a page in UTF-8 without NUL; raises like `parse`."""
    _guard_attributes(page)
    parser = _parser()
    root = _lxml(page, parser)
    errors = parser.error_log
    if any(e.message == "Unexpected end tag : script" for e in errors):
        # lxml takes <script/> for an empty element, and the code after it for text: HTML knows no such tag.
        opened, count = _EMPTY_SCRIPT.subn(rb"\1>", page)
        root = _lxml(opened, _parser()) if count else root
    stopped = any(e.level == etree.ErrorLevels.FATAL for e in errors)  # at 2,048 open elements
    if root is None and not MARKUP.sub(b"", page).strip():
        raise PageError("not_html", "no element and no word")
    if root is None or stopped or _swallows(root, page):
        root = _html5(page)
    return root


def _parser() -> etree.HTMLParser:
    return etree.HTMLParser(
        encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True, collect_ids=False
    )


def _lxml(page: bytes, parser: etree.HTMLParser) -> Element | None:
    try:
        root = etree.fromstring(page, parser)
    except etree.XMLSyntaxError:
        return None
    if root is None or root.tag != "html":
        return None
    _gather(root)
    return root


def _guard_attributes(page: bytes) -> None:
    """Refuses tags with very many attributes; looks only where no ">" stands for long."""
    position = _LONG_TAG // 2
    while position < len(page):
        if page.find(b">", position, position + _LONG_TAG // 2) < 0:
            start = page.rfind(b">", 0, position) + 1
            end = page.find(b">", position)
            end = len(page) if end < 0 else end
            if end - start > _LONG_TAG:
                _count_attributes(page, start, end)
            position = end
        position += _LONG_TAG // 2


def _count_attributes(page: bytes, start: int, end: int) -> None:
    tag = page.rfind(b"<", start, end)
    if tag >= 0 and page[tag + 1 : tag + 2].isalpha():
        count = sum(1 for _ in _ATTRIBUTE.finditer(page, tag + 1, end)) - 1
        if count > MAX_ATTRIBUTES:
            raise PageError("too_many_attributes", f"{count}, at most {MAX_ATTRIBUTES}")


def _swallows(root: Element, page: bytes) -> bool:
    """Tells whether what readers do not see holds what they do, since an end tag is missing."""
    full = False
    for element in root.iter(*_FOREIGN, "title", "style", "noscript", "template"):
        if element.tag in _FOREIGN:
            if _ends_in_html(element):
                return True
        elif element.tag in ("title", "style"):
            inside = next(element.iterancestors(*_FOREIGN), None) is not None
            if inside and "</" in (element.text or ""):  # markup to HTML, plain text to lxml
                return True
        elif not full:
            blocks = islice(element.iter("p", "div", "li", "span"), MANY_BLOCKS)
            full = len(list(blocks)) == MANY_BLOCKS
    return full and _lacks_end_tags(page.lower())


def _ends_in_html(foreign: Element) -> bool:
    """Tells whether <svg> or <math> goes on where HTML ends it, at the next <p> and its like."""
    last = _last(foreign)
    while last is not None:
        if last.tag in _FOREIGN:
            return any(child.tag in _BREAKS_OUT for child in last.itersiblings(preceding=True))
        if last.tag in _BREAKS_OUT or last.tag in _HOLDS_HTML:
            return last.tag in _BREAKS_OUT
        last = _last(last)
    return False


def _lacks_end_tags(page: bytes) -> bool:
    return any(
        page.count(b"<" + tag) > page.count(b"</" + tag) for tag in (b"noscript", b"template")
    )


def _html5(page: bytes) -> Element:
    """Returns the tree of the HTML Standard's parser, in lxml's manner: no comments, no namespaces.

    Raises PageError page_damaged (too long to try) or nesting_too_deep.
    """
    if len(page) > MAX_REPARSE:
        raise PageError("page_damaged", f"{len(page)} bytes, at most {MAX_REPARSE} are re-parsed")
    if (depth := _depth(page)) > MAX_DEPTH:
        raise PageError("nesting_too_deep", f"{depth} open elements, at most {MAX_DEPTH}")
    text = _NOT_XML.sub(" ", page.decode("utf-8", "replace"))
    root: Element = html5lib.parse(text, "lxml", namespaceHTMLElements=False).getroot()
    etree.strip_elements(root, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    for element in root.iter("{*}*"):
        if element.tag.startswith("{"):
            element.tag = etree.QName(element).localname.lower()
    etree.cleanup_namespaces(root)
    return root


def _depth(page: bytes) -> int:
    """Returns about how deep tags nest: open ones less closed ones, where a close is required."""
    depth = deepest = 0
    for match in _TAG.finditer(page):
        name = match[2].lower().decode("latin-1")
        if name in _VOID or name in _CLOSES_ITSELF:
            continue
        depth = max(0, depth - 1) if match[1] else depth + 1
        deepest = max(deepest, depth)
    return deepest


def _gather(root: Element) -> None:
    """Moves all content into the one body, where the HTML Standard has it.

    lxml leaves in the head what follows it where <body> is left out, beside the body what follows
    </body>, and makes a second root of what follows </html>.
    """
    head, body = (next(root.iterchildren(tag), None) for tag in ("head", "body"))
    strays = [] if head is None else [e for e in head if e.tag not in _METADATA]
    if body is None:
        if not strays and root.getnext() is None:
            return
        body = etree.SubElement(root, "body")
    body[:0] = strays
    _add_text(body, body.tail)
    body.tail = None
    _pour(list(body.itersiblings()), body)
    while (second := root.getnext()) is not None:
        etree.Element("page").append(second)  # a tree with two roots has ambiguous paths
        _pour([second], body)


def _pour(elements: list[Element], body: Element) -> None:
    """Appends elements to the body; of other heads and bodies their content, less the metadata."""
    for element in elements:
        if element.tag in ("html", "head", "body"):
            _add_text(body, element.text)
            is_head = element.tag == "head"
            _pour([e for e in element if not (is_head and e.tag in _METADATA)], body)
            _add_text(body, element.tail)
        else:
            body.append(element)


def _add_text(body: Element, text: str | None) -> None:
    if text and not text.isspace():
        last = _last(body)
        if last is not None:
            last.tail = (last.tail or "") + text
        else:
            body.text = (body.text or "") + text


def _last(element: Element) -> Element | None:
    return next(element.iterchildren(reversed=True), None)  # len() counts all children
