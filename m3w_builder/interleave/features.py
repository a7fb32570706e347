"""What is measured of each item of a page before it is called content: integers and ratios of integers.

No logarithm, no random number: the same page gives the same numbers on every machine. Of an item:
what it is itself, where it stands, what the boxes around it hold, what its neighbours are, and what
the names of everything around it say.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m3w_builder.images import IMAGE_TAGS, picture_key
from m3w_builder.interleave.blocks import Box, Item, Walk
from m3w_builder.interleave.hints import APART, BIT, MARKS, is_sign
from m3w_builder.interleave.tables import ICON_SIDE
from m3w_builder.text import word_list, word_set
from m3w_builder.types import Image

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
Rows = NDArray[Any]  # of numbers, one column per item

MIN_RUN = 25  # weight of a text block that counts as running text
MAX_RUN = 800  # more of one block counts no more: many paragraphs beat one long one
MAX_LABEL = 120  # characters: the words of longer texts are not looked at
LEVELS = 4  # boxes around an item
STEPS = (-1, 1, -2, 2)  # to the items beside it
SPANS = (2, 5, 12)  # items before and after it

_LABELS = frozenset(("heading", "caption"))
_ROLES = {
    role: i
    for i, role in enumerate(word_list("paragraph heading list_item caption code table quote"))
}
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_TAGS = {
    tag: i
    for i, tag in enumerate(
        word_list(
            "div p li td h1 h2 h3 h4 h5 h6 section article header footer aside form dt dd figcaption figure main"
            " body blockquote pre address th tr table ul details summary noscript center"
        ),
        1,
    )
}
_CONTENT = sum(BIT[name] for name in ("body", "article", "main", "article_body"))
_SHARED = (
    "comments",
    "aside",
    "footer",
    "meta",
    "share",
    "related",
)  # marks whose boxes are weighed
_OUTER = (APART, *(BIT[mark] for mark in _SHARED))
_PUNCTUATION = frozenset(".!?:;。！？।؟…”»\")'")
_DIGIT = re.compile(r"\d")
_DATE = re.compile(
    r"\b(?:19|20)\d\d\b|\b\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b|\b\d{1,2}:\d\d\b|\d\s*年|\bago\b"
)
_WORD = re.compile(r"[^\W\d_]+|©")
_SAID = (  # what short texts around the content say, in the languages most pages are in
    "by von par por di da av author autor autorin redaktion redazione written posted published updated"
    " veröffentlicht aktualisiert publié publicado pubblicato staff reporter editor photo foto image bild"
    " credit source quelle getty reuters dpa afp via",
    "share teilen partager compartir compartilhar condividi facebook twitter whatsapp pinterest linkedin"
    " reddit tumblr telegram email mail tweet print drucken imprimer imprimir follow folgen instagram"
    " youtube rss comments comment kommentare kommentar commentaires comentarios commenti reply antworten"
    " répondre responder like likes tags schlagworte categories kategorie kategorien topics themen labels"
    " keywords stichworte",
    "related similar more mehr lesen lire leia leer read siehe weiterlesen continue next previous weiter"
    " zurück recommended popular latest trending auch also copyright © rights rechte imprint impressum"
    " datenschutz agb terms privacy contact kontakt sitemap disclaimer subscribe newsletter abonnieren"
    " sign log login register anmelden registrieren cookies cookie javascript advertisement anzeige"
    " werbung publicité sponsored donate spenden download menu home startseite accueil inicio search"
    " suche skip toggle close schließen navigation",
)
_LEXICON: dict[str, int] = {}
for _bit, _words in enumerate(_SAID):
    for _word in word_set(_words):
        _LEXICON[_word] = _LEXICON.get(_word, 0) | 1 << _bit

_OWN = word_list(
    "weight words linked_share links media role tag heading digit date commas ends title repeated good depth"
    " says_author says_share says_more chars"
)
_PICTURE = word_list("width height icon alt caption logo vector background lead")
_PAGE = word_list(
    "items good chars links media linked_share free_good free_share comments_share content_share"
    " content_free"
)
_PLACE = word_list(
    "index index_share good_before good_after free_before free_after from_title since_heading inside_main"
    " inside_inner before_main after_main main_levels main_adds group_good group_count group_chars"
    " boilerplate_items boilerplate_share"
)
_AROUND = word_list("good chars linked items media mean links depth")
_NEAR = word_list("weight linked_share role media tag box")
_SUMS = word_list("good chars linked links media")
_SPANS = np.array(SPANS)[:, None]
_BITS = np.arange(len(MARKS))[:, None]
NAMES = (
    *_OWN,
    *(f"picture_{name}" for name in _PICTURE),
    *(f"page_{name}" for name in _PAGE),
    *_PLACE,
    *(f"share_in_{mark}" for mark in (*_SHARED, "content")),
    *(f"{name}_{level}" for name in _AROUND for level in range(LEVELS)),
    *(f"{name}_{step:+d}" for step in STEPS for name in _NEAR),
    *(f"{name}_{side}_{span}" for name in ("good", "linked") for side in ("before", "after") for span in SPANS),
    *(f"in_{mark}" for mark in MARKS),
)  # fmt: skip


def running(item: Item) -> int:
    """Returns the weight of an item as running text, 0 if it is none."""
    if item.weight < MIN_RUN or item.role in _LABELS or 2 * item.linked > len(item.text):
        return 0
    return min(item.weight, MAX_RUN)


class Page:
    """The sums over a page that its items' features are made of."""

    def __init__(self, walk: Walk, title: str, lead: str) -> None:
        items, self.boxes = walk.items, walk.boxes
        self.n = len(items)
        self.index = np.arange(self.n)
        self.own = _texts(items, self.boxes, title)
        self.pictures = _pictures(items, lead)
        good, linked = self.own[_OWN.index("good")], [item.linked for item in items]
        chars, links, media = (self.own[_OWN.index(name)] for name in ("chars", "links", "media"))
        self.box = np.array([item.box for item in items])
        self.start = np.array([box.start for box in self.boxes])
        self.end = np.array([box.end for box in self.boxes])
        self.depth = np.array([box.depth for box in self.boxes])
        self.parent = np.maximum([box.parent for box in self.boxes], 0)
        self.marks = np.array([box.marks for box in self.boxes])[self.box]
        self.good = good
        # Running totals (_SUMS, n + 1): what lies in a box or a window is the difference of two.
        self.totals = np.zeros((len(_SUMS), self.n + 1))
        np.cumsum([good, chars, linked, links, media], axis=1, out=self.totals[:, 1:])
        self.all_good = max(1.0, self.totals[0, -1])
        self.in_box = self.totals[:, self.end] - self.totals[:, self.start]
        self.free = good * ((self.marks & APART) == 0)

    def whole(self) -> Rows:
        """Returns what is the same for all items."""
        content = self.good * ((self.marks & _CONTENT) != 0)
        comments = self.good * ((self.marks & BIT["comments"]) != 0)
        good, chars, linked, links, media = self.totals[:, -1].tolist()
        free = self.free.sum()
        values = (
            self.n, good, chars, links, media, linked / max(1, chars), free, free / self.all_good,
            comments.sum() / self.all_good, content.sum() / self.all_good, content[self.free > 0].sum(),
        )  # fmt: skip
        return np.repeat([values], self.n, 0).T

    def places(self) -> Rows:
        """Returns where the items stand on the page and in its tree."""
        index, good = self.index, self.totals[0]
        free = np.cumsum(self.free)
        tags = self.own[_OWN.index("tag")].astype(np.int64)
        _, group = np.unique(self.parent[self.box] * 64 + tags, return_inverse=True)
        named = self._named()
        width, share = self.end - self.start, self.in_box[0] / self.all_good
        return np.array([
            index, index / self.n, good[:-1] / self.all_good, (good[-1] - good[1:]) / self.all_good,
            free, free[-1] - free, index - self._title(), index - self._last_heading(),
            *self._main(),
            np.bincount(group, weights=self.good)[group] / self.all_good,
            np.bincount(group)[group],
            np.bincount(group, weights=self.own[_OWN.index("chars")])[group],
            np.where(named[0] >= 0, width[named[0]], -1),
            *np.where(named >= 0, share[named], -1),
        ])  # fmt: skip

    def _title(self) -> int:
        """Returns the index of the page's headline, 0 if it shows none."""
        titles = np.flatnonzero(self.own[_OWN.index("title")])
        headings = np.flatnonzero(self.own[_OWN.index("heading")] == 1)
        return int(next(iter((*titles, *headings)), 0))

    def _last_heading(self) -> Numbers:
        is_heading = self.own[_OWN.index("role")] == _ROLES["heading"]
        last: Numbers = np.maximum.accumulate(np.where(is_heading, self.index, -1))
        return last

    def _main(self) -> list[Rows]:
        """Returns how the items lie to the innermost boxes with most of the running text."""
        index, good = self.index, self.in_box[0]
        main, inner = self._innermost_with(0.6), self._innermost_with(0.8)
        start, end = int(self.start[main]), int(self.end[main])
        levels, adds = np.zeros(self.n), np.zeros(self.n)
        low, high, around, level = start, end, main, 0
        while high - low < self.n:  # what each box around adds before and after
            around, level = int(self.parent[around]), level + 1
            first, last = int(self.start[around]), int(self.end[around])
            share = (good[around] - good[main]) / self.all_good
            for part in (slice(first, low), slice(high, last)):
                levels[part], adds[part] = level, share
            low, high = first, last
        return [
            (index >= start) & (index < end),
            (index >= self.start[inner]) & (index < self.end[inner]),
            np.maximum(start - index, 0), np.maximum(index - end + 1, 0), levels, adds,
        ]  # fmt: skip

    def _innermost_with(self, share: float) -> int:
        """Returns the innermost box with this share of the page's running text."""
        enough = self.in_box[0] >= share * self.totals[0, -1]
        return int(np.where(enough, self.depth, -1).argmax())

    def _named(self) -> Numbers:
        """Returns for each item (columns) the boxes around it that names tell apart, -1 for none: the
        outermost of boilerplate and of each mark in _SHARED, the innermost of content."""
        named = np.full((len(_OUTER) + 1, self.n), -1)
        # Where the last box of each row ends: one that begins before lies in it.
        ends = [0] * len(_OUTER)
        for i, box in enumerate(self.boxes):
            if box.own & APART:
                for row, bits in enumerate(_OUTER):
                    if box.own & bits and box.start >= ends[row]:
                        named[row, box.start : box.end], ends[row] = i, box.end
            if box.own & _CONTENT:
                named[-1, box.start : box.end] = i
        return named

    def around(self) -> Rows:
        """Returns what the boxes around each item hold; boxes around the same items are one."""
        outer: list[int] = []
        for i, box in enumerate(self.boxes):
            p = box.parent
            same = p >= 0 and self.boxes[p].start == box.start and self.boxes[p].end == box.end
            outer.append(outer[p] if same else i)
        whole = np.array(outer)
        levels = [whole[self.box]]
        for _ in range(1, LEVELS):
            levels.append(whole[self.parent[levels[-1]]])
        boxes = np.concatenate(levels)  # (LEVELS * n,)
        good, chars, linked, links, media = self.in_box[:, boxes]
        items = (self.end - self.start)[boxes]
        held = np.array([
            good / self.all_good, chars, linked / np.maximum(1, chars), items, media, chars / items,
            links, self.depth[boxes],
        ])  # fmt: skip
        return held.reshape(len(held) * LEVELS, self.n)

    def near(self) -> Rows:
        """Returns what the items before and after are."""
        kinds = self.own[[_OWN.index(name) for name in _NEAR[:-1]]]
        kinds = np.concatenate([kinds, self.box[None]])
        rows = []
        for step in STEPS:
            shifted = np.full(kinds.shape, -1.0)
            if step > 0:
                shifted[:, :-step] = kinds[:, step:]
            else:
                shifted[:, -step:] = kinds[:, :step]
            shifted[-2:] = shifted[-2:] == kinds[-2:]  # tag and box: the same or not
            rows.append(shifted)
        return np.concatenate(rows)

    def windows(self) -> Rows:
        """Returns the running text and the links of the items before and after."""
        first = np.maximum(self.index - _SPANS, 0)
        last = np.minimum(self.index + 1 + _SPANS, self.n)
        upto = np.broadcast_to(self.index, first.shape)
        low, high = np.concatenate([first, upto + 1]), np.concatenate([upto, last])
        good, chars, linked = self.totals[:3, high] - self.totals[:3, low]
        return np.concatenate([good, linked / np.maximum(1, chars)])

    def names(self) -> Rows:
        """Returns which marks the boxes around each item have."""
        bits: Rows = (self.marks >> _BITS) & 1
        return bits


