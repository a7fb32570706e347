"""Videos of a page: elements in their place, and what its metadata says about them.

Only a Video with `file=True` has an address that gives a media file; a player or watch page is a
node of the document, by its watch address where that is known, but never a pair. A mere link to a
file (`<a href=clip.mp4>`) is neither: the page offers it and shows nothing.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from urllib.parse import parse_qsl, unquote, urlsplit

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
from m3w_builder.text import clean, word_set
from m3w_builder.types import Video
from m3w_builder.urls import canonical

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
MAX_VIDEOS = 200  # of one page
MAX_LEADS = 3  # a page that declares more without a shared card lists them and is about none
MAX_SOURCES = 50  # children of one element that are looked at
MAX_ADDRESSES = 100  # of one element
MAX_VALUE = 20_000  # characters of an attribute with settings

_FILE = re.compile(r"\.(?:mp4|m4v|webm|og[gv]|mov|avi|mkv|mpe?g|flv|3gp|wmv)$", re.I)
_AUDIO = re.compile(r"\.(?:mp3|m4a|oga|wav|flac|aac|opus)$", re.I)
_STREAM = re.compile(r"\.(?:m3u8|mpd|f4m|ism|sdp|smil)(?:/|$)", re.I)
_OTHER = re.compile(
    r"\.(?:html?|aspx?|jpe?g|png|gif|webp|avif|svg|m?js|css|json|xml|vtt|srt|swf)$", re.I
)
_FILE_TYPES = word_set("video/mp4 video/webm video/ogg video/quicktime video/x-m4v")
_STREAM_TYPES = word_set("application/x-mpegurl application/vnd.apple.mpegurl application/dash+xml")
_DURATION = re.compile(
    r"P?(?:0+Y)?(?:0+M)?(?:0+W)?(?:(\d{1,5}(?:\.\d{1,6})?)D)?"
    r"(?:T(?:(\d{1,6}(?:\.\d{1,6})?)H)?(?:(\d{1,6}(?:\.\d{1,6})?)M)?(?:(\d{1,6}(?:\.\d{1,6})?)S)?)?",
    re.I,
)
_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,3}):(\d{2}(?:\.\d{1,6})?)")
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

_YOUTUBE = "https://www.youtube.com/watch?v="
_YOUTUBE_ID = r"([\w-]{11})(?![\w-])"
_WISTIA = "https://fast.wistia.net/embed/iframe/"
# A site, where its players' addresses name the video, and where people watch it ("": the address
# itself names that page), by the sites' own embed codes. The first pattern that fits decides.
_SITES: dict[str, list[tuple[re.Pattern[str], str]]] = {}
for _host, _pattern, _watch in (
    ("youtube.com", r"^/(?:embed/)?(?:videoseries|playlist)?\?(?!.*\bv=)(?:.*&)?list=([\w-]+)", "https://www.youtube.com/playlist?list="),
    ("youtube.com", rf"^/(?!embed/(?:videoseries|live_stream)\b)(?:embed|v|e|vi|shorts|live)/{_YOUTUBE_ID}", _YOUTUBE),
    ("youtube.com", rf"^/(?:watch/?)?\?(?:.*&)?v={_YOUTUBE_ID}", _YOUTUBE),
    ("youtu.be", rf"^/{_YOUTUBE_ID}", _YOUTUBE),
    ("vimeo.com", r"^/(?:video/|channels/[\w-]+/|groups/[\w-]+/videos/)?(\d{5,})(?:[/?#]|$)", "https://vimeo.com/"),
    ("vimeo.com", r"^/moogaloop\.swf\?(?:.*&)?clip_id=(\d{5,})", "https://vimeo.com/"),
    ("dailymotion.com", r"^/(?:embed/|swf/)?video/([A-Za-z0-9]+)", "https://www.dailymotion.com/video/"),
    ("dailymotion.com", r"^/player[^?]*\?(?:.*&)?video=([A-Za-z0-9]+)", "https://www.dailymotion.com/video/"),
    ("dai.ly", r"^/([A-Za-z0-9]+)", "https://www.dailymotion.com/video/"),
    ("facebook.com", r"^/(?:v[\d.]+/)?plugins/(?:video|post)\.php\?(?:.*&)?href=([^&]*(?:video|watch|reel)[^&]*)", ""),
    ("facebook.com", r"^/(?:video/embed|watch/?)\?(?:.*&)?(?:video_id|v)=(\d+)", "https://www.facebook.com/watch/?v="),
    ("facebook.com", r"^/((?!plugins/|sharer|dialog/)[^/?]+/videos/(?:[^/?]+/)?\d+|reel/\d+)", "https://www.facebook.com/"),
    ("tiktok.com", r"^/(?:embed|player)/(?:v\d/)?(\d+)", "https://www.tiktok.com/embed/v2/"),
    ("tiktok.com", r"^/(@[\w.-]+/video/\d+)", "https://www.tiktok.com/"),
    ("twitter.com", r"^/i/videos/(?:tweet/)?(\d+)", "https://twitter.com/i/status/"),
    ("instagram.com", r"^/(?:[\w.]+/)?((?:reel|tv)/[\w-]+)", "https://www.instagram.com/"),
    ("twitch.tv", r"^/\?(?:.*&)?video=v?(\d+)", "https://www.twitch.tv/videos/"),
    ("twitch.tv", r"^/embed\?(?:.*&)?clip=([\w-]+)", "https://clips.twitch.tv/"),
    ("ted.com", r"^/talks/(?:lang/[\w-]+/)?(\w+)", "https://www.ted.com/talks/"),
    ("loom.com", r"^/(?:embed|share)/(\w+)", "https://www.loom.com/share/"),
    ("streamable.com", r"^/(?:[eos]/)?(\w{4,})(?:\?|$)", "https://streamable.com/"),
    ("wistia.com", r"^/embed/(?:iframe|medias)/(\w+)", _WISTIA),
    ("wistia.net", r"^/embed/(?:iframe|medias)/(\w+)", _WISTIA),
    ("rutube.ru", r"^/(?:play/embed|video(?:/embed)?)/(\w+)", "https://rutube.ru/video/"),
    ("bilibili.com", r"^/(?:video/|player\.html\?(?:.*&)?bvid=)(BV\w+)", "https://www.bilibili.com/video/"),
    ("bilibili.com", r"^/player\.html\?(?:.*&)?aid=(\d+)", "https://www.bilibili.com/video/av"),
    ("qq.com", r"^/(?:txp/)?iframe/p\w+\.html\?(?:.*&)?vid=(\w+)", "https://v.qq.com/x/page/"),
    ("ok.ru", r"^/video(?:embed)?/(\d+)", "https://ok.ru/video/"),
    ("nicovideo.jp", r"^/(?:watch|thumb_watch)/(\w+)", "https://www.nicovideo.jp/watch/"),
    ("archive.org", r"^/embed/([\w.-]+)", "https://archive.org/details/"),
):  # fmt: skip
    _SITES.setdefault(_host, []).append((re.compile(_pattern), _watch))
_PLAYERS = re.compile(
    r"(?:^|\.)(?:youtube(?:-nocookie)?\.com|vimeo\.com|dailymotion\.com|twitch\.tv|wistia\.(?:com|net)"
    r"|brightcove\.net|jwplatform\.com|jwplayer\.com|kaltura\.com|rutube\.ru|bilibili\.com|youku\.com|vk\.com"
    r"|vidyard\.com|mdstrm\.com|rumble\.com|odysee\.com|bitchute\.com|spotlightr\.com|vzaar\.com|sproutvideo\.com"
    r"|cloudflarestream\.com|mediadelivery\.net|panopto\.(?:com|eu)|ustream\.tv|video\.[a-z.-]+|player\.[a-z.-]+)$"
)
_NO_PLAYERS = re.compile(
    r"\.fm$|(?:^|[./-])(?:podcasts?|radio|audio|soundcloud|spotify|megaphone|podigee|simplecast|omny|acast"
    r"|ads?|adserver|doubleclick|googlesyndication|maps)(?:[./-]|$)"
)
_EMBED_PATH = re.compile(
    r"/(?:embed|video|videos|player|players|v|e|iframe|watch|clip|p)[/.?_,-]|/(?:embed|player|video)$",
    re.I,
)
_VIDEO_WORD = re.compile(r"(?:^|[./_-])(?:(?:web)?(?:videos?|clips?)|v?player)(?=[./_,-]|$)", re.I)
_EMBED_WORD = re.compile(r"(?:^|[./_-])(?:\w*embed(?:ded)?|iframe)(?=[./_,-]|$)", re.I)
_VIDEO_PLAYER = re.compile(r"(?:^|[./_-])video[/_-]?player(?=[./_,-]|$)", re.I)


@dataclass(frozen=True, slots=True)
class Declared:
    """A video that the page's metadata declares, and every address it goes by."""

    video: Video
    names: frozenset[str]  # of its file, player and watch page
    card: bool = False  # of the page as a whole: og:video, twitter:player


