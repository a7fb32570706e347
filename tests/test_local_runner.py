"""LocalRunner: a small conformance suite, and what happens when workers or their parent die.

The conformance pipelines are joined into one job per number of workers: starting workers costs
seconds, a tiny pipeline milliseconds.
"""

import ast
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from apache_beam.transforms.window import FixedWindows, GlobalWindows, TimestampedValue

from m3w_builder.errors import ConfigError
from pipelines import local_runner
from pipelines.local_runner import LocalRunner, WorkerLostError, make_runner

ROOT = Path(local_runner.__file__).parents[1]
ENDPOINT = "http://127.0.0.1:1"
Step = Callable[[beam.Pipeline], beam.PCollection]


def run(build: Callable[[beam.Pipeline], Any], *flags: str) -> Any:
    options = PipelineOptions(list(flags))
    with beam.Pipeline(runner=make_runner(options), options=options) as pipeline:
        build(pipeline)
    return pipeline.result


def all_children() -> set[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


BEFORE: set[int] = set()  # children that earlier tests left: a pool's resource tracker, for one


@pytest.fixture(autouse=True)
def _others() -> None:
    BEFORE.clear()
    BEFORE.update(all_children())


def children() -> set[int]:
    """Returns the processes that this one has started since the test began and that are still there."""
    return all_children() - BEFORE


def alive(pid: int) -> bool:
    """Returns whether a process runs; a zombie does not."""
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


# ---- conformance: every pipeline's output, sorted, as a literal


SEEN = beam.DoFn.StateParam(ReadModifyWriteStateSpec("seen", beam.coders.VarIntCoder()))


class Count(beam.DoFn):
    def process(self, pair: tuple[str, Any], seen: Any = SEEN) -> Iterator[tuple[str, int]]:
        seen.write((seen.read() or 0) + 1)
        yield pair[0], seen.read()


class LastWords(beam.DoFn):
    def finish_bundle(self) -> Iterator[Any]:
        yield beam.utils.windowed_value.WindowedValue("bye", 0, [beam.window.GlobalWindow()])

    def process(self, _: int) -> None:
        return None


class Tally(beam.DoFn):
    def __init__(self) -> None:
        self.seen = beam.metrics.Metrics.counter("test", "seen")

    def process(self, x: int) -> Iterator[int]:
        self.seen.inc()
        yield x


def split_by_sign(x: int) -> Iterator[Any]:
    yield x if x >= 0 else beam.pvalue.TaggedOutput("negative", x)


def group(p: beam.Pipeline) -> beam.PCollection:
    groups = p | beam.Create(range(6)) | beam.GroupBy(lambda x: x % 2)
    return groups | beam.MapTuple(lambda k, v: (k, sorted(v)))


def state(p: beam.Pipeline) -> beam.PCollection:
    return p | beam.Create([("a", 0), ("a", 0), ("b", 0)]) | beam.ParDo(Count())


def last_words(p: beam.Pipeline) -> beam.PCollection:
    return p | beam.Create([1, 2]) | beam.ParDo(LastWords()) | beam.Distinct()


def options(p: beam.Pipeline) -> beam.PCollection:
    """What a DoFn would use to open a file of a private store."""
    return (
        p
        | beam.Create(["s3_endpoint_url"])
        | beam.Map(lambda n: str(FileSystems._pipeline_options.get_all_options()[n]))
    )


def interpreter(p: beam.Pipeline) -> beam.PCollection:
    return p | beam.Create([1]) | beam.Map(lambda _: sys.executable)


def tagged(p: beam.Pipeline) -> beam.PCollection:
    outs = (
        p
        | beam.Create([-2, -1, 0, 1])
        | beam.FlatMap(split_by_sign).with_outputs("negative", main="rest")
    )
    return (
        outs.negative | beam.Map(lambda x: ("negative", x)),
        outs.rest | "Rest" >> beam.Map(lambda x: ("rest", x)),
    ) | beam.Flatten()


def cogroup(p: beam.Pipeline) -> beam.PCollection:
    ages = p | "Ages" >> beam.Create([("ann", 3), ("bob", 5)])
    homes = p | "Homes" >> beam.Create([("ann", "x"), ("ann", "y"), ("cid", "z")])
    return (ages, homes) | beam.CoGroupByKey() | beam.MapTuple(lambda k, v: (k, *map(sorted, v)))


def side_input(p: beam.Pipeline) -> beam.PCollection:
    numbers = p | beam.Create(range(10))
    total = numbers | beam.CombineGlobally(sum)
    return numbers | beam.Map(lambda x, t: x * t, t=beam.pvalue.AsSingleton(total))


def flatten(p: beam.Pipeline) -> beam.PCollection:
    numbers = p | beam.Create([1, 2])
    return (numbers, numbers | beam.Map(lambda x: -x), numbers) | beam.Flatten() | beam.Reshuffle()


def windows(p: beam.Pipeline) -> beam.PCollection:
    return (
        p
        | beam.Create([(0, 1), (1, 2), (70, 4)])
        | beam.MapTuple(lambda t, x: TimestampedValue(("k", x), t))
        | beam.WindowInto(FixedWindows(60))
        | beam.CombinePerKey(sum)
        | "Back" >> beam.WindowInto(GlobalWindows())
    )


def both_ways(p: beam.Pipeline) -> beam.PCollection:
    """A grouping read by a stateless and a stateful stage."""
    groups = p | beam.Create([("a", 1), ("b", 2), ("a", 3)]) | beam.GroupByKey()
    sums = groups | beam.MapTuple(lambda k, v: (k, sum(v)))
    return (sums, groups | beam.ParDo(Count())) | beam.Flatten()


CONFORMANCE: dict[str, tuple[Step, list[Any]]] = {
    "create": (lambda p: p | beam.Create(["a", "b"]), ["a", "b"]),
    "empty": (lambda p: p | beam.Create([]) | beam.Map(str), []),
    "group": (group, [(0, [0, 2, 4]), (1, [1, 3, 5])]),
    "cogroup": (cogroup, [("ann", [3], ["x", "y"]), ("bob", [5], []), ("cid", [], ["z"])]),
    "combine": (lambda p: p | beam.Create(range(100)) | beam.CombineGlobally(sum), [4950]),
    "side_input": (side_input, [45 * x for x in range(10)]),
    "tagged": (tagged, [("negative", -2), ("negative", -1), ("rest", 0), ("rest", 1)]),
    "flatten": (flatten, [-2, -1, 1, 1, 2, 2]),
    "reshuffle": (lambda p: p | beam.Create(range(300)) | beam.Reshuffle(), list(range(300))),
    "windows": (windows, [("k", 3), ("k", 4)]),
    "state": (state, [("a", 1), ("a", 2), ("b", 1)]),
    "both_ways": (both_ways, [("a", 1), ("a", 4), ("b", 1), ("b", 2)]),
    "counter": (lambda p: p | beam.Create(range(7)) | beam.ParDo(Tally()), list(range(7))),
    "finish_bundle": (last_words, ["bye"]),
    "options": (options, [ENDPOINT]),
    "interpreter": (interpreter, [sys.executable]),
    "resource_hints": (lambda p: p | beam.Create([1]).with_resource_hints(min_ram="1GB"), [1]),
}


def write(values: Iterable[Any], path: Path) -> None:
    path.write_text(repr(sorted(values)))


@pytest.mark.parametrize(
    "flags",
    [
        ["--workers=1"],
        ["--workers=2"],
        pytest.param(["--workers=2", "--direct_runner_bundle_repeat=1"], marks=pytest.mark.slow),
    ],
)
def test_pipelines_mean_the_same_with_any_number_of_workers(
    flags: list[str], tmp_path: Path
) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        for name, (step, _) in CONFORMANCE.items():

            class Named(beam.PTransform):
                def expand(self, begin: Any, step: Step = step) -> beam.PCollection:
                    return step(begin.pipeline)

            (
                pipeline
                | name >> Named()
                | f"{name}/Pair" >> beam.Map(lambda x: (None, x))
                | f"{name}/Group" >> beam.GroupByKey()
                | f"{name}/Write"
                >> beam.Map(lambda pair, path: write(pair[1], path), tmp_path / name)
            )

    result = run(build, *flags, f"--s3_endpoint_url={ENDPOINT}")
    found = {path.name: ast.literal_eval(path.read_text()) for path in tmp_path.iterdir()}
    found.setdefault("empty", [])
    assert found == {name: expected for name, (_, expected) in CONFORMANCE.items()}
    (counter,) = result.metrics().query()["counters"]
    assert counter.committed == 7
    assert not children()
    assert wait_until(lambda: all(t.daemon for t in threading.enumerate()[1:]))


# ---- bundles


def note(x: int, folder: Path, seconds: float = 0) -> int:
    time.sleep(seconds)
    (folder / f"{x}.{os.getpid()}.{time.monotonic_ns()}").touch()
    return x


class Bundle(beam.DoFn):
    """Leaves a file per bundle with its elements."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds

    def start_bundle(self) -> None:
        self.elements: list[int] = []

    def process(self, x: int) -> None:
        time.sleep(self.seconds)
        self.elements.append(x)

    def finish_bundle(self) -> None:
        (self.folder / f"{os.getpid()}.{time.monotonic_ns()}").write_text(repr(self.elements))


def bundles(tmp_path: Path, count: int, seconds: float) -> list[list[int]]:
    run(
        lambda p: p | beam.Create(range(count)) | beam.ParDo(Bundle(tmp_path, seconds)),
        "--workers=2",
    )
    return [ast.literal_eval(path.read_text()) for path in tmp_path.iterdir()]


def test_few_heavy_elements_get_a_bundle_each(tmp_path: Path) -> None:
    found = bundles(tmp_path, 12, 0.15)
    assert sorted(found) == [[x] for x in range(12)]
    assert len({path.name.split(".")[0] for path in tmp_path.iterdir()}) == 2


@pytest.mark.slow
def test_many_light_elements_share_bundles(tmp_path: Path) -> None:
    found = bundles(tmp_path, 2000, 0)
    assert sorted(itertools.chain.from_iterable(found)) == list(range(2000))
    assert 8 <= len(found) <= 60


# ---- deaths


def die_once(x: int, folder: Path, how: str) -> int:
    note(x, folder)
    marker = folder / f"marker-{x}"
    if x % 4 == 3 and not marker.exists():
        marker.touch()
        if how == "exit":
            os._exit(1)
        os.kill(os.getpid(), signal.SIGKILL if how == "kill" else signal.SIGSEGV)
    return x


@pytest.mark.parametrize(
    "how",
    [
        "kill",
        pytest.param("exit", marks=pytest.mark.slow),
        pytest.param("segfault", marks=pytest.mark.slow),
    ],
)
def test_a_killed_worker_costs_a_retry(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in").mkdir()
    result = run(
        lambda p: p | beam.Create(range(6)) | beam.Map(die_once, tmp_path / "in", how) | beam.ParDo(Tally())
        | beam.combiners.ToList() | "Write" >> beam.Map(write, tmp_path / "out"),
        "--workers=2",
    )  # fmt: skip
    assert ast.literal_eval((tmp_path / "out").read_text()) == list(range(6))
    assert result.metrics().query()["counters"][0].committed == 6
    assert "try 1 of 4" in caplog.text
    assert not children()


def die(_: int) -> None:
    os._exit(3)


@pytest.mark.slow
def test_a_bundle_that_always_kills_its_worker_fails_the_job() -> None:
    with pytest.raises(
        WorkerLostError, match=r"'.*Deadly.*' ended its worker 4 times .*exited with code 3"
    ):
        run(lambda p: p | beam.Create([1]) | "Deadly" >> beam.Map(die), "--workers=2")
    assert not children()


def fail_or_sleep(x: int, folder: Path) -> None:
    note(x, folder)
    if x == 1:
        raise ValueError("a bug of ours")
    time.sleep(60)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_fails_the_job_at_once_with_its_traceback(
    workers: int, tmp_path: Path
) -> None:
    start = time.monotonic()
    elements = [1] if workers == 1 else [1, 2]
    with pytest.raises(
        (RuntimeError, ValueError), match=r"a bug of ours.*while running 'Buggy'"
    ) as raised:
        run(
            lambda p: p | beam.Create(elements) | "Buggy" >> beam.Map(fail_or_sleep, tmp_path),
            f"--workers={workers}",
        )
    assert "fail_or_sleep" in str(raised.getrepr())
    assert len(list(tmp_path.glob("1.*"))) == 1, "a bug must not be tried again"
    assert time.monotonic() - start < 30, "the other bundle sleeps for a minute"
    assert not children()


# ---- options


@pytest.mark.parametrize(
    "name", ["", "LocalRunner", "DirectRunner", "direct", "SwitchingDirectRunner"]
)
def test_local_names_mean_the_local_runner(name: str) -> None:
    flags = [f"--runner={name}"] if name else []
    assert isinstance(make_runner(PipelineOptions(flags)), LocalRunner)


def test_other_runners_are_left_to_beam() -> None:
    assert make_runner(PipelineOptions(["--runner=DataflowRunner"])) == "DataflowRunner"


@pytest.mark.parametrize(
    "flag", ["--workers=0", "--direct_num_workers=2", "--direct_running_mode=multi_processing"]
)
def test_options_that_cannot_work_are_refused(flag: str) -> None:
    with pytest.raises(ConfigError, match="--workers"):
        run(lambda p: p | beam.Create([1]), flag)


# ---- nothing is left behind

PARENT = """
import sys, time, re
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from pipelines.local_runner import make_runner
def sleep(x):
    print("working", os.getpid(), flush=True)
    time.sleep(120)
def stuck(x):  # a regular expression that holds the GIL for ever
    child = subprocess.Popen(["sleep", "120"])
    print("working", os.getpid(), child.pid, flush=True)
    re.match(r"(a+)+$", "a" * 64 + "b")
import os, subprocess
options = PipelineOptions(["--workers=2"])
with beam.Pipeline(runner=make_runner(options), options=options) as p:
    p | beam.Create([1, 2]) | beam.Map(globals()[sys.argv[1]])
"""


@pytest.mark.parametrize(
    ("step", "number"),
    [
        ("stuck", signal.SIGKILL),
        pytest.param("sleep", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("stuck", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("sleep", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_workers_end_with_their_parent(step: str, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, step],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, process_group=0,
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        lines = [parent.stdout.readline(), parent.stdout.readline()]
        pids = [int(pid) for line in lines for pid in re.findall(r"\d+", line)]
        assert len(pids) >= 2
        parent.send_signal(number)
        parent.wait(30)
        assert parent.returncode != 0
    assert wait_until(lambda: not any(map(alive, pids)))


QUIET = """
import pipelines
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from pipelines.local_runner import make_runner
options = PipelineOptions(["--workers=2"])
with beam.Pipeline(runner=make_runner(options), options=options) as p:
    p | beam.Create([1, 2]) | beam.Map(str)
"""


@pytest.mark.slow
def test_a_job_says_nothing_by_default() -> None:
    command = [sys.executable, "-c", QUIET]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
