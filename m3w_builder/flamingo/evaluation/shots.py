"""Which support cases a query is shown: drawn by (seed, case), or the most alike (RICES, F2 A.2).

A query is never its own shot, nor is another case of the same picture. RICES compares features of the
frozen encoder, averaged over space and over frames; the shots come in ascending similarity, so that the
nearest stands next to the query.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import factorial

import torch
from torch import Tensor

from m3w_builder.flamingo.evaluation.cases import Case


def drawn(seed: int, query: Case, support: Sequence[Case]) -> Iterator[Case]:
    """Yields support cases in an order of the query's own, each once, without drawing more than is asked for."""
    rng = random.Random(f"{seed}/shots/{query.id}")  # seeded through SHA-512, not hash()
    moved = dict[int, int]()  # Fisher and Yates, only as far as it is read
    for last in range(len(support) - 1, -1, -1):
        at = rng.randint(0, last)
        case = support[moved.get(at, at)]
        moved[at] = moved.get(last, last)
        if case.media.key != query.media.key:
            yield case


@dataclass(frozen=True, slots=True)
class Features:
    """Features of cases, and which have any: a picture that cannot be read has none."""

    vectors: Tensor  # float32[N, width], of length 1
    known: Tensor  # bool[N]


def nearest(query: Case, vector: Tensor, support: Sequence[Case], features: Features) -> list[int]:
    """Returns the support cases in descending similarity; equal ones in their own order."""
    similar = (features.vectors @ vector).masked_fill(~features.known, -torch.inf)
    order = similar.sort(descending=True, stable=True).indices.tolist()
    known = int(features.known.sum())
    return [i for i in order[:known] if support[i].media.key != query.media.key]


def orders(shots: Sequence[Case], count: int, seed: int, query: Case) -> list[tuple[Case, ...]]:
    """Returns `count` different random orders of the shots, all there are where that is fewer (F2 A.2)."""
    if factorial(min(len(shots), 8)) <= count:
        return list(permutations(shots))
    rng = random.Random(f"{seed}/orders/{query.id}")
    found = dict[tuple[int, ...], None]()
    while len(found) < count:
        found[tuple(rng.sample(range(len(shots)), len(shots)))] = None
    return [tuple(shots[i] for i in order) for order in found]
