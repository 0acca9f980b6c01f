"""Any valid config made fit for a rehearsal: what it says of decisions stays, what it says of the outside becomes local."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from hyops_ci.config.file import CONFIG_PATH
from hyops_ci.config.settings import blueprint_name, env_of, overlay_path
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.dataclass import dataclass
from hyops_ci.secrets.map import SecretMap, builtin_map, read_map

_FROM_THE_VAULT: Final = ("mount", "secret_map", "profiles")
"""What a rehearsal keeps of `vault`: which names are read, not where from."""


@dataclass(frozen=True)
class RealHyOps:
    """A HyOps of this machine that a rehearsal may use: it runs a blueprint of manual gates, which touches nothing."""

    hyops: Path
    core_root: Path


@dataclass(frozen=True)
class Outside:
    """What stands in a rehearsal for the runner, the authority, the approvers and the recovered service."""

    class_of: Mapping[str, str]
    """Class of the env that is rehearsed. Empty: every env is of class lab."""
    hyops: RealHyOps
    home: Path
    """Of the runner."""
    authority: Path
    approvers: Mapping[str, str]
    """Login -> public key."""
    port: int
    """A TCP port of this machine that answers."""
    host_key: Path
    """Private key of the runner's host."""
    host_keys: Mapping[str, str]
    """Its name -> its public key."""


def localized(raw: Mapping[str, Any], known: DispatchConfig, outside: Outside) -> dict[str, Any]:
    """Return the config as a rehearsal reads it. `raw` is the file as parsed, `known` the same file as a model."""
    local = {name: value for name, value in raw.items() if name != "ledger"}
    classes = outside.class_of or {env_of(service): "lab" for service in known.services}
    envs = {name: dict(said) for name, said in (raw.get("envs") or {}).items()}
    local["envs"] = envs | {env: envs.get(env, {}) | {"class": env_class} for env, env_class in classes.items()}
    local["lanes"] = {name: _without(said, "names") for name, said in (raw.get("lanes") or {}).items()}
    local["host"] = {
        "core_root": str(outside.hyops.core_root),
        "hyops": str(outside.hyops.hyops),
        "envs_base": str(outside.home / "envs"),
        "vault_password_file": str(outside.home / "vault-password"),
        "env_pass": list(known.host.env_pass),
        "env": dict(known.host.env),
    }
    kept = {name: value for name, value in (raw.get("vault") or {}).items() if name in _FROM_THE_VAULT}
    local["vault"] = kept | {"kind": "file", "site": "gcp", "path": str(outside.authority)}
    local["evidence"] = {"signer": "host-key", "key": str(outside.host_key)}
    local["host_keys"] = dict(outside.host_keys)
    local["approvals"] = {"channels": ["signed"], "approvers": dict(outside.approvers)}
    local["verification"] = {
        # One mapping for each service: the same object twice would be written as a YAML alias, which no config may hold.
        service: [
            {"kind": "tcp", "target": f"127.0.0.1:{outside.port}", "hold": "PT1S", "timeout": "PT5S"},
            # Kept: this release runs none, and the plan refuses them here as it does on GitHub.
            *(probe.model_dump(mode="json") for probe in known.verification.get(service, ()) if probe.kind == "command"),
        ]
        for service in known.services
    }
    return local


def write_config(repository: Path, local: Mapping[str, Any]) -> None:
    """Write the config to its place in the repository of the rehearsal."""
    path = repository / CONFIG_PATH
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(dict(local), sort_keys=False), encoding="utf-8")


def gather(known: DispatchConfig, source: Path, examples: Path, repository: Path) -> Iterator[str]:
    """Copy the overlays and the secret map that the config names into the repository of the rehearsal.

    They are looked for beside the config, where its own repository would have them. An overlay that is not there is the example's of
    the same blueprint, where the example has one; else the plan says what is missing. Yields a line for each stand-in.
    """
    root = source.parent.parent if source.parent.name == ".github" else source.parent
    overlays = {
        overlay_path(service, action): (service, action.blueprint)
        for service, entry in known.services.items()
        for action in (entry.failover, entry.failback, entry.burst)
        if action is not None
    }
    for path in [*overlays, *([known.vault.secret_map] if known.vault and known.vault.secret_map else [])]:
        to = repository / path
        places = (root / path, source.parent / path.removeprefix(".github/"))
        own = next((each for each in places if each.is_file() and each.resolve().is_relative_to(root.resolve())), None)
        service, blueprint = overlays.get(path, ("", ""))
        example = examples / f"{blueprint_name(blueprint)}.yml"
        found = own or (example if example.is_file() else None)
        if found is not None:
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, to)
        if found is not None and own is None and source.parent != examples.parent:
            yield f"no {path} beside the config: {service} is rehearsed with the example's {blueprint}"


def map_of(known: DispatchConfig, repository: Path) -> SecretMap:
    """Return the secret map of the rehearsal. Raises Refusal (exit 2) for one that HyOps would read differently."""
    path = known.vault.secret_map if known.vault else None
    if path is None or not (repository / path).is_file():
        return builtin_map()
    return read_map((repository / path).read_bytes(), path)


def _without(said: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in said.items() if key != name}
