"""`m3w remove`: takedown from finished shards."""

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from m3w_builder.remove import Takedown

NAMES = {
    "interleaved": "interleaved pages",
    "image_text": "image-text pairs",
    "video_text": "video-text pairs",
}


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(remove)


def remove(
    folder: Annotated[Path, typer.Argument(help="A finished dataset.", show_default=False)],
    url: Annotated[
        list[str] | None,
        typer.Option(help="A page, image or video by its address; a star ends a prefix."),
    ] = None,
    domain: Annotated[
        list[str] | None, typer.Option(help="All pages and media of a host and those below it.")
    ] = None,
    sha256: Annotated[
        list[str] | None,
        typer.Option(help="An image or video by its bytes: as received, as stored, of one frame."),
    ] = None,
    lists: Annotated[
        list[Path] | None,
        typer.Option("--list", help="A file with a domain, an address or a sha256 a line."),
    ] = None,
    prefix: Annotated[
        bool, typer.Option("--prefix", help="Take every address for a prefix.")
    ] = False,
    why: Annotated[str, typer.Option(help="Kept beside the tombstones: who asked, for what.")] = "",
    workers: Annotated[
        int, typer.Option(min=1, help="Processes; one reads some thousand samples a second.")
    ] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Take pages, images and videos out of finished shards; removed.txt keeps later builds from them.

    Only shards that hold any are written anew. Killed anywhere, the same command again ends the work; exit code 0
    also where nothing matches: a tombstone is kept all the same.

    Example: m3w remove out/ --url https://example.org/page.html --why "letter of 12 May"

    Example: m3w remove out/ --domain example.org --list takedowns.txt --dry-run
    """
    from m3w_builder.remove import asked_for
    from m3w_builder.remove import remove as take_down

    start = time.monotonic()
    asked = asked_for(url or (), domain or (), sha256 or (), lists or (), prefix=prefix)
    today = datetime.now(UTC).date().isoformat()
    report = (folder / "report.html").is_file()
    done = take_down(folder, asked, why=why, today=today, workers=workers, dry_run=dry_run)
    seconds = round(time.monotonic() - start, 2)
    if as_json:
        typer.echo(json.dumps(_values(done, dry_run, seconds), indent=2, ensure_ascii=False))
        return
    for line in _lines(folder, done, dry_run, seconds, report):
        typer.echo(line)


def _values(done: "Takedown", dry_run: bool, seconds: float) -> dict[str, Any]:
    rewritten = done.rewritten
    return {
        "dry_run": dry_run,
        "removed": rewritten.lost,
        "shards": rewritten.shards,
        "emptied": rewritten.gone,
        "rejects": [asdict(reject) for reject in rewritten.rejects],
        "unmatched": done.unmatched,
        "work": [str(path) for path in done.work],
        "seconds": seconds,
    }


def _lines(
    folder: Path, done: "Takedown", dry_run: bool, seconds: float, report: bool
) -> list[str]:
    from m3w_builder.render import safe
    from m3w_builder.tombstones import REMOVED

    rewritten = done.rewritten
    lines = [safe(f"nothing in the shards falls under {line}") for line in done.unmatched]
    for kind, lost in rewritten.lost.items():
        others = ", ".join(f"{n:,} {name}" for name, n in lost.items() if name != "documents")
        documents = lost.get("documents", 0)
        lines.append(f"{NAMES[kind]}: {documents:,} gone" + (f" ({others})" if others else ""))
    would = "would be " if dry_run else ""
    lines.append(
        f"{len(rewritten.shards):,} shards {would}written anew, {len(rewritten.gone):,} {would}left empty and "
        f"deleted; {seconds:.2f} s"
    )
    if dry_run:
        return lines
    lines.append(
        f"{folder / REMOVED}: later builds into {folder} obey it, others that name it in rights.removed"
    )
    if report and not (folder / "report.html").exists():
        lines.append(
            f"report.html showed what is gone: deleted; m3w report {folder} writes it anew"
        )
    if done.work:
        where = ", ".join(str(path) for path in done.work)
        lines.append(
            f"the stages that the shards were built from still hold texts and bytes as they came: {where}; delete them "
            "where those must go, too"
        )
    return lines
