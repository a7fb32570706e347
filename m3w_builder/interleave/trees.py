"""An ensemble of oblivious decision trees: the same test at every node of a level, whole-number leaves.

So a tree is a table with one entry per combination of its tests, and the sum of the tables' entries
is exact: it is the same whatever the order of summation and the machine.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Trees:
    """Tables of 2 ** depth entries: test d of a tree, feature > threshold, gives bit d of the entry's number."""

    features: NDArray[np.intp]  # (depth, trees)
    thresholds: NDArray[np.float32]  # (depth, trees)
    leaves: NDArray[np.int32]  # (trees, 2 ** depth)
    base: int  # added to every sum

    def score(self, columns: NDArray[np.float32]) -> NDArray[np.int64]:
        """Returns the scores (n,) of n items by their features (features, n)."""
        features, thresholds, tests = self._tests
        holds = (columns.take(features, 0) > thresholds[:, None]).view(np.uint8)
        depth, trees = tests.shape
        entries = np.zeros((trees, columns.shape[1]), np.uint8)
        for of_level in tests[::-1]:
            entries += entries
            entries |= holds.take(of_level, 0)
        places = entries + (np.arange(trees) << depth)[:, None]
        sums: NDArray[np.int64] = self.leaves.take(places).sum(0, dtype=np.int64)
        return sums + self.base

    @cached_property
    def _tests(self) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.intp]]:
        """Features and thresholds of the different tests, and the test (depth, trees) at each place:
        trees share half of their tests."""
        made = np.stack([self.features.ravel(), self.thresholds.ravel()])
        (features, thresholds), tests = np.unique(made, axis=1, return_inverse=True)
        shape = self.features.shape
        return features.astype(np.intp), thresholds.astype(np.float32), tests.reshape(shape)


def load(path: Path) -> Trees:
    """Returns the trees that `save` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return Trees(
            stored["features"].astype(np.intp), stored["thresholds"],
            stored["leaves"].astype(np.int32), int(stored["base"]),
        )  # fmt: skip


def save(path: Path, trees: Trees) -> None:
    """Writes trees of up to 256 features, up to 8 tests and leaves of up to 32767."""
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            features=trees.features.astype(np.uint8),
            thresholds=trees.thresholds,
            leaves=trees.leaves.astype(np.int16),
            base=np.array(trees.base),
        )
