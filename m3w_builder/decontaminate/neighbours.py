"""Near-duplicates by image embeddings, as ALIGN found them (Jia et al. 2021, arXiv 2102.05918, appendix A).

4K k-means clusters over the embeddings of the training images; an image goes into C(10, 3) = 120
buckets, one per three of its ten nearest clusters; two images of one bucket are near-duplicates if
their cosine exceeds 0.975.

Two images share a bucket exactly if at least three of their ten nearest clusters are the same: that
is looked up, the buckets are never written down.

Legend: N training images, M images of evaluation sets, D dimensions, K clusters.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from m3w_builder.errors import ConfigError

CLUSTERS = 4096  # "4K"
NEAREST = 10  # clusters of an image
SHARED = 3  # clusters that name a bucket
# As in faiss: fewer points leave a cluster undetermined, more change little.
MIN_POINTS, MAX_POINTS = 40, 256  # training images per cluster; fewer images, fewer clusters
ROUNDS = 10  # of k-means
BLOCK = 4096  # vectors at a time

Vectors = NDArray[np.float32]  # (N, D), of length 1
Numbers = NDArray[np.int64]
Encoder = Callable[[Sequence[Image.Image]], Vectors]


def encoder(name: str) -> Encoder:
    """Returns the function "package.module:function", called with lists of pictures in RGB.

    It takes a list where its first parameter is annotated as one (list, Sequence), else a picture.
    Raises ConfigError for a name that is no function, and for answers that are no vectors.
    """
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function)
        annotation = next(iter(inspect.signature(found).parameters.values())).annotation
    except (ImportError, AttributeError, TypeError, ValueError, StopIteration) as error:
        raise ConfigError(
            f"encoder: {name}: expected an importable package.module:function of a picture: {error}"
        ) from error
    takes_lists = any(word in str(annotation) for word in ("list", "List", "Sequence"))

    def encode(pictures: Sequence[Image.Image]) -> Vectors:
        answers = found(list(pictures)) if takes_lists else [found(p) for p in pictures]
        return _checked(name, answers, len(pictures))

    return encode


def _checked(name: str, answers: object, count: int) -> Vectors:
    """Returns the answers as vectors of length 1: (count, D)."""
    wanted = f"encoder: {name}: expected a finite vector per picture, of one length"
    try:
        vectors = np.array(answers, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{wanted}: {error}") from error
    if vectors.ndim != 2 or len(vectors) != count:
        raise ConfigError(f"{wanted}, found an array of {vectors.shape} for {count}")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and lengths.all()):
        raise ConfigError(f"{wanted}, found one with a length of 0 or without end")
    return np.asarray(vectors / lengths, np.float32)


def clusters(vectors: Vectors, seed: int = 0) -> Vectors:
    """Returns the centres (K, D) of k-means over training images, of length 1 like them.

    K is CLUSTERS, fewer where there are not MIN_POINTS images for each, but NEAREST at least: below
    400 images all pairs are compared. The same vectors in the same order give the same centres.
    """
    count = max(NEAREST, min(CLUSTERS, len(vectors) // MIN_POINTS))
    if len(vectors) <= count:
        return vectors.copy()
    draw = np.random.default_rng(seed)
    points = vectors[np.sort(draw.permutation(len(vectors))[: count * MAX_POINTS])]
    centres = points[np.sort(draw.choice(len(points), count, replace=False))]
    for _ in range(ROUNDS):
        labels = nearest(points, centres, 1)[:, 0]
        order = labels.argsort(kind="stable")
        filled, starts = np.unique(labels[order], return_index=True)
        sums = np.add.reduceat(points[order], starts, axis=0)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres[filled] = sums / np.where(lengths > 0, lengths, 1)  # an empty cluster stays
    return centres


def nearest(vectors: Vectors, centres: Vectors, count: int) -> Numbers:
    """Returns the numbers of the `count` nearest centres of each vector, in no order: (N, count)."""
    count = min(count, len(centres))
    blocks = [
        np.argpartition(-(vectors[start : start + BLOCK] @ centres.T), count - 1, axis=1)[:, :count]
        for start in range(0, len(vectors), BLOCK)
    ]
    return np.concatenate(blocks) if blocks else np.empty((0, count), np.int64)


class Buckets:
    """The images of evaluation sets, by their nearest clusters."""

    def __init__(self, centres: Vectors, vectors: Vectors) -> None:
        """Takes centres (K, D) and the images' vectors (M, D)."""
        self._centres, self._vectors = centres, vectors
        top = nearest(vectors, centres, NEAREST)
        order = top.ravel().argsort(kind="stable")
        self._members = order // max(1, top.shape[1])  # images of cluster 0, of cluster 1, ...
        self._bounds = np.searchsorted(top.ravel()[order], np.arange(len(centres) + 1))

    def candidates(self, top: Numbers) -> Numbers:
        """Returns the images that share a bucket with one of these nearest clusters, ascending."""
        lists = [self._members[self._bounds[c] : self._bounds[c + 1]] for c in top]
        found, times = np.unique(np.concatenate(lists), return_counts=True)
        return found[times >= min(SHARED, len(top))]

    def near(self, vectors: Vectors, min_cosine: float) -> Iterator[list[tuple[int, float]]]:
        """Yields for each training image the places and cosines of its near-duplicates, nearest first."""
        for vector, top in zip(vectors, nearest(vectors, self._centres, NEAREST), strict=True):
            places = self.candidates(top)
            cosines = self._vectors[places] @ vector
            order = np.argsort(-cosines, kind="stable")
            order = order[cosines[order] > min_cosine]
            yield list(zip(places[order].tolist(), cosines[order].tolist(), strict=True))
