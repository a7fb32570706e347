"""One picture in several sizes: the part of an address that stays when a CDN or CMS resizes it.

A resizing service writes the size (and format, crop, quality) into the query, into path segments
or into the file name, or wraps the whole address of the original. Each of these is taken away by
its form, whoever the service is; what is left is the key.
"""

import re
from functools import lru_cache
from urllib.parse import unquote

from m3w_builder.images.names import EXTENSION
from m3w_builder.text import word_set

MAX_NESTED = 4  # addresses within addresses
MAX_PARAMETERS = 50
MAX_SUFFIX = 40  # characters
MAX_SUFFIXES = 3  # "-scaled-300x200@2x"
_CACHED = 16_384  # addresses

_SIZE_WORDS = word_set(
    "thumb thumbs thumbnail thumbnails tn small medium large original originals orig full fullsize"
    " preview previews xxs xs xl xxl resized resize scaled big huge xlarge square master smart unsafe"
    " fit-in fit adaptive trim"
)
_NEXT_IS_SIZE = word_set("max min w h width height q quality size resize crop scale fit fit-in rs")
_NEXT_IS_NAME = word_set(  # of a size that the site has named
    "styles imagecache renditions rendition alternates derivates presets preset variants"
)
_DIMENSIONS = r"(?:\d{2,4}x\d{1,4}|\d{1,4}x\d{2,4}|\d{3,4}x|x\d{3,4})"
# Path segments that only say how to resize.
_OPTIONS = re.compile(
    rf"{_DIMENSIONS}|\d{{1,2}}:\d{{1,2}}"
    r"|(?:[a-z]{1,5}_[^,/]+,)+[a-z]{1,5}_[^,/]+"  # w_200,h_300,c_fill
    r"|(?:w|h|q|dpr|ar)_[\d.:]+|[qf]_auto(?::\w+)?|c_(?:fill|fit|limit|scale|crop|thumb|pad|lfill)"
    r"|(?:[a-z-]+=[^,/=]*,)*(?:w|h|width|height|quality|q|format|f|fit|dpr)=[^,/]*(?:,[a-z-]+=[^,/=]*)*"
    r"|tr:[\w:.,-]+|(?:[a-z]-[^,/]+,)+[a-z]-[^,/]+"  # tr:w-300,h-200
    r"|(?:resize|rs|fit|fill|format|filters|quality|crop|g|q|w|h|f|dpr|plain):.*"
    r"|(?:s\d{3,4}|s\d{2}-[a-z]|[wh]\d{2,4}-[hw]\d{2,4})(?:-[a-z0-9]+)*"  # s640, w400-h300-c
    r"|v\d{8,}"  # of the upload
    r"|[\w-]{27}="  # the signature in front of options
)
_WIDTH_SEGMENT = re.compile(r"(?:[1-9]\d{2}|1[0-7]\d\d|18[0-8]\d|2048|2[1-9]\d\d|3\d{3}|4096)")
_HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}", re.I)
_NESTED = re.compile(r"(?:^|(?<=/))https?:/{1,2}(?=[^/])", re.I)
_SCRIPT = re.compile(
    r"\.(?:php\d?|aspx?|ashx|cgi|jsp|do|dll|pl|cfm|axd)$|^(?:image|img|photo|picture|thumb|get|view"
    r"|show|file|media|download|index|render|display)?$",
    re.I,
)
# Query parameters that only say how to resize, whatever they are worth.
_OPTION = re.compile(
    r"(?:im|max|min|img|image|thumb|thumbnail|m|s|crop|scale|target|out|output|op|bg|fp|fl|rect|src)?[-_.]?"
    r"(?:w|h|wid|hei|width|height|quality|qlt|q|dpr|fit|crop|resize|resized|scale|format|fmt|fm|auto|compress"
    r"|size|sharpen|usm|lossy|strip|zoom|interpolation|density|impolicy|downsize|upscale|blur|mode|webp|ssl|rect"
    r"|fp-[xyz]|ixlib|ixid|cs|ar|trim|stp|optimize|enable|disable|quality_auto|progressive|aspect(?:_?ratio)?)",
    re.I,
)
# These do so only beside a file name; a script may mean by them which picture it is to show.
_MAYBE_OPTION = re.compile(
    r"v|ver|version|rev|mtime|updated|cb|cachebust(?:er)?|itok|sig|signature|token|hash|expires|f|fl|s|policy"
    r"|key-pair-id|x-(?:amz|oss|goog)-.*|tr|_nc_.*|oh|oe|ccb|efg|utm_.*",
    re.I,
)
_STAMP = re.compile(r"s|t|ts|time|timestamp|_|r|rnd|ixid|h|d", re.I)
_STAMP_VALUE = re.compile(r"\d{8,}|[0-9a-f]{16,}", re.I)
_PLAIN_VALUE = re.compile(
    r"\d+(?:\.\d+)?(?:px|%)?|auto(?:,\w+)*|webp|avif|jpe?g|pjpg|png|gif|crop|max|min|clip|fill|cover|contain"
    r"|inside|scale|true|false|",
    re.I,
)
_IDENTITY = re.compile(
    r"(?:.*[-_])?(?:id|file|filename|image|img|photo|pic|path|url|src|key|no|page|title)", re.I
)
_INNER = re.compile(r"(?:.*[-_])?(?:url|src|uri|u|href|image|img|path|file)", re.I)
_SIZE_VALUE = re.compile(
    rf"{_DIMENSIONS}|\d{{2,4}}(?:px|w)|(?:extra)?(?:small|medium|large|orig|thumb|thumbnail|full|original)",
    re.I,
)
_BARE_OPTION = re.compile(r"\d{5,}|imageview2/.*|imagemogr2/.*|\$.*\$|" + _DIMENSIONS, re.I)
_SUFFIX = re.compile(
    r"[-_.@~](?:(\d{2,4}x\d{1,4}|\d{1,4}x\d{2,4})|16x9|9x16|21x9|4x3|3x2|\d{2,4}x|x\d{3,4}"
    r"|[23]x|\d{2,4}(?:w|px)|thumb(?:nail)?|small|medium|large|tn|scaled|full|fullsize|orig(?:inal)?|big|preview"
    r"|bigger|normal|mini|crop[-_](?:center|top|bottom|left|right)|(?-i:[a-z]*(?:Large|Jumbo|Medium|Small"
    r"|Thumb|Standard|Full)\w*|jumbo))$",
    re.I,
)
_PREFIXES = frozenset("tTsS0123456789")
_PREFIX = re.compile(r"(?:thumb(?:nail)?|tn|small|\d{2,4}px)[-_]", re.I)
_TAIL = re.compile(
    r"=(?:[swh]\d{1,4}(?:-[a-z0-9]+)*|[a-z]\d*)$|:(?:large|small|orig|medium|thumb)$", re.I
)
_LETTER_SIZE = re.compile(r"(?<=[-_][0-9a-f]{10})_[a-z]\d?$|(?<=[-_][0-9a-f]{8})_[a-z]\d?$")
_SCREEN_WIDTH = re.compile(
    r"[-_](?:320|480|640|720|768|800|960|1024|1080|1200|1280|1440|1600|1920|2048|2560)$"
)
_UNIQUE = re.compile(r".{12,}|.*\d{4}|.*[0-9a-f]{8}", re.I)
_HEX = re.compile(r"[0-9a-f]{8,}", re.I)
_NUMBER = re.compile(r"\d{1,4}(?:px)?")
_ID = re.compile(r"[^/]*\d[^/]*")
_BOX = re.compile(r"\d+_\d+_\d+_\d+|[0-9a-z]{20,}", re.I)  # a crop, or the hash of a picture
_SIZE_NAME = re.compile(rf"{_DIMENSIONS}|16x9|4x3|\d{{3,4}}", re.I)
_IIIF = re.compile(
    r"/(?:full|square|[\d.,:pct]+)/\^?!?(?:full|max|\d*,\d*|pct:[\d.]+)/!?\d+/"
    r"(?:default|color|gray|bitonal|native)\.\w+$"
)
_PIXELS = re.compile(
    r"[-_./](\d{2,4})x\d{1,4}(?=[-_.@]|$)|[?&/,;](?:im|max-?)?w(?:id|idth)?[=_](\d{1,4})(?!\d)"
    r"|/[sw](\d{3,4})(?=[-/])|/(\d{2,4})x\d{0,4}/|/(\d{2,4})px-|[?&](?:resize|fit|size)=(\d{2,4})(?!\d)"
    r"|[-_.](\d{3,4})w(?=[-_.]|$)|/(\d{2,4}),\d*/0/|=[sw](\d{2,4})(?=-|$)",
    re.I,
)
_DIGITS = re.compile(r"\d\d")
# What a link's thumbnail and its target may differ in, whatever folder they are in.
_SIZE_PART = re.compile(
    r"[-_.](?:\d+x\d+|\d+w|thumb(?:nail)?|small|medium|large|tn|th|s|m|l|scaled|full|orig(?:inal)?|big)(?=[-_.]|$)"
    r"|^(?:thumb(?:nail)?|tn|th|small|\d+px)[-_]",
    re.I,
)


