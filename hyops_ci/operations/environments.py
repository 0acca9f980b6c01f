"""Compare the environments that a config names with their state on GitHub, and print the commands that repair them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hyops_ci.config.settings import EnvSettings
from hyops_ci.contracts.approval import people_of
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.facts import EnvironmentFact
from hyops_ci.dataclass import dataclass
from hyops_ci.github.api.client import Client
from hyops_ci.github.environments import environment
from hyops_ci.github.repository import repository
from hyops_ci.operations.init.commands import envs_of, gate_command
from hyops_ci.planning.protection import Demand, Shortfall, check_demand, demand_of, eligible_reviewers, remarks, shared_demand, shortfalls

KEYS: Final = """\
# .github/dr-dispatch.yml, in a pull request (its review is the second person); keys: hyops-ci approve --new-key FILE
approvals:
  channels: [signed]
  approvers:
    LOGIN_OF_ONE: "ed25519:PUBLIC_KEY_OF_ONE"
    LOGIN_OF_ANOTHER: "ed25519:PUBLIC_KEY_OF_ANOTHER"
"""


@dataclass(frozen=True)
class EnvironmentReport:
    """One environment: what the config demands of it and what GitHub has."""

    role: str
    """`gate` of an approval, `check`, or `bootstrap` of a runner."""
    envs: tuple[str, ...]
    """The envs of the config that use it."""
    demand: Demand
    fact: EnvironmentFact
    lacking: tuple[Shortfall, ...]
    instead: str = ""
    """What replaces it: signed approvals. Then a lack is a warning."""
    repository: str = ""

    @property
    def mark(self) -> str:
        """`ok`, `warn` or `FAIL`."""
        return "ok" if not self.lacking else "warn" if self.instead else "FAIL"

    @property
    def repair(self) -> str:
        """Commands to paste; empty where nothing is lacking, or the environment could not be read."""
        if not self.lacking or not self.fact.readable:
            return ""
        if self.demand.reviewers and self.fact.private and not (self.fact.reviewers or self.fact.teams):
            return KEYS
        people: list[dict[str, Any]] = [{"type": "User", "id": each.id} for each in self.fact.reviewers]
        people += [{"type": "Team", "id": f"ID_OF_TEAM_{slug.upper()}"} for slug in self.fact.teams]
        return gate_command(self.repository, self.demand, people, wait=self.fact.wait_minutes)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "role": self.role,
            "envs": list(self.envs),
            "status": self.mark,
            "demanded": {"name": self.demand.name, "reviewers": self.demand.reviewers, "branch": self.demand.branch},
            "found": self.fact.document(),
            "lacks": [{"found": each.found, "expected": each.expected} for each in self.lacking],
            "instead": self.instead,
            "repair": self.repair,
        }


def environments(config: DispatchConfig, client: Client) -> tuple[EnvironmentReport, ...]:
    """Return every approval gate of the config, every environment of checks, and that of runners where a reason may make one.

    Each is asked for once. Raises what `Client.ask` raises.
    """
    about = repository(client)
    envs = envs_of(config)
    facts: dict[str, EnvironmentFact] = {}

    def report(role: str, demand: Demand, users: tuple[str, ...], instead: str = "") -> EnvironmentReport:
        known = demand.name.lower()
        fact = facts[known] = facts.get(known) or environment(client, demand.name, private=about.private)
        return EnvironmentReport(role, users, demand, fact, tuple(shortfalls(fact, demand)), instead, about.name)

    gates = [report("gate", _gate(env, about.default_branch), (env.name,), _signed(config)) for env in envs]
    checks = [
        report("check", check_demand(name, [env.env_class for env in users], about.default_branch), tuple(env.name for env in users))
        for name in sorted({env.check_gate for env in envs})
        if (users := [env for env in envs if env.check_gate == name])
    ]
    runners = [report("bootstrap", _bootstrap(config, envs, about.default_branch), ())] if config.policy.bootstrap_reasons else []
    return (*gates, *checks, *runners)


def report_lines(each: EnvironmentReport) -> list[str]:
    """One environment as a person reads it (docs/design/texts.md 6): a line, or one for each lack."""
    head = f"{each.role} {', '.join(each.envs)}".rstrip()
    if not each.lacking:
        who = eligible_reviewers(each.fact, ())
        said = "; ".join([", ".join(who), *remarks(each.fact, each.demand)] if each.demand.reviewers else remarks(each.fact, each.demand))
        return [f"{each.mark:<5} {head:<14} {each.fact.name}: {said}"]
    lines = [f"{each.mark:<5} {head:<14} {lack.found}; expected {lack.expected}" for lack in each.lacking]
    return [*lines, *([f"{'':<5} {'':<14} {each.instead}"] if each.instead else [])]


def _gate(env: EnvSettings, branch: str) -> Demand:
    return demand_of(env.gate, env.reviewers, env.env_class, branch)


def _bootstrap(config: DispatchConfig, envs: Sequence[EnvSettings], branch: str) -> Demand:
    """As the gate `bootstrap.gate` demands it for the most careful of the envs."""
    return shared_demand(config.policy.bootstrap_environment, 1, [env.env_class for env in envs], branch)


def _signed(config: DispatchConfig) -> str:
    """Return how signatures stand in for the gates of this config; empty where they do not."""
    approvals = config.approvals
    if "signed" not in approvals.channels or len(people_of(approvals.approvers)) < approvals.quorum:
        return ""
    return f"not needed: signed approvals stand in, {approvals.quorum} of {', '.join(sorted(approvals.approvers))}"
