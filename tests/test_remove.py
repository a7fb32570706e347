"""`m3w remove` on shards that the real pipeline built: what was named is gone, what was not is as it was."""

import json
import os
import pickle
import shutil
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import webdataset
from fakes import Pack, dataset, page_sample, picture
from rich.console import Console

from m3w_builder import check, shards
from m3w_builder.config import RightsConfig, parse
from m3w_builder.errors import ConfigError, OutputError
from m3w_builder.optouts import OptOutLists, rights_digest
from m3w_builder.remove import Judge, asked_for, remove
from m3w_builder.samples import Record
from m3w_builder.tables import read_table
from m3w_builder.tombstones import REMOVED, Tombstones, removal_digest, tombstones, with_removed
from m3w_builder.write import clear
from pipelines.build import Build, build

CRAWL = Path(__file__).parents[1] / "examples" / "crawl.warc.gz"
OFFLINE = parse({"fetch": {"network": False, "safety": "off"}, "write": {"shard_bytes": 2**20}})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("built") / "out"
    job = Build([str(CRAWL)], output, OFFLINE, output / "work", beam_args=["--workers=1"])
    build(job, Console(quiet=True))
    return output


@pytest.fixture
def out(built: Path, tmp_path: Path) -> Path:
    """A copy of the dataset without its stages."""
    return shutil.copytree(built, tmp_path / "out", ignore=shutil.ignore_patterns("work"))


def records(folder: Path) -> list[Record]:
    return list(shards.open_dataset(folder).records())


def media(folder: Path) -> Iterator[tuple[Record, Record]]:
    """Yields (sample, info) of every image and video."""
    for record in records(folder):
        yield from ((record, info) for info in record["info"] if info["type"] != "text")


def states(folder: Path) -> dict[str, tuple[int, int]]:
    """Returns inode and time of change of every shard."""
    files = (*folder.glob("*.tar"), *folder.glob("*-*.parquet"))
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in files}


def touched(before: dict[str, tuple[int, int]], folder: Path) -> set[str]:
    after = states(folder)
    return {name.partition(".")[0] for name, state in before.items() if after.get(name) != state}


def of_shards(folder: Path, holds) -> set[str]:
    """Returns the names of the shards that hold a sample of which `holds` is true."""
    return {
        path.stem
        for path in folder.glob("*.tar")
        if any(map(holds, shards.open_dataset(path).records()))
    }


def rejects(folder: Path) -> list[dict[str, str]]:
    files = sorted(folder.glob("rejects/remove-*.parquet"))
    return [row for file in files for row in read_table(file, "rejects")]


def is_sound(folder: Path) -> bool:
    """Says whether `m3w check` passes and stock webdataset reads every sample."""
    assert check.check(folder) == []
    tars = sorted(map(str, folder.glob("*.tar")))
    if tars:
        read = webdataset.WebDataset(tars, shardshuffle=False, empty_check=False)
        assert len(list(read)) == len(records(folder))
    flow = shards.read_waterfall(folder)
    assert flow is not None
    steps = {s["section"]: [step["count"] for step in s["steps"]] for s in flow["sections"]}
    drops = {s["section"]: sum(d["count"] for d in s["drops"]) for s in flow["sections"]}
    kinds = [record["kind"] for record in records(folder)]
    found, kept = steps["documents"]
    assert kept == kinds.count("interleaved") == found - drops["documents"]
    placed, gone, kept = steps["images in documents"]
    assert placed == gone + kept + drops["images in documents"]
    assert kept == sum(
        image is not None
        for record in records(folder)
        if record["kind"] == "interleaved"
        for image in record["images"]
    )
    for kind in ("image_text", "video_text"):
        found, kept = steps[f"{kind.replace('_', '-')} pairs"]
        assert kept == kinds.count(kind) == found - drops[f"{kind.replace('_', '-')} pairs"]
    rows = sum(1 for f in folder.glob("rejects/*.parquet") for _ in read_table(f, "rejects"))
    assert rows == sum(drops.values())
    return True


