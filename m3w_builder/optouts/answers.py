"""The opt-outs of one HTTP answer: its headers and, of a page, its meta elements."""

from collections.abc import Iterable, Iterator

from m3w_builder.optouts.directives import MAX_FOUND, directives
from m3w_builder.optouts.tdm import NAME, reservation
from m3w_builder.types import OptOut

Pairs = Iterable[tuple[str, str]]
Said = Iterator[tuple[str, OptOut]]  # what is said, by its directive, and the evidence


def product_token(user_agent: str) -> str:
    """Returns the name that a User-Agent header is known by: what stands before its version."""
    words = user_agent.partition("/")[0].split()
    return words[0] if words else ""


def answer_optouts(
    headers: Pairs, *, agent: str, where: str, when: str, now: str = ""
) -> tuple[OptOut, ...]:
    """Returns what the headers of an answer reserve, each directive once; names in any case.

    Each header is read by itself: joined ones would give one's agent to the other's directives.
    `where` is the URL that answered, `when` its time as evidence, `now` what unavailable_after is
    compared with (default: `when`); both are ISO 8601, or "" where unknown.
    """
    headers = list(headers)
    return _distinct(
        *_robots_headers(headers, agent, where, when, now or when), *_tdm(headers, where, when)
    )


def page_optouts(
    metas: Pairs, headers: Pairs = (), *, agent: str, where: str, when: str, now: str = ""
) -> tuple[OptOut, ...]:
    """Returns what a page reserves: by its headers, and by its meta elements as (name, content).

    A tdm-reservation of the page supersedes that of its headers (TDMRep, "Processing priority"): 0 lifts a 1.
    """
    metas, headers = [(name.lower(), content) for name, content in metas], list(headers)
    said = [value for name, text in metas if name == NAME and (value := _said(text))]
    if "reserved" in said:
        tdm = [(NAME, OptOut("tdm-meta", where, f"{NAME}: 1", when))]
    else:
        tdm = [] if said else [*_tdm(headers, where, when)]
    return _distinct(
        *_robots_headers(headers, agent, where, when, now or when),
        *_robots_metas(metas, agent, where, when, now or when),
        *tdm,
    )


def _robots_headers(headers: Pairs, agent: str, where: str, when: str, now: str) -> Said:
    for name, text in headers:
        if name.lower() == "x-robots-tag":
            for directive, words in directives(text, agent, now):
                yield directive, OptOut("x-robots-tag", where, words, when)


def _robots_metas(metas: Pairs, agent: str, where: str, when: str, now: str) -> Said:
    for name, text in metas:
        if addressee := _addressee(name, agent):
            for directive, words in directives(text, agent, now, addressee):
                yield directive, OptOut("meta-robots", where, words, when)


def _addressee(name: str, agent: str) -> str:
    """Returns whom a meta element of that name is for, "" if it holds no robots directives.

    Another robot's name counts for directives about AI alone, so what looks like one is enough.
    """
    if name in ("robots", "x-robots-tag"):
        return "robots"
    return name if name == agent.lower() or name.endswith("bot") else ""


def _tdm(headers: Pairs, where: str, when: str) -> Said:
    """Yields the reservation of the headers (TDMRep); of several, 1 wins."""
    for name, text in headers:
        if name.lower() == NAME and _said(text) == "reserved":
            yield NAME, OptOut("tdm-header", where, f"{NAME}: {text.strip()}"[:MAX_FOUND], when)


def _said(text: str) -> str:
    """Returns "reserved" or "permitted", "" for neither; a proxy may have joined several values."""
    values = [reservation(part) for part in text.split(",", 10)]
    return "reserved" if True in values else "permitted" if False in values else ""


def _distinct(*said: tuple[str, OptOut]) -> tuple[OptOut, ...]:
    """Returns the first of each signal and directive: at most some twenty, whatever was sent."""
    found: dict[tuple[str, str], OptOut] = {}
    for directive, optout in said:
        found.setdefault((optout.signal, directive), optout)
    return tuple(found.values())
