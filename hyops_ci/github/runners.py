"""The runners of a lane as GitHub lists them, found within a few calls, however many runners there are.

Listing runners needs an App's token; a job's own never may (docs/design/github.md 4). What the calls did not reach is
reported: a runner is called missing only after everything was searched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from hyops_ci.contracts.base import Model
from hyops_ci.contracts.github_facts import RunnerFact
from hyops_ci.dataclass import dataclass, field
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import PAGE, Client
from hyops_ci.github.api.errors import reading
from hyops_ci.github.api.responses import Forbidden, NotFound

MOST_CALLS: Final = 5
"""Of one search: an App's login takes two more and an agent's version one, and a plan has a budget of eight."""
MOST_NAMES: Final = 3
"""Asked for one by one; more are looked for in the listing."""
Scope = Literal["repository", "organization"]


class LaneRunners(Model):
    """The runners of one lane, and how complete the search was."""

    runners: tuple[RunnerFact, ...] = ()
    """The lane's: those with its names, where the config lists names, else those that carry all its labels."""
    others: tuple[RunnerFact, ...] = ()
    """Runners beside those that carry all the labels too, so that any of them may take the job."""
    unseen_names: tuple[str, ...] = ()
    looked_at: int = 0
    total: int = 0
    """Runners that there are, where GitHub said so."""
    not_known: tuple[str, ...] = ()
    """What could not be looked at, and why."""

    @property
    def complete(self) -> bool:
        """Whether every runner was looked at, so that a runner that was not seen does not exist."""
        return not self.not_known

    @property
    def ambiguous(self) -> tuple[RunnerFact, ...]:
        """Runners of which any may take the job: others beside the names, or several where the config lists none."""
        return self.others or (self.runners if len(self.runners) > 1 and not self.named else ())

    named: bool = False


def find_runners(
    client: Client, *, names: Sequence[str], labels: Sequence[str], org: str = "", most_calls: int = MOST_CALLS
) -> LaneRunners:
    """Return the runners of a lane: by the names of the config first, then by labels; case is ignored, as GitHub does.

    `org`: the organization whose runner groups may serve the repository too. Raises Refusal for a token that GitHub does not know,
    Fault (exit 12) where it does not respond; what a token may not see is `not_known`.
    """
    search = _Search(client, {name.casefold() for name in names}, {label.casefold() for label in labels}, org, most_calls)
    with reading(endpoints.RUNNERS):
        search.by_name(names)
        search.by_listing()
        return search.found(names)


def carries(runner: RunnerFact, labels: Sequence[str]) -> bool:
    """Return whether the runner has all labels, so that GitHub may give it a job that asks for them."""
    return {label.casefold() for label in labels} <= {label.casefold() for label in runner.labels}


@dataclass
class _Search:
    """State of one search."""

    client: Client
    names: set[str]
    labels: set[str]
    org: str
    left: int
    seen: dict[tuple[Scope, int], RunnerFact] = field(default_factory=dict)
    looked_at: dict[Scope, int] = field(default_factory=dict)
    totals: dict[Scope, int] = field(default_factory=dict)
    not_known: list[str] = field(default_factory=list)
    closed: set[Scope] = field(default_factory=set)
    groups: Mapping[int, str] | None = None

    @property
    def scopes(self) -> tuple[Scope, ...]:
        both: tuple[Scope, ...] = ("repository", "organization") if self.org else ("repository",)
        return tuple(scope for scope in both if scope not in self.closed)

    def by_name(self, names: Sequence[str]) -> None:
        """Ask for each name at each scope, until it is found."""
        for name in names if len(names) <= MOST_NAMES else ():
            for scope in self.scopes:
                if self.left and not self._has(name):
                    self._keep(scope, self._ask(scope, {"name": name}))

    def by_listing(self) -> None:
        """Read the listings page by page. Where every name was found, one page of each scope tells whether others carry the labels, too."""
        short = bool(self.names) and all(self._has(name) for name in self.names)
        for scope in self.scopes:
            for page in range(1, 2 if short else self.left + 1):
                found = self._ask(scope, {"per_page": PAGE, "page": page}) if self.left else None
                if found is None:
                    break
                self.totals[scope] = found["total_count"]
                self.looked_at[scope] = self.looked_at.get(scope, 0) + len(found["runners"])
                self._keep(scope, found)
                if len(found["runners"]) < PAGE:
                    break
            if scope not in self.closed and self.looked_at.get(scope, 0) < self.totals.get(scope, 1):
                self.not_known.append(self._not_reached(scope))

    def found(self, names: Sequence[str]) -> LaneRunners:
        """Return the result."""
        carrying = [runner for runner in self.seen.values() if self.labels <= {label.casefold() for label in runner.labels}]
        listed = [runner for runner in self.seen.values() if runner.name.casefold() in self.names]
        return LaneRunners(
            runners=tuple(listed if self.names else carrying),
            others=tuple(runner for runner in carrying if runner not in listed) if self.names else (),
            unseen_names=tuple(name for name in names if not self._has(name)),
            looked_at=sum(self.looked_at.values()),
            total=sum(self.totals.values()),
            not_known=tuple(self.not_known),
            named=bool(self.names),
        )

    def _has(self, name: str) -> bool:
        return any(runner.name.casefold() == name.casefold() for runner in self.seen.values())

    def _ask(self, scope: Scope, params: dict[str, str | int]) -> dict[str, Any] | None:
        """Return one response, or None without permission: then the scope is closed and the reason noted."""
        try:
            if scope == "organization" and self.groups is None:
                self.groups = self._groups()
                if not self.left:
                    return None
            self.left -= 1
            place = endpoints.RUNNERS if scope == "repository" else endpoints.ORG_RUNNERS
            answer: dict[str, Any] = self.client.ask(place, params=params, org=self.org)
        except (Forbidden, NotFound) as refusal:
            self.closed.add(scope)
            self.not_known.append(f"runners of the {scope}: {refusal.reason}; {refusal.expected}")
            return None
        return answer

    def _groups(self) -> Mapping[int, str]:
        """Return the organization's groups that serve the repository, by id."""
        self.left -= 1
        params: dict[str, str | int] = {"visible_to_repository": self.client.repository.partition("/")[2], "per_page": PAGE}
        found = self.client.ask(endpoints.RUNNER_GROUPS, params=params, org=self.org)
        return {group["id"]: group["name"] for group in found["runner_groups"]}

    def _keep(self, scope: Scope, answer: dict[str, Any] | None) -> None:
        for each in answer["runners"] if answer else ():
            group = each.get("runner_group_id")
            if scope == "organization" and self.groups is not None and group is not None and group not in self.groups:
                continue  # its group does not serve this repository
            self.seen[scope, each["id"]] = runner_fact(
                each, scope, (self.groups or {}).get(group or 0, "") if scope == "organization" else ""
            )

    def _not_reached(self, scope: Scope) -> str:
        had, total = self.looked_at.get(scope, 0), self.totals.get(scope)
        if total is None:
            return f"runners of the {scope}: not looked at, the calls of a plan are used up"
        return f"first {had} of {total} runners of the {scope} looked at"


def runner_fact(found: Mapping[str, Any], scope: Scope, group: str) -> RunnerFact:
    """Return one runner of a response."""
    return RunnerFact(
        id=found["id"],
        name=found["name"],
        online=found["status"] == "online",
        busy=found["busy"],
        labels=tuple(label["name"] for label in found["labels"]),
        scope=scope,
        group=group,
        version=found.get("version") or "",
        ephemeral=found.get("ephemeral") or False,
    )
