from __future__ import annotations

from typing import Any

import pytest

from hyops_ci.contracts.facts import EffectiveStep
from hyops_ci.planning.steps import restores, step_class


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"action": "validate"}, "read"),
        ({"action": "plan"}, "read"),
        ({"inputs": {"apply_mode": "status"}}, "read"),
        ({"inputs": {"apply_mode": "assess"}}, "read"),
        ({"inputs": {"apply_mode": "status", "dns_apply": True}}, "read"),
        ({"inputs": {"apply_mode": "promote"}}, "commit"),
        ({"inputs": {"dns_apply": True}}, "commit"),
        ({"inputs": {"dns_apply": False}}, "mutate"),
        ({"inputs": {"apply_mode": "restore"}}, "mutate"),
        ({}, "mutate"),
    ],
)
def test_what_a_step_does_to_the_world(step: dict[str, Any], expected: str) -> None:
    assert step_class(EffectiveStep(id="a", module_ref="m/x", **step)).value == expected


def test_a_restore_is_watched_on_its_own() -> None:
    step = EffectiveStep(id="a", module_ref="m/x", inputs={"apply_mode": "restore"})
    assert restores(step)
    assert step_class(step, {"a": "commit"}).value == "commit"
