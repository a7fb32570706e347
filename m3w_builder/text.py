"""Inline text as a reader sees it: single spaces, "\\n" only for a line break of the page.

Zero-width joiners stay (Persian, Indic scripts and emoji need them); soft hyphens, zero-width
spaces and direction overrides go.
"""

import re

from lxml import etree


def word_set(names: str) -> frozenset[str]:
    """Returns the words of a list written as one string."""
    return frozenset(names.split())


def word_list(names: str) -> tuple[str, ...]:
    """Returns the words of a list written as one string, in their order."""
    return tuple(names.split())


BREAK = "\0"  # a <br> among pieces of text: no parsed page can hold NUL
_CONTROLS = (*range(9), 0xB, *range(0xE, 0x20), *range(0x7F, 0xA0), 0xFFFE, 0xFFFF)
_OVERRIDES = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_INVISIBLE = dict.fromkeys(
    # Surrogates, and the private use area, where icon fonts keep their pictures.
    (*_CONTROLS, *_OVERRIDES, *range(0xD800, 0xF900), 0xAD, 0x200B, 0x2060, 0xFEFF)
)
_UNSEEN = frozenset(("script", "style", "template", "noscript", "svg", "select", "textarea"))
# A line break of the source between two ideographs, kana or their punctuation is no space (CSS Text 3, 4.1.3).
_WIDE = "[\u2e80-\u312f\u31a0-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\U00020000-\U0003ffff]"
_BEFORE_WIDE = re.compile(rf"\n[^\S\n]*{_WIDE}")
_WRAPPED = re.compile(rf"(?<={_WIDE})[ \t\r]*\n\s*(?={_WIDE})")


def clean(raw: str) -> str:
    """Returns text with invisible characters gone, white space single and each BREAK a newline."""
    if BREAK in raw:
        lines = (clean(line) for line in raw.split(BREAK))
        return "\n".join(line for line in lines if line)
    if "\n" in raw and not raw.isascii() and _BEFORE_WIDE.search(raw):
        raw = _WRAPPED.sub("", raw)
    joined = " ".join(raw.split())
    if joined.isprintable():
        return joined
    return " ".join(joined.translate(_INVISIBLE).split())


def clean_code(raw: str) -> str:
    """Returns preformatted text: lines and indentation kept, trailing blanks gone."""
    raw = raw.replace("\r\n", "\n").replace(BREAK, "\n").replace("\xa0", " ")
    return "\n".join(_visible(line.rstrip()) for line in raw.split("\n")).strip("\n")


def _visible(line: str) -> str:
    return line if line.isprintable() else line.translate(_INVISIBLE)


def inline(element: etree._Element) -> str:
    """Returns the cleaned text of an element and everything in it, with a space between blocks."""
    pieces: list[str] = []
    stack: list[etree._Element | str] = [element]
    while stack:
        top = stack.pop()
        if isinstance(top, str):
            pieces.append(top)
            continue
        if top.tail and top is not element:
            stack.append(top.tail)
        if top.tag == "br":
            pieces.append(BREAK)
        elif isinstance(top.tag, str) and top.tag not in _UNSEEN:
            stack.extend(reversed(top))
            if top.tag in _BLOCKS:
                pieces.append(" ")
            if top.text:
                pieces.append(top.text)
    return clean("".join(pieces))


_BLOCKS = word_set("p div li td th tr dd dt h1 h2 h3 h4 h5 h6 blockquote figcaption section")
