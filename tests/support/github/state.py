"""All that the fake GitHub knows. Tests fill it through the `add_*` functions and the objects that they give back."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from tests.support.github.accounts import Account, Team
from tests.support.github.apps import App
from tests.support.github.repositories import Repository
from tests.support.github.routing import not_found
from tests.support.github.runners import Registrable, RunnerVersion
from tests.support.github.tokens import Token

Plan = Literal["free", "pro", "team", "enterprise"]


def stamp(moment: datetime) -> str:
    """A time as GitHub writes it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class State:
    """Accounts, repositories, Apps and tokens; `url` is where the fake answers, `now` its clock."""

    url: str = "http://127.0.0.1:0"
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), repr=False)
    accounts: dict[str, Account] = field(default_factory=dict, repr=False)
    repositories: dict[str, Repository] = field(default_factory=dict, repr=False)
    apps: dict[int, App] = field(default_factory=dict, repr=False)
    tokens: dict[str, Token] = field(default_factory=dict, repr=False)
    runner_versions: dict[str, RunnerVersion] = field(default_factory=dict, repr=False)
    runner_tokens: list[str] = field(default_factory=list, repr=False)
    """Registration and removal tokens that were given, in order: canaries for whoever must not write them down."""
    agent_version: str = "2.336.0"
    """The agent's release of today."""
    agent_hashes: dict[str, str] = field(default_factory=dict, repr=False)
    """File name of an archive -> its SHA-256."""
    registrable: dict[str, Registrable] = field(default_factory=dict, repr=False)
    """Registration token -> where it registers, and until when."""
    listed_after: float = 0.0
    """Seconds after which a runner that registered itself is listed: GitHub can be late by a minute (test it with more)."""
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1000), repr=False)

    def next_id(self) -> int:
        """A number that nothing else has."""
        return next(self._ids)

    def stamp(self, *, after: float = 0) -> str:
        """Now, or some seconds later, as GitHub writes it."""
        return stamp(self.now() + timedelta(seconds=after))

    def add_user(self, login: str, *, number: int | None = None, kind: Literal["User", "Bot"] = "User") -> Account:
        """A person, or a bot (`kind="Bot"`, its login ends in [bot])."""
        return self._add(Account(self, login, number or self.next_id(), kind))

    def add_organization(self, login: str, *, plan: Plan = "enterprise", number: int | None = None) -> Account:
        """An organization; `plan` decides what its private repositories may have."""
        return self._add(Account(self, login, number or self.next_id(), "Organization", plan))

    def add_team(self, name: str, members: Iterable[Account | str] = (), *, number: int | None = None) -> Team:
        """A team `org/slug`."""
        org, _, slug = name.partition("/")
        logins = [member if isinstance(member, str) else member.login for member in members]
        team = Team(self, number or self.next_id(), slug, self.organization(org), logins)
        team.organization.teams[slug] = team
        return team

    def add_repository(
        self, name: str, *, private: bool = False, plan: Plan | None = None, number: int | None = None, owner_is_user: bool = False
    ) -> Repository:
        """A repository `owner/name` with one commit on `main`; an unknown owner is made, an organization with `plan` (enterprise)."""
        owner = name.partition("/")[0]
        if owner.lower() not in self.accounts:
            if owner_is_user:
                self.add_user(owner)
            else:
                self.add_organization(owner, plan=plan or "enterprise")
        account = self.accounts[owner.lower()]
        if plan:
            account.plan = plan
        repository = Repository(self, number or self.next_id(), name.partition("/")[2], account, private)
        repository.commit({"README.md": f"# {name}\n"})
        self.repositories[name.lower()] = repository
        return repository

    def add_app(self, public_key: str, *, number: int, permissions: Mapping[str, str], slug: str = "dr-bot") -> App:
        """A GitHub App with its public key (PEM); install it with `app.install(...)`."""
        app = self.apps[number] = App(self, number, slug, public_key, dict(permissions))
        return app

    def add_token(self, *permissions: str, repositories: Iterable[Repository] | None = None, actor: str = "", seconds: int = 3600) -> str:
        """A token that may do `permissions` (such as `actions: read`) in `repositories` (all by default), for some seconds.

        `actor` is the login it acts as; without one it is a job's GITHUB_TOKEN (github-actions[bot]).
        """
        granted = dict(permission.replace(" ", "").split(":") for permission in permissions)
        login = actor or "github-actions[bot]"
        if login.lower() not in self.accounts:
            self.add_user(login, number=41898282 if not actor else None, kind="User" if actor else "Bot")
        visible = None if repositories is None else frozenset(repository.id for repository in repositories)
        prefix = "github_pat_" if actor else "ghs_"
        token = Token(f"{prefix}{self.next_id():036d}", login, granted, visible, self.now() + timedelta(seconds=seconds))
        token.limit = 5000 if actor else 1000
        self.tokens[token.secret] = token
        return token.secret

    def add_runner_version(self, version: str, *, runtime_ends: str | None = None, registration_ends: str | None = None) -> None:
        """A released runner version, and until when it works; of one that was not released GitHub says 404."""
        self.runner_versions[version] = RunnerVersion(version, runtime_ends, registration_ends)

    def account(self, login: str) -> Account:
        """By its login. Raises 404."""
        found = self.accounts.get(login.lower())
        if found is None:
            raise not_found()
        return found

    def organization(self, login: str) -> Account:
        """By its login. Raises 404, also for a person."""
        found = self.account(login)
        if found.type != "Organization":
            raise not_found()
        return found

    def repository(self, name: str) -> Repository:
        """By owner/name, in any case. Raises 404."""
        found = self.repositories.get(name.lower())
        if found is None:
            raise not_found()
        return found

    def _add(self, account: Account) -> Account:
        self.accounts[account.login.lower()] = account
        return account
