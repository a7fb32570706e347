"""A unit of pages: whatever one page or one server does, the others come out and it is counted."""

from pathlib import Path

from server import serve

from m3w_builder import histograms
from m3w_builder.config import parse
from m3w_builder.extract import extract, extract_unit
from m3w_builder.inputs import plan
from m3w_builder.tables import read_table
from m3w_builder.types import WHOLE_FILE, OptOut, Page

TEXT = "<h1>The harbour</h1>" + "".join(
    f"<p>On night {n} the harbour was quiet, and {n} boats lay still on the black water, which told"
    " nobody of the storm that was to come. The keeper of the light wrote it all down.</p>"
    for n in range(4)
)
HASTY = {"page_seconds": 0.5}
PRIVATE = {"allow_private": True}


def rejects(folder: Path) -> list[tuple[str, str]]:
    rows = [row for file in (folder / "rejects").iterdir() for row in read_table(file, "rejects")]
    return [(row["url"], row["reason"]) for row in rows]


def resources(site: Path, out: Path) -> list[tuple[str, str]]:
    """Returns URL path and file of what a folder's pages show that lies on disk."""
    for unit in plan([str(site)]):
        extract_unit(unit, out, parse({}))
    rows = [r for f in (out / "resources").iterdir() for r in read_table(f, "resources")]
    assert all(row["offset"] == WHOLE_FILE for row in rows)
    return sorted((row["url"].split("/", 3)[3], Path(row["file"]).name) for row in rows)


def site(folder: Path, body: str, *files: str) -> Path:
    folder.mkdir()
    (folder / "p.html").write_text(
        f"<html><title>T</title><body><main>{TEXT}{body}<p>The end of it.</p></main>"
    )
    for name in files:
        content = b"\0\0\0\x20ftypisom" if name.endswith(".mp4") else b"\x89PNG\r\n\x1a\n"
        (folder / name).write_bytes(content + bytes(40))
    return folder


def test_texts_documents_and_pairs_are_measured() -> None:
    body = (
        '<img src="a.jpg" alt="Das alte Haus am See, von der anderen Seite des Tales gesehen">'
        '<img src="b.jpg" alt="A boat in the harbour">'
    )
    html = f"<html><title>T</title><body><main>{TEXT}{body}<p>The end of it.</p></main>"
    page = Page("https://example.org/p", html.encode(), "text/html; charset=utf-8")
    document, german, english = extract(page, parse({}))[0]
    heading, first, *_ = document.texts
    assert (heading.scores["words"], heading.scores["stop"]) == (2.0, 1.0)
    assert first.scores["sentences"] == 2.0
    assert document.scores["sentences"] == sum(text.scores["sentences"] for text in document.texts)
    assert 0.4 < document.scores["stop_word_ratio"] < 0.6
    assert (german.language, german.scores["unigrams"]) == ("de", 12.0)
    assert german.scores["language_score"] > 0.65
    assert english.language == "en"  # too short to tell: as its page
    assert english.scores["language_score"] == document.scores["language_score"]


def test_local_media_are_those_that_the_documents_name(tmp_path: Path) -> None:
    """A lazy picture, srcset with a comma in a name, a quoted ">", a video; not what no node shows."""
    body = (
        '<img alt="a > b" data-lazy-src="1.png" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'
        '<img srcset="w_400,h_300.png 400w, w_800,h_600.png 800w" alt="Two sizes of a harbour">'
        '<video><source src="v.mp4" type="video/mp4"></video><script src="s.png"></script>'
        '<img src="gone.png" alt="A picture that nobody saved">'
    )
    files = ("1.png", "w_400,h_300.png", "w_800,h_600.png", "v.mp4", "s.png")
    found = resources(site(tmp_path / "site", body, *files), tmp_path / "out")
    assert found == [(n, n) for n in ("1.png", "v.mp4", "w_800,h_600.png")]


def test_a_base_inside_of_the_site_is_followed_one_elsewhere_is_left_to_the_network(
    tmp_path: Path,
) -> None:
    picture = '<img src="1.png" alt="A harbour at night">'
    here = site(tmp_path / "here", f'<base href="./">{picture}', "1.png")
    there = site(tmp_path / "there", f'<base href="https://cdn.test/i/">{picture}', "1.png")
    assert resources(here, tmp_path / "out1") == [("1.png", "1.png")]
    assert resources(there, tmp_path / "out2") == []


def test_pages_of_one_name_keep_their_own_pictures(tmp_path: Path) -> None:
    """Two folders, one page name and one picture name in each: every URL leads to one file."""
    for name in "ab":
        body = f'<p>Page {name}</p><img src="1.png" alt="A harbour at night">'
        (site(tmp_path / name, body, "1.png") / "1.png").open("ab").write(name.encode())
    for unit in plan([str(tmp_path / "[ab]" / "p.html")]):
        extract_unit(unit, tmp_path / "out", parse({}))
    files = (tmp_path / "out" / "resources").iterdir()
    rows = [row for file in files for row in read_table(file, "resources")]
    assert len({row["url"] for row in rows}) == len({row["record"] for row in rows}) == 2
    documents = (tmp_path / "out" / "documents").iterdir()
    kept = [row for file in documents for row in read_table(file, "documents")]
    assert len({row["id"] for row in kept}) == len(kept) == 4


