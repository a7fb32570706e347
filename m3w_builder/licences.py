"""The licence that a page states for itself, as one canonical value; and the rule that asks for certain ones.

Who puts a picture of others on a page often links the picture's licence: a statement counts for the page only
where it stands for the page. So statements have levels, and the first level that says anything decides:

1. what speaks of the page by construction: link rel=license, meta tags (Dublin Core, cc:license), the licence
   of the page's main thing (schema.org in JSON-LD);
2. links marked as licences in its text: rel=license, RDFa and microdata, outside of figures, credits, comments;
3. badges: a picture that links to a Creative Commons deed, or is one of their buttons;
4. words: a plain link to a deed in a sentence that says that the page, site, text ... is licensed.

Of several Creative Commons licences on one level the most restrictive counts; licences that cannot be compared
say nothing. It is the page's word: nobody has checked that it may give that licence.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote

from lxml import etree

from m3w_builder.config import RightsConfig
from m3w_builder.metadata import Metadata, types, words
from m3w_builder.text import word_set
from m3w_builder.urls import canonical

Element = etree._Element

REASON = "licence"
MAX_STATEMENTS = 200  # of one page; a real one has up to 20
MAX_LOOKED_AT = 500  # links and badges of one page
CREATIVE_COMMONS = "https://creativecommons.org/"
PUBLIC_DOMAIN = f"{CREATIVE_COMMONS}publicdomain/"

# From the most to the least permissive, as creativecommons.org/share-your-work/cclicenses lists them.
_TYPES = ("by", "by-sa", "by-nc", "by-nc-sa", "by-nd", "by-nc-nd")
# /licenses/by-sa/3.0/de/deed.en, the button /l/by-sa/3.0/88x31.png, and both behind an archive or a proxy.
_CC_URL = re.compile(
    r"(?:creativecommons\.org|licensebuttons\.net)/(?:licen[sc]es|l)/(?P<type>[a-z+-]{2,12})"
    r"(?:/(?P<version>[1-9]\.[0-9])(?:/(?P<port>[a-z]{2,8})(?=/|$))?)?(?:[/?#]|$)",
    re.IGNORECASE,
)
_CC_FREE = re.compile(
    r"(?:creativecommons\.org|licensebuttons\.net)/(?:publicdomain|p)/(?P<type>zero|mark)(?:/1\.0)?(?:[/?#]|$)"
    r"|(?:creativecommons\.org/licenses|licensebuttons\.net/l)/(?P<old>publicdomain|zero)",
    re.IGNORECASE,
)
_NOT_A_PORT = word_set("deed legalcode rdf")
_GNU = re.compile(
    r"gnu\.org/(?:licen[sc]es|copyleft)/(?:old-licenses/)?(?P<name>fdl|gpl|lgpl|agpl)(?:-(?P<version>[0-9]\.[0-9]))?"
    r"(?:\.[a-z-]{2,5})?(?:\.html|\.txt)?$",
    re.IGNORECASE,
)
_GNU_NAMES = {"fdl": "GFDL", "gpl": "GPL", "lgpl": "LGPL", "agpl": "AGPL"}
_SPDX = re.compile(r"spdx\.org/licenses/([A-Za-z0-9.+-]{2,40}?)(?:\.html)?$", re.IGNORECASE)
_OTHERS = tuple(
    (re.compile(pattern, re.IGNORECASE), name)
    for pattern, name in (
        (r"opensource\.org/licen[sc]es?/mit(?:-license)?(?:\.php|\.html)?/?$", "MIT"),
        (r"opensource\.org/licen[sc]es?/isc(?:-license)?(?:\.php|\.html)?/?$", "ISC"),
        (r"apache\.org/licenses/LICENSE-2\.0(?:\.html|\.txt)?$", "Apache-2.0"),
        (r"opendatacommons\.org/licenses/odbl(?:/|$)", "ODbL-1.0"),
        (r"opendatacommons\.org/licenses/by(?:/|$)", "ODC-By-1.0"),
        (r"opendatacommons\.org/licenses/pddl(?:/|$)", "PDDL-1.0"),
        (r"nationalarchives\.gov\.uk/doc/open-government-licence/version/3(?:/|$)", "OGL-UK-3.0"),
        (r"unlicense\.org/?$", "Unlicense"),
    )
)
_SHORT = re.compile(
    r"(?<![a-z])cc[ -_]?(?P<type>by(?:[ _-](?:nc|nd|sa)){0,2})\b[ _-]{0,2}v?(?P<version>[1-4]\.[0-9])?",
    re.I,
)
_ZERO = re.compile(r"(?<![a-z])cc[ _-]?(?:0|zero)\b", re.IGNORECASE)
_LONG = re.compile(
    r"(?<![a-z])creative[ _]commons[ _]+attribution(?P<rest>(?:[ _,-]*(?:non-?commercial|share[ _-]?alike|no[ -_]?deriv"
    r"(?:ative|ative[ _]?work)?s?))*)[ _,-]*v?(?P<version>[1-4]\.[0-9])?",
    re.IGNORECASE,
)  # fmt: skip

_METAS = word_set(
    "dcterms.license dct.license dc.license dc.rights.license dcterms:license cc:license license licence og:license"
    " dcterms.rights dc.rights dc:rights rights copyright"
)
_MARKS = word_set(
    "license licence copyright cc:license dct:license dc:license dcterms:license xhv:license schema:license"
)
# Things that are no page: their licence is their own.
_ITEMS = word_set("ImageObject Photograph VideoObject AudioObject MediaObject Comment Person")
_ITEM_TAGS = word_set("figure figcaption blockquote picture video audio")
_ITEM_NAMES = re.compile(
    r"(?:^|[^a-z])(?:wp-)?(?:caption|credits?|attribution|thumb|gallery|comments?|image|img|photo|foto|bild)"
    r"(?:[^a-z]|$)",
    re.IGNORECASE,
)
_ITEM_WORDS = re.compile(
    r"\b(?:photos?|photograph\w*|pictures?|images?|foto\w*|bild\w*|flickr|unsplash|pixabay|wikimedia|grafik\w*"
    r"|imágenes|imagen|immagin\w*|videos?|icons?|clipart|illustrations?|rights reserved by)\b",
    re.IGNORECASE,
)
# English, German, French, Spanish, Portuguese, Italian, Dutch, Polish, Czech; Japanese, Chinese, Russian.
_PAGE_WORDS = re.compile(
    r"\b(?:sites?|websites?|web ?seiten?|seiten?|contents?|text\w*|pages?|blogs?|weblogs?|articles?|artikel\w*"
    r"|works?|posts?|wiki|documents?|documentation|handbook|manual|book|inhalte?n?|beitr[aä]ge?|werk\w*|dokument\w*"
    r"|contenus?|œuvre|oeuvre|contenidos?|obra|conte[uú]dos?|contenut[io]|opera|testi|inhoud|treść|treści|obsah)\b"
    r"|\b(?:is|are) (?:published|released|available) under\b|コンテンツ|文章|内容|сайт|материал|текст",
    re.IGNORECASE,
)
_LICENSED = re.compile(
    r"licen[sc]|lizen[zs]|lisens|(?:published|available|released|veröffentlicht) (?:under|unter)"
    r"|ライセンス|许可|授權|授权|лиценз",
    re.IGNORECASE,
)
_FILE = re.compile(r"\.(?:jpe?g|png|gif|webp|svg|tiff?|mp[34]|web[mp]|og[agv])$", re.IGNORECASE)
_BLOCKS = word_set(
    "p div li td th dd dt section article footer header aside main body small center form ul table tr h1 h2 h3 h4 h5 h6"
)
_DEPTH = 12  # elements above a link that are looked at
_BESIDE = 6  # nodes before and after a link that are read
_NEAR = 300  # characters of the text on either side of a link


class _Statement(NamedTuple):
    level: int  # 1 to 4, see above
    value: str  # canonical; "" where the licence is not a known one
    address: str = ""  # of that one


def licence_of(metadata: Metadata) -> str:
    """Returns what a page says its licence is, "" when it says nothing or several things.

    A Creative Commons licence is its address, "https://creativecommons.org/licenses/by-sa/3.0/de/"; another known one
    its SPDX name, "GFDL-1.3"; an unknown one that is marked by rel=license the address that it links.
    """
    found = list(islice(_statements(metadata), MAX_STATEMENTS))
    for level in sorted({statement.level for statement in found if statement.value}):
        return _one([s.value for s in found if s.level == level and s.value])
    return next((s.address for s in sorted(found, key=lambda s: s.level) if s.address), "")


def _one(values: list[str]) -> str:
    """Returns the licence that several statements of one level come to."""
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
        return distinct[0]
    ranks = [_rank(value) for value in distinct]
    return "" if None in ranks else max(distinct, key=lambda value: _rank(value) or 0)


def _rank(value: str) -> int | None:
    """Returns how restrictive a Creative Commons licence is, None for others."""
    if value.startswith(PUBLIC_DOMAIN):
        return 0
    name = value.removeprefix(f"{CREATIVE_COMMONS}licenses/").partition("/")[0]
    return _TYPES.index(name) + 1 if name in _TYPES else None


def known_licence(said: str) -> str:
    """Returns the canonical value of a known licence's address or name, "" for anything else."""
    said = said.strip()
    if len(said) > 2_000:
        return ""
    address = said.lower().startswith(("http:", "https:", "//")) or "creativecommons.org/" in said
    return _known_address(said) if address else _known_name(said)


