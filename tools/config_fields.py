"""The reference part of `docs/config.md`: every field of the config, from the schema that is made of the models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

from annotated_types import GroupedMetadata

from hyops_ci.contracts import base, config, notify, public_key
from hyops_ci.contracts.base import Text
from hyops_ci.contracts.schema import schema
from tools.markdown import cell, section_link

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
_KEYS: Final = {"services": "service", "lanes": "lane", "envs": "env", "verification": "service", "objectives": "service"}
"""What a key of these mappings is called."""
_WORDS: Final[tuple[tuple[Any, str], ...]] = (
    (base.Duration, "hours, minutes and seconds, such as `PT15M`"),
    (base.Name, "at most 38 small letters, digits and `-`"),
    (base.ServiceId, "`<name>/<env>`"),
    (base.Label, "letters, digits and `. _ -`"),
    (base.EnvKey, "the name of an environment variable"),
    (base.BlueprintRef, "`<name>@<version>`"),
    (base.Origin, "`https://<host>[:<port>]`"),
    (notify.WebhookUrl, "`https://<host>[:<port>]/<path>`"),
    (base.Namespace, "`<name>` or `<name>/<name>`"),
    (config.ApproverLogin, "a login of GitHub"),
    (config.UserName, "a user of the host"),
    (public_key.PublicKey, "`ed25519:<base64 of the 32 public bytes>`"),
)
Node = dict[str, Any]


def fields_page() -> str:
    """Return the tables, one for each kind of mapping, in the order of the models.

    Raises LookupError for a text whose form has no words here.
    """
    whole = schema("dispatch-config")
    places: dict[str, list[str]] = {}
    _collect(whole, "", whole["$defs"], places)
    sections = [_section("The file", whole, whole["$defs"])]
    for name, paths in places.items():
        model = whole["$defs"][name]
        sections.append(_section(", ".join(f"`{path}`" for path in paths) + _variant(model), model, whole["$defs"]))
    return "\n".join(sections)


def _variant(model: Node) -> str:
    """Return which of several forms of a mapping this is."""
    provider = model["properties"].get("provider", {}).get("const")
    return f" of `{provider}`" if provider else ""


def _collect(node: Node, path: str, known: Node, places: dict[str, list[str]]) -> None:
    """Note at which paths each mapping with fields of its own stands."""
    for name, field in node.get("properties", {}).items():
        for more, reference in _models(field, _KEYS.get(name, "name"), known):
            at = f"{path}.{name}{more}".lstrip(".")
            seen = places.setdefault(reference, [])
            if at not in seen:
                seen.append(at)
                _collect(known[reference], at, known, places)


def _models(field: Node, key: str, known: Node) -> Iterator[tuple[str, str]]:
    """Yield (what follows the field's name, model) of every model that a field holds."""
    reference = field.get("$ref", "").rpartition("/")[2]
    if reference and "properties" in known[reference]:
        yield "", reference
    for each in (*field.get("anyOf", ()), *field.get("oneOf", ())):
        yield from _models(each, key, known)
    if isinstance(items := field.get("items"), dict):
        yield from (("[]" + more, name) for more, name in _models(items, key, known))
    for values in _values(field):
        yield from ((f".<{key}>{more}", name) for more, name in _models(values, key, known))


def _values(field: Node) -> list[Node]:
    """Return the schemas of a mapping's values."""
    found = [*field.get("patternProperties", {}).values(), field.get("additionalProperties")]
    return [each for each in found if isinstance(each, dict)]


def _section(title: str, model: Node, known: Node) -> str:
    rows = [
        f"### {title}",
        "",
        _linked(str(model["description"]).partition("\n")[0]),
        "",
        "| field | meaning | value | default |",
        "|---|---|---|---|",
    ]
    for name, field in model["properties"].items():
        default = "required" if name in model.get("required", ()) else _default(field)
        rows.append(f"| `{name}` | {cell(field['description'])} | {cell(_kind(field, known))} | {default} |")
    return "\n".join([*rows, ""])


def _linked(text: str) -> str:
    return re.sub(r"docs/design/([a-z-]+)\.md (\d+(?:\.\d+)?)", lambda found: section_link(DOCS, f"{found[1]} {found[2]}"), text)


def _default(field: Node) -> str:
    value = field.get("default")
    if value is None or value == [] or value == {} or isinstance(value, dict):
        return ""
    return f"`{', '.join(map(str, value)) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else value}`"


def _kind(field: Node, known: Node) -> str:
    """Return what a value may be, in words."""
    if "$ref" in field:
        target = known[field["$ref"].rpartition("/")[2]]
        return "a mapping, below" if "properties" in target else _kind(target, known)
    match field:
        case {"anyOf": options} | {"oneOf": options}:
            return " or ".join(dict.fromkeys(_kind(each, known) for each in options if each.get("type") != "null"))
        case {"const": value}:
            return f"`{value}`"
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"type": "boolean"}:
            return "`true`, `false`"
        case {"type": "integer", "minimum": least, "maximum": most}:
            return f"{least} to {most}"
        case {"type": "array", "items": items}:
            most = f", at most {field['maxItems']}" if "maxItems" in field else ""
            return f"a list{most}: {_kind(items, known)}"
        case {"type": "object"}:
            return "a mapping to: " + ", ".join(_kind(each, known) for each in _values(field))
        case {"type": "string"}:
            return _text(field)
    raise LookupError(f"no words for {field}")


def _text(field: Node) -> str:
    if said := field.get("patternErrorMessage"):
        return str(said)
    if pattern := field.get("pattern"):
        return next(words for kind, words in _WORDS if _pattern(kind) == pattern)
    return f"text of at most {field['maxLength']} characters" if "maxLength" in field else "text"


def _pattern(kind: Any) -> str | None:
    """Return the regular expression of an annotated text type."""
    found = next(each for each in get_args(kind)[1:] if isinstance(each, GroupedMetadata) and isinstance(each, Text))
    return found.regex
