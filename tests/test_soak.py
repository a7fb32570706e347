"""The soak: what misbehaves does so each time alike, and the properties can fail."""

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import soak
from benchmarks.misbehaving import BAD, BEHAVIOURS, picture
from m3w_builder.config import FetchConfig
from m3w_builder.media import measure_image

PENDING: set[str] = set()


def failed(found: dict) -> set[str]:
    return {row["property"] for row in found["properties"] if not row["holds"]}


def options(**given: object) -> argparse.Namespace:
    defaults = {"images": 220, "kills": 0, "seed": 0, "workers": 1, "max_mib": 1024.0}
    return argparse.Namespace(**{**defaults, "in_flight": None, "strict": True, **given})


def test_a_tenth_misbehaves_in_every_way_and_the_seed_decides_where() -> None:
    found = soak.urls(2200, 20, 8000, seed=1)
    counts = Counter(found.values())
    assert len(found) == 2200
    assert counts["ok"] == 1980
    assert counts.keys() == BEHAVIOURS.keys()
    assert max(counts[name] for name in BAD) - min(counts[name] for name in BAD) <= 1
    assert found == soak.urls(2200, 20, 8000, seed=1) != soak.urls(2200, 20, 8000, seed=2)


def test_pictures_of_two_numbers_differ_and_decode() -> None:
    assert picture(3) != picture(19)  # of the same base
    image = measure_image(picture(19), config=FetchConfig(safety="off"))
    assert (image.width, image.height, image.reencoded) == (320, 240, False)


@pytest.mark.slow
def test_soak_without_kills_loses_nothing(tmp_path: Path) -> None:
    found = soak.soak(options(), tmp_path)
    assert found["misbehave"] == 22
    assert found["kills"] == found["asked_again"] == 0
    assert found["peak_mib"]["killed"] > 50
    assert failed(found) <= PENDING - {"not fetched again"}
    assert found["statuses"]["ok"] > 198


@pytest.mark.slow
def test_killed_soak_loses_nothing(tmp_path: Path) -> None:
    found = soak.soak(options(images=660, kills=2, workers=2), tmp_path)
    assert found["kills"] == 2
    assert failed(found) <= PENDING


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[soak.Web, soak.Run]:
    """A run of three rows, made by hand."""
    web = soak.Web(1, {f"http://127.1.0.1:1/{name}/1.jpg": name for name in ("ok", "gone", "cut")})
    rows = [
        {"url": url, "kind": "image", "status": BEHAVIOURS[name][0], "pack": "", "length": 1}
        for url, name in web.behaviours.items()
        if name != "ok"
    ]
    return web, soak.Run(tmp_path_factory.mktemp("stage"), rows=rows)


def held(web: soak.Web, calm: soak.Run, killed: soak.Run, **given: object) -> dict[str, bool]:
    limits = {"in_flight": 1, "max_mib": 100.0, "strict": True, **given}
    return {name: ok for name, ok, _ in soak.properties(web, calm, killed, **limits)}


def test_each_property_can_fail(pair: tuple[soak.Web, soak.Run]) -> None:
    web, run = pair
    assert not held(web, run, run)["killed: nothing lost"]  # of "ok" there is no row
    web = soak.Web(1, {row["url"]: web.behaviours[row["url"]] for row in run.rows})
    assert all(held(web, run, run).values())
    twice = replace(run, rows=[*run.rows, run.rows[0]])
    assert not held(web, run, twice)["killed: nothing twice"]
    other = replace(run, rows=[{**run.rows[0], "length": 2}, run.rows[1]])
    assert not held(web, run, other)["equal media tables"]
    wrong = replace(run, rows=[{**run.rows[0], "status": "ok"}, run.rows[1]], peak_mib=101.0)
    found = held(web, replace(run, packs={"a.tar": "1"}), replace(wrong, packs={"a.tar": "2"}))
    assert not found["killed: bounded memory"]
    assert not found["killed: each answer judged rightly"]
    assert not found["equal packs"]


def test_what_was_asked_for_again_is_counted_by_picture(pair: tuple[soak.Web, soak.Run]) -> None:
    calm = replace(
        pair[1], asked=Counter({"/chain/1.jpg": 1, "/chain/1.jpg?hop=1": 1, "/ok/2.jpg": 1})
    )
    more = Counter({"/chain/1.jpg": 2, "/chain/1.jpg?hop=1": 2, "/ok/2.jpg": 1, "/ok/3.jpg": 1})
    killed = replace(calm, asked=more, kills=1)
    assert soak.again(calm, killed) == {"/chain/1.jpg", "/ok/3.jpg"}
    web = soak.Web(1, {row["url"]: pair[0].behaviours[row["url"]] for row in calm.rows})
    assert not held(web, calm, killed)["not fetched again"]
    assert held(web, calm, killed, in_flight=2)["not fetched again"]
    assert held(web, calm, killed, strict=False)["not fetched again"]


def test_summary_is_a_table() -> None:
    found = {
        "images": 1, "hosts": 1, "misbehave": 0, "kills": 0,
        "seconds": {"undisturbed": 1, "killed": 1},
        "properties": [{"property": "nothing lost", "holds": False, "figure": "1 of 1"}],
    }  # fmt: skip
    assert soak.table(json.loads(json.dumps(found))).endswith("| nothing lost | NO | 1 of 1 |")
