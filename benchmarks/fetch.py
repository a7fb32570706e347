"""Fetching images: CPU ms per image and images/s of the fetch stage, of img2dataset and of a bare fetch.

    python -m benchmarks.fetch [--json] [--images 2000] [--work DIR] [--img2dataset VENV/bin/python]

All get the same images from the same local server (nginx where it is installed), whose CPU is its own. CPU is
user and system time of the client's processes; the start is left out: ours and the bare clients run a
few images before the clock starts, of img2dataset a run over eight images is subtracted from each run.

Ours hashes, decodes, measures and packs. img2dataset runs with `skip_reencode`, its nearest: sha256,
EXIF, a decode whose result is thrown away, a tar. It wants an environment of its own (its
dependencies conflict with ours); without --img2dataset one is made under --work with pip.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.photographs import SHARED, drawn, has_photographs, photographs
from benchmarks.processes import measure
from benchmarks.web import Site, serving

IMG2DATASET = "img2dataset==1.47.0"
FEW = 8  # images of the run that stands for img2dataset's start
WARM = 32  # images before the clock starts, of the others
Spent = dict[str, float]  # images, cpu (seconds), wall (seconds)


class Unavailable(Exception):
    """A client cannot run here; says why."""


def client(name: str, urls: Sequence[str], folder: Path, *options: str) -> Spent:
    """Runs one of benchmarks/clients.py in a process of its own."""
    names, warm = folder / "urls.txt", urls[:WARM]
    names.write_text("\n".join([*warm, *urls]))
    command = [sys.executable, "-m", "benchmarks.clients", name, str(names), f"--warm={len(warm)}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(done.stderr.strip().splitlines()[-1])
    spent: Spent = json.loads(done.stdout)
    return spent


def img2dataset(python: str, urls: Sequence[str], folder: Path) -> Spent:
    """Runs img2dataset on the URLs, less what it spends on the first few of them."""
    all_of_it, start = (_run_img2dataset(python, some, folder) for some in (urls, urls[:FEW]))
    return {key: all_of_it[key] - start[key] for key in all_of_it}


def _run_img2dataset(python: str, urls: Sequence[str], folder: Path) -> Spent:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        table, out = Path(name) / "list.parquet", Path(name) / "out"
        captions = [f"caption {n}" for n in range(len(urls))]
        pq.write_table(pa.table({"url": list(urls), "caption": captions}), table)
        command = [str(Path(python).parent / "img2dataset"), f"--url_list={table}"]
        command += [f"--output_folder={out}", "--input_format=parquet", "--url_col=url"]
        command += ["--caption_col=caption", "--output_format=webdataset", "--resize_mode=no"]
        command += ["--skip_reencode=True", "--number_sample_per_shard=1000"]
        command += ["--processes_count=1", "--thread_count=64", "--enable_wandb=False"]
        found = measure(command)
        tables = [json.loads(p.read_text()) for p in out.glob("*_stats.json")]
        count = sum(table["successes"] for table in tables)
    if count != len(urls):
        last = (found["error"].strip() or "no message").splitlines()[-1]
        raise Unavailable(f"{count} of {len(urls)} images, status {found['status']}: {last}")
    return {"images": count, "cpu": found["cpu"], "wall": found["wall"]}


def environment(python: str, work: Path) -> str:
    """Returns the Python that has img2dataset: the one named, or that of an environment made here."""
    if not python:
        made = work / "img2dataset" / "bin" / "python"
        if not made.exists():
            subprocess.run([sys.executable, "-m", "venv", str(made.parents[1])], check=True)
        python = str(made)
    if not (Path(python).parent / "img2dataset").exists():
        command = [python, "-m", "pip", "install", "--quiet", IMG2DATASET]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"pip install {IMG2DATASET}: {done.stderr.strip().splitlines()[-1]}")
    return python


def rows(
    site: Site, names: Sequence[str], folder: Path, photos: Path, python: str
) -> Iterator[tuple[str, Callable[[], Spent]]]:
    """Yields each row's name with the run that measures it once."""
    for scheme in ("http", "https"):
        urls = site.urls(scheme, names)
        for name in ("ours", "pycurl", "urllib3", "floor"):
            yield f"{name}_{scheme}", lambda n=name, u=urls: client(n, u, folder)
        yield (
            f"img2dataset_{scheme}",
            lambda u=urls: img2dataset(environment(python, folder), u, folder),
        )
    urls = site.urls("http", names)
    yield "work", lambda: client("work", urls, folder, f"--folder={photos}")


def figures(runs: dict[str, list[Spent]]) -> dict[str, float]:
    """Returns the figures of the JSON object: medians and, of CPU, the least."""
    found = {}
    for name, spent in runs.items():
        milliseconds = [1000 * run["cpu"] / run["images"] for run in spent]
        found[f"{name}_cpu_ms"] = round(statistics.median(milliseconds), 3)
        found[f"{name}_cpu_ms_min"] = round(min(milliseconds), 3)
        rates = [run["images"] / run["wall"] for run in spent]
        found[f"{name}_images_s"] = round(statistics.median(rates), 1)
    return found


