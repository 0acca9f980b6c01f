"""A release vouches, or the default branch; a fork's commit does not, whatever GitHub shows."""

from __future__ import annotations

import pytest

from hyops_ci.errors import Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.operations.upgrade.vouching import Target, named, target, told
from tests.support.github.fixture import github_fake
from tests.support.github.server import FakeGitHub
from tests.unit.operations.upgrade.calling import OURS, Releases, changelog, releases

__all__ = ["github_fake"]


@pytest.fixture
def made(github_fake: FakeGitHub) -> Releases:
    return releases(github_fake)


@pytest.fixture
def client(github_fake: FakeGitHub, made: Releases) -> Client:
    token = github_fake.add_token("contents: read", "metadata: read", actor="maria")
    return Client.connect(OURS, token=token, api_url=github_fake.url, sleep=lambda _: None)


def found(client: Client, version: str, commit: str, was: str) -> Target:
    return target(client, named(client, version, commit), was)


def warnings(target: Target) -> list[str]:
    return [line.partition(":")[0] for line in told(target) if line.startswith("WARNING")]


def test_a_published_release_vouches(made: Releases, client: Client) -> None:
    to = found(client, "v1.1.0", "", made.old)
    assert (to.commit, to.tag, to.was_tag, to.relation) == (made.new, "v1.1.0", "v1.0.0", "ahead")
    assert (to.vouched, to.downgrade, to.name) == (True, False, "v1.1.0")
    assert (list(to.added), to.dropped) == (["1.1.0"], {})
    assert told(to) == [f"from    {made.old} v1.0.0", f"to      {made.new} v1.1.0", "vouched the published release v1.1.0"]
    assert named(client, "v1.1.0", made.new).commit == made.new, "both, where they are the same"


def test_back_is_a_downgrade_and_says_what_goes(made: Releases, client: Client) -> None:
    to = found(client, "1.0.0", "", made.new)
    assert (to.downgrade, to.added, list(to.dropped)) == (True, {}, ["1.1.0"])
    assert warnings(to) == ["WARNING DOWNGRADE"]


def test_a_commit_in_full_is_known_by_its_release(made: Releases, client: Client) -> None:
    to = found(client, "", made.new, made.old)
    assert (to.tag, to.vouched, warnings(to)) == ("v1.1.0", True, [])


def test_a_commit_of_the_default_branch_has_that_alone(made: Releases, client: Client) -> None:
    to = found(client, "", made.later, made.new)
    assert (to.tag, to.vouched, to.name, to.added) == ("", True, made.later[:12], {"Unreleased": "- Something new."})
    assert [line for line in told(to) if line.startswith("WARNING")] == [
        "WARNING no release: it is on main, and that is all that vouches for it"
    ]


def test_a_release_that_can_still_be_changed_is_told(made: Releases, client: Client) -> None:
    """Its tag is compared with what it says of its commit, and the same right changes both."""
    made.repository.releases[-1].immutable = False
    found = target(client, named(client, "v1.1.0", ""), made.old)
    assert warnings(found) == ["WARNING the release is not immutable"]


def test_a_commit_of_a_fork_is_unvouched(made: Releases, client: Client) -> None:
    fork = made.repository.commit({"CHANGELOG.md": changelog("1.1.0", "1.0.0")}, branch="forks/mallory")
    made.repository.commit({"a": "main goes on"})
    to = found(client, "", fork, made.old)
    assert (to.vouched, to.relation, to.on_default_branch) == (False, "ahead", False)
    assert "WARNING UNVOUCHED" in warnings(to)
    side = found(client, "", fork, made.repository.head)
    assert side.relation == "diverged"
    assert "WARNING neither is the other's successor" in warnings(side)


def test_a_release_off_the_default_branch_is_told(made: Releases, client: Client) -> None:
    fix = made.repository.commit({"hyops_ci/__init__.py": '__version__ = "1.0.1"\n'}, branch="v1.0")
    made.repository.commit({"a": "main goes on"})
    made.repository.add_release("v1.0.1", fix, prerelease=True)
    to = found(client, "v1.0.1", "", made.old)
    assert (to.vouched, warnings(to)) == (True, ["WARNING it is not on main"])
    assert "vouched the published release v1.0.1, a prerelease" in told(to)


def test_a_tag_that_points_elsewhere_than_a_person_expects_is_refused(made: Releases, client: Client) -> None:
    with pytest.raises(Refusal) as refused:
        named(client, "v1.1.0", made.later)
    assert (refused.value.gate, refused.value.exit_code) == ("upgrade.moved", 4)
    assert refused.value.expected == f"{made.later}, as --commit says"


@pytest.mark.parametrize("says", ["1.0.0", ""], ids=["another version", "no version"])
def test_a_release_whose_files_are_of_another_version_is_refused(says: str, made: Releases, client: Client) -> None:
    at = made.repository.commit({"hyops_ci/__init__.py": f'__version__ = "{says}"\n' if says else "\n"})
    made.repository.add_release("v1.2.0", at)
    with pytest.raises(Refusal) as refused:
        named(client, "v1.2.0", "")
    assert (refused.value.gate, refused.value.expected) == ("upgrade.moved", "1.2.0")
    assert (says or "unknown") in refused.value.found


def test_a_commit_that_is_not_there_is_refused(made: Releases, client: Client) -> None:
    for commit, was in (("9" * 40, made.old), (made.new, "9" * 40)):
        with pytest.raises(Refusal) as refused:
            found(client, "", commit, was)
        assert (refused.value.gate, refused.value.exit_code) == ("upgrade.commit", 2)


def test_a_commit_without_a_changelog_changes_nothing_that_is_known(made: Releases, client: Client) -> None:
    bare = made.repository.commit({})
    made.repository.trees[bare] = {}
    assert found(client, "", bare, made.old).added == {}
