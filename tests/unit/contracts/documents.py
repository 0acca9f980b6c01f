"""Documents of every published kind, and the three that judge them.

`tests/cases/contracts/accept/<kind>/<name>.json` is accepted. `refuse/<kind>.yml` holds one refusal a line:
`<name>: {of: <accepted name>, at: <JSON pointer>, value: <what stands there instead>}`, or `remove: true`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from hyops_ci.contracts.schema import FORMATS, MODELS
from hyops_ci.contracts.schema_files import schema_file
from hyops_ci.intake.validate import is_moment

CASES = Path(__file__).parents[2] / "cases"
ACCEPT, REFUSE = CASES / "contracts" / "accept", CASES / "contracts" / "refuse"
Judge = Callable[[Any], bool]


def accepted() -> dict[str, Any]:
    """`<kind>/<name>` -> document."""
    return {f"{path.parent.name}/{path.stem}": json.loads(path.read_bytes()) for path in sorted(ACCEPT.glob("*/*.json"))}


def refused() -> dict[str, Any]:
    """`<kind>/<name>` -> document."""
    return {f"{path.stem}/{name}": changed(path.stem, case) for path in sorted(REFUSE.glob("*.yml")) for name, case in _lines(path)}


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from yaml.safe_load(path.read_bytes()).items()


def changed(kind: str, case: dict[str, Any]) -> Any:
    """An accepted document with something else in one place."""
    document = json.loads((ACCEPT / kind / f"{case['of']}.json").read_bytes())
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in case["at"].split("/")[1:]]
    inner = document
    for part in path:
        inner = inner[int(part)] if isinstance(inner, list) else inner.setdefault(part, {})
    if case.get("remove"):
        del inner[last]
    else:
        inner[int(last) if isinstance(inner, list) else last] = case["value"]
    return document


@cache
def judges(kind: str) -> dict[str, Judge]:
    """The published schema by two validators, and the model."""
    text = schema_file(kind).read_text("utf-8")
    slow = Draft202012Validator(json.loads(text), format_checker=FORMATS)
    fast = jsonschema_rs.Draft202012Validator(text, formats={"date-time": is_moment}, validate_formats=True)
    return {"jsonschema": slow.is_valid, "jsonschema-rs": fast.is_valid, "model": lambda value: _reads(kind, value)}


def _reads(kind: str, value: Any) -> bool:
    try:
        MODELS[kind].model_validate_json(json.dumps(value))
    except ValidationError:
        return False
    return True


def verdicts(kind: str, value: Any) -> dict[str, bool]:
    """What each says of a document."""
    return {name: judge(value) for name, judge in judges(kind).items()}
