"""The whole chain: extract, fetch, select, write. A finished stage is found again and not run.

python -m pipelines.build --input 'crawl/*.warc.gz' --output out/ --workers 8
"""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from m3w_builder.config import Config, load
from m3w_builder.errors import M3WError
from m3w_builder.files import locked
from m3w_builder.stages import Stage
from m3w_builder.write import plan_shards
from pipelines import extract, fetch, select, write
from pipelines.common import parser

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Build:
    """What to build, from what, where."""

    inputs: Sequence[str]
    output: Path
    config: Config
    work: Path
    overwrite: bool = False
    beam_args: Sequence[str] = ()


def build(job: Build, console: Console) -> None:
    """Runs what is not finished of the four stages, showing each stage's progress on `console`."""
    job.output.mkdir(parents=True, exist_ok=True)
    job.work.mkdir(parents=True, exist_ok=True)
    config, beam_args = job.config, job.beam_args
    with locked(job.work / "lock"):
        extracting, units = extract.open_extract(job.inputs, job.work, config)
        fetching = fetch.open_fetch(extracting, job.work, config)
        selecting = select.open_select(fetching, job.work, config)
        writing = write.open_write(selecting, job.work, config, job.output)
        write.claim(job.output, writing, overwrite=job.overwrite)
        with _progress(console) as progress:
            with _watched(progress, extracting, len(units)):
                extract.run(extracting, units, config, beam_args)
            with _watched(progress, fetching):
                fetch.run(extracting, fetching, config, beam_args)
            with _watched(progress, selecting):
                select.run(fetching, selecting, config, beam_args)
            shards = len(plan_shards(selecting.counts(), config.write.shard_bytes))
            with _watched(progress, writing, shards):
                write.run(selecting, writing, config, job.output, beam_args)


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


@contextmanager
def _watched(progress: Progress, stage: Stage, total: int | None = None) -> Iterator[None]:
    """Shows a stage's committed units while the block runs: whatever the runner, commits are the truth."""
    earlier = "(finished earlier)" if stage.finished else ""
    task = progress.add_task(stage.name, total=total, note="")
    stop = threading.Event()

    def poll() -> None:
        while not stop.wait(POLL_SECONDS):
            progress.update(task, completed=len(stage.files("commits")), note=_note(stage))

    watcher = threading.Thread(target=poll, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
    done = len(stage.files("commits"))
    progress.update(task, completed=done, total=done, note=f"{_note(stage)} {earlier}")


def _note(stage: Stage) -> str:
    """Returns what the committed units add up to, in the words of the waterfall."""
    total: Counter[str] = sum(stage.commits().values(), Counter())
    shown = {
        "extract": ("pages", "interleaved", "image_text", "video_text"),
        "fetch": ("images.urls", "videos.urls"),
        "select": ("interleaved", "image_text", "video_text"),
        "write": (),
    }[stage.name]
    return ", ".join(f"{total[key]:,} {key.split('.')[0]}" for key in shown if total[key])


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--input", action="append", required=True, help="glob, file or folder; repeatable"
    )
    arguments.add_argument("--output", type=Path, required=True, help="folder of the shards")
    arguments.add_argument("--work", type=Path, help="folder of the stages (default: OUTPUT/work)")
    arguments.add_argument(
        "--overwrite", action="store_true", help="replace another build's shards"
    )
    args, beam_args = arguments.parse_known_args(argv)
    work = args.work or args.output / "work"
    job = Build(args.input, args.output, load(args.config), work, args.overwrite, beam_args)
    build(job, Console(stderr=True))


if __name__ == "__main__":
    try:
        main()
    except M3WError as error:
        raise SystemExit(f"m3w: {error}") from error
