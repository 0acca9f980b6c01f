"""Who stands behind what a ledger holds: the word that settled it, and the answers that wait, as far as a config's keys can tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hyops_ci.approvals.settlement import read_settlement
from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, Approval
from hyops_ci.contracts.base import moment
from hyops_ci.contracts.config import Approvals
from hyops_ci.contracts.ledger import Answer, Tip
from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger.pending_approvals import approval_in
from hyops_ci.signing.dsse import open_envelope


@dataclass(frozen=True)
class Word:
    """A settlement: who is said to have given it, and whether their keys did. `verified` is None where there was no key to try."""

    by: str
    signed: bool
    verified: bool | None = None

    @property
    def line(self) -> str:
        """The same for people."""
        if not self.signed:
            return f"by {self.by}, unsigned: the approval is in the evidence of the run that settled"
        return f"signed by {self.by}, verified" if self.verified else f"signed by {self.by}, as it says; not verified: no config given"


@dataclass(frozen=True)
class Waiting:
    """An answer that no run has claimed with: what it says of itself, and whether the key of its author signed it."""

    login: str
    verdict: str
    plan_digest: str
    expires_at: str
    over: bool
    verified: bool | None = None

    @property
    def line(self) -> str:
        """The same for people."""
        who = {
            True: f"{self.login} (verified)",
            False: f"NOT {self.login}: their key did not sign it",
            None: f"claims to be by {self.login}",
        }
        until = f"was valid until {self.expires_at}" if self.over else f"until {self.expires_at}"
        return f"{self.verdict} of plan {self.plan_digest[7:15]}, {until}; {who[self.verified]}"

    def document(self) -> dict[str, Any]:
        """The JSON value."""
        return {**vars(self)}


def settlement_of(tip: Tip, approvals: Approvals | None) -> Word | None:
    """The word that settled this tip; None where nothing was settled.

    Raises Refusal (exit 5) `ledger.settlement` where the config's approvers did not sign exactly this, or not enough of them.
    """
    if not tip.settled_by:
        return None
    if tip.settlement is None or approvals is None:
        return Word(tip.settled_by, signed=tip.settlement is not None)
    try:
        word, keys = read_settlement(tip.settlement, approvals.approvers.values())
    except ValueError as error:
        raise _wrong(tip, f"it cannot be read: {error}", approvals) from None
    names = ("service", "ledger_id", "epoch", "serves", "reason")
    if differs := [name for name in names if getattr(word, name) != getattr(tip, name)]:
        raise _wrong(tip, f"what was signed has another {', another '.join(differs)}", approvals)
    people = [login for login, key in approvals.approvers.items() if key in keys]
    if len(people) < approvals.quorum:
        raise _wrong(tip, f"{len(people)} of {approvals.quorum} signed it: {', '.join(people) or 'nobody'}", approvals)
    return Word(", ".join(people), signed=True, verified=True)


def waiting_on(tip: Tip, approvals: Approvals | None, now: datetime) -> tuple[Waiting, ...]:
    """The answers in a tip, in the order in which they came; what is no approval inside is left out."""
    found = ((answer, approval_in(answer)) for answer in tip.answers)
    return tuple(
        Waiting(
            login=said.approver.login,
            verdict=said.verdict,
            plan_digest=said.subject.plan_digest,
            expires_at=said.expires_at,
            over=now >= moment(said.expires_at),
            verified=_is_theirs(answer, said, approvals),
        )
        for answer, said in found
        if said is not None
    )


def _is_theirs(answer: Answer, said: Approval, approvals: Approvals | None) -> bool | None:
    if approvals is None:
        return None
    key = approvals.approvers.get(said.approver.login)
    return key is not None and key in open_envelope(answer.document(), APPROVAL_PAYLOAD, [key]).signers


def _wrong(tip: Tip, found: str, approvals: Approvals) -> Refusal:
    return Refusal(
        "ledger.settlement",
        "the word that settled this ledger is not its approvers'",
        exit_code=Exit.CONFLICT,
        found=f"epoch {tip.epoch}, serves from {tip.serves}, settled by {tip.settled_by}: {found}",
        expected=f"this, signed by {approvals.quorum} of {', '.join(approvals.approvers) or 'nobody: none is named'}",
        fix="find out who wrote it (ledger show --history, the repository's audit log), and which side serves, before anything runs",
        docs="ledger.md",
    )
