"""DOM paths of elements, written as XPath: "/html/body/main/p[2]"."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from lxml import etree

from m3w_builder.errors import PageError

_NAME = re.compile(r"[A-Za-z_][\w.-]*")
MAX_PATHS = 2**24  # characters of all DOM paths of a page; a real one has up to a million


class Paths:
    """Paths of the elements of one tree; linear in the page, where lxml's getpath is quadratic."""

    def __init__(self) -> None:
        self._known: dict[etree._Element, str] = {}
        self._steps: dict[etree._Element, str] = {}
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
        if element not in self._steps:
            parent = element.getparent()
            if parent is None:
                return element.tag
            self._steps.update(_steps([*parent.iterchildren("*")]))
        return self._steps[element]


def _steps(siblings: list[etree._Element]) -> Iterator[tuple[etree._Element, str]]:
    """Yields all children of one element, each with its step."""
    tags = [sibling.tag for sibling in siblings]
    totals = Counter(tags)
    seen: Counter[str] = Counter()
    for place, (sibling, tag) in enumerate(zip(siblings, tags, strict=True), 1):
        if not _is_name(tag):
            yield sibling, f"*[{place}]"
        elif totals[tag] == 1:
            yield sibling, tag
        else:
            seen[tag] += 1
            yield sibling, f"{tag}[{seen[tag]}]"


@lru_cache(maxsize=4096)
def _is_name(tag: str) -> bool:
    """Tells whether XPath can name a tag: not "p:x", "b@c"."""
    return _NAME.fullmatch(tag) is not None
