"""What a step does to the world, and which of its guards a run opens (docs/design/contracts.md 4).

The point of no return is the first step from which clients are elsewhere: a promote, or a DNS change that is
applied. A restore is not yet one: it fills machines that are unused until the DNS step, so cancelling before that
leaves clients where they were. It is watched on its own (`restores`): a restore that HyOps skips would let the
later steps move clients to old data. A service whose restore does go into the serving cluster says so upward:
`step_classes: {<step>: commit}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from hyops_ci.contracts.facts import ASSERTIONS, GUARDS, RESTORE_PIN, EffectiveBlueprint, EffectiveStep, canonical_ref
from hyops_ci.contracts.plan import Guard, Plan, PlannedStep, StepClass

READ_ACTIONS: Final = frozenset({"validate", "plan"})
READ_MODES: Final = frozenset({"status", "assess"})
COMMIT_MODES: Final = frozenset({"promote", "cutover", "switchover", "failover"})
BACKUPS: Final = "platform/postgresql-ha-backup"
"""The module whose state names the newest backup set (HyOps `runtime/module_state_contracts.py`)."""
_FENCED: Final = re.compile(rf"^{ASSERTIONS}\..*(fenc|isolated|powered_?off|switched_?off|shut_?down|stopped|offline)")
_ORDER: Final = (StepClass.READ, StepClass.MUTATE, StepClass.COMMIT)


def step_class(step: EffectiveStep, overrides: Mapping[str, str] | None = None) -> StepClass:
    """Return the class of a step; an override counts only upward."""
    mode = str(step.inputs.get("apply_mode", ""))
    if step.action in READ_ACTIONS or mode in READ_MODES:
        found = StepClass.READ
    elif mode in COMMIT_MODES or step.inputs.get("dns_apply") is True:
        found = StepClass.COMMIT
    else:
        found = StepClass.MUTATE
    said = (overrides or {}).get(step.id)
    return max(found, StepClass(said), key=_ORDER.index) if said else found


def restores(step: EffectiveStep) -> bool:
    """Return whether the step puts data back from a backup."""
    return step.inputs.get("apply_mode") == "restore"


def newest_set(plan: Plan) -> str:
    """Return which backup `latest` means for the restores of a plan: HyOps asks no repository, but the state of the last backup run."""
    refs = (ref for step in plan.steps if step.restores for ref in step.state_refs)
    states = dict.fromkeys(ref for ref in refs if canonical_ref(ref).partition("#")[0] == BACKUPS)
    return f"the newest set that {' and '.join(states)} knew when it last ran" if states else "the newest set"


def planned_steps(blueprint: EffectiveBlueprint, overrides: Mapping[str, str] | None = None) -> tuple[PlannedStep, ...]:
    """Return the steps as the plan lists them."""
    return tuple(
        PlannedStep(
            id=step.id,
            module_ref=step.module_ref,
            state_instance=step.state_instance,
            step_class=step_class(step, overrides),
            restores=restores(step),
            required_env=step.required_env,
            state_refs=step.state_refs,
        )
        for step in blueprint.steps
    )


def point_of_no_return(steps: tuple[PlannedStep, ...]) -> str:
    """Id of the first commit step, or empty."""
    return next((step.id for step in steps if step.step_class is StepClass.COMMIT), "")


def closed_guards(blueprint: EffectiveBlueprint) -> tuple[Guard, ...]:
    """Return the guards to open: closed ones of steps that act. The approver sees each by name.

    A restore that leaves `restore_confirm` to the module's default (false) needs it opened as well; where a step
    does not restore, that guard stays as it is: there is nothing to confirm.
    """
    return tuple(Guard(step=step.id, input=name, value=True) for step in blueprint.steps for name in _closed(step))


def fencing_claims(blueprint: EffectiveBlueprint) -> tuple[str, ...]:
    """`step.assertion` of the guards to open that say of the old side that it is off."""
    return tuple(f"{guard.step}.{guard.input}" for guard in closed_guards(blueprint) if _FENCED.search(guard.input.lower()))


def opened_guards(blueprint: EffectiveBlueprint) -> tuple[str, ...]:
    """`step.input` of guards that the overlay itself opens: a standing approval that no approver gave."""
    return tuple(f"{step.id}.{name}" for step in blueprint.steps for name, value in _guards(step) if value is True)


def _guards(step: EffectiveStep) -> Iterator[tuple[str, object]]:
    for name in GUARDS:
        if name in step.inputs:
            yield name, step.inputs[name]
    statements = step.inputs.get(ASSERTIONS)
    for name, value in statements.items() if isinstance(statements, dict) else ():
        yield f"{ASSERTIONS}.{name}", value


def _closed(step: EffectiveStep) -> Iterator[str]:
    restoring = restores(step)
    if restoring and "restore_confirm" not in step.inputs:
        yield "restore_confirm"
    for name, value in _guards(step):
        if value is False and (restoring or name != "restore_confirm"):
            yield name


def restore_pins(blueprint: EffectiveBlueprint, restore_point: str) -> tuple[Guard, ...]:
    """Return what pins the restore point: nothing for `latest`, else the label in every restoring step that has the input."""
    if restore_point == "latest":
        return ()
    steps = [step for step in blueprint.steps if restores(step)]
    return tuple(Guard(step=step.id, input=RESTORE_PIN, value=restore_point) for step in steps)
