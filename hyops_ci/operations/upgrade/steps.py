"""What else has to know the new commit, as commands to paste in their order: who is asked learns it first, the caller moves last.

Pure: what is not known is written as a word in capitals (`operations.init.commands.placeholders`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hyops_ci.config.bootstrap import bootstrap_places, bootstrap_secrets
from hyops_ci.config.settings import lane_settings, secret_plan
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.operations.init.blocks import bootstrap_role, check_role, run_role
from hyops_ci.operations.init.commands import Adopter, envs_of
from hyops_ci.operations.init.runner_host import USER, selected_workflows
from hyops_ci.text import heredoc, shell

TRUST: Final = "/etc/dr-dispatch/trust.json"
Step = tuple[str, str]
"""Title, and commands."""


def before_the_caller(config: DispatchConfig | None, adopter: Adopter) -> list[Step]:
    """Return what hosts, authority and runner groups need before a caller may pin `adopter.release`: it is accepted beside the former."""
    lanes = lanes_of(config)
    return [
        (f"As root on the host of each runner: {_hosts(config, lanes)}", host_commands(config, adopter)),
        *_authority(config, adopter, "Vault: each role accepts both commits"),
        *_groups(config, adopter, lanes, "each group takes both commits"),
    ]


def the_caller(config: DispatchConfig | None, files: Sequence[str], name: str, workflow: str) -> list[Step]:
    """Return how the changed files get to the default branch, and how it is seen that it works. `workflow` is one that a person starts."""
    branch = f"dr-dispatch-{name}"
    text = shell("git switch -c {}\n", branch) + "git add --" + "".join(shell(" {}", each) for each in files) + "\n"
    text += shell("git commit -m {}\n", f"dr-dispatch {name}") + "git push --set-upstream origin HEAD\n"
    steps = [("The callers, in a pull request", text)]
    services = list(config.services) if config is not None else []
    if services and workflow:
        started = "".join(
            shell("gh workflow run {} -f action=check -f service={} -f reason={}\n", workflow, each, f"upgrade of dr-dispatch to {name}")
            for each in services
        )
        steps.append(("Merged: a check of each service, which changes nothing and asks nobody", started))
    return [*steps, ("The checks are green, and no run waits that was started before: the old commit goes", "hyops-ci upgrade --finish\n")]


def at_the_end(config: DispatchConfig | None, adopter: Adopter) -> list[Step]:
    """Return how every other commit than `adopter.release` is taken out again."""
    alone, lanes = replace(adopter, former=()), lanes_of(config)
    text = shell("sudo bash {} upgrade --finish --commit {} --trust {}\n", setup_of(adopter), alone.release, TRUST)
    return [
        *_authority(config, alone, "Vault: each role accepts the new commit alone"),
        *_groups(config, alone, lanes, "each group takes the new commit alone"),
        (f"As root on the host of each runner: {_hosts(config, lanes)}", text),
    ]


def host_commands(config: DispatchConfig | None, adopter: Adopter) -> str:
    """Return the commands by which a host gets the environment of the new commit, and accepts it beside what it accepts already."""
    folder = folder_of(adopter)
    user = shell(" --user {}", USER) if config is not None and config.host.user else ""
    return (
        shell("sudo git -C {} fetch --quiet origin {}\n", folder, adopter.release)
        + shell("sudo git -C {} checkout --quiet --detach {}\n", folder, adopter.release)
        + shell("sudo bash {} runner prepare", setup_of(adopter))
        + user
        + shell("\nsudo bash {} upgrade --commit {} --trust {}\n", setup_of(adopter), adopter.release, TRUST)
    )


def folder_of(adopter: Adopter) -> str:
    """Return where a host has its checkout of dr-dispatch."""
    return f"/usr/local/src/{adopter.workflow.split('/')[1]}"


def setup_of(adopter: Adopter) -> str:
    """Return the script there that becomes `hyops-ci` of that commit, in root's environment."""
    return f"{folder_of(adopter)}/actions/setup/setup.sh"


def lanes_of(config: DispatchConfig | None) -> list[str]:
    """Return the lanes that a service of the config is recovered on."""
    services = config.services.values() if config is not None else ()
    actions = [action for each in services for action in (each.failover, each.failback, each.burst)]
    return list(dict.fromkeys(action.lane for action in actions if action is not None))


def _hosts(config: DispatchConfig | None, lanes: Sequence[str]) -> str:
    if config is None or not lanes:
        return "of whichever repositories recover with it"
    return ", ".join(f"{lane_settings(config, lane).runner_ref} (lane {lane})" for lane in lanes)


def _authority(config: DispatchConfig | None, adopter: Adopter, title: str) -> list[Step]:
    """Return the roles of every env. Only Vault's and OpenBao's know the commit."""
    plans = [(each.name, plan) for each in envs_of(config) if (plan := secret_plan(config, each.name))] if config is not None else []
    known = [(env, plan) for env, plan in plans if plan.kind == "vault"]
    if config is None or not known:
        return []
    roles = {plan.role: run_role(config, plan, env, adopter) for env, plan in known}
    roles |= {plan.check_role: check_role(config, plan, adopter) for _, plan in known}
    making = bootstrap_secrets(config) if bootstrap_places(config) and any(lane.machine for lane in config.lanes.values()) else None
    if making is not None:
        roles[making.role] = bootstrap_role(config, making, adopter)
    kept = "# a write replaces the role: what you added to it by hand (token_bound_cidrs) goes in again. As it is now:\n"
    looks = "".join(shell("vault read {}\n", f"{known[0][1].auth_path}/role/{name}") for name in roles)
    return [(f"{title} (docs/vault-role.md)", kept + looks + "".join(roles.values()))]


def _groups(config: DispatchConfig | None, adopter: Adopter, lanes: Sequence[str], title: str) -> list[Step]:
    if config is None:
        return []
    place = f"orgs/{adopter.repository.partition('/')[0]}/actions/runner-groups"
    taken = {"restricted_to_workflows": True, "selected_workflows": selected_workflows(adopter)}
    text = ""
    for name in dict.fromkeys(lane_settings(config, lane).runner_ref for lane in lanes):
        found = shell("gh api --paginate {} --jq {}", place, f'.runner_groups[] | select(.name == "{name}").id')
        text += f"group=$({found}) &&\n" + heredoc(
            shell('gh api -X PATCH {}"$group" --input -', f"{place}/"), "JSON", json.dumps({"name": name, **taken})
        )
    return [(f"Runner groups, where a runner is in one of its own: {title}", text)] if text else []
