"""CapFilt without Beam: plug-ins and their contract, what is asked of them, what stays, and the toys."""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from fakes import document, picture
from PIL import Image as Pictures

from m3w_builder.capfilt import by_node, count, decide, summary, toys
from m3w_builder.capfilt.annotate import (
    Ask,
    Place,
    annotate,
    asked,
    asks,
    looks,
    meet,
    places,
    seed_of,
    shape,
    unit_of,
    units_for,
)
from m3w_builder.capfilt.plugins import Settings, captions, matches, models, plugin
from m3w_builder.config import CapfiltConfig, Config, parse
from m3w_builder.dedup import text_key
from m3w_builder.errors import ConfigError, ShardError
from m3w_builder.packs import PackWriter
from m3w_builder.samples import Caption
from m3w_builder.tables import Row, document_row, media_row, write_table
from m3w_builder.types import Image, Media, OptOut, Text
from schemas.arrow import ANNOTATIONS

TOYS = {
    "captioner": "m3w_builder.capfilt.toys:Captioner",
    "matcher": "m3w_builder.capfilt.toys:Matcher",
}
GREEDY = Settings(
    captions=1, top_p=0.9, temperature=1.0, prompt="a picture of ", min_length=3, max_length=12
)


def config(**keys: object) -> Config:
    return parse({"capfilt": {**TOYS, **keys}})


class Fake:
    """A plug-in of both kinds whose answers a test chooses."""

    def __init__(self, model_id: str = "fake", checkpoint: str = "") -> None:
        self.model_id, self.checkpoint = model_id, checkpoint
        self.texts: object = [["a"]]
        self.scores: object = [0.5]

    def load(self) -> None:
        pass

    def caption(self, images, settings, seeds):
        return self.texts

    def match(self, images, texts):
        return self.scores


class NoLoad:
    model_id = checkpoint = ""


def plain(colour: str, size: tuple[int, int] = (64, 64)) -> Pictures.Image:
    return Pictures.new("RGB", size, colour)


# Plug-ins


def test_arguments_of_a_plugin_stand_behind_its_name() -> None:
    made = plugin("test_capfilt:Fake?model_id=a+b&checkpoint=%26", "match")
    assert (made.model_id, made.checkpoint) == ("a b", "&")


@pytest.mark.parametrize(
    ("called", "words"),
    [
        (
            "no_such_package:x",
            "expected an importable package.module:name: No module named 'no_such",
        ),
        ("json:no_such", "expected an importable package.module:name: .*no_such"),
        ("json:__name__", "expected a class or function, found str"),
        (
            "test_capfilt:Fake?colour=red",
            "expected arguments among: model_id, checkpoint; .*'colour'",
        ),
        ("test_capfilt:Fake?model_id", "expected arguments among: model_id, checkpoint; "),
        ("test_capfilt:NoLoad", "expected model_id, .* found no load$"),
        ("m3w_builder.capfilt.toys:Captioner", r"expected .*match\(\), found no match$"),
        ("pathlib:Path", "found no model_id$"),
    ],
)
def test_what_is_no_plugin_is_one_line(called: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        plugin(called, "match")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["on", "a.b", "a:b:c", "a:b?", "a:b?x?y", "a:b()", "m3w_builder.capfilt.toys"]
)
def test_what_is_no_name_is_refused_with_the_configuration(value: str) -> None:
    with pytest.raises(ConfigError, match=r"capfilt\.captioner: "):
        parse({"capfilt": {"captioner": value}})


