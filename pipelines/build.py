"""The whole chain: extract, fetch, select, write. A finished stage is found again and not run.

python -m pipelines.build --input 'crawl/*.warc.gz' --output out/ --workers 8
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from m3w_builder.config import Config, load
from m3w_builder.errors import InputError, M3WError
from m3w_builder.files import locked, make_folder
from m3w_builder.reuse import expect_stage
from m3w_builder.tombstones import with_removed
from m3w_builder.write import plan_shards
from pipelines import capfilt, extract, fetch, select, write
from pipelines.common import beam_options, parser
from pipelines.progress import Display


@dataclass(frozen=True)
class Build:
    """What to build, from what, where."""

    inputs: Sequence[str]
    output: Path
    config: Config
    work: Path
    overwrite: bool = False
    beam_args: Sequence[str] = ()
    retry_failed: bool = False  # of an earlier run's media
    reuse: Path | None = None  # an earlier fetch stage


def build(job: Build, console: Console) -> None:
    """Runs what is not finished of the four stages, showing each stage's progress on `console`."""
    config, beam_args = job.config, job.beam_args
    beam_options(beam_args)  # a wrong one is told before any work
    _keep_apart(job)
    reuse = expect_stage(job.reuse) if job.reuse else None
    extracting, units = extract.open_extract(job.inputs, job.work, config)
    make_folder(job.output)
    with (
        locked(job.work / "lock"),
        locked(job.output / ".m3w-lock"),
        Display(console).shown() as display,
    ):
        fetching = fetch.open_fetch(extracting, job.work, config)
        again = job.retry_failed and fetching.finished
        if again:
            with display.watch(fetching):
                fetch.retry(fetching, config, beam_args)
        source = fetching
        if config.capfilt.is_on:
            source = capfilt.open_capfilt(fetching, job.work, config)
        # What was taken down in the output is not selected again; no other stage knows of it.
        rights = with_removed(config.rights, job.output)
        deciding = config.model_copy(update={"rights": rights})
        selecting = select.open_select(source, job.work, deciding)
        writing = write.open_write(selecting, job.work, config, job.output)
        write.claim(job.output, writing, overwrite=job.overwrite or again)
        with display.watch(extracting, len(units)):
            extract.run(extracting, units, config, beam_args)
        if not again:
            with display.watch(fetching):
                fetch.run(extracting, fetching, config, beam_args, reuse)
        if config.capfilt.is_on:
            with display.watch(source):
                capfilt.run(fetching, source, config, beam_args)
        with display.watch(selecting):
            select.run(source, selecting, deciding, beam_args)
        shards = len(plan_shards(selecting.counts(), config.write.shard_bytes))
        with display.watch(writing, shards):
            write.run(selecting, writing, config, job.output, beam_args)


def _keep_apart(job: Build) -> None:
    """Raises InputError when a build would read, and count as its input, what it writes."""
    for source in job.inputs:
        for folder in (job.output, job.work):
            if Path(source).is_dir() and folder.resolve().is_relative_to(Path(source).resolve()):
                raise InputError(
                    f"{source}: expected an input folder apart from what is written, found {folder} in it"
                )


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
    arguments.add_argument(
        "--retry-failed", action="store_true", help="ask once more for media that were not had"
    )
    arguments.add_argument(
        "--reuse", type=Path, help="an earlier fetch stage: what did not change is not sent again"
    )
    args, beam_args = arguments.parse_known_args(argv)
    work = args.work or args.output / "work"
    config = load(args.config)
    job = Build(
        args.input,
        args.output,
        config,
        work,
        args.overwrite,
        beam_args,
        args.retry_failed,
        args.reuse,
    )
    build(job, Console(stderr=True))


if __name__ == "__main__":
    try:
        main()
    except M3WError as error:
        raise SystemExit(f"m3w: {error}") from error
