"""The yield waterfall: how many pages, documents, images, pairs and videos came in, stayed, and why the others did not.

Made from the summed commit records of the stages, so that it stays true when units were retried, replayed or resumed.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

Counts = Mapping[str, int]
ALONG = "gone with a dropped document"
# What the sections of `select` are called here: where its kinds of items stay in the end.
TITLES = {
    "documents": "documents",
    "texts": "texts in documents",
    "images": "images in documents",
    "videos": "videos in documents",
    "image_text": "image-text pairs",
    "video_text": "video-text pairs",
}
# Sections of the texts that CapFilt judged, by origin; here, so that no reader of shards loads what judges them.
ORIGINS = {"web": "web_texts", "human": "human_texts", "synthetic": "synthetic_texts"}


def waterfall(extract: Counts, fetch: Counts, select: Counts) -> dict[str, Any]:
    """Returns {"sections": [{"section", "of", "came", "stayed", "steps": [{"name", "count"}], "drops": [...]}]}.

    A drop is {"stage", "reason", "count"}. `of` names the section whose items a section's items are parts
    of, "" for none: together they are the chain from pages to documents to images, pairs and videos.
    What neither stayed nor was dropped went with the item that it was a part of.
    """
    read, failed = extract.get("pages", 0), extract.get("failed_records", 0)
    found, kept = extract.get("interleaved", 0), select.get("interleaved", 0)
    return {
        "sections": [
            _section(
                "pages",
                "",
                (failed + read, found),
                _drops(extract, "pages", "extract"),
                ("records that give no page", failed),
                ("HTML pages read", read),
                ("pages with content", found),
            ),
            _section(
                "documents",
                "pages",
                (found, kept),
                _drops(select, "documents", "select"),
                ("extracted", found),
                ("in shards", kept),
            ),
            _places("texts", extract, select),
            _places("images", extract, select),
            _places("videos", extract, select),
            _pairs("image_text", extract, select),
            _pairs("video_text", extract, select),
            *(
                _judged(section, select)
                for section in ORIGINS.values()
                if any(section in key for key in select)
            ),
            *_reported(select),
            _files("images", "image files", fetch),
            _files("videos", "video files", fetch),
            *([_files("subtitles", "subtitle files", fetch)] if "subtitles.urls" in fetch else ()),
        ]
    }


def _places(kind: str, extract: Counts, select: Counts) -> dict[str, Any]:
    """Images (or videos) by their places in interleaved documents."""
    drops = _drops(select, kind, "select")
    placed, kept = extract.get(f"{kind}.referenced", 0), select.get(f"interleaved.{kind}", 0)
    with_documents = placed - kept - sum(drop["count"] for drop in drops)
    return _section(
        TITLES[kind],
        "documents",
        (placed, kept),
        drops,
        ("places in extracted documents", placed),
        (ALONG, with_documents),
        ("places in shards", kept),
    )


def _pairs(kind: str, extract: Counts, select: Counts) -> dict[str, Any]:
    found, kept = extract.get(kind, 0), select.get(kind, 0)
    return _section(
        TITLES[kind],
        "pages",
        (found, kept),
        _drops(select, kind, "select"),
        ("found", found),
        ("in shards", kept),
    )


def _judged(section: str, select: Counts) -> dict[str, Any]:
    """Texts that CapFilt judged, by origin."""
    drops = _drops(select, section, "select")
    kept = select.get(section, 0)
    judged = kept + sum(drop["count"] for drop in drops)
    ends = ("judged", judged), ("in shards", kept)
    return _section(section.replace("_", " "), TITLES["image_text"], (judged, kept), drops, *ends)


def _reported(select: Counts) -> Iterator[dict[str, Any]]:
    """Yields what is of an evaluation set and was only to be reported: it is in the shards."""
    found = {
        k.removeprefix("noted."): n for k, n in sorted(select.items()) if k.startswith("noted.")
    }
    if found:
        named = ((key.replace(".", ": ", 1), count) for key, count in found.items())
        yield _section("of evaluation sets, kept", "", (0, 0), [], *named)


def _files(kind: str, title: str, fetch: Counts) -> dict[str, Any]:
    """Distinct media URLs, of documents and pairs together."""
    urls = fetch.get(f"{kind}.urls", 0)
    archived, sent = fetch.get(f"{kind}.archive", 0), fetch.get(f"{kind}.http", 0)
    return _section(
        title,
        "",
        (urls, archived + sent),
        _drops(fetch, kind, "fetch"),
        ("distinct URLs", urls),
        ("taken from the crawl", archived),
        ("fetched over HTTP", sent),
    )


def _section(
    title: str, of: str, ends: tuple[int, int], drops: list[dict[str, Any]], *steps: tuple[str, int]
) -> dict[str, Any]:
    came, stayed = ends
    named = [{"name": label, "count": count} for label, count in steps]
    return {
        "section": title,
        "of": of,
        "came": came,
        "stayed": stayed,
        "steps": named,
        "drops": drops,
    }


def _drops(counts: Counts, section: str, stage: str) -> list[dict[str, Any]]:
    """Returns the drops of one stage in one section, the most frequent first."""
    prefix = f"rejects.{section}."
    return [
        {"stage": stage, "reason": key.removeprefix(prefix), "count": count}
        for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if key.startswith(prefix)
    ]


def thinned(
    flow: dict[str, Any], stage: str, drops: Mapping[tuple[str, str], int], along: Counts
) -> dict[str, Any]:
    """Returns a waterfall after more was dropped from what stayed.

    `drops` counts by (section, reason), `along` the media that went with their documents by section; sections are
    the keys of `TITLES`, others are not counted here.
    """
    sections = [dict(section) for section in flow["sections"]]
    for section in sections:
        key = next((k for k, title in TITLES.items() if title == section["section"]), "")
        mine = {reason: count for (where, reason), count in drops.items() if where == key}
        lost = sum(mine.values()) + along.get(key, 0)
        if not lost:
            continue
        steps = [dict(step) for step in section["steps"]]
        steps[-1]["count"] -= lost
        section["stayed"] -= lost
        for step in steps:
            if step["name"] == ALONG:
                step["count"] += along.get(key, 0)
        section["steps"], section["drops"] = steps, _merged(section["drops"], stage, mine)
    return {**flow, "sections": sections}


def _merged(drops: list[dict[str, Any]], stage: str, counts: Counts) -> list[dict[str, Any]]:
    """Returns the drops with those of a stage added to it, after the others, the most frequent first."""
    total = Counter(counts)
    for drop in drops:
        if drop["stage"] == stage:
            total[drop["reason"]] += drop["count"]
    own = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    return [
        *(drop for drop in drops if drop["stage"] != stage),
        *({"stage": stage, "reason": reason, "count": count} for reason, count in own),
    ]