def test_lengths_out_of_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="min_length = 40 is above max_length = 30"):
        parse({"capfilt": {"min_length": 40}})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([["a"]], "expected 2 lists of captions, found 1"),
        ([["a"], ["b"], ["c"]], "expected 2 lists of captions, found 3"),
        (["a", "b"], "expected a list of texts, found str"),
        ([["a"], ["b", "c"]], "expected 1 captions an image, found 2"),
        ([["a"], []], "expected 1 captions an image, found 0"),
        ([["a"], [None]], "expected captions as text, found None"),
        (None, "expected a list of lists of captions, found NoneType"),
    ],
)
def test_wrong_captions_are_one_line(answer: object, words: str) -> None:
    fake = Fake()
    fake.texts = answer
    with pytest.raises(ConfigError, match=f"^capfilt: fake: {words}$"):
        captions(fake, [plain("red")] * 2, GREEDY, [1, 2])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([0.5], "expected 2 scores, found 1"),
        ([0.5, math.nan], "expected finite numbers as scores, found nan"),
        ([0.5, -math.inf], "expected finite numbers as scores, found -inf"),
        ([0.5, "0.5"], "expected finite numbers as scores, found '0.5'"),
        ([0.5, None], "expected finite numbers as scores, found None"),
        (0.5, "expected a list of scores, found float"),
    ],
)
def test_wrong_scores_are_one_line(answer: object, words: str) -> None:
    fake = Fake()
    fake.scores = answer
    with pytest.raises(ConfigError, match=f"^capfilt: fake: {words}$"):
        matches(fake, [plain("red")] * 2, ["a", "b"])


def test_scores_may_be_numpy_and_are_rounded() -> None:
    fake = Fake()
    fake.scores = np.array([1 / 3, -2.0], dtype=np.float32)
    assert matches(fake, [plain("red")] * 2, ["a", "b"]) == [0.333333, -2.0]


@pytest.mark.parametrize(
    ("one", "other", "warned"),
    [
        ("model_id=a", "model_id=a", True),
        ("model_id=a&checkpoint=f00", "model_id=b&checkpoint=f00", True),
        ("model_id=a&checkpoint=f00", "model_id=b&checkpoint=ba5", False),
        ("model_id=a", "model_id=b", False),  # two models without weights have no weights in common
    ],
)
def test_one_model_for_both_is_warned_about(one: str, other: str, warned: bool) -> None:
    chosen = config(captioner=f"test_capfilt:Fake?{one}", matcher=f"test_capfilt:Fake?{other}")
    found = models(chosen.capfilt).warnings()
    assert [("Table 4" in line, "\n" in line) for line in found] == [(True, False)] * warned


def test_one_plugin_alone_is_no_reason_to_warn() -> None:
    assert models(config(matcher="").capfilt).warnings() == []


# What is asked


def test_digest_covers_the_models_and_every_setting_but_the_threshold() -> None:
    base = config()

    def of(one: Config) -> list[str]:
        return asked(one.capfilt, models(one.capfilt))

    assert of(config(min_match=0.9)) == of(base)
    changed = [
        config(captioner="test_capfilt:Fake"),
        config(captioner="test_capfilt:Fake?model_id=other"),
        config(matcher=""),
        config(batch=4),
        config(side=224),
        config(min_side=1),
        config(pages=True),
        config(human=["example.org"]),
        config(captions=2),
        config(top_p=0.5),
        config(temperature=0.5),
        config(prompt=""),
        config(min_length=1),
        config(max_length=99),
        config(seed=1),
        config(normalise=True),
    ]
    every = [json.dumps(of(one)) for one in (base, *changed)]
    assert len(set(every)) == len(every)
    assert len(changed) >= len(CapfiltConfig.model_fields) - 1  # all but min_match; a matcher twice


PAIR = document(
    Image("https://example.org/a.jpg"),
    Text("A robin on a branch", "caption"),
    kind="image_text",
    url="https://example.org/p",
)
PAGE = document(
    Text("Birds"),
    Image("https://example.org/a.jpg"),
    Image("https://example.org/b.jpg"),
    url="https://example.org/p",
)


def documents_file(folder: Path, *found) -> Path:
    path = folder / "documents.parquet"
    rows = [document_row(one, text_key(one.texts)) for one in found]
    write_table(path, "documents", rows)
    return path


