"""Selection over references: one reason per drop, survivors that do not depend on the order of arrival."""

import random
import re
from hashlib import sha256

import pytest

from m3w_builder.config import Config, RightsConfig, parse
from m3w_builder.near.minhash import signature
from m3w_builder.rules import measure_texts
from m3w_builder.select.admit import admit, clip, join, media_records, needs, text_records
from m3w_builder.select.captures import one_capture, page_of, settle
from m3w_builder.select.copies import Copy, copy_of, entries, others_go
from m3w_builder.select.frequency import Hit, What
from m3w_builder.select.outcomes import Dropped, partition_of, write_partition
from m3w_builder.select.references import assess, short
from m3w_builder.tables import read_table
from m3w_builder.types import OptOut, Text, document_id

CONFIG = Config()
PROSE = (
    "The harbour of the old town lies between two hills, and its boats leave with the morning tide to fish. "
    "People have lived here since the bronze age; they built walls of grey stone that still stand above the water. "
    "Visitors come by ferry in summer, walk along the quay, and eat what was caught that day in small kitchens."
)


def row_of(
    url="https://ex.com/p", kind="interleaved", media=("https://ex.com/a.jpg",), texts=1, **fields
):
    """A row of a documents file: texts first, then media, a URL (an image) or the fields of a node."""
    text = {"type": "text", "text": PROSE, "role": "paragraph", "key": 7, "scores": []}
    nodes = [
        {"type": "image", "url": one} if isinstance(one, str) else {"type": "video", **one}
        for one in media
    ]
    empty = dict.fromkeys(("url", "file", "tracks", "key", "role", "scores", "width", "height"))
    first = nodes[0]["url"] if nodes else ""
    found = {
        "id": document_id(kind, url, "" if kind == "interleaved" else first),
        "kind": kind,
        "url": url,
        "canonical": "",
        "crawled": "2024-01-01T00:00:00Z",
        "record": f"record of {url}",
        "language": "en",
        "text_sha256": f"{short(document_id('interleaved', url)):016x}",
        "signature": b"",
        "licence": "",
        "optouts": [],
        "scores": {
            **measure_texts((Text(PROSE),), "en")[1],
            "language_score": 0.99,
            "characters": 300.0,
            "unigrams": 8.0,
        },
        "file": "f.parquet",
        "row": 0,
        "nodes": [{**empty, **node} for node in [text] * texts + nodes],
    }
    return {**found, **fields}


def reference(*args, config=CONFIG, **fields):
    return assess(row_of(*args, **fields), config)


def judge(row, config=CONFIG):
    return settle(assess(row, config))


VIDEO = {"url": "https://ex.com/v.mp4", "file": True}


def sha(name):
    return name if re.fullmatch("[0-9a-f]{64}", name) else sha256(name.encode()).hexdigest()


def image(name="s1", width=640, height=480, **fields):
    found = {
        "kind": "image",
        "status": "ok",
        "sha256": sha(name),
        "source_sha256": sha(name),
        "width": width,
        "height": height,
        "url": "https://ex.com/a.jpg",
        "final_url": "",
        "optouts": [],
        "length": 1000,
        "frames": [],
        "scores": {"flatness": 40.0},
        "phash": "",
        "phash_firm": "",
        "content_type": "image/jpeg",
        "format": "jpg",
        "group": short(sha(name)),
    }
    return {**found, **fields}


def reasons(outcomes):
    return [(o.section, o.reject.reason) for o in outcomes if isinstance(o, Dropped)]


def kept(outcomes):
    return [o for o in outcomes if not isinstance(o, Dropped)]


def test_good_document_passes_every_step():
    (outcome,) = admit(judge(row_of()), [(1, image())], [], CONFIG)
    assert outcome["keep"] == [0, 1]
    assert [row["node"] for row in outcome["media"]] == [1]
    assert outcome["bytes"] == 1300


def test_newest_capture_of_a_page_wins_in_any_order():
    rows = [
        reference(crawled=f"2024-0{m}-01T00:00:00Z", record=f"r{m}", file=f"{m}.parquet")
        for m in (1, 3, 2)
    ]
    for _ in range(6):
        random.shuffle(rows)
        outcomes = list(one_capture(rows))
        assert [row["record"] for row in kept(outcomes)] == ["r3"]
        assert reasons(outcomes) == [("documents", "duplicate_page")] * 2


def test_record_archived_twice_gives_one_document():
    rows = [reference(file="a.parquet"), reference(file="b.parquet")]
    assert [row["file"] for row in kept(one_capture(rows))] == ["a.parquet"]