def test_page_goes_with_its_pairs_and_no_other_shard_is_touched(built, out, m3w) -> None:
    page = next(r for r in records(out) if r["kind"] == "interleaved")["url"]
    before, whole = states(out), records(out)
    expected = of_shards(out, lambda record: record["url"] == page)
    code, said, _ = m3w("remove", out, "--url", f"{page}?utm_source=x#top", "--why", "a letter")
    assert code == 0
    assert "interleaved pages: 1 gone" in said
    assert touched(before, out) == expected != {path.stem for path in built.glob("*.tar")}
    left = {record["id"]: record for record in records(out)}
    assert left == {r["id"]: r for r in whole if r["url"] != page}
    found = rejects(out)
    assert {row["reason"] for row in found} == {"removed"}
    assert {row["detail"] for row in found} == {f"removed: {page.partition('//')[2]} (removed.txt)"}
    assert len(found) == len(whole) - len(left)
    assert is_sound(out)


def test_url_is_one_address_unless_a_star_or_prefix_says_more(out, m3w) -> None:
    pages = sorted({r["url"] for r in records(out)})
    shortest = pages[0].rpartition("/")[0] + "/"
    below = {url for url in pages if url.startswith(shortest)}
    assert shortest not in pages
    assert below
    said = m3w("remove", out, "--url", shortest, "--dry-run")[1]
    assert f"nothing in the shards falls under {shortest}" in said
    told = json.loads(m3w("remove", out, "--url", shortest, "--prefix", "--dry-run", "--json")[1])
    done = json.loads(m3w("remove", out, "--url", f"{shortest}*", "--json")[1])
    for name in ("removed", "shards", "emptied", "rejects", "unmatched"):
        assert told[name] == done[name]
    assert not {r["url"] for r in records(out)} & below
    assert is_sound(out)


def test_picture_goes_from_pages_and_pairs(out, m3w) -> None:
    shown = [info["url"] for record, info in media(out) if record["kind"] == "image_text"]
    url = next(i["url"] for r, i in media(out) if r["kind"] == "interleaved" and i["url"] in shown)
    before = states(out)
    texts = {r["id"]: [t for t in r["texts"] if t] for r in records(out)}
    expected = of_shards(out, lambda r: any(i.get("url") == url for i in r["info"]))
    code, _, _ = m3w("remove", out, "--url", url)
    assert code == 0
    assert touched(before, out) == expected
    assert url not in {info["url"] for _, info in media(out)}
    for record in records(out):
        assert [text for text in record["texts"] if text] == texts[record["id"]]  # texts stay
    assert is_sound(out)


def test_medium_goes_by_any_hash_of_its_bytes(out, m3w) -> None:
    for kind, of in (
        *(("image", "sha256"), ("image", "source_sha256")),
        *(("video", "sha256"), ("video", "frames")),
    ):
        infos = [info for _, info in media(out) if info["type"] == kind]
        digest = infos[0][of][1]["sha256"] if of == "frames" else infos[0][of]
        assert m3w("remove", out, "--sha256", digest.upper())[0] == 0
        left = [info for _, info in media(out) if info["type"] == kind]
        assert digest not in json.dumps([info[of] for info in left])
        assert len(left) < len(infos)
        if kind == "video":  # a frame takes its video from page and pair
            assert infos[0]["sha256"] not in {info["sha256"] for info in left}
    assert is_sound(out)


def test_page_without_a_medium_left_goes_with_a_reason(out, m3w) -> None:
    record = min(
        (r for r in records(out) if r["kind"] == "interleaved"), key=lambda r: len(r["info"])
    )
    urls = [info["url"] for info in record["info"] if info["type"] != "text"]
    options = [word for url in urls for word in ("--url", url)]
    assert m3w("remove", out, *options)[0] == 0
    assert record["id"] not in {r["id"] for r in records(out)}
    mine = [row for row in rejects(out) if row["id"] == record["id"]]
    assert sorted(row["reason"] for row in mine) == ["no_image_left", *["removed"] * len(urls)]
    assert is_sound(out)


