"""Bytes of a page to text: what its encoding is, whatever it says it is.

The order is the WHATWG Encoding Standard's (byte order mark, HTTP header, <meta>) with one change: bytes outrank words.
Text that is valid UTF-8 is UTF-8, and a declaration is believed only when its reading looks like text.
"""

import codecs
import logging
import re
from dataclasses import dataclass
from email.message import Message

import webencodings
from bs4.dammit import EncodingDetector, UnicodeDammit

from m3w_builder.errors import PageError

# A crawl is full of badly encoded pages: a line on stderr for each would drown everything else.
logging.getLogger("bs4.dammit").setLevel(logging.ERROR)

META_BYTES = 16_384  # where <meta charset> is looked for; the standard says 1,024, browsers go on
SAMPLE_BYTES = 100_000  # of a page that is not UTF-8 are searched for words
SAMPLE_WORDS = 10_000  # bytes of words: enough to tell a language by
PIECE_BYTES = 8_192  # checked at a time: half the time of decoding a page whole
MAX_UNREADABLE = 0.001  # of the characters: more, and the encoding does not fit

_BLANK = b" \t\r\n\f\0\xef\xbb\xbf\xff\xfe"  # with the bytes of byte order marks
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LEADING = re.compile(rb"(?:\xef\xbb\xbf|\s)*\xef\xbb\xbf")  # templates glue files, each with a BOM
_BINARY = (
    b"%PDF", b"\x1f\x8b", b"PK\x03\x04", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"RIFF", b"{", b"[",
)  # fmt: skip
_CONTROLS = bytes({*range(32), 127} - {*b"\t\n\f\r\x1b"})
MARKUP = re.compile(
    rb"<!--.*?(?:-->|\Z)|<(script|style|template|svg|noscript|iframe|textarea|title)\b.*?(?:</\1|\Z)"
    rb"|<[/!?a-zA-Z][^<>]*>?",
    re.S | re.I,
)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.S)
_ISO_2022_JP = (b"\x1b$B", b"\x1b$@")

# Encoding Standard, section 4.2: a label names what browsers decode, which is often a superset of the namesake.
_SUPERSETS = {
    "shift_jis": "cp932",
    "euc-jp": "euc_jis_2004",  # with the NEC rows: circled digits, Roman numerals
    "gbk": "gb18030",
    "euc-kr": "cp949",
    "big5": "big5hkscs",
    "windows-874": "cp874",
    "macintosh": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
    "iso-8859-8-i": "iso-8859-8",
    "replacement": "utf-8",
    "x-user-defined": "windows-1252",  # HTML Standard, section 13.2.3.2
    "utf-16le": "utf-8",  # likewise: a label that can be read as ASCII is not in UTF-16
    "utf-16be": "utf-8",
}


def decode(html: bytes, content_type: str = "") -> str:
    """Returns the page's text, without byte order mark and NUL.

    Raises PageError page_empty or not_html (binary data, JSON).
    """
    return to_utf8(html, content_type).decode()


def to_utf8(html: bytes, content_type: str = "") -> bytes:
    """Returns the page as valid UTF-8, without byte order mark and NUL: unchanged if it is that already.

    Raises PageError page_empty or not_html (binary data, JSON).
    """
    if not (html[:4096].strip(_BLANK) or html.strip(_BLANK)):
        raise PageError("page_empty", f"{len(html)} bytes")
    for bom, encoding in _BOMS:
        if html.startswith(bom):
            return _encoded(html[len(bom) :].decode(encoding, "replace"))
    start = html[:4096].lstrip()[:8]
    if start.startswith(_BINARY):
        raise PageError("not_html", f"starts with {start!r}")
    if wide := _wide(html[:4096]):
        return _encoded(html.decode(wide, "replace"))
    if b"\0" in html:
        html = html.replace(b"\0", b"")
    head = html[:4096]
    if len(head) - len(head.translate(None, _CONTROLS)) > 0.05 * len(head):
        raise PageError("not_html", "control characters: binary data")
    declared: list[str] = []
    if marked := _LEADING.match(html):
        html = html[marked.end() :]
        declared.append("utf-8")
    if html.isascii():
        shifted = b"\x1b" in html and any(escape in html for escape in _ISO_2022_JP)
        return _encoded(html.decode("iso2022_jp_ext", "replace")) if shifted else html
    if (valid := _valid(html)) is not None:
        return valid
    return _encoded(_guess(html, declared + _declared(html, content_type)))


def _encoded(text: str) -> bytes:
    return text.lstrip("\ufeff").replace("\0", "").encode("utf-8", "replace")


