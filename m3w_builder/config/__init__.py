"""The configuration: every threshold a named constant with its source, every key validated.

`load(path)` reads TOML; an unknown key, a wrong type or an impossible threshold is a `ConfigError` that
names the key, what was expected and what was found. `preset = "obelics"` in it starts from that recipe
instead of the defaults. `as_toml(config)` prints the whole, with comments.
"""

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, model_validator

from m3w_builder.config import toml
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
from m3w_builder.config.toml import as_toml

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
    table = toml.read(path) if path else {}
    if preset:
        table["preset"] = preset
    return parse(table, str(path) if path else "--preset")


def parse(table: dict[str, Any], origin: str = "configuration") -> Config:
    """Returns the validated configuration of a parsed TOML table."""
    recipe = toml.preset(PRESETS, table.get("preset", DEFAULT_PRESET), origin)
    own = {key: value for key, value in _with_rules(table).items() if key != "preset"}
    return toml.validated(Config, toml.merged(recipe, own), origin)


def presets() -> tuple[str, ...]:
    """Returns the names of the recipes in config/presets/."""
    return toml.named(PRESETS)


def preset(name: str) -> dict[str, Any]:
    """Returns the table of one of `presets()`."""
    return toml.preset(PRESETS, name, "--preset")


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


def default_toml() -> str:
    """Returns the default configuration as commented TOML."""
    return as_toml(Config())
