"""The blocks that a new service needs elsewhere, in the order in which they are pasted (docs/design/texts.md 7)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from hyops_ci.blueprints.reading import read_blueprint
from hyops_ci.config.bootstrap import bootstrap_places, bootstrap_secrets
from hyops_ci.config.probes import probe_secrets
from hyops_ci.config.settings import EnvSettings, addresses, data_home, env_of, env_settings, lane_settings, secret_plan
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.plan import SecretPlan
from hyops_ci.contracts.runner_machine import HOSTED
from hyops_ci.errors import DispatchError
from hyops_ci.ledger.ruleset import protection
from hyops_ci.operations.init import commands
from hyops_ci.operations.init.commands import Adopter, envs_of
from hyops_ci.operations.init.request import overlays_of
from hyops_ci.operations.init.runner_host import beside, host_commands, runner_commands, trust_document
from hyops_ci.operations.init.vault_roles import CallerWorkflow, issuer, policy, role, values
from hyops_ci.parsing.strict_yaml import read_yaml
from hyops_ci.secrets.map import SecretMap, builtin_map, read_map, refs_for
from hyops_ci.stages.plan.inputs import read_source
from hyops_ci.text import shell

VAULT_PAGE: Final = "docs/vault-role.md"
MACHINES_OF: Final = {True: "github-hosted", False: "self-hosted"}
"""Whether a runner is made from a machine of GitHub's -> where its job runs, in GitHub's words."""


def blocks_of(config: DispatchConfig, service: str, adopter: Adopter, repository: Path) -> tuple[tuple[str, str], ...]:
    """(title, text) of everything that is pasted elsewhere. Raises Refusal (exit 2) for a secret map that cannot be read."""
    remote = commands.ledger_remote(config, adopter)
    home = lane_settings(config, data_home(config, service)).failure_domain
    blocks = [
        ("GitHub: the approval gate and the check's environment", commands.environment_commands(config, service, adopter)),
        ("GitHub: the config changes by reviewed pull requests only", commands.ruleset_command(adopter.repository, commands.RULES_OF_MAIN)),
        (
            "The ledger, and its protection from deletion and rewriting",
            ("DR_TOKEN=$(gh auth token) " if "://" in remote else "")
            + shell("hyops-ci ledger init --remote {} --service {} --home {}\n", remote, service, home)
            + f"{protection(remote)}\n",
        ),
    ]
    if telling := commands.notify_commands(config, adopter):
        blocks.append(("GitHub: what messages to people are signed and written with (docs/notify.md)", telling))
    vault = secret_plan(config, env_of(service))
    if vault is not None and vault.kind in _AUTHORITY_BLOCKS:
        blocks += _AUTHORITY_BLOCKS[vault.kind](config, vault, service, adopter, repository)
    known = config.services[service]
    for lane in dict.fromkeys(action.lane for action in (known.failover, known.failback, known.burst) if action):
        blocks += [
            (f"Runner of lane {lane}: registration (docs/runners.md)", runner_commands(config, lane, adopter)),
            (
                f"Runner of lane {lane}: what its host accepts (docs/host-trust.md)",
                host_commands(trust_document(config, lane, adopter), adopter),
            ),
        ]
    return tuple(blocks)


def vault_blocks(config: DispatchConfig, vault: SecretPlan, service: str, adopter: Adopter, repository: Path) -> list[tuple[str, str]]:
    """Return what is set up in Vault: the issuer of the jobs' tokens, policies and roles."""
    blocks = [
        (f"Vault, once: who issues the tokens ({VAULT_PAGE})", issuer(adopter.issuer, vault.auth_path)),
        (f"Vault: policies and roles ({VAULT_PAGE})", vault_block(config, vault, service, adopter, repository)),
    ]
    if names := names_of(config, vault.mount, service, repository):
        blocks.append(("Vault: the secrets of the overlays (docs/secrets.md)", values(vault.mount, names)))
    if any(lane.machine for lane in config.lanes.values()) and bootstrap_places(config):
        blocks.append((f"Vault: the role that makes a runner ({VAULT_PAGE})", bootstrap_block(config, adopter)))
        blocks.append(("Vault: what making a runner takes (docs/runner-recovery.md)", values(vault.mount, bootstrap_names(config))))
    return blocks


_AUTHORITY_BLOCKS: Final = {"vault": vault_blocks}
"""Kind of authority -> what `init` prints for it. A kind without an entry is set up without commands of ours."""


def vault_block(config: DispatchConfig, vault: SecretPlan, service: str, adopter: Adopter, repository: Path) -> str:
    """Policies and roles for the env of the service, over exactly the paths of its map.

    A role that other envs of the config share (the check's is one role for all) is written for all of them: what is written last counts.
    """
    known, profiles = secret_map(config, vault.mount, repository), config.vault.profiles if config.vault is not None else ()
    sharing = sharing_role(config, env_of(service))
    run_paths, check_paths = (paths_of(known, vault.mount, profiles, [each.name for each in envs]) for envs in (sharing, envs_of(config)))
    return "".join(
        (
            policy(vault.role, vault.mount, run_paths, values=True),
            policy(vault.check_role, vault.mount, check_paths, values=False),
            run_role(config, vault, env_of(service), adopter),
            check_role(config, vault, adopter),
        )
    )


