"""What an address or an alt text says by its words: a placeholder, a counter, a file, a description."""

import re
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from m3w_builder.text import word_set

EXTENSION = re.compile(
    r"\.(?:jpe?g|jpe|a?png|gif|webp|avif|bmp|tiff?|jfif|jp2|jxl|hei[cf]|svgz?)(?![\w.])", re.I
)
_UNREADABLE = (".svg", ".svgz", ".jxl", ".heic", ".heif", ".jp2")  # by the image decoder
# A file name with one of these stands for a picture that is missing or still to come ...
_STAND_IN = re.compile(
    r"lazy[-_]?load|(?<![a-z])no[-_]?(?:image|photo|picture|img|pic)(?![a-z])|ajax[-_]?load(?:er|ing)?(?![a-z])"
    r"|(?:image|photo)[-_]?not[-_]?(?:available|found)|default[-_]?(?:image|img|thumb|photo|pic|avatar)(?![a-z])"
    r"|(?:^|[-_.])1(?:x1|px)\.[a-z.]*(?:gif|png)$|^(?:s|t|x|_|sp|dot)\.gif$"
)
# ... and one of only these words does: "blank.gif", "grey-16x9.png", but not "point-blank.jpg".
_EMPTY = word_set(
    "blank spacer transparent pixel pix loading loader preloader preload lazy spinner dummy clear"
    " empty grey gray shim trans ajax skeleton lqip"
)
_FILLERS = word_set("image img gif bg icon x px w h circle animation small large s t p dot min svg")
_HINTS = _EMPTY | word_set(  # a word of every name that _STAND_IN finds
    "lazyload lazyloader lazyloading no noimage nophoto nopicture noimg nopic ajaxload ajaxloader not default"
    " defaultimage defaultimg defaultthumb defaultphoto defaultpic defaultavatar 1 1px s t x sp dot"
)
_WORDS = re.compile(r"[a-z]+|[0-9]+")
_DIGEST = re.compile(r"[-._][0-9a-f]{6,}(?=\.|$)")  # that a build step adds to a file name
_TRACKER_HOST = re.compile(
    r"(?:^|\.)(?:scorecardresearch|quantserve|doubleclick\.net|google-analytics|stats\.wp\.com|pixel\."
    r"|alexametrics|vgwort\.de|addtoany|amazon-adsystem|assoc-amazon|statcounter|histats)"
)
_TRACKER_PATH = re.compile(
    r"//(?:[^/]*\.)?(?:facebook\.com/tr|feedburner\.com/~|gravatar\.com/blank)"
    r"|/(?:pixel|track(?:er|ing)?|beacon|count(?:er)?|impression|collect|hit|b)"
    r"(?:\.(?:gif|php|aspx?|cgi)(?:\?|$)|/?\?)"
)
_GENERIC = re.compile(
    r"(?:an? |the |my )?(?:image|img|photo|picture|pic|foto|bild|icon|logo|thumbnail|thumb"
    r"|avatar|figure|null|none"
    r"|undefined|untitled|alt|alt text|placeholder|banner|spacer|blank|loading\.*"
    r"|image\d*|photo\d*)(?: ?\d+)?"
)
_FILE_NAME = re.compile(
    r"^\S+\.(?:jpe?g|png|gif|webp|avif|svg|bmp|tiff?)$"
    r"|^(?:img|dsc|dscn|image|photo|screen ?shot)[-_ ]?\d[\w-]*$"
)
_LETTER = re.compile(r"[^\W\d_]")


def is_placeholder(url: str) -> bool:
    """Tells whether an address is of something that stands for a picture: a blank, a spinner."""
    path = url.partition("?")[0].lower()
    name = path[path.rfind("/") + 1 :][:200]
    if "placehold" in path and ("placehold" in name or "placehold" in _host(path)):
        return True
    words = set(_WORDS.findall(name))
    if _HINTS.isdisjoint(words) and name[:2] != "_.":
        return False
    if _STAND_IN.search(name):
        return True
    words = set(_WORDS.findall(_DIGEST.sub("", name).rpartition(".")[0] or name))
    rest = words - _EMPTY
    return len(rest) < len(words) and all(word in _FILLERS or word.isdigit() for word in rest)


def is_unreadable(url: str) -> bool:
    """Tells whether an address is of a file that no image decoder here reads, by its extension."""
    return url.partition("?")[0].lower().endswith(_UNREADABLE)


def is_tracker(url: str) -> bool:
    """Tells whether an absolute address is of a counter, which shows a reader nothing."""
    return _counts(_host(url)) or (
        ("?" in url or "/tr" in url or "/~" in url or "blank" in url)
        and (_TRACKER_PATH.search(url) is not None)
    )


def _host(url: str) -> str:
    start = url.find("//") + 2
    stop = url.find("/", start)
    return url[start:stop] if start > 1 and stop > 0 else ""


@lru_cache(maxsize=1024)
def _counts(host: str) -> bool:
    return _TRACKER_HOST.search(host) is not None


def is_image_address(href: str) -> bool:
    """Tells whether a link goes to a picture's file, not to a page about it ("File:a.jpg")."""
    path = href.partition("?")[0].partition("#")[0]
    return EXTENSION.search(path[-6:]) is not None and ":" not in path[path.rfind("/") + 1 :]


def is_description(text: str, url: str = "") -> bool:
    """Tells whether an alt text says something: not empty, a file name, an address or "image"."""
    words = text.strip().strip("[]().:!").casefold()
    if (len(words) < 3 and not any(ord(c) > 0x2E7F for c in words)) or not _LETTER.search(words):
        return False
    if _GENERIC.fullmatch(words) or _FILE_NAME.search(words) or "://" in words:
        return False
    if " " in words:
        return True
    return words != unquote(urlsplit(url).path).rsplit("/", 1)[-1].rsplit(".", 1)[0].casefold()
