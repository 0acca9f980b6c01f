"""Jobs of a run as GitHub lists them, who is at work elsewhere, and the end of a run by our hand."""

from __future__ import annotations

from typing import Any

import pytest

from hyops_ci.errors import Exit, Fault
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.responses import Forbidden
from hyops_ci.github.jobs import MOST_RUNS, cancel, jobs, jobs_in_progress
from tests.support.github import faults
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.routing import Answer
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
LABELS = ("self-hosted", "gcp-ops-runner")


@pytest.fixture
def repository(github_fake: FakeGitHub) -> Repository:
    return github_fake.add_repository("acme/shop")


def connect(fake: FakeGitHub, *permissions: str) -> Client:
    token = fake.add_token(*(permissions or ("actions: write",)))
    return Client.connect("acme/shop", token=token, api_url=fake.url, sleep=lambda _: None)


def test_a_job_from_the_queue_to_its_end(github_fake: FakeGitHub, repository: Repository) -> None:
    runner, run = repository.add_runner("gcp-ops-runner-01", ["gcp-ops-runner"]), repository.add_run()
    made, client = run.add_job("dr / Check", LABELS), connect(github_fake)
    [queued] = jobs(client, run.id, 1)
    assert (queued.name, queued.status, queued.labels, queued.attempt) == ("dr / Check", "queued", LABELS, 1)
    assert (queued.runner_id, queued.runner_name, queued.runner_group, queued.completed_at) == (0, "", "", "")
    made.take(runner)
    [taken] = jobs(client, run.id, 1)
    assert (taken.status, taken.runner_id, taken.runner_name, taken.runner_group) == ("in_progress", runner.id, runner.name, "Default")
    made.finish()
    [done] = jobs(client, run.id, 1)
    assert (done.status, done.conclusion, done.completed_at) == ("completed", "success", made.completed_at)


def test_an_attempt_is_looked_at_by_itself(github_fake: FakeGitHub, repository: Repository) -> None:
    run = repository.add_run()
    run.add_job("Check")
    run.rerun("maria")
    run.add_job("Check")
    client = connect(github_fake)
    first, second = jobs(client, run.id, 1), jobs(client, run.id, 2)
    assert [(one.attempt, two.attempt) for one, two in zip(first, second, strict=True)] == [(1, 2)]


def test_a_matrix_beside_it_fills_pages(github_fake: FakeGitHub, repository: Repository) -> None:
    run = repository.add_run()
    for number in range(256):
        run.add_job(f"test ({number})")
    run.add_job("dr / Check")
    client = connect(github_fake)
    assert jobs(client, run.id, 1)[-1].name == "dr / Check"
    assert client.calls == 3


def test_cancel(github_fake: FakeGitHub, repository: Repository) -> None:
    run = repository.add_run()
    run.add_job("Check")
    client = connect(github_fake)
    assert cancel(client, run.id) is True
    assert run.conclusion == "cancelled"
    assert cancel(client, run.id) is False, "it had ended"


def test_cancel_without_the_permission_names_it(github_fake: FakeGitHub, repository: Repository) -> None:
    run = repository.add_run()
    run.add_job("Check")
    with pytest.raises(Forbidden) as refused:
        cancel(connect(github_fake, "actions: read"), run.id)
    assert "actions: write" in refused.value.expected
    assert run.conclusion is None


def test_who_is_at_work_in_other_runs(github_fake: FakeGitHub, repository: Repository) -> None:
    mine, other, build = (
        repository.add_run(),
        repository.add_run(".github/workflows/drill.yml"),
        repository.add_run(".github/workflows/ci.yml"),
    )
    mine.add_job("Check", LABELS).take(repository.add_runner("own", ["gcp-ops-runner"]))
    busy = repository.add_runner("gcp-ops-runner-01", ["gcp-ops-runner"])
    other.add_job("Drill", ("SELF-HOSTED", "GCP-ops-runner", "extra")).take(busy)
    other.add_job("Report", LABELS)
    build.add_job("Build", ("self-hosted",)).take(repository.add_runner("build", []))
    found = jobs_in_progress(connect(github_fake), LABELS, (), mine.id)
    assert [(job.name, job.runner_name, run_id) for job, run_id in found] == [("Drill", "gcp-ops-runner-01", other.id)]


def test_a_busy_repository_costs_a_bounded_number_of_calls(github_fake: FakeGitHub, repository: Repository) -> None:
    for _ in range(40):
        repository.add_run().add_job("Build").take()
    client = connect(github_fake)
    assert jobs_in_progress(client, LABELS, (), 0) == ()
    assert client.calls == MOST_RUNS + 1


@pytest.mark.parametrize("body", [{"jobs": [{"id": 1}]}, {"jobs": [{"id": 1, "name": "x", "status": "held"}]}, {"jobs": None}, [], {}])
def test_a_form_that_is_new_is_a_fault_with_a_name(body: Any, github_fake: FakeGitHub, repository: Repository) -> None:
    github_fake.inject(faults.Fault("answer", Answer(200, body)))
    with pytest.raises(Fault) as fault:
        jobs(connect(github_fake), repository.add_run().id, 1)
    assert (fault.value.gate, fault.value.exit_code) == ("github.answer", Exit.UNAVAILABLE)
