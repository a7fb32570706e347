"""URLs as keys: absolute, canonical, without fragment; two spellings of one address become one.

References are resolved as browsers do it (the URL Standard, which RFC 3986 agrees with where pages
are well made). Percent-encoding stays as the server needs it (RFC 3986, 6.2.2): only what a URL
cannot contain is encoded.
"""

import re
import unicodedata
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote, unquote

MAX_URL = 8192  # characters; longer ones are almost always mistaken data
MAX_LABEL = 63  # of a host name, RFC 1034
_DEFAULT_PORT = {"http": 80, "https": 443}
_REMOVED = re.compile(r"[\t\n\r]")  # the URL Standard removes them before parsing
_AROUND = (
    "".join(map(chr, range(0x21))) + "\xa0"
)  # C0 controls and spaces around an attribute's value
_PATH_SAFE = "/%:=&~+!$,;'@()*"
_QUERY_SAFE = "/%:=&?~+!$,;'@()*[]|^`{}"
# Most addresses need nothing: no character to encode, no host to lower. A host that ends in a
# number may be an IPv4 address in another notation and is not among them.
_CLEAN = re.compile(
    r"(?P<origin>https?://(?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]*(?=/))?"
    r"(?P<path>[a-zA-Z0-9_/%:=&~+!$,;'@()*.-]+)"
    r"(?:\?[a-zA-Z0-9_/%:=&?~+!$,;'@()*.\[\]|^`{}-]+)?(?=#|\Z)"
)
_CREDENTIALS = re.compile(r"//[^/?#\s]*@")
MAX_SHOWN = 200  # characters
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_REFERENCE = re.compile(r"(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?", re.S)
_AUTHORITY = re.compile(r"(?:.*@)?(\[[^\]]*\]|[^:]*)(?::([0-9]*))?", re.S)
_FORBIDDEN = re.compile(r"[\x00-\x20\"#%/:<>?@\[\\\]^`{|}\x7f-\xa0]")  # in a host name
# UTS 46 maps these away: invisible characters to nothing, full stops of East Asian scripts to ".".
_MAPPED = {**dict.fromkeys((0xAD, 0x200B, 0x2060, 0xFEFF), ""), 0x3002: ".", 0xFF61: "."}


def canonical(url: str, base: str = "") -> str:
    """Returns the absolute http(s) URL without fragment and credentials, or "" when it is not one."""
    if len(url) <= MAX_URL and (fast := _clean(url, base)):
        return fast
    url = _REMOVED.sub("", url).strip(_AROUND)
    if not url or len(url) > MAX_URL:
        return ""
    try:
        return _resolved(url, base)
    except (ValueError, UnicodeError):
        return ""


def shown(url: str) -> str:
    """Returns an address as a message may have it: without credentials, not too long."""
    return _CREDENTIALS.sub("//", url)[:MAX_SHOWN]


def _clean(url: str, base: str) -> str:
    """Returns what `_resolved` would for an address that needs no change, "" for any other."""
    match = _CLEAN.match(url)
    if not match or "/." in url or "%2e" in url or "%2E" in url:
        return ""
    if match["origin"]:
        return match[0]
    path = match["path"]
    origin, _, folder, _ = _split(base)
    if path[0] == "/":
        return origin + match[0] if origin and path[1:2] != "/" else ""
    return folder + match[0] if origin and path[0] != "." and ":" not in path else ""


@lru_cache(maxsize=256)  # a page has one base
def _split(base: str) -> tuple[str, str, str, str]:
    """Returns origin, URL without query, URL up to its last "/" and query; "" if base is no URL."""
    base = canonical(base) if base else ""
    whole, mark, query = base.partition("?")
    return "/".join(whole.split("/", 3)[:3]), whole, whole[: whole.rfind("/") + 1], mark + query


