"""Tables: every type comes back as it went, schemas are enforced, files are all or nothing."""

import pytest

from m3w_builder import tables
from m3w_builder.errors import ShardError
from m3w_builder.types import Document, Frame, Image, Media, Reject, Text, Video
from schemas.arrow import SCHEMAS

DOCUMENT = Document(
    id="0" * 20,
    kind="interleaved",
    url="https://ex.com/",
    nodes=(
        Text("Räksmörgås", "heading", "/html/body/h1"),
        Image("https://ex.com/a.jpg", alt="a cat", caption="Cat", width=640, path="/html/body/img"),
        Video("https://ex.com/v.mp4", title="t", description="d", seconds=2.5),
    ),
    language="sv",
    scores={"words": 1.0, "mean_word_length": 10.0},
)
MEDIA = Media(
    url="https://ex.com/v.mp4",
    kind="video",
    sha256="ab",
    frames=(Frame(0, 512, 10, "cd"), Frame(1, 1536, 12, "ef")),
    scores={"flatness": 3.5},
)


def test_document_comes_back_as_it_went(tmp_path):
    path = tmp_path / "d.parquet"
    tables.write_table(path, "documents", [tables.document_row(DOCUMENT, "x")] * 150)
    rows = list(tables.read_table(path, "documents"))
    assert len(rows) == 150
    assert tables.document(rows[-1]) == DOCUMENT


def test_media_comes_back_as_it_went(tmp_path):
    path = tmp_path / "m.parquet"
    tables.write_table(path, "media", [tables.media_row(MEDIA)])
    assert [tables.media(row) for row in tables.read_table(path, "media")] == [MEDIA]


def test_empty_table_has_its_schema(tmp_path):
    path = tmp_path / "r.parquet"
    tables.write_table(path, "rejects", [])
    assert list(tables.read_table(path, "rejects")) == []


def test_columns_can_be_nested(tmp_path):
    path = tmp_path / "d.parquet"
    tables.write_table(path, "documents", [tables.document_row(DOCUMENT, "x")])
    (row,) = tables.read_table(path, "documents", ["id", "nodes.list.element.type"])
    assert row == {
        "id": DOCUMENT.id,
        "nodes": [{"type": "text"}, {"type": "image"}, {"type": "video"}],
    }


def test_another_schema_or_no_parquet_is_a_shard_error(tmp_path):
    path = tmp_path / "r.parquet"
    tables.write_table(
        path, "rejects", [tables.flat_row(Reject("i", "u", "extract", "no_content"))]
    )
    with pytest.raises(ShardError, match="expected the columns of media"):
        list(tables.read_table(path, "media"))
    path.write_text("not parquet")
    with pytest.raises(ShardError, match="expected a Parquet file"):
        list(tables.read_table(path, "rejects"))


def test_failure_while_writing_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), tables.TableWriter(tmp_path / "r.parquet", "rejects"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_schema_columns_are_the_fields_of_the_types():
    assert set(SCHEMAS["documents"].names) == set(Document.__dataclass_fields__) | {"text_sha256"}
    assert SCHEMAS["media"].names == list(Media.__dataclass_fields__)
    assert SCHEMAS["rejects"].names == list(Reject.__dataclass_fields__)
