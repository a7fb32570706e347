"""What tags, roles, classes and ids say about an element, as bits that its descendants inherit.

A mark is only a hint: what it weighs is learned (`content`). A few also say what an element is: not
shown, the frame of a picture, a caption.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from lxml import etree

from m3w_builder.text import word_set

# The words of names, by what they say. The first twelve are reasons why something is no content.
_NAMES = {
    "nav": "nav navbar navi navigation menu submenu breadcrumb breadcrumbs crumb crumbs pagination pager"
    " paging toolbar topbar skip skiplink jump docnav navheader navfooter sitemap dropdown"
    " megamenu toc tableofcontents next prev previous rubrik",
    "footer": "footer foot colophon copyright siteinfo masthead bottom imprint impressum legal",
    "aside": "sidebar sidebars rail aside sidenav marginal sticky secondary tertiary",
    "comments": "comment comments disqus respond livefyre commentlist kommentar kommentare comentario"
    " comentarios commentaires reply replies discussion",
    "share": "share sharing shares social socials addthis sharedaddy addtoany sharebar sharethis follow"
    " facebook twitter whatsapp pinterest bookmark like likes sharer shariff icons print email",
    "related": "related relatedposts recommended recommendations recommendation recommend trending"
    " popular mostread outbrain taboola zergnet teasers teaser readmore morefrom seealso suggestions"
    " similar latest recent newest more promo promos promotion promotions crosssell upsell",
    "cookie": "cookie cookies consent gdpr privacy notice alert",
    "ads": "ad ads advert adverts advertisement advertising adsense adslot sponsor sponsored sponsors"
    " banner banners dfp commercial werbung anzeige anzeigen pub publicidad affiliate",
    "form": "newsletter subscribe subscription abo signup login signin register donate searchform"
    " searchbox search paywall survey poll captcha form forms cart checkout wishlist basket",
    "dialog": "popup popover modal tooltip toast overlay dialog",
    "meta": "meta metadata tags tag taglist tagcloud categories category postmeta postmetadata"
    " bio authorbox linenos lineno linenumbers gutter printonly noprint rating ratings stars vote votes"
    " counter count views keywords topics",
    "byline": "byline author authors date time timestamp dateline published posted pubdate publish updated"
    " autor datum fecha vcard source credits credit copyright",
    # What follows says what something is.
    "body": "article articlebody body story storybody entry entrycontent post postbody postcontent content"
    " contents main text textbody richtext prose page artikel beitrag inhalt texte contenido corpo detail"
    " details description document wysiwyg markdown",
    "lead": "lead lede leadin intro introduction summary standfirst excerpt abstract teasertext vorspann"
    " chapo subtitle subheading subheadline subline deck dek kicker",
    "title": "title headline heading head header entrytitle posttitle titel titre",
    "media": "image images img photo photos picture pictures foto fotos figure media thumb thumbs thumbnail"
    " thumbnails bild bilder illustration video videos player gallery galleries slideshow slider carousel"
    " slide hero featured",
    "caption": "caption captions legend cutline figcaption bildunterschrift",
    "list": "list listing item items card cards grid feed row rows col column columns block blocks box"
    " boxes widget widgets module modules wrap wrapper container section panel",
    "product": "product products price prices shop offer sku availability stock variant variants spec"
    " specs specification specifications attributes features",
    "forum": "forum thread threads message messages topic question answer answers reply discussion"
    " postrow bubble quote",
    "review": "review reviews reviewsection testimonial testimonials",
    "recipe": "recipe recipes ingredient ingredients instruction instructions directions zutaten"
    " zubereitung step steps",
    "note": "note notes notice warning tip info callout admonition pullquote highlight factbox",
    "user": "user userinfo username userdetails profile postprofile member signature karma reputation rank"
    " avatar avatars gravatar userpic",
    "veiled": "hidden invisible",
    "logo": "logo brand branding icon icons badge emblem",
}  # fmt: skip
_PAIRS = {
    "meta": "author-box author-info author-bio about-author entry-meta post-meta article-meta entry-footer"
    " post-footer line-numbers post-tags tags-links cat-links",
    "related": "read-more read-next read-also more-stories more-articles more-news most-read most-viewed"
    " also-like see-also top-stories you-may",
    "aside": "side-bar",
    "veiled": "d-none is-hidden u-hidden",
    "form": "sign-up log-in",
    "body": "article-body entry-content post-content main-content story-body article-text post-body"
    " article-content body-text rich-text entry-body body-content",
}
_TAGS = {
    "nav": "nav", "footer": "footer", "aside": "aside", "dialog": "dialog", "menu": "nav", "form": "in_form",
    "article": "article", "main": "main", "section": "section", "header": "header", "table": "table",
    "ul": "ul", "ol": "ol", "li": "li", "dl": "dl", "figure": "figure", "blockquote": "blockquote",
    "pre": "pre", "details": "details", "address": "byline", "p": "p", "td": "td", "th": "td", "h1": "h1",
    "h2": "h2", "h3": "h3", "h4": "h4", "h5": "h4", "h6": "h4", "figcaption": "caption", "noscript": "noscript",
    "fieldset": "in_form", "label": "in_form", "button": "button",
}  # fmt: skip
_ROLES = {
    **dict.fromkeys(("navigation", "menu", "menubar", "tablist", "directory", "tree"), "nav"),
    **dict.fromkeys(("banner", "contentinfo"), "footer"),
    **dict.fromkeys(("dialog", "alertdialog"), "dialog"),
    **dict.fromkeys(("search", "form"), "form"),
    **dict.fromkeys(("alert", "status"), "cookie"),
    "complementary": "aside",
    "toolbar": "share",
    "main": "main",
    "article": "article",
}
_PROPERTIES = {
    "articleBody": "article_body", "description": "article_body", "text": "article_body",
    "recipeInstructions": "recipe", "recipeIngredient": "recipe", "author": "byline", "datePublished": "byline",
    "dateModified": "byline", "publisher": "byline", "comment": "forum", "review": "review",
    "interactionStatistic": "meta", "headline": "title", "name": "title",
    "breadcrumb": "nav", "keywords": "meta", "mainEntityOfPage": "main",
}  # fmt: skip
MARKS = tuple(
    dict.fromkeys((*_NAMES, *_TAGS.values(), *_ROLES.values(), *_PROPERTIES.values(), "hidden"))
)
BIT = {name: 1 << number for number, name in enumerate(MARKS)}
REASONS = ("hidden", *tuple(_NAMES)[:12])  # marks that say why something is no content

_WORD_BITS: dict[str, int] = {}
for _mark, _words in _NAMES.items():
    for _word in _words.split():
        _WORD_BITS[_word] = _WORD_BITS.get(_word, 0) | BIT[_mark]
_PAIR_BITS = {
    tuple(pair.split("-")): BIT[mark] for mark, pairs in _PAIRS.items() for pair in pairs.split()
}
TAG_BITS = {tag: BIT[mark] for tag, mark in _TAGS.items()}
_ROLE_BITS = {role: BIT[mark] for role, mark in _ROLES.items()}
_PROPERTY_BITS = {name: BIT[mark] for name, mark in _PROPERTIES.items()}

_NEUTRAL = word_set("has no with without open not above hide js is")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_UNSEEN = word_set(
    "headerlink anchorjs editsection noprint permalink sronly screenreader visuallyhidden assistive"
)
_UNSEEN_PAIRS = frozenset(
    (("sr", "only"), ("screen", "reader"), ("visually", "hidden"), ("header", "anchor"))
)
_FIGURES = word_set("figure thumbinner mediaobject galleryitem imgbox")
_CAPTIONS = word_set("caption captions figcaption legend cutline")  # and all with such an end
_LABELS = word_set("title titles desc description credit credits copyright")
_FIGURE_PAIRS = {("wp", "caption"), ("gallery", "item")} | {
    (first, second)
    for first in ("image", "img", "photo", "picture", "media")
    for second in ("container", "wrap", "wrapper", "block", "box", "frame", "holder")
}
_NAMED_BY_TEXT = word_set("h1 h2 h3 h4 h5 h6")  # generators make a heading's id of its words
_UNNAMED = word_set("html body")  # what a page's outermost elements are called says little


APART = sum(BIT[name] for name in REASONS)
MAX_NAMES = 1000  # characters of class and id; longer ones are generated
# Beside its marks a name may say what an element is.
UNSEEN = 1 << 60  # not shown, or only a handle
FIGURE = 1 << 59  # the frame of a picture
CAPTION = 1 << 58
LABEL = 1 << 57  # a title or credit: inside a figure, a caption
MARK_BITS = (1 << len(MARKS)) - 1


@lru_cache(maxsize=65536)
def _names(names: str) -> int:
    """Returns what the names in a class or an id say: bits of MARKS, UNSEEN, FIGURE, CAPTION, LABEL."""
    said = 0
    for name in names.split(" ") if len(names) <= MAX_NAMES else ():
        said |= _name(name.rstrip("0123456789"))
    return said


@lru_cache(maxsize=65536)  # pages of different sites share more names than whole classes
def _name(name: str) -> int:
    """Returns what one name says."""
    words = [word.lower() for word in _WORD.findall(name)]
    said, previous = 0, ""
    for word in words:
        if word in _BITS_OF:
            said |= _BITS_OF[word]
        elif word.endswith("caption"):
            said |= CAPTION
        if previous in _FIRST:
            said |= _BITS_OF_PAIR.get((previous, word), 0)
        previous = word
    return said & ~MARK_BITS if words and words[0] in _NEUTRAL else said


def _merged(*tables: Mapping[Any, int]) -> dict[Any, int]:
    """Returns one table with the bits of all."""
    merged: dict[Any, int] = {}
    for table in tables:
        for key, bits in table.items():
            merged[key] = merged.get(key, 0) | bits
    return merged


_BITS_OF = _merged(
    _WORD_BITS,
    dict.fromkeys(_UNSEEN, UNSEEN),
    dict.fromkeys(_FIGURES, FIGURE),
    dict.fromkeys(_CAPTIONS, CAPTION),
    dict.fromkeys(_LABELS, LABEL),
)
_BITS_OF_PAIR = _merged(
    _PAIR_BITS, dict.fromkeys(_UNSEEN_PAIRS, UNSEEN), dict.fromkeys(_FIGURE_PAIRS, FIGURE)
)
_FIRST = frozenset(first for first, _ in _BITS_OF_PAIR)
_QUOTED = BIT["forum"] | BIT["note"]
_SPECIAL = word_set("role itemprop style hidden")


def marks(tag: str, attributes: dict[str, str]) -> int:
    """Returns the marks of a block by its tag, names, role and itemprop, and whether it is hidden;
    with UNSEEN, FIGURE, CAPTION, LABEL where its names say so."""
    found = TAG_BITS.get(tag, 0)
    if attributes:
        said = _names(attributes["class"]) if "class" in attributes else 0
        if "id" in attributes and tag not in _NAMED_BY_TEXT:
            said |= _names(attributes["id"])
        found |= said & ~MARK_BITS if tag in _UNNAMED else said
        if tag == "aside" and said & _QUOTED:
            found &= ~BIT["aside"]  # what is quoted or noted belongs to the text around it
        if not _SPECIAL.isdisjoint(attributes):
            if "role" in attributes:
                found |= _ROLE_BITS.get(attributes["role"], 0)
            if "itemprop" in attributes:
                found |= _PROPERTY_BITS.get(attributes["itemprop"], 0)
            if _is_hidden(attributes):
                found |= BIT["hidden"]
    return found


def _is_hidden(attributes: dict[str, str]) -> bool:
    """Tells whether an element is not displayed, by its own attributes."""
    if "style" in attributes and _HIDDEN_STYLE.search(attributes["style"]):
        return True
    return "hidden" in attributes


def _called(element: etree._Element) -> int:
    """Returns what the class and the id of an element say."""
    return _names(element.get("class") or "") | _names(element.get("id") or "")


def is_sign(element: etree._Element, url: str) -> bool:
    """Tells whether a picture is called a logo, an icon or somebody's avatar."""
    return _called(element) & _SIGNS != 0 or _SIGN.search(url.lower()) is not None


def is_avatar(element: etree._Element, url: str) -> bool:
    """Tells whether a picture is called somebody's."""
    return _called(element) & BIT["user"] != 0 or _AVATAR.search(url.lower()) is not None


_AVATAR = re.compile(r"avatar|userpic")
_SIGNS = BIT["logo"] | BIT["user"]
_SIGN = re.compile(r"logo|icon|avatar")


def reason(found: int) -> str:
    """Returns the first of REASONS among marks, "" for none."""
    return next((name for name in REASONS if found & BIT[name]), "")


def is_unseen(attributes: dict[str, str]) -> bool:
    """Tells whether an inline element is not shown or only a handle (a permalink sign, "edit")."""
    if "class" in attributes and _names(attributes["class"]) & UNSEEN:
        return True
    if "id" in attributes and _names(attributes["id"]) & UNSEEN:
        return True
    return not _SPECIAL.isdisjoint(attributes) and _is_hidden(attributes)
