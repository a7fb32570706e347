"""Decontamination: nothing of an evaluation set may be in what a model is trained on.

sets on disk (sources) -> items: hashes, texts (items) -> look-up (benchmark, ngrams)
finished shards, with an encoder also by embedding (search, neighbours)
"""

from m3w_builder.decontaminate.benchmark import (
    IMAGE,
    TEXT,
    Benchmark,
    Match,
    Sight,
    benchmark,
    prepared,
)
from m3w_builder.decontaminate.items import Item, save
from m3w_builder.decontaminate.sources import load

__all__ = [
    "IMAGE",
    "TEXT",
    "Benchmark",
    "Item",
    "Match",
    "Sight",
    "benchmark",
    "load",
    "prepared",
    "save",
]
