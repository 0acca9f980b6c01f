"""Is there a yes: signatures, subject, people, time, quorum and nonces, judged once, at the claim (contracts, section 5).

A no of any approver ends it. What does not count is set aside and named, and cannot make up for what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from hyops_ci.approvals.request import asked, refuse_expired, refuse_self
from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, Approval, Person, Subject
from hyops_ci.contracts.base import moment, seconds
from hyops_ci.contracts.plan import ApprovalDemand
from hyops_ci.errors import Exit, Refusal
from hyops_ci.signing.dsse import open_envelope

SKEW: Final = timedelta(seconds=60)
"""How far an approver's clock may be ahead of ours."""
Window = tuple[datetime | None, datetime | None]


@dataclass(frozen=True)
class Bench:
    """What approvals are judged against."""

    demand: ApprovalDemand
    subject: Subject
    """As the run sees it. Its nonce is not compared; risks it names must be accepted."""
    requesters: tuple[Person, ...]
    now: datetime
    spent_nonces: Collection[str] = frozenset()
    requested_at: datetime | None = None
    """End of the check, where it is known: then nobody can move it."""
    validity: Mapping[str, Window] = field(default_factory=dict)
    """Public key -> when it may be used, from the host trust. A key that is not in it has no window."""


def judge(
    envelopes: Iterable[Any],
    demand: ApprovalDemand,
    subject: Subject,
    *,
    requesters: Sequence[Person],
    now: datetime,
    spent_nonces: Collection[str] = frozenset(),
    requested_at: datetime | None = None,
    validity: Mapping[str, Window] | None = None,
) -> tuple[Approval, ...]:
    """The approvals that carry the run, at least `demand.quorum` of them, from DSSE envelopes.

    Raises Refusal (exit 6): approval.envelope, approval.denied, approval.self, approval.expired, approval.subject,
    approval.nonce, approval.channel, approval.quorum or approval.unsigned.
    """
    bench = Bench(demand, subject, tuple(requesters), now, spent_nonces, requested_at, validity or {})
    approvals, ignored = opened(envelopes, bench)
    return weigh(approvals, bench, ignored)


def opened(envelopes: Iterable[Any], bench: Bench) -> tuple[list[Approval], list[str]]:
    """Approvals that a key of the plan signed in its owner's name, and notes on what was ignored. Raises Refusal (exit 6)."""
    approvers = bench.demand.approvers
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
            approval = Approval.model_validate_json(found.payload)
        except ValidationError as error:
            raise _unreadable(f"number {number}: {error.error_count()} fields do not fit") from None
        if approval.channel != "signed" or approvers.get(approval.approver.login) not in found.signers:
            ignored.append(f"number {number} speaks for {approval.approver.login}, whose key did not sign it")
            continue
        approvals.append(approval)
    return approvals, ignored


def weigh(approvals: Iterable[Approval], bench: Bench, ignored: Sequence[str] = ()) -> tuple[Approval, ...]:
    """The approvals that count, whatever their channel, when there are enough. Raises Refusal (exit 6) as `judge`."""
    granted: dict[str, Approval] = {}
    aside: list[Refusal] = []
    for approval in approvals:
        objection = next((found for gate in _OBJECTIONS if (found := gate(approval, bench)) is not None), None)
        if objection is None:
            key = bench.demand.approvers.get(approval.approver.login) if approval.channel == "signed" else None
            granted.setdefault(key or approval.approver.login.lower(), approval)
        elif objection.gate == "approval.denied":
            raise objection
        else:
            aside.append(objection)
    if len(granted) >= bench.demand.quorum:
        return tuple(granted.values())
    if not granted and aside:
        raise aside[0]
    notes = [*(f"{refusal.gate}: {refusal.found}" for refusal in aside), *ignored]
    raise _too_few(list(granted.values()), bench, notes)


def _denied(approval: Approval, bench: Bench) -> Refusal | None:
    """Any no to this subject, also a late one or a requester's own."""
    if approval.verdict != "deny" or _differs(approval.subject, bench.subject):
        return None
    comment = f': "{approval.comment}"' if approval.comment else ", without a word"
    return Refusal(
        "approval.denied",
        f"DENIED by {approval.approver.login}",
        exit_code=Exit.APPROVAL,
        found=f"{approval.approver.login} said no at {approval.observed_at}{comment}",
        expected="a yes",
        fix=f"talk to {approval.approver.login}; a new run asks again",
    )


def _another_subject(approval: Approval, bench: Bench) -> Refusal | None:
    differs = _differs(approval.subject, bench.subject)
    if bench.requested_at is not None and moment(approval.requested_at) != bench.requested_at:
        differs.append("requested_at")
    missing = set(bench.subject.accepted_risks) - set(approval.subject.accepted_risks)
    differs += [f"accepted_risks (not {risk})" for risk in sorted(missing)]
    if not differs:
        return None
    return _refusal(
        "approval.subject",
        "this approval is for something else",
        found=f"{approval.approver.login} answered another {', another '.join(differs)}",
        expected="an approval of exactly this decision, plan and check",
        fix="ask again: hyops-ci approve shows what is to be approved now",
    )


