"""What a drill will find once it has removed what an earlier drill left: it begins with that, so that its check looks past it."""

from __future__ import annotations

from collections.abc import Sequence

from hyops_ci.contracts.check import DESTROYED, GONE, StateFact
from hyops_ci.contracts.facts import EffectiveBlueprint, EffectiveStep, PreflightFact, canonical_ref


def removable(blueprint: EffectiveBlueprint) -> tuple[EffectiveStep, ...]:
    """Return the steps whose work a destroy removes: all but those that the overlay retains."""
    return tuple(step for step in blueprint.steps if not step.retain_on_destroy)


def left_over(blueprint: EffectiveBlueprint, states: Sequence[StateFact]) -> dict[str, StateFact]:
    """Return, by step, the states behind which something is, of what a destroy removes."""
    by_ref = {canonical_ref(state.ref): state for state in states}
    found = {step.id: by_ref.get(canonical_ref(step.publishes)) for step in removable(blueprint)}
    return {name: state for name, state in found.items() if state is not None and state.status not in GONE}


def as_cleaned(
    blueprint: EffectiveBlueprint, states: Sequence[StateFact], preflight: PreflightFact
) -> tuple[tuple[StateFact, ...], PreflightFact]:
    """Return states and HyOps' preflight as they will be once what is left over has been destroyed: no step of it is skipped."""
    left = left_over(blueprint, states)
    gone = {canonical_ref(state.ref) for state in left.values()}
    then = tuple(StateFact(ref=each.ref, status=DESTROYED) if canonical_ref(each.ref) in gone else each for each in states)
    asked = tuple(
        step.model_copy(update={"status": "ready", "reason": "", "rerun": ""}) if step.id in left and step.status == "skipped" else step
        for step in preflight.steps
    )
    return then, preflight.model_copy(update={"steps": asked})
