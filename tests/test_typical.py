"""The most typical drops of a reason: nearest to its median, or spread over the ids; shown where that does no harm."""

import base64
import io
import random
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from fakes import PAGE, Pack, document, image_media, picture, video_media
from PIL import Image as Pictures

from m3w_builder import typical
from m3w_builder.config import Config, parse
from m3w_builder.dedup import text_key
from m3w_builder.stages import Stage
from m3w_builder.tables import document_row, flat_row, media_row, write_table
from m3w_builder.types import Document, Image, Media, OptOut, Reject, Text, Video
from m3w_builder.typical import SHOWN, Best, choose, describe, examples

CONFIG = Config()
OPTOUT = OptOut("meta-robots", PAGE, "noai", "2026-01-02T03:04:05Z")


def rejects(folder: Path, rows: list[Reject], parts: int = 1) -> list[Path]:
    """Writes rejects spread over so many files."""
    files = [folder / "rejects" / f"{n}.parquet" for n in range(parts)]
    for n, file in enumerate(files):
        write_table(file, "rejects", map(flat_row, rows[n::parts]))
    return files


def drop(number: int, detail: str, reason: str = "words_too_few", url: str = "") -> Reject:
    key = sha256(str(number).encode()).hexdigest()[:20]
    return Reject(key, url or f"https://example.org/{number}", "select", reason, detail)


def only(files: list[Path]) -> dict:
    (reason,) = examples(choose(files))["reasons"]
    return reason


def details(reason: dict) -> list[str]:
    return [example["detail"] for example in reason["examples"]]


def test_typical_are_those_nearest_to_the_median(tmp_path):
    reason = only(rejects(tmp_path, [drop(n, f"{n} < 200") for n in range(101)]))
    assert (reason["count"], reason["median"]) == (101, 50)
    values = [int(detail.split()[0]) for detail in details(reason)]
    assert sorted(values) == list(range(40, 60)) or sorted(values) == list(range(41, 61))
    assert values[0] == 50
    assert [abs(v - 50) for v in values] == sorted(abs(v - 50) for v in values)


def test_ties_go_to_the_smallest_id(tmp_path):
    rows = [drop(n, "43 < 50") for n in range(300)]
    reason = only(rejects(tmp_path, rows))
    assert [e["id"] for e in reason["examples"]] == sorted(row.id for row in rows)[:SHOWN]


def test_drops_without_a_value_are_spread_over_the_ids(tmp_path):
    reason = only(rejects(tmp_path, [drop(n, "fr 0.98", "language") for n in range(2000)]))
    assert reason["median"] is None
    places = [int(e["id"], 16) * SHOWN >> 80 for e in reason["examples"]]
    assert places == list(range(SHOWN))


@pytest.mark.parametrize("count", [1, 7, 19, 20, 25])
def test_few_drops_are_all_shown_up_to_the_limit(tmp_path, count):
    for detail in ("fr 0.98", "7 < 50"):
        reason = only(rejects(tmp_path, [drop(n, detail) for n in range(count)]))
        assert len(reason["examples"]) == min(count, SHOWN)


def test_an_address_is_shown_once(tmp_path):
    rows = [drop(n, f"{n % 5} < 50", url="https://example.org/logo.png") for n in range(50)]
    rows += [drop(99, "48 < 50", url="https://example.org/other.png")]
    urls = [e["url"] for e in only(rejects(tmp_path, rows))["examples"]]
    assert urls == ["https://example.org/logo.png", "https://example.org/other.png"]
    spread = [drop(n, "", url="https://example.org/logo.png") for n in range(50)]
    assert len(only(rejects(tmp_path, spread))["examples"]) == 1


def test_files_and_their_order_change_nothing(tmp_path):
    rows = [drop(n, f"{n % 90} < 100") for n in range(400)]
    rows += [drop(n, f"{n}", "http_status", f"https://example.org/{n % 70}") for n in range(300)]
    one = examples(choose(rejects(tmp_path / "1", rows)))
    random.Random(1).shuffle(rows)
    assert examples(choose(rejects(tmp_path / "2", rows, parts=7))) == one


