"""The signals by name, and which of those that were found decide."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from m3w_builder.config import RightsConfig, digest
from m3w_builder.optouts.directives import Kind, covers
from m3w_builder.optouts.lists import OptOutLists, optout_lists
from m3w_builder.types import MediaKind, OptOut

REASON = "opted_out"  # of what is dropped for an opt-out, at every stage
COUNTER = "optouts."
MAX_EVIDENCE = 500  # characters

SIGNALS: dict[str, str] = {
    "robots.txt": "a path that our agent may not ask for (RFC 9309)",
    "x-robots-tag": "an HTTP header with noai, noimageai, noml, noindex, none, noimageindex or"
    " unavailable_after (Google Search Central; DeviantArt 2022 for noai)",
    "meta-robots": "the same directives in a meta element of the page",
    "tdm-header": "the HTTP header tdm-reservation: 1 (W3C TDMRep)",
    "tdm-meta": "a meta element tdm-reservation of the page (W3C TDMRep)",
    "tdmrep.json": "a path that /.well-known/tdmrep.json reserves (W3C TDMRep)",
    "ai.txt": "a path or media type that /ai.txt disallows (Spawning)",
    "embedded": "metadata inside the file: IPTC/PLUS Data Mining in XMP, or a C2PA/CAWG training and"
    " data mining assertion",
    "list": "a local list of domains, URL prefixes and sha256 (rights.optout_lists)",
}


def respected(
    optouts: Iterable[OptOut], ignore: Iterable[str] = (), kind: Kind = "text"
) -> tuple[OptOut, ...]:
    """Returns the opt-outs that forbid the use of one kind of content: any is a no.

    `ignore` names the signals that the user chose not to respect. `kind` is "text" for a page and
    what it says, "image" or "video" for the media it shows or for their own answers.
    """
    ignored = frozenset(ignore)
    return tuple(o for o in optouts if o.signal not in ignored and covers(o, kind))


def page_refusal(
    url: str, optouts: Iterable[OptOut], rights: RightsConfig, kind: Kind = "text"
) -> OptOut | None:
    """Returns what forbids the use of a page's text, or of the media it shows, None if nothing does.

    `optouts` are those of the page itself; the user's lists are asked about its canonical URL.
    """
    found = respected(optouts, rights.ignore, kind)
    listed = None if found else _lists(rights).url(url)
    return next(iter(found), None) or listed


def media_refusal(
    urls: Iterable[str],
    digests: Iterable[str],
    optouts: Iterable[OptOut],
    rights: RightsConfig,
    kind: MediaKind,
) -> OptOut | None:
    """Returns what forbids the use of a medium, None if nothing does.

    `urls` are all it is known by (asked for, redirected to), `digests` the sha256 of its bytes.
    """
    if found := respected(optouts, rights.ignore, kind):
        return found[0]
    lists = _lists(rights)
    return next(filter(None, map(lists.url, urls)), None) or next(
        filter(None, map(lists.sha256, digests)), None
    )


def _lists(rights: RightsConfig) -> OptOutLists:
    return optout_lists(_obeyed(rights))


def _obeyed(rights: RightsConfig) -> tuple[str, ...]:
    return () if "list" in rights.ignore else rights.optout_lists


def evidence(optout: OptOut) -> str:
    """Returns an opt-out in one line, for the detail of a reject."""
    when = f", {optout.when}" if optout.when else ""
    return f"{optout.signal}: {optout.found} ({optout.where}{when})"[:MAX_EVIDENCE]


def signals(optouts: Iterable[OptOut]) -> list[str]:
    """Returns the names of the counters that one page or answer adds to: "optouts.meta-robots"."""
    return sorted({f"{COUNTER}{optout.signal}" for optout in optouts})


def summary(rights: RightsConfig, counts: Iterable[tuple[str, int]]) -> dict[str, Any]:
    """Returns what a manifest says about opt-outs: {"ignored": [signal], "found": {signal: count}}.

    A count is of pages and media answers that carried the signal; `counts` are those of the stages.
    """
    found: Counter[str] = Counter()
    for name, count in counts:
        if name.startswith(COUNTER):
            found[name.removeprefix(COUNTER)] += count
    return {"ignored": sorted(set(rights.ignore)), "found": dict(sorted(found.items()))}


def rights_digest(rights: RightsConfig) -> str:
    """Returns what changes when a setting, or a line of a list that is obeyed, changes.

    Takedowns and licences are no part of it: `select` alone asks for them (m3w_builder.tombstones).
    """
    asked = rights.model_copy(update={"removed": (), "licences": (), "optout_lists": ()})
    return f"{digest(asked)} {optout_lists.current(_obeyed(rights)).digest}"
