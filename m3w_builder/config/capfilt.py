"""CapFilt (BLIP, Li et al. 2022, arXiv 2201.12086, 3.3): captions by a model, and texts filtered by one."""

from pydantic import Field

from m3w_builder.config.section import Positive, Section


class CapfiltConfig(Section):
    """Plug-ins that caption images and match them with texts; both empty: the stage is left out."""

    captioner: str = Field("", description='"package.module:name"; docs/capfilt.md says of what')
    matcher: str = Field("", description='"package.module:name"; docs/capfilt.md says of what')
    batch: Positive = Field(16, description="images a call")