def same_picture(one: str, other: str) -> bool:
    """Tells whether two canonical addresses are one picture in two sizes or formats."""
    return one == other or picture_key(one) == picture_key(other)


@lru_cache(maxsize=_CACHED)
def picture_key(url: str) -> str:
    """Returns what all sizes, crops and formats of the picture at a canonical address share."""
    return _key(url, MAX_NESTED) or url


@lru_cache(maxsize=4096)  # asked of one page's addresses again and again
def pixels_in(url: str) -> int:
    """Returns the width in pixels that an address says it has, 0 if it says none."""
    if not _DIGITS.search(url):
        return 0
    match = _PIXELS.search(url)
    return int(match[match.lastindex]) if match and match.lastindex else 0


def is_original(url: str) -> bool:
    """Tells whether nothing in an address says that it is one of several sizes."""
    path, mark, query = url.partition("://")[2].removeprefix("www.").partition("?")
    match = EXTENSION.search(path, max(0, len(path) - 6))
    return picture_key(url) == (path[: match.start()] if match else path) + mark + query


def stem(url: str) -> str:
    """Returns a picture's name without extension and size: the same for thumbnail and original."""
    path = url.partition("?")[0]
    name = unquote(path[path.rfind("/") + 1 :]).lower().rsplit(".", 1)[0]
    return _SIZE_PART.sub("", name) or name


