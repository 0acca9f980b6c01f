"""How a recovery is proven: the probes of the config, or those that the overlay's endpoint gives."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from hyops_ci.contracts.config import DispatchConfig, Probe
from hyops_ci.contracts.facts import EffectiveBlueprint
from hyops_ci.errors import Exit, Refusal, shown

PORTS = (("postgresql_port", 5432),)
_ENDPOINT = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,188}[A-Za-z0-9.])?", re.ASCII)


def probes_of(config: DispatchConfig, service: str, blueprint: EffectiveBlueprint | None) -> tuple[Probe, ...]:
    """Return how recovery is proven: what the config says, else TCP and DNS at the overlay's endpoint, else nothing ("not proven").

    Raises Refusal (exit 4) `overlay.endpoint` for an endpoint that is no name or port.
    """
    if service in config.verification:
        return config.verification[service]
    for step in blueprint.steps if blueprint else ():
        name = step.inputs.get("endpoint_dns_name") or step.inputs.get("record_fqdn")
        if name:
            port = next((step.inputs[key] for key, _ in PORTS if step.inputs.get(key) is not None), PORTS[0][1])
            if not (isinstance(name, str) and _ENDPOINT.fullmatch(name) and type(port) is int and 1 <= port <= 65535):
                raise _no_endpoint(step.id, name, port)
            return Probe(kind="tcp", target=f"{name}:{port}"), Probe(kind="dns", target=name)
    return ()


def probe_secrets(config: DispatchConfig, service: str) -> tuple[str, ...]:
    """Return the names of the secrets that the service's probes log in with."""
    return tuple(dict.fromkeys(probe.login.secret for probe in config.verification.get(service, ()) if probe.login is not None))


def probed_host(probe: Probe) -> str | None:
    """Return the host that a probe asks, or whose name it resolves; None for a target that is none."""
    if probe.kind == "dns":
        return probe.target
    try:
        parts = urlsplit(probe.target if probe.kind == "http" else f"tcp://{probe.target}")
        known = parts.scheme in (("http", "https") if probe.kind == "http" else ("tcp",)) and not parts.username
        return parts.hostname or "" if known and (probe.kind == "http" or parts.port) and parts.port != 0 else None
    except ValueError:
        return None


def _no_endpoint(step: str, name: object, port: object) -> Refusal:
    return Refusal(
        "overlay.endpoint",
        "the endpoint in the overlay cannot be asked whether it is there",
        exit_code=Exit.POLICY,
        found=f"step {step}: {shown(name, 100)} port {shown(port, 20)}",
        expected="a DNS name of at most 190 letters, digits, dots, dashes and underscores, and a port from 1 to 65535",
        fix="correct endpoint_dns_name or postgresql_port in the overlay; or say under verification how recovery is proven",
    )
