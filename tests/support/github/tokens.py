"""Tokens and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from tests.support.github.routing import APP_KEY, NOTHING, Refused, not_found

if TYPE_CHECKING:
    from tests.support.github.routing import Route
    from tests.support.github.state import State

LEVELS = ("none", "read", "write", "admin")


@dataclass(eq=False)
class Token:
    """One token. `repositories` are ids, None means all of the installation."""

    secret: str = field(repr=False)
    actor: str
    permissions: Mapping[str, str]
    repositories: frozenset[int] | None
    expires_at: datetime
    limit: int = 5000
    used: int = 0

    @property
    def personal(self) -> bool:
        """Of a person, not of a job or an App."""
        return not self.actor.endswith("[bot]")

    def may(self, needed: str) -> bool:
        """Whether it has `name: level`. Metadata can be read by every token (GitHub docs, permissions of Apps)."""
        name, level = needed.split(": ")
        granted = self.permissions.get(name, "read" if name == "metadata" else "none")
        return LEVELS.index(granted) >= LEVELS.index(level)

    def sees(self, repository: int) -> bool:
        """Whether a private repository is there for it."""
        return self.repositories is None or repository in self.repositories


def bearer(header: str) -> str:
    """The secret in an Authorization header, empty where there is none."""
    scheme, _, secret = header.partition(" ")
    return secret if scheme.lower() in {"bearer", "token"} else ""


def token_of(state: State, header: str) -> Token:
    """The token of a request.

    Raises:
        Refused: 401 for none, an unknown one, or one that has expired.
    """
    secret = bearer(header)
    found = state.tokens.get(secret)
    if not secret:
        raise Refused(401, "Requires authentication")
    if found is None or found.expires_at <= state.now():
        raise Refused(401, "Bad credentials")
    return found


def admit(state: State, token: Token, route: Route, values: Mapping[str, str]) -> None:
    """Whether the token may use the route.

    Stricter than GitHub, which lets every token read what is public: here it needs the permission for that too.

    Raises:
        Refused: 404 for a private repository that it cannot see, 403 for a permission that it lacks.
    """
    if "repo" in values:
        repository = state.repository(f"{values['owner']}/{values['repo']}")
        if not token.sees(repository.id):
            if repository.private:
                raise not_found()
            if route.method != "GET":
                raise lacking(route, token)
    if route.needs == APP_KEY:
        raise Refused(401, "A JSON web token could not be decoded")
    if route.needs != NOTHING and not token.may(route.needs):
        raise lacking(route, token)


def lacking(route: Route, token: Token) -> Refused:
    """403, and what it would have taken."""
    kind = "personal access token" if token.personal else "integration"
    needed = {"X-Accepted-GitHub-Permissions": route.needs.replace(": ", "=")}
    return Refused(403, f"Resource not accessible by {kind}", headers=needed)
