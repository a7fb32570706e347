"""The polite half of fetch: what sites reserve, pauses they ask for, second tries, units that were killed."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import warc_record
from server import BODY, Handler, fixed, jpeg, server

from m3w_builder.collect import Request, collect
from m3w_builder.config import FetchConfig, RightsConfig
from m3w_builder.errors import MediaError
from m3w_builder.fetch import Client
from m3w_builder.inputs import live_page
from m3w_builder.packs import read_range
from m3w_builder.types import Media

CONFIG = FetchConfig(
    safety="off", allow_private=True, host_rate=0.0, backoff_seconds=0.02, max_pause_seconds=1.0
)
OK = fixed(BODY, Content_Type="image/jpeg")
Answer = Callable[[Handler], None]


def fetched(
    folder: Path, *urls: str, config: FetchConfig = CONFIG, **options: object
) -> list[Media]:
    """Returns the rows of some images."""
    requests = [Request(url, "image") for url in urls]
    return collect(requests, pack=folder / "p.tar", config=config, **options)  # type: ignore[arg-type]


def one(folder: Path, url: str, config: FetchConfig = CONFIG, **options: object) -> Media:
    return fetched(folder, url, config=config, **options)[0]


def robots(text: str) -> dict[str, Answer]:
    return {"/robots.txt": fixed(text.encode(), Content_Type="text/plain")}


def times(n: int, before: Answer, after: Answer = OK) -> Answer:
    """Answers like `before` n times, then like `after`."""
    left = [n]

    def answer(request: Handler) -> None:
        left[0] -= 1
        (before if left[0] >= 0 else after)(request)

    return answer


# What a site reserves


@pytest.mark.parametrize(
    ("paths", "signal"),
    [
        (robots("User-agent: *\nDisallow: /ok.jpg"), "robots.txt"),
        (robots("User-agent: m3w-builder\nDisallow: /"), "robots.txt"),
        ({"/ai.txt": fixed(b"User-Agent: *\nDisallow: *.jpg")}, "ai.txt"),
        (
            {"/.well-known/tdmrep.json": fixed(b'[{"location":"/","tdm-reservation":1}]')},
            "tdmrep.json",
        ),
        ({"/ok.jpg": fixed(BODY, X_Robots_Tag="max-image-preview: none, noai")}, "x-robots-tag"),
        ({"/ok.jpg": fixed(BODY, X_Robots_Tag="m3w-builder: noindex")}, "x-robots-tag"),
        ({"/ok.jpg": fixed(BODY, TDM_Reservation="1")}, "tdm-header"),
    ],
)
def test_reserved_image_is_refused_with_evidence_and_taken_when_the_user_says_so(
    paths: dict[str, Answer], signal: str, tmp_path: Path
) -> None:
    with server(own=paths) as (base, handler):
        row = one(tmp_path, f"{base}/ok.jpg")
        assert (row.status, row.source_bytes) == ("opted_out", 0)
        assert [optout.signal for optout in row.optouts] == [signal]
        assert row.optouts[0].where.startswith(base)
        assert row.optouts[0].found in row.detail
        assert row.optouts[0].when[:4].isdecimal()
        asked = handler.hits.get("/ok.jpg", 0)
        assert asked == (0 if signal in ("robots.txt", "ai.txt", "tdmrep.json") else 1)
        rights = RightsConfig(ignore=(signal,))  # type: ignore[arg-type]
        row = one(tmp_path, f"{base}/ok.jpg", rights=rights)
        assert (row.status, [optout.signal for optout in row.optouts]) == ("ok", [signal])


@pytest.mark.parametrize(
    "paths",
    [
        robots("User-agent: *\nDisallow: /private/\nAllow: /"),
        robots("User-agent: OtherBot\nDisallow: /"),
        robots(""),
        robots("<!doctype html><p>Disallow: /"),
        {"/ok.jpg": fixed(BODY, X_Robots_Tag="otherbot: noindex, nofollow")},
        {"/robots.txt": fixed(b"", 401)},
        {"/robots.txt": fixed(b"", 301, Location="/robots.txt")},
        {"/ai.txt": fixed(b"", 500)},
    ],
)
def test_site_that_reserves_nothing_of_ours_is_asked(
    paths: dict[str, Answer], tmp_path: Path
) -> None:
    with server(own=paths) as (base, _):
        row = one(tmp_path, f"{base}/ok.jpg")
    assert (row.status, row.optouts) == ("ok", ())


def test_robots_txt_that_cannot_be_had_forbids_everything(tmp_path: Path) -> None:
    with server(own={"/robots.txt": fixed(b"", 500)}) as (base, handler):
        rows = fetched(tmp_path, *(f"{base}/picture?seed={n}" for n in range(9)))
        assert {row.status for row in rows} == {"robots_unreachable"}
        assert handler.hits == {"/robots.txt": CONFIG.attempts}
        handler.own["/robots.txt"] = fixed(b"")
        assert one(tmp_path, f"{base}/ok.jpg").status == "ok"  # another unit asks anew


def test_site_is_asked_once_and_its_words_are_kept(tmp_path: Path) -> None:
    records = tmp_path / "records"
    with server(own=robots("User-agent: *\nDisallow: /no")) as (base, handler):
        urls = [f"{base}/picture?seed={n}" for n in range(12)] + [f"{base}/no.jpg"]
        fetched(tmp_path, *urls, records=records)
        files = ("/robots.txt", "/ai.txt", "/.well-known/tdmrep.json")
        assert [handler.hits[name] for name in files] == [1, 1, 1]
        record = json.loads(next(records.iterdir()).read_text())
        assert record["origin"] == base
        assert record["answers"]["/robots.txt"] == {
            "status": 200,
            "body": "User-agent: *\nDisallow: /no",
        }
        other = CONFIG.model_copy(update={"threads": 3})  # another worker
        assert one(tmp_path, f"{base}/no.jpg", other, records=records).status == "opted_out"
        assert [handler.hits[name] for name in files] == [1, 1, 1]


def test_redirect_meets_the_rules_of_its_target(tmp_path: Path) -> None:
    with (
        server(own=robots("User-agent: *\nDisallow: /ok")) as (closed, handler),
        server() as (opened, _),
    ):
        row = one(tmp_path, f"{opened}/redirect?to={closed}/ok.jpg")
    assert (row.status, row.optouts[0].where) == ("opted_out", f"{closed}/robots.txt")
    assert "/ok.jpg" not in handler.hits


def test_redirect_that_reserves_is_not_followed(tmp_path: Path) -> None:
    moved = fixed(b"", 302, Location="/ok.jpg", X_Robots_Tag="noai")
    with server(own={"/moved": moved}) as (base, handler):
        assert one(tmp_path, f"{base}/moved").status == "opted_out"
    assert "/ok.jpg" not in handler.hits


def test_what_the_users_lists_name_is_not_asked_for(tmp_path: Path) -> None:
    names = tmp_path / "optouts.txt"
    with server() as (base, handler):
        digest = one(tmp_path, f"{base}/ok.jpg").sha256
        names.write_text(f"{base}/picture\n{digest}\n")
        rights = RightsConfig(optout_lists=(str(names),))
        listed = one(tmp_path, f"{base}/picture", rights=rights)
        assert (listed.status, listed.optouts[0].signal) == ("opted_out", "list")
        assert "/picture" not in handler.hits
        assert one(tmp_path, f"{base}/ok.jpg", rights=rights).status == "opted_out"


def test_archived_copy_is_bound_by_the_headers_it_came_with(tmp_path: Path) -> None:
    file = tmp_path / "a.warc.gz"
    file.write_bytes(warc_record("http://x/a.jpg", BODY, headers="X-Robots-Tag: noai\r\n"))
    request = Request("http://x/a.jpg", "image", ((str(file), 0),))
    (row,) = collect([request], pack=tmp_path / "p.tar", config=CONFIG)
    assert (row.status, row.optouts[0].when) == ("opted_out", "2026-01-02T03:04:05Z")


# What a host asks for


@pytest.mark.parametrize("status", [429, 503])
def test_host_that_asks_for_a_pause_gets_it(status: int, tmp_path: Path) -> None:
    busy = times(1, fixed(b"", status, Retry_After="1"))
    with server(own={"/busy": busy}) as (base, handler):
        start = time.monotonic()
        config = CONFIG.model_copy(update={"per_host": 1})
        rows = fetched(tmp_path, f"{base}/busy", f"{base}/ok.jpg", config=config)
    assert [row.status for row in rows] == ["ok", "ok"]
    assert time.monotonic() - start >= 1.0
    assert handler.hits["/busy"] == 2


def test_pause_that_is_too_long_is_given_up_and_told(tmp_path: Path) -> None:
    with server(own={"/busy": fixed(b"", 429, Retry_After="3600")}) as (base, handler):
        row = one(tmp_path, f"{base}/busy")
    assert (row.status, row.detail) == ("http_status", "429, retry after 3600 s")
    assert handler.hits["/busy"] == 1


def test_host_that_asks_for_a_long_pause_is_left_alone(tmp_path: Path) -> None:
    busy = fixed(b"", 429, Retry_After="3600")
    with server(own={"/busy": busy}) as (base, handler):
        rows = fetched(tmp_path, *(f"{base}/busy?{n}" for n in range(30)))
    assert handler.hits["/busy"] == 1
    assert [row.status for row in rows].count("host_dead") == 29


def test_dead_target_of_redirects_is_not_their_fault(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"dead_after": 3, "attempts": 1})
    with server() as (base, _):
        moved = [f"{base}/redirect?to=http://127.0.0.1:9/{n}.jpg" for n in range(6)]
        good = [f"{base}/picture?seed={n}" for n in range(6)]
        rows = fetched(tmp_path, *moved, *good, config=config)
    statuses = [row.status for row in rows]
    assert (statuses.count("ok"), statuses.count("unreachable")) == (6, 6)


def test_host_that_redirects_lead_to_is_asked_by_a_few_at_once(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"per_host": 2})
    with ExitStack() as stack:
        target, handler = stack.enter_context(server())
        sources = [stack.enter_context(server())[0] for _ in range(4)]
        to = f"{target}/picture?wait=0.05"
        urls = [f"{base}/redirect?to={to}%26seed={n}" for base in sources for n in range(4)]
        rows = fetched(tmp_path, *urls, config=config)
    assert {row.status for row in rows} == {"ok"}
    assert handler.busy["most"] <= 2


def test_words_of_a_site_are_asked_for_again_after_a_day(tmp_path: Path) -> None:
    records = tmp_path / "records"
    with server() as (base, handler):
        assert one(tmp_path, f"{base}/ok.jpg", records=records).status == "ok"
        (path,) = records.iterdir()
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "when": "2020-01-01T00:00:00Z"}))
        handler.own = robots("User-agent: *\nDisallow: /")
        other = CONFIG.model_copy(update={"threads": 3})  # another worker
        assert one(tmp_path, f"{base}/ok.jpg", other, records=records).status == "opted_out"


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("/nothing", 1, "http_status"),
        ("/gone", 1, "http_status"),
        ("/html.jpg", 1, "not_an_image"),
        ("/empty", 1, "empty_body"),
        ("/error", 3, "http_status"),
        ("/cut", 3, "truncated_body"),
    ],
)
def test_only_what_may_end_better_is_tried_again(
    path: str, asked: int, status: str, tmp_path: Path
) -> None:
    with server() as (base, handler):
        assert one(tmp_path, base + path).status == status
        assert handler.hits[path] == asked


@pytest.mark.parametrize("bad", ["/error", "/cut"])
def test_second_try_may_succeed(bad: str, tmp_path: Path) -> None:
    from server import PATHS

    with server(own={"/wavering": times(2, PATHS[bad])}) as (base, _):
        assert one(tmp_path, f"{base}/wavering").status == "ok"


def test_dead_host_is_given_up_after_some_failures(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"dead_after": 4, "per_host": 1})
    urls = [f"http://127.0.0.1:9/{n}" for n in range(50)]
    rows = fetched(tmp_path, *urls, config=config)
    statuses = [row.status for row in rows]
    assert set(statuses) <= {"unreachable", "host_dead"}
    assert statuses.count("host_dead") >= 46


def test_crawl_delay_is_kept(tmp_path: Path) -> None:
    with server(own=robots("User-agent: *\nCrawl-delay: 0.3")) as (base, handler):
        rows = fetched(tmp_path, *(f"{base}/picture?seed={n}" for n in range(3)))
        assert {row.status for row in rows} == {"ok"}
        ends = handler.finished[-3:]
    assert ends[2] - ends[1] >= 0.2
    assert handler.busy["most"] <= 4


def test_bodies_in_memory_stay_below_the_bound(tmp_path: Path) -> None:
    """A body without a length counts as the longest: two of them are never received at once."""
    config = CONFIG.model_copy(
        update={"max_image_bytes": 10**6, "bytes_in_flight": 10**6, "per_host": 8}
    )

    def slow(request: Handler) -> None:
        request.head(Connection="close")
        running.append(1)
        most.append(len(running))
        request.wfile.write(BODY[:500])
        request.wfile.flush()
        time.sleep(0.05)
        running.pop()
        request.wfile.write(BODY[500:])
        request.close_connection = True

    running: list[int] = []
    most: list[int] = []
    with server(own={"/slow": slow}) as (base, _):
        rows = fetched(tmp_path, *(f"{base}/slow?{n}" for n in range(6)), config=config)
    assert {row.status for row in rows} == {"ok"}


def test_validators_are_kept(tmp_path: Path) -> None:
    answer = fixed(BODY, ETag='"7"', Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT")
    with server(own={"/a.jpg": answer}) as (base, _):
        row = one(tmp_path, f"{base}/a.jpg")
    assert (row.etag, row.last_modified) == ('"7"', "Thu, 01 Jan 2026 00:00:00 GMT")


# When the URL is gone


def test_users_archive_serves_what_is_gone_but_not_what_is_reserved(tmp_path: Path) -> None:
    (tmp_path / "old.jpg").write_bytes(jpeg(seed=3))
    fallback = ((str(tmp_path / "old.jpg"), -1),)
    with server(own={"/no.jpg": fixed(BODY, X_Robots_Tag="none")}) as (base, _):
        requests = [
            Request(f"{base}/{name}", "image") for name in ("gone", "html.jpg", "ok.jpg", "no.jpg")
        ]
        requests = [replace(request, fallback=fallback) for request in requests]
        rows = collect(requests, pack=tmp_path / "p.tar", config=CONFIG)
    found = {row.url.rpartition("/")[2]: (row.status, row.origin) for row in rows}
    assert found == {
        "gone": ("ok", "archive"),
        "html.jpg": ("ok", "archive"),
        "ok.jpg": ("ok", "http"),
        "no.jpg": ("opted_out", ""),
    }


# When the unit is killed

_CHILD = """
import sys
from pathlib import Path
from m3w_builder.collect import Request, collect
from m3w_builder.config import FetchConfig
base, folder, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
config = FetchConfig(safety="off", allow_private=True, host_rate=0.0, threads=4)
requests = [Request(f"{base}/picture?seed={n}&wait=0.03", "image") for n in range(count)]
collect(requests, pack=folder / "p.tar", config=config, journal=folder / "journal" / "unit")
"""


def test_killed_unit_asks_only_for_what_it_had_not(tmp_path: Path) -> None:
    count, base_config = 60, FetchConfig(safety="off", allow_private=True, host_rate=0.0, threads=4)
    with server() as (base, handler):
        urls = [f"{base}/picture?seed={n}&wait=0.03" for n in range(count)]
        undisturbed = fetched(tmp_path / "calm", *urls, config=base_config)
        before = handler.hits["/picture"]
        for kill in (0.5, 0.9):
            command = [sys.executable, "-c", _CHILD, base, str(tmp_path / "killed"), str(count)]
            child = subprocess.Popen(command)
            seen = handler.hits["/picture"]
            while handler.hits["/picture"] < seen + 10 * kill and child.poll() is None:
                time.sleep(0.005)
            child.send_signal(signal.SIGKILL)
            child.wait()
        journal = tmp_path / "killed" / "journal" / "unit"
        rows = fetched(tmp_path / "killed", *urls, config=base_config, journal=journal)
        asked = handler.hits["/picture"] - before
    assert rows == undisturbed
    packs = [(tmp_path / name / "p.tar").read_bytes() for name in ("calm", "killed")]
    assert packs[0] == packs[1]
    assert count <= asked <= count + 2 * 4  # four were in flight at each kill


def test_row_leads_to_its_bytes_after_a_resume(tmp_path: Path) -> None:
    journal = tmp_path / "journal" / "unit"
    with server() as (base, handler):
        first = fetched(tmp_path, f"{base}/picture?seed=1", f"{base}/gone", journal=journal)
        rows = fetched(
            tmp_path,
            f"{base}/picture?seed=1",
            f"{base}/picture?seed=2",
            f"{base}/gone",
            journal=journal,
        )
        assert (handler.hits["/picture"], handler.hits["/gone"]) == (2, 1)
    assert rows[0].status == "http_status"
    for row, seed in zip(rows[1:], (1, 2), strict=True):
        assert read_range(tmp_path / "p.tar", row.offset, row.length) == jpeg(seed=seed)
    assert first[1].sha256 == rows[1].sha256


# Pages of the live web


def test_page_is_asked_for_as_politely_as_a_picture() -> None:
    paths = {
        **robots("User-agent: *\nDisallow: /closed"),
        "/closed": fixed(b"<p>no"),
        "/open": fixed(b"<p>yes", Content_Type="text/html", X_Robots_Tag="noai"),
    }
    with server(own=paths) as (base, handler), Client(CONFIG, RightsConfig()) as client:
        with pytest.raises(MediaError, match=r"opted_out: robots\.txt: Disallow: /closed"):
            live_page(f"{base}/closed", client, 10**6)
        assert "/closed" not in handler.hits
        page = live_page(f"{base}/open", client, 10**6)  # extract weighs its headers
    assert page.html == b"<p>yes"
    assert ("X-Robots-Tag", "noai") in page.headers
