"""The yield waterfall: how many pages, documents, images, pairs and videos came in, stayed, and why the others did not.

Made from the summed commit records of the stages, so that it stays true when units were retried, replayed or resumed.
"""

from collections.abc import Mapping
from typing import Any

Counts = Mapping[str, int]


def waterfall(extract: Counts, fetch: Counts, select: Counts) -> dict[str, Any]:
    """Returns {"sections": [{"section", "steps": [{"name", "count"}], "drops": [{"stage", "reason", "count"}]}]}."""
    stages = {"extract": extract, "fetch": fetch, "select": select}
    placed, shown = extract.get("images.referenced", 0), select.get("interleaved.images", 0)
    dropped = sum(n for key, n in select.items() if key.startswith("rejects.images."))

    def section(name: str, *steps: tuple[str, int]) -> dict[str, Any]:
        return {
            "section": name,
            "steps": [{"name": label, "count": count} for label, count in steps],
            "drops": _drops(name, stages),
        }

    return {
        "sections": [
            section(
                "pages",
                ("records without a page", extract.get("failed_records", 0)),
                ("HTML pages read", extract.get("pages", 0)),
                ("pages with content", extract.get("interleaved", 0)),
            ),
            section(
                "documents",
                ("extracted", extract.get("interleaved", 0)),
                ("in shards", select.get("interleaved", 0)),
            ),
            section(
                "images",
                ("distinct URLs", fetch.get("images.urls", 0)),
                ("taken from the crawl", fetch.get("images.archive", 0)),
                ("fetched over HTTP", fetch.get("images.http", 0)),
                ("places in extracted documents", placed),
                ("places in documents that were dropped", placed - shown - dropped),
                ("places in documents in shards", shown),
            ),
            section(
                "image_text",
                ("pairs found", extract.get("image_text", 0)),
                ("in shards", select.get("image_text", 0)),
            ),
            section(
                "videos",
                ("distinct URLs", fetch.get("videos.urls", 0)),
                ("taken from the crawl", fetch.get("videos.archive", 0)),
                ("fetched over HTTP", fetch.get("videos.http", 0)),
                ("frames sampled at 1 per second", fetch.get("frames", 0)),
            ),
            section(
                "video_text",
                ("pairs found", extract.get("video_text", 0)),
                ("in shards", select.get("video_text", 0)),
            ),
        ]
    }


def _drops(section: str, stages: Mapping[str, Counts]) -> list[dict[str, Any]]:
    prefix = f"rejects.{section}."
    return [
        {"stage": stage, "reason": key.removeprefix(prefix), "count": count}
        for stage, counts in stages.items()
        for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if key.startswith(prefix)
    ]
