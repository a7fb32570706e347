"""Other extractors from PyPI, each run the way it does best at interleaved documents.

    pip install trafilatura readability-lxml resiliparse 'newspaper4k[ja,th,zh,nlp]'

They are imported when first run; none of them is needed by the product or its tests. `run` is the
peer's own work, from bytes to what it returns, and the only thing that is timed; turning that into
the scorers' rows is ours and free. Where a peer has no notion of bytes it decodes with its own tool.

`trafilatura` runs with its defaults and images on, as XML; -precision, -recall and -fast are its own
settings of these names. It is not told the page's address, so that its addresses stay the page's own
and <base> counts, and where it gives a whole srcset for an address we read the first of it. Its "text"
is its plain text under the same setting, which is what it is tuned for (comments off in both).
`readability` is its summary, pictures where they stand in it; `resiliparse` has text only. `newspaper`
is its article HTML, not its list of pictures, which has no places and names every picture of the page.
Two limits stand beside them: `everything` is all visible text and every <img> of a page, what recall
alone buys; `lxml` parses and does nothing else, the speed that nothing built on it exceeds.
"""

import logging
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from lxml import etree

from m3w_builder.types import Page

Row = dict[str, Any]

INLINE = (
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark nobr q s samp "
    "small span strike strong sub sup time tt u var wbr hi ref"  # the last two are trafilatura's
)
SRCSET = re.compile(r"^\s*(\S+)\s+[\d.]+[wx]\b.*", re.DOTALL)  # its first address
INLINE_TAGS = frozenset(INLINE.split())
UNSEEN_TAGS = frozenset(("head", "script", "style", "noscript", "template"))


@dataclass(frozen=True)
class Peer:
    """One extractor."""

    package: str  # as pip knows it
    module: str  # as Python knows it
    run: Callable[[Page], Any]
    rows: Callable[[Any], list[Row]] | None  # None: it is there for its speed
    text: Callable[[Page], str] | None = None  # where that is another call; else that of the rows

    @property
    def missing(self) -> str:
        """One line that says what to install, "" if it is there."""
        there = find_spec(self.module) is not None
        return "" if there else f"{self.module} is not installed: pip install {self.package}"

    def predict(self, page: Page, found: Any) -> Row:
        """Returns "nodes" and "text" of what `run` returned for a page."""
        if self.rows is None:
            return {"nodes": [], "text": ""}
        nodes = self.rows(found)
        words = "\n".join(node["text"] for node in nodes if node["type"] == "text")
        return {"nodes": nodes, "text": self.text(page) if self.text else words}


def tree_rows(roots: Iterable[etree._Element]) -> list[Row]:
    """Returns the blocks of text and the pictures of trees (HTML or trafilatura's), in order."""
    rows: list[Row] = []
    words: list[str] = []

    def flush() -> None:
        text = " ".join("".join(words).split())
        words.clear()
        if text:
            rows.append({"type": "text", "text": text})

    for root in roots:
        walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
        for event, element in walk:
            tag = element.tag
            if event == "start":
                if _unseen(element):
                    walk.skip_subtree()
                    continue
                if tag not in INLINE_TAGS:
                    flush()
                if tag in ("img", "graphic") and element.get("src"):
                    rows.append({"type": "image", "src": element.get("src")})
                words.append(element.text or "")
            else:
                if event == "end" and tag not in INLINE_TAGS and not _unseen(element):
                    flush()
                words.append((element.tail or "") if element is not root else "")
        flush()
    return rows


def _unseen(element: etree._Element) -> bool:
    style = (element.get("style") or "").replace(" ", "").lower()
    return (
        element.tag in UNSEEN_TAGS or element.get("hidden") is not None or "display:none" in style
    )


def html_rows(markup: str) -> list[Row]:
    """Returns the rows of a piece of HTML."""
    return tree_rows([etree.fromstring(markup, etree.HTMLParser())]) if markup.strip() else []


def line_rows(text: str) -> list[Row]:
    """Returns the rows of plain text, one per line."""
    return [{"type": "text", "text": line} for line in map(str.strip, text.splitlines()) if line]


def trafilatura(page: Page, **settings: Any) -> str:
    """Returns trafilatura's XML."""
    extract = import_module("trafilatura").extract
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    settings = {"output_format": "xml", "include_images": True, **settings}
    return str(extract(page.html, include_comments=False, **settings) or "")


def trafilatura_rows(xml: str) -> list[Row]:
    """Returns the rows of trafilatura's XML."""
    parser = etree.XMLParser(recover=True, huge_tree=True)
    rows = tree_rows(etree.fromstring(xml.encode(), parser).iter("main")) if xml else []
    for row in rows:
        if row["type"] == "image":
            row["src"] = SRCSET.sub(r"\1", row["src"])
    return rows


def readability(page: Page) -> str:
    """Returns readability's summary, as HTML."""
    library = import_module("readability.readability")
    logging.getLogger("readability").setLevel(logging.CRITICAL)
    try:
        return str(library.Document(page.html).summary(html_partial=True))
    except (library.Unparseable, etree.LxmlError):
        return ""  # an empty page


def resiliparse(page: Page) -> str:
    """Returns resiliparse's main content, as plain text."""
    text, encoding, html = (
        import_module(f"resiliparse.{name}")
        for name in ("extract.html2text", "parse.encoding", "parse.html")
    )
    tree = html.HTMLTree.parse_from_bytes(page.html, encoding.detect_encoding(page.html))
    settings = {"main_content": True, "alt_texts": False, "list_bullets": False}
    return str(text.extract_plain_text(tree, preserve_formatting=True, **settings))


def newspaper(page: Page) -> str:
    """Returns newspaper's article, as HTML; nothing is downloaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nltk is not there
        library = import_module("newspaper")
    logging.getLogger("newspaper").setLevel(logging.CRITICAL)
    article = library.Article(page.url, fetch_images=False, clean_article_html=False)
    try:
        article.download(input_html=page.html).parse()
    except (ValueError, ImportError, LookupError, library.ArticleException):
        return ""  # control characters; no library or data for the language; an empty page
    return str(article.article_html)


def lxml(page: Page) -> etree._Element | None:
    """Returns the tree: UTF-8 where the bytes are, else in the encoding that the page declares."""
    try:
        page.html.decode("utf-8")
        parser = etree.HTMLParser(encoding="utf-8")
    except UnicodeDecodeError:
        parser = etree.HTMLParser()
    return etree.fromstring(page.html, parser) if page.html.strip() else None


def _trafilatura(**settings: Any) -> Peer:
    plain = partial(trafilatura, output_format="txt", include_images=False, **settings)
    run = partial(trafilatura, **settings)
    return Peer("trafilatura", "trafilatura", run, trafilatura_rows, plain)


PEERS = {
    "trafilatura": _trafilatura(),
    "trafilatura-precision": _trafilatura(favor_precision=True),
    "trafilatura-recall": _trafilatura(favor_recall=True),
    "trafilatura-fast": _trafilatura(fast=True),
    "readability": Peer("readability-lxml", "readability", readability, html_rows),
    "resiliparse": Peer("resiliparse", "resiliparse", resiliparse, line_rows),
    "newspaper": Peer("'newspaper4k[ja,th,zh,nlp]'", "newspaper", newspaper, html_rows),
    "everything": Peer(
        "lxml", "lxml", lxml, lambda tree: [] if tree is None else tree_rows([tree])
    ),
    "lxml": Peer("lxml", "lxml", lxml, None),
}
