"""The shard format: writing, reading, random access, and what describes a dataset.

Members of a sample lie together, the json first, samples in key order; schemas/README.md explains
every field.
"""

from m3w_builder.shards.dataset import (
    MANIFEST,
    OWNER,
    PENDING,
    Dataset,
    dataset_title,
    finish,
    open_dataset,
    read_manifest,
    read_waterfall,
    write_manifest,
)
from m3w_builder.shards.index import ShardIndex, open_index
from m3w_builder.shards.rewrite import Judge, Removal, Rewritten, complete, rewrite
from m3w_builder.shards.tally import COUNTS, Row, totals
from m3w_builder.shards.tar import (
    ShardWriter,
    describe,
    members_path,
    open_shard,
    read_shard,
    write_shard,
)

__all__ = [
    "COUNTS",
    "MANIFEST",
    "OWNER",
    "PENDING",
    "Dataset",
    "Judge",
    "Removal",
    "Rewritten",
    "Row",
    "ShardIndex",
    "ShardWriter",
    "complete",
    "dataset_title",
    "describe",
    "finish",
    "members_path",
    "open_dataset",
    "open_index",
    "open_shard",
    "read_manifest",
    "read_shard",
    "read_waterfall",
    "rewrite",
    "totals",
    "write_manifest",
    "write_shard",
]
