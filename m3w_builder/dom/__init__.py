"""Bytes of a page to an lxml tree, and names for its elements.

`read` is what to call. `decode` and `parse` are its two halves for those who hold the text; `read` spares valid UTF-8,
which nearly every page is, the way through `str` and back.
"""

from m3w_builder.dom.encoding import decode, to_utf8
from m3w_builder.dom.paths import Paths
from m3w_builder.dom.tree import Element, build, parse

__all__ = ["Element", "Paths", "build", "decode", "parse", "read", "to_utf8"]


def read(html: bytes, content_type: str = "") -> Element:
    """Returns the html element of a page as it came, given the Content-Type of its HTTP header.

    Raises PageError: page_empty, not_html, too_many_attributes, nesting_too_deep, page_damaged.
    """
    return build(to_utf8(html, content_type))
