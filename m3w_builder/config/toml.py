"""Tables of TOML into frozen sections and back: every message names the key, what was expected, what was found."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from m3w_builder.config.section import Section
from m3w_builder.errors import ConfigError

Whole = TypeVar("Whole", bound=Section)


def read(path: Path) -> dict[str, Any]:
    """Returns the parsed table of a TOML file; raises ConfigError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: expected a readable TOML file: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected TOML: {error}") from error


def validated(kind: type[Whole], table: dict[str, Any], origin: str) -> Whole:
    """Returns the section of a table; raises ConfigError with a clause per wrong key."""
    try:
        # Through JSON: strict mode takes a JSON array for a tuple, but not a Python list.
        return kind.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise ConfigError(
            "; ".join(f"{origin}: {_explain(kind, e)}" for e in error.errors())
        ) from error


def named(folder: Path) -> tuple[str, ...]:
    """Returns the names of the presets in a folder."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def preset(folder: Path, name: Any, origin: str) -> dict[str, Any]:
    """Returns the table of the preset of that name; raises ConfigError where there is none."""
    if name not in named(folder):
        raise ConfigError(
            f"{origin}: preset: expected one of {', '.join(named(folder))}, found {json.dumps(name)}"
        )
    return read(folder / f"{name}.toml")


def merged(table: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Returns a table with another one's keys over its own; a list is replaced as a whole."""
    both = {
        key: merged(table[key], value)
        for key, value in over.items()
        if isinstance(value, dict) and isinstance(table.get(key), dict)
    }
    return {**table, **over, **both}


def _explain(kind: type[Section], error: Any) -> str:
    """Returns one validation error as "key: expected ..., found ..."."""
    key = ".".join(str(part) for part in error["loc"]) or "configuration"
    found = json.dumps(error["input"], default=str)
    found = found if len(found) <= 60 else found[:57] + "..."
    if error["type"] == "extra_forbidden":
        known = _keys_beside(kind, error["loc"])
        return f"{key}: unknown key (found {found}); expected one of {', '.join(known)}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{key}: {message}"
    message = message.replace("String should match pattern", "text that matches")
    expected = message.removeprefix("Input should be ").removeprefix("a valid ")
    return f"{key}: expected {expected}, found {found}"


def _keys_beside(kind: type[Section], loc: tuple[int | str, ...]) -> list[str]:
    """Returns the keys of the innermost table that the loc of an error goes through."""
    section: type[BaseModel] = kind
    for part in loc[:-1]:
        if part in section.model_fields:  # else the key of a dict, or a place in a list
            section = _section_in(section.model_fields[str(part)].annotation)
    return list(section.model_fields)


def _section_in(annotation: Any) -> type[BaseModel]:
    """Returns the kind of table that an annotation names: itself, or in a tuple or a dict."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(_section_in(inner) for inner in reversed(get_args(annotation)) if inner is not ...)


def as_toml(config: Section) -> str:
    """Returns a configuration as commented TOML; loading it gives the same again."""
    lines = ["# Every key with its value. Delete what you do not change."]
    for name in type(config).model_fields:
        found = getattr(config, name)
        tables = {name: found} if isinstance(found, Section) else _below(name, found)
        for title, section in tables.items():
            lines += ["", f"[{title}]  # {type(section).__doc__}", *_values(section)]
    return "\n".join(lines) + "\n"


def _below(name: str, sections: dict[str, Section]) -> dict[str, Section]:
    return {f"{name}.{key}": section for key, section in sections.items()}


def _values(section: Section) -> Iterator[str]:
    values = section.model_dump(mode="json")
    for key, info in type(section).model_fields.items():
        if values[key] is not None:
            comment = info.description or _bounds(info.metadata, info.annotation)
            yield f"{key} = {_toml(values[key])}" + (f"  # {comment}" if comment else "")


def _toml(value: Any) -> str:
    """Returns a TOML value: tables inline, without keys that have none."""
    if isinstance(value, dict):
        pairs = (f"{_key(key)} = {_toml(v)}" for key, v in value.items() if v is not None)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # A JSON string is a TOML string but for DEL, which TOML wants escaped, and escaped surrogates.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else _toml(key)


def _bounds(metadata: list[Any], annotation: Any) -> str:
    """Returns the bounds of a field without a description, from its type."""
    words = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    found = [
        f"{sign} {getattr(m, name)}"
        for m in [*metadata, *get_args(annotation)[1:]]
        for name, sign in words.items()
        if getattr(m, name, None) is not None
    ]
    return " and ".join(found)
