"""What is known of the runner from three sides: the queue of this run's own check, GitHub's registrations, the provider."""

from __future__ import annotations

from collections.abc import Sequence

from hyops_ci.contracts.github_facts import JobFact, RunnerFact
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal, shown
from hyops_ci.github.api.client import Client
from hyops_ci.github.jobs import jobs, jobs_in_progress
from hyops_ci.runners.decide import AgentView, QueueView
from hyops_ci.runners.ports import Machine, MachineState, Provider
from hyops_ci.stages.ensure_runner.tools import Registry
from hyops_ci.stages.watch.queue import ExpectedJob, candidates, mismatch, stranger


@dataclass(frozen=True)
class Queue:
    """The check that waits for the runner."""

    view: QueueView
    words: str
    taken_by: str = ""


def look_at_queue(client: Client, run_id: int, expected: ExpectedJob, runner_ref: str, *, busy: bool = True) -> Queue:
    """Return what became of the check. The watch has counted two minutes of its queue before: queued means missing, or busy by now.

    `busy`: whether it is asked what the runner works on. Raises Refusal `runner.stranger` for a runner that the plan does not know,
    `runner.no-check` where nothing waits any more, and what GitHub raises.
    """
    found = candidates(jobs(client, run_id, expected.attempt), expected)
    job = found[0] if len(found) == 1 else None
    if job is not None and job.runner_name:
        if why := mismatch(expected, job):
            raise stranger(why, expected, runner_ref)
        return Queue(QueueView.TAKEN, f"taken by {shown(job.runner_name, 100)}", shown(job.runner_name, 100))
    if job is not None and job.status == "completed":
        raise _no_check(job, expected)
    for doing, other in jobs_in_progress(client, expected.labels, expected.names, run_id) if busy else ():
        return Queue(QueueView.BUSY, f"{shown(doing.runner_name, 100)} is busy with run {other} ({shown(doing.name, 100)})")
    return Queue(QueueView.MISSING, f"{len(found)} jobs are called {expected.job}" if job is None else f"the check is {job.status}")


@dataclass(frozen=True)
class Agent:
    """The runner's registration."""

    view: AgentView
    words: str


def look_at_agent(registry: Registry | None, problem: DispatchError | None, name: str, expected: ExpectedJob) -> Agent:
    """Return what GitHub says of the agent `name`; not known where its registrations cannot be read."""
    if registry is None:
        return Agent(AgentView.UNKNOWN, problem.title() if problem is not None else "")
    try:
        return agent_among(registry.runners(), name, expected)
    except DispatchError as error:
        return Agent(AgentView.UNKNOWN, error.title())


def agent_among(runners: Sequence[RunnerFact], name: str, expected: ExpectedJob) -> Agent:
    """Return what the registrations say of the agent `name`, and of others that would take the job."""
    wanted = {label.casefold() for label in expected.labels}
    known = {each.casefold() for each in (*expected.names, name)}
    carrying = [each for each in runners if wanted <= {label.casefold() for label in each.labels}]
    if others := [each.name for each in carrying if each.name.casefold() not in known]:
        return Agent(AgentView.AMBIGUOUS, f"{', '.join(shown(each, 100) for each in others)} would take the job, too")
    if online := [each.name for each in carrying if each.online]:
        return Agent(AgentView.ONLINE, f"{shown(online[0], 100)} is online")
    if any(each.name.casefold() == name.casefold() for each in carrying):
        return Agent(AgentView.OFFLINE, f"{name} is registered and offline")
    if bare := next((each for each in runners if each.name.casefold() == name.casefold()), None):
        return Agent(AgentView.ABSENT, f"{name} is registered without its labels: {', '.join(shown(each, 100) for each in bare.labels)}")
    return Agent(AgentView.ABSENT, f"no runner {name} is registered")


def look_at_machine(provider: Provider, name: str) -> Machine:
    """Return what the provider says; UNKNOWN, with why, where it does not answer. Raises Refusal for an account that may not ask."""
    try:
        return provider.describe(name)
    except Fault as error:
        return Machine(name, MachineState.UNKNOWN, words=f"{error.reason}: {error.found}")


def _no_check(job: JobFact, expected: ExpectedJob) -> Refusal:
    return Refusal(
        "runner.no-check",
        "nothing waits for a runner any more",
        exit_code=Exit.RUNNER,
        found=f"{expected.job} ended before a runner had it: {job.conclusion or 'no conclusion'}",
        expected="a check that waits",
        fix="start a new run",
        docs="runners.md",
    )
