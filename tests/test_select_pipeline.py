"""The select stage as a whole: order, splitting, workers and blocks change nothing; earlier datasets count."""

import random
from dataclasses import replace

import pytest
from fakes import dataset
from measured import page, pair, photo, prose

from m3w_builder.config import parse
from m3w_builder.dedup import text_key
from m3w_builder.errors import InputError
from m3w_builder.shards import open_dataset
from m3w_builder.stages import open_stage
from m3w_builder.tables import document_row, media_row, read_table, write_table
from m3w_builder.types import OptOut
from pipelines import select


def stages(work, documents, media, files=1):
    """Returns a finished fetch stage over the given documents and media, cut into so many files."""
    extract = open_stage(work, "extract", ["test"])
    for n in range(files):
        rows = (document_row(d, text_key(d.texts)) for d in documents[n::files])
        write_table(extract.folder / "documents" / f"{n:03d}.parquet", "documents", rows)
    extract.finish()
    fetch = open_stage(work, "fetch", ["test"], [extract])
    for n in range(files):
        rows = map(media_row, media[n::files])
        write_table(fetch.folder / "media" / f"{n:03d}.parquet", "media", rows)
    fetch.finish()
    return fetch


def selected(work, documents, media, files=1, workers=1, **tables):
    """Returns what is selected (id, nodes, media) and what is dropped (id, URL, reason, detail)."""
    config = parse(tables)
    fetch = stages(work, documents, media, files)
    stage = select.open_select(fetch, work, config)
    select.run(fetch, stage, config, [f"--workers={workers}"])
    kept = [
        (row["id"], row["keep"], [one["sha256"] for one in row["media"]])
        for path in stage.files("selected")
        for row in read_table(path, "selected")
    ]
    dropped = [
        (row["id"], row["url"], row["reason"], row["detail"])
        for path in stage.files("rejects")
        for row in read_table(path, "rejects")
    ]
    return sorted(kept), sorted(dropped), stage.counts()


def reasons(dropped):
    return sorted((url.rsplit("/", 1)[1], reason) for _, url, reason, _ in dropped)


def corpus():
    """Pages with every kind of copy, shared picture and shared text."""
    texts = {n: prose(n) for n in range(12)}
    documents = [
        page(f"https://s{n % 3}.example/{n}", texts[n], images=(f"p{n}",)) for n in range(12)
    ]
    documents += [
        page("https://x.example/equal", texts[0], images=("q",)),
        page("https://x.example/near", texts[1] + " The end.", images=("q", "r")),
        page("https://x.example/nearer", texts[1] + " The very end.", images=("q",)),
        page("https://s1.example/1?utm_source=x", prose(50), crawled="2023-01-01T00:00:00Z"),
    ]
    documents += [
        pair(f"https://s.example/{n}", f"p{n}", f"A boat of wood number {n}") for n in range(4)
    ]
    documents += [
        pair(f"https://s.example/same{n}", f"logo{n}", "Logo of the harbour") for n in range(14)
    ]
    media = [photo(f"p{n}") for n in range(12)] + [photo("q"), photo("r"), photo("a")]
    media += [photo(f"logo{n}", flips=3) for n in range(14)]
    return documents, media


def test_order_splitting_workers_and_blocks_change_nothing(tmp_path, monkeypatch):
    documents, media = corpus()
    expected = selected(tmp_path / "0", documents, media)
    assert {"near_duplicate", "duplicate_content", "duplicate_page", "text_of_many_images"} <= {
        reason for _, _, reason, _ in expected[1]
    }
    for n, (files, workers, blocks) in enumerate([(1, 1, 1), (5, 1, 64), (7, 2, 3)], 1):
        monkeypatch.setattr(select, "blocks_for", lambda _documents, blocks=blocks: blocks)
        random.Random(n).shuffle(documents)
        random.Random(n).shuffle(media)
        assert selected(tmp_path / f"{n}", documents, media, files, workers) == expected


