"""Arrow schemas of every Parquet file the stages write; both ends are held to them."""

import pyarrow as pa

STRING, INT, LONG, FLOAT, BOOL = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.bool_()
BINARY = pa.binary()
SCORES = pa.map_(STRING, FLOAT)


def _struct(**fields: pa.DataType) -> pa.StructType:
    return pa.struct(list(fields.items()))


def _schema(*columns: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns])


OPTOUT = _struct(signal=STRING, where=STRING, found=STRING, when=STRING)
TRACK = _struct(url=STRING, kind=STRING, language=STRING, label=STRING)

# One node of a document; `type` is text | image | video, fields of other types are null.
NODE = _struct(
    type=STRING,
    text=STRING,
    role=STRING,
    url=STRING,
    alt=STRING,
    title=STRING,
    caption=STRING,
    description=STRING,
    poster=STRING,
    file=BOOL,
    width=INT,
    height=INT,
    seconds=FLOAT,
    path=STRING,
    tracks=pa.list_(TRACK),
    key=LONG,  # of a text
    scores=SCORES,  # of a text
)

# extract: documents/*.parquet, one row per document in the order of the input.
DOCUMENTS = _schema(
    ("id", STRING),
    ("kind", STRING),
    ("url", STRING),
    ("title", STRING),
    ("canonical", STRING),  # rel=canonical
    ("language", STRING),
    ("crawled", STRING),
    ("record", STRING),
    ("source", STRING),
    ("text_sha256", STRING),  # of the normalised text: equal texts are duplicates
    ("scores", SCORES),
    ("optouts", pa.list_(OPTOUT)),
    ("licence", STRING),
    ("signature", BINARY),  # MinHash of the text
    ("nodes", pa.list_(NODE)),
)

# extract: resources/*.parquet, where the crawl archived images and videos.
RESOURCES = _schema(
    ("url", STRING),
    ("file", STRING),
    ("offset", LONG),
    ("status", INT),
    ("content_type", STRING),
    ("crawled", STRING),
    ("record", STRING),
    ("location", STRING),
)

FRAME = _struct(t=INT, offset=LONG, length=LONG, sha256=STRING)

# fetch: media/*.parquet, one row per distinct media URL. Times of live responses are not kept here,
# so that a rerun writes the same bytes.
MEDIA = _schema(
    ("url", STRING),
    ("kind", STRING),
    ("status", STRING),
    ("detail", STRING),
    ("final_url", STRING),
    ("origin", STRING),
    ("fetched", STRING),
    ("content_type", STRING),
    ("source_sha256", STRING),
    ("source_bytes", LONG),
    ("sha256", STRING),
    ("format", STRING),
    ("width", INT),
    ("height", INT),
    ("reencoded", BOOL),
    ("phash", STRING),
    ("phash64", STRING),
    ("phash_firm", STRING),
    ("scores", SCORES),
    ("etag", STRING),
    ("last_modified", STRING),
    ("optouts", pa.list_(OPTOUT)),
    ("pack", STRING),
    ("offset", LONG),
    ("length", LONG),
    ("seconds", FLOAT),
    ("fps", FLOAT),
    ("codec", STRING),
    ("audio", BOOL),
    ("frames", pa.list_(FRAME)),
)

# capfilt: annotations/*.parquet, what one model wrote for an image (`caption`), and how well another finds
# that a text fits it (`match`).
ANNOTATIONS = _schema(
    ("document", STRING),
    ("record", STRING),  # of the capture that was asked about
    ("node", INT),  # of the image in the document
    ("sha256", STRING),  # of the image
    ("operator", STRING),  # caption | match
    ("origin", STRING),  # of the text: web | synthetic | human
    ("number", INT),  # of a caption among those of its image
    ("text", STRING),
    ("model", STRING),
    ("score", FLOAT),  # of a match
    ("seed", LONG),  # of a caption
    ("settings", STRING),  # canonical JSON
)

# Of an image, a text that stays; null for the page's own, which stands in the document.
CAPTION = _struct(node=INT, text=STRING, origin=STRING, model=STRING, matcher=STRING, score=FLOAT)

# select: selected/*.parquet, references only: which row of which documents file, which of its nodes stay, and
# the media row of each image and video that stays.
SELECTED = _schema(
    ("id", STRING),
    ("kind", STRING),
    ("file", STRING),  # inside the extract stage's folder
    ("row", LONG),  # of that file
    ("keep", pa.list_(INT)),  # indexes of the nodes that stay, ascending
    ("media", pa.list_(_struct(node=INT, **{f.name: f.type for f in MEDIA}))),
    ("bytes", LONG),  # of media and text: what the sample will weigh
    ("captions", pa.list_(CAPTION)),  # of capfilt; null without it
)

# every stage: rejects/*.parquet.
REJECTS = _schema(*((name, STRING) for name in ("id", "url", "stage", "reason", "detail")))

# write: beside each tar, one row per member, so that a reader can seek.
MEMBERS = _schema(
    ("key", STRING),
    ("part", STRING),  # what follows the key's dot: "json", "000.jpg", ...
    ("offset", LONG),  # of the member's data in the tar
    ("length", LONG),
    ("sha256", STRING),
)

SCHEMAS = {
    "documents": DOCUMENTS,
    "resources": RESOURCES,
    "media": MEDIA,
    "annotations": ANNOTATIONS,
    "selected": SELECTED,
    "rejects": REJECTS,
    "members": MEMBERS,
}
