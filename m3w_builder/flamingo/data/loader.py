"""From a step to its batches: a pure function of (seed, step, rank), whatever process computes it.

Dataset d is an endless stream of positions: epoch after epoch, N samples each. Its update s takes, on rank
r of W with b sequences each, the positions

    s b W + r b, ..., s b W + r b + b - 1

so nothing of the loader is ever saved: a run that was stopped goes on with its next step, on any number of
workers. A bad sample leaves a gap, counted by its reason.
"""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from threading import Thread
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from m3w_builder.errors import DropError, M3WError, TrainError
from m3w_builder.flamingo import config
from m3w_builder.flamingo.config import Run
from m3w_builder.flamingo.data import examples, images
from m3w_builder.flamingo.data.batch import Batch, Loaded, collate
from m3w_builder.flamingo.data.images import MEAN, Colour
from m3w_builder.flamingo.data.order import Order
from m3w_builder.flamingo.data.reader import Shards
from m3w_builder.flamingo.data.tokens import Tokenizer
from m3w_builder.types import Kind

WINDOW = 1000  # samples of one dataset over which rejects are judged, or an epoch of a smaller one
PREFETCH = 2  # steps per worker that wait for the model

T = TypeVar("T")
Batches = dict[str, Batch]  # by the name of the dataset


class Mixture(Dataset[Batches]):
    """`mixture[step]` holds the batch of each dataset whose turn it is."""

    def __init__(
        self,
        sources: Mapping[str, Shards],
        run: Run,
        tokenizer: Tokenizer,
        rank: int = 0,
        world: int = 1,
        *,
        size: int | None = None,
        colour: Colour = MEAN,
    ) -> None:
        """`size` and `colour` are the encoder's: pixels of the square, what its padding is filled with.

        Raises TrainError where a dataset has fewer samples than there are ranks.
        """
        self.sources, self.run, self.tokenizer = dict(sources), run, tokenizer
        self.rank, self.world = rank, world
        self.size, self.colour = size or run.vision.image, colour
        self.kinds: dict[str, Kind] = {name: shards.kind for name, shards in sources.items()}
        self.counts = {name: self._count(name) for name in sources}  # b of each dataset
        self._orders: dict[str, Order] = {
            name: shards.order(run.train.seed, run.train.shuffle)
            for name, shards in sources.items()
        }
        for name, shards in sources.items():
            if len(shards) < world:
                what = f"datasets.{name}: expected a sample for each of {world} ranks"
                raise TrainError(f"{what}, found {len(shards)}: use fewer ranks or more shards")
        turns(0, self.kinds, run.train.mixing, run.train.pairs_first)

    def _count(self, name: str) -> int:
        source = self.run.datasets.get(name) or config.Source(shards="")
        return config.batch(source, self.kinds[name], self.run.train)

    def __getitem__(self, step: int) -> Batches:
        train = self.run.train
        due = turns(step, self.kinds, train.mixing, train.pairs_first)
        return {name: self.batch(name, update) for name, update in due.items()}

    def batch(self, name: str, update: int) -> Batch:
        """Returns the batch of one dataset at its update, on this rank."""
        shards, order, count = self.sources[name], self._orders[name], self.counts[name]
        first = (update * self.world + self.rank) * count
        places = [divmod(first + i, len(shards)) for i in range(count)]
        numbers = [order(epoch, place) for epoch, place in places]
        shards.prepare(numbers)
        loaded, rejected = list[Loaded](), Counter[str]()
        for (epoch, _), number in zip(places, numbers, strict=True):
            try:
                loaded.append(self._loaded(shards, number, epoch))
            except DropError as error:
                rejected[error.reason] += 1
        return collate(
            loaded,
            size=self.size,
            length=self.run.examples.length,
            pad=self.tokenizer.eos,
            rejected=rejected,
        )

    def _loaded(self, shards: Shards, number: int, epoch: int) -> Loaded:
        """Returns the example of a sample with the frames of its tags; raises DropError."""
        choices, sample = self.run.examples, shards.sample(number)
        rng = examples.draws(self.run.train.seed, epoch, sample.key)
        made = examples.example(sample.record(), choices, self.tokenizer, rng)
        known = {digest for tag in made.tags for digest in tag.digests}
        frames = list[list[images.Pixels]]()
        for tag in made.tags:
            change = images.drawn(rng, choices.flip, choices.jitter)
            stored = zip(tag.parts, tag.digests, strict=True)
            bodies = (sample.member(part, digest, known) for part, digest in stored)
            frames.append([images.load(body, self.size, self.colour, change) for body in bodies])
        return made, frames


