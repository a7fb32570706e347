"""CapFilt: images captioned by one model, web and synthetic texts filtered by another (BLIP, arXiv 2201.12086, 3.3).

Measuring and deciding are apart: `annotate` asks the plug-ins and stores texts, scores and who gave them; `decide`
compares the scores with a threshold. docs/capfilt.md tells how to plug a model in.
"""

from m3w_builder.capfilt.annotate import annotations
from m3w_builder.capfilt.decide import (
    NO_TEXT_LEFT,
    Kept,
    TextDrop,
    by_node,
    count,
    decide,
    read_about,
    summary,
    write_about,
)
from m3w_builder.capfilt.plugins import Captioner, Matcher, Settings

__all__ = [
    "NO_TEXT_LEFT",
    "Captioner",
    "Kept",
    "Matcher",
    "Settings",
    "TextDrop",
    "annotations",
    "by_node",
    "count",
    "decide",
    "read_about",
    "summary",
    "write_about",
]
