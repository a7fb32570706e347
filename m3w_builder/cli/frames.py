"""`m3w frames`: what sampling makes of one video file."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from m3w_builder.errors import InputError, MediaError, OutputError

if TYPE_CHECKING:
    from rich.console import Group

    from m3w_builder.config import FetchConfig


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(frames)


def frames(
    video: Annotated[Path, typer.Argument(help="A video file.", show_default=False)],
    output: Annotated[Path, typer.Option(help="Folder of the frames.", show_default=False)],
    config: Annotated[
        Path | None, typer.Option(help="TOML file: fetch.frame_side, fetch.max_frames.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Sample a video as a build does: a JPEG of what is on screen at t = 0, 1, 2 ... seconds.

    Example: m3w frames clip.mp4 --output frames/

    Example: m3w frames clip.webm --output frames/ --json
    """
    from rich.console import Console

    from m3w_builder import render
    from m3w_builder.config import load

    found = _sampled(video, output, load(config).fetch)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        render.print_whole(Console(highlight=False), _table(found))


def _sampled(video: Path, output: Path, config: "FetchConfig") -> dict[str, Any]:
    """Writes the frames to a folder, named by their second; returns what is known of the video."""
    from m3w_builder.files import TEMPORARY, make_folder, writable
    from m3w_builder.frames import sample_frames

    try:
        video.open("rb").close()
    except OSError as error:
        raise InputError(f"{video}: expected a video file: {error.strerror}") from error
    instants = []
    with (
        writable(output),
        tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=make_folder(output)) as folder,
    ):
        try:
            found = sample_frames(video, config=config, folder=Path(folder))
        except MediaError as error:
            raise InputError(f"{video}: expected a video that can be sampled: {error}") from error
        _expect_no_others(output, len(found.frames))
        for (t, file), source in zip(found.frames, found.sources, strict=True):
            (output / f"{t:05}.jpg").write_bytes(file.read_bytes())
            instants.append({"t": t, "file": f"{t:05}.jpg", "source_frame": source})
    return {
        "video": str(video),
        "format": found.format,
        "duration": found.seconds,
        "frame_rate": found.fps,
        "codec": found.codec,
        "width": found.width,
        "height": found.height,
        "audio": found.audio,
        "detail": found.detail,
        "frames": instants,
    }


def _expect_no_others(output: Path, count: int) -> None:
    """Raises OutputError where frames of another, longer video would stay among these."""
    others = [p.name for p in output.glob("[0-9]" * 5 + ".jpg") if int(p.stem) >= count]
    if others:
        raise OutputError(
            f"{output}: expected a folder without other frames, found {min(others)}; choose another --output"
        )


def _table(found: dict[str, Any]) -> "Group":
    from rich.console import Group
    from rich.table import Table

    what = (
        f"{found['format']}  {found['codec']}  {found['width']}x{found['height']}  "
        f"{found['duration']:g} s  {found['frame_rate']:g} frames/s"
    )
    what += "  sound" * found["audio"] + f"  {found['detail']}".rstrip()
    table = Table("second", "file", "frame of the video", box=None)
    for one in found["frames"]:
        table.add_row(str(one["t"]), one["file"], str(one["source_frame"]))
    return Group(what, table)
