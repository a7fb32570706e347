"""Shards become batches: stock webdataset reads; decoded here, collated without image padding.

A bad sample is counted by reason and left out; a dataset of which a whole epoch is bad is an
error, not an endless loop. The order and every draw follow (seed, epoch, key), whatever the
process or the clock.
"""

import json
import random
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, count, islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import webdataset
from torch import Tensor

from m3w_builder.errors import DropError, TrainError
from m3w_builder.flamingo import examples
from m3w_builder.flamingo.examples import Choices, Example, SampleError
from m3w_builder.flamingo.images import Pixels, load
from m3w_builder.flamingo.tokens import BOS, EOS, PAD, encode
from m3w_builder.types import KINDS, Kind

Sample = Mapping[str, Any]  # "__key__", "json", and the bytes of each part


@dataclass(frozen=True, slots=True)
class Batch:
    """B sequences right-padded to the longest, and only the M media that exist."""

    ids: Tensor  # int64[B, L]
    phi: Tensor  # int64[B, L]: 0 = no image, m = media m of this batch, counted from 1
    loss: Tensor  # bool[B, L]: does predicting this token count; never padding
    frames: Tensor  # float32[sum(times), size, size, 3], the media one after the other
    times: list[int]  # [M] frames of each medium, 1 for an image
    keys: list[str]  # [B]


@dataclass(slots=True)
class Dataset:
    """The shards of one kind, read for ever; `rejected` says what was left out and why."""

    kind: Kind | Literal["text"]  # "text": shards of all kinds, read for their words alone
    shards: list[Path]
    seed: int = 0
    shuffle: int = 1000  # samples
    rejected: dict[str, str] = field(default_factory=dict)  # key -> reason, over all epochs

    def samples(self, epoch: int) -> Iterator[Sample]:
        """Yields the raw samples of one epoch in an order drawn from (seed, epoch)."""
        rng = random.Random(f"{self.seed}/{epoch}/{self.kind}")
        urls = [str(path) for path in self.shards]
        rng.shuffle(urls)
        source = webdataset.WebDataset(
            urls,
            shardshuffle=False,
            handler=self._damaged,
            empty_check=False,
            select_files=_is_json if self.kind == "text" else None,
        )
        yield from source.shuffle(self.shuffle, rng=rng)

    def _damaged(self, error: Exception) -> bool:
        """webdataset's handler: counts a damaged shard and goes on; anything else is our bug."""
        if isinstance(error, tarfile.TarError | EOFError | OSError):
            self.rejected[f"damaged shard: {error}"] = "damaged_shard"
            return True
        return False

    def examples(self, choices: Choices, size: int) -> Iterator[tuple[Example, list[list[Pixels]]]]:
        """Yields examples with the decoded frames of each tag, epoch after epoch."""
        for epoch in count():
            good = 0
            for sample in self.samples(epoch):
                try:
                    rng = examples.draws(self.seed, epoch, sample["__key__"])
                    made = examples.example(parse(sample), choices, rng)
                    pixels = [[load(_part(sample, p), size) for p in t.parts] for t in made.tags]
                except DropError as error:
                    self.rejected[sample["__key__"]] = error.reason
                else:
                    good += 1
                    yield made, pixels
            self._not_empty(good)

    def texts(self, length: int) -> Iterator[list[int]]:
        """Yields rows of exactly `length` tokens of plain text, documents end to end."""
        row: list[int] = []
        for epoch in count():
            good = 0
            for sample in self.samples(epoch):
                try:
                    words = examples.text(parse(sample))
                except SampleError as error:
                    self.rejected[sample["__key__"]] = error.reason
                    continue
                row += [BOS, *encode(words), EOS]
                good += 1
                while len(row) >= length:
                    yield row[:length]
                    row = row[length:]
            self._not_empty(good)

    def batches(self, batch: int, choices: Choices, size: int) -> Iterator[Batch]:
        """Yields batches of `batch` examples."""
        stream = self.examples(choices, size)
        while True:
            yield collate(list(islice(stream, batch)), size)

    def reasons(self) -> dict[str, int]:
        """Returns how many samples were left out, by reason."""
        return dict(Counter(self.rejected.values()))

    def _not_empty(self, good: int) -> None:
        if not good:
            reasons = ", ".join(f"{name} {n}" for name, n in sorted(self.reasons().items()))
            raise TrainError(
                f"{self.shards[0]}: expected usable {self.kind} samples, found none"
                f" ({reasons or 'the shards are empty'})"
            )


def _is_json(member: str) -> bool:
    return member.endswith(".json")


def find(folder: Path, wanted: tuple[Kind, ...] | None = None) -> dict[Kind, list[Path]]:
    """Returns the shards of each dataset in `folder`: those `wanted`, or whatever is there."""
    found = {kind: sorted(folder.glob(f"{kind}-[0-9]*.tar")) for kind in wanted or KINDS}
    missing = [kind for kind, paths in found.items() if not paths]
    if wanted and missing:
        raise TrainError(
            f"{folder}: expected shards of {', '.join(wanted)}, found no {missing[0]}-*.tar"
        )
    if len(missing) == len(found):
        raise TrainError(f"{folder}: expected shards such as interleaved-000000.tar, found none")
    return {kind: paths for kind, paths in found.items() if paths}


def parse(sample: Sample) -> Mapping[str, Any]:
    """Returns the parsed JSON of a sample; raises SampleError when there is none."""
    try:
        parsed = json.loads(_part(sample, "json"))
    except ValueError as error:
        raise SampleError("malformed_sample", str(error)) from error
    if not isinstance(parsed, dict):
        raise SampleError(
            "malformed_sample", f"expected a JSON object, found {type(parsed).__name__}"
        )
    return {"id": sample["__key__"], **parsed}


def _part(sample: Sample, name: str) -> bytes:
    if not isinstance(sample.get(name), bytes):
        raise SampleError("missing_part", f"{sample['__key__']}.{name}")
    data: bytes = sample[name]
    return data


def collate(loaded: list[tuple[Example, list[list[Pixels]]]], size: int) -> Batch:
    """Returns the batch: phi renumbered from image-of-the-example to media-of-the-batch."""
    made = [example for example, _ in loaded]
    media = [frames for _, pixels in loaded for frames in pixels]
    before = [0, *accumulate(len(example.tags) for example in made)]
    shape = (len(made), max(len(example.ids) for example in made))
    ids, phi = torch.full(shape, PAD), torch.zeros(shape, dtype=torch.long)
    loss = torch.zeros(shape, dtype=torch.bool)
    for row, (example, first) in enumerate(zip(made, before, strict=False)):
        end = len(example.ids)
        ids[row, :end] = torch.tensor(example.ids)
        phi[row, :end] = torch.tensor([first + image if image else 0 for image in example.phi])
        loss[row, :end] = torch.tensor(example.loss)
    flat = [frame for frames in media for frame in frames]
    pixels = np.stack(flat) if flat else np.zeros((0, size, size, 3), np.float32)
    times = [len(frames) for frames in media]
    return Batch(ids, phi, loss, torch.from_numpy(pixels), times, [e.key for e in made])
