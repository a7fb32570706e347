"""One walk over a page: its text blocks, images and videos in DOM order, and the boxes around them.

An `Item` is an inline run or a picture; a `Box` is a block-level element. What lies in a box is
the slice `items[box.start:box.end]`: a question about a subtree is a slice, not a second walk.
"""

import re
from dataclasses import dataclass, field

from lxml import etree

from m3w_builder import images, text, video
from m3w_builder.errors import PageError
from m3w_builder.interleave.hints import hint, is_unseen, read
from m3w_builder.text import word_set
from m3w_builder.types import Image, Role, Video

Element = etree._Element

_SKIPPED = word_set(
    "head script style template svg canvas map audio select option textarea datalist link meta title"
    " input param track area col colgroup object-fit frameset noframes rt rp dialog"
)
_BLOCKS = word_set(
    "html body div p section article main header footer nav aside h1 h2 h3 h4 h5 h6 ul ol li dl dt dd"
    " menu dir table caption thead tbody tfoot tr td th blockquote q-block pre listing xmp figure"
    " figcaption form fieldset legend details summary address hr center noscript button hgroup search"
)
_ROLES: dict[str, Role] = {
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "heading"),
    **dict.fromkeys(("li", "dt", "dd"), "list_item"),
    **dict.fromkeys(("pre", "listing", "xmp"), "code"),
    **dict.fromkeys(("figcaption", "caption"), "caption"),
    "blockquote": "quote",
}
_STICKY = frozenset(("caption", "code", "table"))  # what is inside keeps the role
_STRUCTURE = (
    "table",
    "ul",
    "ol",
    "dl",
    "h1",
    "h2",
    "h3",
    "h4",
    "pre",
    "blockquote",
    "section",
    "article",
    "form",
)
_VIDEO_TAGS = word_set(
    "video amp-video iframe amp-iframe embed object amp-youtube amp-vimeo lite-youtube"
)
_TEXT_IMAGE = re.compile(r"emoji|smil(?:ey|ie)|latex|\bmath|\btex\b|mwe-math", re.I)
_ICON_SIDE = (
    32  # declared pixels: smaller than this both ways, an image in a line of text is a glyph
)
_MUTE = frozenset(("noscript", "button"))  # their pictures count, their words do not
MAX_IMAGES = 10_000  # of one page
MAX_ELEMENTS = 300_000  # of one page; 10 MB of HTML has about 100,000
MAX_CELL = 300  # characters: a table with a longer cell lays out the page


@dataclass(slots=True)
class Box:
    """A block-level element; `hint` is why it looks like boilerplate, "" if it does not."""

    element: Element
    tag: str
    parent: int  # index of the box around it, -1 for the root
    role: Role
    hint: str
    figure: bool  # wraps a picture with its caption
    start: int
    end: int = 0
    children: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Item:
    """A text block or a picture; `linked` characters of it lead elsewhere."""

    box: int
    element: Element
    role: Role = "paragraph"
    text: str = ""
    media: Image | Video | None = None
    linked: int = 0
    links: int = 0
    weight: int = 0  # of the text: see weigh


