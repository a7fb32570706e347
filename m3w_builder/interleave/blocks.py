"""One walk over a page: its text blocks, images and videos in DOM order, and the boxes around them.

An `Item` is an inline run or a picture; a `Box` is a block-level element. What lies in a box is
the slice `items[box.start:box.end]`: a question about a subtree is a slice, not a second walk.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from lxml import etree

from m3w_builder import images, text, video
from m3w_builder.errors import PageError
from m3w_builder.interleave import apart, hints, tables
from m3w_builder.text import word_set
from m3w_builder.types import Image, Role, Video

Element = etree._Element

_SKIPPED = word_set(
    "head style template svg canvas map audio select option textarea datalist link meta title"
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
_ONE_TEXT = frozenset(("code", "table"))  # roles of boxes whose blocks end no text
_CODE = frozenset(("pre", "listing", "xmp"))
_INLINE, _BLOCK, _SKIP, _BREAK, _LINK, _PICTURE, _FILM, _MATH = range(8)
_PHRASING = (_INLINE, _LINK)
# What begins with an element: one of these, or the index of a box.
_NOTHING, _A_PHRASE, _A_LINK, _A_CITE = -1, -2, -3, -4
_KINDS = {
    **dict.fromkeys(_BLOCKS, _BLOCK),
    **dict.fromkeys(_SKIPPED, _SKIP),
    **dict.fromkeys(video.VIDEO_TAGS, _FILM),
    **dict.fromkeys(images.IMAGE_TAGS, _PICTURE),
    "br": _BREAK,
    "a": _LINK,
    "math": _MATH,
    "script": _MATH,  # MathJax's, at most
}
_LETTER = re.compile(r"\w")  # a text without letter or digit is a line, an arrow, an icon
_TEXT_IMAGE = re.compile(r"emoji|smil(?:ey|ie)|latex|\bmath|\btex\b|mwe-math", re.I)
_PLAIN = word_set("class id href title target rel role itemprop lang dir align width")
_MEDIA_TAGS = frozenset(("video", "iframe", "amp-video", "amp-iframe"))  # no words inside are shown
_MUTE = frozenset(("noscript", "button"))  # their pictures count, their words do not
MAX_IMAGES = 10_000  # of one page
MAX_ELEMENTS = 300_000  # of one page; 10 MB of HTML has about 100,000
MAX_DATED = 60  # characters of a text that is about its date


@dataclass(slots=True)
class Box:
    """A block-level element that holds at least one item."""

    element: Element
    tag: str
    parent: int  # index of the box around it, -1 for the root
    depth: int
    role: Role
    own: int  # its marks: bits of hints.MARKS
    marks: int  # its own and those of the boxes around it
    figure: bool  # wraps a picture with its caption
    start: int
    end: int = 0
    searched: int = 0  # how often it was looked through for words, with the boxes around it


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
    dated: bool = False  # little more than a <time>


class Walk:
    """The walk of one page: `items` in DOM order and `boxes` in the order they open.

    With `skips`, blocks that their tag sets apart from the content (nav, footer, aside, dialog) and
    those that are not displayed are not entered (`apart`). Raises PageError too_many_elements,
    too_many_images.
    """

    def __init__(
        self, root: Element, base: str, declared: Sequence[video.Declared] = (), skips: bool = True
    ) -> None:
        self.items: list[Item] = []
        self.boxes: list[Box] = []
        self.captions: dict[int, int] = {}  # item of a caption -> item of its first picture
        self.skipped: list[tuple[Element, str]] = []  # blocks that were not entered, and why
        self.muted = 0  # characters of what is shown without scripts only, and of buttons
        self._skips = skips
        self._base = base
        self._declared = declared  # videos
        self._box = -1  # index of the innermost open box
        self._role: Role = "paragraph"  # of the innermost open box
        self._run: list[str] = []  # pieces of the current inline run
        self._linked = self._links = self._link = self._breaks = 0
        self._mute = self._images = self._dates = 0
        self._walk(root)

    def _walk(self, root: Element) -> None:
        # An element is to be entered; a pair is an element to be left, and what entering it began.
        stack: list[Element | tuple[Element, int]] = [root]
        pop, kind_of, run, count = stack.pop, _KINDS.get, self._run, 0
        while stack:
            top = pop()
            if isinstance(top, tuple):
                element, began = top
            else:
                element = top
                count += 1
                if count > MAX_ELEMENTS:
                    raise PageError("too_many_elements", f"at most {MAX_ELEMENTS}")
                kind = kind_of(element.tag, _INLINE)
                if kind == _BLOCK:
                    began = self._open(element)
                elif kind in _PHRASING:
                    began = self._enter(element, kind)
                else:
                    began = self._other(element, kind)
                if began != _NOTHING:
                    words = element.text
                    if words and (run or not words.isspace() or self._role == "code"):
                        self._text(words)
                    if len(element):
                        stack.append((element, began))
                        stack += element[::-1]  # type: ignore[index]
                        continue
            if began != _NOTHING:
                self._leave(began)
            words = element.tail
            if words and (run or not words.isspace() or self._role == "code"):
                self._text(words)
        self._flush()

    def _leave(self, began: int) -> None:
        if began >= 0:
            self._close(began)
        elif began == _A_LINK:
            self._link -= 1
        elif began == _A_CITE:
            self._flush()

    def _enter(self, element: Element, kind: int) -> int:
        """Enters an inline element; returns what began with it."""
        attributes: dict[str, str] = dict(element.items())  # type: ignore[arg-type]
        if attributes:
            if hints.is_unseen(attributes) or apart.is_decoration(element, attributes):
                return _NOTHING
            if "for" in attributes and element.tag == "label":
                return _NOTHING  # names a control
            if not _PLAIN.issuperset(attributes) and _is_staged(attributes):
                self._stage(element, attributes)
            if kind == _LINK and _leads_away(attributes.get("href") or "#"):
                self._link += 1
                self._links += 1
                if self._run and self._is_glued(element):
                    self._text(" ")
                return _A_LINK
        if element.tag == "time":
            self._dates += 1
        elif element.tag == "cite" and self._role == "quote":
            self._flush()  # who is quoted is a line of its own
            return _A_CITE
        return _A_PHRASE

    def _is_glued(self, element: Element) -> bool:
        """Tells whether a link follows another without a space: they are buttons or labels."""
        before = element.getprevious()
        return before is not None and before.tag == "a" and not before.tail

    def _other(self, element: Element, kind: int) -> int:
        """Takes in what is neither a block nor inline text; returns what began with it."""
        if kind == _BREAK:
            self._break()
        elif kind == _PICTURE:
            self._image(element)
        elif kind == _MATH:
            if formula := _formula(element):
                self._text(f" {formula} ")
        elif kind == _FILM:
            return self._video(element)
        return _NOTHING

    def _text(self, piece: str) -> None:
        if self._mute:
            self.muted += len(piece.strip())
            return
        if not piece.isspace():
            self._breaks = 0
            if self._link:
                self._linked += len(" ".join(piece.split()))
        self._run.append(piece)

    def _break(self) -> None:
        """A line break; two in a row end the paragraph."""
        self._breaks += 1
        if self._role == "table":
            self._run.append(" ")  # a line of the text is a row
        elif self._breaks == 2 and self._role not in _STICKY:
            self._flush()
        else:
            self._run.append(text.BREAK)

    def _boundary(self, tag: str, opening: bool) -> None:
        """The edge of a block: ends the run, except inside code and tables, which are one text."""
        if self._role == "table" and tag not in ("table", "caption"):
            cell = tables.CELL if tag in ("td", "th") else text.BREAK if tag == "tr" else " "
            self._run.append(" " if opening and tag != "tr" else cell)
        elif self._role == "code" and tag not in _CODE:
            if self._run and not self._run[-1].endswith("\n"):
                self._run.append("\n")
        elif self._run:
            self._flush()

    def _open(self, element: Element) -> int:
        """Enters a block; returns the index of its box."""
        tag: str = element.tag
        if self._run or self._role in _ONE_TEXT:
            self._boundary(tag, opening=True)
        attributes: dict[str, str] = dict(element.items())  # type: ignore[arg-type]
        own = hints.marks(tag, attributes)
        if own & apart.SUSPECT and "id" in attributes and apart.is_slug(attributes["id"], element):
            own = hints.marks(tag, {k: v for k, v in attributes.items() if k != "id"})
        if "aria-hidden" in attributes and apart.is_decoration(element, attributes):
            own |= apart.HIDDEN
        above = self.boxes[self._box] if self._box >= 0 else _OUTSIDE
        searched = above.searched
        if own & apart.SUSPECT and self._skips:
            if why := apart.why(element, own, above.marks, searches=above.searched):
                self.skipped.append((element, why))
                return _NOTHING
            searched += 1
        role, framed = above.role, above.figure
        if role not in _STICKY or tag in ("pre", "caption"):
            role = _ROLES.get(tag, role)
            if tag == "table":
                role = "table" if tables.is_data_table(element) else role
            elif own & hints.CAPTION or (framed and own & hints.LABEL):
                role = "caption"
        box = Box(
            element, tag, self._box, above.depth + 1, role, own, above.marks | own & hints.MARK_BITS,
            tag == "figure" or own & hints.FIGURE != 0 or (framed and tag == "div"), len(self.items),
            searched=searched,
        )  # fmt: skip
        self._box = len(self.boxes)
        self._role = role
        self.boxes.append(box)
        if tag in _MUTE and self._skips:
            self._mute += 1
        if not _PLAIN.issuperset(attributes) and _is_staged(attributes):
            self._stage(element, attributes)
        return self._box

    def _close(self, index: int) -> None:
        box = self.boxes[index]
        if self._run or self._role in _ONE_TEXT:
            self._boundary(box.tag, opening=False)
        if self._run and (box.tag == "table" or box.tag in _CODE):
            self._flush()
        box.end = len(self.items)
        self._box = box.parent
        self._role = self.boxes[box.parent].role if box.parent >= 0 else "paragraph"
        if box.tag in _MUTE and self._skips:
            self._mute -= 1
        if box.start == box.end:
            self.boxes.pop()  # the last one: whatever was in it was empty, too

    def _flush(self) -> None:
        """Ends the inline run: it becomes a text item if it has any characters."""
        raw, linked, links, dates = "".join(self._run), self._linked, self._links, self._dates
        self._run.clear()
        self._breaks = self._linked = self._links = self._dates = 0
        if self._box < 0 or raw.isspace():
            return
        box = self.boxes[self._box]
        shown = _CLEAN.get(box.role, text.clean)(raw)
        if shown and (box.role == "code" or _LETTER.search(shown)):
            dated = dates > 0 and len(shown) <= MAX_DATED
            self.items.append(
                Item(
                    self._box,
                    box.element,
                    box.role,
                    shown,
                    None,
                    linked,
                    links,
                    weigh(shown),
                    dated,
                )
            )

    def _image(self, element: Element) -> None:
        alt = element.get("alt") or ""
        if alt and len(alt) < 1000 and _TEXT_IMAGE.search(element.get("class") or ""):
            self._text(alt)
            return
        image = images.read(element, self._base)
        if image is None or hints.is_unseen(dict(element.items())):  # type: ignore[arg-type]
            return
        self._images += 1
        if self._images > MAX_IMAGES:
            raise PageError("too_many_images", f"at most {MAX_IMAGES}")
        glyph = tables.is_glyph(element)
        if self._role == "table" and glyph:
            self._text(image.alt)  # the picture of a cell says yes or no, or names a flag
        elif not (glyph and self._run):
            self._media(element, image)

    def _video(self, element: Element) -> int:
        """Takes in a video; what is none is left to its children, the fallback."""
        found = video.read(element, self._base, self._declared)
        if found is not None:
            self._media(element, found)
        elif element.tag in ("object", "embed"):
            picture = images.read(element, self._base)
            if picture is None:
                return _A_PHRASE
            self._media(element, picture)
        elif element.tag not in _MEDIA_TAGS:
            return _A_PHRASE
        return _NOTHING

    def _stage(self, element: Element, attributes: dict[str, str]) -> None:
        """Takes in what scripts or styles put where an element stands: a video, a background."""
        if not video.FACADE_ATTRIBUTES.isdisjoint(attributes):
            found = video.read(element, self._base, self._declared)
            if found is not None:
                self._media(element, found)
                return
        picture = images.background(element, self._base)
        if picture is not None:
            self._media(element, picture)

    def _media(self, element: Element, media: Image | Video) -> None:
        links = int(self._link > 0)
        if self._run:
            self._flush()
        if self._box >= 0:
            self.items.append(Item(self._box, element, self._role, "", media, 0, links))

    def pictures_apart(self) -> Iterator[Item]:
        """Yields the pictures with an alt text in the blocks that were not entered: for pairs."""
        for block, why in self.skipped:
            for element in block.iter(*images.IMAGE_TAGS) if why != "hidden" else ():
                if element.get("alt") and (image := images.read(element, self._base)):
                    yield Item(-1, element, "paragraph", "", image)


_OUTSIDE = Box(etree.Element("html"), "", -1, -1, "paragraph", 0, 0, False, 0)


def _is_staged(attributes: dict[str, str]) -> bool:
    """Tells whether attributes may name a picture or a video that the element stands for."""
    if "style" in attributes and "url(" in attributes["style"].lower():
        return True
    return any(map(_names_stage, attributes))


@lru_cache(maxsize=4096)  # pages share few names of attributes
def _names_stage(name: str) -> bool:
    """Tells whether an attribute of this name, not a style, may name what the element stands for."""
    if not (name.startswith("data-") or name == "itemid"):
        return False
    return name in video.FACADE_ATTRIBUTES or images.may_name_background(name)


def walk(root: Element, base: str, declared: Sequence[video.Declared] = ()) -> Walk:
    """Returns the walk of a page; one that skips nothing where what it skipped has most of the words."""
    found = Walk(root, base, declared)
    if found.skipped or found.muted:
        entered = sum(item.weight for item in found.items if item.weight >= _SENTENCE)
        left_out = found.muted + sum(_paragraphs(element) for element, _ in found.skipped)
        if left_out > max(MOST_SKIPPED * entered, 2 * _SENTENCE):
            found = Walk(root, base, declared, skips=False)
    _relieve(found)
    return found


_RELIEVED = hints.APART & ~hints.BIT["comments"]  # comments may well outweigh an article


def _relieve(found: Walk) -> None:
    """Takes the names of boilerplate from boxes with most of the text: they name the page, not the box.

    "category-news" on an article, "sticky-columns" around everything.
    """
    weights = [item.weight if item.weight >= _SENTENCE else 0 for item in found.items]
    upto = [0, *accumulate(weights)]
    for box in found.boxes:
        if box.own & _RELIEVED and 2 * (upto[box.end] - upto[box.start]) > upto[-1]:
            box.own &= ~_RELIEVED | hints.TAG_BITS.get(box.tag, 0)
        above = found.boxes[box.parent].marks if box.parent >= 0 else 0
        box.marks = above | box.own & hints.MARK_BITS


MOST_SKIPPED = 3  # times the words entered: what was skipped is then the page
_SENTENCE = 40  # characters: what is shorter is a label


def _paragraphs(element: Element) -> int:
    """Returns how many characters the paragraphs in an element have that are longer than a label."""
    sizes = (sum(map(len, p.itertext())) for p in element.iter("p"))
    return sum(size for size in sizes if size >= _SENTENCE)


def weigh(shown: str) -> int:
    """Returns about how much a text says, in Latin letters: an ideograph counts two."""
    return (
        len(shown) if shown.isascii() else (len(shown) + len(shown.encode("utf-8", "replace"))) // 2
    )


def _leads_away(href: str) -> bool:
    """Tells whether a link goes to another page: not within this one, not to a picture."""
    return not href.startswith("#") and not ("." in href[-6:] and images.is_image_address(href))


_CLEAN = {"code": text.clean_code, "table": tables.rows}


def _formula(element: Element) -> str:
    """Returns a formula as text: its TeX where the page has it, else its symbols; "" of other scripts."""
    if element.tag == "script":
        return (element.text or "") if (element.get("type") or "").startswith("math/") else ""
    for annotation in element.iter("annotation"):
        if annotation.text and "tex" in (annotation.get("encoding") or ""):
            return annotation.text
    return element.get("alttext") or " ".join(str(piece) for piece in element.itertext())