def test_reasons_are_ordered_by_count_and_domains_counted(tmp_path):
    rows = [drop(n, "", "language") for n in range(3)] + [drop(9, "1 < 2", "alpha_words")]
    rows += [Reject("0a", "https://www.example.net/x", "select", "no_image", "")]
    rows += [Reject("0b", "https://example.com/x", "extract", "http_status", "404")]
    found = examples(choose(rejects(tmp_path, rows)))
    assert [(r["reason"], r["count"]) for r in found["reasons"]] == [
        *(("language", 3), ("http_status", 1), ("alpha_words", 1), ("no_image", 1))
    ]
    assert found["domains"] == [("example.org", 4), ("example.net", 1)]


def test_memory_is_bounded_and_the_best_survive():
    best, draw = Best(5), random.Random(2)
    keys = [(float(draw.randrange(10**6)), f"{n}", f"https://e/{n % 900}", "") for n in range(9000)]
    for key in keys:
        best.offer(key)
        assert len(best.kept) < 4 * best.most
    nearest = {}
    for key in keys:
        nearest[key[2]] = min(key, nearest.get(key[2], key))
    assert best.best() == sorted(nearest.values())[:5]


# With words and pictures


class Stages:
    """An extract and a fetch stage on disk, of these documents and media."""

    def __init__(self, folder: Path, documents: list[Document], media: list[Media], pack: Pack):
        self.extract, self.fetch = Stage(folder / "e", "extract"), Stage(folder / "f", "fetch")
        rows = (document_row(d, text_key(d.texts)) for d in documents)
        write_table(folder / "e" / "documents" / "0.parquet", "documents", rows)
        write_table(folder / "f" / "media" / "0.parquet", "media", map(media_row, media))
        (folder / "f" / "packs").mkdir(parents=True)
        (folder / "f" / "packs" / "000000.tar").write_bytes(pack.bytes)

    def first(self, files: list[Path], config: Config = CONFIG) -> dict:
        """Returns the first example of the first reason."""
        found = describe(files, self.extract, self.fetch, config)
        example: dict = found["reasons"][0]["examples"][0]
        return example


IMAGE = "https://img.example.org/a.jpg"
BODY = picture(300, 200)


def one(tmp_path: Path, found: Document, scores: dict[str, float] | None = None) -> Stages:
    pack = Pack()
    row = image_media(pack, IMAGE, BODY)
    return Stages(tmp_path, [found], [replace(row, scores=scores or {})], pack)


def size(example: dict) -> tuple[int, int]:
    with Pictures.open(io.BytesIO(base64.b64decode(example["picture"]))) as image:
        assert image.format == "WEBP"
        return image.size


def test_dropped_document_is_shown_by_title_and_first_words(tmp_path):
    page = document(Text("A title", "heading"), Text("word " * 100), Image(IMAGE), title="A title")
    stages = one(tmp_path, page)
    files = rejects(tmp_path, [Reject(page.id, page.url, "select", "words_too_few", "3 < 50")])
    example = stages.first(files)
    assert (example["kind"], example["title"]) == ("interleaved", "A title")
    assert example["text"].startswith("word word")
    assert example["text"].endswith("word…")
    assert len(example["text"]) <= typical.WORDS
    assert "picture" not in example


def test_dropped_image_of_a_document_is_shown_itself(tmp_path):
    page = document(Text("Words"), Image(IMAGE))
    stages = one(tmp_path, page)
    files = rejects(tmp_path, [Reject(page.id, IMAGE, "select", "image_too_small", "48 < 64")])
    example = stages.first(files)
    assert size(example) == (96, 64)
    assert "text" not in example
    assert example["page"] == PAGE
    assert example["media"] == [IMAGE, sha256(BODY).hexdigest()]


