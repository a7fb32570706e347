"""Exact duplicates: the keys under which pages, texts and pairs are equal, and which copy stays.

A survivor is the `min` of its copies by a total order over values: neither the order of the copies
nor how they were grouped changes it, so any number of workers keeps the same one.
"""

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple
from unicodedata import normalize

from m3w_builder.types import Text

# Only names that no server uses to choose a page: ref, source, id, cid, si and the like are kept.
_TRACKING = re.compile(
    r"""utm_.*  # Google Analytics, and all who copy it
    | gclid | gclsrc | dclid | gbraid | wbraid | gad_source | gad_campaignid | srsltid | _ga | _gl
    | fbclid | igshid | igsh | twclid | ttclid | li_fat_id | epik | rdt_cid | msclkid
    | yclid | ysclid | _openstat
    | mc_cid | mc_eid | mkt_tok | vero_id | oly_anon_id | oly_enc_id
    | _hsenc | _hsmi | __hssc | __hstc | __hsfp | hsctatracking | s_kwcid | ef_id | wickedid
    """,
    re.VERBOSE | re.IGNORECASE,
)


def page_key(url: str, declared: str = "") -> str:
    """Returns a canonical URL without tracking parameters: the same key, the same page.

    Parameters keep their order and spelling, which servers may read, and "/index.html" stays: two
    keys for one page cost a comparison of texts, one key for two pages would cost a page.
    `declared` is the page's rel=canonical (RFC 6596), "" for none. It counts where it is on the same
    site, and not where an inner page declares the front page, as careless templates do.
    """
    if declared and _site(declared) == _site(url) and (_inner(declared) or not _inner(url)):
        url = declared
    path, _, query = url.partition("?")
    kept = [part for part in query.split("&") if not _TRACKING.fullmatch(part.partition("=")[0])]
    return f"{path}?{'&'.join(kept)}" if any(kept) else path


def _site(url: str) -> str:
    """Returns the host of a URL without the names of its variants."""
    return re.sub(r"^(?:(?:www|m|mobile|amp)\.)+(?=[^.]+\.)", "", url.split("/", 3)[2])


def _inner(url: str) -> bool:
    return url.partition("?")[0].count("/") > 3 or url.partition("?")[0].split("/", 3)[3] != ""


def text_key(texts: Iterable[Text]) -> str:
    """Returns the sha256 of a document's normalised text, "" without text.

    Where the text is cut into nodes and lines makes no difference.
    """
    text = normalise(" ".join(text.text for text in texts))
    return _sha256(text) if text else ""


def paragraph_key(text: str) -> int:
    """Returns 64 bits of the hash of a normalised text, signed as Parquet's integers are."""
    return int.from_bytes(bytes.fromhex(_sha256(normalise(text)))[:8], "little", signed=True)


def normalise(text: str) -> str:
    """Returns a text for comparison: NFKC, case-folded, every run of whitespace one space."""
    # Folding undoes normal forms and the reverse: Unicode's compatibility caseless match (D146).
    folded = normalize("NFKD", normalize("NFD", text).casefold()).casefold()
    return " ".join(normalize("NFKC", folded).split())


def _sha256(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class PageCopy(NamedTuple):
    """One of the documents with the same page key."""

    crawled: str  # ISO 8601, UTC; "" = unknown
    record: str
    id: str
    source: str = ""

    def rank(self) -> tuple[int, str, str, str]:
        """Returns the place in the order of survival: newest, then record, id, source."""
        return -moment(self.crawled), self.record, self.id, self.source


_DIGITS = 20  # year to microsecond


def moment(crawled: str) -> int:
    """Returns an ISO 8601 time as an ordered number, 0 for ""; WARC-Date may have fractions."""
    digits = re.sub(r"[^0-9]", "", crawled)[:_DIGITS]
    return int(digits.ljust(_DIGITS, "0"))