def _known_address(url: str) -> str:
    if match := _CC_FREE.search(url):
        return f"{PUBLIC_DOMAIN}{'mark' if match['type'] == 'mark' else 'zero'}/1.0/"
    if match := _CC_URL.search(url):
        port = (match["port"] or "").lower()
        return _commons(match["type"], match["version"], "" if port in _NOT_A_PORT else port)
    bare = url.partition("?")[0].partition("#")[0]
    if match := _GNU.search(bare):
        return "-".join(filter(None, (_GNU_NAMES[match["name"].lower()], match["version"])))
    if match := _SPDX.search(bare):
        return _known_name(match[1]) or match[1]
    other = next((name for pattern, name in _OTHERS if pattern.search(bare)), "")
    return other or _known_name(unquote(bare.rpartition("/")[2]))


def _known_name(name: str) -> str:
    if match := _LONG.search(name):
        rest = match["rest"].lower()
        parts = [
            part
            for part, word in (("nc", "commercial"), ("nd", "deriv"), ("sa", "share"))
            if word in rest
        ]
        return _commons("-".join(["by", *parts]), match["version"])
    if match := _SHORT.search(name):
        return _commons(re.sub("[ _]", "-", match["type"]), match["version"])
    return f"{PUBLIC_DOMAIN}zero/1.0/" if _ZERO.search(name) else ""


