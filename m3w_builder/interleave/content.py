"""Which items of a page are its main content.

MassiveWeb's idea (Gopher A.1.1): coherent text comes in groups of semantic blocks at one level of
the tree; images at that level stay (Flamingo 2.4). What makes a group coherent is measured
(`features`) and weighed by decision trees that were fitted to pages with known content
(`benchmarks/fit_content.py`); a name that says "comments" or "sidebar" is one measurement of many.
"""

import re
from collections import Counter
from collections.abc import Container, Sequence
from functools import cache, lru_cache
from pathlib import Path

from m3w_builder.images import picture_key
from m3w_builder.interleave import hints
from m3w_builder.interleave.blocks import Box, Item, Walk
from m3w_builder.interleave.features import MIN_RUN, measure, running
from m3w_builder.interleave.trees import Trees, load
from m3w_builder.types import Image

MODEL = Path(__file__).with_name("content.npz")
# Scores are log-odds in 1024ths; an item is kept whose score exceeds its bar. A lost picture costs a
# document more than a stray one, which `select` finds by its size, its format or its repetition.
BAR = 256
BAR_NAMED = 2048  # inside what is named as boilerplate
BAR_NAMED_PICTURE = 768
BAR_LABEL = 3072  # itself named as a byline or as metadata, or no word
BAR_LINK = 1536  # a list item or a label that is nothing but a link
BAR_PICTURE = -1024  # that leads nowhere, outside what is named as boilerplate
BAR_LEAD = -2048  # the picture that the page's metadata puts forward
HOLE = -2048  # a paragraph is taken in with its like around it unless its score is lower
# A page with less running text of its own may be about what names call comments or boilerplate; so may
# one where that is a larger share of the text.
MIN_OWN = 300
MAX_NAMED = 0.3
SHORT = 50  # weight of a text that is a label
MIN_GROUP = 3  # paragraphs
MAX_LABELS = 4  # between a heading and its text
MAX_WEIGHT = 400  # of one paragraph among its siblings
SAME = 0.6  # share of words that a headline and a title have in common
MIN_REPEATED = 60  # characters: shorter texts may be said twice
MAX_TWINS = 3
ALL = 0.9  # share of linked characters: the rest is the space between two links
MAX_LINKED = 0.5  # share of linked characters above which a text is a link
_COMMENTS = hints.BIT["comments"]
_USER = hints.BIT["user"]
_UNSURE = hints.BIT["meta"] | hints.BIT["byline"]  # words that content is called by, too
_NAMED = hints.APART & ~_UNSURE & ~_COMMENTS
_LETTER = re.compile(r"[^\W\d_]|[$€£¥₩₽₹]")  # a price is no counter


def keep(walk: Walk, titles: Sequence[str], lead: str, site: str = "") -> list[bool]:
    """Returns for each item whether it is main content.

    `titles` are what the page calls itself, its title first; `lead` is the address of the picture that
    its metadata puts forward, `site` the site's name.
    """
    if not walk.items:
        return []
    title = titles[0] if titles else ""
    marks = [walk.boxes[item.box].marks for item in walk.items]
    scores = _model().score(measure(walk, title, lead)).tolist()
    key = picture_key(lead) if lead else ""
    weights = [running(item) for item in walk.items]
    own, whole = _outside(_NAMED, marks, weights), sum(weights)
    believed = own >= MIN_OWN and whole - own < MAX_NAMED * whole
    named = BAR_NAMED if believed else BAR
    bars = [_bar(item, walk.boxes[item.box], key, named) for item in walk.items]
    kept = [score > bar for score, bar in zip(scores, bars, strict=True)]
    _fill_holes(walk, scores, bars, kept)
    _keep_headings(walk, scores, bars, kept)
    if _outside(_COMMENTS, marks, weights) >= MIN_OWN:
        kept = [good and not found & _COMMENTS for good, found in zip(kept, marks, strict=True)]
    if not any(good and item.text for good, item in zip(kept, walk.items, strict=True)):
        kept = [not found & hints.APART for found in marks]
    _add_headline(walk, titles, site, kept)
    _drop_repeated_media(walk, kept)
    for caption, picture in walk.captions.items():
        kept[caption] = kept[picture]
    _drop_repetitions(walk, kept)
    return kept


def _outside(bits: int, marks: Sequence[int], weights: Sequence[int]) -> int:
    """Returns the weight of the running text outside boxes with one of the marks."""
    return sum(weight for weight, found in zip(weights, marks, strict=True) if not found & bits)


def _bar(item: Item, box: Box, lead: str, named: int) -> int:
    """Returns the score that an item has to exceed; `lead` is the key of the page's lead picture."""
    if item.media is not None:
        if lead and isinstance(item.media, Image) and picture_key(item.media.url) == lead:
            return BAR_LEAD
        if box.marks & hints.APART:
            return BAR_NAMED_PICTURE
        if hints.is_avatar(item.element, item.media.url):
            return BAR_LABEL
        return BAR if item.links or hints.is_sign(item.element, item.media.url) else BAR_PICTURE
    if (
        item.dated
        or box.own & _UNSURE
        or (item.role == "paragraph" and not _LETTER.search(item.text))
    ):
        return BAR_LABEL
    if box.marks & _USER and item.weight < SHORT:
        return BAR_LABEL
    if box.marks & _NAMED:
        return named
    if item.role == "heading" or item.linked < ALL * len(item.text):
        return BAR
    return BAR_LINK if item.role == "list_item" or item.weight < SHORT else BAR


