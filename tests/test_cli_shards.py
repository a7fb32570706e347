import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import SCORES, dataset

KINDS = {"interleaved": 4, "image_text": 5, "video_text": 2}


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def test_ls_lists_shards_and_totals(m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = m3w("ls", dataset(tmp_path))
    assert code == 0
    for name in ("interleaved-000001.tar", "image_text-000000.tar", "video_text", "2 shards"):
        assert name in out


def test_ls_of_one_tar_counts_it_anew(m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = dataset(tmp_path)
    rows = {row["path"]: row for row in json.loads(m3w("ls", folder, "--json")[1])}
    for path in sorted(folder.glob("*.tar")):
        (row,) = json.loads(m3w("ls", path, "--json")[1])
        assert row.items() <= rows[path.name].items()


def test_ls_of_a_stage_counts_its_tables(m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    dataset(tmp_path)
    (tmp_path / "manifest.jsonl").unlink()
    code, out, _ = m3w("ls", tmp_path, "--json")
    assert code == 0
    assert {"folder": "rejects", "files": 1, "rows": 3}.items() <= json.loads(out)[1].items()


def test_show_prints_a_sample_by_key_or_number(m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = dataset(tmp_path)
    record = json.loads(m3w("show", folder, "--index", 6, "--json")[1])
    assert record["kind"] == "interleaved"
    by_key = m3w("show", folder, record["id"])
    assert by_key == m3w("show", folder, "--index", 6)
    assert record["url"] in by_key[1]
    assert "▀" not in by_key[1]  # no colour in a pipe


def test_show_writes_a_web_page(m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    page = tmp_path / "x.html"
    assert m3w("show", dataset(tmp_path / "out"), "--html", page)[0] == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_stats_count_everything(m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = dataset(tmp_path)
    found = json.loads(m3w("stats", folder, "--json")[1])
    assert found["kinds"] == KINDS
    assert found["languages"] == {"en": 11}
    assert found["histograms"]["images per page"] == {"1": 1, "2": 1, "3": 1, "4": 1}
    assert found["totals"]["video_text"]["frames"] == 8
    assert found["domains"] == {"example.org": 11}
    assert found["scores"] == [SCORES]
    code, out, _ = m3w("stats", folder)
    assert code == 0
    for words in ("images per page", "few_words", "webp", "heading", "rules.min_words = 50"):
        assert words in out


def test_check_says_ok_or_a_line_per_problem(m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = dataset(tmp_path)
    assert m3w("check", folder, "--workers", 1) == (0, "ok: nothing is wrong\n", "")
    (folder / "croissant.json").unlink()
    code, out, _ = m3w("check", folder, "--workers", 1)
    assert (code, out) == (1, "croissant.json: missing\n")
    code, out, _ = m3w("check", folder, "--json", "--workers", 1)
    assert (code, json.loads(out)) == (
        1,
        [{"file": "croissant.json", "what": "missing", "key": ""}],
    )


def test_report_says_where_it_is(m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = dataset(tmp_path)
    assert m3w("report", folder) == (0, f"{folder / 'report.html'}\n", "")


@pytest.mark.parametrize("verb", ["ls", "show", "stats", "check", "report"])
def test_bad_input_is_one_line_and_exit_code_1(m3w, tmp_path: Path, verb: str) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.tar").write_bytes(b"no tar at all" * 100)
    for path in (tmp_path / "missing", tmp_path / "empty", tmp_path / "x.tar"):
        code, out, err = m3w(verb, path)
        assert code == 1
        assert str(path.name) in out + err
        assert (out + err).count("\n") == 1
        assert "Traceback" not in err


def test_help_does_not_load_the_heavy_libraries() -> None:
    code = (
        "import sys; import m3w_builder.cli; "
        "heavy = {'apache_beam', 'torch', 'pyarrow', 'PIL', 'lxml', 'jsonschema'}; "
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_reader_that_closes_the_pipe_early_sees_no_traceback(tmp_path: Path) -> None:
    code = "import sys; from m3w_builder.cli import run; sys.argv[0] = 'm3w'; run()"
    command = [sys.executable, "-c", code, "stats", str(dataset(tmp_path)), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait()


def test_narrow_terminal_cuts_no_figure(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    code = "from m3w_builder.cli import run; run()"
    for verb in ("ls", "stats"):
        done = subprocess.run(
            [sys.executable, "-c", code, verb, str(folder)],
            env={**os.environ, "COLUMNS": "40"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "…" not in done.stdout
        assert "documents" in done.stdout


def test_page_or_report_in_the_place_of_a_folder_is_one_line(m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = dataset(tmp_path / "out")
    for arguments in (
        ("show", folder, "--html", tmp_path),
        ("report", folder, "--output", tmp_path),
    ):
        assert m3w(*arguments) == (
            1,
            "",
            f"m3w: {tmp_path}: expected a file to write, found a folder\n",
        )


@pytest.mark.parametrize(
    ("name", "words"),
    [("scores.json", 'expected an object "scores"'), ("examples.json", 'a list of "reasons"')],
)
def test_description_of_another_shape_is_one_line(
    m3w, tmp_path: Path, name: str, words: str
) -> None:  # type: ignore[no-untyped-def]
    folder = dataset(tmp_path)
    (folder / name).write_text('{"a": 3}')
    code, _, err = m3w("report", folder)
    assert (code, err.count("\n")) == (1, 1)
    assert words in err


def test_waterfall_of_another_shape_is_one_line(m3w, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = dataset(tmp_path)
    (folder / "waterfall.json").write_text('{"a": 3}')
    for verb in ("stats", "report"):
        code, _, err = m3w(verb, folder)
        assert (code, err.count("\n")) == (1, 1)
        assert 'expected a list of "sections"' in err
