"""`m3w whatif`: what other settings would keep, before any shard is written."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from m3w_builder.config import Config
    from m3w_builder.stages import Stage
    from m3w_builder.whatif import Built


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(whatif)


def whatif(
    output: Annotated[Path, typer.Argument(help="Folder of a finished build.", show_default=False)],
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="TABLE.KEY=VALUE", help="A setting as in the TOML file; repeatable."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file in place of the build's configuration.")
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder of the stages (default: OUTPUT/work).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes (default: as many as have enough to do).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what other rules would keep: the new yield beside the old, from stored scores.

    No page is read again and nothing is fetched; the shards stay as they are.

    Example: m3w whatif out/ --set rules.min_words=30

    Example: m3w whatif out/ --set rules.min_pair_side=150 --set 'rules.languages=["en", "fr"]' --json
    """
    from dataclasses import asdict

    from rich.console import Console

    from m3w_builder import render
    from m3w_builder import whatif as trying
    from m3w_builder.errors import ConfigError

    if not changes and config is None:
        raise ConfigError("expected --set TABLE.KEY=VALUE or --config FILE, found neither")
    built = trying.open_build(output, work)
    wanted = trying.settings(built.config, config, changes or ())
    with Console(stderr=True).status("deciding anew"):
        stage = _select(built, wanted, workers)
    old, new = built.waterfall(built.select), built.waterfall(stage)
    changed = trying.changed(built.config, wanted)
    sides = trying.sides(built.select, stage, built.extract)
    if as_json:
        answer = {
            "settings": {key: {"old": a, "new": b} for key, (a, b) in changed.items()},
            "select": str(stage.folder),
            "old": old,
            "new": new,
            "documents": {
                kind: {change: asdict(side) for change, side in found.items()}
                for kind, found in sides.items()
            },
        }
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    console = Console(highlight=False)
    render.print_whole(
        console, render.whatif(changed, trying.differences(old, new), sides, str(stage.folder))
    )


def _select(built: "Built", wanted: "Config", workers: int | None) -> "Stage":
    """Returns the select stage of these settings, run unless an earlier call or build did."""
    from m3w_builder.files import locked
    from pipelines import select

    with locked(built.work / "lock"):
        stage = select.open_select(built.source, built.work, wanted)
        return select.run(built.source, stage, wanted, [f"--workers={workers}"] if workers else [])
