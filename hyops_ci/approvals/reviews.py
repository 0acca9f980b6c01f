"""A run's review history as approvals: records that name exactly this gate, each bound to this run's subject.

A review carries no digest. It counts for this plan and check because the gate is asked after the check, by the same run,
and a run's first attempt is its only one that acts. It names no risk: accepting one needs a signature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from hyops_ci.approvals.requesters import as_machine, unique_people
from hyops_ci.contracts.approval import Approval, ApprovalRequest, Person, logins_with_one_key
from hyops_ci.contracts.base import moment, seconds, stamp
from hyops_ci.contracts.github_facts import ReviewFact, same_environment
from hyops_ci.errors import Exit, Refusal, shown

COMMENT: Final = 1000
"""Characters of a comment that are kept."""


def approvals_of(
    reviews: Iterable[ReviewFact], request: ApprovalRequest, *, run_id: int, attempt: int, observed_at: datetime
) -> tuple[Approval, ...]:
    """Return every answer that was given at the approval gate of this run. None is left out: `judge_approvals` says why one does not count.

    `request` is what the run asked; GitHub gives a review no time, so `observed_at` is when it was read.
    Raises Refusal (`run.attempt`, exit 6) for a re-run: the history is the run's, and a review of an earlier attempt would count again.
    """
    require_first(attempt)
    gate = request.plan.approval.gate
    until = stamp(moment(request.requested_at) + timedelta(seconds=seconds(request.lifetime)))
    return tuple(
        Approval(
            subject=request.subject.model_copy(update={"nonce": nonce_of(run_id, gate, review.person), "accepted_risks": ()}),
            verdict="approve" if review.state == "approved" else "deny",
            approver=as_machine(review.person, review.bot),
            requesters=request.requesters,
            requested_at=request.requested_at,
            observed_at=stamp(observed_at),
            expires_at=until,
            channel="environment",
            comment=shown(review.comment, COMMENT),
        )
        for review in reviews
        if review.state != "pending" and any(same_environment(gate, name) for name in review.environments)
    )


def let_through(
    reviews: Iterable[ReviewFact], gate: str, asked: Iterable[Person], attempt: int, approvers: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the logins of those who let a job pass its gate; nobody where one of them said no, or only who asked or a bot said yes.

    `approvers` (login -> key) says which logins are one person's: who asked under one of them cannot let it pass under another.
    Raises Refusal (`run.attempt`, exit 6) for a re-run: an administrator's bypass leaves no review, that of an earlier attempt is there.
    """
    require_first(attempt)
    requesters = tuple(asked)
    here = [each for each in reviews if any(same_environment(gate, name) for name in each.environments)]
    if any(each.state == "rejected" for each in here):
        return ()
    people = unique_people(each.person for each in here if each.state == "approved" and not each.bot)
    others = ((each, *map(_named, logins_with_one_key(approvers, (each.login,)))) for each in people)
    return tuple(names[0].login for names in others if not any(each.among(requesters) for each in names))


def _named(login: str) -> Person:
    return Person(login=login)


def require_first(attempt: int) -> None:
    """Require the run's first attempt. Raises Refusal (`run.attempt`, exit 6) for a re-run."""
    if attempt != 1:
        raise Refusal(
            "run.attempt",
            "a re-run never starts a recovery, and makes no runner",
            exit_code=Exit.APPROVAL,
            found=f"attempt {attempt}, whose review history is that of the attempts before",
            expected="attempt 1 of a new run",
            fix="start a new run: what was approved was approved for the first attempt",
        )


def nonce_of(run_id: int, gate: str, person: Person) -> str:
    """Return the nonce of a review: 32 hex digits, the same for one person at one gate of one run."""
    text = f"{run_id}\n{gate.lower()}\n{person.id or person.login.lower()}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]
