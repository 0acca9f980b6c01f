"""What guards the branch that config and overlay come from."""

from __future__ import annotations

import pytest

from hyops_ci.contracts.facts import BranchRules, RefFact
from hyops_ci.errors import Fault
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.responses import NotFound
from hyops_ci.github.branch import read_rules, ref_fact
from tests.support.github import faults
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository, plain_rule, pull_request_rule
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
BRANCH = "GET /repos/{owner}/{repo}/branches/{branch}"
RULES = "GET /repos/{owner}/{repo}/rules/branches/{branch}"
CONTENT = "GET /repos/{owner}/{repo}/contents/{path}"
ALL = BranchRules(
    pull_request=True, approvals=1, code_owners=True, dismiss_stale=True, last_push=True, no_deletion=True, no_force_push=True
)


@pytest.fixture
def repository(github_fake: FakeGitHub) -> Repository:
    return github_fake.add_repository("acme/shop")


def looked(fake: FakeGitHub, repository: Repository, **changes: str) -> tuple[RefFact, Client]:
    token = fake.add_token("contents: read", "metadata: read")
    client = Client.connect("acme/shop", token=token, api_url=fake.url, sleep=lambda _: None)
    asked = {"ref": "refs/heads/main", "sha": repository.head, "code_owners": "* @acme/leads", "default_branch": "main"}
    return ref_fact(client, **asked | changes), client


def test_a_branch_that_a_ruleset_guards(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.protect()
    found, client = looked(github_fake, repository)
    assert found == RefFact(
        commit=repository.head, ref="refs/heads/main", default_branch=True, protected=True, rules=ALL, unowned=(), private=False
    )
    assert client.calls == 2, "repository and rules: what the rules say needs no second word"


def test_a_branch_that_nothing_guards(github_fake: FakeGitHub, repository: Repository) -> None:
    found, client = looked(github_fake, repository)
    assert (found.default_branch, found.protected, found.classic, found.rules) == (True, False, False, BranchRules())
    assert client.calls == 3


def test_classic_protection_keeps_its_terms_to_itself(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.protect(rules=[])
    found, _ = looked(github_fake, repository)
    assert (found.protected, found.classic, found.rules) == (True, True, BranchRules())


def test_a_ruleset_about_something_else_is_no_classic_protection(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.protect(rules=[plain_rule("deletion")])
    found, _ = looked(github_fake, repository)
    assert (found.protected, found.classic, found.rules) == (True, False, BranchRules(no_deletion=True))


def test_another_branch_is_not_looked_at(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.commit({"x": "y"}, "patch-1")
    for name in ("refs/heads/patch-1", "refs/tags/main", "main", "refs/pull/7/merge", ""):
        found, client = looked(github_fake, repository, ref=name)
        assert (found.default_branch, found.protected, client.calls) == (False, False, 1), name


def test_the_event_and_github_name_different_default_branches(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.commit({"x": "y"}, "trunk")
    repository.protect()
    for name in ("refs/heads/main", "refs/heads/trunk"):
        found, _ = looked(github_fake, repository, ref=name, default_branch="trunk")
        assert not found.default_branch
        assert found.note == "the event named trunk the default branch, now it is main"


def test_rules_that_may_not_be_read_are_not_known(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.protect()
    github_fake.inject(faults.answer(403), on=RULES)
    found, _ = looked(github_fake, repository)
    assert (found.protected, found.rules, found.note) == (True, None, "rules: github.permission")


def test_a_branch_that_may_not_be_read_is_not_protected(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.protect(rules=[plain_rule("deletion")])
    github_fake.inject(faults.answer(403), on=BRANCH)
    found, _ = looked(github_fake, repository)
    assert (found.protected, found.note) == (False, "branch: github.permission")


def test_no_repository_is_a_refusal_and_no_answer_a_fault(github_fake: FakeGitHub, repository: Repository) -> None:
    github_fake.inject(faults.answer(404), on="GET /repos/{owner}/{repo}")
    with pytest.raises(NotFound):
        looked(github_fake, repository)
    github_fake.inject(faults.answer(503), on=RULES, times=None)
    token = github_fake.add_token("contents: read")
    slept: list[float] = []
    client = Client.connect("acme/shop", token=token, api_url=github_fake.url, sleep=slept.append, monotonic=lambda: sum(slept))
    with pytest.raises(Fault, match="does not answer"):
        ref_fact(client, ref="refs/heads/main", sha=repository.head)


@pytest.mark.parametrize("place", [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"])
def test_code_owners_are_those_of_the_runs_commit(github_fake: FakeGitHub, repository: Repository, place: str) -> None:
    sha = repository.commit({place: "/.github/ @acme/leads\n"})
    repository.commit({place: "# nobody any more\n"})
    repository.protect()
    token = github_fake.add_token("contents: read")
    client = Client.connect("acme/shop", token=token, api_url=github_fake.url, sleep=lambda _: None)
    assert ref_fact(client, ref="refs/heads/main", sha=sha).unowned == ()
    assert ".github/dr-dispatch.yml" in (ref_fact(client, ref="refs/heads/main", sha=repository.head).unowned or ())


def test_no_code_owners_file_owns_nothing_and_an_unreadable_one_is_not_known(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.protect()
    token = github_fake.add_token("contents: read")
    client = Client.connect("acme/shop", token=token, api_url=github_fake.url, sleep=lambda _: None)
    assert ref_fact(client, ref="refs/heads/main", sha=repository.head, paths=["a", "b"]).unowned == ("a", "b")
    github_fake.inject(faults.answer(403), on=CONTENT)
    found = ref_fact(client, ref="refs/heads/main", sha=repository.head)
    assert (found.unowned, found.note) == (None, "code owners: github.permission")


def test_several_rulesets_add_up() -> None:
    weak, strong = pull_request_rule(reviews=0, code_owners=False), pull_request_rule(reviews=2, code_owners=False, last_push=False)
    found = read_rules([strong, weak, pull_request_rule(reviews=1, dismiss_stale=False), {"type": "pull_request"}, {"type": "creation"}])
    assert found == BranchRules(pull_request=True, approvals=2, code_owners=True, dismiss_stale=True, last_push=True)


def test_rules_beyond_the_first_page_count(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.protect(rules=[*[plain_rule("required_signatures")] * 100, pull_request_rule()])
    found, _ = looked(github_fake, repository)
    assert found.rules is not None
    assert found.rules.pull_request


def test_what_a_rule_does_not_demand_is_not_counted() -> None:
    lax = pull_request_rule(reviews=0, code_owners=False, dismiss_stale=False, last_push=False)
    assert read_rules([lax]) == BranchRules(pull_request=True)
    terms = {"require_code_owner_review": "false", "require_last_push_approval": 1}
    assert read_rules([{"type": "pull_request", "parameters": terms}]) == BranchRules(pull_request=True)
