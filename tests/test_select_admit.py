"""What is decided where a document meets its media: one reason each, in a stated order."""

import random
from collections import Counter

import pytest
from fakes import picture
from test_select import PROSE, VIDEO, image, kept, reasons, reference, row_of, sha, track

from m3w_builder.config import parse
from m3w_builder.decontaminate import Item, save
from m3w_builder.decontaminate.items import Picture, measured
from m3w_builder.select.admit import admit
from m3w_builder.select.captures import one_capture, settle
from m3w_builder.select.outcomes import Dropped, Noted, drop, write_partition
from m3w_builder.select.references import assess
from m3w_builder.types import OptOut, Reject

A, B = "https://ex.com/a.jpg", "https://ex.com/b.jpg"


def decided(tables, *rows, kind="interleaved", media=(A, B), hits=(), annotations=(), **fields):
    """Returns what becomes of a document of one text whose media are these rows, in their order."""
    config = parse(tables)
    document = assess(row_of(kind=kind, media=media, **fields), config)
    assert document["verdict"] is None
    place = document["nodes"] - len(media)
    numbered = list(enumerate(rows, place))
    return list(admit(document, numbered, hits, config, annotations))


def sized(width, height):
    """The nodes of a document whose image has a declared size."""
    row = row_of(media=(A,))
    row["nodes"][1] |= {"width": width, "height": height}
    return row["nodes"]


def bound(**limits):
    return {"rules": {"bounds": [{"subject": "image", **limits}]}}


@pytest.mark.parametrize(
    ("tables", "first", "declared", "reason"),
    [
        ({"rules": {"min_declared_side": 150}}, {}, (100, 300), "declared_too_small"),
        ({"rules": {"min_declared_side": 150}}, {}, (150, None), ""),
        ({"rules": {"min_declared_side": 150}}, {}, (None, None), ""),
        ({"rules": {"max_declared_side": 500}}, {}, (10, 501), "declared_too_large"),
        ({"rules": {"image_url_words": ["a"]}}, {}, (None, None), "image_url_word"),
        ({"rules": {"image_formats": ["png"]}}, {"content_type": "image/jpeg"}, (None, None), "image_format"),
        ({"rules": {"image_formats": ["gif"]}}, {"content_type": "image/gif"}, (None, None), ""),
        ({"rules": {"image_formats": ["jpg"]}}, {"content_type": ""}, (None, None), ""),
        (bound(score="aesthetics", min=5), {"scores": {"flatness": 9.0, "aesthetics": 4.5}}, (None, None),
         "bound_aesthetics"),
        (bound(score="aesthetics", min=5), {}, (None, None), ""),  # was not scored
        ({"rules": {"min_image_side": 150}}, {"width": 149, "height": 200}, (None, None), "image_too_small"),
    ],
)  # fmt: skip
def test_rules_on_single_images(tables, first, declared, reason):
    found = decided(tables, image(**first), media=(A,), nodes=sized(*declared))
    left = [("images", reason), ("documents", "no_image_left")]
    assert reasons(found) == (left if reason else [])


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"min_images": 3}, "images_too_few"),
        ({"min_images": 2}, ""),
        ({"max_images": 1}, "images_too_many"),
        ({"max_images": 2}, ""),
    ],
)
def test_images_of_a_document_are_counted_after_others_went(rules, reason):
    media = (A, B, "https://ex.com/c.jpg")
    rows = image(), image("s2"), image("s3", width=10)
    found = decided({"rules": rules}, *rows, media=media)
    expected = [("images", "image_too_small"), *([("documents", reason)] if reason else [])]
    assert reasons(found) == expected


