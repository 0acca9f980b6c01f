"""People, bots, organizations and teams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tests.support.github.description import Json, example
from tests.support.github.rendering import moved
from tests.support.github.routing import NOTHING, Answer, Ask, not_found, route

if TYPE_CHECKING:
    from tests.support.github.groups import RunnerGroup
    from tests.support.github.repositories import Repository
    from tests.support.github.runners import Runner
    from tests.support.github.state import State


@dataclass(eq=False)
class Account:
    """A person, a bot or an organization."""

    state: State = field(repr=False)
    login: str
    id: int
    type: Literal["User", "Bot", "Organization"]
    plan: str = "free"
    teams: dict[str, Team] = field(default_factory=dict, repr=False)
    runners: list[Runner] = field(default_factory=list, repr=False)
    groups: list[RunnerGroup] = field(default_factory=list, repr=False)

    def show(self) -> Json:
        """As GitHub shows it inside other things (`simple-user`)."""
        seed: Json = example("GET", "/repos/{owner}/{repo}/actions/runs/{run_id}")["actor"]
        shown: Json = moved(seed, self.state.url, user=self.login)
        return shown | {"login": self.login, "id": self.id, "node_id": f"U_{self.id}", "type": self.type}

    def add_runner(self, name: str, labels: Sequence[str] = (), *, group: RunnerGroup | None = None, **changes: Any) -> Runner:
        """A runner of the organization, in its default group or another; `changes` are fields of `Runner`."""
        from tests.support.github.runners import make_runner

        runner = make_runner(self, name, labels, **changes)
        if group:
            runner.group_id, runner.group_name = group.id, group.name
        return runner

    def add_group(self, name: str, repositories: Sequence[Repository] = (), *, number: int | None = None, **changes: Any) -> RunnerGroup:
        """A runner group for `repositories` only; `changes` are fields of `RunnerGroup` (visibility, allows_public, workflows)."""
        from tests.support.github.groups import RunnerGroup, groups_of

        group = RunnerGroup(
            self, number or self.state.next_id(), name, changes.pop("visibility", "selected"), list(repositories), **changes
        )
        groups_of(self).append(group)
        return group


@dataclass(eq=False)
class Team:
    """A team of an organization; `members` are logins."""

    state: State = field(repr=False)
    id: int
    slug: str
    organization: Account
    members: list[str]

    def show(self) -> Json:
        """As GitHub shows it among reviewers."""
        home = f"{self.state.url}/orgs/{self.organization.login}/teams/{self.slug}"
        return {
            "id": self.id,
            "node_id": f"T_{self.id}",
            "url": home,
            "members_url": f"{home}/members{{/member}}",
            "repositories_url": f"{home}/repos",
            "name": self.slug,
            "slug": self.slug,
            "description": "",
            "privacy": "closed",
            "notification_setting": "notifications_enabled",
            "permission": "pull",
            "html_url": f"https://github.com/orgs/{self.organization.login}/teams/{self.slug}",
            "parent": None,
            "type": "organization",
            "organization_id": self.organization.id,
        }

    def has(self, login: str) -> bool:
        """Whether somebody is in it."""
        return login.lower() in {member.lower() for member in self.members}


@route("GET", "/users/{username}", NOTHING)
def get_user(ask: Ask) -> Answer:
    account = ask.state.account(ask.values["username"])
    seed = example("GET", "/users/{username}", name="default-response")
    return Answer(200, {"user_view_type": "public", **seed, **account.show(), "name": account.login})


@route("GET", "/orgs/{org}", NOTHING)
def get_organization(ask: Ask) -> Answer:
    """The plan is told to those who administer it."""
    account = ask.organization
    seed = example("GET", "/orgs/{org}", archived_at=None, login=account.login, id=account.id, node_id=f"O_{account.id}")
    shown = moved(seed, ask.state.url, org=account.login)
    shown.pop("plan", None)
    if ask.token.may("organization_administration: read"):
        shown["plan"] = {"name": account.plan, "space": 1, "private_repos": 1, "filled_seats": 1, "seats": 9}
    return Answer(200, shown)


@route("GET", "/orgs/{org}/teams/{team_slug}", "members: read")
def get_team(ask: Ask) -> Answer:
    team = _team(ask)
    seed = example("GET", "/orgs/{org}/teams/{team_slug}")
    organization = example("GET", "/orgs/{org}", archived_at=None, login=team.organization.login, id=team.organization.id)
    return Answer(200, {**seed, **team.show(), "organization": organization, "members_count": len(team.members)})


@route("GET", "/orgs/{org}/teams/{team_slug}/members", "members: read")
def list_members(ask: Ask) -> Answer:
    return ask.page(_team(ask).members, "", lambda login: ask.state.account(login).show())


@route("GET", "/orgs/{org}/teams/{team_slug}/memberships/{username}", "members: read")
def get_membership(ask: Ask) -> Answer:
    team, login = _team(ask), ask.values["username"]
    if not team.has(login):
        raise not_found()
    url = f"{ask.state.url}/orgs/{team.organization.login}/teams/{team.slug}/memberships/{login}"
    return Answer(200, {"url": url, "role": "member", "state": "active"})


def _team(ask: Ask) -> Team:
    team = ask.organization.teams.get(ask.values["team_slug"])
    if team is None:
        raise not_found()
    return team