def _key(url: str, nested: int) -> str:
    path, _, query = url.partition("?")
    host, _, path = path.partition("://")[2].partition("/")
    if "%" in path:
        path = unquote(path)
    if nested and (
        inner := _inner_path(path, query) or (query and _inner_query(host, path, query))
    ):
        return _key(inner, nested - 1)
    segments = _IIIF.sub("", path).split("/")
    host = host.removeprefix("www.")
    for number, segment in enumerate(segments[:-1]):
        if "." in segment:
            if EXTENSION.search(segment):  # "cat.jpg/640px-cat.jpg": what follows is how to show it
                segments = segments[: number + 1]
                break
            if _HOST.fullmatch(segment):  # a service in front of a whole address
                host, segments = segment.lower().removeprefix("www."), segments[number + 1 :]
                break
    name = segments.pop()
    kept = _query(query, name) if query else ""
    return "/".join((host, *_path(segments, name))) + kept


def _inner_path(path: str, query: str) -> str:
    """Returns the whole address that a path holds ("/w_640/https://..."), or ""."""
    match = _NESTED.search(path) if "http" in path else None
    if not match:
        return ""
    inner = path[match.end() :]
    return f"https://{inner}?{query}" if query and "?" not in inner else f"https://{inner}"


def _inner_query(host: str, path: str, query: str) -> str:
    """Returns the address of the original that the query of a resizing script names, or ""."""
    if EXTENSION.search(path[-6:]):
        return ""
    parts = query.split("&", MAX_PARAMETERS)[:MAX_PARAMETERS]
    for part in parts:
        name, _, value = part.partition("=")
        if not value or not _INNER.fullmatch(name):
            continue
        value = unquote(value)
        pictured = EXTENSION.search(value.partition("?")[0]) is not None
        if value.startswith(("http://", "https://", "//")):
            if pictured or all(other is part or _is_option(other, False) for other in parts):
                return "https://" + value.partition("//")[2]
        elif pictured:
            return f"https://{host}/{value.lstrip('/')}"
    return ""


