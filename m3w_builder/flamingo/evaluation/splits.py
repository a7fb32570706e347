"""Which cases are asked and which are shown: drawn by hash, disjoint in their pictures (F2 B.1.4)."""

from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256

from m3w_builder.errors import InputError
from m3w_builder.flamingo.evaluation.cases import Case, Cases, Task
from m3w_builder.flamingo.evaluation.prompts import ZERO_SHOT_EXAMPLES
from m3w_builder.flamingo.evaluation.settings import Settings

SHARE = 2  # one case in so many becomes support where a copy has no set to take shots from


def disjoint(cases: Cases, task: Task, settings: Settings) -> Cases:
    """Returns the cases to ask and to show, each in the order of the copy.

    No picture is in both. A copy without a support set gives at most half of its pictures to one.
    Raises InputError where shots cannot be had.
    """
    labelled = task.form == "class"
    size = settings.support or task.support
    if cases.support:
        asked = {case.media.key for case in cases.query}
        query, support = cases.query, [c for c in cases.support if c.media.key not in asked]
    else:
        query, support = _parted(cases.query, size, settings.seed, labelled)
    count = task.queries if settings.queries is None else settings.queries
    chosen = Cases(
        _sampled(query, count, settings.seed, labelled),
        _sampled([c for c in support if c.output.strip()], size, settings.seed, labelled),
        cases.labels,
    )
    most = max(settings.shots)
    needed = most if most or task.closed else ZERO_SHOT_EXAMPLES
    if len(chosen.support) < needed:
        raise InputError(
            f"{task.name}: expected {needed} cases to show before a query, found {len(chosen.support)}:"
            " ask for fewer --shots"
        )
    return chosen


def _parted(
    cases: Sequence[Case], size: int, seed: int, labelled: bool
) -> tuple[list[Case], list[Case]]:
    """Returns query and support: whole pictures, at most `size` cases (per class) to the support."""
    groups = defaultdict[str, list[Case]](list)
    for case in cases:
        groups[case.media.key].append(case)
    classes = defaultdict[str, list[list[Case]]](list)
    for group in sorted(groups.values(), key=lambda group: min(_lot(seed, case) for case in group)):
        classes[group[0].output if labelled else ""].append(group)
    support = set[str]()
    for members in classes.values():
        taken = 0
        for group in members[: len(members) // SHARE]:
            if taken + len(group) > size:
                break
            taken += len(group)
            support.add(group[0].media.key)
    query = [case for case in cases if case.media.key not in support]
    return query, [case for case in cases if case.media.key in support]


def _sampled(cases: Sequence[Case], count: int, seed: int, labelled: bool) -> list[Case]:
    """Returns `count` cases (per class), all for 0, in their order."""
    if not count:
        return list(cases)
    classes = defaultdict[str, list[Case]](list)
    for case in cases:
        classes[case.output if labelled else ""].append(case)
    kept = {
        case.id
        for members in classes.values()
        for case in sorted(members, key=lambda case: _lot(seed, case))[:count]
    }
    return [case for case in cases if case.id in kept]


def _lot(seed: int, case: Case) -> bytes:
    return sha256(f"{seed}/{case.id}".encode("utf-8", "surrogateescape")).digest()
