"""What protects people: explicit content, and personal data in texts."""

from typing import Literal

from pydantic import Field

from m3w_builder.config.section import Ratio, Section

MAX_NSFW = 0.8  # Yahoo open_nsfw (2016): "scores above 0.8 indicate most likely NSFW"

Handling = Literal["keep", "mask", "drop"]


class SafetyConfig(Section):
    """Explicit content: what counts as such, and how much goes with it."""

    max_nsfw: Ratio = Field(
        MAX_NSFW, description="score of an image (fetch.safety); above it is explicit; 1 = off"
    )
    scope: Literal["document", "node"] = Field(
        "document",
        description="what goes with an explicit image or text: its document or itself alone",
    )


class PrivacyConfig(Section):
    """Personal data in texts: keep, mask (a placeholder instead) or drop (the node that has any)."""

    email: Handling = Field("mask", description="addresses")
    phone: Handling = Field("mask", description="telephone numbers")
    ip: Handling = Field("mask", description="public IPv4 and IPv6 addresses")
    card: Handling = Field("mask", description="payment card numbers whose Luhn digit is right")
    iban: Handling = Field("mask", description="bank accounts whose check digits are right")
