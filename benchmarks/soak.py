"""A soak of the fetch stage: many images of which a tenth misbehave, `kill -9` on the way, the same result.

    python -m benchmarks.soak [--images 20000] [--kills 5] [--seed 0] [--json]

The stage runs in a process of its own, once undisturbed; then again from nothing, killed with all its
workers at random moments (when the server has been asked for a random share of the URLs) and started
again each time. The exit status is 1 when a property does not hold.

"Not fetched again" counts the URLs that the killed run asked for more often than the undisturbed one.
Strictly, a kill costs at most what was in flight: as many URLs as there are downloads at once.
"""

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.misbehaving import BAD, BEHAVIOURS, DEAD_HOSTS, MIN_HOSTS, SERVES_PICTURE, picture
from benchmarks.processes import resident
from benchmarks.web import free_port, host, process
from m3w_builder.config import FetchConfig
from m3w_builder.files import TEMPORARY, write_text
from m3w_builder.packs import read_range
from m3w_builder.stages import open_stage, run_unit
from m3w_builder.tables import Row, document_row, write_table
from m3w_builder.types import Document, Image, document_id

LOOK_SECONDS = 0.05  # between two looks at memory and at the server
IMAGES_PER_PAGE = 25
HOSTS_PER_IMAGE = 1 / 100
CLOCK_COLUMNS = ("fetched",)  # may tell the time; everything else must be equal
IMAGES_PER_UNIT = 2500
CONFIG = """
[fetch]
buckets = {buckets}
allow_private = true
safety = "off"
host_rate = 0.0
backoff_seconds = 0.1
connect_seconds = 2.0
read_seconds = 2.0
total_seconds = 3.0
max_image_bytes = 4000000
"""


