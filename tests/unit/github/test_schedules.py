"""What GitHub made of a schedule: its state, and the runs that it started."""

from __future__ import annotations

import pytest

from hyops_ci.contracts.github_facts import ScheduleFact
from hyops_ci.errors import Fault
from hyops_ci.github.api.client import Client
from hyops_ci.github.schedules import schedule_fact
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub
from tests.support.github.workflows import Workflow
from tests.unit.github.scripted import Asking, said

__all__ = ["github_fake"]
FILE = "dr-readiness.yml"


@pytest.fixture
def repository(github_fake: FakeGitHub) -> Repository:
    return github_fake.add_repository("acme/shop")


@pytest.fixture
def workflow(repository: Repository) -> Workflow:
    made = repository.add_workflow(f".github/workflows/{FILE}", "on: {schedule: [{cron: '17 * * * *'}]}\njobs: {}\n")
    made.created_at = "2026-11-01T10:00:00Z"
    return made


def connect(fake: FakeGitHub) -> Client:
    return Client.connect("acme/shop", token=fake.add_token("actions: read"), api_url=fake.url, sleep=lambda _: None)


def test_its_scheduled_runs_newest_first(github_fake: FakeGitHub, repository: Repository, workflow: Workflow) -> None:
    for event, created in (("schedule", "05"), ("workflow_dispatch", "06"), ("schedule", "07")):
        repository.add_run(workflow, event=event, created_at=f"2026-11-28T{created}:19:02Z")
    assert schedule_fact(connect(github_fake), FILE) == ScheduleFact(
        file=FILE, state="active", since="2026-11-01T10:00:00Z", runs=("2026-11-28T07:19:02Z", "2026-11-28T05:19:02Z")
    )


def test_one_that_github_disabled(github_fake: FakeGitHub, workflow: Workflow) -> None:
    workflow.state = "disabled_inactivity"
    found = schedule_fact(connect(github_fake), FILE)
    assert found is not None
    assert (found.state, found.runs) == ("disabled_inactivity", ())


def test_a_zone_of_githubs_own(github_fake: FakeGitHub, workflow: Workflow) -> None:
    workflow.created_at = "2026-11-01T02:00:00.000-08:00"
    found = schedule_fact(connect(github_fake), FILE)
    assert found is not None
    assert found.since == "2026-11-01T10:00:00Z"


def test_a_file_that_github_does_not_know(github_fake: FakeGitHub, repository: Repository) -> None:
    assert schedule_fact(connect(github_fake), FILE) is None


def test_a_time_without_a_zone_is_no_answer(asking: Asking) -> None:
    shown = {"state": "active", "updated_at": "2026-11-01T02:00:00"}
    with pytest.raises(Fault):
        schedule_fact(asking(said(body=shown), said(body={"workflow_runs": []})), FILE)
