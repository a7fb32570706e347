"""CapFilt (BLIP, Li et al. 2022, arXiv 2201.12086, 3.3): captions by a model, and texts filtered by one."""

from typing import Annotated

from pydantic import Field, model_validator

from m3w_builder.config.section import PLUGIN, Count, Positive, Section

# BLIP's code (models/blip.py) and section 4.3.
TOP_P = 0.9  # nucleus sampling: more diverse, and better downstream, than beam search (Table 2)
PROMPT = "a picture of "
MIN_LENGTH = 10  # tokens
MAX_LENGTH = 30
SIDE = 384  # pixels: the resolution of its fine-tuned captioner and filter
MIN_MATCH = 0.5  # probability of "matched" by its ITM head; below it a text is noise

Called = Annotated[str, Field(pattern=rf"^({PLUGIN}(\?[^?]+)?)?$")]


class CapfiltConfig(Section):
    """Plug-ins that caption images and match them with texts; both empty: the stage is left out."""

    captioner: Called = Field(
        "", description='"package.module:name?key=value&key=value" (docs/capfilt.md), or ""'
    )
    matcher: Called = Field("", description="the same, of what scores an image with a text")
    batch: Positive = Field(16, description="images a call")
    side: Positive = Field(
        SIDE, description="pixels: plug-ins see images halved as long as no side falls below it"
    )
    min_side: Count = Field(
        0, description="pixels, shorter side; smaller images are not looked at (BLIP: 257)"
    )
    pages: bool = Field(
        False, description="true: caption the images of interleaved documents, too, not only pairs"
    )
    human: tuple[str, ...] = Field(
        (),
        description="hosts whose texts are captions that people wrote; these are not filtered (BLIP: COCO)",
    )
    captions: Positive = Field(1, description="captions an image")
    top_p: float = Field(
        TOP_P, gt=0.0, le=1.0, description="nucleus: words of so much probability are drawn from"
    )
    temperature: float = Field(1.0, gt=0.0, description="of the draws")
    prompt: str = Field(PROMPT, description="that a caption goes on from; not a part of it")
    min_length: Count = Field(MIN_LENGTH, description="tokens of a caption")
    max_length: Positive = Field(MAX_LENGTH, description="tokens of a caption")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        0, description="of the draws, with the sha256 of the image"
    )
    normalise: bool = Field(
        False,
        description='captions, and texts to be matched, as BLIP has them: lower case, no .!"()*#:;~, 30 words',
    )
    min_match: float = Field(
        MIN_MATCH,
        description="of the matcher's score, for a text to stay; 0.5 is BLIP's, for probabilities",
    )

    @model_validator(mode="after")
    def _lengths_in_order(self) -> "CapfiltConfig":
        if self.min_length > self.max_length:
            raise ValueError(
                f"min_length = {self.min_length} is above max_length = {self.max_length}"
            )
        return self

    @property
    def is_on(self) -> bool:
        """Says whether there is anything for the stage to do."""
        return bool(self.captioner or self.matcher)