@dataclass(frozen=True)
class Web:
    """The server's port and the URLs, each with its behaviour."""

    port: int
    behaviours: dict[str, str]  # URL -> behaviour

    def ask(self, what: str) -> Any:
        """Returns what the server tells: count, report or reset."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", f"/-/{what}")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@dataclass
class Run:
    """What a run of the stage left and what it took."""

    folder: Path
    seconds: float = 0.0
    peak_mib: float = 0.0  # of the stage's processes together
    kills: int = 0
    asked: Counter[str] = field(default_factory=Counter)  # target -> requests
    rows: list[Row] = field(default_factory=list)
    packs: dict[str, str] = field(default_factory=dict)  # name -> sha256


def urls(images: int, hosts: int, port: int, seed: int) -> dict[str, str]:
    """Returns the URLs with their behaviours: a tenth misbehaves, each behaviour as often as the next."""
    draw = random.Random(seed)
    numbers = list(range(images))
    bad = draw.sample(numbers, images // 10)
    behaviours = {number: BAD[n % len(BAD)] for n, number in enumerate(bad)}
    found = {}
    for number in numbers:
        name = behaviours.get(number, "ok")
        dead = name == "refused"
        address = f"127.66.0.{number % DEAD_HOSTS + 1}" if dead else host(draw.randrange(hosts))
        found[f"http://{address}:{port}/{name}/{number}.jpg"] = name
    return found


def extract_stage(work: Path, wanted: Sequence[str]) -> Path:
    """Writes a finished extract stage whose documents show the URLs; returns its folder."""
    stage = open_stage(work, "extract", ["soak"])
    pages = [wanted[n : n + IMAGES_PER_PAGE] for n in range(0, len(wanted), IMAGES_PER_PAGE)]
    rows = []
    for number, shown in enumerate(pages):
        page = f"http://pages.example/{number}"
        nodes = tuple(Image(url) for url in shown)
        made = Document(document_id("interleaved", page), "interleaved", page, nodes)
        rows.append(document_row(made, ""))
    write_table(stage.folder / "documents" / "0.parquet", "documents", rows)
    run_unit(stage.folder, "0", lambda: {"images.referenced": len(wanted)})
    stage.finish()
    return stage.folder


def fetch_command(extract: Path, work: Path, workers: int, images: int) -> list[str]:
    """Returns the command of the fetch stage: the only place that knows how it is called."""
    config = work / "soak.toml"
    write_text(config, CONFIG.format(buckets=max(2, images // IMAGES_PER_UNIT)))
    options = {"extract": extract, "work": work, "config": config, "workers": workers}
    given = (f"--{name}={value}" for name, value in options.items())
    return [sys.executable, "-m", "pipelines.fetch", *given]


def run(web: Web, work: Path, workers: int, kills: Sequence[int]) -> Run:
    """Runs the stage to its end; kills it when the server was asked for so many URLs."""
    work.mkdir(parents=True)
    extract = extract_stage(work, list(web.behaviours))
    command = fetch_command(extract, work, workers, len(web.behaviours))
    web.ask("reset")
    made, started = Run(work), time.monotonic()
    for at in [*sorted(kills), None]:
        _once(command, web, made, at)
    made.seconds = time.monotonic() - started
    made.asked = Counter(web.ask("report"))
    (stage,) = (path.parent for path in work.glob("fetch-*/stage.json"))
    made.folder = stage
    for path in sorted((stage / "media").glob("*.parquet")):
        made.rows += pq.read_table(path).to_pylist()
    made.rows.sort(key=lambda row: (row["url"], row["kind"]))
    made.packs = {p.name: _digest(p) for p in sorted((stage / "packs").iterdir())}
    return made


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _once(command: list[str], web: Web, made: Run, kill_at: int | None) -> None:
    """Starts the stage once; lets it end, or kills it with all its workers."""
    with tempfile.TemporaryFile("w+") as errors:
        stage = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
        )
        while stage.poll() is None:
            made.peak_mib = max(made.peak_mib, sum(resident(stage.pid)) / 2**20)
            if kill_at is not None and web.ask("count") >= kill_at:
                made.kills += 1
                os.killpg(stage.pid, signal.SIGKILL)
                stage.wait()
                return
            time.sleep(LOOK_SECONDS)
        if stage.returncode:
            errors.seek(0)
            raise RuntimeError(f"the stage ended with {stage.returncode}: {errors.read()[-4000:]}")


def again(calm: Run, killed: Run) -> set[str]:
    """Returns the paths that the killed run asked for more often than the undisturbed one."""
    return {
        target.partition("?")[0]
        for target, count in killed.asked.items()
        if count > calm.asked[target]
    }


def properties(
    web: Web, calm: Run, killed: Run, *, in_flight: int, max_mib: float, strict: bool
) -> list[tuple[str, bool, str]]:
    """Returns each property, whether it holds, and figures."""
    wanted = web.behaviours
    held: list[tuple[str, bool, str]] = []
    for name, one in (("undisturbed", calm), ("killed", killed)):
        found = Counter(row["url"] for row in one.rows)
        lost = sum(url not in found for url in wanted)
        held.append((f"{name}: nothing lost", not lost, f"{lost} of {len(wanted)} without a row"))
        twice = sum(found.values()) - len(found)
        held.append((f"{name}: nothing twice", not twice, f"{twice} rows too many"))
        wrong = _wrong_statuses(one.rows, wanted)
        held.append((f"{name}: each answer judged rightly", not wrong, _listed(wrong)))
        broken = sum(not _stored(row, one.folder, wanted) for row in one.rows)
        held.append((f"{name}: stored bytes are the sent ones", not broken, f"{broken} are not"))
        left = len(list(one.folder.rglob(f"{TEMPORARY}*")))
        held.append((f"{name}: nothing left over", not left, f"{left} temporary files"))
        fits = one.peak_mib <= max_mib
        held.append(
            (f"{name}: bounded memory", fits, f"{one.peak_mib:.0f} MiB, at most {max_mib:.0f}")
        )
    unequal = _unequal(calm.rows, killed.rows)
    held.append(("equal media tables", not unequal, _listed(unequal)))
    packs = sum(calm.packs.get(name) != digest for name, digest in killed.packs.items())
    packs += len(calm.packs.keys() - killed.packs.keys())
    held.append(("equal packs", not packs, f"{packs} of {len(calm.packs)} differ"))
    repeated, most = len(again(calm, killed)), in_flight * killed.kills
    figure = f"{repeated} URLs asked for again, at most {most} in flight at the kills"
    held.append(("not fetched again", repeated <= most or not strict, figure))
    return held


def _wrong_statuses(rows: Sequence[Row], wanted: dict[str, str]) -> Counter[str]:
    found = ((wanted.get(row["url"], ""), row["status"]) for row in rows)
    return Counter(
        f"{name} is {status}" for name, status in found if status not in BEHAVIOURS.get(name, ())
    )


def _stored(row: Row, folder: Path, wanted: dict[str, str]) -> bool:
    """Says whether a row's bytes in the pack are the picture that the server sent."""
    if row["status"] != "ok" or not row["pack"]:
        return row["status"] != "ok" and not row["pack"]
    name, number = wanted[row["url"]], int(row["url"].rpartition("/")[2].partition(".")[0])
    stored = read_range(folder / "packs" / row["pack"], row["offset"], row["length"])
    sent = sha256(picture(number)).hexdigest()
    whole = sha256(stored).hexdigest() == row["sha256"]
    return name in SERVES_PICTURE and whole and row["source_sha256"] == sent


