"""Requests and answers against GitHub's OpenAPI description (OpenAPI 3.0, with its `nullable`, `readOnly`, `writeOnly`).

Stricter than the description where that catches our mistakes: an unknown query parameter, an unknown top-level key of a body,
and a body where none is described are refused, although GitHub ignores them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from openapi_schema_validator import OAS30ReadValidator, OAS30WriteValidator, oas30_format_checker
from referencing import Registry
from referencing.jsonschema import DRAFT4

from tests.support.github.description import Json, Operation, load, match, resolve

BASE = "urn:github"
BASIC_ERROR: Json = {"$ref": "#/components/schemas/basic-error"}


def _enum(validator: Validator, allowed: list[object], value: object, schema: Json) -> Iterator[ValidationError]:
    """GitHub writes `nullable` beside an `enum` without null, and means null too."""
    if value not in allowed and not (value is None and schema.get("nullable")):
        yield ValidationError(f"{value!r} is not one of {allowed!r}")


def _one_of(validator: Validator, choices: list[Json], value: object, schema: Json) -> Iterator[ValidationError]:
    """GitHub discriminates between a list and objects by a property that a list cannot have; a list is simply tried."""
    keywords = OAS30ReadValidator if isinstance(value, dict) else Draft4Validator
    yield from keywords.VALIDATORS["oneOf"](validator, choices, value, schema)


KEYWORDS = {"enum": _enum, "oneOf": _one_of}
# The stubs of jsonschema leave `extend` and the parameter of `iter_errors` without useful types.
Reading: type[Validator] = extend(OAS30ReadValidator, KEYWORDS)  # type: ignore[no-untyped-call]  # the library has no types
Writing: type[Validator] = extend(OAS30WriteValidator, KEYWORDS)  # type: ignore[no-untyped-call]  # the library has no types


class Violation(Exception):
    """A request or an answer that GitHub's description does not allow."""


def validate(method: str, path: str, query: Mapping[str, list[str]], body: object, status: int, answer: object) -> None:
    """A whole exchange; `body` and `answer` are parsed JSON, None for none.

    Raises:
        Violation: says which part of which operation, and what the description wants.
    """
    found = validate_request(method, path, query, body)
    validate_answer(found, status, answer)


def validate_request(method: str, path: str, query: Mapping[str, list[str]], body: object) -> Operation:
    """The operation that the request means.

    Raises:
        Violation: unknown path, method, query parameter or body, or one that does not fit.
    """
    found = match(method, path)
    if found is None:
        raise Violation(f"{method} {path}: no such operation in GitHub's description")
    known, values = found
    parameters = [resolve(parameter) for parameter in known.body.get("parameters", [])]
    _check_parameters(known, [p for p in parameters if p["in"] == "path"], {name: [value] for name, value in values.items()})
    _check_parameters(known, [p for p in parameters if p["in"] == "query"], query)
    _check_body(known, body)
    return known


def validate_answer(known: Operation, status: int, answer: object, media: str = "application/json") -> None:
    """An answer of `known`.

    Raises:
        Violation: a status that is not described, or a body that does not fit its schema.
    """
    described = known.body["responses"].get(str(status))
    where = f"{known.name} -> {status}"
    if described is None:
        if status < 400:
            raise Violation(f"{where}: described are {', '.join(known.body['responses'])}")
        _check(where, BASIC_ERROR, answer, Reading)
        return
    content = resolve(described).get("content", {})
    if not content:
        if answer is not None:
            raise Violation(f"{where}: the description has no body")
        return
    schema = (content.get(media) or content.get("application/json") or next(iter(content.values())))["schema"]
    _check(where, schema, answer, Reading)


def _check_parameters(known: Operation, described: list[Json], given: Mapping[str, list[str]]) -> None:
    by_name = {parameter["name"]: parameter for parameter in described}
    for name in given:
        if name not in by_name:
            raise Violation(f"{known.name}: unknown query parameter {name!r}, described are: {', '.join(by_name) or 'none'}")
    for name, parameter in by_name.items():
        values = given.get(name, [])
        if not values and parameter.get("required"):
            raise Violation(f"{known.name}: parameter {name!r} is missing")
        if len(values) > 1:
            raise Violation(f"{known.name}: parameter {name!r} is given {len(values)} times")
        for value in values:
            # Without formats: `created` is called a date-time, and takes a range in the words of its own description.
            schema = {key: told for key, told in parameter["schema"].items() if key != "format"}
            _check(f"{known.name} parameter {name!r}", schema, _typed(value, schema), Writing)


def _typed(value: str, schema: Json) -> object:
    """A parameter is text on the wire; its schema says what it stands for."""
    wanted = {choice.get("type") for choice in [schema, *schema.get("oneOf", [])] if "type" in choice}
    if "integer" in wanted and value.removeprefix("-").isdigit():
        return int(value)
    if "boolean" in wanted and value in {"true", "false"}:
        return value == "true"
    return value


def _check_body(known: Operation, body: object) -> None:
    described = known.body.get("requestBody")
    if described is None:
        if body is not None:
            raise Violation(f"{known.name}: takes no body, got {_short(body)}")
        return
    if body is None:
        if described.get("required"):
            raise Violation(f"{known.name}: the body is missing")
        return
    if takes_bytes(known):
        return
    schema = described["content"]["application/json"]["schema"]
    _check(f"{known.name} body", schema, body, Writing)
    known_keys = set(_keys(schema))
    unknown = sorted(set(body) - known_keys) if isinstance(body, dict) and known_keys else []
    if unknown:
        raise Violation(f"{known.name} body: unknown {', '.join(unknown)}, described are: {', '.join(sorted(known_keys))}")


def takes_bytes(known: Operation) -> bool:
    """Whether its body is a file as it is."""
    return "application/octet-stream" in known.body.get("requestBody", {}).get("content", {})


def _keys(schema: Json) -> Iterable[str]:
    schema = resolve(schema)
    yield from schema.get("properties", {})
    for part in ("anyOf", "oneOf", "allOf"):
        for choice in schema.get(part, []):
            yield from _keys(choice)


def _check(where: str, schema: Json, value: Any, kind: type[Validator]) -> None:
    error = best_match(_validator(json.dumps(schema, sort_keys=True), kind).iter_errors(value))
    if error is not None:
        place = "/".join(str(step) for step in error.absolute_path)
        raise Violation(f"{where}: at {place or 'the top'}: {error.message[:400]}")


@cache
def _validator(schema: str, kind: type[Validator]) -> Validator:
    # The schema's references start at the root of the description, which is the resource BASE.
    whole: dict[str, Any] = json.loads(schema.replace('"#/', f'"{BASE}#/'))
    return kind(whole, registry=_registry(), format_checker=oas30_format_checker)


@cache
def _registry() -> Registry[Any]:
    whole: Registry[Any] = Registry().with_resource(BASE, DRAFT4.create_resource(load()))
    return whole


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."
