"""robots.txt (RFC 9309) and Spawning's ai.txt, which has the same groups.

Read as the RFC and Google's parser read it: groups of one agent are merged, unknown lines do not
divide a group, the longest pattern wins, Allow wins a tie. Compared with protego 0.7, which finds
"m3w" in "m3w-builder" and does not tell which line decided.
"""

import codecs
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

from m3w_builder.optouts.paths import Pattern, path_of
from m3w_builder.types import OptOut

MAX_BYTES = 500 * 1024  # RFC 9309, 2.5: a crawler reads at least 500 KiB
MAX_FOUND = 200  # characters of evidence
_AGENT = ("user-agent", "useragent", "user agent")
_ALLOW = ("allow",)
# The misspellings that Google's parser takes for "disallow".
_DISALLOW = ("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw")
_DELAY = ("crawl-delay", "request-rate")
_LINES = re.compile(rb"\r\n|\r|\n")
_RATE = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*([smhd]?)", re.I)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class Rule(NamedTuple):
    """One Allow or Disallow line; sorted, the first that matches decides."""

    allow: bool
    pattern: Pattern
    line: str  # as it is written

    def order(self) -> tuple[int, bool]:
        return -self.pattern.octets, not self.allow


_REFUSED = Pattern.parse(b"/")


@dataclass(frozen=True, slots=True)
class _Group:
    """What the groups of one agent say together."""

    rules: tuple[Rule, ...] = ()
    delay: float | None = None

    def rule(self, path: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.pattern.matches(path)), None)


@dataclass(frozen=True, slots=True)
class Robots:
    """What a robots.txt says to one agent."""

    group: _Group = _Group()

    @classmethod
    def parse(cls, body: bytes, agent: str) -> Self:
        """Returns the rules for a product token; a body that is a web page says nothing."""
        return cls(_group(body, agent))

    @classmethod
    def of_answer(cls, status: int | None, body: bytes, agent: str) -> Self:
        """Returns what an answer means (RFC 9309, 2.3.1); None is no answer at all.

        2xx is read, 4xx is no robots.txt: all is allowed. A server in trouble (5xx, 429, none)
        disallows everything until it answers.
        """
        if status is not None and 200 <= status < 300:
            return cls.parse(body, agent)
        if status is not None and status < 500 and status != 429:
            return cls()
        return cls(_Group((Rule(False, _REFUSED, f"unreachable: {status or 'no answer'}"),)))

    def rule(self, url: str) -> Rule | None:
        """Returns the line that decides about a URL, None where none matches: it is allowed."""
        path = path_of(url)
        return None if path == "/robots.txt" else self.group.rule(path)

    def allows(self, url: str) -> bool:
        rule = self.rule(url)
        return rule is None or rule.allow

    def optout(self, url: str, *, where: str, when: str) -> OptOut | None:
        """Returns the evidence where the URL may not be asked for; `where` is robots.txt's URL."""
        return _optout("robots.txt", self.rule(url), where, when)

    @property
    def delay(self) -> float | None:
        """Seconds between two requests, as Crawl-delay or Request-rate ask for; the longer one."""
        return self.group.delay


@dataclass(frozen=True, slots=True)
class AiTxt:
    """What an ai.txt says to one agent about the use for training (Spawning, site.spawning.ai)."""

    group: _Group = _Group()

    @classmethod
    def parse(cls, body: bytes, agent: str) -> Self:
        """Returns the rules for a product token; "*.jpg" means the names that end so."""
        group = _group(body, agent)
        rules = sorted((_media_type(rule) for rule in group.rules), key=Rule.order)
        return cls(_Group(tuple(rules), group.delay))

    @classmethod
    def of_answer(cls, status: int | None, body: bytes, agent: str) -> Self:
        """Returns what an answer means: a file that is not there, or cannot be had, says nothing."""
        found = status is not None and 200 <= status < 300
        return cls.parse(body, agent) if found else cls()

    def rule(self, url: str, formats: tuple[str, ...] = ()) -> Rule | None:
        """Returns the line that decides: about the URL's path, or its media type by file ending.

        `formats` are the endings of what the answer is ("jpg", "jpeg"), for URLs that have none.
        """
        path = path_of(url).partition("?")[0]
        found = [self.group.rule(p) for p in (path, *(f"{path}.{end}" for end in formats))]
        return min((rule for rule in found if rule), key=Rule.order, default=None)

    def allows(self, url: str, formats: tuple[str, ...] = ()) -> bool:
        rule = self.rule(url, formats)
        return rule is None or rule.allow

    def optout(
        self, url: str, *, where: str, when: str, formats: tuple[str, ...] = ()
    ) -> OptOut | None:
        """Returns the evidence where the URL may not be used; `where` is ai.txt's URL."""
        return _optout("ai.txt", self.rule(url, formats), where, when)


