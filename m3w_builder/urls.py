"""URLs as keys: absolute, canonical, without fragment; two spellings of one address become one.

Percent-encoding stays as the server needs it (RFC 3986, 6.2.2): only what a URL cannot contain is encoded.
"""

import re
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

MAX_URL = 8192  # characters; longer ones are almost always mistaken data
_DEFAULT_PORT = {"http": 80, "https": 443}
_REMOVED = re.compile(r"[\t\n\r]")  # the URL Standard removes them before parsing
_AROUND = (
    "".join(map(chr, range(0x21))) + "\xa0"
)  # C0 controls and spaces around an attribute's value


def canonical(url: str, base: str = "") -> str:
    """Returns the absolute http(s) URL without fragment and credentials, or "" when it is not one."""
    url = _REMOVED.sub("", url).strip(_AROUND).replace("\\", "/")
    if not url or len(url) > MAX_URL:
        return ""
    try:
        parts = urlsplit(urljoin(base, url))
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
        # Underscores and the like are real in host names: only what is not ASCII goes through IDNA.
        host = host if host.isascii() else host.encode("idna").decode("ascii")
        path = quote(parts.path, safe="/%:=&~+!$,;'@()*") or "/"
        query = quote(parts.query, safe="/%:=&?~+!$,;'@()*[]|^`{}")
    except (ValueError, UnicodeError):
        return ""
    if scheme not in _DEFAULT_PORT or not host:
        return ""
    host = f"[{host}]" if ":" in host else host
    if port is not None and port != _DEFAULT_PORT[scheme]:
        host = f"{host}:{port}"
    return urlunsplit((scheme, host, path, query, ""))
