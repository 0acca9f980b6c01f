"""Bytes from outside into a document of `contracts`, as strictly as a decision is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hyops_ci.errors import Exit, Refusal
from hyops_ci.parsing.model_errors import pointer_of
from hyops_ci.parsing.strict_json import BY_HAND, JsonError, Rule, parse

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")
MAX_DOCUMENT: Final = 1024 * 1024
MAX_NESTED: Final = 96
"""Levels of a document: an overlay may have 64, and stands inside others."""
_EXPLAINED: Final = 100
"""Errors of a model that are put into words: making these takes longer than finding them."""
FIELDS: Final = Rule("intake.schema", "fields do not fit", BY_HAND)


def read_json(data: bytes | str, *, most: int = MAX_DOCUMENT) -> Any:
    """Return a JSON value that is part of no decision. Raises JsonError as `parse`."""
    return parse(data, most=most, depth=MAX_NESTED)


def json_object(data: bytes | str | None) -> dict[str, Any] | None:
    """Return a JSON object, as `read_json`; None for anything else."""
    try:
        value = read_json(data or b"")
    except JsonError:
        return None
    return value if isinstance(value, dict) else None


def read_document(model: type[M], data: bytes | str, *, most: int = MAX_DOCUMENT) -> M:
    """Return the document in `data`. Raises JsonError: for what `parse` refuses, and with rule FIELDS for what the model does not take.

    The bytes are read twice. Pydantic's own reader makes the model, in a strict mode that knows JSON's types; it takes the last of two
    equal keys, and NaN, so `parse` has to let the same bytes pass first.
    """
    from pydantic import ValidationError

    read_json(data, most=most)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        count = error.error_count()
        found = ""
        if count <= _EXPLAINED:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            found = f"{pointer_of(first['loc']) or '/'}: {first['msg']}"
        raise JsonError(FIELDS, found, f"a {model.__name__}", f"{count} of its fields do not fit") from None


def read_model(model: type[M], value: Mapping[str, Any], what: str) -> M:
    """Return `value` as the model. Raises Refusal (exit 3) `intake.schema` for what the model does not take."""
    try:
        return read_document(model, json.dumps(value))
    except JsonError as error:
        raise Refusal(
            "intake.schema",
            f"{what} is not valid",
            exit_code=Exit.DECISION,
            found=error.found,
            expected=f"a valid {model.__name__}",
            fix="correct it at its author, or decide as a person: action=failover or failback, service and reason",
        ) from None
