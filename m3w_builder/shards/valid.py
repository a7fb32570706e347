"""JSON Schema as one-line messages; what a schema cannot say (parallel lists) `check` tests."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from schemas import load

LONGEST = 200  # characters of a message: a schema error quotes the value


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(load(name))


def problems(name: str, value: Any) -> Iterator[str]:
    """Yields what makes `value` differ from a JSON Schema: sample, manifest_row or reject_row."""
    for error in _validator(name).iter_errors(value):
        where = error.json_path.removeprefix("$").removeprefix(".")
        message = " ".join(f"{where}: {error.message}".removeprefix(": ").split())
        yield message if len(message) <= LONGEST else f"{message[: LONGEST - 3]}..."
