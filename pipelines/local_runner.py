"""LocalRunner: Beam on all cores of one machine, where a killed worker costs a retry, not the job.

A thin subclass of Beam's in-process FnApiRunner. Two kinds of trouble are told apart: a worker
process that dies (out of memory, a crash in native code, kill -9) is replaced and its bundle run
again; an exception in our Python code fails the job at once. A bundle may run more than once, so
what it writes must be written atomically. The private classes used here pin Beam's minor version.
"""

import collections
import contextlib
import fcntl
import itertools
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from types import SimpleNamespace
from typing import Any

import grpc  # type: ignore[import-untyped]
from apache_beam.metrics import monitoring_infos
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner, translations, worker_handlers
from apache_beam.runners.worker import data_plane, sdk_worker, sdk_worker_main
from apache_beam.transforms import environments

from m3w_builder.errors import ConfigError, M3WError

ATTEMPTS = 4  # runs of one bundle before the job gives up: Dataflow's number
PARTS = 128  # of a stage's input, or 4 per worker: up to so many heavy elements get a bundle each
QUICK = 0.1  # seconds; after a shorter bundle the next takes twice as many parts (one costs 5 ms)
GRACE = 10.0  # seconds that an idle worker has to leave before it is killed
URN = "beam:env:m3w_local_worker:v1"

_Part = dict[str, list[bytes]]  # encoded elements by the name of a stage's input
_LOGGER = logging.getLogger(__name__)


class WorkerLostError(M3WError):
    """Worker processes kept dying on the same bundle: out of memory, a crash in native code."""


class LocalOptions(PipelineOptions):
    """What the local engine adds to Beam's own options."""

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        text = "processes of the local runner (default: one per core); 1: none but the caller's"
        parser.add_argument("--workers", type=int, default=os.cpu_count(), help=text)


def make_runner(options: PipelineOptions) -> "LocalRunner | str":
    """Return the LocalRunner, or the name that the user gave with --runner.

    Beam's DirectRunner is replaced: it downloads a binary, does not retry, uses one core.
    """
    name: str = options.view_as(StandardOptions).runner or "LocalRunner"
    kind = name.lower().removesuffix("runner")
    if kind not in ("local", "direct", "switchingdirect"):
        return name
    if kind != "local":
        _LOGGER.warning("--runner=%s: the LocalRunner of this project takes its place", name)
    return LocalRunner()


class LocalRunner(fn_runner.FnApiRunner):
    """Run a pipeline here, with `--workers` processes; never touches the network.

    With one worker it is the stock runner inside the calling process: breakpoints work, start-up
    costs nothing, nothing is retried. Stateful stages run on one worker and are not retried either.
    """

    def run_pipeline(self, pipeline: Any, options: PipelineOptions) -> Any:
        """Run to the end; raise WorkerLostError, or RuntimeError with the traceback of a DoFn."""
        self._workers = _workers(options)
        here = environments.EmbeddedPythonEnvironment.default()
        self._default_environment = (
            here if self._workers == 1 else _LocalEnvironment(_encode(options))
        )
        return super().run_pipeline(pipeline, options)

    def run_via_runner_api(self, pipeline_proto: Any, options: PipelineOptions) -> Any:
        """Run the translated pipeline; `_num_workers` as Beam has just set it is Beam's default."""
        self._num_workers = self._workers
        return super().run_via_runner_api(pipeline_proto, options)

    def _get_bundle_manager(self, bundle_context_manager: Any) -> Any:
        stock = self._num_workers == 1
        return (super()._get_bundle_manager if stock else _Stage)(bundle_context_manager)


def _workers(options: PipelineOptions) -> int:
    """Return the number of workers; refuse Beam's own switches for it, which do nothing here."""
    direct = options.view_as(DirectOptions)
    if direct.direct_num_workers != 1 or direct.direct_running_mode != "in_memory":
        raise ConfigError(
            "--direct_num_workers, --direct_running_mode: expected --workers=N instead"
        )
    workers = int(options.view_as(LocalOptions).workers)
    if workers < 1:
        raise ConfigError(f"--workers: expected at least 1, found {workers}")
    return workers


