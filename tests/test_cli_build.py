"""`m3w build` as a rough user meets it: one line for each mistake, nothing lost, the same command goes on."""

import gzip
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from urllib.parse import quote

import pytest
from server import jpeg

from m3w_builder.files import locked
from m3w_builder.sandbox import sandbox

WORDS = "the of and to that have with be river mountain village history water light garden music"


def prose(seed: str) -> str:
    """Returns sixty words that no rule objects to, the same for the same seed."""
    draw = random.Random(seed)
    words = WORDS.split()
    return " ".join(f"{' '.join(draw.choices(words, k=12))}.".capitalize() for _ in range(5))


def saved_page(folder: Path, name: str, images: int = 2) -> None:
    """Writes a page as a browser saves it: its images in NAME_files beside it."""
    files = folder / f"{name.split('.')[0]}_files"
    files.mkdir(parents=True)
    body = ""
    for number in range(images):
        (files / f"pic {number}.jpg").write_bytes(jpeg(seed=len(name) * 5 + number))
        text = f"<p>{prose(f'{name}{number}')}</p>"
        body += (
            f"{text}<img src='{quote(f'{files.name}/pic {number}.jpg')}' alt='The mill at work'>"
        )
    page = f"<!doctype html><title>{name}</title><article><h1>Mill</h1>{body}</article>".encode()
    (folder / name).write_bytes(gzip.compress(page) if name.endswith(".gz") else page)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    saved_page(folder, "a.html")
    return folder


def build(m3w, source: Path, output: Path, *options: str):  # type: ignore[no-untyped-def]
    return m3w("build", "--input", source, "--output", output, "--workers=1", *options)


def config(folder: Path, text: str) -> str:
    (folder / "c.toml").write_text(text)
    return f"--config={folder / 'c.toml'}"


