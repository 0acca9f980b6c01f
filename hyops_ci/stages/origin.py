"""The origin of a decision: who asked for it, and when, as GitHub shows it for this run or for the one that it resumes.

A resuming run is started by an approver: the requester is the person who started the run that waited (docs/design/contracts.md 5).
Its decision is read again from the bytes of that run as of that run's start, so that it is the very same decision.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, get_args

from hyops_ci.approvals.requesters import requesters_of_run, unique_people
from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.base import Model, Utc, stamp
from hyops_ci.contracts.github_facts import RepositoryFact, RunFact
from hyops_ci.contracts.host_trust import CallerEvent
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.github.jobs import jobs
from hyops_ci.github.repository import repository
from hyops_ci.github.runs import run as run_fact
from hyops_ci.parsing.documents import read_document
from hyops_ci.parsing.strict_json import JsonError
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.handover import handover_of
from hyops_ci.stages.job import resumed_by

ORIGIN = "origin.json"
DECISION = "decision.raw"


class Origin(Model):
    """Who asked, when, and in which run."""

    requesters: tuple[Person, ...]
    received_at: Utc
    run: RunFact | None = None
    """This run, where GitHub was asked."""
    resumes: RunFact | None = None


RESUMES: Final = r"resume ([0-9]{1,18})(?![0-9])"
"""The beginning of the title that GitHub shows of a run which resumes another (`run-name` of the workflow to copy)."""


def origin_of(resume: str, context: RunContext) -> Origin:
    """Return the origin of this run. Raises Refusal (exit 6) for a run that may not be resumed by this one."""
    job, client = context.job, context.github
    if client is None:
        if resume:
            raise _not_resumable("nothing to ask GitHub with", "a job with actions: read")
        return local_origin(context)
    this = run_fact(client, job.run_number)
    if not resume:
        return Origin(requesters=requesters_of_run(this), received_at=this.created_at, run=this)
    if not re.fullmatch("[0-9]{1,18}", resume) or int(resume) == this.run_id:
        raise _not_resumable(f"resume={resume}", "the number of the run that waited")
    earlier = run_fact(client, int(resume))
    home = repository(client)
    require_reviewed(earlier, home, path=this.path, sha=this.sha)
    recorded = origin_in(handover_of(client, earlier, (ORIGIN,))[ORIGIN])
    behind = runs_behind(client, earlier, recorded, home)
    people = unique_people((*requesters_of(behind), *recorded.requesters))  # what was recorded may add people, and hides none
    return Origin(requesters=people, received_at=behind[-1].created_at, run=this, resumes=earlier)


def local_origin(context: RunContext) -> Origin:
    """Return the people that this job's environment names, as of now: in a shell, and where GitHub cannot be asked."""
    people = tuple(Person(login=login, id=number) for login, number in context.job.requesters)
    return Origin(requesters=people, received_at=stamp(context.clock.now().replace(microsecond=0)))


def decision_of(origin: Origin, context: RunContext) -> bytes:
    """Return the decision's bytes of the run that is resumed; empty where none is."""
    if origin.resumes is None or context.github is None:
        return b""
    return handover_of(context.github, origin.resumes, (DECISION,))[DECISION]


def origin_in(content: bytes) -> Origin:
    """Return the origin that the earlier run recorded: it may have been a resumed one itself. Raises Refusal (exit 6)."""
    try:
        return read_document(Origin, content)
    except JsonError:
        raise _not_resumable("its origin cannot be read", "a run of this release") from None


