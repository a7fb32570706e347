"""What a trained model does with held-out pictures: every figure of the proof, measured here.

A figure is a share of right answers between 0 and 1, or a loss in nats per token. The pictures are those of
the held-out site; episodes are drawn by the same seed for every run, so all runs answer the same questions.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.proof.drawings import SHAPES, Thing
from benchmarks.proof.pages import NEW_NAMES, UNNAMED
from m3w_builder.flamingo.checkpoint import Finished
from m3w_builder.flamingo.config import Source
from m3w_builder.flamingo.data import examples, images
from m3w_builder.flamingo.data.reader import open_source
from m3w_builder.flamingo.generate import Prompt, generate, likelihood
from m3w_builder.flamingo.vision import Encoder
from m3w_builder.types import Kind

SEED = 7  # of the episodes
CAPTIONS = 240  # held-out pictures that are captioned
EPISODES = 150  # few-shot questions for each number of shots
SHOTS = (0, 1, 4, 8)
SUPPORT = 6  # labelled pictures of each shape that RICES chooses from
CHOSEN = 4  # shots that RICES and chance choose

Figures = dict[str, float]
Frames = list[images.Pixels]


@dataclass(frozen=True, slots=True)
class Seen:
    """A held-out picture or clip with the text that is true of it."""

    frames: Frames
    text: str

    @property
    def thing(self) -> Thing:
        return Thing(*self.text.split()[1:])


@dataclass(frozen=True, slots=True)
class Asked:
    """A held-out page that asks for one of its pictures."""

    pictures: list[Frames]
    opening: str
    question: str  # "first" or "last"
    answer: str


class HeldOut:
    """The held-out shards, decoded for an encoder."""

    def __init__(self, shards: Path, size: int, colour: images.Colour) -> None:
        self._shards, self._size, self._colour = shards, size, colour

    @cached_property
    def pictures(self) -> list[Seen]:
        return [Seen(media[0], texts[0]) for texts, media in self._read("image_text")]

    @cached_property
    def clips(self) -> list[Seen]:
        return [Seen(media[0], texts[0]) for texts, media in self._read("video_text")]

    @cached_property
    def questions(self) -> list[Asked]:
        return [
            Asked(media, texts[0], *texts[1].split()) for texts, media in self._read("interleaved")
        ]

    def _read(self, kind: Kind) -> Iterable[tuple[list[str], list[Frames]]]:
        """Yields the texts of each document and the frames of each of its media."""
        shards = open_source("held-out", Source(shards=str(self._shards), kind=kind))
        for number in range(len(shards)):
            sample = shards.sample(number)
            nodes = list(examples.nodes(sample.record()))
            media = [
                [images.load(sample.member(part), self._size, self._colour) for part in node.parts]
                for node in nodes
                if node.parts
            ]
            yield [node.text for node in nodes if node.text], media


def measure(finished: Finished, held_out: Path) -> Figures:
    """Returns every figure of a run."""
    model = finished.model
    data = HeldOut(held_out, model.vision.size, model.vision.mean)
    asking = Asking(finished)
    with torch.no_grad():
        return {
            **captions(asking, data),
            **questions(asking, data),
            **clips(asking, data),
            **few_shot(asking, data),
            **rices(asking, data),
        }


class Asking:
    """A model that is asked: prompts are laid out as the pages are."""

    def __init__(self, finished: Finished) -> None:
        self.model, self.tokenizer, _ = finished

    def see(self, media: Sequence[Frames]) -> Tensor:
        """Returns [M, R, V]."""
        flat = np.stack([frame for frames in media for frame in frames])
        return self.model.see(torch.from_numpy(flat), [len(frames) for frames in media])

    def prompt(
        self, shots: Sequence[str], media: Tensor, *, before: str = "", after: str = ""
    ) -> Prompt:
        """Returns `<BOS>before<EOC><image>shot<EOC> ... <image>after`; each tag sees its medium.

        `shots` are the texts after all media but the last; "" leaves a picture without words. Alone, as a
        pair is, a medium is seen by <BOS> as well (F1 3.2.2).
        """
        tokenizer = self.tokenizer
        ids = [tokenizer.bos, *tokenizer.encode(before)]
        phi = [0 if before or shots else 1] * len(ids)
        for number, words in enumerate([*shots, after], 1):
            if len(ids) > 1:
                ids.append(tokenizer.eoc)
                phi.append(number - 1)
            chunk = [*tokenizer.tag, *tokenizer.encode(words)]
            ids += chunk
            phi += [number] * len(chunk)
        return Prompt(ids, phi, media)

    def written(self, prompts: Sequence[Prompt], limit: int) -> list[str]:
        """Returns the text after each prompt, chosen greedily."""
        texts = list[str]()
        for start in range(0, len(prompts), 60):
            some = prompts[start : start + 60]
            texts += generate(self.model, self.tokenizer, some, limit=limit)
        return [text.strip() for text in texts]

    def loss(self, prompt: Prompt, text: str) -> float:
        """Returns nats per token of a text that <EOC> closes."""
        ids = [*self.tokenizer.encode(text), self.tokenizer.eoc]
        return -likelihood(self.model, prompt, [ids])[0] / len(ids)

    def chosen(self, prompt: Prompt, labels: Sequence[str]) -> str:
        """Returns the likeliest of the labels."""
        scores = likelihood(self.model, prompt, [self.tokenizer.encode(label) for label in labels])
        return labels[max(range(len(labels)), key=scores.__getitem__)]


def share(right: Iterable[bool]) -> float:
    found = list(right)
    return sum(found) / len(found)


def captions(asking: Asking, data: HeldOut) -> Figures:
    """Whole captions, colour and shape, with the right pictures, with others' and with none."""
    cases = random.Random(SEED).sample(data.pictures, CAPTIONS)
    media = asking.see([case.frames for case in cases])
    others = exchanged([case.text for case in cases])
    own = [asking.prompt([], one[None]) for one in media]
    wrong = [asking.prompt([], media[i][None]) for i in others]
    blind = [Prompt(p.ids, [0] * len(p.ids), p.media) for p in own]
    found, swapped, guessed = (asking.written(prompts, 5) for prompts in (own, wrong, blind))
    return {
        "caption_real": share(a == c.text for a, c in zip(found, cases, strict=True)),
        "caption_shuffled": share(a == c.text for a, c in zip(swapped, cases, strict=True)),
        "caption_text_only": share(a == c.text for a, c in zip(guessed, cases, strict=True)),
        "caption_swap_followed": share(
            a == cases[i].text for a, i in zip(swapped, others, strict=True)
        ),
        "caption_loss": mean(asking.loss(p, c.text) for p, c in zip(own, cases, strict=True)),
        "caption_loss_shuffled": mean(
            asking.loss(p, c.text) for p, c in zip(wrong, cases, strict=True)
        ),
    }


