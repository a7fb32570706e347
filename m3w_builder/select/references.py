"""From tables to references: what select shuffles of a document, and what it can decide where the row is read.

A reference is a small dict. Whatever follows from a document's own row (opt-outs, rules on its scores) is decided on
the spot, as `verdict` and `drops`, so that scores need not travel; it takes effect after the newest capture of a page
is chosen, so that an older one never stands in for one that is refused.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from m3w_builder import dedup, rules
from m3w_builder.config import Config
from m3w_builder.optouts import REASON, evidence, page_refusal
from m3w_builder.select.frequency import key64, ngrams
from m3w_builder.select.outcomes import Drop, Reference
from m3w_builder.subtitles import spoken
from m3w_builder.tables import MEDIA_COLUMNS, OPTOUT_COLUMNS, Row, read_table
from m3w_builder.types import OptOut

_COLUMNS = [
    *(
        "id",
        "kind",
        "url",
        "canonical",
        "crawled",
        "record",
        "language",
        "text_sha256",
        "scores",
        "licence",
    ),
    *("signature", *OPTOUT_COLUMNS, *MEDIA_COLUMNS),
    *(f"nodes.list.element.{name}" for name in ("role", "width", "height", "key", "scores")),
]
_TEXTS = "nodes.list.element.text"  # read only where a rule looks at words


def references(path: Path, config: Config) -> Iterator[Reference]:
    """Yields a reference per row of a documents file, with what its own row decides."""
    columns = [*_COLUMNS, _TEXTS] if _needs_texts(config) else _COLUMNS
    for number, row in enumerate(read_table(path, "documents", columns)):
        row["scores"] = dict(row["scores"])
        row["optouts"] = [OptOut(**optout) for optout in row["optouts"]]
        row["file"], row["row"] = path.name, number
        yield assess(row, config)


def _needs_texts(config: Config) -> bool:
    return bool(config.corpus.vocabulary)


def assess(row: Row, config: Config) -> Reference:
    """Returns the reference of a documents row: what travels of it, and what it decides by itself."""
    nodes = row["nodes"]
    texts = [(index, node) for index, node in enumerate(nodes) if node["type"] == "text"]
    reference: Reference = {
        **{name: row[name] for name in ("id", "kind", "url", "crawled", "record", "file", "row")},
        "page": dedup.page_key(row["url"], row["canonical"]),
        **{name: row[name] for name in ("text_sha256", "signature")},
        "nodes": len(nodes),
        "texts": len(texts),
        "characters": int(row["scores"].get("characters", 0)),
        "unigrams": int(row["scores"].get("unigrams", 0)),
        "media": [
            (index, node["type"], node["url"], node["file"])
            for index, node in enumerate(nodes)
            if node["type"] != "text"
        ],
        "tracks": [
            (index, url)
            for index, node in enumerate(nodes)
            if node["type"] == "video" and node["file"]
            for url in dict.fromkeys(spoken(node["tracks"] or ()))
        ],
        "verdict": _verdict(row, config),
    }
    if reference["verdict"]:
        return reference
    if found := page_refusal(row["url"], row["optouts"], config.rights, "image"):
        reference["withheld"] = evidence(found)
    if row["kind"] == "interleaved":
        if config.corpus.max_paragraph_repeats:
            reference["paragraphs"] = [(index, _paragraph(row, node)) for index, node in texts]
    elif row["kind"] == "image_text" and config.corpus.vocabulary:
        words = rules.words(dedup.normalise(" ".join(node["text"] for _, node in texts)))
        reference["ngrams"] = ngrams(words)
    return reference


def _paragraph(row: Row, node: Row) -> int:
    """Returns what a paragraph shares with its repetitions in one domain."""
    return key64(urlsplit(row["url"]).hostname or "", node["key"])


def _verdict(row: Row, config: Config) -> Drop | None:
    """Returns why a document is dropped whatever its media are, None when that depends on them."""
    if found := page_refusal(row["url"], row["optouts"], config.rights):
        return REASON, evidence(found)
    if row["kind"] != "interleaved":
        # What opts out of the use of its media alone (noimageai) leaves nothing of a pair.
        found = page_refusal(row["url"], row["optouts"], config.rights, "image")
        return (REASON, evidence(found)) if found else None
    if all(node["type"] == "text" for node in row["nodes"]):
        return "no_image", "the page shows none in its content"
    return rules.decide(row["scores"], row["language"], config.rules)


def media_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Yields (kind and URL, row) of a media file."""
    for row in read_table(path, "media"):
        row["scores"] = dict(row["scores"])
        row["optouts"] = [OptOut(**optout) for optout in row["optouts"]]
        yield f"{row['kind']} {row['url']}", row


def short(key: str) -> int:
    """Returns the first 64 bits of an id or sha256 in hex: what packed records know it by."""
    return int(key[:16], 16)
