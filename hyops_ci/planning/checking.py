"""The check report: what the chosen runner says about a plan, judged by the check gates. Pure."""

from __future__ import annotations

from pydantic import ValidationError

from hyops_ci.contracts.base import Measured
from hyops_ci.contracts.check import Check, ModuleFact
from hyops_ci.contracts.facts import CheckFacts
from hyops_ci.contracts.plan import Plan
from hyops_ci.errors import Exit, Refusal
from hyops_ci.planning.case import CheckCase, GateResults
from hyops_ci.planning.steps import newest_set


def report(case: CheckCase, answers: GateResults, *, run_id: str, checked_at: str) -> Check:
    """Return the check report of a plan that every gate let pass. Raises the first Refusal of `answers`, the worst first."""
    if answers.refused:
        raise answers.refused[0]
    try:
        return _assemble(case.plan, case.facts, answers, run_id, checked_at)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Refusal(
            "check.form",
            "what the runner says does not make a report",
            exit_code=Exit.RUNNER,
            found="/" + "/".join(str(part) for part in first["loc"]) + f": {first['msg']}",
            expected="plain names and numbers",
            fix="look at the runner: a name, label or state there holds what no name should",
        ) from None


def deviations(plan: Plan, facts: CheckFacts) -> tuple[str, ...]:
    """Return the deviations of this check: they do not stop the run, and its result repeats them."""
    said = []
    if not facts.runner_verified:
        said.append("this host does not pin its callers")
    elif not facts.job_hook:
        said.append("a stranger's job is not ended before its first step here: no job-started hook of root")
    if facts.unsigned_ledger:
        said.append(f"no host signs the ledger, so whoever may push may write it: {facts.unsigned_ledger}")
    if facts.unsigned_end:
        said.append(f"{facts.unsigned_end}: a job without its key wrote that, or whoever may push")
    said += facts.missed
    if facts.hyops_is_stand_in:
        said.append("HyOps is a stand-in: nothing is recovered")
    if _restores(plan):
        which = "which backup is the latest" if plan.restore_point == "latest" else f"whether the repository still has {plan.restore_point}"
        said.append(f"{which} could not be read before the run")
    return tuple(said)


def unknown(plan: Plan, facts: CheckFacts) -> dict[str, str]:
    """Return what could not be measured, by name, with the reason: never 0 or false in its place.

    Not the clock: whether GitHub tells the time differs from minute to minute, and what is here must be the same at the claim. The gate
    `host.clock` notes it.
    """
    reasons = {
        "disk": "free space not measured" if not facts.disks else "",
        "backup": "its age, its retention and the newest WAL: HyOps reads the repository at restore time" if _restores(plan) else "",
        **{
            f"login of {step}": f"not examined before the approval: HyOps logs in with {key}; its preflight does after it, before any step"
            for step, key in facts.logins.items()
        },
        **{step.id: step.why for step in facts.forecast if step.outcome == "unknown"},
    }
    return {name: reason or "no reason given" for name, reason in reasons.items() if reason or name in {step.id for step in plan.steps}}


def _assemble(plan: Plan, facts: CheckFacts, answers: GateResults, run_id: str, checked_at: str) -> Check:
    blueprint = facts.blueprint
    specs = {step.module_ref: step.spec_sha256 for step in blueprint.steps}
    return Check(
        plan_digest=plan.digest(),
        run_id=run_id,
        checked_at=checked_at,
        runner=facts.runner,
        hyops_version=facts.hyops_version,
        modules=tuple(ModuleFact(module_ref=ref, sha256=sha256) for ref, sha256 in sorted(specs.items())),
        blueprint_digest=blueprint.digest(),
        steps=facts.forecast,
        states=facts.states,
        guards=plan.guards,
        secret_names=tuple(sorted(ref.key for ref in plan.secrets.refs)),
        authority=plan.secrets.addresses[0][0] if plan.secrets.addresses else plan.secrets.kind,
        restore_point=_restore_point(plan),
        gates=answers.passed,
        deviations=deviations(plan, facts),
        unknown=unknown(plan, facts),
    )


def _restore_point(plan: Plan) -> Measured:
    if not _restores(plan):
        return Measured(reason="nothing is restored")
    if plan.restore_point != "latest":
        return Measured(value=plan.restore_point)
    return Measured(reason=f"{newest_set(plan)}: HyOps reads it at restore time")


def _restores(plan: Plan) -> bool:
    return plan.settles is None and any(step.restores for step in plan.steps)