def test_dropped_pair_is_shown_with_its_text_and_picture(tmp_path):
    pair = document(Image(IMAGE), Text("A hill"), kind="image_text")
    stages = one(tmp_path, pair)
    files = rejects(tmp_path, [Reject(pair.id, PAGE, "select", "alt_too_short", "2 < 3")])
    example = stages.first(files)
    assert (size(example), example["text"]) == ((96, 64), "A hill")


def test_video_is_shown_by_its_first_frame(tmp_path):
    pack, url = Pack(), "https://v.example.org/a.mp4"
    pair = document(Video(url), Text("Flight"), kind="video_text")
    stages = Stages(tmp_path, [pair], [video_media(pack, url, [picture(320, 180)])], pack)
    files = rejects(tmp_path, [Reject(pair.id, PAGE, "select", "video_text_too_short", "1 < 2")])
    assert size(stages.first(files)) == (96, 54)


@pytest.mark.parametrize(
    ("reason", "scores", "optouts", "table"),
    [
        ("opted_out", {}, (), {}),
        ("explicit_image", {}, (), {}),
        ("personal_data", {}, (), {}),
        ("alt_too_short", {"nsfw": 0.9}, (), {}),  # whatever else it was dropped for
        ("alt_too_short", {}, (OPTOUT,), {}),
        ("alt_too_short", {}, (), {"rights": {"optout_lists": ["LIST"]}}),
    ],
)
def test_what_must_not_be_kept_is_not_shown(tmp_path, reason, scores, optouts, table):
    (tmp_path / "list.txt").write_text("img.example.org\nexample.org\n")
    if table:
        table = {"rights": {"optout_lists": [str(tmp_path / "list.txt")]}}
    pair = document(Image(IMAGE), Text("Some words"), kind="image_text", optouts=optouts)
    stages = one(tmp_path, pair, scores)
    files = rejects(tmp_path, [Reject(pair.id, PAGE, "select", reason, "x")])
    example = stages.first(files, parse(table))
    assert "picture" not in example
    assert ("text" in example) == bool(scores)


@pytest.mark.parametrize("newest", [PAGE, f"{PAGE}?utm_source=x", "https://m.example.org/page"])
@pytest.mark.parametrize("reason", sorted(typical.HIDDEN))
def test_words_that_the_newest_capture_forbids_are_not_shown_of_an_older_one(
    tmp_path, newest, reason
):
    older, other = document(Text("Secret words")), document(Text("Fine"), url=f"{PAGE}?other")
    stages = Stages(tmp_path, [older, other], [], Pack())
    rows = [
        Reject(older.id, PAGE, "select", "duplicate_page", f"kept {newest} of 2027-01-01"),
        Reject(other.id, other.url, "select", "duplicate_page", "kept https://example.net/ of x"),
        Reject(document(url=newest).id, newest, "select", reason, "x"),
    ]
    found = describe(rejects(tmp_path, rows, parts=3), stages.extract, stages.fetch, CONFIG)
    assert "Secret" not in str(found)
    assert "Fine" in str(found)


def test_document_with_something_hidden_in_it_is_not_shown(tmp_path):
    page = document(Text("Words"), Image(IMAGE))
    rows = [
        Reject(page.id, PAGE, "select", "no_image_left", "explicit_image"),
        Reject(page.id, IMAGE, "select", "explicit_image", "0.9 > 0.5"),
    ]
    stages = one(tmp_path, page)
    found = describe(rejects(tmp_path, rows), stages.extract, stages.fetch, CONFIG)
    assert all("text" not in e for reason in found["reasons"] for e in reason["examples"])


