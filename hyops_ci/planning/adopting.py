"""What a new service needs around it, as text to paste: environments, branch rules, host trust, runner (texts, section 7).

Pure: what is not known is written as a word in capitals, and `open_words` finds them.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.planning.settings import addresses, env_of, env_settings, lane_settings, vault_settings

SHA: Final = "COMMIT_OF_THE_RELEASE"
REPOSITORY_ID, OWNER_ID, PERSON_ID = "REPOSITORY_ID", "OWNER_ID", "ID_OF_"
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
    release: str = ""
    """Commit of dr-dispatch that the caller pins, 40 hex digits."""
    reviewers: tuple[tuple[str, int], ...] = ()
    """(login, id) of people who may approve."""
    keys: dict[str, str] = field(default_factory=dict)
    """Login -> public key, of those who sign."""


def config_text(service: str, *, lane: str, failover: str, failback: str, vault: str, site: str, adopter: Adopter) -> str:
    """The smallest config of a service; with keys, the signed channel too."""
    lines = [
        "services:",
        f"  {service}:",
        f"    failover: {{lane: {lane}, blueprint: {failover}}}",
        f"    failback: {{lane: onprem, blueprint: {failback}}}",
        f'vault: {{address: "{vault}", site: {site}}}',
    ]
    if adopter.keys:
        people = [f'    {login}: "{key}"' for login, key in adopter.keys.items()]
        lines += ["approvals:", "  channels: [environment, signed]", "  approvers:", *people]
    return "\n".join(lines) + "\n"


def environment_commands(config: DispatchConfig, service: str, adopter: Adopter) -> str:
    """The approval gate with its reviewers, and the check's environment without any; both for the default branch only."""
    env = env_settings(config, env_of(service))
    reviewers = [{"type": "User", "id": number or f"{PERSON_ID}{login.upper()}"} for login, number in adopter.reviewers]
    return "".join(
        environment_command(adopter.repository, gate, people, branch=adopter.default_branch)
        for gate, people in ((env.gate, reviewers or [{"type": "User", "id": f"{PERSON_ID}A_REVIEWER"}]), (env.check_gate, []))
    )


def environment_command(repository: str, gate: str, reviewers: Sequence[dict[str, Any]], *, branch: str = "", wait: int = 0) -> str:
    """The commands that make or repair one environment. Self-review is prevented where anybody reviews.

    `branch` is the only one that may pass, by name: "protected branches only" would be every one that any rule protects.
    `wait` are the minutes that it holds every job: what is left out of this call, GitHub takes off.
    """
    document: dict[str, Any] = {"wait_timer": wait} if wait else {}
    if reviewers:
        document |= {"prevent_self_review": True, "reviewers": list(reviewers)}
    document["deployment_branch_policy"] = {"protected_branches": False, "custom_branch_policies": True} if branch else None
    path = f"repos/{repository}/environments/{quote(gate, safe='')}"
    made = f"gh api -X PUT {path} --input - <<'JSON'\n{json.dumps(document)}\nJSON\n"
    if not branch:
        return made
    others = f"gh api {path}/deployment-branch-policies --paginate --jq '.branch_policies[].id' |\n"
    others += f"  xargs -I {{}} gh api -X DELETE {path}/deployment-branch-policies/{{}}\n"
    return made + others + f"gh api -X POST {path}/deployment-branch-policies -f name={shlex.quote(branch)}\n"


def ruleset_command(repository: str, ruleset: dict[str, Any]) -> str:
    """The command that makes a ruleset."""
    return f"gh api -X POST repos/{repository}/rulesets --input - <<'JSON'\n{json.dumps(ruleset)}\nJSON\n"


def code_owners(adopter: Adopter) -> str:
    """The line that makes somebody read every change of config, overlays and workflow."""
    people = " ".join(f"@{login}" for login, _ in adopter.reviewers) or "@A_REVIEWER"
    return f"/.github/ {people}\n"


def trust_document(config: DispatchConfig, service: str, lane: str, adopter: Adopter) -> dict[str, Any]:
    """`/etc/dr-dispatch/trust.json` of the runner of one lane (contracts, section 2)."""
    env = env_settings(config, env_of(service))
    vault = vault_settings(config, env.name)
    known = lane_settings(config, lane)
    people = [
        {"id": number or f"{PERSON_ID}{login.upper()}", "login": login, **({"key": adopter.keys[login]} if login in adopter.keys else {})}
        for login, number in adopter.reviewers
    ]
    return {
        "api_version": "hybridops/v1",
        "kind": "HostTrust",
        "repository_id": adopter.repository_id or REPOSITORY_ID,
        "repository_owner_id": adopter.owner_id or OWNER_ID,
        "ref": f"refs/heads/{adopter.default_branch}",
        "workflow_shas": [adopter.release or SHA],
        "runner_refs": sorted({known.runner_ref, known.drill_runner_ref}),
        "approvers": people,
        "quorum": config.approvals.quorum,
        "gates": {env.name: env.gate},
        "authorities": [{"origin": origin, "roles": sorted({vault.role, vault.check_role})} for origin, _ in addresses(config)]
        if vault
        else [],
        "ledger": config.ledger.repository or f"https://github.com/{adopter.repository}",
    }


def runner_commands(config: DispatchConfig, lane: str, repository: str) -> str:
    """How the runner of a lane is registered by hand, on its host. The token is read from stdin: argv is seen by every user."""
    known = lane_settings(config, lane)
    labels = ",".join(label for label in known.labels if label != "self-hosted")
    name = known.names[0] if known.names else f"{known.runner_ref}-01"
    return (
        f"# on the host of lane {lane}, as user gha-runner in the folder of the agent (2.336.0 or newer)\n"
        f"gh api -X POST repos/{repository}/actions/runners/registration-token --jq .token |\n"
        f"  ACTIONS_RUNNER_INPUT_TOKEN=$(cat) ./config.sh --unattended --name {name} --labels {labels} \\\n"
        f"    --url https://github.com/{repository}\n"
        "sudo ./svc.sh install gha-runner && sudo ./svc.sh start\n"
    )


def open_words(text: str) -> tuple[str, ...]:
    """Words in capitals that somebody has to replace, in order, each once."""
    pattern = rf"\b(?:{SHA}|{REPOSITORY_ID}|{OWNER_ID}|OWNER/REPOSITORY|A_REVIEWER|{PERSON_ID}[A-Z0-9_-]+)\b"
    return tuple(dict.fromkeys(re.findall(pattern, text)))
