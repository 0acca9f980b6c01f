"""What would happen to each step if the run started now: HyOps' own word first, then the states (contracts, section 5)."""

from __future__ import annotations

from collections.abc import Mapping

from hyops_ci.blueprints.reading import canonical_ref
from hyops_ci.contracts.check import StateFact, StepForecast
from hyops_ci.contracts.facts import EffectiveBlueprint, EffectiveStep, PreflightFact, PreflightStep


def forecast(blueprint: EffectiveBlueprint, states: tuple[StateFact, ...], preflight: PreflightFact) -> tuple[StepForecast, ...]:
    """One forecast per step, in order. A step that HyOps deferred is judged by its state alone."""
    by_ref = {canonical_ref(state.ref): state for state in states}
    said = {step.id: step for step in preflight.steps}
    return tuple(_one(step, by_ref, said.get(step.id)) for step in blueprint.steps)


def _one(step: EffectiveStep, by_ref: Mapping[str, StateFact], said: PreflightStep | None) -> StepForecast:
    state = by_ref.get(canonical_ref(step.publishes))
    because = f"state ok, run {state.run_id or 'unknown'} of {state.updated_at or 'unknown time'}" if state else ""
    if said and said.status == "blocked":
        return StepForecast(id=step.id, outcome="blocked", why=_line(said.reason))
    if said and said.status == "skipped":
        return StepForecast(id=step.id, outcome="skip", why=because or _line(said.reason))
    if step.skip_if_state_ok and state and state.status == "ok":
        # HyOps may still find drift and run it; until it says so, the cautious answer is that it will not.
        drift = step.verify_state_on_skip and said is not None and said.status == "ready"
        return StepForecast(id=step.id, outcome="run" if drift else "skip", why="" if drift else because)
    if said is None:
        return StepForecast(id=step.id, outcome="unknown", why="HyOps' preflight says nothing of it")
    return StepForecast(id=step.id, outcome="run", why="")


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
