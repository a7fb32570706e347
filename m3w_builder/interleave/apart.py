"""What the walk does not enter: blocks set apart from the content by their tag, by being hidden, or by a name.

Of the words of 779 pages' contents they hold less than 0.5 %, of their elements more than 40 %.
"""

import re
from itertools import islice

from lxml import etree

from m3w_builder import text
from m3w_builder.interleave.hints import BIT, reason

Element = etree._Element

MAX_SEARCHES = 20  # of one element in boxes within boxes: the walk stays linear
MAX_AHEAD = 20  # elements of a block before the heading that names it
MAX_LABEL = 80  # characters of a text in a menu
HIDDEN = BIT["hidden"]
_TAGS = {"nav": "nav", "menu": "nav", "footer": "footer", "aside": "aside", "dialog": "dialog"}
# What is called so is not entered either, if it holds no paragraph, no heading and no long text.
_NAMES = (
    BIT["nav"] | BIT["footer"] | BIT["aside"] | BIT["share"] | BIT["related"] | BIT["ads"]
    | BIT["cookie"] | BIT["form"] | BIT["dialog"]
)  # fmt: skip
SUSPECT = HIDDEN | _NAMES  # marks of a block that may be set apart
_QUOTING = BIT["blockquote"] | BIT["figure"]  # their footers name the source
_INSIDE = BIT["article"] | BIT["main"] | BIT["body"]  # an aside in it may be a note
_TELLING = ("p", "h1", "main", "article", "pre", "blockquote", "table", "dl", "video", "figure")
_HEADINGS = ("h1", "h2", "h3", "h4")
_WORD = re.compile(r"[^\W_]+")


def why(element: Element, own: int, around: int, searches: int) -> str:
    """Returns why a block is not entered, "" if it is.

    `own` and `around` are its marks and those of the boxes around it, `searches` is how many of those
    were looked through for words.
    """
    if own & HIDDEN:
        return "hidden"
    if element.tag in _TAGS:
        note = element.tag == "aside" and (around & _INSIDE or not own & BIT["aside"])
        return "" if note or around & _QUOTING else _TAGS[element.tag]
    if searches < MAX_SEARCHES and not around & _QUOTING and is_wordless(element):
        return reason(own & _NAMES)
    return ""


def is_wordless(element: Element) -> bool:
    """Tells whether an element holds labels only: no paragraph, no heading, no long text."""
    if next(element.iter(*_TELLING), None) is not None:
        return False
    return max(map(len, element.itertext()), default=0) <= MAX_LABEL


def is_decoration(element: Element, attributes: dict[str, str]) -> bool:
    """Tells whether an element is hidden from screen readers and shows no picture: an icon, a twin.

    Themes hide the pictures of a blog's posts from screen readers, since their links repeat the title.
    """
    if attributes.get("aria-hidden") != "true":
        return False
    return next(element.iter("img", "picture", "video", "amp-img", "iframe"), None) is None


def is_slug(key: str, element: Element) -> bool:
    """Tells whether an id is made of the words of the first heading inside: it says nothing of the block."""
    of_key = _WORD.findall(key.casefold())
    if len(of_key) < 2:  # id="comments" may be just that
        return False
    first = islice(element.iter(), MAX_AHEAD)
    heading = next((inner for inner in first if inner.tag in _HEADINGS), None)
    return (
        heading is not None
        and of_key == _WORD.findall(text.inline(heading).casefold())[: len(of_key)]
    )
