"""From tables to references: what select shuffles of a document, and what it can decide where the row is read.

A reference is a small dict. Whatever follows from a document's own row (opt-outs, rules on its scores) is decided on
the spot, as `verdict` and `drops`, so that scores need not travel; it takes effect after the newest capture of a page
is chosen, so that an older one never stands in for one that is refused.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from m3w_builder import decontaminate, dedup, privacy, rules, safety
from m3w_builder.config import Config
from m3w_builder.licences import licence_rule
from m3w_builder.optouts import REASON, evidence, page_refusal
from m3w_builder.select.frequency import key64, ngrams
from m3w_builder.select.outcomes import Drop, Reference
from m3w_builder.subtitles import spoken
from m3w_builder.tables import MEDIA_COLUMNS, OPTOUT_COLUMNS, Row, read_table
from m3w_builder.tombstones import REASON as REMOVED
from m3w_builder.tombstones import tombstones
from m3w_builder.types import OptOut

_COLUMNS = [
    *("id", "kind", "url", "canonical", "crawled", "record", "language", "text_sha256", "scores"),
    *("licence", "signature", *OPTOUT_COLUMNS, *MEDIA_COLUMNS),
    *(f"nodes.list.element.{name}" for name in ("role", "width", "height", "key")),
]
# Large columns, read only where a rule looks at them.
_TEXTS, _TEXT_SCORES = "nodes.list.element.text", "nodes.list.element.scores"


def references(path: Path, config: Config) -> Iterator[Reference]:
    """Yields a reference per row of a documents file, with what its own row decides."""
    columns = list(_COLUMNS)
    columns += [_TEXTS] if config.corpus.vocabulary or config.decontaminate.against else []
    columns += [_TEXT_SCORES] if _looks_at_texts(config) else []
    for number, row in enumerate(read_table(path, "documents", columns)):
        row["scores"] = dict(row["scores"])
        row["optouts"] = [OptOut(**optout) for optout in row["optouts"]]
        row["file"], row["row"] = path.name, number
        yield assess(row, config)


def _looks_at_texts(config: Config) -> bool:
    """Tells whether a single text can be dropped for what was measured of it."""
    personal = (getattr(config.privacy, kind) for kind in type(config.privacy).model_fields)
    return (
        rules.looks_at_texts(config.rules)
        or config.safety.judges_texts
        or any(handling == "drop" for handling in personal)
    )


def assess(row: Row, config: Config) -> Reference:
    """Returns the reference of a documents row: what travels of it, and what it decides by itself.

    What its texts are compared by (`text_sha256`, `signature`, evaluation texts) is the whole text as extracted:
    copies are copies whatever is dropped of each. Its `words` and `characters` are those of the texts that stay
    here; what `admit` drops besides, for its frequency, is still among them.
    """
    nodes = [
        rules.Node(node["type"], node["role"] or "", dict(node.get("scores") or ()))
        for node in row["nodes"]
    ]
    drops = _text_drops(row, nodes, config)
    scores = _remaining(row["scores"], nodes, drops)
    reference: Reference = {
        **{name: row[name] for name in ("id", "kind", "url", "crawled", "record", "file", "row")},
        **{name: row[name] for name in ("language", "text_sha256", "signature")},
        "page": dedup.page_key(row["url"]),
        "declared": dedup.page_key(row["url"], row["canonical"]),
        "nodes": len(nodes),
        "texts": sum(node.type == "text" for node in nodes),
        **{name: int(scores.get(name, 0)) for name in ("characters", "unigrams", "words")},
        "media": [
            (index, node["type"], node["url"], node["file"], (node["width"], node["height"]))
            for index, node in enumerate(row["nodes"])
            if node["type"] != "text"
        ],
        "tracks": [
            (index, url)
            for index, node in enumerate(row["nodes"])
            if node["type"] == "video" and node["file"]
            for url in dict.fromkeys(spoken(node["tracks"] or ()))
        ],
        "drops": drops,
        "verdict": _verdict(row, scores, drops, config),
    }
    if reference["verdict"]:
        return reference
    if found := page_refusal(row["url"], row["optouts"], config.rights, "image"):
        reference["withheld"] = evidence(found)
    sets = decontaminate.benchmark(config.decontaminate)
    if sets and (where := sets.text(_text(row))):
        reference["contaminated"] = where
        if config.decontaminate.mode == "remove":
            return {**reference, "verdict": (decontaminate.TEXT, where)}
    if row["kind"] == "interleaved":
        if config.corpus.max_paragraph_repeats:
            reference["paragraphs"] = [
                (index, _paragraph(row, node))
                for index, node in enumerate(row["nodes"])
                if node["type"] == "text"
            ]
    elif row["kind"] == "image_text" and config.corpus.vocabulary:
        reference["ngrams"] = ngrams(rules.words(dedup.normalise(_text(row))))
    return reference


def _remaining(
    scores: dict[str, float], nodes: list[rules.Node], drops: dict[int, Drop]
) -> dict[str, float]:
    """Returns a document's scores as they are after these texts were dropped: `rules.remaining`, and sums."""
    found = rules.remaining(scores, nodes, drops)
    if drops:
        left = [node.scores for n, node in enumerate(nodes) if n not in drops]
        for name in ("characters", "flagged_words"):
            found[name] = sum(one.get(name, 0.0) for one in left)
    return found


