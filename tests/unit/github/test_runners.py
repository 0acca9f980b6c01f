"""A lane's runner is found by name and labels, within the budget of a plan, and what was not looked at is said."""

from __future__ import annotations

import pytest

from hyops_ci.github.api.client import Client
from hyops_ci.github.api.responses import Unauthorized
from hyops_ci.github.runners import MOST_CALLS, find_runners
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
LABELS = ("self-hosted", "gcp-ops-runner")
NAME = "gcp-ops-runner-01"
READ = ("administration: read", "organization_self_hosted_runners: read")


@pytest.fixture
def repository(github_fake: FakeGitHub) -> Repository:
    return github_fake.add_repository("acme/shop", private=True)


def connect(fake: FakeGitHub, *permissions: str) -> Client:
    token = fake.add_token(*(permissions or READ), actor="maria")
    return Client.connect("acme/shop", token=token, api_url=fake.url, sleep=lambda _: None)


def names(runners: object) -> list[str]:
    return [runner.name for runner in runners]  # type: ignore[attr-defined]  # whatever has a name


def test_by_name(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.add_runner(NAME, ["gcp-ops-runner"], version="2.336.0", busy=True)
    repository.add_runner("build", ["build"])
    client = connect(github_fake)
    found = find_runners(client, names=[NAME], labels=LABELS)
    assert names(found.runners) == [NAME]
    [runner] = found.runners
    assert (runner.online, runner.busy, runner.version, runner.scope, runner.ephemeral) == (True, True, "2.336.0", "repository", False)
    assert (found.others, found.ambiguous, found.unseen_names, found.not_known) == ((), (), (), ())
    assert client.calls == 2, "its name, and one page for others with its labels"


def test_by_labels_in_any_case(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.add_runner("one", ["GCP-Ops-Runner"])
    repository.add_runner("two", ["gcp-ops"])
    found = find_runners(connect(github_fake), names=[], labels=("SELF-hosted", "gcp-ops-runner"))
    assert names(found.runners) == ["one"]
    assert found.complete
    assert found.ambiguous == ()


def test_a_name_in_another_case(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.add_runner("GCP-Ops-Runner-01", ["gcp-ops-runner"])
    found = find_runners(connect(github_fake), names=[NAME], labels=LABELS)
    assert names(found.runners) == ["GCP-Ops-Runner-01"]
    assert found.unseen_names == ()


def test_offline_and_without_a_version(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.add_runner(NAME, ["gcp-ops-runner"], status="offline", version=None)
    [runner] = find_runners(connect(github_fake), names=[], labels=LABELS).runners
    assert (runner.online, runner.version) == (False, "")


def test_another_runner_with_all_the_labels_is_named(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.add_runner(NAME, ["gcp-ops-runner"])
    repository.add_runner("mallory", ["gcp-ops-runner", "more"])
    client = connect(github_fake)
    assert names(find_runners(client, names=[NAME], labels=LABELS).ambiguous) == ["mallory"]
    assert names(find_runners(client, names=[], labels=LABELS).ambiguous) == [NAME, "mallory"], "no names: luck decides between the two"
    assert find_runners(client, names=[NAME, "mallory"], labels=LABELS).ambiguous == ()


def test_a_runner_that_is_nowhere(github_fake: FakeGitHub, repository: Repository) -> None:
    found = find_runners(connect(github_fake), names=[NAME], labels=LABELS, org="acme")
    assert (found.runners, found.unseen_names, found.complete, found.total) == ((), (NAME,), True, 0)


def test_the_organizations_groups_that_serve_the_repository(github_fake: FakeGitHub, repository: Repository) -> None:
    owner = repository.owner
    ours = owner.add_group("dr", [repository])
    theirs = owner.add_group("others", [github_fake.add_repository("acme/other", private=True)])
    owner.add_runner("near", ["gcp-ops-runner"], group=ours)
    owner.add_runner("far", ["gcp-ops-runner"], group=theirs)
    client = connect(github_fake)
    found = find_runners(client, names=[], labels=LABELS, org="acme")
    assert [(runner.name, runner.scope, runner.group) for runner in found.runners] == [("near", "organization", "dr")]
    assert (found.ambiguous, found.complete) == ((), True)
    assert find_runners(client, names=["far"], labels=LABELS, org="acme").unseen_names == ("far",)


def test_numbers_of_two_places_are_not_mixed_up(github_fake: FakeGitHub, repository: Repository) -> None:
    repository.add_runner("near", ["gcp-ops-runner"], id=7)
    repository.owner.add_runner("far", ["gcp-ops-runner"], id=7)
    assert names(find_runners(connect(github_fake), names=[], labels=LABELS, org="acme").runners) == ["near", "far"]


@pytest.mark.parametrize("permissions", [("administration: read",), ("organization_self_hosted_runners: read",), ("actions: read",)])
def test_a_place_that_the_token_may_not_see_is_said(permissions: tuple[str, ...], github_fake: FakeGitHub, repository: Repository) -> None:
    repository.add_runner("near", ["gcp-ops-runner"])
    repository.owner.add_runner("far", ["gcp-ops-runner"])
    found = find_runners(connect(github_fake, *permissions), names=[], labels=LABELS, org="acme")
    assert not found.complete
    seen = {"administration: read": ["near"], "organization_self_hosted_runners: read": ["far"], "actions: read": []}
    assert names(found.runners) == seen[permissions[0]]
    missing = [needed for needed in READ if needed not in permissions]
    assert len(found.not_known) == len(missing)
    for needed, said in zip(missing, found.not_known, strict=True):
        assert needed in said


def test_a_token_that_is_none(github_fake: FakeGitHub, repository: Repository) -> None:
    client = Client.connect("acme/shop", token="wrong", api_url=github_fake.url, sleep=lambda _: None)
    with pytest.raises(Unauthorized):
        find_runners(client, names=[], labels=LABELS)


# ------------------------------------------------------------------------------------------- the call budget


@pytest.fixture
def crowd(github_fake: FakeGitHub, repository: Repository) -> Repository:
    """10,000 runners of the repository and as many of its organization."""
    for number in range(10_000):
        repository.add_runner(f"build-{number:05}", ["build"])
        repository.owner.add_runner(f"pool-{number:05}", ["pool"])
    return repository


@pytest.mark.parametrize("org", ["", "acme"])
@pytest.mark.parametrize("wanted", [[], [NAME], ["nobody"], [NAME, "two", "three"], [f"n-{n}" for n in range(50)]], ids=len)
def test_ten_thousand_runners_cost_no_more_calls(wanted: list[str], org: str, github_fake: FakeGitHub, crowd: Repository) -> None:
    crowd.add_runner(NAME, ["gcp-ops-runner"])
    client = connect(github_fake)
    found = find_runners(client, names=wanted, labels=LABELS, org=org)
    assert client.calls <= MOST_CALLS
    assert NAME in wanted[:3] or found.runners == (), "the last of so many is not reached without a name"
    assert not found.complete
    assert all("looked at" in said for said in found.not_known)


def test_a_named_one_among_ten_thousand(github_fake: FakeGitHub, crowd: Repository) -> None:
    crowd.add_runner(NAME, ["gcp-ops-runner"])
    client = connect(github_fake)
    found = find_runners(client, names=[NAME], labels=LABELS)
    assert names(found.runners) == [NAME]
    assert client.calls == 2
    assert found.not_known == ("first 100 of 10001 runners of the repository looked at",)


def test_how_far_a_search_without_names_came(github_fake: FakeGitHub, crowd: Repository) -> None:
    client = connect(github_fake)
    found = find_runners(client, names=[], labels=LABELS, most_calls=6)
    assert client.calls == 6
    assert found.not_known == ("first 600 of 10000 runners of the repository looked at",)
    assert (found.looked_at, found.total) == (600, 10_000)
