"""The host of a runner: how it is registered, what it accepts, and the command that prepares it, as text to paste.

Pure: what is not known is written as a word in capitals (`commands.placeholders`).
"""

from __future__ import annotations

import json
from typing import Any, Final

from hyops_ci.config.settings import addresses, lane_settings, secret_plan
from hyops_ci.contracts.base import seconds
from hyops_ci.contracts.config import DispatchConfig, EnvClass
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.operations.init.commands import OWNER_ID, PERSON_ID, REPOSITORY_ID, REVIEWER, SHA, Adopter, envs_on, ledger_remote, numbers
from hyops_ci.text import heredoc, shell

USER: Final = "gha-runner"
"""What the agent runs as."""
ENVIRONMENT: Final = """\
# what else the host has to have: docs/hosts.md. In .env beside the agent, where it applies, before the agent starts:
#   HTTPS_PROXY=http://<proxy>, NO_PROXY=<hosts>
#   HYOPS_VAULT_PASSWORD_FILE=<path>, where the env holds a secrets bundle and the config does not say host.vault_password_file
"""


def trust_document(config: DispatchConfig, lane: str, adopter: Adopter) -> dict[str, Any]:
    """`/etc/dr-dispatch/trust.json` of the runner of one lane, for every env that it recovers (docs/design/contracts.md 2).

    What is a default of the host trust is left out. The runner's own name comes first: it is the audience of its callers' tokens.
    """
    envs, known, host = envs_on(config, lane), lane_settings(config, lane), HostTrust.model_fields
    checks = sorted({each.check_gate for each in envs})
    people = [
        {"id": number, "login": login, **({"key": adopter.keys[login]} if login in adopter.keys else {})}
        for login, number in adopter.people() or [(REVIEWER, f"{PERSON_ID}REVIEWER_1")]
    ]
    vaults = [vault for each in envs if (vault := secret_plan(config, each.name))]
    roles = sorted({name for vault in vaults for name in (vault.role, vault.check_role)})
    document: dict[str, Any] = {
        "api_version": "hybridops/v1",
        "kind": "HostTrust",
        "repository_id": adopter.repository_id or REPOSITORY_ID,
        "repository_owner_id": adopter.owner_id or OWNER_ID,
        "ref": f"refs/heads/{adopter.default_branch}",
        "workflow_shas": list(adopter.commits),
        "workflow_ref": adopter.workflow,
        "caller_workflows": [f"{adopter.repository}/{path}" for path in adopter.callers],
        "issuer": adopter.issuer,
        "runner_refs": list(dict.fromkeys((known.runner_ref, known.drill_runner_ref))),
        "approvers": people,
        "evidence_keys": tuple(sorted(set(config.host_keys.values()))),
        "quorum": config.approvals.quorum,
        "max_decision_lifetime": _longer(config.policy.decision_lifetime, host["max_decision_lifetime"].default),
        "max_approval_lifetime": _longer(config.approvals.lifetime, host["max_approval_lifetime"].default),
        "check_gate": checks[0] if checks else host["check_gate"].default,
        "gates": {each.name: each.gate for each in envs},
        "drill_envs": tuple(each.name for each in envs if each.env_class is EnvClass.DRILL),
        "authorities": [{"origin": origin, "roles": roles} for origin, _ in addresses(config)],
        "host": config.host.model_dump(mode="json", exclude_unset=True) if config.host.user else None,
        "ledger": ledger_remote(config, adopter),
    }
    kept = ("api_version", "kind")
    return {name: value for name, value in document.items() if name in kept or host[name].is_required() or value != host[name].default}


def host_commands(document: dict[str, Any], adopter: Adopter) -> str:
    """Return the commands that prepare a runner's host as root, in the folder of the agent, and start the agent with it."""
    owner, repository = adopter.workflow.split("/")[:2]
    folder = f"/usr/local/src/{repository}"
    return (
        "# on the same host, in the folder of the agent; where there is no package index, with --wheelhouse FOLDER\n"
        + shell("sudo git clone --no-checkout {} {}\n", f"{adopter.server}/{owner}/{repository}", folder)
        + shell("sudo git -C {} checkout --detach {}\n", folder, adopter.release or SHA)
        + heredoc(
            shell("sudo bash {} runner prepare --user {} --agent . --trust -", f"{folder}/actions/setup/setup.sh", USER),
            "JSON",
            numbers(json.dumps(document, indent=2)),
        )
        + "# what it prints for .github/dr-dispatch.yml goes into a pull request\n"
        + ENVIRONMENT
        + shell("sudo ./svc.sh install {} && sudo ./svc.sh start\n", USER)
    )


def runner_commands(config: DispatchConfig, lane: str, adopter: Adopter) -> str:
    """Return how the runner of a lane is registered by hand, on its host. The token is typed: argv is seen by every user."""
    known = lane_settings(config, lane)
    labels = ",".join(label for label in known.labels if label != "self-hosted")
    name = known.names[0] if known.names else f"{known.runner_ref}-01"
    organization = adopter.repository.partition("/")[0]
    group = {
        "name": known.runner_ref,
        "visibility": "selected",
        "selected_repository_ids": [adopter.repository_id or REPOSITORY_ID],
        "restricted_to_workflows": True,
        "selected_workflows": selected_workflows(adopter),
    }
    registered = "  IFS= read -rsp 'registration token: ' ACTIONS_RUNNER_INPUT_TOKEN && export ACTIONS_RUNNER_INPUT_TOKEN &&\n"
    configured = registered + shell("  ./config.sh --unattended --name {} --labels {} \\\n", name, labels)
    return (
        "# in an organization with GitHub Team or Enterprise: a group whose runners take only jobs of these two at this commit.\n"
        "# Where you are logged in, which is never the runner's host:\n"
        + heredoc(shell("gh api -X POST {} --input -", f"orgs/{organization}/actions/runner-groups"), "JSON", numbers(json.dumps(group)))
        + shell("gh api -X POST {} --jq .token\n", f"orgs/{organization}/actions/runners/registration-token")
        + f"# on the host of lane {lane}, as user {USER} in the folder of the agent (2.336.0 or newer); the token lives one hour\n(\n"
        + configured
        + shell("    --runnergroup {} --url {}\n)\n", known.runner_ref, f"{adopter.server}/{organization}")
        + "# else the repository's own. It is weaker: GitHub gives it every job of every branch that names its label, and only the host\n"
        "# itself can end such a job before its first step (next block). Where you are logged in:\n"
        + shell("gh api -X POST {} --jq .token\n", f"repos/{adopter.repository}/actions/runners/registration-token")
        + f"# on the host of lane {lane}, as before\n(\n"
        + configured
        + shell("    --url {}\n)\n", f"{adopter.server}/{adopter.repository}")
    )


def selected_workflows(adopter: Adopter) -> list[str]:
    """Return what a runner group may take jobs of: the run, and what makes and looks after runners, at each accepted commit."""
    return [f"{each}@{commit}" for commit in adopter.commits for each in (adopter.workflow, beside(adopter.workflow, "runner.yml"))]


def beside(workflow: str, file: str) -> str:
    """Return another reusable workflow of the same repository."""
    return f"{workflow.rpartition('/')[0]}/{file}"


def _longer(said: str, default: str) -> str:
    return said if seconds(said) > seconds(default) else default
