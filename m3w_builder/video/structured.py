"""Videos that a page's metadata declares: schema.org VideoObject, og:video, twitter:player."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from lxml import etree

from m3w_builder.metadata import (
    Metadata,
    Thing,
    first,
    is_picture,
    pixels,
    plain,
    read_metadata,
    words,
)
from m3w_builder.text import word_set
from m3w_builder.types import Video
from m3w_builder.urls import canonical
from m3w_builder.video.addresses import (
    FILE,
    NO_PLAYERS,
    is_audio,
    is_file,
    names_of,
    player,
    watch_page,
)

Element = etree._Element


MAX_VIDEOS = 200  # of one page


MAX_LEADS = 3  # a page that declares more without a shared card lists them and is about none


FILE_TYPES = word_set("video/mp4 video/webm video/ogg video/quicktime video/x-m4v")


STREAM_TYPES = word_set("application/x-mpegurl application/vnd.apple.mpegurl application/dash+xml")


_DURATION = re.compile(
    r"P?(?:0+Y)?(?:0+M)?(?:0+W)?(?:(\d{1,5}(?:\.\d{1,6})?)D)?"
    r"(?:T(?:(\d{1,6}(?:\.\d{1,6})?)H)?(?:(\d{1,6}(?:\.\d{1,6})?)M)?(?:(\d{1,6}(?:\.\d{1,6})?)S)?)?",
    re.I,
)


_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,3}):(\d{2}(?:\.\d{1,6})?)")


@dataclass(frozen=True, slots=True)
class Declared:
    """A video that the page's metadata declares, and every address it goes by."""

    video: Video
    names: frozenset[str]  # of its file, player and watch page
    card: bool = False  # of the page as a whole: og:video, twitter:player


def declared(page: Element | Metadata, base: str = "") -> list[Video]:
    """Returns the videos that the page declares (JSON-LD, microdata, og:video), each once."""
    metadata = page if isinstance(page, Metadata) else read_metadata(page, base)
    return [one.video for one in declarations(metadata)]


def declarations(metadata: Metadata) -> list[Declared]:
    """Returns the videos that the page declares with all their addresses, each once.

    By schema.org VideoObject in JSON-LD or microdata, og:video (ogp.me) and twitter:player.
    """
    found: list[Declared] = []
    places: dict[str, int] = {}  # name -> index
    things = (_from_schema(thing, metadata.base) for thing in metadata.things("VideoObject"))
    for one in (*things, _card(metadata)):
        if one is None:
            continue
        place = next((places[name] for name in one.names if name in places), len(found))
        if place == len(found):
            if place >= MAX_VIDEOS:
                continue
            found.append(one)
        else:
            known = found[place]
            names = known.names | one.names
            found[place] = Declared(merge(known.video, one.video), names, known.card or one.card)
        places.update(dict.fromkeys(one.names, place))
    return found


def lead(known: Sequence[Declared], base: str, shown: Iterable[str]) -> Video | None:
    """Returns the video a page is about where its body shows none of those it declares, else None.

    `known` are the declared ones, `base` is an address of the page, `shown` are the addresses of the
    videos in the body; one of the page's own site or of the declared video's is taken for it. The lead
    is the one of og:video or twitter:player, else the first of a few VideoObjects: a page that declares
    many lists them.
    """
    if not known:
        return None
    shown = frozenset(shown)
    own = {_site(url) for url in (base, *(one.video.url for one in known))}
    if any(one.names & shown for one in known) or any(_site(url) in own for url in shown):
        return None
    card = next((one.video for one in known if one.card), None)
    return card or (known[0].video if 0 < len(known) <= MAX_LEADS else None)


def _site(url: str) -> str:
    return ".".join((urlsplit(url).hostname or "").split(".")[-2:])


def resolve(video: Video, declared: Iterable[Declared]) -> Video:
    """Returns a video of the body with what the page declares of it: its file's address, its words."""
    for one in declared:
        if video.url in one.names:
            return merge(video, one.video)
    return video


def merge(one: Video, other: Video) -> Video:
    """Returns one video with what the other knows more; a file's address beats a player's."""
    more = {
        name: getattr(other, name)
        for name in ("title", "caption", "description", "poster", "width", "height", "seconds")
        if not getattr(one, name) and getattr(other, name)
    }
    if other.file and not one.file:
        more.update(url=other.url, file=True)
    return replace(one, **more) if more else one


