"""What every table of the configuration is made of: frozen, typed, no unknown keys."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A table of the TOML file: frozen, typed, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Language = Annotated[str, Field(pattern="^[a-z]{2,3}$")]
Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0.0)]
Port = Annotated[int, Field(ge=1, le=65535)]
PLUGIN = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"
Plugin = Annotated[str, Field(pattern=f"^{PLUGIN}$")]  # package.module:function
