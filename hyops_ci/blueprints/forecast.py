"""What would happen to each step if the run started now: HyOps' own preflight first, then the states (docs/design/contracts.md 5)."""

from __future__ import annotations

from collections.abc import Mapping

from hyops_ci.contracts.check import StateFact, StepForecast
from hyops_ci.contracts.facts import GUARDS, EffectiveBlueprint, EffectiveStep, PreflightFact, PreflightStep, canonical_ref


def forecast(
    blueprint: EffectiveBlueprint, states: tuple[StateFact, ...], preflight: PreflightFact, *, opened: bool = False
) -> tuple[StepForecast, ...]:
    """One forecast per step, in order. A step that HyOps deferred is judged by its state alone.

    `opened` says that the preflight read the overlay as it will be deployed: guards open, restore point pinned. One
    over the committed overlay sees a drift that the run will not have (`restore_confirm` false now, true then), so
    its `ready` proves nothing for a guarded step whose state is ok (HyOps `blueprint/planner.py: preflight_step`).
    """
    by_ref = {canonical_ref(state.ref): state for state in states}
    said = {step.id: step for step in preflight.steps}
    return tuple(_one(step, by_ref, said.get(step.id), opened) for step in blueprint.steps)


def _one(step: EffectiveStep, by_ref: Mapping[str, StateFact], said: PreflightStep | None, opened: bool) -> StepForecast:
    state = by_ref.get(canonical_ref(step.publishes))
    because = f"state ok, run {state.run_id or 'unknown'} of {state.updated_at or 'unknown time'}" if state else ""
    if said and said.status == "blocked":
        return StepForecast(id=step.id, outcome="blocked", why=_line(said.reason))
    if said and said.status == "skipped":
        return StepForecast(id=step.id, outcome="skip", why=because or _line(said.reason))
    if step.skip_if_state_ok and state and state.status == "ok":
        # HyOps runs it all the same when it finds drift; until it says so, the cautious answer is that it will not.
        guarded = any(name in step.inputs for name in GUARDS)
        drift = said is not None and said.status == "ready" and (opened or not guarded)
        return StepForecast(id=step.id, outcome="run" if drift else "skip", why="" if drift else because)
    if said is None:
        return StepForecast(id=step.id, outcome="unknown", why="HyOps' preflight says nothing of it")
    return StepForecast(id=step.id, outcome="run", why="")


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
