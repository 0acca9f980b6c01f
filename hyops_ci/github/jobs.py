"""The jobs of a run, the runners that took them, and cancelling a run."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from hyops_ci.contracts.github_facts import JobFact
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.errors import reading
from hyops_ci.github.api.responses import Conflict

MOST_PAGES: Final = 3
"""Of 100 jobs. A run of ours has eight, but its caller may have a matrix beside it."""
MOST_RUNS: Final = 5
"""Number of other runs whose jobs are read, to find out what a runner is busy with."""


def jobs(client: Client, run_id: int, attempt: int) -> tuple[JobFact, ...]:
    """Return all jobs of one attempt of a run that GitHub lists by now: a job whose `needs` are not done is not there yet."""
    with reading(endpoints.JOBS):
        found = client.pages(endpoints.JOBS, "jobs", most=MOST_PAGES, run_id=run_id, attempt=attempt)
        return tuple(job_fact(each) for each in found)


def cancel(client: Client, run_id: int) -> bool:
    """Cancel a run. Return False where it had ended already. Raises Refusal (`github.permission`) without `actions: write`."""
    try:
        client.ask(endpoints.CANCEL, run_id=run_id)
    except Conflict:
        return False
    return True


def jobs_in_progress(client: Client, labels: Collection[str], names: Collection[str], but: int) -> tuple[tuple[JobFact, int], ...]:
    """Return the jobs of other runs of this repository that a lane's runner executes now, each with its run's id.

    The lane's runners are those in `names`, or without names those that took a job that asks for all `labels`. At most `MOST_RUNS` + 1
    calls: of more runs in progress the latest are looked at. What other repositories do on a shared runner is not seen, so an
    empty result does not mean that the runner is idle.
    """
    found: list[tuple[JobFact, int]] = []
    with reading(endpoints.REPOSITORY_RUNS):
        runs = client.ask(endpoints.REPOSITORY_RUNS, params={"status": "in_progress", "per_page": 100})["workflow_runs"]
        for run in [run for run in runs if run["id"] != but][:MOST_RUNS]:
            listed = client.ask(endpoints.JOBS, params={"per_page": 100}, run_id=run["id"], attempt=run.get("run_attempt", 1))
            doing = (job_fact(each) for each in listed["jobs"] if each["status"] == "in_progress")
            found += [(job, int(run["id"])) for job in doing if _by(job, labels, names)]
    return tuple(found)


def _by(job: JobFact, labels: Collection[str], names: Collection[str]) -> bool:
    if names:
        return job.runner_name.casefold() in {name.casefold() for name in names}
    return {label.casefold() for label in labels} <= {label.casefold() for label in job.labels}


def job_fact(found: dict[str, Any]) -> JobFact:
    """Return the facts of one job of a response."""
    return JobFact(
        id=found["id"],
        name=found["name"],
        attempt=found.get("run_attempt") or 1,
        status=found["status"],
        conclusion=found["conclusion"],
        labels=tuple(found["labels"]),
        runner_id=found.get("runner_id") or 0,
        runner_name=found.get("runner_name") or "",
        runner_group=found.get("runner_group_name") or "",
        created_at=found.get("created_at") or "",
        started_at=found.get("started_at") or "",
        completed_at=found.get("completed_at") or "",
        url=found.get("html_url") or "",
    )
