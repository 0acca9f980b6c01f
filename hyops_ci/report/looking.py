"""The commands with which a person looks which site serves, from what the plan says of the endpoint (docs/design/texts.md 4)."""

from __future__ import annotations

from typing import Final

from hyops_ci.contracts.config import Probe
from hyops_ci.contracts.plan import Plan
from hyops_ci.text import shell

_POSTGRESQL: Final = "5432"


def look_commands(plan: Plan) -> tuple[str, ...]:
    """Return what to run, best where clients are: where the name leads, and whether what answers there takes writes.

    Nothing where the plan knows no endpoint.
    """
    return tuple(dict.fromkeys(_command(probe) for probe in sorted(plan.verification, key=lambda probe: probe.kind != "dns")))


def look_lines(plan: Plan) -> tuple[str, ...]:
    """Return the commands, or in words what to look at where the plan knows no endpoint."""
    sides = f"{plan.source_site} or {plan.target_site}"
    nothing = f"no endpoint of {plan.service} is configured: look where its clients point, and whether {sides} takes writes"
    return look_commands(plan) or (nothing,)


def _command(probe: Probe) -> str:
    if probe.kind == "dns":
        return shell("dig +short {}", probe.target)
    if probe.kind == "http":
        return shell("curl -sS -o /dev/null -w '%{{http_code}} from %{{remote_ip}}\\n' {}", probe.target)
    host, _, port = probe.target.rpartition(":")
    if port == _POSTGRESQL:
        where = f"host={host} port={port} dbname=postgres connect_timeout=5"
        return shell("psql {} -Atc 'select inet_server_addr(), pg_is_in_recovery()'", where)
    return shell("nc -zv -w 5 {} {}", host, port)
