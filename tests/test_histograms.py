"""Scores are counted where they are measured, in fixed buckets; thresholds are drawn where they cut."""

import json
import random
from collections import Counter
from itertools import pairwise
from math import inf

import pytest

from m3w_builder import histograms
from m3w_builder.config import Config, parse, presets
from m3w_builder.types import Frame, Media

CONFIG = Config()


@pytest.mark.parametrize(
    ("score", "value", "low", "high"),
    [
        ("words", 50, 50, 75),
        ("words", 49.9, 30, 50),
        ("words", 10**9, 100_000, inf),
        ("stop_words", 8, 8, inf),
        ("aspect_ratio", inf, 50, inf),
        ("duplicate_lines", 0.12, 0.1, 0.15),
        ("hash_ratio", 1, 1, inf),
        ("beauty", 0.37, 0.3, 0.4),  # nobody's but a plug-in's
        ("beauty", 0, 0, 0.001),
        ("beauty", -0.2, -0.2, -0.15),
        ("beauty", -1e9, -inf, -1e6),
    ],
)
def test_value_is_counted_in_the_bucket_that_holds_it(score, value, low, high):
    (name,) = histograms.counters("image", {score: value})
    assert histograms.read({name: 3}) == {"image": {score: [(low, high, 3)]}}


def test_every_value_lies_in_its_bucket_whatever_the_score():
    draw = random.Random(3)
    for score in (*histograms.EDGES, "hash_ratio", "any"):
        for value in [draw.lognormvariate(0, 4) * draw.choice((1, -1)) for _ in range(200)]:
            (name,) = histograms.counters("x", {score: value})
            ((low, high, _),) = histograms.read({name: 1})["x"][score]
            assert low <= value < high


def test_counts_of_units_add_up_and_gaps_are_filled():
    units = [{"words": 12}, {"words": 12}, {"words": 60, "other": 1}, {"words": 350}]
    counts = sum((Counter(histograms.counters("interleaved", u)) for u in units), Counter())
    found = histograms.read({**counts, "pages": 4, "rejects.pages.x": 1})
    assert found.keys() == {"interleaved"}
    buckets = found["interleaved"]["words"]
    assert [n for *_, n in buckets] == [2, 0, 0, 1, 0, 0, 0, 0, 1]
    assert all(a[1] == b[0] for a, b in pairwise(buckets))
    assert (buckets[0][0], buckets[-1][1]) == (10, 500)


def test_score_with_dots_and_colons_in_its_name_is_read_again():
    (name,) = histograms.counters("text", {"a.b:c": 2.5})
    assert histograms.read({name: 1}) == {"text": {"a.b:c": [(2, 3, 1)]}}


def test_edges_ascend_and_default_thresholds_fall_on_them():
    for edges in (*histograms.EDGES.values(), histograms.SHARES, histograms.ANY):
        assert list(edges) == sorted(set(edges))
    for cut in histograms.thresholds(CONFIG):
        edges = histograms.EDGES.get(cut.score)
        if edges:  # whole numbers up to a maximum pass: the bucket behind begins with the next
            assert cut.value in edges or (cut.side == "max" and cut.value + 1 in edges), cut


def test_names_of_a_bucket_are_those_of_its_exact_bounds():
    for edges in (*histograms.EDGES.values(), histograms.SHARES, histograms.ANY):
        assert [float(f"{edge:g}") for edge in edges] == [float(edge) for edge in edges]


def test_thresholds_are_those_of_the_configuration_on_what_they_cut():
    table = {"rules": {"min_words": 7, "min_pair_side": 99}, "safety": {"max_nsfw": 0.5}}
    found = {cut.setting: cut for cut in histograms.thresholds(parse(table))}
    for subject, score, setting, side, value in (
        ("interleaved", "words", "rules.min_words", "min", 7),
        ("interleaved", "words", "rules.max_words", "max", 100_000),
        ("interleaved", "language_score", "rules.min_language_score", "min", 0.65),
        ("image", "side", "rules.min_pair_side", "min", 99),  # a pair's image is an image
        ("image", "side", "rules.min_image_side", "min", 64),
        ("image_text", "unigrams", "rules.max_alt_unigrams", "max", 20),
        ("video", "frames", "rules.min_video_frames", "min", 1),
        ("image", "nsfw", "safety.max_nsfw", "max", 0.5),
    ):
        assert found[setting] == histograms.Threshold(subject, score, setting, side, value)


def test_rules_that_are_switched_off_cut_nothing():
    found = histograms.thresholds(parse({"rules": {"text_rules": False}}))
    assert {c.setting for c in found if c.subject == "interleaved"} == {
        *("rules.min_language_score", "safety.max_flagged", "safety.max_text_score")
    }
    off = parse({"preset": "obelics", "rules": {"text_rules": False}})
    assert {c.setting for c in histograms.thresholds(off) if c.subject == "text"} == {
        "safety.max_flagged"
    }


