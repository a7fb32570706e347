"""Takedowns that later builds obey: lists of what `m3w remove` took out (`removed.txt` in a dataset's folder).

A line is a domain (with all below it), an address, an address with a star behind it (all that begins so) or the
sha256 of a file; `#` comments. Only `select` asks: a takedown must not fetch the whole dataset again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from m3w_builder.config import RightsConfig, digest
from m3w_builder.dedup import page_key
from m3w_builder.files import ReadOnce
from m3w_builder.optouts import OptOutLists
from m3w_builder.types import OptOut

REMOVED = "removed.txt"
REASON = "removed"


@dataclass(frozen=True, slots=True)
class Tombstones:
    """What was taken down. `digest` changes when a line of a list does."""

    lists: OptOutLists

    @property
    def digest(self) -> str:
        return self.lists.digest

    @classmethod
    def of(cls, name: str, lines: Iterable[str]) -> "Tombstones":
        """Returns the takedowns of lines that are in memory."""
        body = "\n".join(lines).encode()
        return cls(OptOutLists.read([(Path(name), body)], signal=REASON, key=page_key))

    def find(self, urls: Iterable[str], sha256s: Iterable[str] = ()) -> OptOut | None:
        """Returns the takedown of a page or a medium, None if there is none.

        `urls` are the canonical addresses that it is known by (asked for, redirected to), `sha256s` those of its
        bytes: as received, as stored, of the frames of a video.
        """
        by_url = next(filter(None, map(self.lists.url, urls)), None)
        return by_url or next(filter(None, map(self.lists.sha256, sha256s)), None)


def tombstones(paths: tuple[str, ...]) -> Tombstones:
    """Returns the takedowns of these files, as they were when `removal_digest` was last asked."""
    return _TOMBSTONES(paths)


def _load(paths: tuple[str, ...]) -> Tombstones:
    lists = OptOutLists.load(paths, setting="rights.removed", signal=REASON, key=page_key)
    return Tombstones(lists)


_TOMBSTONES = ReadOnce(_load)


def with_removed(rights: RightsConfig, output: Path) -> RightsConfig:
    """Returns the rights for a build into a folder: what was taken down there is obeyed, too."""
    own = output / REMOVED
    if not own.is_file() or str(own) in rights.removed:
        return rights
    return rights.model_copy(update={"removed": (*rights.removed, str(own))})


def removal_digest(rights: RightsConfig) -> str:
    """Returns what changes when what `select` alone asks of the rights does: takedowns, licences.

    Neither the names of the lists nor their place are part of it.
    """
    asked = RightsConfig(licences=rights.licences)
    return f"{digest(asked)} {_TOMBSTONES.current(rights.removed).digest}"
