"""Google's own description of its interfaces: which request it is, and whether request and answer have the published form."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import googleapiclient
from jsonschema_rs import Validator, validator_for

DOCUMENTS = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
INTEGERS = {"int64", "uint64"}


@dataclass(frozen=True)
class Call:
    """One request, as the description names it."""

    id: str
    """Such as `compute.instances.insert`."""
    path: dict[str, str]
    query: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Method:
    """One method of an interface."""

    api: str
    spec: dict[str, Any]
    path: re.Pattern[str]

    @property
    def id(self) -> str:
        return str(self.spec["id"])


@cache
def document(api: str) -> dict[str, Any]:
    """Return the description of an interface, such as `compute.v1`."""
    return dict(json.loads((DOCUMENTS / f"{api}.json").read_text("utf-8")))


@cache
def methods(api: str) -> tuple[Method, ...]:
    doc = document(api)

    def walk(node: dict[str, Any]) -> list[dict[str, Any]]:
        return [*node.get("methods", {}).values(), *(spec for child in node.get("resources", {}).values() for spec in walk(child))]

    return tuple(Method(api, spec, _pattern(doc["servicePath"] + spec["path"], spec.get("parameters", {}))) for spec in walk(doc))


def parsed(api: str, verb: str, target: str, body: bytes, form: bool = False) -> tuple[Method, Call]:
    """Return which method is called and with what. Raises ValueError for what the description does not know."""
    path, _, query_text = target.partition("?")
    for method in methods(api):
        hit = method.path.fullmatch(path.lstrip("/"))
        if hit and method.spec["httpMethod"] == verb:
            query = dict(parse_qsl(query_text, keep_blank_values=True, strict_parsing=bool(query_text)))
            known = {**document(api).get("parameters", {}), **method.spec.get("parameters", {})}
            if strange := [name for name in query if name.lstrip("$") not in known]:
                raise ValueError(f"{method.id}: query parameters {strange}")
            for name, value in query.items():
                _parameter(method.id, name, value, known[name.lstrip("$")])
            document_body = _body(method, body, form)
            return method, Call(method.id, {key: unquote(value) for key, value in hit.groupdict().items()}, query, document_body)
    raise ValueError(f"{verb} {path}: no such method in {api}")


def check_answer(method: Method, answer: Any) -> None:
    """Raise ValueError where an answer has not the published form."""
    _valid(method.id, "answer", method.api, method.spec["response"]["$ref"], answer)


def _body(method: Method, body: bytes, form: bool) -> Any:
    if "request" not in method.spec:
        if body and body != b"{}":
            raise ValueError(f"{method.id}: a body where none is taken")
        return None
    if form:  # RFC 8693 sends the exchange's fields as a form
        found: Any = {re.sub(r"_(.)", lambda hit: hit[1].upper(), key): value for key, value in parse_qsl(body.decode())}
    else:
        found = {key: value for key, value in json.loads(body or b"{}").items() if value is not None}  # null is left out, in proto3's JSON
    _valid(method.id, "request", method.api, method.spec["request"]["$ref"], found)
    return found


def _parameter(method: str, name: str, value: str, spec: dict[str, Any]) -> None:
    if spec.get("type") == "integer" and not value.isdigit():
        raise ValueError(f"{method}: {name}={value} is no integer")
    if name == "filter" and re.search(r"\s(eq|ne)\s", value) and re.search(r"[=<>:]", re.sub(r"\"[^\"]*\"|'[^']*'", "", value)):
        raise ValueError(f"{method}: the filter mixes patterns with comparisons: {value}")
    if "pattern" in spec and not re.search(spec["pattern"], value):
        raise ValueError(f"{method}: {name}={value} does not fit {spec['pattern']}")


def _valid(method: str, what: str, api: str, schema: str, found: Any) -> None:
    errors = [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in _validator(api, schema).iter_errors(found)]
    if errors:
        raise ValueError(f"{method}: {what}: {'; '.join(errors)}")


@cache
def _validator(api: str, schema: str) -> Validator:
    schemas = document(api)["schemas"]
    wanted, defs = [schema], {}
    while wanted:
        name = wanted.pop()
        if name not in defs:
            defs[name] = _schema(schemas[name])
            wanted += re.findall(r'"#/\$defs/(\w+)"', json.dumps(defs[name]))
    return validator_for({"$ref": f"#/$defs/{schema}", "$defs": defs})  # type: ignore[no-any-return]  # the library has no types


def _schema(node: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a description's schema: 64-bit integers are strings, and nothing may stand in it that is not named."""
    if "$ref" in node:
        return {"$ref": f"#/$defs/{node['$ref']}"}
    kind = node.get("type", "any")
    if kind == "any":
        return {}
    if kind == "object":
        rest = node.get("additionalProperties")
        return {
            "type": "object",
            "properties": {name: _schema(each) for name, each in node.get("properties", {}).items()},
            "additionalProperties": _schema(rest) if rest else False,
        }
    if kind == "array":
        return {"type": "array", "items": _schema(node["items"])}
    if kind == "string" and node.get("format") in INTEGERS:
        return {"type": "string", "pattern": r"^-?[0-9]+$"}
    made: dict[str, Any] = {"type": kind}
    if "enum" in node:
        made["enum"] = node["enum"]
    if "pattern" in node:
        made["pattern"] = node["pattern"]
    return made


def _pattern(template: str, parameters: dict[str, Any]) -> re.Pattern[str]:
    def several(hit: re.Match[str]) -> str:
        return f"(?P<{hit[1]}>{parameters[hit[1]]['pattern'].strip('^$')})"

    text = re.sub(r"\\\{\\\+(\w+)\\\}", several, re.escape(template))
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", text))