def test_tracking_parameters_do_not_make_another_page():
    assert page_of(reference("https://ex.com/p?utm_source=x&id=3")) == page_of(
        reference("https://ex.com/p?id=3")
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"media": []}, "no_image"),
        ({"language": "fr"}, "language"),
        ({"scores": {**row_of()["scores"], "words": 49.0}}, "words_too_few"),
    ],
)
def test_documents_are_judged_without_media(fields, reason):
    assert reasons([judge(row_of(**fields), CONFIG)]) == [("documents", reason)]


def test_pairs_are_not_judged_by_document_rules():
    assert kept([judge(row_of(kind="image_text", language="fr"), CONFIG)])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (image(width=63), "image_too_small"),
        (image(width=1000, height=300), "aspect_ratio"),
        (image(scores={"flatness": 0.0}), "single_colour"),
        (image(status="timeout"), "image_unavailable"),
    ],
)
def test_document_without_an_image_left_is_dropped_with_both_reasons(row, reason):
    outcomes = list(admit(reference(), [(1, row)], [], CONFIG))
    assert reasons(outcomes) == [("images", reason), ("documents", "no_image_left")]
    assert outcomes[-1].reject.detail == reason


def test_image_repeated_in_a_document_is_kept_once():
    document = reference(media=("https://ex.com/a.jpg", "https://ex.com/copy.jpg"))
    outcomes = list(admit(document, [(1, image("s")), (2, image("s"))], [], CONFIG))
    assert reasons(outcomes) == [("images", "repeated_image")]
    assert kept(outcomes)[0]["keep"] == [0, 1]


def test_player_page_is_dropped_from_the_sequence_with_a_reason():
    player = {"url": "https://player.ex.com/1", "file": False}
    document = reference(media=("https://ex.com/a.jpg", player))
    assert [url for url, _ in needs(document)] == ["image https://ex.com/a.jpg"]
    assert reasons(admit(document, [(1, image())], [], CONFIG)) == [("videos", "video_player")]


@pytest.mark.parametrize(
    ("row", "unigrams", "reason"),
    [
        (image(width=200), 8, "pair_image_too_small"),
        (image(), 2, "alt_too_short"),
        (image(), 21, "alt_too_long"),
        (image(status="http_status"), 8, "image_unavailable"),
    ],
)
def test_pair_is_dropped_with_one_reason(row, unigrams, reason):
    pair = reference(kind="image_text", scores={"unigrams": float(unigrams), "language_score": 0.9})
    assert reasons(admit(pair, [(1, row)], [], CONFIG)) == [("image_text", reason)]


def test_video_pair_needs_words_and_frames():
    pair = reference(kind="video_text", media=(VIDEO,))
    frames = [{"t": 0, "offset": 0, "length": 10, "sha256": "x"}]
    assert kept(admit(pair, [(1, image(kind="video", frames=frames))], [], CONFIG))
    assert reasons(admit(pair, [(1, image(kind="video"))], [], CONFIG)) == [
        ("video_text", "video_no_frames")
    ]


def with_tracks(kind="video_text"):
    tracks = [
        {"url": f"https://ex.com/{name}.vtt", "kind": "subtitles", "language": "en", "label": ""}
        for name in "ba"
    ]
    return reference(kind=kind, media=({**VIDEO, "tracks": tracks},))


def video(seconds=1):
    frames = [{"t": t, "offset": 0, "length": 10, "sha256": "x"} for t in range(seconds)]
    return image(kind="video", frames=frames, length=0)


def track(name, **fields):
    row = {"kind": "subtitles", "status": "ok", "url": f"https://ex.com/{name}.vtt", "length": 500}
    row |= {"final_url": "", "source_sha256": "", "optouts": []}
    return {**row, "sha256": name, "frames": [], "scores": {}, **fields}


def test_subtitles_are_joined_to_their_video():
    assert [url for url, _ in needs(with_tracks())] == [
        "video https://ex.com/v.mp4",
        "subtitles https://ex.com/b.vtt",
        "subtitles https://ex.com/a.vtt",
    ]
    rows = [(1, track("b")), (1, video()), (1, track("a"))]
    for kind in ("video_text", "interleaved"):
        for order in (rows, rows[::-1]):
            (outcome,) = admit(with_tracks(kind), order, [], CONFIG)
            assert [row["sha256"] for row in outcome["media"]] == [sha("s1")]
            assert [row["sha256"] for row in outcome["subtitles"]] == ["a", "b"]
            assert outcome["bytes"] == 10 + 500 + 500 + 300


