"""Run a command and measure its whole process tree: wall and CPU seconds, peak resident memory (Linux)."""

import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SAMPLE_SECONDS = 0.1


def measure(command: list[str]) -> dict[str, Any]:
    """Runs a command; returns wall and CPU seconds, peak and largest process in MiB, status and standard error.

    `peak` is the largest sum of the resident sets of the command and everything below it.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    peak = largest = 0
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        while process.poll() is None:
            sizes = list(resident(process.pid))
            peak, largest = max(peak, sum(sizes)), max([largest, *sizes])
            time.sleep(SAMPLE_SECONDS)
        wall = time.monotonic() - started
        errors.seek(0)
        error = errors.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall": wall,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak": peak / 2**20,
        "largest": largest / 2**20,
        "status": process.returncode,
        "error": error,
    }


def resident(root: int) -> Iterator[int]:
    """Yields the resident bytes of a process and of all below it."""
    page = os.sysconf("SC_PAGE_SIZE")
    todo = [root]
    while todo:
        pid = todo.pop()
        try:
            yield int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page
            for task in Path(f"/proc/{pid}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
