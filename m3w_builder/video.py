"""Videos of a page: elements in their place, and what og:video and schema.org say about them.

Only a Video with `file=True` has an address that gives a media file; a player or watch page is a
node of the document but never a pair.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from lxml import etree

from m3w_builder.text import clean, inline, word_set
from m3w_builder.types import Video
from m3w_builder.urls import canonical

Element = etree._Element

_FILE = re.compile(r"\.(?:mp4|m4v|webm|og[gv]|mov|avi|mkv|mpe?g|flv|3gp|wmv)$", re.I)
_AUDIO = re.compile(r"\.(?:mp3|m4a|oga|wav|flac|aac|opus)$", re.I)
_STREAM = re.compile(r"\.(?:m3u8|mpd|f4m|ism)(?:/|$)", re.I)
_DURATION = re.compile(
    r"P(?:(\d+(?:\.\d+)?)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?",
    re.I,
)
_PLAYERS = re.compile(
    r"(?:^|\.)(?:youtube(?:-nocookie)?\.com|youtu\.be|vimeo\.com|dailymotion\.com|dai\.ly|twitch\.tv|wistia\.(?:com|net)"
    r"|brightcove\.net|jwplatform\.com|jwplayer\.com|kaltura\.com|ted\.com|rutube\.ru|bilibili\.com|youku\.com"
    r"|v\.qq\.com|vk\.com|streamable\.com|vidyard\.com|loom\.com|archive\.org|video\.[a-z.-]+|player\.[a-z.-]+)$"
)
_EMBED_PATH = re.compile(
    r"/(?:embed|video|player|v|e|iframe|watch|clip)[/.?_-]|/(?:embed|player|video)$", re.I
)
_YOUTUBE = re.compile(
    r"(?:youtube(?:-nocookie)?\.com/(?:embed/|v/|shorts/|watch\?(?:.*&)?v=)|youtu\.be/)([\w-]{11})"
)
_VIMEO = re.compile(r"vimeo\.com/(?:video/)?(\d{5,})")
_DAILYMOTION = re.compile(r"dailymotion\.com/(?:embed/)?video/([A-Za-z0-9]+)")
MAX_VIDEOS = 200  # of one page


def read(element: Element, base: str) -> Video | None:
    """Returns the Video of a video, iframe, embed, object or AMP element, None if it plays none."""
    if element.tag in ("video", "amp-video"):
        return _player_element(element, base)
    address = next((element.get(name) for name in _EMBED_ATTRIBUTES if element.get(name)), "") or ""
    video_id = element.get("data-videoid") or element.get("data-video-id") or ""
    if element.tag == "amp-youtube" or (element.tag == "lite-youtube" and element.get("videoid")):
        address = f"https://www.youtube.com/embed/{video_id or element.get('videoid')}"
    return embedded(canonical(address, base), clean(element.get("title") or ""))


_EMBED_ATTRIBUTES = (
    "src",
    "data-src",
    "data-lazy-src",
    "data-litespeed-src",
    "data-original",
    "data",
)


def embedded(url: str, title: str = "") -> Video | None:
    """Returns the Video of a player's address, with the watch page instead where it is known."""
    if not url:
        return None
    parts = urlsplit(url)
    if _FILE.search(parts.path):
        return Video(url, title)
    watch = watch_page(url)
    if watch != url:
        return Video(watch, title, file=False)
    host = parts.hostname or ""
    if _PLAYERS.search(host) and (
        _EMBED_PATH.search(parts.path) or host.startswith(("player.", "video."))
    ):
        return Video(url, title, file=False)
    return None


def watch_page(url: str) -> str:
    """Returns the address where people watch an embedded video, or the address itself."""
    if match := _YOUTUBE.search(url):
        return f"https://www.youtube.com/watch?v={match[1]}"
    if match := _VIMEO.search(url):
        return f"https://vimeo.com/{match[1]}"
    if match := _DAILYMOTION.search(url):
        return f"https://www.dailymotion.com/video/{match[1]}"
    return url


def _player_element(element: Element, base: str) -> Video | None:
    addresses = [element.get("src") or "", *(s.get("src") or "" for s in element.iter("source"))]
    addresses += [
        str(v) for k, v in element.items() if str(k).startswith("data-") and "src" in str(k)
    ]
    urls = [url for url in (canonical(a, base) for a in addresses) if url and not _is_audio(url)]
    files = [url for url in urls if _is_file(url)]
    if not urls:
        return None
    return Video(
        files[0] if files else watch_page(urls[0]),
        clean(element.get("title") or element.get("aria-label") or ""),
        poster=canonical(element.get("poster") or "", base),
        file=bool(files),
        width=_pixels(element.get("width")),
        height=_pixels(element.get("height")),
    )


def _is_file(url: str) -> bool:
    """Tells whether an address may give a media file: no watch page and no playlist of a stream."""
    if _STREAM.search(urlsplit(url).path):
        return False
    return not any(site.search(url) for site in (_YOUTUBE, _VIMEO, _DAILYMOTION))


def _is_audio(url: str) -> bool:
    return _AUDIO.search(urlsplit(url).path) is not None


def _pixels(value: object) -> int | None:
    text = str(value or "").strip().removesuffix("px")
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) else None


def declared(root: Element, base: str) -> list[Video]:
    """Returns the videos that the page declares (JSON-LD, microdata, og:video), each once."""
    found: dict[str, Video] = {}
    for video in (*_json_ld(root, base), *_microdata(root, base), *_open_graph(root, base)):
        known = found.get(video.url)
        if len(found) < MAX_VIDEOS or known:
            found[video.url] = merge(known, video) if known else video
    return list(found.values())