def test_pairs_ask_for_their_text_and_pages_for_captions_only(tmp_path: Path) -> None:
    path = documents_file(tmp_path, PAIR, PAGE)
    pair = ("https://example.org/a.jpg", Ask(PAIR.id, 0, "A robin on a branch", "web"))
    assert list(asks(path, config())) == [pair]
    assert list(asks(path, config(pages=True))) == [
        pair,
        ("https://example.org/a.jpg", Ask(PAGE.id, 1, "", "web")),
        ("https://example.org/b.jpg", Ask(PAGE.id, 2, "", "web")),
    ]
    assert list(asks(path, config(pages=True, captioner=""))) == [pair]


def test_texts_of_named_hosts_are_human(tmp_path: Path) -> None:
    path = documents_file(tmp_path, PAIR)
    ((_, ask),) = asks(path, config(human=["example.org"]))
    assert ask.origin == "human"
    ((_, ask),) = asks(path, config(human=["www.example.org"]))
    assert ask.origin == "web"


@pytest.mark.parametrize("found", ["noai", "noimageai"])
def test_page_that_opts_out_asks_nothing(tmp_path: Path, found: str) -> None:
    optout = OptOut("meta-robots", PAIR.url, found, "2026-01-02T03:04:05Z")
    assert list(asks(documents_file(tmp_path, replace(PAIR, optouts=(optout,))), config())) == []


def test_places_are_stored_images_that_are_not_too_small(tmp_path: Path) -> None:
    stored = Media("https://example.org/a.jpg", "image", sha256="ab" * 32, width=300, height=200)
    rows = [
        replace(stored, pack="p.tar", offset=512, length=9),
        replace(stored, url="https://example.org/gone.jpg", status="http_404"),
        replace(stored, url="https://example.org/v.mp4", kind="video"),
    ]
    write_table(tmp_path / "m.parquet", "media", map(media_row, rows))
    found = [("https://example.org/a.jpg", Place("ab" * 32, "p.tar", 512, 9))]
    assert list(places(tmp_path / "m.parquet", config(min_side=200).capfilt)) == found
    assert list(places(tmp_path / "m.parquet", config(min_side=201).capfilt)) == []


def test_unit_of_an_image_is_a_share_of_the_digests() -> None:
    digests = [sha256(bytes([n])).hexdigest() for n in range(200)]
    units = [unit_of(digest, 5) for digest in sorted(digests)]
    assert units == sorted(units)
    assert set(units) == {"00000", "00001", "00002", "00003", "00004"}
    assert {unit_of(digest, 1) for digest in digests} == {"00000"}


def test_units_grow_with_the_images_up_to_a_bound() -> None:
    assert units_for({}) == 1
    assert units_for({"images.archive": 64}) == 1
    assert units_for({"images.archive": 64, "images.http": 1, "videos.http": 10**6}) == 2
    assert units_for({"images.http": 10**9}) == 4096


def test_image_of_many_addresses_is_one_look() -> None:
    a, b = Place("aa", "1.tar", 0, 5), Place("aa", "2.tar", 9, 5)
    one, two = Ask("d1", 0, "x", "web"), Ask("d2", 3, "y", "web")
    pairs = [
        *((p, k) for _, (p, k) in meet([one], [b, b], 1)),
        *((p, k) for _, (p, k) in meet([two, one], [a], 1)),
    ]
    for order in permutations(pairs):
        (look,) = looks(order)
        assert (look.place, look.asks) == (a, (one, two))


def test_image_that_is_not_there_is_met_by_nobody() -> None:
    assert list(meet([Ask("d", 0, "x", "web")], [], 4)) == []


# Annotating


