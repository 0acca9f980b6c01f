"""Decide whether a run is approved: signatures, reviews, people and quorum, once, at the claim (docs/design/contracts.md 5).

A denial by any approver ends the run. An approval that does not count is named in the refusal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hyops_ci.approvals.context import ApprovalContext
from hyops_ci.approvals.objections import OBJECTIONS, approval_refusal
from hyops_ci.approvals.requesters import refuse_unknown_machines
from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, Approval, Person
from hyops_ci.errors import Refusal
from hyops_ci.parsing.documents import read_document
from hyops_ci.parsing.strict_json import JsonError
from hyops_ci.signing.dsse import open_envelope


def judge_approvals(envelopes: Iterable[Any], context: ApprovalContext, *, reviews: Sequence[Approval] = ()) -> tuple[Approval, ...]:
    """Return the approvals that carry the run, one for each person, at least as many as demanded: from DSSE envelopes and from reviews.

    `reviews` are the run's review history (`approvals.reviews.approvals_of`).

    Raises Refusal (exit 6): approval.envelope, approval.bypass, approval.denied, approval.requester, approval.self,
    approval.expired, approval.subject, approval.nonce, approval.channel, approval.stranger, approval.machine, approval.quorum
    or approval.unsigned.
    """
    demand = context.demand
    signed, ignored = open_approvals(envelopes, context)
    if context.gate_passed and not reviews and "environment" in demand.channels:
        if "signed" not in demand.channels:
            raise bypassed_gate(demand.gate)
        ignored.append(f"nobody reviewed {demand.gate}, although its job runs")
    return count_approvals([*signed, *reviews], context, ignored)


def open_approvals(envelopes: Iterable[Any], context: ApprovalContext) -> tuple[list[Approval], list[str]]:
    """Return the approvals that a key of the plan signed in its owner's name, and notes on ignored ones. Raises Refusal (exit 6)."""
    approvers = context.demand.approvers
    approvals, ignored = [], []
    for number, envelope in enumerate(envelopes, 1):
        try:
            found = open_envelope(envelope, APPROVAL_PAYLOAD, approvers.values())
        except ValueError as error:
            raise _unreadable(f"number {number}: {error}") from None
        if not found.signers:
            ignored.append(f"number {number} is signed by {_named(envelope)}, no approver's key")
            continue
        try:
            approval = read_document(Approval, found.payload)
        except JsonError as error:
            raise _unreadable(f"number {number}: {error}") from None
        if approval.channel != "signed" or approvers.get(approval.approver.login) not in found.signers:
            ignored.append(f"number {number} speaks for {approval.approver.login}, whose key did not sign it")
            continue
        approvals.append(approval)
    return approvals, ignored


def count_approvals(approvals: Iterable[Approval], context: ApprovalContext, ignored: Sequence[str] = ()) -> tuple[Approval, ...]:
    """Return the approvals that count, one per person, if there are enough. Raises Refusal (exit 6) as `judge_approvals`."""
    granted: list[Approval] = []
    not_counted: list[Refusal] = []
    for approval in approvals:
        objection = next((found for gate in OBJECTIONS if (found := gate(approval, context)) is not None), None)
        if objection is None:
            granted.append(approval)
        elif objection.gate == "approval.denied":
            raise objection
        else:
            not_counted.append(objection)
    refuse_unknown_machines(context.requesters, context.apps)
    people = _people(granted, context)
    if len(people) >= context.demand.quorum:
        if len(people) < 2 and any(each.bot for each in context.requesters) and not any(each.channel == "signed" for each in granted):
            raise _machine(context, granted)
        return tuple(people)
    if not people and not_counted:
        raise not_counted[0]
    notes = [*(f"{refusal.gate}: {refusal.found}" for refusal in not_counted), *ignored]
    raise _too_few(people, context, notes)


def _people(granted: Sequence[Approval], context: ApprovalContext) -> list[Approval]:
    """Return the first approval of each person. Approvals that share a login, a number or a key, on any channel, are one person's."""
    groups: list[tuple[int, set[object]]] = []
    for place, approval in enumerate(granted):
        names: set[object] = {*(login.lower() for login in context.logins_of(approval.approver)), *context.ids_of(approval.approver)}
        if approval.channel == "signed":
            names.add(context.demand.approvers.get(approval.approver.login))
        same = [group for group in groups if group[1] & names]
        merged = (min((place, *(first for first, _ in same))), names.union(*(others for _, others in same)))
        groups = [*(group for group in groups if group not in same), merged]
    return [granted[first] for first in sorted(first for first, _ in groups)]


def _too_few(granted: Sequence[Approval], context: ApprovalContext, notes: Sequence[str]) -> Refusal:
    names = [approval.approver.login for approval in granted]
    have = {name.lower() for name in names}
    people = (Person(login=each) for each in context.demand.approvers if each.lower() not in have)
    left = [person.login for person in people if not context.is_requester(person, context.requesters)]
    quorum = context.demand.quorum
    said = f"{len(granted)} of {quorum}: {', '.join(names)}" if granted else "no approval"
    return approval_refusal(
        "approval.quorum" if granted else "approval.unsigned",
        f"{len(granted)} of {quorum} approvals" if granted else "nobody has approved yet",
        found="; ".join((said, *notes)),
        expected=f"{quorum - len(granted)} more of {', '.join(left)}" if left else f"a reviewer of {context.demand.gate} who did not ask",
        fix="hyops-ci approve --request FILE shows the plan and signs",
    )


def bypassed_gate(gate: str) -> Refusal:
    """Return the refusal for a job that runs behind a gate which nobody reviewed."""
    return approval_refusal(
        "approval.bypass",
        "the approval gate was bypassed",
        found=f"the job behind {gate} runs, and the run's history has no review of {gate}",
        expected=f"a reviewer's yes at {gate}; an administrator's bypass leaves none",
        fix=f"new run, approved by a reviewer of {gate}; switch off 'Allow administrators to bypass' there",
        docs="approvals.md",
    )


def _machine(context: ApprovalContext, granted: Sequence[Approval]) -> Refusal:
    machine = next(each.login for each in context.requesters if each.bot)
    return approval_refusal(
        "approval.machine",
        "a machine asked, and one review is not enough for that",
        found=f"asked by {machine}, reviewed by {granted[0].approver.login}; who stands behind the machine is not known",
        expected="a signed approval, or two people's",
        fix="hyops-ci approve signs; or start the run by hand and have it reviewed",
        docs="approvals.md",
    )


def _named(envelope: dict[str, Any]) -> str:
    """Return the key ids that an envelope names. They are not verified, so they are only shown."""
    ids = [each.get("keyid") for each in envelope["signatures"] if isinstance(each, dict)]
    return " and ".join(each[:60] for each in ids if isinstance(each, str)) or "nobody"


def _unreadable(found: str) -> Refusal:
    return approval_refusal(
        "approval.envelope",
        "an approval cannot be read",
        found=found,
        expected="a DSSE envelope as hyops-ci approve printed it",
        fix="pass the envelope as it is, or leave it out",
    )