@pytest.mark.parametrize("rows", [[], [(1, track("a", status="not_subtitles"))]])
def test_subtitles_that_cannot_be_had_never_drop_the_video(rows):
    (outcome,) = admit(with_tracks(), [(1, video()), *rows], [], CONFIG)
    assert (outcome["keep"], outcome["subtitles"]) == ([0, 1], [])


def test_subtitles_alone_are_no_video():
    gone = {**video(), "status": "timeout"}
    assert reasons(admit(with_tracks(), [(1, gone), (1, track("a"))], [], CONFIG)) == [
        ("video_text", "video_unavailable")
    ]


def test_pair_has_the_middle_of_a_long_video_and_a_document_all_of_it():
    def seconds(kind, **settings):
        config = parse({"select": settings})
        (outcome,) = admit(with_tracks(kind), [(1, video(100))], [], config)
        return [frame["t"] for frame in outcome["media"][0]["frames"]]

    assert seconds("video_text") == list(range(35, 65))
    assert seconds("video_text", clip_seconds=7) == list(range(46, 53))
    assert seconds("video_text", clip_seconds=0) == list(range(100))
    assert seconds("interleaved") == list(range(100))


def test_clip_of_a_short_video_is_all_of_it():
    assert [clip(range(n), 3) for n in range(6)] == [
        range(0), range(1), range(2), range(3), range(3), range(1, 4),
    ]  # fmt: skip


def test_media_meets_every_document_that_needs_it():
    row = image()
    needed = [("d1", 1, "interleaved"), ("d2", 4, "interleaved")]
    assert list(join(needed, [row])) == [("d1", (1, row)), ("d2", (4, row))]
    assert list(join(needed, [])) == []


def copy(url, images=1, size=640, **fields):
    """A document that was admitted with so many images."""
    media = tuple(f"https://ex.com/{n}.jpg" for n in range(images))
    rows = [(n + 1, image(f"{url} {n}", width=size)) for n in range(images)]
    (outcome,) = admit(reference(url, media=media, **fields), rows, [], CONFIG)
    return outcome


def test_best_of_copies_survives_in_any_order():
    copies = [
        copy("https://a.com/", 1),
        copy("https://b.com/", 3),
        copy("https://c.com/", 3, size=600),
        copy("https://d.com/", 2),
    ]
    for _ in range(6):
        random.shuffle(copies)
        drops = list(others_go(copy_of(one)[1] for one in copies))
        assert {drop.reject.url for drop in drops} == {
            "https://a.com/", "https://c.com/", "https://d.com/",
        }  # fmt: skip
        assert all("https://b.com/" in drop.reject.detail and drop.veto for drop in drops)


def ranked(**fields):
    base = {
        "id": "5" * 20,
        "kind": "interleaved",
        "url": "https://ex.com/",
        "content": "c",
        "declared": fields.get("id", ""),
    }
    return Copy(**{**base, "pixels": 9, "characters": 9, "crawled": "2024-01-01", **fields})


@pytest.mark.parametrize(
    "better",
    [
        {"earlier": "old", "pixels": 1},
        {"pixels": 10, "characters": 1},
        {"characters": 10, "crawled": "2020-01-01"},
        {"crawled": "2024-01-02", "id": "9" * 20},
        {"id": "1" * 20},
    ],
)
def test_order_of_survival_is_earlier_pixels_characters_newest_id(better):
    assert ranked(**better).rank() < ranked().rank()


def test_equal_contents_and_similar_ones_have_reasons_of_their_own():
    copies = [ranked(id="1" * 20), ranked(id="2" * 20), ranked(id="3" * 20, content="d")]
    assert reasons(others_go(copies)) == [
        ("documents", "duplicate_content"), ("documents", "near_duplicate"),
    ]  # fmt: skip


def test_earlier_dataset_loses_nothing_and_is_named():
    copies = [ranked(id="1" * 20), *(ranked(id=f"{n}" * 20, earlier="old") for n in (2, 3))]
    (drop,) = others_go(copies)
    assert drop.reject.id == "1" * 20
    assert drop.reject.detail.endswith(" in old")


def keys(kept):
    return set(entries(kept)["key"].tolist())


def test_documents_with_equal_texts_meet_and_with_others_do_not():
    one, same = (
        copy("https://a.com/", text_sha256="ab" * 32),
        copy("https://b.com/", text_sha256="ab" * 32),
    )
    other = copy("https://c.com/")
    assert keys(one) & keys(same)
    assert not keys(one) & keys(other)