# --- elements ---------------------------------------------------------------------------------


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
    if found:
        width, height = pixels(element.get("width")), pixels(element.get("height"))
        poster = found.poster or _poster(element, base)
        found = replace(found, poster=poster, width=width, height=height)
        return resolve(found, declared) if declared else found
    if not declared or _is_hidden(element):
        return None
    if tag in _MEDIA_TAGS:
        return _nameless(element, base, label, declared)
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
            if not url or _is_audio(url) or not (name == "src" or _looks_like_video(name, url)):
                continue
            found.append((url, _is_file(url) and kind not in _STREAM_TYPES))
    url, file = next((one for one in found if one[1]), found[0] if found else ("", False))
    return Video(url if file else watch_page(url), label, file=file) if url else None


def _looks_like_video(name: str, url: str) -> bool:
    path = urlsplit(url).path
    if _FILE.search(path) or _STREAM.search(path) or player(url):
        return True
    named = _ADDRESS_NAME.search(name) is not None and not _OTHER_NAME.search(name)
    return named and not _OTHER.search(path)


def _sources(element: Element) -> list[Element]:
    """Returns the source elements of a video; libxml2 nests what follows an unclosed one."""
    found, stack, looked = [], _children(element), 0
    while stack and looked < MAX_SOURCES:
        top = stack.pop(0)
        looked += 1
        if top.tag == "source":
            found.append(top)
            stack[:0] = _children(top)
    return found


