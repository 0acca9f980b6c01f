"""A runner is registered by a GitHub App with what was minted a moment ago, and nothing shows that; what is in use is never removed."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import requests

from hyops_ci.contracts.runner_machine import Registration
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.github.api.responses import Forbidden, NotFound
from hyops_ci.github.registration import PERMISSIONS, Minted, Registry
from hyops_ci.github.runner_versions import TO_REGISTER
from tests.support.github import faults
from tests.support.github.app_key import APP_ID, install_app
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.runners import Runner
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
GROUP = "dr-runners"
TOKEN = "POST /repos/{owner}/{repo}/actions/runners/registration-token"


@pytest.fixture
def repository(github_fake: FakeGitHub) -> Repository:
    made = github_fake.add_repository("acme/shop", private=True)
    made.owner.add_group(GROUP, [made])
    return made


Connect = Callable[..., Registry]


@pytest.fixture
def connect(github_fake: FakeGitHub, repository: Repository) -> Connect:
    """A registry of an App with these permissions; by default exactly those that it needs."""

    def make(group: str = "", *permissions: str, learned: list[str] | None = None) -> Registry:
        needed = PERMISSIONS["organization" if group else "repository"]
        key = install_app(github_fake, repository, *(permissions or [f"{name}: {level}" for name, level in needed.items()]))
        registration = Registration(app_id=APP_ID, key="dr/github-app#private_key", group=group or None)
        learn = None if learned is None else learned.append
        return Registry.connect(registration, key, "acme/shop", api_url=github_fake.url, learn=learn)

    return make


both = pytest.mark.parametrize("group", ["", GROUP], ids=["repository", "organization"])


def register(fake: FakeGitHub, token: str, name: str = "gcp-ops-runner-01") -> requests.Response:
    """What the agent's `config.sh` sends."""
    body = {
        "url": "https://github.com/acme/shop",
        "group_id": 1,
        "name": name,
        "version": "2.336.0",
        "labels": [{"name": "gcp-ops-runner", "type": "user"}],
    }
    headers = {"Authorization": f"RemoteAuth {token}", "User-Agent": "GitHubActionsRunner"}
    return requests.post(f"{fake.url}/actions/runners/register", json=body, headers=headers, timeout=60)


# ------------------------------------------------------------------------------------------------------- minted


@both
def test_an_agent_registers_with_the_token(group: str, github_fake: FakeGitHub, connect: Connect) -> None:
    registry = connect(group)
    minted = registry.token()
    assert minted.value == github_fake.runner_tokens[-1]
    assert datetime.fromisoformat(minted.expires_at) > datetime.now(UTC) + timedelta(minutes=50)
    assert register(github_fake, minted.value).status_code == 201
    assert registry.url("https://github.com/") == ("https://github.com/acme" if group else "https://github.com/acme/shop")


