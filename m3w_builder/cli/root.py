"""The root of the command line: the app that verbs register with, and how errors end it.

Verbs import what they need inside their functions: `m3w --help` must not wait for Beam or Arrow.
"""

import os
import sys
from typing import Annotated

import typer

from m3w_builder import __version__
from m3w_builder.errors import M3WError

app = typer.Typer(
    name="m3w",
    help="Turn crawled web pages into multimodal training data, look at it, and train on it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"m3w {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Turn crawled web pages into multimodal training data, look at it, and train on it."""


def run() -> None:
    """Runs the command line; an M3WError is one line and exit code 1, a bug is a traceback."""
    try:
        app()
    except M3WError as error:
        print(f"m3w: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        # The reader has seen enough (`m3w ls X | head`); keep the interpreter from flushing again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