def require_reviewed(run: RunFact, home: RepositoryFact, *, path: str, sha: str) -> None:
    """Require that a run is of the reviewed workflow `path` at commit `sha` of the default branch. Raises Refusal (exit 6).

    Anyone who can push a branch can make a run that waits, with any artifact.

    The name of a branch proves little: a tag may be called like it, and GitHub calls a fork's pull request by the fork's branch.
    The commit does: at another one workflow, plan and its digest are others, so that no answer to the earlier run would fit this one.
    """
    pairs = (
        ("repository", str(run.repository_id), str(home.id)),
        ("workflow", run.path, path),
        ("branch", run.branch, home.default_branch),
        ("commit", run.sha, sha),
    )
    differs = [f"{name} {found}, not {wanted}" for name, found, wanted in pairs if found != wanted]
    if run.event not in get_args(CallerEvent):
        differs.append(f"started by {run.event}")
    if differs:
        raise _not_resumable(f"run {run.run_id}: {'; '.join(differs)}", "a run of this workflow, at this commit of the default branch")


def runs_behind(client: Client, run: RunFact, origin: Origin, home: RepositoryFact, *, planned: bool = False) -> tuple[RunFact, ...]:
    """Return a run and those that it resumes, the first one last, as GitHub shows them. Of `origin` only the number of a run is taken.

    That number is taken where GitHub names none, by the name of the run's check or its title: a file that was handed over may leave it out.
    `planned`: `origin` is what the run's own plan wrote, and GitHub need not be asked for its jobs.
    Raises Refusal (exit 6) where one of them is not of the same workflow, or names more than one.
    """
    found = [run]
    while (number := _resumed(found[-1], origin, () if planned else _named(client, found[-1]))) and number < found[-1].run_id:
        planned = False
        earlier = run_fact(client, number)
        require_reviewed(earlier, home, path=run.path, sha=run.sha)
        found.append(earlier)
        origin = origin_in(handover_of(client, earlier, (ORIGIN,))[ORIGIN])
    return tuple(found)


def _named(client: Client, run: RunFact) -> tuple[int, ...]:
    """Return which runs this one resumes by the name of its check. Where a part of it was run again, that stands in an earlier attempt."""
    return resumed_by(job for attempt in range(1, run.attempt + 1) for job in jobs(client, run.run_id, attempt))


def _resumed(run: RunFact, origin: Origin, named: tuple[int, ...]) -> int:
    """Return the number of the run that this one resumes, 0 where there is none. Raises Refusal (exit 6) where several are named."""
    if len(named) > 1:
        found = f"run {run.run_id} has jobs called like checks that resume {' and '.join(str(each) for each in named)}"
        raise _not_resumable(found, "one check, which names the run that it resumes")
    if named:
        return named[0]
    titled = re.match(RESUMES, run.title)
    return int(titled[1]) if titled else origin.resumes.run_id if origin.resumes is not None else 0


def who_asked(recorded: Origin, decision: bytes, context: RunContext) -> tuple[Person, ...]:
    """Return who asked for this run, or for those that it resumes: what was handed over may add people, and hides none.

    `recorded` is what the plan of this run wrote: the handover was compared with the plan's own digest. `decision` are the bytes of this
    run's. Raises as `runs_behind`, Refusal (exit 6) where the run that is said to be resumed has another decision, and Fault (exit 12)
    where GitHub does not answer.
    """
    client = context.github
    if client is None:
        return recorded.requesters
    this, *earlier = runs_behind(client, run_fact(client, context.job.run_number), recorded, repository(client), planned=True)
    if earlier and handover_of(client, earlier[0], (DECISION,))[DECISION] != decision:
        raise _not_resumable(f"run {earlier[0].run_id} has another decision", "the run that waited with this decision")
    return unique_people((*requesters_of(earlier or (this,)), *recorded.requesters))


def requesters_of(runs: Iterable[RunFact]) -> tuple[Person, ...]:
    """Return the people who asked for any of these runs."""
    return unique_people(person for run in runs for person in requesters_of_run(run))


def _not_resumable(found: str, expected: str) -> Refusal:
    return Refusal(
        "run.resume",
        "this run cannot be resumed here",
        exit_code=Exit.APPROVAL,
        found=found,
        expected=expected,
        fix="sign nothing for it; start a new run with the decision",
        docs="approvals.md",
    )
