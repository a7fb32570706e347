"""Documents and media rows to what goes into shards: rules, duplicates, every drop with a reason.

    python -m pipelines.select --fetch work/fetch-0123456789abcdef --work work/

The only stage that is bound by shuffles; what it shuffles are references, and packed records of what documents share.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import apache_beam as beam

from m3w_builder import decontaminate, safety
from m3w_builder.capfilt import annotations
from m3w_builder.config import Config, deciding, digest, load
from m3w_builder.errors import ConfigError
from m3w_builder.near import hamming
from m3w_builder.optouts import rights_digest
from m3w_builder.select import frequency, looks
from m3w_builder.select.admit import Need, admit, join, media_records, needs, text_records
from m3w_builder.select.captures import one_capture, page_of, settle
from m3w_builder.select.earlier import counts_of, earlier, fingerprint, shards_of
from m3w_builder.select.frequency import Hit, Records
from m3w_builder.select.outcomes import Outcome, Reference, partition_of, write_partition
from m3w_builder.select.references import media_rows, references, short
from m3w_builder.stages import Stage, open_stage, run_unit
from m3w_builder.stages import load as load_stage
from m3w_builder.tables import Row
from m3w_builder.tombstones import removal_digest
from m3w_builder.types import KINDS
from pipelines.blocks import Blocks
from pipelines.common import parser, read_files, run_pipeline
from pipelines.copies import Copies, Labels, blocks_for

DOCUMENTS_PER_WORKER = 5000  # about two seconds of work


def build(pipeline: beam.Pipeline, source: Stage, stage: Stage, config: Config) -> beam.PCollection:
    """Returns the names of the committed units."""
    fetch, extract = _fetch(source), source.parent("extract")
    known, images = counts_of(config.dedup.against)
    blocks = blocks_for(_documents(extract) + known)
    documents = read_files(
        pipeline, "Documents", extract.files("documents"), partial(references, config=config)
    )
    before = read_files(pipeline, "Earlier", shards_of(config.dedup.against), earlier)
    captures, duplicates = _split(
        (documents, before)
        | "Pages" >> beam.Flatten()
        | "ByPage" >> beam.GroupBy(page_of)
        | "OneCapture" >> beam.FlatMapTuple(_one_capture),
        "Captures",
    )
    settled, unfit = _split(captures | "Settle" >> beam.Map(settle), "Settled")
    ours, theirs = settled | "Whose" >> beam.Partition(_is_earlier, 2)
    media = read_files(pipeline, "Media", fetch.files("media"), media_rows)  # (kind and URL, row)
    images += fetch.counts()["images.urls"]
    rows, theirs = _looks(media, theirs, config, blocks_for(images))
    met = (ours | "Needs" >> beam.FlatMap(needs), rows) | "MeetMedia" >> beam.CoGroupByKey()
    hits = _hits(ours, met, config, blocks)
    admitted, unadmitted = _split(
        (
            ours | "ById" >> beam.WithKeys(_short_id),
            met | "Join" >> beam.FlatMapTuple(_join),  # (short id, (node index, media row))
            hits,
            read_files(pipeline, "Annotations", _annotated(source), annotations)
            | "ByDocument" >> beam.MapTuple(_by_document),
        )
        | "MeetDocument" >> beam.CoGroupByKey()
        | "Admit" >> beam.FlatMapTuple(partial(_admit, config=config)),
        "Admitted",
    )
    copies = (
        (admitted, theirs)
        | "WithEarlier" >> beam.Flatten()
        | "Copies" >> Copies(config.dedup, blocks)
    )
    return (
        (duplicates, unfit, unadmitted, admitted, copies)
        | "Outcomes" >> beam.Flatten()
        | "Partition" >> beam.WithKeys(partial(partition_of, partitions=config.select.partitions))
        | "ByPartition" >> beam.GroupByKey()
        | "Write" >> beam.MapTuple(partial(do_unit, folder=stage.folder))
    )


def _looks(
    media: beam.PCollection, theirs: beam.PCollection, config: Config, blocks: int
) -> tuple[beam.PCollection, beam.PCollection]:
    """Returns the media rows, and the references of earlier datasets, with the groups of their images."""
    others, images = (
        (media, theirs | "AsItems" >> beam.Map(_as_item))
        | "Items" >> beam.Flatten()
        | "Images" >> beam.Partition(_is_image, 2)
    )
    alike = partial(hamming.image_edges, distance=config.dedup.image_distance)
    pack = looks.pack if config.dedup.image_distance else looks.by_bytes_alone
    labels = images | "Looks" >> Labels(pack, hamming.IMAGE, alike, blocks)
    grouped = (
        (labels, images | "ByBytes" >> beam.Map(looks.by_bytes))
        | "MeetLooks" >> beam.CoGroupByKey()
        | "WithGroup" >> beam.FlatMapTuple(_with_group)
    )
    rows, references = (
        (others, grouped) | "AllItems" >> beam.Flatten() | "Apart" >> beam.Partition(_is_theirs, 2)
    )
    return rows, references | "AsReferences" >> beam.Values()


def _hits(
    ours: beam.PCollection, met: beam.PCollection, config: Config, blocks: int
) -> beam.PCollection:
    """Returns (first 64 bits of the id, hit) for each document and thing in it that is too frequent or too rare."""
    texts = ours | "CountTexts" >> Blocks(text_records, frequency.RECORD, blocks)
    media = met | "CountMedia" >> Blocks(_media_records, frequency.RECORD, blocks)
    often = (
        (texts, media)
        | "Counted" >> beam.Flatten()
        | "TooMany" >> beam.FlatMap(frequency.too_many, limits=frequency.bounds(config.corpus))
    )
    if not config.corpus.vocabulary:
        return often
    most = (
        texts
        | "Times" >> beam.Map(frequency.times_of)
        | "AllTimes" >> beam.CombineGlobally(_sum)
        | "Cutoff" >> beam.Map(frequency.cutoff, vocabulary=config.corpus.vocabulary)
    )
    rare = texts | "TooRare" >> beam.FlatMap(frequency.too_rare, beam.pvalue.AsSingleton(most))
    return (often, rare) | "Hits" >> beam.Flatten()


def _split(outcomes: beam.PCollection, label: str) -> tuple[beam.PCollection, beam.PCollection]:
    """Returns what is still in, and what was dropped or noted."""
    kept, others = outcomes | label >> beam.Partition(_is_no_reference, 2)
    return kept, others


def _is_no_reference(outcome: Outcome, _sides: int) -> int:
    return int(not isinstance(outcome, dict))


def _is_earlier(reference: Reference, _sides: int) -> int:
    return int("earlier" in reference)


def _is_image(item: looks.Item, _sides: int) -> int:
    return int(looks.is_image(item))


def _is_theirs(item: looks.Item, _sides: int) -> int:
    return int(not item[0])


def _as_item(reference: Reference) -> looks.Item:
    return "", reference


def _short_id(reference: Reference) -> int:
    return short(reference["id"])


def _one_capture(_page: str, captures: Iterable[Reference]) -> Iterator[Outcome]:
    return one_capture(captures)


def _with_group(
    sha: int, groups: tuple[Iterable[int], Iterable[looks.Item]]
) -> Iterator[looks.Item]:
    return looks.with_group(sha, *groups)


def _media_records(met: tuple[str, tuple[Iterable[Need], Iterable[Row]]]) -> Records:
    return media_records(*met[1])


def _join(
    _url: str, groups: tuple[Iterable[Need], Iterable[Row]]
) -> Iterator[tuple[int, tuple[int, Row]]]:
    for document, found in join(*groups):
        yield short(document), found


def _admit(
    _id: int,
    groups: tuple[Iterable[Reference], Iterable[tuple[int, Row]], Iterable[Hit], Iterable[Row]],
    config: Config,
) -> Iterator[Outcome]:
    for reference in groups[0]:
        yield from admit(reference, groups[1], groups[2], config, groups[3])


def _by_document(document: str, row: Row) -> tuple[int, Row]:
    return short(document), row


def _fetch(source: Stage) -> Stage:
    return source if source.name == "fetch" else source.parent("fetch")


def _annotated(source: Stage) -> list[Path]:
    return source.files("annotations") if source.name == "capfilt" else []


def _sum(counts: Iterable[Counter[int]]) -> Counter[int]:
    return sum(counts, Counter())


def do_unit(partition: int, outcomes: Iterable[Outcome], folder: Path) -> str:
    """Writes one id range unless an earlier run did."""
    return run_unit(
        folder, f"{partition:05d}", partial(write_partition, partition, outcomes, folder)
    )


def open_select(source: Stage, work: Path, config: Config) -> Stage:
    """Returns the stage that selects from what `source`, fetch or the capfilt stage behind it, holds."""
    if config.capfilt.is_on != (source.name == "capfilt"):
        expected = "a capfilt" if config.capfilt.is_on else "a fetch"
        raise ConfigError(
            f"{source.folder}: expected {expected} stage for this configuration, found {source.name}"
        )
    sets = decontaminate.benchmark(_ready(config, work).decontaminate)
    asked = [
        *(digest(*deciding(config)), rights_digest(config.rights), removal_digest(config.rights)),
        *(safety.decided_by(config.safety), sets.digest if sets else ""),
        *fingerprint(config.dedup.against),
    ]
    return open_stage(work, "select", asked, [source])


def _ready(config: Config, work: Path) -> Config:
    """Returns the configuration with its evaluation sets hashed, once for all workers."""
    table = decontaminate.prepared(config.decontaminate, work / "evaluation", os.cpu_count() or 1)
    return config.model_copy(update={"decontaminate": table})


def run(source: Stage, stage: Stage, config: Config, beam_args: Sequence[str]) -> Stage:
    """Runs the stage unless it is finished."""
    if not stage.finished:
        useful = -(-_documents(source.parent("extract")) // DOCUMENTS_PER_WORKER)
        ready = _ready(config, stage.folder.parent)
        run_pipeline(lambda p: build(p, source, stage, ready), beam_args, useful=useful)
        stage.finish()
    return stage


def _documents(extract: Stage) -> int:
    counts = extract.counts()
    return sum(counts[kind] for kind in KINDS)


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--fetch", type=Path, required=True, help="folder of a finished fetch or capfilt stage"
    )
    arguments.add_argument("--work", type=Path, required=True, help="folder of the stages")
    args, beam_args = arguments.parse_known_args(argv)
    config, fetch = load(args.config), load_stage(args.fetch)
    print(run(fetch, open_select(fetch, args.work, config), config, beam_args).folder)


if __name__ == "__main__":
    main()