def _commons(kind: str, version: str | None, port: str = "") -> str:
    """Returns the address of a licence; a port is a licence of one country, up to version 3.0."""
    parts = re.split(r"[+-]", kind.lower())
    name = "-".join(part for part in ("by", "nc", "nd", "sa") if part in parts)
    if set(parts) - {"by", "nc", "nd", "sa"} or "by" not in parts or name not in _TYPES:
        return ""
    rest = "".join(f"{part}/" for part in (version, port) if part)
    return f"{CREATIVE_COMMONS}licenses/{name}/{rest}"


def _statements(metadata: Metadata) -> Iterator[_Statement]:
    for meta in metadata.metas:
        if meta.name in _METAS and (value := known_licence(meta.content)):
            if meta.element.get("itemprop") and _of_an_item(meta.element):
                continue
            yield _Statement(1, value)
    for link in metadata.licences:
        yield from _marked(link, metadata)
    for thing in metadata.main_things('"license"'):
        for value in _texts(thing.get("license")):
            if known := known_licence(value):
                yield _Statement(1, known)
    # One look over the bytes: a deed's address and a button's hold the word, but for CC0's.
    if metadata.source is None or b"license" in metadata.source:
        yield from _shown(metadata)


def _texts(value: object) -> list[str]:
    """Returns the addresses and names of a schema.org licence: a text, or a thing with one."""
    values = value if isinstance(value, list) else [value]
    named = [v["@id"] for v in values[:10] if isinstance(v, dict) and isinstance(v.get("@id"), str)]
    return [*words(value), *named]


def _shown(metadata: Metadata) -> Iterator[_Statement]:
    """Yields what the links and badges that a reader sees say."""
    for element in islice(_candidates(metadata), MAX_LOOKED_AT):
        if element.tag == "img":
            yield from _badge(element)
        elif any(name in _MARKS for name in _names(element)):
            yield from _marked(element, metadata)
        elif value := _known_address(element.get("href") or ""):
            yield from _plain(element, value)


def _candidates(metadata: Metadata) -> Iterator[Element]:
    """Yields the elements that may state a licence, but for those that the metadata holds."""
    for element in metadata.root.iter("a", "area", "span", "img", "link"):
        if element.tag == "img":
            source = element.get("src") or ""
            if "creativecommons.org/" in source or "licensebuttons.net/" in source:
                yield element
        elif address := element.get("href") or element.get("resource"):
            marked = any(name in _MARKS for name in _names(element))
            if marked and element.tag == "link" and element.get("rel"):
                continue
            if marked or (element.tag == "a" and "creativecommons.org/" in address):
                yield element


