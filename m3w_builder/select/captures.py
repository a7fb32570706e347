"""One capture of each page: the newest, or none when an earlier dataset has the page."""

from collections.abc import Iterable, Iterator

from m3w_builder import dedup
from m3w_builder.select.outcomes import Outcome, Reference, drop


def page_of(reference: Reference) -> str:
    """Returns what all captures of one page share."""
    return str(reference["page"])


def one_capture(captures: Iterable[Reference]) -> Iterator[Outcome]:
    """Yields the documents of the newest capture of a page, and a reject for every other document.

    A page of an earlier dataset stands for all of its captures.
    """
    captures = list(captures)
    earlier = [row for row in captures if "earlier" in row]
    if earlier:
        yield from earlier
        where = min(row["earlier"] for row in earlier)
        for row in captures:
            if "earlier" not in row:
                yield drop(row, "duplicate_page", f"in {where}")
        return
    # A record that was archived twice gives equal documents: file and row break the tie.
    ranked = sorted(captures, key=lambda row: (_copy(row).rank(), row["row"]))
    newest = ranked[0]
    seen = set()
    for row in ranked:
        if row["record"] == newest["record"] and row["id"] not in seen:
            seen.add(row["id"])
            yield row
        else:
            yield drop(row, "duplicate_page", f"kept {newest['url']} of {newest['crawled']}")


def _copy(row: Reference) -> dedup.PageCopy:
    return dedup.PageCopy(row["crawled"], row["record"], row["id"], row["file"])


def settle(reference: Reference) -> Outcome:
    """Returns the reference, or the drop that its own row decided."""
    if "earlier" not in reference and (verdict := reference["verdict"]):
        return drop(reference, *verdict)
    return reference