def _children(element: Element) -> list[Element]:
    return list(islice(element, MAX_SOURCES))


def _embed_element(element: Element, base: str, label: str) -> Video | None:
    """Returns the Video of a frame, plug-in or facade: the first address that is a player or a file."""
    is_object = element.tag in ("object", "embed")
    inner = [*_params(element), *_flashvars(element)] if is_object else []
    typed = is_object and (element.get("type") or "").lower() in _FILE_TYPES
    for name, value in (*_addresses(element), *inner):
        url = canonical(value, base)
        if found := embedded(url, label):
            return found
        if typed and name in ("src", "data") and url and _is_file(url):
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
        elif name in ("src", "data") or "/" in value or _FILE.search(value):
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
        (name.lower(), value) for name, value in variables if "/" in value or _FILE.search(value)
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
        return _YOUTUBE + youtube
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
        return _WISTIA + media
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


# --- addresses --------------------------------------------------------------------------------


def embedded(url: str, title: str = "") -> Video | None:
    """Returns the Video of a player's address, with the watch page instead where it is known."""
    if not url:
        return None
    parts = urlsplit(url)
    if _FILE.search(parts.path):
        return Video(url, title)
    if watch := player(url):
        return Video(watch, title, file=False)
    host, path = parts.hostname or "", parts.path
    if _NO_PLAYERS.search(host) or _OTHER.search(path.removesuffix(".html")):
        return None
    address = f"{host}{path}"
    if _PLAYERS.search(host):
        plays = bool(_EMBED_PATH.search(path)) or host.startswith(("player.", "video.", "players."))
    else:  # any site's own: "videos.ex.com/embed/1", "ex.com/player/embed", "ex.com/video/player/1"
        plays = bool(_VIDEO_WORD.search(address) and _EMBED_WORD.search(address))
        plays = plays or _VIDEO_PLAYER.search(address) is not None
    return Video(url, title, file=False) if plays else None


