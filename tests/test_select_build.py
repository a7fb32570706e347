"""Evaluation sets, lists and the rules on texts in the select stage as a whole, and that its sums add up."""

import random
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import dataset
from measured import page, pair, photo, prose
from test_select_pipeline import corpus, reasons, selected, stages

from m3w_builder.config import parse
from m3w_builder.shards import open_dataset
from m3w_builder.tables import read_table
from m3w_builder.types import Frame, Media, OptOut, Text, Video
from m3w_builder.waterfall import ALONG, waterfall
from pipelines import select

QUESTION = (
    "Which of the two swans on the grey lake is the older one, and which of them is the younger?"
)
MAIL = "Write to jane.doe@harbour-example.org before you come."
FLAGGED = "Two pornstars and a gangbang."


def noted(work):
    """Returns (URL, reason) of all that was found and kept."""
    rows = (
        row for path in work.glob("select-*/noted/*.parquet") for row in read_table(path, "rejects")
    )
    return sorted((row["url"].rsplit("/", 1)[1], row["reason"]) for row in rows)


def evaluation(tmp_path):
    """A set of a question, a picture (p0 and what looks like it) and a picture known by its bytes (q)."""
    theirs = photo("p0"), photo("q")
    rows = [
        {"phash_firm": theirs[0].phash_firm, "sha256": "", "question": ""},
        {"phash_firm": "", "sha256": theirs[1].sha256, "question": ""},
        {"phash_firm": "", "sha256": "", "question": QUESTION},
    ]
    path = tmp_path / "vqa.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


DOCUMENTS = [
    page("https://a.example/look", prose(1), images=("p5", "r")),
    page("https://a.example/bytes", prose(2), images=("q",)),
    page("https://a.example/asked", prose(3), QUESTION, images=("s",)),
    page("https://a.example/clean", prose(4), images=("t",)),
    pair("https://a.example/pair", "q", "A swan on a lake"),
    pair("https://a.example/question", "s", QUESTION),
]
MEDIA = [photo("p5", flips=5), *(photo(name) for name in "qrst")]


def test_evaluation_sets_are_removed_with_their_evidence(tmp_path):
    against = {"against": [evaluation(tmp_path)]}
    kept, dropped, counts = selected(tmp_path / "w", DOCUMENTS, MEDIA, decontaminate=against)
    assert {row[0] for row in kept} == {DOCUMENTS[0].id, DOCUMENTS[3].id}
    assert reasons(dropped) == [
        ("asked", "evaluation_text"), ("bytes", "no_image_left"), ("p5.jpg", "evaluation_image"),
        ("pair", "evaluation_image"), ("q.jpg", "evaluation_image"), ("question", "evaluation_text"),
    ]  # fmt: skip
    details = {url: detail for _, url, reason, detail in dropped if reason.startswith("evaluation")}
    assert all(detail.startswith("vqa.parquet: ") for detail in details.values())
    assert details["https://cdn.example/p5.jpg"].endswith("5 bits of PDQ differ")
    assert noted(tmp_path / "w") == []
    assert not [key for key in counts if key.startswith("noted")]


def test_evaluation_image_drops_its_page_where_asked(tmp_path):
    table = {"against": [evaluation(tmp_path)], "drop": "page"}
    kept, dropped, _ = selected(tmp_path / "w", DOCUMENTS, MEDIA, decontaminate=table)
    assert {row[0] for row in kept} == {DOCUMENTS[3].id}
    assert ("look", "evaluation_image") in reasons(dropped)


def test_evaluation_sets_are_reported_and_everything_stays(tmp_path):
    table = {"against": [evaluation(tmp_path)], "mode": "report", "drop": "page"}
    plain = selected(tmp_path / "plain", DOCUMENTS, MEDIA)
    kept, dropped, counts = selected(tmp_path / "w", DOCUMENTS, MEDIA, decontaminate=table)
    assert (kept, dropped) == plain[:2] == (kept, [])
    assert noted(tmp_path / "w") == [
        ("asked", "evaluation_text"), ("p5.jpg", "evaluation_image"), ("q.jpg", "evaluation_image"),
        ("q.jpg", "evaluation_image"), ("question", "evaluation_text"),
    ]  # fmt: skip
    assert {key: n for key, n in counts.items() if key.startswith("noted")} == {
        "noted.documents.evaluation_text": 1,
        "noted.images.evaluation_image": 2,
        "noted.image_text.evaluation_image": 1,
        "noted.image_text.evaluation_text": 1,
    }


