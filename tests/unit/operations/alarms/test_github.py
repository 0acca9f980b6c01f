"""What GitHub is asked: schedules that it starts no more, runs that wait too long, runners that are gone or will get no jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hyops_ci.config.file import read_config
from hyops_ci.contracts.board import Alarm
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.github.api.client import Client
from hyops_ci.operations.alarms.runners import runner_alarms
from hyops_ci.operations.alarms.schedules import schedule_alarms
from hyops_ci.operations.alarms.waiting import waiting_alarms
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.job import Job
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub
from tests.unit.operations.dispatch.dispatching import StandingClock

__all__ = ["github_fake"]
NOW = datetime.now(UTC).replace(minute=30, second=0, microsecond=0)
PIN = "3f2a" * 10
FILE = "dr-readiness.yml"
CALL = "hybridops/dr-dispatch/.github/workflows"
READINESS = f"on: {{schedule: [{{cron: '23 * * * *'}}]}}\njobs: {{readiness: {{uses: {CALL}/readiness.yml@{PIN}}}}}\n"
DRILL = f"on: {{schedule: [{{cron: '41 4 * * *'}}]}}\njobs: {{drill: {{uses: {CALL}/drill.yml@{PIN}}}}}\n"
SERVICES = """
services:
  pg-ha/prod: {failover: {lane: gcp, blueprint: dr/x@v1}, failback: {lane: onprem, blueprint: dr/y@v1}}
  pg-ha/drill: {failover: {lane: gcp, blueprint: dr/x@v1}}
