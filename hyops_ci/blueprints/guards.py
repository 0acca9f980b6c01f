"""The overlay with a run's guards open: a copy in memory and its bytes; the committed file keeps them closed."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import yaml

from hyops_ci.contracts.facts import ASSERTIONS
from hyops_ci.contracts.plan import Guard


def open_guards(document: dict[str, Any], guards: Iterable[Guard]) -> dict[str, Any]:
    """Return a copy of the overlay with exactly these inputs set. Raises KeyError for a step that is not there."""
    changed = copy.deepcopy(document)
    steps = {step["id"]: step for step in changed["steps"]}
    for guard in guards:
        inputs = steps[guard.step].get("inputs") or {}
        steps[guard.step]["inputs"] = inputs
        place, _, statement = guard.input.partition(".")
        if place == ASSERTIONS and statement:
            inputs[place][statement] = guard.value
        else:
            inputs[guard.input] = guard.value
    return changed


def to_yaml(document: dict[str, Any]) -> bytes:
    """Deterministic YAML bytes of an overlay, in its own key order, in ASCII: some line ends of Unicode are not read back as written."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=False, width=1000).encode("ascii")
