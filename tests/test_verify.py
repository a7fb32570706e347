"""m3w verify: what is the same, what changed, what is gone; by the product's own polite client."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import dataset
from server import BODY, Handler, fixed, jpeg, server
from typer.testing import CliRunner

from m3w_builder.cli import app
from m3w_builder.collect import Request, collect
from m3w_builder.config import Config, FetchConfig
from m3w_builder.tables import media_row, write_table
from m3w_builder.verify import known, verify

FETCH = FetchConfig(safety="off", allow_private=True, host_rate=0.0, backoff_seconds=0.02)
CONFIG = Config(fetch=FETCH)


def tagged(request: Handler) -> None:
    """A picture with an ETag; its owner knows the conditional request."""
    if request.headers.get("If-None-Match") == '"7"':
        request.send(b"", 304, ETag='"7"')
    else:
        request.send(BODY, ETag='"7"')


@pytest.fixture
def fetched(tmp_path: Path) -> Iterator[tuple[Path, str, dict]]:
    """Yields a fetch stage's folder, the base of its server, and the server's paths to change."""
    paths = {"/tagged.jpg": tagged}
    with server(own=paths) as (base, handler):
        names = ("ok.jpg", "tagged.jpg", "picture?seed=5", "gone")
        requests = [Request(f"{base}/{name}", "image") for name in names]
        rows = collect(requests, pack=tmp_path / "packs" / "p.tar", config=FETCH)
        write_table(tmp_path / "media" / "u.parquet", "media", map(media_row, rows))
        yield tmp_path, base, handler.own


def test_media_of_a_stage_are_compared_with_what_is_there_now(fetched: tuple) -> None:
    folder, _, paths = fetched
    items = known(folder)
    assert [item.url.rpartition("/")[2] for item in items] == [
        "ok.jpg",
        "picture?seed=5",
        "tagged.jpg",
    ]
    assert {v.verdict for v in verify(items, CONFIG)} == {"same"}
    paths["/ok.jpg"] = fixed(jpeg(seed=9))
    paths["/picture"] = fixed(b"", 404)
    verdicts = [v.verdict for v in verify(items, CONFIG)]
    assert verdicts == ["changed", "http_status", "same"]
    paths["/ok.jpg"] = fixed(BODY, X_Robots_Tag="noai")
    assert [v.verdict for v in verify(items[:1], CONFIG)] == ["opted_out"]


def test_conditional_request_spares_the_body(fetched: tuple) -> None:
    folder, _, _ = fetched
    tagged_item = known(folder)[2]
    (verdict,) = verify([tagged_item], CONFIG, conditional=True)
    assert (verdict.verdict, verdict.detail) == ("same", "not modified")
    (verdict,) = verify([tagged_item], CONFIG)
    assert (verdict.verdict, verdict.detail) == ("same", "")


def test_command_prints_what_is_not_the_same_and_says_so_by_its_exit_code(
    fetched: tuple, tmp_path: Path
) -> None:
    folder, base, paths = fetched
    config = tmp_path / "c.toml"
    config.write_text("[fetch]\nallow_private = true\nhost_rate = 0.0\n")
    command = ["verify", str(folder), "--config", str(config)]
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, done.output) == (0, "3 of 3 are the same\n")
    paths["/ok.jpg"] = fixed(b"", 410)
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert f"http_status: {base}/ok.jpg 410" in done.output
    done = CliRunner().invoke(app, [*command, "--json", "--sample", "1"])
    assert json.loads(done.output)["counts"] == {"http_status": 1}


def test_media_of_a_dataset_are_known_by_their_samples(tmp_path: Path) -> None:
    items = known(dataset(tmp_path / "out"))
    assert {item.kind for item in items} == {"image", "video"}
    assert all(len(item.sha256) == 64 for item in items)
    assert [item.url for item in items] == sorted(item.url for item in items)


def test_folder_of_nothing_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "absent")])
    assert "expected a dataset" in str(done.exception)