@pytest.mark.parametrize("name", presets())
def test_every_bound_on_a_text_has_its_histogram(name):
    counted = {*histograms.text_scores({}), "flagged_share"}
    cuts = [c for c in histograms.thresholds(parse({"preset": name})) if c.subject == "text"]
    assert {c.score for c in cuts} <= counted
    assert (name == "obelics") == ("rules.max_text_spam_words" in {c.setting for c in cuts})


def test_texts_are_counted_by_what_rules_compare_with_0_for_what_is_absent():
    counts = {"words": 8.0, "characters": 40.0, "special": 10.0, "spam": 2.0}
    found = histograms.text_scores(counts)
    assert (found["words"], found["spam_words"], found["special_characters"]) == (8, 0.25, 0.25)
    assert found["longest_word"] == found["word_repetition"] == 0
    assert not {"javascript", "policy", "unfinished"} & found.keys()  # yes or no


@pytest.mark.parametrize(
    ("table", "subjects"),
    [
        ({}, {"interleaved", "image_text", "video_text"}),
        ({"text_scope": "node"}, {"text", "image_text", "video_text"}),
        ({"text_scope": "both"}, {"text", "interleaved", "image_text", "video_text"}),
        ({"max_flagged": 1.0}, set()),
    ],
)
def test_flagged_words_are_cut_where_they_are_judged(table, subjects):
    found = histograms.thresholds(parse({"safety": table}))
    assert {c.subject for c in found if c.score == "flagged_share"} == subjects
    assert {c.value for c in found if c.score == "explicit"} == {0.8}


def test_what_a_matcher_says_is_cut_but_of_what_a_human_wrote():
    table = {"capfilt": {"matcher": "a:b", "min_match": 0.3}}
    found = [c for c in histograms.thresholds(parse(table)) if c.score == "match"]
    assert [(c.subject, c.side, c.value) for c in found] == [
        ("web_text", "min", 0.3),
        ("synthetic_text", "min", 0.3),
    ]
    assert not [c for c in histograms.thresholds(CONFIG) if c.score == "match"]


def test_description_is_json_with_null_for_open_bounds():
    counts = Counter(histograms.counters("interleaved", {"words": 2e5}))
    counts[histograms.language_counter("interleaved", "")] += 2
    counts[histograms.language_counter("interleaved", "de")] += 5
    found = histograms.describe(counts, CONFIG)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    words = found["scores"]["interleaved"]["words"]
    assert words["buckets"] == [[100_000, None, 1]]
    assert {"setting": "rules.min_words", "side": "min", "value": 50.0} in words["thresholds"]
    assert list(found["languages"]["interleaved"].items()) == [("de", 5), ("unknown", 2)]


@pytest.mark.parametrize(
    ("value", "place"),
    [(50, 0), (62.5, 0.5), (75, 1), (100, 2), (20, 0), (1000, 2)],
)
def test_position_is_on_the_bound_or_inside_or_at_the_end(value, place):
    assert histograms.position([[50, 75, 1], [75, 100, 1]], value) == place


def test_position_in_an_open_bucket_is_its_closed_end():
    buckets = [[None, 0, 1], [0, 1, 1], [1, None, 1]]
    assert histograms.position(buckets, -5) == 1
    assert histograms.position(buckets, 7) == 2


def test_media_are_measured_with_their_shape():
    image = Media("u", "image", width=300, height=100, scores={"flatness": 9.0})
    assert histograms.media_scores(image) == {"flatness": 9.0, "side": 100.0, "aspect_ratio": 3.0}
    video = Media("u", "video", width=320, height=180, seconds=4.5, frames=(Frame(0, 0, 1, "x"),))
    assert histograms.media_scores(video) == {"side": 180.0, "seconds": 4.5, "frames": 1.0}
    assert histograms.media_scores(Media("u", "image"))["aspect_ratio"] == inf


def test_labels_read_well():
    assert histograms.bucket_label(50, 75) == "50–75"
    assert histograms.bucket_label(100_000, None) == "100,000+"
    assert histograms.bucket_label(None, -0.5) == "below -0.5"


def test_bounds_that_are_off_are_not_drawn_and_the_users_own_are():
    table = {"rules": {"bounds": [{"subject": "image", "score": "beauty", "min": 0.3}]}}
    found = histograms.thresholds(parse({**table, "safety": {"max_nsfw": 1.0}}))
    assert histograms.Threshold("image", "beauty", "rules.bounds", "min", 0.3) in found
    settings = {cut.setting for cut in found}
    assert not settings & {"rules.min_sentences", "rules.max_newlines_per_word", "safety.max_nsfw"}
