"""Answering: a person reads what a run waits for and says yes or no with their key; the run that resumes is started for them.

Nothing that is read here is trusted for it: the answer binds decision, plan and check by digest, and is judged at the claim.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Final

from hyops_ci.approvals.context import ApprovalContext
from hyops_ci.approvals.judge import judge_approvals
from hyops_ci.approvals.request import read_request
from hyops_ci.config.file import read_config
from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, Approval, ApprovalRequest
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.control import RunFact
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.github.actions.workflow_file import dispatch_inputs, mapping, read_workflow
from hyops_ci.github.api.answers import Forbidden, NotFound
from hyops_ci.github.api.client import Client
from hyops_ci.github.contents import file_at
from hyops_ci.github.dispatch import Started, Workflow, start, workflow
from hyops_ci.github.runs import run as run_fact
from hyops_ci.github.runs import runs_by_title
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.signing.dsse import open_envelope
from hyops_ci.stages.approval import REQUEST
from hyops_ci.stages.handover import handover_of

CONFIG: Final = "sources/config"
INPUT: Final = "resume"
"""The workflow's input that names the run whose decision goes on."""


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
    if "signed" not in request.plan.approval.channels:
        raise Refusal(
            "approve.channel",
            "this run is answered on GitHub, by no signature",
            exit_code=Exit.APPROVAL,
            found=f"approval gate {request.plan.approval.gate}, channels {', '.join(request.plan.approval.channels)}",
            expected="channel signed in the config that this run was planned with",
            fix=f"{run.url}: Review deployments, {request.plan.approval.gate}",
            docs="approvals.md",
        )
    return Waiting(run, request, read_config(held[CONFIG])[0])


def may_resume(client: Client, asked: Waiting) -> Workflow:
    """The workflow that will go on, asked before anything is signed. Raises Refusal (exit 2) for one that cannot be told what it resumes.

    A file that this token may not read is left to GitHub's own answer.
    """
    into = workflow(client, PurePosixPath(asked.run.path).name)
    try:
        file = read_workflow(file_at(client, into.path, asked.run.branch), into.path)
    except (Forbidden, NotFound):
        return into
    declared = dispatch_inputs(file)
    handed = [mapping(mapping(job).get("with")) for job in mapping(file.get("jobs")).values()]
    lacks = [
        *([f"no input {INPUT}"] if INPUT not in (declared or {}) else []),
        *([f"no job that gets {INPUT}"] if not any(INPUT in each for each in handed) else []),
    ]
    if lacks:
        raise Refusal(
            "approve.resume",
            "the workflow cannot be told which run goes on; nothing was signed",
            exit_code=Exit.USAGE,
            found=f"{into.path} at {asked.run.branch} has {' and '.join(lacks)}",
            expected=f"an input {INPUT}, handed on to dispatch.yml",
            fix=f'add `{INPUT}: {{type: string, default: ""}}` below on.workflow_dispatch.inputs, and `{INPUT}: ${{{{ inputs.{INPUT} }}}}` '
            "below the job's with; tonight: --sign-only, and its line as the approvals input of a new run",
            docs="approvals.md",
        )
    return into


def leave_answer(asked: Waiting, envelope: Mapping[str, Any], ledger: Ledger, now: datetime) -> Standing:
    """Push the answer to the ledger branch unless it waits there already, and weigh all that are there. Raises as `Ledger.answer`."""
    said = said_in(envelope, asked)
    if said is None or not any(said_in(each, asked) == said for each in ledger.answers(asked.request.subject)):
        ledger.answer(envelope, subject=asked.request.subject, at=stamp(now))
    with _after_the_answer(asked, "what it is worth beside others is not known"):
        waiting, spent = ledger.answers(asked.request.subject), ledger.spent_nonces()
    try:
        known = ApprovalContext(asked.request.plan.approval, asked.request.subject, asked.request.requesters, now, spent_nonces=spent)
        granted = judge_approvals(waiting, known)
    except Refusal as error:
        return Standing(enough=False, denied=error.gate == "approval.denied", said=f"{error.reason}: {error.expected}")
    return Standing(enough=True, denied=False, said=f"approved by {' and '.join(each.approver.login for each in granted)}")


def said_in(envelope: Mapping[str, Any], asked: Waiting) -> dict[str, Any] | None:
    """What an approver's own key says in an envelope, whenever that was; None for anything else. Two equal ones are one answer."""
    try:
        found = open_envelope(dict(envelope), APPROVAL_PAYLOAD, asked.request.plan.approval.approvers.values())
        said = Approval.model_validate_json(found.payload)
    except ValueError:
        return None
    mine = asked.request.plan.approval.approvers.get(said.approver.login) in found.signers
    return said.model_copy(update={"observed_at": said.requested_at}).document() if mine else None


def resume(client: Client, asked: Waiting, into: Workflow, clock: Clock) -> Started:
    """Start the run that goes on where this one waits: the same workflow, on its branch.

    Never started twice: a run that resumes this one already, and has not failed, is that run. Raises what starting raises, with
    the word that the answer is in the ledger, and what is left to do.
    """
    number = str(asked.run.run_id)
    with _after_the_answer(asked, "the run that goes on was not started"):
        found = [
            each
            for each in runs_by_title(client, into.file, f"{INPUT} {number} ")
            if each.run_id > asked.run.run_id and (each.status != "completed" or each.conclusion == "success")
        ]
        if found:
            return Started(found[0].run_id, found[0].url)
        return start(client, into, ref=asked.run.branch, inputs={INPUT: number}, mark=f"{INPUT} {number} ", clock=clock)


@contextmanager
def _after_the_answer(asked: Waiting, left: str) -> Iterator[None]:
    """Trouble after the push says what is done, and how the rest is done."""
    try:
        yield
    except DispatchError as error:
        unknown = error.gate == "dispatch.unknown"
        kind = Fault if isinstance(error, Fault) else Refusal
        command = f"gh workflow run {PurePosixPath(asked.run.path).name} --ref {asked.run.branch} -f {INPUT}={asked.run.run_id}"
        raise kind(
            error.gate,
            f"your answer is in the ledger; {error.reason if unknown else f'{left}: {error.reason}'}",
            exit_code=error.exit_code,
            found=error.found,
            expected=error.expected,
            fix=error.fix if unknown else f"approve again (an answer is added once), or: {command}; {error.fix}".rstrip("; "),
            docs=error.docs or "approvals.md",
        ) from None