def test_videos_go_by_the_bytes_of_a_frame(tmp_path):
    frames = tuple(Frame(t, 0, 10, f"{t:064x}") for t in range(3))
    url = "https://cdn.example/v.mp4"
    row = Media(url, "video", sha256="e" * 64, source_sha256="e" * 64, frames=frames)
    document = page("https://a.example/1", prose(1), Video(url), images=("r",))
    path = tmp_path / "frames.csv"
    path.write_text(f"sha256\n{frames[1].sha256}\n")
    table = {"against": [str(path)]}
    kept, dropped, _ = selected(tmp_path / "w", [document], [photo("r"), row], decontaminate=table)
    assert reasons(dropped) == [("v.mp4", "evaluation_image")]
    assert [row[0] for row in kept] == [document.id]


def test_a_line_more_in_a_list_or_set_selects_anew(tmp_path):
    blocked, against = tmp_path / "blocked.txt", tmp_path / "set.txt"
    blocked.write_text("bad.example\n")
    against.write_text(f"{QUESTION}\n")
    tables = {
        "safety": {"block_lists": [str(blocked)]},
        "decontaminate": {"against": [str(against)]},
        "rights": {"removed": [str(tmp_path / "removed.txt")]},
    }
    (tmp_path / "removed.txt").write_text("gone.example\n")
    fetch = stages(tmp_path / "w", [], [])
    before = select.open_select(fetch, tmp_path / "w", parse(tables)).folder
    assert select.open_select(fetch, tmp_path / "w", parse(tables)).folder == before
    for path in (blocked, against, tmp_path / "removed.txt"):
        more = "worse.example" if path != against else QUESTION.replace("swans", "geese")
        path.write_text(f"{path.read_text()}{more}\n")
        after = select.open_select(fetch, tmp_path / "w", parse(tables)).folder
        assert after != before
        before = after


def test_texts_that_go_are_told_and_left_out(tmp_path):
    document = page("https://a.example/1", prose(1), MAIL, FLAGGED)
    tables = {"privacy": {"email": "drop"}, "safety": {"scope": "node"}}
    kept, dropped, counts = selected(tmp_path / "w", [document], [photo("a")], **tables)
    assert [row[1] for row in kept] == [[0, 3]]
    assert reasons(dropped) == [("1", "explicit_text"), ("1", "personal_data")]
    assert (counts["interleaved.texts"], counts["rejects.texts.personal_data"]) == (1, 1)
    masked = selected(tmp_path / "m", [document], [photo("a")], safety={"scope": "node"})
    assert [row[1] for row in masked[0]] == [[0, 1, 3]]


def everything(tmp_path):
    """Tables with every decision on, and a corpus that meets them."""
    documents, media = corpus()
    documents += [
        *DOCUMENTS,
        page("https://b.example/mail", prose(60), MAIL, images=("r", "s")),
        page("https://b.example/flagged", prose(61), FLAGGED, images=("u",)),
        page("https://b.example/shown", prose(66), images=("u", "s")),
        page("https://b.example/only", f"{MAIL} And more of it."),
        page("https://b.example/heading", Text("2024", "heading"), prose(62), images=("s",)),
        page("https://gone.example/1", prose(63)),
        replace(
            page("https://b.example/noai", prose(64)),
            optouts=(OptOut("meta-robots", "https://b.example/noai", "noai", ""),),
        ),
        page("https://bad.example/1", prose(65)),
        *(page(f"https://c.example/{n}", prose(70 + n), "All rights reserved.") for n in range(4)),
        page("https://c.example/missing", prose(75), images=("nowhere", "t")),
    ]
    media = [one for one in media if one.url not in {m.url for m in MEDIA}]
    media += [*MEDIA, photo("u", scores={"flatness": 50.0, "pdq_quality": 100.0, "nsfw": 0.9})]
    (tmp_path / "removed.txt").write_text("gone.example\n")
    (tmp_path / "blocked.txt").write_text("bad.example\n")
    tables = {
        "rights": {"removed": [str(tmp_path / "removed.txt")]},
        "safety": {"block_lists": [str(tmp_path / "blocked.txt")]},
        "privacy": {"email": "drop"},
        "corpus": {"max_paragraph_repeats": 2},
        "decontaminate": {"against": [evaluation(tmp_path)], "mode": "report"},
        "dedup": {"against": [str(dataset(tmp_path / "old", pages=2, pairs=2))]},
    }
    return documents, media, tables