def _from_schema(thing: Thing, base: str) -> Declared | None:
    """Returns the video of a VideoObject's properties: the media file, else the player's page."""
    contents = _urls(thing, base, "contentUrl", "contentURL")
    embeds = _urls(thing, base, "embedUrl", "embedURL")
    pages = _urls(thing, base, "url")
    # Pages mix the properties up: what is named like a file is one, whichever property has it.
    named = [url for url in (*contents, *embeds, *pages) if FILE.search(urlsplit(url).path)]
    kind = first(thing, "encodingFormat", "fileFormat").lower()
    files = [url for url in contents if url != base and is_file(url) and kind not in STREAM_TYPES]
    players = [watch_page(url) for url in (*contents, *embeds)] or [player(url) for url in pages]
    url = next(iter((*named, *files, *players)), "")
    if not url or is_audio(url):
        return None
    posters = _urls(thing, base, "thumbnailUrl", "thumbnailURL", "thumbnail", "image")
    video = Video(
        url,
        _said(first(thing, "name", "headline")),
        _said(first(thing, "caption")),
        _said(first(thing, "description")),
        next((poster for poster in posters if is_picture(poster)), ""),
        file=bool(named or files),
        width=pixels(first(thing, "width")),
        height=pixels(first(thing, "height")),
        seconds=seconds(first(thing, "duration")),
    )
    return Declared(video, names_of((*contents, *embeds, url)) - {base})


def _said(text: str) -> str:
    """Returns a text of metadata, "" for an id that stands in its place."""
    text = plain(text)
    return "" if re.fullmatch(r"[0-9a-f-]{16,}|[0-9_-]*", text, re.I) else text


def _urls(thing: Thing, base: str, *names: str) -> list[str]:
    found = (canonical(text, base) for name in names for text in words(thing.get(name)))
    return [url for url in found if url]


def _card(metadata: Metadata) -> Declared | None:
    """Returns the video of the page's card: og:video and twitter:player are one and the same."""
    base, get = metadata.base, metadata.first
    named = word_set("og:video og:video:url og:video:secure_url twitter:player:stream")
    kinds = {kind.split(";")[0].strip().lower() for kind in metadata.all("og:video:type")}
    kinds.add(get("twitter:player:stream:content_type").split(";")[0].strip().lower())
    urls = [canonical(one.content, base) for one in metadata.metas if one.name in named]
    urls = [url for url in urls if url and not is_audio(url)][:MAX_VIDEOS]
    frame = canonical(get("twitter:player"), base)
    typed = bool(kinds & FILE_TYPES)
    files = [url for url in urls if is_file(url) and (typed or FILE.search(urlsplit(url).path))]
    files.sort(key=lambda url: not FILE.search(urlsplit(url).path))
    frames = (
        [*urls, frame] if frame and not NO_PLAYERS.search(urlsplit(frame).hostname or "") else urls
    )
    if not frames:
        return None
    # A page of type "video" is the video's page: its title and description are the video's own.
    own = get("og:type").lower().startswith("video")
    width = pixels(get("og:video:width", "twitter:player:width"))
    height = pixels(get("og:video:height", "twitter:player:height"))
    poster = canonical(get("og:image:secure_url", "og:image", "twitter:image"), base)
    video = Video(
        files[0] if files else watch_page(frames[0]),
        plain(get("og:title")) if own else "",
        description=plain(get("og:description")) if own else "",
        poster=poster if is_picture(poster) else "",
        file=bool(files),
        width=width,
        height=height,
        seconds=seconds(get("og:video:duration", "video:duration")),
    )
    return Declared(video, names_of(frames) - {base}, card=True)


def seconds(duration: str) -> float | None:
    """Returns the seconds of an ISO 8601 duration ("PT1M30S"), a clock ("1:30") or a plain number.

    None for anything else, and for none at all ("PT0S").
    """
    duration = duration.strip()
    match = _DURATION.fullmatch(duration)
    if match and any(match.groups()):
        days, hours, minutes, rest = (float(part or 0) for part in match.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + rest or None
    if match := _CLOCK.fullmatch(duration):
        hours, minutes, rest = (float(part or 0) for part in match.groups())
        return (hours * 60 + minutes) * 60 + rest or None
    return float(duration) or None if re.fullmatch(r"\d{1,6}(?:\.\d{1,6})?", duration) else None