def measure(walk: Walk, title: str, lead: str) -> Floats:
    """Returns the features (len(NAMES), items) of a page with at least one item.

    `title` is the page's title, `lead` the address of the picture that its metadata puts forward.
    """
    page = Page(walk, title, lead)
    return np.concatenate(
        [
            page.own, page.pictures, page.whole(), page.places(), page.around(), page.near(),
            page.windows(), page.names(),
        ],
        dtype=np.float32,
    )  # fmt: skip


def _texts(items: Sequence[Item], boxes: Sequence[Box], title: str) -> Rows:
    """Returns the columns of _OWN."""
    texts = [item.text for item in items]
    sizes = [len(text) for text in texts]
    labels = [text if len(text) <= MAX_LABEL else "" for text in texts]
    digits, dates, *said = zip(*map(_say, labels), strict=True)
    tags = [boxes[item.box].tag for item in items]
    columns = [
        [item.weight for item in items],
        [text.count(" ") + 1 for text in texts],
        [item.linked / max(1, size) for item, size in zip(items, sizes, strict=True)],
        [item.links for item in items],
        [item.media is not None for item in items],
        [_ROLES[item.role] for item in items],
        [_TAGS.get(tag, 0) for tag in tags],
        [_HEADINGS.get(tag, 0) for tag in tags],
        digits,
        dates,
        [text.count(",") + text.count("、") + text.count("，") for text in texts],
        [text[-1:] in _PUNCTUATION for text in texts],
        [len(label) > 5 and label in title for label in labels],
        _repeated(texts),
        [running(item) for item in items],
        [boxes[item.box].depth for item in items],
        *said,
        sizes,
    ]
    return np.array(columns, np.float64)


