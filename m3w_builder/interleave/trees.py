"""An ensemble of oblivious decision trees: the same test at every node of a level, whole-number leaves.

So a tree is a table with one entry per combination of its tests, and the sum of the tables' entries
is exact: it is the same whatever the order of summation and the machine.
"""

from dataclasses import dataclass
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
        depth, trees = self.features.shape
        entries = np.zeros((trees, columns.shape[1]), np.uint8)
        for d in range(depth):
            holds = columns[self.features[d]] > self.thresholds[d][:, None]
            entries |= holds.view(np.uint8) << d
        places = entries.astype(np.intp) + (np.arange(trees) << depth)[:, None]
        sums: NDArray[np.int64] = self.leaves.ravel()[places].sum(0, dtype=np.int64)
        return sums + self.base


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
