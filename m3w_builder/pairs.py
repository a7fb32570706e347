"""Pairs of one picture or video and the text that describes it, from the whole page.

The description of an image is its alt text if that says something, else its caption, else its
title; a video's is what the page says of that very video. Which pairs are good is not decided here.
"""

from m3w_builder import text, video
from m3w_builder.images import is_description
from m3w_builder.interleave import ParsedPage, node
from m3w_builder.types import Document, Image, Kind, Text, Video, document_id


def image_pairs(parsed: ParsedPage) -> list[Document]:
    """Returns a pair for each picture of the page that has a description, each address once."""
    pairs: dict[str, Document] = {}
    for item in parsed.walk.items:
        if isinstance(item.media, Image) and item.media.url not in pairs:
            words = describe(item.media)
            if words:
                picture = node(item, parsed)
                assert isinstance(picture, Image)
                pairs[picture.url] = _pair(parsed, picture, words)
    return list(pairs.values())


def describe(image: Image) -> str:
    """Returns the text that describes an image: alt text, else caption, else title, else ""."""
    for candidate in (image.alt, image.caption, image.title):
        if is_description(candidate, image.url):
            return " ".join(candidate.split())
    return ""


def video_pairs(parsed: ParsedPage) -> list[Document]:
    """Returns a pair for each video file that something on the page describes, each once."""
    found: dict[str, Video] = {}
    for item in parsed.walk.items:
        if isinstance(item.media, Video):
            placed = node(item, parsed)
            assert isinstance(placed, Video)
            found.setdefault(placed.url, placed)
    for declared in video.declared(parsed.root, parsed.base):
        known = found.get(declared.url)
        found[declared.url] = video.merge(known, declared) if known else declared
    files = [v for v in found.values() if v.file]
    only = len(found) == 1
    described = [(v, _video_words(v) or (_page_words(parsed) if only else "")) for v in files]
    return [_pair(parsed, v, words) for v, words in described if words]


def _video_words(found: Video) -> str:
    """Returns the text that describes a video: caption, name, then description."""
    for candidate in (found.caption, found.title, found.description):
        if is_description(candidate, found.url):
            return " ".join(candidate.split())
    return ""


def _page_words(parsed: ParsedPage) -> str:
    """Returns the page's own title: of its only video, the last resort."""
    words = video.meta(parsed.root, "og:title") or parsed.title
    return text.clean(words) if is_description(words) else ""


def _pair(parsed: ParsedPage, media: Image | Video, words: str) -> Document:
    kind: Kind = "image_text" if isinstance(media, Image) else "video_text"
    page = parsed.page
    return Document(
        document_id(kind, parsed.url, media.url), kind, parsed.url,
        (media, Text(words, "caption", media.path)), parsed.title,
        crawled=page.crawled, record=page.record, source=page.source,
    )  # fmt: skip
