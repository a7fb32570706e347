"""What an address plays: a media file, a known site's player (by its watch page), or nothing."""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote, urlsplit

from m3w_builder.types import Video
from m3w_builder.urls import canonical

FILE = re.compile(r"\.(?:mp4|m4v|webm|og[gv]|mov|avi|mkv|mpe?g|flv|3gp|wmv)$", re.I)


_AUDIO = re.compile(r"\.(?:mp3|m4a|oga|wav|flac|aac|opus)$", re.I)


STREAM = re.compile(r"\.(?:m3u8|mpd|f4m|ism|sdp|smil)(?:/|$)", re.I)


OTHER = re.compile(
    r"\.(?:html?|aspx?|jpe?g|png|gif|webp|avif|svg|m?js|css|json|xml|vtt|srt|swf)$", re.I
)


YOUTUBE = "https://www.youtube.com/watch?v="


_YOUTUBE_ID = r"([\w-]{11})(?![\w-])"


WISTIA = "https://fast.wistia.net/embed/iframe/"


# A site, where its players' addresses name the video, and where people watch it ("": the address
# itself names that page), by the sites' own embed codes. The first pattern that fits decides.
_SITES: dict[str, list[tuple[re.Pattern[str], str]]] = {}


for _host, _pattern, _watch in (
    ("youtube.com", r"^/(?:embed/)?(?:videoseries|playlist)?\?(?!.*\bv=)(?:.*&)?list=([\w-]+)", "https://www.youtube.com/playlist?list="),
    ("youtube.com", rf"^/(?!embed/(?:videoseries|live_stream)\b)(?:embed|v|e|vi|shorts|live)/{_YOUTUBE_ID}", YOUTUBE),
    ("youtube.com", rf"^/(?:watch/?)?\?(?:.*&)?v={_YOUTUBE_ID}", YOUTUBE),
    ("youtu.be", rf"^/{_YOUTUBE_ID}", YOUTUBE),
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
    ("wistia.com", r"^/embed/(?:iframe|medias)/(\w+)", WISTIA),
    ("wistia.net", r"^/embed/(?:iframe|medias)/(\w+)", WISTIA),
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


NO_PLAYERS = re.compile(
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


def embedded(url: str, title: str = "") -> Video | None:
    """Returns the Video of a player's address, with the watch page instead where it is known."""
    if not url:
        return None
    parts = urlsplit(url)
    if FILE.search(parts.path):
        return Video(url, title)
    if watch := player(url):
        return Video(watch, title, file=False)
    host, path = parts.hostname or "", parts.path
    if NO_PLAYERS.search(host) or OTHER.search(path.removesuffix(".html")):
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
    if not _ADDRESS_INSIDE.search(url, 8) or FILE.search(urlsplit(url).path):
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


def is_file(url: str) -> bool:
    """Tells whether an address may give a media file: no page and no playlist of a stream."""
    path = urlsplit(url).path
    return not (STREAM.search(path) or OTHER.search(path) or player(url))


def is_audio(url: str) -> bool:
    return _AUDIO.search(urlsplit(url).path) is not None


def names_of(urls: Iterable[str]) -> frozenset[str]:
    return frozenset(name for url in urls if url for name in (url, watch_page(url)))
