"""Which texts stay with an image: the page's own and the synthetic ones, by the scores of the matcher.

Pure functions over annotation rows: a threshold changed asks no model anything.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m3w_builder.capfilt.plugins import Models
from m3w_builder.config import CapfiltConfig
from m3w_builder.files import write_text
from m3w_builder.samples import Caption, canonical_json
from m3w_builder.tables import Row
from m3w_builder.waterfall import ORIGINS

TEXT, CAPTION = "text_mismatch", "caption_mismatch"
NO_TEXT_LEFT = "no_text_left"  # the reason of a pair whose every text is gone
ABOUT = "capfilt.json"  # in the stage's folder


@dataclass(frozen=True, slots=True)
class TextDrop:
    """A text that goes: which section it counts in, why, and by what score.

    Not the text itself: rejects are published, and only the texts of samples are masked.
    """

    section: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What stays with one image."""

    web: bool  # the page's own text, whether it is web or human
    captions: tuple[
        Caption, ...
    ]  # what stays, the page's own first (with text None), then the best
    dropped: tuple[TextDrop, ...] = ()

    @property
    def empty(self) -> bool:
        """Says whether no text is left: the pair goes for NO_TEXT_LEFT."""
        return not self.web and not self.captions


def decide(rows: Iterable[Row], config: CapfiltConfig) -> Kept:
    """Returns which texts of one image node stay, from its annotation rows in any order.

    A score of `min_match` stays. What has no score stays, and so does what a human wrote. Of equal scores the caption
    that was drawn first comes first. Without rows (nothing was configured, the image is broken or too small) the
    page's text stays, unjudged.
    """
    ordered = sorted(rows, key=lambda row: (row["operator"], row["origin"], row["number"]))
    scored = {(r["origin"], r["number"]): r for r in ordered if r["operator"] == "match"}
    own = next((row for row in scored.values() if row["origin"] != "synthetic"), None)
    kept, dropped = [], []
    web = own is None or own["origin"] == "human" or own["score"] >= config.min_match
    if own and web:
        kept.append(Caption(own["node"], None, own["origin"], "", own["model"], own["score"]))
    elif own:
        dropped.append(_drop(own, TEXT, config))
    made = []
    for row in ordered:
        if row["operator"] != "caption":
            continue
        match = scored.get(("synthetic", row["number"]))
        if match and match["score"] < config.min_match:
            dropped.append(_drop(match, CAPTION, config))
        else:
            by, score = (match["model"], match["score"]) if match else ("", None)
            made.append(Caption(row["node"], row["text"], "synthetic", row["model"], by, score))
    made.sort(key=lambda caption: -(caption.score or 0.0))  # stable
    return Kept(web, (*kept, *made), tuple(dropped))


def by_node(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """Returns the rows of a document by the node of their image."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row["node"], []).append(row)
    return dict(sorted(found.items()))


def _drop(row: Row, reason: str, config: CapfiltConfig) -> TextDrop:
    detail = f"{row['score']:g} < {config.min_match:g}"
    if row["origin"] == "synthetic":
        detail += f", caption {row['number']}"
    return TextDrop(ORIGINS[row["origin"]], reason, detail)


def count(captions: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Returns the counts of what stays, from the captions of `selected` rows, for the commit record."""
    found: dict[str, int] = {}
    for caption in captions:
        section = ORIGINS[caption["origin"]]
        found[section] = found.get(section, 0) + 1
    return found


def summary(counts: Mapping[str, int], about: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the report and the card say of CapFilt: `about` is what the stage's folder says (`read_about`).

    From the counts of `select` per origin how many texts were judged and stay, and the share of both; `noise` is BLIP's
    noise ratio (Table 2), the share of the web and synthetic texts that was filtered out.
    """
    texts: dict[str, dict[str, float]] = {}
    for origin, section in ORIGINS.items():
        kept = counts.get(section, 0)
        judged = kept + sum(
            number for key, number in counts.items() if key.startswith(f"rejects.{section}.")
        )
        if judged:
            texts[origin] = {
                "judged": judged,
                "kept": kept,
                "acceptance": round(kept / judged, 4),
            }
    noise = {
        origin: round(1 - found["acceptance"], 4)
        for origin, found in texts.items()
        if origin != "human"
    }
    return {**about, "texts": texts, "noise": noise}


def write_about(folder: Path, models: Models) -> None:
    """Says in the stage's folder which models answered, and what a user should know of them."""
    about = {"models": models.ids(), "warnings": models.warnings()}
    write_text(folder / ABOUT, canonical_json(about) + "\n")


def read_about(folder: Path) -> dict[str, Any]:
    """Returns {"models": {"captioner" | "matcher": {"model_id", "checkpoint"}}, "warnings": [...]} of a stage."""
    found: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    return found
