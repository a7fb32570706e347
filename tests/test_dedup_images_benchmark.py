"""The benchmark of near-duplicate images counts what is found, and forgives no false match."""

import io
import json
from pathlib import Path

import pytest
from fakes import picture
from PIL import Image

from m3w_builder.errors import InputError

dedup_images = pytest.importorskip(
    "benchmarks.dedup_images",
    reason="imagehash (extra peers) is not installed",
    exc_type=ImportError,
)


def sites(folder: Path) -> Path:
    """Returns a folder of two sites with two pictures each."""
    for number in range(4):
        path = folder / "sites" / ("one", "two")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(320, 240, number))
    return folder


def test_copies_are_found_and_others_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dedup_images.main([str(sites(tmp_path)), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["pictures"] == 4
    done = {(kind, strength) for kind, row in found["recall"].items() for strength in row}
    changes = {(kind, one) for kind, some in dedup_images.CHANGES.items() for one in some}
    assert changes - done == {("resize", "0.25")}  # 60 pixels high: the rules drop them
    assert found["recall"]["resize"]["0.5"] == {"ours": 1.0, "imagehash": 1.0, "copies": 4}
    assert found["recall"]["flip"][""]["ours"] == 0.0
    assert found["pairs"] == 8 * len(done)
    assert found["false_match_rate"] == {"ours": 0.0, "imagehash": 0.0}
    assert min(value for name, value in found.items() if name.endswith("_per_s")) > 0


def test_a_picture_on_two_sites_is_no_false_match(tmp_path: Path) -> None:
    again = io.BytesIO()
    Image.open(sites(tmp_path) / "sites/one/0.jpg").save(again, "PNG")
    (tmp_path / "sites/two/again.png").write_bytes(again.getvalue())
    found = dedup_images.measure(tmp_path)
    assert found["pictures_on_two_sites"] == 1
    assert found["false_matches"]["ours"] == 0


def test_one_site_is_not_enough(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.jpg").write_bytes(picture(320, 240, 1))
    with pytest.raises(InputError, match="expected pictures of two sites or more"):
        dedup_images.measure(tmp_path)
