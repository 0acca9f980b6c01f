"""What the approver is asked, and what execute compares their answer with: one place, so that both speak of the same."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from hyops_ci.approvals.judge import judge
from hyops_ci.approvals.request import build_request
from hyops_ci.approvals.requesters import everybody
from hyops_ci.approvals.reviews import approvals_of
from hyops_ci.config.file import read_config
from hyops_ci.contracts.approval import Approval, ApprovalRequest, Person, Subject
from hyops_ci.contracts.base import moment, seconds, stamp
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.decision import Decision
from hyops_ci.contracts.facts import EnvironmentFact
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.plan import Plan
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.environments import environment
from hyops_ci.github.reviews import reviews
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.planning.protection import weaker
from hyops_ci.signing.dsse import read_envelopes
from hyops_ci.stages.context import World
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.origin import ORIGIN, Origin

REQUEST = "request.json"
ENVELOPES = "approvals/envelopes.json"
GATE = "gate.json"
"""What GitHub said of the approval gate before it was passed."""


def ask_for_approval(plan: Plan, check: Check, run: RunDir, world: World) -> ApprovalRequest:
    """Write the request of this run, with a nonce of its own."""
    tip = world.ledger(plan.service).tip()
    decision = run.read_model("decision.json", Decision)
    document = build_request(
        plan,
        check,
        repository_id=world.job.repository_id,
        ledger_id=tip.ledger_id,
        min_epoch=tip.epoch,
        nonce=secrets.token_hex(16),
        requesters=requesters_of(decision, run),
        requested_at=world.clock.now().replace(microsecond=0),
        rationale=decision.rationale,
    )
    run.write_json(REQUEST, document)
    return run.read_model(REQUEST, ApprovalRequest)


def subject_of(plan: Plan, check: Check, tip: Tip, world: World) -> Subject:
    """What an approval must be about to carry this run. The nonce is the approval's own."""
    return Subject(
        repository_id=world.job.repository_id,
        ledger_id=tip.ledger_id,
        min_epoch=tip.epoch,
        nonce="0" * 32,
        decision_digest=plan.decision_digest,
        plan_digest=plan.digest(),
        check_digest=check.digest(),
        service=plan.service,
        decision_type=plan.decision_type,
        accepted_risks=world.ledger_in_use(plan.service).risks,
    )


def requesters_of(decision: Decision, run: RunDir) -> tuple[Person, ...]:
    """Everybody who may not approve: whoever asked, as GitHub told the plan, and the issuer if a login (docs/design/contracts.md 5)."""
    return everybody(run.read_model(ORIGIN, Origin).requesters, issuer=decision.issuer)


def keep_envelopes(text: str, run: RunDir) -> None:
    """The signed answers that came with the run, as they came."""
    if text.strip():
        run.write_json(ENVELOPES, read_envelopes(text))


def weigh(
    plan: Plan, check: Check, tip: Tip, run: RunDir, world: World, *, gate_passed: bool = False, at: datetime | None = None
) -> tuple[Approval, ...]:
    """The approvals that carry this run. Raises Refusal (exit 6). What counts is judged at the claim, by this clock.

    Signed answers came with the run, or wait in the ledger; reviews are GitHub's. `gate_passed`: the job behind the approval gate runs.
    `at`: judged as of then, for whoever asks later what was said in time.
    """
    decision = run.read_model("decision.json", Decision)
    now = at or world.judged_at()
    refuse_old_decision(decision, read_config(run.read("sources/config"))[0], now)
    if not plan.approval.required:
        return ()
    ledger, subject, trust = world.ledger(plan.service), subject_of(plan, check, tip, world), world.trust
    people = trust.approvers if trust is not None else ()
    quorum = max(plan.approval.quorum, world.min_quorum, trust.quorum if trust is not None else 1)
    requesters = requesters_of(decision, run)
    return judge(
        envelopes_for(subject, ledger, run),
        plan.approval.model_copy(update={"quorum": quorum}),
        subject,
        requesters=requesters,
        now=now,
        spent_nonces=ledger.spent_nonces(),
        validity={each.key: (_moment(each.not_before), _moment(each.not_after)) for each in people if each.key},
        reviews=reviews_of(plan, requesters, run, world),
        gate_passed=gate_passed and world.github is not None,
        approvers={each.id: each.login for each in people} if trust is not None else None,
        apps=trust.apps if trust is not None else frozenset() if gate_passed else None,
    )