def exchanged(texts: Sequence[str]) -> list[int]:
    """Returns for each text the index of another whose text differs; each index is used about once."""
    count, step = len(texts), len(texts) // 2
    others = []
    for i, text in enumerate(texts):
        other = (i + step) % count
        while texts[other] == text:
            other = (other + 1) % count
        others.append(other)
    return others


def mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def questions(asking: Asking, data: HeldOut) -> Figures:
    """Which shape the last picture shows, and which the first; then with the pictures turned around."""
    figures: Figures = {}
    for word, name in (("last", "last_image"), ("first", "earlier_image")):
        cases = [case for case in data.questions if case.question == word]
        for turned in (False, True):
            prompts = [
                asking.prompt(
                    [""] * (len(case.pictures) - 1),
                    asking.see(case.pictures[::-1] if turned else case.pictures),
                    before=case.opening,
                    after=word,
                )
                for case in cases
            ]
            found = asking.written(prompts, 1)
            right = share(a == c.answer for a, c in zip(found, cases, strict=True))
            figures[f"{name}_turned" if turned else name] = right
    return figures


def clips(asking: Asking, data: HeldOut) -> Figures:
    """What a clip shows first and last; then, played backwards, how often the answers change places."""
    figures: Figures = {}
    cases = [(case, *case.text.split()[1::2]) for case in data.clips]
    for backwards in (False, True):
        media = asking.see([c.frames[::-1] if backwards else c.frames for c, _, _ in cases])
        found = asking.written([asking.prompt([], one[None]) for one in media], 5)
        answers = [(text.split() + [""] * 4)[1:4:2] for text in found]
        wanted = [[b, a] if backwards else [a, b] for _, a, b in cases]
        for place, name in enumerate(("video_first", "video_last")):
            figures[name + ("_backwards" if backwards else "")] = share(
                a[place] == w[place] for a, w in zip(answers, wanted, strict=True)
            )
    return figures


