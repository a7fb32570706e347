"""A sample of a shard becomes a training example: ids, phi, and which image stands behind each tag.

phi follows the document's structure and never looks for "<image>" among the ids, so a page that
talks about the tag does no harm. A tag and its media parts are one object from the sample's
parallel lists to the batch: image i cannot get behind another tag (open_flamingo's ordering
defect).

    <BOS>Cute pics of my pets!<EOC><image>My puppy sitting ...<EOC><image> My cat ...<EOC><EOS>
    phi = 0 up to and including the first <EOC>, 1 for the puppy's chunk, 2 for the cat's
"""

import random
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from m3w_builder.errors import DropError
from m3w_builder.flamingo.tokens import BOS, EOC, EOS, TAG, encode


class SampleError(DropError):
    """One sample cannot become an example: counted by reason, never fatal."""


@dataclass(frozen=True, slots=True)
class Choices:
    """How documents become examples: the paper's numbers, then the five choices it leaves open."""

    length: int = 256  # L, tokens of a window (F1 3.2.1)
    images: int = 5  # N, images of a window (F1 3.2.1)
    next_probability: float = 0.5  # p_next: phi is the next image, not the last (F2 A.3.2)
    space_probability: float = 0.5  # a pair's text gets one leading space (F2 B.1.2)
    frames: int = 8  # T of a video clip at 1 frame per second (F2 2.1)
    pair_length: int = 128  # tokens of a pair, here bytes (F1: 32 or 64 SentencePiece tokens)
    # 1. phi after the last image when "next" is drawn: no image, or still the last one.
    after_last: Literal["none", "last"] = "none"
    # 2. text after a discarded 6th image: sees no image, is cut off, or keeps seeing the 5th.
    discarded: Literal["none", "cut", "last"] = "none"
    # 3. loss on every token (Eq. 2 as printed), or only on text that sees an image, tags excluded.
    loss: Literal["all", "seen"] = "all"
    # 4. which windows are drawn, uniformly: those that hold a whole tag, or any. A document
    # shorter than L stays short; a batch pads on the right without loss. With "next", <EOC> stays
    # where it is and takes the phi of the chunk it closes.
    window: Literal["image", "any"] = "image"
    # 5. which token of the plain-text tag switches phi.
    switch: Literal["tag_start", "tag_end"] = "tag_start"


@dataclass(frozen=True, slots=True)
class Tag:
    """An `<image>` in the text and the picture behind it."""

    start: int  # position of the tag's first token in the ids
    node: int  # index in the sample's parallel lists
    parts: tuple[str, ...]  # member names after the key: one per frame, so one for an image

    @property
    def end(self) -> int:
        return self.start + len(TAG)


@dataclass(frozen=True, slots=True)
class Example:
    """One training sequence. Ragged: nothing is padded, neither text nor image slots."""

    key: str
    ids: list[int]  # [L]
    phi: list[int]  # [L], 0 = no image, i = tags[i - 1]
    loss: list[bool]  # [L]: does predicting this token count
    tags: tuple[Tag, ...]  # <= N, in document order; tag i carries image i

    def __post_init__(self) -> None:
        assert len(self.ids) == len(self.phi) == len(self.loss)
        assert all(0 <= image <= len(self.tags) for image in self.phi)
        assert all(tuple(self.ids[tag.start : tag.end]) == TAG for tag in self.tags)
        nodes = [tag.node for tag in self.tags]
        assert nodes == sorted(set(nodes)), f"{self.key}: images out of document order: {nodes}"


def draws(seed: int, epoch: int, key: str) -> random.Random:
    """Returns the source of every random choice for one sample in one epoch, in any process."""
    return random.Random(f"{seed}/{epoch}/{key}")  # seeded through SHA-512, not hash()


def example(sample: Mapping[str, Any], choices: Choices, rng: random.Random) -> Example:
    """Returns the training example of a sample's JSON; raises SampleError when it holds none."""
    make = _document if sample.get("kind") == "interleaved" else _pair
    return make(sample, choices, rng)


def text(sample: Mapping[str, Any]) -> str:
    """Returns the sample's texts alone, a line each: what the byte LM is warmed up on."""
    return "\n".join(words for _, words, _ in nodes(sample) if words)


