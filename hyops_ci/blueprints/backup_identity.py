"""What makes two clusters write to one backup or answer to one name: a drill must share none of it with production."""

from __future__ import annotations

from hyops_ci.contracts.facts import BackupIdentity, EffectiveBlueprint

_STANZAS = ("stanza", "pgbackrest_stanza", "backup_stanza", "cluster_name", "patroni_cluster_name")


def backup_identities(blueprint: EffectiveBlueprint) -> tuple[BackupIdentity, ...]:
    """Identity of every step that has a backup repository, a DNS name or a state of its own."""
    found = []
    for step in blueprint.steps:
        inputs = step.inputs
        stanza = next((str(inputs[name]) for name in _STANZAS if inputs.get(name)), "")
        dns = str(inputs.get("endpoint_dns_name") or inputs.get("record_fqdn") or "")
        repository = str(inputs.get("repo_state_ref") or "")
        if repository or dns or step.state_instance:
            path = str(inputs.get("repo_path") or "")
            found.append(
                BackupIdentity(step=step.id, repository=repository, path=path, stanza=stanza, dns_name=dns, state_instance=step.publishes)
            )
    return tuple(found)
