"""Approve a run that waits for signatures: read its request, push a signed answer, start the run that resumes it.

The run must be of the reviewed workflow on the default branch before any of it is shown. Who asked, and when, is GitHub's word; the rest
is bound by the digests that the answer signs, and is verified at the claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Final

from hyops_ci.approvals.context import ApprovalContext
from hyops_ci.approvals.judge import judge_approvals
from hyops_ci.approvals.request import read_request
from hyops_ci.approvals.requesters import unique_people
from hyops_ci.config.file import read_config
from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, Approval, ApprovalRequest, Person
from hyops_ci.contracts.base import moment, seconds, stamp
from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.github_facts import RunFact
from hyops_ci.contracts.track_record import TRACK_RECORD, TrackRecord
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.github.actions.workflow_file import dispatch_inputs, mapping, read_workflow
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.errors import reading
from hyops_ci.github.api.responses import Forbidden, NotFound
from hyops_ci.github.branch import newest_commit
from hyops_ci.github.contents import file_at
from hyops_ci.github.dispatch import DispatchTarget, Started, dispatch_target, start
from hyops_ci.github.jobs import jobs
from hyops_ci.github.repository import repository
from hyops_ci.github.runs import run as run_fact
from hyops_ci.github.runs import runs_after
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.parsing.documents import read_document
from hyops_ci.parsing.strict_json import JsonError
from hyops_ci.signing.dsse import open_envelope
from hyops_ci.stages.approval import REQUEST
from hyops_ci.stages.handover import handover_of
from hyops_ci.stages.job import check_job
from hyops_ci.stages.origin import ORIGIN, origin_in, requesters_of, require_reviewed, runs_behind
from hyops_ci.text import shell

CONFIG: Final = "sources/config"
INPUT: Final = "resume"
"""The workflow's input that names the run whose decision goes on."""


@dataclass(frozen=True)
class PendingRun:
    """A run that waits for signatures, with what it asks."""

    run: RunFact
    request: ApprovalRequest
    config: DispatchConfig
    known: TrackRecord | None = None
    """What the plan knew of the service before."""


@dataclass(frozen=True)
class AnswerStatus:
    """Whether the pending answers suffice for the run, and what is missing."""

    enough: bool
    denied: bool
    summary: str


def pending_run(client: Client, number: int) -> PendingRun:
    """Return run `number` with its request. Raises Refusal where it has none, or one for another repository or channel."""
    run, home = run_fact(client, number), repository(client)
    require_reviewed(run, home, path=run.path, sha=newest_commit(client, home.default_branch))
    held = handover_of(client, run, (REQUEST, CONFIG, ORIGIN), also=(TRACK_RECORD,))
    behind = runs_behind(client, run, origin_in(held[ORIGIN]), home)
    request = as_github_says(client, run, read_request(held[REQUEST]), requesters_of(behind))
    if digest_bytes(held[CONFIG]) != request.plan.config_digest:
        raise Refusal(
            "approval.request",
            "the config beside the request is not the one that was planned with",
            exit_code=Exit.APPROVAL,
            found=digest_bytes(held[CONFIG]),
            expected=request.plan.config_digest,
            fix="sign nothing; find out what uploaded the artifact",
        )
    if request.subject.repository_id != run.repository_id:
        raise Refusal(
            "approval.request",
            "the request is for another repository",
            exit_code=Exit.APPROVAL,
            found=f"repository {request.subject.repository_id}",
            expected=f"{run.repository_id}, {run.repository}",
            fix="sign nothing; find out what uploaded the artifact",
        )
    if "signed" not in request.plan.approval.channels:
        raise Refusal(
            "approve.channel",
            "this run is approved on GitHub, not by a signature",
            exit_code=Exit.APPROVAL,
            found=f"approval gate {request.plan.approval.gate}, channels {', '.join(request.plan.approval.channels)}",
            expected="channel signed in the config that this run was planned with",
            fix=f"{run.url}: Review deployments, {request.plan.approval.gate}",
            docs="approvals.md",
        )
    try:
        known = read_document(TrackRecord, held[TRACK_RECORD]) if TRACK_RECORD in held else None
    except JsonError:
        known = None  # it is shown, and nothing is decided by it
    return PendingRun(run, request, read_config(held[CONFIG])[0], known)


def as_github_says(client: Client, run: RunFact, request: ApprovalRequest, people: Iterable[Person]) -> ApprovalRequest:
    """Return the request with those who asked, and the time, as GitHub shows them: the artifact is a file that a runner wrote.

    The time is the end of the job that checked, or the start of the run where GitHub lists no such job.
    """
    checked = check_job(jobs(client, run.run_id, run.attempt), request.plan)
    with reading(endpoints.JOBS):
        asked = moment(checked.completed_at if checked is not None and checked.completed_at else run.created_at)
    asking = unique_people(people, issuer=request.decision.issuer)
    return request.model_copy(update={"requesters": asking, "requested_at": stamp(asked.replace(microsecond=0))})


