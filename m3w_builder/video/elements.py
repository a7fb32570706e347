"""Elements that play a video: in every way that tags, attributes and scripts name one."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from urllib.parse import parse_qsl, urlsplit

from lxml import etree

from m3w_builder.metadata import pixels
from m3w_builder.text import clean, word_set
from m3w_builder.types import Track, Video
from m3w_builder.urls import canonical
from m3w_builder.video.addresses import (
    FILE,
    OTHER,
    STREAM,
    WISTIA,
    YOUTUBE,
    embedded,
    is_audio,
    is_file,
    player,
    watch_page,
)
from m3w_builder.video.structured import FILE_TYPES, STREAM_TYPES, Declared, resolve

Element = etree._Element


VIDEO_TAGS = word_set(
    "video video-js iframe embed object lite-youtube lite-vimeo lite-dailymotion youtube-video vimeo-video"
    " wistia-player mux-player media-player amp-video amp-ima-video amp-iframe amp-video-iframe amp-youtube"
    " amp-vimeo amp-dailymotion amp-brightcove amp-jwplayer amp-wistia-player amp-kaltura-player amp-facebook"
)  # elements that play a video or nothing


FACADE_ATTRIBUTES = word_set(
    "data-youtube-id data-youtubeid data-youtube-video-id data-youtube data-youtube-url data-yt-id data-ytid"
    " data-vimeo-id data-vimeo data-plyr-embed-id data-video-id data-videoid data-video-src data-video-url"
    " data-video data-mp4 data-video-mp4 data-src-mp4 data-setup data-video-setup data-embed-url"
    " data-iframe-src data-jwplayer-data data-instgrm-permalink data-href"
)  # of any other element: `read` tells whether scripts put a player in its place


MAX_SOURCES = 50  # children of one element that are looked at


MAX_LANGUAGE, MAX_LABEL = 40, 200  # characters of a track's


MAX_ADDRESSES = 100  # of one element


MAX_VALUE = 20_000  # characters of an attribute with settings


_MADE_OF = re.compile(r"[\"'<>{}]|\$\{|\s\S+\s")  # templates, markup and prose are no addresses


_QUOTED = re.compile(r"[\"']([^\"'\s]{5,2000})[\"']")


_NOT_ADDRESSES = word_set(
    "class id style title alt aria-label width height allow sandbox name type href poster data-poster"
    " data-thumbnail data-thumb data-image data-preview-url data-preview srcset data-srcset data-title"
    " data-tag flashvars onclick onload referrerpolicy longdesc pluginspage codebase classid"
)


_ADDRESS_NAME = re.compile(r"(?:^|[-_])(?:src|source|video|mp4|webm|file|stream|media)(?:[-_]|$)")


_OTHER_NAME = re.compile(
    r"(?:^|[-_])(?:ads?|vast|poster|thumb\w*|image|img|tracks?|captions?|subtitles?|share|link|api|page)(?:[-_]|$)"
)


_LABELS = ("title", "aria-label", "data-title", "data-video-title", "playlabel")


_NO_LABEL = re.compile(
    r"(?:(?:embedded |html5 )?(?:youtube|vimeo|dailymotion|facebook|twitter|wistia|brightcove)?[ -]*"
    r"(?:embedded |html5 )?(?:video|media)?[ -]*(?:player|embed|iframe|frame|content)?(?: \d+)?)",
    re.I,
)


def read(element: Element, base: str, declared: Sequence[Declared] = ()) -> Video | None:
    """Returns the Video that an element plays, None if it plays none.

    The element is one of VIDEO_TAGS or has one of FACADE_ATTRIBUTES. Scripts load what it plays
    from an attribute of any name, so every attribute that reads like a video's address is one.
    `declared` gives a player's file, a frame that only the metadata knows for a player, and the
    video of a `<video>` without any address (HTML Standard 4.8.8).
    """
    tag = element.tag
    label = _label(element)
    if by_id := _by_id(element):
        known = canonical(by_id, base)
        found = Video(known, label, file=False) if known else None
    elif tag in _MEDIA_TAGS:
        found = _media_element(element, base, label)
    else:
        found = _embed_element(element, base, label)
    tracks = _tracks(element, base) if tag in _MEDIA_TAGS else ()
    if found:
        width, height = pixels(element.get("width")), pixels(element.get("height"))
        poster = found.poster or _poster(element, base)
        found = replace(found, poster=poster, width=width, height=height, tracks=tracks)
        return resolve(found, declared) if declared else found
    if not declared or _is_hidden(element):
        return None
    if tag in _MEDIA_TAGS:
        named = _nameless(element, base, label, declared)
        return replace(named, tracks=tracks) if named and tracks else named
    names = {canonical(value, base) for _, value in _addresses(element)}
    return next((one.video for one in declared if not one.names.isdisjoint(names)), None)


_MEDIA_TAGS = word_set("video video-js amp-video amp-ima-video media-player")


def _label(element: Element) -> str:
    """Returns what an element calls its video, "" for a player's own name."""
    for name in _LABELS:
        label = clean(element.get(name) or "")
        if label and not _NO_LABEL.fullmatch(label):
            return label
    return ""


