"""Environments: what guards a job that names one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypedDict
from urllib.parse import quote

from tests.support.github.accounts import Account, Team
from tests.support.github.description import Json
from tests.support.github.routing import Answer, Ask, not_found, route

if TYPE_CHECKING:
    from tests.support.github.repositories import Repository

HOME = "/repos/{owner}/{repo}/environments/{environment_name}"


class Protection(TypedDict, total=False):
    """What guards an environment. `branches` are name patterns, or "protected"; the wait timer counts minutes."""

    reviewers: Sequence[Account | Team]
    prevent_self_review: bool
    wait_timer: int
    branches: Literal["protected"] | Sequence[str] | None
    can_admins_bypass: bool
    custom_rules: Sequence[str]
    """Slugs of Apps that decide too (custom deployment protection rules)."""
    number: int


@dataclass(eq=False)
class Environment:
    """One environment; a test may change every field while the fake runs."""

    repository: Repository = field(repr=False)
    id: int
    name: str
    reviewers: list[Account | Team]
    prevent_self_review: bool
    wait_timer: int
    branches: Literal["protected"] | list[str] | None
    can_admins_bypass: bool
    custom_rules: list[str]
    created_at: str

    @property
    def gated(self) -> bool:
        """Whether a job has to wait for somebody or something."""
        return bool(self.reviewers or self.wait_timer or self.custom_rules)

    def reviews(self, login: str) -> bool:
        """Whether somebody is a required reviewer."""
        by_name = [reviewer.login.lower() == login.lower() for reviewer in self.reviewers if isinstance(reviewer, Account)]
        return any(by_name) or any(team.has(login) for team in self.reviewers if isinstance(team, Team))

    def brief(self) -> Json:
        """As in reviews and pending deployments."""
        return {
            "id": self.id,
            "node_id": f"EN_{self.id}",
            "name": self.name,
            "url": f"{self.repository.url}/environments/{quote(self.name, safe='')}",
            "html_url": f"{self.repository.page}/deployments/activity_log?environments_filter={quote(self.name, safe='')}",
        }

    def dated(self) -> Json:
        """As in reviews."""
        return self.brief() | {"created_at": self.created_at, "updated_at": self.created_at}

    def show_reviewers(self) -> list[Json]:
        """Who may approve."""
        kinds = [("Team" if isinstance(reviewer, Team) else "User", reviewer) for reviewer in self.reviewers]
        return [{"type": kind, "reviewer": reviewer.show()} for kind, reviewer in kinds]

    def show(self) -> Json:
        """In full. What the plan does not allow, GitHub does not show."""
        rules: list[Json] = []
        if self.repository.gates_work and self.wait_timer:
            rules.append({"id": self.id * 10, "node_id": f"GA_{self.id}0", "type": "wait_timer", "wait_timer": self.wait_timer})
        if self.repository.gates_work and self.reviewers:
            rules.append(
                {
                    "id": self.id * 10 + 1,
                    "node_id": f"GA_{self.id}1",
                    "type": "required_reviewers",
                    "prevent_self_review": self.prevent_self_review,
                    "reviewers": self.show_reviewers(),
                }
            )
        if self.branches is not None:
            rules.append({"id": self.id * 10 + 2, "node_id": f"GA_{self.id}2", "type": "branch_policy"})
        rules += [
            {"id": self.id * 10 + 3 + n, "node_id": f"GA_{self.id}{3 + n}", "type": "custom"} for n, _ in enumerate(self.custom_rules)
        ]
        policy = {"protected_branches": self.branches == "protected", "custom_branch_policies": self.branches != "protected"}
        guards = {"protection_rules": rules, "deployment_branch_policy": policy if self.branches is not None else None}
        return self.dated() | {"can_admins_bypass": self.can_admins_bypass} | guards


def make_environment(repository: Repository, name: str, protection: Protection) -> Environment:
    """The body of `Repository.add_environment`."""
    branches = protection.get("branches")
    policy: Literal["protected"] | list[str] | None = None
    if branches is not None:
        policy = "protected" if branches == "protected" else list(branches)
    made = Environment(
        repository,
        protection.get("number") or repository.state.next_id(),
        name,
        list(protection.get("reviewers", ())),
        protection.get("prevent_self_review", False),
        protection.get("wait_timer", 0),
        policy,
        protection.get("can_admins_bypass", True),
        list(protection.get("custom_rules", ())),
        repository.state.stamp(),
    )
    repository.environments[name.lower()] = made
    return made


@route("GET", "/repos/{owner}/{repo}/environments", "actions: read")
def list_environments(ask: Ask) -> Answer:
    return ask.page(list(ask.repository.environments.values()), "environments", Environment.show)


@route("GET", HOME, "actions: read")
def get_environment(ask: Ask) -> Answer:
    return Answer(200, _environment(ask).show())


@route("GET", f"{HOME}/deployment-branch-policies", "actions: read")
def list_branch_policies(ask: Ask) -> Answer:
    environment = _environment(ask)
    names = [] if environment.branches is None or environment.branches == "protected" else environment.branches
    numbered = [{"id": environment.id * 100 + n, "node_id": f"GBP_{n}", "name": name, "type": "branch"} for n, name in enumerate(names)]
    return ask.page(numbered, "branch_policies", dict)


@route("GET", f"{HOME}/deployment_protection_rules", "actions: read")
def list_custom_rules(ask: Ask) -> Answer:
    environment = _environment(ask)
    rules: list[Json] = []
    for n, slug in enumerate(environment.custom_rules):
        app = {"id": n + 1, "node_id": f"A_{n}", "slug": slug, "integration_url": f"{ask.state.url}/apps/{slug}"}
        rules.append({"id": environment.id * 10 + 3 + n, "node_id": f"GA_{environment.id}{3 + n}", "enabled": True, "app": app})
    return Answer(200, {"total_count": len(rules), "custom_deployment_protection_rules": rules})


def _environment(ask: Ask) -> Environment:
    found = ask.repository.environments.get(ask.values["environment_name"].lower())
    if found is None:
        raise not_found()
    return found
