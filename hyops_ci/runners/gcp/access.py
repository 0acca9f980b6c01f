"""The way in to a machine that has no address outside: the tunnel of Identity-Aware Proxy, by the account's own permission."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from hyops_ci.dataclass import dataclass
from hyops_ci.runners.gcp.cloud import Cloud
from hyops_ci.runners.gcp.tunnel import Target, Tunnel, TunnelError
from hyops_ci.runners.ports import Machine


@dataclass(frozen=True)
class ThroughIap:
    """`hyops_ci.runners.ports.Access`."""

    cloud: Cloud
    words: str = "Identity-Aware Proxy"

    @contextmanager
    def connect(self, machine: Machine, timeout: float) -> Iterator[socket.socket]:
        """Yield a socket to the machine's port 22. Raises OSError where there is none, PermissionError where the account may not."""
        if not machine.place:
            raise TunnelError(f"{machine.name} is not there")
        site = self.cloud.site
        tunnel = Tunnel(
            site.machine.endpoints.tunnel,
            Target(site.project, machine.place, machine.name),
            lambda: self.cloud.token(machine.resource),
            timeout,
        )
        with tunnel.opened() as way:
            way.settimeout(timeout)
            yield way