def turns(step: int, kinds: Mapping[str, Kind], mixing: str, pairs_first: int) -> dict[str, int]:
    """Returns the datasets whose turn it is at a step, each with the number of its own update.

    All of them at each step or, with `round_robin`, one; for the first `pairs_first` steps pairs alone. A
    dataset misses none of its updates: resting does not skip samples. TrainError where there are no pairs.
    """
    pairs = [name for name, kind in kinds.items() if kind != "interleaved"]
    if pairs_first and not pairs:
        raise TrainError(
            f"train.pairs_first = {pairs_first}: expected a dataset of pairs, found "
            f"{', '.join(kinds)}, none of them of pairs: add one or set it to 0"
        )
    if mixing != "round_robin":
        if step < pairs_first:
            return dict.fromkeys(pairs, step)
        return {n: step if n in pairs else step - pairs_first for n in kinds}
    if step < pairs_first:
        return {pairs[step % len(pairs)]: step // len(pairs)}
    name = list(kinds)[(step - pairs_first) % len(kinds)]
    before = _turns_before(pairs_first, pairs.index(name), len(pairs)) if name in pairs else 0
    return {name: before + (step - pairs_first) // len(kinds)}


def _turns_before(steps: int, place: int, names: int) -> int:
    """Returns how often the name at `place` of a round has had its turn in that many steps."""
    return (steps - place + names - 1) // names


def batches(mixture: Mixture, start: int, stop: int, workers: int = 0) -> Iterator[Batches]:
    """Yields the batches of the steps [start, stop) in their order, made by `workers` processes ahead.

    Raises TrainError when more than train.max_rejected of a dataset is bad, or when a worker dies.
    """
    watch = Watch({name: len(shards) for name, shards in mixture.sources.items()}, mixture.counts)
    ahead: dict[str, Any] = {}
    if workers:
        ahead = {
            "prefetch_factor": PREFETCH,
            "multiprocessing_context": _context(),
            "worker_init_fn": _bound,
        }
    loader = DataLoader(
        _Careful(mixture),
        batch_size=None,
        sampler=range(start, stop),
        collate_fn=_same,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # DataLoader would draw from the run's own otherwise
        **ahead,
    )
    for found in _alive(loader):
        if isinstance(found, M3WError):
            raise found
        watch.add(found, mixture.run.train.max_rejected)
        yield found


def _alive(loader: "DataLoader[T]") -> Iterator[T]:
    """Yields what a loader does; TrainError where one of its processes is killed."""
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        what = " ".join(str(error).split())
        hint = "out of memory or of /dev/shm? fewer train.workers need less"
        raise TrainError(f"a process that decodes died ({what}): {hint}") from error


def _context() -> multiprocessing.context.BaseContext:
    """Returns how workers start: forked from a process without threads that has imported all they need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _bound(_: int) -> None:
    """Leaves Ctrl-C to the main process, which still needs batches to end its update; ends when that ends.

    torch's own watch looks for another parent, and would wait for ever: a worker keeps its parent, the
    fork server, alive. A trainer that was killed would leave both behind.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_the_trainer, daemon=True).start()


def _end_with_the_trainer() -> None:
    trainer = multiprocessing.parent_process()
    if trainer is not None:
        trainer.join()
        os._exit(1)


class _Careful(Dataset[Batches | M3WError]):
    """A mixture whose errors come as values: torch would wrap their one line in a traceback."""

    def __init__(self, mixture: Mixture) -> None:
        self._mixture = mixture

    def __getitem__(self, step: int) -> Batches | M3WError:
        try:
            return self._mixture[step]
        except M3WError as error:
            return error


def _same(value: T) -> T:
    return value


class Watch:
    """Counts rejects per dataset, and ends a run that would learn from what is left."""

    def __init__(self, sizes: Mapping[str, int], counts: Mapping[str, int]) -> None:
        """`sizes` are samples per dataset, `counts` samples per batch."""
        self._windows = {name: min(WINDOW, size) for name, size in sizes.items()}
        self._counts = counts
        self._seen: Counter[str] = Counter()
        self._bad: dict[str, Counter[str]] = {name: Counter() for name in sizes}
        self.rejected: dict[str, Counter[str]] = {
            name: Counter() for name in sizes
        }  # from the start

    def add(self, found: Batches, limit: float) -> None:
        """Counts a step; TrainError when more than `limit` of a window is bad."""
        for name, batch in found.items():
            self._seen[name] += self._counts[name]
            self._bad[name].update(batch.rejected)
            self.rejected[name].update(batch.rejected)
            window = max(self._windows[name], self._seen[name])
            bad = self._bad[name].total()
            if bad > limit * window:
                reasons = ", ".join(f"{reason} {n}" for reason, n in self._bad[name].most_common())
                what = (
                    f"expected at most {limit:.0%} of samples rejected, as train.max_rejected says"
                )
                raise TrainError(
                    f"datasets.{name}: {what}, found {bad} of {self._seen[name]} ({reasons}): m3w check"
                )
            if self._seen[name] >= self._windows[name]:
                self._seen[name] = 0
                self._bad[name].clear()
