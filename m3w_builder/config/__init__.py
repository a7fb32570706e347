"""The configuration: every threshold a named constant with its source, every key validated.

`load(path)` reads TOML; an unknown key, a wrong type or an impossible threshold is a `ConfigError` that
names the key, what was expected and what was found. `preset = "obelics"` in it starts from that recipe
instead of the defaults. `as_toml(config)` prints the whole, with comments.
"""

import json
import re
import tomllib
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError, model_validator

from m3w_builder.config.capfilt import CapfiltConfig
from m3w_builder.config.corpus import CorpusConfig, DecontaminateConfig, DedupConfig
from m3w_builder.config.people import PrivacyConfig, SafetyConfig
from m3w_builder.config.rules import Bound, RulesConfig, Thresholds
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
    "Bound",
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
    "Thresholds",
    "WriteConfig",
    "as_toml",
    "deciding",
    "default_toml",
    "digest",
    "ignoring",
    "load",
    "parse",
    "preset",
    "presets",
    "with_archives",
]


PRESETS = Path(__file__).parent / "presets"
DEFAULT_PRESET = "flamingo"


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


def load(path: Path | None, preset: str = "") -> Config:
    """Returns the configuration of a TOML file, or of a preset alone for None.

    The file's keys win over those of the preset, `preset` over the one that the file names.
    """
    table = _read(path) if path else {}
    if preset:
        table["preset"] = preset
    return parse(table, str(path) if path else "--preset")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: expected a readable TOML file: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected TOML: {error}") from error


def parse(table: dict[str, Any], origin: str = "configuration") -> Config:
    """Returns the validated configuration of a parsed TOML table."""
    name = table.get("preset", DEFAULT_PRESET)
    if name not in presets():
        raise ConfigError(
            f"{origin}: preset: expected one of {', '.join(presets())}, found {json.dumps(name)}"
        )
    own = {key: value for key, value in _with_rules(table).items() if key != "preset"}
    try:
        # Through JSON: strict mode takes a JSON array for a tuple, but not a Python list.
        return Config.model_validate_json(json.dumps(_merged(preset(name), own), default=str))
    except ValidationError as error:
        raise ConfigError("; ".join(f"{origin}: {_explain(e)}" for e in error.errors())) from error


def presets() -> tuple[str, ...]:
    """Returns the names of the recipes in config/presets/."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.toml")))


def preset(name: str) -> dict[str, Any]:
    """Returns the table of one of `presets()`."""
    return _read(PRESETS / f"{name}.toml")


def _merged(table: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Returns a table with another one's keys over its own; a list is replaced as a whole."""
    both = {
        key: _merged(table[key], value)
        for key, value in over.items()
        if isinstance(value, dict) and isinstance(table.get(key), dict)
    }
    return {**table, **over, **both}


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
    """Returns the keys of the innermost table that the loc of an error goes through."""
    section: type[BaseModel] = Config
    for part in loc[:-1]:
        if part in section.model_fields:  # else the key of a dict, or a place in a list
            section = _section_in(section.model_fields[str(part)].annotation)
    return list(section.model_fields)


def _section_in(annotation: Any) -> type[BaseModel]:
    """Returns the kind of table that an annotation names: itself, or in a tuple or a dict."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(_section_in(inner) for inner in reversed(get_args(annotation)) if inner is not ...)


def deciding(config: Config) -> tuple[Section, ...]:
    """Returns the tables that `select` decides by, all but the rights.

    Without what others read (a mask is put on by `write`, the encoder is the decontaminate command's) and without
    where lists and datasets lie: whoever reads them has a digest of what is in them.
    """
    safety = config.safety.model_copy(
        update={"block_lists": (), "word_lists": (), "text_scorer": ""}
    )
    kept = {kind: "keep" for kind, handling in config.privacy if handling == "mask"}
    dedup = config.dedup.model_copy(update={"against": ()})
    unread = DecontaminateConfig()
    decontaminate = config.decontaminate.model_copy(
        update={"against": (), "encoder": unread.encoder, "min_cosine": unread.min_cosine}
    )
    return (
        *(config.rules, safety, config.privacy.model_copy(update=kept), config.corpus),
        *(dedup, decontaminate, config.capfilt, config.select),
    )


def digest(*sections: BaseModel) -> str:
    """Returns 16 hex digits that change whenever a value in one of the sections does."""
    text = "\n".join(json.dumps(s.model_dump(mode="json"), sort_keys=True) for s in sections)
    return sha256(text.encode()).hexdigest()[:16]


def as_toml(config: Config) -> str:
    """Returns a configuration as commented TOML; loading it gives the same again."""
    lines = ["# Every key with its value. Delete what you do not change."]
    for name in Config.model_fields:
        section = getattr(config, name)
        values = section.model_dump(mode="json")
        lines += ["", f"[{name}]  # {type(section).__doc__}"]
        for key, info in type(section).model_fields.items():
            comment = info.description or _bounds(info.metadata, info.annotation)
            lines.append(f"{key} = {_toml(values[key])}" + (f"  # {comment}" if comment else ""))
    return "\n".join(lines) + "\n"


def default_toml() -> str:
    """Returns the default configuration as commented TOML."""
    return as_toml(Config())


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
