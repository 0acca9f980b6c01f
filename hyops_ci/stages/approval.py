"""The approval request, the answers to it, and whether they suffice: in one module, so that all speak of the same subject."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from hyops_ci.approvals.context import ApprovalContext
from hyops_ci.approvals.judge import judge_approvals
from hyops_ci.approvals.reviews import approvals_of
from hyops_ci.contracts.approval import Approval, ApprovalRequest, Person
from hyops_ci.contracts.base import moment, seconds, stamp, whole_second
from hyops_ci.contracts.facts import EnvironmentFact
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.github.environments import environment
from hyops_ci.github.jobs import jobs
from hyops_ci.github.reviews import reviews
from hyops_ci.github.runs import run as run_fact
from hyops_ci.ledger.pending_approvals import waiting_for
from hyops_ci.planning.protection import weakened
from hyops_ci.signing.dsse import read_envelopes
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.job import check_job
from hyops_ci.stages.origin import ORIGIN, Origin
from hyops_ci.stages.planned_run import CheckedRun, PlannedRun

REQUEST = "request.json"
ENVELOPES = "approvals/envelopes.json"
GATE = "gate.json"
"""The approval gate as GitHub showed it before it was passed."""


def ask_for_approval(run: CheckedRun) -> ApprovalRequest:
    """Write and return the request of this run, with a nonce of its own."""
    request = ApprovalRequest(
        subject=run.subject.model_copy(update={"nonce": secrets.token_hex(16), "accepted_risks": ()}),
        requesters=run.requesters,
        requested_at=stamp(run.context.clock.now().replace(microsecond=0)),
        lifetime=run.demand.lifetime,
        decision=run.decision,
        plan=run.plan,
        check=run.check,
    )
    run.folder.write_model(REQUEST, request)
    return request


def keep_envelopes(text: str, folder: RunDir) -> None:
    """Keep the signed answers that came with the run, as they came."""
    if text.strip():
        folder.write_json(ENVELOPES, read_envelopes(text))


def granted_approvals(
    run: CheckedRun, *, gate_passed: bool = False, at: datetime | None = None, requesters: tuple[Person, ...] | None = None
) -> tuple[Approval, ...]:
    """Return the approvals that carry this run, as judged now or at `at`. Raises Refusal (exit 6).

    Signed answers came with the run, or wait in the ledger; reviews are GitHub's. `gate_passed`: the job behind the approval gate runs.
    `requesters` are those whom GitHub names now; without them those of the plan count.
    """
    now, trust = at or run.context.judged_at(), run.context.trust
    refuse_old_decision(run, now)
    if not run.plan.approval.required:
        return ()
    people = trust.approvers if trust is not None else ()
    context = ApprovalContext(
        demand=run.demand,
        subject=run.subject,
        requesters=run.requesters if requesters is None else requesters,
        now=now,
        spent_nonces=run.head.spent_nonces(),
        validity={each.key: (_moment(each.not_before), _moment(each.not_after)) for each in people if each.key},
        approvers={each.id: each.login for each in people} if trust is not None else None,
        host_keys={each.login: each.key for each in people if each.key},
        apps=trust.apps if trust is not None else frozenset() if gate_passed else None,
        gate_passed=gate_passed and run.context.github is not None,
    )
    return judge_approvals(envelopes_for(run), context, reviews=reviews_of(run))


def envelopes_for(run: CheckedRun) -> list[Any]:
    """Return the signed answers to this run: those that came with it, then those that wait in the ledger."""
    kept = run.folder.read_json(ENVELOPES) if run.folder.has(ENVELOPES) else []
    waiting = (each.document() for each in waiting_for(run.head.tip, run.subject))
    return [*kept, *(each for each in waiting if each not in kept)]


def gather_envelopes(run: CheckedRun) -> None:
    """Keep the ledger's answers with the run: the evidence proves every signature by itself."""
    if found := envelopes_for(run):
        run.folder.write_json(ENVELOPES, found)


