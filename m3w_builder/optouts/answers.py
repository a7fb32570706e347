"""The opt-outs of one HTTP answer: its headers and, of a page, its meta elements."""

from collections.abc import Iterable, Iterator

from m3w_builder.optouts.directives import MAX_FOUND, directives
from m3w_builder.optouts.tdm import NAME, reservation
from m3w_builder.types import OptOut

Pairs = Iterable[tuple[str, str]]
MAX_OPTOUTS = 20  # of one answer; a real one has one or two


def product_token(user_agent: str) -> str:
    """Returns the name that a User-Agent header is known by: what stands before its version."""
    words = user_agent.partition("/")[0].split()
    return words[0] if words else ""


def answer_optouts(
    headers: Pairs, *, agent: str, where: str, when: str, now: str = ""
) -> tuple[OptOut, ...]:
    """Returns what the headers of an answer reserve; each header by itself, names in any case.

    `where` is the URL that answered, `when` its time as evidence, `now` what unavailable_after is
    compared with (default: `when`); both are ISO 8601, or "" where unknown.
    """
    headers = list(headers)
    return _distinct(
        [*_robots_headers(headers, agent, where, when, now or when), *_tdm(headers, where, when)]
    )


def page_optouts(
    metas: Pairs, headers: Pairs = (), *, agent: str, where: str, when: str, now: str = ""
) -> tuple[OptOut, ...]:
    """Returns what a page reserves: by its headers, and by its meta elements as (name, content).

    A tdm-reservation of the page supersedes that of its headers (TDMRep, 4.4): 0 lifts a 1.
    """
    metas, headers = [(name.lower(), content) for name, content in metas], list(headers)
    found = list(_robots_headers(headers, agent, where, when, now or when))
    for name, content in metas:
        if addressee := _addressee(name, agent):
            found += [
                OptOut("meta-robots", where, words, when)
                for _, words in directives(content, agent, now or when, addressee)
            ]
    said = [(value, text) for name, text in metas if name == NAME and (value := _said(text))]
    if not said:
        found += _tdm(headers, where, when)
    elif any(value == "reserved" for value, _ in said):
        found.append(OptOut("tdm-meta", where, f"{NAME}: 1", when))
    return _distinct(found)


def _robots_headers(
    headers: Pairs, agent: str, where: str, when: str, now: str
) -> Iterator[OptOut]:
    for name, text in headers:
        if name.lower() == "x-robots-tag":
            for _, words in directives(text, agent, now):
                yield OptOut("x-robots-tag", where, words, when)


def _addressee(name: str, agent: str) -> str:
    """Returns whom a meta element of that name is for, "" if it holds no robots directives.

    Another robot's name counts for directives about AI alone, so what looks like one is enough.
    """
    if name in ("robots", "x-robots-tag"):
        return "robots"
    return name if name == agent.lower() or name.endswith("bot") else ""


def _tdm(headers: Pairs, where: str, when: str) -> list[OptOut]:
    """Returns the reservation of the headers (TDMRep, 4.1); of several, 1 wins."""
    for name, text in headers:
        if name.lower() == NAME and _said(text) == "reserved":
            return [OptOut("tdm-header", where, f"{NAME}: {text.strip()}"[:MAX_FOUND], when)]
    return []


def _said(text: str) -> str:
    """Returns "reserved" or "permitted", "" for neither; a proxy may have joined several values."""
    values = [reservation(part) for part in text.split(",", 10)]
    return "reserved" if True in values else "permitted" if False in values else ""


def _distinct(found: Iterable[OptOut]) -> tuple[OptOut, ...]:
    return tuple(dict.fromkeys(found))[:MAX_OPTOUTS]
