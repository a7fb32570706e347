"""HTML by functions: what is not `Html` is escaped, so page text cannot become markup."""

import base64
import io
import re
from html import escape

from m3w_builder.render import safe, small
from m3w_builder.report.style import STYLE

# Nothing is loaded from anywhere and no script runs, whatever a page's text contains.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"
QUALITY = 72  # WebP
BASE64 = re.compile("[A-Za-z0-9+/]+={0,2}")
VOID = ("img",)


class Html(str):
    """Markup: text that is not escaped again."""

    __slots__ = ()


def join(*children: str) -> Html:
    """Returns the children one after the other, text escaped."""
    return Html("".join(c if isinstance(c, Html) else escape(safe(c)) for c in children))


def tag(name: str, *children: str, **attributes: str) -> Html:
    """Returns an element; `class_` is the attribute class, empty attributes are left out."""
    pairs = (
        f' {key.rstrip("_")}="{escape(safe(value))}"' for key, value in attributes.items() if value
    )
    end = "" if name in VOID else f"{join(*children)}</{name}>"
    return Html(f"<{name}{''.join(pairs)}>{end}")


def link(url: str, text: str = "") -> Html:
    """Returns a link to a web address; anything else is only text."""
    if not url.startswith(("http://", "https://")):
        return tag("span", text or url)
    return tag("a", text or url, href=url, rel="noopener noreferrer nofollow", target="_blank")


def picture(data: bytes, side: int, alt: str = "") -> Html:
    """Returns an image of at most `side` pixels as a data: URI."""
    image = small(data, (side, side))
    if image is None:
        return tag("span", "not decodable", class_="broken")
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY)
    source = f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
    size = f'width="{image.width}" height="{image.height}"'
    return Html(
        f'<img src="{source}" {size} alt="{escape(safe(alt))}" title="{escape(safe(alt))}">'
    )


def stored(picture: str, alt: str = "") -> Html:
    """Returns an image from WebP bytes that are in base64 already."""
    if not BASE64.fullmatch(picture):
        return tag("span", "not decodable", class_="broken")
    return tag("img", src=f"data:image/webp;base64,{picture}", alt=alt, title=alt, loading="lazy")


def page(title: str, *body: str) -> str:
    """Returns a whole document that stands alone: no script, no external resource."""
    head = join(
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width,initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        Html('<meta name="color-scheme" content="light dark">'),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{join(*body)}</body></html>\n'
    )