def test_component_of_three_keeps_the_one_with_the_largest_images(tmp_path):
    one = prose(1, 400)
    documents = [
        page("https://a.example/1", one, images=("p",)),
        page("https://b.example/2", one + " And so it went on.", images=("q", "r")),
        page("https://c.example/3", one + " And that was all.", images=("q",)),
        page("https://d.example/4", prose(2), images=("q",)),
    ]
    kept, dropped, _ = selected(tmp_path, documents, [photo(n) for n in "pqr"])
    assert {row[0] for row in kept} == {documents[1].id, documents[3].id}
    assert reasons(dropped) == [("1", "near_duplicate"), ("3", "near_duplicate")]
    assert all(f"{documents[1].id} https://b.example/2" in detail for *_, detail in dropped)


def test_same_pictures_lower_the_bar_for_texts(tmp_path):
    """Two texts of Jaccard index 0.67: copies only where they stand with the same pictures."""
    head = prose(1, 600)
    first, second = head + " " + prose(2, 120), head + " " + prose(3, 120)
    other = page("https://b.example/2", second, images=("p9", "q9"))
    media = [photo(f"{name}{n}", flips=n) for name in "pq" for n in (0, 9)] + [
        photo("r"),
        photo("s"),
    ]
    shown = page("https://a.example/1", first, images=("p0", "q0"))
    assert len(selected(tmp_path / "same", [shown, other], media)[0]) == 1
    apart = page("https://a.example/1", first, images=("r", "s"))
    assert len(selected(tmp_path / "apart", [apart, other], media)[0]) == 2
    off = {"dedup": {"min_joint_jaccard": 1.0}}
    assert len(selected(tmp_path / "off", [shown, other], media, **off)[0]) == 2


def test_one_picture_in_two_sizes_with_one_text_is_one_pair(tmp_path):
    documents = [
        pair("https://a.example/1", "p0", "A boat in the harbour"),
        pair("https://b.example/2", "p7", "A boat in the harbour"),
        pair("https://c.example/3", "p7", "A boat at sea"),
    ]
    media = [photo("p0"), photo("p7", flips=7, width=320, height=240)]
    kept, dropped, _ = selected(tmp_path / "near", documents, media)
    assert reasons(dropped) == [("p7.jpg", "near_duplicate")] or reasons(dropped) == [
        ("2", "near_duplicate")
    ]
    assert len(kept) == 2
    bytes_alone = {"dedup": {"image_distance": 0}}
    assert len(selected(tmp_path / "bytes", documents, media, **bytes_alone)[0]) == 3


def test_pictures_of_low_quality_are_equal_by_their_bytes_alone(tmp_path):
    documents = [pair(f"https://a.example/{n}", f"p{n}", "A boat in the harbour") for n in (0, 1)]
    media = [photo(f"p{n}", scores={"flatness": 50.0, "pdq_quality": 10.0}) for n in (0, 1)]
    assert len(selected(tmp_path, documents, media)[0]) == 2


def test_logo_on_more_than_ten_pages_goes_and_its_pages_stay(tmp_path):
    documents = [
        page(f"https://a.example/{n}", prose(n), images=("logo", f"p{n}")) for n in range(11)
    ]
    media = [photo("logo"), *(photo(f"p{n}", flips=100) for n in range(11))]
    kept, dropped, counts = selected(tmp_path / "11", documents, media)
    assert len(kept) == 11
    assert counts["rejects.images.image_too_frequent"] == len(dropped) == 11
    kept, dropped, _ = selected(tmp_path / "10", documents[:10], media)
    assert dropped == []


def test_paragraph_on_many_pages_of_a_domain_goes_as_in_obelics(tmp_path):
    documents = [
        page(f"https://{host}.example/{n}", prose(n), "All rights reserved by the harbour.")
        for n, host in enumerate(["a", "a", "a", "b", "b"])
    ]
    table = {"corpus": {"max_paragraph_repeats": 2}}
    kept, _, counts = selected(tmp_path, documents, [photo("a")], **table)
    assert counts["rejects.texts.paragraph_too_frequent"] == 3
    assert sorted(keep for _, keep, _ in kept) == [[0, 1, 2], [0, 1, 2], [0, 2], [0, 2], [0, 2]]


def test_rare_words_are_outside_the_vocabulary(tmp_path):
    documents = [pair(f"https://a.example/{n}", f"p{n}", "A boat at sea") for n in range(5)]
    documents.append(pair("https://a.example/x", "p5", "A boat named Xqzzv"))
    media = [photo(f"p{n}", flips=100) for n in range(6)]
    _, dropped, _ = selected(tmp_path / "on", documents, media, corpus={"vocabulary": 8})
    assert [reason for _, _, reason, _ in dropped] == ["rare_words"]
    assert len(selected(tmp_path / "default", documents, media)[0]) == 6