@pytest.mark.parametrize(
    ("line", "words", "shows"),
    [
        (PAGE, False, False),
        ("https://example.org/canonical", False, False),
        ("img.example.org", True, False),
        (sha256(BODY).hexdigest(), True, False),
        ("example.net", True, True),
    ],
)
def test_what_earlier_builds_took_down_is_not_shown(tmp_path, line, words, shows):
    (tmp_path / "removed.txt").write_text(f"{line}\n")
    config = parse({"rights": {"removed": [str(tmp_path / "removed.txt")]}})
    canonical = "https://example.org/canonical"
    pair = document(Image(IMAGE), Text("Words"), kind="image_text", canonical=canonical)
    stages = one(tmp_path, pair)
    files = rejects(tmp_path, [Reject(pair.id, PAGE, "select", "duplicate_page", "kept x of y")])
    example = stages.first(files, config)
    assert ("text" in example, "picture" in example) == (words, shows)


def test_video_with_a_frame_that_was_taken_down_is_not_shown(tmp_path):
    pack, url, frame = Pack(), "https://v.example.org/a.mp4", picture(320, 180)
    (tmp_path / "removed.txt").write_text(f"{sha256(frame).hexdigest()}\n")
    pair = document(Video(url), Text("Flight"), kind="video_text")
    stages = Stages(tmp_path, [pair], [video_media(pack, url, [picture(), frame])], pack)
    files = rejects(tmp_path, [Reject(pair.id, PAGE, "select", "video_text_too_short", "1 < 2")])
    config = parse({"rights": {"removed": [str(tmp_path / "removed.txt")]}})
    assert "picture" not in stages.first(files, config)


def test_what_is_taken_down_is_forgotten(tmp_path):
    page = document(Text("Words"), Image(IMAGE))
    stages = one(tmp_path, page)
    rows = [Reject(page.id, IMAGE, "select", "image_too_small", "48 < 64"), drop(7, "3 < 50")]
    found = describe(rejects(tmp_path, rows), stages.extract, stages.fetch, CONFIG)
    digest = sha256(BODY).hexdigest()
    left = typical.forget(found, lambda example: digest in example.get("media", ()))
    assert [len(reason["examples"]) for reason in found["reasons"]] == [1, 1]
    assert {r["reason"]: len(r["examples"]) for r in left["reasons"]} == {
        "image_too_small": 0,
        "words_too_few": 1,
    }


def test_ignored_optout_hides_nothing(tmp_path):
    pair = document(Image(IMAGE), Text("Some words"), kind="image_text", optouts=(OPTOUT,))
    stages = one(tmp_path, pair)
    files = rejects(tmp_path, [Reject(pair.id, PAGE, "select", "alt_too_short", "2 < 3")])
    assert "picture" in stages.first(files, parse({"rights": {"ignore": ["meta-robots"]}}))


def test_reject_without_document_or_bytes_has_its_address_alone(tmp_path):
    stages = one(tmp_path, document(Text("x"), Image(IMAGE)))
    row = Reject("0a", "https://example.org/gone.jpg", "fetch", "http_status", "404")
    example = stages.first(rejects(tmp_path, [row]))
    assert example == {"id": "0a", "url": "https://example.org/gone.jpg", "detail": "404"}


def test_stages_without_a_document_or_a_medium_show_addresses(tmp_path):
    stages = Stages(tmp_path, [], [], Pack())
    row = Reject("0a", "https://127.0.0.1/", "extract", "private_address", "127.0.0.1")
    assert stages.first(rejects(tmp_path, [row]))["detail"] == "127.0.0.1"


def test_of_several_captures_the_oldest_is_shown_wherever_it_lies(tmp_path):
    found = [
        document(Text(f"Crawled in {year}"), Image(IMAGE), crawled=f"{year}-01-01T00:00:00Z")
        for year in (2027, 2025, 2026)
    ]
    stages = Stages(tmp_path, found, [], Pack())
    files = rejects(tmp_path, [Reject(found[0].id, PAGE, "select", "duplicate_page", "kept")])
    assert stages.first(files)["text"] == "Crawled in 2025"