def merge(one: Video, other: Video) -> Video:
    """Returns one video with what the other knows more."""
    missing = {
        name: getattr(other, name)
        for name in ("title", "caption", "description", "poster", "width", "height", "seconds")
        if not getattr(one, name) and getattr(other, name)
    }
    return replace(one, **missing) if missing else one


def _json_ld(root: Element, base: str) -> Iterator[Video]:
    for script in root.iter("script"):
        if "ld+json" not in (script.get("type") or "").lower() or not script.text:
            continue
        try:
            data = json.loads(_bare(script.text), strict=False)
        except (ValueError, RecursionError):  # real pages hold broken JSON; ours would be no bug
            continue
        for thing in _things(data):
            yield from _from_schema({k: _first_text(thing.get(k)) for k in _SCHEMA_KEYS}, base)


def _bare(script: str) -> str:
    """Returns the JSON without the comment or CDATA marks some pages wrap it in."""
    return _WRAPPING.sub("", script.strip()).strip().rstrip(";")


_WRAPPING = re.compile(r"^(?://)?\s*(?:<!--|<!\[CDATA\[)|(?://)?\s*(?:-->|\]\]>)$")


_SCHEMA_KEYS = word_set(
    "contentUrl contentURL embedUrl embedURL url name headline description caption thumbnailUrl duration"
    " width height"
)


def _things(data: Any) -> Iterator[dict[str, Any]]:
    """Yields every VideoObject anywhere inside a JSON value, without recursion."""
    stack = [data]
    while stack:
        top = stack.pop()
        if isinstance(top, dict):
            kinds = top.get("@type")
            if any(_is_video_type(k) for k in (kinds if isinstance(kinds, list) else [kinds])):
                yield top
            stack.extend(reversed(list(top.values())))
        elif isinstance(top, list):
            stack.extend(reversed(top))


def _is_video_type(kind: object) -> bool:
    return isinstance(kind, str) and kind.rsplit("/", 1)[-1] == "VideoObject"


def _first_text(value: Any) -> str:
    """Returns the text of a schema.org value: itself, a list's first, an object's value or url."""
    for _ in range(3):
        if isinstance(value, list) and value:
            value = value[0]
        elif isinstance(value, dict):
            value = next((value[k] for k in ("@value", "value", "url", "name") if k in value), "")
    return (
        str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    )


def _from_schema(thing: dict[str, str], base: str) -> Iterator[Video]:
    """Yields the video of one VideoObject's properties: the media file, else the player's page."""
    content = canonical(thing["contentUrl"] or thing["contentURL"], base)
    embed = canonical(thing["embedUrl"] or thing["embedURL"], base)
    page = canonical(thing["url"], base)
    if not content and _FILE.search(urlsplit(page).path):
        content = page
    is_file = bool(content) and _is_file(content)
    url = content if is_file else watch_page(content or embed)
    if url and not _is_audio(url):
        yield Video(
            url,
            clean(thing["name"] or thing["headline"]),
            clean(thing["caption"]),
            clean(thing["description"]),
            canonical(thing["thumbnailUrl"], base),
            file=is_file,
            width=_pixels(thing["width"]),
            height=_pixels(thing["height"]),
            seconds=seconds(thing["duration"]),
        )


def seconds(duration: str) -> float | None:
    """Returns the seconds of an ISO 8601 duration ("PT1M30S") or a plain number, else None."""
    duration = duration.strip()
    match = _DURATION.fullmatch(duration)
    if match and any(match.groups()):
        days, hours, minutes, rest = (float(part or 0) for part in match.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + rest
    return float(duration) if re.fullmatch(r"\d{1,6}(?:\.\d{1,6})?", duration) else None


def _microdata(root: Element, base: str) -> Iterator[Video]:
    for scope in root.iterfind(".//*[@itemtype]"):
        if not any(_is_video_type(kind) for kind in (scope.get("itemtype") or "").split()):
            continue
        thing = dict.fromkeys(_SCHEMA_KEYS, "")
        for item in scope.iterfind(".//*[@itemprop]"):
            for name in (item.get("itemprop") or "").split():
                if name in thing and not thing[name]:
                    thing[name] = _property(item)
        yield from _from_schema(thing, base)


def _property(item: Element) -> str:
    """Returns the value of a microdata property (HTML Standard 5.2.4)."""
    for name in ("content", "src", "href", "data", "datetime", "value"):
        if item.get(name):
            return item.get(name) or ""
    return inline(item)


def meta(root: Element, *names: str) -> str:
    """Returns the first non-empty content of the named meta elements (property or name)."""
    for name in names:
        for element in root.iter("meta"):
            if (element.get("property") or element.get("name") or "").lower() == name:
                content = clean(element.get("content") or "")
                if content:
                    return content
    return ""


def _open_graph(root: Element, base: str) -> Iterator[Video]:
    """Yields the videos of og:video (ogp.me): each og:video or its :url starts one."""
    kinds: dict[str, str] = {}
    last = ""
    for element in root.iter("meta"):
        name = (element.get("property") or element.get("name") or "").lower()
        content = element.get("content") or ""
        if name in ("og:video", "og:video:url", "og:video:secure_url", "twitter:player:stream"):
            last = canonical(content, base)
            kinds.setdefault(last, "")
        elif name == "og:video:type" and last and not kinds[last]:
            kinds[last] = content.lower()
    poster = canonical(meta(root, "og:image"), base)
    for url, kind in kinds.items():
        if url and not _is_audio(url):
            is_file = _FILE.search(urlsplit(url).path) is not None or kind in _FILE_TYPES
            is_file = is_file and _is_file(url)
            yield Video(url if is_file else watch_page(url), poster=poster, file=is_file)


_FILE_TYPES = frozenset(("video/mp4", "video/webm", "video/ogg", "video/quicktime", "video/x-m4v"))
