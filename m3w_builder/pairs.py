"""Pairs of one picture or video and the text that describes it, from the whole page.

The text of a picture is, of its alt text, its caption and its title, in this order:
1. the first that describes it, unless a later one says more than twice as much and the first says
   less than a sentence would (ENOUGH different words);
2. where none does, an alt text or title that repeats the page's own title.
A text describes nothing when it is empty, a file name, an id, an address or a word like "image",
credits the photographer only, names the site, or stands on three or more pictures of the page.
A video has its caption, its own title, the name and description that the page declares for it, by
the same rule, and if it is the page's only video, the page's title. A picture that only the page's
metadata names is no pair: the body has it in another size, or it stands for the site.
Which pairs are good is not decided here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from m3w_builder import video
from m3w_builder.images import is_description, same_picture
from m3w_builder.interleave import ParsedPage, node
from m3w_builder.interleave.blocks import Item
from m3w_builder.metadata import Metadata, plain
from m3w_builder.types import Document, Image, Kind, Text, Video, document_id

ENOUGH = 4  # different words: "a dog runs along the beach" says what there is to see
REPEATED = 3  # pictures with one text: it is about none of them


def image_pairs(parsed: ParsedPage) -> list[Document]:
    """Returns a pair for each picture of the page that has a description, each address once."""
    items: dict[str, Item] = {}
    texts: dict[str, list[str]] = {}
    for item in (*parsed.walk.items, *parsed.walk.pictures_apart()):
        if isinstance(image := item.media, Image):
            items.setdefault(image.url, item)
            texts.setdefault(image.url, []).extend((image.alt, image.title))
    known = _known(parsed.metadata, parsed, texts)
    pairs = []
    for item in items.values():
        assert isinstance(item.media, Image)
        if words := describe(item.media, known):
            picture = node(item, parsed)
            assert isinstance(picture, Image)
            pairs.append(_pair(parsed, picture, words))
    return pairs


@dataclass(frozen=True)
class Known:
    """What a page's pictures have in common: texts, in lower case, that describe no one of them."""

    headings: frozenset[str] = frozenset()  # the page's titles
    empty: frozenset[str] = frozenset()  # the site's name, what many pictures share


def describe(image: Image, known: Known | None = None) -> str:
    """Returns the text that describes an image by the rule above, "" if none does."""
    return _choose((image.alt, image.caption, image.title), image.url, known or Known())


def _known(page: Metadata, parsed: ParsedPage, texts: dict[str, list[str]]) -> Known:
    """Returns the titles of a page, its site's name and what several of its media share."""
    bearers: dict[str, list[str]] = {}  # text -> addresses of different pictures with it
    for url, of_one in texts.items():
        for text in {_key(text) for text in of_one if text}:
            urls = bearers.setdefault(text, [])
            if len(urls) < REPEATED and not any(same_picture(url, other) for other in urls):
                urls.append(url)
    titles = (parsed.title, page.first("og:title"), page.first("twitter:title"))
    parts = (part for title in titles for part in (title, *_SEPARATOR.split(title)[:1]))
    shared = {text for text, urls in bearers.items() if len(urls) == REPEATED}
    return Known(
        frozenset(_key(part) for part in parts if part),
        frozenset({*shared, *map(_key, page.all("og:site_name"))}),
    )


_SEPARATOR = re.compile(r"\s+[|·•»–—-]\s+")  # "The headline | The site"


def _key(text: str) -> str:
    return " ".join(text.split()).casefold().strip(" .!:")


def _choose(texts: Iterable[str], url: str, known: Known) -> str:
    """Returns the text of several that describes the picture or video at `url` best."""
    said = [
        words
        for text in texts
        if text and (words := _said(text, url)) and _key(words) not in known.empty
    ]
    own = [words for words in said if _key(words) not in known.headings] or said
    best = next(iter(own), "")
    for words in own[1:]:
        if _tells(best) < ENOUGH and _tells(words) > 2 * _tells(best):
            best = words
    return best


def _said(text: str, url: str) -> str:
    """Returns the lines of a text that describe something, as one line; "" if none does."""
    lines = (" ".join(plain(line).split()) for line in text.split("\n"))
    return " ".join(line for line in lines if _is_description(line, url))


def _is_description(line: str, url: str) -> bool:
    if not line or (" " not in line and _ID.fullmatch(line)):
        return False
    if line[0].lower() in _CREDIT_STARTS and _CREDIT.fullmatch(line):
        return False
    lower = line.lower()
    if " of" in lower or " von" in lower:
        line = _LEAD_IN.sub("", line, count=1)
    return is_description(line, url)


_LEAD_IN = re.compile(
    r"(?:(?:an?|the) )?(?:image|picture|photo(?:graph)?|bild|foto) (?:of|von)\b ?", re.I
)
_ID = re.compile(
    r"[0-9a-f-]{16,}|(?=\S*\d)[\w.]*_[\w.-]*", re.I
)  # "5b274ebc-2e46-40d6", "m45__2019"
_CREDIT_STARTS = frozenset("©(cpifbsqv")
_CREDIT = re.compile(
    r"\(?(?:©|\(c\)|copyright\b|(?:photo|image|picture)s?(?:graph)? (?:credits?|by|courtesy)\b|credits?:).{0,100}"
    r"|(?:photo|foto|bild|image|source|quelle|crédit|fuente|via)s?\s*[:/]\s*\S+(?:[ /]+\S+){0,3}",
    re.I,
)


def _tells(text: str) -> int:
    """Returns about how much a text tells: its different words, or half its ideographs and kana."""
    words = {word for word in _WORD.findall(text.casefold()) if len(word) > 2}
    dense = {letter for letter in text if letter > "\u2e7f"}
    return len({word for word in words if word[0] <= "\u2e7f"}) + len(dense) // 2


_WORD = re.compile(r"[^\W\d_]+")


def video_pairs(parsed: ParsedPage) -> list[Document]:
    """Returns a pair for each video file that something on the page describes, each once."""
    page = parsed.metadata
    declared = parsed.declared
    found: dict[str, Video] = {}
    labels: dict[str, list[str]] = {}  # URL -> what the page calls that video
    for placed in _placed(parsed):
        whole = video.resolve(placed, declared)
        found.setdefault(whole.url, whole)
        labels.setdefault(whole.url, []).extend((placed.caption, placed.title))
    for one in declared:
        shown = next((url for url in found if url in one.names), one.video.url)
        found.setdefault(shown, one.video)
        of_one = (one.video.caption, one.video.title, one.video.description)
        labels.setdefault(shown, []).extend(of_one)
    if not found:
        return []
    known = _known(page, parsed, labels)
    pairs = []
    for media in found.values():
        texts = [
            *labels[media.url],
            *(() if len(found) > 1 else (page.first("og:title"), parsed.title)),
        ]
        if media.file and (words := _choose(texts, media.url, known)):
            pairs.append(_pair(parsed, media, words))
    return pairs


def _placed(parsed: ParsedPage) -> list[Video]:
    """Returns the videos of the body, each with its DOM path."""
    items = (item for item in parsed.walk.items if isinstance(item.media, Video))
    return [media for item in items if isinstance(media := node(item, parsed), Video)]


def _pair(parsed: ParsedPage, media: Image | Video, words: str) -> Document:
    kind: Kind = "image_text" if isinstance(media, Image) else "video_text"
    page = parsed.page
    return Document(
        document_id(kind, parsed.url, media.url), kind, parsed.url,
        (media, Text(words, "caption", media.path)), parsed.title,
        crawled=page.crawled, record=page.record, source=page.source,
    )  # fmt: skip
