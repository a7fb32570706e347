"""Reservations inside a media file, found by a search of its bytes: no format is parsed.

XMP stands in a file as plain text (XMP specification part 3), an assertion of C2PA as CBOR or JSON
in a JUMBF box. What is compressed (XMP in a zTXt or compressed iTXt chunk of a PNG), split
over segments or only referred to is not found.
"""

import re
from collections.abc import Iterator
from mmap import mmap

from m3w_builder.types import OptOut

# plus:DataMining (IPTC Photo Metadata 2023.1): an attribute, or an element around
# its value. DMI-PROHIBITED and each of its kinds reserve; -ALLOWED and -UNSPECIFIED do not.
_PROPERTY = b":DataMining"
_VALUE = re.compile(rb"DMI-PROHIBITED[A-Z-]{0,50}")
_REACH = 400  # bytes from the property's name to its value: rdf:resource, rdf:Bag/li, blanks
# c2pa.training-mining (C2PA 1.x) and cawg.training-mining (CAWG 1.0, 1.1): a map of entries, each with
# its use. "constrained" allows nothing without asking (CAWG 1.1).
_ASSERTION = b".training-mining"
_ENTRY = re.compile(
    rb"((?:c2pa|cawg)\.(?:ai_generative_training|ai_training|data_mining))"
    # The keys of an entry are in any order: "constraint_info" with its words may come first.
    rb".{1,400}?[c\"]use.{1,6}?(notAllowed|constrained|allowed)",
    re.S,
)
_BOX = 4096  # bytes from the assertion's label to the end of its map
MAX_FOUND = 200
MAX_PLACES = 16  # of one name in one file


def embedded_optouts(body: bytes | mmap, *, where: str, when: str) -> tuple[OptOut, ...]:
    """Returns what the metadata inside an image or video file reserves; `where` is its URL.

    A large file may be mapped instead of read.
    """
    found = [*_data_mining(body), *_training(body)]
    return tuple(OptOut("embedded", where, text[:MAX_FOUND], when) for text in dict.fromkeys(found))


def _data_mining(body: bytes | mmap) -> Iterator[str]:
    for at in _places(body, _PROPERTY):
        if value := _VALUE.search(body, at, at + _REACH):
            yield f"plus:DataMining {value[0].decode('ascii')}"


def _training(body: bytes | mmap) -> Iterator[str]:
    for at in _places(body, _ASSERTION):
        for entry in _ENTRY.finditer(body, at, at + _BOX):
            if entry[2] != b"allowed":
                yield f"{entry[1].decode('ascii')} {entry[2].decode('ascii')}"


def _places(body: bytes | mmap, name: bytes) -> Iterator[int]:
    """Yields where a name stands in the body."""
    end = _end_of_metadata(body)
    at = body.find(name, 0, end)
    for _ in range(MAX_PLACES):
        if at < 0:
            return
        yield at
        at = body.find(name, at + len(name), end)


def _end_of_metadata(body: bytes | mmap) -> int:
    """Returns where the coded pixels of a JPEG begin: its metadata stand before them. Else the size.

    A search through all the pixels would cost as much as the sha256.
    """
    at = 2
    if body[:at] != b"\xff\xd8":
        return len(body)
    while body[at : at + 1] == b"\xff" and body[at + 1 : at + 2] not in (b"\xda", b""):
        at += 2 + max(2, int.from_bytes(body[at + 2 : at + 4]))
    return at if body[at : at + 2] == b"\xff\xda" else len(body)
