"""Every figure of every run becomes docs/train_proof.json, a table and two pictures.

A statistic is {median, spread, seeds}: spread is the largest value less the smallest, seeds are all values in
the order of the seeds. Nothing is left out.
"""

from collections.abc import Mapping, Sequence
from html import escape
from statistics import median
from typing import Any

from benchmarks.proof.measure import SHOTS, Figures

Statistic = dict[str, Any]
ByVariant = Mapping[str, Sequence[Figures]]  # a row per seed

# Overall score of the paper's ablations (F2 Tables 3 and 10); the base is 70.7.
PAPER = {"attend_all": 63.5, "no_gates": 66.5, "round_robin": 62.9, "pairs_only": 53.4}
PAPER_BASE = 70.7
SAID = {
    "default": "default",
    "attend_all": "attend to all previous images",
    "no_gates": "no tanh gates",
    "round_robin": "round robin",
    "pairs_only": "without interleaved documents",
    "misordered_50": "half of the documents misordered",
    "misordered_100": "all documents misordered",
}
SHOWN = {
    "caption_real": "captions right",
    "caption_loss": "caption loss, nats",
    "few_shot_0": "0 shots",
    "few_shot_4": "4 shots",
    "few_shot_8": "8 shots",
    "last_image": "last image",
    "earlier_image": "first image",
}

# What else `summary` asks of every variant.
EVERY = (
    *(f"few_shot_{shots}" for shots in SHOTS),
    *("caption_shuffled", "caption_swap_followed", "caption_text_only", "caption_loss_shuffled"),
    *("last_image_turned", "earlier_image_turned", "rices", "random_shots"),
    *("video_first", "video_last", "video_first_backwards", "video_last_backwards"),
)


def statistic(values: Sequence[float]) -> Statistic:
    seeds = [round(value, 4) for value in values]
    spread = round(max(seeds) - min(seeds), 4)
    return {"median": round(median(seeds), 4), "spread": spread, "seeds": seeds}


