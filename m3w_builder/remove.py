"""Takedown: pages and media out of finished shards, and a list of tombstones that later builds obey.

The tombstones are written before any shard: whatever is killed, a later build obeys, and the same command again
ends the work.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from m3w_builder import typical
from m3w_builder.dedup import page_key
from m3w_builder.errors import ConfigError
from m3w_builder.files import write_text
from m3w_builder.optouts import evidence
from m3w_builder.optouts.lists import entries
from m3w_builder.samples import Record, canonical_json
from m3w_builder.shards import (
    EXAMPLES,
    Removal,
    Rewritten,
    changing,
    open_dataset,
    read_examples,
    rewrite,
    thin_out,
)
from m3w_builder.tombstones import REASON, REMOVED, Tombstones
from m3w_builder.types import OptOut

_HEAD = "# Taken down by m3w remove: later builds obey this list (docs/rights.md).\n"
_EXPECTED = {
    "url": "an http(s) address",
    "domain": "the name of a host",
    "sha256": "64 hex digits",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing to take down: the line of the tombstone, and what is found under it."""

    line: str
    entry: str  # as Tombstones names it

    @property
    def detail(self) -> str:
        """What the rejects of it say."""
        return evidence(OptOut(REASON, REMOVED, self.entry, ""))


@dataclass(frozen=True, slots=True)
class Takedown:
    """What a takedown did, or would do."""

    rewritten: Rewritten
    unmatched: tuple[str, ...]  # lines that nothing in the shards falls under
    work: tuple[Path, ...] = field(
        default=()
    )  # stages that still hold texts and bytes as they came


def asked_for(
    urls: Sequence[str] = (),
    domains: Sequence[str] = (),
    sha256s: Sequence[str] = (),
    lists: Sequence[Path] = (),
    *,
    prefix: bool = False,
) -> list[Asked]:
    """Returns what the options name, each once, sorted; raises ConfigError for what is none of it.

    A URL is one address unless a star ends it or `prefix` is set: then all that begins so is meant.
    """
    options = (("url", urls), ("domain", domains), ("sha256", sha256s))
    found = [one for kind, values in options for value in values for one in _named(kind, value)]
    for path in lists:
        try:
            body = path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"--list {path}: expected a readable file: {error.strerror}"
            ) from error
        found += entries(path, body)
    if not found:
        raise ConfigError("expected at least one --url, --domain, --sha256 or line of a --list")
    return sorted({_asked(kind, entry, prefix) for kind, entry in found}, key=lambda a: a.line)


def _named(kind: str, value: str) -> Iterator[tuple[str, str]]:
    """Yields the entry of one option."""
    try:
        found = list(entries(Path(), value.encode("utf-8", "replace")))
    except ConfigError:
        found = []
    if [said.replace("prefix", "url") for said, _ in found] != [kind]:
        raise ConfigError(f"--{kind}: expected {_EXPECTED[kind]}, found {value[:80]!r}")
    yield from found


def _asked(kind: str, entry: str, prefix: bool) -> Asked:
    if kind == "prefix" or (kind == "url" and prefix):
        return Asked(f"{entry}*", entry.partition("//")[2])
    if kind == "url":
        return Asked(page_key(entry), page_key(entry).partition("//")[2])
    return Asked(entry, entry)


@dataclass(frozen=True, slots=True)
class Judge:
    """Says what of a sample is taken down: by its page the whole, else by the addresses and bytes of its media."""

    stones: Tombstones
    frames: Mapping[str, str] = field(default_factory=dict)  # of a video -> a frame taken down

    def __call__(self, record: Record) -> list[Removal]:
        if found := self.stones.find([record["url"]]):
            return [Removal(REASON, evidence(found))]
        return [
            removal
            for node, info in enumerate(record["info"])
            if info["type"] != "text"
            for removal in self._medium(node, info)
        ]

    def _medium(self, node: int, info: Record) -> Iterator[Removal]:
        digests = [info["sha256"], info.get("source_sha256", "")]
        digests += [frame["sha256"] for frame in info.get("frames", ())]
        digests.append(self.frames.get(info["sha256"], ""))
        if found := self.stones.find([info["url"], info["final_url"]], digests):
            yield Removal(REASON, evidence(found), node)
            return
        for number, track in enumerate(info.get("subtitles", ())):
            if found := self.stones.find([track["url"]], [track["sha256"]]):
                yield Removal(REASON, evidence(found), node, number)


def remove(
    folder: Path,
    asked: Sequence[Asked],
    *,
    why: str = "",
    today: str,
    workers: int = 1,
    dry_run: bool = False,
) -> Takedown:
    """Takes pages and media out of a finished dataset and keeps a tombstone of each line.

    `today` (ISO 8601) and `why` stand beside the tombstones. What is not in the shards gets a tombstone all the
    same. Raises what `shards.rewrite` raises.
    """
    stones = Tombstones.of(REMOVED, (one.line for one in asked))
    if dry_run:
        done = rewrite(folder, _judge(folder, stones), workers=workers, dry_run=True)
    else:
        with changing(folder):
            bury(folder, (one.line for one in asked), why, today)
            done = thin_out(folder, _judge(folder, stones), workers)
            _forget_examples(folder, stones)
    details = {reject.detail for reject in done.rejects}
    unmatched = tuple(one.line for one in asked if one.detail not in details)
    stages = (*folder.glob("work/extract-*"), *folder.glob("work/fetch-*"))
    return Takedown(done, unmatched, tuple(sorted(stages)))


def _forget_examples(folder: Path, stones: Tombstones) -> None:
    """Takes what is taken down out of the examples of drops, too: they have words and thumbnails of it."""
    found = read_examples(folder)
    if found is None:
        return

    def is_removed(example: Record) -> bool:
        known = [example["url"], example.get("page", ""), *example.get("media", ())]
        return stones.find(known, known) is not None

    left = typical.forget(found, is_removed)
    if left != found:
        write_text(folder / EXAMPLES, canonical_json(left) + "\n")


def _judge(folder: Path, stones: Tombstones) -> Judge:
    """Returns the judge of a dataset: a frame taken down takes its video everywhere.

    A pair holds the middle of a long video alone, a page all of it.
    """
    if not any(lists.hashes for lists in stones.lists.lists):
        return Judge(stones)
    frames = {
        info["sha256"]: frame["sha256"]
        for record in open_dataset(folder).records()
        for info in record["info"]
        for frame in info.get("frames", ())
        if stones.find([], [frame["sha256"]])
    }
    return Judge(stones, frames)


def bury(folder: Path, lines: Iterable[str], why: str, today: str) -> None:
    """Adds lines to the tombstones of a folder, but for those that are there."""
    path = folder / REMOVED
    text = path.read_text(encoding="utf-8") if path.is_file() else _HEAD
    text += "" if text.endswith("\n") else "\n"
    known = set(text.splitlines())
    if new := [line for line in lines if line not in known]:
        reason = ": ".join(filter(None, (today, " ".join(why.split()))))
        write_text(path, "\n".join([f"{text}# {reason}", *new, ""]))