def _unequal(calm: Sequence[Row], killed: Sequence[Row]) -> Counter[str]:
    """Counts the columns that differ between the rows of the same URL."""
    others = {(row["url"], row["kind"]): row for row in killed}
    found: Counter[str] = Counter()
    for row in calm:
        other = others.get((row["url"], row["kind"]), {})
        found.update(
            f"column {key}"
            for key, value in row.items()
            if key not in CLOCK_COLUMNS and other.get(key) != value
        )
    return found


def _listed(found: Counter[str]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in found.most_common(8)) or "all"


def soak(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Returns the JSON object of a soak."""
    port, hosts = free_port(), max(MIN_HOSTS, min(200, round(args.images * HOSTS_PER_IMAGE)))
    web = Web(port, urls(args.images, hosts, port, args.seed))
    draw = random.Random(args.seed + 1)
    kills = [round(args.images * draw.uniform(0.02, 0.95)) for _ in range(args.kills)]
    command = [sys.executable, "-m", "benchmarks.misbehaving", str(port), str(hosts)]
    with process(command, port):
        calm = run(web, work / "undisturbed", args.workers, [])
        killed = run(web, work / "killed", args.workers, kills)
    in_flight = args.in_flight or args.workers * FetchConfig().threads
    held = properties(
        web, calm, killed, in_flight=in_flight, max_mib=args.max_mib, strict=args.strict
    )
    return {
        "images": args.images,
        "misbehave": sum(name != "ok" for name in web.behaviours.values()),
        "hosts": hosts + DEAD_HOSTS,
        "kills": killed.kills,
        "asked_again": len(again(calm, killed)),
        "in_flight": in_flight,
        "seconds": {"undisturbed": round(calm.seconds, 1), "killed": round(killed.seconds, 1)},
        "peak_mib": {"undisturbed": round(calm.peak_mib), "killed": round(killed.peak_mib)},
        "statuses": dict(Counter(row["status"] for row in killed.rows).most_common()),
        "properties": [{"property": p, "holds": ok, "figure": figure} for p, ok, figure in held],
        "holds": all(ok for _, ok, _ in held),
    }


def table(found: dict[str, Any]) -> str:
    """Returns the summary as Markdown."""
    lines = [
        f"{found['images']} images on {found['hosts']} hosts, {found['misbehave']} misbehave; "
        f"{found['kills']} kills; {found['seconds']['undisturbed']} s undisturbed, "
        f"{found['seconds']['killed']} s with the kills",
        "",
        "| property | holds | |",
        "| --- | --- | --- |",
    ]
    for row in found["properties"]:
        lines.append(f"| {row['property']} | {'yes' if row['holds'] else 'NO'} | {row['figure']} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--images", type=int, default=20_000)
    arguments.add_argument("--kills", type=int, default=5)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--max-mib", type=float, default=1024, help="memory of all processes")
    arguments.add_argument(
        "--in-flight", type=int, help="downloads at once; default: threads x workers"
    )
    arguments.add_argument(
        "--strict",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="a kill may cost what was in flight and nothing else",
    )
    arguments.add_argument("--work", type=Path, help="a new folder that is kept")
    arguments.add_argument("--json", action="store_true")
    args = arguments.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        found = soak(args, args.work or Path(temporary))
    print(json.dumps(found, indent=1) if args.json else table(found))
    return 0 if found["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
