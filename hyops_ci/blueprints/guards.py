"""Guards: inputs that a blueprint ships closed and a run opens, in its own copy of the overlay only."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, Final

import yaml

from hyops_ci.contracts.facts import GUARDS, EffectiveBlueprint
from hyops_ci.contracts.plan import Guard

RESTORE_PIN: Final = "restore_set"


def closed_guards(blueprint: EffectiveBlueprint) -> tuple[Guard, ...]:
    """The guards to open: closed ones of steps that act. The approver sees each by name."""
    return tuple(
        Guard(step=step.id, input=name, value=True) for step in blueprint.steps for name in GUARDS if step.inputs.get(name) is False
    )


def restore_pins(blueprint: EffectiveBlueprint, restore_point: str) -> tuple[Guard, ...]:
    """What pins the restore point: nothing for `latest`, else the label in every restoring step that has the input."""
    if restore_point == "latest":
        return ()
    steps = [step for step in blueprint.steps if step.inputs.get("apply_mode") == "restore"]
    return tuple(Guard(step=step.id, input=RESTORE_PIN, value=restore_point) for step in steps)


def opened(document: dict[str, Any], guards: Iterable[Guard]) -> dict[str, Any]:
    """A copy of the overlay with exactly these inputs set. Raises KeyError for a step that is not there."""
    changed = copy.deepcopy(document)
    steps = {step["id"]: step for step in changed["steps"]}
    for guard in guards:
        steps[guard.step].setdefault("inputs", {})[guard.input] = guard.value
    return changed


def to_yaml(document: dict[str, Any]) -> bytes:
    """Deterministic YAML bytes of an overlay, in its own key order."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000).encode()
