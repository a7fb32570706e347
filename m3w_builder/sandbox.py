"""Run a unit of work in a child process that can be killed: a page that hangs or crashes a parser is one reject.

The function runs as `function(beat, *args)` and calls `beat(label)` before each item, `beat("")` after it. When an item
takes longer than `seconds`, or the child dies, the parent raises `ItemDied` with the label of the item at fault; the
caller runs the unit again without that item. Good pages pay no message: what the child is at stands in memory that both
see, and the parent looks at it only when the item that it saw last would be too late.
"""

import gc
import importlib
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from mmap import mmap
from multiprocessing.connection import Connection, Pipe
from struct import Struct
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


class _Slate:
    """What the child is at, and since when, in a file that both processes map."""

    SIZE = 2**17  # bytes; more than a URL of 8,192 characters
    _SINCE = Struct("d")
    _LENGTH = Struct("I")
    _TEXT = _SINCE.size + _LENGTH.size  # where it begins

    def __init__(self, file: int) -> None:
        self._memory = mmap(file, self.SIZE)

    def write(self, label: str) -> None:
        # The time comes first: who reads a label that is half written sees that it is fresh.
        self._SINCE.pack_into(self._memory, 0, time.monotonic())
        text = label.encode("utf-8", "surrogatepass")[: self.SIZE - self._TEXT]
        self._memory[self._TEXT : self._TEXT + len(text)] = text
        self._LENGTH.pack_into(self._memory, self._SINCE.size, len(text))

    def read(self) -> tuple[str, float]:
        """Returns the label and the time of `time.monotonic`, one clock for all processes."""
        (since,) = self._SINCE.unpack_from(self._memory)
        (length,) = self._LENGTH.unpack_from(self._memory, self._SINCE.size)
        text = self._memory[self._TEXT : self._TEXT + length]
        return text.decode("utf-8", "surrogatepass"), since


class Sandbox:
    """A child process that is reused from call to call and replaced when it dies."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[Any, Any]
        self._slate: _Slate

    def call(self, function: str, *args: Any, seconds: float) -> Any:
        """Returns `function(beat, *args)` of the child; `function` is "package.module:name".

        Raises ItemDied, or the exception that the function raised.
        """
        self._start()
        self._slate.write("")
        self._pipe.send((function, args, seconds))
        self._await(seconds)
        try:
            raised, value = self._pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            label, _ = self._slate.read()
            raise ItemDied(label, "page_crashed", self._epitaph()) from error
        if raised:
            raise value
        return value

    def _await(self, seconds: float) -> None:
        """Waits for the child's answer, or its end; kills it when one item takes too long."""
        seen, left = self._slate.read(), seconds
        while not self._pipe.poll(min(left, seconds)):  # an item may have begun just now
            label, since = now = self._slate.read()
            limit = _limit(label, seconds)
            left = max(0.0, since + limit - time.monotonic())
            if now == seen and not left:
                self.close()
                raise ItemDied(label, "page_timeout", f"more than {limit:g} s")
            seen = now

    def _start(self) -> None:
        if self._child is not None and self._child.poll() is None:
            return
        self.close()
        self._pipe, theirs = Pipe()
        with theirs, tempfile.TemporaryFile() as shared:
            shared.truncate(_Slate.SIZE)
            self._slate = _Slate(shared.fileno())
            files = [theirs.fileno(), shared.fileno()]
            command = [sys.executable, "-m", "m3w_builder.sandbox", *map(str, files)]
            self._child = subprocess.Popen(command, pass_fds=files, stdin=subprocess.DEVNULL)

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


def _serve(pipe: "Connection[Any, Any]", slate: _Slate) -> None:
    """The child's life: calls until the parent is gone. Running out of memory ends it, on purpose."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with suppress(EOFError, ConnectionError):  # the parent is gone
        while True:
            signal.alarm(0)
            _answer(pipe, slate, *pipe.recv())


def _answer(
    pipe: "Connection[Any, Any]",
    slate: _Slate,
    function: str,
    args: tuple[Any, ...],
    seconds: float,
) -> None:
    """Does one call and sends what came of it."""
    try:
        value = _found(function)(partial(_beat, slate, seconds), *args)
    except MemoryError:
        os._exit(1)
    except BaseException as error:  # noqa: BLE001 - carried to the parent, which raises it
        error.add_note(_trace(error))
        pipe.send((True, error))
    else:
        pipe.send((False, value))


def _found(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    if module not in sys.modules:
        importlib.import_module(module)
        gc.freeze()  # what is imported stays: no collection need look at it
    found: Callable[..., Any] = getattr(sys.modules[module], name)
    return found


def _beat(slate: _Slate, seconds: float, label: str) -> None:
    signal.alarm(math.ceil(_limit(label, seconds)) + SLACK_SECONDS)
    slate.write(label)


def _trace(error: BaseException) -> str:
    import traceback

    return "in the sandboxed process:\n" + "".join(traceback.format_exception(error))


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])), _Slate(int(sys.argv[2])))
