"""Gates on making or repairing a runner: never the normal start of a recovery (docs/design/anti-drift.md 2.2).

Without a reason none of them asks for anything.
"""

from __future__ import annotations

from typing import Final

from hyops_ci.config.bootstrap import recovering_on
from hyops_ci.config.machines import machine_name, machine_of
from hyops_ci.contracts.config import EnvClass
from hyops_ci.planning.bootstrap_case import BootstrapCase, bootstrap_gate
from hyops_ci.planning.case import GateFailure, GateOutcome, listed
from hyops_ci.planning.protection import Shortfall, demand_of, eligible_reviewers, shortfalls

LAB_FALLBACK: Final = "lab-fallback"
DOCS: Final = "runners.md"


@bootstrap_gate("bootstrap.reason", "anti-drift 2.2, workflows 5", "May the runner be made, for this reason?")
def bootstrap_reason(case: BootstrapCase) -> GateOutcome:
    """One of `policy.bootstrap_reasons` of the reviewed config; `lab-fallback` where every env that recovers there is a lab alone."""
    allowed = case.config.policy.bootstrap_reasons
    if case.reason not in allowed:
        return GateFailure(
            "the config does not allow to make a runner for this reason",
            f"{case.reason}; policy.bootstrap_reasons: {', '.join(allowed) or 'none'}",
            f"one of {', '.join(allowed)}" if allowed else "no reason: the standing runner is there before an incident",
            f"allow the reason in a pull request{case.otherwise}",
            DOCS,
        )
    if case.reason == LAB_FALLBACK and case.env_class is not EnvClass.LAB:
        recovers = recovering_on(case.config, case.lane.name)
        careful = [f"env {each.name}, class {each.env_class}" for each in recovers if each.env_class is not EnvClass.LAB]
        return GateFailure(
            "a runner is made as a fallback in a lab only",
            f"{case.reason}; lane {case.lane.name} recovers {listed(careful) or 'nothing that is known'}",
            "envs of class lab on that lane",
            f"the reason runner-recovery, where the config allows it{case.otherwise}",
            DOCS,
        )
    return case.reason


@bootstrap_gate("bootstrap.machine", "anti-drift 2.2, workflows 5", "Does the config say how the runner is made?")
def bootstrap_machine(case: BootstrapCase) -> GateOutcome:
    """`lanes.<lane>.machine`, for the lane's own runner."""
    lane = case.lane
    machine = machine_of(case.config, lane.name)
    if machine is None:
        return GateFailure(
            "the config does not say how this runner is made",
            f"no lanes.{lane.name}.machine",
            f"a machine of lane {lane.name}",
            f"set lanes.{lane.name}.machine in a pull request{case.otherwise}",
            DOCS,
        )
    if case.isolated and lane.drill_runner_ref != lane.runner_ref:
        return GateFailure(
            "the runner of drills is not one that can be made",
            f"{lane.drill_runner_ref}; lanes.{lane.name}.machine is {lane.runner_ref}",
            "the lane's own runner",
            "leave bootstrap_reason empty",
            DOCS,
        )
    return f"{machine_name(lane)} at {machine.provider}"


@bootstrap_gate("bootstrap.gate", "contracts 5, workflows 2", "Does somebody approve before a runner is made?")
def approved_behind(case: BootstrapCase) -> GateOutcome:
    """On the default branch alone, `policy.bootstrap_environment` protects as an approval gate does, in every class."""
    if not case.behind_gate:
        return "in a shell: whoever has the credentials acts"
    name, fact, asked = case.config.policy.bootstrap_environment, case.gate, case.requesters
    demand = demand_of(name, 1, case.env_class, case.ref.ref if case.ref.default_branch else "")
    if fact is None:
        lacking = [Shortfall(f"{name}: no control plane was asked", "an environment whose rules can be read")]
    elif not case.ref.default_branch:
        lacking = [Shortfall(f"the config of {case.ref.ref or 'no branch'}", "that of the default branch")]
    else:
        lacking = shortfalls(fact, demand, asked)
    if fact is not None and not lacking:
        return f"{name}: {', '.join(eligible_reviewers(fact, asked))}"
    return GateFailure(
        f"environment {name} does not protect",
        "; ".join(each.found for each in lacking),
        f"{name}: a reviewer other than the requester, no self-review" + (f", {demand.branch} only" if demand.branch else ""),
        f"start it on the default branch; hyops-ci environment check prints what to paste{case.otherwise}",
        DOCS,
    )