def test_order_splitting_workers_and_blocks_change_nothing(tmp_path, monkeypatch):
    documents, media, tables = everything(tmp_path)
    expected = selected(tmp_path / "0", documents, media, **tables)
    assert {reason for _, _, reason, _ in expected[1]} >= {
        "removed", "opted_out", "blocked_url", "explicit_image", "personal_data", "no_text_left",
        "explicit_text", "paragraph_too_frequent", "near_duplicate", "image_unavailable",
    }  # fmt: skip
    assert noted(tmp_path / "0")
    for n, (files, workers, blocks) in enumerate([(5, 1, 64), (7, 2, 3)], 1):
        monkeypatch.setattr(select, "blocks_for", lambda _documents, blocks=blocks: blocks)
        random.Random(n).shuffle(documents)
        random.Random(n).shuffle(media)
        assert selected(tmp_path / f"{n}", documents, media, files, workers, **tables) == expected
        assert noted(tmp_path / f"{n}") == noted(tmp_path / "0")


@pytest.mark.parametrize("safety", [{}, {"scope": "node"}])
def test_sums_of_the_waterfall_add_up(tmp_path, safety):
    """What came, stayed or was dropped; parts that did neither were of a document that is not in."""
    documents, media, tables = everything(tmp_path)
    tables["safety"] |= safety
    kept, dropped, counts = selected(tmp_path / "w", documents, media, **tables)
    kinds = Counter(document.kind for document in documents)
    nodes = Counter(
        f"{type(node).__name__.lower()}s.referenced"
        for document in documents
        for node in document.nodes
        if document.kind == "interleaved"
    )
    flow = {s["section"]: s for s in waterfall({**kinds, **nodes}, {}, counts)["sections"]}
    for title in ("documents", "image-text pairs"):
        section = flow[title]
        assert section["came"] == section["stayed"] + sum(d["count"] for d in section["drops"])
    lost = {d.id: d for d in documents if d.kind == "interleaved"}
    for key, *_ in kept:
        lost.pop(key, None)
    told = sum(key in lost and url.startswith("https://cdn.example/") for key, url, *_ in dropped)
    assert along(flow["images in documents"]) == sum(len(d.images) for d in lost.values()) - told
    texts = sum(len(d.texts) for d in lost.values())
    assert 0 < along(flow["texts in documents"]) <= texts


def along(section):
    return next(step["count"] for step in section["steps"] if step["name"] == ALONG)


def test_a_dataset_without_firm_hashes_is_known_by_its_bytes(tmp_path):
    """Datasets of before they were written."""
    folder = dataset(tmp_path / "old", pairs=1)
    (record,) = (r for r in open_dataset(folder).records() if r["kind"] == "image_text")
    picture = next(info for info in record["info"] if info["type"] == "image")
    caption = next(text for text in record["texts"] if text)
    assert not picture.get("phash_firm")
    documents = [
        pair("https://new.example/1", "copy", caption),
        pair("https://new.example/2", "p", caption),
    ]
    media = [photo("copy", sha256=picture["sha256"]), photo("p")]
    tables = {"dedup": {"against": [str(folder)]}, "rules": {"min_pair_side": 1}}
    kept, dropped, _ = selected(tmp_path / "new", documents, media, **tables)
    assert [row[0] for row in kept] == [documents[1].id]
    assert reasons(dropped) == [("1", "duplicate_content")]
