"""Media URLs to bytes: distinct images and videos of the documents into packs (tars), measured once.

    python -m pipelines.fetch --extract work/extract-0123456789abcdef --work work/

Only references are shuffled: by URL to find the archived copy, then by archive range or host to the unit that fetches.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import apache_beam as beam

from m3w_builder.collect import Request
from m3w_builder.config import Config, digest, load
from m3w_builder.media.scorers import scorers
from m3w_builder.stages import Stage, open_stage, run_unit, unit_name
from m3w_builder.stages import load as load_stage
from m3w_builder.wanted import (
    REDIRECT_HOPS,
    Want,
    archived,
    fetch_unit,
    give_up,
    locate,
    unit_of,
    wants,
)
from pipelines.common import parser, read_files, run_pipeline

MEDIA_PER_WORKER = 1000  # about two seconds of work


def build(
    pipeline: beam.Pipeline, extract: Stage, stage: Stage, config: Config
) -> beam.PCollection:
    """Returns the names of the committed units."""
    wanted = read_files(pipeline, "Wants", extract.files("documents"), wants)
    captures = read_files(pipeline, "Archived", extract.files("resources"), archived)
    found = []
    for hop in range(REDIRECT_HOPS + 1):
        # PCollection[(url, Want | Request)]
        located = (
            (wanted, captures)
            | f"Meet{hop}" >> beam.CoGroupByKey()
            | f"Locate{hop}" >> beam.FlatMapTuple(_locate)
        )
        wanted, requests = located | f"Moved{hop}" >> beam.Partition(_is_request, 2)
        found.append(requests)
    return (
        (*found, wanted)
        | "All" >> beam.Flatten()
        | "ToUnit" >> beam.MapTuple(partial(_to_unit, buckets=config.fetch.buckets))
        | "ByUnit" >> beam.GroupByKey()
        | "Fetch" >> beam.MapTuple(partial(do_unit, folder=stage.folder, config=config))
    )


def _locate(
    _url: str, groups: tuple[Iterable[Want], Iterable[dict[str, object]]]
) -> Iterable[tuple[str, Want | Request]]:
    return locate(*groups)


def _is_request(pair: tuple[str, Want | Request], _sides: int) -> int:
    return int(isinstance(pair[1], Request))


def _to_unit(_url: str, item: Want | Request, buckets: int) -> tuple[str, Request]:
    request = give_up(item)
    return unit_of(request, buckets), request


def do_unit(unit: str, requests: Iterable[Request], folder: Path, config: Config) -> str:
    """Fetches one unit unless an earlier run did."""
    return run_unit(folder, unit_name(unit), partial(fetch_unit, unit, requests, folder, config))


def open_fetch(extract: Stage, work: Path, config: Config) -> Stage:
    """Returns the stage that fetches what `extract` found.

    Raises ConfigError for a scorer that cannot be imported here, before any work.
    """
    scorers(config.fetch)
    return open_stage(work, "fetch", [digest(config.fetch)], [extract])


def run(extract: Stage, stage: Stage, config: Config, beam_args: Sequence[str]) -> Stage:
    """Runs the stage unless it is finished."""
    if not stage.finished:
        counts = extract.counts()
        wanted = sum(counts[key] for key in ("images.referenced", "image_text", "video_text"))
        useful = -(-wanted // MEDIA_PER_WORKER)
        run_pipeline(lambda p: build(p, extract, stage, config), beam_args, useful=useful)
        stage.finish()
    return stage


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--extract", type=Path, required=True, help="folder of a finished extract stage"
    )
    arguments.add_argument("--work", type=Path, required=True, help="folder of the stages")
    args, beam_args = arguments.parse_known_args(argv)
    config, extract = load(args.config), load_stage(args.extract)
    print(run(extract, open_fetch(extract, args.work, config), config, beam_args).folder)


if __name__ == "__main__":
    main()