def envelopes_for(subject: Subject, ledger: Ledger, run: RunDir) -> list[Any]:
    """The signed answers to this subject: those that came with the run, then those that wait in the ledger."""
    kept = run.read_json(ENVELOPES) if run.has(ENVELOPES) else []
    return [*kept, *(each for each in ledger.answers(subject) if each not in kept)]


def gather_envelopes(plan: Plan, check: Check, tip: Tip, run: RunDir, world: World) -> None:
    """Keep the ledger's answers with the run: the evidence proves every signature by itself."""
    found = envelopes_for(subject_of(plan, check, tip, world), world.ledger(plan.service), run)
    if found:
        run.write_json(ENVELOPES, found)


def reviews_of(plan: Plan, requesters: tuple[Person, ...], run: RunDir, world: World) -> tuple[Approval, ...]:
    """What was answered at the approval gate of this run. Nothing where the plan does not ask there, or there is no GitHub."""
    if world.github is None or "environment" not in plan.approval.channels or not run.has(REQUEST):
        return ()
    number, request = int(world.job.run_id.partition("-")[0]), run.read_model(REQUEST, ApprovalRequest)
    return approvals_of(
        reviews(world.github, number),
        run_id=number,
        attempt=world.job.attempt,
        gate=plan.approval.gate,
        subject=request.subject,
        requesters=requesters,
        requested_at=request.requested_at,
        observed_at=world.clock.now(),
        lifetime=plan.approval.lifetime,
    )


def refuse_weaker_gate(plan: Plan, granted: tuple[Approval, ...], run: RunDir, world: World) -> None:
    """Read the approval gate again, now that it was passed: a review counts for what the gate was when it was planned.

    Raises Refusal (exit 4).
    """
    if world.github is None or not run.has(GATE) or not any(each.channel == "environment" for each in granted):
        return
    lost = weaker(run.read_model(GATE, EnvironmentFact), environment(world.github, plan.approval.gate))
    if lost:
        raise Refusal(
            "gate.weaker",
            "the approval gate protects less than when this run was planned",
            exit_code=Exit.POLICY,
            found=f"{plan.approval.gate}: {lost}",
            expected="the same protection before and after the approval",
            fix="find out who changed the environment (audit log); repair it (hyops-ci environment check); then a new run",
            docs="approvals.md",
        )


def refuse_old_decision(decision: Decision, config: DispatchConfig, now: datetime) -> None:
    """A decision's own life is judged at the claim too, and never in mid-step. Raises Refusal (exit 6)."""
    until = decision_until(decision, config)
    if now >= until:
        raise Refusal(
            "decision.expired",
            "the decision ran out before it was approved",
            exit_code=Exit.APPROVAL,
            found=f"valid until {stamp(until)}, judged at {stamp(now)}",
            expected="a yes before that time",
            fix="decide again: nothing of an old decision is reused",
        )


def reviewers_in(run: RunDir) -> tuple[str, ...]:
    """Who may review at the approval gate, as GitHub told the plan: people, and teams by their names."""
    if not run.has(GATE):
        return ()
    gate = run.read_model(GATE, EnvironmentFact)
    return (*(person.login for person in gate.reviewers), *(f"team {slug}" for slug in gate.teams))


def decision_until(decision: Decision, config: DispatchConfig) -> datetime:
    """When a decision ends by itself: as it says, or a lifetime after it was issued."""
    lifetime = timedelta(seconds=seconds(config.policy.decision_lifetime))
    return moment(decision.expires_at) if decision.expires_at else moment(decision.issued_at) + lifetime


def may_proceed(run: RunDir, world: World) -> bool:
    """Whether execute need be started: the yes is there, or GitHub's own gate will hold the job until somebody reviewed it."""
    plan, check = run.read_model("plan.json", Plan), run.read_model("check.json", Check)
    if "environment" in plan.approval.channels and reviewers_in(run):
        return True
    try:
        weigh(plan, check, world.ledger(plan.service).tip(), run, world)
    except Refusal:
        return False
    return True


def _moment(text: str | None) -> datetime | None:
    return moment(text) if text else None
