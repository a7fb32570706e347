"""Prove on a CPU that the shards teach a Flamingo what they should: `make train-proof`.

    python -m benchmarks.proof [--out train-proof-out] [--jobs 2] [--seeds 0,1,2]

Site, shards, frozen parts and finished runs lie in OUT under a digest of what made them, and are used again:
a second call, or one after a kill, does only what is missing. Each job is a process of one thread.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks.proof import exact, language, measure, report, resume, runs, site
from m3w_builder.files import write_text
from m3w_builder.flamingo import checkpoint

DOCS = Path(__file__).parents[2] / "docs"
SEEDS = (0, 1, 2)
DATA_SEEDS = {"learnt": 0, "held-out": 1}
COUNTS = {"learnt": site.LEARNT, "held-out": site.HELD_OUT}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("train-proof-out"))
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--job", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    if arguments.job:
        work(out, *arguments.job)
        return
    prove(out, arguments.jobs, [int(seed) for seed in arguments.seeds.split(",")])


def prove(out: Path, jobs: int, seeds: Sequence[int]) -> None:
    """Makes what is missing, then writes the report into docs/."""
    for name in COUNTS:
        shards(out, name)
    in_parallel(out, jobs, [["lm"], ["vision"]])
    wanted = [["run", variant, str(seed)] for variant in runs.VARIANTS for seed in seeds]
    wanted += [["resume", str(seed)] for seed in seeds]
    in_parallel(out, jobs, wanted)
    found = {
        variant: [read(run_folder(out, variant, seed)) for seed in seeds]
        for variant in runs.VARIANTS
    }
    resumes = [read(resume_folder(out, seed)) for seed in seeds]
    figures = {name: [one["figures"] for one in rows] for name, rows in found.items()}
    summed = {
        "exact": exact.proof(run_folder(out, "default", seeds[0]), misordered(out)),
        **report.summary(figures, [one["figures"] for one in resumes]),
    }
    summed["settings"] = settings(seeds)
    summed["encoder"] = json.loads((parts(out) / "vision/contrast.json").read_text())["held_out"]
    seconds = [one["cpu_seconds"] for rows in [*found.values(), resumes] for one in rows]
    summed["cpu_seconds"] = {"runs": round(sum(seconds)), "largest_run": round(max(seconds))}
    summed["command"] = "make train-proof"
    summed["machine"] = machine()
    summed["date"] = date.today().isoformat()
    write_text(DOCS / "train_proof.json", json.dumps(summed, indent=2) + "\n")
    for name, picture in report.pictures(figures).items():
        write_text(DOCS / "images" / name, picture)
    page = DOCS / "trainer.md"
    write_text(page, report.into(page.read_text(encoding="utf-8"), summed))
    print(report.section(summed))


def misordered(out: Path) -> Path:
    """Returns a shard whose pictures lie under each other's names, to be refused."""
    folder = out / "misordered"
    folder.mkdir(exist_ok=True)
    name = "interleaved-000000.tar"
    return exact.misorder(shards(out, "learnt") / name, folder / name)


def in_parallel(out: Path, jobs: int, wanted: Iterable[Sequence[str]]) -> None:
    """Runs each job that is not finished in a process of its own, `jobs` at a time."""
    missing = [job for job in wanted if not finished(out, job)]
    with ThreadPoolExecutor(jobs) as pool:
        for place, job in enumerate(pool.map(lambda job: process(out, job), missing), 1):
            print(f"{place} of {len(missing)}: {' '.join(job)}", flush=True)


def process(out: Path, job: Sequence[str]) -> Sequence[str]:
    command = [sys.executable, "-m", "benchmarks.proof", "--out", str(out), "--job", *job]
    threads = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    subprocess.run(command, check=True, env={**os.environ, **threads})
    return job


def work(out: Path, kind: str, *names: str) -> None:
    """Does one job; its last file says that it is whole."""
    started = cpu_seconds()
    learnt, held_out = (shards(out, name) for name in COUNTS)
    if kind == "lm":
        losses = list(runs.make_lm(parts(out) / "lm", learnt, language.Size()))
        folder, figures = parts(out) / "lm", {"loss": sum(losses[-50:]) / 50}
    elif kind == "vision":
        folder = parts(out) / "vision"
        figures = asdict(runs.make_vision(folder, learnt))["held_out"]
    elif kind == "run":
        variant, seed = names[0], int(names[1])
        folder = run_folder(out, variant, seed)
        run = runs.configured(parts(out), learnt, variant, seed)
        misordered = runs.VARIANTS[variant].get("misordered", 0.0)
        rows = list(runs.train(run, folder, misordered))
        write_text(folder / "train.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        figures = measure.measure(checkpoint.load(folder), held_out)
    else:
        folder = resume_folder(out, int(names[0]))
        run = runs.configured(parts(out), learnt, "default", int(names[0]))
        figures = resume.proof(run, folder, int(names[0]))
    spent = cpu_seconds() - started
    done = {"figures": figures, "cpu_seconds": round(spent, 1)}
    write_text(folder / "figures.json", json.dumps(done, indent=2) + "\n")


def cpu_seconds() -> float:
    """Returns what this process and those it has waited for have used."""
    return sum(os.times()[:4])


def finished(out: Path, job: Sequence[str]) -> bool:
    kind, *names = job
    if kind in ("lm", "vision"):
        return (parts(out) / kind / "figures.json").exists()
    folder = (
        run_folder(out, names[0], int(names[1]))
        if kind == "run"
        else resume_folder(out, int(names[0]))
    )
    return (folder / "figures.json").exists()


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    return found


# Where things are: under a digest of what made them


def digest(*made_of: Any) -> str:
    return sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]


def sources(*names: str) -> list[str]:
    """Returns the code of modules of this package: another drawing is another data set."""
    return [(Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8") for name in names]


def shards(out: Path, name: str) -> Path:
    made_of = digest(DATA_SEEDS[name], dict(COUNTS[name]), sources("drawings", "pages", "site"))
    return site.shards(out / f"{name}-{made_of}", DATA_SEEDS[name], COUNTS[name])


def parts(out: Path) -> Path:
    data = shards(out, "learnt").parent.name
    tables = {name: runs.TABLES[name] for name in ("examples", "vision")}
    return out / f"parts-{digest(data, tables, asdict(language.Size()), sources('language'))}"


def run_folder(out: Path, variant: str, seed: int) -> Path:
    made_of = digest(parts(out).name, runs.TABLES, runs.DATASETS, runs.VARIANTS[variant])
    asked = digest(made_of, shards(out, "held-out").parent.name, sources("measure"))
    return out / f"run-{variant}-{seed}-{asked}"


def resume_folder(out: Path, seed: int) -> Path:
    made_of = digest(parts(out).name, runs.TABLES, runs.DATASETS, sources("resume"))
    return out / f"resume-{seed}-{made_of}"


def settings(seeds: Sequence[int]) -> Mapping[str, Any]:
    return {
        "seeds": list(seeds),
        "pages": {name: dict(counts) for name, counts in COUNTS.items()},
        "lm": asdict(language.Size()),
        "run": runs.TABLES,
        "datasets": runs.DATASETS,
        "variants": runs.VARIANTS,
        "captions": measure.CAPTIONS,
        "episodes": measure.EPISODES,
    }


def machine() -> str:
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    cores = len(os.sched_getaffinity(0))
    return f"{platform.system()} {platform.machine()}, {cores} cores, Python {platform.python_version()}, {versions}"


if __name__ == "__main__":
    main()
