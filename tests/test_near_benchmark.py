"""The benchmark of near-duplicates: known pairs have the figures they must have."""

import json
import random
from pathlib import Path

import pytest
from fakes import picture

from benchmarks import dedup, dedup_documents, dedup_growth
from benchmarks.dedup_documents import (
    CHANGES,
    UNCOUNTED,
    Tally,
    indices,
    joined,
    queried,
    shingles,
)
from benchmarks.extraction import extract
from m3w_builder.inputs import plan, read_pages
from m3w_builder.types import Page

CRAWL = Path(__file__).parents[1] / "examples" / "crawl.warc.gz"
WORDS = [f"word{n}" for n in range(4000)]


def page(seed: int, paragraphs: int = 8) -> tuple[str, ...]:
    draw = random.Random(seed)
    lengths = [4, 40] * (paragraphs // 2)
    return tuple(" ".join(draw.choices(WORDS, k=length)) for length in lengths)


PAGES = [page(seed) for seed in range(6)]


@pytest.mark.parametrize(
    ("kind", "share", "low", "high"),
    [
        ("truncate", 0.1, 0.88, 0.92),
        ("truncate", 0.5, 0.47, 0.53),
        ("shuffle paragraphs", 1, 0.5, 0.95),
        ("change boilerplate", 0.1, 0.6, 0.9),
        ("edit words", 0.05, 0.4, 0.9),
        ("edit words", 0.3, 0, 0.3),
        (UNCOUNTED, 1, 1, 1),
    ],
)
def test_change_leaves_about_what_it_says(kind: str, share: float, low: float, high: float) -> None:
    change, _ = CHANGES[kind]
    around = dedup_documents.short_paragraphs(PAGES)
    for number, document in enumerate(PAGES):
        original, copy = change(document, share, random.Random(number), around)
        one, two = shingles(original), shingles(copy)
        assert low <= len(one & two) / len(one | two) <= high
        assert copy != original


def test_indices_are_of_every_pair_with_a_common_shingle() -> None:
    found = indices([("a b c d e f",), ("x y",), ("A, b c d e g!",), ("x y",)])
    assert found == {(0, 2): 1 / 3, (1, 3): 1.0}


def test_finders_join_copies_and_nothing_else() -> None:
    texts = ["\n".join(document) for document in [*PAGES, ("other words", *PAGES[2][1:])]]
    assert joined(texts) == {(2, 6)}
    pytest.importorskip("datasketch")
    assert queried(texts[:5] + texts[2:3], 0.75) == {(2, 5)}


def test_tally_counts_pairs_without_a_common_shingle_too() -> None:
    tally = Tally()
    truth = {(0, 3): 0.9, (1, 4): 0.6, (2, 5): 0.3, (0, 1): 0.95}  # the last: both originals
    tally.add(truth, {"ours": {(0, 3), (1, 5), (0, 1)}}, pairs=12, first=3)
    figures = tally.figures()
    assert figures["pairs_below_0.5"] == 10
    assert figures["false_join_rate"] == {"ours": 0.1}
    assert figures["found_from_0.85"] == {"ours": 1}
    assert figures["precision"] == {"ours": 0.5}
    bins = figures["joined_by_jaccard"]
    assert bins["0.60-0.70"] == {"pairs": 1, "ours": 0}
    assert bins["0.75-0.80"] == {"pairs": 0, "ours": None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pages = tmp_path / "pages"
    pages.mkdir()
    rows = []
    for number, document in enumerate(PAGES):
        body = "".join(f"<p>{paragraph}</p>" for paragraph in document)
        html = f"<html><body><article><h1>Title</h1>{body}</article></body></html>"
        (pages / f"{number}.html").write_text(html, encoding="utf-8")
        rows.append({"id": number, "html": f"{number}.html", "url": f"https://a.example/{number}"})
    for number, site in enumerate(("one", "one", "two", "two")):
        path = tmp_path / "sites" / site / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(640, 480, number))
    lines = "\n".join(map(json.dumps, rows))
    (pages / "manifest.jsonl").write_text(lines, encoding="utf-8")
    return tmp_path


def test_goals_hold_on_the_example_crawl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup_documents, "datasketch", lambda: None)
    pages = (page for unit in plan([str(CRAWL)]) for page in read_pages(unit, max_body=1 << 24))
    found = (extract(page) for page in pages if isinstance(page, Page))
    texts = {tuple(text.text for text in each[1].texts) for each in found if each}
    documents = sorted(t for t in texts if len(" ".join(t).split()) >= dedup_documents.MIN_WORDS)
    assert len(documents) > 30
    figures = dedup_documents.recall(documents[:30])
    assert {kind: len(shares) for kind, shares in figures["recall"].items()} == {
        kind: len(shares) for kind, (_, shares) in CHANGES.items()
    }
    assert figures["recall"][UNCOUNTED]["100%"]["ours"] == 1
    assert figures["joined_by_jaccard"]["0.85-0.90"]["pairs"] > 30
    assert figures["found_from_0.85"]["ours"] >= 0.99
    assert figures["false_join_rate"]["ours"] <= 0.001
    assert figures["precision"]["ours"] >= 0.99


def test_folder_is_measured(folder: Path) -> None:
    found = dedup_documents.measure(folder, sample=4)
    assert found["documents"] == 4
    assert found["together"]["found_from_0.85"]["ours_direct"] == 1
    assert dedup_documents.speeds(folder)["documents_per_s"] > 0


def test_growing_corpus_loses_its_planted_copies(folder: Path) -> None:
    pytest.importorskip("pipelines.copies")
    (row,) = dedup_growth.measure(folder, [100])
    assert row["planted"] == row["dropped"] == 20
    assert row["seconds"] > 0
    assert row["peak_mb"] > 50


def test_folder_without_pages_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        dedup.main([str(tmp_path)])
    assert "expected pages in */manifest.jsonl" in capsys.readouterr().err


def test_json_is_one_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("benchmarks.dedup_images")
    pytest.importorskip("pipelines.copies")
    dedup.main([str(folder), "--json", "--sizes=none"])
    found = json.loads(capsys.readouterr().out)
    assert found["documents_per_s"] > 0
    assert found["growth"] == []
    assert {"documents", "images"} <= found.keys()
