"""A path leads to a field of the schema exactly where documents can have it there."""

from __future__ import annotations

import json

import pytest

from hyops_ci.contracts.schema import MODELS
from hyops_ci.contracts.schema_files import schema_file
from tools.schema_paths import in_document, in_schema, parts

SCHEMA = {
    "properties": {
        "a": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]},
        "list": {"type": "array", "items": {"$ref": "#/$defs/A"}},
        "free": {"additionalProperties": {"type": "string"}},
    },
    "$defs": {"A": {"properties": {"b": {"type": "string"}, "again": {"$ref": "#/$defs/A"}}}},
}


@pytest.mark.parametrize("path", ["a", "a.b", "a.again.again.b", "list", "list[].b", "free"])
def test_what_documents_can_have_is_found(path: str) -> None:
    assert in_schema(SCHEMA, path)


@pytest.mark.parametrize("path", ["b", "a.c", "a[].b", "list.b", "list[].c", "free.key", "a.b.c", ""])
def test_what_they_cannot_have_is_not(path: str) -> None:
    assert not in_schema(SCHEMA, path)


def test_every_value_is_returned_and_absence_is_nothing() -> None:
    document = {"files": [{"sha256": "1"}, {"sha256": "2"}, {}], "one": {"two": 0}}
    assert in_document(document, "files[].sha256") == ["1", "2"]
    assert in_document(document, "one.two") == [0]
    assert in_document(document, "one[].two") == in_document(document, "files.sha256") == in_document(document, "two") == []
    assert parts("waves[].services[].at") == ("waves", "[]", "services", "[]", "at")


@pytest.mark.parametrize("kind", MODELS)
def test_every_property_of_a_published_schema_is_found(kind: str) -> None:
    schema = json.loads(schema_file(kind).read_text("utf-8"))
    assert all(in_schema(schema, name) for name in schema["properties"])