@lru_cache(maxsize=16_384)  # the pages of a site share their menus
def _say(label: str) -> tuple[bool, bool, int, int, int]:
    """Returns whether a short text has a digit, a date, and words of each list of _SAID."""
    bits = 0
    for word in _LEXICON.keys() & _WORD.findall(label.lower()):
        bits |= _LEXICON[word]
    digit = _DIGIT.search(label) is not None
    return digit, digit and _DATE.search(label) is not None, bits & 1, bits & 2, bits & 4


def _repeated(texts: Sequence[str]) -> list[int]:
    """Returns how often each text stands on the page beside itself."""
    seen: dict[str, int] = {"": 1}
    for text in texts:
        if text:
            seen[text] = seen.get(text, 0) + 1
    return [seen[text] - 1 for text in texts]


def _pictures(items: Sequence[Item], lead: str) -> Rows:
    """Returns the rows of _PICTURE: -1 for an item that is none."""
    rows = np.full((len(_PICTURE), len(items)), -1.0)
    key = picture_key(lead) if lead else ""
    for i, item in enumerate(items):
        media = item.media
        if media is None:
            continue
        width, height = media.width or -1, media.height or -1
        url = media.url.lower()
        image = isinstance(media, Image)
        rows[:, i] = (
            width, height, 0 < width <= ICON_SIDE or 0 < height <= ICON_SIDE,
            len(media.alt) if isinstance(media, Image) else 0, len(media.caption),
            is_sign(item.element, url), ".svg" in url or ".gif" in url,
            image and item.element.tag not in IMAGE_TAGS,
            bool(key) and image and picture_key(media.url) == key,
        )  # fmt: skip
    return rows
