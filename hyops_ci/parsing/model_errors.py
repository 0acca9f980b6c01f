"""What is wrong with a document: JSON pointer, what was found, what was expected. The published schema decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final, Never

from hyops_ci.contracts.base import SERVICE, SERVICE_MEANS
from hyops_ci.errors import Exit, Refusal, shown
from hyops_ci.text import counted

MAX_ERRORS: Final = 100
"""Errors among which the one to name is chosen. A list of thousands of wrong items would cost seconds."""


def refuse_document(value: Any, schema: Mapping[str, Any], *, gate: str, what: str, exit_code: Exit, fix: str) -> Never:
    """Raise the Refusal for the first and deepest error of `value` against `schema`."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    from hyops_ci.contracts.schema import FORMATS

    found = Draft202012Validator(schema, format_checker=FORMATS).iter_errors(value)
    error = best_match(islice(found, MAX_ERRORS))
    if error is None:
        raise Refusal(
            gate, f"{what} is not valid", exit_code=exit_code, found="the model refuses what the schema accepts", fix="report this"
        )
    pointer = pointer_of(error.absolute_path) or "/"
    raise Refusal(
        gate, f"{what} is not valid", exit_code=exit_code, found=f"{pointer}: {_found(error)}", expected=_expected(error), fix=fix
    )


def pointer_of(path: Iterable[object]) -> str:
    """RFC 6901 pointer of a path of keys and indexes; of the whole document it is empty."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _found(error: Any) -> str:
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"no {', '.join(missing)}"
    if error.validator == "additionalProperties":
        known, patterns = error.schema.get("properties", {}), error.schema.get("patternProperties", {})
        names = [name for name in error.instance if name not in known and not any(re.search(pattern, name) for pattern in patterns)]
        return f"unknown field {', '.join(sorted(names))}"
    return shown(repr(error.instance), 120)


def _expected(error: Any) -> str:
    value = error.validator_value
    match error.validator:
        case "required":
            return f"all of {', '.join(value)}"
        case "additionalProperties":
            names, patterns = sorted(error.schema.get("properties", {})), list(error.schema.get("patternProperties", {}))
            words = f": {SERVICE_MEANS}" if patterns == [SERVICE] else ""
            return f"one of {', '.join(names)}" if names else f"names that match {' or '.join(patterns)}{words}"
        case "enum":
            return f"one of {', '.join(map(str, value))}"
        case "const":
            return str(value)
        case "pattern":
            return SERVICE_MEANS if value == SERVICE else str(error.schema.get("patternErrorMessage") or f"text that matches {value}")
        case "not":
            expected = value.get("title", "no control characters")
            return expected if isinstance(error.instance, str) else f"a {error.schema.get('type', 'string')}"
        case "minLength" | "maxLength":
            return f"text of {counted(value, 'character')} or {'more' if error.validator == 'minLength' else 'less'}"
        case "type":
            return f"a {value}"
        case "format":
            return "an RFC 3339 time in UTC such as 2026-11-23T03:04:31Z"
        case _:
            return f"{error.validator} {shown(repr(value), 120)}"
