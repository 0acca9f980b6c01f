"""The gate on a decision that is a part of a recovery of several services."""

from __future__ import annotations

from hyops_ci.errors import Exit
from hyops_ci.planning.case import GateFailure, GateOutcome, PlanCase, listed, plan_gate
from hyops_ci.planning.waves import TYPES, troubles, wave_of


@plan_gate("recovery.plan", "contracts 2", Exit.POLICY, "Does a recovery of several services follow a plan of the config?")
def recovery_plan(case: PlanCase) -> GateOutcome:
    """The waves are the reviewed config's and no decision's, and every service of them could be recovered so."""
    decision, part = case.decision, case.decision.part_of
    if part is None:
        return "one service"
    plan = case.config.recovery_plans.get(part.recovery_plan)
    if plan is None:
        known = ", ".join(sorted(case.config.recovery_plans)) or "none"
        return GateFailure(
            "the config has no such recovery plan", part.recovery_plan, known, "name one of recovery_plans", "recovery-plans.md"
        )
    number = wave_of(plan, decision.service)
    if not number or TYPES[plan.action] is not decision.decision_type or decision.exercise or decision.settles:
        return GateFailure(
            "the recovery plan does not have this decision",
            f"{decision.decision_type} {decision.service}{', a drill' * (decision.exercise is not None)}",
            f"{plan.action} of {', '.join(each for wave in plan.waves for each in wave)}",
            "start it with hyops-ci recovery start <plan> --reason ...; a single service without part_of",
            "recovery-plans.md",
        )
    if found := list(troubles(case.config, plan)):
        return GateFailure(
            "the recovery plan cannot be carried out",
            listed(each for each, _ in found),
            listed(each for _, each in found),
            f"correct recovery_plans.{part.recovery_plan} in a pull request",
            "recovery-plans.md",
        )
    return f"wave {number} of {len(plan.waves)}"
