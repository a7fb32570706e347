"""Reservations of rights: where a site can say "do not use this", and what it said. Pure; no network.

Every place gives `OptOut`s, whether or not the user respects them: the evidence is kept, `respected`
decides. In doubt a sentence counts: an unfounded opt-out costs a picture, a missed one breaks a promise.
docs/rights.md has the table of what is read, what it means, and what is not read.
"""

from m3w_builder.optouts.answers import answer_optouts, page_optouts, product_token
from m3w_builder.optouts.directives import Kind, covers
from m3w_builder.optouts.embedded import embedded_optouts
from m3w_builder.optouts.lists import OptOutLists, optout_lists
from m3w_builder.optouts.respect import (
    REASON,
    SIGNALS,
    evidence,
    media_refusal,
    page_refusal,
    respected,
    rights_digest,
    signals,
    summary,
)
from m3w_builder.optouts.robots import AiTxt, Robots
from m3w_builder.optouts.tdm import TdmRep

__all__ = [
    "REASON",
    "SIGNALS",
    "AiTxt",
    "Kind",
    "OptOutLists",
    "Robots",
    "TdmRep",
    "answer_optouts",
    "covers",
    "embedded_optouts",
    "evidence",
    "media_refusal",
    "optout_lists",
    "page_optouts",
    "page_refusal",
    "product_token",
    "respected",
    "rights_digest",
    "signals",
    "summary",
]
