"""`m3w whatif` end to end on the bundled crawl: what it foretells is what a build with these settings gives."""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest
from fakes import dataset

from m3w_builder import whatif
from m3w_builder.cli import run
from m3w_builder.config import Config, parse
from m3w_builder.errors import ConfigError

CRAWL = Path(__file__).parents[1] / "examples" / "crawl.warc.gz"
TOML = '[fetch]\nnetwork = false\nsafety = "off"\n'


def called(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["m3w", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        run()
    return int(exit_.value.code or 0)


def build(folder: Path, toml: str, output: str, *options: object) -> tuple[object, ...]:
    config = folder / f"{output}.toml"
    config.write_text(toml)
    places = "--input", CRAWL, "--output", folder / output, "--config", config
    return "build", *places, "--workers=1", *options


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whatif")
    with pytest.MonkeyPatch.context() as patch:
        assert called(patch, *build(folder, TOML, "out")) == 0
    return folder / "out"


def digests(folder: Path) -> dict[str, str]:
    files = [p for p in folder.rglob("*") if p.is_file() and "work" not in p.parts]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def ends(flow: dict) -> dict[str, tuple[int, int]]:
    return {s["section"]: (s["came"], s["stayed"]) for s in flow["sections"]}


def test_foretold_yield_is_that_of_a_build_which_finds_select_done(m3w, built):  # type: ignore[no-untyped-def]
    before = digests(built)
    changes = "--set", "rules.min_words=30", "--set", "rules.min_pair_side=150"
    code, out, _ = m3w("whatif", built, *changes, "--json")
    assert code == 0
    assert digests(built) == before
    found = json.loads(out)
    assert (
        found["old"]["sections"] == json.loads((built / "waterfall.json").read_text())["sections"]
    )
    assert found["settings"] == {
        "rules.min_words": {"old": 50, "new": 30},
        "rules.min_pair_side": {"old": 201, "new": 150},
    }
    toml = f"{TOML}[rules]\nmin_words = 30\nmin_pair_side = 150\n"
    answer = m3w(*build(built.parent, toml, "again", "--work", built / "work"))
    assert answer[0] == 0
    (line,) = [line for line in answer[2].splitlines() if line.startswith("select")]
    assert "finished earlier" in line
    flow = json.loads((built.parent / "again" / "waterfall.json").read_text())
    assert found["new"]["sections"] == flow["sections"]
    assert ends(found["new"])["documents"] > ends(found["old"])["documents"]


def test_documents_that_change_sides_are_named_with_the_reason(m3w, built):  # type: ignore[no-untyped-def]
    _, out, _ = m3w(
        "whatif", built, "--set", "rules.min_words=30", "--set", "rules.max_words=1000", "--json"
    )
    found = json.loads(out)
    sides = found["documents"]["interleaved"]
    old, new = ends(found["old"])["documents"][1], ends(found["new"])["documents"][1]
    assert sides["gained"]["count"] > 0
    assert sides["lost"]["count"] > 0
    assert new - old == sides["gained"]["count"] - sides["lost"]["count"]
    assert {e["reason"] for e in sides["gained"]["examples"]} == {"words_too_few"}
    assert {e["reason"] for e in sides["lost"]["examples"]} == {"words_too_many"}
    for example in (*sides["gained"]["examples"], *sides["lost"]["examples"]):
        assert example["url"].startswith("https://")
        assert example["detail"]
    assert len(sides["lost"]["examples"]) == min(sides["lost"]["count"], whatif.EXAMPLES)


def test_other_id_ranges_change_no_document(m3w, built):  # type: ignore[no-untyped-def]
    _, out, _ = m3w("whatif", built, "--set", "select.partitions=3", "--json")
    found = json.loads(out)
    assert found["old"] == found["new"]
    assert all(side["count"] == 0 for kind in found["documents"].values() for side in kind.values())


def test_table_is_for_people(m3w, built):  # type: ignore[no-untyped-def]
    code, out, _ = m3w("whatif", built, "--set", "rules.min_words=30")
    assert code == 0
    for words in ("rules.min_words", "in shards", "+2", "words_too_few", "interleaved: 2 gained"):
        assert words in out
    assert "finds its select stage done" in out
    code, out, _ = m3w("whatif", built, "--set", "rules.min_words=50")
    assert (code, "nothing changes" in out) == (0, True)


def test_whole_file_takes_the_place_of_the_configuration(m3w, built):  # type: ignore[no-untyped-def]
    file = built.parent / "other.toml"
    file.write_text(f"{TOML}[rules]\nlanguages = []\n")
    _, out, _ = m3w("whatif", built, "--config", file, "--json")
    assert json.loads(out)["settings"] == {"rules.languages": {"old": ["en"], "new": []}}
    file.write_text("[rules]\nlanguages = []\n")  # with the network on
    code, _, err = m3w("whatif", built, "--config", file)
    assert (code, err.count("\n")) == (1, 1)
    assert "fetch.network: False in the build, True asked for: fetch would have to run again" in err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("rules.min_word=30", "rules.min_word: unknown key"),
        ("rules.min_words=thirty", "expected a TOML value, text in quotes"),
        ("rules.min_words=-1", "rules.min_words: expected greater than or equal to 0"),
        ("rules.min_words", "expected TABLE.KEY=VALUE"),
        ("min_words=30", "expected TABLE.KEY=VALUE"),
        ("rule.min_words=30", "rule: unknown key"),
        ("extract.page_seconds=9.0", "extract would have to run again"),
        ('rights.ignore=["robots.txt"]', "fetch would have to run again"),
        ("fetch.max_frames=3", "fetch would have to run again"),
        ("write.shard_bytes=9", "write would have to run again"),
    ],
)
def test_wrong_setting_is_one_line(m3w, built, change, words):  # type: ignore[no-untyped-def]
    code, _, err = m3w("whatif", built, "--set", change)
    assert (code, err.count("\n")) == (1, 1)
    assert words in err


