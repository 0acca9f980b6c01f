"""Which commit a version is, which version a commit is, and how two commits lie to each other."""

from __future__ import annotations

import pytest

from hyops_ci.errors import DispatchError, Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.github.releases import Release, published, relation, release, versions_of
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub
from tests.unit.github.scripted import Asking, said


@pytest.fixture
def repository(github_fake: FakeGitHub) -> Repository:
    return github_fake.add_repository("acme/dr")


@pytest.fixture
def client(github_fake: FakeGitHub, repository: Repository, connected: Asking) -> Client:
    return connected(github_fake.url, github_fake.add_token("contents: read", "metadata: read"))


@pytest.mark.parametrize("annotated", [False, True])
@pytest.mark.parametrize("named", ["v1.2.3", "1.2.3"])
def test_a_version_is_the_commit_of_its_published_release(named: str, annotated: bool, repository: Repository, client: Client) -> None:
    first = repository.head
    repository.add_release("v1.2.3", annotated=annotated)
    repository.commit({"a": "later"})
    assert release(client, named) == Release("v1.2.3", first, immutable=True)
    assert release(client, named).version == "1.2.3"


def test_a_release_may_be_made_of_a_branch_and_be_a_prerelease(repository: Repository, client: Client) -> None:
    repository.add_release("v2.0.0-rc.1", made_of="main", prerelease=True, immutable=False)
    assert release(client, "v2.0.0-rc.1") == Release("v2.0.0-rc.1", repository.head, prerelease=True)


@pytest.mark.parametrize("says", [{}, {"immutable": None}, {"immutable": "true"}, {"immutable": False}])
def test_a_release_is_immutable_only_where_it_says_so(says: dict[str, object], asking: Asking) -> None:
    """A GitHub Enterprise Server may not know the word."""
    found = {"draft": False, "prerelease": False, "target_commitish": "main", "tag_name": "v1.2.3", **says}
    tag = {"object": {"type": "commit", "sha": "1" * 40}}
    assert release(asking(said(body=found), said(body=tag)), "v1.2.3").immutable is False


@pytest.mark.parametrize("version", ["v9.9.9", "v1", "v1.2", "main", "v1.2.3/../v1", "", "latest", "v1.2.3\n"])
def test_what_was_not_published_is_refused_with_what_was(version: str, repository: Repository, client: Client) -> None:
    repository.tags |= {"v1": repository.head, "v1.2": repository.head, "main": repository.head, "v9.9.9": repository.head}
    repository.add_release("v1.2.3")
    repository.add_release("v1.3.0", draft=True)
    with pytest.raises(Refusal) as refused:
        release(client, version)
    assert (refused.value.gate, refused.value.exit_code) == ("upgrade.version", 2)
    assert refused.value.expected == "a published version: v1.2.3"
    with pytest.raises(Refusal):
        release(client, "v1.3.0")


def test_a_tag_that_was_moved_is_refused(repository: Repository, client: Client) -> None:
    first = repository.head
    repository.add_release("v1.2.3")
    repository.tags["v1.2.3"] = repository.commit({"a": "another"})
    with pytest.raises(Refusal) as refused:
        release(client, "v1.2.3")
    assert (refused.value.gate, refused.value.exit_code) == ("upgrade.moved", 4)
    assert repository.tags["v1.2.3"] in refused.value.found
    assert refused.value.expected.startswith(first)


def test_the_version_of_a_commit_is_that_of_a_published_release(repository: Repository, client: Client) -> None:
    first = repository.head
    repository.add_release("v1.2.3", annotated=True)
    repository.tags["v1"] = first
    second = repository.commit({"a": "b"})
    repository.tags["v1.3.0"] = second
    assert versions_of(client, (first, second)) == {first: "v1.2.3"}
    repository.add_release("v1.3.0", second)
    assert versions_of(client, (first, second)) == {first: "v1.2.3", second: "v1.3.0"}
    assert versions_of(client, ("0" * 40,)) == {}
    assert published(client) == ("v1.3.0", "v1.2.3")
    assert published(client, 1) == ("v1.3.0",)


def test_two_commits(repository: Repository, client: Client) -> None:
    first = repository.head
    second = repository.commit({"a": "b"})
    other = repository.commit({"a": "c"}, branch="other")
    third = repository.commit({"a": "d"})
    assert relation(client, first, second) == "ahead"
    assert relation(client, second, first) == "behind"
    assert relation(client, second, second) == "identical"
    assert relation(client, other, third) == "diverged"
    assert relation(client, "main", second) == "behind"
    assert relation(client, first, "0" * 40) is None


@pytest.mark.parametrize(
    "answer",
    [{}, {"object": {}}, {"object": {"type": "commit", "sha": "no"}}, {"object": {"type": "tree", "sha": "0" * 40}}, {"object": 4}, []],
)
def test_an_answer_of_another_form_is_no_commit(answer: object, asking: Asking) -> None:
    found = {"draft": False, "prerelease": False, "target_commitish": "main", "tag_name": "v1.2.3"}
    with pytest.raises(DispatchError) as ended:
        release(asking(said(body=found), said(body=answer)), "v1.2.3")
    assert ended.value.gate in {"github.answer", "upgrade.moved"}


def test_a_tag_of_tags_without_end_is_none(asking: Asking) -> None:
    found = {"draft": False, "prerelease": False, "target_commitish": "main", "tag_name": "v1.2.3"}
    tag = {"object": {"type": "tag", "sha": "1" * 40}}
    with pytest.raises(Refusal, match="not where its release was made"):
        release(asking(said(body=found), *[said(body=tag)] * 4), "v1.2.3")
