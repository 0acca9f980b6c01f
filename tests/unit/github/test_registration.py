"""Registrations: made, ended, and never written anywhere."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.github.api.answers import Conflict, Forbidden, NotFound, Unanswered
from hyops_ci.github.api.client import Client
from hyops_ci.github.registration import RunnerToken, jit_config, registration_token, removal_token, remove
from tests.support.github import faults
from tests.support.github.accounts import Account
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub
from tests.unit.github.scripted import Asking, Scripted, Time, said

NOW = datetime(2026, 11, 23, 3, 4, 31, tzinfo=UTC)
JIT = "POST /repos/{owner}/{repo}/actions/runners/generate-jitconfig"
WRITE = ("administration: write", "organization_self_hosted_runners: write")
SCOPES = pytest.mark.parametrize("org", ["", "acme"], ids=["repository", "organization"])


@pytest.fixture
def repository(github_fake: FakeGitHub) -> Repository:
    github_fake.now = lambda: NOW
    return github_fake.add_repository("acme/dr")


@pytest.fixture
def client(github_fake: FakeGitHub, repository: Repository, connected: Asking) -> Client:
    return connected(github_fake.url, github_fake.add_token(*WRITE))


def owner(repository: Repository, org: str) -> Repository | Account:
    return repository.owner if org else repository


# -------------------------------------------------------------------------------------------------------- tokens


@SCOPES
@pytest.mark.parametrize("make", [registration_token, removal_token])
def test_a_token_is_good_for_an_hour(make: object, org: str, client: Client, github_fake: FakeGitHub) -> None:
    token: RunnerToken = make(client, org=org)  # type: ignore[operator]
    assert token.reveal() == github_fake.runner_tokens[-1]
    assert token.expires_at == NOW + timedelta(hours=1)
    assert token.good_for(NOW + timedelta(minutes=50)) == timedelta(minutes=10)
    assert "actions/runners" in github_fake.calls[-1].path
    assert github_fake.calls[-1].path.startswith("/orgs/acme" if org else "/repos/acme/dr")


def test_registering_and_removing_are_two_tokens(client: Client, github_fake: FakeGitHub) -> None:
    assert [registration_token(client).reveal(), removal_token(client).reveal()] == github_fake.runner_tokens
    assert [call.path.rpartition("/")[2] for call in github_fake.calls] == ["registration-token", "remove-token"]


def test_a_lost_token_is_asked_for_again(client: Client, github_fake: FakeGitHub) -> None:
    """One that nobody received registers nobody."""
    github_fake.inject(faults.lost(), "POST /repos/{owner}/{repo}/actions/runners/registration-token")
    assert registration_token(client).reveal() == github_fake.runner_tokens[-1]
    assert len(github_fake.runner_tokens) == 2


@pytest.mark.parametrize(("org", "permission"), [("", WRITE[0]), ("acme", WRITE[1])])
def test_the_permission_is_named(org: str, permission: str, github_fake: FakeGitHub, repository: Repository, connected: Asking) -> None:
    client = connected(github_fake.url, github_fake.add_token("administration: read"))
    with pytest.raises(Forbidden) as caught:
        registration_token(client, org=org)
    assert caught.value.expected == f"a token with {permission}"


# ------------------------------------------------------------------------------------------------------------ JIT


@SCOPES
def test_a_runner_for_one_job(org: str, client: Client, repository: Repository) -> None:
    made = jit_config(client, "dr-gcp-7c1e", ["self-hosted", "gcp-ops-runner"], now=NOW, org=org)
    inside = json.loads(base64.b64decode(json.loads(base64.b64decode(made.reveal()))[".runner"]))
    (runner,) = owner(repository, org).runners
    assert (made.name, made.runner_id, inside["AgentId"]) == ("dr-gcp-7c1e", runner.id, runner.id)
    assert (runner.ephemeral, runner.status) == (True, "offline")
    assert {"self-hosted", "gcp-ops-runner"} <= set(runner.labels)


def test_what_is_asked_for(asking: Asking, scripted: Scripted) -> None:
    client = asking(said(201, {"runner": {"id": 5, "name": "r"}, "encoded_jit_config": "Zm9v"}))
    jit_config(client, "r", ["x"], now=NOW, org="acme", group_id=7, work_folder="_work/dr")
    sent = json.loads(scripted.heard[0].body)
    assert sent == {"name": "r", "runner_group_id": 7, "labels": ["x"], "work_folder": "_work/dr"}


def test_a_name_is_taken_once(client: Client, repository: Repository) -> None:
    repository.add_runner("dr-gcp")
    with pytest.raises(Conflict) as caught:
        jit_config(client, "dr-gcp", ["x"], now=NOW)
    assert "A runner with the name dr-gcp already exists" in caught.value.found


def test_a_lost_configuration_is_no_second_runner(client: Client, github_fake: FakeGitHub, repository: Repository) -> None:
    github_fake.inject(faults.lost(), JIT)
    with pytest.raises(Unanswered):
        jit_config(client, "dr-gcp", ["x"], now=NOW)
    assert len(repository.runners) == 1
    assert len(github_fake.made(JIT)) == 1


@pytest.mark.parametrize(
    ("name", "labels", "folder"),
    [
        ("", ["x"], "_work"),
        ("a b", ["x"], "_work"),
        ("-x", ["x"], "_work"),
        ("a" * 65, ["x"], "_work"),
        ("a;reboot", ["x"], "_work"),
        ("a\nb", ["x"], "_work"),
        ("a", [], "_work"),
        ("a", ["x"] * 101, "_work"),
        ("a", ["x", "a,b"], "_work"),
        ("a", ["$(id)"], "_work"),
        ("a", ["x"], "/etc"),
        ("a", ["x"], "../up"),
        ("a", ["x"], "a/../../up"),
        ("a", ["x"], ""),
        ("a", ["x"], "~"),
    ],
)
def test_what_no_runner_can_have(name: str, labels: list[str], folder: str, client: Client, github_fake: FakeGitHub) -> None:
    with pytest.raises(Refusal) as caught:
        jit_config(client, name, labels, now=NOW, work_folder=folder)
    assert (caught.value.gate, caught.value.exit_code, github_fake.calls) == ("runner.registration", Exit.USAGE, [])
    assert all("\n" not in line for line in caught.value.lines())


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"runner": {"id": 5, "name": "r"}},
        {"runner": {"id": 5, "name": "another"}, "encoded_jit_config": "Zm9v"},
        {"runner": {"id": 5, "name": "r"}, "encoded_jit_config": ""},
        {"runner": {"id": "canary-33", "name": "r"}, "encoded_jit_config": "Zm9v"},
        {"runner": None, "encoded_jit_config": "Zm9v"},
        [],
        {"token": "canary-33", "expires_at": "canary-33"},
        {"token": "canary-33", "expires_at": None},
        {"token": "", "expires_at": "2026-11-23T04:04:31Z"},
    ],
)
def test_an_answer_that_is_none_of_this_is_a_fault(answer: object, asking: Asking) -> None:
    client = asking(said(201, answer))
    for ask in (lambda: jit_config(client, "r", ["x"], now=NOW), lambda: registration_token(client)):
        with pytest.raises(Fault) as caught:
            ask()
        assert caught.value.gate == "github.answer"
        assert "canary-33" not in "\n".join(caught.value.lines())


# -------------------------------------------------------------------------------------------------------- removal


@SCOPES
def test_a_registration_ends(org: str, client: Client, repository: Repository) -> None:
    runner = owner(repository, org).add_runner("dr-gcp")
    assert remove(client, runner.id, org=org) is True
    assert owner(repository, org).runners == []
    assert remove(client, runner.id, org=org) is False


def test_a_runner_that_works_stays(client: Client, repository: Repository) -> None:
    runner = repository.add_runner("dr-gcp", busy=True)
    with pytest.raises(Refusal) as caught:
        remove(client, runner.id)
    assert caught.value.lines() == [
        "REFUSED runner.busy (exit 5): GitHub keeps the registration of a runner that has a job",
        f'  found    DELETE /repos/acme/dr/actions/runners/{runner.id}: HTTP 422, Bad request - Runner "dr-gcp" is still running a job"',
        "  expected a runner without a job",
        "  fix      wait for its job, or cancel it on its run's page; then again",
        "  docs     github-api.md",
    ]
    assert repository.runners == [runner]


def test_a_lost_removal_is_asked_for_again(client: Client, github_fake: FakeGitHub, repository: Repository) -> None:
    runner = repository.add_runner("dr-gcp")
    github_fake.inject(faults.lost(), "DELETE /repos/{owner}/{repo}/actions/runners/{runner_id}")
    assert remove(client, runner.id) is False, "it was ours that did it, and it is gone"
    assert repository.runners == []


def test_a_repository_that_moved_is_no_busy_runner(asking: Asking) -> None:
    with pytest.raises(Refusal) as caught:
        remove(asking(said(301, {"message": "Moved"}, {"Location": "https://x.example"})), 5)
    assert caught.value.gate == "github.moved"


# -------------------------------------------------------------------------------------------------------- canaries


def test_a_token_is_not_shown(
    client: Client,
    github_fake: FakeGitHub,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    time: Time,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Nothing is written; whoever prints, logs, copies or pickles one gets nothing, or an error that says nothing."""
    monkeypatch.chdir(tmp_path)
    for place in ("HOME", "TMPDIR", "RUNNER_TEMP"):
        monkeypatch.setenv(place, str(tmp_path))
    caplog.set_level(logging.DEBUG)
    tokens = [registration_token(client), removal_token(client), jit_config(client, "dr-gcp", ["x"], now=NOW)]
    canaries = [*github_fake.runner_tokens, *(token.reveal() for token in tokens)]
    texts = [f"{token} {token!r} {token!s:>5} {[token]} {dir(token)}" for token in tokens]
    for token in tokens:
        for give_away in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars):
            with pytest.raises(TypeError) as caught:
                give_away(token)
            texts.append(str(caught.value))
    github_fake.inject(faults.truncated(), "*", times=None)
    for ask in (registration_token, removal_token, lambda c: jit_config(c, "other", ["x"], now=NOW)):
        with pytest.raises(DispatchError) as ended:
            ask(client)
        texts += ended.value.lines()
    canaries += github_fake.runner_tokens
    texts += [record.getMessage() for record in caplog.records] + time.told + list(capfd.readouterr())
    everything = "\n".join(texts)
    assert len(set(canaries)) > 5
    assert [canary for canary in canaries if canary in everything] == []
    assert list(tmp_path.rglob("*")) == []


def test_a_token_that_nobody_knows_is_refused(github_fake: FakeGitHub, repository: Repository, connected: Asking) -> None:
    with pytest.raises(NotFound):
        registration_token(connected(github_fake.url, github_fake.add_token(*WRITE)), org="nobody")
