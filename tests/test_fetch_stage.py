"""The fetch stage end to end, through the build: archives first, then hosts; what failed is asked for again."""

import json
from collections import Counter
from pathlib import Path

import pytest
from fakes import warc_record
from rich.console import Console
from server import BODY, Handler, fixed, jpeg, server

from m3w_builder.config import Config, parse
from m3w_builder.errors import InputError
from m3w_builder.tables import read_table
from pipelines.build import Build, build

WORDS = " ".join(f"word{n} of the page that has enough words to be kept" for n in range(12))
SETTINGS = {
    "fetch": {
        "safety": "off",
        "allow_private": True,
        "host_rate": 0.0,
        "backoff_seconds": 0.02,
        "buckets": 4,
    },
    "rules": {"languages": [], "text_rules": False},
}


def page(folder: Path, *urls: str) -> Path:
    """Writes a saved page that shows some pictures; returns its folder."""
    pictures = "".join(
        f'<figure><img src="{url}" alt="picture {url[-9:]}"></figure><p>{WORDS}' for url in urls
    )
    (folder / "pages").mkdir(parents=True, exist_ok=True)
    (folder / "pages" / "page.html").write_text(
        f"<article><h1>Title</h1><p>{WORDS}{pictures}</article>"
    )
    return folder / "pages"


def run(
    folder: Path,
    config: Config,
    inputs: Path,
    *,
    retry: bool = False,
    reuse: Path | None = None,
    workers: int = 1,
) -> Path:
    """Builds; returns the folder of the fetch stage."""
    job = Build(
        [str(inputs)],
        folder / "out",
        config,
        folder / "work",
        beam_args=(f"--workers={workers}",),
        retry_failed=retry,
        reuse=reuse,
    )
    build(job, Console(quiet=True))
    (stage,) = (folder / "work").glob("fetch-*")
    return stage


def rows(stage: Path) -> dict[str, dict]:
    found = [
        row for path in (stage / "media").glob("*.parquet") for row in read_table(path, "media")
    ]
    assert len(found) == len({(row["url"], row["kind"]) for row in found})
    return {row["url"].rpartition("/")[2]: row for row in found}


def images(folder: Path) -> int:
    lines = (folder / "out" / "manifest.jsonl").read_text().splitlines()
    return sum(row["images"] for row in map(json.loads, lines) if row["kind"] == "interleaved")


def test_what_failed_is_asked_for_again_and_only_that(tmp_path: Path) -> None:
    paths = {"/later.jpg": fixed(b"", 500), "/never.jpg": fixed(b"", 404)}
    config = parse(SETTINGS)
    with server(own=paths) as (base, handler):
        names = (
            "picture?seed=1&width=300",
            "later.jpg",
            "never.jpg",
            "html.jpg",
            "picture?seed=2&width=300",
        )
        pages = page(tmp_path, *(f"{base}/{name}" for name in names))
        stage = run(tmp_path, config, pages)
        first = rows(stage)
        assert Counter(row["status"] for row in first.values()) == {
            "ok": 2,
            "http_status": 2,
            "not_an_image": 1,
        }
        assert images(tmp_path) == 2
        before = dict(handler.hits)
        handler.own["/later.jpg"] = fixed(jpeg(300, 200, 5))
        run(tmp_path, config, pages)
        assert handler.hits == before  # a finished build asks nobody
        run(tmp_path, config, pages, retry=True)
        second = rows(stage)
        assert second["later.jpg"]["status"] == "ok"
        assert second["picture?seed=1&width=300"] == first["picture?seed=1&width=300"]
        assert handler.hits["/picture"] == before["/picture"]
        assert images(tmp_path) == 3
        after = dict(handler.hits)
        run(tmp_path, config, pages)
        assert handler.hits == after
        assert images(tmp_path) == 3
    assert not list(stage.glob("journal/*"))