def _path(segments: list[str], name: str) -> list[str]:
    """Returns the segments of a path that do not say how to resize, the file's name last."""
    name = _stripped(_TAIL.sub("", name))
    unique = _UNIQUE.match(name) is not None
    kept: list[str] = []
    number, count = 0, len(segments)
    while number < count:
        segment = segments[number]
        taken = _taken(segment.lower(), segments[number + 1 : number + 3]) if segment else 1
        if not taken and not (unique and _WIDTH_SEGMENT.fullmatch(segment)):
            kept.append(segment)
        number += taken or 1
    if not _is_size(name):
        return [*kept, name]
    # A file named only by its size is of the picture that its folder is named after.
    folder = kept[-1] if kept else ""
    return (
        kept
        if _ID.fullmatch(folder) and (not name.isdigit() or _BOX.fullmatch(folder))
        else [*kept, name]
    )


def _taken(segment: str, following: list[str]) -> int:
    """Returns how many segments from this one on only say how to resize."""
    after = following[0] if following else ""
    if segment in _NEXT_IS_NAME and after:
        return 3 if following[1:] == ["public"] else 2
    if (
        segment == "cdn-cgi"
        or (segment in _NEXT_IS_SIZE and _NUMBER.fullmatch(after))
        or (segment == "cache" and _HEX.fullmatch(after))
    ):
        return 2
    if segment.isalpha() or segment.isdigit():
        return int(segment in _SIZE_WORDS)
    return int(segment in _SIZE_WORDS or _OPTIONS.fullmatch(segment) is not None)


def _is_size(name: str) -> bool:
    return name.lower() in _SIZE_WORDS or _SIZE_NAME.fullmatch(name) is not None


def _stripped(name: str) -> str:
    """Returns a file name without extensions and without what says its size."""
    while (dot := name.rfind(".")) > 0 and EXTENSION.fullmatch(name, dot):
        name = name[:dot]
    match = _PREFIX.match(name) if name[:1] in _PREFIXES else None
    shorter = name[match.end() :] if match else name
    numbered = False
    for _ in range(MAX_SUFFIXES):
        match = _SUFFIX.search(shorter, max(0, len(shorter) - MAX_SUFFIX))
        # A second pair of numbers is the picture's own: "poster_600x600-300x300".
        if not match or not match.start() or (match[1] and numbered):
            break
        numbered = numbered or bool(match[1])
        shorter = shorter[: match.start()]
    if shorter[-2:-1] == "_" or shorter[-3:-2] == "_":
        shorter = _LETTER_SIZE.sub("", shorter)
    match = _SCREEN_WIDTH.search(shorter, len(shorter) - 5) if shorter[-1:].isdigit() else None
    if match and _UNIQUE.match(shorter[: match.start()]):
        shorter = shorter[: match.start()]
    return shorter or name


def _query(query: str, name: str) -> str:
    """Returns the parameters that say which picture, in a fixed order."""
    file = EXTENSION.search(name[-6:]) is not None
    parts = query.split("&", MAX_PARAMETERS)
    kept = sorted(part for part in parts if part and not _is_option(part, file, name))
    return "?" + "&".join(kept) if kept else ""


def _is_option(part: str, file: bool, name: str = "") -> bool:
    """Tells whether a parameter says how to resize; beside a file's name more of them do."""
    key, equals, value = part.partition("=")
    if not equals:
        return file and _BARE_OPTION.fullmatch(key) is not None
    value = unquote(value) if "%" in value else value
    sized = _SIZE_VALUE.fullmatch(value) is not None
    if _OPTION.fullmatch(key):
        return file or sized or _PLAIN_VALUE.fullmatch(value) is not None
    if file or not _SCRIPT.search(name):
        if _MAYBE_OPTION.fullmatch(key) and (file or sized):
            return True
        if key in ("s", "sz") and value.isdigit():
            return True
        if _STAMP.fullmatch(key) and _STAMP_VALUE.fullmatch(value):
            return True
    return sized and not _IDENTITY.fullmatch(key)
