"""Which real run a drill gave way to: as GitHub shows it, for people to read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hyops_ci.github.api.client import Client
from hyops_ci.stages.conclude.gave_way import gave_way_to
from hyops_ci.stages.context import RunContext, SystemClock
from hyops_ci.stages.job import Job
from tests.support.github import faults
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub
from tests.unit.evidence import sample_run
from tests.unit.stages.watch.test_watch import DISPATCH

__all__ = ["github_fake"]
PLAN = sample_run.plan()
LABELS = list(PLAN.runs_on)
RUNS = "GET /repos/{owner}/{repo}/actions/runs"


@dataclass
class Night:
    """The drill, cancelled, and the runs beside it."""

    fake: FakeGitHub
    repository: Repository
    drill: Run
    said: list[str]

    def real(self, job: str, *, ours: bool = True, labels: list[str] = LABELS) -> Run:
        """Another run at work, whose job waits for a runner with these labels."""
        run = self.repository.add_run(
            ".github/workflows/dr.yml", title="failover pg-ha/prod by maria", referenced=[DISPATCH] if ours else []
        )
        run.add_job(job, labels)
        return run

    def asked(self) -> str:
        client = Client.connect("acme/recovery", token=self.fake.add_token("actions: read"), api_url=self.fake.url, sleep=lambda _: None)
        job = Job(run_id=f"{self.drill.id}-1", on_github=True)
        context = RunContext(job, SystemClock(), Path(), Path(), "", say=self.said.append)
        return gave_way_to(PLAN, client, replace(context, github=client))


@pytest.fixture
def night(github_fake: FakeGitHub) -> Night:
    repository = github_fake.add_repository("acme/recovery")
    drill = repository.add_run(".github/workflows/dr-drill.yml", referenced=[DISPATCH])
    drill.add_job("drill / Drill / Drill at gcp, plan 7c1e44a9", LABELS)
    return Night(github_fake, repository, drill, [])


def test_the_run_that_waits_for_its_runner_is_named(night: Night) -> None:
    real = night.real("dr / Check gcp-ops-runner (changes nothing)")
    assert night.asked() == f"to run {real.id} (failover pg-ha/prod by maria), which needs {PLAN.runner_ref}: {real.page}"


def test_no_other_run_is(night: Night) -> None:
    night.real("dr / Check gcp-ops-runner (changes nothing)", ours=False)
    night.real("dr / Check other-runner (changes nothing)", labels=["self-hosted", "other"])
    night.real("dr / Drill at gcp, plan 7c1e44a9")
    night.real("dr / Recover at gcp, plan 7c1e44a9").finish()
    assert night.asked() == ""
    assert night.said == []


def test_github_that_does_not_answer_ends_nothing(night: Night) -> None:
    night.fake.inject(faults.answer(403, "Resource not accessible by integration"), RUNS, times=None)
    assert night.asked() == ""
    assert night.said[0].startswith("not known whether this drill gave way to a real run")
