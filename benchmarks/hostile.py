"""Hostile answers: what ours does with each, and what img2dataset does, as the table of docs/hostile.md.

    python -m benchmarks.hostile [--write docs/hostile.md] [--img2dataset VENV/bin/python] [--work DIR]

Each URL is fetched by each downloader in a process of its own, given 3 s, killed after 15 s or at 4 GiB.
The exit status is 1 when ours does something else than what is right. The servers are on this machine:
where a private address is the case, the guard is on as it is by default; where a redirect leads there,
127.0.0.1 alone counts as public; elsewhere the guard is off.
"""

import argparse
import base64
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from PIL import Image

from benchmarks.cases import CASES, OWN, Case
from benchmarks.fetch import Unavailable, environment
from benchmarks.hostile_clients import Result
from benchmarks.photographs import SHARED
from tests.server import BODY, png_bomb, server, zeros

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- made by benchmarks/hostile.py -->", "<!-- end -->"
RAW = {True: "stores it", False: "failed", None: ""}
LARGE_MIB, LONG_SECONDS, OFF_LEVELS = 200, 5.0, 24  # what a cell mentions


@dataclass(frozen=True)
class Outcome:
    """What one downloader did with one case."""

    result: Result
    size: tuple[int, int] | None = None  # pixels of what was stored
    small: bytes = b""  # 16 x 16 grey levels of it, on white

    @property
    def stored(self) -> bool:
        return bool(self.result["outcome"] == "stored")


# Addresses outside this machine: a benchmark does not knock at them.
NOT_ASKED = Outcome({"outcome": "not asked", "raw": None, "seconds": 0.0, "mib": 0})


@contextmanager
def places(files: Path) -> Iterator[dict[str, str]]:
    """Yields what may stand in braces in a case's URL: the servers' base URLs, a port, a local file."""
    png_bomb(), [zeros(coding) for coding in ("gzip", "deflate", "br")]  # seconds, once
    with ExitStack() as stack:
        found = {
            name: stack.enter_context(server(address="0.0.0.0", own=own))[0]
            for name, own in OWN.items()
        }
        found["port"] = str(urlsplit(found["base"]).port)
        found["file"] = str(files / "local.jpg")
        yield found