def by_shape(pictures: Sequence[Seen]) -> dict[str, list[Seen]]:
    groups: dict[str, list[Seen]] = {shape: [] for shape in SHAPES}
    for picture in pictures:
        groups[picture.thing.shape].append(picture)
    return groups


def few_shot(asking: Asking, data: HeldOut) -> Figures:
    """Two shapes that no page ever named get two names that no page ever had: which is the query's?

    The shots hold both names equally often; one shot holds one. The pictures are all different.
    """
    groups = by_shape(data.pictures)
    figures: Figures = {}
    for shots in SHOTS:
        right = []
        for episode in range(EPISODES):
            dice = random.Random(f"{SEED}/{episode}")
            shapes = dice.sample(UNNAMED, 2)
            names = dict(zip(shapes, dice.sample(NEW_NAMES, 2), strict=True))
            pool = {shape: dice.sample(groups[shape], 6) for shape in shapes}
            query = pool[dice.choice(shapes)].pop()
            order = [shapes[i % 2] for i in range(shots)]
            dice.shuffle(order)
            shown = [pool[shape].pop() for shape in order]
            media = asking.see([one.frames for one in [*shown, query]])
            prompt = asking.prompt([names[shape] for shape in order], media)
            answer = asking.chosen(prompt, sorted(names.values()))
            right.append(answer == names[query.thing.shape])
        figures[f"few_shot_{shots}"] = share(right)
    return figures


def rices(asking: Asking, data: HeldOut) -> Figures:
    """Four such shapes and names: shots drawn from labelled pictures by likeness, and by lot."""
    groups = by_shape(data.pictures)
    right: dict[str, list[bool]] = {"rices": [], "random_shots": []}
    for episode in range(EPISODES):
        dice = random.Random(f"{SEED}/rices/{episode}")
        names = dict(zip(UNNAMED, dice.sample(NEW_NAMES, len(UNNAMED)), strict=True))
        pools = {shape: dice.sample(groups[shape], SUPPORT + 1) for shape in UNNAMED}
        query = pools[dice.choice(UNNAMED)].pop()
        support = [one for shape in UNNAMED for one in pools[shape][:SUPPORT]]
        ways = {
            "rices": nearest(asking.model.vision, query, support, CHOSEN),
            "random_shots": dice.sample(support, CHOSEN),
        }
        for way, shown in ways.items():
            media = asking.see([one.frames for one in [*shown, query]])
            prompt = asking.prompt([names[one.thing.shape] for one in shown], media)
            answer = asking.chosen(prompt, sorted(names.values()))
            right[way].append(answer == names[query.thing.shape])
    return {way: share(found) for way, found in right.items()}


def nearest(encoder: Encoder, query: Seen, support: Sequence[Seen], count: int) -> list[Seen]:
    """Returns the pictures most like the query, the nearest last (RICES, F2 A.2)."""
    stacked = np.stack([one.frames[0] for one in [*support, query]])
    pooled = encoder.pooled(torch.from_numpy(stacked))
    order = (pooled[:-1] @ pooled[-1]).argsort(stable=True)[-count:]
    return [support[i] for i in order.tolist()]
