"""Verify the signatures stored in a ledger tip (settlement, pending approvals) with the config's public keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, Approval
from hyops_ci.contracts.base import moment, whole_second
from hyops_ci.contracts.config import Approvals
from hyops_ci.contracts.ledger import Answer, Tip
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Refusal
from hyops_ci.ledger.pending_approvals import approval_in
from hyops_ci.ledger.settlement import one_login_each, read_settlement, settled_wrongly
from hyops_ci.signing.dsse import open_envelope


@dataclass(frozen=True)
class SettlementSignature:
    """Who settled, and whether their keys signed it. `verified` is None without keys to verify with."""

    by: str
    signed: bool
    verified: bool | None = None

    @property
    def line(self) -> str:
        """As text."""
        if not self.signed:
            return f"by {self.by}, unsigned: the approval is in the evidence of the run that settled"
        return f"signed by {self.by}, verified" if self.verified else f"signed by {self.by}, as it claims; not verified: no config given"


@dataclass(frozen=True)
class PendingApproval:
    """An answer that no run has used yet: what it claims, and whether its author's key signed it."""

    login: str
    verdict: str
    plan_digest: str
    expires_at: str
    over: bool
    verified: bool | None = None

    @property
    def line(self) -> str:
        """As text."""
        who = {
            True: f"{self.login} (verified)",
            False: f"NOT {self.login}: their key did not sign it",
            None: f"claims to be by {self.login}",
        }
        until = f"{'was valid ' if self.over else ''}until {whole_second(self.expires_at)}"
        return f"{self.verdict} of plan {self.plan_digest[7:15]}, {until}; {who[self.verified]}"

    def document(self) -> dict[str, Any]:
        """Return the JSON value."""
        return {**vars(self)}


def settlement_of(tip: Tip, approvals: Approvals | None) -> SettlementSignature | None:
    """Return who settled this tip, None where it was not settled.

    Raises Refusal (exit 5) `ledger.settlement` where the config's approvers did not sign exactly this settlement, or too few did.
    """
    if not tip.settled_by:
        return None
    if tip.settlement is None or approvals is None:
        return SettlementSignature(tip.settled_by, signed=tip.settlement is not None)
    try:
        settlement, keys = read_settlement(tip.settlement, approvals.approvers.values())
    except ValueError as error:
        raise _wrong(tip, f"it cannot be read: {error}", approvals) from None
    names = ("service", "ledger_id", "epoch", "serves", "reason")
    if differs := [name for name in names if getattr(settlement, name) != getattr(tip, name)]:
        raise _wrong(tip, f"what was signed has another {', another '.join(differs)}", approvals)
    people = one_login_each((login for login, key in approvals.approvers.items() if key in keys), approvals.approvers)
    if len(people) < approvals.quorum:
        raise _wrong(tip, f"{len(people)} of {approvals.quorum} signed it: {', '.join(people) or 'none'}", approvals)
    return SettlementSignature(", ".join(people), signed=True, verified=True)


def pending_approvals(tip: Tip, approvals: Approvals | None, now: datetime) -> tuple[PendingApproval, ...]:
    """Return the pending approvals of a tip, in the order in which they came; other content is left out."""
    found = ((answer, approval_in(answer)) for answer in tip.answers)
    return tuple(
        PendingApproval(
            login=said.approver.login,
            verdict=said.verdict,
            plan_digest=said.subject.plan_digest,
            expires_at=said.expires_at,
            over=now >= moment(said.expires_at),
            verified=_verified(answer, said, approvals),
        )
        for answer, said in found
        if said is not None
    )


def _verified(answer: Answer, said: Approval, approvals: Approvals | None) -> bool | None:
    if approvals is None:
        return None
    key = approvals.approvers.get(said.approver.login)
    return key is not None and key in open_envelope(answer.document(), APPROVAL_PAYLOAD, [key]).signers


def _wrong(tip: Tip, found: str, approvals: Approvals) -> Refusal:
    return settled_wrongly(tip, found, approvals.approvers, approvals.quorum)