def _text(row: Row) -> str:
    return "\n".join(node["text"] for node in row["nodes"] if node["type"] == "text")


def _paragraph(row: Row, node: Row) -> int:
    """Returns what a paragraph shares with its repetitions in one domain."""
    return key64(urlsplit(row["url"]).hostname or "", node["key"])


def no_text_left(drops: Mapping[int, Drop]) -> Drop:
    """Returns the drop of a document all of whose texts went."""
    return "no_text_left", ", ".join(sorted({reason for reason, _ in drops.values()}))


def _text_drops(row: Row, nodes: list[rules.Node], config: Config) -> dict[int, Drop]:
    """Returns the texts that go, whatever the media are, by the index of their node."""
    found: dict[int, Drop] = {}
    for index, node in enumerate(nodes):
        drop = privacy.node_rule(node.scores, config.privacy) if node.scores else None
        if not drop and config.safety.judges_texts:
            drop = safety.text_rule(node.scores, config.safety)
        if drop:
            found[index] = drop
    if row["kind"] == "interleaved":
        return {**rules.node_drops(nodes, row["language"], config.rules), **found}
    return found


def _verdict(
    row: Row, scores: dict[str, float], drops: dict[int, Drop], config: Config
) -> Drop | None:
    """Returns why a document is dropped whatever its media are, None when that depends on them."""
    urls = [row["url"], row["canonical"]] if row["canonical"] else [row["url"]]
    if gone := tombstones(config.rights.removed).find(urls):
        return REMOVED, evidence(gone)
    if found := page_refusal(row["url"], row["optouts"], config.rights):
        return REASON, evidence(found)
    if verdict := safety.blocked(row["url"], config.safety):
        return verdict
    if verdict := licence_rule(row["licence"], config.rights):
        return verdict
    # Where single texts alone are judged, they were; what a plug-in says of the whole text counts in any case.
    explicit = scores if config.safety.judges_documents else {**scores, "flagged_words": 0.0}
    if row["kind"] != "interleaved":
        # What opts out of the use of its media alone (noimageai) leaves nothing of a pair, nor does its text.
        if found := page_refusal(row["url"], row["optouts"], config.rights, "image"):
            return REASON, evidence(found)
        return (
            next(iter(drops.values()), None)
            or rules.pair_rule(row["kind"], scores, row["language"], config.rules)
            or safety.text_rule({**explicit, "words": scores.get("unigrams", 0.0)}, config.safety)
        )
    if all(node["type"] == "text" for node in row["nodes"]):
        return "no_image", "the page shows none in its content"
    if drops and len(drops) == sum(node["type"] == "text" for node in row["nodes"]):
        return no_text_left(drops)
    return rules.decide(scores, row["language"], config.rules) or safety.text_rule(
        explicit, config.safety
    )


def media_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Yields (kind and URL, row) of a media file."""
    for row in read_table(path, "media"):
        row["scores"] = dict(row["scores"])
        row["optouts"] = [OptOut(**optout) for optout in row["optouts"]]
        yield f"{row['kind']} {row['url']}", row


def short(key: str) -> int:
    """Returns the first 64 bits of an id or sha256 in hex: what packed records know it by."""
    return int(key[:16], 16)