def may_resume(client: Client, pending: PendingRun) -> DispatchTarget:
    """Return the workflow that will resume the run; asked before anything is signed.

    A file that this token may not read is left to GitHub. Raises Refusal (exit 2) for a workflow without the input that resumes a run.
    """
    into = dispatch_target(client, PurePosixPath(pending.run.path).name)
    try:
        file = read_workflow(file_at(client, into.path, pending.run.branch), into.path)
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
            "the workflow has no input for the run that it resumes; nothing was signed",
            exit_code=Exit.USAGE,
            found=f"{into.path} at {pending.run.branch} has {' and '.join(lacks)}",
            expected=f"an input {INPUT}, handed on to dispatch.yml",
            fix=f'add `{INPUT}: {{type: string, default: ""}}` below on.workflow_dispatch.inputs, and `{INPUT}: ${{{{ inputs.{INPUT} }}}}` '
            "below the job's with; until then: --sign-only, and its line as the approvals input of a new run",
            docs="approvals.md",
        )
    return into


def push_answer(pending: PendingRun, envelope: Mapping[str, Any], ledger: Ledger, now: datetime) -> AnswerStatus:
    """Push the answer to the ledger branch unless it is there, and return whether all answers suffice. Raises as `Ledger.answer`."""
    said = signed_approval(envelope, pending)
    if said is None or not any(signed_approval(each, pending) == said for each in ledger.answers(pending.request.subject)):
        keys, lifetime = pending.request.plan.approval.approvers.values(), seconds(pending.request.lifetime)
        ledger.answer(envelope, subject=pending.request.subject, at=stamp(now), approvers=keys, lifetime=lifetime)
    with _after_push(pending, "whether the answers suffice is not known"):
        return answer_status(pending, ledger, now)


def answer_status(pending: PendingRun, ledger: Ledger, now: datetime) -> AnswerStatus:
    """Return whether the answers that wait in the ledger suffice for the run. Raises as `Ledger.answers`."""
    waiting, spent = ledger.answers(pending.request.subject), ledger.spent_nonces()
    try:
        known = ApprovalContext(pending.request.plan.approval, pending.request.subject, pending.request.requesters, now, spent_nonces=spent)
        granted = judge_approvals(waiting, known)
    except Refusal as error:
        return AnswerStatus(enough=False, denied=error.gate == "approval.denied", summary=f"{error.reason}: {error.expected}")
    return AnswerStatus(enough=True, denied=False, summary=f"approved by {' and '.join(each.approver.login for each in granted)}")


def signed_approval(envelope: Mapping[str, Any], pending: PendingRun) -> dict[str, Any] | None:
    """Return the approval in an envelope that its approver's own key signed, without its time; None for anything else."""
    try:
        found = open_envelope(dict(envelope), APPROVAL_PAYLOAD, pending.request.plan.approval.approvers.values())
        said = read_document(Approval, found.payload)
    except ValueError:
        return None
    mine = pending.request.plan.approval.approvers.get(said.approver.login) in found.signers
    return said.model_copy(update={"observed_at": said.requested_at}).document() if mine else None


def resume(client: Client, pending: PendingRun, into: DispatchTarget, clock: Clock) -> Started:
    """Start the run that resumes this one: the same workflow, on the default branch, which is its own.

    A run that resumes this one already, and has not failed, is returned instead. Raises as `start`, with a note that the answer is
    in the ledger, and what is left to do.
    """
    number = str(pending.run.run_id)
    with _after_push(pending, "the run that resumes it was not started"):
        found = [
            each
            for each in runs_after(client, pending.run, into.file, f"{INPUT} {number} ")
            if each.status != "completed" or each.conclusion == "success"
        ]
        if found:
            return Started(found[0].run_id, found[0].url)
        return start(client, into, ref=pending.run.branch, inputs={INPUT: number}, mark=f"{INPUT} {number} ", clock=clock)


@contextmanager
def _after_push(pending: PendingRun, left: str) -> Iterator[None]:
    """Add to an error after the push what is done already, and how the rest is done."""
    try:
        yield
    except DispatchError as error:
        unknown = error.gate == "dispatch.unknown"
        kind = Fault if isinstance(error, Fault) else Refusal
        file = PurePosixPath(pending.run.path).name
        command = shell("gh workflow run {} --ref {} -f {}={}", file, pending.run.branch, INPUT, pending.run.run_id)
        raise kind(
            error.gate,
            f"your answer is in the ledger; {error.reason if unknown else f'{left}: {error.reason}'}",
            exit_code=error.exit_code,
            found=error.found,
            expected=error.expected,
            fix=error.fix if unknown else f"approve again (an answer is added once), or: {command}; {error.fix}".rstrip("; "),
            docs=error.docs or "approvals.md",
        ) from None
