"""What makes two clusters write to one backup or answer to one name: a drill must share none of it with production."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hyops_ci.contracts.facts import BackupIdentity, EffectiveBlueprint, EffectiveStep

_STANZAS: Final = ("stanza", "pgbackrest_stanza", "backup_stanza", "cluster_name", "patroni_cluster_name")
_REPOSITORIES: Final = (("repo_state_ref",), ("s3_bucket",), ("gcs_bucket",), ("azure_storage_account", "azure_container"))
"""Inputs that together name a backup repository, by state or by bucket; a second one begins with `secondary_` (HyOps module specs)."""


def backup_identities(blueprint: EffectiveBlueprint) -> tuple[BackupIdentity, ...]:
    """Return the identities of every step that has a backup repository, a DNS name or a state instance: one for each repository."""
    return tuple(identity for step in blueprint.steps for identity in _of(step))


def _of(step: EffectiveStep) -> Iterator[BackupIdentity]:
    inputs = step.inputs
    stanza = next((str(inputs[name]) for name in _STANZAS if inputs.get(name)), "")
    dns = str(inputs.get("endpoint_dns_name") or inputs.get("record_fqdn") or "")
    instance = step.publishes if step.state_instance else ""
    repositories = [
        ("/".join(str(inputs[prefix + name]) for name in names), str(inputs.get(prefix + "repo_path") or inputs.get("repo_path") or ""))
        for prefix in ("", "secondary_")
        for names in _REPOSITORIES
        if all(inputs.get(prefix + name) for name in names)
    ]
    for repository, path in repositories or ([("", "")] if dns or instance else []):
        yield BackupIdentity(step=step.id, repository=repository, path=path, stanza=stanza, dns_name=dns, state_instance=instance)
