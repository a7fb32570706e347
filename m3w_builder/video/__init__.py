"""Videos of a page: elements in their place, and what its metadata says about them.

Only a Video with `file=True` has an address that gives a media file; a player or watch page is a
node of the document, by its watch address where that is known, but never a pair. A mere link to a
file (`<a href=clip.mp4>`) is neither: the page offers it and shows nothing.
"""

from m3w_builder.video.addresses import embedded, player, watch_page
from m3w_builder.video.elements import FACADE_ATTRIBUTES, VIDEO_TAGS, read
from m3w_builder.video.structured import (
    MAX_VIDEOS,
    Declared,
    declarations,
    declared,
    lead,
    merge,
    resolve,
    seconds,
)

__all__ = (
    "FACADE_ATTRIBUTES",
    "MAX_VIDEOS",
    "VIDEO_TAGS",
    "Declared",
    "declarations",
    "declared",
    "embedded",
    "lead",
    "merge",
    "player",
    "read",
    "resolve",
    "seconds",
    "watch_page",
)
