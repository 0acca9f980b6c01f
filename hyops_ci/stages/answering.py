"""Answering: a person reads what a run waits for and says yes or no with their key; the run that resumes is started for them.

Nothing that is read here is trusted for it: the answer binds decision, plan and check by digest, and is judged at the claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Final

from hyops_ci.approvals.judge import judge
from hyops_ci.approvals.request import read_request
from hyops_ci.contracts.approval import ApprovalRequest
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.control import RunFact
from hyops_ci.contracts.ports import Clock
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.client import Client
from hyops_ci.github.dispatch import Started, start, workflow
from hyops_ci.github.runs import run as run_fact
from hyops_ci.intake.config_file import read_config
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.stages.asking import REQUEST
from hyops_ci.stages.handover import handover_of

CONFIG: Final = "sources/config"


@dataclass(frozen=True)
class Waiting:
    """A run that waits for signatures, with what it asks."""

    run: RunFact
    request: ApprovalRequest
    config: DispatchConfig


@dataclass(frozen=True)
class Standing:
    """Whether the answers that are there carry the run, and what is missing."""

    enough: bool
    denied: bool
    said: str


def waiting(client: Client, number: int) -> Waiting:
    """What run `number` asks its approvers. Raises Refusal where it asks nothing, or something else than it shows."""
    run = run_fact(client, number)
    held = handover_of(client, run, (REQUEST, CONFIG))
    request = read_request(held[REQUEST])
    if request.subject.repository_id != run.repository_id:
        raise Refusal(
            "approval.request",
            "the request is for another repository",
            exit_code=Exit.APPROVAL,
            found=f"repository {request.subject.repository_id}",
            expected=f"{run.repository_id}, {run.repository}",
            fix="sign nothing; look who uploaded the artifact",
        )
    return Waiting(run, request, read_config(held[CONFIG])[0])


def leave_answer(asked: Waiting, envelope: Mapping[str, Any], ledger: Ledger, now: datetime) -> Standing:
    """Push the answer to the ledger branch, and weigh all that are there. Raises as `Ledger.answer`."""
    ledger.answer(envelope, subject=asked.request.subject, at=stamp(now))
    try:
        granted = judge(
            ledger.answers(asked.request.subject),
            asked.request.plan.approval,
            asked.request.subject,
            requesters=asked.request.requesters,
            now=now,
            spent_nonces=ledger.spent_nonces(),
        )
    except Refusal as error:
        return Standing(enough=False, denied=error.gate == "approval.denied", said=f"{error.reason}: {error.expected}")
    return Standing(enough=True, denied=False, said=f"approved by {' and '.join(each.approver.login for each in granted)}")


def resume(client: Client, asked: Waiting, clock: Clock) -> Started:
    """Start the run that goes on where this one waits: the same workflow, on its branch. Never started twice by itself."""
    into, number = workflow(client, PurePosixPath(asked.run.path).name), str(asked.run.run_id)
    return start(client, into, ref=asked.run.branch, inputs={"resume": number}, mark=number, clock=clock)
