"""The repository and its people, by the numbers that survive a rename."""

from __future__ import annotations

import pytest

from hyops_ci.github.api.responses import NotFound
from hyops_ci.github.repository import person_id, repository
from tests.support.github.server import FakeGitHub
from tests.unit.github.scripted import Asking


@pytest.mark.parametrize(("by_person", "kind"), [(False, "Organization"), (True, "User")])
@pytest.mark.parametrize("private", [True, False])
def test_the_clients_own(private: bool, by_person: bool, kind: str, github_fake: FakeGitHub, connected: Asking) -> None:
    made = github_fake.add_repository("acme/dr", private=private, owner_is_user=by_person)
    found = repository(connected(github_fake.url, github_fake.add_token("metadata: read")))
    assert (found.id, found.name, found.owner_id, found.owner_kind) == (made.id, "acme/dr", made.owner.id, kind)
    assert (found.private, found.default_branch) == (private, "main")


def test_a_person(github_fake: FakeGitHub, connected: Asking) -> None:
    github_fake.add_repository("acme/dr")
    jonas = github_fake.add_user("jonas", number=1002)
    client = connected(github_fake.url, github_fake.add_token("metadata: read"))
    assert person_id(client, "jonas") == jonas.id == 1002
    with pytest.raises(NotFound):
        person_id(client, "nobody")
