"""GitHub Apps: who they are (a JWT signed with their key), where they are installed, and their tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import jwt

from tests.support.github.description import Json, example
from tests.support.github.rendering import moved
from tests.support.github.routing import APP_KEY, Answer, Ask, Refused, not_found, route
from tests.support.github.tokens import LEVELS, Token, bearer

if TYPE_CHECKING:
    from tests.support.github.accounts import Account
    from tests.support.github.repositories import Repository
    from tests.support.github.state import State

TEN_MINUTES, LEEWAY = 600, 5
"""Seconds."""


@dataclass(eq=False)
class Installation:
    """An App in one account; `repositories` None means all."""

    app: App = field(repr=False)
    id: int
    account: Account
    repositories: list[Repository] | None

    def serves(self, repository: Repository) -> bool:
        """Whether it covers a repository."""
        return repository.owner is self.account and (self.repositories is None or repository in self.repositories)

    def show(self) -> Json:
        """In full."""
        state = self.app.state
        shown: Json = moved(example("GET", "/repos/{owner}/{repo}/installation"), state.url, org=self.account.login)
        shown |= {"id": self.id, "account": self.account.show(), "app_id": self.app.id, "app_slug": self.app.slug}
        shown |= {"target_id": self.account.id, "target_type": self.account.type, "permissions": dict(self.app.permissions)}
        shown |= {"access_tokens_url": f"{state.url}/app/installations/{self.id}/access_tokens"}
        return shown | {"repository_selection": "all" if self.repositories is None else "selected"}


@dataclass(eq=False)
class App:
    """A GitHub App; `public_key` is PEM."""

    state: State = field(repr=False)
    id: int
    slug: str
    public_key: str
    permissions: Mapping[str, str]
    installations: list[Installation] = field(default_factory=list)

    def install(self, account: Account, repositories: Iterable[Repository] | None = None) -> Installation:
        """Install it in an account, for all its repositories or some."""
        made = Installation(self, self.state.next_id(), account, None if repositories is None else list(repositories))
        self.installations.append(made)
        return made


def app_of(state: State, header: str) -> App:
    """The App that signed the token of a request (RS256, `iss` its id, at most ten minutes).

    Raises:
        Refused: 401 for anything else.
    """
    try:
        claims = jwt.decode(bearer(header), options={"verify_signature": False})
        app = state.apps[int(claims["iss"])]
        # The times are held against the clock of the fake.
        claims = jwt.decode(
            bearer(header),
            app.public_key,
            algorithms=["RS256"],
            options={"require": ["exp", "iat", "iss"], "verify_exp": False, "verify_iat": False},
        )
    except (jwt.InvalidTokenError, KeyError, ValueError) as problem:
        raise Refused(401, "A JSON web token could not be decoded") from problem
    now = state.now().timestamp()
    if claims["exp"] <= now or claims["iat"] > now + LEEWAY:
        raise Refused(401, "A JSON web token could not be decoded")
    if claims["exp"] - now > TEN_MINUTES + LEEWAY:
        raise Refused(401, "'Expiration time' claim ('exp') is too far in the future")
    return app


@route("GET", "/repos/{owner}/{repo}/installation", APP_KEY)
def get_installation(ask: Ask) -> Answer:
    for installation in _app(ask).installations:
        if installation.serves(ask.repository):
            return Answer(200, installation.show())
    raise not_found()


@route("POST", "/app/installations/{installation_id}/access_tokens", APP_KEY)
def create_token(ask: Ask) -> Answer:
    """422 for more than the App was granted. Valid for one hour."""
    state, app, body = ask.state, _app(ask), ask.body or {}
    installation = next((found for found in app.installations if found.id == ask.number("installation_id")), None)
    if installation is None:
        raise not_found()
    wanted: Mapping[str, str] = body.get("permissions") or app.permissions
    for name, level in wanted.items():
        if LEVELS.index(app.permissions.get(name, "none")) < LEVELS.index(level):
            raise Refused(422, "The permissions requested are not granted to this installation.")
    served = [repository for repository in state.repositories.values() if installation.serves(repository)]
    chosen = [found for found in served if found.name in body.get("repositories", []) or found.id in body.get("repository_ids", [])]
    asked = len(body.get("repositories", [])) + len(body.get("repository_ids", []))
    if len(chosen) != asked:
        raise Refused(422, "There is at least one repository that does not exist or is not accessible to the parent installation.")
    secret = f"ghs_{app.id}_{jwt.encode({'n': state.next_id()}, 'k' * 32)}{'x' * 380}"
    visible = frozenset(repository.id for repository in (chosen or served))
    login = f"{app.slug}[bot]"
    if login not in state.accounts:
        state.add_user(login, kind="Bot")
    token = Token(secret, login, dict(wanted), visible, state.now() + timedelta(hours=1))
    state.tokens[secret] = token
    answer: Json = {"token": secret, "expires_at": state.stamp(after=3600), "permissions": dict(wanted)}
    answer["repository_selection"] = "selected" if chosen or installation.repositories is not None else "all"
    if chosen:
        answer["repositories"] = [_in_full(repository) for repository in chosen]
    return Answer(201, answer)


def _in_full(repository: Repository) -> Json:
    seed = example("POST", "/app/installations/{installation_id}/access_tokens", 201)["repositories"][0]
    shown: Json = moved(seed, repository.state.url, repository=repository.full_name)
    return shown | repository.show()


def _app(ask: Ask) -> App:
    app = ask.app
    if app is None:
        raise Refused(401, "A JSON web token could not be decoded")
    return app
