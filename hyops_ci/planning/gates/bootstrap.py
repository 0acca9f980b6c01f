"""Gates on making or repairing the runner within a run: never the normal start (docs/design/anti-drift.md 2.2).

Without a reason none of them asks for anything.
"""

from __future__ import annotations

from typing import Final

from hyops_ci.config.machines import machine_name, machine_of
from hyops_ci.contracts.config import EnvClass
from hyops_ci.errors import Exit
from hyops_ci.planning.case import GateFailure, GateOutcome, PlanCase, plan_gate
from hyops_ci.planning.gates.approval import requesters
from hyops_ci.planning.protection import Shortfall, demand_of, eligible_reviewers, shortfalls

LAB_FALLBACK: Final = "lab-fallback"


@plan_gate("bootstrap.reason", "anti-drift 2.2, workflows 5", Exit.POLICY, "May this run make its runner, for this reason?")
def bootstrap_reason(case: PlanCase) -> GateOutcome:
    """One of `policy.bootstrap_reasons` of the reviewed config; `lab-fallback` in class lab alone."""
    reason, allowed = case.facts.bootstrap_reason, case.config.policy.bootstrap_reasons
    if not reason:
        return ""
    if reason not in allowed:
        return GateFailure(
            "the config does not allow to make a runner for this reason",
            f"bootstrap_reason {reason}; policy.bootstrap_reasons: {', '.join(allowed) or 'none'}",
            f"one of {', '.join(allowed)}" if allowed else "no reason: the standing runner is there before an incident",
            "leave bootstrap_reason empty; or allow the reason in a pull request",
            "runners.md",
        )
    if reason == LAB_FALLBACK and case.env.env_class is not EnvClass.LAB:
        return GateFailure(
            "a runner is made as a fallback in a lab only",
            f"{reason} in env {case.env.name}, class {case.env.env_class}",
            "an env of class lab",
            "give the reason runner-recovery, where the config allows it; or leave bootstrap_reason empty",
            "runners.md",
        )
    return reason


@plan_gate("bootstrap.machine", "anti-drift 2.2, workflows 5", Exit.POLICY, "Does the config say how the runner is made?")
def bootstrap_machine(case: PlanCase) -> GateOutcome:
    """`lanes.<lane>.machine`, for the lane's own runner."""
    lane, exercise = case.lane, case.decision.exercise
    if not case.facts.bootstrap_reason:
        return ""
    machine = machine_of(case.config, lane.name)
    if machine is None:
        return GateFailure(
            "the config does not say how this runner is made",
            f"bootstrap_reason {case.facts.bootstrap_reason}; no lanes.{lane.name}.machine",
            f"a machine of lane {lane.name}",
            f"set lanes.{lane.name}.machine in a pull request; or leave bootstrap_reason empty",
            "runners.md",
        )
    if exercise is not None and exercise.level == "isolated" and lane.drill_runner_ref != lane.runner_ref:
        return GateFailure(
            "the runner of drills is not one that can be made",
            f"{lane.drill_runner_ref}; lanes.{lane.name}.machine is {lane.runner_ref}",
            "the lane's own runner",
            "leave bootstrap_reason empty",
            "runners.md",
        )
    return f"{machine_name(lane)} at {machine.provider}"


@plan_gate("bootstrap.gate", "contracts 5, workflows 2", Exit.POLICY, "Does somebody approve before a runner is made?")
def bootstrap_gate(case: PlanCase) -> GateOutcome:
    """`policy.bootstrap_environment` protects as an approval gate does, in every class: somebody else than who asked reviews."""
    if not case.facts.bootstrap_reason:
        return ""
    name, fact, ref = case.config.policy.bootstrap_environment, case.facts.bootstrap_gate, case.facts.ref
    demand = demand_of(name, 1, case.env.env_class, ref.ref if ref.default_branch else "")
    asked = requesters(case)
    lacking = (
        [Shortfall(f"{name}: no control plane was asked", "an environment whose rules can be read")]
        if fact is None
        else shortfalls(fact, demand, asked)
    )
    if fact is not None and not lacking:
        return f"{name}: {', '.join(eligible_reviewers(fact, asked))}"
    return GateFailure(
        f"environment {name} does not protect",
        "; ".join(each.found for each in lacking),
        f"{name}: a reviewer other than the requester, no self-review" + (f", {demand.branch} only" if demand.branch else ""),
        "hyops-ci environment check prints what to paste; or leave bootstrap_reason empty",
        "runners.md",
    )