def test_domain_takes_pages_and_media_and_what_lies_below_it(out, m3w) -> None:
    hosts = {record["url"].split("/")[2].split(":")[0] for record in records(out)}
    host = min(hosts)
    above = host.partition(".")[2] if host.count(".") > 1 else host
    assert m3w("remove", out, "--domain", above)[0] == 0
    text = json.dumps([[r["url"], [i.get("url") for i in r["info"]]] for r in records(out)])
    assert f"{above}/" not in text
    assert is_sound(out)


def test_everything_may_go(out, m3w) -> None:
    listed = out.parent / "list.txt"
    listed.write_text("\n".join(sorted({record["url"] for record in records(out)})))
    code, said, _ = m3w("remove", out, "--list", listed)
    assert (code, records(out), list(out.glob("*.tar"))) == (0, [], [])
    assert "left empty and deleted" in said
    assert is_sound(out)
    code, said, _ = m3w("remove", out, "--list", listed)  # once more
    assert (code, said.count("nothing in the shards falls under")) == (
        0,
        len(listed.read_text().split()),
    )


def test_tombstones_are_kept_once_with_their_date_and_reason(out, m3w) -> None:
    lists = out.parent / "list.txt"
    lists.write_text("# a comment\nexample.com # a domain\nhttps://example.com/gone/*\n")
    for _ in range(2):
        assert m3w("remove", out, "--list", lists, "--why", "a\nletter")[0] == 0
    m3w("remove", out, "--url", "https://example.net/a?utm_source=b&c=d")
    head, first, *rest = (out / REMOVED).read_text().splitlines()
    assert head.startswith("# Taken down by m3w remove")
    assert first[:4] == "# 20"
    assert first.endswith(": a letter")
    assert rest[:2] == ["example.com", "https://example.com/gone/*"]
    assert rest[2].startswith("# 20")
    assert rest[3:] == ["https://example.net/a?c=d"]


def test_tombstones_outlive_the_shards(out, m3w) -> None:
    m3w("remove", out, "--domain", "example.com")
    clear(out)
    assert (out / REMOVED).is_file()
    assert not (out / "manifest.jsonl").exists()


def test_dry_run_leaves_no_trace(out, m3w) -> None:
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    page = records(out)[0]["url"]
    code, said, _ = m3w("remove", out, "--url", page, "--dry-run")
    assert code == 0
    assert "would be written anew" in said
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == before


def test_report_and_stages_are_told(built, out, m3w) -> None:
    (out / "report.html").write_text("pictures")
    (out / "work" / "fetch-0123456789abcdef" / "packs").mkdir(parents=True)
    said = m3w("remove", out, "--url", records(out)[0]["url"])[1]
    assert not (out / "report.html").exists()
    assert "report.html showed what is gone" in said
    assert "fetch-0123456789abcdef" in said


def test_build_that_wrote_them_refuses_the_changed_shards(built, tmp_path, m3w) -> None:
    output = shutil.copytree(built, tmp_path / "out")

    def again(overwrite: bool = False) -> None:
        arguments = ["--workers=1"]
        job = Build([str(CRAWL)], output, OFFLINE, output / "work", overwrite, arguments)
        build(job, Console(quiet=True))

    again(overwrite=True)  # the copy is another folder, which makes it another build's
    again()
    m3w("remove", output, "--url", records(output)[0]["url"])
    changed = (output / "manifest.jsonl").read_bytes()
    with pytest.raises(OutputError, match="changed since"):
        again()
    assert (output / "manifest.jsonl").read_bytes() == changed


def _die_at(step: int) -> None:
    """Ends the process before its n-th change to the disk."""
    left = iter(range(1, step))

    def hook(event: str, _: object) -> None:
        changes = event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir")
        if changes and next(left, None) is None:
            os._exit(9)

    sys.addaudithook(hook)