def run(name: str, python: str, cases: Sequence[Case], folder: Path) -> list[Outcome]:
    """Returns what a downloader does with each case; the servers start anew for each."""
    (folder / "local.jpg").write_bytes(BODY)
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    environment |= {"PYTHONPATH": str(ROOT), "NO_ALBUMENTATIONS_UPDATE": "1"}
    with places(folder) as where:
        asked = [{"url": case.url.format(**where), "guard": case.guard} for case in cases]
        done = subprocess.run(
            [python, str(ROOT / "benchmarks" / "hostile_clients.py"), name],
            input="".join(json.dumps(row) + "\n" for row in asked),
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if len(results) != len(asked):
        raise RuntimeError(f"{name}: {len(results)} results of {len(asked)}: {done.stderr[-2000:]}")
    return [_outcome(result, where) for result in results]


def _outcome(result: Result, where: Mapping[str, str]) -> Outcome:
    said = result.get("said") or ""
    for key in ("file", "base"):
        said = said.replace(where[key], key.upper())
    said = re.sub(r"(?<=:)\d{4,5}\b|port=\d+", "PORT", said)
    result = {**result, "said": said}
    if not result.get("body"):
        size = result.get("size")
        return Outcome(result, tuple(size) if size else None)
    with Image.open(io.BytesIO(base64.b64decode(result["body"]))) as image:
        layer = image.convert("RGBA")
        picture = Image.new("RGBA", image.size, "white")
        picture.alpha_composite(layer)
        small = picture.convert("L").resize((16, 16), Image.Resampling.BOX)
        return Outcome(result, image.size, small.tobytes())


def off(one: Outcome, other: Outcome) -> int:
    """Returns by how many grey levels two stored pictures differ on average; 0 where one is missing."""
    pairs = list(zip(one.small, other.small, strict=False))
    return round(sum(abs(a - b) for a, b in pairs) / len(pairs)) if pairs else 0


def right(case: Case, ours: Outcome) -> bool:
    """Says whether ours did what is right."""
    if case.right == ("any",):
        return bool(ours.result["outcome"] != "killed")
    if not ours.stored:
        return "ok" not in case.right and (not case.right or ours.result["status"] in case.right)
    return "ok" in case.right and ours.size in (None, case.size)


def cell(case: Case, outcome: Outcome, ours: Outcome) -> str:
    """Returns what was done, in a few words; how a picture should look, ours tells."""
    result = outcome.result
    words = {
        "killed": f"killed: {result.get('said')}",
        "failed": ": ".join(filter(None, (result.get("status"), _short(result.get("said") or "")))),
        "stored": "stored",
        "not asked": "not asked",
    }[result["outcome"]]
    notes = []
    if outcome.stored and outcome.size not in (None, case.size):
        notes.append("as {} x {}".format(*outcome.size))
    elif (levels := off(outcome, ours)) >= OFF_LEVELS:
        notes.append(f"{levels} grey levels off")
    if result["seconds"] >= LONG_SECONDS and result["outcome"] != "killed":
        notes.append(f"after {result['seconds']:.0f} s")
    if result["mib"] >= LARGE_MIB:
        notes.append(f"{result['mib']:.0f} MiB")
    return ", ".join([words, *notes])


def _short(text: str) -> str:
    text = " ".join(text.replace("|", "/").replace("<", "&lt;").split())
    return text if len(text) <= 70 else f"{text[:67]}..."


def answers_table(
    cases: Sequence[Case], ours: Sequence[Outcome], theirs: Sequence[Outcome] | None
) -> str:
    """Returns the Markdown table of the answers; what is wrong with ours is in bold."""
    lines = []
    others: Sequence[Outcome | None] = theirs or [None] * len(cases)
    rows = zip(cases, ours, others, strict=True)
    for group, found in groupby(rows, lambda row: row[0].group):
        lines += ["", f"### {group}", ""]
        lines += ["| answer | m3w | img2dataset | its raw mode |", "| --- | --- | --- | --- |"]
        for case, mine, other in found:
            own = cell(case, mine, mine)
            if not right(case, mine):
                own = f"**{own}; right is: {' or '.join(case.right) or 'a refusal'}**"
            told = cell(case, other, mine) if other else ""
            raw = RAW[other.result["raw"]] if other else ""
            lines.append(f"| {case.what} | {own} | {told} | {raw} |")
    return "\n".join(lines)


GROUPS = (  # of data/hostile/images: the first whose pattern is found in the name
    ("plain files of eleven formats", r"^good\.(?!svg)|^wrong_ext|^no_ext"),
    ("junk behind the end", r"^garbage_tail|^polyglot"),
    ("cut, or damaged in the middle", r"trunc|^flip|^bad_crc|^bad_zlib|^no_idat|^head_only"),
    ("bombs and enormous sizes", r"^bomb|^big|^thin|^wide|^huge|^zero_dim"),
    ("not what the name says", r"^zero\.|^one\.|^html|^json|^noise|^gz|^bom\."),
    ("turned by EXIF, bad EXIF or profile", r"^exif|^icc"),
    ("animations and pages", r"^anim|^multi"),
    ("SVG", r"svg$"),
    ("colours: CMYK, grey, 16 bits, alpha, palette", r""),
)


def image_cases(folder: Path) -> list[tuple[str, Case]]:
    """Returns group and case of each hostile image, as index.json describes it."""
    index = json.loads((folder / "index.json").read_text())
    entries = [entry for entry in index if entry["kind"] == "images"]
    found = []
    for entry in entries:
        path = folder / entry["file"]
        group = next(name for name, pattern in GROUPS if re.search(pattern, path.name))
        expect = {"ok": ("ok",), "reject": ()}.get(entry["expect"], ("any",))
        size = tuple(entry.get("size", (160, 120)))
        url = "{base}/file?path=" + quote(str(path))
        found.append((group, Case(group, path.name, url, expect, size=size)))
    order = [name for name, _ in GROUPS]
    return sorted(found, key=lambda pair: order.index(pair[0]))


def _judged(case: Case, outcome: Outcome, ours: Outcome) -> str:
    """Returns what is wrong with an outcome, "" if nothing is."""
    if outcome.result["outcome"] == "killed":
        return f"killed ({outcome.result['said']})"
    if case.right == ("any",):
        return ""
    if not outcome.stored:
        return "refused" if "ok" in case.right else ""
    if not case.right:
        return f"stored, {outcome.result['mib']:.0f} MiB"
    if outcome.size not in (None, case.size):
        return "stored as {} x {}".format(*outcome.size)
    levels = off(outcome, ours)
    return f"stored, {levels} grey levels off" if levels >= OFF_LEVELS else ""


def images_table(
    cases: Sequence[tuple[str, Case]], ours: Sequence[Outcome], theirs: Sequence[Outcome] | None
) -> tuple[str, bool]:
    """Returns the Markdown table of the hostile images by group, and whether ours are all right."""
    lines = [
        "| files | m3w right | img2dataset right | what is wrong |",
        "| --- | --- | --- | --- |",
    ]
    rows = list(zip(cases, ours, theirs or ours, strict=True))
    good = True
    for group, some in groupby(rows, lambda row: row[0][0]):
        found = list(some)
        mine = {c.what: w for (_, c), own, _ in found if (w := _judged(c, own, own))}
        other = {c.what: w for (_, c), own, their in found if (w := _judged(c, their, own))}
        good = good and not mine
        wrong = [f"**m3w: {name} {what}**" for name, what in mine.items()]
        if theirs:
            wrong += [f"{name} {what}" for name, what in other.items()]
        share = f"{len(found) - len(other)} of {len(found)}" if theirs else ""
        lines.append(
            f"| {group} | {len(found) - len(mine)} of {len(found)} | {share} | {'; '.join(wrong)} |"
        )
    return "\n".join(lines), good


def put(path: Path, text: str) -> None:
    """Writes the text between the markers of a file."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def measured(args: argparse.Namespace, work: Path) -> tuple[str, bool]:
    """Returns the tables, and whether ours does what is right everywhere."""
    images = image_cases(args.images) if (args.images / "index.json").exists() else []
    if not images:
        print(f"{args.images}: no hostile images; left out", file=sys.stderr)
    cases = [*CASES, *(case for _, case in images)]
    ours = run("ours", sys.executable, cases, work)
    theirs: list[Outcome] | None = None
    try:
        python = environment(args.img2dataset, work)
        found = iter(run("img2dataset", python, [c for c in cases if not c.leaves], work))
        theirs = [NOT_ASKED if case.leaves else next(found) for case in cases]
    except Unavailable as error:
        print(f"img2dataset: {error}", file=sys.stderr)
    count = len(CASES)
    text = answers_table(CASES, ours[:count], theirs[:count] if theirs else None)
    good = all(map(right, CASES, ours))
    if images:
        table, fine = images_table(images, ours[count:], theirs[count:] if theirs else None)
        text += f"\n\n### {len(images)} hostile images\n\n{table}"
        good = good and fine
    return text, good


def main(argv: Sequence[str] | None = None) -> int:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--write", type=Path, help="file with markers to put the tables between")
    arguments.add_argument("--img2dataset", default="", help="the Python of its environment")
    arguments.add_argument("--work", type=Path, help="keeps the environment between runs")
    arguments.add_argument("--images", type=Path, default=SHARED / "hostile")
    args: Any = arguments.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        work = (args.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        text, good = measured(args, work)
    if args.write:
        put(args.write, text)
    else:
        print(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
