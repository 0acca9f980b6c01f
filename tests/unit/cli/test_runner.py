"""`hyops-ci runner status`: every lane in a line, exit 7 for a runner that would take no job, and the unknown said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.cli.app import main
from tests.support.github import faults
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.runners import RunnerVersion
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
CONFIG = """
services:
  pg-ha/prod:
    failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}
    failback: {lane: onprem, blueprint: dr/postgresql-ha-failback-onprem@v1}
"""
NAMED = CONFIG + "lanes: {gcp: {names: [gcp-ops-runner-01], drill_runner_ref: gcp-drill-runner}}\n"
OURS = "administration: read"
THEIRS = "organization_self_hosted_runners: read"


@pytest.fixture
def repository(github_fake: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    for name in ("DR_APP_ID", "DR_RUNNER_TOKEN", "DR_RUNNER_ORG", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GITHUB_API_URL", github_fake.url)
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/shop")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "dr-dispatch.yml").write_text(CONFIG)
    return github_fake.add_repository("acme/shop", private=True)


@pytest.fixture
def token(github_fake: FakeGitHub, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> str:
    made = github_fake.add_token(OURS, THEIRS, actor="maria")
    monkeypatch.setenv("DR_RUNNER_TOKEN", made)
    return made


def status(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["runner", "status", *words])
    return int(ended.value.code or 0), capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(status(capsys, *words, "--format", "json")[1])
    return found


def test_all_is_well(github_fake: FakeGitHub, repository: Repository, token: str, capsys: pytest.CaptureFixture[str]) -> None:
    repository.add_runner("gcp-ops-runner-01", ["gcp-ops-runner"])
    repository.owner.add_runner("dc1-ops", ["proxmox-ops-runner"], busy=True)
    github_fake.runner_versions = {"2.336.0": RunnerVersion("2.336.0")}
    code, out = status(capsys)
    assert (code, out.splitlines()) == (
        0,
        [
            "ok    runner gcp     gcp-ops-runner-01 is idle, agent 2.336.0; gcp-ops-runner, labels self-hosted, gcp-ops-runner",
            "ok    runner onprem  dc1-ops is busy, agent 2.336.0; proxmox-ops-runner, labels self-hosted, proxmox-ops-runner",
        ],
    )
    gcp, onprem = document(capsys)
    assert (gcp["presence"], gcp["ambiguous"], gcp["not_known"]) == ("online", [], [])
    assert gcp["schedules"] == [{"version": "2.336.0", "runtime_ends": None, "registration_ends": None}]
    assert (onprem["runners"][0]["scope"], onprem["runners"][0]["group"]) == ("organization", "Default")


@pytest.mark.parametrize(
    ("change", "presence", "words"),
    [
        ({"status": "offline"}, "offline", "is offline"),
        ({"version": "2.320.0"}, "outdated", "agent 2.320.0 is below 2.329.0, the oldest that GitHub registers"),
        ({"labels": ["other"]}, "absent", "GitHub shows no runner with these labels"),
    ],
)
def test_a_runner_that_would_take_no_job(
    change: dict[str, Any], presence: str, words: str, repository: Repository, token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = repository.add_runner("gcp-ops-runner-01", ["gcp-ops-runner"])
    for name, value in change.items():
        setattr(runner, name, value)
    code, out = status(capsys, "--lane", "gcp")
    assert code == 7
    assert out.startswith("FAIL  runner gcp ")
    assert words in out
    assert document(capsys, "--lane", "gcp")[0]["presence"] == presence


def test_an_agent_that_ends_soon_and_one_too_many(
    github_fake: FakeGitHub, repository: Repository, token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.add_runner("one", ["gcp-ops-runner"])
    repository.add_runner("two", ["gcp-ops-runner"])
    github_fake.runner_versions = {"2.336.0": RunnerVersion("2.336.0", github_fake.stamp(after=86_400))}
    code, out = status(capsys, "--lane", "gcp")
    assert code == 0
    assert "warn  runner gcp     one: agent 2.336.0 gets no jobs from 20" in out
    assert "one and two may take its jobs too: list lanes.<lane>.names" in out
    assert document(capsys, "--lane", "gcp")[0]["ambiguous"] == ["one", "two"]


def test_names_and_a_drill_runner(repository: Repository, token: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "named.yml").write_text(NAMED)
    repository.add_runner("gcp-ops-runner-01", ["gcp-ops-runner"])
    repository.add_runner("drills", ["gcp-drill-runner"])
    repository.add_runner("mallory", ["gcp-ops-runner"])
    lane, drill = document(capsys, "--config", "named.yml", "--lane", "gcp")
    assert (lane["names"], lane["ambiguous"]) == (["gcp-ops-runner-01"], ["mallory"])
    assert (drill["runner_ref"], drill["labels"], drill["presence"]) == ("gcp-drill-runner", ["self-hosted", "gcp-drill-runner"], "online")


def test_without_such_a_token_it_says_what_is_not_known(
    github_fake: FakeGitHub, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = status(capsys)
    assert code == 12
    assert out.splitlines()[0].startswith(
        "?     runner gcp     not known: no token that may list runners (administration: read; a job's own token never has it)"
    )
    [gcp, _] = document(capsys)
    assert (gcp["presence"], gcp["runners"], gcp["ambiguous"], gcp["schedules"]) == ("unknown", None, None, None)
    assert gcp["not_known"]
    assert github_fake.calls == []


def test_a_token_that_may_not_list(github_fake: FakeGitHub, repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("DR_RUNNER_TOKEN", github_fake.add_token("actions: read", actor="maria"))
    code, out = status(capsys, "--lane", "gcp")
    assert code == 12, "unknown is all there is to say"
    assert OURS in out
    assert THEIRS in out


def test_a_persons_own_token_lists_them_in_a_shell_and_never_in_a_job(
    github_fake: FakeGitHub, repository: Repository, token: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    repository.add_runner("one", ["gcp-ops-runner"])
    monkeypatch.delenv("DR_RUNNER_TOKEN")
    monkeypatch.setenv("GH_TOKEN", token)
    assert status(capsys, "--lane", "gcp")[0] == 0
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert status(capsys, "--lane", "gcp")[0] == 12


def test_a_persons_repository_has_no_organization(github_fake: FakeGitHub, token: str, capsys: pytest.CaptureFixture[str]) -> None:
    github_fake.add_repository("maria-b/shop", private=True, owner_is_user=True).add_runner("mine", ["gcp-ops-runner"])
    [gcp] = document(capsys, "--lane", "gcp", "--repository", "maria-b/shop")
    assert (gcp["presence"], gcp["not_known"]) == ("online", ["schedule of agent 2.336.0: GitHub has none"])
    assert [call for call in github_fake.calls if call.path.startswith("/orgs/")] == []


def test_a_schedule_that_cannot_be_read(github_fake: FakeGitHub, repository: Repository, token: str, capsys: Any) -> None:
    repository.add_runner("one", ["gcp-ops-runner"])
    github_fake.inject(faults.answer(403), "GET /repos/{owner}/{repo}/actions/runners/deprecations/{version}", times=None)
    code, out = status(capsys, "--lane", "gcp")
    assert code == 0
    assert "?     runner gcp     not known: schedule of agent 2.336.0: " in out


def test_a_token_that_is_none(repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DR_RUNNER_TOKEN", "wrong")
    code, out = status(capsys, "--format", "json")
    assert (code, json.loads(out)["error"]["gate"]) == (2, "github.token")


def test_another_lane_than_those_that_are_open(repository: Repository, token: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert [lane["lane"] for lane in document(capsys)] == ["gcp", "onprem"]
    assert [lane["lane"] for lane in document(capsys, "--lane", "azure")] == ["azure"]


def test_its_calls_do_not_grow_with_the_runners(
    github_fake: FakeGitHub, repository: Repository, token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(10_000):
        repository.add_runner(f"build-{number}", ["build"])
    code, out = status(capsys, "--lane", "gcp")
    assert (code, len(github_fake.calls)) == (12, 6), "the repository, and five of the search"
    assert "first 500 of 10000 runners of the repository looked at" in out
