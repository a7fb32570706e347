"""Selected documents to shards: WebDataset tars in id order, their member tables, the manifest last.

    python -m pipelines.write --select work/select-0123456789abcdef --work work/ --output out/

Nothing is shuffled: a shard is a range of ids, and each is one unit of work.
"""

import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam

from m3w_builder import __version__, histograms, typical
from m3w_builder.capfilt import read_about
from m3w_builder.capfilt import summary as summary_of_texts
from m3w_builder.config import Config, PrivacyConfig, digest, load
from m3w_builder.errors import OutputError
from m3w_builder.files import sweep, writable, write_text
from m3w_builder.optouts import summary
from m3w_builder.samples import canonical_json
from m3w_builder.shards import CONFIG, EXAMPLES, MANIFEST, OWNER, SCORES, WATERFALL, finish
from m3w_builder.stages import Counts, Stage, open_stage, run_unit
from m3w_builder.stages import load as load_stage
from m3w_builder.types import KINDS
from m3w_builder.waterfall import waterfall
from m3w_builder.write import (
    ShardPlan,
    clear,
    is_written,
    manifest_rows,
    plan_shards,
    write_unit,
    written,
)
from pipelines.common import parser, run_pipeline

BYTES_PER_WORKER = 128 * 2**20  # about two seconds of work


def build(
    pipeline: beam.Pipeline,
    plans: Sequence[ShardPlan],
    select: Stage,
    stage: Stage,
    output: Path,
    privacy: PrivacyConfig,
) -> beam.PCollection:
    """Returns the names of the committed units."""
    return (
        pipeline
        | "Shards" >> beam.Create(list(plans))
        | "Spread" >> beam.Reshuffle()
        | "Write"
        >> beam.Map(
            partial(do_unit, select=select, folder=stage.folder, output=output, privacy=privacy)
        )
    )


def do_unit(
    plan: ShardPlan, select: Stage, folder: Path, output: Path, privacy: PrivacyConfig
) -> str:
    """Writes one shard unless an earlier run did and it is still there."""
    if not is_written(plan, folder, output):
        (folder / "commits" / f"{plan.name}.json").unlink(missing_ok=True)
    return run_unit(folder, plan.name, partial(write_unit, plan, select, folder, output, privacy))


def open_write(select: Stage, work: Path, config: Config, output: Path) -> Stage:
    """Returns the stage that writes what `select` chose to `output`."""
    return open_stage(
        work, "write", [digest(config.write, config.privacy), str(output.resolve())], [select]
    )


def claim(output: Path, stage: Stage, *, overwrite: bool = False) -> None:
    """Marks a free `output` as this stage's; raises OutputError when it holds what is not this stage's.

    With `overwrite` what is there stays until `run` has something to put in its place.
    """
    if _owner(output) == stage.folder.name:
        return
    found = _owner(output) or ", ".join(path.name for path in written(output)[:3])
    if not found:
        write_text(output / OWNER, stage.folder.name + "\n")
    elif not overwrite:
        whose = "another build's shards" if _owner(output) else "another program's files"
        raise OutputError(
            f"{output}: expected an empty folder or this build's ({stage.folder.name}), found {whose} ({found}); "
            "choose another --output, or --overwrite to replace them"
        )


def _owner(output: Path) -> str:
    """Returns the name of the write stage that an output folder belongs to, "" for none."""
    owner = output / OWNER
    return owner.read_text().strip() if owner.is_file() else ""


def _take_over(output: Path, stage: Stage) -> None:
    """Removes what `claim` was told to replace."""
    if _owner(output) != stage.folder.name:
        with writable(output):
            clear(output)
        write_text(output / OWNER, stage.folder.name + "\n")


