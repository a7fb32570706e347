"""What a run says: train.jsonl, TensorBoard where it is installed, a line every few updates, a picture.

A row is written before the state that follows it. On resuming the rows after the state are cut off, so that the
log of a run that was killed is that of one that was not, times aside.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from m3w_builder.files import writable, write_text
from m3w_builder.flamingo.train import Row

FILE = "train.jsonl"
BOARD = "tensorboard"
NAMES = {"contrast": "encoder", "lm": "LM", "flamingo": "Flamingo"}
LINES = 12  # that a person sees of a phase


def read(folder: Path) -> list[Row]:
    """Returns the rows of a run's log; what a killed process wrote of a last one is left out."""
    path = folder / FILE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def cut(folder: Path, done: Mapping[str, int]) -> None:
    """Leaves of the log the rows of the phases in `done`, up to that step each."""
    kept = [row for row in read(folder) if row["step"] <= done.get(row["phase"], 0)]
    write_text(folder / FILE, "".join(json.dumps(row) + "\n" for row in kept))


class Log:
    """Writes the rows of a run as they come; on other ranks than the first it writes nothing."""

    def __init__(self, folder: Path, console: Console, *, active: bool = True) -> None:
        self._folder, self._console, self._active = folder, console, active
        self._file: TextIO | None = None
        self._board: Any = None

    def __enter__(self) -> "Log":
        if self._active:
            with writable(self._folder):
                self._file = (self._folder / FILE).open("a", encoding="utf-8")
            self._board = _board(self._folder / BOARD)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()
        if self._board:
            self._board.close()

    def follow(self, rows: Iterable[Row], steps: int) -> Iterator[Row]:
        """Yields the rows of a phase after writing each; prints some; `steps` is how many there are."""
        every = max(1, steps // LINES)
        with self._console.status("reading shards") as status:
            for row in rows:
                if self._file:
                    with writable(self._folder):
                        self._file.write(json.dumps(row) + "\n")
                        self._file.flush()
                    self._plot(row)
                    status.update(line(row))
                    if row["step"] == 1 or row["step"] % every == 0:
                        self._console.print(line(row), highlight=False, soft_wrap=True)
                yield row

    def say(self, text: str) -> None:
        """Prints a line."""
        if self._active:
            self._console.print(text, highlight=False, soft_wrap=True)

    def _plot(self, row: Row) -> None:
        if self._board:
            for name, value in numbers(row):
                self._board.add_scalar(f"{row['phase']}/{name}", value, row["step"])


def numbers(row: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    """Yields every number of a row with its path: ("losses/interleaved", 3.1), ("gates/0/1", 0.02)."""
    for name, value in row.items():
        if name in ("phase", "step"):
            continue
        if isinstance(value, int | float):
            yield before + name, float(value)
        elif isinstance(value, Mapping):
            yield from numbers(value, f"{before}{name}/")
        elif isinstance(value, list | tuple):
            yield from numbers({str(i): v for i, v in enumerate(value)}, f"{before}{name}/")


def line(row: Row) -> str:
    """Returns a row as one line: phase, step, losses in nats per token, mean gates."""
    name = NAMES.get(row["phase"], row["phase"])
    text = f"{name:8}  step {row['step']:4d}  loss {row['loss']:.3f}"
    for dataset, loss in row.get("losses", {}).items():
        text += f"  {dataset} {loss:.3f}"
    if gates := row.get("gates"):
        attention, dense = (sum(values) / len(gates) for values in zip(*gates, strict=True))
        text += f"  gates {attention:.4f} {dense:.4f}"
    return text


def _board(folder: Path) -> Any:
    """Returns TensorBoard's writer, None where the package is not installed."""
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(folder)
