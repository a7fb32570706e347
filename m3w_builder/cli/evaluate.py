"""`m3w eval`: a trained Flamingo on a local copy of a benchmark; torch is loaded here, and late."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from m3w_builder.cli.extra import loaded
from m3w_builder.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("eval")(evaluate)


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.", show_default=False)],
    data: Annotated[Path, typer.Option(help="Folder of the copy.", show_default=False)],
    task: Annotated[
        str,
        typer.Option(
            help="coco, flickr30k, vatex, vqav2, okvqa, textvqa, vizwiz, msvd_qa, hateful_memes,"
            " imagenet; folder: any folder of pictures; shards: ours.",
            show_default=False,
        ),
    ],
    shots: Annotated[
        str, typer.Option(help="Examples before the query, with commas.")
    ] = "0,4,8,16,32",
    split: Annotated[str, typer.Option(help="Of the query (default: the paper's).")] = "",
    rices: Annotated[
        bool, typer.Option("--rices", help="Shots most alike the query, not drawn ones.")
    ] = False,
    ensemble: Annotated[
        int, typer.Option(help="Orders of the shots that are averaged; the paper's 6.")
    ] = 0,
    abstain_below: Annotated[
        float, typer.Option(help="Agreement of the orders below which a case is not answered.")
    ] = 0.0,
    queries: Annotated[
        int | None,
        typer.Option(help="Cases asked, per class of classes; 0 = all (default: paper's)."),
    ] = None,
    support: Annotated[
        int | None, typer.Option(help="Cases shots are taken from (default: the paper's).")
    ] = None,
    beams: Annotated[int, typer.Option(help="Of open-ended answers.")] = 3,
    limit: Annotated[
        int, typer.Option(help="New tokens; 0 = as the support's longest answer.")
    ] = 0,
    batch: Annotated[int, typer.Option(help="Prompts that are generated together.")] = 8,
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 0,
    cases: Annotated[
        Path | None, typer.Option(help="A .jsonl file for a line per case.", show_default=False)
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of features (default: RUN/features).")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Evaluate a trained run with few shots, as the Flamingo paper does (docs/evaluation.md).

    Example: m3w eval run/ --task coco --data /data/coco --shots 0,4,8

    Example: m3w eval run/ --task folder --data photos/ --shots 4 --rices --ensemble 6 --json

    Example: torchrun --nproc-per-node 8 -m m3w_builder eval run/ --task vqav2 --data /data/vqa --queries 0
    """
    given: dict[str, Any] = {
        "shots": _shots(shots),
        "rices": rices,
        "ensemble": ensemble,
        "abstain_below": abstain_below,
        "queries": queries,
        "support": support,
        "beams": beams,
        "limit": limit,
        "batch": batch,
        "seed": seed,
    }
    entry = loaded("evaluation.entry")
    found = entry.benchmark(
        run,
        task,
        data,
        entry.settings(**given),
        split=split,
        rows=cases,
        cache=cache,
        console=Console(stderr=True),
    )
    if found is None:  # another rank prints
        return
    if json_:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for result in found["results"]:
        typer.echo(_line(found["task"]["metric"], result))


def _line(metric: str, result: dict[str, Any]) -> str:
    """Returns a result as one line."""
    value = result[metric]
    score = "none (one class alone)" if value is None else f"{value:.1f}"
    line = f"{result['shots']:2d} shots  {metric} {score}  {result['cases']} cases"
    if rejected := result["rejected"]:
        line += f"  rejected: {', '.join(f'{name} {n}' for name, n in rejected.items())}"
    if answered := result.get("answered"):
        line += f"  agreement {result['mean_agreement']:.2f}"
        line += f"  answered {answered['coverage']:.0f} %"
    return line


def _shots(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--shots: expected numbers with commas, found {text!r}") from error
