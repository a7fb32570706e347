"""The waterfall is one chain, and nothing in it is lost without a name."""

from m3w_builder.waterfall import waterfall

EXTRACT = {
    "failed_records": 2,
    "pages": 10,
    "interleaved": 8,
    "image_text": 20,
    "images.referenced": 30,
    "rejects.pages.no_content": 2,
    "rejects.pages.http_status": 2,
}
FETCH = {"images.urls": 40, "images.archive": 30, "images.http": 4, "rejects.images.timeout": 6}
SELECT = {
    "interleaved": 5,
    "interleaved.images": 12,
    "image_text": 9,
    "rejects.documents.language": 1,
    "rejects.documents.words_too_few": 2,
    "rejects.images.image_too_small": 10,
    "rejects.image_text.alt_too_short": 11,
}


def sections() -> dict[str, dict]:
    return {s["section"]: s for s in waterfall(EXTRACT, FETCH, SELECT)["sections"]}


def test_sections_are_one_chain_from_pages() -> None:
    chain = {name: section["of"] for name, section in sections().items()}
    assert chain == {
        "pages": "",
        "documents": "pages",
        "texts in documents": "documents",
        "images in documents": "documents",
        "videos in documents": "documents",
        "image-text pairs": "pages",
        "video-text pairs": "pages",
        "image files": "",
        "video files": "",
    }


def test_what_came_stayed_was_dropped_or_went_with_its_document() -> None:
    for name, found in sections().items():
        gone = found["came"] - found["stayed"] - sum(d["count"] for d in found["drops"])
        assert gone == (8 if name == "images in documents" else 0), name
    ends = {name: (found["came"], found["stayed"]) for name, found in sections().items()}
    assert ends["pages"] == (12, 8)
    assert ends["documents"] == (8, 5)
    assert ends["image files"] == (40, 34)


def test_drops_are_ordered_by_count() -> None:
    assert sections()["documents"]["drops"] == [
        {"stage": "select", "reason": "words_too_few", "count": 2},
        {"stage": "select", "reason": "language", "count": 1},
    ]
