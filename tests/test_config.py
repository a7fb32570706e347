"""The configuration: what is printed loads as it was; every mistake names its key."""

import tomllib

import pytest

from m3w_builder.config import Config, as_toml, default_toml, digest, load, parse
from m3w_builder.errors import ConfigError


def test_printed_default_is_the_default():
    assert parse(tomllib.loads(default_toml())) == Config()


def test_every_key_of_the_printed_default_has_a_comment():
    keys = [line for line in default_toml().splitlines() if " = " in line]
    assert [line for line in keys if "  # " not in line] == []


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"rules": {"min_wrods": 5}}, ["rules.min_wrods", "unknown key", "5", "min_words"]),
        ({"selct": {}}, ["selct", "unknown key", "select"]),
        ({"rules": {"min_words": "many"}}, ["rules.min_words", "expected integer", '"many"']),
        ({"rules": {"min_words": 5.5}}, ["rules.min_words", "expected integer", "5.5"]),
        ({"rules": {"text_rules": 1}}, ["rules.text_rules", "boolean", "1"]),
        (
            {"rules": {"max_duplicate_lines": 3.0}},
            ["rules.max_duplicate_lines", "less than or equal to 1", "3.0"],
        ),
        ({"rules": {"max_aspect_ratio": 0.5}}, ["rules.max_aspect_ratio", "0.5"]),
        ({"rules": {"min_words": 9, "max_words": 2}}, ["min_words = 9", "max_words = 2"]),
        ({"rules": {"languages": "en"}}, ["rules.languages", '"en"']),
        ({"rules": {"languages": ["EN"]}}, ["rules.languages", '"EN"']),
        ({"rules": {"min_video_frames": 301}}, ["min_video_frames = 301", "max_frames = 300"]),
        ({"fetch": {"user_agent": "a\r\nb"}}, ["fetch.user_agent"]),
        ({"fetch": {"threads": 0}}, ["fetch.threads", "greater than or equal to 1", "0"]),
        ({"fetch": {"total_seconds": float("inf")}}, ["fetch.total_seconds"]),
        ({"fetch": 3}, ["fetch", "3"]),
        (
            {"rules": {"per_language": {"de": {"min_wrods": 5}}}},
            ["rules.per_language.de.min_wrods", "unknown key", "min_words"],
        ),
        (
            {"rules": {"per_language": {"de": {"min_words": "5"}}}},
            ["rules.per_language.de.min_words", "expected integer", '"5"'],
        ),
        (
            {"rules": {"per_language": {"de": {"max_duplicate_lines": 2.0}}}},
            ["rules.per_language.de.max_duplicate_lines", "2.0"],
        ),
        (
            {"rules": {"per_language": {"de": {"min_images": 2}}}},  # is not about language
            ["rules.per_language.de.min_images", "unknown key"],
        ),
        ({"rules": {"per_language": {"DE": {}}}}, ["rules.per_language.DE"]),
        (
            {"rules": {"per_language": {"de": {"min_words": 200_000}}}},
            ["per_language.de.min_words = 200000", "per_language.de.max_words = 100000"],
        ),
        (
            {"rules": {"bounds": [{"subject": "image", "score": "x", "mim": 1}]}},
            ["rules.bounds.0.mim", "unknown key", "min"],
        ),
        ({"rules": {"bounds": [{"subject": "image", "score": "x"}]}}, ["bounds.0", "min or max"]),
        (
            {"rules": {"bounds": [{"subject": "page", "score": "x", "min": 1}]}},
            ["bounds.0.subject"],
        ),
        ({"rules": {"bounds": [{"subject": "text", "min": 1}]}}, ["bounds.0.score"]),
        ({"rules": {"text_roles": ["header"]}}, ["rules.text_roles.0", "heading", '"header"']),
    ],
)
def test_mistake_names_key_expected_and_found(table, words):
    with pytest.raises(ConfigError) as caught:
        parse(table, "mine.toml")
    for word in ["mine.toml", *words]:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_file_that_is_not_toml_or_not_there_is_one_line(tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text("[select\n")
    for path in (bad, tmp_path / "absent.toml"):
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert str(path) in str(caught.value)


def test_digest_changes_with_any_value():
    other = parse({"rules": {"min_words": 51}})
    assert digest(Config().rules) != digest(other.rules)
    assert digest(Config().fetch) == digest(other.fetch)


def test_thresholds_of_the_old_select_table_are_rules():
    old = parse({"select": {"min_words": 7, "partitions": 3}, "rules": {"max_words": 70}})
    new = parse({"select": {"partitions": 3}, "rules": {"min_words": 7, "max_words": 70}})
    assert old == new


def test_maximum_that_is_off_is_above_every_minimum():
    assert parse({"rules": {"max_words": 0}}).rules.min_words == 50


def test_thresholds_of_a_language_are_over_the_general_ones():
    rules = parse({"rules": {"max_words": 9000, "per_language": {"de": {"min_words": 40}}}}).rules
    assert (rules.of("de").min_words, rules.of("de").max_words) == (40, 9000)
    assert rules.of("en") is rules
    assert rules.of("de").languages == rules.languages


AWKWARD = {
    "fetch": {"user_agent": 'a "quoted" \\ agent'},
    "rights": {"optout_lists": ["a\x7fb\n\t🦊.txt"]},
    "rules": {
        "languages": ["de", "ja"],
        "max_hash_ratio": 1e-7,
        "per_language": {"de": {"min_words": 40, "text_rules": False}, "ja": {}},
        "bounds": [
            {"subject": "image", "score": "beauty", "min": 0.3},
            {"subject": "text", "score": "spam", "min": -1e20, "max": 7.0},
        ],
    },
}


def test_printed_configuration_loads_again_tables_and_odd_characters_too():
    config = parse(AWKWARD)
    again = parse(tomllib.loads(as_toml(config)))
    assert again == config
    assert again.rules.per_language["de"].model_fields_set == {"min_words", "text_rules"}
    assert digest(again.rules) == digest(config.rules)


def test_preset_is_a_key_of_the_file_and_an_option(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('preset = "obelics"\n[rules]\nmin_words = 12\n')
    assert (load(path).rules.min_words, load(path).rules.max_words) == (12, 2000)
    over = load(path, "mmc4").rules
    assert (over.min_words, over.min_sentences, over.max_words) == (12, 5, 0)
    assert load(None, "obelics").rules.min_words == 10
    assert load(None) == Config()


def test_unknown_preset_is_one_line(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('preset = "obelisk"\n')
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == (
        f'{path}: preset: expected one of align, fineweb, flamingo, mmc4, obelics, found "obelisk"'
    )