def test_pages_of_a_site_share_one_row_per_picture(tmp_path: Path) -> None:
    folder = site(tmp_path / "site", "", "1.png")
    for n in range(3):
        head = f'<link rel="canonical" href="https://a.test/{n}.html">'
        picture = '<img src="1.png" alt="A harbour at night">'
        (folder / f"{n}.html").write_text(f"<html>{head}<body><main>{TEXT}{picture}</main>")
    assert resources(folder, tmp_path / "out") == [("1.png", "1.png")]


def test_a_server_slower_than_a_page_may_be_is_one_reject(tmp_path: Path) -> None:
    config = parse({"extract": HASTY, "fetch": {**PRIVATE, "total_seconds": 1.5}})
    with serve() as base:
        urls = [f"{base}/drip", f"{base}/html.jpg"]
        (tmp_path / "urls.txt").write_text("\n".join(urls))
        counts = extract_unit(plan([str(tmp_path / "urls.txt")])[0], tmp_path / "out", config)
    assert rejects(tmp_path / "out") == [(urls[0], "timeout")]
    assert (counts["pages"], counts["failed_records"]) == (1, 1)


HEAD = """
<meta name="ROBOTS" content="index, NoImageAI">
<meta http-equiv="X-Robots-Tag" content="noml">
<meta name="m3w-builder" content="unavailable_after: 2024-06-01">
<meta name="googlebot" content="noindex">
"""


def opting_out(crawled: str) -> list[tuple[str, str]]:
    body = f"<html><title>T</title>{HEAD}<body><main>{TEXT}"
    html = body + '<img src="1.png" alt="A harbour at night, seen from the hill"></main>'
    headers = (("x-robots-tag", "otherbot: none"), ("TDM-Reservation", "1"))
    page = Page("https://ex.com/p#top", html.encode(), headers=headers, crawled=crawled)
    documents, dropped = extract(page, parse({}))
    assert not dropped
    assert [d.kind for d in documents] == ["interleaved", "image_text"]
    assert documents[0].optouts == documents[1].optouts
    assert {(o.where, o.when) for o in documents[0].optouts} == {("https://ex.com/p", crawled)}
    return [(o.signal, o.found) for o in documents[0].optouts]


def test_every_document_of_a_page_carries_what_the_page_reserves() -> None:
    found = [
        ("meta-robots", "NoImageAI"),
        ("meta-robots", "noml"),
        ("meta-robots", "m3w-builder: unavailable_after: 2024-06-01"),
        ("tdm-header", "tdm-reservation: 1"),
    ]
    assert opting_out("2024-07-01T00:00:00Z") == found
    # "Now" is the time of the crawl: what was available then was taken then.
    assert opting_out("2024-05-01T00:00:00Z") == [found[0], found[1], found[3]]


def test_opt_outs_go_to_the_table_and_are_counted_once_a_page(tmp_path: Path) -> None:
    folder = site(tmp_path / "site", '<img src="1.png" alt="A harbour at night">', "1.png")
    page = (folder / "p.html").read_text()
    (folder / "p.html").write_text(
        page.replace("<body>", '<meta name=robots content="noai"><body>')
    )
    (unit,) = plan([str(folder)])
    counts = extract_unit(unit, tmp_path / "out", parse({}))
    assert counts["optouts.meta-robots"] == 1
    (file,) = (tmp_path / "out" / "documents").iterdir()
    for row in read_table(file, "documents"):
        (optout,) = row["optouts"]
        assert OptOut(**optout) == OptOut("meta-robots", row["url"], "noai", "")


def test_every_text_of_a_document_is_counted_in_its_histograms(tmp_path: Path) -> None:
    folder = site(tmp_path / "site", "<p>Free porn for the ships.</p>")
    (unit,) = plan([str(folder)])
    found = histograms.read(extract_unit(unit, tmp_path / "out", parse({})))
    (file,) = (tmp_path / "out" / "documents").iterdir()
    (document,) = [r for r in read_table(file, "documents") if r["kind"] == "interleaved"]
    texts = [dict(node["scores"]) for node in document["nodes"] if node["type"] == "text"]
    for buckets in found["text"].values():
        assert sum(n for *_, n in buckets) == len(texts)
    words = {low: n for low, _, n in found["text"]["words"]}
    assert words[2] == sum(text["words"] == 2 for text in texts) == 1  # the heading
    flagged = {low: n for low, _, n in found["text"]["flagged_share"]}
    assert (flagged[0.2], flagged[0]) == (1, len(texts) - 1)
    assert sum(n for *_, n in found["interleaved"]["flagged_share"]) == 1