def drops(out: str) -> dict[str, int]:
    sections = json.loads(out)["sections"]
    return {drop["reason"]: drop["count"] for section in sections for drop in section["drops"]}


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def one_line(answer: tuple[int, str, str], *words: str) -> None:
    code, _, err = answer
    assert code == 1
    *progress, line = err.splitlines()
    assert all(" in 0:00:" in line for line in progress)  # stages that were finished before
    assert line.startswith("m3w: ")
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing/*.warc.gz", None, "found nothing there"),
        ("empty.warc.gz", b"", "an empty file"),
        ("crawl.wacz", b"PK", "unzip it"),
        ("x.bin", b"\0\1\2", "found a file that starts with"),
        ("folder/notes.txt", b"no page", "found a folder without any"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_no_output(m3w, tmp_path, name, content, words):  # type: ignore[no-untyped-def]
    path = tmp_path / name
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    source = path.parent if name.startswith("folder") else path
    one_line(build(m3w, source, tmp_path / "out"), words, str(source))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--runner=Nonsense", "Unexpected pipeline runner: Nonsense"),
        ("--runner=DataflowRunner", "Missing required option: project"),
        ("--runner", "expected one argument"),
        ("--direct_running_mode=multi_processing", "expected --workers=N instead"),
        ("--direct_runner_bundle_repeat=x", "invalid int value"),
        ("--wrokers=2", "--wrokers=2: neither an option of m3w nor one of Beam's"),
        ("b.warc.gz", "a pattern needs quotes"),
        ("--preset=obelisk", "preset: expected one of align, fineweb, flamingo, mmc4, obelics"),
    ],
)
def test_wrong_option_is_one_line(m3w, saved, tmp_path, option, words):  # type: ignore[no-untyped-def]
    code, _, err = build(m3w, saved, tmp_path / "out", option)
    assert code == 1
    assert words in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[slect]\n", "slect: unknown key"),
        ("[rules]\nmin_words = '3'\n", "rules.min_words: expected integer"),
        ("[rules]\nmin_words = 9\nmax_words = 5\n", "min_words = 9 is above max_words = 5"),
        ("[select\n", "expected TOML"),
    ],
)
def test_wrong_configuration_is_one_line(m3w, saved, tmp_path, text, words):  # type: ignore[no-untyped-def]
    one_line(build(m3w, saved, tmp_path / "out", config(tmp_path, text)), words, "c.toml")


def test_saved_pages_with_awkward_names_keep_their_images(m3w, tmp_path):  # type: ignore[no-untyped-def]
    folder = tmp_path / "my pages"
    for name in ("100%.html", "ünï cödé.htm", "deep er/x.html", "y.html.gz"):
        saved_page((folder / name).parent, Path(name).name)
    code, out, err = build(m3w, folder, tmp_path / "out", "--json")
    assert code == 0
    steps = {
        (section["section"], step["name"]): step["count"]
        for section in json.loads(out)["sections"]
        for step in section["steps"]
    }
    assert steps["documents", "in shards"] == 4
    assert steps["images in documents", "places in shards"] == 8
    assert steps["image files", "fetched over HTTP"] == 0
    assert "\x1b" not in err  # a log, not a terminal
    assert [line.split(":")[0] for line in err.splitlines()] == [
        *("extract", "fetch", "select", "write")
    ]
    assert "4 documents" in err


def test_preset_is_printed_whole_and_is_what_a_build_uses(m3w, saved, tmp_path):  # type: ignore[no-untyped-def]
    printed = m3w("config", "--preset", "obelics")[1]
    assert "max_images = 30  # " in printed
    assert tomllib.loads(printed)["rules"]["min_words"] == 10
    code, out, _ = build(m3w, saved, tmp_path / "out", "--preset", "obelics", "--json")
    assert code == 0
    assert "text_too_short" in out or "image_too_small" in out


def test_default_configuration_builds_what_no_configuration_builds(m3w, saved, tmp_path):  # type: ignore[no-untyped-def]
    text = m3w("config")[1]
    assert build(m3w, saved, tmp_path / "out")[0] == 0
    answer = build(m3w, saved, tmp_path / "out", config(tmp_path, text))
    assert answer[2].count("(finished earlier)") == 4


def test_output_that_is_a_file_or_holds_other_files_is_left_alone(m3w, saved, tmp_path):  # type: ignore[no-untyped-def]
    (tmp_path / "file").write_text("mine")
    one_line(build(m3w, saved, tmp_path / "file"), "expected a folder that can be written")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "README.md").write_text("mine")
    one_line(build(m3w, saved, tmp_path / "own"), "another program's files (README.md)")
    assert (tmp_path / "own" / "README.md").read_text() == "mine"
    assert (tmp_path / "file").read_text() == "mine"


def test_overwrite_replaces_only_when_there_is_something_to_put_there(m3w, saved, tmp_path):  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    build(m3w, saved, out)
    before = contents(out)
    strict = config(tmp_path, "[rules]\nmin_words = 5000\n")
    one_line(build(m3w, saved, out, strict), "another build's shards")
    with little_disk(1024):
        one_line(build(m3w, saved, out, strict, "--overwrite"), "expected a folder")
    assert contents(out) == before
    assert build(m3w, saved, out, strict, "--overwrite")[0] == 0
    assert not (out / "interleaved-000000.tar").exists()
    assert build(m3w, saved, out, "--overwrite")[0] == 0  # all its stages are finished
    assert contents(out) == before


def test_second_build_into_the_same_output_is_refused(m3w, saved, tmp_path):  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    out.mkdir()
    with locked(out / ".m3w-lock"):
        answer = build(m3w, saved, out, f"--work={tmp_path / 'work'}")
    one_line(answer, "another build is running there")


class little_disk:
    """Lets no file grow beyond `size` bytes: writing fails as it does on a full disk."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        self.old = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.old[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.old)
        sandbox().close()  # a child keeps the limits it was born with


def test_full_disk_is_one_line_and_the_same_command_goes_on(m3w, saved, tmp_path):  # type: ignore[no-untyped-def]
    """Fails first in extract, then in fetch (a pack of two images), then in write (a tar)."""
    assert build(m3w, saved, tmp_path / "reference")[0] == 0
    out = tmp_path / "out"
    pack = max(p.stat().st_size for p in (tmp_path / "reference" / "work").rglob("*.tar"))
    for size in (2048, pack - 512, pack + 512):
        with little_disk(size):
            one_line(build(m3w, saved, out), "File too large", "run the same command again")
        assert not (out / "manifest.jsonl").exists()
    assert build(m3w, saved, out)[0] == 0
    assert not list(out.rglob(".tmp-*"))
    same = contents(tmp_path / "reference")
    same.pop(".m3w-build")  # names the output folder's build
    assert {name: data for name, data in contents(out).items() if name in same} == same


def test_page_that_takes_too_long_is_a_reject_and_the_build_goes_on(m3w, saved, tmp_path):  # type: ignore[no-untyped-def]
    (saved / "b.html").write_text("<article>" + "<p>word <b>word</b></p>" * 400_000)
    slow = config(tmp_path, "[extract]\npage_seconds = 1.0\n")
    code, out, _ = build(m3w, saved, tmp_path / "out", slow, "--json")
    assert code == 0
    assert drops(out)["page_timeout"] == 1
    assert (tmp_path / "out" / "interleaved-000000.tar").exists()


def test_url_list_of_private_addresses_is_rejects(m3w, tmp_path):  # type: ignore[no-untyped-def]
    (tmp_path / "list.txt").write_text("# mine\nhttp://127.0.0.1:9/a\nhttp://10.0.0.1/\nnonsense\n")
    code, out, _ = build(m3w, tmp_path / "list.txt", tmp_path / "out", "--json")
    assert code == 0
    assert drops(out) == {"private_address": 2, "bad_url": 1}
    assert m3w("show", tmp_path / "out")[2] == (
        "m3w: expected a dataset with samples, found one without any\n"
    )


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_interrupt_is_one_line_without_orphans(saved, tmp_path, workers):  # type: ignore[no-untyped-def]
    (saved / "b.html").write_text("<article>" + "<p>word <b>word</b></p>" * 600_000)
    code = "from m3w_builder.cli import run; run()"
    command = [sys.executable, "-c", code, "build", f"--input={saved}", f"--workers={workers}"]
    process = subprocess.Popen(
        [*command, f"--output={tmp_path / 'out'}"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list((tmp_path / "out").rglob(".tmp-*")):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert err == "m3w: interrupted; the same command goes on from here\n"
    for _ in range(100):
        if not _members(process.pid):
            break
        time.sleep(0.05)
    assert not _members(process.pid)


def _members(session: int) -> list[str]:
    """Returns the processes of a session (its workers have process groups of their own)."""
    found = subprocess.run(
        ["ps", "-o", "args=", "-s", str(session)], capture_output=True, text=True
    )
    return found.stdout.splitlines()


def test_signal_that_the_user_ignores_is_told_everywhere(m3w, saved, tmp_path):  # type: ignore[no-untyped-def]
    page = saved / "a.html"
    page.write_text(
        page.read_text().replace("<article>", "<meta name=robots content=noai><article>")
    )
    saved_page(saved, "b.html")
    code, out, err = build(m3w, saved, tmp_path / "out", "--json")
    assert (code, err.count("ignored")) == (0, 0)
    flow = json.loads(out)
    assert flow["optouts"] == {"ignored": [], "found": {"meta-robots": 1}}
    assert drops(out)["opted_out"] == 2  # the last section of pairs: its two pictures
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Every reservation of rights that was found was respected" in card
    assert "`meta-robots` 1." in card

    code, out, err = build(
        m3w, saved, tmp_path / "all", "--json",
        "--ignore-optout=meta-robots", "--ignore-optout=robots.txt",
    )  # fmt: skip
    assert code == 0
    assert "m3w: opt-outs ignored by your choice: meta-robots, robots.txt" in err
    assert "opted_out" not in drops(out)
    expected = {"ignored": ["meta-robots", "robots.txt"], "found": {"meta-robots": 1}}
    rows = [json.loads(s) for s in (tmp_path / "all" / "manifest.jsonl").read_text().splitlines()]
    assert rows
    assert all(row["optouts"] == json.loads(out)["optouts"] == expected for row in rows)
    card = (tmp_path / "all" / "README.md").read_text()
    said = "**These signals were ignored by the user's choice: `meta-robots`, `robots.txt`.**"
    assert said in card


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--ignore-optout=everything", "--ignore-optout: rights.ignore.0: expected 'robots.txt'"),
        ("list", "list.txt, line 2: expected a domain, an http(s) URL or a sha256, found 'no way'"),
    ],
)
def test_wrong_signal_or_list_is_one_line_before_any_work(m3w, saved, tmp_path, option, words):  # type: ignore[no-untyped-def]
    (tmp_path / "list.txt").write_text("ex.com\nno way\n")
    if option == "list":
        option = config(tmp_path, f'[rights]\noptout_lists = ["{tmp_path}/list.txt"]\n')
    code, _, err = build(m3w, saved, tmp_path / "out", option)
    assert code == 1
    assert words in err
    assert len(err.strip().splitlines()) == 1