def test_a_token_that_has_ended_registers_nothing(
    github_fake: FakeGitHub, connect: Connect, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    minted = connect().token()
    later = datetime.now(UTC) + timedelta(hours=1, seconds=1)
    monkeypatch.setattr(github_fake, "now", lambda: later)
    assert register(github_fake, minted.value).status_code == 404
    assert repository.runners == []


def test_a_runner_is_listed_late(github_fake: FakeGitHub, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, began = connect(), datetime.now(UTC)
    github_fake.listed_after = 60
    assert register(github_fake, registry.token().value).status_code == 201
    assert registry.runners() == ()
    assert register(github_fake, registry.token().value).status_code == 409, "it is there, and only not shown"
    monkeypatch.setattr(github_fake, "now", lambda: began + timedelta(seconds=90))
    [runner] = registry.runners()
    assert (runner.name, runner.online, runner.labels) == (
        "gcp-ops-runner-01",
        False,
        ("self-hosted", "Linux", "X64", "gcp-ops-runner"),
    )


@both
def test_the_apps_token_may_do_no_more_than_this(group: str, github_fake: FakeGitHub, connect: Connect, repository: Repository) -> None:
    """However much the App may do, and however many repositories it serves."""
    other = github_fake.add_repository("acme/other", private=True)
    registry = connect(group, "administration: write", "organization_self_hosted_runners: write", "contents: write")
    github_fake.apps[APP_ID].installations[0].repositories = [repository, other]
    registry.token()
    [token] = [each for each in github_fake.tokens.values() if each.actor == "dr-bot[bot]"]
    assert token.permissions == PERMISSIONS["organization" if group else "repository"]
    assert token.repositories == frozenset({repository.id})


def test_what_was_minted_is_shown_nowhere(github_fake: FakeGitHub, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    learned: list[str] = []
    registry = connect(learned=learned)
    minted = [registry.token(), registry.token()]
    for each in minted:
        assert each.value in learned, "the redactor knows it before anybody else"
        for text in (repr(each), str(each), f"{each}", f"{[each]}", repr(registry), *map(str, vars(registry).values())):
            assert each.value not in text
        assert each.value not in "".join(traceback.format_exception(RuntimeError("trouble", each)))
        assert each.value not in caplog.text


@pytest.mark.parametrize(
    "fault",
    [
        faults.answer(201, {"token": None, "expires_at": "2026-11-01T12:00:00Z"}),
        faults.answer(201, {"expires_at": "2026-11-01T12:00:00Z"}),
        faults.answer(201, {"token": "AB-canary-short"[:7], "expires_at": "2026-11-01T12:00:00Z"}),
        faults.answer(201, ["canary"]),
    ],
)
def test_an_answer_without_a_token_is_a_fault(fault: faults.Fault, github_fake: FakeGitHub, connect: Connect) -> None:
    registry = connect()
    github_fake.inject(fault, TOKEN)
    with pytest.raises(Fault) as caught:
        registry.token()
    assert caught.value.gate == "github.answer"
    assert "canary" not in str(caught.value.lines())


# ------------------------------------------------------------------------------------------------------ who may


def test_an_app_without_the_permission(connect: Connect) -> None:
    with pytest.raises(DispatchError) as caught:
        connect("", "administration: read").token()
    assert caught.value.exit_code in (Exit.POLICY, Exit.USAGE)
    assert "permission" in str(caught.value.lines())


def test_a_jobs_own_token_registers_nothing(github_fake: FakeGitHub, repository: Repository) -> None:
    from hyops_ci.github.api.client import Client

    token = github_fake.add_token("actions: write", "contents: write")
    with pytest.raises(Forbidden) as caught:
        Registry(Client.connect("acme/shop", token=token, api_url=github_fake.url)).token()
    assert "administration: write" in caught.value.expected


@pytest.mark.parametrize("key", ["", "canary-no-pem", "-----BEGIN RSA PRIVATE KEY-----\ncanary\n-----END RSA PRIVATE KEY-----\n"])
def test_a_key_that_signs_nothing(key: str, github_fake: FakeGitHub) -> None:
    with pytest.raises(Refusal) as caught:
        Registry.connect(Registration(app_id=31, key="a#b"), key, "acme/shop", api_url=github_fake.url)
    assert (caught.value.gate, "canary" in str(caught.value.lines())) == ("github.app", False)
    assert "registration.key" in caught.value.fix


def test_an_app_that_is_not_installed(github_fake: FakeGitHub, connect: Connect) -> None:
    github_fake.add_repository("acme/elsewhere", private=True)
    connect()
    key = install_app(github_fake, github_fake.repositories["acme/shop"], "administration: write")
    with pytest.raises(NotFound) as caught:
        Registry.connect(Registration(app_id=APP_ID, key="a#b"), key, "acme/elsewhere", api_url=github_fake.url)
    assert caught.value.reason == "the App is not installed on this repository"


def test_a_group_that_does_not_serve_the_repository(github_fake: FakeGitHub, connect: Connect, repository: Repository) -> None:
    repository.owner.add_group("others", [github_fake.add_repository("acme/other", private=True)])
    for group in ("others", "nowhere"):
        with pytest.raises(Refusal) as caught:
            connect(group).runners()
        assert caught.value.gate == "registration.group"
        assert caught.value.found == f"group '{group}'; acme has Default, {GROUP} for acme/shop"


# ---------------------------------------------------------------------------------------------------- which agent


@both
def test_the_release_of_today(group: str, github_fake: FakeGitHub, connect: Connect) -> None:
    github_fake.agent_version = "2.337.1"
    github_fake.agent_hashes["actions-runner-linux-x64-2.337.1.tar.gz"] = "ab" * 32
    found = connect(group).agent_release()
    assert (found.version, found.filename, found.sha256) == ("2.337.1", "actions-runner-linux-x64-2.337.1.tar.gz", "ab" * 32)
    assert found.url == "https://github.com/actions/runner/releases/download/v2.337.1/actions-runner-linux-x64-2.337.1.tar.gz"


@pytest.mark.parametrize("change", ["no hash", "short hash", "no version", "no such machine"])
def test_a_list_that_names_no_agent(change: str, github_fake: FakeGitHub, connect: Connect) -> None:
    name, architecture = "actions-runner-linux-x64-2.336.0.tar.gz", "x64"
    match change:
        case "no hash":
            github_fake.agent_hashes[name] = ""
        case "short hash":
            github_fake.agent_hashes[name] = "ab"
        case "no version":
            github_fake.agent_version = "latest"
        case _:
            architecture = "s390x"
    with pytest.raises(Refusal) as caught:
        connect().agent_release(architecture=architecture)
    assert caught.value.gate == "registration.release"


@both
def test_the_version_gate(group: str, github_fake: FakeGitHub, connect: Connect) -> None:
    registry = connect(group)
    github_fake.add_runner_version("2.336.0")
    github_fake.add_runner_version("2.337.0", registration_ends="2026-10-31T00:00:00Z")
    github_fake.add_runner_version("2.338.0", runtime_ends="2026-10-31T00:00:00Z")
    github_fake.add_runner_version("2.339.0", registration_ends="2026-12-01T00:00:00Z", runtime_ends="2026-12-02T00:00:00Z")
    assert registry.require_registrable("2.336.0", NOW) == ""
    assert registry.require_registrable("2.339.0", NOW) == "", "it ends later"
    assert registry.require_registrable("2.340.0", NOW) == "schedule of agent 2.340.0: GitHub has none"
    for version, words in (
        ("2.337.0", "is not registered since"),
        ("2.338.0", "gets no jobs since"),
        ("2.328.0", f"is below {TO_REGISTER}"),
        ("2.330.0", "the first that knows"),
        ("latest", "is no version"),
    ):
        with pytest.raises(Refusal) as caught:
            registry.require_registrable(version, NOW)
        assert caught.value.gate == "registration.version"
        assert words in caught.value.found


# ------------------------------------------------------------------------------------------------------- removed


def a_runner(repository: Repository, group: str, **changes: object) -> Runner:
    if group:
        [found] = [each for each in repository.owner.groups if each.name == group]
        return repository.owner.add_runner("gcp-ops-runner-01", ["gcp-ops-runner"], group=found, **changes)
    return repository.add_runner("gcp-ops-runner-01", ["gcp-ops-runner"], **changes)


@both
def test_what_is_offline_is_removed_once(group: str, connect: Connect, repository: Repository) -> None:
    runner = a_runner(repository, group, status="offline")
    registry = connect(group)
    assert [each.id for each in registry.runners()] == [runner.id]
    assert [registry.remove(runner.id) for _ in range(2)] == [True, False]
    assert registry.runners() == ()


@both
@pytest.mark.parametrize("changes", [{"status": "online"}, {"status": "offline", "busy": True}])
def test_what_is_in_use_stays(group: str, changes: dict[str, object], connect: Connect, repository: Repository) -> None:
    runner = a_runner(repository, group, **changes)
    registry = connect(group)
    with pytest.raises(Refusal) as caught:
        registry.remove(runner.id)
    assert caught.value.gate == "registration.busy"
    assert [each.id for each in registry.runners()] == [runner.id]


def test_one_that_takes_a_job_in_between_stays(github_fake: FakeGitHub, connect: Connect, repository: Repository) -> None:
    runner = a_runner(repository, "", status="offline")
    registry, place = connect(), "DELETE /repos/{owner}/{repo}/actions/runners/{runner_id}"
    github_fake.inject(faults.answer(422, {"message": 'Bad request - Runner "x" is still running a job"'}), place)
    with pytest.raises(Refusal) as caught:
        registry.remove(runner.id)
    assert (caught.value.gate, repository.runners) == ("registration.busy", [runner])


def test_a_removal_whose_answer_was_lost_is_asked_for_again(github_fake: FakeGitHub, connect: Connect, repository: Repository) -> None:
    runner = a_runner(repository, "", status="offline")
    registry = connect()
    registry.client._sleep = lambda _: None
    github_fake.inject(faults.lost(), "DELETE /repos/{owner}/{repo}/actions/runners/{runner_id}")
    assert registry.remove(runner.id) is False, "the second try finds it gone"
    assert repository.runners == []


def test_another_groups_runners_are_not_seen(connect: Connect, repository: Repository) -> None:
    repository.owner.add_runner("elsewhere", ["gcp-ops-runner"])
    mine = a_runner(repository, GROUP)
    assert [each.id for each in connect(GROUP).runners()] == [mine.id]


def test_every_page_is_read(connect: Connect, repository: Repository) -> None:
    for number in range(250):
        repository.add_runner(f"other-{number}")
    assert len(connect().runners()) == 250


def test_a_token_is_minted_by_whoever_holds_one(connect: Connect) -> None:
    one, other = (connect().token() for _ in range(2))
    assert isinstance(one, Minted)
    assert one.value != other.value
