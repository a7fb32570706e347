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
from itertools import pairwise
from typing import Any

from m3w_builder.errors import DropError
from m3w_builder.flamingo.config import Examples
from m3w_builder.flamingo.data.tokens import Tokenizer


class SampleError(DropError):
    """One sample cannot become an example: counted by reason, never fatal."""


@dataclass(frozen=True, slots=True)
class Node:
    """A text or a medium of a document, as the sample's parallel lists have it."""

    index: int  # in those lists
    text: str = ""  # "" for a medium
    parts: tuple[str, ...] = ()  # member names after the key: one per frame, so one for an image
    digests: tuple[str, ...] = ()  # sha256 of each part as stored, "" where the sample does not say


@dataclass(frozen=True, slots=True)
class Tag:
    """An `<image>` in the text and the picture behind it."""

    start: int  # position of the tag's first token in the ids
    end: int  # position after its last
    node: int  # index in the sample's parallel lists
    parts: tuple[str, ...]
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One training sequence. Ragged: nothing is padded, neither text nor image slots."""

    key: str  # of the document
    ids: list[int]  # [L]
    phi: list[int]  # [L], 0 = no image, i = tags[i - 1]
    loss: list[bool]  # [L]: does predicting this token count; never the first
    tags: tuple[Tag, ...]  # <= N, in document order; tag i carries image i
    tag: tuple[int, ...]  # "<image>" in tokens

    def __post_init__(self) -> None:
        assert len(self.ids) == len(self.phi) == len(self.loss)
        assert not any(self.loss[:1]), f"{self.key}: nothing comes before the first token"
        assert all(0 <= image <= len(self.tags) for image in self.phi)
        assert all(tuple(self.ids[tag.start : tag.end]) == self.tag for tag in self.tags)
        assert all(len(tag.parts) == len(tag.digests) > 0 for tag in self.tags)
        nodes = [tag.node for tag in self.tags]
        assert nodes == sorted(set(nodes)), f"{self.key}: images out of document order: {nodes}"

    @property
    def images(self) -> list[str]:
        """Returns the ids of the pictures, tag after tag; of a video that of its first frame.

        The sha256, or where nothing says it the name in the shard: each pair of others has a "jpg".
        """
        return [tag.digests[0] or f"{self.key}.{tag.parts[0]}" for tag in self.tags]


def draws(seed: int, epoch: int, key: str) -> random.Random:
    """Returns the source of every random choice for one sample in one epoch, in any process."""
    return random.Random(f"{seed}/{epoch}/{key}")  # seeded through SHA-512, not hash()


def example(
    sample: Mapping[str, Any], choices: Examples, tokenizer: Tokenizer, rng: random.Random
) -> Example:
    """Returns the training example of a sample's JSON; raises SampleError when it holds none."""
    make = _document if sample.get("kind") == "interleaved" else _pair
    return make(sample, choices, tokenizer, rng)


def text(sample: Mapping[str, Any]) -> str:
    """Returns the sample's texts alone, a line each: what a builtin LM learns from."""
    return "\n".join(node.text for node in nodes(sample) if node.text)


def nodes(sample: Mapping[str, Any]) -> Iterator[Node]:
    """Yields the nodes in document order; raises SampleError where the parallel lists are not."""
    lists = [sample.get(name) for name in ("texts", "images", "videos", "info")]
    size = max((len(values) for values in lists[:3] if isinstance(values, list)), default=0)
    columns = [values if isinstance(values, list) else [None] * size for values in lists]
    if any(len(column) != size for column in columns):
        raise SampleError("malformed_sample", "texts, images, videos and info differ in length")
    for index, (words, image, frames, info) in enumerate(zip(*columns, strict=True)):
        parts = frames if isinstance(frames, list) else [image] if image else []
        if not isinstance(words, str | None) or not all(isinstance(part, str) for part in parts):
            raise SampleError("malformed_sample", f"node {index}: not a text, a part or parts")
        if parts:
            yield Node(index, "", tuple(parts), _digests(info, parts))
        elif words:
            yield Node(index, words)


def _digests(info: Any, parts: Sequence[str]) -> tuple[str, ...]:
    about = info if isinstance(info, dict) else {}
    frames = about.get("frames")
    if not isinstance(frames, list):
        return (str(about.get("sha256") or ""),) * len(parts)
    named = [f for f in frames if isinstance(f, dict) and isinstance(f.get("name"), str)]
    known = {frame["name"]: str(frame.get("sha256") or "") for frame in named}
    return tuple(known.get(part, "") for part in parts)


# Interleaved documents


def _document(
    sample: Mapping[str, Any], choices: Examples, tokenizer: Tokenizer, rng: random.Random
) -> Example:
    ids, tags = tokenise(sample, tokenizer)
    if not tags:
        raise SampleError("no_image", "an interleaved document without media")
    _in_order(tags)
    ids, tags = window(ids, tags, choices, rng)
    looks_ahead = rng.random() < choices.next_probability
    if choices.discarded == "cut" and len(tags) > choices.images:
        ids, tags = ids[: tags[choices.images].start], tags[: choices.images]
    phi = look(len(ids), tags, choices, ahead=looks_ahead)
    kept = tuple(_clip(tag, choices.frames, rng) for tag in tags[: choices.images])
    loss = _loss(ids, phi, tags, choices)
    return Example(str(sample.get("id", "")), ids, phi, loss, kept, tokenizer.tag)


