"""`m3w train`, `m3w caption`: the reference Flamingo on shards; torch is loaded here, and late."""

import json
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Annotated, cast

import typer
from rich.console import Console

from m3w_builder.errors import TrainError
from m3w_builder.types import KINDS, Kind

EXTRA = ("torch", "safetensors")


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    app.command()(train)
    app.command()(caption)


def train(
    shards: Annotated[Path, typer.Argument(help="Folder of finished shards.")],
    output: Annotated[Path, typer.Option(help="Folder of the run.")],
    preset: Annotated[str, typer.Option(help="Model and recipe; tiny needs no download.")] = "tiny",
    steps: Annotated[int | None, typer.Option(help="Updates (default: the preset's).")] = None,
    lm_steps: Annotated[
        int | None, typer.Option(help="Steps of the byte LM before it is frozen.")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(help="Documents per update; twice the pairs, a quarter the videos."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of every random draw.")] = 0,
    datasets: Annotated[
        str | None, typer.Option(help="Kinds, with commas (default: all that are there).")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Train the reference Flamingo on shards; writes the learnt part, the frozen LM and a log.

    Example: m3w train out/ --output run/

    Example: m3w train out/ --output run/ --steps 200 --datasets interleaved,image_text
    """
    entry = _entry()
    console = Console(stderr=True)
    chosen = entry.preset(preset, steps=steps, lm_steps=lm_steps, batch=batch, seed=seed)
    report = entry.train(shards, output, chosen, datasets=_kinds(datasets), console=console)
    if json_:
        typer.echo(json.dumps(asdict(report)))
        return
    for name, (first, last) in {"byte LM": report.lm_loss, **report.losses}.items():
        typer.echo(f"{name:12}  loss {first:.3f} -> {last:.3f} nats per token")
    typer.echo(f"{report.steps} updates in {report.seconds:.0f} s, written to {output}")


def caption(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    image: Annotated[Path, typer.Argument(help="An image file.")],
    json_: Annotated[bool, typer.Option("--json", help="Print {image, caption} as JSON.")] = False,
) -> None:
    """Write the text that a trained run gives an image.

    The tiny preset learns spelling, not sight: a pretrained LM and encoder do better.

    Example: m3w caption run/ photo.jpg
    """
    words = _entry().caption(run, image)
    typer.echo(json.dumps({"image": str(image), "caption": words}) if json_ else words)


def _kinds(names: str | None) -> tuple[Kind, ...] | None:
    """Returns the datasets of a comma-separated option, None for "all that are there"."""
    if names is None:
        return None
    chosen = tuple(name.strip() for name in names.split(","))
    for name in chosen:
        if name not in KINDS:
            raise TrainError(f"--datasets: expected some of {', '.join(KINDS)}, found {name!r}")
    return cast("tuple[Kind, ...]", chosen)


def _entry() -> ModuleType:
    """Returns m3w_builder.flamingo.entry; raises TrainError where the extra `train` is missing."""
    try:
        from m3w_builder.flamingo import entry
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        raise TrainError("training needs torch: pip install 'm3w-builder[train]'") from error
    return entry