def watch_page(url: str) -> str:
    """Returns the address where people watch an embedded video, or the address itself."""
    return player(url) or url


def player(url: str) -> str:
    """Returns the watch page of a player's address on a known site, "" for any other address.

    An address inside the address counts ("https://embed.ex/frame?url=https%3A%2F%2Fyoutu.be%2F...").
    """
    if watch := _on_known_site(url):
        return watch
    if not _ADDRESS_INSIDE.search(url, 8) or _FILE.search(urlsplit(url).path):
        return ""
    _, archived, original = url[8:].partition("/http")  # "web.archive.org/web/2016if_/https://..."
    values = ["http" + original] if archived else []
    values += [
        value for _, value in parse_qsl(urlsplit(url).query)[:20] if value.startswith("http")
    ]
    return next((watch for value in values if (watch := _on_known_site(canonical(value)))), "")


_ADDRESS_INSIDE = re.compile(r"https?(?::|%3A)(?:/|%2F)", re.I)


def _on_known_site(url: str) -> str:
    parts = urlsplit(url)
    labels = (parts.hostname or "").replace("youtube-nocookie.", "youtube.").split(".")
    address = f"{parts.path}?{parts.query}"
    for pattern, watch in _SITES.get(".".join(labels[-2:]), ()):
        if match := pattern.search(address):
            return watch + match[1] if watch else canonical(unquote(match[1]))
    return ""


def _is_file(url: str) -> bool:
    """Tells whether an address may give a media file: no page and no playlist of a stream."""
    path = urlsplit(url).path
    return not (_STREAM.search(path) or _OTHER.search(path) or player(url))


def _is_audio(url: str) -> bool:
    return _AUDIO.search(urlsplit(url).path) is not None


def _names(urls: Iterable[str]) -> frozenset[str]:
    return frozenset(name for url in urls if url for name in (url, watch_page(url)))


# --- metadata ---------------------------------------------------------------------------------


def meta(root: Element, *names: str) -> str:
    """Returns the first non-empty content of the named meta elements (property or name)."""
    return read_metadata(root, "").first(*names)


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
    named = [url for url in (*contents, *embeds, *pages) if _FILE.search(urlsplit(url).path)]
    kind = first(thing, "encodingFormat", "fileFormat").lower()
    files = [url for url in contents if url != base and _is_file(url) and kind not in _STREAM_TYPES]
    players = [watch_page(url) for url in (*contents, *embeds)] or [player(url) for url in pages]
    url = next(iter((*named, *files, *players)), "")
    if not url or _is_audio(url):
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
    return Declared(video, _names((*contents, *embeds, url)) - {base})


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
    urls = [url for url in urls if url and not _is_audio(url)][:MAX_VIDEOS]
    frame = canonical(get("twitter:player"), base)
    typed = bool(kinds & _FILE_TYPES)
    files = [url for url in urls if _is_file(url) and (typed or _FILE.search(urlsplit(url).path))]
    files.sort(key=lambda url: not _FILE.search(urlsplit(url).path))
    frames = (
        [*urls, frame] if frame and not _NO_PLAYERS.search(urlsplit(frame).hostname or "") else urls
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
    return Declared(video, _names(frames) - {base}, card=True)


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
