"""Runs that wait too long are ended, one by one; what is young, done, or another workflow's is left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hyops_ci.config.file import read_config
from hyops_ci.github.api.client import Client
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.job import Job
from hyops_ci.stages.overdue import cancel_overdue
from tests.support.github import faults
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub
from tests.unit.operations.dispatch.dispatching import StandingClock

__all__ = ["github_fake"]
WORKFLOW = ".github/workflows/dr.yml"
CANCEL = "POST /repos/{owner}/{repo}/actions/runs/{run_id}/cancel"
CONFIG, _ = read_config(b"services: {pg-ha/prod: {failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}}}\n")
NOW = datetime.now(UTC)


@pytest.fixture
def repository(github_fake: FakeGitHub) -> Repository:
    made = github_fake.add_repository("acme/recovery")
    made.add_workflow(WORKFLOW, "on: workflow_dispatch")
    made.add_environment("dr-prod", reviewers=[github_fake.add_user("jonas", number=1002)])
    return made


@pytest.fixture
def waits(repository: Repository) -> Callable[..., Run]:
    """A run whose job has waited for a review for so many minutes."""

    def make(minutes: float, workflow: str = WORKFLOW) -> Run:
        run = repository.add_run(workflow, created_at=f"{NOW - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}")
        run.add_job("Recover", environment="dr-prod")
        return run

    return make


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def world(github_fake: FakeGitHub, tmp_path: Path, said: list[str]) -> RunContext:
    token = github_fake.add_token("actions: write", "metadata: read")
    client = Client.connect("acme/recovery", token=token, api_url=github_fake.url, sleep=lambda _: None)
    return RunContext(Job("1-1", on_github=True), StandingClock(NOW), tmp_path, tmp_path, "", github=client, say=said.append)


def test_only_what_nobody_can_approve_any_more(
    repository: Repository, waits: Callable[..., Run], world: RunContext, said: list[str]
) -> None:
    young, late, done, other = waits(89), waits(91), waits(500), waits(500, ".github/workflows/other.yml")
    done.finish()
    assert cancel_overdue(CONFIG, "dr.yml", world) == (late.id,)
    assert [run.conclusion for run in (young, late, done, other)] == [None, "cancelled", "success", None]
    assert said == [f"run {late.id} waited for an approval that can count no more: cancelled"]


def test_the_limit_follows_the_lifetime_of_approvals(waits: Callable[..., Run], world: RunContext) -> None:
    late = waits(91)
    longer = CONFIG.model_copy(update={"approvals": CONFIG.approvals.model_copy(update={"lifetime": "PT120M"})})
    assert cancel_overdue(longer, "dr.yml", world) == ()
    assert cancel_overdue(CONFIG, "dr.yml", world) == (late.id,)


def test_its_own_run_is_never_ended(waits: Callable[..., Run], world: RunContext) -> None:
    own = waits(500)
    assert cancel_overdue(CONFIG, "dr.yml", replace(world, job=Job(f"{own.id}-1", on_github=True))) == ()
    assert own.conclusion is None


def test_one_that_cannot_be_ended_keeps_no_other_waiting(
    github_fake: FakeGitHub, waits: Callable[..., Run], world: RunContext, said: list[str]
) -> None:
    first, second = waits(200), waits(100)
    github_fake.inject(faults.answer(403, "Resource not accessible by integration"), CANCEL)
    ended = cancel_overdue(CONFIG, "dr.yml", world)
    assert len(ended) == 1
    assert {first.conclusion, second.conclusion} == {None, "cancelled"}
    assert any("waits too long and was not ended: REFUSED github." in line for line in said)


def test_one_that_ended_meanwhile_is_not_claimed(
    github_fake: FakeGitHub, waits: Callable[..., Run], world: RunContext, said: list[str]
) -> None:
    waits(200)
    github_fake.inject(faults.answer(409, "Cannot cancel a workflow run that is completed"), CANCEL)
    assert cancel_overdue(CONFIG, "dr.yml", world) == ()
    assert said == []


def test_trouble_with_looking_stops_nothing(github_fake: FakeGitHub, waits: Callable[..., Run], world: RunContext, said: list[str]) -> None:
    waits(200)
    github_fake.inject(faults.answer(403, "Resource not accessible by integration"), times=None)
    assert cancel_overdue(CONFIG, "dr.yml", world) == ()
    assert said[-1].startswith("runs that wait too long were not looked for: REFUSED github.")


def test_where_there_is_nobody_to_ask(world: RunContext) -> None:
    assert cancel_overdue(CONFIG, "dr.yml", replace(world, github=None)) == ()
    assert cancel_overdue(CONFIG, "", world) == ()
