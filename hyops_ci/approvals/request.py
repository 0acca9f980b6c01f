"""Read an approval request, and sign the answer to exactly what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, Approval, ApprovalRequest, Person
from hyops_ci.contracts.base import moment, seconds, stamp, whole_second
from hyops_ci.contracts.digest import canonical
from hyops_ci.errors import Exit, Refusal
from hyops_ci.parsing.documents import read_document
from hyops_ci.parsing.strict_json import JsonError
from hyops_ci.signing.dsse import public_of, sign

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAX_REQUEST: Final = 1 << 20
SKEW: Final = timedelta(seconds=60)
"""How far another machine's clock may be ahead of ours."""


def read_request(content: bytes) -> ApprovalRequest:
    """Return the request in `content`. Raises Refusal (exit 6) if its subject differs from the documents that it shows."""
    try:
        request = read_document(ApprovalRequest, content, most=MAX_REQUEST)
    except JsonError as error:
        raise _unfit(str(error)) from None
    subject, plan, check = request.subject, request.plan, request.check
    shown = {
        "plan_digest": plan.digest(),
        "check_digest": check.digest(),
        "decision_digest": request.decision.digest(),
        "service": plan.service,
        "decision_type": plan.decision_type,
    }
    differs = [field for field, value in shown.items() if getattr(subject, field) != value]
    # A host may shorten the lifetime that the plan asks for; nothing lengthens it.
    linked = plan.decision_digest == request.decision.digest() and check.plan_digest == plan.digest()
    if differs or not linked or seconds(request.lifetime) > seconds(plan.approval.lifetime):
        raise _unfit(f"{', '.join(differs) or 'decision, check or lifetime'} is not that of the documents shown")
    return request


def answer(
    request: ApprovalRequest,
    verdict: Literal["approve", "deny"],
    person: Person,
    key: Ed25519PrivateKey,
    *,
    now: datetime,
    comment: str = "",
    accepted_risks: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the signed answer of `person` as a DSSE envelope. `accepted_risks` are added to those of the request.

    Raises Refusal (exit 6) for an approval of one's own request, or of one that has expired.
    """
    until = moment(request.requested_at) + timedelta(seconds=seconds(request.lifetime))
    if verdict == "approve" and person.among(request.requesters):
        raise self_approval(request.requesters, [person.login], now, request.plan.approval.approvers)
    if moment(request.requested_at) > now + SKEW:
        raise Refusal(
            "approval.time",
            "this request comes from the future",
            exit_code=Exit.APPROVAL,
            found=f"asked {whole_second(request.requested_at)}, and here it is {whole_second(stamp(now))}",
            expected=f"at most {SKEW.seconds} s ahead",
            fix="set the clock of this machine; if it is right, sign nothing and find out who wrote the request",
        )
    if now >= until:
        raise approval_expired(until, now)
    risks = tuple(dict.fromkeys((*request.subject.accepted_risks, *accepted_risks)))
    approval = Approval(
        subject=request.subject.model_copy(update={"accepted_risks": risks}),
        verdict=verdict,
        approver=person,
        requesters=request.requesters,
        requested_at=request.requested_at,
        observed_at=stamp(now),
        expires_at=stamp(until),
        channel="signed",
        comment=comment,
        key_id=public_of(key),
    )
    return sign(canonical(approval.document()), APPROVAL_PAYLOAD, [key])


def self_approval(
    requesters: Sequence[Person], approved: Sequence[str], seen: datetime, approvers: Sequence[str] | dict[str, str]
) -> Refusal:
    """Return the refusal for a requester who approves."""
    left = [login for login in approvers if not Person(login=login).among(requesters)]
    return Refusal(
        "approval.self",
        "asked and approved by the same person",
        exit_code=Exit.APPROVAL,
        found=f"asked {' and '.join(each.login for each in requesters)}, approved {' and '.join(approved)} (seen {seen:%H:%M:%S}Z)",
        expected=" or ".join(left) or "an approver who did not ask; the plan names none",
        fix="new run, other approver. Alone tonight: docs/approvals.md (sealed second key; its use is recorded)",
        docs="approvals.md",
    )


def approval_expired(until: datetime, now: datetime) -> Refusal:
    """Return the refusal for an answer after its time."""
    return Refusal(
        "approval.expired",
        "the time to approve this is over",
        exit_code=Exit.APPROVAL,
        found=f"valid until {until:%Y-%m-%dT%H:%M:%SZ}, judged at {now:%Y-%m-%dT%H:%M:%SZ}",
        expected="an answer before that time",
        fix="start a new run; its check looks again, and its approver reads what is true then",
    )


def _unfit(found: str) -> Refusal:
    return Refusal(
        "approval.request",
        "the request does not show what it asks for",
        exit_code=Exit.APPROVAL,
        found=found,
        expected="an ApprovalRequest as the check of this release wrote it",
        fix="take the request again from the run's artifact; sign nothing else",
    )
