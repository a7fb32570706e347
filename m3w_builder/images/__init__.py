"""Pictures of a page: every way an element names one, and which addresses are one picture.

A lazily loaded picture hides its address in an attribute of any name, so every attribute whose
value reads like an image address is a candidate, and the placeholder in `src` loses. The largest
candidate wins; formats that cannot be read (SVG, JPEG XL, HEIC) lose to all others.

Policy: data: URIs and inline <svg> are never images of a document (there is no address to fetch
them from; inline SVG is nearly always an icon). An SVG file is an image by its address, where the
page offers nothing else, and `fetch` decides.
"""

from m3w_builder.images.candidates import MAX_CANDIDATES, Candidate, srcset
from m3w_builder.images.elements import (
    IMAGE_TAGS,
    addresses,
    background,
    declared_size,
    may_name_background,
    read,
)
from m3w_builder.images.keys import picture_key, pixels_in, same_picture
from m3w_builder.images.names import is_description, is_image_address

__all__ = (
    "IMAGE_TAGS",
    "MAX_CANDIDATES",
    "Candidate",
    "addresses",
    "background",
    "declared_size",
    "is_description",
    "is_image_address",
    "may_name_background",
    "picture_key",
    "pixels_in",
    "read",
    "same_picture",
    "srcset",
)
