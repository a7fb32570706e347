"""Run a unit of work in a child process that can be killed: a page that hangs or crashes a parser is one reject.

The function runs as `function(beat, *args)` and calls `beat(label)` before each item, `beat("")` after it. When an item
takes longer than `seconds`, or the child dies, the parent raises `ItemDied` with the label of the item at fault; the
caller runs the unit again without that item. Good pages pay two small pipe messages each.
"""

import importlib
import math
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, Pipe
from typing import Any

MEMORY = 4 * 2**30  # bytes of address space; Arrow's allocator alone reserves about one GiB

IDLE_SECONDS = 600.0  # between items: start-up, reading, downloads, which have limits of their own
SLACK_SECONDS = 60  # after which a child ends itself, should its parent be gone

Beat = Callable[[str], None]


class ItemDied(Exception):
    """The child hung or died on one item; `reason` is page_timeout or page_crashed."""

    def __init__(self, label: str, reason: str, detail: str) -> None:
        super().__init__(f"{reason} at {label}: {detail}")
        self.label = label
        self.reason = reason
        self.detail = detail


class Sandbox:
    """A child process that is reused from call to call and replaced when it dies."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[Any, Any]

    def call(self, function: str, *args: Any, seconds: float) -> Any:
        """Returns `function(beat, *args)` of the child; `function` is "package.module:name".

        Raises ItemDied, or the exception that the function raised.
        """
        self._start()
        self._pipe.send((function, args, seconds))
        label = ""
        while True:
            limit = _limit(label, seconds)
            if not self._pipe.poll(limit):
                self.close()
                raise ItemDied(label, "page_timeout", f"more than {limit:g} s")
            try:
                kind, value = self._pipe.recv()
            except (EOFError, ConnectionResetError) as error:
                raise ItemDied(label, "page_crashed", self._epitaph()) from error
            if kind == "beat":
                label = value
            elif kind == "raised":
                raise value
            else:
                return value

    def _start(self) -> None:
        if self._child is not None and self._child.poll() is None:
            return
        self.close()
        self._pipe, theirs = Pipe()
        command = [sys.executable, "-m", "m3w_builder.sandbox", str(theirs.fileno())]
        self._child = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
        theirs.close()

    def _epitaph(self) -> str:
        child = self._child
        self.close()
        return f"exit status {child.returncode}" if child else "gone"

    def close(self) -> None:
        """Kills the child, if there is one."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._pipe.close()
            self._child = None

    def __del__(self) -> None:
        self.close()


_local = threading.local()


def sandbox() -> Sandbox:
    """Returns this thread's sandbox."""
    if not hasattr(_local, "sandbox"):
        _local.sandbox = Sandbox()
    found: Sandbox = _local.sandbox
    return found


def _limit(label: str, seconds: float) -> float:
    return seconds if label else IDLE_SECONDS


def _serve(pipe: "Connection[Any, Any]") -> None:
    """The child's life: calls until the parent is gone. Running out of memory ends it, on purpose."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with suppress(EOFError, ConnectionError):  # the parent is gone
        while True:
            signal.alarm(0)
            _answer(pipe, *pipe.recv())


def _answer(
    pipe: "Connection[Any, Any]", function: str, args: tuple[Any, ...], seconds: float
) -> None:
    """Does one call and sends what came of it."""
    module, _, name = function.partition(":")
    try:
        value = getattr(importlib.import_module(module), name)(partial(_beat, pipe, seconds), *args)
    except MemoryError:
        os._exit(1)
    except BaseException as error:  # noqa: BLE001 - carried to the parent, which raises it
        error.add_note(_trace(error))
        pipe.send(("raised", error))
    else:
        pipe.send(("done", value))


def _beat(pipe: "Connection[Any, Any]", seconds: float, label: str) -> None:
    signal.alarm(math.ceil(_limit(label, seconds)) + SLACK_SECONDS)
    pipe.send(("beat", label))


def _trace(error: BaseException) -> str:
    import traceback

    return "in the sandboxed process:\n" + "".join(traceback.format_exception(error))


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
