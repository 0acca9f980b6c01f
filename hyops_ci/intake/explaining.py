"""What is wrong with a document: JSON pointer, what was found, what was expected. The published schema decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Never

from hyops_ci.errors import Exit, Refusal, shown


def refuse_document(value: Any, schema: Mapping[str, Any], *, gate: str, what: str, exit_code: Exit, fix: str) -> Never:
    """Raise the Refusal for the first and deepest error of `value` against `schema`."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    from hyops_ci.contracts.schema import FORMATS

    error = best_match(Draft202012Validator(schema, format_checker=FORMATS).iter_errors(value))
    if error is None:
        raise Refusal(
            gate, f"{what} is not valid", exit_code=exit_code, found="the model refuses what the schema accepts", fix="report this"
        )
    pointer = "".join(f"/{part}" for part in error.absolute_path) or "/"
    raise Refusal(
        gate, f"{what} is not valid", exit_code=exit_code, found=f"{pointer}: {_found(error)}", expected=_expected(error), fix=fix
    )


def _found(error: Any) -> str:
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"no {', '.join(missing)}"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        return f"unknown field {', '.join(sorted(str(name) for name in error.instance if name not in known))}"
    return shown(repr(error.instance), 120)


def _expected(error: Any) -> str:
    value = error.validator_value
    match error.validator:
        case "required":
            return f"all of {', '.join(value)}"
        case "additionalProperties":
            return f"one of {', '.join(sorted(error.schema.get('properties', {})))}"
        case "enum":
            return f"one of {', '.join(map(str, value))}"
        case "const":
            return str(value)
        case "pattern":
            return f"text that matches {value}"
        case "not":
            return "no control characters"
        case "type":
            return f"a {value}"
        case "format":
            return "an RFC 3339 time in UTC such as 2026-11-23T03:04:31Z"
        case _:
            return f"{error.validator} {shown(repr(value), 120)}"
