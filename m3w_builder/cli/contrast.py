"""`m3w contrast`: a vision encoder pretrained on image-text shards; torch is loaded here, and late."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from m3w_builder.cli.extra import loaded


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(contrast)


def contrast(
    output: Annotated[Path, typer.Option(help="Folder of the encoder.")],
    shards: Annotated[
        list[str] | None,
        typer.Argument(
            help="Image-text shards: folders or addresses, each a dataset (default: the file's)."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="As of m3w train; tiny needs no download.")] = "",
    config: Annotated[Path | None, typer.Option(help="TOML file over the preset.")] = None,
    steps: Annotated[int | None, typer.Option(help="Updates.")] = None,
    batch: Annotated[int | None, typer.Option(help="Pairs per dataset, update and rank.")] = None,
    image: Annotated[int | None, typer.Option(help="Pixels, side of the square.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of every random draw.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that decode, per rank.")] = None,
    restart: Annotated[bool, typer.Option(help="Begin anew what is in the folder.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Pretrain a vision encoder on image-text pairs by contrast; one that was stopped goes on.

    Its folder is a vision.source: m3w train out/ --output run/ --vision encoder/

    Example: m3w contrast out/ --output encoder/ --steps 2000

    Example: torchrun --nproc-per-node 8 -m m3w_builder contrast --config encoder.toml --output encoder/
    """
    entry = loaded("vision.entry")
    options: dict[str, dict[str, Any]] = {
        "vision": _given(steps=steps, batch=batch, image=image),
        "train": _given(seed=seed, workers=workers),
    }
    run = entry.configured(tuple(shards or ()), path=config, preset=preset, **options)
    report = entry.contrast(run, output, restart=restart, console=Console(stderr=True))
    if json_:
        typer.echo(json.dumps(asdict(report)))
        return
    typer.echo(f"loss {report.loss[0]:.3f} -> {report.loss[1]:.3f} nats in {report.steps} updates")
    for name, found in report.held_out.items():
        typer.echo(
            f"{name:12}  recall@1 on {found['pairs']} held-out pairs: image to text"
            f" {found['image_to_text']:.3f}, text to image {found['text_to_image']:.3f}"
            f" (chance {found['chance']:.3f})"
        )
    typer.echo(f"{report.seconds:.0f} s, written to {output}")


def _given(**options: Any) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}