def test_killed_anywhere_the_tombstone_comes_before_any_change(tmp_path: Path) -> None:
    original = dataset(tmp_path / "original", pages=2, pairs=1, videos=1)
    manifest = (original / "manifest.jsonl").read_bytes()
    asked = asked_for(urls=["https://example.org/birds/1.html"])
    for step in range(1, 200, 3):
        out = shutil.copytree(original, tmp_path / "out")
        child = os.fork()
        if child == 0:
            _die_at(step)
            remove(out, asked, today="2026-11-27")
            os._exit(0)
        died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        file = out / "manifest.jsonl"
        if not file.exists() or file.read_bytes() != manifest:
            assert "https://example.org/birds/1.html\n" in (out / REMOVED).read_text()
        again = remove(out, asked, today="2026-11-27")
        assert (out / REMOVED).read_text().count("birds/1.html") == 1
        assert check.check(out) == []
        if not died:
            assert again.unmatched == ("https://example.org/birds/1.html",)
            break
        shutil.rmtree(out)
    assert step > 30


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "at least one --url"),
        ({"urls": ["ftp://example.org/"]}, r"--url: expected an http\(s\) address, found 'ftp"),
        ({"urls": ["example.org"]}, "--url: expected"),
        ({"domains": ["https://example.org/"]}, "--domain: expected the name of a host"),
        ({"domains": ["localhost"]}, "--domain: expected"),
        ({"sha256s": ["12ab"]}, "--sha256: expected 64 hex digits"),
        ({"lists": [Path("nowhere.txt")]}, "--list nowhere.txt: expected a readable file"),
    ],
)
def test_what_is_no_address_domain_or_hash_is_refused(options, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        asked_for(**options)


def test_folder_without_a_manifest_is_one_line_and_gets_no_file(tmp_path: Path, m3w) -> None:
    code, _, err = m3w("remove", tmp_path, "--domain", "example.org")
    assert (code, err.count("\n")) == (1, 1)
    assert "no manifest.jsonl" in err
    assert list(tmp_path.iterdir()) == []


def test_judge_can_be_sent_to_other_processes() -> None:
    record = page_sample(Pack(), 1).record
    judge = Judge(stones("example.org"), {"a": "b"})
    copy = pickle.loads(pickle.dumps(judge))
    assert copy(record) == judge(record) != []


def stones(*lines: str) -> Tombstones:
    return Tombstones.of(REMOVED, lines)


def test_tombstone_of_an_address_is_that_page_alone() -> None:
    found = stones("https://example.org/a?utm_source=x&b=1")
    for url in ("https://example.org/a?b=1", "http://example.org/a?b=1&gclid=2"):
        assert found.find([url]) is not None
    for url in ("https://example.org/a", "https://example.org/a?b=12", "https://example.org/"):
        assert found.find([url]) is None


def test_tombstone_with_a_star_of_a_domain_and_of_a_hash() -> None:
    digest = sha256(b"x").hexdigest()
    found = stones("https://example.org/a/*", "example.com", digest)
    urls = ["https://elsewhere.net/", "http://example.org/a/b"]
    optout = found.find(urls)
    assert optout is not None
    assert (optout.signal, optout.where, optout.found) == ("removed", REMOVED, "example.org/a/")
    assert found.find(["https://example.org/b"]) is None
    assert found.find(["https://img.example.com/x.jpg"]) is not None
    assert found.find([], ["", digest]) is not None
    assert found.find([], [sha256(b"y").hexdigest()]) is None


def test_opt_out_list_reads_tombstones_as_prefixes(tmp_path: Path) -> None:
    file = tmp_path / REMOVED
    file.write_text("# 2026-11-27\nhttps://example.org/a/*\nhttps://example.org/page\n")
    lists = OptOutLists.load([file])
    for url in ("https://example.org/a/b", "https://example.org/page/2"):
        assert lists.url(url) is not None
    assert lists.url("https://example.org/a") is None


def test_takedown_changes_what_select_asks_and_nothing_before_it(tmp_path: Path) -> None:
    none = with_removed(RightsConfig(), tmp_path)
    assert none == RightsConfig()
    (tmp_path / REMOVED).write_text("example.org\n")
    some = with_removed(RightsConfig(), tmp_path)
    assert with_removed(some, tmp_path) == some
    assert tombstones(some.removed).find(["https://example.org/"]) is not None
    assert rights_digest(some) == rights_digest(none)
    assert removal_digest(some) != removal_digest(none)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / REMOVED).write_text("example.org\n")
    assert removal_digest(with_removed(RightsConfig(), elsewhere)) == removal_digest(some)
    (tmp_path / REMOVED).write_text("example.org\nexample.net\n")
    assert removal_digest(some) != removal_digest(with_removed(RightsConfig(), elsewhere))
    assert tombstones(some.removed).find(["https://example.net/"]) is not None
    asking = RightsConfig(licences=("cc-by",))
    assert rights_digest(asking) == rights_digest(none)
    assert removal_digest(asking) != removal_digest(none)


