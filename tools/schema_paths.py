"""Paths to fields of a published document, such as `files[].sha256`: whether its schema has them, and what a document has there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str, ...]
"""Names of properties; `[]` stands for every item of a list."""


def parts(path: str) -> Path:
    """Return the parts of a path: `waves[].number` is `("waves", "[]", "number")`."""
    return tuple(part for name in path.split(".") for part in ((name.removesuffix("[]"), "[]") if name.endswith("[]") else (name,)))


def in_schema(schema: Mapping[str, Any], path: str) -> bool:
    """Return whether documents of a JSON Schema can have this field: a name that the schema spells, never a key that is free."""
    places = [dict(schema)]
    for part in parts(path):
        places = [below for place in places for each in _variants(place, schema) for below in _below(each, part)]
    return bool(places)


def _variants(place: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a schema with its references followed, and each alternative that it allows."""
    if "$ref" in place:
        yield from _variants(root["$defs"][place["$ref"].removeprefix("#/$defs/")], root)
    for each in (*place.get("anyOf", ()), *place.get("oneOf", ()), *place.get("allOf", ())):
        yield from _variants(each, root)
    yield place


def _below(place: Mapping[str, Any], part: str) -> Iterator[dict[str, Any]]:
    found = place.get("items") if part == "[]" else place.get("properties", {}).get(part)
    if isinstance(found, dict):
        yield found


def in_document(document: Any, path: str) -> list[Any]:
    """Return every value of a field; empty where the document does not have it."""
    found = [document]
    for part in parts(path):
        if part == "[]":
            found = [item for each in found if isinstance(each, list) for item in each]
        else:
            found = [each[part] for each in found if isinstance(each, dict) and part in each]
    return found
