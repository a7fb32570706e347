"""`m3w train`, `m3w caption`, `m3w export`: the reference Flamingo on shards; torch is loaded here, and late."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from m3w_builder.cli.extra import loaded
from m3w_builder.errors import TrainError


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    app.command()(train)
    app.command()(caption)
    app.command()(export)


def train(
    shards: Annotated[
        str | None,
        typer.Argument(
            help="Finished shards: a folder or an address (default: those of --config)."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of the run.")] = None,
    preset: Annotated[
        str, typer.Option(help="tiny (default), smollm2, flamingo-3b, flamingo-9b or flamingo-80b.")
    ] = "",
    config: Annotated[Path | None, typer.Option(help="TOML file over the preset.")] = None,
    steps: Annotated[int | None, typer.Option(help="Updates of the bridge.")] = None,
    batch: Annotated[
        int | None,
        typer.Option(help="Documents per update and rank; twice the pairs, a quarter the videos."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of every random draw.")] = None,
    datasets: Annotated[
        str | None, typer.Option(help="Names, with commas (default: all that are there).")
    ] = None,
    lm: Annotated[str | None, typer.Option(help="Source of the frozen LM.")] = None,
    vision: Annotated[str | None, typer.Option(help="Source of the frozen encoder.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that decode, per rank.")] = None,
    restart: Annotated[bool, typer.Option(help="Begin anew what is in the folder.")] = False,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the configuration, and do not train.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Train the reference Flamingo on shards; a run that was stopped goes on where it was.

    Example: m3w train out/ --output run/

    Example: m3w train out/ --output run/ --preset smollm2 --steps 200 --datasets interleaved,image_text

    Example: torchrun --nproc-per-node 8 -m m3w_builder train --config flamingo.toml --output run/
    """
    entry = loaded("entry")
    given = {"steps": steps, "batch": batch, "seed": seed, "workers": workers}
    options: dict[str, dict[str, Any]] = {
        "train": {key: value for key, value in given.items() if value is not None}
    }
    for name, source in (("lm", lm), ("vision", vision)):
        if source is not None:
            options[name] = {"source": source}
    names = [name.strip() for name in datasets.split(",")] if datasets is not None else None
    if print_config:
        typer.echo(entry.printed(shards, path=config, preset=preset, datasets=names, **options))
        return
    if output is None:
        raise TrainError("--output: expected the folder of the run, found none")
    run = entry.configured(shards, path=config, preset=preset, datasets=names, **options)
    report = entry.train(run, output, restart=restart, console=Console(stderr=True))
    if json_:
        typer.echo(json.dumps(asdict(report)))
        return
    phases = {"encoder": report.contrast_loss, "LM": report.lm_loss, **report.losses}
    for name, ends in phases.items():
        if ends:
            typer.echo(f"{name:12}  loss {ends[0]:.3f} -> {ends[1]:.3f} nats")
    typer.echo(f"{report.steps} updates in {report.seconds:.0f} s, written to {output}")


def caption(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    prompt: Annotated[str, typer.Option(help="Text that the caption goes on from.")] = "",
    beams: Annotated[int, typer.Option(help="Beam search with so many; 1 is greedy.")] = 3,
    top_p: Annotated[
        float | None, typer.Option(help="Nucleus sampling instead, with this probability.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print {image, caption} as JSON.")] = False,
) -> None:
    """Write the text that a trained run gives images.

    Example: m3w caption run/ photo.jpg
    """
    texts = loaded("entry").caption(
        run, images, prompt=prompt, beams=1 if top_p else beams, top_p=top_p
    )
    for image, words in zip(images, texts, strict=True):
        said = json.dumps({"image": str(image), "caption": words}) if json_ else words
        typer.echo(said)


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    output: Annotated[Path, typer.Option(help="Folder to write.")],
) -> None:
    """Write a run with every weight in one folder: LM, encoder and what was learnt.

    Example: m3w export run/ --output model/
    """
    loaded("entry").export(run, output)
    typer.echo(f"written to {output}")