def _fill_holes(walk: Walk, scores: list[int], bars: list[int], kept: list[bool]) -> None:
    """Takes in a paragraph whose siblings of the same tag and class are, by and large, content."""
    groups: dict[tuple[int, str, str | None, str], list[int]] = {}
    for i, item in enumerate(walk.items):
        if item.weight >= MIN_RUN and not item.links and bars[i] == BAR:
            box = walk.boxes[item.box]
            parent = walk.boxes[box.parent]
            around = parent.parent if parent.tag in ("ul", "ol") else box.parent
            key = (around, box.tag, box.element.get("class"), item.role)
            groups.setdefault(key, []).append(i)
    for group in groups.values():
        if len(group) < MIN_GROUP or all(kept[i] for i in group):
            continue
        if sum(scores[i] * min(walk.items[i].weight, MAX_WEIGHT) for i in group) > 0:
            for i in group:
                kept[i] = scores[i] > HOLE


def _keep_headings(walk: Walk, scores: list[int], bars: list[int], kept: list[bool]) -> None:
    """Takes in a heading whose text is kept: what follows it in its box, or stands on both sides of it."""
    for i in range(len(kept) - 2, -1, -1):
        if walk.items[i].role != "heading" or kept[i] or bars[i] != BAR or scores[i] <= HOLE:
            continue
        rest = range(i + 1, min(i + 1 + MAX_LABELS, len(kept)))
        following = next((j for j in rest if kept[j] or bars[j] != BAR_LABEL), i)  # dates, names
        if kept[following]:
            kept[i] = (i > 0 and kept[i - 1]) or _heads(walk, i, following)


def _heads(walk: Walk, heading: int, item: int) -> bool:
    """Tells whether an item lies in the box that a heading stands in, or begins."""
    index = walk.boxes[walk.items[heading].box].parent
    for _ in range(MAX_LABELS):
        if index < 0:
            return False
        box = walk.boxes[index]
        if box.end > item:
            return True
        if box.start != heading:
            return False
        index = box.parent
    return False


def _add_headline(walk: Walk, titles: Sequence[str], site: str, kept: list[bool]) -> None:
    """Takes in the page's headline, once: the last heading before the text that stands in a title, else
    the only h1 there, unless it is a link (to the front page) or the site's name."""
    text = next((i for i, item in enumerate(walk.items) if kept[i] and running(item)), 0)
    above = range(text)
    headings = [i for i in above if walk.items[i].role == "heading"]
    named = [i for i in headings if is_headline(walk.items[i].text, titles)]
    first = [i for i in headings if walk.boxes[walk.items[i].box].tag == "h1"]
    if not named and len(first) == 1:
        item = walk.items[first[0]]
        if not item.links and item.text.casefold() != site.casefold():
            named = first
    if named:
        kept[named[-1]] = True
        for i in above:
            if i != named[-1] and walk.items[i].text == walk.items[named[-1]].text:
                kept[i] = False


def is_headline(heading: str, titles: Sequence[str]) -> bool:
    """Tells whether a heading and a title of its page, or the part of it that comes first or is longest,
    are by and large the same words. "The bridge opens - The Example" has two parts."""
    words = _words(heading)
    return any(
        len(words & of_part) > SAME * max(len(words), len(of_part), 1)
        for title in titles
        for of_part in _parts(title)
    )


@lru_cache(maxsize=16)  # a title is compared with all headings of its page
def _parts(title: str) -> tuple[frozenset[str], ...]:
    """Returns the words of a title, and of the part of it that comes first or is longest."""
    parts = _PARTED.split(title)
    return tuple(map(_words, {title, parts[0], max(parts, key=len)}))


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORDS.findall(text.casefold()))


_PARTED = re.compile(r"\s+[-|–—:»«›‹·•/]\s+")
_WORDS = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]|\w+")


def _drop_repeated_media(walk: Walk, kept: list[bool]) -> None:
    """Drops a picture or video that was kept before, in whatever size: its first place stays."""
    seen: set[str] = set()
    for i, item in enumerate(walk.items):
        if kept[i] and item.media is not None:
            key = media_key(item)
            kept[i] = key not in seen
            seen.add(key)


def media_key(item: Item) -> str:
    """Returns what all sizes of an item's picture or video have in common."""
    assert item.media is not None
    return picture_key(item.media.url) if isinstance(item.media, Image) else item.media.url


def _drop_repetitions(walk: Walk, kept: list[bool]) -> None:
    """Drops long texts that another box has, too: the twin of a part for another size of screen.

    A twin is a run of texts or a long one, there two or three times; what documentation repeats is not.
    """
    long = [i for i, item in enumerate(walk.items) if kept[i] and len(item.text) >= MIN_REPEATED]
    times = Counter(walk.items[i].text for i in long)
    first: dict[str, int] = {}
    again = []
    for i in long:
        text, parent = walk.items[i].text, walk.boxes[walk.items[i].box].parent
        again.append(first.setdefault(text, parent) != parent and times[text] <= MAX_TWINS)
    for n, i in enumerate(long):
        if again[n] and (
            any(again[n - 1 : n]) or any(again[n + 1 : n + 2]) or _is_long(walk.items[i])
        ):
            kept[i] = False


def _is_long(item: Item) -> bool:
    return item.weight >= MAX_WEIGHT


def reason(item: Item, walk: Walk, shown: Container[str] = ()) -> str:
    """Returns why an item is not content, as far as its place or itself says; `shown` are the keys of
    the pictures and videos that are."""
    if item.media is not None and media_key(item) in shown:
        return "repeated"
    index, why = item.box, ""
    while index >= 0:
        box = walk.boxes[index]
        why = hints.reason(box.own & hints.APART) or why  # the outermost name counts
        index = box.parent
    if why:
        return why
    if item.links and (item.media or item.linked > MAX_LINKED * len(item.text)):
        return "links"
    return "outside"


@cache
def _model() -> Trees:
    return load(MODEL)
