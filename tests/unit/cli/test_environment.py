"""`hyops-ci environment check` against GitHub with a missing, an unprotected, a weak and a good environment."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.cli.app import main
from tests.support.github import faults
from tests.support.github.accounts import Account
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub
from tests.support.github.validation import validate_request

__all__ = ["github_fake"]
CONFIG = """
services:
  pg-ha/prod:
    failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}
    failback: {lane: onprem, blueprint: dr/postgresql-ha-failback-onprem@v1}
"""
KEY = "ed25519:7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E="
SIGNED = f"approvals: {{channels: [environment, signed], approvers: {{jonas: '{KEY}'}}}}\n"
CANARY = "ghs_canary-of-the-token"


@pytest.fixture
def repository(github_fake: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("GITHUB_API_URL", github_fake.url)
    monkeypatch.setenv("GH_REPO", "acme/shop")
    monkeypatch.setenv("DR_TOKEN", github_fake.add_token("actions: read", "metadata: read"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "dr-dispatch.yml").write_text(CONFIG)
    return github_fake.add_repository("acme/shop")


@pytest.fixture
def people(github_fake: FakeGitHub) -> list[Account]:
    return [github_fake.add_user("jonas", number=1001), github_fake.add_user("priya", number=1002)]


def check(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["environment", "check", *words])
    return int(ended.value.code or 0), capsys.readouterr().out.splitlines()


def document(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    return json.loads("\n".join(check(capsys, "--format", "json", *words)[1]))


def good(repository: Repository, people: list[Account]) -> None:
    repository.add_environment("dr-prod", reviewers=people, prevent_self_review=True, branches=["main"], can_admins_bypass=False)
    repository.add_environment("dr-check", branches=["main"])


def test_a_good_one(repository: Repository, people: list[Account], capsys: pytest.CaptureFixture[str]) -> None:
    good(repository, people)
    code, lines = check(capsys)
    assert code == 0
    assert lines == [
        "ok    gate prod      dr-prod: jonas, priya; no self-review; main only",
        "ok    check prod     dr-check: main only",
    ]


def test_a_missing_one(repository: Repository, people: list[Account], capsys: pytest.CaptureFixture[str]) -> None:
    good(repository, people)
    del repository.environments["dr-prod"]
    code, lines = check(capsys)
    assert code == 4
    assert lines[0] == (
        "FAIL  gate prod      dr-prod does not exist (GitHub would make it, unprotected); "
        "expected a reviewer other than the requester, or approvers with keys"
    )
    assert lines[2] == "A recovery that needs dr-prod would be REFUSED (docs/approvals.md)."
    assert "gh api -X PUT repos/acme/shop/environments/dr-prod --input - <<'JSON'" in lines
    assert '{"type": "User", "id": ID_OF_REVIEWER_1}' in "\n".join(lines)


def test_an_unprotected_one(repository: Repository, people: list[Account], capsys: pytest.CaptureFixture[str]) -> None:
    good(repository, people)
    repository.add_environment("dr-prod")
    code, lines = check(capsys)
    assert code == 4
    assert lines[:2] == [
        "FAIL  gate prod      dr-prod exists, 0 reviewers; expected a reviewer other than the requester, or approvers with keys",
        "FAIL  gate prod      dr-prod: any branch may pass; expected main only",
    ]


def test_a_weak_one(repository: Repository, people: list[Account], capsys: pytest.CaptureFixture[str]) -> None:
    good(repository, people)
    repository.add_environment("dr-prod", reviewers=people, branches=["main", "release/*"], wait_timer=5)
    code, lines = check(capsys)
    assert code == 4
    assert lines[:2] == [
        "FAIL  gate prod      dr-prod: self-review allowed; expected self-review prevented",
        "FAIL  gate prod      dr-prod: release/* may pass, too; expected main only",
    ]


def test_what_is_pasted_keeps_what_was_good_and_is_what_github_takes(
    repository: Repository, people: list[Account], capsys: pytest.CaptureFixture[str]
) -> None:
    repository.add_environment("dr-prod", reviewers=people, branches=["main", "release/*"], wait_timer=5)
    found = document(capsys)["environments"]
    repairs = {each["demanded"]["name"]: each["repair"] for each in found}
    put = re.search(r"-X PUT (\S+) --input - <<'JSON'\n(.*)\nJSON\n", repairs["dr-prod"])
    assert put
    body = json.loads(put[2])
    validate_request("PUT", f"/{put[1]}", {}, body)
    assert body == {
        "wait_timer": 5,
        "prevent_self_review": True,
        "reviewers": [{"type": "User", "id": 1001}, {"type": "User", "id": 1002}],
        "deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True},
    }
    for method, path in re.findall(r"gh api (?:-X (\w+) )?(\S*deployment-branch-policies\S*)", repairs["dr-check"]):
        sent = {"name": "main"} if method == "POST" else None
        validate_request(method or "GET", "/" + path.replace("{}", "7"), {}, sent)
    assert repairs["dr-check"].endswith("gh api -X POST repos/acme/shop/environments/dr-check/deployment-branch-policies -f name=main\n")


def test_a_team_of_which_the_number_is_not_known(
    github_fake: FakeGitHub, repository: Repository, people: list[Account], capsys: pytest.CaptureFixture[str]
) -> None:
    good(repository, people)
    repository.add_environment("dr-prod", reviewers=[github_fake.add_team("acme/leads", people)], branches=["main"])
    assert '{"type": "Team", "id": ID_OF_TEAM_LEADS}' in document(capsys)["environments"][0]["repair"]


def test_a_tier_without_reviewers_gets_keys_to_paste(
    github_fake: FakeGitHub, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    github_fake.add_repository("acme/shop", private=True, plan="team").add_environment("dr-prod", branches=["main"])
    code, lines = check(capsys)
    assert code == 4
    assert "repository private, GitHub tier probably without reviewers there" in lines[0]
    assert "  channels: [signed]" in lines
    assert not any("environments/dr-prod" in line for line in lines), "what cannot be set there is not pasted"


def test_signatures_stand_in(repository: Repository, people: list[Account], capsys: pytest.CaptureFixture[str]) -> None:
    good(repository, people)
    del repository.environments["dr-prod"]
    Path(".github/dr-dispatch.yml").write_text(CONFIG + SIGNED)
    code, lines = check(capsys)
    assert code == 0
    assert lines[0].startswith("warn  gate prod      dr-prod does not exist")
    assert lines[1].strip() == "not needed: signed approvals stand in, 1 of jonas"


def test_every_env_and_each_environment_once(
    github_fake: FakeGitHub, repository: Repository, people: list[Account], capsys: pytest.CaptureFixture[str]
) -> None:
    good(repository, people)
    repository.add_environment("dr-drill", reviewers=people[:1], prevent_self_review=True)
    more = CONFIG.replace("pg-ha/prod", "pg-ha/drill").replace("services:", "")
    Path(".github/dr-dispatch.yml").write_text(CONFIG + more.lstrip("\n") + "envs: {drill: {class: drill}}\n")
    code, lines = check(capsys)
    assert code == 0
    assert lines == [
        "ok    gate drill     dr-drill: jonas; no self-review; any branch; administrators can bypass it (a bypass is refused at the claim)",
        "ok    gate prod      dr-prod: jonas, priya; no self-review; main only",
        "ok    check drill, prod dr-check: main only",
    ]
    assert len(github_fake.made("GET /repos/{owner}/{repo}/environments/{environment_name}")) == 3


def test_two_envs_behind_one_gate(
    github_fake: FakeGitHub, repository: Repository, people: list[Account], capsys: pytest.CaptureFixture[str]
) -> None:
    good(repository, people)
    more = CONFIG.replace("pg-ha/prod", "web/stage").replace("services:", "")
    Path(".github/dr-dispatch.yml").write_text(CONFIG + more.lstrip("\n") + "envs: {stage: {github_environment: DR-Prod}}\n")
    assert check(capsys)[0] == 0
    assert len(github_fake.made("GET /repos/{owner}/{repo}/environments/{environment_name}")) == 2


def test_one_that_may_not_be_read(
    github_fake: FakeGitHub, repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DR_TOKEN", github_fake.add_token("metadata: read"))
    found = document(capsys)
    assert [each["status"] for each in found["environments"]] == ["FAIL", "FAIL"]
    assert "HTTP 403" in found["environments"][0]["lacks"][0]["found"]
    assert not any(each["repair"] for each in found["environments"])


def test_a_token_that_github_does_not_know_is_not_shown(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DR_TOKEN", CANARY)
    with pytest.raises(SystemExit) as ended:
        main(["environment", "check"])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert CANARY not in said.out + said.err


def test_github_down_is_no_verdict(github_fake: FakeGitHub, repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    github_fake.inject(faults.secondary(600), on="GET /repos/{owner}/{repo}/environments/{environment_name}", times=None)
    assert check(capsys)[0] == 12
