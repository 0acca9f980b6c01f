"""Whether a runner may be made now: the plan's gates asked again over the reviewed config, and who let the job through.

Nothing of the handover is believed for it: the config is the one whose digest the plan holds, the gate is read again from GitHub, and
the job itself runs only behind that gate. An administrator's bypass leaves no review, and is no approval.
A re-run is refused: GitHub shows the reviews of all attempts as one history.
"""

from __future__ import annotations

from hyops_ci.approvals.reviews import let_through
from hyops_ci.config.machines import machine_of
from hyops_ci.config.settings import lane_settings
from hyops_ci.contracts.facts import RefFact
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.environments import environment
from hyops_ci.github.reviews import reviews
from hyops_ci.planning.bootstrap_case import GO_ON, BootstrapCase, bootstrap_refusal
from hyops_ci.planning.machine_case import machine_refusal
from hyops_ci.runners.decide import Permission
from hyops_ci.stages.planned_run import PlannedRun


@dataclass(frozen=True)
class Answer:
    """What policy says, by whom the job was let through, and the refusal where it says no."""

    permission: Permission
    approved_by: tuple[str, ...] = ()
    refusal: Refusal | None = None


def permission(run: PlannedRun) -> Answer:
    """Return what policy says now. Raises Refusal (`run.attempt`) for a re-run, and what GitHub raises where it cannot be asked."""
    about, config, job, client = run.plan.bootstrap, run.config, run.context.job, run.context.github
    if about is None:
        return Answer(Permission.NO_REASON)
    gate = config.policy.bootstrap_environment
    case = BootstrapCase(
        config,
        lane_settings(config, run.plan.lane),
        about.reason,
        RefFact(ref=job.ref, default_branch=job.on_default_branch),
        environment(client, gate) if client is not None else None,
        run.requesters,
        otherwise=GO_ON,
    )
    if no := bootstrap_refusal(case):
        return Answer(Permission.NO_MACHINE if no.gate == "bootstrap.machine" else Permission.NOT_ALLOWED, refusal=no)
    if no := machine_refusal(config, run.plan.lane, run.context.judged_at()):
        return Answer(Permission.NO_MACHINE, refusal=no)
    machine = machine_of(config, run.plan.lane)
    if machine is None or machine.digest() != about.settings:
        return Answer(Permission.NO_MACHINE, refusal=_other_machine(run, machine.digest() if machine else "none"))
    said = reviews(client, job.run_number) if client is not None else ()
    people = let_through(said, gate, run.requesters, job.attempt, config.approvals.approvers)
    return Answer(Permission.ALLOWED, people) if people else Answer(Permission.NOT_APPROVED)


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
