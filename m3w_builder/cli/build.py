"""`m3w build`, `m3w config`, `m3w page`: from crawls to shards, and what happens on the way."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from m3w_builder.config import as_toml, ignoring, load, with_archives


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    passes_options = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(context_settings=passes_options)(build)
    app.command()(config)
    app.command()(page)


def build(
    context: typer.Context,
    input: Annotated[  # noqa: A002 - the option's name
        list[str],
        typer.Option(help="WARC files, a folder of saved HTML, or a URL list; a glob, repeatable."),
    ],
    output: Annotated[Path, typer.Option(help="Folder of the shards.")],
    config: Annotated[
        Path | None, typer.Option(help="TOML file; `m3w config` prints the default.")
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Recipe to start from (docs/rules.md); keys of --config win.")
    ] = "",
    work: Annotated[
        Path | None, typer.Option(help="Folder of the stages (default: OUTPUT/work).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes (default: all cores).")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another build's shards in OUTPUT.")
    ] = False,
    ignore_optout: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SIGNAL",
            help="Use what opts out by this signal (robots.txt, meta-robots, ...); repeatable. "
            "The manifest and the card say so.",
        ),
    ] = None,
    archive: Annotated[
        list[str] | None,
        typer.Option(
            help="WARC files or CDX indexes that serve media whose URL is gone; a glob, repeatable."
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask once more for media that were not had.")
    ] = False,
    reuse: Annotated[
        Path | None,
        typer.Option(
            help="An earlier build's WORK/fetch-...: images that did not change since are not sent again."
        ),
    ] = None,
    json_: Annotated[
        bool, typer.Option("--json", help="Print the yield waterfall as JSON.")
    ] = False,
) -> None:
    """Build shards from crawled pages: extract, fetch, select, write.

    A finished stage is found again; a killed build goes on where it was. Beam's own options pass through.

    Example: m3w build --input 'crawl/*.warc.gz' --output out/

    Example: m3w build --input pages/ --output out/ --config mine.toml --workers 4
    """
    from m3w_builder import render
    from pipelines.build import Build
    from pipelines.build import build as run_build

    beam_args = [*context.args, *([f"--workers={workers}"] if workers else [])]
    work = work or output / "work"
    settings = with_archives(ignoring(load(config, preset), ignore_optout or ()), archive or ())
    job = Build(input, output, settings, work, overwrite, beam_args, retry_failed, reuse)
    if ignored := settings.rights.ignore:
        typer.echo(f"m3w: opt-outs ignored by your choice: {', '.join(ignored)}", err=True)
    try:
        run_build(job, Console(stderr=True))
    except KeyboardInterrupt:
        typer.echo("m3w: interrupted; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    flow = json.loads((output / "waterfall.json").read_text())
    if json_:
        typer.echo(json.dumps(flow))
    else:
        render.print_whole(Console(), render.waterfall(flow))


def config(
    preset: Annotated[
        str, typer.Option(help="Recipe instead of the default (docs/rules.md).")
    ] = "",
) -> None:
    """Print a full configuration with comments: the default, or a published recipe's.

    Example: m3w config > mine.toml

    Example: m3w config --preset obelics > mine.toml
    """
    typer.echo(as_toml(load(None, preset)), nl=False)


def page(
    source: Annotated[
        str, typer.Argument(metavar="FILE|URL", help="A saved HTML page, or an http(s) address.")
    ],
    url: Annotated[
        str, typer.Option(help="The page's address; relative links, and WARC files, need it.")
    ] = "",
    config: Annotated[Path | None, typer.Option(help="TOML file.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="List what was dropped, too, each with its reason.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write the page itself, with that drawn on; - to print it.")
    ] = None,
    json_: Annotated[
        bool, typer.Option("--json", help="Print documents, dropped blocks and rejects as JSON.")
    ] = False,
) -> None:
    """Show what the extractor sees on one page, and why each part of it was kept or dropped.

    Example: m3w page saved.html --url https://example.org/article

    Example: m3w page https://example.org/article --html seen.html
    """
    from m3w_builder import pages
    from m3w_builder.files import write_text

    loaded = load(config)
    view = pages.look(pages.load(source, url, loaded), loaded, source)
    if html is not None:
        shown = pages.marked(view, Path(source))
        if str(html) == "-":
            typer.echo(shown)
        else:
            write_text(html, shown)
    elif json_:
        typer.echo(json.dumps(pages.as_json(view), ensure_ascii=False))
    else:
        _print(pages.tables(view, every))


def _print(parts: Iterable[object]) -> None:
    console = Console()
    for part in parts:
        console.print(part)
