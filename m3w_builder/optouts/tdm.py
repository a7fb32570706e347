"""The TDM Reservation Protocol (W3C community group, final report of 10 May 2024).

1 reserves, 0 permits, anything else says nothing. A tdm-policy offers a licence and lifts nothing.
"""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from m3w_builder.optouts.paths import Pattern, path_of
from m3w_builder.optouts.robots import MAX_BYTES, MAX_FOUND, is_markup
from m3w_builder.types import OptOut

NAME = "tdm-reservation"
MAX_RULES = 10_000


class TdmRule(NamedTuple):
    """One object of the file."""

    reserved: bool
    pattern: Pattern
    text: str  # as it is written


@dataclass(frozen=True, slots=True)
class TdmRep:
    """What a /.well-known/tdmrep.json says."""

    rules: tuple[TdmRule, ...] = ()

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Returns the rules in their order; what is not JSON, or not of this shape, says nothing."""
        if is_markup(body) or len(body) > MAX_BYTES:
            return cls()
        try:
            data = json.loads(body.decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError):
            return cls()
        rows = data if isinstance(data, list) else [data]
        return cls(tuple(rule for row in rows[:MAX_RULES] if (rule := _rule(row))))

    def rule(self, url: str) -> TdmRule | None:
        """Returns the first rule in sequence whose location matches the URL's path."""
        path = path_of(url)
        return next((rule for rule in self.rules if rule.pattern.matches(path)), None)

    def allows(self, url: str) -> bool:
        rule = self.rule(url)
        return rule is None or not rule.reserved

    def optout(self, url: str, *, where: str, when: str) -> OptOut | None:
        """Returns the evidence where the rights in a URL are reserved; `where` is the file's URL."""
        rule = self.rule(url)
        if rule is None or not rule.reserved:
            return None
        return OptOut("tdmrep.json", where, rule.text[:MAX_FOUND], when)


def _rule(row: Any) -> TdmRule | None:
    if not isinstance(row, dict) or not isinstance(location := row.get("location"), str):
        return None
    reserved = reservation(str(row.get(NAME)))
    if reserved is None or not location.strip():
        return None
    pattern = Pattern.parse(location.strip().encode("utf-8", "replace"))
    return TdmRule(reserved, pattern, json.dumps(row, sort_keys=True))


def reservation(value: str) -> bool | None:
    """Returns True for 1, False for 0, None for what says neither ("unset")."""
    return {"1": True, "0": False}.get(value.strip().strip("\"'"))