class Walk:
    """The walk of one page: `items` in DOM order and `boxes` in the order they open."""

    def __init__(self, root: Element, base: str) -> None:
        self.items: list[Item] = []
        self.boxes: list[Box] = []
        self._base = base
        self._box = -1  # index of the innermost open box
        self._run: list[str] = []  # pieces of the current inline run
        self._linked = self._links = self._link = self._breaks = 0
        self._mute = self._count = self._images = 0
        self._walk(root)

    def _walk(self, root: Element) -> None:
        # A str is text to add, an int the box to go back to, None the end of a link.
        stack: list[Element | str | int | None] = [root]
        while stack:
            top = stack.pop()
            if isinstance(top, str):
                self._text(top)
            elif top is None:
                self._link -= 1
            elif isinstance(top, int):
                self._close(top)
            elif isinstance(top.tag, str):
                self._count += 1
                if self._count > MAX_ELEMENTS:
                    raise PageError("too_many_elements", f"at most {MAX_ELEMENTS}")
                if top.tail and top is not root:
                    stack.append(top.tail)
                self._element(top, top.tag, stack)
            elif top.tail:
                stack.append(top.tail)
        self._flush()

    def _element(self, element: Element, tag: str, stack: list[Element | str | int | None]) -> None:
        if tag in _SKIPPED:
            return
        if tag in _BLOCKS:
            self._open(element, tag)
            stack.append(self._box)
        elif tag == "br":
            self._break()
            return
        elif tag in images.IMAGE_TAGS:
            self._image(element)
            return
        elif tag in _VIDEO_TAGS and self._video(element):
            return
        elif tag == "math":
            self._text(" " + _formula(element) + " ")
            return
        elif is_unseen(element, element.keys()):
            return
        elif tag == "a" and _leads_away(element.get("href") or "#"):
            self._link += 1
            self._links += 1
            stack.append(None)
        stack.extend(reversed(element))
        if element.text:
            self._text(element.text)

    def _text(self, piece: str) -> None:
        if self._mute:
            return
        self._run.append(piece)
        if not piece.isspace():
            self._breaks = 0
            if self._link:
                self._linked += len(piece.strip())

    def _break(self) -> None:
        """A line break; two in a row end the paragraph."""
        self._breaks += 1
        if self._breaks == 2 and self._role() not in _STICKY:
            self._flush()
        else:
            self._run.append(text.BREAK)

    def _role(self) -> Role:
        return self.boxes[self._box].role if self._box >= 0 else "paragraph"

    def _boundary(self, tag: str, opening: bool) -> None:
        """The edge of a block: ends the run, except inside code and tables, which are one text."""
        role = self._role()
        if role == "table" and tag not in ("table", "caption"):
            cell = "\x1f" if tag in ("td", "th") else text.BREAK if tag == "tr" else " "
            self._run.append(" " if opening and tag != "tr" else cell)
        elif role == "code" and tag not in ("pre", "listing", "xmp"):
            if self._run and not self._run[-1].endswith("\n"):
                self._run.append("\n")
        else:
            self._flush()

    def _open(self, element: Element, tag: str) -> None:
        self._boundary(tag, opening=True)
        role = self._role()
        names = element.keys()
        traits = read(element, names)
        why = hint(element, tag, names, traits)
        in_figure = self._box >= 0 and self.boxes[self._box].figure
        figure = tag == "figure" or traits.figure
        if role not in _STICKY or tag in ("pre", "caption"):
            role = _ROLES.get(tag, role)
            if tag == "table" and is_data_table(element):
                role = "table"
            elif traits.caption or (in_figure and traits.label):
                role = "caption"
        box = Box(
            element,
            tag,
            self._box,
            role,
            why,
            figure or (in_figure and tag == "div"),
            len(self.items),
        )
        if self._box >= 0:
            self.boxes[self._box].children.append(len(self.boxes))
        self._box = len(self.boxes)
        self.boxes.append(box)
        self._mute += tag in _MUTE

    def _close(self, index: int) -> None:
        box = self.boxes[index]
        self._boundary(box.tag, opening=False)
        if box.tag in ("table", "pre", "listing", "xmp"):
            self._flush()
        box.end = len(self.items)
        self._box = box.parent
        self._mute -= box.tag in _MUTE

    def _flush(self) -> None:
        """Ends the inline run: it becomes a text item if it has any characters."""
        self._breaks = 0
        if not self._run:
            self._linked = self._links = 0
            return
        raw, linked, links = "".join(self._run), self._linked, self._links
        self._run.clear()
        self._linked = self._links = 0
        if raw.isspace() or self._box < 0:
            return
        box = self.boxes[self._box]
        shown = _CLEAN.get(box.role, text.clean)(raw)
        if shown:
            item = Item(self._box, box.element, box.role, shown, None, linked, links, weigh(shown))
            self.items.append(item)

    def _image(self, element: Element) -> None:
        alt = element.get("alt") or ""
        if alt and len(alt) < 1000 and _TEXT_IMAGE.search(element.get("class") or ""):
            self._text(alt)
            return
        image = images.read(element, self._base)
        if image is None or is_unseen(element, element.keys()):
            return
        self._images += 1
        if self._images > MAX_IMAGES:
            raise PageError("too_many_images", f"at most {MAX_IMAGES}")
        if self._run and max(image.width or 999, image.height or 999) <= _ICON_SIDE:
            return
        self._media(element, image)

    def _video(self, element: Element) -> bool:
        found = video.read(element, self._base)
        if found is None and element.tag == "object":
            return False  # its children are the fallback
        if found is not None:
            self._media(element, found)
        return True

    def _media(self, element: Element, media: Image | Video) -> None:
        links = int(self._link > 0)
        self._flush()
        if self._box >= 0:
            self.items.append(Item(self._box, element, self._role(), "", media, 0, links))


def weigh(shown: str) -> int:
    """Returns about how much a text says, in Latin letters: an ideograph counts two."""
    return (
        len(shown) if shown.isascii() else (len(shown) + len(shown.encode("utf-8", "replace"))) // 2
    )


def _leads_away(href: str) -> bool:
    """Tells whether a link goes to another page: not within this one, not to a picture."""
    return not href.startswith("#") and not images.is_image_address(href)


def is_data_table(table: Element) -> bool:
    """Tells whether a table holds data and does not lay out the page."""
    if table.get("role") in ("presentation", "none"):
        return False
    if next(table.iterdescendants(*_STRUCTURE), None) is not None:
        return False
    rows = [
        [cell for cell in row if cell.tag in ("td", "th")] for row in table.iterdescendants("tr")
    ]
    if len(rows) < 2 or max(map(len, rows)) < 2:
        return False
    return all(_plain_cell(cell) for row in rows for cell in row)


def _plain_cell(cell: Element) -> bool:
    return sum(map(len, cell.itertext())) <= MAX_CELL and len(cell.findall("p")) < 3


def _table(raw: str) -> str:
    """Returns the rows of a table, one per line, cells joined by " | "."""
    rows = []
    for line in raw.split(text.BREAK):
        cells = [text.clean(cell) for cell in line.split("\x1f")]
        while cells and not cells[-1]:
            cells.pop()
        rows.append(" | ".join(cells))
    return "\n".join(row for row in rows if row.strip(" |"))


_CLEAN = {"code": text.clean_code, "table": _table}


def _formula(element: Element) -> str:
    """Returns a formula as text: its TeX where the page has it, else its symbols."""
    for annotation in element.iter("annotation"):
        if annotation.text and "tex" in (annotation.get("encoding") or ""):
            return annotation.text
    return element.get("alttext") or " ".join(str(piece) for piece in element.itertext())
