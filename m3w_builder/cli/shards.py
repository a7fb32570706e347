"""m3w ls, show, stats, check, verify, report: look at finished data.

A PATH is the folder of a finished dataset or a single tar; every lister has --json.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from m3w_builder.errors import InputError, ShardError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

T = TypeVar("T")
Paths = Annotated[list[Path], typer.Argument(help="Dataset folders or tars.", show_default=False)]
Single = Annotated[Path, typer.Argument(help="A dataset folder or a tar.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    for verb in (ls, show, stats, check, verify, report):
        app.command()(verb)


def ls(paths: Paths, as_json: Json = False) -> None:
    """List shards with their counts (or the tables of an unfinished build).

    Example: m3w ls out/

    Example: m3w ls out/work/extract-0123456789abcdef
    """
    from m3w_builder import render, shards

    loose = [path for path in paths if path.is_dir() and not (path / shards.MANIFEST).exists()]
    tables = [row for path in loose for row in _tables(path)]
    rows = shards.open_dataset(*(path for path in paths if path not in loose)).rows
    if as_json:
        names = ("folder", "files", "rows", "bytes")
        _print_json([*rows, *(dict(zip(names, row, strict=True)) for row in tables)])
        return
    if len(loose) < len(paths):
        _show(render.shard_table(rows))
    if tables:
        _show(render.table_list(tables))


def _tables(folder: Path) -> list[tuple[str, int, int, int]]:
    """Returns name, files, rows, bytes of each subfolder that holds Parquet files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: dict[str, list[tuple[int, int]]] = {}
    for path in sorted(p for p in folder.rglob("*.parquet") if not p.name.startswith(".")):
        try:
            count = pq.read_metadata(path).num_rows
        except pa.ArrowInvalid as error:
            raise ShardError(f"{path}: expected a Parquet file: {error}") from error
        name = str(path.parent.relative_to(folder))
        found.setdefault(name, []).append((count, path.stat().st_size))
    if not found:
        raise InputError(
            f"{folder}: expected a dataset or a stage of a build, found no table in it"
        )
    return [
        (name, len(files), sum(rows for rows, _ in files), sum(length for _, length in files))
        for name, files in found.items()
    ]


def show(
    path: Single,
    key: Annotated[str, typer.Argument(help="Key of a sample.")] = "",
    index: Annotated[int, typer.Option(help="Its number instead, from 0.", min=0)] = 0,
    as_json: Json = False,
    html: Annotated[Path | None, typer.Option(help="Write the sample as a web page.")] = None,
) -> None:
    """Show one sample as it reads, with its pictures.

    Example: m3w show out/interleaved-000000.tar --index 3

    Example: m3w show out/ 636a1feab4b05fd711c5 --json
    """
    from m3w_builder import render, shards

    data = shards.open_dataset(path)
    record, parts = data.find(key) if key else data.at(index)
    if html is not None:
        from m3w_builder.files import write_text
        from m3w_builder.report import sample_page

        write_text(html, sample_page(record, parts))
    elif as_json:
        _print_json(record)
    else:
        console = _console()
        colours = console.color_system in ("256", "truecolor") and not console.no_color
        colours = colours and console.is_terminal
        console.width = min(console.width, render.WIDTH)
        console.print(render.document(record, parts, pictures=colours))


def stats(paths: Paths, as_json: Json = False) -> None:
    """Show the yield waterfall, every score with its thresholds, domains, languages, distributions.

    Example: m3w stats out/ --json
    """
    from m3w_builder import render, shards
    from m3w_builder.shards.stats import Stats

    data = shards.open_dataset(*paths)
    total = sum(row["documents"] for row in data.rows)
    found = Stats(_progress(data.records(), "reading samples", total)).as_dict()
    flows = [flow for path in paths if (flow := shards.read_waterfall(path))]
    scores = [measured for path in paths if (measured := shards.read_scores(path))]
    if as_json:
        totals = shards.totals(data.rows)
        _print_json({"totals": totals, **found, "waterfalls": flows, "scores": scores})
        return
    _show(render.stats(data.rows, found))
    for measured in scores:
        _show("")
        _show(render.scores(measured))
    for flow in flows:
        _show("")
        _show(render.waterfall(flow))


def check(
    paths: Paths,
    as_json: Json = False,
    workers: Annotated[int, typer.Option(help="Processes; 0: one per core.", min=0)] = 0,
) -> None:
    """Verify hashes, sizes, schemas and every image; exit code 1 when something is wrong.

    Example: m3w check out/
    """
    from dataclasses import asdict

    from m3w_builder import check as checking

    work = [unit for path in paths for unit in checking.units(path)]
    found = []
    done = checking.run(work, workers or os.cpu_count() or 1)
    for problems in _progress(done, "checking", len(work)):
        found += problems
        for problem in [] if as_json else problems:
            typer.echo(str(problem))
    if as_json:
        _print_json([asdict(problem) for problem in found])
    elif not found:
        typer.echo("ok: nothing is wrong")
    raise typer.Exit(1 if found else 0)


def verify(
    path: Annotated[
        Path, typer.Argument(help="A dataset, or a fetch stage's folder.", show_default=False)
    ],
    sample: Annotated[
        int, typer.Option(min=0, help="Ask for so many, spread evenly; 0: for all.")
    ] = 0,
    conditional: Annotated[
        bool,
        typer.Option(
            "--conditional",
            help="Believe a server's 304 to the ETag or Last-Modified that a fetch stage kept.",
        ),
    ] = False,
    config: Annotated[Path | None, typer.Option(help="TOML file of the build.")] = None,
    as_json: Json = False,
) -> None:
    """Download the media again and compare their sha256; exit code 1 when any is not the same.

    Example: m3w verify out/ --sample 200

    Example: m3w verify out/work/fetch-0123456789abcdef --conditional --json
    """
    from collections import Counter
    from dataclasses import asdict

    from m3w_builder import verify as verifying
    from m3w_builder.config import load

    items = verifying.known(path)
    if 0 < sample < len(items):
        items = [items[n * len(items) // sample] for n in range(sample)]
    verdicts = verifying.verify(items, load(config), conditional=conditional)
    counts = Counter(verdict.verdict for verdict in verdicts)
    if as_json:
        rows = [asdict(verdict) for verdict in verdicts]
        _print_json({"counts": dict(sorted(counts.items())), "verdicts": rows})
    else:
        for verdict in verdicts:
            if verdict.verdict != "same":
                typer.echo(f"{verdict.verdict}: {verdict.url} {verdict.detail}".rstrip())
        typer.echo(f"{counts['same']:,} of {len(items):,} are the same")
    raise typer.Exit(1 if counts.keys() - {"same"} else 0)


def report(
    folder: Annotated[Path, typer.Argument(help="A finished dataset.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option(help="Where to write it.", show_default="OUT/report.html")
    ] = None,
) -> None:
    """Write report.html: waterfall, samples, galleries, rejects, histograms on one page.

    Example: m3w report out/
    """
    from rich.console import Console

    from m3w_builder.report import write_report

    with Console(stderr=True).status("reading samples"):
        path = write_report(folder, output)
    typer.echo(path)


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False)


def _show(renderable: "RenderableType") -> None:
    from m3w_builder import render

    render.print_whole(_console(), renderable)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _progress(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Yields the items, with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    quiet = not sys.stderr.isatty()
    yield from track(items, what, total=total, console=console, transient=True, disable=quiet)
