"""Whether a runner may be made now: the plan's gates asked again over the reviewed config, and who let the job through.

Nothing of the handover is believed for it: the config is the one whose digest the plan holds, the gate is read again from GitHub, and
the job itself runs only behind that gate. An administrator's bypass leaves no review, and is no approval.
A re-run is refused: GitHub shows the reviews of all attempts as one history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hyops_ci.approvals.reviews import let_through
from hyops_ci.config.machines import machine_of
from hyops_ci.contracts.facts import EffectiveBlueprint, PlanFacts, RefFact
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.environments import environment
from hyops_ci.github.reviews import reviews
from hyops_ci.planning import planner
from hyops_ci.planning.case import PlanCase, load
from hyops_ci.planning.machine_case import machine_refusal
from hyops_ci.runners.decide import Permission
from hyops_ci.stages.planned_run import PlannedRun

OF_THE_REASON: Final = {
    "bootstrap.reason": Permission.NOT_ALLOWED,
    "bootstrap.machine": Permission.NO_MACHINE,
    "bootstrap.gate": Permission.NOT_ALLOWED,
}
"""Plan gate -> what its refusal means for the table."""


@dataclass(frozen=True)
class Answer:
    """What policy says, by whom the job was let through, and the refusal where it says no."""

    permission: Permission
    approved_by: tuple[str, ...] = ()
    refusal: Refusal | None = None


def permission(run: PlannedRun) -> Answer:
    """Return what policy says now. Raises Refusal (`run.attempt`) for a re-run, and what GitHub raises where it cannot be asked."""
    about = run.plan.bootstrap
    if about is None:
        return Answer(Permission.NO_REASON)
    case = _case(run)
    asked = [gate(case) for gate in load("plan") if gate.id in OF_THE_REASON]
    if no := next((each for each in asked if isinstance(each, Refusal)), None):
        return Answer(OF_THE_REASON[no.gate], refusal=no)
    if no := machine_refusal(run.config, run.plan.lane, case.facts.now):
        return Answer(Permission.NO_MACHINE, refusal=no)
    machine = machine_of(run.config, run.plan.lane)
    if machine is None or machine.digest() != about.settings:
        return Answer(Permission.NO_MACHINE, refusal=_other_machine(run, machine.digest() if machine else "none"))
    client = run.context.github
    said = reviews(client, run.context.job.run_number) if client is not None else ()
    people = let_through(said, about.gate, run.requesters, run.context.job.attempt)
    return Answer(Permission.ALLOWED, people) if people else Answer(Permission.NOT_APPROVED)


def _case(run: PlannedRun) -> PlanCase:
    """Return what the gates of a reason look at: no overlay, and of GitHub the gate alone."""
    about, client, job = run.plan.bootstrap, run.context.github, run.context.job
    name = run.config.policy.bootstrap_environment
    facts = PlanFacts(
        now=run.context.judged_at(),
        ref=RefFact(ref=job.ref, default_branch=job.on_default_branch),
        bootstrap_reason=about.reason if about is not None else "",
        bootstrap_gate=environment(client, name) if client is not None else None,
        requesters=run.requesters,
    )
    nothing = EffectiveBlueprint(ref=run.plan.blueprint, mode="", steps=(), overlay_sha256="")
    return planner.case_of(run.decision, run.config, nothing, facts)


def _other_machine(run: PlannedRun, found: str) -> Refusal:
    return Refusal(
        "runner.settings",
        "the machine is not the one that was planned",
        exit_code=Exit.RUNNER,
        found=f"lanes.{run.plan.lane}.machine: {found}",
        expected=run.plan.bootstrap.settings if run.plan.bootstrap else "",
        fix="start a new run",
        docs="runners.md",
    )
