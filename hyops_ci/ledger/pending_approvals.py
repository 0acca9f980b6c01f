"""Pending approvals: signed answers are kept in the tip until the run that asked for them claims (docs/design/contracts.md 5).

Pure. Signatures are verified once, at the claim; an answer that could never count is refused here.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol

from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, Approval, Subject
from hyops_ci.contracts.base import moment, whole_second
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.ledger import MAX_ANSWER, MAX_ANSWERS, Answer, Tip
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.parsing.documents import read_document
from hyops_ci.parsing.strict_json import JsonError
from hyops_ci.signing.dsse import open_envelope

_QUESTION: Final = ("repository_id", "service", "decision_type", "decision_digest", "plan_digest", "check_digest")
"""What an answer must share with the question. Nonce and risks are the answer's own, the epoch is judged at the claim."""


class Asked(Protocol):
    """What identifies a request for approval: a subject, or the request of a claim."""

    @property
    def decision_digest(self) -> str:
        """Of the decision."""
        ...

    @property
    def plan_digest(self) -> str:
        """Of the plan."""
        ...

    @property
    def check_digest(self) -> str:
        """Of the check."""
        ...


@dataclass(frozen=True)
class SignedAnswer:
    """An envelope as it was sent, and the approval in it; its signature is not verified yet."""

    answer: Answer
    approval: Approval

    @property
    def title(self) -> str:
        """The title of its commit on the branch."""
        return f"{self.approval.verdict} by {self.approval.approver.login} (as it says) for plan {self.approval.subject.plan_digest[7:15]}"


def read_answer(envelope: Any) -> SignedAnswer:
    """Return the envelope with its approval. Raises Refusal (exit 6) `ledger.answer` for anything else."""
    try:
        # By way of JSON, as it will be read again: a strict model does not take a list for a tuple.
        answer = read_document(Answer, canonical(dict(envelope) if isinstance(envelope, Mapping) else None))
        size, found = len(canonical(answer.document())), ""
        approval = read_document(Approval, base64.b64decode(answer.payload))
        if size <= MAX_ANSWER:
            return SignedAnswer(answer, approval)
        found = f"{size} bytes"
    except JsonError as error:
        found = str(error)
    except (ValueError, RecursionError):
        found = "a value that JSON cannot hold"
    raise _refuse(
        "not a signed answer", found, f"a DSSE envelope of one Approval of at most {MAX_ANSWER} bytes", "sign again: hyops-ci approve"
    )


@dataclass(frozen=True)
class AnswerTerms:
    """What an answer is judged by when it comes."""

    at: str
    approvers: Collection[str]
    """Public keys. What none of them signed is swept: whoever may push may fill the branch with answers."""
    lifetime: int
    """Seconds that an answer may be valid for."""
    spent: Collection[str] = ()
    """Nonces of earlier claims."""


def answered(tip: Tip, signed: SignedAnswer, subject: Subject, terms: AnswerTerms) -> Tip | None:
    """Return the tip with one more answer, None where it is there already. Claim, epoch, state and time stay as they are.

    Raises Refusal (exit 6) `ledger.answer` for another subject or ledger, an expired or used answer, one that no approver signed or that
    is valid for too long, and where there is no room.
    """
    at = terms.at
    _fits(signed.approval, subject, tip)
    _is_fresh(signed.approval, terms)
    if not _is_signed(signed.answer, terms.approvers):
        raise _refuse(
            "this answer is signed by no approver",
            f"an answer of {signed.approval.approver.login}, as it says",
            f"a signature by one of {len(terms.approvers)} keys of the plan",
            "sign with an approver's key: hyops-ci approve <run url> --key PATH",
        )
    known = signed.answer.digest()
    if any(each.digest() == known for each in tip.answers):
        return None
    found = ((each, approval_in(each)) for each in tip.answers)
    waiting = {each: said for each, said in found if said and not _expired(said, at) and _is_signed(each, terms.approvers)}
    if len(waiting) >= MAX_ANSWERS:
        raise _refuse(
            f"{MAX_ANSWERS} answers wait already",
            f"the first of them expires at {min(said.expires_at for said in waiting.values())}",
            f"at most {MAX_ANSWERS} for one service",
            "let the runs that were answered claim or end; or wait until then",
        )
    return Tip.model_validate({**dict(tip), "signature": None, "answers": (*waiting, signed.answer)})


