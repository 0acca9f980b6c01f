"""Adopt: a service gets its config, its caller workflow and its overlays, and the blocks that somebody pastes elsewhere.

Nothing that is there already is changed, and nothing outside the checkout is touched.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.intake.config_file import CONFIG_PATH, read_config
from hyops_ci.ledger.ruleset import RULES_OF_LEDGER
from hyops_ci.planning import adopting
from hyops_ci.planning.adopting import Adopter
from hyops_ci.planning.settings import addresses, data_home, env_of, env_settings, lane_settings, overlay_path, vault_settings
from hyops_ci.secrets.map import builtin_map, refs_for
from hyops_ci.secrets.roles import Caller, policy, role

WORKFLOW_PATH: Final = ".github/workflows/dr.yml"
OWNERS_PATH: Final = ".github/CODEOWNERS"
CALLED: Final = "hybridops/dr-dispatch/.github/workflows/dispatch.yml"
TEMPLATE: Final = "dr-manual.yml"
UNPINNED: Final = "0" * 40


@dataclass(frozen=True)
class Wish:
    """What is to be adopted, and how."""

    service: str
    vault: str
    site: str
    lane: str = "gcp"
    failover: str = ""
    failback: str = "dr/postgresql-ha-failback-onprem@v1"
    blueprints: tuple[Path, ...] = ()
    """Folders that are searched for overlays: of the env's runtime first, then HyOps' own blueprints."""


@dataclass(frozen=True)
class Adopted:
    """What was written, what was kept, what is to be pasted, and what only a person knows."""

    written: tuple[str, ...]
    kept: tuple[str, ...]
    missing: tuple[str, ...]
    """Files that nobody could write: overlays that were not found."""
    blocks: tuple[tuple[str, str], ...]
    """(title, text to paste)."""
    open_words: tuple[str, ...] = field(default=())
    addition: str = ""
    """Lines for a config that exists and lacks the service."""


def adopt(wish: Wish, repository: Path, adopter: Adopter) -> Adopted:
    """Write what is missing below `repository`. Raises Refusal (exit 2) for a service that no config can name, or an unreadable config."""
    text = adopting.config_text(
        wish.service,
        lane=wish.lane,
        failover=wish.failover or f"dr/postgresql-ha-failover-{wish.lane}@v1",
        failback=wish.failback,
        vault=wish.vault,
        site=wish.site,
        adopter=adopter,
    )
    wanted = read_config(text.encode(), CONFIG_PATH)[0]
    written: list[str] = []
    kept: list[str] = []
    addition, config = "", wanted
    if (repository / CONFIG_PATH).exists():
        kept.append(CONFIG_PATH)
        config = read_config((repository / CONFIG_PATH).read_bytes(), CONFIG_PATH)[0]
        if wish.service not in config.services:
            addition, config = "\n".join(text.splitlines()[1:4]), wanted
    else:
        _write(repository, CONFIG_PATH, text, written)
    for path, content in ((WORKFLOW_PATH, caller_workflow(adopter)), (OWNERS_PATH, adopting.code_owners(adopter))):
        if (repository / path).exists():
            kept.append(path)
        else:
            _write(repository, path, content, written)
    missing = copy_overlays(wish, config, repository, written, kept)
    blocks = blocks_of(wish, config, adopter)
    found = adopting.open_words("\n".join(block for _, block in blocks))
    return Adopted(tuple(written), tuple(kept), tuple(missing), blocks, found, addition)


def caller_workflow(adopter: Adopter) -> str:
    """The caller's workflow, pinned to the release where that is known."""
    text = template(TEMPLATE).read_text(encoding="utf-8")
    if adopter.release:
        text = text.replace(f"{UNPINNED} # write the commit of the release here", adopter.release)
    return text


