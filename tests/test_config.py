"""The configuration: the printed default loads as the default; every mistake names its key."""

import tomllib

import pytest

from m3w_builder.config import Config, default_toml, digest, load, parse
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
