"""What the approver is asked, and what execute compares their answer with: one place, so that both speak of the same."""

from __future__ import annotations

import secrets

from hyops_ci.approvals.request import build_request
from hyops_ci.contracts.approval import ApprovalRequest, Person, Subject
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.config import HostTrust
from hyops_ci.contracts.decision import Decision
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.plan import Plan
from hyops_ci.stages.rundir import RunDir
from hyops_ci.stages.world import World

REQUEST = "request.json"
ISSUER = "github:"


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
        requesters=requesters_of(decision, world),
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
    )


def requesters_of(decision: Decision, world: World) -> tuple[Person, ...]:
    """Everybody who may not approve: whoever started the run, and the issuer if it is a login (contracts, section 5)."""
    people = [Person(login=login, id=number) for login, number in world.job.requesters]
    if decision.issuer.startswith(ISSUER):
        people.append(Person(login=decision.issuer.removeprefix(ISSUER)))
    unique = {person.login.lower(): person for person in reversed(people)}
    return tuple(reversed(unique.values()))


def quorum_of(plan: Plan, trust: HostTrust | None) -> int:
    """The stricter of plan and host trust."""
    return max(plan.approval.quorum, trust.quorum if trust is not None else 1)
