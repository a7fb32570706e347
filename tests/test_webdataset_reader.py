"""Stock webdataset reads the shards of a build unchanged, by the lines that examples/ shows."""

import subprocess
import sys
from pathlib import Path

import pytest
from fakes import dataset
from PIL import Image

from m3w_builder.shards import read_shard

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples" / "webdataset_reader.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("shards"), pages=6)


def test_every_page_comes_with_its_pictures_in_document_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    from webdataset_reader import pages

    found = dict(pages(str(folder / "interleaved-{000000..000001}.tar")))
    stored = [s for shard in sorted(folder.glob("interleaved-*.tar")) for s in read_shard(shard)]
    assert found.keys() == {key for key, _, _ in stored}
    for key, record, _ in stored:
        assert len(found[key]) == len(record["info"])
        for node, text, info in zip(found[key], record["texts"], record["info"], strict=True):
            if text is not None:
                assert node == text
            else:
                assert isinstance(node, Image.Image)
                assert node.size == (info["width"], info["height"])


def test_frames_of_a_clip_are_a_list(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    from webdataset_reader import pages

    clips = [nodes for _, nodes in pages(str(folder / "video_text-000000.tar"))]
    assert [[type(node).__name__ for node in nodes] for nodes in clips] == [["list", "str"]] * 2
    assert {len(nodes[0]) for nodes in clips} == {4}


def test_script_prints_a_page_a_line(folder: Path) -> None:
    command = [sys.executable, SCRIPT, folder / "interleaved-000000.tar"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(lines) == 3
    assert all("Birds of the lake" in line and "<image>" in line for line in lines)
