"""What each host says about itself: robots.txt, ai.txt and tdmrep.json, asked once and kept on disk.

A record is a JSON file with the answers and their time: the evidence behind an opt-out, and what a resumed
or another worker reads instead of asking again.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

from m3w_builder.errors import MediaError
from m3w_builder.files import write_text
from m3w_builder.optouts import AiTxt, Robots, TdmRep
from m3w_builder.types import OptOut

ROBOTS, AI, TDM = "/robots.txt", "/ai.txt", "/.well-known/tdmrep.json"
FILES = (ROBOTS, AI, TDM)
MAX_AGE = timedelta(hours=24)  # then they are asked for again (RFC 9309, 2.4)
MAX_BYTES = 2**20  # of one of the files; of robots.txt 500 KiB are read (RFC 9309, 2.5)

# Status and body of a URL; raises MediaError where there is no answer.
Ask = Callable[[str], tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Site:
    """What one origin (scheme, host and port) says."""

    origin: str
    when: str
    robots: Robots
    ai: AiTxt
    tdm: TdmRep

    def optouts(self, url: str) -> list[OptOut]:
        """Returns what is reserved for a URL."""
        found = (
            self.robots.optout(url, where=self.origin + ROBOTS, when=self.when),
            self.of_type(url, ()),
            self.tdm.optout(url, where=self.origin + TDM, when=self.when),
        )
        return [optout for optout in found if optout]

    def of_type(self, url: str, formats: tuple[str, ...]) -> OptOut | None:
        """Returns what ai.txt reserves for a URL whose media type has these file endings."""
        return self.ai.optout(url, where=self.origin + AI, when=self.when, formats=formats)


class _Entry:
    """One origin: its site once it is known, or why it is not."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.site: Site | None = None
        self.error: MediaError | None = None
        self.asked = 0


class Records:
    """The sites this worker knows; `folder` None keeps them in memory alone."""

    def __init__(self, ask: Ask, agent: str, folder: Path | None, attempts: int) -> None:
        self._ask = ask
        self._agent = agent
        self._folder = folder
        self._attempts = attempts
        self._entries: dict[str, _Entry] = {}
        self._lock = Lock()

    def site(self, url: str) -> Site:
        """Returns the site of a URL, asked for at most once; raises MediaError while it cannot be known.

        A robots.txt that cannot be had forbids everything (RFC 9309, 2.3.1.4), unlike one that is not
        there. It is asked for again at the next call, but a few times only.
        """
        origin, entry = self._entry(url)
        with entry.lock:
            if entry.site is None or not _is_fresh(entry.site.when):
                if entry.error is not None and entry.asked >= self._attempts:
                    raise type(entry.error)(entry.error.reason, entry.error.detail)
                entry.asked += 1
                try:
                    entry.site = self._kept(origin) or self._asked(origin)
                except MediaError as error:
                    entry.error = error
                    raise
            return entry.site

    def known(self, url: str) -> Site | None:
        """Returns the site of a URL if it was asked for."""
        return self._entry(url)[1].site

    def forgive(self) -> None:
        """Forgets the origins that could not be known."""
        with self._lock:
            self._entries = {name: e for name, e in self._entries.items() if e.site is not None}

    def _entry(self, url: str) -> tuple[str, _Entry]:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            return origin, self._entries.setdefault(origin, _Entry())

    def _kept(self, origin: str) -> Site | None:
        path = self._path(origin)
        if path is None or not path.exists():
            return None
        record = json.loads(path.read_text(encoding="utf-8"))
        if not _is_fresh(record["when"]):
            return None
        answers = {
            name: (answer["status"], answer["body"].encode("latin-1"))
            for name, answer in record["answers"].items()
        }
        return self._read(origin, record["when"], answers)

    def _asked(self, origin: str) -> Site:
        when = now()
        answers: dict[str, tuple[int, bytes]] = {ROBOTS: self._robots(origin)}
        for name in (AI, TDM):
            try:
                answers[name] = self._ask(origin + name)
            except MediaError:  # a file that cannot be had says nothing
                answers[name] = (0, b"")
        if path := self._path(origin):
            record = {
                "origin": origin,
                "when": when,
                "answers": {
                    name: {"status": status, "body": body.decode("latin-1")}
                    for name, (status, body) in answers.items()
                },
            }
            write_text(path, json.dumps(record, ensure_ascii=False))
        return self._read(origin, when, answers)

    def _robots(self, origin: str) -> tuple[int, bytes]:
        try:
            status, body = self._ask(origin + ROBOTS)
        except MediaError as error:
            if error.reason in ("too_many_redirects", "bad_redirect", "empty_body"):
                return 404, b""  # "unavailable" (RFC 9309, 2.3.1.2 and 2.3.1.3), or nothing in it
            raise
        if status >= 500 or status == 429:
            raise MediaError("robots_unreachable", f"{origin}{ROBOTS}: status {status}")
        return status, body

    def _read(self, origin: str, when: str, answers: dict[str, tuple[int, bytes]]) -> Site:
        return Site(
            origin,
            when,
            Robots.of_answer(*answers[ROBOTS], self._agent),
            AiTxt.of_answer(*answers[AI], self._agent),
            TdmRep.parse(answers[TDM][1] if answers[TDM][0] == 200 else b""),
        )

    def _path(self, origin: str) -> Path | None:
        name = sha256(origin.encode()).hexdigest()[:16]
        return self._folder / f"{name}.json" if self._folder else None


def _is_fresh(when: str) -> bool:
    return datetime.now(UTC) - datetime.fromisoformat(when) < MAX_AGE


def now() -> str:
    """Returns the time as evidence: ISO 8601, UTC, seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
