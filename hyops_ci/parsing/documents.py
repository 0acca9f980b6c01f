"""Bytes from outside into a document of `contracts`, as strictly as a decision is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from hyops_ci.parsing.model_errors import pointer_of
from hyops_ci.parsing.strict_json import BY_HAND, JsonError, Rule, parse

if TYPE_CHECKING:
    from hyops_ci.contracts.base import Model

M = TypeVar("M", bound="Model")
MAX_DOCUMENT: Final = 1024 * 1024
MAX_NESTED: Final = 96
"""Levels of a document: an overlay may have 64, and stands inside others."""
_EXPLAINED: Final = 100
"""Errors of a model that are put into words: making these takes longer than finding them."""
FIELDS: Final = Rule("intake.schema", "fields do not fit", BY_HAND)


def read_document(model: type[M], data: bytes | str, *, most: int = MAX_DOCUMENT) -> M:
    """Return the document in `data`. Raises JsonError: for what `parse` refuses, and with rule FIELDS for what the model does not take.

    The bytes are read twice. Pydantic's own reader makes the model, in a strict mode that knows JSON's types; it takes the last of two
    equal keys, and NaN, so `parse` has to let the same bytes pass first.
    """
    from pydantic import ValidationError

    parse(data, most=most, depth=MAX_NESTED)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        count = error.error_count()
        found = ""
        if count <= _EXPLAINED:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            found = f"{pointer_of(first['loc']) or '/'}: {first['msg']}"
        reason = f"{count} field{'s do' if count > 1 else ' does'} not fit"
        raise JsonError(FIELDS, found, f"a {model.__name__}", reason) from None