def test_documents_with_similar_texts_meet():
    one = copy("https://a.com/", signature=signature(PROSE * 3))
    near = copy("https://b.com/", signature=signature(PROSE * 3 + " The end."))
    assert keys(one) & keys(near)


def test_documents_that_show_the_same_picture_meet():
    one, other = copy("https://a.com/"), copy("https://b.com/")
    other["media"][0]["group"] = one["media"][0]["group"]
    one["signature"] = other["signature"] = signature(PROSE)
    assert keys(one) & keys(other)


def test_pairs_are_equal_by_the_look_of_their_image_and_their_text():
    def pair(url, group, text):
        found = reference(url, kind="image_text", text_sha256=text * 64)
        (outcome,) = admit(found, [(1, image(url, group=group))], [], CONFIG)
        return outcome

    one = pair("https://a.com/", 1, "a")
    assert keys(one) == keys(pair("https://b.com/", 1, "a"))
    assert not keys(one) & keys(pair("https://b.com/", 2, "a"))
    assert not keys(one) & keys(pair("https://b.com/", 1, "b"))


def test_images_are_counted_by_page_and_pairs_by_text_and_image():
    needed = [("1" * 20, 1, "interleaved"), ("2" * 20, 3, f"image_text {'a' * 64}")]
    found = media_records(needed, [image("5" * 64), image(status="timeout")])
    assert {(row["what"], row["key"], row["counted"]) for row in found} == {
        (What.IMAGE, short("5" * 64), short("1" * 20)),
        (What.PAIR_IMAGE, short("5" * 64), short("a" * 64)),
        (What.PAIR_TEXT, short("a" * 64), short("5" * 64)),
    }


def test_paragraphs_are_counted_by_domain_only_where_asked():
    config = parse({"corpus": {"max_paragraph_repeats": 2}})
    here, there = (
        text_records(reference(url, config=config))
        for url in ("https://ex.com/1", "https://other.com/1")
    )
    same = text_records(reference("https://ex.com/2", config=config))
    assert here["key"].tolist() == same["key"].tolist() != there["key"].tolist()
    assert not len(text_records(reference()))


def test_image_on_too_many_pages_goes():
    row = image("5" * 64)
    hit = Hit(What.IMAGE, short("5" * 64), 11)
    outcomes = list(admit(reference(), [(1, row)], [hit], CONFIG))
    assert reasons(outcomes)[0] == ("images", "image_too_frequent")
    assert outcomes[0].reject.detail == "11 pages > 10"
    assert kept(admit(reference(), [(1, row)], [hit._replace(key=6)], CONFIG))


def test_paragraph_on_too_many_pages_of_a_domain_goes():
    config = parse({"corpus": {"max_paragraph_repeats": 2}})
    document = reference(texts=2, config=config)
    document["paragraphs"][1] = (1, 8)
    hits = [Hit(What.PARAGRAPH, 8, 3)]
    dropped, outcome = admit(document, [(2, image())], hits, config)
    assert (dropped.section, dropped.reject.reason) == ("texts", "paragraph_too_frequent")
    assert outcome["keep"] == [0, 2]


def test_document_whose_texts_all_go_is_dropped():
    document = {**reference(), "drops": {0: ("words_too_few", "1 < 4")}}
    assert reasons(admit(document, [(1, image())], [], CONFIG)) == [("documents", "no_text_left")]


@pytest.mark.parametrize(
    ("hit", "reason"),
    [
        (Hit(What.PAIR_TEXT, 1, 11), "text_of_many_images"),
        (Hit(What.PAIR_IMAGE, short("5" * 64), 1001), "image_of_many_texts"),
        (Hit(What.NGRAM, 9, 1), "rare_words"),
    ],
)
def test_pair_beyond_a_corpus_bound_is_dropped(hit, reason):
    pair = reference(kind="image_text")
    assert reasons(admit(pair, [(1, image("5" * 64))], [hit], CONFIG)) == [("image_text", reason)]


def test_partitions_are_equal_shares_of_the_id_space():
    ids = [document_id("interleaved", f"https://ex.com/{n}") for n in range(2000)]
    shares = [partition_of({"id": i}, 8) for i in sorted(ids)]
    assert shares == sorted(shares)
    assert all(200 < shares.count(n) < 300 for n in range(8))


