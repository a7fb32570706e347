"""Media that are read and seen once, though they are shots of many queries; and features on disk for RICES."""

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from m3w_builder.errors import MediaError
from m3w_builder.flamingo.data.batch import Pixels
from m3w_builder.flamingo.evaluation.cases import Case, Media
from m3w_builder.flamingo.evaluation.media import frames
from m3w_builder.flamingo.evaluation.shots import Features
from m3w_builder.flamingo.evaluation.subject import Subject
from m3w_builder.flamingo.tensors import write_tensors

KEPT = 2048  # media whose latents are kept: 0.8 GB of Flamingo-3B's in fp32
AT_ONCE = 32  # media that are decoded before their features are computed
WAITING = 512  # frames that wait to be seen: 150 MB at 320 pixels


class Sights:
    """What a model sees of media; the longest unused are forgotten."""

    def __init__(self, subject: Subject, kept: int = KEPT) -> None:
        self._subject, self._kept = subject, kept
        self._seen = OrderedDict[str, Tensor]()
        self._waiting = dict[str, list[Pixels]]()
        self._bad = dict[str, MediaError]()

    def want(self, media: Media) -> None:
        """Reads a medium unless it was; raises MediaError, each time it is asked for."""
        if media.key in self._bad:
            raise self._bad[media.key]
        if media.key in self._seen:
            self._seen.move_to_end(media.key)
        elif media.key not in self._waiting:
            try:
                found = frames(media, self._subject.size, self._subject.colour)
            except MediaError as error:
                self._bad[media.key] = error
                raise
            self._waiting[media.key] = found
            if sum(map(len, self._waiting.values())) >= WAITING:
                self._look()

    def get(self, media: Sequence[Media]) -> Tensor:
        """Returns [m, R, V] of media that were wanted; all that wait are seen together."""
        self._look()
        return torch.stack([self._seen[one.key] for one in media])

    def _look(self) -> None:
        if self._waiting:
            latents = self._subject.see(list(self._waiting.values()))
            self._seen.update(zip(self._waiting, latents, strict=True))
            self._waiting.clear()

    def forget(self) -> None:
        """Forgets what is more than is kept; not while prompts are made."""
        while len(self._seen) > self._kept:
            self._seen.popitem(last=False)


def features(
    subject: Subject,
    cases: Sequence[Case],
    cache: Path | None,
    tick: Callable[[int, int], None],
) -> Features:
    """Returns the features of the cases' media, read from `cache` where they were computed before.

    A file of the cache is named by the encoder's digest and by the names, sizes and times of the media.
    Of several ranks the first reads and writes it, for the folder need not be one that all see.
    """
    media = {case.media.key: case.media for case in cases}
    state = [(key, *_state(one)) for key, one in media.items()]
    name = sha256(json.dumps([subject.encoder, subject.size, state]).encode()).hexdigest()
    path = cache / f"{subject.encoder[:16]}-{name[:16]}.safetensors" if cache else None
    found = _told(_cached(path) if path and _first() else None)
    if found is None:
        found = _computed(subject, list(media.values()), tick)
        if path and _first():
            write_tensors(path, {"vectors": found.vectors, "known": found.known})
    row = {key: number for number, key in enumerate(media)}
    rows = torch.tensor([row[case.media.key] for case in cases], dtype=torch.long)
    return Features(found.vectors[rows], found.known[rows])


def _computed(
    subject: Subject, media: Sequence[Media], tick: Callable[[int, int], None]
) -> Features:
    """Returns the features of media; of several ranks each computes a share."""
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    found = dict[int, Tensor]()
    mine = range(rank, len(media), world)
    for start in range(0, len(mine), AT_ONCE):
        loaded = dict[int, list[Pixels]]()
        for number in mine[start : start + AT_ONCE]:
            with suppress(MediaError):  # told when the case is asked, or another shot is taken
                loaded[number] = frames(media[number], subject.size, subject.colour)
        if loaded:
            found.update(zip(loaded, subject.pooled([*loaded.values()]).cpu(), strict=True))
        tick(min((start + AT_ONCE) * world, len(media)), len(media))
    if world > 1:
        parts: list[dict[int, Tensor]] = [{}] * world
        dist.all_gather_object(parts, found)
        found = {number: vector for part in parts for number, vector in part.items()}
    width = max((len(vector) for vector in found.values()), default=1)
    vectors, known = torch.zeros(len(media), width), torch.zeros(len(media), dtype=torch.bool)
    for number, vector in found.items():
        vectors[number], known[number] = vector, True
    return Features(vectors, known)


def _first() -> bool:
    return not dist.is_initialized() or dist.get_rank() == 0


def _told(found: Features | None) -> Features | None:
    """Returns what the first rank found: were some to compute and others not, they would wait for ever."""
    if not dist.is_initialized():
        return found
    box = [found]
    dist.broadcast_object_list(box)
    return box[0]


def _cached(path: Path) -> Features | None:
    try:
        found = load_file(path)
        return Features(found["vectors"], found["known"])
    except (OSError, KeyError, SafetensorError):  # not there, or not whole: computed again
        return None


def _state(media: Media) -> tuple[int, int]:
    """Returns size and time of a medium's file, zeros where it is missing."""
    try:
        status = media.path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