def test_words_for_each_of_many_images_are_bounded():
    media = (A, B, "https://ex.com/c.jpg")
    rows = image(), image("s2"), image("s3")
    words = int(row_of()["scores"]["words"])
    for least, expected in ((words // 3, []), (words // 3 + 1, [("documents", "words_per_image")])):
        assert (
            reasons(decided({"rules": {"min_words_per_image": least}}, *rows, media=media))
            == expected
        )


def test_pairs_have_the_thresholds_of_their_language():
    scores = {"unigrams": 3.0, "language_score": 0.9}
    tables = {"rules": {"per_language": {"de": {"min_alt_unigrams": 4}}}}
    for language, expected in (("de", [("image_text", "alt_too_short")]), ("en", [])):
        pair = {"kind": "image_text", "media": (A,), "scores": scores, "language": language}
        assert reasons(decided(tables, image(), **pair)) == expected


EXPLICIT = {"scores": {"flatness": 40.0, "nsfw": 0.81}}


@pytest.mark.parametrize(
    ("safety", "expected"),
    [
        ({}, [("images", "explicit_image"), ("documents", "explicit_image")]),
        ({"scope": "node"}, [("images", "explicit_image")]),
        ({"max_nsfw": 0.81}, []),
        ({"max_nsfw": 1.0}, []),
    ],
)
def test_explicit_image_takes_its_document_along_or_goes_alone(safety, expected):
    found = decided({"safety": safety}, image(**EXPLICIT), image("s2"))
    assert reasons(found) == expected
    assert len(kept(found)) == (("documents", "explicit_image") not in expected)


def test_explicit_pair_goes_whatever_the_scope():
    for scope in ("document", "node"):
        found = decided(
            {"safety": {"scope": scope}}, image(**EXPLICIT), kind="image_text", media=(A,)
        )
        assert reasons(found) == [("image_text", "explicit_image")]


def test_medium_with_two_faults_has_one_reason():
    """Explicit and too small; explicit and the same bytes again; opted out and blocked."""
    tables = {"safety": {"scope": "node", "block_lists": []}}
    small = image(**EXPLICIT, width=10)
    assert reasons(decided(tables, small, image("s2"))) == [("images", "explicit_image")]
    twice = decided(tables, image(**EXPLICIT), image(**EXPLICIT), image("s2"), media=(A, B, A))
    assert reasons(twice) == [("images", "explicit_image")] * 2
    optouts = [OptOut("x-robots-tag", A, "noai", "")]
    bad = image(url="https://cdn.xxx/a.jpg", optouts=optouts)
    assert reasons(decided(tables, bad, image("s2"))) == [("images", "opted_out")]


def lines(tmp_path, name, *entries):
    (tmp_path / name).write_text("".join(f"{entry}\n" for entry in entries))
    return str(tmp_path / name)


@pytest.mark.parametrize(
    ("url", "final_url", "blocked"),
    [
        ("https://bad.example/a.jpg", "", True),
        (A, "https://bad.example/a.jpg", True),
        (A, "https://host.xxx/a.jpg", True),  # its own name says it
        (A, "https://good.example/bad.example/a.jpg", False),
    ],
)
def test_block_lists_are_of_media_and_what_they_redirect_to(tmp_path, url, final_url, blocked):
    tables = {"safety": {"block_lists": [lines(tmp_path, "blocked.txt", "bad.example")]}}
    found = decided(tables, image(url=url, final_url=final_url), image("s2"))
    assert reasons(found) == ([("images", "blocked_url")] if blocked else [])


@pytest.mark.parametrize(
    "entry", [A, "https://cdn.ex.com/a.jpg", "cdn.ex.com", sha("s1"), sha("source")]
)
def test_media_that_were_taken_down_go(tmp_path, entry):
    rights = {"rights": {"removed": [lines(tmp_path, "removed.txt", entry)]}}
    row = image(final_url="https://cdn.ex.com/a.jpg", source_sha256=sha("source"))
    found = decided(rights, row, image("s2", url=B))
    assert reasons(found) == [("images", "removed")]
    assert "removed.txt" in found[0].reject.detail


def test_order_of_rights_is_removed_opted_out_blocked(tmp_path):
    rights = {"removed": [lines(tmp_path, "removed.txt", A)]}
    tables = {"rights": rights, "safety": {"block_lists": [lines(tmp_path, "b.txt", "ex.com")]}}
    tables["safety"]["block_hosts"] = False
    optouts = [OptOut("x-robots-tag", A, "noai", "")]
    gone = image(status="opted_out", detail="robots.txt", sha256="", source_sha256="")
    other = image("s2", url="https://cdn.example/b.jpg")
    page = {"url": "https://page.example/1"}
    for row in (image(optouts=optouts), gone, image(status="timeout")):
        assert reasons(decided(tables, row, other, **page)) == [("images", "removed")]
    rights["removed"] = []
    for row in (image(optouts=optouts), gone):
        assert reasons(decided(tables, row, other, **page)) == [("images", "opted_out")]
    assert reasons(decided(tables, image(), other, **page)) == [("images", "blocked_url")]


def video(*frames):
    found = [{"t": t, "offset": 0, "length": 10, "sha256": sha(f)} for t, f in enumerate(frames)]
    return image("v", kind="video", frames=found, length=0, url=VIDEO["url"], phash="")


def test_video_goes_with_a_frame_that_was_taken_down(tmp_path):
    rights = {"rights": {"removed": [lines(tmp_path, "removed.txt", sha("f2"))]}}
    found = decided(rights, image(), video("f1", "f2"), media=(A, VIDEO))
    assert reasons(found) == [("videos", "removed")]
    assert reasons(decided(rights, video("f2"), kind="video_text", media=(VIDEO,))) == [
        ("video_text", "removed")
    ]
    assert not reasons(decided(rights, video("f1"), kind="video_text", media=(VIDEO,)))


@pytest.mark.parametrize(
    ("table", "key"),
    [("rights", "removed"), ("rights", "optout_lists"), ("safety", "block_lists")],
)
def test_subtitles_that_must_not_be_used_go_without_their_video(tmp_path, table, key):
    link = {"url": "https://cc.example/a.vtt", "kind": "subtitles", "language": "en", "label": ""}
    media = ({**VIDEO, "tracks": [link]},)
    row = track("a", url=link["url"])
    for entry in ("cc.example", "other.example"):
        config = parse({table: {key: [lines(tmp_path, f"{entry}.txt", entry)]}})
        document = assess(row_of(kind="video_text", media=media), config)
        (outcome,) = admit(document, [(1, video("f")), (1, row)], [], config)
        assert len(outcome["subtitles"]) == (entry == "other.example")
        assert len(outcome["media"]) == 1


@pytest.fixture
def against(tmp_path):
    """An evaluation set of one picture and the frame of a video."""
    item = measured(Picture("coco", "7.jpg", picture(320, 240, 7)))
    frame = Item("video", "1.jpg", sha256=sha("f2"))
    save(tmp_path / "set.parquet", [item, frame])
    return item, str(tmp_path / "set.parquet")


def evaluated(against, **fields):
    item, path = against
    looks = {"phash": item.phash, "phash_firm": item.phash_firm}
    bytes_, look = image(item.sha256), image("s3", **looks)
    look["scores"]["pdq_quality"] = 100.0
    return {"decontaminate": {"against": [path], **fields}}, bytes_, look


def test_evaluation_images_go_by_their_bytes_and_by_their_look(against):
    tables, by_bytes, by_look = evaluated(against)
    found = decided(tables, by_bytes, by_look, image("s2"), media=(A, B, "https://ex.com/c.jpg"))
    assert reasons(found) == [("images", "evaluation_image")] * 2
    details = [o.reject.detail for o in found if isinstance(o, Dropped)]
    assert details == ["coco: 7.jpg: the same bytes", "coco: 7.jpg: 0 bits of PDQ differ"]
    assert [row["node"] for row in kept(found)[0]["media"]] == [3]
    by_look["scores"]["pdq_quality"] = 10.0  # shows too little to be sure
    assert not reasons(decided(tables, by_look, image("s2")))
    only = decided(tables, by_bytes, media=(A,))
    assert reasons(only) == [("images", "evaluation_image"), ("documents", "no_image_left")]


def test_evaluation_image_takes_its_page_along_where_asked(against):
    tables, by_bytes, _ = evaluated(against, drop="page")
    assert reasons(decided(tables, by_bytes, image("s2"))) == [
        ("images", "evaluation_image"), ("documents", "evaluation_image"),
    ]  # fmt: skip


def test_evaluation_images_are_reported_and_kept(against):
    tables, by_bytes, _ = evaluated(against, mode="report", drop="page")
    *noted, outcome = decided(tables, by_bytes, image("s2"))
    assert [(n.section, n.reject.reason) for n in noted] == [("images", "evaluation_image")]
    assert [type(n) for n in noted] == [Noted]
    assert len(outcome["media"]) == 2
    noted, outcome = decided(tables, by_bytes, kind="image_text", media=(A,))
    assert (noted.section, noted.reject.reason) == ("image_text", "evaluation_image")
    gone = decided({**tables, "rules": {"min_images": 3}}, by_bytes, image("s2"))
    assert not any(
        isinstance(o, Noted) for o in gone
    )  # what goes for another reason is not in the data


def test_evaluation_pairs_and_videos_go(against):
    tables, by_bytes, _ = evaluated(against)
    assert reasons(decided(tables, by_bytes, kind="image_text", media=(A,))) == [
        ("image_text", "evaluation_image")
    ]
    pair = {"kind": "video_text", "media": (VIDEO,)}
    assert reasons(decided(tables, video("f1", "f2"), **pair)) == [
        ("video_text", "evaluation_image")
    ]
    assert not reasons(decided(tables, video("f1"), **pair))
    found = decided(tables, image(), video("f1", "f2"), media=(A, VIDEO))
    assert reasons(found) == [("videos", "evaluation_image")]


def test_evidence_is_cut_in_every_reject(tmp_path):
    long = Item("coco", "x" * 1000, sha256=sha("s1"))
    save(tmp_path / "set.parquet", [long])
    for mode in ("remove", "report"):
        tables = {"decontaminate": {"against": [str(tmp_path / "set.parquet")], "mode": mode}}
        outcome = decided(tables, image(), image("s2"))[0]
        assert len(outcome.reject.detail) == 500


def test_without_evaluation_sets_nothing_is_compared(against):
    _, by_bytes, by_look = evaluated(against)
    for mode in ("remove", "report"):
        found = decided({"decontaminate": {"mode": mode, "drop": "page"}}, by_bytes, by_look)
        assert [type(o) for o in found] == [dict]


@pytest.mark.parametrize("capfilt", [{}, {"min_match": 0.9}])
def test_without_annotations_texts_stay_unjudged(capfilt):
    for kind, media in (("interleaved", (A, B)), ("image_text", (A,))):
        (outcome,) = decided({"capfilt": capfilt}, image(), image("s2"), kind=kind, media=media)
        assert (outcome["captions"], outcome["texts"]) == ([], 1)
        assert 0 in outcome["keep"]


def judged(**fields):
    """A row of `annotations`: what a matcher says of the text of the pair that `decided` makes."""
    row = {
        "node": 1,
        "record": "record of https://ex.com/p",
        "sha256": sha("s1"),
        "number": 0,
        "operator": "match",
        "origin": "web",
        "text": "x",
        "model": "m/1",
        "score": 0.1,
    }
    return {**row, **fields}


def test_annotations_of_another_capture_or_image_count_for_nothing():
    def outcome(*rows):
        found = decided({}, image(), kind="image_text", media=(A,), annotations=rows)
        return [type(o) for o in found]

    assert outcome(judged()) == [Dropped, Dropped]  # the text, and the pair with it
    for other in ({"record": "<older>"}, {"sha256": sha("s2")}, {"node": 0}):
        assert outcome(judged(**other)) == [dict]
        for rows in (
            [judged(), judged(**other, score=0.9)],
            [judged(**other, score=0.9), judged()],
        ):
            assert outcome(*rows) == [Dropped, Dropped]


def test_capture_that_was_archived_twice_has_its_captions_once():
    caption = judged(operator="caption", origin="synthetic", score=None)
    match = judged(origin="synthetic", score=0.8)
    (outcome,) = decided(
        {}, image(), kind="image_text", media=(A,), annotations=[caption, match] * 2
    )
    assert [one["text"] for one in outcome["captions"]] == ["x"]


CHOICES = {
    "status": ("ok", "ok", "ok", "timeout", "opted_out"),
    "width": (640, 640, 640, 10),
    "nsfw": (0.0, 0.0, 0.0, 0.9),
}


def crowd(draw):
    """Rows of documents and the media of each, drawn from few values so that every decision is met."""
    for number in range(150):
        kind = draw.choice(["interleaved", "interleaved", "image_text", "video_text"])
        urls = [f"https://ex.com/{number}-{n}.jpg" for n in range(draw.randint(1, 4))]
        media = urls if kind == "interleaved" else urls[:1]
        texts = draw.randint(1, 3)
        page = f"https://s{draw.randint(0, 1)}.example/{number}"
        nodes = [{"url": url, "file": draw.random() < 0.7} for url in media]
        row = row_of(page, kind, nodes if kind == "video_text" else media, texts)
        for node in row["nodes"][:texts]:
            personal = [("pii_email", 1.0)] if draw.random() < 0.3 else []
            node["scores"] = [("words", 60.0), ("characters", 300.0), *personal]
        row["optouts"] = [OptOut("meta-robots", page, draw.choice(["noai", "noimageai"]), "")]
        row["optouts"] = row["optouts"] if draw.random() < 0.2 else []
        row["language"] = draw.choice(["en", "en", "en", "fr"])
        yield row, [(texts + n, of_crowd(draw, kind, url)) for n, url in enumerate(media)]


def of_crowd(draw, kind, url):
    status, width, nsfw = (draw.choice(values) for values in CHOICES.values())
    frames = [{"t": 0, "offset": 0, "length": 10, "sha256": sha("f")}]
    return image(
        f"s{draw.randint(0, 3)}",
        status=status,
        detail="robots.txt",
        width=width,
        url=url,
        scores={"flatness": 40.0, "nsfw": nsfw},
        kind="video" if kind == "video_text" else "image",
        frames=frames if kind == "video_text" and draw.random() < 0.7 else [],
    )


TABLES = (
    {},
    {"safety": {"scope": "node"}, "privacy": {"email": "drop"}},
    {"privacy": {"email": "drop"}, "rules": {"min_words": 0, "max_images": 2, "languages": []}},
)


@pytest.mark.parametrize("tables", TABLES, ids=("default", "node", "loose"))
@pytest.mark.parametrize("seed", range(4))
def test_what_came_stayed_was_dropped_or_went_along(tmp_path, tables, seed):
    """Of every section, whatever is decided: no document, text or medium is lost or counted twice."""
    config = parse(tables)
    came, along, outcomes = Counter(), Counter(), []
    for row, media in crowd(random.Random(seed)):
        section = "documents" if row["kind"] == "interleaved" else row["kind"]
        (document,) = one_capture([assess(row, config)])
        document = settle(document)
        found = [document]
        if isinstance(document, dict):
            media = [] if "withheld" in document else media
            found = list(admit(document, media, [], config))
        came[section] += 1
        stays = [o for o in found if isinstance(o, dict)]
        drops = Counter(reasons_of(found))
        assert len(stays) + drops[section] == 1
        outcomes += found
        if row["kind"] == "interleaved":
            for name, kind in (("texts", "text"), ("images", "image")):
                nodes = [n for n, node in enumerate(row["nodes"]) if node["type"] == kind]
                came[name] += len(nodes)
                along[name] += 0 if stays else len(nodes) - drops[name]
                assert (
                    not stays or len(set(nodes) & set(stays[0]["keep"])) == len(nodes) - drops[name]
                )
    for outcome in outcomes:
        if isinstance(outcome, dict):
            outcome["media"] = [{"detail": "", **row} for row in outcome["media"]]
    counts = write_partition(0, outcomes, tmp_path)
    for section, number in came.items():
        name = {
            "documents": "interleaved",
            "texts": "interleaved.texts",
            "images": "interleaved.images",
        }
        stayed = counts[name.get(section, section)]
        gone = sum(n for key, n in counts.items() if key.startswith(f"rejects.{section}."))
        assert number == stayed + gone + along[section], section
        assert stayed, section


def reasons_of(outcomes):
    return [section for section, _ in reasons(outcomes)]


def test_a_text_that_goes_is_told_with_the_document_that_stays():
    row = row_of(texts=2, media=(A,))
    row["nodes"][1]["scores"] = [("pii_email", 1.0)]
    row["nodes"][0]["scores"] = [("words", 60.0), ("characters", float(len(PROSE)))]
    config = parse({"privacy": {"email": "drop"}})
    dropped, outcome = admit(settle(assess(row, config)), [(2, image())], [], config)
    assert (dropped.section, dropped.reject.reason) == ("texts", "personal_data")
    assert (outcome["keep"], outcome["texts"]) == ([0, 2], 1)
    assert outcome["characters"] == len(PROSE)
    masked = parse({})
    (outcome,) = admit(settle(assess(row, masked)), [(2, image())], [], masked)
    assert (outcome["keep"], outcome["texts"]) == ([0, 1, 2], 2)


def test_note_goes_with_a_copy_that_goes(tmp_path):
    document = reference()
    (outcome,) = admit(document, [(1, {"detail": "", **image()})], [], parse({}))
    where = outcome["id"], outcome["url"], "select"
    note = Noted("images", Reject(*where, "evaluation_image", "coco"))
    assert write_partition(0, [outcome, note], tmp_path)["noted.images.evaluation_image"] == 1
    copy = drop(outcome, "near_duplicate", "", veto=True)
    counts = write_partition(1, [outcome, note, copy], tmp_path)
    assert not [key for key in counts if key.startswith("noted")]
