"""The signals by name, and which of those that were found decide."""

from collections.abc import Iterable

from m3w_builder.optouts.directives import Kind, covers
from m3w_builder.types import OptOut

SIGNALS: dict[str, str] = {
    "robots.txt": "a path that our agent may not ask for (RFC 9309)",
    "x-robots-tag": "an HTTP header with noai, noimageai, noml, noindex, none, noimageindex or"
    " unavailable_after (Google Search Central; DeviantArt 2022 for noai)",
    "meta-robots": "the same directives in a meta element of the page",
    "tdm-header": "the HTTP header tdm-reservation: 1 (W3C TDMRep, 4.1)",
    "tdm-meta": "a meta element tdm-reservation of the page (W3C TDMRep, 4.3)",
    "tdmrep.json": "a path that /.well-known/tdmrep.json reserves (W3C TDMRep, 4.2)",
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
