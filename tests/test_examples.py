"""The bundled crawl is complete: the demonstration needs no network."""

import gzip
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import urljoin

import lxml.html
import pytest
from fakes import dataset
from PIL import Image
from warcio.archiveiterator import ArchiveIterator

from m3w_builder.config import load
from m3w_builder.errors import ConfigError

EXAMPLES = Path(__file__).parents[1] / "examples"
CRAWL = EXAMPLES / "crawl.warc.gz"


@pytest.fixture(scope="module")
def responses() -> dict[str, tuple[str, bytes]]:
    """Returns status and decoded body of every address."""
    with CRAWL.open("rb") as file:
        return {
            record.rec_headers.get_header("WARC-Target-URI"): (
                record.http_headers.get_statuscode(),
                record.content_stream().read(),
            )
            for record in ArchiveIterator(file, check_digests="raise")
            if record.rec_type == "response"
        }


def test_crawl_is_small_enough_to_bundle() -> None:
    assert 2e6 < CRAWL.stat().st_size < 8e6


def test_crawl_holds_every_picture_and_video_of_its_pages(
    responses: dict[str, tuple[str, bytes]],
) -> None:
    for url, (status, body) in responses.items():
        if status == "200" and b"<html" in body[:1000]:
            for element in lxml.html.fromstring(body).iter("img", "video", "source"):
                source = element.get("data-src") or element.get("src")
                if source:
                    assert urljoin(url, source) in responses


def test_crawl_lists_the_pages_of_crawl_txt(responses: dict[str, tuple[str, bytes]]) -> None:
    lines = (EXAMPLES / "crawl.txt").read_text(encoding="utf-8").splitlines()
    paths = [line for line in lines if line and not line.startswith("#")]
    assert {f"https://docs.example.org/{path}" for path in paths} <= set(responses)


def test_every_record_is_a_gzip_member_of_its_own() -> None:
    with gzip.open(CRAWL) as file:
        records = file.read().count(b"WARC/1.1\r\n")
    assert CRAWL.read_bytes().count(b"\x1f\x8b\x08\x00\x00\x00\x00\x00") >= records > 700


def test_example_configuration_is_valid() -> None:
    assert not load(EXAMPLES / "config.toml").fetch.network


def test_alignment_has_a_row_for_each_pair(tmp_path: Path) -> None:
    run = runpy.run_path(str(EXAMPLES / "clip_alignment.py"))
    seen = []

    def similarity(image: Image.Image, text: str) -> float:
        seen.append((image.size, text))
        return 0.25

    folder = dataset(tmp_path, pages=1, pairs=3, videos=0)
    rows = [
        row for shard in sorted(folder.glob("*.tar")) for row in run["aligned"](shard, similarity)
    ]
    assert [row["clip"] for row in rows] == [0.25] * 3
    assert len({row["id"] for row in rows}) == 3
    assert all(size[0] and text for size, text in seen)


def test_alignment_says_what_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "clip_alignment.py"), "x.tar", "--weights", "none.pt"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert re.match("clip_alignment: (expected open_clip|none.pt: expected a file)", done.stderr)


def test_clip_as_a_matcher_gives_a_cosine_per_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for open_clip: what is tested is which image meets which text."""
    torch = pytest.importorskip("torch")

    class Network(torch.nn.Module):
        def encode_image(self, pixels, normalize):
            assert normalize
            return pixels

        def encode_text(self, tokens, normalize):
            assert normalize
            return tokens

    prepared = []

    def prepare(image: Image.Image):
        prepared.append(image)
        return torch.tensor([1.0, 0.0]) if image.width > image.height else torch.tensor([0.0, 1.0])

    fake = ModuleType("open_clip")
    fake.create_model_and_transforms = lambda model, pretrained, device: (Network(), None, prepare)
    fake.get_tokenizer = lambda model: (
        lambda texts: torch.tensor([[1.0, 0.0] if text == "wide" else [0.0, 1.0] for text in texts])
    )
    monkeypatch.setitem(sys.modules, "open_clip", fake)
    weights = tmp_path / "w.pt"
    weights.write_bytes(b"weights")
    matcher = runpy.run_path(str(EXAMPLES / "clip_matcher.py"))["Matcher"](str(weights))
    matcher.load()
    wide, tall = Image.new("RGB", (9, 3)), Image.new("RGB", (3, 9))
    pairs = [(wide, "wide"), (tall, "wide"), (wide, "tall"), (tall, "tall")]
    assert matcher.match(*zip(*pairs, strict=True)) == [1.0, 0.0, 0.0, 1.0]
    assert len(prepared) == 2
    assert matcher.model_id == f"clip/ViT-B-32/{matcher.checkpoint[:16]}"


def test_clip_as_a_matcher_says_what_is_missing(tmp_path: Path, monkeypatch) -> None:
    matcher = runpy.run_path(str(EXAMPLES / "clip_matcher.py"))["Matcher"]
    with pytest.raises(
        ConfigError, match=r"none\.pt: expected a file with the weights of ViT-B-32"
    ):
        matcher("none.pt")
    (tmp_path / "w.pt").write_bytes(b"weights")
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ConfigError, match="expected open_clip: pip install open_clip_torch"):
        matcher(str(tmp_path / "w.pt")).load()
