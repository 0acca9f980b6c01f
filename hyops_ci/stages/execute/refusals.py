"""What stops a recovery that holds its claim: a check that no longer holds, a probe that fails, and by whom an interrupt came."""

from __future__ import annotations

from pathlib import Path

from hyops_ci.contracts.check import Check
from hyops_ci.contracts.cleanup import Cleanup
from hyops_ci.contracts.plan import Plan
from hyops_ci.errors import Exit, Refusal
from hyops_ci.execution.verification import Verification
from hyops_ci.stages.job import Job
from hyops_ci.stages.planned_run import CheckedRun
from hyops_ci.text import shell


def interrupted_by(job: Job) -> str:
    """Return who asked HyOps to stop, as far as an interrupt tells."""
    if job.on_github:
        return "an interrupt of the job: a cancel on GitHub, or a runner that was stopped. Neither says by whom"
    return f"an interrupt in the shell of {job.actor or 'this user'}"


def differs(checked: Check, now: Check) -> str:
    """Return what HyOps or this runner says otherwise than at the check: the steps that it would do, else what else was shown."""
    before, then = {step.id: step.outcome for step in checked.steps}, checked.bound()
    steps = [(step.id, before.get(step.id, "absent"), step.outcome) for step in now.steps if before.get(step.id) != step.outcome]
    shown = [(name, then.get(name), value) for name, value in now.bound().items() if then.get(name) != value]
    return "; ".join(f"{what}: {was} then, {value} now" for what, was, value in steps or shown)


def changed(run: CheckedRun, found: str) -> Refusal:
    """Return the refusal (exit 4) of a run whose check no longer holds."""
    return Refusal(
        "check.changed",
        "what was approved is no longer so",
        exit_code=Exit.POLICY,
        found=found or "something is no longer known",
        expected=f"as checked at {run.check.checked_at}",
        fix="start a new run: its approver reads what is true now",
    )


def not_cleaned(plan: Plan, kept: Cleanup, why: str, root: Path, *, at_work: bool) -> Refusal:
    """Return the refusal (exit 14) of a drill that left something behind: what it is, and the command that removes it."""
    left = "; ".join(kept.left) or "what of it is left is not known"
    by_hand = shell(
        "hyops blueprint destroy --env {} --file {} --execute --yes", plan.env, str(root / "config/blueprints" / Path(plan.overlay).name)
    )
    wait = f"HyOps may still be at work on {plan.runner_ref}: wait until hyops-ci doctor shows no lock.host there; then " if at_work else ""
    return Refusal(
        "drill.not-cleaned",
        f"the drill left something in env {plan.env}",
        exit_code=Exit.NOT_CLEANED,
        found="; ".join(dict.fromkeys(filter(None, (left, why)))),
        expected="every step destroyed, and nothing that answers",
        fix=f"{wait}a new drill of {plan.service}, which begins by removing it. By hand, with {plan.overlay} copied there: {by_hand}",
        docs="drills.md",
    )


def not_proven(plan: Plan, verification: Verification) -> Refusal:
    """Return the refusal (exit 13) of a recovery that HyOps calls done, and that a configured probe does not see."""
    return Refusal(
        "verification.failed",
        "HyOps says that it is done, and the service does not answer",
        exit_code=Exit.UNPROVEN,
        found="; ".join(verification.gaps()),
        expected=f"{len(verification.results)} of {len(verification.results)} probes held",
        fix=f"look at the service at {plan.target_site}, and at what the probes ask: verification.{plan.service} in the config",
        docs="hyops.md",
    )