def test_damaged_copy_of_the_crawl_is_asked_for_at_its_host(tmp_path: Path) -> None:
    """Archive units ask nobody: one process at a time talks to a host."""
    with server() as (base, handler):
        html = (
            page(tmp_path, f"{base}/ok.jpg", f"{base}/picture?seed=4")
            .joinpath("page.html")
            .read_bytes()
        )
        crawl = tmp_path / "crawl.warc.gz"
        damaged = warc_record(f"{base}/ok.jpg", BODY[:600]) + warc_record(
            f"{base}/picture?seed=4", jpeg(seed=4)
        )
        crawl.write_bytes(warc_record(f"{base}/page", html, kind="text/html") + damaged)
        stage = run(tmp_path, parse(SETTINGS), crawl)
        found = {name: (row["status"], row["origin"]) for name, row in rows(stage).items()}
        assert found == {"ok.jpg": ("ok", "http"), "picture?seed=4": ("ok", "archive")}
        assert "/picture" not in handler.hits


@pytest.mark.parametrize("index", [False, True])
def test_gone_picture_comes_from_the_users_archive(index: bool, tmp_path: Path) -> None:
    with server() as (base, _):
        archive = tmp_path / "old.warc.gz"
        archive.write_bytes(warc_record(f"{base}/gone", jpeg(300, 200)))
        if index:
            archive = tmp_path / "old.cdxj"
            fields = {
                "url": f"{base}/gone",
                "status": "200",
                "offset": "0",
                "filename": "old.warc.gz",
            }
            archive.write_text(f"key 20260102030405 {json.dumps(fields)}\n")
        settings = {**SETTINGS, "fetch": {**SETTINGS["fetch"], "archives": [str(archive)]}}
        stage = run(tmp_path, parse(settings), page(tmp_path, f"{base}/gone", f"{base}/ok.jpg"))
        found = {name: (row["status"], row["origin"]) for name, row in rows(stage).items()}
    assert found == {"gone": ("ok", "archive"), "ok.jpg": ("ok", "http")}
    assert rows(stage)["gone"]["fetched"] == "2026-01-02T03:04:05Z"


def test_one_process_at_a_time_asks_a_host(tmp_path: Path) -> None:
    running: list[int] = []
    most: list[int] = []

    def slow(request: Handler) -> None:
        import time

        running.append(1)
        most.append(len(running))
        time.sleep(0.02)
        running.pop()
        request.send(BODY)

    settings = {**SETTINGS, "fetch": {**SETTINGS["fetch"], "per_host": 2}}
    with server(own={"/slow": slow}) as (base, _):
        run(
            tmp_path,
            parse(settings),
            page(tmp_path, *(f"{base}/slow?{n}" for n in range(30))),
            workers=2,
        )
    assert max(most) == 2


def test_picture_that_did_not_change_is_not_sent_again(tmp_path: Path) -> None:
    bodies: list[int] = []

    def tagged(request: Handler) -> None:
        if request.headers.get("If-None-Match") == '"7"':
            request.send(b"", 304, ETag='"7"')
        else:
            bodies.append(1)
            request.send(jpeg(300, 200), ETag='"7"', Content_Type="image/jpeg")

    with server(own={"/tagged.jpg": tagged}) as (base, handler):
        pages = page(tmp_path, f"{base}/tagged.jpg", f"{base}/ok.jpg")
        first = run(tmp_path / "one", parse(SETTINGS), pages)
        again = run(tmp_path / "two", parse(SETTINGS), pages, reuse=first)
        assert (len(bodies), handler.hits["/tagged.jpg"], handler.hits["/ok.jpg"]) == (1, 2, 2)
        assert rows(again) == rows(first)
        handler.own["/tagged.jpg"] = fixed(jpeg(300, 200, 9), ETag='"8"')
        changed = run(tmp_path / "three", parse(SETTINGS), pages, reuse=first)
        assert rows(changed)["tagged.jpg"]["etag"] == '"8"'
    packs = [
        p.read_bytes() for stage in (first, again) for p in sorted((stage / "packs").iterdir())
    ]
    assert packs[: len(packs) // 2] == packs[len(packs) // 2 :]


def test_reuse_of_what_is_no_stage_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected the folder of a fetch stage"):
        run(tmp_path, parse(SETTINGS), page(tmp_path), reuse=tmp_path)