def _names(element: Element) -> list[str]:
    said = (element.get(name) for name in ("rel", "property", "itemprop"))
    return " ".join(filter(None, said)).lower().split()


def _marked(element: Element, metadata: Metadata) -> Iterator[_Statement]:
    """Yields the statement of a link that is marked as a licence."""
    level = 1 if element.tag == "link" and element.get("rel") else 2
    if level > 1 and _of_an_item(element):
        return
    address = element.get("href") or element.get("resource") or ""
    if value := known_licence(address) or _known_name(_text(element)):
        yield _Statement(level, value)
    elif "license" in _names(element):
        url = canonical(address, metadata.base)
        if url and url != canonical(metadata.base):
            yield _Statement(level, "", url.replace("http://", "https://", 1))


def _badge(image: Element) -> Iterator[_Statement]:
    parent = image.getparent()
    linked = parent is not None and parent.tag == "a" and parent.get("href")
    value = "" if linked else _known_address(image.get("src") or "")  # a link says it itself
    if value and not _of_an_item(image):
        yield _Statement(3, value)


def _plain(link: Element, value: str) -> Iterator[_Statement]:
    """Yields the statement of a link to a deed that nothing marks as a licence."""
    if _of_an_item(link):
        return
    if next(link.iter("img"), None) is not None:
        yield _Statement(3, value)
        return
    around = _around(link)
    if _PAGE_WORDS.search(around) and _LICENSED.search(around):
        yield _Statement(4, value)


def _of_an_item(element: Element) -> bool:
    """Tells whether a statement is about a picture, a quotation or a comment on the page."""
    for above in islice(element.iterancestors(), _DEPTH):
        if above.tag in _ITEM_TAGS:
            return True
        if above.tag == "footer" or above.get("role") == "contentinfo":
            # What stands there is about the whole, whatever layout its wrappers name.
            return any(a.tag in _ITEM_TAGS for a in islice(above.iterancestors(), _DEPTH))
        kinds = types({"@type": (above.get("itemtype") or "").split()})
        if any(kind in _ITEMS for kind in kinds) or _FILE.search(above.get("about") or ""):
            return True
        if above.tag not in ("body", "html", "main", "article") and any(
            _ITEM_NAMES.search(above.get(name) or "") for name in ("class", "id")
        ):
            return True
    around = _around(element)
    return bool(_ITEM_WORDS.search(around)) and not _PAGE_WORDS.search(around)


def _around(link: Element) -> str:
    """Returns the text beside a link in its block: a little of it, however long that is."""
    before: list[str] = []
    after: list[str] = []
    element = link
    for _ in range(_DEPTH):
        after.append(element.tail or "")
        after += map(_with_tail, islice(element.itersiblings(), _BESIDE))
        before += map(_with_tail, islice(element.itersiblings(preceding=True), _BESIDE))
        parent = element.getparent()
        if parent is None:
            break
        before.append(parent.text or "")
        if parent.tag in _BLOCKS:
            break
        element = parent
    ahead = " ".join(reversed(before))[-_NEAR:]
    return f"{ahead} {_text(link)} {' '.join(after)[:_NEAR]}"


def _with_tail(element: Element) -> str:
    return f"{_text(element)}{element.tail or ''}"


def _text(element: Element) -> str:
    if not isinstance(element.tag, str):  # a comment
        return ""
    return " ".join(islice(element.itertext(), 10))[:_NEAR]  # type: ignore[arg-type]


def licence_rule(licence: str, config: RightsConfig) -> tuple[str, str] | None:
    """Returns why the licence that a page states is none of those asked for, None where it is.

    `rights.licences` holds beginnings of canonical values and short names ("cc-by-sa", "cc0", "gfdl"); without
    any every page passes, with some a page that states none does not.
    """
    if not config.licences or (licence and any(_is(licence, one) for one in config.licences)):
        return None
    return REASON, f"{licence or 'none stated'}, expected one of rights.licences"


def _is(licence: str, asked: str) -> bool:
    """Tells whether a canonical value is what an entry of `rights.licences` asks for."""
    name = asked.lower()
    if "://" in asked:
        return licence.startswith((known_licence(asked) or asked).replace("http://", "https://", 1))
    if name in ("cc", "public-domain"):
        return licence.startswith(PUBLIC_DOMAIN if name != "cc" else CREATIVE_COMMONS)
    if commons := _known_name(name):
        return licence.startswith(commons)
    return licence.lower() == name or licence.lower().startswith(f"{name}-")