def _encode(options: PipelineOptions) -> str:
    """Return the options as workers read them; FnApiRunner would send none."""
    given = {name: value for name, value in options.get_all_options().items() if value is not None}
    quiet = {"default_sdk_harness_log_level": "WARNING"}
    return json.dumps({"options": quiet | given}, default=str)


class _Stage:
    """Cut the input of a stage into bundles for idle workers to pull: Beam's "bundle manager"."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._stateful = context.stage.is_stateful()
        self._workers: list[_Worker] = context.worker_handlers
        self._idle = collections.deque(self._workers)  # as many as threads that want one
        self._tokens = fn_runner.FnApiRunner.get_cache_token_generator(static=False)

    def process_bundle(self, inputs: Any, *expected: Any, dry_run: bool = False) -> Any:
        """Run all bundles; their outputs are committed in input order, whoever finishes first."""
        if self._stateful:
            parts = [{name: list(blocks) for name, blocks in inputs.items()}]
        else:
            parts = _split(inputs, max(PARTS, 4 * len(self._workers)))
        responses = []
        with ThreadPoolExecutor(len(self._workers)) as pool:
            try:
                for bundle in self._bundles(pool, expected, parts):
                    responses.append(bundle.response.process_bundle)
                    if not dry_run:
                        bundle.commit()
            except BaseException:  # or Ctrl-C: the pool waits for its threads, they for the workers
                for worker in self._workers:
                    worker.abandon()
                raise
        return _merge(responses), []

    def _bundles(self, pool: Executor, expected: Any, parts: list[_Part]) -> Iterator["_Bundle"]:
        """Yield the bundles in the order of `parts`, but raise a failure as soon as it happens."""
        ordered: collections.deque[Future[_Bundle]] = collections.deque()
        running: set[Future[_Bundle]] = set()
        size = 1  # parts of the next bundle
        while parts or running:
            while parts and len(running) < len(self._workers):
                ordered.append(pool.submit(self._run, parts[:size], expected))
                running.add(ordered[-1])
                del parts[:size]
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            quick = all(future.result().seconds < QUICK for future in finished)
            size = max(1, min(2 * size, len(parts) // (2 * len(self._workers)))) if quick else 1
            while ordered and ordered[0].done():
                yield ordered.popleft().result()

    def _run(self, parts: list[_Part], expected: tuple[Any, ...]) -> "_Bundle":
        """Return the bundle that succeeded, each try on an idle worker; replace dead workers."""
        part = {name: [block for p in parts for block in p[name]] for name in parts[0]}
        tries = 1 if self._stateful else ATTEMPTS
        deaths: list[str] = []
        while len(deaths) < tries:
            worker = self._idle.popleft()
            try:
                bundle = _Bundle(self._context, worker)
                bundle.run(self._tokens, part, *expected)
                return bundle
            except RuntimeError:
                death = None if worker.abandoned else worker.death()
                if death is None:
                    raise
                deaths.append(death)
                _LOGGER.warning("%s; try %d of %d of its bundle", death, len(deaths), tries)
                worker.replace()
            finally:
                self._idle.append(worker)
        raise WorkerLostError(
            f"a bundle of '{_steps(self._context.stage)}' ended its worker {tries} times "
            f"({', '.join(deaths)}): out of memory (try fewer --workers) or a crash in native code"
        )


class _Bundle:
    """One try at one bundle: the stage's BundleContextManager with one worker and own outputs."""

    def __init__(self, context: Any, worker: "_Worker") -> None:
        self._context = context
        self.worker_handlers = [worker]
        self._outputs: list[tuple[bytes, str, bytes]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def get_buffer(self, buffer_id: bytes, transform_id: str) -> SimpleNamespace:
        """Return where Beam puts what the worker sends; the real buffer sees it in `commit`."""
        keep, address = self._outputs.append, (buffer_id, transform_id)
        return SimpleNamespace(cleared=False, append=lambda data: keep((*address, data)))

    def run(self, tokens: Iterator[Any], *arguments: Any) -> None:
        """Exchange inputs for outputs; raise RuntimeError on an exception or a dead worker."""
        manager = fn_runner.BundleManager(self, cache_token_generator=tokens)
        start = time.monotonic()
        self.response, _ = manager.process_bundle(*arguments)
        self.seconds = time.monotonic() - start

    def commit(self) -> None:
        """Move the outputs to the buffers that the next stages read."""
        for buffer_id, transform_id, data in self._outputs:
            buffer = self._context.get_buffer(buffer_id, transform_id)
            if buffer.cleared:  # that of a timer, which is set again and again
                buffer.reset()
            buffer.append(data)
        self._outputs.clear()


def _split(inputs: Mapping[str, Any], most: int) -> list[_Part]:
    """Return up to `most` parts without empty ones, but at least one: every stage runs."""
    columns = itertools.zip_longest(*(i.partition(most) for i in inputs.values()), fillvalue=[])
    parts = [dict(zip(inputs, column, strict=True)) for column in columns]
    return [part for part in parts if any(map(any, part.values()))] or parts[:1]


def _merge(responses: list[Any]) -> Any:
    """Return one answer for the stage: metrics summed, deferred work collected."""
    infos = itertools.chain.from_iterable(r.monitoring_infos for r in responses)
    roots = itertools.chain.from_iterable(r.residual_roots for r in responses)
    summed = monitoring_infos.consolidate(infos)
    merged = beam_fn_api_pb2.ProcessBundleResponse(monitoring_infos=summed, residual_roots=roots)
    return beam_fn_api_pb2.InstructionResponse(process_bundle=merged)


def _steps(stage: Any) -> str:
    """Return the labels of a stage's steps, as in the pipeline."""
    names = [t.unique_name for t in stage.transforms if t.spec.urn in translations.PAR_DO_URNS]
    return " + ".join(name for name in names if "Reshuffle/" not in name)


class _LocalEnvironment(environments.Environment):
    """Names `_Worker` as the handler of a pipeline's stages; carries the options to it."""

    def __init__(self, options: str) -> None:
        super().__init__(capabilities=environments.python_sdk_capabilities())
        self._options = options

    def to_runner_api_parameter(self, _: Any) -> tuple[str, bytes]:
        return URN, self._options.encode()


environments.Environment.register_urn(URN, bytes, lambda o, *_: _LocalEnvironment(o.decode()))


@worker_handlers.WorkerHandler.register_environment(URN, bytes)
class _Worker(worker_handlers.GrpcWorkerHandler):
    """A place for one worker process at a time: Beam keeps the place, `start_worker` fills it.

    Each process has its own id and streams, so nothing late of a dead one reaches its successor.
    """

    worker_id: str

    def __init__(self, options: bytes, state: Any, provision_info: Any, server: Any) -> None:
        # Not GrpcWorkerHandler's: that one opens streams which cannot notice a death.
        worker_handlers.WorkerHandler.__init__(
            self, server.control_handler, server.data_plane_handler, state, provision_info
        )
        self._grpc_server = server
        self._options = options.decode()
        self._ids = map(f"{self.worker_id}.{{}}".format, itertools.count())
        self._starting = threading.Lock()
        self.abandoned = False

    def start_worker(self) -> None:
        """Start a process; it connects about a second later."""
        with self._starting:
            if self.abandoned:
                raise RuntimeError("the job is over")
            self.worker_id = next(self._ids)
            self.control_conn, self.data_conn = _Control(), _Data()
            self.control_handler._connections_by_worker_id[self.worker_id] = self.control_conn
            self.data_plane_handler._connections_by_worker_id[self.worker_id, ""] = self.data_conn
            self._process = self._spawn()
        self._undertaker = threading.Thread(
            target=_bury, args=(self._process, self.control_conn, self.data_conn), daemon=True
        )
        self._undertaker.start()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        """Return a worker in its own process group: no Ctrl-C for it, and its ffmpeg dies too."""
        return subprocess.Popen(
            [
                sys.executable,
                "-X",
                "faulthandler",
                "-c",
                f"import {__name__} as m; m.worker_main()",
            ],
            stdin=subprocess.PIPE,  # never written: its end tells the worker that we are gone
            process_group=0,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "WORKER_ID": self.worker_id,
                "no_grpc_proxy": "localhost",  # a proxy for the web is none for us
                "CONTROL_API_SERVICE_DESCRIPTOR": str(self.control_api_service_descriptor()),
                "PIPELINE_OPTIONS": self._options,
            },
        )

    def death(self) -> str | None:
        """Return how the process ended, None if it lives; streams break before it can be reaped."""
        end = self.control_conn.death
        if not (self.data_conn._closed or end.done()):
            return None
        with contextlib.suppress(TimeoutError):
            return end.result(GRACE)
        _kill_group(self._process.pid)
        return end.result()

    def abandon(self) -> None:
        """Kill the process, for good."""
        with self._starting:
            self.abandoned = True
            _kill_group(self._process.pid)

    def replace(self) -> None:
        """Start a new process in the place of a dead one."""
        self._leave()
        self.start_worker()

    def close(self) -> None:
        """Ask all workers to leave, then wait for this one: Beam closes one after the other."""
        for control in self.control_handler._connections_by_worker_id.values():
            control.push(worker_handlers.BeamFnControlServicer._DONE_MARKER)
        self._leave()

    def _leave(self) -> None:
        grace = GRACE if self.control_conn._input else 0  # one that has yet to connect has no work
        timer = threading.Timer(grace, _kill_group, [self._process.pid])
        timer.start()
        try:
            super().close()
        finally:
            timer.cancel()

    def stop_worker(self) -> None:
        self._undertaker.join()


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter: a zombie on macOS
        os.killpg(pid, signal.SIGKILL)


