"""What is on disk: Arrow schemas of the tables between stages, JSON Schemas of what users keep.

`load("sample")` returns a JSON Schema (sample, manifest_row, reject_row); the Arrow schemas are
`schemas.arrow.DOCUMENTS` and its neighbours. README.md beside this file explains every field.
"""

import json
from importlib.resources import files
from typing import Any


def load(name: str) -> dict[str, Any]:
    """Returns the JSON Schema `name`: sample, manifest_row or reject_row."""
    text = files("schemas").joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
