"""How people end what no run can end, as commands to paste: what is in angle brackets only who looked can say."""

from __future__ import annotations

from hyops_ci.text import shell


def on_github(service: str, workflow: str = "dr.yml") -> str:
    """Return the command that starts a settlement behind the approval gate: a host of the config signs it."""
    return shell('gh workflow run {} -f action=settle -f service={} -f serves=<site> -f reason="what you saw"', workflow, service)


def by_key(service: str, serves: str = "") -> str:
    """Return the command by which approvers settle with their keys, GitHub or not."""
    if serves:
        return shell('hyops-ci ledger settle --service {} --serves {} --reason "what you saw" --key <file>', service, serves)
    return shell('hyops-ci ledger settle --service {} --serves <site> --reason "what you saw" --key <file>', service)


def adopting(service: str) -> str:
    """Return the command by which approvers vouch for a ledger that nobody signed."""
    return f"{by_key(service)} --adopt"


def to_settle(service: str) -> str:
    """Return both ways, for a refusal."""
    return f"{on_github(service)}; or, where no host signs the ledger or GitHub is down: {by_key(service)}"
