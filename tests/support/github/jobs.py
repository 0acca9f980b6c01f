"""Jobs of a run: queued, waiting at a gate, taken by a runner, ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.github.description import Json
from tests.support.github.routing import Answer, Ask, not_found, route

if TYPE_CHECKING:
    from tests.support.github.runners import Runner
    from tests.support.github.runs import Attempt, Run

RUNS = "/repos/{owner}/{repo}/actions/runs/{run_id}"


@dataclass(eq=False)
class Job:
    """One job of one attempt."""

    run: Run = field(repr=False)
    attempt: int
    id: int
    name: str
    labels: list[str]
    status: str
    environment: str
    created_at: str
    started_at: str
    conclusion: str | None = None
    completed_at: str | None = None
    runner: Runner | None = None

    def queue(self) -> None:
        """The gate is open (or the slot free): it wants a runner now."""
        self.status = "queued"

    def wait(self) -> None:
        """At a gate."""
        self.status = "waiting"

    def take(self, runner: Runner | None = None) -> None:
        """A runner takes it, and is busy."""
        self.status, self.runner, self.started_at = "in_progress", runner, self.run.repository.state.stamp()
        if runner:
            runner.busy = True

    def finish(self, conclusion: str = "success") -> None:
        """End it and free its runner."""
        self.status, self.conclusion, self.completed_at = "completed", conclusion, self.run.repository.state.stamp()
        if self.runner:
            self.runner.busy = False

    def show(self) -> Json:
        """In full."""
        runner, repository = self.runner, self.run.repository
        return {
            "id": self.id,
            "run_id": self.run.id,
            "run_url": self.run.url,
            "run_attempt": self.attempt,
            "node_id": f"CR_{self.id}",
            "head_sha": self.run.sha,
            "head_branch": self.run.branch,
            "workflow_name": self.run.name,
            "url": f"{repository.url}/actions/jobs/{self.id}",
            "html_url": f"{self.run.page}/job/{self.id}",
            "check_run_url": f"{repository.url}/check-runs/{self.id}",
            "name": self.name,
            "status": self.status,
            "conclusion": self.conclusion,
            "created_at": self.created_at,
            "started_at": self.started_at,
            "completed_at": self.completed_at,
            "labels": self.labels,
            "steps": [],
            "runner_id": runner.id if runner else None,
            "runner_name": runner.name if runner else None,
            "runner_group_id": runner.group_id if runner else None,
            "runner_group_name": runner.group_name if runner else None,
        }


def make_job(run: Run, name: str, labels: Sequence[str], status: str, environment: str) -> Job:
    """The body of `Run.add_job`."""
    repository = run.repository
    if environment and environment.lower() not in repository.environments:
        repository.add_environment(environment)
    gated = environment and repository.gates_work and repository.environments[environment.lower()].gated
    now = repository.state.stamp()
    status = status or ("waiting" if gated else "queued")
    job = Job(run, run.attempt.number, repository.state.next_id(), name, list(labels), status, environment, now, now)
    run.attempt.jobs.append(job)
    return job


@route("GET", f"{RUNS}/jobs", "actions: read")
def list_jobs(ask: Ask) -> Answer:
    attempts = ask.run.attempts
    shown = attempts if ask.query.get("filter") == "all" else attempts[-1:]
    return ask.page([job for attempt in shown for job in attempt.jobs], "jobs", Job.show)


@route("GET", f"{RUNS}/attempts/{{attempt_number}}/jobs", "actions: read")
def list_jobs_of_attempt(ask: Ask) -> Answer:
    attempts: list[Attempt] = ask.run.attempts
    if not 1 <= ask.number("attempt_number") <= len(attempts):
        raise not_found()
    return ask.page(attempts[ask.number("attempt_number") - 1].jobs, "jobs", Job.show)


@route("GET", "/repos/{owner}/{repo}/actions/jobs/{job_id}", "actions: read")
def get_job(ask: Ask) -> Answer:
    for run in ask.repository.runs.values():
        for job in (job for attempt in run.attempts for job in attempt.jobs):
            if job.id == ask.number("job_id"):
                return Answer(200, job.show())
    raise not_found()
