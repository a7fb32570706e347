"""Samples by number, from finished shards: one look-up, and only the bytes that are asked for.

The members table beside each tar says where everything lies. The bytes of a picture are compared with the
sha256 that the sample's JSON gives the tag: a picture cannot get behind the words of another.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

import numpy as np

from m3w_builder.errors import TrainError
from m3w_builder.flamingo.config import Source
from m3w_builder.flamingo.data import files, index, sources
from m3w_builder.flamingo.data.examples import SampleError, text
from m3w_builder.flamingo.data.files import Cache, Far, File, Span
from m3w_builder.flamingo.data.index import Member
from m3w_builder.flamingo.data.order import Order, last_at
from m3w_builder.flamingo.data.sources import Shard
from m3w_builder.samples import IMAGE_FORMATS
from m3w_builder.types import KINDS, Kind

Made = TypeVar("Made")

CONNECTIONS = 8  # at a time, per process
GROUP = 2048  # samples that are permuted together, where no configuration says
MAX_TEXT = 16 * 2**20  # bytes of a sample's JSON or text: a book has one
PICTURE = re.compile("|".join(("jpeg", *IMAGE_FORMATS)))


class Sample(Mapping[str, Any]):
    """One sample: "__key__", and the bytes of each member, read when they are asked for."""

    def __init__(
        self, key: str, members: Mapping[str, Member], read: Callable[[Member], bytes]
    ) -> None:
        self.key, self.members, self._read = key, members, read

    def __getitem__(self, part: str) -> Any:
        return self.key if part == "__key__" else self._read(self.members[part])

    def __iter__(self) -> Iterator[str]:
        yield "__key__"
        yield from self.members

    def __len__(self) -> int:
        return 1 + len(self.members)

    def record(self) -> dict[str, Any]:
        """Returns the parsed JSON with the key as "id"; a foreign pair of picture and text gets one.

        Raises SampleError: malformed_sample, missing_part, sample_too_large, damaged_member.
        """
        parsed = self._json() if "json" in self.members else {}
        if not isinstance(parsed.get("texts"), list) and "txt" in self.members:
            parsed = self._pair()
        elif not parsed:
            raise SampleError("missing_part", f"{self.key}.json")
        return {**parsed, "id": self.key}

    def _json(self) -> dict[str, Any]:
        try:
            parsed = json.loads(self._text("json"))
        except (ValueError, RecursionError) as error:
            raise SampleError("malformed_sample", f"{self.key}: {error}") from error
        if not isinstance(parsed, dict):
            what = f"{self.key}: expected a JSON object, found {type(parsed).__name__}"
            raise SampleError("malformed_sample", what)
        return parsed

    def _pair(self) -> dict[str, Any]:
        """Returns what webdataset's and img2dataset's pairs (KEY.jpg, KEY.txt) say, in our shape."""
        pictures = [part for part in self.members if PICTURE.fullmatch(part)]
        if len(pictures) != 1:
            raise SampleError("missing_part", f"{self.key}: one picture beside its txt")
        words = self._text("txt").decode("utf-8", "replace")
        lists = {"texts": [None, words], "images": [pictures[0], None], "videos": [None, None]}
        return {"kind": "image_text", **lists}

    def _text(self, part: str) -> bytes:
        """Returns the bytes of a member that is read as a whole; one too large is not read at all."""
        length = self.members[part].length
        if length > MAX_TEXT:
            what = f"{self.key}.{part}: expected at most {MAX_TEXT} bytes, found {length}"
            raise SampleError("sample_too_large", what)
        return self.member(part)

    def member(self, part: str, said: str = "", others: Iterable[str] = ()) -> bytes:
        """Returns the bytes of a member, compared with what is said of them.

        `said` is the sha256 that the sample's JSON gives the picture behind the tag, `others` are those
        behind its other tags. Raises SampleError: missing_part, truncated_shard and what `fault` finds.
        """
        if part not in self.members:
            raise SampleError("missing_part", f"{self.key}.{part}")
        data: bytes = self[part]
        indexed = self.members[part].sha256
        if said or indexed:
            known = {member.sha256 for member in self.members.values()} | {*others}
            wrong = fault(sha256(data).hexdigest(), said, indexed, known)
            if wrong:
                raise SampleError(wrong[0], f"{self.key}.{part}: {wrong[1]}")
        return data


def fault(found: str, said: str, indexed: str, known: set[str]) -> tuple[str, str] | None:
    """Returns why bytes are not those they should be, None where they are.

    `found` is their sha256; `said` what the sample's JSON gives, `indexed` the members table ("" for
    nothing); `known` are those of all pictures of the sample. Bytes that were stored so, or are those of
    another picture, are behind the wrong tag; all others were damaged since.
    """
    wanted = said or indexed
    if found == wanted:
        return None
    reason = "misplaced_image" if found == indexed or found in known else "damaged_member"
    return reason, f"expected sha256 {wanted[:16]}, found {found[:16]}"


class Shards:
    """The samples of a dataset by number, 0 to len - 1, in the order of the shards."""

    def __init__(
        self,
        urls: Sequence[str | Shard],
        cache: Cache | None = None,
        kind: Kind | None = None,
        name: str = "",
    ) -> None:
        """Opens shards, paths or addresses; TrainError names what is missing or cut off.

        `kind` is by default what the names or the first sample say; `name`, for messages, the dataset's.
        """
        shards = [Shard(one) if isinstance(one, str) else one for one in urls]
        self.name = name or (shards[0].url if shards else "shards")
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            cache = cache or Cache(files.folder())
            self.files: list[File] = list(pool.map(partial(files.opened, cache=cache), shards))
            chunks = list(pool.map(index.chunks, self.files))
        sizes = [int(own[-1]) for own in chunks]
        self.first = np.cumsum([0, *sizes])  # int64[shards + 1]: of samples
        starts = [own[:-1] + before for own, before in zip(chunks, self.first, strict=False)]
        self.chunks = np.concatenate([*starts, self.first[-1:]])  # int64[C + 1]: of samples
        if not len(self):
            raise TrainError(f"{self.name}: expected samples, found none: the shards are empty")
        self._tables = index.Tables()
        self.kind = kind or sources.one_kind(self.name, shards) or self._first_kind()

    def __len__(self) -> int:
        return int(self.first[-1])

    @property
    def keys(self) -> list[str]:
        """Returns the key of every sample."""
        tables = map(self._tables, self.files)
        return [table.key(sample) for table in tables for sample in range(len(table))]

    def order(self, seed: int, group: int = GROUP) -> Order:
        """Returns the order of the samples in each epoch, about `group` of them permuted together."""
        return Order(self.chunks, group, seed)

    def sample(self, number: int) -> Sample:
        """Returns a sample; nothing but the table of its shard is read yet."""
        if not 0 <= number < len(self):
            raise IndexError(f"{self.name}: sample {number} of {len(self)}")
        shard = last_at(self.first, number)
        file, own = self.files[shard], number - int(self.first[shard])
        table = self._tables(file)
        read = partial(_bytes, file, partial(self._span, shard, number))
        return Sample(table.key(own), table.members(own), read)

    def prepare(self, numbers: Iterable[int]) -> None:
        """Fetches what far samples need, several chunks at a time."""
        chunks = {last_at(self.chunks, n): last_at(self.first, n) for n in numbers}
        far = [
            (file, self._span(shard, int(self.chunks[chunk])))
            for chunk, shard in chunks.items()
            if isinstance(file := self.files[shard], Far)
        ]
        if len(far) > 1:
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                list(pool.map(lambda one: one[0].read(one[1][0], 0, lambda: one[1]), far))

    def _span(self, shard: int, number: int) -> Span:
        """Returns the bytes of the shard that the chunk of a sample lies in."""
        chunk = last_at(self.chunks, number)
        first, last = (int(n - self.first[shard]) for n in self.chunks[chunk : chunk + 2])
        return self._tables(self.files[shard]).span(first, last)

    def _first_kind(self) -> Kind:
        """Returns the kind that the first sample says it is of."""
        sample = self.sample(0)
        try:
            said = sample.record().get("kind")
        except SampleError as error:
            raise TrainError(f"{self.name}: its first sample is none: {error}") from error
        for kind in KINDS:
            if kind == said:
                return kind
        what = f"{self.name}: expected samples of {', '.join(KINDS)}, found {said!r}"
        raise TrainError(f"{what} in {sample.key}: set its `kind`")


def open_source(name: str, source: Source, cache: Cache | None = None) -> Shards:
    """Returns the shards of one dataset of the configuration; TrainError names the dataset."""
    try:
        return Shards(sources.find(source.shards, source.kind), cache, source.kind, name)
    except TrainError as error:
        raise TrainError(f"datasets.{name}: {error}") from error


def texts(shards: Shards, seed: int) -> Iterator[str]:
    """Yields the text of every document, epoch after epoch, in the order of (seed, epoch); no picture is read.

    Bad samples are left out; TrainError when an epoch has no text at all.
    """
    return for_ever(shards, seed, text)


def for_ever(
    shards: Shards, seed: int, make: Callable[[Mapping[str, Any]], Made]
) -> Iterator[Made]:
    """Yields what `make` makes of each sample's JSON, as `texts` does; what is empty is left out."""
    order, epoch = shards.order(seed), 0
    while True:
        good = 0
        for place in range(len(shards)):
            try:
                made = make(shards.sample(order(epoch, place)).record())
            except SampleError:
                continue  # counted where examples are made of it
            if made:
                good += 1
                yield made
        if not good:
            raise TrainError(f"{shards.name}: expected documents with text, found none")
        epoch += 1


def _bytes(file: File, chunk: Callable[[], Span], member: Member) -> bytes:
    data = file.read(member.offset, member.length, chunk)
    if len(data) < member.length:
        end = member.offset + member.length
        raise SampleError("truncated_shard", f"{file.url}: ends before byte {end}")
    return data