def _poster(element: Element, base: str) -> str:
    poster = element.get("poster") or element.get("data-poster") or ""
    return canonical(poster, base) if poster else ""


def _is_hidden(element: Element) -> bool:
    style = (element.get("style") or "").replace(" ", "").lower()
    return "display:none" in style or element.get("hidden") is not None


def _media_element(element: Element, base: str, label: str) -> Video | None:
    """Returns the Video of a video element: the first of its sources that is a file."""
    found: list[tuple[str, bool]] = []
    own = [*_addresses(element)]
    holders = [(source, [*_addresses(source)]) for source in _sources(element)]
    direct = [one for one in own if one[0] == "src"]
    for holder, addresses in ((element, direct), *holders, (element, own)):
        kind = (holder.get("type") or "").split(";")[0].strip().lower()
        for name, value in addresses:
            url = canonical(value, base)
            if not url or is_audio(url) or not (name == "src" or _looks_like_video(name, url)):
                continue
            found.append((url, is_file(url) and kind not in STREAM_TYPES))
    url, file = next((one for one in found if one[1]), found[0] if found else ("", False))
    return Video(url if file else watch_page(url), label, file=file) if url else None


def _looks_like_video(name: str, url: str) -> bool:
    path = urlsplit(url).path
    if FILE.search(path) or STREAM.search(path) or player(url):
        return True
    named = _ADDRESS_NAME.search(name) is not None and not _OTHER_NAME.search(name)
    return named and not OTHER.search(path)


def _sources(element: Element) -> list[Element]:
    return [child for child in _void_children(element) if child.tag == "source"]


def _tracks(element: Element, base: str) -> tuple[Track, ...]:
    """Returns the tracks of a video element (HTML Standard 4.8.9), each address once."""
    found: dict[str, Track] = {}
    for child in _void_children(element):
        address = child.get("src") or child.get("data-src") or ""
        url = canonical(address, base) if child.tag == "track" and address.strip() else ""
        if url and url not in found:
            kind = (child.get("kind") or "subtitles").strip().lower()
            language, label = clean(child.get("srclang") or ""), clean(child.get("label") or "")
            kind = kind if kind in _TRACK_KINDS else "metadata"
            found[url] = Track(url, kind, language[:MAX_LANGUAGE], label[:MAX_LABEL])
    return tuple(found.values())


_TRACK_KINDS = word_set("subtitles captions descriptions chapters metadata")


def _void_children(element: Element) -> list[Element]:
    """Returns the sources and tracks of a video; libxml2 nests what follows an unclosed one."""
    found, stack, looked = [], _children(element), 0
    while stack and looked < MAX_SOURCES:
        top = stack.pop(0)
        looked += 1
        if top.tag in ("source", "track"):
            found.append(top)
            stack[:0] = _children(top)
    return found


def _children(element: Element) -> list[Element]:
    return list(islice(element, MAX_SOURCES))


def _embed_element(element: Element, base: str, label: str) -> Video | None:
    """Returns the Video of a frame, plug-in or facade: the first address that is a player or a file."""
    is_object = element.tag in ("object", "embed")
    inner = [*_params(element), *_flashvars(element)] if is_object else []
    typed = is_object and (element.get("type") or "").lower() in FILE_TYPES
    for name, value in (*_addresses(element), *inner):
        url = canonical(value, base)
        if found := embedded(url, label):
            return found
        if typed and name in ("src", "data") and url and is_file(url):
            return Video(url, label)
    return None


def _addresses(element: Element) -> Iterator[tuple[str, str]]:
    """Yields name and value of every attribute that may hold an address, src and data first."""
    items = [(str(name), str(value)) for name, value in element.items()]
    items.sort(key=lambda item: item[0] not in ("src", "data"))
    count = 0
    for name, value in items:
        value = value.strip()
        if name in _NOT_ADDRESSES or not value or len(value) > MAX_VALUE:
            continue
        if value[0] in "{[":  # settings in JSON: data-setup, data-config
            values = [
                quoted.replace("\\/", "/") for quoted in _QUOTED.findall(value)[:MAX_ADDRESSES]
            ]
            values = [one for one in values if "/" in one]
        elif name in ("src", "data") or "/" in value or FILE.search(value):
            values = [] if _MADE_OF.search(value) else [value]
        else:
            continue
        for one in values:
            count += 1
            if count > MAX_ADDRESSES:
                return
            yield name if values == [value] else "settings", one


