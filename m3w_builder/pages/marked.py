"""A page as it is, with what the extractor made of it drawn on: one HTML document in which nothing runs.

Texts that were kept are outlined in green, pictures and videos in blue, with the number of their node; what was dropped
is pale and says why. Marks go to the largest element that holds one text and no other, else to the runs of text.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from lxml import etree

from m3w_builder.inputs.saved import NOWHERE
from m3w_builder.pages.harmless import defuse, remove, settable
from m3w_builder.pages.places import Slot
from m3w_builder.pages.style import STYLE
from m3w_builder.pages.view import Block, View
from m3w_builder.types import Image, Text
from m3w_builder.urls import canonical

POLICY = (
    "script-src 'none'; frame-src 'none'; object-src 'none'; form-action 'none'; "
    "connect-src 'none'; worker-src 'none'"
)
MAX_TIP = 1_000  # characters of a title attribute
MAX_NAME = 40  # characters of a file name in a label

_WHOLE = ("html", "body", "head", "frameset")  # never marked: all of the page is in them
_CLOSED = ("img", "image", "amp-img", "amp-anim", "video", "audio", "iframe", "amp-video", "amp-iframe", "object",
           "embed", "input", "table", "hr", "svg", "frame")  # fmt: skip
_NO_LABEL = (
    "thead",
    "tbody",
    "tfoot",
    "tr",
    "caption",
    "colgroup",
)  # a browser moves what is no cell
# HTML Standard, 13.2.6.4.1: by other names a browser lays a page out as those of 1998 did.
_STRICT = re.compile(r"-//W3C//DTD (?:XHTML 1\.[01]|HTML 4\.01)|^$", re.IGNORECASE)

Element = etree._Element


def marked(view: View, file: Path | None = None) -> str:
    """Returns the page as an HTML document with the fate of its parts drawn on; uses up the view's tree.

    `file` is where the page was saved: a page that tells no address shows what lies beside it.
    """
    root = view.parsed.root
    _Painter(view).paint()
    nowhere = (urlsplit(view.parsed.url).hostname or "").endswith(f".{NOWHERE}")
    address = file.resolve().as_uri() if file and nowhere else view.parsed.url
    _complete(root, address if nowhere else view.parsed.base)
    next(root.iter("body", "frameset"), root).append(_legend(view, address))
    shown = etree.tostring(root, method="html", encoding="unicode")
    return f"{_doctype(root)}{shown}\n"


def _doctype(root: Element) -> str:
    """Returns the type that makes a browser lay the page out as it did; lxml names one where there is none."""
    found = root.getroottree().docinfo
    return "<!DOCTYPE html>\n" if _STRICT.search(found.public_id or "") else ""


def _complete(root: Element, base: str) -> None:
    """Puts the policy before everything of the page, its address, and our style after its own."""
    head = root.find("head")
    if head is None:
        head = etree.Element("head")
        root.insert(0, head)
    first = (
        ("meta", {"charset": "utf-8"}),
        ("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}),
        ("meta", {"name": "referrer", "content": "no-referrer"}),
        ("base", {"href": base, "target": "_blank"}),
    )
    for number, (tag, attributes) in enumerate(first):
        head.insert(number, etree.Element(tag, attributes))
    _add(head, "style", STYLE)


class _Painter:
    """Marks the parts of one page."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._walk = view.parsed.walk
        self._kept = {block.item for block in view.blocks if not block.reason}
        self._taken: set[Element] = set()  # elements that have a mark

    def paint(self) -> None:
        """Marks every block; nothing that acts is left in the page."""
        blocks = self._view.blocks
        kept = [b.element for b in blocks if b.element is not None and not b.reason]
        shown = {outer for element in kept for outer in element.iterancestors("noscript")}
        gone = defuse(self._view.parsed.root, shown)
        media = {b: self._of_media(b) for b in self._media_first() if b.element is not None}
        # All runs are wrapped before the first label: a label moves the text it is put in front of.
        targets = [(b, media[b] if b in media else self._of_text(b)) for b in blocks]
        stretch = ""  # the reason that was written last
        for block, elements in targets:
            for number, element in enumerate(elements):
                self._mark(
                    element, block, labelled=number == 0 and block.reason != (stretch or "-")
                )
            if elements:
                stretch = block.reason
        for element in gone:
            remove(element)

    def _media_first(self) -> Iterator[Block]:
        """Yields what is not text, what was kept before what was dropped."""
        found = [block for block in self._view.blocks if not isinstance(block.node, Text)]
        yield from sorted(found, key=lambda block: block.reason != "")

    def _of_media(self, block: Block) -> list[Element]:
        element = block.element
        if element is None or element in self._taken or element.tag in _WHOLE:
            return []
        if block.reason and any(item in self._kept for item in self._inside(element)):
            return []  # a background: what stands before it must not turn pale
        self._taken.add(element)
        return [element]

    def _inside(self, element: Element) -> range:
        low, high = self._view.places.spans.get(element, (0, -1))
        return range(low, high + 1)

    def _of_text(self, block: Block) -> list[Element]:
        """Returns the elements that hold the text and no other, runs of it wrapped where there are none."""
        if block.item < 0 or not isinstance(block.node, Text):
            return []
        box = self._walk.boxes[self._walk.items[block.item].box]
        slots = self._view.places.slots.get(block.item)
        if not slots:
            alone = box.end - box.start == 1 and box.tag not in _WHOLE
            return [box.element] if alone and box.element not in self._taken else []
        found: dict[Element, None] = {}
        for element, where in slots:
            holder = element if where == "text" else element.getparent()
            top = None
            while holder is not None and self._is_only(holder, block):
                top = holder
                holder = None if holder is box.element else holder.getparent()
            found[_wrapped((element, where)) if top is None else top] = None
        self._taken.update(found)
        return list(found)

    def _is_only(self, element: Element, block: Block) -> bool:
        """Tells whether a text is the only one in an element, and no picture in it has a better fate."""
        if element in self._taken or element.tag in _WHOLE:
            return False
        return all(
            item == block.item
            or (not self._walk.items[item].text and not (block.reason and item in self._kept))
            for item in self._inside(element)
        )

    def _mark(self, element: Element, block: Block, *, labelled: bool) -> None:
        fate = "dropped" if block.reason else "text" if block.kind == "text" else "media"
        element.set("data-m3w", fate)
        names = {*element.attrib}
        if element.tag == "img" and not ("alt" in names or {"width", "height"} <= names):
            # Where such a picture is missing, a browser would write its title, which says more now.
            element.set("alt", settable(element.get("title")) or " ")
        element.set("title", settable(self._tip(block)))
        if fate == "media" and isinstance(block.node, Image) and element.tag == "img":
            _show(element, block.node.url, self._view.parsed.base)
        if labelled and element.tag not in _NO_LABEL:
            # Items stand line by line: what hangs over one hides the other, so it hangs over the bullet.
            item = not block.reason and element.tag in ("li", "dt", "dd")
            _label(element, self._words(block), "item" if item else fate)

    def _words(self, block: Block) -> str:
        """Returns the label of a block."""
        if block.reason or block.node is None:
            return block.reason
        label = f"{block.number} {self._view.role(block).removeprefix('list_')}"
        if isinstance(block.node, Text):
            return label
        name = unquote(PurePosixPath(urlsplit(block.node.url).path).name)[-MAX_NAME:]
        return f"{label} {name}"

    def _tip(self, block: Block) -> str:
        """Returns what the title attribute of a block says."""
        one = block.node
        if one is None:
            lines = [f"dropped: {block.reason} (not entered)"]
        else:
            role = one.role if isinstance(one, Text) else block.kind
            lines = [f"dropped: {block.reason} ({role})" if block.reason else self._words(block)]
        if one is not None and not isinstance(one, Text):
            said = (
                ("alt", getattr(one, "alt", "")),
                ("title", one.title),
                ("caption", one.caption),
            )
            lines += [one.url, *(f"{name}: {value}" for name, value in said if value)]
        return "\n".join([*lines, block.path])[:MAX_TIP]