def with_ratios(found: dict[str, Any]) -> dict[str, Any]:
    """Adds the limit (the cheaper bare fetch), our share of it, and img2dataset's CPU over ours."""
    for scheme, prefix in (("http", "limit"), ("https", "limit_https")):
        limits = [name for name in ("pycurl", "urllib3") if f"{name}_{scheme}_cpu_ms" in found]
        if limits:
            best = min(limits, key=lambda name: found[f"{name}_{scheme}_cpu_ms"])
            found[f"{prefix}_client"] = best
            for key in ("cpu_ms", "images_s"):
                found[f"{prefix}_{key}"] = found[f"{best}_{scheme}_{key}"]
        names = {"img2dataset_over_ours": f"img2dataset_{scheme}", "share_of_limit": prefix}
        ours = found.get(f"ours_{scheme}_cpu_ms")
        for key, name in names.items():
            other = found.get(f"{name}_cpu_ms")
            found[f"{scheme}_{key}"] = round(other / ours, 3) if ours and other else None
    return found


def table(found: dict[str, Any], names: Sequence[str]) -> str:
    """Returns a Markdown table of the rows, and the ratios in lines."""
    lines = ["| client | CPU ms/image, median (min) | images/s |", "| --- | --- | --- |"]
    for name in names:
        milliseconds = found.get(f"{name}_cpu_ms")
        if milliseconds is None:
            lines.append(f"| {name} | {found[f'{name}_reason']} | |")
            continue
        least, rate = found[f"{name}_cpu_ms_min"], found[f"{name}_images_s"]
        lines.append(f"| {name} | {milliseconds:.2f} ({least:.2f}) | {rate:.0f} |")
    lines.append("")
    for scheme in ("http", "https"):
        ratio, share = (
            found[f"{scheme}_{key}"] for key in ("img2dataset_over_ours", "share_of_limit")
        )
        lines.append(f"{scheme}: img2dataset over ours {ratio}, limit over ours {share}")
    return "\n".join(lines)


def measured(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Returns the JSON object of a run."""
    sources = args.photographs
    if not has_photographs(sources):
        print(f"{sources}: no photographs; drawn pictures stand in", file=sys.stderr)
        sources = drawn(work / "drawn")
    photos = work / f"photographs-{args.images}-{sources.name}"
    paths = photographs(sources, photos, args.images)
    runs: dict[str, list[Spent]] = {}
    reasons: dict[str, str] = {}
    with serving(photos, work, hosts=args.hosts, keep=args.keep_alive) as site:
        os.environ["SSL_CERT_FILE"] = str(site.bundle)
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # img2dataset asks PyPI at each start
        measuring = list(rows(site, [p.name for p in paths], work, photos, args.img2dataset))
        for _ in range(args.repeats):
            for name, run in measuring:
                if name in reasons or (args.only and name not in args.only):
                    continue
                try:
                    spent = run()
                except Unavailable as error:
                    reasons[name] = str(error)
                    continue
                runs.setdefault(name, []).append(spent)
                print(f"{name}: {spent}", file=sys.stderr, flush=True)
        found: dict[str, Any] = {
            "images": len(paths),
            "image_bytes": round(sum(p.stat().st_size for p in paths) / len(paths)),
            "photographs": "drawn" if sources != args.photographs else "real",
            "server": site.name,
            "hosts": site.hosts,
            "keep_alive": args.keep_alive,
            "repeats": args.repeats,
        }
    for name, reason in reasons.items():
        runs.pop(name, None)
        found |= {f"{name}_cpu_ms": None, f"{name}_images_s": None, f"{name}_reason": reason}
    return with_ratios(found | figures(runs))


def main(argv: Sequence[str] | None = None) -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--json", action="store_true", help="one JSON object, no table")
    arguments.add_argument("--images", type=int, default=2000)
    arguments.add_argument(
        "--hosts", type=int, default=16, help="addresses the images are spread over"
    )
    arguments.add_argument(
        "--keep-alive",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="no: a connection, and a handshake, for each image, as of many small hosts",
    )
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--work", type=Path, help="keeps images and environment between runs")
    arguments.add_argument("--img2dataset", default="", help="the Python of its environment")
    arguments.add_argument("--only", nargs="*", default=[], help="names of rows")
    arguments.add_argument(
        "--photographs", type=Path, default=SHARED / "sites", help="folder of JPEGs to cut from"
    )
    args = arguments.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        work = (args.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        found = measured(args, work)
    names = [key.removesuffix("_cpu_ms") for key in found if key.endswith("_cpu_ms")]
    print(json.dumps(found) if args.json else table(found, [n for n in names if n[:5] != "limit"]))


if __name__ == "__main__":
    main()
