"""Workflow runs: who started them, by which event, from which commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.github_facts import RunFact
from hyops_ci.errors import Fault
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import PAGE, Client
from hyops_ci.github.api.errors import reading

UNFINISHED: Final = ("in_progress", "queued", "waiting", "pending", "requested")
"""Every status of a run that has not ended."""


def run(client: Client, run_id: int) -> RunFact:
    """Return the run at its latest attempt. Raises as `Client.ask`, and Fault (exit 12) for a malformed response."""
    found = client.ask(endpoints.RUN, run_id=run_id)
    with reading(endpoints.RUN):
        return read_run(found)


def waiting_runs(client: Client, workflow: str) -> tuple[RunFact, ...]:
    """Return the runs of one workflow file that wait for a review, the newest 100. Raises as `Client.ask`."""
    listed = client.pages(endpoints.RUNS, "workflow_runs", params={"status": "waiting"}, most=1, workflow=workflow)
    return tuple(_readable(listed))


def unfinished_runs(client: Client) -> tuple[RunFact, ...] | None:
    """Return every run of the repository that has not ended, None where there are more than are looked at. Raises as `Client.ask`."""
    found: dict[int, RunFact] = {}
    with reading(endpoints.REPOSITORY_RUNS):
        for status in UNFINISHED:
            answer = client.ask(endpoints.REPOSITORY_RUNS, params={"status": status, "per_page": PAGE})
            if answer["total_count"] > PAGE:
                return None
            found |= {each["id"]: read_run(each) for each in answer["workflow_runs"]}
    return tuple(found.values())


def runs_after(client: Client, first: RunFact, workflow: str, words: str) -> tuple[RunFact, ...]:
    """Return the later runs of `first`'s workflow file, branch and commit that a person started and whose title begins with `words`.

    The newest comes first. A title alone proves nothing: a run of any branch can have it. Raises as `Client.ask`.
    """
    where = {"event": "workflow_dispatch", "branch": first.branch, "head_sha": first.sha}
    listed = _readable(client.pages(endpoints.RUNS, "workflow_runs", params=where, most=1, workflow=workflow))
    found = (
        run
        for run in listed
        if (run.event, run.branch, run.sha, run.path) == ("workflow_dispatch", first.branch, first.sha, first.path)
        and run.run_id > first.run_id
        and run.title.startswith(words)
    )
    return tuple(sorted(found, key=lambda run: run.run_id, reverse=True))


def runs_titled(client: Client, workflow: str, words: str) -> tuple[RunFact, ...]:
    """Return the newest hundred runs of a workflow file that a person started and whose title holds `words`, the oldest first.

    A title alone proves nothing: a run of any branch can have it. Raises as `Client.ask`.
    """
    listed = _readable(client.pages(endpoints.RUNS, "workflow_runs", params={"event": "workflow_dispatch"}, most=1, workflow=workflow))
    return tuple(sorted((run for run in listed if words in run.title), key=lambda run: run.run_id))


def _readable(listed: Iterable[Mapping[str, Any]]) -> Iterator[RunFact]:
    """Yield the entries that can be read: a malformed one, such as of a deleted account, hides no other."""
    for each in listed:
        with suppress(AttributeError, KeyError, TypeError, ValueError, Fault):
            yield read_run(each)


def read_run(found: Mapping[str, Any]) -> RunFact:
    """Return the facts in a response. Raises KeyError, TypeError or ValueError for another form."""
    actor, triggering = found["actor"], found.get("triggering_actor") or found["actor"]
    repository = found["repository"]
    return RunFact(
        run_id=found["id"],
        attempt=found.get("run_attempt") or 1,
        name=found.get("name") or "",
        title=found.get("display_title") or "",
        event=found["event"],
        status=found.get("status") or "",
        conclusion=found.get("conclusion"),
        path=str(found["path"]).partition("@")[0],
        sha=found["head_sha"],
        branch=found.get("head_branch") or "",
        actor=_person(actor),
        actor_is_bot=actor.get("type") == "Bot",
        triggering_actor=_person(triggering),
        triggering_actor_is_bot=triggering.get("type") == "Bot",
        created_at=found["created_at"],
        started_at=found.get("run_started_at") or found["created_at"],
        url=found["html_url"],
        repository_id=repository["id"],
        repository=repository["full_name"],
        referenced=tuple((each["path"], each["sha"]) for each in found.get("referenced_workflows") or ()),
    )


def _person(user: Mapping[str, Any]) -> Person:
    return Person(login=user["login"], id=user["id"])
