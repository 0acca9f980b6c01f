"""What a new service needs around it, as text to paste: environments, branch rules, host trust, runner (docs/design/texts.md 7).

Pure: what is not known is written as a word in capitals, and `placeholders` finds them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from hyops_ci.config.settings import EnvSettings, env_of, env_settings
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.dataclass import dataclass, field
from hyops_ci.planning.protection import Demand, check_demand, demand_of
from hyops_ci.text import heredoc, shell

SHA: Final = "COMMIT_OF_THE_RELEASE"
REVIEWER: Final = "A_REVIEWER"
REPOSITORY_ID, OWNER_ID, PERSON_ID = "REPOSITORY_ID", "OWNER_ID", "ID_OF_"
GITHUB: Final = "https://github.com"
_NUMBERS: Final = rf"(?:{REPOSITORY_ID}|{OWNER_ID}|{PERSON_ID}[A-Z0-9_-]+)"
RULES_OF_MAIN: Final[dict[str, Any]] = {
    "name": "dr-dispatch: the config is reviewed",
    "target": "branch",
    "enforcement": "active",
    "bypass_actors": [],
    "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
    "rules": [
        {"type": "deletion"},
        {"type": "non_fast_forward"},
        {
            "type": "pull_request",
            "parameters": {
                "required_approving_review_count": 1,
                "dismiss_stale_reviews_on_push": True,
                "require_code_owner_review": True,
                "require_last_push_approval": True,
                "required_review_thread_resolution": False,
            },
        },
    ],
}
"""Ruleset of the default branch: config, overlays and workflow change by a pull request that a code owner read."""


@dataclass(frozen=True)
class Adopter:
    """What is known of the caller's repository. Empty or 0: not known here."""

    repository: str = "OWNER/REPOSITORY"
    repository_id: int = 0
    owner_id: int = 0
    default_branch: str = "main"
    workflow: str = "hybridops/dr-dispatch/.github/workflows/dispatch.yml"
    """The reusable workflow that the caller calls, as `uses:` names it, without its `@`."""
    release: str = ""
    """Commit of it that the caller pins, 40 hex digits."""
    reviewers: tuple[tuple[str, int], ...] = ()
    """(login, id) of people who may approve."""
    keys: dict[str, str] = field(default_factory=dict)
    """Login -> public key, of those who sign."""
    callers: tuple[str, ...] = (".github/workflows/dr.yml",)
    """Its workflows that call dr-dispatch."""
    server: str = GITHUB
    """GitHub's pages and repositories."""
    former: tuple[str, ...] = ()
    """Commits that are accepted beside it while callers move to another release."""

    @property
    def commits(self) -> tuple[str, ...]:
        """Every commit that is accepted, the one that is pinned first; a word to replace where that is not known."""
        return (self.release or SHA, *self.former)

    @property
    def issuer(self) -> str:
        """Who signs the tokens of this server's jobs."""
        return str(HostTrust.model_fields["issuer"].default) if self.server == GITHUB else f"{self.server}/_services/token"

    def people(self) -> list[tuple[str, str | int]]:
        """(login, id or the word to replace) of everybody who may approve."""
        return [(login, number or PERSON_ID + re.sub("[^A-Z0-9]", "_", login.upper())) for login, number in self.reviewers]


def notify_commands(config: DispatchConfig, adopter: Adopter) -> str:
    """Return the commands that keep what `notify` takes as secrets of the caller's repository. gh asks for the value: it is no argument."""
    notify = config.notify
    asked = [("DR_NOTIFY_SECRET", notify.webhook), ("DR_NOTIFY_TOKEN", notify.issue)] if notify is not None else []
    made = "openssl rand -hex 32 # the receiver verifies signatures with it, too\n" if notify is not None and notify.webhook else ""
    return made + "".join(shell("gh secret set {} --repo {}\n", name, adopter.repository) for name, wanted in asked if wanted)