def _in_order(tags: Sequence[Tag]) -> None:
    """Raises SampleError where the numbers of the parts contradict the order of the tags.

    In our shards a part is named by the number of its medium in document order: a sample that
    names them in another order puts pictures behind the wrong words.
    """
    names = [tag.parts[0].partition(".")[0] for tag in tags]
    if all(name.isdecimal() and len(name) < 19 for name in names):
        numbers = [int(name) for name in names]
        if any(a >= b for a, b in pairwise(numbers)):
            raise SampleError("misordered_images", f"parts {', '.join(names[:8])}")


def tokenise(sample: Mapping[str, Any], tokenizer: Tokenizer) -> tuple[list[int], list[Tag]]:
    """Returns the whole document as ids with its tags.

    <EOC> closes the chunk before every image and at the end (F1 3.2.1). A document that opens
    with an image has no chunk to close there: it starts <BOS><image>, as the paper's pairs and
    prompts do.
    """
    ids, tags, after_text = [tokenizer.bos], list[Tag](), False
    for node in nodes(sample):
        if node.parts:
            ids += [tokenizer.eoc] if len(ids) > 1 else []
            tags.append(_tag(len(ids), node, tokenizer))
            ids += tokenizer.tag
        else:
            ids += tokenizer.encode("\n" + node.text if after_text else node.text)
        after_text = not node.parts
    return [*ids, tokenizer.eoc, tokenizer.eos], tags


def _tag(start: int, node: Node, tokenizer: Tokenizer) -> Tag:
    return Tag(start, start + len(tokenizer.tag), node.index, node.parts, node.digests)


def window(
    ids: list[int], tags: list[Tag], choices: Examples, rng: random.Random
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
    inside = [
        replace(tag, start=tag.start - first, end=tag.end - first)
        for tag in tags
        if first <= tag.start and tag.end <= last
    ]
    return ids[first:last], inside


def _starts(tags: Sequence[Tag], length: int, latest: int) -> Iterator[range]:
    """Yields disjoint ranges of window starts; each start's window holds a whole tag."""
    free = 0
    for tag in tags:
        low, high = max(free, tag.end - length), min(tag.start, latest)
        if low <= high:
            yield range(low, high + 1)
            free = high + 1


def look(length: int, tags: Sequence[Tag], choices: Examples, *, ahead: bool) -> list[int]:
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


def _loss(ids: list[int], phi: list[int], tags: Sequence[Tag], choices: Examples) -> list[bool]:
    if choices.loss == "all":
        return [position > 0 for position in range(len(ids))]
    tagged = {position for tag in tags for position in range(tag.start, tag.end)}
    return [bool(p and image and p not in tagged) for p, image in enumerate(phi)]


# Pairs


def _pair(
    sample: Mapping[str, Any], choices: Examples, tokenizer: Tokenizer, rng: random.Random
) -> Example:
    """Returns `<BOS><image>{text}<EOC><EOS>` with phi = 1 everywhere (F1 3.2.2).

    A long text is cut so that <EOC> and <EOS> stay, unlike open_flamingo's pairs.
    """
    media = [node for node in nodes(sample) if node.parts]
    words = _words(sample, rng)
    if len(media) != 1 or not words:
        raise SampleError("incomplete_pair", "a pair needs one image or video and a text")
    space = " " if rng.random() < choices.space_probability else ""
    head = [tokenizer.bos, *tokenizer.tag]
    room = choices.pair_length - len(head) - 2
    ids = [*head, *tokenizer.encode(space + words)[:room], tokenizer.eoc, tokenizer.eos]
    tag, phi = _tag(1, media[0], tokenizer), [1] * len(ids)
    kept = (_clip(tag, choices.frames, rng),)
    loss = _loss(ids, phi, [tag], choices)
    return Example(str(sample.get("id", "")), ids, phi, loss, kept, tokenizer.tag)


def _words(sample: Mapping[str, Any], rng: random.Random) -> str:
    """Returns the text of a pair; of texts that CapFilt kept, which are alternatives, one by lot."""
    infos = sample.get("info")
    of_texts = [i for i in infos if isinstance(i, dict)] if isinstance(infos, list) else []
    if any(info.get("type") == "text" and "origin" in info for info in of_texts):
        return rng.choice([node.text for node in nodes(sample) if node.text] or [""])
    return text(sample)


def _clip(tag: Tag, frames: int, rng: random.Random) -> Tag:
    """Returns the tag with a random run of at most `frames` frames (stored at 1 per second)."""
    first = rng.randrange(max(1, len(tag.parts) - frames + 1))
    run = slice(first, first + frames)
    return replace(tag, parts=tag.parts[run], digests=tag.digests[run])