def test_partition_is_written_in_id_order_with_its_rejects(tmp_path):
    media = {"detail": None, **image()}
    rows = []
    for n in range(5):
        (row,) = admit(reference(f"https://ex.com/{n}"), [(1, media)], [], CONFIG)
        rows.append(row)
    dropped = judge(row_of(media=[]), CONFIG)
    random.shuffle(rows)
    counts = write_partition(0, [*rows, dropped], tmp_path)
    ids = [row["id"] for row in read_table(tmp_path / "selected" / "00000.parquet", "selected")]
    assert ids == sorted(ids)
    assert len(ids) == counts["interleaved"] == counts["interleaved.images"] == 5
    assert "interleaved.subtitles" not in counts
    assert counts["rejects.documents.no_image"] == 1
    (reject,) = read_table(tmp_path / "rejects" / "00000.parquet", "rejects")
    assert reject["reason"] == "no_image"


WHEN = "2024-01-01T00:00:00Z"


def page_says(words, signal="meta-robots"):
    return {"optouts": [OptOut(signal, "https://ex.com/p", words, WHEN)]}


@pytest.mark.parametrize("kind", ["interleaved", "image_text"])
def test_page_that_opts_out_is_dropped_before_any_rule(kind):
    outcome = judge(row_of(kind=kind, language="fr", **page_says("noai")), CONFIG)
    section = "documents" if kind == "interleaved" else kind
    assert reasons([outcome]) == [(section, "opted_out")]
    assert outcome.reject.detail == f"meta-robots: noai (https://ex.com/p, {WHEN})"


def test_page_whose_signal_is_ignored_stays():
    rights = RightsConfig(ignore=("meta-robots",))
    assert kept([judge(row_of(**page_says("noai")), Config(rights=rights))])
    assert reasons([judge(row_of(**page_says("1", "tdm-header")), Config(rights=rights))])


def test_page_that_withholds_its_images_is_not_joined_with_them():
    (document,) = kept([judge(row_of(**page_says("noimageai")), CONFIG)])
    assert list(needs(document)) == []
    outcomes = list(admit(document, [], [], CONFIG))
    assert reasons(outcomes) == [("images", "opted_out"), ("documents", "no_image_left")]
    assert outcomes[0].reject.detail.startswith("meta-robots: noimageai (")
    pair = judge(row_of(kind="image_text", **page_says("noimageai")), CONFIG)
    assert reasons([pair]) == [("image_text", "opted_out")]


def test_image_that_opts_out_is_dropped_whatever_the_page_says():
    optouts = [OptOut("x-robots-tag", "https://ex.com/a.jpg", "noimageai", WHEN)]
    row = image(optouts=optouts)
    assert reasons(admit(reference(), [(1, row)], [], CONFIG))[0] == ("images", "opted_out")
    assert kept(
        admit(reference(), [(1, row)], [], Config(rights=RightsConfig(ignore=("x-robots-tag",))))
    )
    gone = image(status="opted_out", detail="robots.txt: Disallow: / (https://ex.com/robots.txt)")
    dropped = list(admit(reference(), [(1, gone)], [], CONFIG))
    assert reasons(dropped)[0] == ("images", "opted_out")
    assert dropped[0].reject.detail == gone["detail"]


@pytest.mark.parametrize(
    ("line", "page", "picture"),
    [
        ("ex.com", "opted_out", None),
        ("https://ex.com/p", "opted_out", None),
        ("https://ex.com/a.jpg", None, "opted_out"),
        ("https://cdn.ex.com/", None, "opted_out"),
        ("ab" * 32, None, "opted_out"),
        ("cd" * 32, None, "opted_out"),
        ("other.com", None, None),
    ],
)
def test_users_list_is_obeyed_for_pages_and_media(line, page, picture, tmp_path):
    (tmp_path / "list.txt").write_text(f"# asked by mail\n{line}\n")
    rights = RightsConfig(optout_lists=(str(tmp_path / "list.txt"),))
    row = image("ab" * 32, source_sha256="cd" * 32, final_url="https://cdn.ex.com/a.jpg")
    outcome = judge(row_of(), Config(rights=rights))
    assert reasons([outcome]) == ([("documents", page)] if page else [])
    outcomes = list(admit(reference(), [(1, row)], [], Config(rights=rights)))
    found = ("images", "opted_out") in reasons(outcomes)
    assert found is (picture is not None or line == "ex.com")
    if found:
        assert "list.txt" in next(o.reject.detail for o in outcomes if isinstance(o, Dropped))
    ignoring = RightsConfig(optout_lists=rights.optout_lists, ignore=("list",))
    assert kept(
        admit(judge(row_of(), Config(rights=ignoring)), [(1, row)], [], Config(rights=ignoring))
    )


def test_medium_that_was_not_asked_for_is_a_drop():
    outcomes = list(admit(reference(), [], [], CONFIG))
    assert reasons(outcomes)[0] == ("images", "image_unavailable")
