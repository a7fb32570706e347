import dataclasses

import pytest
from fakes import REJECTS, Pack, page_sample, pair_sample, video_sample
from jsonschema import Draft202012Validator

from m3w_builder.shards.tally import COUNTS
from m3w_builder.shards.valid import problems
from m3w_builder.types import KINDS, Reject
from schemas import arrow, load

NAMES = ("sample", "manifest_row", "reject_row")


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_valid_itself_and_closed(name: str) -> None:
    schema = load(name)
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert sorted(schema["required"]) == sorted(schema["properties"])


def test_samples_of_every_kind_pass() -> None:
    pack = Pack()
    for sample in (page_sample(pack, 3), pair_sample(pack), video_sample(pack)):
        assert list(problems("sample", sample.record)) == []


def test_rejects_pass_and_have_the_columns_of_the_table() -> None:
    for reject in REJECTS:
        assert list(problems("reject_row", dataclasses.asdict(reject))) == []
    fields = [field.name for field in dataclasses.fields(Reject)]
    assert list(load("reject_row")["properties"]) == arrow.REJECTS.names == fields


def test_kinds_and_counts_are_those_of_the_code() -> None:
    for name in ("sample", "manifest_row"):
        assert tuple(load(name)["properties"]["kind"]["enum"]) == KINDS
    assert set(COUNTS) <= set(load("manifest_row")["properties"])


def test_every_field_is_explained_in_the_readme() -> None:
    from importlib.resources import files

    text = files("schemas").joinpath("README.md").read_text(encoding="utf-8")
    for name in NAMES:
        schema = load(name)
        fields = [*schema["properties"]]
        for part in schema.get("$defs", {}).values():
            fields += part["properties"]
        for field in fields:
            assert f"`{field}`" in text, f"{name}: {field}"
    for table, columns in arrow.SCHEMAS.items():
        assert f"`{table}`" in text
        assert all(f"`{column}`" in text for column in columns.names), table


def test_message_is_one_short_line() -> None:
    (message,) = problems("reject_row", {**dataclasses.asdict(REJECTS[0]), "reason": "x\n" * 999})
    assert "\n" not in message
    assert len(message) <= 200
    assert message.startswith("reason: ")