def _bury(process: "subprocess.Popen[bytes]", control: "_Control", data: "_Data") -> None:
    """Wait for a process to end, then end all that waits for it."""
    code = process.wait()
    _kill_group(process.pid)  # what it may have started
    how = f"exited with code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
    control.death.set_result(f"worker {process.pid} {how}")
    control.fail_all()
    data.drain()


class _Control(worker_handlers.ControlConnection):
    """The stream of instructions; when the worker dies they fail instead of waiting for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.death: Future[str] = Future()

    def set_input(self, responses: Iterable[Any]) -> None:
        super().set_input(_until_broken(responses))

    def push(self, request: Any) -> Any:
        future = super().push(request)
        if self.death.done():  # asked after the registration: either this fails it or `_bury`
            self.fail_all()
        return future

    def fail_all(self) -> None:
        """Answer all that waits for the dead worker."""
        for future in list(self._futures_by_id.values()):
            future.set(beam_fn_api_pb2.InstructionResponse(error=self.death.result()))


class _Data(data_plane._GrpcDataChannel):
    """The stream of elements; when the worker dies nobody blocks on its full queues."""

    def __init__(self) -> None:
        super().__init__()
        self._ended = threading.Event()

    def set_inputs(self, elements: Iterable[Any]) -> None:
        super().set_inputs(_until_broken(elements))

    def drain(self) -> None:
        """Throw away what is still to be sent, until `close`, except the end marker."""
        while not self._ended.wait(0.05):
            with contextlib.suppress(queue.Empty):
                while True:
                    self._to_send.get_nowait()
        self._to_send.put(self._WRITES_FINISHED, 0)

    def close(self) -> None:
        super().close()
        self._ended.set()


def _until_broken(stream: Iterable[Any]) -> Iterator[Any]:
    """Yield what a worker sends; its death is an end, not a traceback of a gRPC thread."""
    with contextlib.suppress(grpc.RpcError):
        yield from stream


def worker_main() -> None:
    """Be a worker process: serve bundles until the runner closes the stream, or dies."""
    _die_with_parent()
    logging.basicConfig(format="%(levelname)s worker %(process)d: %(message)s", force=True)
    for name in ("apache_beam.runners", "apache_beam.options"):  # errors reach the runner anyway
        logging.getLogger(name).setLevel(logging.CRITICAL)
    vars(sdk_worker)["print"] = lambda *_, **__: None  # so do the tracebacks that it prints
    sdk_worker_main.main([])


def _die_with_parent() -> None:
    """Kill this process group when the pipe from the runner ends: it may have been killed with -9.

    A thread does it everywhere; on Linux the kernel does it even while C code holds the GIL.
    """
    pipe = os.dup(0)
    with open(os.devnull) as null:
        os.dup2(null.fileno(), 0)
    fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpid())  # SIGIO, which by default terminates
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    threading.Thread(target=_await_end, args=(pipe,), daemon=True).start()


def _await_end(pipe: int) -> None:
    os.read(pipe, 1)
    _kill_group(0)
