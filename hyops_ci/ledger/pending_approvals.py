"""Signed answers on their way: a person's yes or no waits in the tip until the run that asked claims (docs/design/contracts.md 5).

Pure. No signature is verified here: what counts is judged once, at the claim. But what could never count is not taken in.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pydantic import ValidationError

from hyops_ci.contracts.approval import Approval, Subject
from hyops_ci.contracts.base import moment
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.ledger import MAX_ANSWER, MAX_ANSWERS, Answer, Tip
from hyops_ci.errors import Exit, Refusal

_QUESTION: Final = ("repository_id", "service", "decision_type", "decision_digest", "plan_digest", "check_digest")
"""What an answer must share with the question. Nonce and risks are the answer's own, the epoch is judged at the claim."""


class Asked(Protocol):
    """What tells one question from another: a subject, or the request of a claim."""

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
class Letter:
    """An envelope that was read: as it travels, and what it claims to say."""

    answer: Answer
    approval: Approval

    @property
    def title(self) -> str:
        """What the branch's history calls it."""
        return f"{self.approval.verdict} by {self.approval.approver.login} (as it says) for plan {self.approval.subject.plan_digest[7:15]}"


def read_letter(envelope: Any) -> Letter:
    """The envelope with the approval in it. Raises Refusal (exit 6) for anything else."""
    try:
        # By way of JSON, as it will be read again: a list is no tuple in a strict model.
        answer = Answer.model_validate_json(canonical(dict(envelope) if isinstance(envelope, Mapping) else None))
        size, found = len(canonical(answer.document())), ""
        approval = Approval.model_validate_json(base64.b64decode(answer.payload))
        if size <= MAX_ANSWER:
            return Letter(answer, approval)
        found = f"{size} bytes"
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        found = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}".removeprefix(": ")
    except (ValueError, RecursionError):
        found = "something that JSON cannot say"
    raise _refuse("no signed answer", found, f"a DSSE envelope of one Approval, at most {MAX_ANSWER} bytes", "sign again: hyops-ci approve")


def answered(tip: Tip, letter: Letter, subject: Subject, at: str, spent: Collection[str] = ()) -> Tip | None:
    """The tip with one answer more; None where it is there already. Claim, epoch, state and time stay: the holder is not disturbed.

    Raises Refusal (exit 6) for what could never carry the run that asked: another subject or ledger, over, used; or where there is no room.
    """
    _fits(letter.approval, subject, tip)
    _is_fresh(letter.approval, at, spent)
    known = letter.answer.digest()
    if any(each.digest() == known for each in tip.answers):
        return None
    waiting = {each: said for each in tip.answers if (said := said_in(each)) and not _over(said, at)}
    if len(waiting) >= MAX_ANSWERS:
        raise _refuse(
            f"{MAX_ANSWERS} answers wait already",
            f"the first of them is over at {min(said.expires_at for said in waiting.values())}",
            f"at most {MAX_ANSWERS} for one service",
            "let the runs that were answered claim or end; or wait until then",
        )
    return Tip.model_validate({**dict(tip), "answers": (*waiting, letter.answer)})


def waiting_for(tip: Tip, asked: Asked) -> tuple[Answer, ...]:
    """The answers to exactly this decision, plan and check, in the order in which they came."""
    return tuple(each for each in tip.answers if (said := said_in(each)) and _same(said.subject, asked))


def left_over(tip: Tip, claimed: Asked, at: str) -> tuple[Answer, ...]:
    """What still waits after a claim: not what was said to the claimed question, and not what is over."""
    return tuple(each for each in tip.answers if (said := said_in(each)) and not _same(said.subject, claimed) and not _over(said, at))


def said_in(answer: Answer) -> Approval | None:
    """What an answer claims to say; None where somebody put something else on the branch by hand."""
    try:
        return Approval.model_validate_json(base64.b64decode(answer.payload))
    except ValidationError:
        return None


def _same(one: Asked, other: Asked) -> bool:
    return (one.decision_digest, one.plan_digest, one.check_digest) == (other.decision_digest, other.plan_digest, other.check_digest)


def _over(said: Approval, at: str) -> bool:
    return moment(said.expires_at) <= moment(at)


def _fits(approval: Approval, subject: Subject, tip: Tip) -> None:
    """It answers the question that was asked, on this ledger, and came by signature."""
    said = approval.subject
    differs = [name for name in _QUESTION if getattr(said, name) != getattr(subject, name)]
    differs += ["ledger_id"] * (said.ledger_id != tip.ledger_id) + ["channel"] * (approval.channel != "signed")
    if differs or said.service != tip.service:
        raise _refuse(
            "this answer is to something else",
            f"{approval.approver.login} answered another {', another '.join(differs or ['service'])}",
            f"an answer to what this run asks, about {tip.service} on ledger {tip.ledger_id[:15]}",
            "sign what the run asks: hyops-ci approve <run url>",
        )


def _is_fresh(approval: Approval, at: str, spent: Collection[str]) -> None:
    if _over(approval, at):
        raise _refuse(
            "the time to answer this is over",
            f"{approval.approver.login}'s answer is valid until {approval.expires_at}; it is {at}",
            "an answer before that time",
            "start a new run; its check looks again",
        )
    if approval.subject.nonce in spent:
        raise _refuse(
            "this answer was used before",
            f"nonce {approval.subject.nonce} is spent by an earlier claim",
            "an answer to a run that has not claimed",
            "start a new run; every run asks for an answer of its own",
        )


def _refuse(reason: str, found: str, expected: str, fix: str) -> Refusal:
    return Refusal("ledger.answer", reason, exit_code=Exit.APPROVAL, found=found, expected=expected, fix=fix, docs="ledger.md")
