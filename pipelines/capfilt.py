"""Images to captions and scores: what models say of the pictures and of the texts beside them (CapFilt).

    python -m pipelines.capfilt --fetch work/fetch-0123456789abcdef --work work/ --config capfilt.toml

Runs where the configuration names a captioner or a matcher. References are shuffled into units by the sha256 of their
image; RunInference is given whole units, and each is written in the step behind it as soon as it is answered: a killed
run has lost no more than the units in the making.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import apache_beam as beam

from m3w_builder.capfilt import write_about
from m3w_builder.capfilt.annotate import (
    Annotations,
    Ask,
    Place,
    Unit,
    asked,
    asks,
    meet,
    places,
    units_for,
    write_unit,
)
from m3w_builder.capfilt.plugins import models
from m3w_builder.config import Config, load
from m3w_builder.errors import ConfigError
from m3w_builder.stages import Stage, is_committed, open_stage, run_unit
from m3w_builder.stages import load as load_stage
from pipelines.common import parser, read_files, run_pipeline


def build(pipeline: beam.Pipeline, fetch: Stage, stage: Stage, config: Config) -> beam.PCollection:
    """Returns the names of the committed units."""
    # Beam's part for models takes two CPU seconds to import: only where there is one.
    from pipelines.inference import ask

    documents = fetch.parent("extract").files("documents")
    wanted = read_files(pipeline, "Asks", documents, partial(asks, config=config))
    stored = read_files(
        pipeline, "Places", fetch.files("media"), partial(places, config=config.capfilt)
    )
    units = units_for(fetch.counts())
    return (
        (wanted, stored)
        | "Meet" >> beam.CoGroupByKey()
        | "ToUnit" >> beam.FlatMapTuple(partial(_meet, units=units))
        | "ByUnit" >> beam.GroupByKey()
        | "Undone" >> beam.Filter(partial(_is_undone, folder=stage.folder))
        | "Ask" >> ask(config, fetch.folder / "packs")
        | "Write" >> beam.Map(partial(do_unit, folder=stage.folder))
    )


def _meet(
    _url: str, groups: tuple[Iterable[Ask], Iterable[Place]], units: int
) -> Iterator[tuple[str, tuple[Place, Ask]]]:
    return meet(*groups, units)


def _is_undone(unit: Unit, folder: Path) -> bool:
    return not is_committed(folder, unit[0])


def do_unit(found: Annotations, folder: Path) -> str:
    """Writes one unit unless an earlier run did."""
    return run_unit(folder, found.unit, partial(write_unit, found, folder))


def open_capfilt(fetch: Stage, work: Path, config: Config) -> Stage:
    """Returns the stage that asks the models about what `fetch` holds.

    Raises ConfigError for a plug-in that cannot be had here, before any work.
    """
    if not config.capfilt.is_on:
        raise ConfigError("capfilt.captioner, capfilt.matcher: expected a plug-in, found none")
    return open_stage(work, "capfilt", asked(config.capfilt, models(config.capfilt)), [fetch])


def run(fetch: Stage, stage: Stage, config: Config, beam_args: Sequence[str]) -> Stage:
    """Runs the stage unless it is finished; tells on stderr what a user should know of the models."""
    chosen = models(config.capfilt)
    for warning in chosen.warnings():
        print(f"m3w: warning: capfilt: {warning}", file=sys.stderr)
    if not stage.finished:
        write_about(stage.folder, chosen)
        useful = units_for(fetch.counts())
        run_pipeline(lambda p: build(p, fetch, stage, config), beam_args, useful=useful)
        stage.finish()
    return stage


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--fetch", type=Path, required=True, help="folder of a finished fetch stage"
    )
    arguments.add_argument("--work", type=Path, required=True, help="folder of the stages")
    args, beam_args = arguments.parse_known_args(argv)
    config, fetch = load(args.config), load_stage(args.fetch)
    print(run(fetch, open_capfilt(fetch, args.work, config), config, beam_args).folder)


if __name__ == "__main__":
    main()