class Watching(toys.Captioner):
    """The toy, that writes down how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[int, ...], list[tuple[str, tuple[int, int]]]]] = []

    def caption(self, images, settings, seeds):
        self.calls.append((tuple(seeds), [(image.mode, image.size) for image in images]))
        return super().caption(images, settings, seeds)


def packed(folder: Path, bodies: Sequence[bytes]) -> list[Place]:
    with PackWriter(folder / "p.tar") as pack:
        digests = [sha256(body).hexdigest() for body in bodies]
        return [
            Place(digest, "p.tar", *pack.add(digest, "jpg", body))
            for digest, body in zip(digests, bodies, strict=True)
        ]


def pairs_of(stored: Sequence[Place], text: str = "a red scene") -> list[tuple[Place, Ask]]:
    return [(place, Ask(f"{n:020x}", 0, text, "web")) for n, place in enumerate(stored)]


def rows_of(folder: Path, pairs, chosen: Config) -> list[Row]:
    return annotate("00000", pairs, models(chosen.capfilt), folder, chosen).rows


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> tuple[Path, list[Place]]:
    folder = tmp_path_factory.mktemp("packs")
    return folder, packed(folder, [picture(320, 200, seed) for seed in range(7)])


def test_neither_batch_nor_order_nor_company_changes_a_row(stored) -> None:
    folder, found = stored
    pairs = pairs_of(found)
    expected = rows_of(folder, pairs, config(captions=3, batch=16))
    assert len({row["text"] for row in expected}) > 3
    for batch in (1, 2, 7):
        again = random.Random(batch).sample(pairs, len(pairs))
        assert rows_of(folder, again * 2, config(captions=3, batch=batch)) == expected
    alone = [row for pair in pairs for row in rows_of(folder, [pair], config(captions=3))]
    assert alone == expected


def test_rows_have_the_columns_and_say_who_with_what(stored) -> None:
    folder, found = stored
    rows = rows_of(folder, pairs_of(found[:1]), config(captions=2, seed=7))
    assert all(list(row) == ANNOTATIONS.names for row in rows)
    drawn = [row for row in rows if row["operator"] == "caption"]
    assert [row["number"] for row in drawn] == list(range(len(drawn)))
    for row in drawn:
        assert (row["origin"], row["model"], row["score"]) == (
            "synthetic",
            "m3w-toy-captioner/1",
            None,
        )
        assert row["seed"] == seed_of(found[0].sha256, 7) != seed_of(found[0].sha256, 8)
        assert json.loads(row["settings"])["top_p"] == 0.9
    scored = [row for row in rows if row["operator"] == "match"]
    assert sorted(row["text"] for row in scored) == sorted(
        ["a red scene", *(row["text"] for row in drawn)]
    )
    assert all(0 <= row["score"] <= 1 and row["seed"] is None for row in scored)


def test_models_see_few_upright_pixels_in_rgb_and_no_more_than_a_batch(tmp_path: Path) -> None:
    bodies = [
        picture(1000, 800, 1),
        picture(500, 390, 2, "png"),
        picture(900, 300, 3, "webp"),
    ]
    found = packed(tmp_path, bodies)
    watching = Watching()
    chosen = config(batch=2, matcher="")
    annotate(
        "0", pairs_of(found), replace(models(chosen.capfilt), captioner=watching), tmp_path, chosen
    )
    assert [len(sizes) for _, sizes in watching.calls] == [2, 1]
    seen = {size for _, sizes in watching.calls for size in sizes}
    assert seen == {("RGB", (500, 400)), ("RGB", (500, 390)), ("RGB", (900, 300))}


def test_broken_image_is_counted_and_does_no_harm(tmp_path: Path) -> None:
    whole = picture(320, 200, 1)
    found = packed(tmp_path, [whole, whole[:900], b"<html>"])
    done = annotate(
        "00000", pairs_of(found), models(config().capfilt), tmp_path, chosen := config()
    )
    assert done.counts["images"] == 3
    assert done.counts["images.unreadable"] == 2
    assert {row["sha256"] for row in done.rows} == {found[0].sha256}
    assert rows_of(tmp_path, pairs_of(found[1:]), chosen) == []


def test_missing_pack_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"gone\.tar: expected a pack of fetch"):
        rows_of(tmp_path, pairs_of([Place("ab", "gone.tar", 0, 9)]), config())


def test_empty_and_repeated_captions_go_and_are_counted(stored) -> None:
    folder, found = stored
    fake = Fake()
    fake.texts = [[" a  dog\n", "a dog", "", " \t", "A dog"]]
    chosen = config(captions=5, matcher="")
    found_out = annotate(
        "0",
        pairs_of(found[:1]),
        replace(models(chosen.capfilt), captioner=fake),
        folder,
        chosen,
    )
    assert [row["text"] for row in found_out.rows] == ["a dog", "A dog"]
    counts = found_out.counts
    assert (counts["captions"], counts["captions.empty"], counts["captions.repeated"]) == (2, 2, 1)


def test_only_what_is_configured_is_done(stored) -> None:
    folder, found = stored
    for keys, operators in (({"captioner": ""}, {"match"}), ({"matcher": ""}, {"caption"})):
        rows = rows_of(folder, pairs_of(found), config(**keys))
        assert {row["operator"] for row in rows} == operators


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ('The "Old" Harbour (1890): low tide!', "the old harbour 1890 low tide"),
        (" Two\nswans;  one~lake. ", "two swans one lake"),
        (" ".join(f"w{n}" for n in range(40)), " ".join(f"w{n}" for n in range(30))),
        ("...", ""),
        ("Été à la mer, naturellement", "été à la mer, naturellement"),
    ],
)
def test_normal_form_is_that_of_blip(text: str, normalised: str) -> None:
    assert shape(text, normalise=True) == normalised
    assert shape(text, normalise=False) == " ".join(text.split())


def test_text_without_a_normal_form_is_not_matched(stored) -> None:
    folder, found = stored
    rows = rows_of(folder, pairs_of(found[:1], "!!!"), config(normalise=True, captioner=""))
    assert rows == []


# Deciding


def row(operator: str, origin: str, number: int = 0, score: float | None = None) -> Row:
    text = f"{origin} {number}"
    model = "captioner" if operator == "caption" else "matcher"
    return {
        "document": "d",
        "node": 1,
        "sha256": "ab",
        "operator": operator,
        "origin": origin,
        "number": number,
        "text": text,
        "model": model,
        "score": score,
        "seed": None,
        "settings": "{}",
    }


ROWS = [
    row("match", "web", 0, 0.4),
    row("caption", "synthetic", 0),
    row("caption", "synthetic", 1),
    row("caption", "synthetic", 2),
    row("match", "synthetic", 0, 0.6),
    row("match", "synthetic", 1, 0.2),
    row("match", "synthetic", 2, 0.9),
]


def test_texts_below_the_threshold_go_with_a_reason_and_the_best_caption_is_first() -> None:
    kept = decide(ROWS, config(min_match=0.5).capfilt)
    assert not kept.web
    assert not kept.empty
    assert kept.captions == (
        Caption(1, "synthetic 2", "synthetic", "captioner", "matcher", 0.9),
        Caption(1, "synthetic 0", "synthetic", "captioner", "matcher", 0.6),
    )
    assert [(drop.section, drop.reason, drop.detail) for drop in kept.dropped] == [
        ("web_texts", "text_mismatch", "0.4 < 0.5"),
        ("synthetic_texts", "caption_mismatch", "0.2 < 0.5, caption 1"),
    ]


def test_text_that_goes_is_not_in_the_detail_which_is_published_unmasked() -> None:
    rows = [{**one, "text": "write to jane@example.org"} for one in ROWS]
    dropped = decide(rows, config(min_match=1).capfilt).dropped
    assert len(dropped) == 4
    assert not any("jane" in drop.detail for drop in dropped)


def test_order_of_the_rows_does_not_matter() -> None:
    expected = decide(ROWS, config().capfilt)
    for seed in range(20):
        assert decide(random.Random(seed).sample(ROWS, len(ROWS)), config().capfilt) == expected


def test_score_at_the_threshold_stays() -> None:
    assert decide([row("match", "web", 0, 0.4)], config(min_match=0.4).capfilt).web
    assert not decide([row("match", "web", 0, 0.4)], config(min_match=0.400001).capfilt).web


def test_human_text_is_never_filtered() -> None:
    kept = decide([row("match", "human", 0, -3.0)], config(min_match=0.9).capfilt)
    assert kept.web
    assert kept.captions == (Caption(1, None, "human", "", "matcher", -3.0),)
    assert kept.dropped == ()


def test_nothing_left_is_empty() -> None:
    kept = decide(ROWS, config(min_match=0.95).capfilt)
    assert kept.empty
    assert len(kept.dropped) == 4


def test_what_was_not_matched_stays() -> None:
    assert decide([], config().capfilt).web
    kept = decide(ROWS[1:4], config(min_match=0.95).capfilt)
    assert kept.web
    assert [caption.text for caption in kept.captions] == [f"synthetic {n}" for n in range(3)]
    assert {caption.score for caption in kept.captions} == {None}


def test_rows_of_a_document_are_told_apart_by_their_image() -> None:
    other = [{**one, "node": 0} for one in ROWS[:2]]
    assert by_node([*ROWS, *other]) == {0: other, 1: ROWS}


def test_summary_has_acceptance_by_origin_and_the_noise_ratio() -> None:
    counts = {
        "web_texts": 6,
        "rejects.web_texts.text_mismatch": 2,
        "synthetic_texts": 3,
        "rejects.synthetic_texts.caption_mismatch": 1,
        "human_texts": 5,
        "rejects.images.image_small": 99,
    }
    found = summary(counts, {"warnings": ["one model"]})
    assert found["texts"]["web"] == {"judged": 8, "kept": 6, "acceptance": 0.75}
    assert found["texts"]["human"]["acceptance"] == 1.0
    assert found["noise"] == {"web": 0.25, "synthetic": 0.25}
    assert found["warnings"] == ["one model"]
    assert summary({}, {}) == {"texts": {}, "noise": {}}


def test_kept_captions_are_counted_by_origin() -> None:
    kept = decide(ROWS, config(min_match=0.3).capfilt)
    assert count(vars_of(kept.captions)) == {"web_texts": 1, "synthetic_texts": 2}


def vars_of(found: Sequence[Caption]) -> list[dict[str, object]]:
    return [{"origin": caption.origin, "text": caption.text} for caption in found]


# Toys


def test_toys_look_at_the_picture() -> None:
    pictures = [plain("white", (200, 100)), plain((10, 20, 60), (60, 100))]
    (white,), (blue,) = toys.Captioner().caption(pictures, GREEDY, [1, 1])
    assert white == "a bright wide scene in white"
    assert blue.startswith("a dark tall scene in ")
    matcher = toys.Matcher()
    assert matcher.match(pictures, [white, white]) == [1.0, 0.0]
    assert matcher.match(pictures[:1] * 3, ["a red rose", "a dog", "grey on white"]) == [
        0,
        0.5,
        0.5,
    ]


def test_toy_captions_are_drawn_by_the_seed_from_the_nucleus() -> None:
    scene = Pictures.open(BytesIO(picture(320, 200, 3)))
    wide = replace(GREEDY, captions=8, top_p=1.0, min_length=0)
    (many,) = toys.Captioner().caption([scene], wide, [5])
    assert len(set(many)) > 1
    assert toys.Captioner().caption([scene], wide, [5]) == [many]
    assert toys.Captioner().caption([scene], wide, [6]) != [many]
    narrow = replace(wide, top_p=1e-9)
    first = {
        text.split(" in ")[1].split()[0]
        for text in toys.Captioner().caption([scene], narrow, [5])[0]
    }
    assert first == {next(iter(toys.colours(scene)))}


def test_toy_captions_have_at_most_so_many_words() -> None:
    scene = plain("grey")
    (texts,) = toys.Captioner().caption([scene], replace(GREEDY, max_length=3), [1])
    assert texts == ["a square scene"]