def sharing_role(config: DispatchConfig, env: str) -> list[EnvSettings]:
    """Return the envs whose runs log in by the role of this one."""
    return envs_of(config) if config.vault is not None and config.vault.role else [env_settings(config, env)]


def run_role(config: DispatchConfig, vault: SecretPlan, env: str, adopter: Adopter) -> str:
    """Return the role of runs of an env."""
    gates = dict.fromkeys(each.gate for each in sharing_role(config, env))
    return _role(config, vault, vault.role, list(gates), adopter)


def check_role(config: DispatchConfig, vault: SecretPlan, adopter: Adopter) -> str:
    """Return the role of checks, one for all envs."""
    return _role(config, vault, vault.check_role, list(dict.fromkeys(each.check_gate for each in envs_of(config))), adopter)


def _role(config: DispatchConfig, vault: SecretPlan, name: str, environments: list[str], adopter: Adopter) -> str:
    audiences = [origin for origin, _ in addresses(config)]
    return role(name, caller_workflow(adopter), auth_path=vault.auth_path, audiences=audiences, environments=environments)


def caller_workflow(adopter: Adopter) -> CallerWorkflow:
    """Return the workflow whose jobs may log in."""
    return CallerWorkflow(
        str(adopter.repository_id or commands.REPOSITORY_ID),
        str(adopter.owner_id or commands.OWNER_ID),
        f"refs/heads/{adopter.default_branch}",
        adopter.workflow,
        adopter.commits,
    )


def bootstrap_block(config: DispatchConfig, adopter: Adopter) -> str:
    """Policy and role of the job that makes a runner: the App's key and the provider's token, and no secret of an env."""
    plan, paths = bootstrap_secrets(config), [place.partition("#")[0] for place in bootstrap_places(config)]
    if plan is None:
        return ""
    return policy(plan.role, plan.mount, list(dict.fromkeys(paths)), values=True) + bootstrap_role(config, plan, adopter)


def bootstrap_role(config: DispatchConfig, plan: SecretPlan, adopter: Adopter) -> str:
    """Return the role of that job: on a machine of GitHub's where the provider is a cloud, on-prem on the management runner."""
    machines = [lane.machine for lane in config.lanes.values() if lane.machine is not None]
    where = [MACHINES_OF[machine.made_on == HOSTED] for machine in machines]
    caller = caller_workflow(adopter)
    return role(
        plan.role,
        caller,
        auth_path=plan.auth_path,
        audiences=[origin for origin, _ in addresses(config)],
        environments=[config.policy.bootstrap_environment],
        also=[beside(caller.workflow, "runner.yml")],
        machines=list(dict.fromkeys(where)),
    )


def bootstrap_names(config: DispatchConfig) -> dict[str, list[str]]:
    """Return path below the mount -> names, of what making a runner reads."""
    found: dict[str, list[str]] = {}
    for place in bootstrap_places(config):
        path, _, name = place.partition("#")
        found.setdefault(path, []).append(name)
    return found


def names_of(config: DispatchConfig, mount: str, service: str, repository: Path) -> dict[str, list[str]]:
    """Return path below the mount -> names, of all secrets that the overlays and probes of a service need, as far as these are there."""
    found: dict[str, list[str]] = {}
    for path, _ in overlays_of(config, service):
        with suppress(DispatchError):  # an overlay that is missing or cannot be read is listed under what is to be filled in
            content = read_source(repository, path)
            steps = read_blueprint(read_yaml(content, path), digest_bytes(content)).required_env()
            needed = (*steps, *probe_secrets(config, service))
            profiles = config.vault.profiles if config.vault is not None else ()
            for ref in refs_for(secret_map(config, mount, repository), env_of(service), profiles, needed, mount):
                names = found.setdefault(ref.path.removeprefix(f"{mount}/"), [])
                names += [ref.field] if ref.field not in names else []
    return found


def secret_map(config: DispatchConfig, mount: str, repository: Path) -> SecretMap:
    """Return the map that plans will read: the config's own, or the one that comes with the library."""
    path = config.vault.secret_map if config.vault is not None else None
    return read_map(read_source(repository, path), path) if path else builtin_map(mount)


def paths_of(known: SecretMap, mount: str, profiles: Sequence[str], envs: list[str]) -> list[str]:
    """Return the paths below the mount that hold the secrets of these envs, each once."""
    keys = [row.key for row in known.rows if row.scope in profiles]
    refs = [ref for env in envs for ref in refs_for(known, env, profiles, keys, mount)]
    return list(dict.fromkeys(ref.path.removeprefix(f"{mount}/") for ref in refs))
