"""Why an approval does not count: one function for each reason, in the order in which they are applied."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from hyops_ci.approvals.context import ApprovalContext
from hyops_ci.approvals.request import SKEW, approval_expired, self_approval
from hyops_ci.contracts.approval import Approval, Subject
from hyops_ci.contracts.base import moment, seconds, whole_second
from hyops_ci.errors import Exit, Refusal


def _denied(approval: Approval, context: ApprovalContext) -> Refusal | None:
    """A denial of this subject, also a late one or a requester's own."""
    if approval.verdict != "deny" or _differs(approval.subject, context.subject):
        return None
    comment = f': "{approval.comment}"' if approval.comment else ", without a comment"
    return Refusal(
        "approval.denied",
        f"DENIED by {approval.approver.login}",
        exit_code=Exit.APPROVAL,
        found=f"{approval.approver.login} said no at {whole_second(approval.observed_at)}{comment}",
        expected="an approval",
        fix=f"talk to {approval.approver.login}; a new run asks again",
    )


def _another_subject(approval: Approval, context: ApprovalContext) -> Refusal | None:
    differs = _differs(approval.subject, context.subject)
    if context.requested_at is not None and moment(approval.requested_at) != context.requested_at:
        differs.append("requested_at")
    missing = set(context.subject.accepted_risks) - set(approval.subject.accepted_risks)
    differs += [f"accepted_risks (not {risk})" for risk in sorted(missing)]
    return _for_another(f"{approval.approver.login} answered another {', another '.join(differs)}") if differs else None


def _other_requesters(approval: Approval, context: ApprovalContext) -> Refusal | None:
    """Somebody asked of whom the approver was not told."""
    hidden = [each.login for each in context.requesters if not each.among(approval.requesters)]
    named = " and ".join(each.login for each in approval.requesters) or "nobody"
    found = f"{approval.approver.login} answered a request of {named}; {' and '.join(hidden)} asked, too"
    return _for_another(found) if hidden else None


def _for_another(found: str) -> Refusal:
    return approval_refusal(
        "approval.subject",
        "this approval is for something else",
        found=found,
        expected="an approval of exactly this decision, plan and check, for those who asked",
        fix="ask again: hyops-ci approve shows what is to be approved now",
    )


def _not_in_time(approval: Approval, context: ApprovalContext) -> Refusal | None:
    asked_at, seen, until = (moment(each) for each in (approval.requested_at, approval.observed_at, approval.expires_at))
    limit = asked_at + timedelta(seconds=seconds(context.demand.lifetime))
    not_before, not_after = context.validity.get(context.demand.approvers.get(approval.approver.login, ""), (None, None))
    if context.now >= min(until, limit):
        return approval_expired(min(until, limit), context.now)
    ahead = max(asked_at, seen) > context.now + SKEW
    if (
        until > limit
        or seen < asked_at - SKEW
        or ahead
        or (not_before and context.now < not_before)
        or (not_after and context.now >= not_after)
    ):
        times = [whole_second(at) for at in (approval.requested_at, approval.observed_at, approval.expires_at)]
        return approval_refusal(
            "approval.time",
            "the times of this approval do not fit",
            found=f"{approval.approver.login}: asked {times[0]}, answered {times[1]}, until {times[2]}",
            expected=f"at most {context.demand.lifetime} from asking, none of it in the future, by a key that is valid now",
            fix="set the approver's clock, or use the key that the host trust names today; then sign again",
        )
    return None


def _own_request(approval: Approval, context: ApprovalContext) -> Refusal | None:
    requesters = context.requesters + approval.requesters
    if not context.is_requester(approval.approver, requesters):
        return None
    people = tuple(dict.fromkeys(context.requesters or approval.requesters))
    return self_approval(people, [approval.approver.login], moment(approval.observed_at), context.demand.approvers)


def _spent(approval: Approval, context: ApprovalContext) -> Refusal | None:
    if approval.subject.nonce not in context.spent_nonces:
        return None
    return approval_refusal(
        "approval.nonce",
        "this approval was used before",
        found=f"nonce {approval.subject.nonce} of {approval.approver.login} is spent by an earlier claim",
        expected="an approval that no claim has used",
        fix="ask again: every run needs its own approval",
    )


def _wrong_channel(approval: Approval, context: ApprovalContext) -> Refusal | None:
    if approval.channel in context.demand.channels:
        return None
    return approval_refusal(
        "approval.channel",
        f"the plan takes no approval by {approval.channel}",
        found=f"{approval.approver.login} answered by {approval.channel}",
        expected=" or ".join(context.demand.channels),
        fix="approve where the plan says",
    )


def _stranger(approval: Approval, context: ApprovalContext) -> Refusal | None:
    """A review by a machine, by an account without a number, or by a person who is not an approver of this host."""
    if approval.channel != "environment":
        return None  # a signature speaks for itself: its key is the plan's, and the host's
    person, known = approval.approver, context.approvers
    if not person.bot and person.id and (known is None or person.id in known):
        return None
    expected = "a person" if known is None else " or ".join(f"{login} ({number})" for number, login in sorted(known.items())) or "nobody"
    return approval_refusal(
        "approval.stranger",
        "a machine cannot approve" if person.bot else "this host takes no word from this person",
        found=f"{person.login} (user id {person.id or 'unknown'}) reviewed {context.demand.gate}",
        expected=expected,
        fix="another reviewer, in a new run; or, as root on the runner, add them to approvers in /etc/dr-dispatch/trust.json",
    )


OBJECTIONS: Final[tuple[Callable[[Approval, ApprovalContext], Refusal | None], ...]] = (
    _denied,
    _another_subject,
    _own_request,
    _other_requesters,
    _spent,
    _wrong_channel,
    _stranger,
    _not_in_time,
)


def _differs(given: Subject, expected: Subject) -> list[str]:
    compared = (name for name in Subject.model_fields if name not in ("nonce", "accepted_risks"))
    return [name for name in compared if getattr(given, name) != getattr(expected, name)]


def approval_refusal(gate: str, reason: str, *, found: str, expected: str, fix: str, docs: str = "") -> Refusal:
    """Return a refusal of the family "not approved"."""
    return Refusal(gate, reason, exit_code=Exit.APPROVAL, found=found, expected=expected, fix=fix, docs=docs)