def _not_in_time(approval: Approval, bench: Bench) -> Refusal | None:
    asked_at, seen, until = (moment(each) for each in (approval.requested_at, approval.observed_at, approval.expires_at))
    limit = asked_at + timedelta(seconds=seconds(bench.demand.lifetime))
    not_before, not_after = bench.validity.get(bench.demand.approvers.get(approval.approver.login, ""), (None, None))
    if bench.now >= min(until, limit):
        return refuse_expired(min(until, limit), bench.now)
    ahead = max(asked_at, seen) > bench.now + SKEW
    if (
        until > limit
        or seen < asked_at - SKEW
        or ahead
        or (not_before and bench.now < not_before)
        or (not_after and bench.now >= not_after)
    ):
        return _refusal(
            "approval.time",
            "the times of this approval do not fit",
            found=f"{approval.approver.login}: asked {approval.requested_at}, answered {approval.observed_at}, until {approval.expires_at}",
            expected=f"at most {bench.demand.lifetime} from asking, none of it in the future, by a key that is valid now",
            fix="set the approver's clock, or use the key that the host trust names today; then sign again",
        )
    return None


def _own_request(approval: Approval, bench: Bench) -> Refusal | None:
    requesters = bench.requesters + approval.requesters
    if not asked(approval.approver, requesters):
        return None
    people = tuple(dict.fromkeys(bench.requesters or approval.requesters))
    return refuse_self(people, [approval.approver.login], moment(approval.observed_at), bench.demand.approvers)


def _spent(approval: Approval, bench: Bench) -> Refusal | None:
    if approval.subject.nonce not in bench.spent_nonces:
        return None
    return _refusal(
        "approval.nonce",
        "this approval was used before",
        found=f"nonce {approval.subject.nonce} of {approval.approver.login} is spent by an earlier claim",
        expected="an approval that no claim has used",
        fix="ask again: every run needs its own approval",
    )


def _wrong_channel(approval: Approval, bench: Bench) -> Refusal | None:
    if approval.channel in bench.demand.channels:
        return None
    return _refusal(
        "approval.channel",
        f"the plan takes no approval by {approval.channel}",
        found=f"{approval.approver.login} answered by {approval.channel}",
        expected=" or ".join(bench.demand.channels),
        fix="approve where the plan says",
    )


_OBJECTIONS: Final[tuple[Callable[[Approval, Bench], Refusal | None], ...]] = (
    _denied,
    _another_subject,
    _own_request,
    _spent,
    _wrong_channel,
    _not_in_time,
)


def _differs(given: Subject, expected: Subject) -> list[str]:
    compared = (name for name in Subject.model_fields if name not in ("nonce", "accepted_risks"))
    return [name for name in compared if getattr(given, name) != getattr(expected, name)]


def _too_few(granted: Sequence[Approval], bench: Bench, notes: Sequence[str]) -> Refusal:
    names = [approval.approver.login for approval in granted]
    have = {name.lower() for name in names}
    left = [each for each in bench.demand.approvers if each.lower() not in have and not asked(Person(login=each), bench.requesters)]
    quorum = bench.demand.quorum
    said = f"{len(granted)} of {quorum}: {', '.join(names)}" if granted else "no approval"
    return _refusal(
        "approval.quorum" if granted else "approval.unsigned",
        f"{len(granted)} of {quorum} approvals" if granted else "nobody has approved yet",
        found="; ".join((said, *notes)),
        expected=f"{quorum - len(granted)} more of {', '.join(left)}" if left else f"a reviewer of {bench.demand.gate} who did not ask",
        fix="hyops-ci approve --request FILE shows the plan and signs",
    )


def _named(envelope: dict[str, Any]) -> str:
    """The key ids an envelope claims; nothing was checked, so they are only shown."""
    ids = [each.get("keyid") for each in envelope["signatures"] if isinstance(each, dict)]
    return " and ".join(each[:60] for each in ids if isinstance(each, str)) or "nobody"


def _unreadable(found: str) -> Refusal:
    return _refusal(
        "approval.envelope",
        "an approval cannot be read",
        found=found,
        expected="a DSSE envelope as hyops-ci approve printed it",
        fix="pass the envelope as it is, or leave it out",
    )


def _refusal(gate: str, reason: str, *, found: str, expected: str, fix: str) -> Refusal:
    return Refusal(gate, reason, exit_code=Exit.APPROVAL, found=found, expected=expected, fix=fix)
