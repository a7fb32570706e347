import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fakes import REJECTS, Pack, dataset, document, image_media, jpeg, video_sample
from fakes import picture as picture_of

from m3w_builder import shards
from m3w_builder.errors import InputError, OutputError
from m3w_builder.report import _spread, charts, gallery, report, sample_page, write_report
from m3w_builder.report.html import Html, link, tag
from m3w_builder.samples import members, sample
from m3w_builder.types import Image, Text


class Checker(HTMLParser):
    """Keeps the open elements, so that a page with unbalanced tags fails."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: dict[str, list[dict[str, str | None]]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.setdefault(tag, []).append(dict(attrs))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(text: str) -> Checker:
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.open == []
    return checker


def test_report_stands_alone(tmp_path: Path) -> None:
    found = checked(report(dataset(tmp_path))).seen
    assert not {"script", "link", "iframe", "object"} & set(found)
    assert {str(image["src"])[:16] for image in found["img"]} == {"data:image/webp;"}
    assert any("default-src 'none'" in str(meta.get("content")) for meta in found["meta"])


def test_report_tells_the_whole_story(tmp_path: Path) -> None:
    text = report(dataset(tmp_path))
    for words in (
        "Birds of the lake",
        "4 interleaved documents, 5 image-text pairs, 2 video-text pairs.",
        "14 → <b>12</b>",
        "12 → <b>4</b>",
        "few_words",
        "rules.min_words = 50",
        "Domains kept",
        REJECTS[0].url,
        REJECTS[0].detail,
        "A flight over hills, take 1",
        "Images per page",
        "A heron waits &lt;quietly&gt; for a fish",
    ):
        assert words in text, words


def test_yield_is_one_chain_and_every_reason_leads_to_its_examples(tmp_path: Path) -> None:
    found = checked(report(dataset(tmp_path))).seen
    depths = [str(s["class"]) for s in found["section"] if "step" in str(s.get("class"))]
    assert depths == ["step depth0", "step depth1"]
    targets = {a["href"] for a in found["a"] if a.get("class") == "why"}
    assert "#drop-select-few_words" in targets
    assert "drop-select-few_words" in {d.get("id") for d in found["details"]}


def test_threshold_is_drawn_where_it_cuts_the_columns(tmp_path: Path) -> None:
    found = checked(report(dataset(tmp_path))).seen
    styles = [str(em["style"]) for em in found["em"]]
    # Bound 50 lies between the second and third of five columns, 80 a fifth into the fourth.
    assert styles == [
        *("left:0;width:40.00%", "left:40.00%"),
        *("left:64.00%;right:0", "left:64.00%"),
    ]


def test_threshold_off_the_chart_has_no_line_but_shades_what_it_drops() -> None:
    buckets = [[10, 20, 4], [20, 30, 1]]
    for value, shade in ((5, "left:0;width:0.00%"), (50, "left:0;width:100.00%")):
        cut = {"setting": "rules.x", "side": "min", "value": value}
        text = charts.score("words", {"buckets": buckets, "thresholds": [cut]})
        assert [em["style"] for em in checked(text).seen["em"]] == [shade]
        assert "off the chart" in text


def test_report_shows_the_stored_examples_of_a_reason(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    picture = base64.b64encode(picture_of(40, 30, encoding="webp")).decode()
    shown = {"id": "00", "url": "https://example.org/small.jpg", "detail": "12 < 64"}
    reason = {"stage": "select", "reason": "image_too_small", "count": 7, "median": 12.0}
    told = {**shown, "title": "A <title>", "text": "its words"}
    examples = [{**shown, "picture": picture}, told, {**shown, "picture": '"><script>'}]
    value = {"reasons": [{**reason, "examples": examples}], "domains": [["example.org", 7]]}
    (folder / "examples.json").write_text(json.dumps(value))
    text = report(folder)
    found = checked(text).seen
    assert f"data:image/webp;base64,{picture}" in {image["src"] for image in found["img"]}
    assert "script" not in found
    for words in ("median 12", "<b>A &lt;title&gt;</b> its words", "Domains dropped"):
        assert words in text


def test_subtitles_are_beside_the_frames() -> None:
    pack = Pack()
    found = video_sample(pack)
    track = {"kind": "captions", "language": "en", "label": "English"}
    cues = [{"start": n, "end": n + 1, "text": f"<line> {n}"} for n in range(40)]
    found.record["info"][0]["subtitles"] = [{**track, "cues": cues}]
    text = sample_page(found.record, dict(list(members(found, pack))[1:]))
    checked(text)
    assert "captions <b>en</b>, 40 cues" in text
    assert "&lt;line&gt; 3" in text
    assert "&lt;line&gt; 39" not in text


def test_text_of_a_page_never_becomes_markup() -> None:
    pack, url = Pack(), "https://example.org/a.jpg"
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b"
    page = document(Text(evil), Image(url, alt=evil, caption=evil), title=evil)
    made = sample(page, {1: image_media(pack, url, jpeg())})
    text = sample_page(made.record, dict(list(members(made, pack))[1:]))
    found = checked(text).seen
    assert "script" not in found
    assert len(found["img"]) == 1
    assert "onerror" not in found["img"][0]
    assert "\x1b" not in text


def test_long_texts_and_pages_are_cut_but_not_on_a_page_of_their_own() -> None:
    page = document(*(Text(f"{n} {'word ' * 1000}") for n in range(100)))
    made = sample(page, {})
    assert len(gallery.document(made.record, {})) < 150_000
    assert "and 40 more nodes" in gallery.document(made.record, {})
    assert len(sample_page(made.record, {})) > 500_000


def test_only_web_addresses_become_links() -> None:
    assert link("https://example.org/?a&b").startswith('<a href="https://example.org/?a&amp;b"')
    assert link("javascript:alert(1)") == "<span>javascript:alert(1)</span>"


def test_tag_escapes_what_is_not_markup() -> None:
    assert tag("p", "a<b", Html("<br>"), class_="x") == '<p class="x">a&lt;b<br></p>'


def test_same_dataset_gives_the_same_report(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    assert report(folder) == report(folder)


def test_dataset_without_waterfall_rejects_or_samples_still_has_a_report(tmp_path: Path) -> None:
    shards.finish(tmp_path, [], title="Nothing", config="0", version="0")
    text = report(tmp_path)
    checked(text)
    assert "Nothing passed the rules." in text


def test_samples_are_spread_over_the_whole_order() -> None:
    assert _spread(100, 4) == [0, 25, 50, 75]
    assert _spread(3, 8) == [0, 1, 2]


def test_report_is_written_beside_the_shards_or_where_asked(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "out")
    assert write_report(folder) == folder / "report.html"
    text = write_report(folder, tmp_path / "x.html").read_text(encoding="utf-8")
    assert re.match("<!doctype html>", text)


def test_report_that_cannot_be_written_or_has_no_dataset_is_one_line(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "out")
    with pytest.raises(
        OutputError, match=r"manifest\.jsonl: expected a folder that can be written"
    ):
        write_report(folder, folder / "manifest.jsonl" / "x.html")
    with pytest.raises(InputError, match="no manifest"):
        write_report(tmp_path)
