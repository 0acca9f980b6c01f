"""Whether GitHub still starts a workflow by its schedule: it delays runs, drops some, and disables the workflows of quiet repositories."""

from __future__ import annotations

from datetime import datetime

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.github_facts import ScheduleFact
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.errors import reading


def schedule_fact(client: Client, file: str) -> ScheduleFact | None:
    """Return what became of the schedule of a workflow file, by its newest 100 scheduled runs; None for a file that GitHub does not know.

    Raises as `Client.ask`, and Fault (exit 12) for a malformed response.
    """
    found = client.exists(endpoints.WORKFLOW, workflow=file)
    if found is None:
        return None
    listed = client.pages(endpoints.RUNS, "workflow_runs", params={"event": "schedule"}, most=1, workflow=file)
    with reading(endpoints.WORKFLOW):
        return ScheduleFact(
            file=file,
            state=found["state"],
            since=stamp(_time(found["updated_at"])),
            runs=tuple(sorted((stamp(_time(each["created_at"])) for each in listed), reverse=True)),
        )


def _time(text: str) -> datetime:
    """Return an instant, in whichever zone GitHub wrote it: a workflow's need not be UTC. Raises ValueError for one without a zone."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without a zone")
    return found