def nodes(sample: Mapping[str, Any]) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Yields (index, text, parts) for each node in document order; text is "" for media."""
    lists = [sample.get(name) for name in ("texts", "images", "videos")]
    size = max((len(values) for values in lists if isinstance(values, list)), default=0)
    columns = [values if isinstance(values, list) else [None] * size for values in lists]
    if any(len(column) != size for column in columns):
        raise SampleError("malformed_sample", "texts, images and videos differ in length")
    for index, (words, image, frames) in enumerate(zip(*columns, strict=True)):
        parts = frames if isinstance(frames, list) else [image] if image else []
        if not isinstance(words, str | None) or not all(isinstance(part, str) for part in parts):
            raise SampleError("malformed_sample", f"node {index}: not a text, a part or parts")
        if words or parts:
            yield index, words or "", tuple(parts)


# Interleaved documents


def _document(sample: Mapping[str, Any], choices: Choices, rng: random.Random) -> Example:
    ids, tags = tokenise(sample)
    if not tags:
        raise SampleError("no_image", "an interleaved document without media")
    ids, tags = window(ids, tags, choices, rng)
    looks_ahead = rng.random() < choices.next_probability
    if choices.discarded == "cut" and len(tags) > choices.images:
        ids, tags = ids[: tags[choices.images].start], tags[: choices.images]
    phi = look(len(ids), tags, choices, ahead=looks_ahead)
    kept = tuple(_clip(tag, choices.frames, rng) for tag in tags[: choices.images])
    return Example(str(sample.get("id", "")), ids, phi, _loss(ids, phi, tags, choices), kept)


def tokenise(sample: Mapping[str, Any]) -> tuple[list[int], list[Tag]]:
    """Returns the whole document as ids with its tags.

    <EOC> closes the chunk before every image and at the end (F1 3.2.1). A document that opens
    with an image has no chunk to close there: it starts <BOS><image>, as the paper's pairs and
    prompts do.
    """
    ids, tags, after_text = [BOS], list[Tag](), False
    for node, words, parts in nodes(sample):
        if parts:
            ids += [EOC] if len(ids) > 1 else []
            tags.append(Tag(len(ids), node, parts))
            ids += TAG
        else:
            ids += encode("\n" + words if after_text else words)
        after_text = not parts
    return [*ids, EOC, EOS], tags


def window(
    ids: list[int], tags: list[Tag], choices: Choices, rng: random.Random
) -> tuple[list[int], list[Tag]]:
    """Returns a random run of at most L tokens, with the tags that lie in it whole.

    A tag that the border cuts carries no image: text whose image is outside sees none (phi = 0).
    """
    latest = max(0, len(ids) - choices.length)
    ranges = [range(latest + 1)]
    if choices.window == "image":
        ranges = list(_starts(tags, choices.length, latest))
    drawn = rng.randrange(sum(map(len, ranges)))
    for starts in ranges:
        if drawn < len(starts):
            break
        drawn -= len(starts)
    first = starts[drawn]
    last = first + choices.length
    inside = [replace(t, start=t.start - first) for t in tags if first <= t.start and t.end <= last]
    return ids[first:last], inside


def _starts(tags: Sequence[Tag], length: int, latest: int) -> Iterator[range]:
    """Yields disjoint ranges of window starts; each start's window holds a whole tag."""
    free = 0
    for tag in tags:
        low, high = max(free, tag.end - length), min(tag.start, latest)
        if low <= high:
            yield range(low, high + 1)
            free = high + 1


def look(length: int, tags: Sequence[Tag], choices: Choices, *, ahead: bool) -> list[int]:
    """Returns phi for each of `length` positions: 0 = no image, i = the i-th tag.

    phi(l) is the last image at or before l (F2 A.1.3), with `ahead` the image after that one.
    """
    switches = [t.start if choices.switch == "tag_start" else t.end - 1 for t in tags]
    phi = [bisect_right(switches, position) for position in range(length)]
    if ahead:
        beyond = len(tags) if choices.after_last == "last" else 0
        phi = [image + 1 if image < len(tags) else beyond for image in phi]
    if choices.discarded == "last":
        return [min(image, choices.images) for image in phi]
    return [image if image <= choices.images else 0 for image in phi]


def _loss(ids: list[int], phi: list[int], tags: Sequence[Tag], choices: Choices) -> list[bool]:
    if choices.loss == "all":
        return [True] * len(ids)
    tagged = {position for tag in tags for position in range(tag.start, tag.end)}
    return [image > 0 and position not in tagged for position, image in enumerate(phi)]


# Pairs


def _pair(sample: Mapping[str, Any], choices: Choices, rng: random.Random) -> Example:
    """Returns `<BOS><image>{text}<EOC><EOS>` with phi = 1 everywhere (F1 3.2.2).

    A long text is cut so that <EOC> and <EOS> stay, unlike open_flamingo's pairs.
    """
    media = [(node, parts) for node, _, parts in nodes(sample) if parts]
    words, key = _words(sample, rng), str(sample.get("id", ""))
    if len(media) != 1 or not words:
        raise SampleError("incomplete_pair", "a pair needs one image or video and a text")
    space = " " if rng.random() < choices.space_probability else ""
    head = [BOS, *TAG]
    ids = [*head, *encode(space + words)[: choices.pair_length - len(head) - 2], EOC, EOS]
    tag, phi = Tag(1, *media[0]), [1] * len(ids)
    loss = _loss(ids, phi, [tag], choices)
    return Example(key, ids, phi, loss, (_clip(tag, choices.frames, rng),))


def _words(sample: Mapping[str, Any], rng: random.Random) -> str:
    """Returns the text of a pair; of texts that CapFilt kept, which are alternatives, one by lot."""
    infos = sample.get("info")
    of_texts = [i for i in infos if isinstance(i, dict)] if isinstance(infos, list) else []
    if any(info.get("type") == "text" and "origin" in info for info in of_texts):
        return rng.choice([words for _, words, _ in nodes(sample) if words] or [""])
    return text(sample)


def _clip(tag: Tag, frames: int, rng: random.Random) -> Tag:
    """Returns the tag with a random run of at most `frames` frames (stored at 1 per second)."""
    first = rng.randrange(max(1, len(tag.parts) - frames + 1))
    return replace(tag, parts=tag.parts[first : first + frames])
