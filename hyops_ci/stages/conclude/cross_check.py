"""What GitHub shows of a run by itself, beside what the run's own evidence says: where the two disagree, one of them is not true.

docs/design/contracts.md 7: `conclude` adds runner, attempt, reviews and job times, and a contradiction is exit 11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from pydantic import BaseModel

from hyops_ci.contracts.approval import Approval
from hyops_ci.contracts.base import Model
from hyops_ci.contracts.check import RunnerIdentity
from hyops_ci.contracts.github_facts import JobFact, ReviewFact
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import Result
from hyops_ci.github.api.client import Client
from hyops_ci.github.jobs import jobs
from hyops_ci.github.reviews import reviews
from hyops_ci.parsing.documents import read_document
from hyops_ci.parsing.strict_json import JsonError
from hyops_ci.stages.job import Job, check_job

M = TypeVar("M", bound=BaseModel)
ABSENT: Final = "absent"
UNREADABLE: Final = "unreadable"


class GitHubRecord(Model):
    """What GitHub itself shows of one attempt of a run (`github.json`, beside the bundle)."""

    run_id: int
    attempt: int
    jobs: tuple[JobFact, ...]
    reviews: tuple[ReviewFact, ...]


def github_record(job: Job, client: Client) -> GitHubRecord:
    """Return what GitHub shows of this run. Raises as `Client.ask`."""
    number = job.run_number
    return GitHubRecord(run_id=number, attempt=job.attempt, jobs=jobs(client, number, job.attempt), reviews=reviews(client, number))


def contradictions(files: Mapping[str, bytes], seen: GitHubRecord) -> tuple[str, ...]:
    """Return where a bundle contradicts GitHub. `files` are the bundle's; a document that cannot be read contradicts, too."""
    result, plan = _read(Result, files, "result.json"), _read(Plan, files, "plan.json")
    runner = _read(RunnerIdentity, files, "runner.json")
    said = [f"{name} of the bundle cannot be read" for name, found in (("result.json", result), ("plan.json", plan)) if found == UNREADABLE]
    if isinstance(result, Result) and result.run_id != f"{seen.run_id}-{seen.attempt}":
        said.append(f"the bundle is of run {result.run_id}, GitHub's run is {seen.run_id}-{seen.attempt}")
    if isinstance(runner, RunnerIdentity) and isinstance(plan, Plan):
        took = check_job(seen.jobs, plan)  # the check wrote runner.json
        if took is not None and took.runner_name and runner.name and took.runner_name.casefold() != runner.name.casefold():
            said.append(f"the bundle says runner {runner.name}, GitHub says {took.runner_name}")
    gate = plan.approval.gate if isinstance(plan, Plan) else ""
    for name in files:
        if not name.startswith("approvals/") or name.endswith("envelopes.json"):
            continue
        approval = _read(Approval, files, name)
        if not isinstance(approval, Approval):
            said.append(f"{name} of the bundle cannot be read")
        elif approval.channel == "environment" and not any(_same_answer(approval, gate, review) for review in seen.reviews):
            said.append(f"the bundle holds a review of {approval.approver.login} that GitHub does not show")
    return tuple(said)


def _read(model: type[M], files: Mapping[str, bytes], name: str) -> M | str:
    """Return a document of the bundle; ABSENT or UNREADABLE where there is none."""
    if name not in files:
        return ABSENT
    try:
        return read_document(model, files[name])
    except JsonError:
        return UNREADABLE


def _same_answer(approval: Approval, gate: str, review: ReviewFact) -> bool:
    wanted = "approved" if approval.verdict == "approve" else "rejected"
    there = gate.lower() in (name.lower() for name in review.environments)
    return there and review.state == wanted and review.person.id == approval.approver.id