envs: {drill: {class: drill}}
lanes: {onprem: {enabled: false}}
"""


def config_of(owed: str = "") -> DispatchConfig:
    return read_config(f"{SERVICES}{owed}".encode(), "dr-dispatch.yml")[0]


def texts(*readiness: str, **others: str) -> dict[str, bytes]:
    named = dict.fromkeys((FILE,) if readiness else (), "".join(readiness)) | {f"{name}.yml": text for name, text in others.items()}
    return {f".github/workflows/{name}": text.encode() for name, text in named.items()}


@pytest.fixture
def repository(github_fake: FakeGitHub) -> Repository:
    return github_fake.add_repository("acme/recovery")


def connect(fake: FakeGitHub, *permissions: str) -> Client:
    token = fake.add_token("metadata: read", *(permissions or ("actions: write",)))
    return Client.connect("acme/recovery", token=token, api_url=fake.url, sleep=lambda _: None)


def kinds(alarms: object) -> list[tuple[str, str]]:
    return [(alarm.kind, alarm.level) for alarm in alarms if isinstance(alarm, Alarm)]  # type: ignore[attr-defined]  # an iterator of them


def test_a_schedule_that_github_disabled_after_sixty_quiet_days(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.add_workflow(f".github/workflows/{FILE}", READINESS).state = "disabled_inactivity"
    [found] = schedule_alarms(config_of(), texts(READINESS), connect(github_fake), NOW)
    assert (found.kind, found.exit_code, found.fix) == ("schedule.disabled", 12, f"gh workflow enable {FILE}")


def test_a_schedule_whose_runs_do_not_come(github_fake: FakeGitHub, repository: Repository) -> None:
    workflow = repository.add_workflow(f".github/workflows/{FILE}", READINESS)
    workflow.created_at = f"{NOW - timedelta(days=90):%Y-%m-%dT%H:%M:%SZ}"
    assert kinds(schedule_alarms(config_of(), texts(READINESS), connect(github_fake), NOW)) == [("schedule.silent", "alarm")]
    for hour in range(12):
        repository.add_run(workflow, event="schedule", created_at=f"{NOW - timedelta(hours=hour, minutes=5):%Y-%m-%dT%H:%M:%SZ}")
    assert kinds(schedule_alarms(config_of(), texts(READINESS), connect(github_fake), NOW)) == []


def test_where_github_does_not_say_it_is_not_known(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.add_workflow(f".github/workflows/{FILE}", READINESS)
    assert kinds(schedule_alarms(config_of(), texts(READINESS), connect(github_fake, "contents: read"), NOW)) == [("schedule", "unknown")]


@pytest.mark.parametrize(
    ("owed", "files", "said"),
    [
        ("check: {every: P1D}", texts(READINESS), []),
        ("check: {every: PT1H}", texts(READINESS), []),
        ("check: {every: PT1H}", texts(READINESS.replace("23 * * * *", "23 */2 * * *")), [("schedule.rhythm", "alarm")]),
        ("check: {every: P1D}", texts(drill=DRILL), [("schedule.rhythm", "alarm")]),
        ("isolated: {every: P30D}", texts(READINESS, drill=DRILL), []),
        ("isolated: {every: P30D}", texts(READINESS), [("schedule.rhythm", "alarm")]),
        ("isolated: {every: P30D}", texts(drill=DRILL.replace("41 4 * * *", "41 4 30 2 *")), [("schedule.cron", "alarm")]),
        ("isolated: {every: P7D}", texts(drill=DRILL.replace("41 4 * * *", "41 4 * * 1")), [("schedule.rhythm", "alarm")]),
        ("isolated: {every: P8D}", texts(drill=DRILL.replace("41 4 * * *", "41 4 * * 1")), []),
        ("isolated: {every: P1D}", texts(drill=DRILL), []),
        ("check: {every: P1D}", texts(READINESS.replace("23 * * * *", "23 4 * * *")), [("schedule.rhythm", "alarm")]),
        ("isolated: {every: P100D}", texts(drill=DRILL.replace("41 4 * * *", "41 4 1 1,4,7,10 *")), []),
        ("isolated: {every: P90D}", texts(drill=DRILL.replace("41 4 * * *", "41 4 1 1,4,7,10 *")), [("schedule.rhythm", "alarm")]),
        ("isolated: {every: P30D}", texts(drill=DRILL.replace("41 4 * * *", "41 4 29 2 *")), [("schedule.rhythm", "alarm")]),
        ("check: {every: P1D}", {}, [("schedule", "unknown")]),
    ],
)
def test_whether_the_schedules_keep_up_with_what_is_owed(owed: str, files: dict[str, bytes], said: list[tuple[str, str]]) -> None:
    """One run is about one service. Seen in the files alone."""
    config = config_of(f"drills: {{pg-ha/prod: {{{owed}}}}}\n")
    assert kinds(schedule_alarms(config, files, None, NOW)) == said


def test_runs_of_every_caller_that_wait_too_long_are_ended_and_said(
    github_fake: FakeGitHub, repository: Repository, tmp_path: Path
) -> None:
    repository.add_environment("dr-prod", reviewers=[github_fake.add_user("jonas", number=1002)])
    waiting = []
    for name, text in (("dr.yml", READINESS.replace("readiness.yml", "dispatch.yml")), ("other.yml", "on: push\njobs: {}\n")):
        workflow = repository.add_workflow(f".github/workflows/{name}", text)
        run = repository.add_run(workflow, created_at=f"{datetime.now(UTC) - timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}")
        run.add_job("Recover", environment="dr-prod")
        waiting.append((run, name, text))
    clock = StandingClock(datetime.now(UTC))
    context = RunContext(Job("1-1", on_github=True), clock, tmp_path, tmp_path, "", github=connect(github_fake))
    files = {f".github/workflows/{name}": text.encode() for _, name, text in waiting}
    [found] = waiting_alarms(config_of(), files, context)
    assert found.text == f"run {waiting[0][0].id} of dr.yml waited longer than an approval counts, and was ended"
    assert [run.conclusion for run, _, _ in waiting] == ["cancelled", None]


def test_a_runner_that_is_gone_and_one_that_will_soon_get_no_jobs(github_fake: FakeGitHub, repository: Repository) -> None:
    def ask() -> list[Alarm]:
        return list(runner_alarms(config_of(), connect(github_fake, "administration: read"), NOW))

    [gone] = ask()
    assert (gone.kind, gone.level, gone.exit_code) == ("runner.absent", "alarm", 7)
    runner = repository.add_runner("gcp-ops-runner-01", ["gcp-ops-runner"], version="2.300.0")
    assert [each.kind for each in ask()] == ["runner.outdated", "runner.warning"]
    runner.version = "2.336.0"
    assert [each.level for each in ask() if each.level == "alarm"] == []


def test_without_a_token_runners_are_not_known() -> None:
    assert kinds(runner_alarms(config_of(), None, NOW)) == [("runners", "unknown")]
