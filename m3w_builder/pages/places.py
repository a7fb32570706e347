"""Where the text of each item stands: which text nodes of the tree it was put together from.

The walk keeps an item's words, not their nodes. They are found again by what they say: both run in document order, so
that comparing letters is enough, and pictures, which know their elements, set what has slipped right again.
"""

import re
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field

from lxml import etree

from m3w_builder.interleave import ParsedPage
from m3w_builder.text import word_set

Element = etree._Element
Slot = tuple[Element, str]  # an element and "text" or "tail"

_NO_LETTER = re.compile(r"[\W_]+")
_CLOSED = word_set("head script style template svg canvas select textarea audio map title")
_MUTE = ("noscript", "button")  # only their pictures are items
_AHEAD = 8  # items of one block that are tried for a text


@dataclass
class Places:
    """The places of the items of one page."""

    slots: dict[int, list[Slot]] = field(default_factory=lambda: defaultdict(list))
    spans: dict[Element, tuple[int, int]] = field(default_factory=dict)  # first, last item inside
    before: dict[Element, int] = field(default_factory=dict)  # block not entered -> item after it


def find(parsed: ParsedPage) -> Places:
    """Returns where the items of a page stand."""
    return _Finder(parsed).places


class _Finder:
    def __init__(self, parsed: ParsedPage) -> None:
        walk = parsed.walk
        self.places = Places()
        self._letters = [_letters(item.text) for item in walk.items]
        self._box_of = {box.element: index for index, box in enumerate(walk.boxes)}
        self._of_box: dict[int, list[int]] = defaultdict(list)  # box -> its texts
        self._texts = [index for index, item in enumerate(walk.items) if item.text]
        media: dict[Element, list[int]] = defaultdict(list)
        for index, item in enumerate(walk.items):
            if item.text:
                self._of_box[item.box].append(index)
            else:
                media[item.element].append(index)
        self._media = media
        self._items = walk.items
        self._skipped = {element for element, _ in walk.skipped}
        self._current = -1  # the item that the last text belongs to, or the last picture
        self._rest = ""  # letters of it that are still to come
        self._walk(parsed.root)

    def _walk(self, root: Element) -> None:
        spans = self.places.spans
        boxes = [-1]  # around the current element
        mute = 0
        walker = etree.iterwalk(root, events=("start", "end"))
        for event, element in walker:
            box = self._box_of.get(element)
            if event == "start":
                if box is not None:
                    boxes.append(box)
                for index in self._media.get(element, ()):
                    self._widen(element, index)
                    if index > self._current:
                        self._current, self._rest = index, ""
                if element in self._skipped or element.tag in _CLOSED:
                    if element in self._skipped:
                        self.places.before[element] = self._current + 1
                    walker.skip_subtree()
                    continue
                mute += element.tag in _MUTE
                if element.text and not mute:
                    self._place(element, "text", boxes[-1])
            else:
                if box is not None:
                    boxes.pop()
                mute -= element.tag in _MUTE and element not in self._skipped
                parent = element.getparent()
                if parent is None:
                    continue
                if element in spans:
                    for index in spans[element]:
                        self._widen(parent, index)
                if element.tail and not mute:
                    self._place(element, "tail", boxes[-1])

    def _widen(self, element: Element, index: int) -> None:
        low, high = self.places.spans.get(element, (index, index))
        self.places.spans[element] = (min(low, index), max(high, index))

    def _place(self, element: Element, where: str, box: int) -> None:
        raw = element.text if where == "text" else element.tail
        letters = _letters(raw or "")
        if letters and self._belongs(letters, box):
            self.places.slots[self._current].append((element, where))
            holder = element if where == "text" else element.getparent()
            if holder is not None:
                self._widen(holder, self._current)

    def _belongs(self, letters: str, box: int) -> bool:
        """Finds the item that a text is the next piece of, and makes it the current one."""
        if self._rest.startswith(letters):
            self._rest = self._rest[len(letters) :]
            return True
        here = self._of_box.get(box, [])
        first = bisect_right(here, self._current)
        following = bisect_right(self._texts, self._current)
        for index in (*self._texts[following : following + 1], *here[first : first + _AHEAD]):
            if self._letters[index].startswith(letters):
                self._current, self._rest = index, self._letters[index][len(letters) :]
                return True
        if self._current >= 0 and self._items[self._current].box == box:
            whole = self._letters[self._current]
            if whole.startswith(letters):  # what was taken for its beginning was not shown
                self.places.slots[self._current].clear()
                self._rest = whole[len(letters) :]
                return True
            at = self._rest.find(letters)
            if at >= 0:  # after what has no text node: a formula, a picture of a letter
                self._rest = self._rest[at + len(letters) :]
                return True
        return False


def _letters(text: str) -> str:
    return _NO_LETTER.sub("", text)
