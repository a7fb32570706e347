"""What a page says about itself: meta tags, links, JSON-LD and microdata, found in one pass over it.

Scripts are parsed only when a question needs them, and only those that name what is asked for: most
pages carry kilobytes of JSON-LD about breadcrumbs. Everything here is a claim, not what a reader sees.
"""

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from lxml import etree

from m3w_builder.images import same_picture
from m3w_builder.text import clean, inline, word_set
from m3w_builder.types import Image
from m3w_builder.urls import canonical

Element = etree._Element
Thing = dict[str, Any]  # of schema.org: a JSON object

MAX_META = 2_000  # meta elements of one page; a real one has up to 100
MAX_SCRIPT = 2 * 2**20  # characters of one script; a real one has up to 200,000
MAX_SCRIPTS = 200
MAX_THINGS = 1_000  # of one question
MAX_LEADS = 20  # pictures that one page puts forward
MAX_VALUES = 10  # of one property
MAX_PIECES = 200  # of the text of one microdata property

_NAMES = ("property", "name", "itemprop")
# Headers that a page may state itself; browsers know none of them.
_RIGHTS_HEADERS = frozenset({"x-robots-tag", "tdm-reservation"})
_AHEAD = re.compile(r"\s*(?://|/\*)?\s*(?:<!--|<!\[CDATA\[)?\s*(?:\*/|//)?\s*")
_BEHIND = re.compile(r"(?:\s|;|//|/\*|\*/|-->|\]\]>)*$")
_AROUND = 60  # characters of comment marks at either end of a script
_TRAILING_COMMA = re.compile(r",(\s*[\]}])")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,500}>")
_NO_PICTURE = re.compile(
    r"(?:^|[^a-z])(?:logos?|logotype|default|placeholder|(?:fav|touch-?)?icons?|avatar|sprite|fallback|blank|facebook|twitter|fbico|ogp?|opengraph|social|share"
    r"|no-?(?:image|photo|picture|img)|missing|spacer|og-?image|opengraph|social-?share|share-?image"
    r"|sharing)(?:[^a-z]|$)|^og$|gravatar",
)
_VECTOR = re.compile(r"\.(?:svgz?|ico)$", re.I)
_MAIN = word_set(
    "CreativeWork BlogPosting SocialMediaPosting DiscussionForumPosting Product ProductGroup Recipe Event Book"
    " Movie TVSeries TVEpisode Course HowTo Review CriticReview SoftwareApplication MobileApplication"
    " WebApplication VideoGame Game Report Photograph Painting VisualArtwork ImageGallery MusicAlbum"
    " TouristAttraction Place Restaurant Hotel LodgingBusiness Landform Museum JobPosting Vehicle Car"
    " WebPage AboutPage ItemPage FAQPage QAPage MedicalWebPage Dataset Taxon"
)


class Meta(NamedTuple):
    """One meta element under one of its names, in lower case."""

    name: str
    content: str  # as it stands
    element: Element


class Lead(NamedTuple):
    """A picture that the page puts forward; `image.path` is empty."""

    image: Image
    element: Element  # that names it: meta, link or script


