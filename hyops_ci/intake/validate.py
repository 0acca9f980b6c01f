"""Whether a decision or record is well-formed: the fast answer, with what the accept path needs and no more.

`jsonschema-rs` accepts in microseconds; only a refusal loads what explains it. Schema and models agree on
every case file (tests), so the schema alone can accept.
"""

from __future__ import annotations

import re
from typing import Final

import jsonschema_rs

from hyops_ci.contracts.schema_files import schema_file
from hyops_ci.errors import Exit
from hyops_ci.intake.kinds import kind_of
from hyops_ci.parsing.strict_json import BY_HAND, read_object

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", re.ASCII)


def is_moment(text: str) -> bool:
    """`format: date-time` as the models have it: a day that exists. The pattern beside it has judged the shape."""
    from datetime import datetime

    try:
        return bool(_MOMENT.fullmatch(text)) and datetime.fromisoformat(text) is not None
    except ValueError:
        return False


def validate(data: bytes, name: str = "the record", fix: str = BY_HAND) -> str:
    """Return the kind of the well-formed document in `data`. Raises Refusal (exit 3) for anything else, with `fix` for its fields."""
    value = read_object(data, name)
    kind = kind_of(value)
    text = schema_file(kind).read_text(encoding="utf-8")
    validator = jsonschema_rs.Draft202012Validator(text, formats={"date-time": is_moment}, validate_formats=True)
    if not validator.is_valid(value):
        import json

        from hyops_ci.parsing.model_errors import refuse_document

        refuse_document(value, json.loads(text), gate="intake.schema", what=f"{name} ({kind})", exit_code=Exit.DECISION, fix=fix)
    return kind