def template(name: str) -> Path:
    """A caller template: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "templates" / name
    return inside if inside.exists() else package.parent / "workflows-templates" / name


def copy_overlays(wish: Wish, config: DispatchConfig, repository: Path, written: list[str], kept: list[str]) -> list[str]:
    """The overlays of the service, from the first folder that has them. Answers those that were found nowhere."""
    missing = []
    for action in (config.services[wish.service].failover, config.services[wish.service].failback):
        if action is None:
            continue
        path = overlay_path(wish.service, action)
        if (repository / path).exists():
            kept.append(path)
            continue
        name = action.blueprint.partition("@")[0].rpartition("/")[2]
        places = [place for folder in wish.blueprints for place in (folder / f"{name}.yml", folder / action.blueprint / "blueprint.yml")]
        source = next((place for place in places if place.is_file()), None)
        if source is None:
            missing.append(f"{path} (hyops blueprint init --env {env_of(wish.service)} --ref {action.blueprint}, then copy it)")
        else:
            _write(repository, path, source.read_text(encoding="utf-8"), written)
    return missing


def blocks_of(wish: Wish, config: DispatchConfig, adopter: Adopter) -> tuple[tuple[str, str], ...]:
    """Everything that is pasted elsewhere, in the order in which it is done."""
    lanes = dict.fromkeys(
        action.lane for action in (config.services[wish.service].failover, config.services[wish.service].failback) if action
    )
    home = lane_settings(config, data_home(config, wish.service)).failure_domain
    remote = f"https://github.com/{config.ledger.repository or adopter.repository}"
    blocks = [
        ("GitHub: the approval gate and the check's environment", adopting.environment_commands(config, wish.service, adopter)),
        ("GitHub: nobody changes the config alone", adopting.ruleset_command(adopter.repository, adopting.RULES_OF_MAIN)),
        (
            "GitHub: the ledger, and that nobody deletes or rewrites it",
            f"hyops-ci ledger init --remote {remote} --service {wish.service} --home {home}\n"
            + adopting.ruleset_command(adopter.repository, RULES_OF_LEDGER),
        ),
        ("Vault: policies and roles (docs/vault-role.md)", vault_block(config, wish.service, adopter)),
    ]
    for lane in lanes:
        blocks.append((f"Runner of lane {lane}: registration", adopting.runner_commands(config, lane, adopter.repository)))
        trust = json.dumps(adopting.trust_document(config, wish.service, lane, adopter), indent=2)
        blocks.append(
            (
                f"Runner of lane {lane}: what its host accepts (docs/host-trust.md)",
                f"sudo install -d -m 755 /etc/dr-dispatch && sudo tee /etc/dr-dispatch/trust.json >/dev/null <<'JSON'\n{trust}\nJSON\n",
            )
        )
    return tuple(blocks)


def vault_block(config: DispatchConfig, service: str, adopter: Adopter) -> str:
    """Policies and roles for the env of the service, over exactly the paths of the built-in map."""
    env = env_settings(config, env_of(service))
    vault = vault_settings(config, env.name)
    if vault is None:
        return ""
    known = builtin_map(vault.mount)
    refs = refs_for(known, env.name, vault.profiles, [row.key for row in known.rows if row.scope in vault.profiles], vault.mount)
    paths = list(dict.fromkeys(ref.path.removeprefix(f"{vault.mount}/") for ref in refs))
    caller = Caller(
        str(adopter.repository_id or adopting.REPOSITORY_ID),
        str(adopter.owner_id or adopting.OWNER_ID),
        f"refs/heads/{adopter.default_branch}",
        CALLED,
        (adopter.release or adopting.SHA,),
    )
    audiences = [origin for origin, _ in addresses(config)]
    return "".join(
        (
            policy(vault.role, vault.mount, paths, values=True),
            policy(vault.check_role, vault.mount, paths, values=False),
            role(vault.role, caller, auth_path=vault.auth_path, audiences=audiences, environment=env.gate),
            role(vault.check_role, caller, auth_path=vault.auth_path, audiences=audiences, environment=env.check_gate),
        )
    )


def _write(repository: Path, name: str, text: str, written: list[str]) -> None:
    path = repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    written.append(name)