@dataclass(frozen=True)
class Metadata:
    """The metadata of one page; made by read_metadata."""

    root: Element
    base: str
    metas: tuple[Meta, ...]
    scripts: tuple[Element, ...]  # of JSON-LD
    links: tuple[Element, ...]  # rel=image_src
    titles: tuple[Element, ...]
    source: bytes | None = None  # the page in UTF-8: a word it does not have is not looked for
    canonical: str = ""  # what rel=canonical declares (RFC 6596)
    licences: tuple[Element, ...] = ()  # links whose rel names a licence
    _parsed: dict[int, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def _contents(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, content, _ in self.metas:
            if content := clean(content):
                found.setdefault(name, []).append(content)
        return found

    def first(self, *names: str) -> str:
        """Returns the first non-empty content of the named meta elements, names in order, else ""."""
        return next((self._contents[name][0] for name in names if name in self._contents), "")

    def all(self, name: str) -> list[str]:
        """Returns the non-empty contents of the named meta elements as they stand."""
        return self._contents.get(name, [])

    @cached_property
    def title(self) -> str:
        """The page's title: its title element (HTML Standard 4.2.2), else og:title or twitter:title."""
        shown = next((text for e in self.titles if (text := inline(e))), "")
        return shown or self.first("og:title", "twitter:title")

    def things(self, kind: str) -> list[Thing]:
        """Returns the things of a schema.org type, wherever JSON-LD or else microdata holds them."""
        found: list[Thing] = []
        if self.source is not None and kind.encode() not in self.source:
            return found
        for index, script in enumerate(self.scripts):
            if kind in (script.text or ""):
                found.extend(t for t in _inside(self._json(index)) if kind in types(t))
        if _of_type(self.root, kind=kind):
            found.extend(t for t in _microdata(self.root) if kind in types(t))
        return found[:MAX_THINGS]

    def main_things(self, word: str) -> Iterator[Thing]:
        """Yields what the page is about, of the JSON-LD scripts that hold a word."""
        for index, script in enumerate(self.scripts):
            if word in (script.text or ""):
                yield from _main(self._json(index))

    def lead_images(self, most: int = MAX_LEADS) -> list[Lead]:
        """Returns the pictures the page puts forward, the most trusted first, each once.

        By og:image (ogp.me), twitter:image, the image of the page's main thing (schema.org), link
        rel=image_src. JSON-LD is read only where meta tags name fewer than `most`.
        """
        found: list[Lead] = []
        for source in (self._open_graph, self._twitter, self._schema, self._linked):
            for lead in source() if len(found) < most else ():
                _add(found, lead)
        return found[:most]

    def _open_graph(self) -> Iterator[Lead]:
        """Yields the pictures of og:image; its :alt, :width ... belong to the one they follow."""
        group: dict[str, str] = {}
        source: Element | None = None
        for name, content, element in self.metas:
            if not name.startswith("og:image"):
                continue
            part = name[9:]
            if part in ("", "url") or source is None:
                if source is not None:
                    yield from self._lead(group, source)
                group, source = {}, element
            group.setdefault(part or "url", content)
        if source is not None:
            yield from self._lead(group, source)

    def _lead(self, group: dict[str, str], source: Element) -> Iterator[Lead]:
        url = canonical(group.get("url", ""), self.base)
        secure = canonical(group.get("secure_url", ""), self.base)
        url = secure if secure and not url.startswith("https:") else url
        if url and is_picture(url):
            width, height = pixels(group.get("width")), pixels(group.get("height"))
            alt, caption = plain(group.get("alt", "")), plain(group.get("caption", ""))
            yield Lead(Image(url, alt, caption=caption, width=width, height=height), source)

    def _twitter(self) -> Iterator[Lead]:
        for name, content, element in self.metas:
            head = name == "image" and element.getparent() is self.root.find("head")
            if name in ("twitter:image", "twitter:image:src") or head:
                alt = "" if head else self.first("twitter:image:alt")
                yield from self._lead({"url": content, "alt": alt}, element)

    def _schema(self) -> Iterator[Lead]:
        """Yields the pictures of the first main thing that has any."""
        for index, script in enumerate(self.scripts):
            words = script.text or ""
            if '"image"' not in words and "primaryImageOfPage" not in words:
                continue
            data = self._json(index)
            known = {t["@id"]: t for t in _inside(data) if isinstance(t.get("@id"), str)}
            for thing in _main(data):
                pictures = _values(thing.get("image")) or _values(thing.get("primaryImageOfPage"))
                leads = [
                    lead
                    for picture in pictures
                    for lead in self._lead(_picture(picture, known), script)
                ]
                yield from leads
                if leads:
                    return

    def _linked(self) -> Iterator[Lead]:
        for link in self.links:
            yield from self._lead({"url": link.get("href") or ""}, link)

    def _json(self, index: int) -> Any:
        if index not in self._parsed:
            self._parsed[index] = parse_json(self.scripts[index].text or "")
        return self._parsed[index]


_of_type = etree.XPath("boolean(//@itemtype[contains(., $kind)])")


def read_metadata(root: Element, base: str, source: bytes | None = None) -> Metadata:
    """Returns the metadata of a page; relative addresses in it are relative to `base`.

    `source` is the page in UTF-8, for those who have it at hand: it spares searching the tree.
    """
    metas: list[Meta] = []
    scripts: list[Element] = []
    links: list[Element] = []
    licences: list[Element] = []
    titles: list[Element] = []
    declared = ""
    for element in root.iter("meta", "script", "link", "title"):
        tag = element.tag
        if tag == "script":
            if "ld+json" in (element.get("type") or "").lower() and len(scripts) < MAX_SCRIPTS:
                scripts.append(element)
        elif tag == "meta":
            content = element.get("content")
            if content and len(metas) < MAX_META:
                for attribute in _NAMES:
                    if name := element.get(attribute):
                        metas.append(Meta(name.strip().lower(), content, element))
                name = (element.get("http-equiv") or "").strip().lower()
                if name in _RIGHTS_HEADERS:
                    metas.append(Meta(name, content, element))
        elif tag == "link":
            rel = (element.get("rel") or "").lower()
            if rel == "image_src":
                links.append(element)
            elif rel == "canonical" and not declared:
                declared = canonical(element.get("href") or "", base)
            elif ("licen" in rel or "copyright" in rel) and len(licences) < MAX_META:
                licences.append(element)
        elif not titles:
            parent = element.getparent()
            if parent is None or parent.tag != "svg":
                titles.append(element)
    found = (tuple(metas), tuple(scripts), tuple(links), tuple(titles))
    return Metadata(root, base, *found, source, declared, tuple(licences))


def parse_json(script: str) -> Any:
    """Returns the JSON value of a script, None if it has none.

    Forgives what real pages do: comment or CDATA marks around it, semicolons after it, raw control
    characters, a comma before a closing bracket, a whole value with its quotes escaped for HTML.
    """
    if len(script) > MAX_SCRIPT:
        return None
    # Marks are looked for at the ends only: a search from each blank would cost the square of them.
    bare = script.strip()
    bare = _AHEAD.sub("", bare[:_AROUND], count=1) + bare[_AROUND:]
    bare = bare[:-_AROUND] + _BEHIND.sub("", bare[-_AROUND:], count=1)
    for candidate in (bare, _TRAILING_COMMA.sub(r"\1", bare)):
        if candidate.startswith(("{&quot;", "[{&quot;")):
            candidate = html.unescape(candidate)
        try:
            return json.loads(candidate, strict=False)
        except (ValueError, RecursionError):  # real pages hold broken JSON; ours would be no bug
            continue
    return None


def _inside(data: Any) -> Iterator[Thing]:
    """Yields every object anywhere inside a JSON value in its order, without recursion."""
    stack = [data]
    while stack:
        top = stack.pop()
        if isinstance(top, dict):
            yield top
            stack.extend(reversed(top.values()))
        elif isinstance(top, list):
            stack.extend(reversed(top))


def _main(data: Any) -> Iterator[Thing]:
    """Yields the things a page is about: not what lies in their properties, authors and lists."""
    tops = [top for top in _values(data) if isinstance(top, dict)]
    for top in tops:
        graph = [
            thing for thing in _values(top.get("@graph"), MAX_THINGS) if isinstance(thing, dict)
        ]
        for thing in (top, *graph):
            for one in (thing, thing.get("mainEntity")):
                if isinstance(one, dict) and any(_is_main(kind) for kind in types(one)):
                    yield one


def _is_main(kind: str) -> bool:
    return kind in _MAIN or kind.endswith("Article")


def types(thing: Thing) -> list[str]:
    """Returns the types of a thing without the vocabulary's address or prefix."""
    kinds = thing.get("@type")
    return [
        kind.rsplit("/", 1)[-1].rsplit("#", 1)[-1].rsplit(":", 1)[-1].strip()
        for kind in (kinds if isinstance(kinds, list) else [kinds])
        if isinstance(kind, str)
    ]


def _values(value: Any, most: int = MAX_VALUES) -> list[Any]:
    """Returns the values of a property: a list is several."""
    return value[:most] if isinstance(value, list) else [value] if value else []


def words(value: Any) -> list[str]:
    """Returns the texts of a schema.org value: itself, each of a list, an object's value or url."""
    found = []
    for one in _values(value):
        for _ in range(3):
            if isinstance(one, list):
                one = one[0] if one else ""
            elif isinstance(one, dict):
                keys = ("@value", "value", "contentUrl", "url", "name")
                one = next((one[key] for key in keys if one.get(key)), "")
        if isinstance(one, str | int | float) and not isinstance(one, bool):
            found.append(str(one))
    return [text for text in found if text.strip()]


def first(thing: Thing, *names: str) -> str:
    """Returns the first text among the named properties of a thing, else ""."""
    return next((text for name in names for text in words(thing.get(name))), "")


def _picture(value: Any, known: dict[str, Thing]) -> dict[str, str]:
    """Returns the properties of an image value: an address, an ImageObject or a reference to one."""
    if isinstance(value, str):
        value = known.get(value, value)
    if isinstance(value, dict) and isinstance(value.get("@id"), str) and "url" not in value:
        value = known.get(value["@id"], value)
    if not isinstance(value, dict):
        return {"url": value if isinstance(value, str) else ""}
    return {
        "url": first(value, "contentUrl", "url"),
        "caption": first(value, "caption", "description"),
        "width": first(value, "width"),
        "height": first(value, "height"),
    }


def _add(leads: list[Lead], lead: Lead) -> None:
    """Adds a picture, or what it knows more of one that is there already."""
    for i, (known, element) in enumerate(leads):
        if same_picture(known.url, lead.image.url):
            more = lead.image
            image = Image(
                known.url, known.alt or more.alt, known.title, known.caption or more.caption,
                known.width or more.width, known.height or more.height,
            )  # fmt: skip
            leads[i] = Lead(image, element)
            return
    if len(leads) < MAX_LEADS:
        leads.append(lead)


def is_picture(url: str) -> bool:
    """Tells whether an address looks like a picture of its own, not a logo or a stand-in by name."""
    path = unquote(urlsplit(url).path)
    name = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    # "GIGA-LogoWhite" is three words: a capital after a small letter starts one.
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()
    host = urlsplit(url).hostname or ""
    return not (_VECTOR.search(path) or _NO_PICTURE.search(name) or host.endswith("gravatar.com"))


def _microdata(root: Element) -> list[Thing]:
    """Returns the items of a page (HTML Standard 5.2) as things, in the order they open."""
    found: list[Thing] = []
    open_: list[tuple[Element, Thing]] = []
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if event == "end":
            if open_ and open_[-1][0] is element:
                open_.pop()
            continue
        names = (element.get("itemprop") or "").split() if open_ else ()
        item: Thing | None = None
        if "itemscope" in element.attrib or element.get("itemtype"):
            item = {"@type": (element.get("itemtype") or "").split()[:MAX_VALUES]}
        for name in names[:MAX_VALUES]:
            values = open_[-1][1].setdefault(name, [])
            if isinstance(values, list) and len(values) < MAX_VALUES:
                values.append(_property(element) if item is None else item)
        if item is not None and len(found) < MAX_THINGS:
            found.append(item)
            open_.append((element, item))
    return found


def _property(element: Element) -> str:
    """Returns the value of a microdata property (HTML Standard 5.2.4)."""
    for name in ("content", "src", "href", "data", "datetime", "value"):
        if value := element.get(name):
            return value
    # Properties may nest: each reads the start of its text only, or a page could cost its square.
    return clean(" ".join(islice(element.itertext(), MAX_PIECES)))  # type: ignore[arg-type]


def plain(text: str) -> str:
    """Returns a text of metadata as readers know it: entities and tags in it gone."""
    if "&" in text:
        text = html.unescape(text)
    return clean(_TAG.sub(" ", text) if "<" in text else text)


def pixels(value: object) -> int | None:
    """Returns a declared size in pixels, None for anything else ("100%")."""
    match = re.fullmatch(r"\s*([0-9]{1,5})(?:\.[0-9]{1,3})?\s*(?:px)?\s*", str(value or ""), re.I)
    return int(match[1]) or None if match else None
