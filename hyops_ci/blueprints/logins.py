"""Steps for which HyOps' own preflight logs in with a key from the authority: before an approval there is no key, so it is told not to.

HyOps' Ansible driver writes the value of `ssh_private_key_env` into a file and tries it at every host (HyOps
`drivers/config/ansible/connectivity.py`), unless `connectivity_check` is false. A word in place of the key would be refused there, and a
step that is well would be called blocked.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any, Final

from hyops_ci.contracts.facts import EffectiveBlueprint, PreflightFact

SWITCH: Final = "connectivity_check"
KEY: Final = "ssh_private_key_env"
_OFF: Final = (False, "false", "no", "off", "0", "n", "f")
_CHANGED: Final = f": {SWITCH} changed"
"""How HyOps ends its word on a step whose state is ok and whose inputs differ in the switch alone (HyOps `blueprint/contracts.py`)."""


def logins(blueprint: EffectiveBlueprint, secrets: Collection[str]) -> dict[str, str]:
    """Return, by step, the name of the key with which HyOps would log in at the step's hosts, as far as it is one of `secrets`."""
    found = {step.id: step.inputs.get(KEY) for step in blueprint.steps if _switched(step.inputs.get(SWITCH)) is not False}
    return {step: key for step, key in found.items() if isinstance(key, str) and key in secrets}


def without_logins(document: dict[str, Any], steps: Collection[str]) -> dict[str, Any]:
    """Return a copy of the overlay in which HyOps does not log in for these steps.

    The switch is the last input: HyOps names the first difference between inputs and state, so that it names this one only where it is
    the only one.
    """
    changed = copy.deepcopy(document)
    for step in changed["steps"]:
        if step["id"] in steps:
            given = step.get("inputs") or {}
            step["inputs"] = {name: value for name, value in given.items() if name != SWITCH} | {SWITCH: False}
    return changed


def as_without_switch(preflight: PreflightFact, steps: Collection[str]) -> PreflightFact:
    """Return HyOps' answer as it would be without the switch: a step that only the switch would run again is one that it skips."""
    told = (
        each.model_copy(update={"status": "skipped", "rerun": ""}) if each.id in steps and each.rerun.endswith(_CHANGED) else each
        for each in preflight.steps
    )
    return preflight.model_copy(update={"steps": tuple(told)})


def _switched(value: object) -> object:
    return False if (value.lower() if isinstance(value, str) else value) in _OFF else value