def test_nothing_to_try_is_one_line(m3w, built):  # type: ignore[no-untyped-def]
    code, _, err = m3w("whatif", built)
    assert code == 1
    assert "expected --set TABLE.KEY=VALUE or --config FILE" in err


def test_work_folder_that_was_moved_is_found_and_a_lost_one_told(m3w, built, tmp_path):  # type: ignore[no-untyped-def]
    copy = shutil.copytree(built, tmp_path / "out")
    moved = (copy / "work").rename(tmp_path / "elsewhere")
    code, _, err = m3w("whatif", copy, "--set", "rules.min_words=30")
    assert (code, err.count("\n")) == (1, 1)
    assert "expected the work folder of the build" in err
    assert "--work says where it is" in err
    code, out, _ = m3w("whatif", copy, "--set", "rules.min_words=31", "--work", moved, "--json")
    assert code == 0
    assert json.loads(out)["select"].startswith(str(moved))
    shutil.rmtree(next(moved.glob("extract-*")))
    for stage in ("fetch", "select", "write"):
        for file in moved.glob(f"{stage}-*/stage.json"):
            file.write_text(file.read_text().replace(str(built), str(tmp_path / "gone")))
    code, _, err = m3w("whatif", copy, "--set", "rules.min_words=32", "--work", moved)
    assert (code, err.count("\n")) == (1, 1)
    assert "found no stage.json" in err


def test_dataset_of_another_origin_is_one_line(m3w, tmp_path):  # type: ignore[no-untyped-def]
    for folder, words in ((dataset(tmp_path / "a"), "config.json"), (tmp_path, "manifest.jsonl")):
        code, _, err = m3w("whatif", folder, "--set", "rules.min_words=30")
        assert (code, err.count("\n")) == (1, 1)
        assert words in err


# Pure


def test_values_are_toml_and_later_changes_win() -> None:
    changes = ["rules.languages=['de', \"fr\"]", "rules.min_words=1", "rules.min_words=2"]
    found = whatif.settings(Config(), None, changes)
    assert (found.rules.languages, found.rules.min_words) == (("de", "fr"), 2)
    assert whatif.changed(Config(), found) == {
        "rules.languages": (["en"], ["de", "fr"]),
        "rules.min_words": (50, 2),
    }


def test_configuration_of_a_build_is_the_base() -> None:
    base = parse({"rules": {"min_words": 7}})
    found = whatif.settings(base, None, ["dedup.min_jaccard=0.9"])
    assert (found.rules.min_words, found.dedup.min_jaccard) == (7, 0.9)
    with pytest.raises(ConfigError, match=r"dedup\.min_jaccard"):
        whatif.settings(base, None, ["dedup.min_jaccard=2.0"])


def test_reasons_are_sorted_by_effect_and_new_ones_appear() -> None:
    def flow(kept: int, **drops: int) -> dict:
        rows = [{"stage": "select", "reason": key, "count": n} for key, n in drops.items()]
        steps = [{"name": "in shards", "count": kept}]
        return {"sections": [{"section": "documents", "steps": steps, "drops": rows}]}

    found = whatif.differences(flow(5, a=3, b=9, c=1), flow(8, b=9, c=3, d=1))
    assert [(d.name, d.old, d.new, d.change) for d in found] == [
        ("in shards", 5, 8, 3),
        ("a", 3, 0, -3),
        ("c", 1, 3, 2),
        ("d", 0, 1, 1),
        ("b", 9, 9, 0),
    ]
