"""What a body is: page, image, video, audio, subtitles or nothing of interest, by content type and first bytes.

Content types of real servers are often missing or "application/octet-stream", and HTML is the
default of many: what a media file's first bytes say counts more, what looks like HTML counts only
where the type is vague (as in WHATWG MIME Sniffing).
"""

import re

HTML = "text/html"
_HTML_TYPES = frozenset({HTML, "application/xhtml+xml", "application/vnd.wap.xhtml+xml"})
_VAGUE = frozenset(
    {
        "",
        "*/*",
        "unknown",
        "unknown/unknown",
        "application/unknown",
        "application/octet-stream",
        "binary/octet-stream",
        "text/plain",
        "text/xml",
        "application/xml",
    }
)
_MEDIA = ("image/", "video/", "audio/")
SUBTITLES = frozenset({"text/vtt", "application/x-subrip", "text/srt"})
_MEDIA_TYPES = frozenset(
    {"application/ogg", "application/mp4", "application/x-matroska", *SUBTITLES}
)
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (rb"\xff\xd8\xff", "image/jpeg"),
    (rb"\x89PNG\r\n\x1a\n", "image/png"),
    (rb"GIF8[79]a", "image/gif"),
    (rb"RIFF.{4}WEBP", "image/webp"),
    (rb".{4}ftyp(avif|avis)", "image/avif"),
    (rb".{4}ftyp(heic|heix|mif1)", "image/heic"),
    (rb"II\*\x00|MM\x00\*", "image/tiff"),
    (rb".{4}jP  \r\n\x87\n|\xff\x4f\xff\x51", "image/jp2"),
    (rb".{4}ftypqt  ", "video/quicktime"),
    (rb".{4}ftypM4A ", "audio/mp4"),
    (rb".{4}ftyp", "video/mp4"),
    (rb"\x1aE\xdf\xa3", "video/webm"),
    (rb"OggS\x00", "video/ogg"),
    (rb"RIFF.{4}AVI ", "video/x-msvideo"),
    (rb"FLV\x01", "video/x-flv"),
    (rb"\x00\x00\x01[\xb3\xba]", "video/mpeg"),
    (rb"0&\xb2u\x8ef\xcf\x11", "video/x-ms-asf"),
    (rb"ID3[\x02-\x04]|fLaC", "audio/mpeg"),
    (rb"RIFF.{4}WAVE", "audio/wav"),
    (rb"(?:\xef\xbb\xbf)?WEBVTT[ \t\r\n]", "text/vtt"),
    (rb"(?:\xef\xbb\xbf)?\d{1,4}\r?\n\d\d:\d\d:\d\d[,.]\d{3} --> ", "application/x-subrip"),
)
_ANY_MAGIC = re.compile(b"|".join(b"(?:" + magic + b")" for magic, _ in _MAGIC), re.DOTALL)
_COMPILED = [(re.compile(magic, re.DOTALL), name) for magic, name in _MAGIC]
_HTML_START = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:<\?xml[^>]{0,200}>\s*+)?(?:<!--(?:(?!-->).){0,900}-->\s*+)*+"
    rb"<(?:!doctype\s+html|html|head|title|body|meta|script|table|div|h1|p|br)[\s>/]",
    re.IGNORECASE | re.DOTALL,
)


def kind_of(content_type: str, head: bytes) -> str:
    """Returns `HTML` for a page, a media type for an image, video, audio or subtitles, else "".

    `head` is the beginning of the decoded body, some hundred bytes.
    """
    declared = content_type.partition(";")[0].strip().lower()
    if _ANY_MAGIC.match(head):
        return media_type(head)
    if declared in _HTML_TYPES:
        return HTML
    if declared.startswith(_MEDIA) or declared in _MEDIA_TYPES:
        return declared
    return HTML if declared in _VAGUE and is_html(head) else ""


def media_type(head: bytes) -> str:
    """Returns the media type that the first bytes tell, or ""."""
    return next((name for magic, name in _COMPILED if magic.match(head)), "")


def is_html(head: bytes) -> bool:
    """Tells whether a text begins as HTML does."""
    return _HTML_START.match(head) is not None
