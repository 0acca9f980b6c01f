"""The caller's repository and users, by ids that survive a rename."""

from __future__ import annotations

from hyops_ci.contracts.github_facts import RepositoryFact
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import Client


def repository(client: Client) -> RepositoryFact:
    """Return the client's own repository. Raises as `Client.ask`."""
    found = client.ask(endpoints.REPOSITORY)
    return RepositoryFact(
        id=found["id"],
        name=found["full_name"],
        owner_id=found["owner"]["id"],
        owner_kind="Organization" if found["owner"]["type"] == "Organization" else "User",
        private=bool(found["private"]),
        default_branch=found["default_branch"],
    )


def person_id(client: Client, login: str) -> int:
    """Return the numeric id of a login. Raises Refusal (exit 4) for an unknown one."""
    return int(client.ask(endpoints.USER, login=login)["id"])