def _wrapped(slot: Slot) -> Element:
    """Puts a text node into an element of its own; no style of the page knows its name."""
    element, where = slot
    run = etree.Element("m3w-run")
    if where == "text":
        run.text, element.text = _first(element), None
        element.insert(0, run)
    else:
        run.text, element.tail = settable(element.tail), None
        element.addnext(run)
    return run


def _label(element: Element, words: str, fate: str) -> None:
    # "hidden", though it is shown: styles for "all but the first child" pass hidden ones over.
    label = etree.Element("m3w-tag", {"data-m3w-of": fate, "hidden": ""})
    label.text = settable(words)
    if element.tag in _CLOSED:
        element.addprevious(label)
    else:
        label.tail, element.text = _first(element), None
        element.insert(0, label)


def _first(element: Element) -> str:
    """Returns the text at the beginning of an element, without the line end that a browser passes over."""
    words = settable(element.text)
    return words.removeprefix("\n") if element.tag in ("pre", "listing") else words


def _show(picture: Element, url: str, base: str) -> None:
    """Makes a browser load the chosen address where a script would have put it in."""
    if canonical(picture.get("src") or "", base) != url:
        picture.set("src", url)
        for name in ("srcset", "sizes"):
            picture.attrib.pop(name, "")


def _legend(view: View, address: str) -> Element:
    legend = etree.Element("m3w-legend")
    details = etree.SubElement(legend, "details", open="")
    _add(details, "summary", view.parsed.title or view.parsed.url)
    _add(_add(details, "p"), "a", address, href=address)
    counts = _add(details, "p")
    kept = [block for block in view.blocks if not block.reason]
    for kind, fate in (("text", "text"), ("image", "media"), ("video", "media")):
        count = sum(1 for block in kept if block.kind == kind)
        if count or kind == "text":
            _add(counts, "i", f"{count} {kind}{'' if count == 1 else 's'} kept", **{"class": fate})
    for reason, count in view.reasons:
        _add(counts, "i", f"{count} {reason}", **{"class": "dropped"})
    for block in kept:
        if block.element is None:
            _add(
                details,
                "p",
                f"Shown nowhere, named in the metadata: {block.number} {block.kind} {block.words}",
            )
    verdict, passes = view.verdict
    _add(details, "p", verdict, **{"class": "good" if passes else "bad"})
    return legend


def _add(parent: Element, tag: str, text: str = "", **attributes: str) -> Element:
    element = etree.SubElement(parent, tag, attributes)
    element.text = settable(text)
    return element
