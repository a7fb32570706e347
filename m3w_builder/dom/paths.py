"""DOM paths of elements, written as XPath: "/html/body/main/p[2]"."""

import re
from functools import lru_cache

from lxml import etree

from m3w_builder.errors import PageError

_NAME = re.compile(r"[A-Za-z_][\w.-]*")
MAX_PATHS = 2**24  # characters of all DOM paths of a page; a real one has up to a million


class Paths:
    """Paths of the elements of one tree without comments.

    Linear in the page, where lxml's getpath is quadratic.
    """

    def __init__(self) -> None:
        self._known: dict[etree._Element, str] = {}
        self._number: dict[etree._Element, int] = {}  # among the siblings of its tag
        self._totals: dict[etree._Element, dict[str, int]] = {}  # parent -> tag -> children
        self._spent = 0

    def of(self, element: etree._Element) -> str:
        """Returns the path; a step has a number where siblings of the same tag are.

        Raises PageError nesting_too_deep when a page that is both deep and full asks for too much.
        """
        missing = []
        step: etree._Element | None = element
        while step is not None and step not in self._known:
            missing.append(step)
            step = step.getparent()
        path = "" if step is None else self._known[step]
        for child in reversed(missing):
            path = self._known[child] = f"{path}/{self._step(child)}"
            self._spent += len(path)
        self._spent += len(path)
        if self._spent > MAX_PATHS:
            raise PageError("nesting_too_deep", f"DOM paths of more than {MAX_PATHS} characters")
        return path

    def _step(self, element: etree._Element) -> str:
        parent, tag = element.getparent(), element.tag
        if parent is None:
            return tag
        if not _is_name(tag):
            return f"*[{parent.index(element) + 1}]"
        if element.getnext() is None and element.getprevious() is None:  # len() counts all children
            return tag
        if parent not in self._totals:
            self._count(parent)
        return tag if self._totals[parent][tag] == 1 else f"{tag}[{self._number[element]}]"

    def _count(self, parent: etree._Element) -> None:
        """Numbers all children at once."""
        totals: dict[str, int] = {}
        self._totals[parent] = totals
        for child in parent:
            totals[child.tag] = self._number[child] = totals.get(child.tag, 0) + 1


@lru_cache(maxsize=4096)
def _is_name(tag: str) -> bool:
    """Tells whether XPath can name a tag: not "p:x", "b@c"."""
    return _NAME.fullmatch(tag) is not None