def _media_type(rule: Rule) -> Rule:
    """Returns a rule such as "Disallow: *.c" so that it does not match "a.css"."""
    ending = rule.pattern.parts[-1]
    is_ending = len(rule.pattern.parts) == 2 and re.fullmatch(r"\.[a-zA-Z0-9]+", ending)
    if is_ending and not rule.pattern.parts[0]:
        pattern = Pattern(rule.pattern.parts, True, rule.pattern.octets)
        return rule._replace(pattern=pattern)
    return rule


def _optout(signal: str, rule: Rule | None, where: str, when: str) -> OptOut | None:
    if rule is None or rule.allow:
        return None
    return OptOut(signal, where, rule.line[:MAX_FOUND], when)


def is_markup(body: bytes) -> bool:
    """Tells an HTML or XML page that a server sends in place of a file it does not have."""
    return body[:1024].lstrip(codecs.BOM_UTF8 + b" \t\r\n\x0b\x0c\x00").startswith(b"<")


def _group(body: bytes, agent: str) -> _Group:
    """Returns the merged groups that name the agent, else those of "*"."""
    if is_markup(body):
        return _Group()
    ours: tuple[list[Rule], list[float]] = ([], [])
    everyone: tuple[list[Rule], list[float]] = ([], [])
    named = False
    agents: set[str] = set()
    in_rules = True
    for key, value, line in _fields(body):
        if key in _AGENT:
            if in_rules:
                agents, in_rules = set(), False
            agents.add(_token(value))
            named = named or agent.lower() in agents
            continue
        # Only rules end the list of agents: other lines do not interfere (RFC 9309, 2.2.4).
        in_rules = in_rules or key in _ALLOW or key in _DISALLOW
        for name, (rules, delays) in ((agent.lower(), ours), ("*", everyone)):
            if name not in agents:
                continue
            if key in _DELAY:
                delays.extend(_seconds(key, value))
            elif value and (key in _ALLOW or key in _DISALLOW):
                rules.append(Rule(key in _ALLOW, Pattern.parse(value), line))
    rules, delays = ours if named else everyone
    return _Group(tuple(sorted(rules, key=Rule.order)), max(delays, default=None))


def _fields(body: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Yields key in lower case, value and the line as written, of each line that has both."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        body = body[: 2 * MAX_BYTES].decode("utf-16", "replace").encode()
    lines = _LINES.split(body[:MAX_BYTES].removeprefix(codecs.BOM_UTF8))
    if len(body) > MAX_BYTES:
        lines.pop()  # cut in the middle, it may say something else
    for raw in lines:
        line = raw.partition(b"#")[0].strip(b" \t\x00\x0b\x0c")
        key, colon, value = line.partition(b":")
        if not colon:
            key, _, value = line.partition(b" ")  # "User-agent *": Google's parser takes it
        if key:
            text = line.decode("utf-8", "replace")
            yield key.strip().lower().decode("ascii", "replace"), value.strip(), text


def _token(value: bytes) -> str:
    """Returns the product token of a User-agent line, without version and comment."""
    words = value.decode("ascii", "replace").lower().partition("/")[0].split()
    token = words[0] if words else ""
    return token if token == "*" else token.rstrip("*")


def _seconds(key: str, value: bytes) -> Iterator[float]:
    """Yields the seconds between two requests, if the value gives a number of them."""
    text = value.decode("ascii", "replace")
    if key == "request-rate":
        if (match := _RATE.match(text)) and int(match[1]):
            yield int(match[2]) * _SECONDS[match[3].lower()] / int(match[1])
        return
    try:
        seconds = float(text)
    except ValueError:
        return
    if math.isfinite(seconds) and seconds >= 0:
        yield seconds