def run(
    select: Stage, stage: Stage, config: Config, output: Path, beam_args: Sequence[str]
) -> Stage:
    """Runs the stage unless it is finished and its shards are still there."""
    plans = plan_shards(select.counts(), config.write.shard_bytes)
    there = all(is_written(plan, stage.folder, output) for plan in plans)
    mine = _owner(output) == stage.folder.name
    told = (output / CONFIG).is_file() and (output / CONFIG).read_text() == _told(config)
    if stage.finished and mine and there and told and (output / MANIFEST).exists():
        return stage
    _take_over(output, stage)
    run_pipeline(
        lambda p: build(p, plans, select, stage, output, config.privacy),
        beam_args,
        useful=_useful(plans, select.counts()),
    )
    sweep(output)
    stage.finish()
    with writable(output):
        _describe(select, stage, config, output, plans)
    return stage


def _told(config: Config) -> str:
    """Returns config.json."""
    return canonical_json(config.model_dump(mode="json")) + "\n"


def _useful(plans: Sequence[ShardPlan], selected: Counts) -> int:
    size = sum(selected[f"{kind}.bytes"] for kind in KINDS)
    return min(len(plans), -(-size // BYTES_PER_WORKER))


def _describe(
    select: Stage, stage: Stage, config: Config, output: Path, plans: Sequence[ShardPlan]
) -> None:
    """Writes what lies beside the shards; the manifest is the last file."""
    fetch = select.parent("fetch")
    extract = fetch.parent("extract")
    shutil.rmtree(output / "rejects", ignore_errors=True)
    (output / "rejects").mkdir(parents=True)
    rejects = [
        (source, file) for source in (extract, fetch, select) for file in source.files("rejects")
    ]
    for source, file in rejects:
        shutil.copyfile(file, output / "rejects" / f"{source.name}-{file.name}")
    shutil.rmtree(output / "noted", ignore_errors=True)
    for file in select.files("noted"):
        (output / "noted").mkdir(exist_ok=True)
        shutil.copyfile(file, output / "noted" / file.name)
    flow = waterfall(extract.counts(), fetch.counts(), select.counts())
    optouts = summary(config.rights, [*extract.counts().items(), *fetch.counts().items()])
    flow |= {"optouts": optouts, **_privacy(stage), **_capfilt(select)}
    write_text(output / WATERFALL, json.dumps(flow, indent=1) + "\n")
    write_text(output / CONFIG, _told(config))
    beside = {
        SCORES: histograms.describe(_measured(select), config),
        EXAMPLES: typical.describe([file for _, file in rejects], extract, fetch, config),
    }
    for name, value in beside.items():
        write_text(output / name, canonical_json(value) + "\n")
    finish(
        output,
        manifest_rows(stage.folder, plans),
        config=digest(config),
        version=__version__,
        title=config.write.title,
        optouts=optouts,
    )


def _measured(select: Stage) -> Counts:
    """Returns the counts of the stages that measure."""
    fetch = select.parent("fetch")
    counts = fetch.parent("extract").counts() + fetch.counts()
    return counts + select.parent("capfilt").counts() if "capfilt" in select.parents else counts


def _privacy(stage: Stage) -> dict[str, Any]:
    """Returns how many personal data were masked, by kind."""
    found = {
        k.removeprefix("privacy."): n for k, n in stage.counts().items() if k.startswith("privacy.")
    }
    return {"masked": found} if found else {}


def _capfilt(select: Stage) -> dict[str, Any]:
    """Returns what CapFilt did, where it ran."""
    if "capfilt" not in select.parents:
        return {}
    return {
        "capfilt": summary_of_texts(select.counts(), read_about(select.parent("capfilt").folder))
    }


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--select", type=Path, required=True, help="folder of a finished select stage"
    )
    arguments.add_argument("--work", type=Path, required=True, help="folder of the stages")
    arguments.add_argument("--output", type=Path, required=True, help="folder of the shards")
    arguments.add_argument(
        "--overwrite", action="store_true", help="replace another build's shards"
    )
    args, beam_args = arguments.parse_known_args(argv)
    config, select = load(args.config), load_stage(args.select)
    stage = open_write(select, args.work, config, args.output)
    claim(args.output, stage, overwrite=args.overwrite)
    print(run(select, stage, config, args.output, beam_args).folder)


if __name__ == "__main__":
    main()
