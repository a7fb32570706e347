"""What a build shows while it runs: a line per stage, from the stage's commit records.

Whatever the runner, commits are the truth. On a terminal the lines move; in a log each is printed once, at its end.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column

from m3w_builder.stages import Stage

POLL_SECONDS = 0.5
NARROW = 70  # columns; below it there is no bar


class Display:
    """The lines of one build."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = _bars(console)

    @contextmanager
    def shown(self) -> Iterator["Display"]:
        """Shows the lines while the block runs."""
        with self._bars:
            yield self

    @contextmanager
    def watch(self, stage: Stage, total: int | None = None) -> Iterator[None]:
        """Shows a stage's committed parts while the block runs; `total` is how many there will be, if known."""
        tally = Tally(stage)
        parts = "shards" if stage.name == "write" else "parts"
        task = self._bars.add_task(stage.name, total=total, note="", parts=parts)
        start = time.time()
        with self._polled(task, tally):
            yield
        earlier = stage.finished_at < start
        note = f"{tally.note() or 'nothing'}{' (finished earlier)' if earlier else ''}"
        self._bars.update(task, completed=tally.parts, total=tally.parts, note=note)
        if not self._console.is_terminal:
            spent = timedelta(seconds=round(time.time() - start))
            line = f"{stage.name}: {tally.parts:,} {parts} in {spent}: {note}"
            self._console.print(line, highlight=False, soft_wrap=True)

    @contextmanager
    def _polled(self, task: TaskID, tally: "Tally") -> Iterator[None]:
        stop = threading.Event()

        def poll() -> None:
            while not stop.wait(POLL_SECONDS):
                note = tally.note()
                self._bars.update(task, completed=tally.parts, note=note)

        watcher = threading.Thread(target=poll, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()


def _bars(console: Console) -> Progress:
    def whole() -> Column:  # the note gives way, and wraps
        return Column(no_wrap=True)

    columns: list[ProgressColumn] = [
        SpinnerColumn(finished_text="[green]✓", table_column=whole()),
        TextColumn("{task.description:7}"),
        MofNCompleteColumn(table_column=whole()),
        TextColumn("{task.fields[parts]:6}"),
        TimeElapsedColumn(table_column=whole()),
        TextColumn("{task.fields[note]}", table_column=Column()),
    ]
    if console.width >= NARROW:
        columns.insert(2, BarColumn(bar_width=10, table_column=whole()))
    return Progress(*columns, console=console, disable=not console.is_terminal)


class Tally:
    """What the committed parts of a stage add up to; each record is read once."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._read: set[str] = set()
        self._total: Counter[str] = Counter()

    @property
    def parts(self) -> int:
        """How many were committed when `note` was last asked."""
        return len(self._read)

    def note(self) -> str:
        """Returns the sums so far, in the words of the waterfall."""
        for path in self._stage.files("commits"):
            if path.name not in self._read:
                self._total.update(json.loads(path.read_text()))
                self._read.add(path.name)
        return ", ".join(_words(self._stage.name, self._total))


def _words(stage: str, total: Counter[str]) -> Iterator[str]:
    if stage == "fetch":
        for kind in ("images", "videos"):
            if total[f"{kind}.urls"]:
                got = total[f"{kind}.archive"] + total[f"{kind}.http"]
                yield f"{got:,} of {total[f'{kind}.urls']:,} {kind}"
        return
    if stage == "capfilt":
        yield f"{total['images']:,} images"
        if total["captions"]:
            yield f"{total['captions']:,} captions"
        return
    of = ".documents" if stage == "write" else ""
    pairs = total[f"image_text{of}"] + total[f"video_text{of}"]
    found = {"pages": total["pages"], "documents": total[f"interleaved{of}"], "pairs": pairs}
    yield from (f"{count:,} {word}" for word, count in found.items() if count)