def test_pages_of_one_declared_address_are_one_page(tmp_path):
    boat = "https://a.example/boat"
    documents = [
        page(f"{boat}?view={n}", prose(n), canonical=boat, images=("a", "b")[: n % 2 + 1])
        for n in (1, 2)
    ]
    documents.append(page(boat, prose(3)))
    kept, dropped, _ = selected(tmp_path, documents, [photo("a"), photo("b")])
    assert [row[0] for row in kept] == [documents[0].id]  # has the most to show
    assert {reason for _, _, reason, _ in dropped} == {"duplicate_page"}
    assert all(detail.startswith(f"declares {boat}, as does") for *_, detail in dropped)


def test_captures_of_one_address_are_one_page_whatever_each_declares(tmp_path):
    old = page("https://a.example/1", prose(1), images=("a",))
    new = page(
        "https://a.example/1",
        prose(2),
        images=("b",),
        canonical="https://a.example/one",
        crawled="2025-01-01T00:00:00Z",
        record="<new>",
    )
    better = page("https://b.example/2", prose(1), images=("a", "b"))
    kept, dropped, _ = selected(tmp_path, [old, new, better], [photo("a"), photo("b")])
    shown = {row[0]: row[2] for row in kept}
    assert shown == {
        new.id: [photo("b").sha256],
        better.id: [photo("a").sha256, photo("b").sha256],
    }
    assert [(key, reason) for key, _, reason, _ in dropped] == [(old.id, "duplicate_page")]


@pytest.mark.parametrize("refused", ["noai", "short"])
def test_older_capture_never_stands_in_for_a_newer_one_that_is_refused(tmp_path, refused):
    old = page("https://a.example/1", prose(1))
    if refused == "noai":
        new = replace(old, optouts=(OptOut("meta-robots", old.url, "noai", ""),))
    else:
        new = page("https://a.example/1", "Gone.")
    new = replace(new, crawled="2025-01-01T00:00:00Z", record="<new>")
    kept, dropped, _ = selected(tmp_path, [old, new], [photo("a")])
    assert kept == []
    assert len(dropped) == 2


def test_what_a_finished_dataset_has_is_not_taken_again(tmp_path):
    old = open_dataset(dataset(tmp_path / "old", pages=2, pairs=2, videos=1))
    records = list(old.records())
    old_page = next(record for record in records if record["kind"] == "interleaved")
    texts = [text for text in old_page["texts"] if text]
    old_pair = next(record for record in records if record["kind"] == "image_text")
    picture = next(info for info in old_pair["info"] if info["type"] == "image")
    caption = next(text for text in old_pair["texts"] if text)
    documents = [
        page(old_page["url"] + "?utm_source=mail", prose(1), canonical="https://example.org/x"),
        page("https://new.example/equal", *texts),
        page("https://new.example/near", *texts[:-1], texts[-1] + "!"),
        page("https://new.example/other", prose(2)),
        pair("https://new.example/again", "copy", caption),
        pair("https://new.example/words", "copy", "Other words for the same picture"),
    ]
    media = [photo("a"), photo("copy", sha256=picture["sha256"])]
    tables = {
        "dedup": {"against": [str(tmp_path / "old")]},
        "rules": {"text_rules": False, "min_pair_side": 1},
    }
    kept, dropped, _ = selected(tmp_path / "new", documents, media, **tables)
    assert {row[0] for row in kept} == {documents[3].id, documents[5].id}
    assert {(key, reason) for key, _, reason, _ in dropped} == {
        (documents[0].id, "duplicate_page"),
        (documents[1].id, "duplicate_content"),
        (documents[2].id, "near_duplicate"),
        (documents[4].id, "duplicate_content"),
    }
    assert all(detail.endswith("in old") for *_, detail in dropped)


def test_earlier_dataset_that_is_none_is_one_line(tmp_path):
    config = parse({"dedup": {"against": [str(tmp_path / "nothing")]}})
    fetch = stages(tmp_path, [], [])
    with pytest.raises(InputError, match="expected a finished dataset"):
        select.open_select(fetch, tmp_path, config)
