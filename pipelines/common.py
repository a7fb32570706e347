"""What every main shares: its arguments, the runner, one pipeline run per stage."""

import argparse
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, TypeOptions

from m3w_builder import errors
from pipelines.local_runner import make_runner


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Returns a parser with the options of every stage; what it does not know goes to Beam."""
    made = argparse.ArgumentParser(
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Further options are Beam's own: --workers=4, --runner=DataflowRunner, ...",
        allow_abbrev=False,
    )
    made.add_argument("--config", type=Path, help="TOML file; `m3w config` prints the default")
    return made


def beam_options(beam_args: Sequence[str]) -> PipelineOptions:
    """Returns Beam's options; raises ConfigError for one that nobody knows (Beam would only warn)."""
    known = _OneLineParser(allow_abbrev=False, add_help=False)
    for cls in {cls.__name__: cls for cls in PipelineOptions.__subclasses__()}.values():
        cls._add_argparse_args(known)
    unknown = known.parse_known_args(list(beam_args))[1]
    if unknown and not unknown[0].startswith("-"):
        raise errors.ConfigError(
            f"{unknown[0]}: expected an option; a pattern needs quotes: --input '*.warc.gz'"
        )
    if unknown:
        raise errors.ConfigError(
            f"{unknown[0]}: neither an option of m3w nor one of Beam's; see --help"
        )
    return PipelineOptions(list(beam_args))


class _OneLineParser(argparse.ArgumentParser):
    """Raises where argparse would print the usage of all of Beam's options and exit."""

    def error(self, message: str) -> NoReturn:
        raise errors.ConfigError(message)


def _pipeline(options: PipelineOptions) -> beam.Pipeline:
    try:
        return beam.Pipeline(runner=make_runner(options), options=options)
    except (ValueError, ImportError, AttributeError) as error:  # no such runner, or its options
        name = options.view_as(StandardOptions).runner
        raise errors.ConfigError(f"--runner={name}: {error}") from error


def run_pipeline(
    build: Callable[[beam.Pipeline], object], beam_args: Sequence[str], *, useful: int
) -> None:
    """Runs the pipeline that `build` makes, on the runner that the Beam options name (local by default).

    `useful` is how many local workers have enough to do: each takes more than a second to start. More
    than the cores are never started, and --workers among the options overrides it.
    """
    workers = max(1, min(useful, os.cpu_count() or 1))
    options = beam_options([f"--workers={workers}", *beam_args])
    # Mypy checks our types; Beam's inference takes a union for its first member and refuses the rest.
    options.view_as(TypeOptions).pipeline_type_check = False
    # An exception of ours is raised here, too; two tracebacks of it would hide the one line it may become.
    logging.getLogger("apache_beam.runners.common").setLevel(logging.CRITICAL)
    try:
        with _pipeline(options) as pipeline:
            build(pipeline)
    except errors.M3WError as error:
        raise type(error)(_undecorated(str(error))) from error
    except RuntimeError as error:
        raise _ours(error) or error from error


def _undecorated(message: str) -> str:
    """Returns a message without the step that Beam adds."""
    return re.sub(r" \[while running .*", "", message)


def _ours(error: RuntimeError) -> BaseException | None:
    """Returns what Beam made a RuntimeError of: Ctrl-C, or the M3WError that a worker's traceback ends with."""
    if any(isinstance(cause, KeyboardInterrupt) for cause in _causes(error)):
        return KeyboardInterrupt()
    found = re.findall(r"^m3w_builder\.errors\.(\w+): (.*)$", str(error), re.MULTILINE)
    if not found:
        return None
    name, message = found[-1]
    made: errors.M3WError = getattr(errors, name)(_undecorated(message))
    return made


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def read_files(
    pipeline: beam.Pipeline,
    label: str,
    files: Sequence[Path],
    read: Callable[[Path], Iterable[Any]],
) -> beam.PCollection:
    """Returns what `read` yields of each file; the files are spread over the workers."""
    return (
        pipeline
        | f"{label}Files" >> beam.Create(list(files))
        | f"{label}Spread" >> beam.Reshuffle()
        | label >> beam.FlatMap(read)
    )