def envs_of(config: DispatchConfig) -> list[EnvSettings]:
    """Return every env that a service of the config is in, by name."""
    return [env_settings(config, name) for name in sorted({env_of(service) for service in config.services})]


def envs_on(config: DispatchConfig, lane: str) -> list[EnvSettings]:
    """Return the envs that are recovered on the runner of a lane."""
    names = {
        env_of(name)
        for name, service in config.services.items()
        if any(action.lane == lane for action in (service.failover, service.failback, service.burst) if action)
    }
    return [env_settings(config, name) for name in sorted(names)]


def environment_commands(config: DispatchConfig, service: str, adopter: Adopter) -> str:
    """Return the approval gate with its reviewers, and the check's environment without any, as the gates demand them (`protection`)."""
    env = env_settings(config, env_of(service))
    people = [{"type": "User", "id": number} for _, number in adopter.people()]
    sharing = [each.env_class for each in envs_of(config) if each.check_gate == env.check_gate]
    return gate_command(
        adopter.repository, demand_of(env.gate, env.reviewers, env.env_class, adopter.default_branch), people
    ) + gate_command(adopter.repository, check_demand(env.check_gate, sharing, adopter.default_branch), [])


def gate_command(repository: str, demand: Demand, people: Sequence[dict[str, Any]], *, wait: int = 0) -> str:
    """Return the commands that make or repair one environment, so that it lacks nothing. Self-review is prevented where anybody reviews.

    A reviewer that is demanded and not among `people` is a word to replace. The branch of the demand is the only one that may pass, by
    name: "protected branches only" would be every one that any rule protects. `wait` are the minutes that it holds every job: what is
    left out of this call, GitHub takes off.
    """
    missing = range(len(people) + 1, demand.reviewers + 1)
    reviewers = [*people, *({"type": "User", "id": f"{PERSON_ID}REVIEWER_{number}"} for number in missing)]
    document: dict[str, Any] = {"wait_timer": wait} if wait else {}
    if reviewers:
        document |= {"prevent_self_review": True, "reviewers": reviewers}
    branch = demand.branch
    document["deployment_branch_policy"] = {"protected_branches": False, "custom_branch_policies": True} if branch else None
    path = f"repos/{repository}/environments/{quote(demand.name, safe='')}"
    made = heredoc(shell("gh api -X PUT {} --input -", path), "JSON", numbers(json.dumps(document)))
    if not branch:
        return made
    policies = f"{path}/deployment-branch-policies"
    others = shell("gh api {} --paginate --jq '.branch_policies[].id' |\n", policies)
    others += shell("  xargs -I {{}} gh api -X DELETE {}/{{}}\n", policies)
    return made + others + shell("gh api -X POST {} -f name={}\n", policies, branch)


def ruleset_command(repository: str, ruleset: dict[str, Any]) -> str:
    """Return the command that makes a ruleset."""
    return heredoc(shell("gh api -X POST {} --input -", f"repos/{repository}/rulesets"), "JSON", json.dumps(ruleset))


def code_owners(adopter: Adopter) -> str:
    """Return the line by which a code owner reviews every change of config, overlays and workflow."""
    people = " ".join(f"@{login}" for login, _ in adopter.reviewers) or f"@{REVIEWER}"
    return f"/.github/ {people}\n"


def ledger_remote(config: DispatchConfig, adopter: Adopter) -> str:
    """Return where the ledger is: a path or URL as the config says, or a repository of the server."""
    named = config.ledger.repository or adopter.repository
    return named if named.startswith("/") or "://" in named else f"{adopter.server}/{named}"


def numbers(text: str) -> str:
    """Return JSON with placeholders unquoted where a number belongs, so that a replaced one is a number."""
    return re.sub(rf'"({_NUMBERS})"', r"\1", text)


def placeholders(text: str) -> tuple[str, ...]:
    """Return the placeholders (words in capitals) in a text, in order, each once."""
    return tuple(dict.fromkeys(re.findall(rf"\b(?:{SHA}|OWNER/REPOSITORY|{REVIEWER}|{_NUMBERS})\b", text)))
