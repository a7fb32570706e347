"""Pages to documents: read WARC files, saved HTML or URL lists; write Parquet tables of documents and rejects.

    python -m pipelines.extract --input 'crawl/*.warc.gz' --work work/ --workers 8

On Dataflow the same command with --runner=DataflowRunner and Beam's own flags.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import apache_beam as beam

from m3w_builder import safety
from m3w_builder.config import Config, digest, load
from m3w_builder.extract import extract_unit, fingerprint
from m3w_builder.inputs import Unit, plan
from m3w_builder.optouts import product_token
from m3w_builder.sandbox import sandbox
from m3w_builder.stages import Stage, open_stage, run_unit, unit_name
from pipelines.common import parser, run_pipeline


def build(
    pipeline: beam.Pipeline, units: Sequence[Unit], stage: Stage, config: Config
) -> beam.PCollection:
    """Returns the names of the committed units."""
    return (
        pipeline
        | "Units" >> beam.Create(list(units))
        | "Spread" >> beam.Reshuffle()
        | "Extract" >> beam.Map(partial(do_unit, folder=stage.folder, config=config))
    )


def do_unit(unit: Unit, folder: Path, config: Config) -> str:
    """Extracts one unit unless an earlier run did."""
    name = unit_name(unit.kind, unit.path, unit.start, unit.end)
    return run_unit(folder, name, partial(extract_unit, unit, folder, config))


def open_extract(inputs: Sequence[str], work: Path, config: Config) -> tuple[Stage, list[Unit]]:
    """Returns the stage and its units; raises InputError for a missing, empty or unknown input."""
    units = plan(inputs)
    agent = product_token(config.fetch.user_agent)  # whom a page may speak to
    measured = safety.measured_by(config.safety)
    asked = [digest(config.extract), agent, measured, *fingerprint(units, config)]
    return open_stage(work, "extract", asked), units


def run(stage: Stage, units: Sequence[Unit], config: Config, beam_args: Sequence[str]) -> Stage:
    """Runs the stage unless it is finished."""
    if not stage.finished:
        try:
            run_pipeline(lambda p: build(p, units, stage, config), beam_args, useful=len(units))
        finally:
            sandbox().close()  # of a run inside this process
        stage.finish()
    return stage


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--input", action="append", required=True, help="glob, file or folder; repeatable"
    )
    arguments.add_argument("--work", type=Path, required=True, help="folder of the stages")
    args, beam_args = arguments.parse_known_args(argv)
    config = load(args.config)
    print(run(*open_extract(args.input, args.work, config), config, beam_args).folder)


if __name__ == "__main__":
    main()
