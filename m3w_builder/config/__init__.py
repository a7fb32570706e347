"""The configuration: every threshold a named constant with its source, every key validated.

`load(path)` reads TOML; an unknown key, a wrong type or an impossible threshold is a `ConfigError` that
names the key, what was expected and what was found. `default_toml()` prints the whole default with comments.
"""

import json
import tomllib
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError, model_validator

from m3w_builder.config.capfilt import CapfiltConfig
from m3w_builder.config.corpus import CorpusConfig, DecontaminateConfig, DedupConfig
from m3w_builder.config.people import PrivacyConfig, SafetyConfig
from m3w_builder.config.rules import RulesConfig
from m3w_builder.config.section import Section
from m3w_builder.config.stages import (
    DEFAULT_RIGHTS,
    FRAMES_PER_SECOND,
    MAX_IMAGE_PIXELS,
    ExtractConfig,
    FetchConfig,
    RightsConfig,
    SelectConfig,
    Signal,
    WriteConfig,
)
from m3w_builder.errors import ConfigError

__all__ = [
    "DEFAULT_RIGHTS",
    "FRAMES_PER_SECOND",
    "MAX_IMAGE_PIXELS",
    "CapfiltConfig",
    "Config",
    "CorpusConfig",
    "DecontaminateConfig",
    "DedupConfig",
    "ExtractConfig",
    "FetchConfig",
    "PrivacyConfig",
    "RightsConfig",
    "RulesConfig",
    "SafetyConfig",
    "Section",
    "SelectConfig",
    "Signal",
    "WriteConfig",
    "deciding",
    "default_toml",
    "digest",
    "ignoring",
    "load",
    "parse",
    "with_archives",
]


class Config(Section):
    """The whole configuration, a table per stage and per kind of rule."""

    extract: ExtractConfig = ExtractConfig()
    rights: RightsConfig = RightsConfig()
    fetch: FetchConfig = FetchConfig()
    capfilt: CapfiltConfig = CapfiltConfig()
    rules: RulesConfig = RulesConfig()
    safety: SafetyConfig = SafetyConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    corpus: CorpusConfig = CorpusConfig()
    dedup: DedupConfig = DedupConfig()
    decontaminate: DecontaminateConfig = DecontaminateConfig()
    select: SelectConfig = SelectConfig()
    write: WriteConfig = WriteConfig()

    @model_validator(mode="after")
    def _frames_can_be_had(self) -> "Config":
        asked, stored = self.rules.min_video_frames, self.fetch.max_frames
        if asked > stored:
            raise ValueError(
                f"rules.min_video_frames = {asked} is above fetch.max_frames = {stored}"
            )
        return self


def load(path: Path | None) -> Config:
    """Returns the configuration of a TOML file, or the default for None."""
    if path is None:
        return Config()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: expected a readable TOML file: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected TOML: {error}") from error
    return parse(table, str(path))


def parse(table: dict[str, Any], origin: str = "configuration") -> Config:
    """Returns the validated configuration of a parsed TOML table."""
    try:
        # Through JSON: strict mode takes a JSON array for a tuple, but not a Python list.
        return Config.model_validate_json(json.dumps(_with_rules(table), default=str))
    except ValidationError as error:
        raise ConfigError("; ".join(f"{origin}: {_explain(e)}" for e in error.errors())) from error


def _with_rules(table: dict[str, Any]) -> dict[str, Any]:
    """Returns the table with what `[select]` held before there was `[rules]` in its place."""
    old, rules = table.get("select"), table.get("rules", {})
    if not isinstance(old, dict) or not isinstance(rules, dict):
        return table
    moved = {key: value for key, value in old.items() if key in RulesConfig.model_fields}
    kept = {key: value for key, value in old.items() if key not in moved}
    return {**table, "select": kept, "rules": {**moved, **rules}} if moved else table


def ignoring(config: Config, signals: Iterable[str]) -> Config:
    """Returns the configuration with further opt-out signals that are not respected."""
    ignored = tuple(dict.fromkeys((*config.rights.ignore, *signals)))
    rights = parse({"rights": {"ignore": ignored}}, "--ignore-optout").rights.ignore
    return config.model_copy(update={"rights": config.rights.model_copy(update={"ignore": rights})})


def with_archives(config: Config, patterns: Iterable[str]) -> Config:
    """Returns the configuration with further archives that serve what is gone."""
    archives = tuple(dict.fromkeys((*config.fetch.archives, *patterns)))
    return config.model_copy(
        update={"fetch": config.fetch.model_copy(update={"archives": archives})}
    )


def _explain(error: Any) -> str:
    """Returns one validation error as "key: expected ..., found ..."."""
    key = ".".join(str(part) for part in error["loc"]) or "configuration"
    found = json.dumps(error["input"], default=str)
    found = found if len(found) <= 60 else found[:57] + "..."
    if error["type"] == "extra_forbidden":
        known = _keys_beside(error["loc"])
        return f"{key}: unknown key (found {found}); expected one of {', '.join(known)}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{key}: {message}"
    message = message.replace("String should match pattern", "text that matches")
    expected = message.removeprefix("Input should be ").removeprefix("a valid ")
    return f"{key}: expected {expected}, found {found}"


def _keys_beside(loc: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = Config
    for part in loc[:-1]:
        annotation = section.model_fields[str(part)].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        section = annotation
    return list(section.model_fields)


def deciding(config: Config) -> tuple[Section, ...]:
    """Returns the tables that `select` decides by, all but the rights."""
    return (
        *(config.rules, config.safety, config.privacy, config.corpus, config.dedup),
        *(config.decontaminate, config.capfilt, config.select),
    )


def digest(*sections: BaseModel) -> str:
    """Returns 16 hex digits that change whenever a value in one of the sections does."""
    text = "\n".join(json.dumps(s.model_dump(mode="json"), sort_keys=True) for s in sections)
    return sha256(text.encode()).hexdigest()[:16]


def default_toml() -> str:
    """Returns the default configuration as commented TOML; loading it gives the default again."""
    lines = ["# Every key with its default. Delete what you do not change."]
    for name, table in Config.model_fields.items():
        section = table.get_default()
        lines += ["", f"[{name}]  # {type(section).__doc__}"]
        for key, info in type(section).model_fields.items():
            comment = info.description or _bounds(info.metadata, info.annotation)
            value = json.dumps(section.model_dump(mode="json")[key])
            lines.append(f"{key} = {value}" + (f"  # {comment}" if comment else ""))
    return "\n".join(lines) + "\n"


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
