"""What may be done only once, and what a token may not do."""

from __future__ import annotations

import pytest
from urllib3.connection import HTTPConnection

from hyops_ci.errors import Exit
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.responses import Forbidden, Unanswered
from tests.support.github import faults
from tests.support.github.server import FakeGitHub
from tests.support.ports import free_port
from tests.unit.github.scripted import BAD_GATEWAY, Asking, Time, failed, said

DISPATCHES = "POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches"
WORKFLOW = ".github/workflows/dr.yml"
CALLER = "on: workflow_dispatch\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n"


# ------------------------------------------------------------------------------------------------- done only once


def runs_started(fake: FakeGitHub) -> int:
    return len(fake.repositories["acme/dr"].runs)


@pytest.fixture
def dispatching(github_fake: FakeGitHub, connected: Asking) -> Client:
    repository = github_fake.add_repository("acme/dr")
    repository.add_workflow(WORKFLOW, CALLER)
    return connected(github_fake.url, github_fake.add_token("actions: write"))


@pytest.mark.parametrize("lost", [faults.lost(), faults.truncated(), faults.answer(502), faults.answer(500), faults.dropped()])
def test_what_may_have_been_done_is_not_asked_for_again(lost: faults.Fault, github_fake: FakeGitHub, dispatching: Client) -> None:
    github_fake.inject(lost, DISPATCHES)
    with pytest.raises(Unanswered) as caught:
        dispatching.ask(endpoints.DISPATCH, body={"ref": "main", "return_run_details": True}, workflow="dr.yml")
    assert len(github_fake.made(DISPATCHES)) == 1
    assert runs_started(github_fake) == (1 if lost.kind in {"lost", "truncated"} else 0)
    assert caught.value.exit_code is Exit.UNAVAILABLE
    assert caught.value.lines()[0] == "FAILED github.unanswered (exit 12): GitHub did not say whether it did what was asked"


def test_what_a_limit_turned_away_is_asked_for_again(github_fake: FakeGitHub, dispatching: Client) -> None:
    github_fake.inject(faults.secondary(3), DISPATCHES)
    dispatching.ask(endpoints.DISPATCH, body={"ref": "main", "return_run_details": True}, workflow="dr.yml")
    assert runs_started(github_fake) == 1


def test_what_never_left_is_asked_for_again(connected: Asking, time: Time) -> None:
    error = failed(connected(f"http://127.0.0.1:{free_port()}"), endpoints.DISPATCH, workflow="dr.yml")
    assert error.gate == "github.unreachable"
    assert len(time.slept) > 5


def test_what_is_asked_once_goes_over_a_connection_of_its_own(
    github_fake: FakeGitHub, dispatching: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kept connection that GitHub closes just then would look like a lost answer."""
    connections: list[HTTPConnection] = []
    connect = HTTPConnection.connect
    monkeypatch.setattr(HTTPConnection, "connect", lambda self: (connections.append(self), connect(self))[1])
    for _ in range(3):
        dispatching.exists(endpoints.ENVIRONMENT, name="x")
    assert len(connections) == 1
    dispatching.ask(endpoints.DISPATCH, body={"ref": "main"}, workflow="dr.yml")
    assert len(connections) == 2


def test_a_lost_answer_at_the_end_of_the_patience_is_still_one(asking: Asking, time: Time) -> None:
    """However late it is: whoever asked has to look whether it happened."""
    error = failed(asking(said(429, None, {"Retry-After": "100"}), BAD_GATEWAY), endpoints.DISPATCH, workflow="dr.yml")
    assert isinstance(error, Unanswered)


# -------------------------------------------------------------------------------------------------- 401, 403, 404


def test_the_permission_that_is_missing_is_named(github_fake: FakeGitHub, connected: Asking) -> None:
    github_fake.add_repository("acme/dr")
    client = connected(github_fake.url, github_fake.add_token("metadata: read"))
    error = failed(client, endpoints.ENVIRONMENT, name="dr-prod")
    assert error.lines() == [
        "REFUSED github.permission (exit 4): this token may not do that",
        "  found    GET /repos/acme/dr/environments/dr-prod: HTTP 403, Resource not accessible by integration",
        "  expected a token with actions: read",
        "  fix      grant `actions: read` to the calling job; administration and organization permissions need a GitHub App's token",
        "  docs     hyops-ci docs github-api.md",
    ]


def test_githubs_own_word_on_the_permission_comes_first(asking: Asking) -> None:
    told = {"X-Accepted-GitHub-Permissions": "environments=read,actions=read; administration=write"}
    error = failed(asking(said(403, {"message": "no"}, told)), endpoints.ENVIRONMENT, name="dr-prod")
    assert error.expected == "a token with environments: read and actions: read or administration: write"


def test_an_unknown_token_and_an_unseen_repository_are_told_apart(github_fake: FakeGitHub, connected: Asking) -> None:
    other = github_fake.add_repository("acme/other")
    github_fake.add_repository("acme/dr", private=True)
    unknown = failed(connected(github_fake.url, "ghs_unknown"))
    unseen = failed(connected(github_fake.url, github_fake.add_token("metadata: read", repositories=[other])))
    assert (unknown.title(), unseen.title()) == (
        "REFUSED github.token (exit 2): GitHub does not know this token",
        "REFUSED github.missing (exit 4): GitHub shows no such thing to this token",
    )
    assert unseen.fix == "check the name; GitHub says the same for what a token without `metadata: read` may not see"


@pytest.mark.parametrize(
    ("answer", "fix"),
    [
        (said(403, {"message": "Resource protected by SAML"}, {"X-GitHub-SSO": "required; url=https://x"}), "Configure SSO"),
        (said(403, {"message": "your IP address is not on the IP allow list"}), "have this host's address added"),
    ],
)
def test_a_refusal_that_no_permission_heals_says_so(answer: bytes, fix: str, asking: Asking) -> None:
    assert fix in failed(asking(answer)).fix


def test_where_a_thing_may_be_missing(github_fake: FakeGitHub, connected: Asking) -> None:
    github_fake.add_repository("acme/dr")
    client = connected(github_fake.url, github_fake.add_token("actions: read"))
    assert client.exists(endpoints.ENVIRONMENT, name="dr-prod") is None
    with pytest.raises(Forbidden):
        connected(github_fake.url, github_fake.add_token("metadata: read")).exists(endpoints.ENVIRONMENT, name="dr-prod")
