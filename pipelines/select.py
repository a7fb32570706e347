"""Documents and media rows to what goes into shards: rules, exact duplicates, every drop with a reason.

    python -m pipelines.select --fetch work/fetch-0123456789abcdef --work work/

The only stage that is bound by shuffles; what it shuffles are references.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import apache_beam as beam

from m3w_builder.config import Config, deciding, digest, load
from m3w_builder.optouts import rights_digest
from m3w_builder.select import (
    Dropped,
    Outcome,
    Reference,
    admit,
    content_of,
    join,
    judge,
    media_rows,
    needs,
    one_capture,
    one_copy,
    page_of,
    partition_of,
    references,
    write_partition,
)
from m3w_builder.stages import Stage, open_stage, run_unit
from m3w_builder.stages import load as load_stage
from m3w_builder.types import KINDS
from pipelines.common import parser, read_files, run_pipeline

DOCUMENTS_PER_WORKER = 5000  # about two seconds of work


def build(pipeline: beam.Pipeline, fetch: Stage, stage: Stage, config: Config) -> beam.PCollection:
    """Returns the names of the committed units."""
    documents = read_files(
        pipeline, "Documents", fetch.parent("extract").files("documents"), references
    )
    media = read_files(pipeline, "Media", fetch.files("media"), media_rows)  # (kind and URL, row)

    captures, duplicates = _split(
        documents | "OneCapture" >> Survivors(page_of, one_capture), "Captures"
    )
    judged, unfit = _split(captures | "Judge" >> beam.Map(judge, config), "Judged")
    joined = (
        (judged | "Needs" >> beam.FlatMap(needs), media)
        | "MeetMedia" >> beam.CoGroupByKey()
        | "Join" >> beam.FlatMapTuple(_join)  # (document id, (node index, media row))
    )
    admitted, unadmitted = _split(
        (judged | "ById" >> beam.WithKeys(_id), joined)
        | "MeetDocument" >> beam.CoGroupByKey()
        | "Admit" >> beam.FlatMapTuple(partial(_admit, config=config)),
        "Admitted",
    )
    copies = admitted | "OneCopy" >> Survivors(content_of, one_copy)
    return (
        (copies, duplicates, unfit, unadmitted)
        | "Outcomes" >> beam.Flatten()
        | "Partition" >> beam.WithKeys(partial(partition_of, partitions=config.select.partitions))
        | "ByPartition" >> beam.GroupByKey()
        | "Write" >> beam.MapTuple(partial(do_unit, folder=stage.folder))
    )


class Survivors(beam.PTransform):
    """Groups references by a key and lets `choose` say which of a group stay."""

    def __init__(
        self,
        key: Callable[[Reference], str],
        choose: Callable[[Iterable[Reference]], Iterable[Outcome]],
    ) -> None:
        super().__init__()
        self.key = key
        self.choose = choose

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        return (
            pcoll
            | beam.WithKeys(self.key)
            | beam.GroupByKey()
            | beam.Values()
            | beam.FlatMap(self.choose)
        )


def _split(outcomes: beam.PCollection, label: str) -> tuple[beam.PCollection, beam.PCollection]:
    """Returns what is still in, and what was dropped."""
    kept, dropped = outcomes | label >> beam.Partition(_is_dropped, 2)
    return kept, dropped


def _is_dropped(outcome: Outcome, _sides: int) -> int:
    return int(isinstance(outcome, Dropped))


def _id(reference: Reference) -> str:
    key: str = reference["id"]
    return key


def _join(
    _url: str, groups: tuple[Iterable[tuple[str, int]], Iterable[Reference]]
) -> Iterable[object]:
    return join(list(groups[0]), groups[1])


def _admit(
    _id: str, groups: tuple[Iterable[Reference], Iterable[tuple[int, Reference]]], config: Config
) -> Iterable[Outcome]:
    for reference in groups[0]:
        yield from admit(reference, groups[1], config)


def do_unit(partition: int, outcomes: Iterable[Outcome], folder: Path) -> str:
    """Writes one id range unless an earlier run did."""
    return run_unit(
        folder, f"{partition:05d}", partial(write_partition, partition, outcomes, folder)
    )


def open_select(fetch: Stage, work: Path, config: Config) -> Stage:
    """Returns the stage that selects from what `fetch` and its extract stage hold."""
    asked = digest(*deciding(config))
    return open_stage(work, "select", [asked, rights_digest(config.rights)], [fetch])


def run(fetch: Stage, stage: Stage, config: Config, beam_args: Sequence[str]) -> Stage:
    """Runs the stage unless it is finished."""
    if not stage.finished:
        counts = fetch.parent("extract").counts()
        useful = -(-sum(counts[kind] for kind in KINDS) // DOCUMENTS_PER_WORKER)
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
    print(run(fetch, open_select(fetch, args.work, config), config, beam_args).folder)


if __name__ == "__main__":
    main()
