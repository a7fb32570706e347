"""The table of hostile answers: every case is run, judged and in the docs; limits hold."""

import base64
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from server import jpeg

from benchmarks import hostile, hostile_clients
from benchmarks.cases import CASES, OWN, Case
from benchmarks.hostile import Outcome

ROOT = Path(__file__).parents[1]
PENDING: set[str] = set()


def stored(body: bytes = b"", **fields: object) -> dict:
    encoded = base64.b64encode(body).decode()
    result = {"outcome": "stored", "status": "ok", "raw": True, "body": encoded}
    return {**result, "seconds": 0.1, "mib": 3, **fields}


def failed(status: str = "timeout", said: str = "no answer") -> dict:
    return {
        "outcome": "failed",
        "status": status,
        "said": said,
        "raw": False,
        "seconds": 0,
        "mib": 0,
    }


def test_cases_have_names_of_their_own_and_every_place_is_known() -> None:
    names = [(case.group, case.what) for case in CASES]
    assert len(set(names)) == len(names) > 100
    for case in CASES:
        case.url.format(**dict.fromkeys([*OWN, "port", "file"], "x"))


def test_docs_have_every_case() -> None:
    text = (ROOT / "docs" / "hostile.md").read_text()
    assert [case.what for case in CASES if f"| {case.what} |" not in text] == []


@pytest.mark.slow
def test_ours_is_right_everywhere(tmp_path: Path) -> None:
    outcomes = hostile.run("ours", sys.executable, CASES, tmp_path)
    wrong = {
        c.what: o.result for c, o in zip(CASES, outcomes, strict=True) if not hostile.right(c, o)
    }
    assert wrong.keys() <= PENDING, wrong
    assert max(outcome.result["seconds"] for outcome in outcomes) < 10
    assert max(outcome.result["mib"] for outcome in outcomes) < 200


@pytest.mark.parametrize(
    ("right", "result", "good"),
    [
        (("ok",), stored(jpeg(160, 120)), True),
        (("ok",), stored(jpeg(120, 160)), False),  # not turned
        (("ok",), failed(), False),
        (("timeout",), failed(), True),
        (("timeout",), failed("too_large"), False),
        (("timeout",), stored(jpeg(160, 120)), False),
        ((), failed("anything"), True),
        ((), stored(jpeg(160, 120)), False),
        (("any",), stored(jpeg(1, 1)), True),
    ],
)
def test_right_is_what_the_case_says(right: tuple[str, ...], result: dict, good: bool) -> None:
    outcome = hostile._outcome(result, {"file": "/f", "base": "http://127.0.0.1:1"})
    assert hostile.right(Case("g", "w", "u", right), outcome) is good


def test_cell_tells_what_is_odd_about_a_stored_picture() -> None:
    case, where = Case("g", "w", "u", ("ok",)), {"file": "/f", "base": "http://h:8000"}
    file = io.BytesIO()
    Image.new("L", (160, 120), 255).save(file, "PNG")
    ours = hostile._outcome(stored(jpeg(160, 120)), where)
    white = hostile._outcome(stored(file.getvalue(), mib=900, seconds=7.2), where)
    assert hostile.cell(case, ours, ours) == "stored"
    assert hostile.cell(case, white, ours).endswith("grey levels off, after 7 s, 900 MiB")
    assert hostile.cell(case, hostile._outcome(stored(jpeg(120, 160)), where), ours) == (
        "stored, as 120 x 160"
    )
    said = hostile._outcome(failed("bad_url", "http://h:8000/a | <b>"), where)
    assert hostile.cell(case, said, ours) == "bad_url: BASE/a / &lt;b>"


def test_table_is_put_between_the_markers(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(f"before\n{hostile.BEGIN}\nold\n{hostile.END}\nafter\n")
    hostile.put(path, "new")
    hostile.put(path, "newer")
    assert path.read_text() == f"before\n{hostile.BEGIN}\nnewer\n{hostile.END}\nafter\n"


def test_what_is_wrong_with_ours_is_in_bold() -> None:
    case = Case("g", "w", "u", ("ok",))
    text = hostile.answers_table([case], [Outcome(failed())], None)
    assert "| w | **timeout: no answer; right is: ok** |" in text


def test_case_is_killed_at_its_time_and_at_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile_clients, "LIMIT_SECONDS", 0.3)
    slow = hostile_clients.limited(lambda case: time.sleep(20), {})
    assert (slow["outcome"], slow["said"]) == ("killed", "0.3 s")
    assert slow["seconds"] < 5
    monkeypatch.setattr(hostile_clients, "LIMIT_SECONDS", 20.0)
    monkeypatch.setattr(hostile_clients, "LIMIT_BYTES", 2**28)
    large = hostile_clients.limited(lambda case: {"said": str(len(bytes(2**30)))}, {})
    assert (large["outcome"], large["said"]) == ("killed", "out of memory at 0.25 GiB")


def test_memory_of_a_case_is_told() -> None:
    """In a fresh process: one that has freed much would use that again."""
    code = (
        "import json, benchmarks.hostile_clients as h\n"
        "print(json.dumps(h.limited(lambda case: {'n': len(bytes([1]) * 2**28)}, {})))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert found["n"] == 2**28
    assert 250 < found["mib"] < 300