def test_missing_list_of_takedowns_is_told() -> None:
    with pytest.raises(ConfigError, match=r"rights\.removed: nowhere\.txt: expected a readable"):
        tombstones(("nowhere.txt",))


def test_later_build_obeys_and_gives_what_the_takedown_left(built, tmp_path, m3w) -> None:
    output = shutil.copytree(built, tmp_path / "out")
    stages = sorted(p.name for p in (output / "work").iterdir())
    page = next(r for r in records(output) if r["kind"] == "interleaved")["url"]
    others = [i["url"] for r, i in media(output) if r["kind"] == "image_text" and r["url"] != page]
    digest = next(i for _, i in media(output) if i["type"] == "video")["frames"][0]["sha256"]
    m3w("remove", output, "--url", page, "--url", others[0], "--sha256", digest)
    left = {record["id"]: record for record in records(output)}
    job = Build([str(CRAWL)], output, OFFLINE, output / "work", True, ["--workers=1"])
    build(job, Console(quiet=True))
    assert {record["id"]: record for record in records(output)} == left
    new = {p.name.split("-")[0] for p in (output / "work").iterdir() if p.name not in stages}
    assert new == {"select", "write"}  # nothing is parsed or fetched again
    rows = [
        row for f in output.glob("rejects/select-*.parquet") for row in read_table(f, "rejects")
    ]
    removed = [row for row in rows if row["reason"] == "removed"]
    assert {row["url"] for row in removed} >= {page, others[0]}
    assert all(row["detail"].startswith("removed: ") for row in removed)
    build(job, Console(quiet=True))  # finished: the list has not changed


def test_licences_are_kept_and_asked_for(tmp_path) -> None:
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    (crawl / "a.jpg").write_bytes(picture(400, 300))
    for name, link in (("by", "by/4.0"), ("nc", "by-nc/4.0"), ("none", "")):
        # Pages of one text would be copies of each other.
        prose = "".join(
            f"<p>Sentence {n} of {name} says what {n} {name} boats do when the {name} tide of day {n} is out.</p>"
            for n in range(20)
        )
        said = f"<p>Text under <a rel=license href=https://creativecommons.org/licenses/{link}/>this</a></p>"
        (crawl / f"{name}.html").write_text(
            f"<html lang=en><title>{name}</title><article><h1>The {name} harbour</h1>"
            f"<img src=a.jpg alt='A {name} boat'>{prose}</article><footer>{said if link else ''}</footer></html>"
        )
    lenient = {
        "fetch": {"network": False, "safety": "off"},
        "rules": {"text_rules": False, "languages": []},
    }
    kept = {}
    for asked in ([], ["cc-by"]):
        config = parse({**lenient, "rights": {"licences": asked}})
        output = tmp_path / f"out{len(asked)}"
        build(
            Build([str(crawl)], output, config, tmp_path / "work", beam_args=["--workers=1"]),
            Console(quiet=True),
        )
        kept[len(asked)] = sorted(
            (r["title"], r["licence"]) for r in records(output) if r["kind"] == "interleaved"
        )
    by, nc = (f"https://creativecommons.org/licenses/{kind}/4.0/" for kind in ("by", "by-nc"))
    assert kept == {0: [("by", by), ("nc", nc), ("none", "")], 1: [("by", by)]}
    rows = [
        row for f in output.glob("rejects/select-*.parquet") for row in read_table(f, "rejects")
    ]
    assert f"{nc}, expected one of rights.licences" in {
        r["detail"] for r in rows if r["reason"] == "licence"
    }
    card = (tmp_path / "out0" / "README.md").read_text()
    assert f"| <{by}> |" in card
    assert len(list((tmp_path / "work").glob("extract-*"))) == 1
