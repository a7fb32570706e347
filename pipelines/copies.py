"""Copies as Beam transforms: packed records to edges, edges to connected components, components to drops.

A block of records reduces its edges to a spanning forest, and so do a few blocks together; what meets in one place for
the components is at most one edge per member and group of blocks, 16 bytes each.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray

from m3w_builder.config import DedupConfig
from m3w_builder.near import lsh
from m3w_builder.near.components import components, forest
from m3w_builder.select.copies import Copy, copy_of, entries, others_go
from pipelines.blocks import Blocks

Edges = NDArray[np.uint64]
DOCUMENTS_PER_BLOCK = 50_000  # whose packed records meet in one array: about 100 MB
FEWEST_BLOCKS = 4
GROUPS = 4  # of blocks whose forests become one before all meet: the same edges are in many bands


def blocks_for(documents: int) -> int:
    """Returns in how many blocks the packed records of so many documents meet."""
    return FEWEST_BLOCKS + documents // DOCUMENTS_PER_BLOCK


class Copies(beam.PTransform):
    """Documents that are in to the drops of those that are copies of a better one (`select.copies`)."""

    def __init__(self, config: DedupConfig, blocks: int) -> None:
        super().__init__()
        self.labels = Labels(entries, lsh.ENTRY, partial(lsh.edges, config=config), blocks)

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        return (
            (pcoll | "Alike" >> self.labels, pcoll | "Ranked" >> beam.Map(copy_of))
            | "MeetLabels" >> beam.CoGroupByKey()
            | "Labelled" >> beam.FlatMapTuple(_labelled)
            | "ByLabel" >> beam.GroupByKey()
            | "Copies" >> beam.Values()
            | "Choose" >> beam.FlatMap(others_go)
        )


def _labelled(_id: int, groups: tuple[Iterable[int], Iterable[Copy]]) -> Iterator[tuple[int, Copy]]:
    for label in groups[0]:
        yield from ((label, copy) for copy in groups[1])


class Labels(beam.PTransform):
    """Elements to (member, label) of every member of a component of two or more; the label is its least member.

    `pack` gives the records of an element, `edges` the pairs that are alike among the records of a block.
    """

    def __init__(
        self,
        pack: Callable[[Any], NDArray[np.void]],
        dtype: np.dtype[np.void],
        edges: Callable[[NDArray[np.void]], Edges],
        blocks: int,
    ) -> None:
        super().__init__()
        self.blocks = Blocks(pack, dtype, blocks)
        self.edges = edges

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        return (
            pcoll
            | "Blocks" >> self.blocks
            | "Edges" >> beam.FlatMap(partial(_edges_of, edges=self.edges))
            | "Near" >> beam.GroupByKey()
            | "Reduce" >> beam.FlatMapTuple(_reduced)
            | "Gather" >> beam.GroupByKey()
            | "Components" >> beam.FlatMapTuple(_labels)
        )


def _edges_of(
    block: NDArray[np.void], edges: Callable[[NDArray[np.void]], Edges]
) -> Iterator[tuple[int, bytes]]:
    found = forest(edges(block))
    if len(found):
        yield int(found[0, 0]) % GROUPS, found.tobytes()


def _reduced(_group: int, found: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    yield 0, forest(_joined(found)).tobytes()


def _joined(found: Iterable[bytes]) -> Edges:
    return np.concatenate([np.frombuffer(part, np.uint64).reshape(-1, 2) for part in found])


def _labels(_key: int, found: Iterable[bytes]) -> Iterator[tuple[int, int]]:
    members, labels = components(_joined(found))
    yield from zip(members.tolist(), labels.tolist(), strict=True)
