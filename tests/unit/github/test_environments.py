"""How an environment protects, as GitHub shows it to a job's token."""

from __future__ import annotations

from typing import Any

import pytest

from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.facts import EnvironmentFact
from hyops_ci.errors import Exit, Fault
from hyops_ci.github.api.client import Client
from hyops_ci.github.branch import ref_fact
from hyops_ci.github.environments import _pattern, environment
from tests.support.github import faults
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository, plain_rule
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
ENVIRONMENT = "GET /repos/{owner}/{repo}/environments/{environment_name}"
POLICIES = "GET /repos/{owner}/{repo}/environments/{environment_name}/deployment-branch-policies"


@pytest.fixture
def repository(github_fake: FakeGitHub) -> Repository:
    return github_fake.add_repository("acme/shop")


def connect(fake: FakeGitHub, *permissions: str) -> Client:
    token = fake.add_token(*(permissions or ("actions: read", "metadata: read")))
    slept: list[float] = []
    return Client.connect("acme/shop", token=token, api_url=fake.url, sleep=slept.append, monotonic=lambda: sum(slept))


def test_a_good_one(github_fake: FakeGitHub, repository: Repository) -> None:
    jonas, priya = github_fake.add_user("jonas", number=1001), github_fake.add_user("priya_acme", number=1002)
    team = github_fake.add_team("acme/leads", [priya])
    repository.add_environment(
        "dr-prod",
        reviewers=[jonas, priya, team],
        prevent_self_review=True,
        branches=["main", "release/*"],
        wait_timer=5,
        can_admins_bypass=False,
    )
    client = connect(github_fake)
    assert environment(client, "DR-PROD") == EnvironmentFact(
        name="dr-prod",
        exists=True,
        reviewers=(Person(login="jonas", id=1001), Person(login="priya_acme", id=1002)),
        teams=("leads",),
        prevent_self_review=True,
        branches=("main", "release/*"),
        wait_minutes=5,
        admins_bypass=False,
    )
    assert client.calls == 2


def test_an_open_one(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.add_environment("dr-prod")
    assert environment(connect(github_fake), "dr-prod") == EnvironmentFact(name="dr-prod", exists=True, admins_bypass=True)


def test_whether_the_repository_is_private_is_asked_once(github_fake: FakeGitHub) -> None:
    github_fake.add_repository("acme/shop", private=True).add_environment("dr-prod")
    client = connect(github_fake)
    assert environment(client, "dr-prod", private=True).private
    assert environment(client, "dr-gone", private=True).private
    assert client.calls == 2


def test_protected_branches_only(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.add_environment("dr-prod", reviewers=[github_fake.add_user("jonas")], branches="protected")
    client = connect(github_fake)
    found = environment(client, "dr-prod")
    assert (found.branches, found.protected_branches, client.calls) == ((), True, 1)


def test_reviewers_who_may_review_their_own_run(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.add_environment("dr-prod", reviewers=[github_fake.add_user("jonas")], prevent_self_review=False)
    found = environment(connect(github_fake), "dr-prod")
    assert (len(found.reviewers), found.prevent_self_review) == (1, False)


def test_a_tag_that_may_pass_is_no_branch() -> None:
    assert [_pattern({"name": "main", "type": kind}) for kind in ("branch", "tag")] == ["main", "tag:main"]


def test_patterns_that_let_nobody_pass(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.add_environment("dr-prod", branches=[])
    found = environment(connect(github_fake), "dr-prod")
    assert (found.branches, found.protected_branches) == ((), False)


@pytest.mark.parametrize(("private", "plan"), [(False, "free"), (True, "team")])
def test_a_missing_one(github_fake: FakeGitHub, private: bool, plan: Any) -> None:
    github_fake.add_repository("acme/shop", private=private, plan=plan)
    assert environment(connect(github_fake), "dr-prod") == EnvironmentFact(name="dr-prod", private=private)


def test_a_tier_without_reviewers(github_fake: FakeGitHub) -> None:
    shop = github_fake.add_repository("acme/shop", private=True, plan="team")
    shop.add_environment("dr-prod", reviewers=[github_fake.add_user("jonas")], prevent_self_review=True)
    found = environment(connect(github_fake), "dr-prod")
    assert (found.reviewers, found.prevent_self_review, found.private) == ((), False, True)


def test_one_that_may_not_be_read(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.add_environment("dr-prod", reviewers=[github_fake.add_user("jonas")], branches=["main"])
    denied = environment(connect(github_fake, "contents: read"), "dr-prod")
    assert not denied.readable
    assert "HTTP 403" in denied.note
    assert "actions: read" in denied.note
    github_fake.inject(faults.answer(403), on=POLICIES)
    assert not environment(connect(github_fake), "dr-prod").readable, "patterns that are not known let anything pass"


def test_no_answer_is_a_fault(github_fake: FakeGitHub, repository: Repository) -> None:
    github_fake.inject(faults.answer(502), on=ENVIRONMENT, times=None)
    with pytest.raises(Fault) as caught:
        environment(connect(github_fake), "dr-prod")
    assert (caught.value.gate, caught.value.exit_code) == ("github.unreachable", Exit.UNAVAILABLE)
    assert "hyops-ci run" in caught.value.fix


class Odd(Client):
    """Answers what no description has."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def ask(self, *_: object, **__: object) -> object:
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "text",
        {},
        {"name": None},
        {"name": "dr-prod", "protection_rules": [{}]},
        {"name": "dr-prod", "protection_rules": [{"type": "required_reviewers", "reviewers": [{"type": "User", "reviewer": {}}]}]},
        {
            "name": "dr-prod",
            "protection_rules": [
                {"type": "required_reviewers", "reviewers": [{"type": "User", "reviewer": {"login": "\x1b[2Jjonas", "id": 7}}]}
            ],
        },
        {"name": "dr-prod", "deployment_branch_policy": {}},
        {"name": "dr-prod", "deployment_branch_policy": True},
    ],
)
def test_an_answer_of_another_form_protects_nothing(answer: object) -> None:
    found = environment(Odd(answer), "dr-prod")
    assert not found.readable
    assert "does not know" in found.note


@pytest.mark.parametrize("rules", [None, [], [plain_rule("deletion")]])
@pytest.mark.parametrize("branches", [None, "protected", ["main"], []])
@pytest.mark.parametrize("there", [True, False])
def test_branch_and_both_environments_take_seven_calls_at_most(
    github_fake: FakeGitHub, repository: Repository, rules: Any, branches: Any, there: bool
) -> None:
    """A plan has a budget of eight, and asks about its own run besides."""
    if rules is not None:
        repository.protect(rules=rules)
    for name in ("dr-prod", "dr-check") if there else ():
        repository.add_environment(name, branches=branches)
    client = connect(github_fake, "actions: read", "contents: read")
    found = ref_fact(client, ref="refs/heads/main", sha=repository.head, default_branch="main", code_owners="")
    for name in ("dr-prod", "dr-check"):
        environment(client, name, private=found.private)
    assert client.calls <= 7
