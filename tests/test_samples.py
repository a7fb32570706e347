import json
import time
from dataclasses import replace

import pytest
from fakes import Pack, document, image_media, jpeg, page_sample, pair_sample, picture, video_media
from fakes import video_sample as fake_video

from m3w_builder.samples import (
    Caption,
    canonical_json,
    hidden,
    members,
    nodes,
    pair_text,
    sample,
    word_count,
)
from m3w_builder.shards.valid import problems
from m3w_builder.subtitles import Cue, write
from m3w_builder.types import Image, Text, Track, Video

A, B = "https://example.org/a.jpg", "https://example.org/b.png"
CLIP = "https://example.org/clip.mp4"


def test_lists_run_parallel_to_the_nodes_with_one_entry_filled() -> None:
    pack = Pack()
    found = sample(
        document(Text("One", "heading"), Image(A), Text("Two"), Image(B)),
        {1: image_media(pack, A, jpeg()), 3: image_media(pack, B, picture(encoding="png"))},
    ).record
    assert found["texts"] == ["One", None, "Two", None]
    assert found["images"] == [None, "000.jpg", None, "001.png"]
    assert found["videos"] == [None] * 4
    assert [info["type"] for info in found["info"]] == ["text", "image", "text", "image"]


def test_media_node_without_a_row_is_left_out_and_numbers_stay_dense() -> None:
    media = {2: image_media(Pack(), B, picture(encoding="webp"))}
    found = sample(document(Image(A), Text("x"), Image(B)), media)
    assert found.record["images"] == [None, "000.webp"]
    assert [part.name for part in found.parts] == ["000.webp"]


def test_video_inside_a_page_has_its_number_and_seconds_in_the_frame_names() -> None:
    pack = Pack()
    media = {
        0: image_media(pack, A, jpeg()),
        1: video_media(pack, CLIP, [jpeg(seed=1), jpeg(seed=2)]),
    }
    found = sample(document(Image(A), Video(CLIP), Text("x")), media)
    assert found.record["videos"][1] == ["001.00000.jpg", "001.00001.jpg"]
    assert [frame["t"] for frame in found.record["info"][1]["frames"]] == [0, 1]


def test_pairs_are_named_by_their_format_and_end_with_the_text() -> None:
    pack = Pack()
    names = [[name for name, _ in members(s, pack)] for s in (pair_sample(pack), fake_video(pack))]
    frames = [f"{second:05}.jpg" for second in range(4)]
    assert names == [["json", "jpg", "txt"], ["json", *frames, "txt"]]


def test_members_hold_the_bytes_that_the_parts_point_at() -> None:
    pack = Pack()
    found = dict(members(page_sample(pack, 1), pack))
    assert found["000.jpg"] == picture(240, 180, 10)
    assert json.loads(found["json"])["id"] == page_sample(pack, 1).key


def test_json_is_canonical_whatever_the_order_of_scores() -> None:
    texts = [
        canonical_json(sample(document(Text("é\u2028"), scores=scores), {}).record)
        for scores in ({"b": 1 / 3, "a": 2.0}, {"a": 2.0, "b": 0.33333333333})
    ]
    assert texts[0] == texts[1]
    assert '"scores":{"a":2.0,"b":0.333333}' in texts[0]
    assert "é" in texts[0]


def test_source_file_of_the_crawl_leaves_no_trace() -> None:
    page = document(Text("x"), source="crawl-1.warc.gz@17")
    assert sample(page, {}) == sample(replace(page, source="elsewhere@0"), {})


def test_licence_of_the_page_and_the_address_after_redirects_are_kept() -> None:
    pack = Pack()
    media = {
        0: replace(image_media(pack, A, jpeg()), final_url=B),
        1: replace(video_media(pack, CLIP, [jpeg()]), final_url="https://cdn.example.org/c.mp4"),
    }
    found = sample(document(Image(A), Video(CLIP), licence="GFDL-1.3"), media).record
    assert found["licence"] == "GFDL-1.3"
    assert [info["final_url"] for info in found["info"]] == [B, "https://cdn.example.org/c.mp4"]


def test_row_of_the_wrong_kind_is_our_bug_and_crashes() -> None:
    with pytest.raises(ValueError, match="image row"):
        sample(document(Video(CLIP)), {0: image_media(Pack(), A, jpeg())})


def test_nodes_give_back_texts_and_member_names_in_order() -> None:
    record = page_sample(Pack(), 0).record
    first, second, third = (node for _, node in nodes(record))
    assert first == "Birds of the lake, part 0"
    assert second == ["000.jpg"]
    assert isinstance(third, str)
    assert word_count(record) == 15
    assert pair_text(record) == f"{first}\n{third}"


def test_a_page_of_thousands_of_pictures_takes_no_time() -> None:
    media = image_media(Pack(), A, jpeg())
    page = document(*[Text("x"), Image(A)] * 10_000)
    start = time.process_time()
    found = sample(page, {2 * n + 1: media for n in range(10_000)})
    assert found.parts[-1].name == "9999.jpg"
    assert time.process_time() - start < 2  # every node against every other took 4 s


