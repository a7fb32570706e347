"""Media URLs to bytes: distinct images and videos of the documents into packs (tars), measured once.

    python -m pipelines.fetch --extract work/extract-0123456789abcdef --work work/

Only references are shuffled: by URL to find the archived copy, then by archive range to the unit that reads it, and
what no archive has by host, so that one process at a time asks a host.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import apache_beam as beam

from m3w_builder import archives
from m3w_builder.archives import captures
from m3w_builder.collect import Request
from m3w_builder.config import Config, digest, load
from m3w_builder.media.scorers import scorers
from m3w_builder.optouts import rights_digest
from m3w_builder.reuse import expect_stage
from m3w_builder.stages import Stage, open_stage, run_unit, unit_name
from m3w_builder.stages import load as load_stage
from m3w_builder.tables import Row
from m3w_builder.wanted import (
    REDIRECT_HOPS,
    Want,
    archived,
    failed_units,
    fetch_unit,
    forget,
    give_up,
    is_live,
    locate,
    passed_on,
    retry_unit,
    unit_of,
    wants,
)
from pipelines.common import parser, read_files, run_pipeline

MEDIA_PER_WORKER = 1000  # about two seconds of work


def build(
    pipeline: beam.Pipeline,
    extract: Stage,
    stage: Stage,
    config: Config,
    reuse: Path | None = None,
) -> beam.PCollection:
    """Returns the names of the committed units."""
    wanted = read_files(
        pipeline, "Wants", extract.files("documents"), partial(wants, rights=config.rights)
    )
    archived_there = read_files(pipeline, "Archived", extract.files("resources"), archived)
    fallback = read_files(pipeline, "Fallback", archives.plan(config.fetch.archives), captures)
    found = []
    for hop in range(REDIRECT_HOPS + 1):
        # PCollection[(url, Want | Request)]
        located = (
            (wanted, archived_there, fallback)
            | f"Meet{hop}" >> beam.CoGroupByKey()
            | f"Locate{hop}" >> beam.FlatMapTuple(_locate)
        )
        wanted, requests = located | f"Moved{hop}" >> beam.Partition(_is_request, 2)
        found.append(requests)
    live, kept = (
        (*found, wanted)
        | "All" >> beam.Flatten()
        | "ToUnit" >> beam.MapTuple(partial(_to_unit, buckets=config.fetch.buckets))
        | "Where" >> beam.Partition(_is_kept, 2)
    )
    do = partial(do_unit, folder=stage.folder, config=config, reuse=reuse)
    missing = (
        kept
        | "ByArchive" >> beam.GroupByKey()
        | "Read" >> beam.FlatMapTuple(do)
        | "ToHost" >> beam.Map(partial(_to_host, buckets=config.fetch.buckets))
    )
    return (
        (live, missing)
        | "Live" >> beam.Flatten()
        | "ByHost" >> beam.GroupByKey()
        | "Fetch" >> beam.FlatMapTuple(do)
    )


def _locate(
    _url: str, groups: tuple[Iterable[Want], Iterable[Row], Iterable[Row]]
) -> Iterable[tuple[str, Want | Request]]:
    return locate(*groups)


def _is_request(pair: tuple[str, Want | Request], _sides: int) -> int:
    return int(isinstance(pair[1], Request))


def _is_kept(pair: tuple[str, Request], _sides: int) -> int:
    return int(not is_live(pair[0]))


def _to_unit(_url: str, item: Want | Request, buckets: int) -> tuple[str, Request]:
    return _to_host(give_up(item), buckets)


def _to_host(request: Request, buckets: int) -> tuple[str, Request]:
    return unit_of(request, buckets), request


def do_unit(
    unit: str, requests: Iterable[Request], folder: Path, config: Config, reuse: Path | None
) -> Iterator[Request]:
    """Fetches one unit unless an earlier run did; yields what its archive could not serve."""
    requests = list(requests)
    name = run_unit(
        folder, unit_name(unit), partial(fetch_unit, unit, requests, folder, config, reuse)
    )
    forget(folder, name)
    yield from passed_on(unit, requests, folder)


def open_fetch(extract: Stage, work: Path, config: Config) -> Stage:
    """Returns the stage that fetches what `extract` found.

    Raises ConfigError for a scorer that cannot be imported here, before any work.
    """
    scorers(config.fetch)
    asked = [digest(config.fetch), rights_digest(config.rights)]
    asked += [f"{path} {path.stat().st_size}" for path in archives.plan(config.fetch.archives)]
    return open_stage(work, "fetch", asked, [extract])


def run(
    extract: Stage,
    stage: Stage,
    config: Config,
    beam_args: Sequence[str],
    reuse: Path | None = None,
) -> Stage:
    """Runs the stage unless it is finished; `reuse` is the folder of an earlier fetch stage."""
    if not stage.finished:
        counts = extract.counts()
        wanted = sum(counts[key] for key in ("images.referenced", "image_text", "video_text"))
        useful = -(-wanted // MEDIA_PER_WORKER)
        reuse = expect_stage(reuse) if reuse else None
        run_pipeline(lambda p: build(p, extract, stage, config, reuse), beam_args, useful=useful)
        stage.finish()
    return stage


def retry(stage: Stage, config: Config, beam_args: Sequence[str]) -> Stage:
    """Asks once more for what failed in a finished stage; the stages behind it are then others."""
    if not config.fetch.network:
        return stage
    number = stage.retries + 1
    units = failed_units(stage.folder)
    if units:
        do = partial(_retry, folder=stage.folder, config=config, number=number)

        def again(pipeline: beam.Pipeline) -> beam.PCollection:
            spread = pipeline | "Failed" >> beam.Create(units) | "Spread" >> beam.Reshuffle()
            return spread | "Retry" >> beam.Map(do)

        run_pipeline(again, beam_args, useful=len(units))
    retried = stage.retried(number)  # by a run that was killed before it could say so, too
    for name in retried:
        forget(stage.folder, name, number)
    if retried:
        stage.finish(retries=number)
    return stage


def _retry(name: str, folder: Path, config: Config, number: int) -> str:
    work = partial(retry_unit, name, folder, config, number)
    run_unit(folder, name, work, retry=number)
    forget(folder, name, number)
    return name


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--extract", type=Path, required=True, help="folder of a finished extract stage"
    )
    arguments.add_argument("--work", type=Path, required=True, help="folder of the stages")
    arguments.add_argument(
        "--retry-failed",
        action="store_true",
        help="ask once more for what an earlier run did not get",
    )
    arguments.add_argument(
        "--reuse", type=Path, help="an earlier fetch stage: what did not change is not sent again"
    )
    args, beam_args = arguments.parse_known_args(argv)
    config, extract = load(args.config), load_stage(args.extract)
    stage = open_fetch(extract, args.work, config)
    if args.retry_failed and stage.finished:
        retry(stage, config, beam_args)
    else:
        run(extract, stage, config, beam_args, args.reuse)
    print(stage.folder)


if __name__ == "__main__":
    main()
