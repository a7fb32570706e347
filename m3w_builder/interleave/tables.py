"""Tables: which hold data and are one text, and how their rows are written."""

from lxml import etree

from m3w_builder import images, text
from m3w_builder.text import word_list

Element = etree._Element

CELL = "\x1f"  # the end of a cell among pieces of a table's text
MAX_CELL = 300  # characters: a table with a longer cell lays out the page
ICON_SIDE = 32  # declared pixels: a picture in a line of text and smaller both ways is a glyph
_STRUCTURE = word_list("table ul ol dl h1 h2 h3 h4 pre blockquote section article form")


def is_data_table(table: Element) -> bool:
    """Tells whether a table holds data and does not lay out the page."""
    if table.get("role") in ("presentation", "none"):
        return False
    inner = (e for e in table.iterdescendants(*_STRUCTURE) if e.tag[0] != "h" or not _heads(e))
    pictures = (e for e in table.iterdescendants("img") if not is_glyph(e))
    if next(inner, None) is not None or next(pictures, None) is not None:
        return False
    grid = [
        [cell for cell in row if cell.tag in ("td", "th")] for row in table.iterdescendants("tr")
    ]
    if len(grid) < 2 or max(map(len, grid)) < 2:
        return False
    return all(_is_plain(cell) for row in grid for cell in row)


def is_glyph(element: Element) -> bool:
    """Tells whether a picture declares a size, and none larger than a glyph's."""
    width, height = images.declared_size(element)
    return 0 < max(width or 0, height or 0) <= ICON_SIDE


def _heads(heading: Element) -> bool:
    """Tells whether a heading is the head of a column or row."""
    parent = heading.getparent()
    return parent is not None and parent.tag == "th"


def _is_plain(cell: Element) -> bool:
    return sum(map(len, cell.itertext())) <= MAX_CELL and len(cell.findall("p")) < 3


def rows(raw: str) -> str:
    """Returns the rows of a table, one per line, cells joined by " | "."""
    shown = []
    for line in raw.split(text.BREAK):
        cells = [text.clean(cell) for cell in line.split(CELL)]
        while cells and not cells[-1]:
            cells.pop()
        shown.append(" | ".join(cells))
    return "\n".join(row for row in shown if row.strip(" |"))
