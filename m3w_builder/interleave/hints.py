"""What tags, roles, classes and ids say about an element: boilerplate, hidden, figure, caption.

A hint is only a hint: `content` overrules it when most of the page's text lies inside.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from lxml import etree

from m3w_builder.text import word_set

Element = etree._Element

_TAGS = {"nav": "nav", "footer": "footer", "aside": "aside", "dialog": "dialog", "menu": "nav"}
_ARIA = {
    **dict.fromkeys(("navigation", "menu", "menubar", "tablist", "directory", "tree"), "nav"),
    **dict.fromkeys(("banner", "contentinfo"), "footer"),
    **dict.fromkeys(("search", "dialog", "alertdialog", "alert", "toolbar", "status"), "dialog"),
    "complementary": "aside",
}
_WORDS = {
    word: reason
    for reason, words in {
        "nav": "nav navbar navigation menu submenu breadcrumb breadcrumbs crumbs pagination"
        " pager paging toolbar topbar skip skiplink jump docnav navheader navfooter navi"
        " sitemap tabs dropdown megamenu",
        "toc": "toc tableofcontents",
        "footer": "footer foot colophon copyright masthead siteinfo",
        "aside": "sidebar sidebars rail widget widgets aside sidenav",
        "comments": "comment comments disqus respond livefyre commentlist kommentare comentarios"
        " reviewsection",
        "share": "share sharing shares social socials addthis sharedaddy addtoany sharebar"
        " sharethis follow facebook twitter whatsapp pinterest bookmark",
        "related": "related relatedposts recommended recommendations recommendation recommend trending popular"
        " mostread outbrain taboola zergnet teasers readmore jp-relatedposts morefrom"
        " seealso suggestions",
        "ads": "advert adverts advertisement advertising ads adsense adslot sponsor sponsored"
        " sponsors promo promos promotion banner banners dfp commercial werbung anzeige"
        " pub",
        "cookie": "cookie cookies consent gdpr",
        "form": "newsletter subscribe subscription signup login signin register donate"
        " searchform searchbox paywall survey poll captcha",
        "dialog": "popup modal lightbox tooltip toast",
        "meta": "tags taglist tagcloud categories postmeta bio authorbox author-box linenos"
        " lineno linenumbers gutter printonly noprint",
    }.items()
    for word in words.split()
}
_PAIRS = {
    ("author", "box"): "meta",
    ("author", "info"): "meta",
    ("author", "bio"): "meta",
    ("about", "author"): "meta",
    ("entry", "meta"): "meta",
    ("post", "meta"): "meta",
    ("article", "meta"): "meta",
    ("entry", "footer"): "meta",
    ("post", "footer"): "meta",
    ("read", "more"): "related",
    ("read", "next"): "related",
    ("read", "also"): "related",
    ("more", "stories"): "related",
    ("more", "articles"): "related",
    ("more", "news"): "related",
    ("most", "read"): "related",
    ("most", "viewed"): "related",
    ("also", "like"): "related",
    ("side", "bar"): "aside",
    ("sign", "up"): "form",
    ("line", "numbers"): "meta",
    ("screen", "reader"): "hidden",
    ("visually", "hidden"): "hidden",
    ("sr", "only"): "hidden",
}
_NEUTRAL = frozenset(("has", "no", "with", "without", "open", "not", "above", "hide", "js", "is"))
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_UNSEEN = word_set(
    "headerlink anchorjs editsection noprint permalink sronly screenreader visuallyhidden assistive"
)
_FIGURES = frozenset(["figure", "thumbinner", "mediaobject", "galleryitem", "imgbox"])
_CAPTIONS = frozenset(["caption", "captions", "legend", "cutline"])
_LABELS = frozenset(["title", "titles", "desc", "description", "credit", "credits", "copyright"])
_SECOND = {
    **dict.fromkeys(
        (("sr", "only"), ("screen", "reader"), ("visually", "hidden"), ("header", "anchor")),
        "unseen",
    ),
    **dict.fromkeys((("wp", "caption"), ("gallery", "item")), "figure"),
    **{
        (first, second): "figure"
        for first in ("image", "img", "photo", "picture", "media")
        for second in ("container", "wrap", "wrapper", "block", "box", "frame", "holder")
    },
}
_UNNAMED = frozenset(("html", "body", "figure", "blockquote", "p"))  # more telling than their names


@dataclass(frozen=True, slots=True)
class Traits:
    """What the words of a class and an id say."""

    reason: str = ""  # looks like boilerplate
    unseen: bool = False  # not shown, or only a handle
    figure: bool = False  # the frame of a picture
    caption: bool = False
    label: bool = False  # a title or credit: inside a figure, a caption


Attributes = Sequence[str | bytes]  # the names of an element's attributes
_NONE = Traits()
MAX_NAMES = 1000  # characters of class and id; longer ones are generated


def read(element: Element, attributes: Attributes) -> Traits:
    """Returns what the class and the id of an element say."""
    names = element.get("class") or "" if "class" in attributes else ""
    key = element.get("id") or "" if "id" in attributes else ""
    if not (names or key) or len(names) + len(key) > MAX_NAMES:
        return _NONE
    return _traits(names, key)


@lru_cache(maxsize=65536)
def _traits(names: str, key: str) -> Traits:
    said = [_one_name(name) for name in f"{names} {key}".split()]
    return Traits(
        next((one.reason for one in said if one.reason), ""),
        any(one.unseen for one in said),
        any(one.figure for one in said),
        any(one.caption for one in said),
        any(one.label for one in said),
    )


@lru_cache(maxsize=65536)
def _one_name(name: str) -> Traits:
    words = [word.lower() for word in _WORD.findall(name)]
    pairs = [*pairwise(words)]
    seconds = [_SECOND[pair] for pair in pairs if pair in _SECOND]
    return Traits(
        _reason(words, pairs) if words and words[0] not in _NEUTRAL else "",
        "unseen" in seconds or not _UNSEEN.isdisjoint(words),
        "figure" in seconds or not _FIGURES.isdisjoint(words),
        not _CAPTIONS.isdisjoint(words) or any(word.endswith("caption") for word in words),
        not _LABELS.isdisjoint(words),
    )


def _reason(words: list[str], pairs: list[tuple[str, str]]) -> str:
    """Returns the reason that the words of one name give, "" for none."""
    for word in words:
        if word in _WORDS:
            return _WORDS[word]
    return next((_PAIRS[pair] for pair in pairs if pair in _PAIRS), "")


def hint(element: Element, tag: str, attributes: Attributes, traits: Traits) -> str:
    """Returns why a block looks like boilerplate (nav, comments, hidden ...), "" if it does not."""
    if is_hidden(element, attributes):
        return "hidden"
    if "role" in attributes and (role := element.get("role")) in _ARIA:
        return _ARIA[role or ""]
    if tag in _TAGS:
        return _TAGS[tag]
    return "" if tag in _UNNAMED else traits.reason


def is_hidden(element: Element, attributes: Attributes) -> bool:
    """Tells whether an element is not displayed, by its own attributes."""
    if "style" in attributes and _HIDDEN_STYLE.search(element.get("style") or ""):
        return True
    if "aria-hidden" in attributes and element.get("aria-hidden") == "true":
        return True
    return "hidden" in attributes


def is_unseen(element: Element, attributes: Attributes) -> bool:
    """Tells whether an inline element is not shown or only a handle (a permalink sign, "edit")."""
    return bool(attributes) and (is_hidden(element, attributes) or read(element, attributes).unseen)