def _params(element: Element) -> list[tuple[str, str]]:
    """Returns the parameters of an object that name what it plays (HTML Standard 16.2)."""
    found = []
    for child in _children(element):
        name, value = (child.get("name") or "").lower(), child.get("value") or ""
        if child.tag == "param" and name in ("movie", "src", "url", "filename", "file"):
            found.append((name, value))
    return found


def _flashvars(element: Element) -> list[tuple[str, str]]:
    """Returns the addresses among the variables of a Flash player ("file=a.mp4&image=a.jpg")."""
    raw = element.get("flashvars") or ""
    for child in _children(element):
        if child.tag == "param" and (child.get("name") or "").lower() == "flashvars":
            raw = raw or child.get("value") or ""
    variables = parse_qsl(raw[:MAX_VALUE].replace("&amp;", "&"))[:MAX_ADDRESSES]
    return [
        (name.lower(), value) for name, value in variables if "/" in value or FILE.search(value)
    ]


def _by_id(element: Element) -> str:
    """Returns the address of the player or watch page of a video that an element names by its id."""
    tag = str(element.tag)
    get = element.get
    video_id = (
        get("videoid")
        or get("data-videoid")
        or get("data-video-id")
        or get("data-plyr-embed-id")
        or ""
    ).strip()
    youtube = next((value for name in _YOUTUBE_IDS if (value := get(name))), "").strip()
    vimeo = (get("data-vimeo-id") or "").strip()
    provider = (
        get("data-plyr-provider") or get("data-provider") or get("data-type") or tag
    ).lower()
    if "youtube" in provider or "youtube" in (get("class") or ""):
        youtube = youtube or video_id
    elif "vimeo" in provider:
        vimeo = vimeo or video_id
    if re.fullmatch(r"[\w-]{11}", youtube):
        return YOUTUBE + youtube
    if re.fullmatch(r"\d{5,12}", vimeo):
        return f"https://vimeo.com/{vimeo}"
    if "dailymotion" in provider and video_id.isalnum():
        return f"https://www.dailymotion.com/video/{video_id}"
    return _hosted(element, tag, video_id)


_YOUTUBE_IDS = (
    "data-youtube-id", "data-youtubeid", "data-youtube-video-id", "data-youtube", "data-yt-id", "data-ytid",
)  # fmt: skip


def _hosted(element: Element, tag: str, video_id: str) -> str:
    """Returns the player page of a video at a hosting company, by the company's embed codes."""
    account = _token(element, "data-account")
    if account and (video_id := _clean_token(video_id)):
        skin = _token(element, "data-player") or _token(element, "data-player-id") or "default"
        skin += "_" + (_token(element, "data-embed") or "default")
        return f"https://players.brightcove.net/{account}/{skin}/index.html?videoId={video_id}"
    if tag == "amp-jwplayer" and (media := _token(element, "data-media-id")):
        return f"https://cdn.jwplayer.com/players/{media}-{_token(element, 'data-player-id')}.html"
    if media := _token(element, "data-media-hashed-id") or (
        _token(element, "media-id") if tag == "wistia-player" else ""
    ):
        return WISTIA + media
    if tag == "mux-player" and (media := _token(element, "playback-id")):
        return f"https://player.mux.com/{media}"
    partner, entry = _token(element, "data-partner"), _token(element, "data-entryid")
    if tag == "amp-kaltura-player" and partner and entry:
        return f"https://cdnapisec.kaltura.com/p/{partner}/embedPlaykitJs/partner_id/{partner}?entry_id={entry}"
    return ""


def _token(element: Element, name: str) -> str:
    return _clean_token(element.get(name) or "")


def _clean_token(value: str) -> str:
    """Returns an id as it may stand in an address, "" for anything else ("{{id}}")."""
    value = value.strip()
    return value if re.fullmatch(r"[\w:-]{1,80}", value, re.A) else ""


def _nameless(
    element: Element, base: str, label: str, declared: Sequence[Declared]
) -> Video | None:
    """Returns the declared video of a video element that has no address of its own.

    It is the one whose poster or id its attributes name, else the only one the page declares.
    """
    poster = _poster(element, base)
    ids = {
        name
        for attribute, value in element.items()
        if str(attribute).startswith("data-")
        for name in _ID.findall(str(value)[:MAX_VALUE])[:MAX_ADDRESSES]
    }
    matches = [
        one
        for one in declared
        if (poster and one.video.poster == poster)
        or any(video_id in name for video_id in ids for name in one.names)
    ] or list(declared)
    if len(matches) != 1:
        return None
    video = matches[0].video
    return replace(video, title=video.title or label, poster=poster or video.poster)


_ID = re.compile(r"(?<![\w-])(?=[\w-]*\d)[\w-]{8,40}(?![\w-])", re.A)