def waiting_for(tip: Tip, asked: Asked) -> tuple[Answer, ...]:
    """Return the answers to exactly this decision, plan and check, in the order in which they came."""
    return tuple(each for each in tip.answers if (said := approval_in(each)) and _same(said.subject, asked))


def remaining_answers(tip: Tip, claimed: Asked, at: str) -> tuple[Answer, ...]:
    """Return the answers that stay after a claim: those to other requests that have not expired."""
    found = ((each, approval_in(each)) for each in tip.answers)
    return tuple(each for each, said in found if said and not _same(said.subject, claimed) and not _expired(said, at))


def approval_in(answer: Answer) -> Approval | None:
    """Return the approval in an answer, None where the branch was edited by hand: another document, or more than there is room for."""
    if len(canonical(answer.document())) > MAX_ANSWER:
        return None
    try:
        return read_document(Approval, base64.b64decode(answer.payload))
    except JsonError:
        return None


def _same(one: Asked, other: Asked) -> bool:
    return (one.decision_digest, one.plan_digest, one.check_digest) == (other.decision_digest, other.plan_digest, other.check_digest)


def _expired(said: Approval, at: str) -> bool:
    return moment(said.expires_at) <= moment(at)


def _fits(approval: Approval, subject: Subject, tip: Tip) -> None:
    """Raise unless the approval is for this request and ledger, on the signed channel."""
    said = approval.subject
    differs = [name for name in _QUESTION if getattr(said, name) != getattr(subject, name)]
    differs += ["ledger_id"] * (said.ledger_id != tip.ledger_id) + ["channel"] * (approval.channel != "signed")
    if differs or said.service != tip.service:
        raise _refuse(
            "this answer is for another request",
            f"{approval.approver.login} answered another {', another '.join(differs or ['service'])}",
            f"an answer to what this run asks, about {tip.service} on ledger {tip.ledger_id[:15]}",
            "sign what the run asks: hyops-ci approve <run url>",
        )


def _is_signed(answer: Answer, approvers: Collection[str]) -> bool:
    return bool(open_envelope(answer.document(), APPROVAL_PAYLOAD, approvers).signers)


def _is_fresh(approval: Approval, terms: AnswerTerms) -> None:
    at = terms.at
    if (moment(approval.expires_at) - moment(at)).total_seconds() > terms.lifetime:
        raise _refuse(
            "this answer is valid for too long",
            f"{approval.approver.login}'s answer is valid until {whole_second(approval.expires_at)}; it is {whole_second(at)}",
            f"at most {terms.lifetime} seconds",
            "sign what the run asks: hyops-ci approve <run url>",
        )
    if _expired(approval, at):
        raise _refuse(
            "this answer has expired",
            f"{approval.approver.login}'s answer is valid until {whole_second(approval.expires_at)}; it is {whole_second(at)}",
            "an answer before that time",
            "start a new run; its check is made again",
        )
    if approval.subject.nonce in terms.spent:
        raise _refuse(
            "this answer was used before",
            f"nonce {approval.subject.nonce} is spent by an earlier claim",
            "an answer to a run that has not claimed",
            "start a new run; every run asks for an answer of its own",
        )


def _refuse(reason: str, found: str, expected: str, fix: str) -> Refusal:
    return Refusal("ledger.answer", reason, exit_code=Exit.APPROVAL, found=found, expected=expected, fix=fix, docs="ledger.md")