def _resolved(url: str, base: str) -> str:
    """Returns the URL of a reference (URL Standard 4.4). Raises ValueError if it cannot be one."""
    origin, whole, folder, old_query = _split(base)
    address, mark, rest = _before_query(url)
    url = address.replace("\\", "/") + mark + rest
    scheme = origin.partition(":")[0]
    if match := _SCHEME.match(url):
        url = url[match.end() :]
        same, scheme = match[1].lower() == scheme, match[1].lower()
        if scheme not in _DEFAULT_PORT:
            return ""
        if not same or url.startswith("//"):  # "https:a.jpg" is relative on an https page
            url = "//" + url.lstrip("/")
    elif url.startswith("//"):
        url = "//" + url.lstrip("/")
    parts = _REFERENCE.match(url)
    assert parts  # every part may be empty
    authority, path, query = parts.groups()
    if authority is not None and scheme:
        origin, path = _origin(scheme, authority), path or "/"
    elif not origin:
        return ""
    elif not path:
        path = whole[len(origin) :]
        query = old_query[1:] if query is None else query
    elif path[0] != "/":
        path = folder[len(origin) :] + path
    path = quote(_without_dots(path), safe=_PATH_SAFE)
    return origin + path + ("?" + quote(query, safe=_QUERY_SAFE) if query else "")


def _before_query(url: str) -> tuple[str, str, str]:
    """Splits at the first "?" or "#": a backslash after it is no slash."""
    stop = min((at for at in (url.find("?"), url.find("#")) if at >= 0), default=len(url))
    return url[:stop], url[stop : stop + 1], url[stop + 1 :]


def _without_dots(path: str) -> str:
    """Returns a path with "." and ".." resolved, percent-encoded ones too; empty segments stay."""
    if "/." not in path and "/%2" not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for number, segment in enumerate(segments, 1):
        plain = segment.lower().replace("%2e", ".") if len(segment) <= 6 else segment
        if plain not in (".", ".."):
            kept.append(segment)
            continue
        if plain == ".." and kept:
            kept.pop()
        if number == len(segments):
            kept.append("")
    return "/" + "/".join(kept)


def _origin(scheme: str, authority: str) -> str:
    """Returns scheme, host in ASCII and port, unless it is the scheme's own. Raises ValueError."""
    match = _AUTHORITY.fullmatch(authority)
    if not match or not match[1]:
        raise ValueError(f"no host in {authority!r}")
    host, port = _host(match[1]), int(match[2] or _DEFAULT_PORT[scheme])
    if port > 0xFFFF:
        raise ValueError(f"port {port}")
    return f"{scheme}://{host}" + (f":{port}" if port != _DEFAULT_PORT[scheme] else "")


@lru_cache(maxsize=4096)
def _host(host: str) -> str:
    """Returns a host name in ASCII (UTS 46, not transitional: "ß" stays itself) or an IP address."""
    if host.startswith("["):
        return f"[{IPv6Address(host[1:-1].partition('%')[0])}]"
    host = unquote(host, errors="strict") if "%" in host else host
    if not host.isascii():
        host = unicodedata.normalize("NFKC", host.translate(_MAPPED).lower()).lower()
        host = ".".join(map(_label, host.translate(_MAPPED).split(".")))
    host = host.lower()
    if not host or _FORBIDDEN.search(host) or not host.strip("."):
        raise ValueError(f"no host: {host!r}")
    last = host.rstrip(".").rpartition(".")[2]
    return _ipv4(host.rstrip(".")) if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last) else host


def _label(label: str) -> str:
    if label.isascii():
        return label
    encoded = "xn--" + label.encode("punycode").decode("ascii")
    if len(encoded) > MAX_LABEL or not all(c.isprintable() or c in "\u200c\u200d" for c in label):
        raise ValueError(f"no label of a host name: {label!r}")
    return encoded


def _ipv4(host: str) -> str:
    """Returns an address of one to four decimal, octal or hexadecimal numbers in dotted form."""
    numbers = [_number(part) for part in host.split(".")]
    if len(numbers) > 4 or any(number > 255 for number in numbers[:-1]):
        raise ValueError(f"no IPv4 address: {host!r}")
    last, value = numbers.pop(), 0
    for place, number in enumerate(numbers):
        value += number << 8 * (3 - place)
    if last >= 256 ** (4 - len(numbers)):
        raise ValueError(f"no IPv4 address: {host!r}")
    return str(IPv4Address(value + last))


def _number(digits: str) -> int:
    if digits.startswith("0x"):
        return int(digits[2:] or "0", 16)
    return int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)