def reviews_of(run: CheckedRun) -> tuple[Approval, ...]:
    """Return what was answered at the approval gate of this run. Nothing where the plan does not ask there, or there is no GitHub."""
    github, folder = run.context.github, run.folder
    if github is None or "environment" not in run.demand.channels or not folder.has(REQUEST):
        return ()
    job, now = run.context.job, run.context.clock.now()
    asked = folder.read_model(REQUEST, ApprovalRequest).model_copy(update={"plan": run.plan})  # of its copy nobody compares the gate
    request = _as_old_as_its_check(asked, run, github, now)
    seen = reviews(github, job.run_number)
    return approvals_of(seen, request, run_id=job.run_number, attempt=job.attempt, observed_at=now)


def _as_old_as_its_check(request: ApprovalRequest, run: CheckedRun, github: Client, now: datetime) -> ApprovalRequest:
    """Return the request with no later time than GitHub gives the end of the check: a machine that took it could say that it is younger.

    As long as the time would not be over even if the run had asked at its start, nothing hangs on that, and GitHub is not asked.
    Where it lists no such job, the request is as old as its run.
    """
    number, known = run.context.job.run_number, run.folder.read_model(ORIGIN, Origin).run
    began = moment(known.created_at if known is not None else run_fact(github, number).created_at)
    if now < began + timedelta(seconds=seconds(request.lifetime)):
        return request
    checked = check_job(jobs(github, number, run.context.job.attempt), run.plan)
    latest = moment(checked.completed_at) if checked is not None and checked.completed_at else began
    return request.model_copy(update={"requested_at": stamp(min(moment(request.requested_at), latest))})


def refuse_weaker_gate(run: CheckedRun, granted: tuple[Approval, ...]) -> None:
    """Read the approval gate again, now that it was passed: a review counts for what the gate was when it was planned.

    Raises Refusal (exit 4).
    """
    github, gate = run.context.github, run.plan.approval.gate
    if github is None or not run.folder.has(GATE) or not any(each.channel == "environment" for each in granted):
        return
    lost = weakened(run.folder.read_model(GATE, EnvironmentFact), environment(github, gate))
    if lost:
        raise Refusal(
            "gate.weaker",
            "the approval gate protects less than when this run was planned",
            exit_code=Exit.POLICY,
            found=f"{gate}: {lost}",
            expected="the same protection before and after the approval",
            fix="find out who changed the environment (audit log); repair it (hyops-ci environment check); then a new run",
            docs="approvals.md",
        )


def refuse_old_decision(run: PlannedRun, now: datetime) -> None:
    """That the decision is still valid: judged at the check and at the claim, never in the middle of a step. Raises Refusal (exit 6)."""
    until = decision_until(run)
    if now >= until:
        raise Refusal(
            "decision.expired",
            "the decision ran out before it was approved",
            exit_code=Exit.APPROVAL,
            found=f"valid until {whole_second(stamp(until))}, judged at {whole_second(stamp(now))}",
            expected="an approval before that time",
            fix="decide again: nothing of an old decision is reused",
        )


def reviewers_in(folder: RunDir) -> tuple[str, ...]:
    """Return who may review at the approval gate, as GitHub answered the plan: people, and teams by their names."""
    if not folder.has(GATE):
        return ()
    gate = folder.read_model(GATE, EnvironmentFact)
    return (*(person.login for person in gate.reviewers), *(f"team {slug}" for slug in gate.teams))


def decision_until(run: PlannedRun) -> datetime:
    """Return when the decision ends: at its own time, at the latest one narrowed lifetime after it was issued."""
    decision = run.decision
    latest = moment(decision.issued_at) + timedelta(seconds=seconds(run.config.policy.decision_lifetime))
    return min(moment(decision.expires_at), latest) if decision.expires_at else latest


def approval_until(request: ApprovalRequest) -> datetime:
    """Return when answers to the request stop counting."""
    return moment(request.requested_at) + timedelta(seconds=seconds(request.lifetime))


def may_proceed(run: CheckedRun) -> bool:
    """Return whether execute need be started: the run is approved, or GitHub's own gate will hold the job until it is reviewed.

    Never for a drill of the check, which is over.
    """
    if run.plan.exercise == "check":
        return False
    if "environment" in run.demand.channels and reviewers_in(run.folder):
        return True
    try:
        granted_approvals(run)
    except Refusal:
        return False
    return True


def _moment(text: str | None) -> datetime | None:
    return moment(text) if text else None