def _wide(head: bytes) -> str:
    """Returns utf-16-be or utf-16-le when every second byte of the markup is NUL, else ""."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    half = len(head) / 2
    if even > 0.3 * half and odd < 0.1 * half:
        return "utf-16-be"
    return "utf-16-le" if odd > 0.3 * half and even < 0.1 * half else ""


def _valid(html: bytes) -> bytes | None:
    """Returns UTF-8 without a character that the page's end cuts; None if the bytes are not UTF-8."""
    view, position = memoryview(html), 0
    try:
        while position < len(html):
            piece = view[position : position + PIECE_BYTES]
            size = codecs.utf_8_decode(piece, "strict", False)[1]
            if not size:
                break
            position += size
    except UnicodeDecodeError:
        return None
    return html[:position]


def _declared(html: bytes, content_type: str) -> list[str]:
    """Returns the names of the encodings that the HTTP header and the page declare, in that order."""
    message = Message()
    message["content-type"] = content_type
    head = _COMMENT.sub(b"", html[:META_BYTES])
    labels = (
        message.get_param("charset") if content_type else None,
        EncodingDetector.find_declared_encoding(head, is_html=True, search_entire_document=True),
    )
    found = (webencodings.lookup(label) for label in labels if isinstance(label, str))
    return [_SUPERSETS.get(encoding.name, encoding.name) for encoding in found if encoding]


def _guess(html: bytes, declared: list[str]) -> str:
    """Returns the text of bytes that are not quite UTF-8: by declaration, script or statistics."""
    text = html.decode("utf-8", "replace")
    wrong = text.count("\ufffd") - text.endswith("\ufffd")  # the end may be cut in a character
    right = len(text) - len(text.encode("ascii", "ignore")) - wrong
    if right and wrong <= 0.1 * right + ("utf-8" in declared):
        return (
            text  # UTF-8 with a few damaged bytes; of other encodings five times as many are wrong
        )
    # "<" and ">" are no trail bytes of any encoding
    words = b" ".join(MARKUP.sub(b" ", html[:SAMPLE_BYTES]).split())[:SAMPLE_WORDS]
    fitting = [encoding for encoding in declared if _fits(html, encoding)]
    # Western text looks like no other, but nearly every byte is a Western letter: it is tried last.
    for encoding in sorted((*fitting, *SCRIPTS), key=_WESTERN.__contains__):
        if _looks_right(words, encoding):
            return _text(html, encoding)
    for encoding in fitting:
        if _looks_possible(words, encoding):
            return _text(html, encoding)
    guess = UnicodeDammit(words, is_html=True).original_encoding or "windows-1252"
    return _text(html, _WESTERN[0] if _is_rather_western(words, guess) else guess)


def _is_rather_western(words: bytes, guess: str) -> bool:
    """Tells whether the guess means Western text: Central European text has next to no "ŕ" and "ĺ",
    whose bytes are "à" and "å".
    """
    if guess in ("windows-1250", "iso-8859-2"):
        return re.search(b"[\xc0\xc5\xe0\xe5]", words) is not None
    return guess in ("utf-8", "ascii", "iso-8859-1")


def _text(html: bytes, encoding: str) -> str:
    return html.decode(encoding, "c1" if encoding == "windows-1252" else "replace")


