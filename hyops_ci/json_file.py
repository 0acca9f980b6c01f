"""JSON files that another program wrote, such as HyOps' states and records: bounded, and otherwise as Python reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from hyops_ci.files import UnsafeFile, read

MAX_LEVELS: Final = 700
"""Levels of nesting: fewer than any Python can read, which are a thousand or some thousands."""


def read_object(path: Path, most: int) -> dict[str, Any]:
    """Return the JSON object in a regular file of at most `most` bytes that another program wrote.

    Raises FileNotFoundError, and ValueError for whatever else is there: a link, a pipe, too much, no JSON, too deep, no object.
    """
    try:
        content = json.loads(read(path, most))
    except FileNotFoundError:
        raise
    except (OSError, UnsafeFile, ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} cannot be read: {type(error).__name__}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    if _levels(content) > MAX_LEVELS:
        raise ValueError(f"{path.name} is nested more than {MAX_LEVELS} levels deep")
    return content


def _levels(value: object) -> int:
    """Return how deep a value is nested; 0 for one that holds no other."""
    count, inside = 0, [value]
    while inside := [each for each in inside if isinstance(each, dict | list)]:
        count += 1
        inside = [inner for each in inside for inner in (each.values() if isinstance(each, dict) else each)]
    return count
