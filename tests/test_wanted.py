"""Planning of fetches: the newest good capture wins, redirects are followed inside the archive."""

import pytest

from m3w_builder.collect import Request
from m3w_builder.config import RightsConfig
from m3w_builder.tables import document_row, write_table
from m3w_builder.types import WHOLE_FILE, Document, Image, OptOut, Text, Track, Video
from m3w_builder.wanted import Want, give_up, locate, unit_of, wants

URL = "https://ex.com/a.jpg"
WANT = Want(URL, "image", at=URL)


def capture(
    status=200, crawled="2024-01-01T00:00:00Z", record="r1", file="a.warc.gz", offset=0, location=""
):
    return {
        "url": URL,
        "file": file,
        "offset": offset,
        "status": status,
        "content_type": "image/jpeg",
        "crawled": crawled,
        "record": record,
        "location": location,
    }


def test_media_nobody_archived_is_asked_for_over_http():
    assert list(locate([WANT], [])) == [(URL, Request(URL, "image", ()))]


def test_capture_nobody_wants_gives_nothing():
    assert list(locate([], [capture()])) == []


def test_newest_good_capture_comes_first_whatever_the_order():
    rows = [
        capture(crawled="2024-01-01T00:00:00Z", offset=1),
        capture(crawled="2024-03-01T00:00:00Z", offset=3, status=404),
        capture(crawled="2024-02-01T00:00:00Z", offset=2, record="r2"),
    ]
    for order in (rows, rows[::-1]):
        ((_, request),) = locate([WANT, WANT], order)
        assert request.candidates == (("a.warc.gz", 2), ("a.warc.gz", 1))


def test_redirect_is_followed_to_its_target():
    ((url, want),) = locate([WANT], [capture(status=301, location="https://cdn.ex.com/b.jpg")])
    assert (url, want) == (
        "https://cdn.ex.com/b.jpg",
        Want(URL, "image", at="https://cdn.ex.com/b.jpg"),
    )
    ((_, request),) = locate([want], [{**capture(offset=7), "url": "https://cdn.ex.com/b.jpg"}])
    assert request == Request(URL, "image", (("a.warc.gz", 7),))


def test_redirect_that_leaves_the_archive_is_asked_for_over_http():
    assert give_up(Want(URL, "image", at="https://elsewhere.org/")) == Request(URL, "image", ())


def test_units_are_archive_ranges_or_host_buckets():
    assert unit_of(Request(URL, "image", (("a.warc.gz", 40 * 2**20),)), 32) == "archive a.warc.gz 2"
    same_host = {unit_of(Request(f"https://ex.com/{n}", "image", ()), 32) for n in range(9)}
    assert len(same_host) == 1


def test_files_on_disk_are_a_bounded_number_of_units_wherever_they_lie():
    def units(folder):
        requests = (
            Request(f"{URL}/{n}", "image", ((f"{folder}/{n}.jpg", WHOLE_FILE),)) for n in range(999)
        )
        return [unit_of(request, 32) for request in requests]

    assert set(units("a")) == {f"files {n}" for n in range(32)}
    assert units("a") == units("b")


def test_one_record_in_two_files_is_taken_from_the_same_one_whatever_the_order():
    rows = [
        capture(file="a.warc.gz"),
        capture(file="b.warc.gz"),
        capture(file="b.warc.gz", offset=9),
    ]
    assert list(locate([WANT], rows)) == list(locate([WANT], rows[::-1]))


def documents(folder, *optouts):
    """Writes a page, its pair, and an innocent page that shows one of its pictures."""
    shown = (Image(URL), Image("https://ex.com/b.jpg"), Video("https://ex.com/v.mp4"))
    page = "https://ex.com/p"
    rows = [
        Document("1", "interleaved", page, shown, optouts=optouts),
        Document("2", "image_text", page, (shown[0], Text("words")), optouts=optouts),
        Document("3", "interleaved", "https://other.com/", shown[1:2]),
    ]
    path = folder / "documents.parquet"
    write_table(path, "documents", (document_row(row, "") for row in rows))
    return path


@pytest.mark.parametrize(
    ("words", "signal", "ignored", "wanted"),
    [
        ("noarchive", "", (), ["a.jpg", "b.jpg", "v.mp4"]),
        ("noai", "meta-robots", (), ["b.jpg"]),
        ("noimageindex", "x-robots-tag", (), ["b.jpg"]),
        ("noai", "meta-robots", ("meta-robots",), ["a.jpg", "b.jpg", "v.mp4"]),
        ("noai", "meta-robots", ("x-robots-tag",), ["b.jpg"]),
    ],
)
def test_page_that_opts_out_wants_no_media(words, signal, ignored, wanted, tmp_path):
    optouts = (OptOut(signal, "https://ex.com/p", words, ""),) if signal else ()
    found = wants(documents(tmp_path, *optouts), RightsConfig(ignore=ignored))
    assert [url.rpartition("/")[2] for url, _ in found] == wanted


def test_page_on_the_users_list_wants_no_media(tmp_path):
    (tmp_path / "list.txt").write_text("https://ex.com/p\n")
    rights = RightsConfig(optout_lists=(str(tmp_path / "list.txt"),))
    assert [url for url, _ in wants(documents(tmp_path), rights)] == ["https://ex.com/b.jpg"]


def test_a_video_is_wanted_with_the_tracks_that_hold_what_is_spoken(tmp_path):
    tracks = tuple(
        Track(f"https://ex.com/{kind}.vtt", kind)
        for kind in ("subtitles", "captions", "descriptions", "chapters", "metadata")
    )
    clip = Video("https://ex.com/a.mp4", tracks=tracks)
    player = Video("https://ex.com/player", file=False, tracks=(Track("https://ex.com/p.vtt"),))
    nodes = (Text("x"), Image(URL), clip, clip, player)
    page = Document("0", "interleaved", "https://ex.com/", nodes)
    write_table(tmp_path / "d.parquet", "documents", [document_row(page, "")])
    found = [(want.url, want.kind) for _, want in wants(tmp_path / "d.parquet")]
    assert found == [
        ("https://ex.com/a.jpg", "image"),
        ("https://ex.com/a.mp4", "video"),
        ("https://ex.com/captions.vtt", "subtitles"),
        ("https://ex.com/subtitles.vtt", "subtitles"),
    ]


def test_each_want_keeps_the_archives_of_its_own_url():
    """One was redirected here, and this URL to itself: whoever comes first."""
    here, there = (("a.warc.gz", 1),), (("b.warc.gz", 2),)
    moved = Want("https://ex.com/z.jpg", "image", at=URL, fallback=there)
    fallbacks = [capture(file=file, offset=offset) for file, offset in here]
    for order in ([WANT, moved], [moved, WANT]):
        found = [r for _, r in locate(order, [], fallbacks)]
        assert {(r.url, r.fallback) for r in found} == {(URL, here), (moved.url, there)}
