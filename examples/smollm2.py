"""What a run has learnt about images it never saw: losses of held-out shards, captions as they come.

    python examples/smollm2.py RUN HELD_OUT_SHARDS PAGE.html

Cross-entropy in nats per token of the text that sees an image, among the LM's own tokens (no <EOC>), with the
image itself, with another sample's, and with none; "before" is the same model with its gates closed, which is
the frozen LM alone. Prints JSON, and shows pictures with their captions in the page.
"""

import json
import sys
from base64 import b64encode
from collections.abc import Iterator, Sequence
from html import escape
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from m3w_builder.flamingo import checkpoint
from m3w_builder.flamingo.config import Run, Source
from m3w_builder.flamingo.data import sources
from m3w_builder.flamingo.data.batch import Batch
from m3w_builder.flamingo.data.loader import Mixture
from m3w_builder.flamingo.data.reader import open_source
from m3w_builder.flamingo.evaluation.metrics.cider import cider
from m3w_builder.flamingo.generate import Prompt, generate
from m3w_builder.flamingo.model import Flamingo

SHOWN = 10  # pictures on the page
TOGETHER = 16  # captions that are written side by side


class Seen(NamedTuple):
    """One held-out example with its media as the model sees them."""

    batch: Batch  # of this example alone
    media: Tensor  # [M, R, V]


def held_out(run: Run, shards: str) -> Run:
    """Returns the run's configuration for measuring: no augmentation, phi is the image before."""
    still = {"flip": 0.0, "jitter": 0.0, "next_probability": 0.0, "space_probability": 0.0}
    examples = run.examples.model_copy(update={**still, "loss": "seen"})
    sets = {kind: Source(shards=shards, kind=kind, batch=1) for kind in sources.kinds(shards)}
    train = run.train.model_copy(update={"pairs_first": 0, "mixing": "accumulate", "seed": 0})
    return run.model_copy(update={"examples": examples, "datasets": sets, "train": train})


@torch.no_grad()
def losses(model: Flamingo, seen: Sequence[Seen], last: int) -> dict[str, list[Tensor]]:
    """Returns the loss of each word, per example, by what is seen; words are the LM's own ids, below `last`."""
    found: dict[str, list[Tensor]] = {"right": [], "shuffled": [], "none": []}
    for number, (batch, media) in enumerate(seen):
        other = seen[(number + ceil(len(seen) / 2)) % len(seen)].media
        swapped = other[torch.arange(len(media)) % len(other)]
        nothing = torch.zeros_like(batch.phi)
        keep = torch.zeros_like(batch.loss)
        keep[:, :-1] = batch.loss[:, 1:] & (batch.ids[:, 1:] < last)
        target = batch.ids[:, 1:][keep[:, :-1]]
        for name, images, phi in (
            ("right", media, batch.phi),
            ("shuffled", swapped, batch.phi),
            ("none", media, nothing),
        ):
            logits = model(batch.ids, phi, images, batch.positions, batch.documents, keep)
            words = logits[:, :last].float()
            found[name].append(F.cross_entropy(words, target, reduction="none"))
    return found


def summary(found: dict[str, list[Tensor]]) -> dict[str, float]:
    """Returns the mean loss by what is seen, and how many examples prefer their own images."""
    means = {name: round(torch.cat(parts).mean().item(), 3) for name, parts in found.items()}
    pairs = zip(found["right"], found["shuffled"], strict=True)
    wins = [bool(right.sum() < swapped.sum()) for right, swapped in pairs if len(right)]
    tokens = sum(map(len, found["right"]))
    return {**means, "prefer_own": round(sum(wins) / len(wins), 3), "tokens": tokens}


def closed(model: Flamingo) -> Iterator[None]:
    """Closes all gates for one turn of a loop."""
    gates = [p for name, p in model.trained() if "alpha" in name]
    before = [gate.detach().clone() for gate in gates]
    for gate in gates:
        gate.data.zero_()
    yield
    for gate, value in zip(gates, before, strict=True):
        gate.data.copy_(value)


@torch.no_grad()
def captions(model: Flamingo, tokenizer, media: Sequence[Tensor]) -> list[str]:  # type: ignore[no-untyped-def]
    """Returns what the model writes for each medium [1, R, V], by beam search (3)."""
    head = [tokenizer.bos, *tokenizer.tag]
    prompts = [Prompt(head, [1] * len(head), one) for one in media]
    rows = [prompts[i : i + TOGETHER] for i in range(0, len(prompts), TOGETHER)]
    texts = [t for row in rows for t in generate(model, tokenizer, row, beams=3, limit=24)]
    return [" ".join(text.split()) for text in texts]


def page(pictures: Sequence[Tensor], rows: Sequence[tuple[str, str, str]], facts: str) -> str:
    """Returns HTML: each picture uint8[H, W, 3] beside its text, its caption, and another's caption."""
    cells = []
    for picture, row in zip(pictures, rows, strict=True):
        data = BytesIO()
        Image.fromarray(picture.numpy()).save(data, "PNG")
        image = f'<img src="data:image/png;base64,{b64encode(data.getvalue()).decode()}">'
        cells.append("<tr>" + "".join(f"<td>{t}" for t in (image, *map(escape, row))))
    head = "<tr><th>held-out picture<th>its text<th>caption<th>caption with another picture"
    return f"<!doctype html><meta charset=utf-8><table border=1>{head}{''.join(cells)}</table><pre>{facts}</pre>"


def main(run_folder: str, shards: str, output: str) -> None:
    model, tokenizer, run = checkpoint.load(Path(run_folder))
    still = held_out(run, shards)
    opened = {name: open_source(name, source) for name, source in still.datasets.items()}
    encoder = model.vision
    mixture = Mixture(opened, still, tokenizer, size=encoder.size, colour=encoder.mean)
    facts = {"gates": [[round(g, 3) for g in pair] for pair in model.gates()]}
    for name, one in opened.items():
        batches = [mixture.batch(name, number) for number in range(len(one))]
        with torch.no_grad():
            seen = [Seen(b, model.see(b.frames, b.times)) for b in batches if len(b)]
        facts[name] = {"after": summary(losses(model, seen, tokenizer.size))}
        for _ in closed(model):
            facts[name]["before"] = summary(losses(model, seen, tokenizer.size))
        if one.kind == "image_text":
            truths = [tokenizer.decode(s.batch.ids[0][1 + len(tokenizer.tag) :]) for s in seen]
            said = captions(model, tokenizer, [s.media for s in seen])
            half = ceil(len(said) / 2)
            other = said[half:] + said[:half]
            for what, texts in (("cider", said), ("cider_shuffled", other)):
                scores = cider(texts, [[truth] for truth in truths])
                facts[name][what] = round(sum(scores) / len(scores), 1)
            facts[name]["different_captions"] = len(set(said))
            shown = list(zip(truths, said, other, strict=True))[:SHOWN]
            pictures = [s.batch.frames[0] for s in seen[:SHOWN]]
    text = json.dumps(facts, indent=1)
    Path(output).write_text(page(pictures, shown, text), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
