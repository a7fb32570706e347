"""What protects people: explicit content, and personal data in texts."""

from typing import Annotated, Literal

from pydantic import Field

from m3w_builder.config.section import PLUGIN, Count, Ratio, Section

MAX_NSFW = 0.8  # Yahoo open_nsfw (2016): "scores above 0.8 indicate most likely NSFW"
MAX_FLAGGED = 0.01  # OBELICS (Laurencon et al. 2023, arXiv 2306.16527): flagged words over words
MIN_FLAGGED = 2  # ours: one word may be a quotation, of a short text it is more than any share
MAX_TEXT_SCORE = 0.8

Handling = Literal["keep", "mask", "drop"]


class SafetyConfig(Section):
    """Explicit content: what counts as such, and how much goes with it."""

    max_nsfw: Ratio = Field(
        MAX_NSFW, description="score of an image (fetch.safety); above it is explicit; 1 = off"
    )
    max_flagged: Ratio = Field(
        MAX_FLAGGED, description="share of sexual words; above it a text is explicit; 1 = off"
    )
    min_flagged: Count = Field(MIN_FLAGGED, description="so many such words it must have at least")
    word_lists: tuple[str, ...] = Field(
        (), description="files with further words, one a line; a change extracts all pages again"
    )
    text_scorer: Annotated[str, Field(pattern=f"^({PLUGIN})?$")] = Field(
        "", description='"package.module:function" that scores texts (docs/people.md); "" = none'
    )
    max_text_score: Ratio = Field(
        MAX_TEXT_SCORE, description="score by text_scorer; above it a text is explicit; 1 = off"
    )
    block_lists: tuple[str, ...] = Field(
        (), description="files of domains and URL prefixes, or folders of such (UT1): not used"
    )
    block_hosts: bool = Field(
        True, description="pages and media of hosts whose own name says they are explicit: not used"
    )
    scope: Literal["document", "node"] = Field(
        "document",
        description="what goes with an explicit image or text: its document or itself alone",
    )
    text_scope: Literal["", "document", "node", "both"] = Field(
        "",
        description='the same for texts, where it differs; "both": single texts, then what is left; "" = as scope',
    )

    @property
    def judges_texts(self) -> bool:
        """Tells whether a single text of a document can be explicit, and go alone."""
        return (self.text_scope or self.scope) != "document"

    @property
    def judges_documents(self) -> bool:
        """Tells whether a document goes for the flagged words of all its texts."""
        return (self.text_scope or self.scope) != "node"


class PrivacyConfig(Section):
    """Personal data in texts: keep, mask (a placeholder instead) or drop (the node that has any)."""

    email: Handling = Field("mask", description="addresses, also as name (at) host")
    phone: Handling = Field("mask", description="telephone numbers")
    ip: Handling = Field("mask", description="public IPv4 and IPv6 addresses")
    card: Handling = Field("mask", description="payment card numbers whose Luhn digit is right")
    iban: Handling = Field("mask", description="bank accounts whose check digits are right")
