"""Runner groups of an organization: which repositories may use which runners."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tests.support.github.description import Json
from tests.support.github.routing import Answer, Ask, not_found, route
from tests.support.github.runners import ORG_READ, Runner

if TYPE_CHECKING:
    from tests.support.github.accounts import Account
    from tests.support.github.repositories import Repository

HOME = "/orgs/{org}/actions/runner-groups"


@dataclass(eq=False)
class RunnerGroup:
    """One group; its runners are those of the organization with its id."""

    organization: Account = field(repr=False)
    id: int
    name: str
    visibility: Literal["all", "selected", "private"]
    repositories: list[Repository]
    default: bool = False
    allows_public: bool = True
    workflows: list[str] = field(default_factory=list)
    """`owner/repo/.github/workflows/file.yml@ref`: only these may use it; none restricts nothing."""

    def serves(self, name: str) -> bool:
        """Whether jobs of a repository may land on its runners."""
        repository = self.organization.state.repository(name)
        if not (repository.private or self.allows_public):
            return False
        if self.visibility == "selected":
            return repository in self.repositories
        return self.visibility == "all" or repository.private

    def show(self) -> Json:
        """In full."""
        home = f"{self.organization.state.url}/orgs/{self.organization.login}/actions/runner-groups/{self.id}"
        shown: Json = {"id": self.id, "name": self.name, "visibility": self.visibility, "default": self.default, "inherited": False}
        shown |= {"runners_url": f"{home}/runners", "allows_public_repositories": self.allows_public}
        shown |= {"restricted_to_workflows": bool(self.workflows), "selected_workflows": self.workflows}
        shown |= {"workflow_restrictions_read_only": False}
        return shown | ({"selected_repositories_url": f"{home}/repositories"} if self.visibility == "selected" else {})


def groups_of(organization: Account) -> list[RunnerGroup]:
    """All groups; the first is the default group, which every organization has."""
    if not organization.groups:
        organization.groups.append(RunnerGroup(organization, 1, "Default", "all", [], default=True))
    return organization.groups


@route("GET", HOME, ORG_READ)
def list_groups(ask: Ask) -> Answer:
    groups = groups_of(ask.organization)
    wanted = ask.query.get("visible_to_repository")
    if wanted:
        groups = [group for group in groups if group.serves(f"{ask.organization.login}/{wanted.rpartition('/')[2]}")]
    return ask.page(groups, "runner_groups", RunnerGroup.show)


@route("GET", f"{HOME}/{{runner_group_id}}", ORG_READ)
def get_group(ask: Ask) -> Answer:
    return Answer(200, _group(ask).show())


@route("GET", f"{HOME}/{{runner_group_id}}/runners", ORG_READ)
def list_runners_of_group(ask: Ask) -> Answer:
    group = _group(ask)
    return ask.page(
        [runner for runner in ask.organization.runners if runner.group_id == group.id and runner.listed], "runners", Runner.show
    )


@route("GET", f"{HOME}/{{runner_group_id}}/repositories", ORG_READ)
def list_repositories_of_group(ask: Ask) -> Answer:
    return ask.page(_group(ask).repositories, "repositories", lambda repository: repository.show())


def _group(ask: Ask) -> RunnerGroup:
    for group in groups_of(ask.organization):
        if group.id == ask.number("runner_group_id"):
            return group
    raise not_found()