def summary(runs: ByVariant, resumes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns what docs/train_proof.json says of the runs."""

    def of(variant: str, name: str) -> Statistic:
        return statistic([figures[name] for figures in runs[variant]])

    def by_shots(variant: str) -> dict[str, Statistic]:
        return {str(shots): of(variant, f"few_shot_{shots}") for shots in SHOTS}

    def ablation(variant: str) -> dict[str, Any]:
        return {
            **of(variant, "few_shot_4"),
            "of": "accuracy with 4 shots",
            "paper": {"overall": PAPER[variant], "base": PAPER_BASE},
            "figures": {name: of(variant, name) for name in SHOWN},
        }

    return {
        "image_use": {
            "real": of("default", "caption_real"),
            "shuffled": of("default", "caption_shuffled"),
            "swap_followed": of("default", "caption_swap_followed"),
            "text_only": of("default", "caption_text_only"),
            "loss_real": of("default", "caption_loss"),
            "loss_shuffled": of("default", "caption_loss_shuffled"),
        },
        "last_image": {
            "right": of("default", "last_image"),
            "pictures_turned_around": of("default", "last_image_turned"),
        },
        "earlier_image": {
            "right": of("default", "earlier_image"),
            "pictures_turned_around": of("default", "earlier_image_turned"),
        },
        "video_order": {
            "first": of("default", "video_first"),
            "last": of("default", "video_last"),
            "first_followed_backwards": of("default", "video_first_backwards"),
            "last_followed_backwards": of("default", "video_last_backwards"),
        },
        "few_shot": by_shots("default"),
        "pairs_only_few_shot": {
            **of("pairs_only", "few_shot_8"),
            "of": "accuracy with 8 shots",
            "by_shots": by_shots("pairs_only"),
        },
        "rices": {**of("default", "rices"), "random_shots": of("default", "random_shots")},
        "ablations": {variant: ablation(variant) for variant in PAPER},
        "misordered": {
            share: {name: of(variant, name) for name in (*SHOWN, "few_shot_1")}
            for share, variant in (
                ("0", "default"),
                ("50", "misordered_50"),
                ("100", "misordered_100"),
            )
        },
        "resume_identical": {
            **statistic(
                [float(one["rows_identical"] and one["weights_identical"]) for one in resumes]
            ),
            "runs": list(resumes),
        },
    }


# The section of docs/trainer.md

BEGIN, END = "<!-- figures of make train-proof -->", "<!-- end of the figures -->"


def section(proved: Mapping[str, Any]) -> str:
    """Returns the tables of docs/trainer.md for a report: what is claimed, then run by run."""
    return f"{BEGIN}\n{_claims(proved)}\n{_variants(proved)}{END}"


def into(page: str, proved: Mapping[str, Any]) -> str:
    """Returns a page with the tables between BEGIN and END replaced."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + section(proved) + after


def _claims(proved: Mapping[str, Any]) -> str:
    use, shots, alone = (proved[k] for k in ("image_use", "few_shot", "pairs_only_few_shot"))
    exact, order = proved["exact"], proved["video_order"]
    picture, refused = exact["changed_picture"], exact["misordered_on_disk"]
    last, first, resumed = (proved[k] for k in ("last_image", "earlier_image", "resume_identical"))
    rows = {
        "1. gates at 0: largest difference to the frozen LM's logits": exact["gates_at_zero"],
        "a changed picture: logits before it; what bridges add to tokens of other pictures": (
            f"{picture['logits_before_it']}; {picture['added_to_tokens_of_others']}"
        ),
        "2. captions right, colour and shape, 60 of them": use["real"],
        "the same with another's picture; with none": (use["shuffled"], use["text_only"]),
        "another's picture: its caption instead": use["swap_followed"],
        "3. which shape the last of three pictures shows": last["right"],
        "which shape the first one shows, through the LM": first["right"],
        "a clip's first shape; its last": (order["first"], order["last"]),
        "the same played backwards: answers change places": (
            order["first_followed_backwards"],
            order["last_followed_backwards"],
        ),
        "4. new names for shapes never named, 0 shots (chance 0.50)": shots["0"],
        "1 shot; 4 shots; 8 shots": (shots["1"], shots["4"], shots["8"]),
        "8 shots, trained without the interleaved documents": alone,
        "four names (chance 0.25): 4 shots by RICES; by lot": (
            proved["rices"],
            proved["rices"]["random_shots"],
        ),
        "6. misordered on disk: documents that the reader refuses": (
            f"{sum(refused['rejected'].values())} of {refused['documents']}"
        ),
        "7. killed three times, went on: log and weights identical": (
            f"{sum(map(int, resumed['seeds']))} of {len(resumed['seeds'])} runs"
        ),
    }
    lines = ["| proof | median (smallest-largest of the seeds) |", "| --- | --- |"]
    for claim, found in rows.items():
        parts = found if isinstance(found, tuple) else (found,)
        said = "; ".join(_cell(one) if isinstance(one, dict) else str(one) for one in parts)
        lines.append(f"| {claim} | {said} |")
    return "\n".join(lines) + "\n"


def _variants(proved: Mapping[str, Any]) -> str:
    rows = {"default": proved["misordered"]["0"]}
    rows |= {variant: one["figures"] for variant, one in proved["ablations"].items()}
    rows |= {f"misordered_{n}": proved["misordered"][n] for n in ("50", "100")}
    lines = ["| run | " + " | ".join(SHOWN.values()) + " | paper, overall |"]
    lines.append("| --- |" + " ---: |" * (len(SHOWN) + 1))
    for variant, figures in rows.items():
        paper = PAPER_BASE if variant == "default" else PAPER.get(variant, "")
        cells = " | ".join(_cell(figures[name]) for name in SHOWN)
        lines.append(f"| {SAID[variant]} | {cells} | {paper} |")
    return "\n".join(lines) + "\n"


def _cell(found: Statistic) -> str:
    seeds = found["seeds"]
    return f"{found['median']:.2f} ({min(seeds):.2f}-{max(seeds):.2f})"


# Pictures

WIDTH, ROW, LEFT, TOP = 720, 26, 250, 34  # pixels
COLOURS = ("#1b6ca8", "#d1495b", "#2a9d5c", "#8a5a9e")


def bars(title: str, rows: Mapping[str, Sequence[float]], chance: float | None = None) -> str:
    """Returns shares of right answers as an SVG: a bar to the median, a dot for each seed."""
    height = TOP + ROW * len(rows) + 24
    scale = (WIDTH - LEFT - 60) / 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' font-family="sans-serif" font-size="12" role="img" aria-label="{escape(title)}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{WIDTH / 2}" y="18" text-anchor="middle" font-weight="bold">{escape(title)}</text>',
    ]
    bottom = TOP + ROW * len(rows)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x = LEFT + tick * scale
        parts.append(f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    for number, (name, values) in enumerate(rows.items()):
        y, wide = TOP + ROW * number, median(values) * scale
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<text x="{LEFT - 8}" y="{y + 17}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect x="{LEFT}" y="{y + 4}" width="{wide:.1f}" height="{ROW - 8}"'
            f' fill="{colour}" fill-opacity="0.6"/>'
        )
        parts += [
            f'<circle cx="{LEFT + v * scale:.1f}" cy="{y + ROW / 2}" r="3" fill="{colour}"/>'
            for v in values
        ]
        parts.append(f'<text x="{WIDTH - 48}" y="{y + 17}">{median(values):.2f}</text>')
    if chance is not None:
        x = LEFT + chance * scale
        parts.append(
            f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{bottom}" stroke="#444" stroke-dasharray="4 3"/>'
        )
    return "\n".join([*parts, "</svg>", ""])


def pictures(runs: ByVariant) -> dict[str, str]:
    """Returns the SVGs of docs/images/ by name."""

    def of(variant: str, name: str) -> list[float]:
        return [figures[name] for figures in runs[variant]]

    use = {
        "right picture": of("default", "caption_real"),
        "another's picture, own caption": of("default", "caption_shuffled"),
        "no picture": of("default", "caption_text_only"),
        "another's picture, its caption": of("default", "caption_swap_followed"),
        "last picture": of("default", "last_image"),
        "first picture, through the LM": of("default", "earlier_image"),
        "first frame of a clip": of("default", "video_first"),
        "last frame of a clip": of("default", "video_last"),
    }
    shots = {
        f"{shots} shots, {SAID[variant]}": of(variant, f"few_shot_{shots}")
        for variant in ("default", "pairs_only", "misordered_50", "misordered_100")
        for shots in (0, 4, 8)
    }
    return {
        "proof_images.svg": bars("share of right answers on held-out pictures", use),
        "proof_shots.svg": bars("two new names for two shapes never named", shots, chance=0.5),
    }
