"""m3w decontaminate: what of evaluation sets is in a finished dataset, and out with it."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from m3w_builder.errors import ConfigError, InputError

if TYPE_CHECKING:
    from m3w_builder.config import DecontaminateConfig
    from m3w_builder.decontaminate.search import Finding
    from m3w_builder.shards import Rewritten

SHOWN = 20  # findings that are listed without --json


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(decontaminate)


def decontaminate(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="OUT", help="A finished dataset or a tar.", show_default=False),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SET",
            help="An evaluation set: a folder of images and texts, WebDataset tars, a Parquet or CSV file "
            "of hashes and texts, or a finished dataset; repeatable.",
        ),
    ] = None,
    mode: Annotated[
        str, typer.Option(help="report: count and list; remove: take out of the shards.")
    ] = "report",
    drop: Annotated[
        str | None, typer.Option(help="What goes with an image: image or page (default: image).")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FUNCTION",
            help="A PIL image to a vector: compare by embedding, too, as ALIGN did.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file; its table decontaminate counts, but for its mode."),
    ] = None,
    save_hashes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the sets' hashes and texts as Parquet: a SET without images.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes; 0: one per core.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find images and texts of evaluation sets in finished shards; count them, or take them out.

    Example: m3w decontaminate out/ --against coco/val2014 --against vqav2.parquet

    Example: m3w decontaminate out/ --against coco/val2014 --mode remove --drop page

    Example: m3w decontaminate --against coco/ --save-hashes coco.parquet
    """
    from rich.console import Console

    from m3w_builder import decontaminate as decontamination
    from m3w_builder import shards
    from m3w_builder.decontaminate import search

    if folder is None and save_hashes is None:
        raise ConfigError("expected a dataset to search, or --save-hashes FILE, found neither")
    given = {"against": against, "mode": mode, "drop": drop, "encoder": encoder}
    settings = _settings(config, {key: value for key, value in given.items() if value})
    if folder is not None and settings.mode == "remove" and not folder.is_dir():
        raise InputError(
            f"{folder}: expected the folder of a finished dataset to take things out of"
        )
    data = shards.open_dataset(folder) if folder else None
    workers = workers or os.cpu_count() or 1
    status = Console(stderr=True).status
    with tempfile.TemporaryDirectory() as temporary:
        with status("hashing the evaluation sets"):
            prepared = decontamination.prepared(settings, Path(temporary), workers)
            sets = decontamination.benchmark(prepared)
        assert sets is not None
        if save_hashes is not None:
            decontamination.save(save_hashes, sets.items)
        paths = [path for path, _ in data.shards] if data else []
        compared: Counter[str] = Counter()
        findings: list[Finding] = []
        with status("searching the shards"):
            for found in search.search(paths, prepared, workers):
                compared += found.counts
                findings += found.findings
            if settings.encoder and paths:
                findings += search.search_embeddings(paths, settings)
    findings = search.merged(findings)
    report = search.report(sets, compared, findings)
    if folder is not None and settings.mode == "remove":
        judge = search.removals(findings, settings.drop)
        with status("rewriting the shards"):
            report["removed"] = _removed(shards.rewrite(folder, judge, workers=workers))
    if as_json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        for line in _lines(report, searched=data is not None):
            typer.echo(line)


def _settings(path: Path | None, given: Mapping[str, Any]) -> "DecontaminateConfig":
    """Returns the table of the file with what the command line says instead."""
    from m3w_builder.config import load, parse

    table = load(path).decontaminate.model_dump(mode="json") | dict(given)
    settings = parse({"decontaminate": table}, "m3w decontaminate").decontaminate
    if not settings.against:
        raise ConfigError(
            "expected an evaluation set (--against, or decontaminate.against of --config), found none"
        )
    return settings


def _removed(done: "Rewritten") -> dict[str, Any]:
    return {"rewritten": done.shards, "deleted": done.gone, "lost": done.lost}


def _lines(report: Mapping[str, Any], searched: bool) -> list[str]:
    """Returns the report as one reads it."""
    lines = []
    for row in report["sets"]:
        broken = f", {len(row['unreadable']):,} unreadable" if row["unreadable"] else ""
        lines.append(f"{row['set']}: {row['pictures']:,} pictures, {row['texts']:,} texts{broken}")
        if searched:
            lines[-1] += f": {_counted(row['candidates'])}"
        lines += [f"  {name}: {reason}" for name, reason in _first(row["unreadable"].items())]
    if not searched:
        return lines
    found = report["findings"]
    lines += [_finding(finding) for finding in _first(found)]
    if len(found) > SHOWN:
        lines.append(f"... and {len(found) - SHOWN:,} more: --json lists all")
    compared = ", ".join(f"{count:,} {name}" for name, count in report["compared"].items() if count)
    lines.append(f"candidates among {compared or 'nothing'}: {_counted(report['candidates'])}")
    if removed := report.get("removed"):
        lost = [
            f"{count:,} {name} of {kind}"
            for kind, counts in removed["lost"].items()
            for name, count in counts.items()
            if name != "bytes"
        ]
        files = len(removed["rewritten"]) + len(removed["deleted"])
        lines.append(f"removed: {', '.join(lost) or 'nothing'}; {files} shards changed")
    return lines


def _counted(counts: Mapping[str, int]) -> str:
    parts = [f"{counts[name]:,} {name}" for name in ("images", "frames", "texts") if counts[name]]
    if not parts:
        return "none"
    return f"{', '.join(parts)} ({counts['exact']:,} exact) in {counts['samples']:,} samples"


def _finding(found: Mapping[str, Any]) -> str:
    from m3w_builder.decontaminate import Match

    match = Match(*(found[name] for name in ("set", "item", "way", "value")))
    return f"{found['id']} {found['file'] or found['medium']}: {match}"


def _first(items: Any) -> Sequence[Any]:
    return list(items)[:SHOWN]