def _c1(error: UnicodeError) -> tuple[str, int]:
    """Decodes the five bytes that Python's windows-1252 leaves out, as the standard's index does."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("c1", _c1)


def _fits(html: bytes, encoding: str) -> bool:
    text = html.decode(encoding, "replace")
    return encoding != "utf-8" and text.count("\ufffd") <= MAX_UNREADABLE * len(text)


@dataclass(frozen=True)
class Script:
    """What text in an encoding consists of: a wrong reading has other characters or odd words."""

    words: str  # pattern of its words
    frequent: str  # class of the language's most frequent letters
    share: float  # of them among the text's letters, at least

    def spells(self, text: str) -> bool:
        """Tells whether nearly all characters beyond ASCII are in words of this script."""
        words = "".join(re.findall(self.words, text))
        return len(re.findall(_HIGH, words)) >= 0.95 * len(re.findall(_HIGH, text))

    def wrote(self, text: str) -> bool:
        """Tells whether there are such characters, and as many frequent ones as the language has."""
        high = len(re.findall(_HIGH, text))
        frequent = len(re.findall(self.frequent, text))
        return high > 5 and frequent >= self.share * high and self.spells(text)


def _cased(upper: str, lower: str) -> str:
    """Returns the pattern of words as they are written: Abc, abc or ABC, not aBC, not in mixed scripts."""
    other = f"[A-Za-z{upper}{lower}]"
    return f"(?<!{other})(?:[{upper}]?[{lower}]+|[{upper}]+)(?!{other})"


def _uncased(letters: str) -> str:
    return f"(?<![A-Za-z])[{letters}]+(?![A-Za-z])"


_HIGH = "[^\x00-\x7f\xa0«»“”„‘’–—…·©®°№×÷\u3000-\u303f\uff00-\uff60\u2010-\u2030]"
_KANA, _HAN, _HANGUL = "\u3040-\u30ff", "\u4e00-\u9fff", "\uac00-\ud7a3"
_HANS = Script(
    _uncased(_HAN), "[的是一了在有和不人这中大为上个国我以要他时来用们生到作地于出]", 0.05
)
_HANT = Script(
    _uncased(_HAN), "[的是一了在有和不人這中大為上個國我以要他時來用們生到作地於出]", 0.05
)
_JAPANESE = Script(_uncased(f"{_KANA}{_HAN}"), f"[{_KANA}]", 0.2)
_KOREAN = Script(_uncased(_HANGUL), "[이다는의에을를가하고은지로기한도]", 0.1)
_CYRILLIC = Script(_cased("А-ЯЁЂ-Џ", "а-яёђ-џґ"), "[оеаинтсрвОЕАИНТСРВ]", 0.45)
_GREEK = Script(_cased("Ά-Ώ", "ΐά-ώ"), "[αοιετσηνρίςάό]", 0.4)
_HEBREW = Script(_uncased("א-ת\u05b0-\u05c2"), "[יוהלאתרמב]", 0.4)
_ARABIC = Script(_uncased("ء-ي\u064b-\u0652پچژگکی،؛؟"), "[ايلمونرتبه]", 0.4)
_THAI = Script(_uncased("ก-๛"), "[านรอกเงม่้]", 0.3)
_TURKISH = Script("[A-Za-zçğıöşüâîûÇĞİÖŞÜ]+", "[ığşİŞ]", 0.3)
_POLISH = Script("[A-Za-ząćęłńóśźżĄĆĘŁŃÓŚŹŻ]+", "[ąęłśż]", 0.4)
_CZECH = Script("[A-Za-záčďéěíňóřšťúůýžôäÁČĎÉÍŇÓŘŠŤÚÝŽ]+", "[čěřšůž]", 0.3)
_HUNGARIAN = Script("[A-Za-záéíóöőúüűÁÉÍÓÖŐÚÜŰ]+", "[őű]", 0.05)

# In the order of trying: an encoding's text hardly ever looks like one that comes before it.
SCRIPTS = {
    "gb18030": (_HANS,),
    "cp932": (_JAPANESE,),
    "euc_jis_2004": (_JAPANESE,),
    "big5hkscs": (_HANT,),
    "cp949": (_KOREAN,),
    "windows-1251": (_CYRILLIC,),
    "windows-1255": (_HEBREW,),
    "koi8-u": (_CYRILLIC,),
    "iso-8859-5": (_CYRILLIC,),
    "ibm866": (_CYRILLIC,),
    "mac-cyrillic": (_CYRILLIC,),
    "windows-1253": (_GREEK,),
    "windows-1256": (_ARABIC,),
    "iso-8859-6": (_ARABIC,),
    "cp874": (_THAI,),
    "windows-1254": (_TURKISH,),
    "iso-8859-2": (_POLISH, _CZECH, _HUNGARIAN),
    "windows-1250": (_POLISH, _CZECH, _HUNGARIAN),
}
_ALIKE = {  # differ from a relative in few characters
    "koi8-r": "koi8-u",
    "iso-8859-7": "windows-1253",
    "iso-8859-8": "windows-1255",
    "iso-8859-9": "windows-1254",
}
_WESTERN = ("windows-1252", "iso-8859-15")


def _scripts(encoding: str) -> tuple[Script, ...]:
    return SCRIPTS.get(_ALIKE.get(encoding, encoding), ())


def _looks_right(words: bytes, encoding: str) -> bool:
    """Tells whether the words, read in the encoding, are what is written in it, as far as we know."""
    if encoding in _WESTERN:
        return _looks_western(words.decode(encoding, "replace"))
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(words)  # the end may be cut
    except UnicodeDecodeError:
        return False
    scripts = _scripts(encoding)
    return not scripts or any(script.wrote(text) for script in scripts)


def _looks_possible(words: bytes, encoding: str) -> bool:
    """Tells whether a declared encoding may be right though its languages' frequent letters are missing."""
    text = words.decode(encoding, "ignore")
    return any(script.spells(text) for script in _scripts(encoding))


def _looks_western(text: str) -> bool:
    """Tells whether accents are the exception, and symbols do not stand in words."""
    high = len(re.findall("[\x80-\xff]", text))
    inside = len(re.findall("(?<=[a-z])[¡-¿×÷](?=[a-z])", text))
    return high <= 0.3 * (high + len(re.findall("[A-Za-z]", text))) and inside <= 0.1 * high