def test_video_has_the_cues_of_its_tracks_while_its_frames_are_shown() -> None:
    pack = Pack()
    tracks = (
        Track("https://ex.com/gone.vtt"),
        Track("https://ex.com/b.vtt", "captions", "en", "English"),
        Track("https://ex.com/a.vtt", language="de"),
    )
    whole = video_media(pack, CLIP, [jpeg(seed=n) for n in range(6)])
    vtt = write(
        [Cue(0, 1, "before"), Cue(1.5, 2.5, "a < b"), Cue(3.2, 9, "long"), Cue(5, 6, "after")]
    )
    stored = {"https://ex.com/a.vtt": write([Cue(90, 91, "far")]), "https://ex.com/b.vtt": vtt}
    found = sample(
        document(Video(CLIP, tracks=tracks), Text("x"), kind="video_text"),
        {0: replace(whole, frames=whole.frames[2:5])},
        stored,
    ).record
    assert found["videos"][0] == ["00002.jpg", "00003.jpg", "00004.jpg"]
    first, second = found["info"][0]["subtitles"]
    assert (first["url"], first["kind"], first["language"], first["label"]) == (
        "https://ex.com/b.vtt", "captions", "en", "English",
    )  # fmt: skip
    assert first["cues"] == [
        {"start": 1.5, "end": 2.5, "text": "a < b"},
        {"start": 3.2, "end": 9, "text": "long"},
    ]
    assert (second["language"], second["cues"]) == ("de", [])
    assert list(problems("sample", found)) == []


def test_captions_of_a_pair_stand_behind_its_own_text_and_are_alternatives() -> None:
    pack = Pack()
    pair = document(Image(A, path="/html/img"), Text("A robin", "caption"), kind="image_text")
    captions = [
        Caption(0, None, "web", "", "m/1", 0.1 + 0.2),
        Caption(0, "a bird on a twig", "synthetic", "c/1", "m/1", 0.9),
    ]
    found = sample(pair, {0: image_media(pack, A, jpeg())}, captions=captions)
    assert found.record["texts"] == [None, "A robin", "a bird on a twig"]
    own, made = found.record["info"][1:]
    assert own == {
        "type": "text",
        "role": "caption",
        "path": "",
        "origin": "web",
        "model": "",
        "matcher": "m/1",
        "match": 0.3,
    }
    assert made == {
        "type": "text",
        "role": "caption",
        "path": "/html/img",
        "origin": "synthetic",
        "model": "c/1",
        "matcher": "m/1",
        "match": 0.9,
    }
    assert dict(members(found, pack))["txt"] == b"A robin"
    assert list(problems("sample", found.record)) == []


def test_pair_whose_own_text_is_gone_has_the_best_caption() -> None:
    pack = Pack()
    captions = [Caption(0, "a bird", "synthetic", "c/1"), Caption(0, "birds", "synthetic", "c/1")]
    pair = document(Image(A), kind="image_text")
    found = sample(pair, {0: image_media(pack, A, jpeg())}, captions=captions)
    assert found.record["texts"] == [None, "a bird", "birds"]
    assert found.record["info"][1]["match"] is None
    assert dict(members(found, pack))["txt"] == b"a bird"
    assert list(problems("sample", found.record)) == []


def test_captions_of_a_page_stand_behind_their_image_and_leave_the_texts_alone() -> None:
    page = document(Image(A), Text("One"), Image(B), Text("Two"))
    pack = Pack()
    media = {0: image_media(pack, A, jpeg()), 2: image_media(pack, B, jpeg(seed=1))}
    captions = [Caption(2, "two swans", "synthetic", "c/1"), Caption(0, "a robin", "synthetic")]
    found = sample(page, media, captions=captions).record
    assert found["texts"] == [None, "a robin", "One", None, "two swans", "Two"]
    assert ["origin" in i for i in found["info"] if i["type"] == "text"] == [
        *(True, False, True, False)
    ]
    assert pair_text(found) == "a robin\nOne\ntwo swans\nTwo"


def test_what_is_said_of_a_caption_is_said_whole() -> None:
    pair = document(Image(A), kind="image_text")
    found = sample(pair, {0: image_media(Pack(), A, jpeg())}, captions=[Caption(0, "x", "web")])
    del found.record["info"][1]["match"]
    assert list(problems("sample", found.record)) != []


def test_every_text_that_people_wrote_is_hidden_and_nothing_else() -> None:
    pack = Pack()
    tracks = (Track("https://ex.com/b.vtt", "captions", "en", "ask Joe"),)
    page = document(
        Text("Joe is here", "heading", "/html/Joe"),
        Image(A, alt="Joe", title="of Joe", caption="Joe, 9"),
        Video(CLIP, "Joe runs", "by Joe", "Joe ran", poster=f"{A}?Joe", tracks=tracks),
        title="About Joe",
        url="https://example.org/Joe",
    )
    media = {1: image_media(pack, A, jpeg()), 2: video_media(pack, CLIP, [jpeg(seed=1)])}
    record = sample(page, media, {"https://ex.com/b.vtt": write([Cue(0, 1, "Hi Joe")])}).record
    found = hidden(record, lambda text: text.replace("Joe", "<N>"))
    assert found["texts"] == ["<N> is here", None, None]
    assert found["title"] == "About <N>"
    text, image, video = found["info"]
    assert text == record["info"][0]
    assert (image["alt"], image["title"], image["caption"]) == ("<N>", "of <N>", "<N>, 9")
    assert (video["title"], video["caption"], video["description"]) == (
        "<N> runs", "by <N>", "<N> ran",
    )  # fmt: skip
    assert video["subtitles"][0]["label"] == "ask <N>"
    assert video["subtitles"][0]["cues"] == [{"start": 0, "end": 1, "text": "Hi <N>"}]
    assert found["url"] == "https://example.org/Joe"
    assert video["poster"] == f"{A}?Joe"
    assert canonical_json(found).count("Joe") == 3  # two addresses and a DOM path
    assert hidden(record, str) == record
    assert list(problems("sample", found)) == []
